//! Takes settings out of the environment, each by a reader of its kind, and keeps what is wrong with them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::environment::{Environment, Problems};
use super::names::{KNOWN, is_known};
use crate::config::regions::Regions;
use crate::config::values::{database, job_url, parse_duration, parse_tokens, secrets_in, weak_tokens, web_url};
use crate::config::{ClientSettings, EscalationSettings, TransientSettings};
use clusters::{ClusterSettings, Probe};
use jenkins::JenkinsSettings;
use outbound::secret::Secret;
use outbound::text_file::read_text;
use pagerduty::PagerDutySettings;
use runbook::gate::EscalationMode;
use runbook::text::closest;

/// What the libraries read from the process's environment themselves; a `.env` file doesn't reach them.
const PROCESS_ONLY: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"];

/// Takes settings one by one and keeps what is wrong.
pub(super) struct Taker<'a> {
    pub(super) environment: &'a Environment,
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Taker<'_> {
    pub(super) fn problem(&mut self, name: &str, what: impl fmt::Display) {
        self.problems.push(format!("{name}: {what}"));
    }

    /// `DATABASE_URL`.
    pub(super) fn database(&mut self) -> Secret {
        let url = match (self.secret("DATABASE_URL"), self.environment.get("DATABASE_URL_FILE")) {
            (Some(secret), _) => secret.reveal().unwrap_or_default(),
            (None, _) => "sqlite://se-responder.db".to_owned(),
        };
        match database(&url) {
            Ok(warning) => self.warnings.extend(warning),
            Err(what) => self.problem("DATABASE_URL", what),
        }
        Secret::from(&*url)
    }

    /// `LISTEN_ADDR`.
    pub(super) fn listen_addr(&mut self) -> SocketAddr {
        self.read("LISTEN_ADDR", SocketAddr::from(([127, 0, 0, 1], 8080)), |text| {
            text.parse().map_err(|_| format!("{text:?} is not an address and a port, as in 127.0.0.1:8080"))
        })
    }

    /// Where who listens there is asked from this machine: of every address by its own.
    pub(super) fn listen_url(&mut self) -> Url {
        let mut addr = self.listen_addr();
        if addr.ip().is_unspecified() {
            addr.set_ip(if addr.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        Url::parse(&format!("http://{addr}")).unwrap_or_else(|_| nowhere())
    }

    /// `SE_RESPONDER_TOKEN`.
    pub(super) fn token(&mut self) -> Secret {
        let (name, problems) = ("SE_RESPONDER_TOKEN", self.problems.len());
        self.secret(name).unwrap_or_else(|| {
            if self.problems.len() == problems {
                self.problem(name, "is missing (or SE_RESPONDER_TOKEN_FILE): one of the service's OPERATOR_TOKENS");
            }
            Secret::from("")
        })
    }

    /// A setting by a reader of its text, or its default.
    pub(super) fn read<T>(&mut self, name: &str, default: T, reader: impl FnOnce(&str) -> Result<T, String>) -> T {
        match self.environment.get(name).map(reader) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(what)) => {
                self.problem(name, what);
                default
            }
        }
    }

    /// One of these words.
    fn word<T: FromStr>(&mut self, name: &str, default: T, words: &[&str]) -> T {
        let none = |text: &str| format!("{text:?} is not one of {}", words.join(", "));
        self.read(name, default, |text| text.parse().map_err(|_| none(text)))
    }

    /// A duration that may not be zero: a time limit of nothing, or a poll without pause, can't be meant.
    pub(super) fn duration(&mut self, name: &str, default: Duration) -> Duration {
        self.read(name, default, |text| match parse_duration(text)? {
            Duration::ZERO => Err("must be longer than nothing".into()),
            length => Ok(length),
        })
    }

    /// How often something is done; `None`: `0s`, never.
    pub(super) fn interval(&mut self, name: &str, default: Duration) -> Option<Duration> {
        Some(self.read(name, default, parse_duration)).filter(|interval| !interval.is_zero())
    }

    pub(super) fn number<T: TryFrom<u64>>(&mut self, name: &str, default: T, least: u64) -> T {
        self.read(name, default, |text| {
            text.parse::<u64>()
                .ok()
                .filter(|n| (least..=100_000).contains(n))
                .and_then(|n| T::try_from(n).ok())
                .ok_or_else(|| format!("{text:?} is not a whole number from {least} to 100000"))
        })
    }

    pub(super) fn text(&mut self, name: &str, why: &str) -> String {
        match self.environment.get(name) {
            Some(value) => value.to_owned(),
            None => {
                self.problem(name, format!("is missing: {why}"));
                String::new()
            }
        }
    }

    pub(super) fn url(&mut self, name: &str, url: Result<Url, String>) -> Option<Url> {
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
    pub(super) fn secret(&mut self, name: &str) -> Option<Secret> {
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

    pub(super) fn required_secret(&mut self, name: &str, why: &str) -> Secret {
        let before = self.problems.len();
        self.secret(name).unwrap_or_else(|| {
            if self.problems.len() == before {
                self.problem(name, format!("is missing (or {name}_FILE): {why}"));
            }
            Secret::from("")
        })
    }

    pub(super) fn tokens(&mut self, name: &str) -> Option<Secret> {
        let secret = self.secret(name)?;
        match secret.reveal().map_err(|e| e.to_string()).and_then(|text| parse_tokens(&text)) {
            Err(what) => self.problem(name, what),
            Ok(tokens) => {
                let weak = weak_tokens(&tokens).join(", ");
                if !weak.is_empty() {
                    let warning = "has tokens of fewer than 16 characters, which can be guessed in time, those of";
                    self.warnings.push(format!("{name} {warning} {weak}: make one with `openssl rand -hex 16`"));
                }
            }
        }
        Some(secret)
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let text = self.environment.get(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect()
    }

    /// Networks (CIDR); an address by itself is one of its own.
    pub(super) fn networks(&mut self, name: &str) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for text in self.list(name) {
            match text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
                Ok(network) => networks.push(network),
                Err(_) => self.problem(name, format!("{text:?} is not a network, as in 10.0.0.0/8 or fd00::/8")),
            }
        }
        networks
    }

    pub(super) fn regions(&mut self) -> Regions {
        let Some(path) = self.environment.get("REGIONS_FILE") else { return Regions::default() };
        self.regions_at("REGIONS_FILE", path)
    }

    /// The regions file at this path, which `name` gives.
    pub(super) fn regions_at(&mut self, name: &str, path: &str) -> Regions {
        match read_text(Path::new(path)) {
            Ok(text) => match Regions::parse(&text) {
                Ok(regions) => {
                    let plain = regions.healthcheck.as_ref().filter(|client| client.is_plain());
                    if plain.is_some()
                        && (self.environment.get("PROMETHEUS_TOKEN").or(self.environment.get("PROMETHEUS_TOKEN_FILE")))
                            .is_some()
                    {
                        let warning = "prometheus_url is not https: PROMETHEUS_TOKEN can be read on the way";
                        self.warnings.push(format!("{path}: {warning}"));
                    }
                    return regions;
                }
                Err(problems) => problems.iter().for_each(|p| self.problem(name, format!("{path}: {p}"))),
            },
            Err(e) => self.problem(name, format!("{path} can't be read: {e}")),
        }
        Regions::default()
    }

    pub(super) fn webhook_secrets(&mut self) -> Secret {
        let name = "PAGERDUTY_WEBHOOK_SECRETS";
        let secrets = self.required_secret(name, "the secrets of the webhook subscriptions, comma-separated");
        if secrets.reveal().is_ok_and(|text| !text.is_empty() && secrets_in(&text).next().is_none()) {
            self.problem(name, "holds no secret, only commas");
        }
        secrets
    }

    /// Where PagerDuty reaches us, where it is said.
    pub(super) fn webhook_url(&mut self) -> Option<String> {
        let name = "WEBHOOK_URL";
        match web_url(self.environment.get(name)?) {
            Ok(url) if url.fragment().is_some() => {
                self.problem(name, format!("{:?} has a fragment, which is never sent", url.as_str()));
                None
            }
            Ok(url) => Some(url.into()),
            Err(what) => {
                self.problem(name, what);
                None
            }
        }
    }

    pub(super) fn pagerduty(&mut self) -> PagerDutySettings {
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

    pub(super) fn jenkins(&mut self) -> JenkinsSettings {
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

    pub(super) fn transient(&mut self) -> TransientSettings {
        TransientSettings {
            reruns: self.number("TRANSIENT_RERUNS", 2, 0),
            wait: self.read("TRANSIENT_WAIT", Duration::from_secs(60), parse_duration),
        }
    }

    /// `KUBECONFIG`, split as kubectl does.
    pub(super) fn kubeconfig(&self) -> Vec<PathBuf> {
        match self.environment.get("KUBECONFIG") {
            Some(paths) => std::env::split_paths(paths).filter(|p| !p.as_os_str().is_empty()).collect(),
            None => self.environment.get("HOME").map(|home| Path::new(home).join(".kube/config")).into_iter().collect(),
        }
    }

    pub(super) fn cluster(&mut self) -> ClusterSettings {
        ClusterSettings {
            kubeconfig: self.kubeconfig(),
            timeout: self.duration("CLUSTER_CHECK_TIMEOUT", Duration::from_secs(30)),
            probe: self.word("CLUSTER_PROBE", Probe::Auto, Probe::WORDS),
        }
    }

    pub(super) fn client(&mut self) -> ClientSettings {
        ClientSettings {
            timeout: self.duration("CLIENT_CHECK_TIMEOUT", Duration::from_secs(10)),
            token: self.secret("PROMETHEUS_TOKEN"),
        }
    }

    pub(super) fn escalation(&mut self) -> EscalationSettings {
        let events_url = self.environment.get("PAGERDUTY_EVENTS_URL").unwrap_or("https://events.pagerduty.com");
        let events_url = self.url("PAGERDUTY_EVENTS_URL", web_url(events_url));
        EscalationSettings {
            service: self.environment.get("ESCALATION_SERVICE").unwrap_or("Cloud Service Endpoint").to_owned(),
            mode: self.word("ESCALATION_MODE", EscalationMode::Suggest, EscalationMode::WORDS),
            max_per_hour: self.number("ESCALATION_MAX_PER_HOUR", 6, 0),
            routing_key: self.secret("ESCALATION_ROUTING_KEY"),
            events_url: events_url.unwrap_or_else(nowhere),
            ack_wait: self.duration("PAGE_ACK_WAIT", Duration::from_secs(600)),
            evidence_max_age: self.read("EVIDENCE_MAX_AGE", Duration::from_secs(600), parse_duration),
            related_max_age: self.read("RELATED_MAX_AGE", Duration::from_secs(86_400), parse_duration),
            alert_max_age: self.read("RECONCILE_MAX_AGE", Duration::from_secs(6 * 3600), parse_duration),
        }
    }

    /// Warns of what a `.env` file gives in vain.
    pub(super) fn slips(&mut self) {
        for name in self.environment.from_file.iter().filter(|name| !is_known(name)) {
            self.warnings.push(if PROCESS_ONLY.contains(&name.to_uppercase().as_str()) {
                format!("{name} in .env has no effect: set it for the process")
            } else {
                let meant = closest(name, KNOWN).map(|meant| format!(" Did you mean {meant}?"));
                format!("{name} in .env is not a setting of se-responder.{}", meant.unwrap_or_default())
            });
        }
    }

    pub(super) fn finish<T>(self, config: T) -> Result<T, Problems> {
        if self.problems.is_empty() { Ok(config) } else { Err(Problems(self.problems)) }
    }
}

/// Stands in for a URL that is wrong until [`Taker::finish`] refuses the whole.
fn nowhere() -> Url {
    #[expect(clippy::unwrap_used, reason = "a constant")]
    Url::parse("http://invalid.invalid/").unwrap()
}
