//! Ways to page: by the Events API, and by joining a page that is open.

use std::time::Duration;

use jiff::SignedDuration;
use outbound::clock::SystemClock;
use serde_json::Value;
use simulators::pagerduty::{Endpoint, Fault, Opening, PagerDuty, Setup};
use simulators::scenario::Scenario;
use simulators::world::World;

use super::{End, PAGED, PLAIN, Story, base};

const THEIRS: &str = "VIPs of prod-us-south do not answer";

/// The Events API answers before the page is there, and it is not there at once.
fn events_take_a_while(pagerduty: &PagerDuty) {
    pagerduty.set_event_delay(Duration::from_secs(1));
}

/// lifecycle.md#the-page: a page by the Events API may take a while to show.
/// The page goes through the Events API.
pub(crate) const EVENTS_API: Story = Story {
    name: "paged by the Events API, which takes a while",
    scenario: || Scenario { incidents: events_take_a_while, ..base() },
    settings: &[("ESCALATION_MODE", "auto"), ("ESCALATION_ROUTING_KEY", Setup::ROUTING_KEY)],
    ends: &[PAGED],
    ..PLAIN
};

/// lifecycle.md#crashes-clocks-replicas: one page at most, however the answer of the Events API is lost.
/// The same, and the answer is lost.
pub(crate) const EVENTS_LOST: Story = Story {
    name: "the same, and its answer is lost",
    scenario: || Scenario { pagerduty_faults: &[(Endpoint::Enqueue, Fault::Reset, 1)], ..(EVENTS_API.scenario)() },
    ..EVENTS_API
};

/// For long enough that the lists show it, however much they lag.
fn theirs_is_open(pagerduty: &PagerDuty) {
    let created_at = Some(SystemClock::shared().now() - SignedDuration::from_hours(1));
    pagerduty.open(Opening { created_at, ..Opening::new(THEIRS, Setup::SERVICE_ENDPOINT) });
}

/// lifecycle.md#the-page: an open incident of that service is joined by one note instead.
/// The Service Endpoint team has a page of its own already.
pub(crate) const JOINED: Story = Story {
    name: "joins a page that is open",
    scenario: || Scenario { incidents: theirs_is_open, lag: Duration::from_secs(1), ..base() },
    settings: &[("ESCALATION_MODE", "auto")],
    ends: &[End { pages: 0, ..PAGED }],
    also: |world, runs| joined(world, runs),
    ..PLAIN
};

fn joined(world: &World, runs: &[Value]) -> Result<(), String> {
    let page = world.pagerduty.open_titled(THEIRS).ok_or("their page is gone")?.id;
    let notes = world.pagerduty.notes_of(&page);
    if runs[0]["escalation"]["page"]["id"] != page.as_str() || notes.len() != 1 || !world.pagerduty.pages().is_empty() {
        return Err(format!("{page} is not joined once: {} {notes:#?}", runs[0]["escalation"]));
    }
    Ok(())
}
