//! A blackbox exporter inside a pod: `/probe?module=&target=` on port 9115, as the real one answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use url::form_urlencoded;

/// The port on which it listens.
pub(super) const PORT: u16 = 9115;
/// The header by which it is told how long it may take.
const TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// What comes of probing a front end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It answers.
    Answers,
    /// It refuses.
    Fails,
    /// Nothing comes back from it: it fails at the end of the time that the exporter was given.
    Blackholed,
    /// The exporter itself never answers.
    Silent,
    /// The exporter answers with this status.
    Status(u16),
    /// The exporter's text has no `probe_success` in it.
    Nothing,
}

/// An exporter: what comes of probing each address, and what it was asked. Clones share what they were asked.
#[derive(Clone, Debug)]
pub struct Exporter {
    /// By address.
    pub probes: BTreeMap<String, Probe>,
    /// Of any other address.
    pub otherwise: Probe,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Exporter {
    /// One that sees every front end so.
    pub fn seeing(otherwise: Probe) -> Self {
        Self { probes: BTreeMap::new(), otherwise, asked: Arc::default() }
    }

    /// The same, but for one front end.
    #[must_use]
    pub fn but(mut self, address: &str, probe: Probe) -> Self {
        self.probes.insert(address.to_owned(), probe);
        self
    }

    /// The targets that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its answer to a request's head; `None`: none ever comes.
    pub(super) async fn answer(&self, head: &[u8]) -> Option<String> {
        let head = String::from_utf8_lossy(head).into_owned();
        let mut lines = head.lines();
        let path = lines.next().and_then(|line| line.strip_prefix("GET ")?.split(' ').next()).unwrap_or_default();
        let Some(query) = path.strip_prefix("/probe?") else { return Some(response(404, "404 page not found\n")) };
        let headers: BTreeMap<String, &str> =
            lines.filter_map(|line| line.split_once(':')).map(|(k, v)| (k.to_ascii_lowercase(), v.trim())).collect();
        let pairs: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let module = pairs.get("module").map_or("", String::as_str);
        if module != "http_2xx" {
            return Some(response(400, &format!("Unknown module {module:?}\n")));
        }
        let Some(target) = pairs.get("target").filter(|target| !target.is_empty()) else {
            return Some(response(400, "Target parameter is missing\n"));
        };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(target.clone());
        let address = target.strip_prefix("https://").and_then(|rest| rest.strip_suffix("/status")).unwrap_or_default();
        let probe = self.probes.get(address).copied().unwrap_or(self.otherwise);
        let success = match probe {
            Probe::Answers => Some(1),
            Probe::Fails => Some(0),
            Probe::Blackholed => {
                let given = headers.get(TIMEOUT).and_then(|seconds| seconds.parse().ok()).unwrap_or(120.0);
                // Half a second is kept for the answer's own way.
                let length = Duration::try_from_secs_f64(given - 0.5).unwrap_or_default();
                tokio::time::sleep(length).await;
                Some(0)
            }
            Probe::Silent => return None,
            Probe::Status(code) => return Some(response(code, "no healthy upstream\n")),
            Probe::Nothing => None,
        };
        let help = "# HELP probe_success Displays whether or not the probe was a success\n# TYPE probe_success gauge\n";
        let success = success.map(|value| format!("{help}probe_success {value}\n")).unwrap_or_default();
        Some(response(
            200,
            &format!(
                "# TYPE probe_duration_seconds gauge\nprobe_duration_seconds 0.021366\nprobe_http_status_code 200\n{success}"
            ),
        ))
    }
}

fn response(code: u16, body: &str) -> String {
    let reason = http::StatusCode::from_u16(code).ok().and_then(|c| c.canonical_reason()).unwrap_or("Unknown");
    format!(
        "HTTP/1.1 {code} {reason}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
