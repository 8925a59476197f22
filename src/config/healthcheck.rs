//! `[healthcheck]` of the regions file: how the client of the end-to-end test is asked.

use std::time::Duration;

use serde::Deserialize;
use toml::Value;
use url::Url;

use super::values::{is_loopback, parse_duration, web_url};
use clusters::Exporter;
use outbound::secret::Secret;
use runbook::alert::Region;

/// What stands for the region in a query.
const REGION: &str = "{region}";
/// What stands for an address in `target`.
const FRONT_END: &str = "{front_end}";

/// `CLIENT_CHECK_TIMEOUT` and `PROMETHEUS_TOKEN`.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// `CLIENT_CHECK_TIMEOUT`: bounds each asking.
    pub timeout: Duration,
    /// `PROMETHEUS_TOKEN`: a bearer token, where Prometheus needs one.
    pub token: Option<Secret>,
}

/// `[healthcheck]`, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    /// `prometheus_url`: `api/v1/query` is asked under it.
    pub prometheus_url: Url,
    query_se: String,
    query_public: String,
    /// `max_age`: an older sample is none.
    pub max_age: Duration,
    /// `context`, `namespace`, `pod_prefix`, `port`, `module`, `target`: the healthcheck cluster's exporter; `None` without a
    /// `context`: then no front end is asked.
    pub exporter: Option<Exporter>,
}

impl Healthcheck {
    /// The query whose answer is a region's test through the Service Endpoints.
    pub fn query_se(&self, region: &Region) -> String {
        self.query_se.replace(REGION, region.as_str())
    }

    /// The query whose answer is a region's test of the public endpoints.
    pub fn query_public(&self, region: &Region) -> String {
        self.query_public.replace(REGION, region.as_str())
    }

    /// Whether what is sent to Prometheus can be read on the way.
    pub fn is_plain(&self) -> bool {
        self.prometheus_url.scheme() == "http" && !self.prometheus_url.host_str().is_some_and(is_loopback)
    }
}

/// `[healthcheck]` as it is written: each value of whatever type, so that all faults are told at once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthcheckTable {
    prometheus_url: Option<Value>,
    query_se: Option<Value>,
    query_public: Option<Value>,
    max_age: Option<Value>,
    context: Option<Value>,
    namespace: Option<Value>,
    pod_prefix: Option<Value>,
    port: Option<Value>,
    module: Option<Value>,
    target: Option<Value>,
}

impl HealthcheckTable {
    /// Reads it; what is wrong is added to the problems, and then there is none.
    pub(super) fn read(self, problems: &mut Vec<String>) -> Option<Healthcheck> {
        let mut take = Take { problems, failed: false };
        let url = take.required("prometheus_url", self.prometheus_url, url);
        let query_se = take.required("query_se", self.query_se, query);
        let query_public = take.required("query_public", self.query_public, query);
        let max_age = take.or("max_age", self.max_age, Duration::from_secs(120), |text| match parse_duration(text)? {
            Duration::ZERO => Err("must be longer than nothing".into()),
            length => Ok(length),
        });
        let context = take.optional("context", self.context, words);
        let namespace = take.or("namespace", self.namespace, "monitoring".to_owned(), name);
        let pod_prefix = take.or("pod_prefix", self.pod_prefix, "blackbox-exporter".to_owned(), name);
        let port = take.port(self.port);
        let module = take.or("module", self.module, "http_2xx".to_owned(), words);
        let target = take.or("target", self.target, format!("https://{FRONT_END}/status"), |text| {
            if text.contains(FRONT_END) { words(text) } else { Err(format!("{text:?} has no {FRONT_END} in it")) }
        });
        if take.failed {
            return None;
        }
        let exporter = context.map(|context| Exporter { context, namespace, pod_prefix, port, module, target });
        Some(Healthcheck { prometheus_url: url?, query_se: query_se?, query_public: query_public?, max_age, exporter })
    }
}

/// Takes values one by one and keeps what is wrong.
struct Take<'a> {
    problems: &'a mut Vec<String>,
    failed: bool,
}

impl Take<'_> {
    fn problem(&mut self, name: &str, what: &str) {
        self.failed = true;
        self.problems.push(format!("healthcheck.{name}: {what}"));
    }

    fn optional<T>(&mut self, name: &str, value: Option<Value>, reader: fn(&str) -> Result<T, String>) -> Option<T> {
        let read = match value? {
            Value::String(text) => reader(&text),
            other => Err(format!("is of the type {}, where a text is needed", other.type_str())),
        };
        read.map_err(|what| self.problem(name, &what)).ok()
    }

    fn or<T>(&mut self, name: &str, value: Option<Value>, default: T, reader: fn(&str) -> Result<T, String>) -> T {
        self.optional(name, value, reader).unwrap_or(default)
    }

    fn required<T>(&mut self, name: &str, value: Option<Value>, reader: fn(&str) -> Result<T, String>) -> Option<T> {
        if value.is_none() {
            self.problem(name, "is missing");
        }
        self.optional(name, value, reader)
    }

    fn port(&mut self, value: Option<Value>) -> u16 {
        let Some(value) = value else { return 9115 };
        let shown = value.as_integer().map_or_else(|| value.type_str().to_owned(), |port| port.to_string());
        let port = value.as_integer().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        port.unwrap_or_else(|| {
            self.problem("port", &format!("{shown} is not a whole number from 1 to 65535"));
            0
        })
    }
}

fn url(text: &str) -> Result<Url, String> {
    let url = web_url(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{text:?} has a query or a fragment: api/v1/query can't be put behind it"));
    }
    Ok(url)
}

fn query(text: &str) -> Result<String, String> {
    if text.contains(REGION) {
        return words(text);
    }
    Err(format!("{text:?} has no {REGION} in it: there is one query a region"))
}

fn words(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("is empty".into());
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(format!("{text:?} has control characters in it"));
    }
    Ok(text.to_owned())
}

/// A name, or the beginning of one, as Kubernetes gives them.
fn name(text: &str) -> Result<String, String> {
    let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    if text.is_empty() || text.len() > 253 || !text.bytes().all(valid) {
        return Err(format!("{text:?} is not a name as Kubernetes has them: lower-case letters, digits and '-'"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Regions;

    const LEAST: &str = r#"[healthcheck]
prometheus_url = "https://prometheus.example/"
query_se     = 'probe_success{job="se",region="{region}"}'
query_public = 'probe_success{job="public",region="{region}"}'
"#;

    fn read(text: &str) -> Result<Healthcheck, Vec<String>> {
        Regions::parse(text).map(|regions| regions.healthcheck.expect("it is there"))
    }

    #[test]
    fn the_url_and_both_queries_are_required_and_all_else_has_its_default() {
        let least = read(LEAST).unwrap();
        let region = "prod-us-south".parse().unwrap();
        assert_eq!(least.query_se(&region), "probe_success{job=\"se\",region=\"prod-us-south\"}");
        assert_eq!(least.query_public(&region), "probe_success{job=\"public\",region=\"prod-us-south\"}");
        assert_eq!(
            (least.max_age, &least.exporter),
            (Duration::from_secs(120), &None),
            "no front end without a context"
        );
        let with = read(&format!("{LEAST}context = \"registry-healthcheck\"\n")).unwrap().exporter.unwrap();
        let expected = Exporter {
            context: "registry-healthcheck".into(),
            namespace: "monitoring".into(),
            pod_prefix: "blackbox-exporter".into(),
            port: 9115,
            module: "http_2xx".into(),
            target: "https://{front_end}/status".into(),
        };
        assert_eq!(with, expected);
        assert_eq!(Regions::parse("").unwrap().healthcheck, None);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let problems = Regions::parse(
            "[healthcheck]\nprometheus_url = \"ftp://x\"\nquery_se = 'probe_success'\nmax_age = \"0s\"\ncontext = \"\"\n\
             namespace = 7\npod_prefix = \"Black Box\"\nport = 70000\nmodule = \"\"\ntarget = \"https://x/status\"\n\
             [[regions]]\nname = \"A\"\n",
        )
        .unwrap_err();
        let all = problems.join("\n");
        for part in [
            "healthcheck.prometheus_url: \"ftp://x\" is not an http or https URL",
            "healthcheck.query_se: \"probe_success\" has no {region} in it",
            "healthcheck.query_public: is missing",
            "healthcheck.max_age: must be longer than nothing",
            "healthcheck.context: is empty",
            "healthcheck.namespace: is of the type integer, where a text is needed",
            "healthcheck.pod_prefix: \"Black Box\" is not a name",
            "healthcheck.port: 70000 is not a whole number from 1 to 65535",
            "healthcheck.module: is empty",
            "healthcheck.target: \"https://x/status\" has no {front_end} in it",
            "\"A\" is not a region",
        ] {
            assert!(all.contains(part), "{part} in\n{all}");
        }
        assert_eq!(problems.len(), 11, "{all}");
        let unknown = Regions::parse(&format!("{LEAST}prots = 1\n")).unwrap_err().join("\n");
        assert!(unknown.contains("prots"), "{unknown}");
        for strange in ["https://u:p@host/", "https://host/?x=1", "https://host/#x", "prometheus"] {
            assert!(read(&LEAST.replace("https://prometheus.example/", strange)).is_err(), "{strange}");
        }
    }

    #[test]
    fn only_what_can_be_read_on_the_way_is_plain() {
        for (url, plain) in [
            ("https://prometheus.example/", false),
            ("http://prometheus.example:9090/prom", true),
            ("http://127.0.0.1:9090/", false),
            ("http://localhost:9090/", false),
        ] {
            let read = read(&LEAST.replace("https://prometheus.example/", url)).unwrap();
            assert_eq!(read.is_plain(), plain, "{url}");
        }
    }
}
