//! `pagey.ping`: `POST /webhook_subscriptions/{id}/ping` has one sent to where the subscription delivers, signed by its secret;
//! and what can go wrong on its way.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::PagerDuty;
use super::account::Account;
use super::call::{Answer, Call, Refusal};
use super::webhook::{ping, sign};
use outbound::clock::Clock;
use outbound::http::http_client;

/// What goes wrong with the pings of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PingFault {
    /// Another secret signs them.
    OtherSecret,
    /// Something on their way writes the body in its own way: the same JSON, other bytes.
    ChangedBytes,
    /// They are delivered there.
    Elsewhere(String),
    /// They are never sent.
    Lost,
    /// They are sent so much later.
    Late(Duration),
    /// Each is delivered twice, as one event.
    Twice,
}

/// A ping that is to be sent.
#[derive(Debug)]
pub(super) struct Ping {
    url: String,
    body: String,
    signature: String,
    times: usize,
    after: Duration,
}

/// `POST /webhook_subscriptions/{id}/ping`. It is taken whether or not the subscription is on; of one that is off nothing is
/// sent.
pub(super) fn ping_subscription(account: &mut Account, call: &Call<'_>) -> Answer {
    let found = account.subscriptions.iter().find(|s| s.id == call.path[1]).ok_or_else(Refusal::not_found)?.clone();
    let fault = account.ping_faults.iter().find(|(id, _)| *id == found.id).map(|(_, fault)| fault.clone());
    if found.active && !found.temporarily_disabled && fault != Some(PingFault::Lost) {
        let body = ping(account);
        let mut ping = Ping {
            signature: sign(&found.secret, body.as_bytes()),
            url: found.url,
            body,
            times: 1,
            after: Duration::ZERO,
        };
        match fault {
            Some(PingFault::OtherSecret) => ping.signature = sign("somebody else's secret", ping.body.as_bytes()),
            Some(PingFault::ChangedBytes) => ping.body = ping.body.replace("\":", "\": "),
            Some(PingFault::Elsewhere(url)) => ping.url = url,
            Some(PingFault::Late(after)) => ping.after = after,
            Some(PingFault::Twice) => ping.times = 2,
            Some(PingFault::Lost) | None => {}
        }
        account.pings.push(ping);
    }
    // Accepted; nothing is said of a body.
    Ok((202, Value::Null))
}

/// Sends each in a task of its own, to this machine only: nobody else is to hear of what is simulated. What becomes of it is the receiver's business.
pub(super) fn send(pings: Vec<Ping>, clock: &Clock) {
    for ping in pings.into_iter().filter(|ping| is_here(&ping.url)) {
        let clock = clock.clone();
        tokio::spawn(async move {
            if !ping.after.is_zero() {
                clock.sleep(ping.after).await;
            }
            let Ok(http) = http_client() else { return };
            for _ in 0..ping.times {
                let request = http.post(&ping.url).header("content-type", "application/json");
                // Nobody may be there.
                let _ = request.header("x-pagerduty-signature", &ping.signature).body(ping.body.clone()).send().await;
            }
        });
    }
}

fn is_here(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")))
}

impl PagerDuty {
    /// What goes wrong with a subscription's pings from now on; `None`: nothing.
    pub fn spoil_pings(&self, subscription_id: &str, fault: Option<PingFault>) {
        let mut account = self.account();
        account.ping_faults.retain(|(id, _)| id != subscription_id);
        account.ping_faults.extend(fault.map(|fault| (subscription_id.to_owned(), fault)));
    }
}
