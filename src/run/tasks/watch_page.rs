//! Sees that somebody acknowledges the page. lifecycle.md#the-page: an edit raises no event and is not seen, so whoever
//! follows the alert is told by a short note.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::run::context::Context;
use crate::run::steps::confirm_alert::{Alert, confirm_alert};
use crate::run::steps::post_short::post_short;
use pagerduty::{Incident, Status};
use runbook::diagnosis::note::short;
use runbook::life;
use runbook::span::between;
use store::{NewTask, StoreError, Task, TaskKind};

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
    /// The same by PagerDuty's clock; `None` before the first look that shows the page.
    #[serde(default)]
    since_there: Option<Timestamp>,
    /// Whether its silence was said.
    #[serde(default)]
    said: bool,
}

impl Watch {
    /// The page is open, as PagerDuty shows it. What was joined was open long before.
    fn seen(&mut self, context: &Context, page: &Incident) {
        if self.since_there.is_none() {
            self.since_there =
                context.pagerduty.to_theirs(self.since).map(|since| since.max(page.created_at.unwrap_or(since)));
        }
    }

    /// How long it has been open at `now`, where PagerDuty's clock says `there`. Our clock may have been set forward
    /// over a restart, and nobody is to be called careless for that: the smaller age counts.
    fn age(&self, now: Timestamp, there: Option<Timestamp>) -> Duration {
        let ours = between(self.since, now);
        match (self.since_there, there) {
            (Some(since), Some(there)) => ours.min(between(since, there)),
            // It has not answered since the start: nobody knows yet, and nothing could be written there.
            (Some(_), None) => Duration::ZERO,
            (None, _) => ours,
        }
    }
}

/// The watch over a page that was opened (or joined) for an alert at `since`.
pub fn watch_page_task(incident_id: &str, run_id: &str, page_id: &str, page_url: &str, since: Timestamp) -> NewTask {
    let data = serde_json::json!({"page_id": page_id, "page_url": page_url, "since": since, "said": false});
    NewTask {
        kind: TaskKind::WatchPage,
        incident_id: incident_id.to_owned(),
        run_id: Some(run_id.to_owned()),
        mark: String::new(),
        data: data.to_string(),
        after: SOONEST,
    }
}

/// Looks at the page.
pub(super) async fn watch(context: &Context, task: &Task) -> Result<Done, StoreError> {
    let mut watch: Watch = data(task)?;
    let Some(alert) = context.store.alert(&task.incident_id).await? else { return Ok(Done::Finished) };
    if alert.resolved_at.is_some() && is_over(&confirm_alert(context, &alert.incident_id).await, &alert) {
        return Ok(Done::Finished);
    }
    let ack_wait = context.config.escalation.ack_wait;
    let every = (ack_wait / LOOKS).clamp(SOONEST, LATEST);
    match confirm_alert(context, &watch.page_id).await {
        Alert::Resolved(_) => return Ok(Done::Finished),
        Alert::Open(page) => {
            watch.seen(context, &page);
            if page.status == Status::Acknowledged {
                return acknowledged(context, task, &alert, &watch, &page).await;
            }
        }
        Alert::Unknown(error) => tracing::debug!(page.id = watch.page_id, error, "a page could not be looked at"),
    }
    let waited = watch.age(context.clock.now(), context.pagerduty.time());
    if waited >= GIVE_UP_AFTER {
        tracing::error!(page.id = watch.page_id, "nobody acknowledged the page in a day: it is not watched any longer");
        return Ok(Done::Finished);
    }
    if !watch.said && waited >= ack_wait {
        tracing::error!(page.id = watch.page_id, ?waited, "NOBODY HAS ACKNOWLEDGED THE PAGE");
        watch.said = tell_silence(context, task, &alert, &watch, waited).await?;
    }
    let wait = match (watch.said, ack_wait.saturating_sub(waited)) {
        (true, _) => every * SLOWER,
        (false, Duration::ZERO) => every,
        (false, left) => every.min(left),
    };
    later(&watch, wait)
}

/// Says by a short note that nobody has taken the page; whether it is said, or needs no saying.
async fn tell_silence(
    context: &Context,
    task: &Task,
    alert: &life::Alert,
    watch: &Watch,
    waited: Duration,
) -> Result<bool, StoreError> {
    // The webhook that says that the alert is over may be late.
    if is_over(&confirm_alert(context, &alert.incident_id).await, alert) {
        return Ok(false);
    }
    let run_url = run_url(context, task, alert).await?;
    let text = short::still_unacknowledged(&alert.region, &watch.page_url, waited, &run_url);
    let key = format!("unacknowledged:{}:{}", watch.page_id, task.incident_id);
    Ok(post_short(context, &key, &alert.incident_id, &text).await?.is_ok())
}

async fn acknowledged(
    context: &Context,
    task: &Task,
    alert: &life::Alert,
    watch: &Watch,
    page: &Incident,
) -> Result<Done, StoreError> {
    let first = page.acknowledgements.iter().min_by_key(|ack| ack.at.unwrap_or(Timestamp::MAX));
    let at = first.and_then(|ack| ack.at).map_or_else(|| context.clock.now(), |at| context.pagerduty.to_ours(at));
    let by = first.and_then(|ack| ack.by.as_ref()).map(|by| if by.name.is_empty() { &by.id } else { &by.name });
    let by = by.map_or("somebody", String::as_str);
    context.store.set_acknowledged(task, &watch.page_id, at, by).await?;
    tracing::info!(page.id = watch.page_id, by, "the page is acknowledged");
    let run_url = run_url(context, task, alert).await?;
    let there = first.and_then(|ack| ack.at).or_else(|| context.pagerduty.time());
    let text = short::acknowledged(&alert.region, &watch.page_url, by, watch.age(at, there), &run_url);
    let key = format!("acknowledged:{}:{}", watch.page_id, task.incident_id);
    match post_short(context, &key, &alert.incident_id, &text).await? {
        Ok(()) => Ok(Done::Finished),
        Err(_) if watch.age(context.clock.now(), context.pagerduty.time()) >= GIVE_UP_AFTER => Ok(Done::Finished),
        Err(_) => later(watch, LATEST * SLOWER),
    }
}

async fn run_url(context: &Context, task: &Task, alert: &life::Alert) -> Result<String, StoreError> {
    let newest = newest_run(context, alert).await?.map(|run| run.id).or_else(|| task.run_id.clone());
    Ok(newest.map(|id| context.config.run_url(&id)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_clocks_the_one_counts_by_which_less_time_has_passed() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let there = |second: i64| at(5000 + second);
        let (page_id, page_url) = (String::new(), String::new());
        let mut watch = Watch { page_id, page_url, since: at(0), since_there: Some(there(0)), said: false };
        let seconds = Duration::from_secs;
        assert_eq!(watch.age(at(60), Some(there(61))), seconds(60));
        assert_eq!(watch.age(at(960), Some(there(60))), seconds(60), "ours was set forth");
        assert_eq!(watch.age(at(60), Some(there(960))), seconds(60), "theirs was");
        assert_eq!(watch.age(at(60), Some(there(-60))), seconds(0));
        assert_eq!(watch.age(at(960), None), seconds(0), "PagerDuty has not answered since the start");
        watch.since_there = None;
        assert_eq!(watch.age(at(60), Some(there(0))), seconds(60), "of an older version");
    }
}
