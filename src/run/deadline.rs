//! How long a run may stay active: none does forever.

use std::time::Duration;

use crate::config::Config;
use runbook::plan::run::{RETAKES, TELL_WITHIN};

/// What is for looks at PagerDuty, for the page, and for workers that were cut off.
const REST: Duration = Duration::from_secs(1800);

/// The longest that a run stays active, without the time in which the service is down: it waits for a bigger outage to
/// end, asks (with its re-runs, and again where its evidence became too old for a page), tells, and has half an hour
/// for the rest. One that is not done by then ends `failed`.
pub fn longest_run(config: &Config) -> Duration {
    let Config { suppression, jenkins, cluster, transient, .. } = config;
    let readings = jenkins.timeout.max(cluster.timeout).saturating_mul(transient.reruns.saturating_add(1));
    let asking = readings.saturating_add(transient.wait.saturating_mul(transient.reruns));
    let telling = TELL_WITHIN.saturating_add(REST);
    suppression.max.saturating_add(asking.saturating_mul(RETAKES + 1)).saturating_add(telling)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixtures;

    /// reliability.md#deadlines: the longest that a run stays active.
    #[test]
    fn the_bound_is_what_the_documentation_says() {
        let config = fixtures::config(&[], "");
        let minutes = |n: u64| Duration::from_secs(60 * n);
        assert_eq!(longest_run(&config), minutes(15) + (minutes(18) + minutes(2)) * 3 + minutes(360) + minutes(30));
    }
}
