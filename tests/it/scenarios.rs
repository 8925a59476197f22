//! Every scenario through the front door, held against what is expected of it.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;

use futures::{FutureExt, StreamExt, future, stream};
use outbound::clock::SystemClock;
use runbook::diagnosis::note::PageNews;
use runbook::diagnosis::note::facts::{Case, missing};
use runbook::diagnosis::{Diagnosis, Finding, RelatedPage, Rule, VerdictKind};
use runbook::run::EscalationState;
use serde_json::{Value, json};
use simulators::course::{self, Stagehand};
use simulators::scenario::{SCENARIOS, Scenario};

use store::{Of, Store};

use crate::harness::Stage;

/// Scenarios at a time: they mostly wait, but their certificates and TLS take time that is not slept.
const AT_ONCE: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_comes_to_what_is_expected_of_it() {
    // One that fails must not hide how the others do.
    let played = stream::iter(SCENARIOS)
        .map(async |scenario| AssertUnwindSafe(play(scenario)).catch_unwind().await.err().map(|_| scenario.name));
    let wrong: Vec<&str> = played.buffer_unordered(AT_ONCE).filter_map(future::ready).collect().await;
    assert!(wrong.is_empty(), "see above: {wrong:?}");
}

async fn play(scenario: &'static Scenario) {
    // Of a cluster's time a pod has a third, on a busy machine too.
    let stage = Stage::on(scenario, &[("CLUSTER_CHECK_TIMEOUT", "12s")]).await;
    if let Some(course) = course::of(scenario) {
        let told = Mutex::new(Vec::new());
        let tell = |words: &str| told.lock().expect("told").push(words.to_owned());
        let mut hand = Stagehand::new(&stage.world, &stage.front.url, SystemClock::shared(), tell).expect("a hand");
        if let Err(what) = course(&mut hand).await {
            drop(hand);
            panic!("{}: {what}\n{}", scenario.name, told.lock().expect("told").join("\n"));
        }
        comes_to(scenario, &stage).await;
        return decided_the_same(scenario, &stage).await;
    }
    let run = stage.diagnosed().await;
    let (name, expected) = (scenario.name, &scenario.expected);
    let diagnosis: Diagnosis = serde_json::from_value(run["diagnosis"].clone()).expect("a diagnosis");
    assert_eq!(run["state"], "done", "{name}: {run:#}");
    assert_eq!((diagnosis.verdict.kind, diagnosis.verdict.rule), (expected.kind, expected.rule), "{name}");
    let findings: Vec<_> = diagnosis.zones.iter().map(|z| z.checks.as_ref().expect("checks").finding).collect();
    assert_eq!(findings, expected.findings, "{name}");
    let state: EscalationState = serde_json::from_value(run["escalation"]["state"].clone()).expect("a state");
    assert_eq!(state, expected.escalation, "{name}: {}", run["escalation"]);
    assert_eq!(stage.world.pagerduty.pages().len(), expected.pages, "{name}: pages");

    let note = stage.note_of(&run);
    let (before, after) = stage.short_notes(&run);
    // A word while it waits for a bigger outage, and one when the first reading may be transient.
    let words = usize::from(run["related"] != json!([])) + usize::from(diagnosis.readings.len() > 1);
    assert_eq!((before.len(), after.len()), (words, 0), "{name}: {before:#?} {after:#?}");
    assert_eq!(run["note"]["id"], note.id, "{name}");
    hold(scenario, &stage, &run, &diagnosis, &note.content);
    for cluster in &stage.world.clusters {
        assert_eq!(cluster.writes(), [], "{name}: clusters are only read");
    }
    decided_the_same(scenario, &stage).await;
}

/// Replays all that was decided: each decision, with what it was decided by, comes to the same once more.
async fn decided_the_same(scenario: &Scenario, stage: &Stage) {
    let url = stage.database().into_iter().next().expect("a database").1;
    let store = Store::open_to_read(&url, SystemClock::shared()).await.expect("it opens").expect("a database");
    let runs = stage.front.get("/api/runs").await;
    for run in runs["runs"].as_array().expect("runs") {
        let id = run["id"].as_str().expect("an id");
        let decisions = store.decisions(Of::AlertOf(id), 0, 10_000).await.expect("it reads").expect("a run");
        let what: Vec<&str> = decisions.iter().map(|d| d.decided.as_ref().expect("it is read back").what()).collect();
        if run["state"] == "done" {
            assert!(what.contains(&"verdict") && what.contains(&"next step of the run"), "{}: {what:?}", scenario.name);
        }
        for decision in &decisions {
            let again = decision.decided.as_ref().expect("it is read back").again();
            assert_eq!(again, Ok(()), "{}: {decision:?}", scenario.name);
        }
    }
    store.close().await;
}

/// Holds what a course has come to against what is expected: its pages, and the last diagnosis.
async fn comes_to(scenario: &Scenario, stage: &Stage) {
    let (name, expected) = (scenario.name, &scenario.expected);
    assert_eq!(stage.world.pagerduty.pages().len(), expected.pages, "{name}: pages");
    let runs = stage.front.get("/api/runs").await;
    let last = runs["runs"].as_array().expect("runs").iter().find(|run| !run["diagnosis"].is_null());
    // An alert that is over before anything was asked has none, and its course holds that.
    let Some(last) = last else {
        return assert_eq!(expected.escalation, EscalationState::None, "{name}: no diagnosis");
    };
    let last = stage.front.run(last["id"].as_str().expect("an id")).await;
    let diagnosis: Diagnosis = serde_json::from_value(last["diagnosis"].clone()).expect("a diagnosis");
    assert_eq!((diagnosis.verdict.kind, diagnosis.verdict.rule), (expected.kind, expected.rule), "{name}");
    let state: EscalationState = serde_json::from_value(last["escalation"]["state"].clone()).expect("a state");
    assert_eq!(state, expected.escalation, "{name}: {}", last["escalation"]);
}

/// Holds a scenario's note against the table of the note's facts.
fn hold(scenario: &Scenario, stage: &Stage, run: &Value, diagnosis: &Diagnosis, note: &str) {
    let reason = run["escalation"]["reason"].as_str();
    let reasons: Vec<String> = reason.iter().flat_map(|r| r.lines()).map(str::to_owned).collect();
    let (incident_id, reasons) = (stage.world.alert.as_str(), reasons.as_slice());
    let html_url = run["escalation"]["page"]["html_url"].as_str().unwrap_or_default();
    let page = match scenario.expected.escalation {
        EscalationState::Suggested => PageNews::Suggested { incident_id, reasons },
        EscalationState::Held => PageNews::Held { incident_id, reasons },
        EscalationState::Paged => {
            PageNews::Paged { html_url, joined: scenario.expected.pages == 0, problem: None, asked_by: None }
        }
        _ => PageNews::NotWanted,
    };
    let related: Vec<RelatedPage> = serde_json::from_value(run["related"].clone()).expect("related pages");
    let run_id = run["id"].as_str().expect("an id");
    let run_url = format!("{}/runs/{run_id}", stage.front.url);
    let lacks = missing(&Case { diagnosis, page, related: &related, run_id, run_url: &run_url, note });
    assert!(lacks.is_empty(), "{}: the note lacks\n{}\n--\n{note}", scenario.name, lacks.join("\n"));
    for words in scenario.expected.note_says {
        assert!(note.contains(words), "{}: {words:?} is not in\n{note}", scenario.name);
    }
}

#[test]
fn every_verdict_and_every_finding_has_a_scenario() {
    let met = |what: &dyn Fn(&Scenario) -> bool| SCENARIOS.iter().any(what);
    for kind in [
        VerdictKind::Registry,
        VerdictKind::ServiceEndpoint,
        VerdictKind::Transient,
        VerdictKind::Mixed,
        VerdictKind::Inconclusive,
    ] {
        assert!(met(&|s| s.expected.kind == kind), "{kind:?}");
    }
    for rule in [
        Rule::NoReading,
        Rule::MixedStatus,
        Rule::IncompleteReading,
        Rule::RecoveredOnRerun,
        Rule::AllSeAccepting,
        Rule::AllSeRejectingUpstreamDown,
        Rule::AllSeRejectingUpstreamUp,
    ] {
        assert!(met(&|s| s.expected.rule == rule), "{rule:?}");
    }
    for finding in [
        Finding::Disabled,
        Finding::Unknown,
        Finding::IngressDown,
        Finding::Healthy,
        Finding::ZoneUnhealthy,
        Finding::KonicleFault,
    ] {
        assert!(met(&|s| s.expected.findings.contains(&finding)), "{finding:?}");
    }
}
