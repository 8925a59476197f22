//! The simulator answers as the real one does, refusals included; asked here without our own client.

mod faults;
mod log;
mod rules;
mod state;

use std::sync::Arc;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::clock::{HandClock, NOW};
use outbound::http::http_client;

async fn start() -> (PagerDuty, Arc<HandClock>) {
    let clock = HandClock::at(NOW);
    (PagerDuty::start(Setup::new(clock.clone())).await.unwrap(), clock)
}

impl PagerDuty {
    /// A request with all the headers that there must be.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let client: Client = http_client().unwrap();
        client
            .request(method, format!("{}{path}", self.api_url))
            .header("Accept", "application/vnd.pagerduty+json;version=2")
            .header("Authorization", "Token token=u+simulated-token")
            .header("From", Setup::FROM)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        sent(self.request(Method::GET, path)).await
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        sent(self.request(method, path).json(&body)).await
    }
}

async fn sent(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// Status, code and errors of a refusal, which has PagerDuty's shape.
fn refusal((status, body): (u16, Value)) -> (u16, u64, String) {
    let error = &body["error"];
    assert!(error["message"].is_string() && error["errors"].is_array(), "{body}");
    (status, error["code"].as_u64().unwrap(), error["errors"][0].as_str().unwrap_or_default().to_owned())
}

fn new_page(key: &str) -> Value {
    json!({"incident": {
        "type": "incident", "title": "t", "service": {"id": Setup::SERVICE_ENDPOINT, "type": "service_reference"},
        "incident_key": key,
    }})
}
