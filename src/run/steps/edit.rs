//! Carries one edit of a diagnosis note through the protocol of [`runbook::writes::edit`].

use jiff::Timestamp;

use crate::run::context::Context;
use outbound::error::{Error, Kind};
use runbook::writes::Outcome;
use runbook::writes::key::of_edit;
use store::{Recorded, StoreError, Task, WantedEdit};

use super::post_short::post_short;

/// What came of an edit.
#[derive(Debug)]
pub enum Edited {
    /// The text stands.
    Stands,
    /// Somebody else has begun an edit meanwhile, by what may be newer: it has to be looked again what is true.
    Overtaken,
    /// PagerDuty does not take it, for good.
    Refused(Error),
    /// It is not known to stand: a task sees to it.
    Waits(Error),
}

/// What is recorded of the edits of a run's note.
///
/// # Errors
/// The store.
pub async fn edits_of(context: &Context, run_id: &str) -> Result<Option<Recorded>, StoreError> {
    context.store.recorded(&of_edit(run_id)).await
}

/// Edits the note `note_id`, by who last saw the attempt `seen` of its edits and then found what is true as of `now`; `task`
/// is the one that sees to them, where that does.
///
/// # Errors
/// The store.
pub async fn edit(
    context: &Context,
    wanted: &WantedEdit<'_>,
    note_id: &str,
    (seen, now): (u32, Timestamp),
    task: Option<&Task>,
) -> Result<Edited, StoreError> {
    let (times, now) = (context.times(), context.moment(now));
    let Some(attempt) = context.store.begin_edit(wanted, task, seen, now, &times).await? else {
        return Ok(Edited::Overtaken);
    };
    let sent = context.pagerduty.edit_note(&context.permit, wanted.on, note_id, wanted.text).await;
    let now = context.moment(context.clock.now());
    let outcome = match &sent {
        Ok(_) => Outcome::Done(note_id.to_owned()),
        Err(error) => match error.kind {
            Kind::Refused(_) => Outcome::Refused(error.to_string()),
            Kind::Later(_) | Kind::Local => Outcome::NotSent(error.to_string()),
            Kind::Ambiguous | Kind::Malformed => Outcome::Ambiguous(error.to_string()),
        },
    };
    let is_newest = context.store.end_edit(wanted, task, attempt, &outcome, now, &times).await?;
    Ok(match sent {
        _ if !is_newest => Edited::Overtaken,
        Ok(_) => Edited::Stands,
        Err(error) if context.pagerduty.may_pass(&error) => Edited::Waits(error),
        Err(error) => Edited::Refused(error),
    })
}

/// What an edit that is refused would have told is told by a short note of its first lines, once for each fact: `false`
/// where PagerDuty takes that neither yet, and a task tries both again.
///
/// # Errors
/// The store.
pub async fn say_instead(context: &Context, run_id: &str, task: Option<&Task>) -> Result<bool, StoreError> {
    let Some(edits) = edits_of(context, run_id).await? else { return Ok(true) };
    if let Some(fact) = &edits.fact {
        let first_three: Vec<&str> = edits.text.lines().take(3).collect();
        let key = format!("edited:{run_id}:{fact}");
        if post_short(context, &key, &edits.on, &first_three.join("\n")).await?.is_err() {
            return Ok(false);
        }
    }
    context.store.drop_edit(run_id, edits.write.attempt, task).await?;
    Ok(true)
}
