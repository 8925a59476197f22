//! Webhooks v3: what PagerDuty would send. Sending is the caller's business.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::PagerDuty;
use super::account::Account;
use super::shapes::time;

/// A header value of `X-PagerDuty-Signature` for a raw body: `v1=<hex of the HMAC-SHA256>`.
pub fn sign(secret: &str, body: &[u8]) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body);
    format!("v1={}", hex::encode(mac.finalize().into_bytes()))
}

impl PagerDuty {
    /// The body of a webhook about an incident (`incident.triggered`, `incident.resolved`, …) as it is now, under a new
    /// event id; empty where there is no such incident. The agent is who last changed its state, none otherwise.
    pub fn webhook_body(&self, event_type: &str, incident_id: &str) -> String {
        let mut account = self.account();
        let Some(incident) = account.incident(incident_id).cloned() else { return String::new() };
        let agent = incident.changed_by.as_deref().map_or(Value::Null, |user| account.user_reference(user));
        let data = account.webhook_incident_json(&incident);
        event(&mut account, event_type, "incident", agent, data)
    }

    /// The body of `incident.annotated` for a note; empty where there is no such note. The agent is who wrote it.
    pub fn annotated_body(&self, incident_id: &str, note_id: &str) -> String {
        let mut account = self.account();
        let notes = account.notes_at(incident_id, account.now()).unwrap_or_default();
        let Some(note) = notes.into_iter().find(|n| n.id == note_id) else { return String::new() };
        let agent = account.user_reference(&note.user_id);
        let data = json!({
            "incident": account.incident_reference(incident_id), "id": note.id, "content": note.content,
            "trimmed": false, "type": "incident_note",
        });
        event(&mut account, "incident.annotated", "incident", agent, data)
    }

    /// The body of `pagey.ping`, which is sent to try a subscription.
    pub fn ping_body(&self) -> String {
        ping(&mut self.account())
    }
}

pub(super) fn ping(account: &mut Account) -> String {
    let data = json!({"message": "Hello from your friend Pagey!", "type": "ping"});
    event(account, "pagey.ping", "pagey", Value::Null, data)
}

fn event(account: &mut Account, event_type: &str, resource_type: &str, agent: Value, data: Value) -> String {
    let id = account.new_id('E');
    json!({"event": {
        "id": id, "event_type": event_type, "resource_type": resource_type, "occurred_at": time(account.now()),
        "agent": agent, "client": null, "data": data,
    }})
    .to_string()
}
