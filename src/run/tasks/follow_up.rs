//! A second look after a `transient`, `mixed` or `inconclusive` verdict. lifecycle.md#looking-again.

use std::time::Duration;

use crate::run::context::Context;
use crate::run::steps::confirm_alert::confirm_alert;
use runbook::life::Reply;
use runbook::run::Trigger;
use store::{Created, StoreError, Task};

use super::ask::{another_run, is_over, newest_run};
use super::{Done, kept, later};

/// How long to wait for the run that wanted this one, where it has not quite ended.
const MOMENT: Duration = Duration::from_secs(5);

/// Looks again, where that is still of use.
pub(super) async fn look_again(context: &Context, task: &Task) -> Result<Done, StoreError> {
    let Some(alert) = context.store.alert(&task.incident_id).await? else { return Ok(Done::Finished) };
    let newest = newest_run(context, &alert).await?;
    if let Some(run) = newest.as_ref()
        && task.run_id.as_deref() != Some(&run.id)
    {
        tracing::info!(newer = run.id, "another run has looked since: no follow-up");
        return Ok(Done::Finished);
    }
    if newest.as_ref().is_some_and(|run| run.state.is_active()) {
        return later(&kept::<()>(task)?, MOMENT);
    }
    let now = confirm_alert(context, &alert.incident_id).await;
    if is_over(&now, &alert) {
        return Ok(Done::Finished);
    }
    let run = another_run(&alert, &now, newest.as_ref(), Trigger::FollowUp);
    match context.store.create_run(&run, None).await? {
        Created::Now(Reply::Started(id)) => tracing::info!(run.id = id, "a follow-up"),
        other => tracing::info!(?other, "no follow-up"),
    }
    Ok(Done::Finished)
}
