//! A whole simulated world for one scenario: PagerDuty, Jenkins and the clusters of the alert's region, with the
//! settings by which the real service finds them.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

use super::cluster::{self, Cluster, kubeconfig};
use super::github::{self, GitHub};
use super::jenkins::{self, Jenkins};
use super::pagerduty::{self, Opening, PagerDuty, sign};
use super::scenario::{Scenario, subscription};
use super::slack::{self, Slack};
use super::tap::Tap;
use outbound::clock::Clock;
use outbound::http::http_client;

pub use super::scenario::WEBHOOK_SECRET;

/// An operator's token in a simulated world; its holder is `olivia`.
pub const OPERATOR_TOKEN: &str = "simulated-operator-token";
/// A viewer's token in a simulated world; its holder is `victor`.
pub const VIEWER_TOKEN: &str = "simulated-viewer-token";

/// Simulated upstreams, running. They end when this is dropped.
#[derive(Debug)]
pub struct World {
    /// PagerDuty.
    pub pagerduty: PagerDuty,
    /// Jenkins.
    pub jenkins: Jenkins,
    /// The regions' clusters, in the order of their zones.
    pub clusters: Vec<Cluster>,
    /// Slack, with both workspaces.
    pub slack: Slack,
    /// GitHub Enterprise.
    pub github: GitHub,
    /// The alert's incident id.
    pub alert: String,
    /// Where all of its connections are watched.
    pub tap: Tap,
    scenario: &'static Scenario,
    folder: TempDir,
}

impl World {
    /// Starts the upstreams of a scenario; the alert is open in PagerDuty, and its webhook not yet sent.
    ///
    /// # Errors
    /// A socket or a certificate can't be made.
    pub async fn start(scenario: &'static Scenario, clock: Clock) -> io::Result<Self> {
        let setup_clock = clock.clone();
        let mut setup = pagerduty::Setup::new(clock.clone());
        let tap = Tap::default();
        setup.lag = scenario.lag;
        setup.tap = tap.clone();
        let pagerduty = PagerDuty::start(setup).await.map_err(io::Error::other)?;
        let jenkins = Jenkins::start(jenkins::Setup {
            clock: clock.clone(),
            tap: tap.clone(),
            ..jenkins::Setup::by(scenario.builds)
        })
        .await?;
        if let Some((place, fault, times)) = scenario.jenkins_fault {
            jenkins.fault(place, fault, times);
        }
        let slack = Slack::start(slack::Setup { clock: setup_clock.clone(), tap: tap.clone() }).await?;
        let github = GitHub::start(github::Setup { clock: setup_clock, tap: tap.clone(), drops_labels: false }).await?;
        let mut clusters = Vec::new();
        for region in scenario.regions() {
            for n in 1..=3 {
                let zone = format!("registry-{region}-az{n}");
                if let Some(plan) = (scenario.clusters)(cluster::Plan::healthy(&zone), n) {
                    clusters.push(Cluster::watched(plan, &tap).await?);
                }
            }
        }
        let title = format!("All SE endpoints down in {}", scenario.region);
        let alert = pagerduty.open(Opening::new(&title, pagerduty::Setup::REGISTRY)).id;
        (scenario.incidents)(&pagerduty);
        for (endpoint, fault, times) in scenario.pagerduty_faults {
            pagerduty.fail_once_done(*endpoint, fault.clone(), *times);
        }
        let folder = tempfile::Builder::new().prefix("se-responder-").tempdir()?;
        let world = Self { pagerduty, jenkins, clusters, slack, github, alert, tap, scenario, folder };
        std::fs::write(world.path("kubeconfig"), kubeconfig(&world.clusters.iter().collect::<Vec<_>>()))?;
        std::fs::write(world.path("regions.toml"), scenario.regions_file())?;
        std::fs::write(world.path("backtest.json"), backtest_report(clock.now()))?;
        Ok(world)
    }

    /// The regions of the regions file beside the alert's.
    pub fn other_regions(&self) -> impl Iterator<Item = &'static str> {
        self.scenario.other_regions.iter().copied()
    }

    /// A file in the world's folder, which goes with it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The settings by which the service finds this world; a scenario's own come last.
    pub fn settings(&self) -> Vec<(String, String)> {
        let (user, token) = self.jenkins.credentials();
        let path = |name: &str| self.path(name).display().to_string();
        let api_url = self.pagerduty.api_url();
        let elsewhere = if self.scenario.elsewhere { self.elsewhere() } else { Vec::new() };
        let own = self.scenario.settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        [
            ("LISTEN_ADDR", "127.0.0.1:0".to_owned()),
            ("DATABASE_URL", format!("sqlite://{}", path("se-responder.db"))),
            ("REGIONS_FILE", path("regions.toml")),
            ("KUBECONFIG", path("kubeconfig")),
            ("BACKTEST_REPORT", path("backtest.json")),
            ("PAGERDUTY_WEBHOOK_SECRETS", format!("an-older-secret,{WEBHOOK_SECRET}")),
            ("PAGERDUTY_API_URL", api_url.to_string()),
            ("PAGERDUTY_EVENTS_URL", api_url.to_string()),
            ("PAGERDUTY_API_TOKEN", self.pagerduty.token()),
            ("PAGERDUTY_FROM", pagerduty::Setup::FROM.to_owned()),
            ("JENKINS_JOB_URL", self.jenkins.view_url()),
            ("JENKINS_USER", user),
            ("JENKINS_API_TOKEN", token),
            ("OPERATOR_TOKENS", format!("olivia:{OPERATOR_TOKEN}")),
            ("VIEWER_TOKENS", format!("victor:{VIEWER_TOKEN}")),
            // A person watches: what takes minutes in life takes seconds here.
            ("JENKINS_POLL", "50ms".to_owned()),
            ("JENKINS_TIMEOUT", "20s".to_owned()),
            ("CLUSTER_CHECK_TIMEOUT", "3s".to_owned()),
            ("TRANSIENT_WAIT", "1s".to_owned()),
            ("SUPPRESSION_RECHECK", "500ms".to_owned()),
            ("SUPPRESSION_SETTLE", "1s".to_owned()),
            ("SUPPRESSION_MAX", "3s".to_owned()),
            // It would take planned faults for itself: who wants it says so.
            ("SELF_CHECK_INTERVAL", "0s".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .chain(elsewhere)
        .chain(own)
        .collect()
    }

    /// The settings by which the service finds Slack and GHE, and tells them.
    pub fn elsewhere(&self) -> Vec<(String, String)> {
        [self.slack.settings(), self.github.settings()].concat()
    }

    /// Makes a webhook subscription that lacks nothing, as there would be one in life: to the service at this address.
    pub fn subscribe(&self, public_url: &str) {
        self.pagerduty.subscriptions(|all| {
            all.push(subscription(&format!("PSUB{}", all.len() + 1), public_url));
        });
    }

    /// Sends a signed webhook about the alert to the service at `url`; gives the status and the answer.
    ///
    /// # Errors
    /// The service did not answer.
    pub async fn send(&self, url: &str, event_type: &str) -> io::Result<(u16, String)> {
        self.send_body(url, self.pagerduty.webhook_body(event_type, &self.alert)).await
    }

    /// Signs and sends a webhook's body.
    ///
    /// # Errors
    /// The service did not answer.
    pub async fn send_body(&self, url: &str, body: String) -> io::Result<(u16, String)> {
        let answer = http_client()
            .map_err(io::Error::other)?
            .post(format!("{url}/webhooks/pagerduty"))
            .header("content-type", "application/json")
            .header("x-pagerduty-signature", sign(WEBHOOK_SECRET, body.as_bytes()))
            .body(body)
            .send()
            .await
            .map_err(io::Error::other)?;
        let status = answer.status().as_u16();
        Ok((status, answer.text().await.map_err(io::Error::other)?))
    }
}

/// A report by which `auto` has earned its right: ten alerts, none of them a wrong page.
fn backtest_report(at: Timestamp) -> String {
    let alert = json!({"judgement": "right"});
    let sums = json!({"alerts": 10, "right": 10, "wrong_pages": 0});
    json!({"at": at, "alerts": vec![alert; 10], "sums": sums}).to_string()
}
