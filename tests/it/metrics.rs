//! `/metrics`: what an SRE would see of a run, a refused webhook, a held page. Other stories of this process count too,
//! so each number is held against what it was, and may have grown by more.

use outbound::clock::SystemClock;
use serde_json::json;
use simulators::pagerduty::{Endpoint, Fault, Opening, Setup};
use simulators::world::World;

use crate::harness::{Answer, QUICK, Stage, quick, settings_of, told, until};
use crate::process::Process;

/// The sum of all lines that begin so.
pub(crate) async fn sum(stage: &Stage, begins: &str) -> f64 {
    let answer = Answer::of(stage.front.http.get(format!("{}/metrics", stage.front.url))).await;
    assert!(answer.is(200).headers["content-type"].to_str().expect("text").starts_with("text/plain"));
    let text = answer.body.as_str().expect("text").to_owned();
    assert!(!text.contains(&stage.world.alert) && !text.contains("prod-us-south"), "labels are bounded: {text}");
    let numbers = text.lines().filter(|line| line.starts_with(begins)).filter_map(|line| line.rsplit_once(' '));
    numbers.map(|(_, number)| number.parse::<f64>().expect("a number")).sum()
}

#[tokio::test]
async fn a_run_a_held_page_and_a_refused_signature_are_counted() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "auto"), ("ESCALATION_MAX_PER_HOUR", "0")]).await;
    let names = [
        "se_responder_webhooks_total{outcome=\"accepted\"}",
        "se_responder_webhooks_total{outcome=\"refused_signature\"}",
        "se_responder_runs_ended_total{state=\"done\"}",
        "se_responder_diagnoses_total{verdict=\"service_endpoint\"}",
        "se_responder_pages_total{outcome=\"held\"}",
        "se_responder_trigger_to_note_seconds_count",
        "se_responder_step_duration_seconds_count{step=\"read_boxes\",outcome=\"done\"}",
        "se_responder_upstream_requests_total{system=\"pagerduty\",status=\"2xx\"}",
        "se_responder_upstream_requests_total{system=\"jenkins\",status=\"2xx\"}",
        "se_responder_upstream_requests_total{system=\"cluster\",status=\"2xx\"}",
        "se_responder_upstream_duration_seconds_count{system=\"pagerduty\"}",
        "se_responder_upstream_duration_seconds_count{system=\"jenkins\"}",
        "se_responder_upstream_duration_seconds_count{system=\"cluster\"}",
        "se_responder_store_duration_seconds_count{kind=\"read\",outcome=\"done\"}",
        "se_responder_store_duration_seconds_count{kind=\"write\",outcome=\"done\"}",
    ];
    let mut before = Vec::new();
    for name in names {
        before.push(sum(&stage, name).await);
    }
    let run = stage.diagnosed().await;
    assert_eq!(run["escalation"]["state"], "held");
    told(&stage.front, &stage.world, &run).await;
    let wrong = "v1=".to_owned() + &"0".repeat(64);
    stage.front.webhook(b"{}", Some(&wrong)).await.is_problem(403);
    for (name, before) in names.into_iter().zip(before) {
        let after = sum(&stage, name).await;
        assert!(after >= before + 1.0, "{name}: {before}, then {after}");
    }
    assert_eq!(sum(&stage, "se_responder_build_info{").await as i64, 1);
}

#[tokio::test]
async fn what_waits_now_is_counted_in_the_database() {
    let stage = Stage::slow(&[]).await;
    assert_eq!(sum(&stage, "se_responder_runs{").await as i64, 0);
    stage.world.pagerduty.open(Opening::new("All Public endpoints down in prod-us-south", Setup::REGISTRY));
    stage.alert("incident.triggered").await.is(202);
    until("a suppressed run", async || {
        (sum(&stage, "se_responder_runs{state=\"suppressed\"}").await as i64 == 1).then_some(())
    })
    .await;
    assert_eq!(sum(&stage, "se_responder_queue_depth{kind=\"alert\"}").await as i64, 0);
}

/// What the metrics show of the database is what all replicas show: this one is started again meanwhile.
#[tokio::test]
async fn a_page_that_nobody_has_taken_is_counted_until_somebody_has_or_its_alert_is_over() {
    let is = async |stage: &Stage, count: i64| {
        until(&format!("{count} unacknowledged pages"), async || {
            (sum(stage, "se_responder_pages_unacknowledged ").await as i64 == count).then_some(())
        })
        .await;
    };
    let mut stage = Stage::quick(&[("ESCALATION_MODE", "auto")]).await;
    assert_eq!(sum(&stage, "se_responder_pages_unacknowledged ").await as i64, 0);
    let run = stage.diagnosed().await;
    assert_eq!(run["escalation"]["state"], "paged");
    is(&stage, 1).await;
    stage.restart(&[]).await;
    is(&stage, 1).await;
    let page = run["escalation"]["page"]["id"].as_str().expect("an id").to_owned();
    stage.world.pagerduty.acknowledge(&page, Setup::ENGINEER);
    is(&stage, 0).await;

    let stage = Stage::quick(&[("ESCALATION_MODE", "auto")]).await;
    stage.diagnosed().await;
    is(&stage, 1).await;
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    stage.alert("incident.resolved").await.is(202);
    is(&stage, 0).await;

    // Who resolves it has taken it.
    let stage = Stage::quick(&[("ESCALATION_MODE", "auto")]).await;
    let run = stage.diagnosed().await;
    is(&stage, 1).await;
    stage.world.pagerduty.resolve(run["escalation"]["page"]["id"].as_str().expect("an id"), None);
    is(&stage, 0).await;
}

#[tokio::test]
async fn the_last_look_for_open_alerts_that_succeeded_has_its_time() {
    const RECONCILED: &str = "se_responder_reconcile_success_timestamp_seconds ";
    let stage = Stage::quick(&[("RECONCILE_INTERVAL", "0s")]).await;
    assert_eq!(sum(&stage, RECONCILED).await as i64, 0, "nobody looks");
    let stage = Stage::quick(&[("RECONCILE_INTERVAL", "200ms")]).await;
    let looked = async |stage: &Stage, after: f64| {
        until("a look that succeeds", async || Some(sum(stage, RECONCILED).await).filter(|at| *at > after)).await
    };
    let first = looked(&stage, 0.0).await;
    let now = SystemClock::shared().wall().as_second() as f64;
    assert!((now - first).abs() < 60.0, "{first} is not {now}");
    looked(&stage, first).await;
    // What fails leaves it as it is.
    stage.world.pagerduty.fail(Endpoint::Incidents, Fault::Status(401), u32::MAX);
    let asked = stage.world.pagerduty.requests().len();
    until("two looks that fail", async || (stage.world.pagerduty.requests().len() > asked + 3).then_some(())).await;
    let last = sum(&stage, RECONCILED).await;
    let wall = || SystemClock::shared().wall().as_second() as f64;
    until("seconds in which looks fail", async || (wall() > last + 3.0).then_some(())).await;
    let since = sum(&stage, RECONCILED).await;
    assert!(since < last + 2.0, "{since} is later than {last}: only a look that was under way may count");
    stage.world.pagerduty.mend();
    looked(&stage, last + 1.0).await;
}

/// A process of its own: its numbers are its own, and so is its log.
#[tokio::test]
async fn a_run_whose_note_is_refused_fails_in_the_api_the_metrics_and_the_log_and_can_be_run_again() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let process = Process::serve(&settings_of(&world, QUICK)).await;
    world.pagerduty.fail(Endpoint::AddNote, Fault::Status(403), u32::MAX);
    world.send(&process.front.url, "incident.triggered").await.expect("an answer");
    let run = process.front.end_of(&world.alert).await;
    let reason = run["reason"].as_str().unwrap_or_default();
    assert!(
        run["state"] == "failed" && reason.contains("the note was not written") && reason.contains("403"),
        "{run:#}"
    );
    until("its metric", async || {
        let metrics = process.front.get_as("", "/metrics").await.body;
        let failed = "se_responder_runs_failed_total{reason=\"note\"} 1";
        metrics.as_str()?.lines().any(|line| line == failed).then_some(())
    })
    .await;
    let said = process.said();
    let line = said.lines().find(|line| line.contains("the run failed")).unwrap_or_else(|| panic!("{said}"));
    assert!(
        line.contains("ERROR") && line.contains("403") && line.contains(run["id"].as_str().expect("an id")),
        "{line}"
    );

    world.pagerduty.mend();
    let again = process.front.post("/rerun", &json!({"incident_id": world.alert})).await;
    let again = process.front.ended(again.is(202).body["run_id"].as_str().expect("an id")).await;
    assert_eq!(again["state"], "done", "{again:#}");
}
