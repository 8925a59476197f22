//! One request to PagerDuty: its URL, its headers, and what an answer means.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::limit::Priority;
use super::model::is_id;
use super::{Error, Kind, PagerDuty};
use outbound::error::EXCERPT;
use outbound::headers::{date, is_html, retry_after};
use outbound::http::read_json;
use outbound::metrics::{Asking, Upstream};
use outbound::permit::Permit;
use outbound::retry::{Retries, retry};
use runbook::json;
use runbook::span::after;

/// The version of the API that these types are of.
const VERSION: &str = "application/vnd.pagerduty+json;version=2";
const JSON: &str = "application/json";
/// Who a write is from.
const FROM: HeaderName = HeaderName::from_static("from");
/// No read is asked again later than this: where PagerDuty hangs, a diagnosis goes on without it.
const LAST_TRY: Duration = Duration::from_secs(30);
/// How long a read waits for its turn: whatever the rate limit is used up by, there are some again within 70 s.
const TURN: Duration = Duration::from_secs(75);
/// No write is begun later than this after it was asked for: see `runbook::writes::Times::PAGERDUTY`.
const WRITE_WITHIN: Duration = Duration::from_secs(120);
/// How much of an error's body is read.
const MAX_ERROR: usize = 64 * 1024;

/// An answer that is no success, with what PagerDuty says of it.
pub(super) struct Failure {
    pub(super) error: Error,
    /// Message and details of the error body, in one line.
    pub(super) text: String,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, text: String::new() }
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetails,
}

#[derive(Deserialize)]
struct ErrorDetails {
    #[serde(default, deserialize_with = "json::or_default")]
    message: Option<String>,
    #[serde(default, deserialize_with = "json::or_default")]
    code: Option<i64>,
    #[serde(default)]
    errors: Value,
}

/// An id that may stand in a URL.
pub(super) fn checked<'a>(doing: &str, id: &'a str) -> Result<&'a str, Error> {
    if is_id(id) {
        Ok(id)
    } else {
        Err(Error::local(doing, "that is not a PagerDuty id: ids are letters and digits only"))
    }
}

impl PagerDuty {
    /// `segments` on the configured origin, each percent-encoded, with a query.
    pub(super) fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.0.api_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Reads one thing, asking again where that may help.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        doing: &str,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        let url = self.url(segments, query);
        self.turn(doing, self.0.priority, after(self.0.clock.now(), TURN)).await?;
        let has_turn = AtomicBool::new(true);
        let deadline = after(self.0.clock.now(), LAST_TRY);
        let answer = retry(&self.0.clock, Retries::READ, Some(deadline), || async {
            if !has_turn.swap(false, Ordering::Relaxed) {
                self.turn(doing, self.0.priority, deadline).await?;
            }
            let request = self.0.http.get(url.clone());
            let response = self.send(doing, request, false).await?;
            read_json(doing, response).await
        })
        .await;
        self.0.outage.observe(&call("GET", segments), answer.as_ref().err());
        answer
    }

    /// Writes. Asked again only where it was certainly not done; a replacement (PUT) also where it may have been, since done
    /// twice it is done once.
    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        permit: &Permit,
        doing: &str,
        method: Method,
        segments: &[&str],
        body: &Value,
    ) -> Result<T, Failure> {
        let deadline = after(self.0.clock.now(), WRITE_WITHIN);
        self.write_by(permit, doing, method, segments, body, deadline).await
    }

    /// The same; it is not begun after the `deadline`.
    pub(super) async fn write_by<T: DeserializeOwned>(
        &self,
        permit: &Permit,
        doing: &str,
        method: Method,
        segments: &[&str],
        body: &Value,
        deadline: Timestamp,
    ) -> Result<T, Failure> {
        let url = self.url(segments, &[]);
        let again = |error: &Error| {
            matches!(error.kind, Kind::Later(_)) || method == Method::PUT && matches!(error.kind, Kind::Ambiguous)
        };
        // The inner result is final, the outer one is worth a retry.
        let done = retry(&self.0.clock, Retries::READ, Some(deadline), || async {
            self.turn(doing, Priority::Tell, deadline).await?;
            self.held(permit, doing, deadline).await?;
            let request = self.0.http.request(method.clone(), url.clone()).header(FROM, &self.0.from);
            // A deletion has no body, and its answer none.
            let request = if body.is_null() { request.header(CONTENT_TYPE, JSON) } else { request.json(body) };
            match self.send(doing, request, true).await {
                Ok(response) if is_empty(&response) => Ok(serde_json::from_value(Value::Null).map_err(|e| {
                    done_perhaps(Error::malformed(doing, format!("an answer that can't be read: {e}"))).into()
                })),
                Ok(response) => match read_json(doing, response).await.map_err(done_perhaps) {
                    Err(error) if again(&error) => Err(error),
                    answer => Ok(answer.map_err(Failure::from)),
                },
                Err(failure) if again(&failure.error) => Err(failure.error),
                Err(failure) => Ok(Err(failure)),
            }
        });
        let done = done.await.unwrap_or_else(|error| Err(error.into()));
        let error = done.as_ref().err().map(|failure: &Failure| &failure.error);
        self.0.outage.observe(&call(method.as_str(), segments), error);
        done
    }

    /// Waits until the claim of who writes holds, but begins nothing after the `deadline`.
    pub(super) async fn held(&self, permit: &Permit, doing: &str, deadline: Timestamp) -> Result<(), Error> {
        permit.held(doing).await?;
        if self.0.clock.now() < deadline {
            return Ok(());
        }
        Err(Error {
            advice: Some("the process or the database stood still meanwhile: it is tried again"),
            kind: Kind::Later(None),
            ..Error::malformed(doing, "not asked: too much time passed before it could be")
        })
    }

    /// Waits for a turn within the rate limit that all share.
    async fn turn(&self, doing: &str, priority: Priority, deadline: Timestamp) -> Result<(), Error> {
        self.0.limit.turn(priority, deadline).await.map_err(|wait| Error {
            doing: doing.to_owned(),
            got: format!("not asked: the rate limit leaves no place for another {} s", wait.as_secs()),
            advice: advice(StatusCode::TOO_MANY_REQUESTS, None),
            kind: Kind::Later(Some(wait)),
            source: None,
        })
    }

    /// Every request to PagerDuty passes here, in its turn: headers are added, and what is no success becomes a
    /// [`Failure`].
    async fn send(&self, doing: &str, request: RequestBuilder, is_write: bool) -> Result<Response, Failure> {
        let token = self.0.token.reveal().map_err(|e| Error {
            advice: Some("is the file of PAGERDUTY_API_TOKEN_FILE there, and may it be read?"),
            source: Some(Box::new(e)),
            ..Error::local(doing, "the API token can't be read")
        })?;
        let mut authorization = HeaderValue::from_str(&format!("Token token={token}")).map_err(|_| Error {
            advice: Some("PAGERDUTY_API_TOKEN holds a line break or another character that no token has"),
            ..Error::local(doing, "the API token can't be sent")
        })?;
        authorization.set_sensitive(true);
        // `json` has given a write its Content-Type already, and a header set again would be sent twice.
        let asked = self.0.clock.now();
        let request = if is_write { request } else { request.header(CONTENT_TYPE, JSON) };
        let asking = Asking::begin(Upstream::PagerDuty);
        let response = request
            .header(ACCEPT, VERSION)
            .header(AUTHORIZATION, authorization)
            .timeout(self.0.patience)
            .send()
            .await
            .inspect_err(|_| asking.ended(None))
            .map_err(|e| Error::transport(doing, e))?;
        asking.ended(Some(response.status().as_u16()));
        self.0.limit.observe(response.status(), response.headers());
        self.learn_time(asked, date(response.headers(), "date"));
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(failure(doing, response, &token, is_write).await)
        }
    }

    /// An answer to what was asked at `asked` came now, with this `Date`.
    fn learn_time(&self, asked: Timestamp, date: Option<Timestamp>) {
        let mut skew = self.0.skew.lock().unwrap_or_else(PoisonError::into_inner);
        match date {
            Some(date) => skew.observe(asked, self.0.clock.now(), date),
            None => skew.undated(),
        }
    }
}

/// Whether an answer has no body: 204, or a 202 of which nothing is described.
fn is_empty(response: &Response) -> bool {
    response.status() == StatusCode::NO_CONTENT || response.content_length() == Some(0)
}

/// A call without its ids: `GET incidents notes`.
fn call(method: &str, segments: &[&str]) -> String {
    let names: Vec<&str> = segments.iter().step_by(2).copied().collect();
    let one = if segments.len().is_multiple_of(2) { " one" } else { "" };
    format!("{method} {}{one}", names.join(" "))
}

/// A write that was answered by a success which can't be read has probably been done: look before asking again.
fn done_perhaps(mut error: Error) -> Error {
    if error.kind == Kind::Malformed {
        error.kind = Kind::Ambiguous;
    }
    error
}

/// What an answer that is no success means.
async fn failure(doing: &str, mut response: Response, token: &str, is_write: bool) -> Failure {
    let status = response.status();
    let wait = retry_after(response.headers());
    let html = is_html(&response);
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk[..chunk.len().min(MAX_ERROR - body.len())]);
        if body.len() >= MAX_ERROR {
            break;
        }
    }
    let details = json::read::<ErrorBody>(&body).ok().map(|body| body.error);
    let code = details.as_ref().and_then(|details| details.code);
    let text = match details {
        _ if html => "an HTML page".to_owned(),
        Some(details) => in_words(&details),
        None => String::from_utf8_lossy(&body).into_owned(),
    };
    let text = quotable(&text, token);
    let kind = match status.as_u16() {
        429 => Kind::Later(wait),
        // A gateway may say 503 after it passed a write on.
        503 if !is_write => Kind::Later(wait),
        408 | 500..=599 => Kind::Ambiguous,
        _ => Kind::Refused(status),
    };
    let got = if text.is_empty() { status.to_string() } else { format!("{status}: {text}") };
    Failure { error: Error { doing: doing.to_owned(), got, advice: advice(status, code), kind, source: None }, text }
}

/// What may be quoted of an answer: bounded, without control characters, and without the secret that was sent: a proxy
/// that echoes requests must not put it into our logs and notes.
pub(super) fn quotable(text: &str, secret: &str) -> String {
    let text = if secret.is_empty() { text.to_owned() } else { text.replace(secret, "[secret]") };
    let text: String = text.chars().take(EXCERPT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.trim().to_owned()
}

/// `Invalid Input Provided (code 2001): Title can't be blank`.
fn in_words(details: &ErrorDetails) -> String {
    let mut text = details.message.clone().unwrap_or_default();
    if let Some(code) = details.code {
        text.push_str(&format!(" (code {code})"));
    }
    let more: Vec<String> = match &details.errors {
        Value::Array(errors) => {
            errors.iter().map(|e| e.as_str().map_or_else(|| e.to_string(), str::to_owned)).collect()
        }
        Value::Null => Vec::new(),
        Value::String(error) => vec![error.clone()],
        other => vec![other.to_string()],
    };
    if !more.is_empty() {
        text.push_str(": ");
        text.push_str(&more.join("; "));
    }
    text
}

fn advice(status: StatusCode, code: Option<i64>) -> Option<&'static str> {
    // Seen in the field: 2016 no From, 1008 nobody has that address, 1028 it is no address.
    match (status.as_u16(), code) {
        (400, Some(2016 | 1008 | 1028)) => {
            Some("PAGERDUTY_FROM must be the e-mail address of a user of this PagerDuty account")
        }
        (401, _) => Some(
            "PagerDuty does not accept PAGERDUTY_API_TOKEN: it must be a REST API key (not an integration key) of the \
             account and region that PAGERDUTY_API_URL leads to",
        ),
        (402, _) => Some("the account's plan does not include this"),
        (403, _) => {
            Some("PAGERDUTY_API_TOKEN may not do this: it needs a key that is not read-only and sees the service")
        }
        (404, _) => Some("it does not exist, or PAGERDUTY_API_TOKEN may not see it"),
        (429, _) => Some("the rate limit is used up: who else uses PAGERDUTY_API_TOKEN?"),
        (300..=399, _) => Some("redirects are not followed: does PAGERDUTY_API_URL lead to PagerDuty's API?"),
        _ => None,
    }
}
