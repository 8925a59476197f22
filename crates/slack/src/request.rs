//! One request to Slack, and what an answer means.

use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::Slack;
use outbound::error::{Error, Kind};
use outbound::headers::retry_after;
use outbound::http::read_json;
use outbound::metrics::{Asking, Upstream};
use outbound::permit::Permit;
use runbook::span::{after, between};

/// Longest wait for one whole answer: `runbook::notify::TIMES` go by it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait after a 429 that does not say.
const CLOSED_FOR: Duration = Duration::from_secs(30);
const JSON: &str = "application/json; charset=utf-8";

/// What an answer says that is not `ok`.
#[derive(Deserialize)]
struct NotOk {
    #[serde(default)]
    error: String,
    #[serde(default)]
    needed: Option<String>,
}

/// What an `error` of Slack's means: most are a no for good; some pass by themselves; after some nobody knows what was done.
pub fn error_kind(error: &str) -> Kind {
    match error {
        "ratelimited"
        | "rate_limited"
        | "request_timeout"
        | "team_added_to_org"
        | "accesslimited"
        | "message_limit_exceeded" => Kind::Later(None),
        // "It's possible some aspect of the operation succeeded before the error was raised."
        "internal_error" | "fatal_error" | "service_unavailable" | "" => Kind::Ambiguous,
        _ => Kind::Refused(StatusCode::OK),
    }
}

fn advice(error: &str) -> Option<&'static str> {
    Some(match error {
        "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired" => {
            "Slack does not accept the token: copy the Bot User OAuth Token (xoxb-…) of the app in that workspace"
        }
        "missing_scope" | "no_permission" | "not_allowed_token_type" => {
            "give the app the scopes chat:write and channels:history (groups:history for a private channel), and install it again"
        }
        "not_in_channel" => "invite the bot: write /invite @<its name> in the channel",
        "channel_not_found" => {
            "give the channel's id (C…, under \"About\" in its details), not its name; a bot sees a private channel only once it is invited"
        }
        "is_archived" => "the channel is archived: give another, or unarchive it",
        _ => return None,
    })
}

impl Slack {
    fn url(&self, method: &str) -> Url {
        let mut url = self.0.settings.api_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(method);
        }
        url
    }

    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        doing: &str,
        method: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        let request = self.0.http.get(self.url(method)).query(query);
        let answer = self.ask(doing, request).await.and_then(|value| read(doing, value));
        self.0.outage.observe(method, answer.as_ref().err());
        answer
    }

    /// Asks what is asked by a POST without a body.
    pub(super) async fn post_empty<T: DeserializeOwned>(&self, doing: &str, method: &str) -> Result<T, Error> {
        let request = self.0.http.post(self.url(method));
        let answer = self.ask(doing, request).await.and_then(|value| read(doing, value));
        self.0.outage.observe(method, answer.as_ref().err());
        answer
    }

    /// Writes, once: what may have been done is for the caller to find.
    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        permit: &Permit,
        doing: &str,
        method: &str,
        body: &Value,
    ) -> Result<T, Error> {
        permit.held(doing).await?;
        let request = self.0.http.post(self.url(method)).header(CONTENT_TYPE, JSON).body(body.to_string());
        // What was answered by something that can't be read may be done.
        let answer =
            self.ask(doing, request).await.and_then(|value| read(doing, value)).map_err(|error| match error.kind {
                Kind::Malformed => Error { kind: Kind::Ambiguous, ..error },
                _ => error,
            });
        self.0.outage.observe(method, answer.as_ref().err());
        answer
    }

    /// Every request passes here.
    async fn ask(&self, doing: &str, request_: RequestBuilder) -> Result<Value, Error> {
        if let Some(wait) = self.closed_for() {
            let got = format!("not asked: Slack takes nothing for another {} s", wait.as_secs());
            return Err(Error { kind: Kind::Later(Some(wait)), ..Error::malformed(doing, got) });
        }
        let name = self.0.settings.token_name;
        let token = self.0.settings.token.reveal().map_err(|e| Error {
            source: Some(Box::new(e)),
            ..Error::local(doing, format!("the token of {name} can't be read"))
        })?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            Error::local(doing, format!("{name} holds a line break or another character that no token has"))
        })?;
        authorization.set_sensitive(true);
        let asking = Asking::begin(Upstream::Slack);
        let response = request_
            .header(AUTHORIZATION, authorization)
            .timeout(PATIENCE)
            .send()
            .await
            .inspect_err(|_| asking.ended(None))
            .map_err(|e| Error::transport(doing, e))?;
        let status = response.status();
        asking.ended(Some(status.as_u16()));
        if status == StatusCode::TOO_MANY_REQUESTS {
            let wait = retry_after(response.headers()).unwrap_or(CLOSED_FOR);
            self.close_until(after(self.0.clock.now(), wait));
            let got = format!("{status}: wait {} s", wait.as_secs());
            return Err(Error { kind: Kind::Later(Some(wait)), ..Error::malformed(doing, got) });
        }
        if !status.is_success() {
            let advice =
                status.is_redirection().then_some("does SLACK_API_URL lead to Slack's API? Redirects are not followed");
            let error = Error::answer(doing, response, advice).await;
            // A gateway may say 503 after it passed a write on; a read is asked again either way.
            let kind = match status {
                status if status.is_server_error() => Kind::Ambiguous,
                // Slack refuses by `ok:false`: this is something in front of it, and may pass.
                status if status.is_client_error() => Kind::Later(None),
                _ => error.kind,
            };
            return Err(Error { kind, ..error });
        }
        let value: Value = read_json(doing, response).await?;
        if value.get("ok").and_then(Value::as_bool) == Some(true) {
            return Ok(value);
        }
        Err(self.refused(doing, value))
    }

    fn refused(&self, doing: &str, value: Value) -> Error {
        let Ok(said) = NotOk::deserialize(value) else {
            return Error::malformed(doing, "an answer that is not Slack's: it has no `ok`");
        };
        let error: String = said.error.chars().filter(|c| c.is_ascii_graphic()).take(60).collect();
        let needed: String =
            said.needed.iter().flat_map(|n| n.chars()).filter(|c| c.is_ascii_graphic()).take(80).collect();
        let settings = &self.0.settings;
        let mut got = format!("Slack says {error:?} ({}, {})", settings.token_name, settings.channel_name);
        if !needed.is_empty() {
            got.push_str(&format!(", and needs {needed}"));
        }
        Error { advice: advice(&error), kind: error_kind(&error), ..Error::malformed(doing, got) }
    }

    fn closed_for(&self) -> Option<Duration> {
        let until = (*self.0.closed_until.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(between(self.0.clock.now(), until)).filter(|wait| !wait.is_zero())
    }

    fn close_until(&self, until: Timestamp) {
        *self.0.closed_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}

fn read<T: DeserializeOwned>(doing: &str, value: Value) -> Result<T, Error> {
    T::deserialize(value).map_err(|e| Error {
        source: Some(Box::new(e)),
        ..Error::malformed(doing, "an answer that lacks what it must have")
    })
}
