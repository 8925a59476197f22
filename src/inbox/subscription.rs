//! Watches our own webhook subscription: after three refusals PagerDuty disables it for a day, and its events are lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use url::Url;

use crate::metrics;
use crate::run::context::Context;
use outbound::permit::Permit;
use pagerduty::Subscription;
use runbook::event::{EVENTS, PATH};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(120);
/// How soon after it was turned on again.
const LOOK_SOON: Duration = Duration::from_secs(1);
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
pub async fn watch(context: Context, watched: Watched, stop: CancellationToken) {
    // By the address that we listen on ours can't be told from others behind a proxy, so that one which is not there is nothing
    // to complain of.
    let is_set = context.config.known_webhook_url().is_some();
    let own = context.config.webhook_url();
    let mut asked_in_vain = false;
    loop {
        let looked = tokio::select! {
            looked = context.pagerduty.subscriptions() => looked,
            () = stop.cancelled() => return,
        };
        let mut wait = LOOK_EVERY;
        match looked {
            Ok(all) => {
                asked_in_vain = false;
                if (is_set || !ours(&all, Some(&own)).is_empty()) && judge(&context, &own, &watched, &all).await {
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
            () = context.clock.sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Says what is new, and turns on again what may be; whether something was turned on.
async fn judge(context: &Context, own: &str, watched: &Watched, all: &[Subscription]) -> bool {
    let own = Some(own);
    let trouble = examine(all, own, &context.config.service_ids).trouble;
    metrics::subscription(trouble.is_none());
    match (watched.found(trouble.clone()), trouble) {
        (true, Some(trouble)) => tracing::error!("OUR WEBHOOK SUBSCRIPTION: {trouble}"),
        (true, None) => tracing::info!("our webhook subscription works again"),
        (false, _) => {}
    }
    let mut turned_on = false;
    if !context.config.webhook_reenable {
        return turned_on;
    }
    for subscription in ours(all, own).into_iter().filter(|s| s.delivery_method.temporarily_disabled) {
        let permit = Permit::needless("what is on is only turned on once more");
        match context.pagerduty.enable_subscription(&permit, &subscription.id).await {
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

/// What is known of our subscriptions, among all that the token shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// How many deliver to us.
    pub ours: usize,
    /// What is wrong with them; `None` where PagerDuty tells us what we need.
    pub trouble: Option<String>,
    /// What they do, where nothing is wrong.
    pub detail: String,
    /// Whether they are certainly ours: without `WEBHOOK_URL` and `PUBLIC_URL` any that delivers to such a path may be.
    pub sure: bool,
}

/// Looks for our subscriptions: those that deliver to `own`, our `WEBHOOK_URL`. `service_ids` are those whose alerts are
/// handled; empty is any.
pub fn examine(all: &[Subscription], own: Option<&str>, service_ids: &[String]) -> Found {
    let ours = ours(all, own);
    let address = own.map_or_else(|| format!("an address that ends in {PATH}"), str::to_owned);
    let trouble = trouble(&ours, &address, service_ids);
    let ids: Vec<&str> = ours.iter().map(|s| s.id.as_str()).collect();
    let detail = format!("{} delivers to {address}", ids.join(", "));
    Found { ours: ours.len(), trouble, detail, sure: own.is_some() }
}

/// Those that deliver to us: to `own`; where that is not known, to such a path.
pub fn ours<'a>(all: &'a [Subscription], own: Option<&str>) -> Vec<&'a Subscription> {
    let ends = |s: &&Subscription| {
        let url = s.delivery_method.url.as_deref().and_then(|url| Url::parse(url).ok());
        url.is_some_and(|url| url.path().trim_end_matches('/').ends_with(PATH))
    };
    match own {
        Some(own) => all.iter().filter(|s| is_ours(s, own)).collect(),
        None => all.iter().filter(ends).collect(),
    }
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

/// What is wrong with our subscriptions: one that works is enough, and each that doesn't is said where none does. Those
/// that work must cover every service whose alerts are handled.
fn trouble(ours: &[&Subscription], own: &str, service_ids: &[String]) -> Option<String> {
    let of_one = |s: &Subscription| {
        let lacks: Vec<&str> = EVENTS.into_iter().filter(|event| !s.events.iter().any(|e| e == event)).collect();
        let id = &s.id;
        match (s.delivery_method.temporarily_disabled, s.active, lacks.as_slice()) {
            (true, ..) => Some(format!(
                "{id} is temporarily disabled by PagerDuty, since three webhooks in a row were refused: alerts are found \
                 late, by asking. Fix the cause (a wrong PAGERDUTY_WEBHOOK_SECRETS?), then turn it on again"
            )),
            (false, false, _) => Some(format!("{id} is not active: turn it on in PagerDuty")),
            (false, true, []) => None,
            (false, true, lacks) => Some(format!("{id} does not send {}: add them in PagerDuty", lacks.join(", "))),
        }
    };
    if ours.is_empty() {
        return Some(format!("no subscription delivers to {own}, as far as this token shows: see `subscribe`"));
    }
    let (well, ill): (Vec<_>, Vec<_>) = ours.iter().map(|s| (s, of_one(s))).partition(|(_, trouble)| trouble.is_none());
    let mut said: Vec<String> = ill.into_iter().filter_map(|(_, trouble)| trouble).collect();
    if !well.is_empty() {
        let covers = |id: &String| well.iter().any(|(s, _)| covers(s, id));
        let left: Vec<&str> = service_ids.iter().filter(|id| !covers(id)).map(String::as_str).collect();
        if left.is_empty() {
            return None;
        }
        said.insert(0, format!("none that works sends the events of {}: subscribe to them too", left.join(", ")));
    }
    Some(said.join("; "))
}

/// Whether it sends a service's events. Which services a team has is not known here: it is taken to have it.
fn covers(subscription: &Subscription, service_id: &str) -> bool {
    subscription
        .filter
        .as_ref()
        .is_none_or(|filter| filter.kind != "service_reference" || filter.id.as_deref() == Some(service_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pagerduty::Filter;

    const OWN: &str = "https://se.example.com/webhooks/pagerduty";

    fn subscription(url: &str, active: bool, disabled: bool, events: &[&str]) -> Subscription {
        serde_json::from_value(serde_json::json!({
            "id": "PSUB", "active": active, "events": events, "filter": {"type": "service_reference", "id": "PREG"},
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
            let found = trouble(&ours, OWN, &[]);
            assert_eq!(found.is_some(), says.is_some(), "{found:?}");
            assert!(says.is_none_or(|says| found.as_ref().is_some_and(|f| f.contains(says))), "{found:?}");
        }
    }

    #[test]
    fn those_that_work_must_cover_every_service_that_is_handled() {
        let of = |kind: &str, id: Option<&str>| Subscription {
            filter: Some(Filter { kind: kind.into(), id: id.map(str::to_owned) }),
            ..subscription(OWN, true, false, &EVENTS)
        };
        let ids = |ids: &[&str]| -> Vec<String> { ids.iter().map(|id| (*id).to_owned()).collect() };
        let (one, other) = (of("service_reference", Some("P1")), of("service_reference", Some("P2")));
        let (account, team) = (of("account_reference", None), of("team_reference", Some("PT")));
        let disabled = Subscription { active: false, ..other.clone() };
        for (ours, wanted, says) in [
            (vec![&one], ids(&[]), None),
            (vec![&one], ids(&["P1"]), None),
            (vec![&one], ids(&["P1", "P2"]), Some("events of P2:")),
            (vec![&one, &other], ids(&["P1", "P2"]), None),
            (vec![&one, &disabled], ids(&["P1", "P2"]), Some("events of P2:")),
            (vec![&account], ids(&["P1", "P2"]), None),
            (vec![&team], ids(&["P1"]), None),
        ] {
            let found = trouble(&ours, OWN, &wanted);
            assert_eq!(found.is_some(), says.is_some(), "{found:?}");
            assert!(says.is_none_or(|says| found.as_ref().is_some_and(|f| f.contains(says))), "{found:?}");
        }
    }

    #[test]
    fn where_our_address_is_not_known_any_that_delivers_to_such_a_path_may_be_ours() {
        let all =
            [subscription(OWN, true, false, &EVENTS), subscription("https://x.example/other", true, false, &EVENTS)];
        let known = examine(&all, Some(OWN), &[]);
        assert_eq!((known.ours, known.sure, known.trouble), (1, true, None));
        let guessed = examine(&all, None, &[]);
        assert_eq!((guessed.ours, guessed.sure, guessed.trouble), (1, false, None));
        assert!(examine(&all[1..], None, &[]).trouble.is_some_and(|t| t.contains("ends in /webhooks/pagerduty")));
    }
}
