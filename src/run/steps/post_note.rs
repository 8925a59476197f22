//! Writes the diagnosis note, once: PagerDuty has no idempotency key for notes, so the `run <id>` line is looked for
//! before it is written, and after every answer that was lost.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::after;
use crate::run::tools::Tools;
use crate::store::{Lease, StoreError};
use crate::upstream::{Kind, look_until};

/// The longest pause between two tries to write.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The note is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Its id.
    pub id: String,
    /// Another worker wrote it before: its text may be another.
    pub before: bool,
}

/// The note is not there, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotPosted {
    /// PagerDuty does not take it, for good, and why.
    Refused(String),
    /// PagerDuty could not be asked until time was up; the last that went wrong. It may be written later, with a text
    /// that is true then.
    NotYet(String),
}

impl std::fmt::Display for NotPosted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Refused(why) | Self::NotYet(why)) = self;
        f.write_str(why)
    }
}

/// Writes the note, or finds it written. What goes wrong with PagerDuty is borne until `give_up`.
///
/// # Errors
/// The store; or, inside, why it is not written.
pub async fn post_note(
    tools: &Tools,
    lease: &Lease,
    incident_id: &str,
    text: &str,
    give_up: Timestamp,
) -> Result<Result<Posted, NotPosted>, StoreError> {
    let tools = &tools.first();
    let marker = format!("run {}", lease.run_id());
    let (begun, id) = tools.store.note_state(lease.run_id()).await?;
    if let Some(id) = id {
        return Ok(Ok(Posted { id, before: true }));
    }
    // Until when what was sent may not show yet; one look always.
    let mut shown_by = begun.map(|begun| tools.shown_by(begun));
    let mut before = true;
    let mut pause = Duration::from_secs(1);
    loop {
        let until = shown_by.unwrap_or_else(|| tools.clock.now());
        let error = match look(tools, incident_id, &marker, until).await {
            Ok(Some(id)) => {
                tools.store.set_note(lease, &id).await?;
                return Ok(Ok(Posted { id, before }));
            }
            // It isn't known whether it is there: not written.
            Err(error) => error,
            Ok(None) => {
                tools.store.begin_note(lease).await?;
                before = false;
                match tools.pagerduty.add_note(incident_id, text).await {
                    Ok(note) => {
                        tools.store.set_note(lease, &note.id).await?;
                        return Ok(Ok(Posted { id: note.id, before }));
                    }
                    Err(error) => {
                        // From now, not from when it was sent: an answer may take longer to be lost than to show.
                        // Where it was certainly not written there is nothing to look for.
                        let unsure = !matches!(error.kind, Kind::Later(_));
                        shown_by = unsure.then(|| after(tools.clock.now(), tools.read_lag));
                        error
                    }
                }
            }
        };
        if !tools.pagerduty.may_pass(&error) {
            tracing::error!(run.id = lease.run_id(), incident.id = incident_id, error = %error, "the note was refused");
            return Ok(Err(NotPosted::Refused(error.to_string())));
        }
        if tools.clock.now() >= give_up {
            return Ok(Err(NotPosted::NotYet(error.to_string())));
        }
        // That PagerDuty can't be asked is said once, for all that ask it.
        tracing::debug!(run.id = lease.run_id(), error = %error, wait_s = pause.as_secs(), "the note is not written yet");
        tools.clock.sleep(pause.mul_f64(0.5 + tools.clock.jitter())).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether the run's note is on this incident, or may be: a worker before us may have been cut off while it wrote it, and
/// whoever can't be asked doesn't say that it is not.
///
/// # Errors
/// The store.
pub async fn stands_on(tools: &Tools, lease: &Lease, incident_id: &str) -> Result<bool, StoreError> {
    let tools = &tools.first();
    let (begun, id) = tools.store.note_state(lease.run_id()).await?;
    let (Some(begun), None) = (begun, &id) else { return Ok(id.is_some()) };
    let marker = format!("run {}", lease.run_id());
    match look(tools, incident_id, &marker, tools.shown_by(begun)).await {
        Ok(Some(id)) => tools.store.set_note(lease, &id).await.map(|()| true),
        Ok(None) => Ok(false),
        Err(error) => {
            tracing::debug!(run.id = lease.run_id(), error = %error, "whether the note is written is not known");
            Ok(true)
        }
    }
}

/// Looks for the note until `until`, at least once.
async fn look(
    tools: &Tools,
    incident_id: &str,
    marker: &str,
    until: Timestamp,
) -> Result<Option<String>, crate::upstream::Error> {
    look_until(&tools.clock, until, || async {
        let notes = tools.pagerduty.notes(incident_id).await?;
        let ours = |content: &str| content.lines().next_back().is_some_and(|line| line.trim() == marker);
        Ok(notes.into_iter().find(|note| ours(&note.content)).map(|note| note.id))
    })
    .await
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;
