//! What happens to an alert while the service is killed, and what it must come to.

use std::collections::HashSet;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use se_responder::sim::pagerduty::{Endpoint, Fault, Note, Opening, PagerDuty, Setup};
use se_responder::sim::scenario::Scenario;
use se_responder::sim::{jenkins, world::World};
use serde_json::{Value, json};

use crate::harness::{quick, showing};
use crate::life::{Life, until, until_or_say};

const PUBLIC: &str = "All Public endpoints down in prod-us-south";

/// One story: what is sent, and what it must have come to.
#[derive(Clone, Copy)]
pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) scenario: fn() -> Scenario,
    pub(crate) settings: &'static [(&'static str, &'static str)],
    /// From the webhook to the end.
    pub(crate) tell: for<'a> fn(&'a Life) -> LocalBoxFuture<'a, ()>,
    pub(crate) end: End,
}

/// What is there in the end, whatever was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) runs: usize,
    /// All notes but the early words, of which each run has one: where its worker was struck while it may have been written
    /// already, the diagnosis does not wait for it.
    pub(crate) notes: usize,
    pub(crate) pages: usize,
    /// Builds that Jenkins was made to do.
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

/// A verdict that pages: two readings, an early word, a note, a page, read back and told.
pub(crate) const AUTO: Story = Story {
    name: "service endpoint, paged automatically; reads lag",
    scenario: || Scenario { lag: Duration::from_secs(2), ..base() },
    settings: &[("ESCALATION_MODE", "auto"), ("RECONCILE_INTERVAL", "1m")],
    tell: |life| auto(life).boxed_local(),
    end: End { runs: 1, notes: 1, pages: 1, builds: 2, escalation: "paged" },
};

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
    end: End { runs: 1, notes: 1, pages: 1, builds: 2, escalation: "paged" },
};

/// The page waits for a person, who says yes.
pub(crate) const ESCALATED: Story = Story {
    name: "suggested, then POST /escalate",
    scenario: base,
    settings: &[("ESCALATION_MODE", "suggest")],
    tell: |life| escalated(life).boxed_local(),
    end: End { runs: 1, notes: 1, pages: 1, builds: 2, escalation: "paged" },
};

/// A bigger outage is waited for.
pub(crate) const SUPPRESSED: Story = Story {
    name: "suppressed, then lifted",
    scenario: || Scenario { incidents: public, ..base() },
    settings: &[("ESCALATION_MODE", "off")],
    tell: |life| suppressed(life).boxed_local(),
    // The word while it waits, the diagnosis.
    end: End { runs: 1, notes: 2, pages: 0, builds: 2, escalation: "none" },
};

/// A person has it diagnosed again by a note, and in the end the alert resolves.
pub(crate) const COMMANDED: Story = Story {
    name: "/rerun by note, then resolved",
    scenario: base,
    settings: &[("ESCALATION_MODE", "off")],
    tell: |life| commanded(life).boxed_local(),
    // Two runs' diagnoses, the command and its answer.
    end: End { runs: 2, notes: 4, pages: 0, builds: 4, escalation: "none" },
};

async fn alert(life: &Life) {
    life.webhook(&life.world.pagerduty.webhook_body("incident.triggered", &life.world.alert)).await;
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
        let untold = |text: &str| text.lines().nth(2).is_some_and(|line| line.starts_with("Nobody was paged yet"));
        notes().iter().all(|note| !untold(&note.content)).then_some(())
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
    notes.iter().filter(|note| !note.content.starts_with("Early word, ")).count()
}

/// Holds an alert in its end against what it must be.
pub(crate) fn check(
    world: &World,
    alert: &str,
    runs: &[Value],
    builds: usize,
    end: End,
    struck: bool,
) -> Result<(), String> {
    let notes = world.pagerduty.notes_of(alert);
    let others = without_early_words(&notes);
    let early = notes.len() - others;
    let key = format!("se-responder/{alert}");
    let pages = world.pagerduty.pages();
    let found = (runs.len(), others, pages.iter().filter(|p| p.incident_key.as_ref() == Some(&key)).count());
    let all = || format!("notes: {notes:#?}\nruns: {runs:#?}\npages: {pages:#?}");
    if found != (end.runs, end.notes, end.pages) {
        return Err(format!("(runs, notes, pages) {found:?} instead of {end:?}\n{}", all()));
    }
    if early > end.runs || early < end.runs && !struck {
        return Err(format!("{early} early words of {} runs\n{}", end.runs, all()));
    }
    if builds != end.builds {
        return Err(format!("{builds} builds instead of {}\n{}", end.builds, all()));
    }
    for run in runs {
        let last = format!("run {}", run["id"].as_str().unwrap_or_default());
        let count = notes.iter().filter(|n| n.content.lines().next_back() == Some(&last)).count();
        if (run["state"].as_str(), count) != (Some("done"), 1) {
            return Err(format!("{count} notes of {last}, {}\n{}", run["state"], all()));
        }
    }
    if runs[0]["escalation"]["state"] != end.escalation {
        return Err(format!("{} instead of {end:?}\n{}", runs[0]["escalation"], all()));
    }
    let different: HashSet<&str> = notes.iter().map(|note| note.content.as_str()).collect();
    // The two early words of two runs are alike.
    if end.runs == 1 && different.len() != notes.len() {
        return Err(format!("a note is there twice\n{}", all()));
    }
    Ok(())
}
