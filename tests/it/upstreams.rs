//! Upstreams that can't even be found.

use std::time::Duration;

use jiff::Timestamp;
use outbound::clock::SystemClock;
use runbook::span::between;
use serde_json::{Value, json};
use simulators::cluster::Fault as ClusterFault;
use simulators::jenkins::{Fault as JenkinsFault, Place};
use simulators::pagerduty::{Endpoint, Fault};
use simulators::world::World;

use crate::harness::{QUICK, Stage, diagnosis_note, quick, settings_of, told, until};
use crate::process::Process;

/// A name that no resolver knows (RFC 6761).
const NOWHERE: &str = "http://nowhere.invalid";

#[tokio::test]
async fn a_jenkins_whose_name_does_not_resolve_is_said_in_the_note() {
    let url = format!("{NOWHERE}/job/ServiceEndpointStatus/");
    let stage = Stage::on(quick(), &[QUICK, &[("JENKINS_JOB_URL", url.as_str())]].concat()).await;
    let run = stage.diagnosed().await;
    let verdict = &run["diagnosis"]["verdict"];
    assert_eq!((&verdict["kind"], &verdict["rule"]), (&json!("inconclusive"), &json!("no-reading")), "{run:#}");
    let note = stage.note_of(&run).content;
    assert!(note.contains("nowhere.invalid") && note.contains("no connection"), "{note}");
    assert_eq!(stage.world.pagerduty.pages().len(), 0);
}

#[tokio::test]
async fn a_run_waits_for_a_pagerduty_whose_name_does_not_resolve_and_writes_its_note_later() {
    let mut stage = Stage::on(quick(), &[QUICK, &[("PAGERDUTY_API_URL", NOWHERE)]].concat()).await;
    assert_eq!(stage.alert("incident.triggered").await.is(202).word(), "accepted");
    let run = until("a diagnosis", async || {
        let run = stage.front.runs_of(&stage.world.alert).await.pop()?;
        (!run["diagnosis"].is_null()).then_some(run)
    })
    .await;
    assert_eq!((&run["state"], &run["note"]), (&json!("running"), &json!(null)), "{run:#}");
    let url = stage.world.pagerduty.api_url().to_string();
    stage.restart(&[("PAGERDUTY_API_URL", &url)]).await;
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(run["state"], "done", "{run:#}");
    told(&stage.front, &stage.world, &run).await;
    let note = stage.note_of(&run).content;
    assert!(note.starts_with("SERVICE ENDPOINT"), "{note}");
}

/// When the last reading was taken.
fn read_at(run: &Value) -> Option<Timestamp> {
    run["diagnosis"]["readings"].as_array()?.last()?["at"].as_str()?.parse().ok()
}

/// note.md#what-holds-an-automatic-page: evidence that is too old is asked again first.
/// The note can't be written for longer than evidence is good enough for a page.
#[tokio::test]
async fn what_a_page_needs_is_asked_again_after_an_outage_of_pagerduty_and_the_log_tells_of_it_once() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let settings = [QUICK, &[("ESCALATION_MODE", "auto"), ("EVIDENCE_MAX_AGE", "10s")]].concat();
    let process = Process::serve(&settings_of(&world, &settings)).await;
    for endpoint in [Endpoint::Notes, Endpoint::AddNote] {
        world.pagerduty.fail(endpoint, Fault::Status(503), u32::MAX);
    }
    world.send(&process.front.url, "incident.triggered").await.expect("an answer");
    let too_old = until("the evidence to be too old", async || {
        let run = process.front.runs_of(&world.alert).await.pop()?;
        let run = process.front.run(run["id"].as_str()?).await;
        (between(read_at(&run)?, SystemClock::shared().now()) > Duration::from_secs(10)).then_some(run)
    })
    .await;
    assert_eq!((&too_old["state"], world.jenkins.started().len()), (&json!("running"), 2), "{too_old:#}");
    assert_eq!(world.pagerduty.pages().len(), 0);
    world.pagerduty.mend();
    let run = process.front.end_of(&world.alert).await;
    assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("paged")), "{run:#}");
    told(&process.front, &world, &run).await;
    assert_eq!(world.pagerduty.pages().len(), 1);
    assert!(read_at(&run) > read_at(&too_old) && world.jenkins.started().len() > 2, "{run:#}");
    diagnosis_note(&world, &run);
    let said = process.said();
    let lines = |words: &str| said.lines().filter(|line| line.contains(words)).count();
    assert_eq!(lines("upstream unreachable"), 1, "{said}");
    assert_eq!(lines("upstream reachable again"), 1, "{said}");
}

#[tokio::test]
async fn lists_of_jenkins_and_clusters_with_entries_that_are_none_cost_no_build_and_no_evidence() {
    let stage = Stage::quick(&[]).await;
    stage.world.jenkins.fault(Place::Any, JenkinsFault::OddEntries, u32::MAX);
    for cluster in &stage.world.clusters {
        cluster.change(|plan| plan.fault = Some(ClusterFault::OddEntries));
    }
    let run = stage.diagnosed().await;
    assert_eq!(run["diagnosis"]["verdict"]["rule"], "all-se-rejecting-upstream-up", "{run:#}");
    // The reading and its re-run.
    assert_eq!(stage.world.jenkins.started().len(), 2, "{:#}", run["diagnosis"]["readings"]);
    let findings: Vec<_> = run["diagnosis"]["zones"].as_array().expect("zones").iter().collect();
    assert!(findings.iter().all(|zone| zone["checks"]["finding"] == "healthy"), "{run:#}");
    assert!(stage.note_of(&run).content.contains("can't be read: left out"));
}
