//! What follows from an event. Pure.

use crate::alert::{KEY_PREFIX, Region, Title, parse_title};
use crate::config::Config;
use crate::run::{AlertIncident, Trigger};
use crate::store::NewRun;

use super::event::{Event, IncidentData, Kind};

/// The run that an event asks for, or why nothing follows from it. Whether the incident may have another run is
/// known to the store, which decides in the same transaction.
///
/// # Errors
/// Why nothing follows, for the log and the store.
pub fn route(event: &Event, config: &Config, remembered: Option<Region>) -> Result<NewRun, String> {
    match &event.kind {
        Kind::Triggered(incident) => start(event, incident, config, None),
        Kind::Reopened(incident) => start(event, incident, config, remembered),
        Kind::OfIncident(_) => Err(format!("nothing follows from {} in this version", event.event_type)),
        Kind::Other => Err(format!("{} is about no incident", event.event_type)),
        Kind::Unreadable(why) => Err(format!("it can't be read: {why}")),
    }
}

fn start(
    event: &Event,
    incident: &IncidentData,
    config: &Config,
    remembered: Option<Region>,
) -> Result<NewRun, String> {
    let service = incident.service.clone().unwrap_or_default();
    let region = alert_region(
        &incident.title,
        incident.incident_key.as_deref(),
        (&service.id, service.summary.as_deref().unwrap_or_default()),
        config,
        remembered,
    )?;
    Ok(NewRun {
        incident: Some(AlertIncident {
            id: incident.id.clone(),
            number: incident.number,
            title: incident.title.clone(),
            html_url: incident.html_url.clone(),
        }),
        region,
        trigger: Trigger::Webhook,
        again: matches!(event.kind, Kind::Reopened(_)),
        alert_at: event.occurred_at,
    })
}

/// The region of an incident that is an alert; `service` is its id and name.
///
/// # Errors
/// Why it is no alert, or not one that is handled here.
pub fn alert_region(
    title: &str,
    key: Option<&str>,
    service: (&str, &str),
    config: &Config,
    remembered: Option<Region>,
) -> Result<Region, String> {
    let region = match (remembered, parse_title(title)) {
        (Some(region), _) | (None, Title::Alert(region)) => region,
        _ => return Err("its title is not that of an SE alert: All SE endpoints down in <region>".into()),
    };
    if key.is_some_and(|key| key.starts_with(KEY_PREFIX)) {
        return Err("it is a page that this service opened".into());
    }
    let (id, name) = service;
    if config.escalation.service == id || config.escalation.service == name {
        return Err("it is on the escalation service".into());
    }
    if !config.handles_service(id) {
        return Err(format!("its service {id} is not among PAGERDUTY_SERVICE_IDS"));
    }
    Ok(region)
}
