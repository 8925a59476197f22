//! Asks PagerDuty for the alert before anything else: a `triggered` may come hours after its alert ended.

use crate::inbox::event::is_id;
use crate::run::AlertIncident;
use crate::run::tools::Tools;
use crate::upstream::pagerduty::Incident;

/// What PagerDuty says of the alert.
#[derive(Debug)]
pub enum Alert {
    /// It is open; as PagerDuty shows it now.
    Open(Box<Incident>),
    /// It is over, or gone: why there is nothing to do.
    Over(String),
    /// PagerDuty can't be asked: the webhook's word counts.
    Unknown(String),
}

/// Asks for the alert.
pub async fn confirm_alert(tools: &Tools, id: &str) -> Alert {
    if !is_id(id) {
        return Alert::Over(format!("{id:.64} is no incident's id"));
    }
    match tools.pagerduty.incident(id).await {
        Ok(Some(incident)) if incident.is_open() => Alert::Open(Box::new(incident)),
        Ok(Some(incident)) => Alert::Over(match incident.merged_into {
            Some(other) => format!("the alert was merged into the incident {other} before the run began"),
            None => "the alert was resolved before the run began".into(),
        }),
        Ok(None) => Alert::Unknown(format!("PagerDuty does not show the incident {id} to PAGERDUTY_API_TOKEN")),
        Err(error) => Alert::Unknown(error.to_string()),
    }
}

impl From<&Incident> for AlertIncident {
    fn from(incident: &Incident) -> Self {
        Self {
            id: incident.id.clone(),
            number: incident.number,
            title: incident.title.clone(),
            html_url: incident.html_url.clone(),
        }
    }
}
