//! The scenarios in which more happens than one alert and one diagnosis: each with its course.

use super::{BASE, SERVICE_ENDPOINT, every_region, expect, same};
use crate::diagnosis::Finding::Healthy;
use crate::diagnosis::{Rule, VerdictKind};
use crate::sim::course;
use crate::sim::scenario::Scenario;

pub(super) const SUPPRESSED: Scenario = Scenario {
    name: "suppressed",
    about: "all public endpoints are down too: the alert waits, and is diagnosed once they are back",
    course: Some(course::suppressed),
    settings: &[("ESCALATION_MODE", "auto"), ("SUPPRESSION_MAX", "1m")],
    expected: SERVICE_ENDPOINT,
    ..BASE
};

pub(super) const RELATED_OPENS_MIDWAY: Scenario = Scenario {
    name: "related-opens-midway",
    about: "the public endpoints go down while Jenkins runs: the page is held until they are back, then a second \
            look pages",
    course: Some(course::related_opens_midway),
    expected: SERVICE_ENDPOINT,
    ..BASE
};

pub(super) const MERGED: Scenario = Scenario {
    name: "merged",
    about: "the alert is merged into another incident while it is diagnosed: the note goes there",
    builds: |asked| same(asked, 1, 0),
    course: Some(course::merged),
    expected: expect(VerdictKind::Registry, Rule::AllSeAccepting, [Healthy; 3]),
    ..BASE
};

pub(super) const PHONE_ESCALATION: Scenario = Scenario {
    name: "phone-escalation",
    about: "the page waits for a yes; a person says /escalate on the phone, and another takes the page",
    settings: &[("ESCALATION_MODE", "suggest"), ("PAGE_ACK_WAIT", "40s")],
    course: Some(course::phone_escalation),
    expected: SERVICE_ENDPOINT,
    ..BASE
};

pub(super) const FLAPPING: Scenario = Scenario {
    name: "flapping",
    about: "the alert comes three times within minutes: the note says so, and what the last ones found",
    builds: |asked| same(asked, 1, 0),
    course: Some(course::flapping),
    expected: expect(VerdictKind::Registry, Rule::AllSeAccepting, [Healthy; 3]),
    ..BASE
};

pub(super) const ALL_REGIONS: Scenario = Scenario {
    name: "all-regions",
    about: "every region alerts at once, and the path looks whole in each: the healthcheck cluster is suspected",
    other_regions: &["prod-eu-gb", "prod-eu-de"],
    builds: |_| every_region(&["prod-us-south", "prod-eu-gb", "prod-eu-de"]),
    course: Some(course::all_regions),
    expected: expect(VerdictKind::Registry, Rule::AllSeAccepting, [Healthy; 3]),
    ..BASE
};
