//! Looks for a page that may be opened late, whatever has become of its record. lifecycle.md#the-page: PagerDuty may apply a
//! write up to 10 min after it was sent, when the note said long since that nobody was paged.
//!
//! There is such a task for each page from its intent on, until nothing of it is open ([`runbook::writes::opening`]).

use std::time::Duration;

use jiff::Timestamp;

use crate::run::context::Context;
use runbook::span::between;
use store::{StoreError, Task};

use super::Done;

/// How soon it is looked again where PagerDuty could not be asked, and for how long.
const AGAIN: Duration = Duration::from_secs(30);
const GIVE_UP_AFTER: Duration = Duration::from_secs(6 * 3600);

/// Looks for it by its key. What is found is told of by whoever works on the page, which is wanted once more.
pub(super) async fn look(context: &Context, task: &Task) -> Result<Done, StoreError> {
    let context = &context.first();
    let (incident_id, times) = (task.incident_id.as_str(), context.page_times());
    let began = context.clock.now();
    let found = match context.pagerduty.incidents_with_key(&Context::page_key(incident_id)).await {
        Ok(found) => found,
        Err(error) if began_long_ago(context, incident_id, began).await? => {
            crate::metrics::give_up(crate::metrics::GivenUp::Task);
            tracing::error!(incident.id = incident_id, error = %error, "whether a page was opened late is not known");
            return Ok(Done::Finished);
        }
        Err(error) => {
            tracing::debug!(incident.id = incident_id, error = %error, "a page is looked for again");
            return Ok(Done::Later(String::new(), AGAIN));
        }
    };
    let page = found.iter().find(|page| page.is_open()).or(found.first()).map(|page| page.id.as_str());
    // By their clock too, now that they have answered.
    let look = context.store.looked_for_opening(task, page, context.moment(began), &times).await?;
    if look.is_news {
        tracing::warn!(
            incident.id = incident_id,
            page.id = page,
            "a page that was called failed or held is open after all"
        );
    }
    let passed = between(began, context.clock.now());
    let again = look.again_in.map(|wait| wait.saturating_sub(passed).max(Duration::from_millis(100)));
    Ok(again.map_or(Done::Finished, |wait| Done::Later(String::new(), wait)))
}

async fn began_long_ago(context: &Context, incident_id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let write = context.store.opening_of(incident_id).await?;
    let since = write.doubt.as_ref().map(|doubt| doubt.since.ours).or(write.intent);
    Ok(since.is_none_or(|since| between(since, now) >= GIVE_UP_AFTER))
}
