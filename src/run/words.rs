//! Puts together what short notes are written from, and what the last runs found.

use crate::clock::after;
use crate::diagnosis::note::short;
use crate::diagnosis::{Diagnosis, RelatedPage, ZoneDiagnosis};
use crate::store::{Filter, Store, StoreError};

use jiff::Timestamp;

use super::tools::Tools;
use super::{AlertIncident, Facts, Run};

/// What was found before.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The last runs of the region that have a diagnosis, newest first.
    pub runs: Vec<Run>,
    /// Alerts of this region in the last hour, this one included.
    pub alerts_last_hour: u32,
}

/// How many past runs are told of.
const PAST_RUNS: usize = 3;
/// How many are looked through for them.
const LOOKED_THROUGH: i64 = 20;

/// Looks for what the last runs of the region found.
///
/// # Errors
/// The store.
pub async fn past(tools: &Tools, run: &Run) -> Result<Past, StoreError> {
    past_of(&tools.store, run).await
}

/// See [`past`].
///
/// # Errors
/// The store.
pub async fn past_of(store: &Store, run: &Run) -> Result<Past, StoreError> {
    let filter = Filter {
        region: Some(run.region.to_string()),
        before: Some(run.id.clone()),
        limit: LOOKED_THROUGH,
        ..Filter::default()
    };
    let before = store.runs(&filter).await?;
    let alerts_last_hour = store.alerts_in_the_hour_before(run).await?;
    let runs =
        before.into_iter().filter(|past| past.diagnosis.is_some() && past.drill.is_none()).take(PAST_RUNS).collect();
    Ok(Past { runs, alerts_last_hour })
}

/// The short note of a suppressed run.
pub fn suppressed(tools: &Tools, run: &Run, explaining: &[RelatedPage], since: Timestamp) -> String {
    let settings = &tools.config.suppression;
    let latest = after(since, settings.max);
    let run_url = tools.config.run_url(&run.id);
    short::suppressed(&run.region, explaining, settings.recheck, settings.settle, latest, &run_url)
}

/// The early word of a run that takes long, or whose first reading is `transient`.
pub fn early(tools: &Tools, run: &Run, facts: &Facts, first: Option<&Diagnosis>) -> String {
    let config = &tools.config;
    let known = match &facts.related_unknown {
        Some(why) => format!("Whether a bigger outage explains it is not known: {why}"),
        None if run.related.is_empty() => "No page is open that would explain it.".to_owned(),
        None => format!("Also open: {}", run.related.iter().map(|p| p.title.as_str()).collect::<Vec<_>>().join("; ")),
    };
    let reading = config.jenkins.timeout;
    let (awaited, longest) = match first {
        // Each re-run waits, and reads once more.
        Some(_) => {
            ("The re-run of the Jenkins job".to_owned(), (config.transient.wait + reading) * config.transient.reruns)
        }
        None => ("The Jenkins job's reading of the Magic Boxes, and the clusters' checks".to_owned(), reading),
    };
    let until = after(tools.clock.now(), longest);
    short::early(&run.region, first, &[known], &[awaited], until, &config.run_url(&run.id))
}

/// Where a follow-up finds what the last diagnosis note of the alert says already, that note is edited; whether it
/// was.
///
/// # Errors
/// The store.
pub async fn edit_unchanged(tools: &Tools, run: &Run, incident: &AlertIncident) -> Result<bool, StoreError> {
    let before = tools.store.last_runs(&incident.id, Some(&run.id)).await?;
    let Some(last) = before.into_iter().find(|past| past.note.is_some() && past.diagnosis.is_some()) else {
        return Ok(false);
    };
    let Some(note) = last.note.as_ref().filter(|_| is_unchanged(&last, run)) else { return Ok(false) };
    let edited = async {
        let notes = tools.pagerduty.notes(&incident.id).await?;
        let Some(text) = notes.into_iter().find(|n| n.id == note.id).map(|n| n.content) else { return Ok(false) };
        let text = short::with_unchanged(&text, tools.clock.now());
        tools.pagerduty.edit_note(&incident.id, &note.id, &text).await.map(|_| true)
    };
    Ok(edited.await.unwrap_or_else(|error: crate::upstream::Error| {
        tracing::warn!(run.id, error = %error, "the last note could not be edited; another is written");
        false
    }))
}

/// Whether a later run found what an earlier one had found.
pub fn is_unchanged(before: &Run, later: &Run) -> bool {
    before.diagnosis.as_ref().zip(later.diagnosis.as_ref()).is_some_and(|(was, is)| seen(was) == seen(is))
}

/// What people would see as a change: the verdict, each box's statuses, each zone's finding.
fn seen(diagnosis: &Diagnosis) -> impl PartialEq + use<> {
    let boxes = |zone: &ZoneDiagnosis| -> Vec<(String, u8, i8)> {
        zone.boxes.iter().map(|b| (b.magic_box_id.clone(), b.se_status, b.upstream_status)).collect()
    };
    let zones: Vec<_> = diagnosis
        .zones
        .iter()
        .map(|zone| (zone.cluster.clone(), boxes(zone), zone.checks.as_ref().map(|checks| checks.finding)))
        .collect();
    (diagnosis.verdict.kind, diagnosis.verdict.rule, zones)
}
