//! What is asked of others: PagerDuty, Jenkins, clusters. One policy of time limits, retries and errors for all.
//!
//! Nothing outside this module makes a request. Credentials go to the configured origin only: redirects are never
//! followed, and links in answers are read for their ids, never dialled.

pub mod cluster;
pub mod fence;
pub mod jenkins;
pub mod outage;
pub mod pagerduty;
mod skew;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};

use crate::clock::{Clock, after, between};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the next byte of an answer. PagerDuty and Jenkins answer in well under a second when well.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// How much of an error's body is quoted.
const EXCERPT: usize = 300;
/// How much of a JSON answer is read: PagerDuty's longest page of 100 incidents is well under it.
const MAX_JSON: usize = 16 * 1024 * 1024;

/// A question that was not answered as it should be: what was being done, what came back, what to do about it.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    /// What was being done, to what: `starting a build of https://…`.
    pub doing: String,
    /// What came back.
    pub got: String,
    /// What a person can do about it.
    pub advice: Option<&'static str>,
    /// What it means for the caller.
    pub kind: Kind,
    /// The library's own error.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a failure means for the one who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was answered, and the answer is no: asking again changes nothing.
    Refused(StatusCode),
    /// It was certainly not done, and may work later (429, no connection; for a read, 503); with the wait that was
    /// asked for.
    Later(Option<Duration>),
    /// It may or may not have been done: the request went out and no answer came (or a 5xx that doesn't tell).
    Ambiguous,
    /// An answer came that makes no sense.
    Malformed,
    /// Something here is missing: a secret's file, a context.
    Local,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.got)?;
        match self.advice {
            Some(advice) => write!(f, " ({advice})"),
            None => Ok(()),
        }
    }
}

impl Error {
    /// Whether asking again may help. For a write, only [`Kind::Later`] may be asked again without looking first.
    pub fn is_worth_a_retry(&self) -> bool {
        matches!(self.kind, Kind::Later(_) | Kind::Ambiguous)
    }

    /// Whether it may be another answer later though nothing changes on our side: a gateway, a sign-in page or a redirect
    /// stands in the way for a while, or (where they are `renewable`) our credentials are about to be renewed on disk.
    pub fn may_pass(&self, renewable: bool) -> bool {
        match self.kind {
            Kind::Later(_) | Kind::Ambiguous | Kind::Malformed => true,
            Kind::Local => renewable,
            Kind::Refused(status) => status.is_redirection() || (renewable && status == StatusCode::UNAUTHORIZED),
        }
    }

    /// The status of a refusal.
    pub fn status(&self) -> Option<StatusCode> {
        match self.kind {
            Kind::Refused(status) => Some(status),
            _ => None,
        }
    }

    /// A failure of the transport, from reqwest. `doing` as in [`Error::doing`].
    pub fn transport(doing: impl Into<String>, error: reqwest::Error) -> Self {
        let kind = if error.is_connect() || error.is_builder() { Kind::Later(None) } else { Kind::Ambiguous };
        let got = if error.is_timeout() {
            "no answer in time".to_owned()
        } else if error.is_connect() {
            format!("no connection: {}", innermost(&error))
        } else {
            innermost(&error)
        };
        Self { doing: doing.into(), got, advice: None, kind, source: Some(Box::new(error.without_url())) }
    }

    /// A read's answer that is not what was asked for, by its status; quotes the beginning of its body. A write
    /// must take its 503 for [`Kind::Ambiguous`]: a gateway may say so after it passed the request on.
    pub async fn answer(doing: impl Into<String>, response: Response, advice: Option<&'static str>) -> Self {
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let html = is_html(&response);
        let body = excerpt(response).await;
        let got = match (html, body.is_empty()) {
            (true, _) => format!("{status} with an HTML page"),
            (false, true) => status.to_string(),
            (false, false) => format!("{status}: {body}"),
        };
        let kind = match status.as_u16() {
            429 | 503 => Kind::Later(retry_after),
            408 | 500..=599 => Kind::Ambiguous,
            200..=299 => Kind::Malformed,
            _ => Kind::Refused(status),
        };
        Self { doing: doing.into(), got, advice, kind, source: None }
    }

    /// An answer with the right status that makes no sense.
    pub fn malformed(doing: impl Into<String>, got: impl Into<String>) -> Self {
        Self { doing: doing.into(), got: got.into(), advice: None, kind: Kind::Malformed, source: None }
    }

    /// Something here is missing.
    pub fn local(doing: impl Into<String>, got: impl Into<String>) -> Self {
        Self { doing: doing.into(), got: got.into(), advice: None, kind: Kind::Local, source: None }
    }
}

/// The innermost cause, which is the one that says something: `Connection refused (os error 111)`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The wait that an answer asks for, an hour at most: `Retry-After` in seconds or as a date, else what is left of the
/// rate limit's minute. A date counts from the answer's own `Date`, so that it does not matter how our clocks differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = number(headers, "retry-after").map(Duration::from_secs);
    let by_date = || Some(between(date(headers, "date")?, date(headers, "retry-after")?));
    let reset = || number(headers, "ratelimit-reset").map(Duration::from_secs);
    seconds.or_else(by_date).or_else(reset).map(|wait| wait.min(Duration::from_secs(3600)))
}

/// A header that is a whole number.
fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// A header that is a date as HTTP writes it: `Sun, 22 Nov 2026 22:01:43 GMT`.
fn date(headers: &HeaderMap, name: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(headers.get(name)?.to_str().ok()?).ok().map(|zoned| zoned.timestamp())
}

fn is_html(response: &Response) -> bool {
    response.headers().get("content-type").and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains("text/html"))
}

async fn excerpt(mut response: Response) -> String {
    let mut body = Vec::new();
    while body.len() < EXCERPT {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(EXCERPT)]),
            Ok(None) | Err(_) => break,
        }
    }
    let text = redacted(&String::from_utf8_lossy(&body));
    text.chars().take(EXCERPT).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// A text without what follows the words that credentials are sent with: some proxies answer an error with the request.
fn redacted(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let lower = text.to_ascii_lowercase();
    while let Some((at, lead)) = LEADS
        .iter()
        .filter_map(|lead| Some((lower[text.len() - rest.len()..].find(lead)?, lead)))
        .min_by_key(|(at, _)| *at)
    {
        let secret = &rest[at + lead.len()..];
        let end = secret.find(|c: char| !(c.is_ascii_alphanumeric() || "+/=_-.".contains(c))).unwrap_or(secret.len());
        kept.push_str(&rest[..at + lead.len()]);
        kept.push_str("[…]");
        rest = &secret[end..];
    }
    kept + rest
}

/// What stands before a credential in a header.
const LEADS: [&str; 3] = ["basic ", "bearer ", "token="];

/// Reads a JSON answer of a bounded size.
///
/// # Errors
/// The answer breaks off, is too large, or is no such JSON (a sign-in page, say).
pub async fn read_json<T: serde::de::DeserializeOwned>(doing: &str, mut response: Response) -> Result<T, Error> {
    if is_html(&response) {
        let mut error = Error::malformed(doing, "an HTML page instead of JSON");
        error.advice = Some("a proxy or a sign-in page answers in its place: check the URL and the credentials");
        return Err(error);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| Error::transport(doing, e))? {
        if body.len() + chunk.len() > MAX_JSON {
            return Err(Error::malformed(doing, format!("an answer of more than {MAX_JSON} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|e| Error {
        doing: doing.to_owned(),
        got: format!("an answer that can't be read: {e}"),
        advice: None,
        kind: Kind::Malformed,
        source: Some(Box::new(e)),
    })
}

/// The HTTP client of PagerDuty and Jenkins: time limits, no redirects, our name.
///
/// # Errors
/// The TLS set-up of the machine is unusable (no root certificates, say).
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn http_client() -> Result<reqwest::Client, Error> {
    reqwest::Client::builder()
        .user_agent(concat!("se-responder/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build()
        .map_err(|e| Error {
            doing: "setting up the HTTP client".into(),
            got: innermost(&e),
            advice: Some("are the machine's root certificates installed? Debian: apt-get install ca-certificates"),
            kind: Kind::Local,
            source: Some(Box::new(e)),
        })
}

/// Who asks us to come back later than this is not waited for: the caller decides.
pub const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// How often a question is asked again.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    /// Tries in all.
    pub tries: u32,
    /// The wait after the first failure; it doubles, with jitter of plus or minus a half.
    pub first_wait: Duration,
    /// The longest wait of our own; who asks for a longer one gets it, up to [`LONGEST_ASKED`].
    pub longest_wait: Duration,
}

impl Retries {
    /// For reads during a run: about ten seconds in all.
    pub const READ: Self =
        Self { tries: 5, first_wait: Duration::from_millis(300), longest_wait: Duration::from_secs(5) };

    /// How long to wait before try `next` (2 is the first repetition): pure.
    pub fn wait_before(self, next: u32, asked: Option<Duration>, jitter: f64) -> Duration {
        let doubled = self.first_wait.saturating_mul(1 << next.saturating_sub(2).min(16));
        let own = doubled.mul_f64(0.5 + jitter.clamp(0.0, 1.0)).min(self.longest_wait);
        // Never before what was asked for; with jitter, so that not everybody comes back at once.
        asked.map_or(own, |asked| asked.max(own) + self.first_wait.mul_f64(jitter.clamp(0.0, 1.0)))
    }
}

/// Asks until it is answered, refused for good, the tries are used up, or `deadline` is too near for another.
///
/// # Errors
/// The last failure.
pub async fn retry<T, F>(
    clock: &Clock,
    retries: Retries,
    deadline: Option<Timestamp>,
    mut ask: impl FnMut() -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut next = 2;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_worth_a_retry() && next <= retries.tries => error,
            Err(error) => return Err(error),
        };
        let asked = if let Kind::Later(asked) = error.kind { asked } else { None };
        if asked.is_some_and(|asked| asked > LONGEST_ASKED) {
            return Err(error);
        }
        let wait = retries.wait_before(next, asked, clock.jitter());
        if deadline.is_some_and(|deadline| after(clock.now(), wait) >= deadline) {
            return Err(error);
        }
        tracing::debug!(error = %error, wait_ms = wait.as_millis(), "asking again");
        crate::metrics::retry("http");
        clock.sleep(wait).await;
        next += 1;
    }
}

/// How often something that was written is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks for something that was written, which may show late: until it is there, or `until`; at least once.
///
/// # Errors
/// The first look that fails.
pub async fn look_until<T, F>(clock: &Clock, until: Timestamp, mut look: impl FnMut() -> F) -> Result<Option<T>, Error>
where
    F: Future<Output = Result<Option<T>, Error>>,
{
    loop {
        let last = clock.now() >= until;
        let found = look().await?;
        if found.is_some() || last {
            return Ok(found);
        }
        clock.sleep(LOOK_EVERY.min(between(clock.now(), until).max(Duration::from_millis(1)))).await;
    }
}

/// Gives up at `deadline`.
///
/// # Errors
/// `doing` took too long; or its own failure.
pub async fn by_deadline<T>(
    clock: &Clock,
    deadline: Timestamp,
    doing: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        result = work => result,
        () = clock.sleep(between(clock.now(), deadline)) => Err(Error {
            doing: doing.to_owned(), got: "not done in time".into(), advice: None, kind: Kind::Ambiguous, source: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_respect_what_was_asked() {
        let retries = Retries::READ;
        assert_eq!(retries.wait_before(2, None, 0.5), Duration::from_millis(300));
        assert_eq!(retries.wait_before(3, None, 0.5), Duration::from_millis(600));
        assert_eq!(retries.wait_before(40, None, 1.0), Duration::from_secs(5));
        assert_eq!(retries.wait_before(2, Some(Duration::from_secs(2)), 0.0), Duration::from_secs(2));
        assert_eq!(retries.wait_before(2, Some(Duration::from_secs(20)), 0.0), Duration::from_secs(20));
        assert_eq!(retries.wait_before(2, Some(Duration::from_secs(20)), 1.0), Duration::from_millis(20_300));
    }

    #[test]
    fn the_wait_that_is_asked_for_is_read_in_seconds_or_as_a_date() {
        let asked = |pairs: &[(&'static str, &str)]| {
            let pair = |(name, value): &(&'static str, &str)| (name.parse().unwrap(), value.parse().unwrap());
            retry_after(&pairs.iter().map(pair).collect::<HeaderMap>()).map(|wait| wait.as_secs())
        };
        let at = ("date", "Sun, 22 Nov 2026 22:01:43 GMT");
        assert_eq!(asked(&[]), None);
        assert_eq!(asked(&[("retry-after", "17"), ("ratelimit-reset", "3")]), Some(17));
        assert_eq!(asked(&[("ratelimit-reset", "3")]), Some(3));
        assert_eq!(asked(&[("retry-after", "Sun, 22 Nov 2026 22:02:00 GMT"), at]), Some(17));
        assert_eq!(asked(&[("retry-after", "Sun, 22 Nov 2026 22:00:00 GMT"), at]), Some(0));
        assert_eq!(asked(&[("retry-after", "Sun, 22 Nov 2026 22:02:00 GMT")]), None, "by whose clock?");
        assert_eq!(asked(&[("retry-after", "soon"), at]), None);
        assert_eq!(asked(&[("retry-after", "99999")]), Some(3600));
    }

    #[test]
    fn credentials_that_come_back_are_not_quoted() {
        for (text, quoted) in [
            ("no secret", "no secret"),
            ("Authorization: Basic dXNlcjp0b2tlbg== bad", "Authorization: Basic […] bad"),
            ("BEARER abc.def, token=u+x\"; Basic", "BEARER […], token=[…]\"; Basic"),
            ("Token token=abc, ünïcode Basic x", "Token token=[…], ünïcode Basic […]"),
        ] {
            assert_eq!(redacted(text), quoted);
        }
    }

    #[test]
    fn the_clients_of_all_upstreams_can_be_built_in_one_process() {
        http_client().unwrap();
    }
}
