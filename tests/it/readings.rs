//! One reading after another: when the job is run again, when that ends, and what is asked beside it.
//! lifecycle.md#the-verdict.

use std::time::Duration;

use serde_json::{Value, json};
use simulators::jenkins::{Asked, BuildPlan};
use simulators::scenario::Scenario;

use crate::harness::{QUICK, Stage, quick, rejecting, showing};

/// An alert that is diagnosed by these builds, with so many re-runs allowed.
async fn diagnosed(builds: fn(&Asked) -> BuildPlan, reruns: &str) -> (Stage, Value) {
    waiting(builds, reruns, "1ms").await
}

async fn waiting(builds: fn(&Asked) -> BuildPlan, reruns: &str, wait: &str) -> (Stage, Value) {
    let scenario = Scenario { builds, ..*quick() };
    let own = [("ESCALATION_MODE", "auto"), ("TRANSIENT_RERUNS", reruns), ("TRANSIENT_WAIT", wait)];
    let stage = Stage::on(Box::leak(Box::new(scenario)), &[QUICK, &own].concat()).await;
    let run = stage.diagnosed().await;
    (stage, run)
}

fn failing() -> BuildPlan {
    BuildPlan::printing(vec!["ERROR: no route to host".into()], Duration::ZERO).ending("FAILURE")
}

#[track_caller]
fn is(run: &Value, kind: &str, rule: &str, boxes: &[u64]) {
    let verdict = &run["diagnosis"]["verdict"];
    assert_eq!((&verdict["kind"], &verdict["rule"]), (&json!(kind), &json!(rule)), "{verdict}");
    let readings = run["diagnosis"]["readings"].as_array().expect("readings");
    let shown: Vec<u64> = readings.iter().filter_map(|r| r["boxes"].as_u64()).collect();
    assert_eq!(shown, boxes, "{readings:#?}");
}

fn time(value: &Value) -> jiff::Timestamp {
    value.as_str().expect("a time").parse().expect("a time")
}

fn step<'a>(run: &'a Value, name: &str) -> &'a Value {
    let steps = run["steps"].as_array().expect("steps");
    steps.iter().find(|s| s["name"] == name).unwrap_or_else(|| panic!("no {name} in {steps:#?}"))
}

#[tokio::test]
async fn what_persists_is_looked_at_again_as_often_as_may_be_and_paged_for_after_the_last() {
    let (stage, run) = waiting(rejecting, "2", "3s").await;
    is(&run, "service_endpoint", "all-se-rejecting-upstream-up", &[3, 3, 3]);
    assert_eq!((stage.world.jenkins.started().len(), stage.world.pagerduty.pages().len()), (3, 1));
    for (before, again) in [("read_boxes", "read_boxes_rerun_1"), ("read_boxes_rerun_1", "read_boxes_rerun_2")] {
        let (before, again) = (&step(&run, before)["finished_at"], &step(&run, again)["started_at"]);
        // It counts from the build's end, which Jenkins tells to the second.
        let wait = time(again).duration_since(time(before));
        assert!(wait >= jiff::SignedDuration::from_secs(1), "TRANSIENT_WAIT lies between: {wait:?}");
    }
}

#[tokio::test]
async fn a_rerun_that_fails_is_followed_by_the_next() {
    // The first re-run tries each zone, and each build fails.
    let builds = |asked: &Asked| if matches!(asked.nth, 2..=4) { failing() } else { rejecting(asked) };
    let (stage, run) = diagnosed(builds, "2").await;
    is(&run, "service_endpoint", "all-se-rejecting-upstream-up", &[3, 0, 3]);
    assert_eq!(stage.world.jenkins.started().len(), 5);
    let (before, _) = stage.short_notes(&run);
    assert_eq!(before.len(), 1, "one early word a run, however many re-runs: {before:#?}");
    assert!(before[0].content.contains("Maybe TRANSIENT"), "{}", before[0].content);
}

#[tokio::test]
async fn where_the_last_rerun_fails_nothing_is_sure_and_the_last_complete_reading_is_shown() {
    let builds = |asked: &Asked| if asked.nth == 1 { rejecting(asked) } else { failing() };
    let (stage, run) = diagnosed(builds, "1").await;
    is(&run, "inconclusive", "no-reading", &[3, 0]);
    for zone in run["diagnosis"]["zones"].as_array().expect("zones") {
        assert_eq!((&zone["boxes"][0]["upstream_status"], &zone["broken_at"]), (&json!(1), &json!("magic-box")));
    }
    assert_eq!(stage.world.pagerduty.pages().len(), 0);
    let note = stage.note_of(&run).content;
    assert!(note.contains("MAGIC BOXES (of an earlier reading: the last one failed)\n- registry-"), "{note}");
}

#[tokio::test]
async fn any_other_rule_ends_the_reruns() {
    let builds = |asked: &Asked| if asked.nth == 1 { rejecting(asked) } else { showing(asked, 0, 0, Duration::ZERO) };
    let (stage, run) = diagnosed(builds, "2").await;
    is(&run, "registry", "all-se-rejecting-upstream-down", &[3, 3]);
    assert_eq!((stage.world.jenkins.started().len(), stage.world.pagerduty.pages().len()), (2, 0));
}

#[tokio::test]
async fn a_first_reading_that_tells_nothing_is_not_taken_again() {
    let (stage, run) = diagnosed(|_| failing(), "2").await;
    is(&run, "inconclusive", "no-reading", &[0]);
    assert_eq!(stage.world.jenkins.started().len(), 3, "each zone is tried once");
}

#[tokio::test]
async fn clusters_are_asked_beside_the_job_and_again_beside_the_last_rerun() {
    let builds = |asked: &Asked| showing(asked, 0, 1, Duration::from_millis(500));
    let (_stage, run) = diagnosed(builds, "1").await;
    for suffix in ["", "_rerun_1"] {
        let (job, clusters) =
            (step(&run, &format!("read_boxes{suffix}")), step(&run, &format!("check_clusters{suffix}")));
        assert!(time(&clusters["started_at"]) < time(&job["finished_at"]), "{job}\n{clusters}");
        assert!(time(&job["started_at"]) < time(&clusters["finished_at"]), "{job}\n{clusters}");
    }
    let began = time(&step(&run, "check_clusters_rerun_1")["started_at"]);
    for zone in run["diagnosis"]["zones"].as_array().expect("zones") {
        assert!(time(&zone["checks"]["at"]) >= began, "what the last ones said counts: {zone}");
    }
    // Not beside the re-runs between: nothing is decided by them.
    let (_stage, run) = diagnosed(rejecting, "2").await;
    let steps = run["steps"].as_array().expect("steps").iter().filter_map(|step| step["name"].as_str());
    let checks: Vec<_> = steps.filter(|name| name.starts_with("check_clusters")).collect();
    assert_eq!(checks, ["check_clusters", "check_clusters_rerun_2"]);
}

#[tokio::test]
async fn what_once_rejected_was_not_the_client() {
    let builds = |asked: &Asked| {
        if asked.nth == 1 { rejecting(asked) } else { showing(asked, 1, 1, Duration::from_millis(50)) }
    };
    let (stage, run) = diagnosed(builds, "1").await;
    is(&run, "transient", "recovered-on-rerun", &[3, 3]);
    let diagnosis = &run["diagnosis"];
    assert_eq!(diagnosis["class"], "pCIE, probably a CIE", "{diagnosis}");
    assert_eq!(diagnosis["client_suspected"], false, "{diagnosis}");
    let note = stage.note_of(&run).content;
    assert!(!note.contains("the path looks whole") && !note.contains("heck the healthcheck cluster"), "{note}");
    assert!(note.contains("earlier in this run a Magic Box was not 1:1"), "{note}");
}

#[tokio::test]
async fn a_box_of_a_build_that_does_not_count_was_seen_all_the_same() {
    // The first zone's build lacks a zone, and shows a box that is not well; the second's is whole.
    let builds = |asked: &Asked| match asked.nth {
        1 => BuildPlan::showing(
            &[("registry-prod-us-south-az1", 1, 1, 1), ("registry-prod-us-south-az2", 1, 1, 0)],
            Duration::from_millis(50),
        ),
        _ => showing(asked, 1, 1, Duration::from_millis(50)),
    };
    let (_stage, run) = diagnosed(builds, "1").await;
    is(&run, "registry", "all-se-accepting", &[3]);
    let diagnosis = &run["diagnosis"];
    assert_eq!(
        (&diagnosis["class"], &diagnosis["client_suspected"]),
        (&json!("pCIE, probably a CIE"), &json!(false)),
        "{diagnosis}"
    );
}

#[tokio::test]
async fn the_other_regions_of_the_reading_are_counted() {
    let builds = |_: &Asked| {
        let ours = ["registry-prod-us-south-az1", "registry-prod-us-south-az2", "registry-prod-us-south-az3"];
        let mut boxes: Vec<_> = ours.map(|zone| (zone, 1, 0, 0)).into();
        boxes.extend([("registry-prod-global-az2", 1, 0, 0), ("registry-prod-eu-de-az1", 1, 1, 1)]);
        boxes.extend([
            ("registry-prod-eu-de-az1", 2, 1, 1),
            ("registry-prod-eu-de-az2", 1, 1, 0),
            ("nowhere", 1, 1, 1),
        ]);
        BuildPlan::showing(&boxes, Duration::from_millis(50))
    };
    let (stage, run) = diagnosed(builds, "1").await;
    is(&run, "registry", "all-se-rejecting-upstream-down", &[3]);
    let regions = json!([
        {"region": "prod-eu-de", "boxes": 3, "whole": 2},
        {"region": "prod-global", "boxes": 1, "whole": 0},
    ]);
    assert_eq!(run["diagnosis"]["other_regions"], regions);
    let warnings = &run["diagnosis"]["readings"][0]["warnings"];
    assert!(warnings[0].as_str().is_some_and(|w| w.ends_with("is left out: \"nowhere-1\"")), "{warnings}");
    let note = stage.note_of(&run).content;
    let said = "In this reading 2 of 2 other regions are not whole: prod-eu-de (2 of 3 boxes 1:1), prod-global (0 of 1 box 1:1).";
    assert!(note.contains(said), "{note}");
    // Without any there are none.
    let (stage, run) = diagnosed(|asked| showing(asked, 0, 0, Duration::ZERO), "1").await;
    assert_eq!(run["diagnosis"]["other_regions"], json!([]));
    assert!(!stage.note_of(&run).content.contains("other region is"), "nothing is said of them");
}
