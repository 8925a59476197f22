//! Environment variables become settings; every problem is told at once.

mod environment;
mod names;
mod proxies;
mod taker;
mod told;

use std::path::PathBuf;
use std::time::Duration;

use super::values::{is_loopback, parse_duration, web_url};
use super::{BacktestConfig, Config, DiagnoseConfig, Regions, RerunConfig, TriggerConfig};
pub use environment::{Environment, Problems};
use outbound::secret::Secret;
use pagerduty::PagerDutySettings;
use runbook::event::PATH;
use runbook::gate::EscalationMode;
use taker::Taker;
use url::Url;

impl Config {
    /// Reads every setting of `serve`.
    ///
    /// # Errors
    /// Every one that is missing or wrong.
    pub fn load(environment: &Environment) -> Result<Self, Problems> {
        let (config, problems) = Self::survey(environment);
        if problems.0.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// The same, with whatever can be read of settings that are partly wrong: for `doctor`. What is missing or wrong has a
    /// stand-in that must not be used: [`Problems::concern`] tells.
    pub fn survey(environment: &Environment) -> (Self, Problems) {
        let mut take = Taker { environment, problems: Vec::new(), warnings: Vec::new() };
        let listen_addr = take.listen_addr();
        let public_url = match environment.get("PUBLIC_URL") {
            Some(text) => match web_url(text) {
                Ok(url) if url.query().is_some() || url.fragment().is_some() => {
                    take.problem(
                        "PUBLIC_URL",
                        format!("{text:?} has a query or a fragment: links can't be built on it"),
                    );
                    None
                }
                Ok(url) => {
                    if url.host_str().is_some_and(is_loopback) {
                        take.warnings.push(format!("PUBLIC_URL is {text}: links in notes work on this machine only"));
                    }
                    Some(url.as_str().trim_end_matches('/').to_owned())
                }
                Err(what) => {
                    take.problem("PUBLIC_URL", what);
                    None
                }
            },
            None => {
                take.warnings.push("PUBLIC_URL is not set: links in notes work on this machine only".into());
                None
            }
        };
        let webhook_url = take.webhook_url();
        let database_url = take.database();
        let mut regions = take.regions();
        if let Some(tracker) = take.tracker(&regions.links.issue_tracker) {
            regions.links.issue_tracker = tracker;
        }
        let webhook_secrets = take.webhook_secrets();
        let pagerduty = take.pagerduty();
        let escalation = take.escalation();
        if escalation.mode == EscalationMode::Auto && environment.get("REGIONS_FILE").is_none() {
            take.problem("REGIONS_FILE", "is missing: ESCALATION_MODE=auto pages only for regions that it lists");
        }
        let trusted_proxies = take.networks("TRUSTED_PROXIES");
        let (user_header, trusted_operators) = take.proxied_users(&trusted_proxies);
        let config = Self {
            listen_addr,
            public_url,
            webhook_url,
            database_url,
            regions,
            webhook_secrets,
            service_ids: take.list("PAGERDUTY_SERVICE_IDS"),
            pagerduty,
            escalation,
            jenkins: take.jenkins(),
            transient: take.transient(),
            cluster: take.cluster(),
            client: take.client(),
            operator_tokens: take.tokens("OPERATOR_TOKENS"),
            viewer_tokens: take.tokens("VIEWER_TOKENS"),
            trusted_proxies,
            user_header,
            trusted_operators,
            suppression: suppression(&mut take),
            note_by: take.duration("NOTE_BY", Duration::from_secs(90)),
            follow_up: take.duration("FOLLOW_UP", Duration::from_secs(600)),
            reconcile_interval: take.interval("RECONCILE_INTERVAL", Duration::from_secs(60)),
            self_check_interval: take.interval("SELF_CHECK_INTERVAL", Duration::from_secs(3600)),
            canary_interval: take.interval("CANARY_INTERVAL", Duration::from_secs(86_400)),
            command_users: take.list("COMMAND_USERS"),
            webhook_reenable: take.read("WEBHOOK_REENABLE", false, |text| {
                text.parse().map_err(|_| format!("{text:?} is neither true nor false"))
            }),
            link_ttl: take.duration("LINK_TTL", Duration::from_secs(30 * 86_400)),
            link_secret: take.secret("LINK_SECRET"),
            link_key: None,
            retention: take.duration("RETENTION", Duration::from_secs(90 * 86_400)),
            evidence_retention: take.duration("EVIDENCE_RETENTION", Duration::from_secs(400 * 86_400)),
            shutdown_grace: take.duration("SHUTDOWN_GRACE", Duration::from_secs(8)),
            backtest_report: environment.get("BACKTEST_REPORT").map(PathBuf::from),
            telling: take.telling(),
            warnings: Vec::new(),
        };
        take.slips();
        (Self { warnings: take.warnings, ..config }, Problems(take.problems))
    }
}

fn suppression(take: &mut Taker<'_>) -> runbook::suppression::Settings {
    runbook::suppression::Settings {
        recheck: take.duration("SUPPRESSION_RECHECK", Duration::from_secs(30)),
        settle: take.read("SUPPRESSION_SETTLE", Duration::from_secs(120), parse_duration),
        max: take.read("SUPPRESSION_MAX", Duration::from_secs(900), parse_duration),
    }
}

impl BacktestConfig {
    /// Reads what `backtest` needs: PagerDuty, and Jenkins where any of its settings is there.
    ///
    /// # Errors
    /// Every setting of it that is missing or wrong.
    pub fn load(environment: &Environment) -> Result<Self, Problems> {
        let mut take = Taker { environment, problems: Vec::new(), warnings: Vec::new() };
        let jenkins = ["JENKINS_JOB_URL", "JENKINS_USER", "JENKINS_API_TOKEN", "JENKINS_API_TOKEN_FILE"];
        let with_jenkins = jenkins.iter().any(|name| environment.get(name).is_some());
        let config = Self {
            regions: take.regions(),
            pagerduty: take.pagerduty(),
            service_ids: take.list("PAGERDUTY_SERVICE_IDS"),
            escalation: take.escalation(),
            transient: take.transient(),
            suppression: suppression(&mut take),
            jenkins: with_jenkins.then(|| take.jenkins()),
            database_url: take.database(),
        };
        take.finish(config)
    }
}

impl TriggerConfig {
    /// Reads what `trigger` needs; `wait`: it follows the run.
    ///
    /// # Errors
    /// Every setting of it that is missing or wrong.
    pub fn load(environment: &Environment, wait: bool) -> Result<Self, Problems> {
        let mut take = Taker { environment, problems: Vec::new(), warnings: Vec::new() };
        let webhook_secrets = take.webhook_secrets();
        let service = take.listen_url();
        let token = if wait { Some(take.token()) } else { None };
        let service_ids = take.list("PAGERDUTY_SERVICE_IDS");
        take.finish(Self { webhook_secrets, service_ids, service, token })
    }
}

impl RerunConfig {
    /// Reads what `rerun` needs; `url` is the service's base, where it is said.
    ///
    /// # Errors
    /// Every setting of it that is missing or wrong.
    pub fn load(environment: &Environment, url: Option<&Url>) -> Result<Self, Problems> {
        let mut take = Taker { environment, problems: Vec::new(), warnings: Vec::new() };
        let service = match (url, environment.get("PUBLIC_URL")) {
            (Some(url), _) => url.to_string(),
            (None, Some(public)) => match web_url(public) {
                Ok(url) => url.into(),
                Err(what) => {
                    take.problem("PUBLIC_URL", what);
                    String::new()
                }
            },
            (None, None) => take.listen_url().into(),
        };
        let token = take.token();
        take.finish(Self { service: service.trim_end_matches('/').to_owned(), token })
    }
}

/// Reads where the service of this machine listens.
///
/// # Errors
/// What is wrong with it.
pub fn load_listen_url(environment: &Environment) -> Result<Url, Problems> {
    let mut take = Taker { environment, problems: Vec::new(), warnings: Vec::new() };
    let url = take.listen_url();
    take.finish(url)
}

/// What `subscribe` needs.
#[derive(Clone, Debug)]
pub struct SubscribeConfig {
    /// `PAGERDUTY_*`.
    pub pagerduty: PagerDutySettings,
    /// Where PagerDuty is to deliver unless the command says: `WEBHOOK_URL`, or `<PUBLIC_URL>/webhooks/pagerduty`; `None`
    /// where neither is set.
    pub webhook_url: Option<Url>,
}

impl SubscribeConfig {
    /// Reads what `subscribe` needs.
    ///
    /// # Errors
    /// Every setting of it that is missing or wrong.
    pub fn load(environment: &Environment) -> Result<Self, Problems> {
        let mut take = Taker { environment, problems: Vec::new(), warnings: Vec::new() };
        let pagerduty = take.pagerduty();
        let said = take.webhook_url();
        let public = environment.get("PUBLIC_URL").map(|url| format!("{}{PATH}", url.trim_end_matches('/')));
        let here = || format!("http://{}{PATH}", environment.get("LISTEN_ADDR").unwrap_or("127.0.0.1:8080"));
        let webhook_url = Some(said.or(public).unwrap_or_else(here)).and_then(|url| match web_url(&url) {
            Ok(url) => Some(url),
            Err(what) => {
                take.problem("PUBLIC_URL", what);
                None
            }
        });
        take.finish(Self { pagerduty, webhook_url })
    }
}

/// What `kubeconfig` needs.
#[derive(Clone, Debug)]
pub struct KubeconfigConfig {
    /// The regions file, which lists a region at least.
    pub regions: Regions,
    /// `KUBECONFIG`: where the clusters' addresses are looked for.
    pub kubeconfig: Vec<PathBuf>,
}

impl KubeconfigConfig {
    /// Reads what `kubeconfig` needs: the regions file at this path, else `REGIONS_FILE`.
    ///
    /// # Errors
    /// Every problem in it.
    pub fn load(environment: &Environment, regions: Option<&str>) -> Result<Self, Problems> {
        let mut take = Taker { environment, problems: Vec::new(), warnings: Vec::new() };
        let (name, path) = match (regions, environment.get("REGIONS_FILE")) {
            (None, Some(path)) => ("REGIONS_FILE", Some(path)),
            (regions, _) => ("--regions", regions),
        };
        let regions = path.map(|path| take.regions_at(name, path)).unwrap_or_default();
        match path {
            None => take.problem(name, "is missing: the regions file, as docs/regions.example.toml shows it"),
            Some(path) if regions.is_empty() && take.problems.is_empty() => {
                take.problem(name, format!("{path} lists no region"));
            }
            Some(_) => {}
        }
        let kubeconfig = take.kubeconfig();
        take.finish(Self { regions, kubeconfig })
    }
}

/// Reads where the database is: for commands that only read it.
///
/// # Errors
/// What is wrong with it.
pub fn load_database(environment: &Environment) -> Result<Secret, Problems> {
    let mut take = Taker { environment, problems: Vec::new(), warnings: Vec::new() };
    let url = take.database();
    take.finish(url)
}

impl DiagnoseConfig {
    /// Reads what `diagnose` needs.
    ///
    /// # Errors
    /// Every setting of it that is missing or wrong.
    pub fn load(environment: &Environment, jenkins: bool, clusters: bool) -> Result<Self, Problems> {
        let mut take = Taker { environment, problems: Vec::new(), warnings: Vec::new() };
        let config = Self {
            regions: take.regions(),
            jenkins: jenkins.then(|| take.jenkins()),
            transient: take.transient(),
            cluster: clusters.then(|| take.cluster()),
            client: take.client(),
        };
        take.finish(config)
    }
}

#[cfg(test)]
mod documents;
#[cfg(test)]
mod tests;
