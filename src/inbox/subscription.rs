//! Watches our own webhook subscription: after three refusals PagerDuty disables it for a day, and its events are lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use url::Url;

use crate::metrics;
use crate::run::tools::Tools;
use crate::upstream::pagerduty::Subscription;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(120);
/// How soon after it was turned on again.
const LOOK_SOON: Duration = Duration::from_secs(1);
/// The events that this service acts on.
pub const EVENTS: [&str; 4] = ["incident.triggered", "incident.reopened", "incident.resolved", "incident.annotated"];
/// Where webhooks are received.
pub const PATH: &str = "/webhooks/pagerduty";

/// What is known of the subscription; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Watched(Arc<Mutex<Option<String>>>);

impl Watched {
    /// What is wrong with it; `None` where nothing is, or nothing is known yet.
    pub fn trouble(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes what was found; whether it is news.
    fn found(&self, trouble: Option<String>) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *known != trouble;
        *known = trouble;
        news
    }
}

/// Looks every few minutes until `stop`. Says each change once.
pub async fn watch(tools: Tools, watched: Watched, stop: CancellationToken) {
    let Some(own) = tools.config.public_url.as_ref().map(|url| format!("{url}{PATH}")) else {
        tracing::debug!("PUBLIC_URL is not set: the webhook subscription can't be told from others, nor watched");
        return stop.cancelled().await;
    };
    let mut asked_in_vain = false;
    loop {
        let looked = tokio::select! {
            looked = tools.pagerduty.subscriptions() => looked,
            () = stop.cancelled() => return,
        };
        let mut wait = LOOK_EVERY;
        match looked {
            Ok(all) => {
                asked_in_vain = false;
                if judge(&tools, &watched, &own, &all).await {
                    wait = LOOK_SOON;
                }
            }
            // An account may well not let this token see them: said once, quietly.
            Err(error) if !asked_in_vain => {
                asked_in_vain = true;
                tracing::info!(error = %error, "the webhook subscription can't be watched");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tools.clock.sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Says what is new, and turns on again what may be; whether something was turned on.
async fn judge(tools: &Tools, watched: &Watched, own: &str, all: &[Subscription]) -> bool {
    let ours: Vec<&Subscription> = all.iter().filter(|s| is_ours(s, own)).collect();
    let trouble = trouble(&ours, own);
    metrics::subscription(trouble.is_none());
    match (watched.found(trouble.clone()), trouble) {
        (true, Some(trouble)) => tracing::error!("OUR WEBHOOK SUBSCRIPTION: {trouble}"),
        (true, None) => tracing::info!("our webhook subscription is well again"),
        (false, _) => {}
    }
    let mut turned_on = false;
    if !tools.config.webhook_reenable {
        return turned_on;
    }
    for subscription in ours.iter().filter(|s| s.delivery_method.temporarily_disabled) {
        match tools.pagerduty.enable_subscription(&subscription.id).await {
            Ok(()) => {
                turned_on = true;
                tracing::warn!(subscription.id, "our webhook subscription is turned on again (WEBHOOK_REENABLE)");
            }
            Err(error) => {
                tracing::error!(subscription.id, error = %error, "our webhook subscription could not be turned on again");
            }
        }
    }
    turned_on
}

/// Whether it delivers to us: the same address, but for what may be written either way.
fn is_ours(subscription: &Subscription, own: &str) -> bool {
    let plain = |url: &str| {
        let url = Url::parse(url).ok()?;
        Some((url.scheme().to_owned(), url.host_str()?.to_owned(), url.port_or_known_default(), url.path().to_owned()))
    };
    let theirs = subscription.delivery_method.url.as_deref().and_then(plain);
    theirs.is_some() && theirs == plain(own)
}

/// What is wrong with our subscriptions: one that works is enough, and each that doesn't is said where none does.
fn trouble(ours: &[&Subscription], own: &str) -> Option<String> {
    let of_one = |s: &Subscription| {
        let lacks: Vec<&str> = EVENTS.into_iter().filter(|event| !s.events.iter().any(|e| e == event)).collect();
        let id = &s.id;
        match (s.delivery_method.temporarily_disabled, s.active, lacks.as_slice()) {
            (true, ..) => Some(format!(
                "{id} is temporarily disabled by PagerDuty, since three webhooks in a row were refused: alerts are found \
                 late, by asking. Mend the cause (a wrong PAGERDUTY_WEBHOOK_SECRETS?), then turn it on again"
            )),
            (false, false, _) => Some(format!("{id} is not active: turn it on in PagerDuty")),
            (false, true, []) => None,
            (false, true, lacks) => Some(format!("{id} does not send {}: add them in PagerDuty", lacks.join(", "))),
        }
    };
    let found: Vec<Option<String>> = ours.iter().map(|s| of_one(s)).collect();
    match found.as_slice() {
        [] => Some(format!("no subscription delivers to {own}, as far as this token shows: see `subscribe`")),
        found if found.iter().any(Option::is_none) => None,
        found => Some(found.iter().flatten().cloned().collect::<Vec<_>>().join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "https://se.example.com/webhooks/pagerduty";

    fn subscription(url: &str, active: bool, disabled: bool, events: &[&str]) -> Subscription {
        serde_json::from_value(serde_json::json!({
            "id": "PSUB", "active": active, "events": events,
            "delivery_method": {"type": "http_delivery_method", "url": url, "temporarily_disabled": disabled},
        }))
        .unwrap()
    }

    #[test]
    fn ours_is_told_by_its_address() {
        for (url, ours) in [
            (OWN, true),
            ("https://SE.example.com:443/webhooks/pagerduty", true),
            ("https://se.example.com/webhooks/pagerduty?tenant=1", true),
            ("http://se.example.com/webhooks/pagerduty", false),
            ("https://se.example.com/webhooks/other", false),
            ("https://other.example.com/webhooks/pagerduty", false),
            ("no address", false),
        ] {
            assert_eq!(is_ours(&subscription(url, true, false, &EVENTS), OWN), ours, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_one_that_works_is_enough() {
        let well = subscription(OWN, true, false, &EVENTS);
        let disabled = subscription(OWN, true, true, &EVENTS);
        let off = subscription(OWN, false, false, &EVENTS);
        let deaf = subscription(OWN, true, false, &EVENTS[..2]);
        for (ours, says) in [
            (vec![&well], None),
            (vec![&disabled, &well], None),
            (vec![], Some("no subscription delivers to")),
            (vec![&disabled], Some("temporarily disabled")),
            (vec![&off], Some("not active")),
            (vec![&deaf], Some("incident.resolved, incident.annotated")),
            (vec![&deaf, &disabled], Some("temporarily disabled")),
        ] {
            let found = trouble(&ours, OWN);
            assert_eq!(found.is_some(), says.is_some(), "{found:?}");
            assert!(says.is_none_or(|says| found.as_ref().is_some_and(|f| f.contains(says))), "{found:?}");
        }
    }
}
