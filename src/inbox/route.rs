//! What follows from an event. Pure.

use crate::config::Config;
use runbook::alert::{KEY_PREFIX, Region, Title, is_not_understood, parse_title};
use runbook::life;
use runbook::run::{AlertIncident, Trigger};
use store::{Follow, NewRun};

use runbook::command;
use runbook::event::{Annotation, Event, IncidentData, Kind};

/// What an event asks for, or why nothing follows from it. `known` is what the store knows of its incident. Whether
/// the incident may have another run is for the store, which decides in the same transaction.
///
/// # Errors
/// Why nothing follows, for the log and the store.
pub fn route(event: &Event, config: &Config, known: Option<&life::Alert>) -> Result<Follow, String> {
    match &event.kind {
        // A page that may explain other alerts has opened: who waits for such pages looks again.
        Kind::Triggered(incident) if is_related(&incident.title) => Ok(Follow::RelatedOpened),
        Kind::Triggered(incident) => start(event, incident, config, None).map(Follow::Start),
        Kind::Drill(incident) => match parse_title(&incident.title) {
            Title::Alert(region) => Ok(Follow::Drill { incident: alert_incident(incident), region }),
            _ => Err("its title is not that of an SE alert: All SE endpoints down in <region>".into()),
        },
        Kind::Reopened(incident) if known.is_none() && is_related(&incident.title) => Ok(Follow::RelatedOpened),
        Kind::Reopened(incident) => start(event, incident, config, known).map(Follow::Start),
        Kind::Resolved { incident_id, title } => match known {
            Some(alert) => {
                Ok(Follow::AlertResolved { incident_id: resolved_alert(alert, incident_id)?, at: event.occurred_at })
            }
            None if is_related(title) => Ok(Follow::RelatedResolved),
            None => Err("the incident is neither an alert that has a run nor a page that may explain one".into()),
        },
        Kind::Annotated(annotation) => command(event, annotation, known),
        Kind::OfIncident(_) => Err(format!("nothing follows from {}", event.event_type)),
        Kind::Other => Err(format!("{} is about no incident", event.event_type)),
        Kind::Unreadable(why) => Err(format!("it can't be read: {why}")),
    }
}

fn is_related(title: &str) -> bool {
    matches!(parse_title(title), Title::PublicDown(_) | Title::GlbDown { .. })
}

/// An incident that was merged into another is resolved by that; the alert lives on in the other.
fn resolved_alert(alert: &life::Alert, incident_id: &str) -> Result<String, String> {
    if alert.incident_id == incident_id {
        Ok(alert.incident_id.clone())
    } else {
        Err(format!("the incident was merged into {}, which is the alert now", alert.incident_id))
    }
}

fn command(event: &Event, annotation: &Annotation, known: Option<&life::Alert>) -> Result<Follow, String> {
    let alert = known.ok_or("the note is on an incident that has no run")?;
    let command = command::read(&event.id, annotation, event.occurred_at)?;
    Ok(Follow::Command { incident_id: alert.incident_id.clone(), command })
}

fn start(
    event: &Event,
    incident: &IncidentData,
    config: &Config,
    known: Option<&life::Alert>,
) -> Result<NewRun, String> {
    let service = &incident.service;
    let region = alert_region(
        &incident.title,
        incident.incident_key.as_deref(),
        (&service.id, &service.summary),
        config,
        known.map(|alert| alert.region.clone()),
    )?;
    Ok(NewRun {
        incident: Some(alert_incident(incident)),
        region,
        trigger: Trigger::Webhook,
        reopened: matches!(event.kind, Kind::Reopened(_)),
        alert_at: event.occurred_at,
    })
}

fn alert_incident(incident: &IncidentData) -> AlertIncident {
    let IncidentData { id, number, title, html_url, .. } = incident.clone();
    AlertIncident { id, number, title, html_url }
}

/// The incident that has just been triggered or reopened, and its title, where that sounds like an alert's and is none:
/// somebody has to look, unless it is known as an alert.
pub fn not_understood<'e>(event: &'e Event, config: &Config) -> Option<(&'e str, &'e str)> {
    let (Kind::Triggered(incident) | Kind::Reopened(incident)) = &event.kind else { return None };
    let IncidentData { id, title, incident_key, service, .. } = incident;
    let service = (service.id.as_str(), service.summary.as_str());
    is_odd(title, incident_key.as_deref(), service, config).then_some((id.as_str(), title.as_str()))
}

/// Whether an incident's title sounds like an alert's, and can't be read as one. Ours, the escalation service's, and those
/// on services whose alerts are not handled here, aside.
pub fn is_odd(title: &str, key: Option<&str>, service: (&str, &str), config: &Config) -> bool {
    is_not_understood(title) && is_handled(key, service, config).is_ok()
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
    is_handled(key, service, config).map(|()| region)
}

/// Whether an incident with this key, on this service, can be an alert that is handled here.
fn is_handled(key: Option<&str>, service: (&str, &str), config: &Config) -> Result<(), String> {
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
    Ok(())
}

#[cfg(test)]
mod tests;
