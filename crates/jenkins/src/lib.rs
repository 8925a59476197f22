//! Asks Jenkins: starts the ServiceEndpointStatus job, follows its build, reads its console as it grows.
//!
//! Every address is built on the configured job URL, and the API token goes nowhere else: of a `Location` only the
//! queue item's number is taken, since its host is often wrong behind a proxy, and no redirect is followed.
//!
//! To ask one more thing of Jenkins: a method in the submodule that it belongs to, on [`Jenkins::get`] (reads, retried)
//! or [`Jenkins::send`] (writes, never repeated here).
//!
//! It knows Jenkins' API, and must not know what a console means. Begin with [`Jenkins`].

mod build;
mod followed;
mod history;
mod job;
mod log;
mod queue;
mod settings;
mod start;
#[cfg(test)]
mod tests;
mod watch;

pub use build::{Build, Early};
pub use followed::Following;
pub use job::{JobInfo, MayBuild};
pub use log::LogReader;
pub use queue::{Found, ItemState, QueueItem};
pub use settings::JenkinsSettings;
pub use start::Started;
pub use watch::{Pace, Sight, Watch};

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use followed::Followed;
use outbound::clock::Clock;
use outbound::error::{Error, Kind};
use outbound::headers::date;
use outbound::http::{http_client, read_json};
use outbound::metrics::{Asking, Upstream};
use outbound::outage::Outage;
use outbound::retry::{Retries, retry};
use outbound::shared::Shared;
use outbound::skew::Skew;
use watch::Watched;

/// The job's parameter: the cluster name of one of the registry clusters.
pub(crate) const CLUSTER: &str = "CLUSTER";

/// Asking more often than this is of no use to anybody.
const SHORTEST_POLL: Duration = Duration::from_millis(10);

/// One Jenkins and the one job that we may start there.
#[derive(Debug)]
pub struct Jenkins {
    http: reqwest::Client,
    settings: JenkinsSettings,
    /// Where Jenkins itself is, with a final slash: the queue is asked there.
    root: Url,
    clock: Clock,
    skew: Mutex<Skew>,
    followed: Followed,
    watched: Watched,
    listing: Shared<Result<Vec<Build>, Error>>,
    outage: Outage,
}

impl Jenkins {
    /// A client for the job of these settings. Asks nothing yet.
    ///
    /// # Errors
    /// The URL is no job's, or the machine's TLS setup is unusable.
    pub fn new(mut settings: JenkinsSettings, clock: Clock) -> Result<Self, Error> {
        let mut root = settings.job_url.clone();
        let wrong = |got: String| Error {
            advice: Some("JENKINS_JOB_URL is the job's address as a person copies it: https://<host>/job/<name>/"),
            ..Error::local("reading the job's URL", got)
        };
        let path = settings.job_url.path().trim_end_matches('/').to_owned();
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let first = segments.iter().position(|s| matches!(*s, "job" | "view"));
        let (Some(first), true) = (first, segments.contains(&"job") && segments.last() != Some(&"job")) else {
            return Err(wrong(format!("{} has no /job/<name>/ in its path", settings.job_url)));
        };
        let mut prefix = segments[..first].join("/");
        if !prefix.is_empty() {
            prefix.push('/');
        }
        root.set_path(&format!("/{prefix}"));
        settings.job_url.set_path(&format!("{path}/"));
        for url in [&mut root, &mut settings.job_url] {
            url.set_query(None);
            url.set_fragment(None);
            // Credentials in the URL would be sent in place of the token.
            if url.set_username("").is_err() || url.set_password(None).is_err() {
                return Err(wrong(format!("{url} can't be reached by HTTP")));
            }
        }
        settings.poll = settings.poll.max(SHORTEST_POLL);
        let outage = Outage::new("Jenkins", clock.clone());
        let (skew, followed, watched, listing) = Default::default();
        Ok(Self { http: http_client()?, settings, root, clock, skew, followed, watched, listing, outage })
    }

    /// The job's page.
    pub fn job_url(&self) -> &Url {
        &self.settings.job_url
    }

    /// A build's page, on the configured origin whatever Jenkins calls itself.
    pub fn build_url(&self, number: u64) -> String {
        format!("{}{number}/", self.settings.job_url)
    }

    /// `JENKINS_TIMEOUT`, `JENKINS_POLL` and the rest.
    pub fn settings(&self) -> &JenkinsSettings {
        &self.settings
    }

    /// The clock that waits and deadlines go by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How long what Jenkins shows may lag behind what it has done: five polls, and no less than a second.
    pub fn lag(&self) -> Duration {
        self.settings.poll.saturating_mul(5).max(Duration::from_secs(1))
    }

    /// A time of Jenkins' clock (milliseconds since 1970), set to ours by the `Date` of its answers.
    fn our_time(&self, milliseconds: i64) -> Timestamp {
        self.skew().to_ours(from_ms(milliseconds))
    }

    /// The earliest that this time of Jenkins' clock can have been by ours.
    fn our_time_at_least(&self, milliseconds: i64) -> Timestamp {
        self.skew().to_ours_at_least(from_ms(milliseconds))
    }

    /// How far Jenkins' clock is ahead of ours for certain, by the `Date` of its answers; `None` before the first.
    pub fn clock_ahead(&self) -> Option<SignedDuration> {
        Some(self.skew().ahead()?.saturating_add(self.clock.ahead()))
    }

    fn skew(&self) -> MutexGuard<'_, Skew> {
        self.skew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An address under the job, or under Jenkins itself. `path` is ours, never from an answer.
    fn url(&self, base: &Url, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = base.clone();
        url.set_path(&format!("{}{path}", base.path()));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Sends one request, once.
    async fn send(&self, doing: &str, method: Method, url: Url, form: &[(&str, &str)]) -> Result<Response, Error> {
        let token = self.settings.token.reveal().map_err(|e| Error {
            advice: Some("check JENKINS_API_TOKEN_FILE"),
            source: Some(Box::new(e)),
            ..Error::local(doing, "the API token can't be read")
        })?;
        let mut request = self.http.request(method, url).basic_auth(&self.settings.user, Some(token));
        if !form.is_empty() {
            request = request.form(form);
        }
        let asked = self.clock.now();
        let asking = Asking::begin(Upstream::Jenkins);
        let response =
            request.send().await.inspect_err(|_| asking.ended(None)).map_err(|e| Error::transport(doing, e))?;
        asking.ended(Some(response.status().as_u16()));
        if let Some(date) = date(response.headers(), "date") {
            self.skew().observe(asked, self.clock.now(), date);
        }
        Ok(response)
    }

    /// Asks for JSON, again where that may help, until `deadline`.
    async fn get<T: DeserializeOwned>(&self, doing: &str, url: &Url, deadline: Timestamp) -> Result<T, Error> {
        let answer = retry(&self.clock, Retries::READ, Some(deadline), || async {
            let response = self.send(doing, Method::GET, url.clone(), &[]).await?;
            if response.status() == StatusCode::OK {
                read_json(doing, response).await
            } else {
                Err(refusal(doing, response).await)
            }
        })
        .await;
        self.outage.observe("GET", answer.as_ref().err());
        answer
    }
}

/// An answer that is not the one hoped for, with what a person can do about it.
async fn refusal(doing: &str, response: Response) -> Error {
    let status = response.status();
    if status.is_redirection() {
        let target = response.headers().get("location").and_then(|l| l.to_str().ok()).unwrap_or("nowhere");
        return Error {
            doing: doing.to_owned(),
            got: format!("{status}, sent on to {}", clean(target)),
            advice: Some(
                "redirects are not followed, so that the token goes nowhere else: is JENKINS_JOB_URL the address that \
                 Jenkins itself uses (http or https?), and are user and token accepted?",
            ),
            kind: Kind::Refused(status),
            source: None,
        };
    }
    Error::answer(doing, response, advice(status)).await
}

fn advice(status: StatusCode) -> Option<&'static str> {
    match status.as_u16() {
        400 => Some("does the job still take the parameter CLUSTER?"),
        401 => Some("user or token are wrong: check JENKINS_USER and JENKINS_API_TOKEN"),
        403 => Some(
            "the user may not do this: it needs Overall/Read, Job/Read and Job/Build; JENKINS_API_TOKEN must be an \
             API token, not a password",
        ),
        404 => Some("check JENKINS_JOB_URL; Jenkins answers so too when the user may not see the job"),
        409 => Some("the job is disabled: enable it in Jenkins"),
        _ => None,
    }
}

fn from_ms(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A text from outside, fit for one line: bounded, without control characters.
fn clean(text: &str) -> String {
    let clean: String = text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.trim().to_owned()
}
