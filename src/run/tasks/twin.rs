//! Settles a write that is in doubt, whatever has become of who wanted it. lifecycle.md#the-note: PagerDuty may apply a write
//! up to 10 min after it was sent, when another was sent long since; then the later of the two is deleted, or where that is
//! refused edited down to a pointer at the first.
//!
//! There is such a task for each write from its intent on, until nothing of it is open ([`runbook::writes`]).

use std::time::Duration;

use jiff::Timestamp;

use crate::run::context::Context;
use crate::run::steps::our_notes::{self, Mark};
use crate::run::steps::page::update_note;
use outbound::error::{Error, Kind};
use pagerduty::Note;
use runbook::diagnosis::note;
use runbook::life::Input;
use runbook::span::between;
use runbook::writes::{Seen, Settling};
use store::{Recorded, StoreError, Task, WantedWrite};

use super::Done;

/// How soon it is looked again where PagerDuty could not be asked or did not do what was asked, and for how long.
const AGAIN: Duration = Duration::from_secs(30);
const GIVE_UP_AFTER: Duration = Duration::from_secs(6 * 3600);

/// A note that is there.
struct Found {
    on: String,
    note: Note,
}

/// Looks for all that was written under the task's key, and removes the later ones.
pub(super) async fn look(context: &Context, task: &Task) -> Result<Done, StoreError> {
    let key = &task.data;
    let Some(recorded) = context.store.recorded(key).await? else { return Ok(Done::Finished) };
    let began = context.clock.now();
    let settled = match found(context, key, &recorded, &task.incident_id).await? {
        Ok(notes) => settle(context, task, began, &notes).await?,
        Err(error) => Err(error),
    };
    match settled {
        Ok(wait) => Ok(wait.map_or(Done::Finished, |wait| again(key, wait))),
        Err(error) if began_long_ago(&recorded, began) => {
            crate::metrics::give_up(crate::metrics::GivenUp::Twin);
            tracing::error!(incident.id = recorded.on, error = %error, "whether a note stands there twice is not known");
            Ok(Done::Finished)
        }
        Err(error) => {
            tracing::debug!(incident.id = recorded.on, error = %error, "a twin of a note is looked for again");
            Ok(again(key, AGAIN))
        }
    }
}

fn again(key: &str, wait: Duration) -> Done {
    // A wait of nothing would keep a worker busy.
    Done::Later(key.to_owned(), wait.max(Duration::from_millis(100)))
}

fn began_long_ago(recorded: &Recorded, now: Timestamp) -> bool {
    let since = recorded.write.doubt.as_ref().map(|doubt| doubt.since.ours).or(recorded.write.intent);
    since.is_none_or(|since| between(since, now) >= GIVE_UP_AFTER)
}

/// The notes with its mark that are certainly ours, on all incidents that the alert has been: first where it belongs, there
/// the oldest first.
async fn found(
    context: &Context,
    key: &str,
    recorded: &Recorded,
    incident_id: &str,
) -> Result<Result<Vec<Found>, Error>, StoreError> {
    let mark = Mark::of(key, &recorded.text);
    let mut incidents = context.store.incidents_of_alert(incident_id).await?;
    incidents.retain(|id| *id != recorded.on);
    incidents.insert(0, recorded.on.clone());
    let us = our_notes::our_user(context).await;
    let mut all = Vec::new();
    for on in incidents {
        match our_notes::all(context, &on, &mark).await {
            Ok(notes) => all.extend(notes.into_iter().map(|note| Found { on: on.clone(), note })),
            // One that it may not see has no note of ours that could be removed.
            Err(error) if matches!(error.kind, Kind::Refused(_)) && on != recorded.on => {
                tracing::debug!(incident.id = on, error = %error, "the notes there can't be read");
            }
            Err(error) => return Ok(Err(error)),
        }
    }
    // Nobody else's note is ever touched.
    let known = recorded.write.id.as_ref();
    let author = |note: &Note| note.user.as_ref().map(|user| user.id.clone()).filter(|id| !id.is_empty());
    let us = us.or(all.iter().find(|found| Some(&found.note.id) == known).and_then(|found| author(&found.note)));
    // Of another short note with the same words.
    let others = match &mark {
        Mark::Text(text) => context.store.written_alike(text, key, &recorded.on).await?,
        _ => Vec::new(),
    };
    all.retain(|found| !others.contains(&found.note.id));
    all.retain(|found| Some(&found.note.id) == known || author(&found.note).is_some_and(|a| Some(a) == us));
    Ok(Ok(all))
}

/// Leaves the first of several, with the newest text; in how long to look again. What could not be done is tried again.
async fn settle(
    context: &Context,
    task: &Task,
    began: Timestamp,
    notes: &[Found],
) -> Result<Result<Option<Duration>, Error>, StoreError> {
    let (key, times) = (&task.data, context.times());
    // By their clock too, now that they have answered; and as it is recorded by now.
    let moment = context.moment(began);
    let Some(Recorded { on, run_id, text, mut write, .. }) = context.store.recorded(key).await? else {
        return Ok(Ok(None));
    };
    let wanted = WantedWrite { key, on: &on, run_id: run_id.as_deref(), text: &text };
    let seen: Vec<Seen> =
        notes.iter().map(|found| Seen { id: found.note.id.clone(), is_home: found.on == on }).collect();
    write.expire(moment, &times);
    let mut settling = write.settle(&seen, moment, &times);
    let mut moved = false;
    if let Some(first) = settling.stays.take()
        && let Some(first) = notes.iter().find(|found| found.note.id == first)
    {
        let newest = notes.iter().find(|found| Some(&found.note.id) == write.id.as_ref());
        if let Err(error) = take_first(context, task, &wanted, first, newest).await? {
            return Ok(Err(error));
        }
        moved = write.id.is_some();
        write.moved(&first.note.id);
        settling = write.settle(&seen, moment, &times);
    }
    if let Err(error) = remove(context, &wanted, &settling, notes).await {
        return Ok(Err(error));
    }
    let write = context.store.looked_at_write(task, &wanted, &seen, &settling, moment, &times).await?;
    if moved && let Some(run_id) = wanted.run_id {
        match context.store.alert(&on).await?.filter(|alert| alert.resolved_at.is_some()) {
            // Its text says so already; what follows from an end is done again, and changes nothing twice.
            Some(alert) => {
                let input = Input::Ended { run_id: run_id.to_owned() };
                context.store.tell_alert(&alert.incident_id, input).await?;
            }
            None => update_note(context, &on, run_id).await?,
        }
    }
    Ok(Ok(write.settle_in(context.moment(context.clock.now()), &times)))
}

/// The first takes the place of the one that was known, with the newest text.
async fn take_first(
    context: &Context,
    task: &Task,
    wanted: &WantedWrite<'_>,
    first: &Found,
    newest: Option<&Found>,
) -> Result<Result<(), Error>, StoreError> {
    // The one that is known was edited since, perhaps.
    if let Some(newest) = newest.filter(|newest| newest.note.content != first.note.content)
        && let Err(error) =
            context.pagerduty.edit_note(&context.permit, &first.on, &first.note.id, &newest.note.content).await
    {
        if !matches!(error.kind, Kind::Refused(_)) {
            return Ok(Err(error));
        }
        tracing::warn!(incident.id = first.on, note.id = first.note.id, error = %error, "a late note keeps its old text");
        if let Some(run_id) = wanted.run_id {
            context.store.set_note_text(run_id, &first.note.content, "PagerDuty wrote it late").await?;
        }
    }
    // Only now: whoever is cut off before goes by the one with the newest text again.
    let wanted = WantedWrite { text: &first.note.content, ..*wanted };
    context.store.move_write(task, &wanted, &first.note.id).await.map(Ok)
}

/// Deletes the twins, or makes pointers of them. One that is a pointer already has no mark any more, and is not found.
async fn remove(
    context: &Context,
    wanted: &WantedWrite<'_>,
    settling: &Settling,
    notes: &[Found],
) -> Result<(), Error> {
    for twin in notes.iter().filter(|found| settling.go.contains(&found.note.id)) {
        tracing::warn!(incident.id = twin.on, note.id = twin.note.id, key = wanted.key, "a note is there twice");
        let Err(refused) = context.pagerduty.delete_note(&context.permit, &twin.on, &twin.note.id).await else {
            continue;
        };
        if !matches!(refused.kind, Kind::Refused(_)) {
            return Err(refused);
        }
        let run_url = wanted.run_id.map(|id| context.config.run_url(id)).unwrap_or_default();
        context.pagerduty.edit_note(&context.permit, &twin.on, &twin.note.id, &note::pointer(&run_url)).await?;
    }
    Ok(())
}
