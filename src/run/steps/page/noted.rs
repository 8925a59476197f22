//! Which note of an alert tells of its page.

use jiff::Timestamp;

use crate::run::context::Context;
use runbook::run::{Run, State, Trigger};
use store::StoreError;

/// The run whose diagnosis note tells of the page.
pub(super) struct Noted {
    pub(super) run: Run,
    /// When a follow-up last found the same as that note says, which stands in it.
    pub(super) unchanged_at: Option<Timestamp>,
}

/// The run itself where it has a note of its own; else the one whose note it has edited; else the newest before it that has
/// one: a run that is active has none yet, and a follow-up of an older version that found nothing new does not say whose it
/// has edited. `None` where no note of this life of the alert is written.
pub(super) async fn noted(context: &Context, run_id: &str, now: Timestamp) -> Result<Option<Noted>, StoreError> {
    let Some(wanted) = context.store.readable_run(run_id).await? else { return Ok(None) };
    let Some(incident) = &wanted.incident else { return Ok(None) };
    let runs = context.store.last_runs(&incident.id, None).await?;
    let mut found = None;
    for run in std::iter::once(&wanted).chain(runs.iter().filter(|run| run.id < wanted.id)) {
        if let Some(unchanged) = &run.unchanged {
            found = context.store.readable_run(&unchanged.run_id).await?;
            break;
        }
        if run.note.is_some() && run.diagnosis.is_some() {
            found = Some(run.clone());
            break;
        }
        // Its note stands as it is; those before it are of an older state.
        if run.note.is_some() && !run.unreadable.is_empty() {
            break;
        }
        // The notes before it tell of an end of the alert, and stand as they are.
        if matches!(run.trigger, Trigger::Webhook | Trigger::Reconcile) {
            break;
        }
    }
    let Some(run) = found.filter(|run| run.own_note().is_some() && run.diagnosis.is_some()) else { return Ok(None) };
    let unchanged_at = unchanged_at(&run, &runs, now);
    Ok(Some(Noted { run, unchanged_at }))
}

/// When a follow-up last found what the run's note says. Its edit may be done before it is kept.
fn unchanged_at(run: &Run, newest_first: &[Run], now: Timestamp) -> Option<Timestamp> {
    let mut found = None;
    for later in newest_first.iter().take_while(|later| later.id > run.id) {
        let looked = later.trigger == Trigger::FollowUp
            && (later.state == State::Done || later.state.is_active())
            && later.found_nothing_new_since(run);
        match (&later.unchanged, &later.note) {
            (Some(unchanged), _) if unchanged.run_id == run.id => found = found.or(Some(unchanged.at)),
            // What was found after another note stands in that one.
            (Some(_), _) | (None, Some(_)) => found = None,
            // Of an older version, or about to be kept.
            (None, None) if looked => found = found.or(Some(later.finished_at.unwrap_or(now))),
            (None, None) => {}
        }
    }
    found
}
