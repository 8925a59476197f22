//! Settings for tests.

use super::{Config, Environment, Regions};

/// Complete settings with these over them, and a regions file of this text.
pub(crate) fn config(settings: &[(&str, &str)], regions: &str) -> Config {
    let complete = [
        ("PAGERDUTY_WEBHOOK_SECRETS", "s"),
        ("PAGERDUTY_API_TOKEN", "t"),
        ("PAGERDUTY_FROM", "oncall@example.com"),
        ("JENKINS_JOB_URL", "http://127.0.0.1:9/job/ServiceEndpointStatus/"),
        ("JENKINS_USER", "u"),
        ("JENKINS_API_TOKEN", "t"),
    ];
    let mut config = Config::load(&Environment::of(complete.into_iter().chain(settings.iter().copied()))).unwrap();
    config.regions = Regions::parse(regions).unwrap();
    config
}
