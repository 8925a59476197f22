//! Station 2: what came in is understood, routed, and stored with the run that it starts.

mod named;
pub mod orders;
pub mod reconcile;
pub mod route;
pub mod subscription;
pub mod way_in;

use std::sync::Arc;

use crate::config::Config;
use store::{Accepted, Decide, NewEvent, Store, StoreError};

use runbook::event::Event;

/// Takes an authentic webhook: stores it, with the run that it starts where it starts one.
///
/// # Errors
/// It could not be stored: PagerDuty is to send it again.
pub async fn accept(store: &Store, config: &Arc<Config>, body: &[u8]) -> Result<Accepted, StoreError> {
    let event = Arc::new(Event::read(body));
    let text = String::from_utf8_lossy(body);
    let new = NewEvent {
        id: &event.id,
        event_type: &event.event_type,
        incident_id: event.incident_id(),
        // PostgreSQL and people's terminals refuse it; no JSON holds it.
        body: &text.replace('\0', ""),
    };
    let decide = match event.kind.is_by_alert() {
        true => {
            let (event, config) = (event.clone(), config.clone());
            Decide::ByAlert(Box::new(move |known| route::route(&event, &config, known)))
        }
        false => Decide::So(route::route(&event, config, None)),
    };
    let accepted = store.accept_by(new, decide).await.inspect_err(|error| store.trouble("storing a webhook", error))?;
    match &accepted {
        Accepted::Run(run_id) => {
            tracing::info!(event.id, event.r#type = event.event_type, run.id = run_id, "webhook starts a run");
        }
        Accepted::Ignored(reason) => {
            match route::not_understood(&event, config) {
                // An alert keeps its region, whatever its title becomes. What can't be looked up is told.
                Some((id, title)) if !matches!(store.readable_alert(id).await, Ok(Some(_))) => {
                    title_not_understood(id, title)
                }
                _ => tracing::info!(event.id, event.r#type = event.event_type, reason, "webhook stored and ignored"),
            }
        }
        Accepted::Followed => tracing::info!(event.id, event.r#type = event.event_type, "webhook stored and acted on"),
        Accepted::Duplicate => tracing::info!(event.id, "webhook was stored before"),
    }
    Ok(accepted)
}

/// An incident may be an alert that nobody diagnoses, since its title can't be read.
fn title_not_understood(incident_id: &str, title: &str) {
    crate::metrics::title_not_understood();
    let title: String = title.chars().take(200).collect();
    tracing::error!(
        incident.id = incident_id,
        title,
        "NOBODY DIAGNOSES THIS: its title looks like an alert's, but is not one; rename it to \
         \"All SE endpoints down in <region>\" and reopen it or run `se-responder rerun`, or follow the runbook by hand"
    );
}
