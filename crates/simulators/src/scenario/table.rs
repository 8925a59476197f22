//! The scenarios.

mod client;
mod courses;

use std::time::Duration;

use super::{Expected, Scenario};
use crate::cluster::{Answer, Fault, Plan, State};
use crate::jenkins::{self, Asked, BuildPlan};
use crate::pagerduty::{self, Opening, PagerDuty, Setup};
use runbook::diagnosis::Finding::{Disabled, Healthy, IngressDown, KonicleFault, Unknown, ZoneUnhealthy};
use runbook::diagnosis::{Finding, Rule, VerdictKind};
use runbook::run::EscalationState;

/// How long a build runs: two or three minutes in life.
const BUILD: Duration = Duration::from_millis(1200);

/// A build that shows the three zones so, and boxes of another region beside them.
fn zones(asked: &Asked, statuses: [(i32, i32); 3]) -> BuildPlan {
    zones_in(asked, statuses, BUILD)
}

fn zones_in(asked: &Asked, statuses: [(i32, i32); 3], duration: Duration) -> BuildPlan {
    let region = asked.cluster.rsplit_once("-az").map_or(asked.cluster.as_str(), |(region, _)| region);
    let names: Vec<String> = (1..=3).map(|n| format!("{region}-az{n}")).collect();
    let mut boxes: Vec<(&str, u32, i32, i32)> =
        names.iter().zip(statuses).map(|(zone, (se, upstream))| (zone.as_str(), 1, se, upstream)).collect();
    boxes.push(("registry-prod-global-az2", 1, 0, 0));
    BuildPlan::showing(&boxes, duration)
}

fn same(asked: &Asked, se: i32, upstream: i32) -> BuildPlan {
    lasting(asked, se, upstream, BUILD)
}

/// The same for a build that runs so long.
fn lasting(asked: &Asked, se: i32, upstream: i32, duration: Duration) -> BuildPlan {
    zones_in(asked, [(se, upstream); 3], duration)
}

/// A build that shows every zone of these regions, and all is well.
fn every_region(regions: &[&str]) -> BuildPlan {
    let names: Vec<String> = regions.iter().flat_map(|r| (1..=3).map(move |n| format!("registry-{r}-az{n}"))).collect();
    let boxes: Vec<(&str, u32, i32, i32)> = names.iter().map(|zone| (zone.as_str(), 1, 1, 1)).collect();
    BuildPlan::showing(&boxes, BUILD)
}

fn well(plan: Plan, _: u32) -> Option<Plan> {
    Some(plan)
}

fn nothing_else(_: &PagerDuty) {}

/// Incidents on several services, none of which explains the alert.
fn crowded(pagerduty: &PagerDuty) {
    for (title, service) in [
        ("All Public endpoints down in prod-eu-de", Setup::REGISTRY),
        ("All SE endpoints down in prod-eu-gb", Setup::REGISTRY),
        ("Certificate of staging expires in 7 days", "PCLDSTG"),
        ("RESOLVED? All Public endpoints down in prod-us-south", Setup::REGISTRY),
    ] {
        pagerduty.open(Opening::new(title, service));
    }
}

const AUTO: &[(&str, &str)] = &[("ESCALATION_MODE", "auto")];

/// What most scenarios have in common: one note, no page.
const BASE: Scenario = Scenario {
    name: "",
    about: "",
    region: "prod-us-south",
    other_regions: &[],
    settings: AUTO,
    builds: |asked| same(asked, 0, 1),
    clusters: well,
    incidents: nothing_else,
    lag: Duration::ZERO,
    pagerduty_faults: &[],
    jenkins_fault: None,
    elsewhere: false,
    client: None,
    expected: expect(VerdictKind::ServiceEndpoint, Rule::AllSeRejectingUpstreamUp, [Healthy; 3]),
};

const fn expect(kind: VerdictKind, rule: Rule, findings: [Finding; 3]) -> Expected {
    Expected { kind, rule, findings, escalation: EscalationState::None, pages: 0, client: None, note_says: &[] }
}

const SERVICE_ENDPOINT: Expected = Expected {
    escalation: EscalationState::Paged,
    pages: 1,
    ..expect(VerdictKind::ServiceEndpoint, Rule::AllSeRejectingUpstreamUp, [Healthy; 3])
};

/// Every scenario, the default one first.
pub static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "service-endpoint",
        about: "every Magic Box rejects connections though its registry answers 200, and it lasts: the Service \
                Endpoint team is paged automatically",
        incidents: crowded,
        expected: Expected { note_says: &["prod-eu-gb"], ..SERVICE_ENDPOINT },
        ..BASE
    },
    Scenario {
        name: "service-endpoint-suggested",
        about: "same, but needs approval (ESCALATION_MODE=suggest)",
        settings: &[("ESCALATION_MODE", "suggest")],
        expected: Expected { escalation: EscalationState::Suggested, pages: 0, ..SERVICE_ENDPOINT },
        ..BASE
    },
    Scenario {
        name: "registry-down",
        about: "boxes and registry both refuse: konicle is down in every zone",
        builds: |asked| zones(asked, [(0, -1), (0, 0), (0, -1)]),
        clusters: |plan, n| {
            let plan = plan.answering(if n == 1 { Answer::Refused } else { Answer::Status(503) });
            let crashing = |pod: &mut crate::cluster::PodPlan| pod.state = State::CrashLoopBackOff(17);
            let mut plan = plan;
            plan.pods.iter_mut().filter(|p| p.name.starts_with("konicle")).for_each(crashing);
            Some(plan)
        },
        expected: expect(VerdictKind::Registry, Rule::AllSeRejectingUpstreamDown, [KonicleFault; 3]),
        ..BASE
    },
    Scenario {
        name: "zones-unhealthy",
        about: "boxes accept, the registry answers 404: its zones have disabled themselves",
        builds: |asked| same(asked, 1, 0),
        clusters: |plan, _| Some(plan.answering(Answer::Status(404))),
        expected: expect(VerdictKind::Registry, Rule::AllSeAccepting, [ZoneUnhealthy; 3]),
        ..BASE
    },
    Scenario {
        name: "private-network",
        about: "boxes accept but can't reach a healthy registry: the way to port 10443 is cut",
        builds: |asked| same(asked, 1, -1),
        expected: expect(VerdictKind::Registry, Rule::AllSeAccepting, [Healthy; 3]),
        ..BASE
    },
    Scenario {
        name: "client-suspected",
        about: "everything reads whole: the healthcheck cluster, its way to the front ends, or already over",
        builds: |asked| same(asked, 1, 1),
        expected: expect(VerdictKind::Registry, Rule::AllSeAccepting, [Healthy; 3]),
        ..BASE
    },
    Scenario {
        name: "ingress-down",
        about: "no private ingress controller runs in any zone",
        builds: |asked| same(asked, 0, -1),
        clusters: |plan, n| {
            Some(plan.private_state(match n {
                1 => State::CrashLoopBackOff(42),
                2 => State::Pending,
                _ => State::ImagePullBackOff,
            }))
        },
        expected: Expected {
            note_says: &["CrashLoopBackOff", "Pending", "ImagePullBackOff"],
            ..expect(VerdictKind::Registry, Rule::AllSeRejectingUpstreamDown, [IngressDown; 3])
        },
        ..BASE
    },
    Scenario {
        name: "transient",
        about: "every box rejects, and all are healthy again in the re-run",
        builds: |asked| if asked.nth == 1 { same(asked, 0, 1) } else { same(asked, 1, 1) },
        expected: expect(VerdictKind::Transient, Rule::RecoveredOnRerun, [Healthy; 3]),
        ..BASE
    },
    Scenario {
        name: "mixed",
        about: "three zones, three faults: each its own box status and its own finding",
        builds: |asked| zones(asked, [(1, -1), (0, 1), (1, 0)]),
        clusters: |plan, n| {
            Some(match n {
                1 => plan.private_state(State::CrashLoopBackOff(9)),
                2 => plan,
                _ => plan.answering(Answer::Status(404)),
            })
        },
        expected: expect(VerdictKind::Mixed, Rule::MixedStatus, [IngressDown, Healthy, ZoneUnhealthy]),
        ..BASE
    },
    Scenario {
        name: "no-reading",
        about: "Jenkins refuses us; the clusters still say what they know",
        jenkins_fault: Some((jenkins::Place::Start, jenkins::Fault::Forbidden, 100)),
        expected: Expected { note_says: &["403"], ..expect(VerdictKind::Inconclusive, Rule::NoReading, [Healthy; 3]) },
        ..BASE
    },
    Scenario {
        name: "incomplete",
        about: "no build shows the third zone's box",
        builds: |asked| {
            let region = asked.cluster.rsplit_once("-az").map_or("", |(region, _)| region);
            let (one, two) = (format!("{region}-az1"), format!("{region}-az2"));
            BuildPlan::showing(&[(&one, 1, 0, 1), (&two, 1, 0, 1)], BUILD / 2)
        },
        expected: expect(VerdictKind::Inconclusive, Rule::IncompleteReading, [Healthy; 3]),
        ..BASE
    },
    Scenario {
        name: "disabled",
        about: "the registry squad has turned two zones off; the third is broken behind its ingress",
        builds: |asked| zones(asked, [(0, 0), (0, 0), (0, 0)]),
        clusters: |plan, n| {
            Some(match n {
                1 => plan.konicle("ready", "false"),
                2 => plan.konicle("private-override", "false"),
                _ => plan.answering(Answer::Status(404)),
            })
        },
        expected: expect(VerdictKind::Registry, Rule::AllSeRejectingUpstreamDown, [Disabled, Disabled, ZoneUnhealthy]),
        ..BASE
    },
    Scenario {
        name: "contradiction",
        about: "boxes get 200 from zones whose own health check fails: an automatic page is held",
        clusters: |plan, _| Some(plan.answering(Answer::Status(404))),
        expected: Expected {
            escalation: EscalationState::Held,
            pages: 0,
            findings: [ZoneUnhealthy; 3],
            ..SERVICE_ENDPOINT
        },
        ..BASE
    },
    Scenario {
        name: "related-open",
        about: "All Public endpoints are down too: named first, and the page is held",
        incidents: |pagerduty| {
            pagerduty.open(Opening::new("All Public endpoints down in prod-us-south", Setup::REGISTRY));
        },
        expected: Expected {
            escalation: EscalationState::Held,
            pages: 0,
            note_says: &["All Public endpoints down in prod-us-south"],
            ..SERVICE_ENDPOINT
        },
        ..BASE
    },
    Scenario {
        name: "unlike-pods",
        about: "in each cluster one private ingress pod is healthy and the other is not",
        clusters: |plan, n| {
            Some(plan.private(|i, pod| match (n, i) {
                (1, 0) => pod.answer = Answer::Status(503),
                (2, 0) => pod.state = State::CrashLoopBackOff(3),
                (3, 0) => pod.answer = Answer::Refused,
                _ => {}
            }))
        },
        expected: SERVICE_ENDPOINT,
        ..BASE
    },
    Scenario {
        name: "clusters-closed",
        about: "one cluster refuses us a right, one has no context, one never answers: the note still comes",
        builds: |asked| same(asked, 0, 0),
        clusters: |plan, n| match n {
            1 => Some(plan.refusing("get", "pods/portforward").refusing("get", "pods/exec")),
            2 => None,
            _ => Some(plan.failing(Fault::Silent)),
        },
        expected: Expected {
            note_says: &["pods/portforward", "grant it with a Role in kube-system", "no context"],
            ..expect(VerdictKind::Registry, Rule::AllSeRejectingUpstreamDown, [Unknown; 3])
        },
        ..BASE
    },
    Scenario {
        name: "busy-jenkins",
        about: "three builds are before ours in the queue, and the first zone's build fails",
        builds: |asked| match asked.nth {
            1 => BuildPlan::printing(vec!["ERROR: no route to host".into()], BUILD / 2)
                .ending("FAILURE")
                .after_queue(BUILD, 3),
            _ => same(asked, 1, 0).ending("FAILURE"),
        },
        expected: expect(VerdictKind::Registry, Rule::AllSeAccepting, [Healthy; 3]),
        ..BASE
    },
    Scenario {
        name: "joined",
        about: "the Service Endpoint team has a page for this region already: it is joined by a note",
        incidents: |pagerduty| {
            pagerduty.open(Opening::new("SE rejects connections (prod-us-south)", Setup::SERVICE_ENDPOINT));
        },
        expected: Expected { pages: 0, ..SERVICE_ENDPOINT },
        ..BASE
    },
    Scenario {
        name: "lost-answers",
        about: "PagerDuty writes the note and opens the page, but its answers are lost, and reads lag behind: one \
                note, one page",
        lag: Duration::from_secs(2),
        pagerduty_faults: &[
            (pagerduty::Endpoint::AddNote, pagerduty::Fault::Reset, 2),
            (pagerduty::Endpoint::CreateIncident, pagerduty::Fault::Reset, 1),
        ],
        expected: SERVICE_ENDPOINT,
        ..BASE
    },
    client::CLIENT_BROKEN,
    client::FRONT_END_PATH,
    client::CLIENT_OVER,
    client::NOT_THE_CLIENT,
    client::PROMETHEUS_AWAY,
    client::CLIENT_STALE,
    courses::SUPPRESSED,
    courses::RELATED_OPENS_MIDWAY,
    courses::ALL_REGIONS,
    courses::REGISTRY_PAGES,
    courses::MERGED,
    courses::RETITLED,
    courses::RESOLVED_EARLY,
    courses::RESOLVED_MIDWAY,
    courses::RESOLVED_BEFORE_PAGE,
    courses::REOPENED,
    courses::HOURS_LATE,
    courses::FLAPPING,
    courses::SLOW_BUILD,
    courses::FOLLOW_UP,
    courses::NO_WEBHOOK,
    courses::LOST_DATABASE,
    courses::SUBSCRIPTION_DISABLED,
    courses::SLACK,
    courses::PHONE_ESCALATION,
    courses::HELD_BY_PHONE,
    courses::EVENTS_API,
    courses::UNACKNOWLEDGED,
    courses::PAGE_FAILS,
];
