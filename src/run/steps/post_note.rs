//! Writes the diagnosis note, once: its `run <id>` line is what it is found by. Where nothing was begun there is nothing to
//! look for.

use jiff::Timestamp;

use crate::run::context::Context;
use runbook::writes::{Patience, key};
use store::{Lease, Right, StoreError, WantedWrite};

use super::write::{NotPosted, Posted, carry, may_stand};

/// Writes the note, or finds it written. What goes wrong with PagerDuty is borne until `give_up`.
///
/// # Errors
/// The store; or, inside, why it is not written.
pub async fn post_note(
    context: &Context,
    lease: &Lease,
    incident_id: &str,
    text: &str,
    give_up: Timestamp,
) -> Result<Result<Posted, NotPosted>, StoreError> {
    let (key, run_id) = (key::of_note(lease.run_id()), lease.run_id());
    let wanted = WantedWrite { key: &key, on: incident_id, run_id: Some(run_id), text };
    let posted = carry(context, wanted, Right::Run(lease), Patience::Until(give_up), None).await?;
    if let Err(NotPosted::Refused(why)) = &posted {
        tracing::error!(run.id = run_id, incident.id = incident_id, error = why, "the note was refused");
    }
    Ok(posted)
}

/// Whether the run's note stands where it was last about to be written, or may.
///
/// # Errors
/// The store.
pub async fn stands_on(context: &Context, lease: &Lease, incident_id: &str) -> Result<bool, StoreError> {
    let (key, run_id) = (key::of_note(lease.run_id()), lease.run_id());
    may_stand(context, WantedWrite { key: &key, on: incident_id, run_id: Some(run_id), text: "" }).await
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;
