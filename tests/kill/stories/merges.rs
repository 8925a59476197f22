//! The alert is merged into another incident, by a person.

use std::time::Duration;

use futures::FutureExt as _;
use serde_json::Value;
use simulators::pagerduty::{Opening, Setup};
use simulators::scenario::Scenario;
use simulators::world::World;

use super::{PAGED, Story, alert, base, building, over, without_early_words};
use crate::harness::{showing, until_within};
use crate::life::{Life, PATIENCE};

/// An alert's title, since any other holds the page; with a tag, by which it is told from the alert.
const BIGGER: &str = "[bridge 7] All SE endpoints down in prod-us-south";

/// lifecycle.md#a-run-begins: merged into another open incident, the note goes there, and its page too.
/// While it is diagnosed: note and page are those of the incident that it was merged into.
pub(crate) const MERGED: Story = Story {
    name: "merged while its build runs",
    // Long enough that the merge comes before the note on a busy machine too.
    scenario: || Scenario { builds: |asked| showing(asked, 0, 1, Duration::from_millis(500)), ..base() },
    settings: &[("ESCALATION_MODE", "auto")],
    tell: |life| merged(life, When::Building).boxed_local(),
    ends: &[PAGED],
    into: Some(BIGGER),
    also: |world, runs| there(world, runs),
};

/// lifecycle.md#a-run-begins: merged once its note is written, there is no other note.
/// As soon as its note is there, also where nobody knows of that yet. The note may stay where it is.
pub(crate) const MERGED_LATE: Story = Story {
    name: "merged once its note is written",
    scenario: base,
    tell: |life| merged(life, When::Noted).boxed_local(),
    also: |_, _| Ok(()),
    ..MERGED
};

enum When {
    Building,
    Noted,
}

async fn merged(life: &Life, when: When) {
    let pagerduty = &life.world.pagerduty;
    let alert_id = &life.world.alert;
    let into = pagerduty.open(Opening::new(BIGGER, Setup::REGISTRY)).id;
    alert(life).await;
    match when {
        When::Building => building(life).await,
        When::Noted => {
            until_within(PATIENCE, "the note", async || {
                let noted = without_early_words(&pagerduty.notes_of(alert_id)) > 0;
                // Whoever died over the note is not started before the merge: it has to find both.
                if !noted {
                    life.all_listen();
                }
                noted.then_some(())
            })
            .await;
        }
    }
    pagerduty.merge(alert_id, &into, Some(Setup::ENGINEER));
    life.webhook(&pagerduty.webhook_body("incident.resolved", alert_id)).await;
    over(life, alert_id, 1).await;
    over(life, &into, 1).await;
}

/// The diagnosis note is on the incident that is the alert now, and the page has its key.
fn there(world: &World, _: &[Value]) -> Result<(), String> {
    let into = world.pagerduty.open_titled(BIGGER).ok_or("the incident merged into is gone")?.id;
    let keys: Vec<_> = world.pagerduty.pages().into_iter().map(|page| page.incident_key).collect();
    if without_early_words(&world.pagerduty.notes_of(&into)) != 1 || keys != [Some(format!("se-responder/{into}"))] {
        return Err(format!("the note is not on {into}, or the page not under its key: {keys:?}"));
    }
    Ok(())
}
