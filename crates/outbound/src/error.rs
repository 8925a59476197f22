//! A question that was not answered as it should be.

use std::fmt;
use std::time::Duration;

use reqwest::{Response, StatusCode};

use crate::headers::{is_html, retry_after};

/// How much of an error's body is quoted.
pub const EXCERPT: usize = 300;
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

/// The same failure, for all who asked at once; the library's own error stays with the first.
impl Clone for Error {
    fn clone(&self) -> Self {
        let Self { doing, got, advice, kind, source: _ } = self;
        Self { doing: doing.clone(), got: got.clone(), advice: *advice, kind: *kind, source: None }
    }
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

    /// Whether what was asked for, a write, was certainly not done. What is not certain is looked for before it is asked for
    /// again.
    pub fn is_certainly_not_done(&self) -> bool {
        matches!(self.kind, Kind::Later(_) | Kind::Refused(_) | Kind::Local)
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
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
