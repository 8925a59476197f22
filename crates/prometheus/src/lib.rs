//! Asks Prometheus: instant queries, and their answers as samples.
//!
//! Every address is built on the configured URL, a path in it is kept, and the token goes nowhere else: no redirect is
//! followed. It is asked by GET: queries are short, it can be seen to change nothing, and proxies that let nothing but reads
//! through pass it.
//!
//! It knows Prometheus' API, and must not know what a sample means. Begin with [`Prometheus::query`].

mod answer;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Response, StatusCode};
use tokio::sync::Semaphore;
use url::Url;

use outbound::clock::Clock;
use outbound::error::{Error, Kind};
use outbound::http::{http_client, read_json};
use outbound::metrics::{Asking, Upstream};
use outbound::outage::Outage;
use outbound::retry::{Retries, by_deadline, retry};
use outbound::secret::Secret;
use runbook::diagnosis::client::sample::Vector;

/// How many queries are under way at a time.
const AT_ONCE: usize = 8;
/// A query is asked again soon or not at all: whoever asks has seconds.
const RETRIES: Retries =
    Retries { tries: 3, first_wait: Duration::from_millis(200), longest_wait: Duration::from_secs(2) };

/// How Prometheus is reached.
#[derive(Clone, Debug)]
pub struct PrometheusSettings {
    /// `prometheus_url`: `api/v1/query` is asked under it.
    pub url: Url,
    /// `PROMETHEUS_TOKEN`: a bearer token, where one is needed.
    pub token: Option<Secret>,
}

/// One Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    http: reqwest::Client,
    query: Url,
    token: Option<Secret>,
    clock: Clock,
    places: Semaphore,
    outage: Outage,
}

impl Prometheus {
    /// A client for these settings. Asks nothing yet.
    ///
    /// # Errors
    /// The machine's TLS setup is unusable, or the URL can't be asked by HTTP.
    pub fn new(settings: PrometheusSettings, clock: Clock) -> Result<Self, Error> {
        let PrometheusSettings { mut url, token } = settings;
        let path = format!("{}/api/v1/query", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.set_query(None);
        url.set_fragment(None);
        // Credentials in the URL would be sent in place of the token.
        if url.set_username("").is_err() || url.set_password(None).is_err() {
            return Err(Error::local("reading prometheus_url", format!("{url} can't be reached by HTTP")));
        }
        let (places, outage) = (Semaphore::new(AT_ONCE), Outage::new("Prometheus", clock.clone()));
        Ok(Self { http: http_client()?, query: url, token, clock, places, outage })
    }

    /// Where queries are asked.
    pub fn url(&self) -> &Url {
        &self.query
    }

    /// The samples of an instant query, evaluated now by Prometheus' own clock.
    ///
    /// # Errors
    /// No answer by `deadline`, a refusal (the query can't be parsed, the token is not taken), or an answer that is no vector.
    pub async fn query(&self, query: &str, deadline: Timestamp) -> Result<Vector, Error> {
        let doing = format!("asking {} for {query}", self.query);
        let asked = by_deadline(&self.clock, deadline, &doing, async {
            let _place = self.places.acquire().await.map_err(|e| Error::local(&*doing, e.to_string()))?;
            retry(&self.clock, RETRIES, Some(deadline), || self.ask(&doing, query)).await
        })
        .await;
        self.outage.observe("query", asked.as_ref().err());
        asked
    }

    async fn ask(&self, doing: &str, query: &str) -> Result<Vector, Error> {
        let mut url = self.query.clone();
        url.query_pairs_mut().append_pair("query", query);
        let mut ask = self.http.get(url).header("accept", "application/json");
        if let Some(token) = &self.token {
            let token = token.reveal().map_err(|e| Error {
                advice: Some("check PROMETHEUS_TOKEN_FILE"),
                source: Some(Box::new(e)),
                ..Error::local(doing, "the token can't be read")
            })?;
            ask = ask.bearer_auth(token);
        }
        let asking = Asking::begin(Upstream::Prometheus);
        let response = ask
            .send()
            .await
            .inspect_err(|_| asking.ended(None))
            .map_err(|e| Error { advice: Some(REACH), ..Error::transport(doing, e) })?;
        asking.ended(Some(response.status().as_u16()));
        if response.status() == StatusCode::OK {
            answer::read(doing, read_json(doing, response).await?)
        } else {
            Err(refusal(doing, response).await)
        }
    }
}

const REACH: &str = "is prometheus_url in the regions file the address that this machine reaches Prometheus by?";

/// An answer that is not the one hoped for: in Prometheus' own words where it gave some.
async fn refusal(doing: &str, response: Response) -> Error {
    let status = response.status();
    if status.is_redirection() {
        return Error {
            advice: Some(
                "redirects are not followed, so that the token goes nowhere else: give prometheus_url as Prometheus itself has it \
                 (http or https, and its path)",
            ),
            kind: Kind::Refused(status),
            ..Error::malformed(doing, format!("{status}, sent on elsewhere"))
        };
    }
    let advice = match status.as_u16() {
        400 | 422 => Some("correct query_se or query_public in the regions file"),
        401 | 403 => Some("the token is not taken: check PROMETHEUS_TOKEN"),
        404 => Some("is Prometheus under another path? prometheus_url is what stands before api/v1/query"),
        _ => None,
    };
    Error::answer(doing, response, advice).await
}
