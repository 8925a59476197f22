//! Puts together what short notes are written from, and what the last runs found.

use crate::run::steps::edit::{Edited, edit, edits_of};
use outbound::error::Error;
use runbook::diagnosis::note::short;
use runbook::diagnosis::{Diagnosis, RelatedPage};
use runbook::life::FOLLOW_UPS;
use runbook::span::after;
use store::{Filter, Lease, Store, StoreError, WantedEdit};

use jiff::Timestamp;

use super::context::Context;
use runbook::run::{AlertIncident, Facts, Run, State, Unchanged};

/// What was found before.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The last runs of the region that have a diagnosis, newest first.
    pub runs: Vec<Run>,
    /// Alerts of this region in the last hour, this one included.
    pub alerts_last_hour: u32,
    /// Whether the alert is looked at again where its verdict may change: not all follow-ups are made.
    pub looks_again: bool,
}

/// How many past runs are told of.
const PAST_RUNS: usize = 3;
/// How many are looked through for them.
const LOOKED_THROUGH: i64 = 20;

/// Looks for what the last runs of the region found.
///
/// # Errors
/// The store.
pub async fn past(context: &Context, run: &Run) -> Result<Past, StoreError> {
    past_of(&context.store, run).await
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
    let looks_again = match &run.incident {
        Some(incident) => looks_again(store, &incident.id).await?,
        None => false,
    };
    Ok(Past { runs, alerts_last_hour, looks_again })
}

/// Whether not all follow-ups of an alert are made.
async fn looks_again(store: &Store, incident_id: &str) -> Result<bool, StoreError> {
    Ok(store.readable_alert(incident_id).await?.is_none_or(|alert| alert.follow_ups < FOLLOW_UPS))
}

/// The short note of a suppressed run.
pub fn suppressed(context: &Context, run: &Run, explaining: &[RelatedPage], since: Timestamp) -> String {
    let settings = &context.config.suppression;
    let latest = context.clock.shown(after(since, settings.max));
    let run_url = context.config.run_url(&run.id);
    short::suppressed(&run.region, explaining, settings.recheck, settings.settle, latest, &run_url)
}

/// The early word of a run that takes long, or whose first reading is `transient`.
pub fn early(context: &Context, run: &Run, facts: &Facts, first: Option<&Diagnosis>) -> String {
    let config = &context.config;
    // What was open when that was last known explains nothing now.
    let explaining = match facts.related_unknown {
        None => &run.related[..facts.explaining.min(run.related.len())],
        Some(_) => &[],
    };
    let known = match &facts.related_unknown {
        Some(why) => format!("Whether a bigger outage explains it is not known: {why}"),
        None if facts.related_at.is_none() => {
            "Whether a bigger outage explains it is not known: PagerDuty has not been asked yet.".to_owned()
        }
        None if !explaining.is_empty() => "A bigger outage may explain it: pages for it are open".to_owned(),
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
    let until = context.clock.shown(after(context.clock.now(), longest));
    let turn = (run.state == State::Queued).then(|| "Its turn: other alerts are being diagnosed before it".to_owned());
    let awaited: Vec<String> = turn.into_iter().chain([awaited]).collect();
    short::early(&run.region, first, explaining, &[known], &awaited, until, &config.run_url(&run.id))
}

/// Where a follow-up finds what the last diagnosis note of the alert says already, that note is edited: which, and when.
///
/// # Errors
/// The store, or the lease is lost.
pub async fn edit_unchanged(
    context: &Context,
    lease: &Lease,
    run: &Run,
    incident: &AlertIncident,
) -> Result<Option<Unchanged>, StoreError> {
    let before = context.store.last_runs(&incident.id, Some(&run.id)).await?;
    let noted = before.into_iter().find_map(|past| Some((past.own_note()?.id.clone(), past)));
    let Some((note_id, last)) = noted.filter(|(_, last)| run.found_nothing_new_since(last)) else { return Ok(None) };
    let fact = format!("unchanged:{}", run.id);
    for _ in 0..OVERTAKEN {
        let now = context.clock.now();
        let edits = edits_of(context, &last.id).await?;
        let stands = match context.pagerduty.notes(&incident.id).await {
            Ok(notes) => notes.into_iter().find(|note| note.id == note_id).map(|note| note.content),
            Err(error) => return Ok(another_is_written(run, &error)),
        };
        // PagerDuty's lists lag: what was last written of it counts.
        let stands = stands.map(|shown| edits.as_ref().map_or(shown, |edits| edits.text.clone()));
        let Some(stands) = stands else { return Ok(None) };
        let again = looks_again(&context.store, &incident.id).await?.then(|| after(now, context.config.follow_up));
        let again = again.map(|at| context.clock.shown(at));
        let text = short::with_unchanged(&stands, context.clock.shown(now), again);
        let wanted = WantedEdit { run_id: &last.id, on: &incident.id, text: &text, fact: Some(&fact), why: UNCHANGED };
        let seen = edits.map_or(0, |edits| edits.write.attempt);
        match edit(context, &wanted, &note_id, (seen, now), None).await? {
            // Where PagerDuty does not take it yet, a task sees to it.
            Edited::Stands | Edited::Waits(_) => {
                let unchanged = Unchanged { run_id: last.id, at: now };
                context.store.set_unchanged(lease, &unchanged).await?;
                return Ok(Some(unchanged));
            }
            Edited::Overtaken => {}
            Edited::Refused(error) => {
                // Another note says it.
                context.store.drop_edit(&last.id, seen + 1, None).await?;
                return Ok(another_is_written(run, &error));
            }
        }
    }
    Ok(None)
}

/// How often what is edited may be edited by somebody else at that moment.
const OVERTAKEN: usize = 5;
/// Why the note of a follow-up that found nothing new is edited, for people.
const UNCHANGED: &str = "looked again, unchanged";

fn another_is_written(run: &Run, error: &Error) -> Option<Unchanged> {
    tracing::warn!(run.id, error = %error, "the last note could not be edited; another is written");
    None
}
