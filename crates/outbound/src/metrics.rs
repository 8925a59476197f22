//! What is counted of requests to others.

use strum::{EnumMessage, VariantArray, VariantNames};

/// Requests by `system` and `status`.
pub const REQUESTS: &str = "se_responder_upstream_requests_total";
/// Questions asked again.
pub const RETRIES: &str = "se_responder_upstream_retries_total";

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

/// A request ended, with this HTTP status; `None` where no answer came.
pub fn request(system: Upstream, status: Option<u16>) {
    ::metrics::counter!(REQUESTS, "system" => system.as_str(), "status" => class(status)).increment(1);
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
