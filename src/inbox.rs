//! Station 2: what came in is understood, routed, and stored with the run that it starts.

pub mod command;
pub mod event;
pub mod reconcile;
pub mod route;
pub mod subscription;

use crate::config::Config;
use crate::store::{Accepted, NewEvent, Store, StoreError};

use event::Event;

/// Takes an authentic webhook: stores it, with the run that it starts where it starts one.
///
/// # Errors
/// It could not be stored: PagerDuty is to send it again.
pub async fn accept(store: &Store, config: &Config, body: &[u8]) -> Result<Accepted, StoreError> {
    let event = Event::read(body);
    let text = String::from_utf8_lossy(body);
    let new = NewEvent {
        id: &event.id,
        event_type: &event.event_type,
        incident_id: event.incident_id(),
        // PostgreSQL and people's terminals refuse it; no JSON holds it.
        body: &text.replace('\0', ""),
    };
    let known = match event.incident_id() {
        Some(id) => store.alert(id).await?,
        None => None,
    };
    let decision = route::route(&event, config, known.as_ref());
    let accepted = store.accept(new, decision).await.inspect_err(|error| store.trouble("storing a webhook", error))?;
    match &accepted {
        Accepted::Run(run_id) => {
            tracing::info!(event.id, event.r#type = event.event_type, run.id = run_id, "webhook starts a run");
        }
        Accepted::Ignored(reason) => {
            tracing::info!(event.id, event.r#type = event.event_type, reason, "webhook stored and ignored");
        }
        Accepted::Followed => tracing::info!(event.id, event.r#type = event.event_type, "webhook stored and acted on"),
        Accepted::Duplicate => tracing::info!(event.id, "webhook was stored before"),
    }
    Ok(accepted)
}
