//! The service as its clients see it.

use outbound::http::http_client;
use reqwest::header::HeaderMap;
use serde_json::Value;
use simulators::pagerduty::sign;
use simulators::world::{OPERATOR_TOKEN, VIEWER_TOKEN, WEBHOOK_SECRET};

use super::wait::until;

/// An answer of the service.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        Self::try_of(request).await.expect("the service answers")
    }

    /// An error: the connection ended before the answer did.
    pub(crate) async fn try_of(request: reqwest::RequestBuilder) -> Result<Self, reqwest::Error> {
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await?;
        Ok(Self { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }

    /// A problem as RFC 9457 has it, with this status.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], status, "{self:?}");
        assert!(self.body["title"].is_string() && self.body["detail"].is_string(), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    pub(crate) fn word(&self) -> &str {
        self.body["status"].as_str().unwrap_or_default()
    }
}

/// A client of the service at an address.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
}

impl Front {
    pub(crate) fn at(url: String) -> Self {
        Self { url, http: http_client().expect("a client") }
    }

    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Answer {
        Answer::of(self.http.get(format!("{}{path}", self.url)).bearer_auth(token)).await
    }

    /// What is there; asked again while the service says that its database has no time for it.
    pub(crate) async fn get(&self, path: &str) -> Value {
        until(path, async || {
            let answer = self.get_as(VIEWER_TOKEN, path).await;
            (answer.status != 503).then(|| answer.is(200).body.clone())
        })
        .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(OPERATOR_TOKEN, path, body, None).await
    }

    pub(crate) async fn post_as(&self, token: &str, path: &str, body: &Value, key: Option<&str>) -> Answer {
        let mut request = self.http.post(format!("{}{path}", self.url)).bearer_auth(token).body(body.to_string());
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        Answer::of(request).await
    }

    /// A webhook's body with whatever signature.
    pub(crate) async fn webhook(&self, body: &[u8], signature: Option<&str>) -> Answer {
        let mut request = self.http.post(format!("{}/webhooks/pagerduty", self.url)).body(body.to_vec());
        if let Some(signature) = signature {
            request = request.header("x-pagerduty-signature", signature);
        }
        Answer::of(request).await
    }

    /// A webhook's body, well signed.
    pub(crate) async fn signed(&self, body: &str) -> Answer {
        self.webhook(body.as_bytes(), Some(&sign(WEBHOOK_SECRET, body.as_bytes()))).await
    }

    /// Sends a webhook as PagerDuty does: again and again, until it is taken.
    pub(crate) async fn taken(&self, body: &str) {
        until("a webhook to be taken", async || (self.signed(body).await.status == 202).then_some(())).await;
    }

    pub(crate) async fn run(&self, id: &str) -> Value {
        self.get(&format!("/api/runs/{id}")).await
    }

    /// The runs of an incident, newest first.
    pub(crate) async fn runs_of(&self, incident: &str) -> Vec<Value> {
        let listed = self.get(&format!("/api/runs?incident_id={incident}")).await;
        listed["runs"].as_array().expect("runs").clone()
    }

    /// The run, once it has ended.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        until(&format!("the end of run {id}"), async || {
            let run = self.run(id).await;
            (!run["finished_at"].is_null()).then_some(run)
        })
        .await
    }

    /// The newest run of an incident, once it has ended.
    pub(crate) async fn end_of(&self, incident: &str) -> Value {
        let runs = self.runs_of(incident).await;
        let id = runs.first().unwrap_or_else(|| panic!("no run of {incident}"))["id"].as_str().expect("an id");
        self.ended(id).await
    }
}
