//! Looks that nobody asks for: second ones, and the canary's before the first.

use std::time::Duration;

use futures::FutureExt as _;
use serde_json::Value;
use simulators::jenkins::{Asked, BuildPlan};
use simulators::scenario::Scenario;
use simulators::world::World;

use super::{End, PAGED, PLAIN, PUBLIC, Story, alert, base, building, over, public};
use crate::harness::showing;
use crate::life::{Life, until};

/// lifecycle.md#before-the-note: one that opened meanwhile holds the page, and a `related-resolved` run looks again.
/// A bigger outage opens while Jenkins is asked: the page is held, and a second look pages once it is over.
///
/// Whoever is struck before the note begins again, finds it open, and waits for its end before it is diagnosed at all:
/// the word while it waits, one diagnosis, one page. What ended before that is no evidence then: both builds are done
/// again.
pub(crate) const RELATED_RESOLVED: Story = Story {
    name: "held by a bigger outage, then looked at again",
    // Long enough that the outage comes before the note on a busy machine too.
    scenario: || Scenario { builds: |asked| showing(asked, 0, 1, Duration::from_millis(500)), ..base() },
    settings: &[("ESCALATION_MODE", "auto")],
    tell: |life| related_resolved(life).boxed_local(),
    ends: &[
        End { runs: 2, notes: 2, builds: 4, ..PAGED },
        End { notes: 2, builds: 3, ..PAGED },
        End { notes: 2, builds: 4, ..PAGED },
        // Its first build ran on until then.
        End { notes: 2, ..PAGED },
    ],
    ..PLAIN
};

async fn related_resolved(life: &Life) {
    let alert_id = &life.world.alert;
    alert(life).await;
    building(life).await;
    public(&life.world.pagerduty);
    until("the page to be held, or the run to wait", async || {
        let run = life.runs(alert_id).await?.into_iter().next()?;
        let noted = !life.world.pagerduty.notes_of(alert_id).is_empty();
        (noted && (run["state"] == "suppressed" || run["state"] == "done")).then_some(())
    })
    .await;
    let open = life.world.pagerduty.open_titled(PUBLIC).expect("the bigger outage").id;
    life.world.pagerduty.resolve(&open, None);
    life.webhook(&life.world.pagerduty.webhook_body("incident.resolved", &open)).await;
    until("the page", async || {
        let run = life.runs(alert_id).await?.into_iter().next()?;
        (run["escalation"]["state"] == "paged").then_some(())
    })
    .await;
    over(life, alert_id, 1).await;
}

/// lifecycle.md#looking-again: if it finds nothing new, it edits the last note.
/// Without a re-run its verdict may change by itself: it is looked at again, twice, and then it is another.
pub(crate) const FOLLOW_UP: Story = Story {
    name: "followed up until it is another verdict",
    scenario: || Scenario { builds: at_last_registrys, ..base() },
    settings: &[("ESCALATION_MODE", "off"), ("TRANSIENT_RERUNS", "0"), ("FOLLOW_UP", "1s")],
    tell: |life| followed_up(life).boxed_local(),
    // The first and the last run's; the one between has edited the first's.
    ends: &[End { runs: 3, notes: 2, pages: 0, builds: 3, escalation: "none" }],
    also: |world, runs| unchanged_once(world, runs),
    ..PLAIN
};

fn at_last_registrys(asked: &Asked) -> BuildPlan {
    showing(asked, i32::from(asked.nth > 2), 1, Duration::from_millis(30))
}

async fn followed_up(life: &Life) {
    alert(life).await;
    over(life, &life.world.alert, 3).await;
}

fn unchanged_once(world: &World, runs: &[Value]) -> Result<(), String> {
    let notes = world.pagerduty.notes_of(&world.alert);
    let kinds: Vec<_> = runs.iter().rev().map(|run| run["diagnosis"]["verdict"]["kind"].as_str()).collect();
    let first = notes.first().map(|note| note.content.to_lowercase()).unwrap_or_default();
    if kinds != [Some("transient"), Some("transient"), Some("registry")] || !first.contains("unchanged") {
        return Err(format!("not followed up as it must be: {kinds:?}"));
    }
    Ok(())
}

/// lifecycle.md#jenkins-and-the-clusters: a build that began after the alert serves it, whoever started it.
/// The canary's build is under way when the alert's webhook comes: it began after the alert, and serves it.
///
/// On SQLite only: where another process has died over the canary it is nobody's for JENKINS_TIMEOUT and half a minute.
pub(crate) const CANARY: Story = Story {
    name: "served by the canary's build",
    scenario: || Scenario {
        builds: |asked| showing(asked, 0, 1, Duration::from_millis(if asked.nth == 1 { 1_000 } else { 30 })),
        // The next canary's turn, which may come before the end: its builds are told by their zone.
        other_regions: &["prod-eu-de"],
        ..base()
    },
    // More than a second after the alert: PagerDuty's and Jenkins' whole seconds leave no doubt which came first.
    settings: &[("ESCALATION_MODE", "off"), ("CANARY_INTERVAL", "2500ms")],
    tell: |life| canary(life).boxed_local(),
    ..PLAIN
};

async fn canary(life: &Life) {
    // It says when the alert was triggered, however late it comes.
    let late = life.world.pagerduty.webhook_body("incident.triggered", &life.world.alert);
    building(life).await;
    life.webhook(&late).await;
    over(life, &life.world.alert, 1).await;
}
