//! The Events API v2: opens an incident by a service's routing key, and never says which.
//!
//! It is another host with another credential: the REST API's token never goes there, and the routing key nowhere else.

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::incidents::{MAX_TITLE, check_key};
use super::request::quotable;
use super::{Error, Kind, PagerDuty};
use outbound::headers::retry_after;
use outbound::http::read_json;
use outbound::metrics::{Asking, Upstream};
use outbound::permit::Permit;
use outbound::retry::{Retries, retry};
use outbound::secret::Secret;
use runbook::json;

/// What [`NewEvent::details`] may have at most; an event as a whole may have 512 KB.
const MAX_DETAILS: usize = 100_000;
/// How much of an error's body is read.
const MAX_ERROR: usize = 16 * 1024;

/// A page by way of the Events API.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its summary, which becomes the incident's title; what is beyond 1,024 characters is cut.
    pub summary: String,
    /// Its de-duplication key, at most 255 characters: while an incident with it is open, no other is opened.
    pub dedup_key: String,
    /// What is broken: the region.
    pub source: String,
    /// Its body, for people.
    pub details: String,
    /// The run's view; left out where empty.
    pub client_url: String,
    /// It is not handed in after this.
    pub by: Timestamp,
}

#[derive(Deserialize)]
struct Accepted {
    status: String,
}

impl PagerDuty {
    /// Hands a page to the Events API. That it was taken is not that somebody is paged: its incident is to be looked up
    /// by [`PagerDuty::incidents_with_key`], and may take a while.
    ///
    /// Asked again only where it was certainly not taken (429, no connection).
    ///
    /// # Errors
    /// It was refused, or the routing key can't be read; or, as [`Kind::Ambiguous`], it may have been taken.
    pub async fn enqueue(
        &self,
        permit: &Permit,
        events_url: &Url,
        routing_key: &Secret,
        event: &NewEvent,
    ) -> Result<(), Error> {
        let doing = format!("handing a page to PagerDuty's Events API at {events_url}");
        check_key(&doing, &event.dedup_key)?;
        let key = routing_key.reveal().map_err(|e| Error {
            advice: Some("is the file of ESCALATION_ROUTING_KEY_FILE there, and may it be read?"),
            source: Some(Box::new(e)),
            ..Error::local(&doing, "the routing key can't be read")
        })?;
        let url = enqueue_url(events_url);
        let summary: String = event.summary.chars().take(MAX_TITLE).collect();
        let details: String = event.details.chars().take(MAX_DETAILS).collect();
        let mut body = json!({
            "routing_key": key,
            "event_action": "trigger",
            "dedup_key": event.dedup_key,
            "client": "se-responder",
            "payload": {
                "summary": summary,
                "source": event.source,
                "severity": "critical",
                "custom_details": {"details": details},
            },
        });
        if !event.client_url.is_empty() {
            body["client_url"] = Value::from(event.client_url.as_str());
        }
        let deadline = event.by;
        // The inner result is final, the outer one is worth a retry.
        let done = retry(&self.0.clock, Retries::READ, Some(deadline), || async {
            self.held(permit, &doing, deadline).await?;
            match self.send_event(&doing, &url, &body, &key).await {
                Err(error) if matches!(error.kind, Kind::Later(_)) => Err(error),
                done => Ok(done),
            }
        });
        let done = done.await.unwrap_or_else(Err);
        self.0.outage.observe("POST v2 enqueue", done.as_ref().err());
        done
    }

    /// Whether the Events API answers at this address, without an event: nobody is paged by it. The routing key does not
    /// go along, so that it says nothing of the key.
    ///
    /// # Errors
    /// Nothing answers there, or only an outage or a redirect does.
    pub async fn reach_events(&self, events_url: &Url) -> Result<(), Error> {
        let doing = format!("asking whether PagerDuty's Events API answers at {events_url}");
        let url = enqueue_url(events_url);
        let asking = Asking::begin(Upstream::PagerDuty);
        let sent = self.0.http.get(url).timeout(self.0.patience).send().await;
        let response = sent.inspect_err(|_| asking.ended(None)).map_err(|e| Error::transport(&doing, e))?;
        let status = response.status();
        asking.ended(Some(status.as_u16()));
        // It takes only POST, and says so: any such answer shows that it is there.
        if status.is_redirection() || status.is_server_error() {
            return Err(Error { advice: advice(status), ..Error::answer(doing, response, None).await });
        }
        Ok(())
    }

    async fn send_event(&self, doing: &str, url: &Url, body: &Value, key: &str) -> Result<(), Error> {
        let request = self.0.http.post(url.clone()).json(body).timeout(self.0.patience);
        let asking = Asking::begin(Upstream::PagerDuty);
        let sent = request.send().await.inspect_err(|_| asking.ended(None));
        let mut response = sent.map_err(|e| Error::transport(doing, e))?;
        asking.ended(Some(response.status().as_u16()));
        let status = response.status();
        if status.is_success() {
            // What can't be read, a proxy's page say, may have been taken all the same.
            let unsure = |got: String| Error { kind: Kind::Ambiguous, ..Error::malformed(doing, got) };
            let accepted: Accepted = read_json(doing, response).await.map_err(|e| unsure(quotable(&e.got, key)))?;
            return match accepted.status.as_str() {
                "success" => Ok(()),
                other => Err(unsure(format!("{status} with the status {:?}", quotable(other, key)))),
            };
        }
        let wait = retry_after(response.headers());
        let is_html = response.headers().get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"text/html"));
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            bytes.extend_from_slice(&chunk[..chunk.len().min(MAX_ERROR - bytes.len())]);
            if bytes.len() >= MAX_ERROR {
                break;
            }
        }
        let text = if is_html { "an HTML page".to_owned() } else { quotable(&in_words(&bytes), key) };
        let kind = match status.as_u16() {
            429 => Kind::Later(wait),
            408 | 500..=599 => Kind::Ambiguous,
            _ => Kind::Refused(status),
        };
        let got = if text.is_empty() { status.to_string() } else { format!("{status}: {text}") };
        Err(Error { doing: doing.to_owned(), got, advice: advice(status), kind, source: None })
    }
}

/// Where events are handed in.
fn enqueue_url(events_url: &Url) -> Url {
    let mut url = events_url.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["v2", "enqueue"]);
    }
    url
}

/// `Event object is invalid: 'routing_key' is not known`.
fn in_words(body: &[u8]) -> String {
    let Ok(answer) = json::read::<Value>(body) else { return String::from_utf8_lossy(body).into_owned() };
    let errors = answer["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let all: Vec<&str> = answer["message"].as_str().into_iter().chain(errors).collect();
    if all.is_empty() { answer.to_string() } else { all.join(": ") }
}

fn advice(status: StatusCode) -> Option<&'static str> {
    match status.as_u16() {
        400 => Some(
            "is ESCALATION_ROUTING_KEY the 32 characters of an Events API v2 integration of that service, and does \
             PAGERDUTY_EVENTS_URL lead to the account's region?",
        ),
        429 => Some("the rate limit is used up: who else uses ESCALATION_ROUTING_KEY?"),
        300..=399 => Some("redirects are not followed: does PAGERDUTY_EVENTS_URL lead to PagerDuty's Events API?"),
        401..=404 => Some("does PAGERDUTY_EVENTS_URL lead to PagerDuty's Events API?"),
        _ => None,
    }
}
