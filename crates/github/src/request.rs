//! One request to GitHub, and what an answer means.

use std::sync::PoisonError;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LINK};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::GitHub;
use outbound::error::{Error, Kind};
use outbound::headers::{date, number, retry_after};
use outbound::http::read_json;
use outbound::metrics::{Asking, Upstream};
use outbound::permit::Permit;
use runbook::span::{after, between};

/// Longest wait for one whole answer: `runbook::notify::TIMES` go by it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait after a rate limit that does not say.
const CLOSED_FOR: Duration = Duration::from_secs(60);
/// The longest wait that is believed.
const LONGEST: Duration = Duration::from_secs(3600);
const JSON: &str = "application/vnd.github+json";

impl GitHub {
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.0.settings.api_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Reads one thing; and whether another page follows. The link to it is never dialled.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        doing: &str,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<(T, bool), Error> {
        let request = self.0.http.get(self.url(segments)).query(query);
        let answer = async {
            let response = self.ask(doing, request).await?;
            let more = has_next(response.headers());
            Ok((read_json(doing, response).await?, more))
        };
        let answer = answer.await;
        self.0.outage.observe(if segments.len() > 1 { "GET issues" } else { "GET user" }, answer.as_ref().err());
        answer
    }

    /// Writes, once: what may have been done is for the caller to find.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        permit: &Permit,
        doing: &str,
        segments: &[&str],
        body: &Value,
    ) -> Result<T, Error> {
        permit.held(doing).await?;
        let request = self.0.http.post(self.url(segments)).json(body);
        let answer = async { read_json(doing, self.ask(doing, request).await?).await };
        // What was answered by a success that can't be read is probably done.
        let answer = answer.await.map_err(|error: Error| match error.kind {
            Kind::Malformed => Error { kind: Kind::Ambiguous, ..error },
            _ => error,
        });
        self.0.outage.observe("POST issues", answer.as_ref().err());
        answer
    }

    /// Every request passes here.
    async fn ask(&self, doing: &str, request_: RequestBuilder) -> Result<Response, Error> {
        let closed = *self.0.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = closed.map(|until| between(self.0.clock.now(), until)).filter(|wait| !wait.is_zero());
        if let Some(wait) = closed {
            let got = format!("not asked: GitHub takes nothing for another {} s", wait.as_secs());
            return Err(Error { kind: Kind::Later(Some(wait)), ..Error::malformed(doing, got) });
        }
        let token = self.0.settings.token.reveal().map_err(|e| Error {
            advice: Some("is the file of GHE_TOKEN_FILE there, and may it be read?"),
            source: Some(Box::new(e)),
            ..Error::local(doing, "the token can't be read")
        })?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| Error::local(doing, "GHE_TOKEN holds a line break or another character that no token has"))?;
        authorization.set_sensitive(true);
        let asking = Asking::begin(Upstream::Ghe);
        let response = request_
            .header(ACCEPT, JSON)
            .header(AUTHORIZATION, authorization)
            .timeout(PATIENCE)
            .send()
            .await
            .inspect_err(|_| asking.ended(None))
            .map_err(|e| Error::transport(doing, e))?;
        let status = response.status();
        asking.ended(Some(status.as_u16()));
        if status.is_success() {
            return Ok(response);
        }
        let limited = rate_limit(status, response.headers());
        let error = Error::answer(doing, response, advice(status)).await;
        let kind = match limited {
            Some(wait) => {
                let until = after(self.0.clock.now(), wait);
                *self.0.closed_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
                Kind::Later(Some(wait))
            }
            // A gateway may say 503 after it passed a write on; a read is asked again either way.
            None if status.is_server_error() => Kind::Ambiguous,
            // The secondary one may say so in words only.
            None if status == StatusCode::FORBIDDEN && error.got.to_lowercase().contains("rate limit") => {
                Kind::Later(Some(CLOSED_FOR))
            }
            None => error.kind,
        };
        Err(Error { kind, ..error })
    }
}

/// How long to wait, where this answer is a rate limit: GitHub says 403 as well as 429.
fn rate_limit(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let is_used_up = number(headers, "x-ratelimit-remaining") == Some(0);
    let may_be = status == StatusCode::TOO_MANY_REQUESTS
        || (status == StatusCode::FORBIDDEN && (is_used_up || headers.contains_key("retry-after")));
    if !may_be {
        return None;
    }
    // By GitHub's own clock.
    let reset = || {
        let at = i64::try_from(number(headers, "x-ratelimit-reset")?).ok()?;
        Some(between(date(headers, "date")?, jiff::Timestamp::from_second(at).ok()?))
    };
    Some(retry_after(headers).or_else(reset).unwrap_or(CLOSED_FOR).min(LONGEST))
}

/// Whether `Link` names a next page.
fn has_next(headers: &HeaderMap) -> bool {
    let links = headers.get_all(LINK).iter().filter_map(|link| link.to_str().ok());
    links.flat_map(|link| link.split(',')).any(|link| link.contains("rel=\"next\"") || link.contains("rel=next"))
}

fn advice(status: StatusCode) -> Option<&'static str> {
    Some(match status.as_u16() {
        401 => "GitHub does not accept GHE_TOKEN: make a new one for that host, and see that it has not expired",
        403 => "GHE_TOKEN may not do this: it needs the scope repo, or issues read and write for GHE_REPO",
        404 => "GHE_REPO does not exist, or GHE_TOKEN may not see it; GHE_API_URL is https://<host>/api/v3",
        410 => "issues are turned off in GHE_REPO: turn them on in its settings",
        300..=399 => "redirects are not followed: was the repository renamed? Does GHE_API_URL lead to the API?",
        _ => return None,
    })
}
