//! The Events API v2: `POST /v2/enqueue`. It answers before the incident is there, and never with its id.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use serde_json::{Value, json};

use super::account::Account;
use super::incidents::open_with_key;
use super::things::{Opening, State};
use runbook::span::after;

/// Limits of an event.
const MAX_KEY: usize = 255;
const MAX_SUMMARY: usize = 1024;

const MAX_EVENT: usize = 512 * 1024;

/// Takes an event: 202, or 400 with all that is wrong, 429 beyond the minute's events.
pub(super) fn enqueue(account: &mut Account, headers: &HeaderMap, body: &Bytes) -> (u16, Value) {
    let now = account.now();
    if now >= after(account.events_window.0, Duration::from_secs(60)) {
        account.events_window = (now, 0);
    }
    account.events_window.1 += 1;
    if account.events_window.1 > account.events_limit {
        return (
            429,
            json!({"status": "throttle exceeded", "message": "Requests for this service are arriving too quickly", "errors": []}),
        );
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.split(';').next().map(str::trim) != Some("application/json") {
        return invalid(vec!["The Content-Type header must be application/json".to_owned()]);
    }
    // The real one doesn't look; but whoever sends the REST API's token to another host has leaked it.
    if headers.contains_key(header::AUTHORIZATION) {
        return invalid(vec!["A credential that does not belong here".to_owned()]);
    }
    if body.len() > MAX_EVENT {
        return (413, json!({"status": "invalid event", "message": "Event object is too large", "errors": []}));
    }
    let Ok(event) = serde_json::from_slice::<Value>(body) else {
        return invalid(vec!["The body is no JSON".to_owned()]);
    };
    let problems = problems(&event);
    if !problems.is_empty() {
        return invalid(problems);
    }
    let routing_key = event["routing_key"].as_str().unwrap_or_default();
    let Some(service) = account.services.iter().find(|s| s.routing_key.as_deref() == Some(routing_key)) else {
        return invalid(vec!["'routing_key' is not known".to_owned()]);
    };
    let service_id = service.id.clone();
    let given = event["dedup_key"].as_str().filter(|key| !key.is_empty()).map(str::to_owned);
    let key = given.unwrap_or_else(|| account.new_id('K').to_lowercase());
    let open = open_with_key(account, &service_id, &key);
    if account.events_to_lose > 0 {
        account.events_to_lose -= 1;
        return accepted(&key);
    }
    match (event["event_action"].as_str(), open) {
        (Some("trigger"), None) => {
            let mut opening = Opening::new(event["payload"]["summary"].as_str().unwrap_or_default(), &service_id);
            if matches!(event["payload"]["severity"].as_str(), Some("warning" | "info")) {
                opening.urgency = "low".to_owned();
            }
            opening.body = event["payload"].get("custom_details").map(Value::to_string);
            opening.incident_key = (!account.keyless_events).then(|| key.clone());
            let since = after(account.now(), account.event_delay);
            let id = account.open(opening, since, true).id;
            account.name_alert(&id, &key);
        }
        (Some("acknowledge"), Some(id)) => drop(account.set_state(&id, State::Acknowledged, None)),
        (Some("resolve"), Some(id)) => drop(account.set_state(&id, State::Resolved, None)),
        // A further trigger joins the open incident's alert; the others find nothing to do.
        _ => {}
    }
    accepted(&key)
}

fn accepted(key: &str) -> (u16, Value) {
    (202, json!({"status": "success", "message": "Event processed", "dedup_key": key}))
}

fn invalid(errors: Vec<String>) -> (u16, Value) {
    (400, json!({"status": "invalid event", "message": "Event object is invalid", "errors": errors}))
}

fn problems(event: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let fields = ["routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"];
    let payload_fields =
        ["summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"];
    let mut unknown = |object: &Value, known: &[&str], prefix: &str| match object.as_object() {
        None => problems.push(format!("'{}' is missing or blank", prefix.trim_end_matches('.'))),
        Some(object) => problems.extend(
            object
                .keys()
                .filter(|key| !known.contains(&key.as_str()))
                .map(|key| format!("'{prefix}{key}' is not known")),
        ),
    };
    unknown(event, &fields, "event.");
    let is_trigger = event["event_action"] == "trigger";
    if is_trigger {
        unknown(&event["payload"], &payload_fields, "payload.");
    }
    if event["routing_key"].as_str().is_none_or(|key| key.len() != 32) {
        problems.push("Length of 'routing_key' is incorrect (should be 32 characters)".to_owned());
    }
    if !["trigger", "acknowledge", "resolve"].iter().any(|action| event["event_action"] == *action) {
        problems.push("'event_action' must be one of trigger, acknowledge, resolve".to_owned());
    }
    let key = event["dedup_key"].as_str().unwrap_or_default();
    if key.chars().count() > MAX_KEY {
        problems.push(format!("Length of 'dedup_key' is incorrect (should be at most {MAX_KEY} characters)"));
    }
    if !is_trigger && key.is_empty() {
        problems.push("'dedup_key' is missing or blank".to_owned());
    }
    if is_trigger {
        for field in ["summary", "source"] {
            if event["payload"][field].as_str().is_none_or(|text| text.trim().is_empty()) {
                problems.push(format!("'payload.{field}' is missing or blank"));
            }
        }
        if event["payload"]["summary"].as_str().is_some_and(|text| text.chars().count() > MAX_SUMMARY) {
            problems
                .push(format!("Length of 'payload.summary' is incorrect (should be at most {MAX_SUMMARY} characters)"));
        }
        if !["critical", "error", "warning", "info"].iter().any(|s| event["payload"]["severity"] == *s) {
            problems.push("'payload.severity' must be one of critical, error, warning, info".to_owned());
        }
    }
    problems
}
