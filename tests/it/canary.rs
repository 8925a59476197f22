//! The reading that is taken without an alert, and what notes say of the last good one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outbound::clock::SystemClock;
use serde_json::{Value, json};
use simulators::jenkins::{Asked, BuildPlan};
use simulators::pagerduty::{Opening, Setup};
use simulators::scenario::Scenario;
use simulators::world::{VIEWER_TOKEN, World};

use crate::harness::{Answer, QUICK, Stage, quick, rejecting, showing, told, until};

/// How often it is taken in these stories.
const OFTEN: (&str, &str) = ("CANARY_INTERVAL", "300ms");
const NEVER: (&str, &str) = ("CANARY_INTERVAL", "0s");

/// A stage with these builds, and settings over the quick ones.
async fn stage(builds: fn(&Asked) -> BuildPlan, settings: &[(&str, &str)]) -> Stage {
    let scenario = Scenario { builds, ..*quick() };
    Stage::on(Box::leak(Box::new(scenario)), &[QUICK, settings].concat()).await
}

/// Asked again while the service says that its database has no time for it.
async fn text(stage: &Stage, path: &str) -> String {
    until(path, async || {
        let answer = Answer::of(stage.front.http.get(format!("{}{path}", stage.front.url))).await;
        (answer.status != 503).then(|| answer.is(200).body.as_str().expect("text").to_owned())
    })
    .await
}

/// `/readyz` says exactly this, which it may do a moment later than `/metrics`.
async fn ready_says(stage: &Stage, expected: &str) {
    until(expected, async || (text(stage, "/readyz").await == expected).then_some(())).await;
}

/// When the last good one was taken, in seconds since 1970; 0: never.
async fn last_good(stage: &Stage) -> f64 {
    let metrics = text(stage, "/metrics").await;
    let name = "se_responder_canary_last_good_timestamp_seconds ";
    metrics.lines().find_map(|line| line.strip_prefix(name)).expect(name).parse().expect("a number")
}

async fn came_to(stage: &Stage, outcome: &str) {
    let line = format!("se_responder_canary_outcome{{outcome=\"{outcome}\"}} 1");
    until(&line, async || text(stage, "/metrics").await.contains(&line).then_some(())).await;
}

/// Another alert, which opens after everything that has happened so far, and its run once that has ended. PagerDuty tells
/// times in whole seconds.
async fn new_alert(stage: &mut Stage) -> Value {
    let clock = SystemClock::shared();
    let second = clock.now().as_second();
    until("the next second", async || (clock.now().as_second() > second).then_some(())).await;
    let title = format!("All SE endpoints down in {}", quick().region);
    stage.world.alert = stage.world.pagerduty.open(Opening::new(&title, Setup::REGISTRY)).id;
    stage.alert("incident.triggered").await.is(202);
    stage.front.end_of(&stage.world.alert).await
}

fn well(asked: &Asked) -> BuildPlan {
    showing(asked, 1, 1, Duration::from_millis(50))
}

fn failing() -> BuildPlan {
    BuildPlan::printing(vec!["ERROR: no route to host".into()], Duration::ZERO).ending("FAILURE")
}

#[tokio::test]
async fn what_differs_from_the_last_good_reading_stands_in_the_note_on_the_page_and_in_the_api() {
    static MOVED: AtomicBool = AtomicBool::new(false);
    fn builds(asked: &Asked) -> BuildPlan {
        if !MOVED.load(Ordering::SeqCst) {
            return well(asked);
        }
        // Another box has come in the second zone's place of its first.
        let zone = |n| format!("{}-az{n}", asked.cluster.rsplit_once("-az").expect("a zone").0);
        let (az1, az2, az3) = (zone(1), zone(2), zone(3));
        BuildPlan::showing(&[(&az1, 1, 0, 1), (&az2, 2, 0, 1), (&az3, 1, 0, 1)], Duration::from_millis(50))
    }
    let mut stage = stage(builds, &[OFTEN]).await;
    came_to(&stage, "good").await;
    assert!(last_good(&stage).await > 0.0);
    stage.restart(&[NEVER]).await;
    assert!(stage.notes().is_empty() && stage.world.pagerduty.pages().is_empty(), "nobody hears of it");
    assert_eq!(stage.front.get("/api/runs").await["runs"], json!([]), "it is no run");

    MOVED.store(true, Ordering::SeqCst);
    let run = new_alert(&mut stage).await;
    told(&stage.front, &stage.world, &run).await;
    assert_eq!(run["diagnosis"]["verdict"]["kind"], "service_endpoint", "statuses decide, nothing else");
    let since = &run["diagnosis"]["since_last_good"];
    let changes: Vec<(&Value, &Value)> =
        since["changes"].as_array().expect("changes").iter().map(|c| (&c["name"], &c["changed"])).collect();
    let region = run["region"].as_str().expect("a region");
    let (gone, new) = (format!("registry-{region}-az2-1"), format!("registry-{region}-az2-2"));
    assert_eq!(changes, [(&json!(gone), &json!("gone")), (&json!(new), &json!("new"))], "{since}");
    let note = stage.note_of(&run).content;
    let at: jiff::Timestamp = since["at"].as_str().expect("a time").parse().expect("a time");
    let title = "\n\nCHANGED SINCE THE LAST GOOD READING (";
    let (when, part) = note.split_once(title).and_then(|(_, part)| part.split_once(")\n")).expect("what has changed");
    assert!(when.ends_with(&at.strftime("%H:%M:%S UTC").to_string()), "{when}");
    assert!(part.starts_with(&format!("- {gone}: gone, Magic Box ID ")), "{part}");
    assert!(part.lines().nth(1).expect("a line").starts_with(&format!("- {new}: new, Magic Box ID ")), "{part}");
    assert!(note.find("\nMAGIC BOXES") < note.find("\nCHANGED") && note.find("\nCHANGED") < note.find("\nZONES"));
    let path = format!("/runs/{}", run["id"].as_str().expect("an id"));
    let page = stage.front.get_as(VIEWER_TOKEN, &path).await.is(200).body.as_str().expect("a page").to_owned();
    assert!(page.contains("Since the last good reading") && page.contains(&format!("{gone}: gone")), "{page}");
}

#[tokio::test]
async fn a_good_reading_that_a_run_sees_is_kept_too_and_each_run_before_has_its_length() {
    let stage = stage(well, &[NEVER]).await;
    let first = stage.diagnosed().await;
    assert!(first["diagnosis"].get("since_last_good").is_none(), "none is known yet");
    assert!(!stage.note_of(&first).content.contains("ast good reading"));
    assert_eq!(last_good(&stage).await, 0.0, "it was no canary's");
    stage.front.post("/rerun", &stage.this_alert()).await.is(202);
    let again = stage.front.end_of(&stage.world.alert).await;
    let since = &again["diagnosis"]["since_last_good"];
    let ms = |at: &Value| at.as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok()).map(|at| at.as_millisecond());
    assert_eq!(ms(&since["at"]), ms(&first["diagnosis"]["readings"][0]["at"]), "{since}");
    assert_eq!(since["changes"], json!([]), "{since}");
    let note = stage.note_of(&again).content;
    assert!(note.contains("\n\nSince the last good reading ("), "{note}");
    assert!(note.contains(" no box has come, gone, or changed its address.\n\nZONES"), "{note}");
    let before = note.lines().find(|line| line.contains("this alert, earlier")).unwrap_or_else(|| panic!("{note}"));
    assert!(before.contains("every Magic Box accepted connections, took "), "{before}");
    let list = stage.front.get_as(VIEWER_TOKEN, "/").await;
    let list = list.is(200).body.as_str().expect("a page");
    assert_eq!(
        list.matches(", took ").count(),
        6,
        "two runs: a cell's title and its words, and the line below: {list}"
    );
}

#[tokio::test]
async fn it_gives_way_to_an_alert_and_is_taken_afterwards() {
    static ALERTED: AtomicBool = AtomicBool::new(false);
    fn builds(asked: &Asked) -> BuildPlan {
        if ALERTED.load(Ordering::SeqCst) { rejecting(asked) } else { showing(asked, 1, 1, Duration::from_secs(600)) }
    }
    let settings = [OFTEN, ("JENKINS_MAX_BUILDS", "1"), ("JENKINS_TIMEOUT", "50s")];
    let mut stage = stage(builds, &settings).await;
    until("the canary's build", async || stage.world.jenkins.runs(1).then_some(())).await;
    ALERTED.store(true, Ordering::SeqCst);
    // It comes while the only build that may run is the canary's, which began before the alert.
    let run = new_alert(&mut stage).await;
    assert_eq!(run["diagnosis"]["verdict"]["kind"], "service_endpoint", "{run:#}");
    assert_eq!(run["diagnosis"]["readings"][0]["boxes"], 3);
    assert_eq!(stage.world.jenkins.stopped(), [1], "its build makes room");
    came_to(&stage, "not_good").await;
}

#[tokio::test]
async fn an_alert_that_came_before_its_build_is_served_by_it() {
    // Long enough that it still runs when the webhook has come, on a busy machine too.
    let builds = |asked: &Asked| showing(asked, 1, 0, Duration::from_secs(10));
    let scenario = Box::leak(Box::new(Scenario { builds, ..*quick() }));
    let world = World::start(scenario, SystemClock::shared()).await.expect("a world");
    // It says when the alert came, in whole seconds: before there was any build. It is late.
    let webhook = world.pagerduty.webhook_body("incident.triggered", &world.alert);
    let stage = Stage::before(world, 0, &[QUICK, &[OFTEN, ("JENKINS_MAX_BUILDS", "1")]].concat()).await;
    until("the canary's build", async || stage.world.jenkins.runs(1).then_some(())).await;
    assert_eq!(stage.front.signed(&webhook).await.is(202).word(), "accepted");
    let run = stage.front.end_of(&stage.world.alert).await;
    told(&stage.front, &stage.world, &run).await;
    let build = run["diagnosis"]["readings"][0]["build_url"].as_str().expect("a build");
    assert!(build.ends_with("/1/"), "{build}");
    assert_eq!(stage.world.jenkins.stopped(), [0; 0]);
}

#[tokio::test]
async fn a_restart_goes_on_with_it_and_begins_no_other() {
    let long = |asked: &Asked| showing(asked, 1, 1, Duration::from_secs(2));
    let mut stage = stage(long, &[OFTEN]).await;
    until("the first build", async || (stage.world.jenkins.started().len() == 1).then_some(())).await;
    stage.restart(&[("CANARY_INTERVAL", "1h")]).await;
    // The first ends, and the second, due since before, is the last for an hour.
    until("the second build", async || (stage.world.jenkins.started().len() == 2).then_some(())).await;
    let first = last_good(&stage).await;
    assert!(first > 0.0, "the first was gone on with");
    for _ in 0..3 {
        stage.restart(&[]).await;
    }
    until("the second to be read", async || (last_good(&stage).await > first).then_some(())).await;
    stage.restart(&[]).await;
    assert_eq!(stage.diagnosed().await["state"], "done");
    assert_eq!(stage.world.jenkins.started().len(), 3, "two canaries, and the alert's");
}

#[tokio::test]
async fn one_that_fails_is_said_until_one_does_not() {
    static MENDED: AtomicBool = AtomicBool::new(false);
    let builds = |asked: &Asked| if MENDED.load(Ordering::SeqCst) { well(asked) } else { failing() };
    let stage = stage(builds, &[OFTEN]).await;
    came_to(&stage, "failed").await;
    ready_says(&stage, "ready\ncanary reading: failed; the log says why, /metrics when the last was good\n").await;
    assert_eq!(last_good(&stage).await, 0.0);
    MENDED.store(true, Ordering::SeqCst);
    came_to(&stage, "good").await;
    ready_says(&stage, "ready\n").await;
}
