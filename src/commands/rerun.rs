//! `rerun`, and what follows a run to its end: clients of the service's own API.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use url::Url;

use super::output::print;
use super::watch::Watch;
use outbound::clock::Clock;
use outbound::http::http_client;
use outbound::secret::Secret;
use runbook::event::PATH;
use runbook::span::after;
use runbook::text::visible;

/// How often a run is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a service that does not answer is asked again, as while it is restarted.
const AWAY_FOR: Duration = Duration::from_secs(60);
/// How long a run of a webhook is looked for that was accepted.
const SHOWN_WITHIN: Duration = Duration::from_secs(30);
/// How much of an answer is read.
const MAX_SHOWN: usize = 500;

/// The service, as an operator asks it.
#[derive(Debug)]
pub struct Service {
    /// Its base URL, without a final slash.
    pub base: String,
    /// `SE_RESPONDER_TOKEN`.
    pub token: Secret,
}

impl Service {
    /// The service whose webhook's address is this.
    pub fn of_webhook(url: &Url, token: Secret) -> Self {
        let url = url.as_str();
        let base = url.strip_suffix(PATH).unwrap_or_else(|| url.trim_end_matches('/'));
        Self { base: base.to_owned(), token }
    }
}

/// What to diagnose.
#[derive(Clone, Debug)]
pub enum Subject {
    /// An alert, by the incident's id or address.
    Incident(String),
    /// A region, of which nothing is posted.
    Region(String),
}

/// Asks for a run, and prints its address; `wait`: follows it to its end, at a 409 the active one.
///
/// # Errors
/// The service refuses, or can't be asked; with `wait` the run failed, was cancelled, or is inconclusive.
pub async fn rerun(service: &Service, subject: &Subject, wait: bool, clock: &Clock) -> anyhow::Result<()> {
    let body = match subject {
        Subject::Incident(id) => json!({"incident_id": id}),
        Subject::Region(region) => json!({"region": region}),
    };
    let url = format!("{}/rerun", service.base);
    let sent = http_client()?.post(&url).bearer_auth(service.token.reveal()?).json(&body).send().await;
    let answer = sent.with_context(|| format!("asking {url} failed: does `serve` run there?"))?;
    let status = answer.status();
    let text: String = answer.text().await.unwrap_or_default().chars().take(MAX_SHOWN).collect();
    let said: Value = serde_json::from_str(&text).unwrap_or_default();
    let run_id = said["run_id"].as_str().map(str::to_owned);
    match (status.as_u16(), run_id) {
        (202, Some(run_id)) => {
            print(&visible(said["url"].as_str().unwrap_or(&run_id)))?;
            if wait { follow(service, &run_id, clock).await } else { Ok(()) }
        }
        (409, Some(run_id)) => {
            print(&format!("run {} is active already: {}/runs/{0}", visible(&run_id), service.base))?;
            if wait { follow(service, &run_id, clock).await } else { Ok(()) }
        }
        _ => bail!("{url} answered {status}: {}", visible(&text)),
    }
}

/// Waits for the run that a webhook about this incident has begun, and follows it.
///
/// # Errors
/// There is none, or as [`rerun`].
pub(super) async fn follow_alert(service: &Service, incident_id: &str, clock: &Clock) -> anyhow::Result<()> {
    let until = after(clock.now(), SHOWN_WITHIN);
    loop {
        let listed = get(service, "/api/runs?limit=50", clock).await?;
        let is_it =
            |run: &&Value| [&run["incident"]["id"], &run["drill"]["id"]].into_iter().any(|id| id == incident_id);
        let found = listed["runs"].as_array().and_then(|runs| runs.iter().find(is_it)?["id"].as_str());
        if let Some(run_id) = found {
            return follow(service, run_id, clock).await;
        }
        if clock.now() >= until {
            bail!(
                "{} shows no run of {incident_id}: was the webhook ignored? The service's log says why",
                service.base
            );
        }
        clock.sleep(LOOK_EVERY).await;
    }
}

/// Follows a run to its end.
async fn follow(service: &Service, run_id: &str, clock: &Clock) -> anyhow::Result<()> {
    let watch = Watch::new();
    let run = loop {
        let run = get(service, &format!("/api/runs/{run_id}"), clock).await?;
        if !run["finished_at"].is_null() {
            break run;
        }
        let step = run["steps"].as_array().and_then(|steps| steps.last()?["name"].as_str()).unwrap_or("begins");
        let state = run["state"].as_str().unwrap_or_default();
        watch.say(&visible(&format!("{state}: {}", step.replace('_', " "))));
        clock.sleep(LOOK_EVERY).await;
    };
    watch.end();
    let state = run["state"].as_str().unwrap_or_default();
    let verdict = run["diagnosis"]["verdict"]["kind"].as_str();
    let why = run["reason"].as_str().map(|why| format!(": {}", visible(why))).unwrap_or_default();
    match (state, verdict) {
        ("done", Some(kind)) if kind != "inconclusive" => {
            let summary = run["diagnosis"]["verdict"]["summary"].as_str().unwrap_or_default();
            print(&visible(&format!("done: {kind}. {summary}")))
        }
        ("done", Some(_)) => {
            bail!("the run is done, and inconclusive: {}/runs/{run_id} says what is missing", service.base)
        }
        _ => bail!("the run ended as {}{why}", visible(state)),
    }
}

/// Asks the service; again for a while where it does not answer.
async fn get(service: &Service, path: &str, clock: &Clock) -> anyhow::Result<Value> {
    let url = Url::parse(&format!("{}{path}", service.base)).context("building the address of a run")?;
    let until = after(clock.now(), AWAY_FOR);
    loop {
        let sent = http_client()?.get(url.clone()).bearer_auth(service.token.reveal()?).send().await;
        let error = match sent {
            Ok(answer) if answer.status().is_success() => match answer.json().await {
                Ok(value) => return Ok(value),
                Err(error) => anyhow::Error::from(error).context(format!("reading the answer of {url} failed")),
            },
            Ok(answer) if answer.status().is_server_error() => {
                anyhow::anyhow!("{url} answered {}", answer.status())
            }
            Ok(answer) => bail!("{url} answered {}: is SE_RESPONDER_TOKEN one of its tokens?", answer.status()),
            Err(error) => anyhow::Error::from(error).context(format!("asking {url} failed: does `serve` run there?")),
        };
        if clock.now() >= until {
            return Err(error);
        }
        clock.sleep(LOOK_EVERY).await;
    }
}
