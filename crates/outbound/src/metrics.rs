//! What is counted and measured of requests to others.

use std::time::Instant;

use strum::{EnumMessage, VariantArray, VariantNames};
use tracing::Span;
use tracing::field::Empty;

/// Requests by `system` and `status`.
pub const REQUESTS: &str = "se_responder_upstream_requests_total";
/// Questions asked again.
pub const RETRIES: &str = "se_responder_upstream_retries_total";

/// How long requests took, by `system`.
pub const UPSTREAM_DURATION: &str = "se_responder_upstream_duration_seconds";

runbook::words! {
    Upstream: "system";
    Asker: "asker";
}

/// Whom a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Upstream {
    /// PagerDuty.
    PagerDuty,
    /// Jenkins.
    Jenkins,
    /// A registry cluster, or the healthcheck cluster.
    Cluster,
    /// Slack.
    Slack,
    /// GitHub Enterprise.
    Ghe,
    /// The Prometheus of the healthcheck cluster.
    Prometheus,
}

/// What asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Asker {
    /// The one policy of PagerDuty, Jenkins and Prometheus.
    Http,
    /// That of clusters.
    Cluster,
}

/// A request that is under way. It is counted and measured when it has ended; one that nobody waits for any more is not.
#[derive(Debug)]
#[must_use = "it is counted when it has ended"]
pub struct Asking {
    system: Upstream,
    began: Instant,
    /// Its part of a trace.
    span: Span,
}

impl Asking {
    /// It is sent now.
    pub fn begin(system: Upstream) -> Self {
        let span = tracing::debug_span!(
            "upstream",
            otel.name = system.as_str(),
            otel.kind = "client",
            otel.status_code = Empty,
            system = system.as_str(),
            http.response.status_code = Empty
        );
        Self { system, began: Instant::now(), span }
    }

    /// It ended, with this HTTP status; `None` where no answer came.
    pub fn ended(&self, status: Option<u16>) {
        let system = self.system.as_str();
        if let Some(status) = status {
            self.span.record("http.response.status_code", status);
        }
        if status.is_none_or(|status| status >= 400) {
            self.span.record("otel.status_code", "error");
        }
        ::metrics::histogram!(UPSTREAM_DURATION, "system" => system).record(self.began.elapsed());
        ::metrics::counter!(REQUESTS, "system" => system, "status" => class(status)).increment(1);
    }
}

fn class(status: Option<u16>) -> &'static str {
    match status {
        Some(100..=299) => "2xx",
        Some(300..=399) => "3xx",
        Some(400..=499) => "4xx",
        Some(_) => "5xx",
        None => "none",
    }
}

/// A question is asked again.
pub fn retry(system: Asker) {
    ::metrics::counter!(RETRIES, "system" => system.as_str()).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_classes() {
        let of = [200, 201, 302, 404, 429, 500, 599].map(|status| class(Some(status)));
        assert_eq!(of, ["2xx", "2xx", "3xx", "4xx", "4xx", "5xx", "5xx"]);
        assert_eq!(class(None), "none");
    }
}
