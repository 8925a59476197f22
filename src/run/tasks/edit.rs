//! Sees that the newest text of a run's diagnosis note stands: sends it again where it was not done, and looks for an older
//! one that was sent before and took effect after it. lifecycle.md#the-note.
//!
//! There is such a task for the edits of each note from their intent on, until nothing of them is open
//! ([`runbook::writes::edit`]).

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::metrics;
use crate::run::context::Context;
use crate::run::steps::edit::{Edited, edit, edits_of, say_instead};
use crate::run::steps::page::update_note_and_end;
use outbound::error::Kind;
use runbook::span::{after, between};
use runbook::writes::key::of_note;
use store::{StoreError, Task, WantedEdit};

use super::{Done, kept, later};

/// How soon it is tried again where PagerDuty could not be asked, and for how long.
const EVERY: Duration = Duration::from_secs(30);
const GIVE_UP_AFTER: Duration = Duration::from_secs(6 * 3600);

/// A note that no list shows so long after it was sent is gone: longer than PagerDuty may take to write it.
const SHOWS_BY: Duration = Duration::from_secs(660);

#[derive(Default, Serialize, Deserialize)]
struct Wait {
    /// When it was first done, and did not come to an end.
    since: Option<Timestamp>,
}

/// Looks at the note where an older text may stand, and sends the newest where another does.
pub(super) async fn see_to(context: &Context, task: &Task) -> Result<Done, StoreError> {
    let context = &context.first();
    let mut wait: Wait = kept(task)?;
    let began = context.clock.now();
    let waited = between(*wait.since.get_or_insert(began), began);
    let Some(run_id) = task.run_id.as_deref() else { return Ok(Done::Finished) };
    let Some(edits) = edits_of(context, run_id).await? else {
        // Of a version that had no record of it.
        update_note_and_end(context, &task.incident_id, run_id).await?;
        return Ok(Done::Finished);
    };
    let note = context.store.recorded(&of_note(run_id)).await?;
    // By then it shows, however late PagerDuty wrote it.
    let shows_by = note.as_ref().and_then(|note| note.begun_at).or(edits.begun_at).map(|begun| after(begun, SHOWS_BY));
    let Some((on, note_id)) = note.and_then(|note| Some((note.on, note.write.id?))) else { return Ok(Done::Finished) };
    let (mut seen, text) = (edits.write.attempt, edits.text.as_str());
    let wanted = WantedEdit { run_id, on: &on, text, fact: edits.fact.as_deref(), why: "once more" };
    // What was certainly not done needs no look.
    let may_stand = edits.write.may_stand();
    let standing = match may_stand.then(|| context.pagerduty.notes(&on)) {
        None => Ok(None),
        Some(notes) => notes.await.map(|notes| notes.into_iter().find(|note| note.id == note_id)),
    };
    let failed = match standing {
        Ok(Some(note)) if note.content.trim_end() == text.trim_end() => None,
        Ok(None) if may_stand && shows_by.is_some_and(|by| began < by) => return later(&wait, EVERY),
        Ok(None) if may_stand => {
            tracing::warn!(run.id = run_id, note.id = note_id, "the note is gone: it is not edited");
            context.store.drop_edit(run_id, seen, Some(task)).await?;
            return Ok(Done::Finished);
        }
        Ok(_) => match edit(context, &wanted, &note_id, (seen, began), Some(task)).await? {
            Edited::Stands => {
                seen += 1;
                None
            }
            // Who has begun it has a task of its own for it.
            Edited::Overtaken => return Ok(Done::Finished),
            Edited::Refused(error) => {
                if say_instead(context, run_id, Some(task)).await? {
                    return Ok(Done::Finished);
                }
                Some(error)
            }
            Edited::Waits(error) => Some(error),
        },
        Err(error) if matches!(error.kind, Kind::Refused(_)) && !context.pagerduty.may_pass(&error) => {
            tracing::warn!(run.id = run_id, error = %error, "the notes can't be read: an edit is not looked for");
            return Ok(Done::Finished);
        }
        Err(error) => Some(error),
    };
    match failed {
        None => {
            let (times, moment) = (context.times(), context.moment(began));
            let now = context.store.looked_at_edit(task, &wanted, (seen, &note_id), moment, &times).await?;
            let due = now.write.edit_due_in(context.moment(context.clock.now()), &times);
            due.map_or(Ok(Done::Finished), |due| later(&Wait::default(), due))
        }
        Some(error) if waited >= GIVE_UP_AFTER => {
            metrics::give_up(metrics::GivenUp::ShortNote);
            tracing::error!(run.id = run_id, incident.id = on, error = %error, "what became of the page is not in its note");
            Ok(Done::Finished)
        }
        Some(error) => {
            tracing::debug!(run.id = run_id, error = %error, "an edit is tried again");
            later(&wait, EVERY)
        }
    }
}
