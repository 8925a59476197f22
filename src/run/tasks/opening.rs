//! Looks for a page that may be opened late, whatever has become of its record. lifecycle.md#the-page: PagerDuty may apply a
//! write up to 10 min after it was sent, when the note said long since that nobody was paged.
//!
//! There is such a task for each page from its intent on, until nothing of it is open ([`runbook::writes::opening`]).

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::run::context::Context;
use outbound::error::Error;
use runbook::span::between;
use runbook::writes::opening::Shown;
use store::{StoreError, Task};

use super::{Done, kept, later};

/// How soon it is looked again where PagerDuty could not be asked, after how long that is said, and how soon from then on.
const AGAIN: Duration = Duration::from_secs(30);
const LOUD_AFTER: Duration = Duration::from_secs(6 * 3600);
pub(super) const SELDOM: Duration = Duration::from_secs(3600);

/// PagerDuty can't be asked.
#[derive(Default, Serialize, Deserialize)]
struct Trouble {
    /// Since when.
    since: Option<Timestamp>,
    /// Whether that was said.
    #[serde(default)]
    said: bool,
}

/// Looks for it by its key. What is found is told of by whoever works on the page, which is wanted once more.
pub(super) async fn look(context: &Context, task: &Task) -> Result<Done, StoreError> {
    let context = &context.first();
    let (incident_id, times) = (task.incident_id.as_str(), context.page_times());
    let began = context.clock.now();
    let shown = match shown(context, incident_id).await? {
        Ok(shown) => shown,
        Err(error) => {
            let mut trouble: Trouble = kept(task)?;
            let since = *trouble.since.get_or_insert(began);
            let is_long = between(since, began) >= LOUD_AFTER;
            if is_long && !std::mem::replace(&mut trouble.said, true) {
                crate::metrics::give_up(crate::metrics::GivenUp::Task);
                tracing::error!(incident.id = incident_id, error = %error, "whether a page was opened late is not known");
            }
            // As long as it is not known, no other of the region is opened by itself: it is never given up.
            return later(&trouble, if is_long { SELDOM } else { AGAIN });
        }
    };
    // By their clock too, now that they have answered.
    let look = context.store.looked_for_opening(task, &shown, context.moment(began), &times).await?;
    if let Some(page_id) = look.news {
        tracing::warn!(incident.id = incident_id, page.id = page_id, "a page stands of which the record knew nothing");
    }
    let passed = between(began, context.clock.now());
    let again = look.again_in.map(|wait| wait.saturating_sub(passed).max(Duration::from_millis(100)));
    Ok(again.map_or(Done::Finished, |wait| Done::Later(String::new(), wait)))
}

/// The pages with the alert's key. One that is known is asked for by its id where the list does not show it: beside another it
/// may be closed by now.
async fn shown(context: &Context, incident_id: &str) -> Result<Result<Vec<Shown>, Error>, StoreError> {
    let known = context.store.opening_of(incident_id).await?.id;
    let mut found = match context.pagerduty.incidents_with_key(&Context::page_key(incident_id)).await {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(id) = known.filter(|known| found.iter().all(|page| page.id != *known)) {
        match context.pagerduty.incident(&id).await {
            Ok(page) => found.extend(page),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(found.into_iter().map(|page| Shown { is_open: page.is_open(), id: page.id }).collect()))
}
