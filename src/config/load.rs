//! Environment variables become settings; every problem is told at once.

mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::regions::Regions;
use super::values::{database, job_url, parse_duration, parse_tokens, secrets_in, web_url};
use super::{
    ClusterSettings, Config, DiagnoseConfig, EscalationMode, EscalationSettings, JenkinsSettings, PagerDutySettings,
    Probe, Secret, SuppressionSettings, TransientSettings, TriggerConfig,
};
#[cfg(test)]
use names::KNOWN;
use names::is_known;

/// Where settings come from: the process's environment over a `.env` file.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// Names that the `.env` file gives: a name there that nobody knows is a slip worth a warning.
    from_file: BTreeSet<String>,
}

/// Every problem that was found, one a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems = if self.0.len() == 1 { "setting is" } else { "settings are" };
        write!(f, "{} {problems} missing or wrong:", self.0.len())?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        write!(f, "\nEvery setting is explained in .env.example and docs/settings.md.")
    }
}

impl Problems {
    /// Whether any of these settings is missing or wrong, itself or its file.
    pub fn concern(&self, names: &[&str]) -> bool {
        self.0.iter().filter_map(|problem| problem.split_once(':')).any(|(of, _)| {
            let of = of.strip_suffix("_FILE").filter(|_| !names.contains(&of)).unwrap_or(of);
            names.contains(&of)
        })
    }
}

impl std::error::Error for Problems {}

impl Environment {
    /// The process's environment, over the `.env` file of the working directory where there is one: whatever can be read,
    /// and what could not: of the `.env` file, or variables that are not UTF-8.
    pub fn of_process() -> (Self, Problems) {
        let mut problems = Vec::new();
        let mut variables = BTreeMap::new();
        let mut from_file = BTreeSet::new();
        match dotenvy::from_path_iter(".env") {
            Ok(entries) => {
                for entry in entries {
                    match entry {
                        Ok((name, value)) => {
                            from_file.insert(name.clone());
                            variables.insert(name, value);
                        }
                        // The library's message quotes the line, which may hold a secret.
                        Err(_) => problems.push(".env has a line that can't be read: write NAME=value".into()),
                    }
                }
            }
            Err(e) if e.not_found() => {}
            Err(_) => problems.push(".env can't be read".into()),
        }
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str() else { continue };
            match value.into_string() {
                Ok(value) => {
                    variables.insert(name.to_owned(), value);
                }
                Err(_) if is_known(name) => problems.push(format!("{name} is not UTF-8")),
                Err(_) => {}
            }
        }
        (Self { variables, from_file }, Problems(problems))
    }

    /// Settings given directly: for `demo` and the tests.
    pub fn of<N: Into<String>, V: Into<String>>(settings: impl IntoIterator<Item = (N, V)>) -> Self {
        Self {
            variables: settings.into_iter().map(|(n, v)| (n.into(), v.into())).collect(),
            from_file: BTreeSet::new(),
        }
    }

    /// A setting; an empty one counts as not given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|v| v.trim()).filter(|v| !v.is_empty())
    }
}

/// What the libraries read from the process's environment themselves; a `.env` file doesn't reach them.
const PROCESS_ONLY: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// Takes settings one by one and keeps what is wrong.
struct Taker<'a> {
    environment: &'a Environment,
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl Taker<'_> {
    fn problem(&mut self, name: &str, what: impl fmt::Display) {
        self.problems.push(format!("{name}: {what}"));
    }

    /// A setting by a reader of its text, or its default.
    fn read<T>(&mut self, name: &str, default: T, reader: impl FnOnce(&str) -> Result<T, String>) -> T {
        match self.environment.get(name).map(reader) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(what)) => {
                self.problem(name, what);
                default
            }
        }
    }

    /// A duration that may not be zero: a time limit of nothing, or a poll without pause, can't be meant.
    fn duration(&mut self, name: &str, default: Duration) -> Duration {
        self.read(name, default, |text| match parse_duration(text)? {
            Duration::ZERO => Err("must be longer than nothing".into()),
            length => Ok(length),
        })
    }

    /// How often something is done; `None`: `0s`, never.
    fn interval(&mut self, name: &str, default: Duration) -> Option<Duration> {
        Some(self.read(name, default, parse_duration)).filter(|interval| !interval.is_zero())
    }

    fn number<T: TryFrom<u64>>(&mut self, name: &str, default: T, least: u64) -> T {
        self.read(name, default, |text| {
            text.parse::<u64>()
                .ok()
                .filter(|n| (least..=100_000).contains(n))
                .and_then(|n| T::try_from(n).ok())
                .ok_or_else(|| format!("{text:?} is not a whole number from {least} to 100000"))
        })
    }

    fn text(&mut self, name: &str, why: &str) -> String {
        match self.environment.get(name) {
            Some(value) => value.to_owned(),
            None => {
                self.problem(name, format!("is missing: {why}"));
                String::new()
            }
        }
    }

    fn url(&mut self, name: &str, url: Result<Url, String>) -> Option<Url> {
        match url {
            Ok(url) => {
                let local = match url.host() {
                    Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
                    Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
                    Some(url::Host::Domain(name)) => name == "localhost",
                    None => false,
                };
                if url.scheme() == "http" && !local {
                    self.warnings.push(format!("{name} is not https: its credentials can be read on the way"));
                }
                Some(url)
            }
            Err(what) => {
                self.problem(name, what);
                None
            }
        }
    }

    /// `NAME` or `NAME_FILE`, checked to hold something.
    fn secret(&mut self, name: &str) -> Option<Secret> {
        let file_name = format!("{name}_FILE");
        let secret = match (self.environment.get(name), self.environment.get(&file_name)) {
            (Some(_), Some(_)) => {
                self.problem(name, format!("is given twice, here and as {file_name}: leave one out"));
                return None;
            }
            (Some(value), None) => Secret::from(value),
            (None, Some(path)) => Secret::File(PathBuf::from(path)),
            (None, None) => return None,
        };
        match secret.reveal() {
            Ok(_) => Some(secret),
            Err(e) => {
                self.problem(&file_name, format!("{secret:?} can't be read: {e}"));
                None
            }
        }
    }

    fn required_secret(&mut self, name: &str, why: &str) -> Secret {
        let before = self.problems.len();
        self.secret(name).unwrap_or_else(|| {
            if self.problems.len() == before {
                self.problem(name, format!("is missing (or {name}_FILE): {why}"));
            }
            Secret::from("")
        })
    }

    fn tokens(&mut self, name: &str) -> Option<Secret> {
        let secret = self.secret(name)?;
        if let Err(what) = secret.reveal().map_err(|e| e.to_string()).and_then(|text| parse_tokens(&text).map(drop)) {
            self.problem(name, what);
        }
        Some(secret)
    }

    fn list(&self, name: &str) -> Vec<String> {
        let text = self.environment.get(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect()
    }

    fn regions(&mut self) -> Regions {
        let Some(path) = self.environment.get("REGIONS_FILE") else { return Regions::default() };
        match std::fs::read_to_string(Path::new(path)) {
            Ok(text) => match Regions::parse(&text) {
                Ok(regions) => return regions,
                Err(problems) => problems.iter().for_each(|p| self.problem("REGIONS_FILE", format!("{path}: {p}"))),
            },
            Err(e) => self.problem("REGIONS_FILE", format!("{path} can't be read: {e}")),
        }
        Regions::default()
    }

    fn webhook_secrets(&mut self) -> Secret {
        let name = "PAGERDUTY_WEBHOOK_SECRETS";
        let secrets = self.required_secret(name, "the secrets of the webhook subscriptions, by commas");
        if secrets.reveal().is_ok_and(|text| !text.is_empty() && secrets_in(&text).next().is_none()) {
            self.problem(name, "holds no secret, only commas");
        }
        secrets
    }

    fn pagerduty(&mut self) -> PagerDutySettings {
        let given = self.environment.get("PAGERDUTY_API_URL").unwrap_or("https://api.pagerduty.com");
        let api_url = self.url("PAGERDUTY_API_URL", web_url(given)).unwrap_or_else(nowhere);
        let token = self.required_secret("PAGERDUTY_API_TOKEN", "a REST API key that may read and write incidents");
        let why = "the e-mail address of a PagerDuty user, in whose name notes are written";
        let from = self.text("PAGERDUTY_FROM", why);
        if !from.is_empty()
            && (!from.contains('@') || !from.is_ascii() || from.contains(|c: char| c.is_ascii_control()))
        {
            self.problem("PAGERDUTY_FROM", format!("{from:?} is not an e-mail address"));
        }
        PagerDutySettings { api_url, token, from }
    }

    fn jenkins(&mut self) -> JenkinsSettings {
        let given = self.text("JENKINS_JOB_URL", "the ServiceEndpointStatus job's URL, as the browser shows it");
        let checked = if given.is_empty() { None } else { self.url("JENKINS_JOB_URL", job_url(&given)) };
        JenkinsSettings {
            job_url: checked.unwrap_or_else(nowhere),
            user: self.text("JENKINS_USER", "the user that starts the job"),
            token: self.required_secret("JENKINS_API_TOKEN", "an API token of that user (not its password)"),
            timeout: self.duration("JENKINS_TIMEOUT", Duration::from_secs(360)),
            poll: self.duration("JENKINS_POLL", Duration::from_secs(1)),
            max_builds: self.number("JENKINS_MAX_BUILDS", 2, 1),
        }
    }

    fn transient(&mut self) -> TransientSettings {
        TransientSettings {
            reruns: self.number("TRANSIENT_RERUNS", 2, 0),
            wait: self.read("TRANSIENT_WAIT", Duration::from_secs(60), parse_duration),
        }
    }

    fn cluster(&mut self) -> ClusterSettings {
        let kubeconfig = match self.environment.get("KUBECONFIG") {
            Some(paths) => std::env::split_paths(paths).filter(|p| !p.as_os_str().is_empty()).collect(),
            None => self.environment.get("HOME").map(|home| Path::new(home).join(".kube/config")).into_iter().collect(),
        };
        ClusterSettings {
            kubeconfig,
            timeout: self.duration("CLUSTER_CHECK_TIMEOUT", Duration::from_secs(30)),
            probe: self.read("CLUSTER_PROBE", Probe::Auto, |text| match text {
                "auto" => Ok(Probe::Auto),
                "port-forward" => Ok(Probe::PortForward),
                "exec" => Ok(Probe::Exec),
                _ => Err(format!("{text:?} is none of auto, port-forward, exec")),
            }),
        }
    }

    fn escalation(&mut self) -> EscalationSettings {
        let events_url = self.environment.get("PAGERDUTY_EVENTS_URL").unwrap_or("https://events.pagerduty.com");
        let events_url = self.url("PAGERDUTY_EVENTS_URL", web_url(events_url));
        EscalationSettings {
            service: self.environment.get("ESCALATION_SERVICE").unwrap_or("Cloud Service Endpoint").to_owned(),
            mode: self.read("ESCALATION_MODE", EscalationMode::Suggest, |text| match text {
                "off" => Ok(EscalationMode::Off),
                "suggest" => Ok(EscalationMode::Suggest),
                "auto" => Ok(EscalationMode::Auto),
                _ => Err(format!("{text:?} is none of off, suggest, auto")),
            }),
            max_per_hour: self.number("ESCALATION_MAX_PER_HOUR", 6, 0),
            routing_key: self.secret("ESCALATION_ROUTING_KEY"),
            events_url: events_url.unwrap_or_else(nowhere),
            ack_wait: self.duration("PAGE_ACK_WAIT", Duration::from_secs(600)),
            evidence_max_age: self.duration("EVIDENCE_MAX_AGE", Duration::from_secs(600)),
            related_max_age: self.duration("RELATED_MAX_AGE", Duration::from_secs(86_400)),
            alert_max_age: self.duration("RECONCILE_MAX_AGE", Duration::from_secs(6 * 3600)),
        }
    }

    /// Warns of what a `.env` file gives in vain.
    fn slips(&mut self) {
        for name in self.environment.from_file.iter().filter(|name| !is_known(name)) {
            self.warnings.push(if PROCESS_ONLY.contains(&name.to_uppercase().as_str()) {
                format!("{name} in .env has no effect: set it for the process")
            } else {
                format!("{name} in .env is no setting of se-responder: is it a slip?")
            });
        }
    }

    fn finish<T>(self, config: T) -> Result<T, Problems> {
        if self.problems.is_empty() { Ok(config) } else { Err(Problems(self.problems)) }
    }
}

/// Stands in for a URL that is wrong until [`Taker::finish`] refuses the whole.
fn nowhere() -> Url {
    #[expect(clippy::unwrap_used, reason = "a constant")]
    Url::parse("http://invalid.invalid/").unwrap()
}

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
        let listen_addr = take.read("LISTEN_ADDR", SocketAddr::from(([127, 0, 0, 1], 8080)), |text| {
            text.parse().map_err(|_| format!("{text:?} is not an address and a port, as in 127.0.0.1:8080"))
        });
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
                    let host = url.host_str().unwrap_or_default();
                    let loopback = host == "localhost" || host.starts_with("127.") || host == "[::1]";
                    if loopback {
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
        let database_url = match (take.secret("DATABASE_URL"), environment.get("DATABASE_URL_FILE")) {
            (Some(secret), _) => secret.reveal().unwrap_or_default(),
            (None, _) => "sqlite://se-responder.db".to_owned(),
        };
        match database(&database_url) {
            Ok(warning) => take.warnings.extend(warning),
            Err(what) => take.problem("DATABASE_URL", what),
        }
        let regions = take.regions();
        let webhook_secrets = take.webhook_secrets();
        let pagerduty = take.pagerduty();
        let escalation = take.escalation();
        if escalation.mode == EscalationMode::Auto && environment.get("REGIONS_FILE").is_none() {
            take.problem("REGIONS_FILE", "is missing: ESCALATION_MODE=auto pages only for regions that it lists");
        }
        let config = Self {
            listen_addr,
            public_url,
            database_url: Secret::from(&*database_url),
            regions,
            webhook_secrets,
            service_ids: take.list("PAGERDUTY_SERVICE_IDS"),
            pagerduty,
            escalation,
            jenkins: take.jenkins(),
            transient: take.transient(),
            cluster: take.cluster(),
            operator_tokens: take.tokens("OPERATOR_TOKENS"),
            viewer_tokens: take.tokens("VIEWER_TOKENS"),
            suppression: SuppressionSettings {
                recheck: take.duration("SUPPRESSION_RECHECK", Duration::from_secs(30)),
                settle: take.read("SUPPRESSION_SETTLE", Duration::from_secs(120), parse_duration),
                max: take.duration("SUPPRESSION_MAX", Duration::from_secs(900)),
            },
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
            shutdown_grace: take.duration("SHUTDOWN_GRACE", Duration::from_secs(8)),
            warnings: Vec::new(),
        };
        take.slips();
        (Self { warnings: take.warnings, ..config }, Problems(take.problems))
    }
}

impl TriggerConfig {
    /// Reads what `trigger` needs.
    ///
    /// # Errors
    /// Every setting of it that is missing or wrong.
    pub fn load(environment: &Environment) -> Result<Self, Problems> {
        let mut take = Taker { environment, problems: Vec::new(), warnings: Vec::new() };
        let webhook_secrets = take.webhook_secrets();
        let listen_addr = environment.get("LISTEN_ADDR").unwrap_or("127.0.0.1:8080");
        let service = environment.get("PUBLIC_URL").map_or_else(|| format!("http://{listen_addr}"), str::to_owned);
        let service = service.trim_end_matches('/').to_owned();
        take.finish(Self { webhook_secrets, service })
    }
}

impl PagerDutySettings {
    /// Reads what a command needs that only talks to PagerDuty.
    ///
    /// # Errors
    /// Every setting of it that is missing or wrong.
    pub fn load(environment: &Environment) -> Result<Self, Problems> {
        let mut take = Taker { environment, problems: Vec::new(), warnings: Vec::new() };
        let settings = take.pagerduty();
        take.finish(settings)
    }
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
        };
        take.finish(config)
    }
}

#[cfg(test)]
mod documents;
#[cfg(test)]
mod tests;
