//! Tells the alert what has become of its page.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::between;
use crate::diagnosis::note::{self, short};
use crate::run::note_text::with_context;
use crate::run::steps::post_short::post_short;
use crate::run::tools::Tools;
use crate::run::words;
use crate::store::{PageLease, PageState, StoreError};

use super::known::Earlier;
use super::noted::{Noted, noted};

/// How long, and how often, it is tried to say loudly what has become of a page.
const LOUD_FOR: Duration = Duration::from_secs(6 * 3600);
const LOUD_EVERY: Duration = Duration::from_secs(60);
/// How often one who tells looks whether it has written over what another told meanwhile.
const RETOLD: usize = 5;

/// Tells what has become of a page, loudly where nobody may hear it: a short note, since an edit alone raises no event
/// and is not seen, and the diagnosis note, edited. Done again from its start after a crash.
pub(super) async fn tell(tools: &Tools, lease: &PageLease) -> Result<(), StoreError> {
    let incident_id = lease.incident_id();
    let Some(record) = tools.store.page(incident_id).await? else { return Err(StoreError::LeaseLost) };
    let Some(run) = tools.store.run(&record.run_id).await? else { return Err(StoreError::LeaseLost) };
    let (run_url, links) = (tools.config.run_url(&run.id), &tools.config.regions.links);
    let reason = record.reason.as_deref();
    let loud = match (record.state, reason) {
        (PageState::Failed, reason) => {
            let why = reason.unwrap_or("it is not known why: see the log");
            let earlier = Earlier::of(tools, &run).await?;
            let known = run.diagnosis.as_ref().or(earlier.as_ref().map(Earlier::diagnosis));
            Some(note::page_failed(&run.region, known, why, &run_url, links))
        }
        (PageState::Paged, Some(problem)) => {
            let page_url = record.page_url.as_deref().unwrap_or_default();
            tracing::error!(run.id, problem, "a page is open, but something is wrong with it");
            Some(note::page_problem(&run.region, page_url, problem, &run_url, links))
        }
        (PageState::Paged | PageState::Requested, _) => None,
    };
    if let Some(text) = loud {
        let key = format!("page:{incident_id}:{}", record.requested_at.as_millisecond());
        // Whoever follows the alert follows the incident that it was merged into.
        let alert = tools.store.alert(incident_id).await?;
        let alert_id = alert.as_ref().map_or(incident_id, |alert| alert.alert_id.as_str());
        let said = post_short(tools, &key, alert_id, &text).await?;
        let since = record.finished_at.unwrap_or(record.requested_at);
        if said.is_err() && between(since, tools.clock.now()) < LOUD_FOR {
            // PagerDuty is away: nobody knows of it yet.
            return tools.store.release_page(lease, LOUD_EVERY).await;
        }
    }
    retell(tools, incident_id, &run.id).await?;
    tools.store.set_page_told(lease).await
}

/// The diagnosis note says whether somebody was paged: it is edited where it stands, to what it would say now. Where
/// the run has none, that is the alert's newest. A refused edit (older accounts have none) leaves a short note instead.
///
/// # Errors
/// The store.
pub async fn retell(tools: &Tools, incident_id: &str, run_id: &str) -> Result<(), StoreError> {
    let mut now = tools.clock.now();
    let mut told = telling(tools, incident_id, run_id, now).await?;
    for _ in 0..RETOLD {
        let Some(Telling { incident_id, note_id, text, state }) = &told else { return Ok(()) };
        if let Err(error) = tools.pagerduty.edit_note(incident_id, note_id, text).await {
            tracing::warn!(run.id = run_id, error = %error, "the note could not be edited; a short one says what became of the page");
            let first_three: Vec<&str> = text.lines().take(3).collect();
            let key = format!("retold:{run_id}:{state}");
            return post_short(tools, &key, incident_id, &first_three.join("\n")).await.map(drop);
        }
        // Another worker may have told of something newer before this edit, which then has just written over it.
        let by_now = telling(tools, incident_id, run_id, now).await?;
        if by_now.as_ref().is_none_or(|by_now| by_now.text == *text) {
            return Ok(());
        }
        now = tools.clock.now();
        told = telling(tools, incident_id, run_id, now).await?;
    }
    Ok(())
}

/// What a run's note is to say, and where it stands.
struct Telling {
    incident_id: String,
    note_id: String,
    text: String,
    /// The page's state, and since when: one short note of each at most.
    state: String,
}

/// As things stand, as of `now`; `None` where there is no note, or nothing to say.
async fn telling(
    tools: &Tools,
    incident_id: &str,
    run_id: &str,
    now: Timestamp,
) -> Result<Option<Telling>, StoreError> {
    let Some(Noted { run, unchanged_at }) = noted(tools, run_id, now).await? else { return Ok(None) };
    let record = tools.store.page_of_alert(incident_id).await?;
    let facts = tools.store.facts(&run.id).await?;
    let (Some(diagnosis), Some(written)) = (&run.diagnosis, &run.note) else { return Ok(None) };
    let past = words::past(tools, &run).await?;
    let text = with_context(&tools.config, &run, &facts, &past, record.as_ref(), now, |context| {
        note::write(diagnosis, context)
    });
    let text = match unchanged_at {
        Some(at) => short::with_unchanged(&text, at),
        None => text,
    };
    let state =
        record.map_or_else(|| "held".to_owned(), |r| format!("{:?}:{}", r.state, r.requested_at.as_millisecond()));
    // The note stands where the run wrote it, which may be the incident that the alert was merged into.
    let incident_id = run.incident.as_ref().map_or(incident_id, |incident| incident.id.as_str()).to_owned();
    Ok(Some(Telling { incident_id, note_id: written.id.clone(), text, state }))
}
