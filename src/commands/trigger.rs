//! `trigger`: signs and sends a webhook, as PagerDuty would. Without an incident it is a drill.

use anyhow::{Context as _, bail};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use url::Url;

use super::output::print;
use super::rerun::{Service, follow_alert};
use crate::config::{Problems, TriggerConfig, secrets_in};
use outbound::clock::Clock;
use outbound::http::http_client;
use runbook::alert::{Title, parse_title};
use runbook::event::{DRILL, PATH, is_id};

/// Sends it, and prints what the service answers; with a token in its settings it follows the run to its end.
///
/// # Errors
/// The title is no alert's, or the service did not take it; or the run that is followed did not come to a diagnosis.
pub async fn trigger(
    config: TriggerConfig,
    title: &str,
    incident_id: Option<&str>,
    url: Option<Url>,
    clock: Clock,
) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    if !matches!(parse_title(title), Title::Alert(_)) {
        problems.push(format!("--title: {title:?}: the title must look like \"All SE endpoints down in <region>\""));
    }
    if incident_id.is_some_and(|id| !is_id(id)) {
        problems.push("--incident-id: that is not a PagerDuty id: ids are letters and digits only".to_owned());
    }
    let url = url.map_or_else(|| config.service.join(PATH), Ok);
    let url = url.map_err(|e| problems.push(format!("LISTEN_ADDR: {e}"))).ok();
    let (Some(url), true) = (url, problems.is_empty()) else { return Err(Problems(problems).into()) };

    let secrets = config.webhook_secrets.reveal().context("reading PAGERDUTY_WEBHOOK_SECRETS_FILE failed")?;
    let secret = secrets_in(&secrets).next().context("PAGERDUTY_WEBHOOK_SECRETS holds no secret")?;
    let (body, id) = body(title, incident_id, config.service_ids.first(), &clock);
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).context("signing failed")?;
    mac.update(body.as_bytes());
    let signature = format!("v1={}", hex::encode(mac.finalize().into_bytes()));
    let answer = http_client()?
        .post(url.clone())
        .header("content-type", "application/json")
        .header("x-pagerduty-signature", signature)
        .body(body)
        .send()
        .await
        .with_context(|| format!("sending the webhook to {url} failed: does `serve` run there?"))?;
    let status = answer.status();
    let text: String = answer.text().await.unwrap_or_default().chars().take(500).collect();
    if status.as_u16() != 202 {
        bail!("{url} answered {status}: {text}; is PAGERDUTY_WEBHOOK_SECRETS the one of that service?");
    }
    print(&text)?;
    match config.token {
        Some(_) if text.contains("ignored") => bail!("the webhook was ignored: the service's log says why"),
        Some(token) => follow_alert(&Service::of_webhook(&url, token), &id, &clock).await,
        None => Ok(()),
    }
}

/// A webhook as PagerDuty v3 sends it, and the id of its incident, which is on this service.
fn body(title: &str, incident_id: Option<&str>, service: Option<&String>, clock: &Clock) -> (String, String) {
    let (event_id, now) = (clock.id(), clock.now());
    // No id of PagerDuty's begins so.
    let drill = format!("DRILL{}", event_id.replace('-', "").to_uppercase());
    let client = incident_id.is_none().then(|| json!({"name": DRILL}));
    let id = incident_id.map_or(drill, str::to_owned);
    let body = json!({"event": {
        "id": event_id,
        "event_type": "incident.triggered",
        "resource_type": "incident",
        "occurred_at": now,
        "agent": null,
        "client": client,
        "data": {
            "id": id,
            "type": "incident",
            "number": 0,
            "status": "triggered",
            "title": title,
            "created_at": now,
            "urgency": "high",
            "service": service.map(|id| json!({"id": id, "type": "service_reference"})),
        },
    }});
    (body.to_string(), id)
}
