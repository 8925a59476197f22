//! The one HTTP client, and JSON answers of a bounded size.

use std::time::Duration;

use reqwest::Response;
use runbook::json;

use crate::error::{Error, Kind, innermost};
use crate::headers::is_html;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the next byte of an answer. PagerDuty and Jenkins answer in well under a second when well.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// How much of a JSON answer is read: PagerDuty's longest page of 100 incidents is well under it.
const MAX_JSON: usize = 16 * 1024 * 1024;

/// Reads a JSON answer of a bounded size, repaired where strict JSON refuses it.
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
    json::read(&body).map_err(|e| Error {
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
/// The TLS setup of the machine is unusable (no root certificates, say).
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn http_client() -> Result<reqwest::Client, Error> {
    built(reqwest::Client::builder())
}

/// The same for this machine itself: no proxy is between.
///
/// # Errors
/// As [`http_client`].
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn local_client() -> Result<reqwest::Client, Error> {
    built(reqwest::Client::builder().no_proxy())
}

fn built(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, Error> {
    builder
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_of_all_upstreams_can_be_built_in_one_process() {
        http_client().unwrap();
    }
}
