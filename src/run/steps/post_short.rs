//! Writes a short note, once for what it is for. It has no `run` line: it is found again by its text.

use crate::run::context::Context;
use runbook::writes::Patience;
use store::{Right, StoreError, WantedWrite};

use super::write::{NotPosted, carry};

/// How often writing is tried: a short note that comes late says nothing that the next one doesn't say better.
const TRIES: u32 = 4;

/// Writes `text` on the incident, unless the note of this `key` is there already. What goes wrong is an error in the
/// log and given back, for the caller whose note must not be missed.
///
/// # Errors
/// The store; or, inside, why PagerDuty did not take it.
pub async fn post_short(
    context: &Context,
    key: &str,
    incident_id: &str,
    text: &str,
) -> Result<Result<(), String>, StoreError> {
    post(context, key, incident_id, text, None).await
}

/// The same for a run's early word: it is not sent again once the run has a diagnosis or has ended.
///
/// # Errors
/// As [`post_short`].
pub async fn post_early(
    context: &Context,
    key: &str,
    incident_id: &str,
    text: &str,
    run_id: &str,
) -> Result<Result<(), String>, StoreError> {
    post(context, key, incident_id, text, Some(run_id)).await
}

async fn post(
    context: &Context,
    key: &str,
    incident_id: &str,
    text: &str,
    undiagnosed: Option<&str>,
) -> Result<Result<(), String>, StoreError> {
    let wanted = WantedWrite { key, on: incident_id, run_id: None, text };
    let Err(why) = carry(context, wanted, Right::Seen, Patience::Tries(TRIES), undiagnosed).await? else {
        return Ok(Ok(()));
    };
    match &why {
        NotPosted::Refused(error) => {
            crate::metrics::give_up(crate::metrics::GivenUp::ShortNote);
            tracing::error!(key, incident.id = incident_id, error, "a short note was refused");
        }
        // That PagerDuty can't be asked is said once, for all that ask it.
        NotPosted::NotYet(error) => {
            crate::metrics::give_up(crate::metrics::GivenUp::ShortNote);
            tracing::debug!(key, incident.id = incident_id, error, "a short note was not written");
        }
        NotPosted::NotOwed => {}
    }
    Ok(Err(why.to_string()))
}
