//! What happens to an alert while the service is killed, and what it must come to.
//!
//! To add one: a [`Story`] here or in the file of its theme, and a line in `enumerate`.

mod check;
mod elsewhere;
mod looks;
mod merges;
mod pages;

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};
use simulators::jenkins;
use simulators::pagerduty::{Endpoint, Fault, Note, Opening, PagerDuty, Setup};
use simulators::scenario::Scenario;
use simulators::world::World;

pub(crate) use check::{check, tells_of_page};
pub(crate) use elsewhere::{REFUSED, TOLD};
pub(crate) use looks::{CANARY, FOLLOW_UP, RELATED_RESOLVED};
pub(crate) use merges::{MERGED, MERGED_LATE};
pub(crate) use pages::{EVENTS_API, EVENTS_LOST, JOINED};

use crate::harness::notes::waits_for_page;
use crate::harness::{quick, showing, until_within};
use crate::life::{Life, PATIENCE, until, until_or_say};

const PUBLIC: &str = "All Public endpoints down in prod-us-south";

/// One story: what is sent, and what it must have come to.
#[derive(Clone, Copy)]
pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) scenario: fn() -> Scenario,
    pub(crate) settings: &'static [(&'static str, &'static str)],
    /// From the webhook to the end.
    pub(crate) tell: for<'a> fn(&'a Life) -> LocalBoxFuture<'a, ()>,
    /// What it comes to; where there are several, the others are what only one that was struck may come to.
    pub(crate) ends: &'static [End],
    /// The title of the incident that the alert is merged into.
    pub(crate) into: Option<&'static str>,
    /// What else must hold of it, given its runs.
    pub(crate) also: fn(&World, &[Value]) -> Result<(), String>,
}

/// An alert that is diagnosed, and nobody is paged.
const PLAIN: Story = Story {
    name: "",
    scenario: base,
    settings: &[("ESCALATION_MODE", "off")],
    tell: |life| auto(life).boxed_local(),
    ends: &[End { runs: 1, notes: 1, pages: 0, builds: 2, escalation: "none" }],
    into: None,
    also: |_, _| Ok(()),
};

/// What one comes to whose page is opened once.
const PAGED: End = End { runs: 1, notes: 1, pages: 1, builds: 2, escalation: "paged" };

/// What is there in the end, whatever was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) runs: usize,
    /// All notes but the early words, of which each run has one: where its worker was struck while it may have been written
    /// already, the diagnosis does not wait for it.
    pub(crate) notes: usize,
    pub(crate) pages: usize,
    /// Builds that Jenkins was made to do with a zone of the alert's region.
    pub(crate) builds: usize,
    pub(crate) escalation: &'static str,
}

fn base() -> Scenario {
    Scenario { builds: |asked| showing(asked, 0, 1, Duration::from_millis(30)), ..*quick() }
}

pub(crate) fn public(pagerduty: &PagerDuty) {
    pagerduty.open(Opening::new(PUBLIC, Setup::REGISTRY));
}

/// Builds as short as can be, one re-run; no look at open incidents of its own accord.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("PUBLIC_URL", "http://responder.test"),
    ("TRANSIENT_RERUNS", "1"),
    ("TRANSIENT_WAIT", "10ms"),
    ("JENKINS_POLL", "20ms"),
    // On a busy machine too: a share that runs out is another build.
    ("JENKINS_TIMEOUT", "5m"),
    ("SUPPRESSION_RECHECK", "300ms"),
    ("SUPPRESSION_SETTLE", "300ms"),
    ("SUPPRESSION_MAX", "1h"),
    ("RECONCILE_INTERVAL", "0s"),
];

/// lifecycle.md#the-page: an automatic page is opened, read back and told of; one note, one page.
/// A verdict that pages: two readings, an early word, a note, a page, read back and told.
pub(crate) const AUTO: Story = Story {
    name: "service endpoint, paged automatically; reads lag",
    scenario: || Scenario { lag: Duration::from_secs(2), ..base() },
    settings: &[("ESCALATION_MODE", "auto"), ("RECONCILE_INTERVAL", "1m")],
    tell: |life| auto(life).boxed_local(),
    ends: &[PAGED],
    ..PLAIN
};

/// lifecycle.md#crashes-clocks-replicas: one note and one page at most, however their answers are lost.
/// The same, and the answers to the first build, both notes and the page are lost.
pub(crate) const LOST_ANSWERS: Story = Story {
    name: "the same, and answers are lost",
    scenario: || Scenario {
        pagerduty_faults: &[(Endpoint::AddNote, Fault::Reset, 2), (Endpoint::CreateIncident, Fault::Reset, 1)],
        jenkins_fault: Some((jenkins::Place::Start, jenkins::Fault::LostAnswer, 1)),
        lag: Duration::from_secs(1),
        ..base()
    },
    settings: &[("ESCALATION_MODE", "auto")],
    tell: |life| auto(life).boxed_local(),
    ends: &[PAGED],
    ..PLAIN
};

/// lifecycle.md#the-page: a person's `/escalate` pages; one page.
/// The page waits for a person, who says yes.
pub(crate) const ESCALATED: Story = Story {
    name: "suggested, then POST /escalate",
    scenario: base,
    settings: &[("ESCALATION_MODE", "suggest")],
    tell: |life| escalated(life).boxed_local(),
    ends: &[PAGED],
    ..PLAIN
};

/// lifecycle.md#a-bigger-outage-is-open: one short note, and the run goes on once they have closed.
/// A bigger outage is waited for.
pub(crate) const SUPPRESSED: Story = Story {
    name: "suppressed, then lifted",
    scenario: || Scenario { incidents: public, ..base() },
    settings: &[("ESCALATION_MODE", "off")],
    tell: |life| suppressed(life).boxed_local(),
    // The word while it waits, the diagnosis.
    ends: &[End { runs: 1, notes: 2, pages: 0, builds: 2, escalation: "none" }],
    ..PLAIN
};

/// lifecycle.md#commands and #the-alert-ends: `/rerun` is answered once, and the note says that the alert has ended.
/// A person has it diagnosed again by a note, and in the end the alert resolves.
pub(crate) const COMMANDED: Story = Story {
    name: "/rerun by note, then resolved",
    scenario: base,
    settings: &[("ESCALATION_MODE", "off")],
    tell: |life| commanded(life).boxed_local(),
    // Two runs' diagnoses, the command and its answer.
    ends: &[End { runs: 2, notes: 4, pages: 0, builds: 4, escalation: "none" }],
    ..PLAIN
};

async fn alert(life: &Life) {
    life.webhook(&life.world.pagerduty.webhook_body("incident.triggered", &life.world.alert)).await;
}

/// Waits until the first build is asked for; whoever is dead meanwhile is started again.
async fn building(life: &Life) {
    let started = async || (life.all_listen() && !life.world.jenkins.started().is_empty()).then_some(());
    until_within(PATIENCE, "a build", started).await;
}

/// Waits until an alert's newest run is over and its note tells of the page.
async fn over(life: &Life, alert: &str, runs: usize) {
    until("the end of the runs", async || {
        let all = life.runs(alert).await?;
        (all.len() >= runs && all.iter().all(|run| !run["finished_at"].is_null())).then_some(())
    })
    .await;
    told(life, alert).await;
}

async fn told(life: &Life, alert: &str) {
    let notes = || life.world.pagerduty.notes_of(alert);
    let look = async || {
        // Whoever is dead is started again by being asked.
        life.runs(alert).await?;
        notes().iter().all(|note| !waits_for_page(&note.content)).then_some(())
    };
    until_or_say("the notes to tell of the page", look, || format!("{:#?}\n{}", notes(), life.said())).await;
}

async fn auto(life: &Life) {
    alert(life).await;
    over(life, &life.world.alert, 1).await;
}

async fn escalated(life: &Life) {
    alert(life).await;
    over(life, &life.world.alert, 1).await;
    let body = json!({"incident_id": life.world.alert}).to_string();
    until("the word to be heard", async || {
        life.ask("POST", "/escalate", &body).await.filter(|(status, _)| matches!(status, 202 | 409))
    })
    .await;
    until("the page to be told of", async || {
        // Whoever is dead is started again by being asked.
        let run = life.runs(&life.world.alert).await?.into_iter().next()?;
        let notes = life.world.pagerduty.notes_of(&life.world.alert);
        let told = notes.iter().any(|n| n.content.lines().nth(2).is_some_and(|line| line.starts_with("Paged")));
        (told && run["escalation"]["state"] == "paged").then_some(())
    })
    .await;
}

async fn suppressed(life: &Life) {
    alert(life).await;
    until("the word while it waits", async || {
        life.runs(&life.world.alert).await?;
        (!life.world.pagerduty.notes_of(&life.world.alert).is_empty()).then_some(())
    })
    .await;
    let open = life.world.pagerduty.open_titled(PUBLIC).expect("the bigger outage").id;
    life.world.pagerduty.resolve(&open, None);
    life.webhook(&life.world.pagerduty.webhook_body("incident.resolved", &open)).await;
    over(life, &life.world.alert, 1).await;
}

async fn commanded(life: &Life) {
    let (pagerduty, alert_id) = (&life.world.pagerduty, &life.world.alert);
    alert(life).await;
    over(life, alert_id, 1).await;
    let note = pagerduty.annotate(alert_id, Setup::ENGINEER, "/rerun").expect("a note");
    life.webhook(&pagerduty.annotated_body(alert_id, &note.id)).await;
    over(life, alert_id, 2).await;
    until("the answer to the command", async || {
        life.runs(alert_id).await?;
        (without_early_words(&pagerduty.notes_of(alert_id)) >= 4).then_some(())
    })
    .await;
    pagerduty.resolve(alert_id, None);
    life.webhook(&pagerduty.webhook_body("incident.resolved", alert_id)).await;
    until("the last note to say that it is over", async || {
        let newest = life.runs(alert_id).await?.into_iter().next()?;
        let last = format!("run {}", newest["id"].as_str()?);
        let notes = pagerduty.notes_of(alert_id);
        let note = notes.iter().find(|n| n.content.lines().next_back() == Some(&last))?;
        note.content.lines().next()?.to_lowercase().contains("resolved").then_some(())
    })
    .await;
}

fn without_early_words(notes: &[Note]) -> usize {
    notes.iter().filter(|note| !note.content.starts_with("Still diagnosing ")).count()
}
