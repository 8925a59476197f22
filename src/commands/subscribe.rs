//! `subscribe`: makes the PagerDuty webhook subscription by which alerts reach us.

use anyhow::bail;
use url::Url;

use super::output::{aside, print};
use crate::config::{Problems, SubscribeConfig, is_loopback};
use outbound::clock::Clock;
use outbound::permit::Permit;
use pagerduty::PagerDuty;
use runbook::event::EVENTS;

/// Makes it, and prints its secret on standard output, nothing else. `url` is where PagerDuty delivers, `WEBHOOK_URL` unless
/// said.
///
/// # Errors
/// It is said nowhere where to, there is one already that delivers there, there is no such service, or PagerDuty refuses.
pub async fn subscribe(config: SubscribeConfig, service: &str, url: Option<Url>, clock: Clock) -> anyhow::Result<()> {
    let SubscribeConfig { pagerduty: settings, webhook_url } = config;
    let Some(url) = url.or(webhook_url) else {
        let missing =
            "--url: is missing, and neither WEBHOOK_URL nor PUBLIC_URL is set: say where PagerDuty reaches the service";
        return Err(Problems(vec![missing.to_owned()]).into());
    };
    let url = &url;
    let loopback = url.host_str().is_some_and(is_loopback);
    // A stand-in for PagerDuty on this machine may well deliver without TLS.
    if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
        return Err(Problems(vec![format!("--url: {url} is not https, and PagerDuty delivers to nothing else")]).into());
    }
    let pagerduty = PagerDuty::new(settings, clock)?;
    let Some(found) = pagerduty.find_service(service).await? else {
        bail!("PagerDuty knows no service {service:?}, or this token may not see it: give its id, as in its address");
    };
    let here = |s: &&pagerduty::Subscription| {
        s.delivery_method.url.as_deref().and_then(|u| Url::parse(u).ok()).as_ref() == Some(url)
    };
    if let Some(there) = pagerduty.subscriptions().await?.iter().find(here) {
        bail!(
            "the subscription {} delivers to {url} already, and its secret is not shown again: use that, or delete it in \
             PagerDuty first",
            there.id
        );
    }
    let permit = Permit::needless("a person runs the command, once");
    let (id, secret) = pagerduty.subscribe(&permit, &found.id, url.as_str(), &EVENTS).await?;
    aside(format_args!(
        "Made the subscription {id} of {} to {url}. Its secret, for PAGERDUTY_WEBHOOK_SECRETS:",
        found.name
    ));
    print(&secret)
}
