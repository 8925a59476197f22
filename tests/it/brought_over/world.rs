//! The world that version 0.1.0 worked in when the databases of `tests/old` were made, and that they go on in: a region for
//! each state that an alert can be in.

use std::time::Duration;

use simulators::jenkins::{Asked, BuildPlan};
use simulators::scenario::Scenario;

use crate::harness::{quick, showing};

/// The alert's region, and those of the others. `tests/old/README.md` says what becomes of each.
const REGIONS: &[&str] = &[
    "prod-acked",
    "prod-joined",
    "prod-refused",
    "prod-held",
    "prod-pages",
    "prod-wanted",
    "prod-opened",
    "prod-asked",
    "prod-untold",
    "prod-noted",
    "prod-unnoted",
    "prod-said",
    "prod-unsaid",
    "prod-waiting",
    "prod-building",
    "prod-merging",
    "prod-reopened",
    "prod-region",
    "prod-fresh",
    "prod-followed",
    "prod-related",
    "prod-bigger",
    "prod-settling",
    "prod-over",
    "prod-ending",
    "prod-merged",
    "prod-failing",
    "prod-cancelled",
    "prod-status",
    "prod-rerun",
    "prod-hours",
    "prod-called",
];

/// What each build shows; `long` is how long those run that are under way when the service is killed.
fn builds(asked: &Asked, long: Duration) -> BuildPlan {
    let zone = asked.cluster.strip_prefix("registry-").unwrap_or_default();
    let region = zone.rsplit_once("-az").map_or(zone, |(region, _)| region);
    let short = Duration::from_millis(100);
    match region {
        "prod-building" | "prod-merging" | "prod-reopened" | "prod-region" => showing(asked, 1, 1, long),
        "prod-related" => showing(asked, 1, 1, Duration::from_secs(3)),
        "prod-followed" => BuildPlan::showing(&[("registry-prod-followed-az1", 1, 1, 1)], short),
        "prod-over" | "prod-ending" | "prod-merged" | "prod-failing" | "prod-cancelled" | "prod-status"
        | "prod-rerun" | "prod-bigger" | "prod-settling" | "prod-hours" | "prod-fresh" | "prod-called" => {
            showing(asked, 1, 1, short)
        }
        _ => showing(asked, 0, 1, short),
    }
}

fn scenario(builds: fn(&Asked) -> BuildPlan) -> &'static Scenario {
    Box::leak(Box::new(Scenario { region: "prod-quiet", other_regions: REGIONS, builds, ..*quick() }))
}

/// As it is while the old version works.
pub(super) fn then() -> &'static Scenario {
    scenario(|asked| builds(asked, Duration::from_secs(600)))
}

/// As it is when this version goes on.
pub(super) fn now() -> &'static Scenario {
    scenario(|asked| builds(asked, Duration::from_secs(3)))
}

/// Settings that both have.
pub(super) const SETTINGS: &[(&str, &str)] = &[
    ("ESCALATION_MODE", "auto"),
    ("ESCALATION_MAX_PER_HOUR", "100"),
    ("PUBLIC_URL", "https://se-responder.example.com"),
    ("JENKINS_TIMEOUT", "10m"),
    ("JENKINS_MAX_BUILDS", "50"),
    ("JENKINS_POLL", "100ms"),
    ("CLUSTER_CHECK_TIMEOUT", "30s"),
    ("TRANSIENT_RERUNS", "1"),
    ("TRANSIENT_WAIT", "2s"),
    ("NOTE_BY", "10m"),
    ("SUPPRESSION_RECHECK", "4s"),
    ("RECONCILE_INTERVAL", "5s"),
    ("CANARY_INTERVAL", "1h"),
    ("COMMAND_USERS", ""),
];
