//! Pages that may explain the alert were open when it was diagnosed: once they have been closed for a while and the
//! alert is open, it is diagnosed again. lifecycle.md#before-the-note.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::run::context::Context;
use crate::run::steps::confirm_alert::confirm_alert;
use crate::run::steps::find_related::find_related;
use runbook::run::Trigger;
use runbook::span::{after, between};
use store::{NewTask, StoreError, Task, TaskKind};

use super::ask::{another_run, is_over, newest_run};
use super::{Done, kept, later};

/// How long such pages are waited for: an outage that lasts a day has people on it who look for themselves.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

#[derive(Default, Serialize, Deserialize)]
struct Wait {
    /// When they were first looked for.
    since: Option<Timestamp>,
    /// Since when none is open, as far as was seen; `None`: one is, or it is not known.
    closed_since: Option<Timestamp>,
}

/// The wait for pages that explain a run's alert to close.
pub fn related_resolved_task(context: &Context, incident_id: &str, run_id: &str) -> NewTask {
    NewTask {
        kind: TaskKind::RelatedResolved,
        incident_id: incident_id.to_owned(),
        run_id: Some(run_id.to_owned()),
        mark: String::new(),
        data: String::new(),
        after: context.config.suppression.recheck,
    }
}

/// Looks whether they are closed.
pub(super) async fn look(context: &Context, task: &Task) -> Result<Done, StoreError> {
    let mut wait: Wait = kept(task)?;
    let settings = context.config.suppression;
    let now = context.clock.now();
    if between(*wait.since.get_or_insert(now), now) >= GIVE_UP_AFTER {
        tracing::warn!(incident.id = task.incident_id, "pages that explain the alert stay open: not waited for longer");
        return Ok(Done::Finished);
    }
    let Some(alert) = context.store.alert(&task.incident_id).await? else { return Ok(Done::Finished) };
    let newest = newest_run(context, &alert).await?;
    match &newest {
        // It has looked at these pages itself.
        Some(run) if task.run_id.as_deref() != Some(&run.id) => return Ok(Done::Finished),
        Some(run) if run.state.is_active() => return later(&wait, settings.recheck),
        _ => {}
    }
    if alert.resolved_at.is_some() && is_over(&confirm_alert(context, &alert.incident_id).await, &alert) {
        return Ok(Done::Finished);
    }
    let facts = match &task.run_id {
        Some(run_id) => context.store.facts(run_id).await?,
        None => Default::default(),
    };
    let seen = context.open_incidents.look(&context.pagerduty).await;
    match find_related(&seen, &context.config, &alert.region, Some(&alert.incident_id), &facts) {
        Ok(related) if related.explaining.is_empty() => {
            let settled = after(*wait.closed_since.get_or_insert(now), settings.settle);
            if now < settled {
                return later(&wait, settings.recheck.min(between(now, settled)));
            }
        }
        Ok(_) => {
            wait.closed_since = None;
            return later(&wait, settings.recheck);
        }
        // That none is open must be known now, not only have been known once.
        Err(error) => {
            tracing::debug!(error, "whether pages that explain the alert are still open is not known");
            return later(&wait, settings.recheck);
        }
    }
    let shown = confirm_alert(context, &alert.incident_id).await;
    if is_over(&shown, &alert) {
        return Ok(Done::Finished);
    }
    let run = another_run(&alert, &shown, newest.as_ref(), Trigger::RelatedResolved);
    let created = context.store.create_run(&run, None).await?;
    tracing::info!(?created, "the pages that explained the alert are closed, and it is open: it is diagnosed again");
    Ok(Done::Finished)
}
