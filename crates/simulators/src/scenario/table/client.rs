//! Scenarios in which the client of the end-to-end test is asked.

use std::time::Duration;

use super::{BASE, SERVICE_ENDPOINT, expect, same};
use crate::cluster::{Answer, Exporter, Probe};
use crate::prometheus::{Fault, Prometheus};
use crate::scenario::{Client, Expected, Scenario};
use runbook::diagnosis::Finding::{Healthy, ZoneUnhealthy};
use runbook::diagnosis::client::ClientFinding;
use runbook::diagnosis::{Rule, VerdictKind};
use runbook::run::EscalationState;

const SOUTH: &str = "prod-us-south";
const OTHER: &str = "prod-eu-de";

/// The alert's region fails, the others pass.
fn one_region(prometheus: &Prometheus) {
    prometheus.tests(SOUTH, Some("0"), Some("1"));
    prometheus.tests(OTHER, Some("1"), Some("1"));
}

/// Every Magic Box is `1:1` and every cluster well.
const WHOLE: Scenario = Scenario {
    builds: |asked| same(asked, 1, 1),
    other_regions: &[OTHER],
    expected: expect(VerdictKind::Registry, Rule::AllSeAccepting, [Healthy; 3]),
    ..BASE
};

/// What must come of it where the path is whole.
const fn whole(finding: ClientFinding, note_says: &'static [&'static str]) -> Expected {
    Expected { client: Some(finding), note_says, ..WHOLE.expected }
}

pub(super) const CLIENT_BROKEN: Scenario = Scenario {
    name: "client-broken",
    about: "the path is whole, and the healthcheck cluster sees every region down, private and public: it is the client",
    client: Some(Client {
        prometheus: |prometheus| {
            for region in [SOUTH, OTHER] {
                prometheus.tests(region, Some("0"), Some("0"));
            }
        },
        exporter: Some(|| Exporter::seeing(Probe::Fails)),
    }),
    expected: whole(ClientFinding::ClientBroken, &["none of its tests passes", "prod-eu-de: SE fails, public fails"]),
    ..WHOLE
};

pub(super) const FRONT_END_PATH: Scenario = Scenario {
    name: "front-end-path",
    about: "the path is whole, but the healthcheck cluster reaches no front end of this region",
    client: Some(Client { prometheus: one_region, exporter: Some(|| Exporter::seeing(Probe::Blackholed)) }),
    expected: whole(ClientFinding::FrontEndPath, &["Of 3 front ends, asked from there: 3 fail"]),
    ..WHOLE
};

pub(super) const CLIENT_OVER: Scenario = Scenario {
    name: "client-over",
    about: "every Magic Box rejects connections, but the end-to-end test passes again by now: an automatic page is held",
    other_regions: &[OTHER],
    client: Some(Client {
        prometheus: |prometheus| {
            for region in [SOUTH, OTHER] {
                prometheus.tests(region, Some("1"), Some("1"));
            }
        },
        exporter: None,
    }),
    expected: Expected {
        escalation: EscalationState::Held,
        pages: 0,
        client: Some(ClientFinding::Over),
        note_says: &["it is over: the healthcheck cluster's test of prod-us-south passes again"],
        ..SERVICE_ENDPOINT
    },
    ..BASE
};

pub(super) const NOT_THE_CLIENT: Scenario = Scenario {
    name: "not-the-client",
    about: "the healthcheck cluster is asked, and it was not the client: the registry's zones are unhealthy",
    builds: |asked| same(asked, 1, 0),
    clusters: |plan, _| Some(plan.answering(Answer::Status(404))),
    client: Some(Client { prometheus: one_region, exporter: Some(|| Exporter::seeing(Probe::Answers)) }),
    expected: Expected {
        client: Some(ClientFinding::NotClient),
        note_says: &["Of 3 front ends, asked from there: 3 answer"],
        ..expect(VerdictKind::Registry, Rule::AllSeAccepting, [ZoneUnhealthy; 3])
    },
    ..BASE
};

pub(super) const PROMETHEUS_AWAY: Scenario = Scenario {
    name: "prometheus-away",
    about: "the path is whole, and nobody can say whether it is the client: Prometheus does not answer",
    client: Some(Client {
        prometheus: |prometheus| {
            one_region(prometheus);
            prometheus.fault(Some(Fault::Away));
        },
        exporter: None,
    }),
    expected: whole(ClientFinding::Unknown, &["What the healthcheck cluster says: Prometheus, http://127.0.0.1:"]),
    ..WHOLE
};

pub(super) const CLIENT_STALE: Scenario = Scenario {
    name: "client-stale",
    about: "the path is whole, and the healthcheck cluster has not tested the region for minutes: it is the client",
    client: Some(Client {
        prometheus: |prometheus| {
            one_region(prometheus);
            prometheus.change(|all| all.iter_mut().for_each(|series| series.age = Duration::from_secs(200)));
        },
        exporter: None,
    }),
    expected: whole(ClientFinding::ClientBroken, &["has no fresh sample (the last is of "]),
    ..WHOLE
};
