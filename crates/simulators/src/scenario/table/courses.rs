//! The scenarios in which more happens than one alert and one diagnosis: each with its course.

use std::time::Duration;

use super::{BASE, SERVICE_ENDPOINT, every_region, expect, lasting, same};
use crate::cluster::Answer;
use crate::pagerduty::{PagerDuty, Setup};
use crate::scenario::{Expected, Scenario, subscription};
use runbook::diagnosis::Finding::{Healthy, KonicleFault, ZoneUnhealthy};
use runbook::diagnosis::{Rule, VerdictKind};
use runbook::run::EscalationState;

/// How long a build runs where something happens meanwhile, also on a busy machine.
const LONG: Duration = Duration::from_millis(2500);

/// Pages automatically, after one re-run.
const AUTO_SOON: &[(&str, &str)] =
    &[("ESCALATION_MODE", "auto"), ("TRANSIENT_RERUNS", "1"), ("TRANSIENT_WAIT", "200ms")];

const HELD: Expected = Expected { escalation: EscalationState::Held, pages: 0, ..SERVICE_ENDPOINT };
const NOT_PAGED: Expected = Expected { escalation: EscalationState::None, pages: 0, ..SERVICE_ENDPOINT };
const REGISTRY: Expected = expect(VerdictKind::Registry, Rule::AllSeAccepting, [Healthy; 3]);

pub(super) const SUPPRESSED: Scenario = Scenario {
    name: "suppressed",
    about: "all public endpoints are down too: the alert waits, and is diagnosed once they are back",
    settings: &[("ESCALATION_MODE", "auto"), ("SUPPRESSION_MAX", "1m")],
    expected: SERVICE_ENDPOINT,
    ..BASE
};

pub(super) const RELATED_OPENS_MIDWAY: Scenario = Scenario {
    name: "related-opens-midway",
    about: "the public endpoints go down while Jenkins runs: the page is held until they are back, then a second \
            look pages",
    expected: SERVICE_ENDPOINT,
    ..BASE
};

pub(super) const MERGED: Scenario = Scenario {
    name: "merged",
    about: "the alert is merged into another incident while it is diagnosed: the note goes there",
    builds: |asked| same(asked, 1, 0),
    expected: REGISTRY,
    ..BASE
};

pub(super) const PHONE_ESCALATION: Scenario = Scenario {
    name: "phone-escalation",
    about: "the page needs approval; a person says /escalate on the phone, and another takes the page",
    settings: &[("ESCALATION_MODE", "suggest"), ("PAGE_ACK_WAIT", "40s")],
    expected: SERVICE_ENDPOINT,
    ..BASE
};

pub(super) const SLACK: Scenario = Scenario {
    name: "slack",
    about: "both Slack workspaces are told: the alert's thread, the page, its end; and an issue is opened once it is over",
    settings: AUTO_SOON,
    elsewhere: true,
    expected: SERVICE_ENDPOINT,
    ..BASE
};

pub(super) const FLAPPING: Scenario = Scenario {
    name: "flapping",
    about: "the alert comes three times within minutes: the note says so, and what the last ones found",
    builds: |asked| same(asked, 1, 0),
    expected: REGISTRY,
    ..BASE
};

pub(super) const ALL_REGIONS: Scenario = Scenario {
    name: "all-regions",
    about: "every region alerts at once, and the path looks whole in each: the healthcheck cluster is suspected",
    other_regions: &["prod-eu-gb", "prod-eu-de"],
    builds: |_| every_region(&["prod-us-south", "prod-eu-gb", "prod-eu-de"]),
    expected: REGISTRY,
    ..BASE
};

pub(super) const REGISTRY_PAGES: Scenario = Scenario {
    name: "registry-pages",
    about: "registry has pages of its own about two unhealthy zones: they are linked where they belong",
    builds: |asked| same(asked, 1, 0),
    clusters: |plan, n| {
        Some(match n {
            1 => plan,
            2 => plan.answering(Answer::Status(404)),
            _ => plan.answering(Answer::Status(503)),
        })
    },
    expected: Expected { findings: [Healthy, ZoneUnhealthy, KonicleFault], ..REGISTRY },
    ..BASE
};

pub(super) const RETITLED: Scenario = Scenario {
    name: "retitled",
    about: "somebody gives the alert another title while it is diagnosed: its region is remembered",
    builds: |asked| same(asked, 1, 0),
    expected: REGISTRY,
    ..BASE
};

pub(super) const RESOLVED_EARLY: Scenario = Scenario {
    name: "resolved-early",
    about: "one alert is over before its webhook comes, one while it waits for a bigger outage: nothing is done",
    settings: &[("SUPPRESSION_MAX", "1m")],
    expected: NOT_PAGED,
    ..BASE
};

pub(super) const RESOLVED_MIDWAY: Scenario = Scenario {
    name: "resolved-midway",
    about: "the alert resolves while Jenkins runs: the note says so first, and nobody is paged",
    builds: |asked| lasting(asked, 0, 1, LONG),
    expected: expect(VerdictKind::Transient, Rule::AllSeRejectingUpstreamUp, [Healthy; 3]),
    ..BASE
};

pub(super) const RESOLVED_BEFORE_PAGE: Scenario = Scenario {
    name: "resolved-before-page",
    about: "the alert resolves between its note and its page: nobody is paged",
    settings: AUTO_SOON,
    expected: HELD,
    ..BASE
};

pub(super) const REOPENED: Scenario = Scenario {
    name: "reopened",
    about: "the alert resolves and is opened again: a second run, and no second page",
    settings: AUTO_SOON,
    expected: SERVICE_ENDPOINT,
    ..BASE
};

pub(super) const HOURS_LATE: Scenario = Scenario {
    name: "hours-late",
    about: "the webhook comes seven hours after the alert: diagnosed, but not paged for until it is opened again",
    settings: AUTO_SOON,
    expected: SERVICE_ENDPOINT,
    ..BASE
};

pub(super) const SLOW_BUILD: Scenario = Scenario {
    name: "slow-build",
    about: "Jenkins takes longer than NOTE_BY: one early note, then the diagnosis",
    settings: &[
        ("ESCALATION_MODE", "auto"),
        ("TRANSIENT_RERUNS", "1"),
        ("TRANSIENT_WAIT", "200ms"),
        // PagerDuty has answered by then, on a busy machine too.
        ("NOTE_BY", "1500ms"),
    ],
    builds: |asked| lasting(asked, 0, 1, LONG * 2),
    expected: SERVICE_ENDPOINT,
    ..BASE
};

pub(super) const FOLLOW_UP: Scenario = Scenario {
    name: "follow-up",
    about: "what may be transient is looked at again: unchanged the note is edited, changed there is another",
    settings: &[("ESCALATION_MODE", "auto"), ("TRANSIENT_RERUNS", "0"), ("FOLLOW_UP", "2s")],
    builds: |asked| if asked.nth <= 2 { same(asked, 0, 1) } else { same(asked, 1, 0) },
    expected: REGISTRY,
    ..BASE
};

pub(super) const NO_WEBHOOK: Scenario = Scenario {
    name: "no-webhook",
    about: "no webhook is sent: the alert, its end and its return are found by asking PagerDuty",
    settings: &[("RECONCILE_INTERVAL", "1s")],
    builds: |asked| same(asked, 1, 0),
    expected: REGISTRY,
    ..BASE
};

pub(super) const LOST_DATABASE: Scenario = Scenario {
    name: "lost-database",
    about: "the alert has the note of a run that the database lacks: diagnosed again, and the page is held",
    settings: &[
        ("ESCALATION_MODE", "auto"),
        ("TRANSIENT_RERUNS", "1"),
        ("TRANSIENT_WAIT", "200ms"),
        ("RECONCILE_INTERVAL", "1s"),
    ],
    incidents: |pagerduty| {
        if let Some(alert) = pagerduty.open_titled("All SE endpoints down in prod-us-south") {
            let note = "SERVICE ENDPOINT problem in prod-us-south\n\nrun 019f0000-0000-7000-8000-000000000000";
            let _ = pagerduty.annotate(&alert.id, Setup::RESPONDER, note);
        }
    },
    expected: HELD,
    ..BASE
};

pub(super) const SUBSCRIPTION_DISABLED: Scenario = Scenario {
    name: "subscription-disabled",
    about: "PagerDuty has disabled the webhook subscription: it is turned on again (WEBHOOK_REENABLE), and what it did \
            not send is found",
    settings: &[("PUBLIC_URL", PUBLIC_URL), ("WEBHOOK_REENABLE", "true"), ("RECONCILE_INTERVAL", "1s")],
    builds: |asked| same(asked, 1, 0),
    incidents: disabled_subscription,
    expected: REGISTRY,
    ..BASE
};

/// Nobody subscribes to an address of loopback.
const PUBLIC_URL: &str = "https://se-responder.example.com";

fn disabled_subscription(pagerduty: &PagerDuty) {
    let mut disabled = subscription("PSUB1", PUBLIC_URL);
    disabled.temporarily_disabled = true;
    pagerduty.subscriptions(|all| all.push(disabled));
}

pub(super) const HELD_BY_PHONE: Scenario = Scenario {
    name: "held-by-phone",
    about: "a person says /hold on the phone, and nobody is paged until one says /escalate",
    settings: AUTO_SOON,
    builds: |asked| lasting(asked, 0, 1, LONG),
    expected: SERVICE_ENDPOINT,
    ..BASE
};

pub(super) const EVENTS_API: Scenario = Scenario {
    name: "events-api",
    about: "with a routing key the page goes through the Events API, and is believed when it is read back",
    settings: &[
        ("ESCALATION_MODE", "auto"),
        ("TRANSIENT_RERUNS", "1"),
        ("TRANSIENT_WAIT", "200ms"),
        ("ESCALATION_ROUTING_KEY", Setup::ROUTING_KEY),
    ],
    expected: SERVICE_ENDPOINT,
    ..BASE
};

pub(super) const UNACKNOWLEDGED: Scenario = Scenario {
    name: "unacknowledged",
    about: "nobody takes the page, which a short note says; when the alert is over, note and page are told",
    settings: &[
        ("ESCALATION_MODE", "auto"),
        ("TRANSIENT_RERUNS", "1"),
        ("TRANSIENT_WAIT", "200ms"),
        ("PAGE_ACK_WAIT", "1s"),
    ],
    expected: SERVICE_ENDPOINT,
    ..BASE
};

pub(super) const PAGE_FAILS: Scenario = Scenario {
    name: "page-fails",
    about: "PagerDuty refuses to open the page: reported prominently, until a person's /escalate gets through",
    settings: AUTO_SOON,
    expected: SERVICE_ENDPOINT,
    ..BASE
};
