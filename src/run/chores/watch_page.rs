//! Sees that somebody acknowledges the page. Contract 6.5: an edit raises no event and is not seen, so whoever follows
//! the alert is told by a short note.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::{after, between};
use crate::diagnosis::note::short;
use crate::run::steps::confirm_alert::{Alert, confirm_alert};
use crate::run::steps::post_short::post_short;
use crate::run::tools::Tools;
use crate::store::{AlertState, Chore, ChoreKind, NewChore, StoreError};
use crate::upstream::pagerduty::{Incident, Status};

use super::ask::{is_over, newest_run};
use super::{Done, data, later};

/// How long a page is watched: after a day somebody has taken it, whatever PagerDuty shows.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Looks within `PAGE_ACK_WAIT`; with 10 minutes that is one every 15 s.
const LOOKS: u32 = 40;
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(15);
/// Once its silence was said, a page is looked at so much less often.
const SLOWER: u32 = 4;

#[derive(Serialize, Deserialize)]
struct Watch {
    page_id: String,
    page_url: String,
    /// Since when it is open, for us.
    since: Timestamp,
    /// Whether its silence was said.
    #[serde(default)]
    said: bool,
}

/// The watch over a page that was opened (or joined) for an alert at `since`.
pub fn watch_page_chore(incident_id: &str, run_id: &str, page_id: &str, page_url: &str, since: Timestamp) -> NewChore {
    let data = serde_json::json!({"page_id": page_id, "page_url": page_url, "since": since, "said": false});
    NewChore {
        kind: ChoreKind::WatchPage,
        incident_id: incident_id.to_owned(),
        run_id: Some(run_id.to_owned()),
        mark: String::new(),
        data: data.to_string(),
        after: SOONEST,
    }
}

/// Looks at the page.
pub(super) async fn watch(tools: &Tools, chore: &Chore) -> Result<Done, StoreError> {
    let mut watch: Watch = data(chore)?;
    let Some(alert) = tools.store.alert(&chore.incident_id).await? else { return Ok(Done::Finished) };
    if alert.resolved_at.is_some() && is_over(&confirm_alert(tools, &alert.alert_id).await, &alert) {
        return Ok(Done::Finished);
    }
    let (now, ack_wait) = (tools.clock.now(), tools.config.escalation.ack_wait);
    let every = (ack_wait / LOOKS).clamp(SOONEST, LATEST);
    match confirm_alert(tools, &watch.page_id).await {
        Alert::Resolved(_) => return Ok(Done::Finished),
        Alert::Open(page) if page.status == Status::Acknowledged => {
            return acknowledged(tools, chore, &alert, &watch, &page).await;
        }
        Alert::Open(_) => {}
        Alert::Unknown(error) => tracing::debug!(page.id = watch.page_id, error, "a page could not be looked at"),
    }
    if between(watch.since, now) >= GIVE_UP_AFTER {
        tracing::error!(page.id = watch.page_id, "nobody acknowledged the page in a day: it is not watched any longer");
        return Ok(Done::Finished);
    }
    let loud_at = after(watch.since, ack_wait);
    if !watch.said && now >= loud_at {
        let waited = between(watch.since, now);
        tracing::error!(page.id = watch.page_id, ?waited, "NOBODY HAS ACKNOWLEDGED THE PAGE");
        watch.said = tell_silence(tools, chore, &alert, &watch, waited).await?;
    }
    let wait = match (watch.said, between(now, loud_at)) {
        (true, _) => every * SLOWER,
        (false, Duration::ZERO) => every,
        (false, left) => every.min(left),
    };
    later(&watch, wait)
}

/// Says loudly that nobody has taken the page; whether it is said, or needs no saying.
async fn tell_silence(
    tools: &Tools,
    chore: &Chore,
    alert: &AlertState,
    watch: &Watch,
    waited: Duration,
) -> Result<bool, StoreError> {
    // The webhook that says that the alert is over may be late.
    if is_over(&confirm_alert(tools, &alert.alert_id).await, alert) {
        return Ok(false);
    }
    let run_url = run_url(tools, chore, alert).await?;
    let text = short::still_unacknowledged(&alert.region, &watch.page_url, waited, &run_url);
    let key = format!("unacknowledged:{}:{}", watch.page_id, chore.incident_id);
    Ok(post_short(tools, &key, &alert.alert_id, &text).await?.is_ok())
}

async fn acknowledged(
    tools: &Tools,
    chore: &Chore,
    alert: &AlertState,
    watch: &Watch,
    page: &Incident,
) -> Result<Done, StoreError> {
    let first = page.acknowledgements.iter().min_by_key(|ack| ack.at.unwrap_or(Timestamp::MAX));
    let at = first.and_then(|ack| ack.at).unwrap_or_else(|| tools.clock.now());
    let by = first.and_then(|ack| ack.by.as_ref()).map(|by| if by.name.is_empty() { &by.id } else { &by.name });
    let by = by.map_or("somebody", String::as_str);
    tools.store.set_acknowledged(chore, &watch.page_id, at, by).await?;
    tracing::info!(page.id = watch.page_id, by, "the page is acknowledged");
    let run_url = run_url(tools, chore, alert).await?;
    let text = short::acknowledged(&alert.region, &watch.page_url, by, between(watch.since, at), &run_url);
    let key = format!("acknowledged:{}:{}", watch.page_id, chore.incident_id);
    match post_short(tools, &key, &alert.alert_id, &text).await? {
        Ok(()) => Ok(Done::Finished),
        Err(_) if between(watch.since, tools.clock.now()) >= GIVE_UP_AFTER => Ok(Done::Finished),
        Err(_) => later(watch, LATEST * SLOWER),
    }
}

async fn run_url(tools: &Tools, chore: &Chore, alert: &AlertState) -> Result<String, StoreError> {
    let newest = newest_run(tools, alert).await?.map(|run| run.id).or_else(|| chore.run_id.clone());
    Ok(newest.map(|id| tools.config.run_url(&id)).unwrap_or_default())
}
