//! Webhook subscriptions: `/webhook_subscriptions`.

use serde_json::{Value, json};

use super::account::Account;
use super::call::{Answer, Call, Refusal};
use super::listings::{PAGING, page};
use super::things::Subscription;

fn show(subscription: &Subscription, secret: bool) -> Value {
    let filter = match subscription.service_id.as_str() {
        "" => json!({"type": "account_reference"}),
        id => json!({"id": id, "type": "service_reference"}),
    };
    json!({
        "id": subscription.id,
        "type": "webhook_subscription",
        "active": subscription.active,
        "delivery_method": {
            "id": format!("{}D", subscription.id),
            "secret": secret.then_some(&subscription.secret),
            "temporarily_disabled": subscription.temporarily_disabled,
            "type": "http_delivery_method",
            "url": subscription.url,
            "custom_headers": [],
        },
        "description": "",
        "events": subscription.events,
        "filter": filter,
    })
}

/// `GET /webhook_subscriptions`.
pub(super) fn list(account: &mut Account, call: &Call<'_>) -> Answer {
    call.only(&[&PAGING[..], &["filter_type", "filter_id"]].concat())?;
    page(call, "webhook_subscriptions", &account.subscriptions, |s| show(s, false))
}

/// `POST /webhook_subscriptions`.
pub(super) fn create(account: &mut Account, call: &Call<'_>) -> Answer {
    let fields = ["type", "delivery_method", "description", "events", "filter", "active"];
    let object = call.object("webhook_subscription", &fields)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let url = text(&object.get("delivery_method").unwrap_or(&Value::Null)["url"]);
    let filter = object.get("filter").unwrap_or(&Value::Null);
    let events: Vec<String> = object.get("events").and_then(Value::as_array).into_iter().flatten().map(text).collect();
    if object.get("type") != Some(&json!("webhook_subscription")) || !url.starts_with("https://") || events.is_empty() {
        return Err(Refusal::input("A subscription needs its type, events, and an HTTPS address"));
    }
    if filter["type"] != "service_reference" || account.service(&text(&filter["id"])).is_none() {
        return Err(Refusal::input("Filter is invalid"));
    }
    let subscription = Subscription {
        id: account.new_id('P'),
        service_id: text(&filter["id"]),
        url,
        events,
        active: true,
        temporarily_disabled: false,
        secret: format!("secret-of-{}", account.subscriptions.len() + 1),
    };
    let answer = json!({"webhook_subscription": show(&subscription, true)});
    account.subscriptions.push(subscription);
    Ok((201, answer))
}

/// `POST /webhook_subscriptions/{id}/enable`.
pub(super) fn enable(account: &mut Account, call: &Call<'_>) -> Answer {
    let found = account.subscriptions.iter_mut().find(|s| s.id == call.path[1]).ok_or_else(Refusal::not_found)?;
    found.temporarily_disabled = false;
    Ok((200, json!({"webhook_subscription": show(found, false)})))
}
