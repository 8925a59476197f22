//! Writes a short note, once for what it is for. It has no `run` line; an earlier try's is found again by its text.

use std::time::Duration;

use crate::clock::after;
use crate::run::tools::Tools;
use crate::store::StoreError;
use crate::upstream::{Kind, look_until};

/// How often writing is tried: a short note that comes late says nothing that the next one doesn't say better.
const TRIES: u32 = 4;

/// Writes `text` on the incident, unless the note of this `key` is there already. What goes wrong is logged loudly
/// and given back, for the caller whose note must not be missed.
///
/// # Errors
/// The store; or, inside, why PagerDuty did not take it.
pub async fn post_short(
    tools: &Tools,
    key: &str,
    incident_id: &str,
    text: &str,
) -> Result<Result<(), String>, StoreError> {
    let tools = &tools.first();
    let wanted = tools.store.want_short_note(key, incident_id, text).await?;
    if wanted.note_id.is_some() {
        return Ok(Ok(()));
    }
    // Where it may have been written: the alert may have been merged since.
    let mut on = wanted.incident_id.as_str();
    let mut begun = wanted.begun_at;
    // Until when what was sent may not show yet.
    let mut shown_by = wanted.begun_at.map(|begun| tools.shown_by(begun));
    let (mut failure, mut refused) = (String::new(), false);
    for n in 0..TRIES {
        if n > 0 {
            tools.clock.sleep(Duration::from_secs(1 << n).mul_f64(0.5 + tools.clock.jitter())).await;
        }
        if let Some(until) = shown_by {
            match find(tools, on, &wanted.text, until).await {
                Ok(Some(id)) => {
                    tools.store.set_short_note_id(key, &id).await?;
                    return Ok(Ok(()));
                }
                Ok(None) => {}
                Err(error) => {
                    failure = error.to_string();
                    continue;
                }
            }
        }
        begun = Some(tools.store.begin_short_note(key, incident_id, begun).await?);
        on = incident_id;
        match tools.pagerduty.add_note(incident_id, &wanted.text).await {
            Ok(note) => {
                tools.store.set_short_note_id(key, &note.id).await?;
                return Ok(Ok(()));
            }
            Err(error) => {
                failure = error.to_string();
                // From now, not from when it was sent. Where it was certainly not written there is nothing to look for.
                let unsure = !matches!(error.kind, Kind::Later(_));
                shown_by = unsure.then(|| after(tools.clock.now(), tools.read_lag));
                refused = !tools.pagerduty.may_pass(&error);
                if refused {
                    break;
                }
            }
        }
    }
    crate::metrics::give_up("short_note");
    if refused {
        tracing::error!(key, incident.id = incident_id, error = failure, "a short note was refused");
    } else {
        // That PagerDuty can't be asked is said once, for all that ask it.
        tracing::debug!(key, incident.id = incident_id, error = failure, "a short note was not written");
    }
    Ok(Err(failure))
}

async fn find(
    tools: &Tools,
    incident_id: &str,
    text: &str,
    until: jiff::Timestamp,
) -> Result<Option<String>, crate::upstream::Error> {
    look_until(&tools.clock, until, || async {
        let notes = tools.pagerduty.notes(incident_id).await?;
        Ok(notes.into_iter().find(|note| note.content.trim() == text.trim()).map(|note| note.id))
    })
    .await
}
