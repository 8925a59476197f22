//! A diagnosis note is to say what has become of the page, and PagerDuty took neither its edit nor a short note.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::metrics;
use crate::run::context::Context;
use crate::run::steps::page::try_to_retell;
use runbook::span::between;
use store::{NewTask, StoreError, Task, TaskKind, resolution_task};

use super::{Done, kept, later};

/// When it is first tried again, how often then, and for how long.
const SOON: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_secs(30);
const GIVE_UP_AFTER: Duration = Duration::from_secs(6 * 3600);

#[derive(Default, Serialize, Deserialize)]
struct Wait {
    /// When it was first done.
    since: Option<Timestamp>,
}

/// The note of a run, or of its alert, is to be told again.
pub fn retell_task(incident_id: &str, run_id: &str) -> NewTask {
    NewTask {
        kind: TaskKind::Retell,
        incident_id: incident_id.to_owned(),
        run_id: Some(run_id.to_owned()),
        mark: run_id.to_owned(),
        data: String::new(),
        after: SOON,
    }
}

/// Tells it, as things stand now.
pub(super) async fn tell(context: &Context, task: &Task) -> Result<Done, StoreError> {
    let mut wait: Wait = kept(task)?;
    let now = context.clock.now();
    let waited = between(*wait.since.get_or_insert(now), now);
    let Some(run_id) = &task.run_id else { return Ok(Done::Finished) };
    match try_to_retell(context, &task.incident_id, run_id).await? {
        // What the note said of the alert's end meanwhile has just been written over.
        Ok(()) => {
            if let Some(alert) =
                context.store.alert(&task.incident_id).await?.filter(|alert| alert.resolved_at.is_some())
            {
                context.store.add_task(&resolution_task(&alert.alert_id, run_id)).await?;
            }
            Ok(Done::Finished)
        }
        Err(why) if waited >= GIVE_UP_AFTER => {
            metrics::give_up(metrics::GivenUp::ShortNote);
            tracing::error!(incident.id = task.incident_id, why, "what became of the page is not in its note");
            Ok(Done::Finished)
        }
        Err(_) => later(&wait, EVERY),
    }
}
