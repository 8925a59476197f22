//! Pages that may explain the alert were open when it was diagnosed: once they have been closed for a while and the
//! alert is open, it is diagnosed again. Contract 6.4.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::{after, between};
use crate::run::Trigger;
use crate::run::steps::confirm_alert::confirm_alert;
use crate::run::steps::find_related::{Look, find_related};
use crate::run::tools::Tools;
use crate::store::{Chore, ChoreKind, NewChore, StoreError};

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
pub fn related_resolved_chore(tools: &Tools, incident_id: &str, run_id: &str) -> NewChore {
    NewChore {
        kind: ChoreKind::RelatedResolved,
        incident_id: incident_id.to_owned(),
        run_id: Some(run_id.to_owned()),
        mark: String::new(),
        data: String::new(),
        after: tools.config.suppression.recheck,
    }
}

/// Looks whether they are closed.
pub(super) async fn look(tools: &Tools, chore: &Chore) -> Result<Done, StoreError> {
    let mut wait: Wait = kept(chore)?;
    let settings = tools.config.suppression;
    let now = tools.clock.now();
    if between(*wait.since.get_or_insert(now), now) >= GIVE_UP_AFTER {
        tracing::warn!(
            incident.id = chore.incident_id,
            "pages that explain the alert stay open: not waited for longer"
        );
        return Ok(Done::Finished);
    }
    let Some(alert) = tools.store.alert(&chore.incident_id).await? else { return Ok(Done::Finished) };
    let newest = newest_run(tools, &alert).await?;
    match &newest {
        // It has looked at these pages itself.
        Some(run) if chore.run_id.as_deref() != Some(&run.id) => return Ok(Done::Finished),
        Some(run) if run.state.is_active() => return later(&wait, settings.recheck),
        _ => {}
    }
    if alert.resolved_at.is_some() && is_over(&confirm_alert(tools, &alert.alert_id).await, &alert) {
        return Ok(Done::Finished);
    }
    let facts = match &chore.run_id {
        Some(run_id) => tools.store.facts(run_id).await?,
        None => Default::default(),
    };
    match find_related(tools, &alert.region, Some(&alert.alert_id), facts.alert_opened_at, Look::Fresh).await {
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
    let shown = confirm_alert(tools, &alert.alert_id).await;
    if is_over(&shown, &alert) {
        return Ok(Done::Finished);
    }
    let run = another_run(&alert, &shown, newest.as_ref(), Trigger::RelatedResolved);
    let created = tools.store.create_run(&run, None).await?;
    tracing::info!(?created, "the pages that explained the alert are closed, and it is open: it is diagnosed again");
    Ok(Done::Finished)
}
