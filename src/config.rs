//! Every setting, by the names of the environment variables that give them; all problems are told at once.

#[cfg(test)]
pub(crate) mod fixtures;
mod healthcheck;
mod load;
mod regions;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use url::Url;

use crate::link::LinkKey;
use clusters::ClusterSettings;
use github::GitHubSettings;
use jenkins::JenkinsSettings;
use outbound::secret::Secret;
use pagerduty::PagerDutySettings;
use runbook::alert::Region;
use runbook::event::PATH;
use runbook::gate::EscalationMode;
use runbook::notify::Places;
use runbook::suppression;
use slack::SlackSettings;

pub use healthcheck::{ClientSettings, Healthcheck};
pub use load::{Environment, KubeconfigConfig, Problems, SubscribeConfig, load_database, load_listen_url};
pub use regions::{RegionZones, Regions};
pub use values::{is_loopback, parse_duration};
pub(crate) use values::{parse_tokens, secrets_in};

/// What `serve` needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// `LISTEN_ADDR`.
    pub listen_addr: SocketAddr,
    /// `PUBLIC_URL`, without a final slash; `None` is `http://<LISTEN_ADDR>`.
    pub public_url: Option<String>,
    /// `WEBHOOK_URL`: where PagerDuty reaches us; `None` is `<PUBLIC_URL>/webhooks/pagerduty`.
    pub webhook_url: Option<String>,
    /// `DATABASE_URL`; it may hold a password.
    pub database_url: Secret,
    /// `REGIONS_FILE`, read; empty where there is none.
    pub regions: Regions,
    /// `PAGERDUTY_WEBHOOK_SECRETS`.
    pub webhook_secrets: Secret,
    /// `PAGERDUTY_SERVICE_IDS`; empty is any.
    pub service_ids: Vec<String>,
    /// `PAGERDUTY_*`.
    pub pagerduty: PagerDutySettings,
    /// `ESCALATION_*`.
    pub escalation: EscalationSettings,
    /// `JENKINS_*`.
    pub jenkins: JenkinsSettings,
    /// `TRANSIENT_*`.
    pub transient: TransientSettings,
    /// `KUBECONFIG`, `CLUSTER_*`.
    pub cluster: ClusterSettings,
    /// `CLIENT_CHECK_TIMEOUT`, `PROMETHEUS_TOKEN`; whether the client is asked is the regions file's matter.
    pub client: ClientSettings,
    /// `OPERATOR_TOKENS`: `name:token,…`.
    pub operator_tokens: Option<Secret>,
    /// `VIEWER_TOKENS`: `name:token,…`.
    pub viewer_tokens: Option<Secret>,
    /// `TRUSTED_PROXIES`: where proxies in front of it are.
    pub trusted_proxies: Vec<IpNet>,
    /// `TRUSTED_USER_HEADER`: by which header they name the signed-in user.
    pub user_header: Option<HeaderName>,
    /// `TRUSTED_OPERATORS`: which of those users are operators; all others are viewers.
    pub trusted_operators: Vec<String>,
    /// `SUPPRESSION_*`.
    pub suppression: suppression::Settings,
    /// `NOTE_BY`: a short word by then if there is no diagnosis yet.
    pub note_by: Duration,
    /// `FOLLOW_UP`: look again so long after a `transient`, `mixed` or `inconclusive` verdict.
    pub follow_up: Duration,
    /// `RECONCILE_INTERVAL`: look in PagerDuty for what no webhook told of; `None` is never.
    pub reconcile_interval: Option<Duration>,
    /// `SELF_CHECK_INTERVAL`: look this often whether every system lets us in; `None` is never.
    pub self_check_interval: Option<Duration>,
    /// `CANARY_INTERVAL`: take a Jenkins reading without an alert this often; `None` is never.
    pub canary_interval: Option<Duration>,
    /// `COMMAND_USERS`: whose notes may be commands; empty is anyone's.
    pub command_users: Vec<String>,
    /// `WEBHOOK_REENABLE`: turn our webhook subscription on again when PagerDuty has disabled it.
    pub webhook_reenable: bool,
    /// `LINK_TTL`: life of the signed links in notes.
    pub link_ttl: Duration,
    /// `LINK_SECRET`: what signs them; `None` is a key kept in the database.
    pub link_secret: Option<Secret>,
    /// What signs links: of [`Self::link_secret`], or of the database once it is open.
    pub link_key: Option<LinkKey>,
    /// `SHUTDOWN_GRACE`: time to stop in.
    pub shutdown_grace: Duration,
    /// `RETENTION`: how long finished runs and events are kept.
    pub retention: Duration,
    /// `BACKTEST_REPORT`: what `backtest --json` printed, which `auto` has earned its right by.
    pub backtest_report: Option<PathBuf>,
    /// `EVIDENCE_RETENTION`: how long what was seen and decided is kept.
    pub evidence_retention: Duration,
    /// `SLACK_*`, `GHE_*`: who else is told.
    pub telling: TellSettings,
    /// Settings that are legal but risky; said at start.
    pub warnings: Vec<String>,
}

/// Whether and how the Service Endpoint team is paged.
#[derive(Clone, Debug)]
pub struct EscalationSettings {
    /// `ESCALATION_SERVICE`: exact name or id.
    pub service: String,
    /// `ESCALATION_MODE`.
    pub mode: EscalationMode,
    /// `ESCALATION_MAX_PER_HOUR`: automatic pages opened, over all alerts.
    pub max_per_hour: u32,
    /// `ESCALATION_ROUTING_KEY`: the page goes through the Events API v2 instead of REST.
    pub routing_key: Option<Secret>,
    /// `PAGERDUTY_EVENTS_URL`.
    pub events_url: Url,
    /// `PAGE_ACK_WAIT`: how long until an unacknowledged page gets a short note.
    pub ack_wait: Duration,
    /// `EVIDENCE_MAX_AGE`: a page needs evidence no older.
    pub evidence_max_age: Duration,
    /// `RELATED_MAX_AGE`: a related page older than this when the alert opened doesn't explain it.
    pub related_max_age: Duration,
    /// `RECONCILE_MAX_AGE`: an alert older than this is never paged for automatically.
    pub alert_max_age: Duration,
}

/// Who else is told of alerts; nobody, unless it is configured.
#[derive(Clone, Debug, Default)]
pub struct TellSettings {
    /// `SLACK_REGISTRY_*`.
    pub registry: Option<SlackSettings>,
    /// `SLACK_SE_*`.
    pub se: Option<SlackSettings>,
    /// `GHE_*`, where `GHE_ISSUES` is `rca`.
    pub ghe: Option<GitHubSettings>,
}

impl TellSettings {
    /// Which of them are configured.
    pub fn places(&self) -> Places {
        Places { registry: self.registry.is_some(), se: self.se.is_some(), ghe: self.ghe.is_some() }
    }
}

/// When a transient state is looked at again.
#[derive(Clone, Copy, Debug)]
pub struct TransientSettings {
    /// `TRANSIENT_RERUNS`.
    pub reruns: u32,
    /// `TRANSIENT_WAIT`.
    pub wait: Duration,
}

/// What `diagnose` needs: Jenkins unless consoles are given, clusters unless they are left out.
#[derive(Clone, Debug)]
pub struct DiagnoseConfig {
    /// `REGIONS_FILE`.
    pub regions: Regions,
    /// `JENKINS_*`; `None` where the readings come from files.
    pub jenkins: Option<JenkinsSettings>,
    /// `TRANSIENT_*`.
    pub transient: TransientSettings,
    /// `KUBECONFIG`, `CLUSTER_*`; `None` where clusters are not asked.
    pub cluster: Option<ClusterSettings>,
    /// `CLIENT_CHECK_TIMEOUT`, `PROMETHEUS_TOKEN`.
    pub client: ClientSettings,
}

/// What `backtest` needs.
#[derive(Clone, Debug)]
pub struct BacktestConfig {
    /// `REGIONS_FILE`.
    pub regions: Regions,
    /// `PAGERDUTY_*`.
    pub pagerduty: PagerDutySettings,
    /// `PAGERDUTY_SERVICE_IDS`; empty is any.
    pub service_ids: Vec<String>,
    /// `ESCALATION_*`; the mode is taken for `auto`.
    pub escalation: EscalationSettings,
    /// `TRANSIENT_*`.
    pub transient: TransientSettings,
    /// `SUPPRESSION_*`.
    pub suppression: suppression::Settings,
    /// `JENKINS_*`; `None` where none of them is set.
    pub jenkins: Option<JenkinsSettings>,
    /// `DATABASE_URL`; there may be no such database.
    pub database_url: Secret,
}

/// What `trigger` needs.
#[derive(Clone, Debug)]
pub struct TriggerConfig {
    /// `PAGERDUTY_WEBHOOK_SECRETS`: the first signs.
    pub webhook_secrets: Secret,
    /// `PAGERDUTY_SERVICE_IDS`: an incident's webhook is as of the first.
    pub service_ids: Vec<String>,
    /// Where the service listens: `http://<LISTEN_ADDR>`.
    pub service: Url,
    /// `SE_RESPONDER_TOKEN`: with `--wait`.
    pub token: Option<Secret>,
}

/// What `rerun` needs.
#[derive(Clone, Debug)]
pub struct RerunConfig {
    /// Where people reach the service: `PUBLIC_URL`, else `http://<LISTEN_ADDR>`; without a final slash.
    pub service: String,
    /// `SE_RESPONDER_TOKEN`.
    pub token: Secret,
}

impl Config {
    /// Whether this incident's service is one whose alerts are handled: `PAGERDUTY_SERVICE_IDS`.
    pub fn handles_service(&self, id: &str) -> bool {
        self.service_ids.is_empty() || self.service_ids.iter().any(|s| s == id)
    }

    /// Where PagerDuty reaches us: `WEBHOOK_URL`, or its default. Which subscriptions are ours is told by it.
    pub fn webhook_url(&self) -> String {
        self.known_webhook_url().unwrap_or_else(|| format!("http://{}{PATH}", self.listen_addr))
    }

    /// The same where a setting says it: `WEBHOOK_URL`, or `PUBLIC_URL`. Behind a proxy ours can't be told by the address that
    /// we listen on.
    pub fn known_webhook_url(&self) -> Option<String> {
        self.webhook_url.clone().or_else(|| self.public_url.as_ref().map(|url| format!("{url}{PATH}")))
    }

    /// The address of a run's view, for those who may sign in.
    pub fn page_url(&self, run_id: &str) -> String {
        match &self.public_url {
            Some(url) => format!("{url}/runs/{run_id}"),
            None => format!("http://{}/runs/{run_id}", self.listen_addr),
        }
    }

    /// The link of a run's view, as notes have it: signed, so that a phone opens it without a sign-in.
    pub fn run_url(&self, run_id: &str) -> String {
        let url = self.page_url(run_id);
        match self.link_key.as_ref().and_then(|key| key.of_run(run_id)) {
            Some(key) => format!("{url}?key={key}"),
            None => url,
        }
    }

    /// The same settings, with links signed by this secret where `LINK_SECRET` gives none.
    #[must_use]
    pub fn signing_by(self, kept: Secret) -> Self {
        let secret = self.link_secret.clone().unwrap_or(kept);
        Self { link_key: Some(LinkKey::new(secret, self.link_ttl)), ..self }
    }

    /// The same settings, listening there.
    #[must_use]
    pub fn listening_on(self, listen_addr: SocketAddr) -> Self {
        Self { listen_addr, ..self }
    }

    /// What the regions file says of a region, or the three default zones.
    pub fn zones_of(&self, region: &Region) -> RegionZones {
        self.regions.zones_of(region)
    }
}
