//! Named scenarios: what the upstreams show, and what the diagnosis must come to.
//!
//! To add one: an entry in [`table::SCENARIOS`], with what is expected of it; the tests hold every entry against that.
//! One in which more happens stands in `table::courses`, and has a course ([`crate::course::of`]).

mod table;

use std::time::Duration;

use super::cluster::{Exporter, Plan};
use super::jenkins::{self, Asked, BuildPlan};
use super::pagerduty::{self, PagerDuty, Subscription};
use super::prometheus::Prometheus;
use runbook::diagnosis::client::ClientFinding;
use runbook::diagnosis::{Finding, Rule, VerdictKind};
use runbook::event::{EVENTS, PATH};
use runbook::run::EscalationState;

pub use table::SCENARIOS;

/// What signs the webhooks of a simulated world.
pub const WEBHOOK_SECRET: &str = "simulated-webhook-secret";

/// One named scenario.
#[derive(Debug)]
pub struct Scenario {
    /// Its name, for `demo --scenario`.
    pub name: &'static str,
    /// What happens, in a line.
    pub about: &'static str,
    /// The alert's region.
    pub region: &'static str,
    /// Regions that the regions file lists beside it.
    pub other_regions: &'static [&'static str],
    /// Settings of its own.
    pub settings: &'static [(&'static str, &'static str)],
    /// What each build does.
    pub builds: fn(&Asked) -> BuildPlan,
    /// What is in the cluster of the n-th zone, made from one in which all is well; `None` is no cluster at all.
    pub clusters: fn(Plan, u32) -> Option<Plan>,
    /// What else is open in PagerDuty.
    pub incidents: fn(&PagerDuty),
    /// By how much PagerDuty's reads lag behind writes.
    pub lag: Duration,
    /// Requests that are done though their answer says otherwise, and how often.
    pub pagerduty_faults: &'static [(pagerduty::Endpoint, pagerduty::Fault, u32)],
    /// How Jenkins fails, and how often.
    pub jenkins_fault: Option<(jenkins::Place, jenkins::Fault, u32)>,
    /// Slack and GHE are told.
    pub elsewhere: bool,
    /// The client of the end-to-end test; `None`: the regions file has no `[healthcheck]`.
    pub client: Option<Client>,
    /// What it must come to.
    pub expected: Expected,
}

/// The client of the end-to-end test.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// What Prometheus has, and how it fails.
    pub prometheus: fn(&Prometheus),
    /// The exporter of the healthcheck cluster; `None`: the regions file gives no `context`.
    pub exporter: Option<fn() -> Exporter>,
}

/// What a scenario must come to.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The verdict.
    pub kind: VerdictKind,
    /// Its rule.
    pub rule: Rule,
    /// The findings of the three zones.
    pub findings: [Finding; 3],
    /// What becomes of the page.
    pub escalation: EscalationState,
    /// How many pages are opened.
    pub pages: usize,
    /// What is found about the client, where it is asked.
    pub client: Option<ClientFinding>,
    /// What the note must say somewhere, beyond what its verdict and findings ask for.
    pub note_says: &'static [&'static str],
}

impl Scenario {
    /// The scenario of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|s| s.name == name)
    }

    /// The n-th zone's cluster.
    pub fn zone(&self, n: u32) -> String {
        format!("registry-{}-az{n}", self.region)
    }

    /// Every region of it, the alert's first.
    pub fn regions(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.region).chain(self.other_regions.iter().copied())
    }

    /// A regions file that lists the regions.
    pub fn regions_file(&self) -> String {
        let region = |name: &str| {
            let zone = |n: u32| format!("[[regions.zones]]\ncluster = \"registry-{name}-az{n}\"\n");
            format!("[[regions]]\nname = \"{name}\"\n\n{}", (1..=3).map(zone).collect::<Vec<_>>().join("\n"))
        };
        self.regions().map(region).collect::<Vec<_>>().join("\n")
    }
}

/// A webhook subscription that lacks nothing: to the service at this address.
pub(super) fn subscription(id: &str, public_url: &str) -> Subscription {
    Subscription {
        id: id.to_owned(),
        service_id: pagerduty::Setup::REGISTRY.into(),
        url: format!("{public_url}{PATH}"),
        events: EVENTS.map(str::to_owned).to_vec(),
        active: true,
        temporarily_disabled: false,
        secret: WEBHOOK_SECRET.to_owned(),
    }
}
