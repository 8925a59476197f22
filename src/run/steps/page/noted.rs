//! Which note of an alert tells of its page.

use jiff::Timestamp;

use crate::run::tools::Tools;
use crate::run::words::is_unchanged;
use crate::run::{Run, State, Trigger};
use crate::store::StoreError;

/// The run whose diagnosis note tells of the page.
pub(super) struct Noted {
    pub(super) run: Run,
    /// When a follow-up last found the same as that note says, which stands in it.
    pub(super) unchanged_at: Option<Timestamp>,
}

/// The run itself where it has a note; else the newest before it that has: a follow-up that finds nothing new has none,
/// and a run that is active none yet. `None` where no note of this life of the alert is written.
pub(super) async fn noted(tools: &Tools, run_id: &str, now: Timestamp) -> Result<Option<Noted>, StoreError> {
    let Some(wanted) = tools.store.run(run_id).await? else { return Ok(None) };
    let Some(incident) = &wanted.incident else { return Ok(None) };
    let runs = tools.store.last_runs(&incident.id, None).await?;
    let mut found = None;
    for run in std::iter::once(&wanted).chain(runs.iter().filter(|run| run.id < wanted.id)) {
        if run.note.is_some() && run.diagnosis.is_some() {
            found = Some(run.clone());
            break;
        }
        // The notes before it tell of an end of the alert, and stand as they are.
        if matches!(run.trigger, Trigger::Webhook | Trigger::Reconcile) {
            break;
        }
    }
    let Some(run) = found else { return Ok(None) };
    let mut unchanged_at = None;
    for later in runs.iter().take_while(|later| later.id > run.id) {
        let looked = later.trigger == Trigger::FollowUp
            && (later.state == State::Done || later.state.is_active())
            && is_unchanged(&run, later);
        match later.note {
            // What was found after another note stands in that one.
            Some(_) => unchanged_at = None,
            None if looked && unchanged_at.is_none() => {
                unchanged_at = Some(later.finished_at.unwrap_or(now));
            }
            None => {}
        }
    }
    Ok(Some(Noted { run, unchanged_at }))
}
