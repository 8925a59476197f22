//! How an alert stands now: by PagerDuty, and by its runs.

use crate::run::context::Context;
use crate::run::steps::confirm_alert::Alert;
use runbook::life;
use runbook::run::{AlertIncident, Run, Trigger};
use store::{Filter, NewRun, StoreError};

/// Whether an alert is over: by PagerDuty, and where that can't be asked by what is stored.
pub(super) fn is_over(now: &Alert, alert: &life::Alert) -> bool {
    match now {
        Alert::Open(_) => false,
        Alert::Resolved(_) => true,
        Alert::Unknown(_) => alert.resolved_at.is_some(),
    }
}

/// The runs of an alert, newest first.
pub(super) async fn runs(context: &Context, alert: &life::Alert) -> Result<Vec<Run>, StoreError> {
    context.store.last_runs(&alert.incident_id, None).await
}

/// The newest run of an alert.
pub(super) async fn newest_run(context: &Context, alert: &life::Alert) -> Result<Option<Run>, StoreError> {
    let filter = Filter { incident_id: Some(alert.incident_id.clone()), limit: 1, ..Filter::default() };
    Ok(context.store.runs(&filter).await?.into_iter().next())
}

/// Another run of an alert, its incident as last known: the run itself asks again, and follows a merge.
pub(super) fn another_run(alert: &life::Alert, now: &Alert, newest: Option<&Run>, trigger: Trigger) -> NewRun {
    let shown = match now {
        Alert::Open(incident) | Alert::Resolved(incident) if incident.id == alert.incident_id => {
            Some(AlertIncident::from(&**incident))
        }
        _ => newest.and_then(|run| run.incident.clone()),
    };
    let incident = shown.unwrap_or_else(|| AlertIncident {
        id: alert.incident_id.clone(),
        number: 0,
        title: format!("All SE endpoints down in {}", alert.region),
        html_url: String::new(),
    });
    NewRun { incident: Some(incident), region: alert.region.clone(), trigger, reopened: false, alert_at: None }
}
