//! What holds an automatic page, note.md#what-holds-an-automatic-page: each reason is told, nobody is paged, and a
//! person may still approve.

use serde_json::{Value, json};
use simulators::jenkins::BuildPlan;
use simulators::pagerduty::{Endpoint, Fault, Opening, Setup};
use simulators::scenario::Scenario;

use crate::harness::{QUICK, Stage, quick, told, until};

const AUTO: (&str, &str) = ("ESCALATION_MODE", "auto");
const PUBLIC: &str = "All Public endpoints down in prod-us-south";

/// lifecycle.md#the-note: who reads the note is not told to deal first with a page that does not explain the alert. It
/// is listed.
#[track_caller]
fn is_only_named(stage: &Stage, run: &Value, title: &str) {
    let note = stage.note_of(run).content;
    let second = note.lines().nth(1).unwrap_or_default();
    assert!(second.starts_with("Do now: ") && !second.contains(title) && !second.contains(" first"), "{second}");
    assert!(note.contains(&format!("ALSO OPEN\n- {title} http")), "{note}");
    assert!(!note.contains("Deal with these pages"), "{note}");
}

/// The page is held, for this reason; the note says so, and a person's word passes.
async fn is_held(stage: &Stage, run: &Value, reason: &str) {
    assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("held")), "{}", run["escalation"]);
    assert!(run["escalation"]["reason"].as_str().is_some_and(|r| r.contains(reason)), "{}", run["escalation"]);
    told(&stage.front, &stage.world, run).await;
    let note = stage.note_of(run).content;
    assert!(
        note.lines()
            .nth(2)
            .is_some_and(|l| l.starts_with("NOBODY WAS PAGED. The automatic page to Cloud Service Endpoint is held: ")),
        "{note}"
    );
    assert!(note.contains(reason), "{note}");
    assert!(stage.world.pagerduty.pages().is_empty());
    stage.world.pagerduty.mend();
    stage.front.post("/escalate", &stage.this_alert()).await.is(202);
    until("the page", async || (stage.world.pagerduty.pages().len() == 1).then_some(())).await;
}

#[tokio::test]
async fn a_related_page_that_opened_meanwhile() {
    let stage = Stage::quick(&[AUTO]).await;
    stage.world.jenkins.hold_builds(1);
    stage.alert("incident.triggered").await.is(202);
    until("the first build", async || (!stage.world.jenkins.started().is_empty()).then_some(())).await;
    let page = stage.world.pagerduty.open(Opening::new(PUBLIC, Setup::REGISTRY)).id;
    stage.world.jenkins.let_builds_end();
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(run["related"][0]["id"], page);
    let note = stage.note_of(&run).content;
    assert!(note.lines().nth(1).is_some_and(|l| l.contains(PUBLIC)), "named first of all: {note}");
    is_held(&stage, &run, PUBLIC).await;
}

/// A related page opens between the note and the page; gives its id too, and the run once it has ended.
async fn held_right_before_the_page(settings: &[(&str, &str)]) -> (Stage, String, Value) {
    let stage = Stage::quick(&[&[AUTO], settings].concat()).await;
    // The first try of the page fails for a while: time enough for a bigger outage to show.
    stage.world.pagerduty.fail(Endpoint::Services, Fault::Status(503), 1000);
    stage.alert("incident.triggered").await.is(202);
    // The early word, then the diagnosis.
    until("the note", async || (stage.notes().len() == 2).then_some(())).await;
    let page = stage.world.pagerduty.open(Opening::new(PUBLIC, Setup::REGISTRY)).id;
    stage.world.pagerduty.mend();
    let run = stage.front.end_of(&stage.world.alert).await;
    (stage, page, run)
}

#[tokio::test]
async fn a_related_page_that_opens_between_the_note_and_the_page() {
    let (stage, page, run) = held_right_before_the_page(&[]).await;
    assert_eq!(run["related"][0]["id"], page, "{}", run["related"]);
    told(&stage.front, &stage.world, &run).await;
    let note = stage.note_of(&run).content;
    assert!(note.lines().nth(1).is_some_and(|l| l.contains(PUBLIC)), "named first of all: {note}");
    is_held(&stage, &run, PUBLIC).await;
}

/// The run's page is held for this one.
async fn another_run_pages_once_closed(stage: &Stage, run: &Value, page: &str) {
    assert_eq!(run["escalation"]["state"], "held", "{}", run["escalation"]);
    stage.world.pagerduty.resolve(page, None);
    until("another run", async || (stage.front.runs_of(&stage.world.alert).await.len() == 2).then_some(())).await;
    let again = stage.front.end_of(&stage.world.alert).await;
    assert_eq!((&again["trigger"], &again["related"]), (&json!("related-resolved"), &json!([])));
    assert_eq!(again["escalation"]["state"], "paged", "{}", again["escalation"]);
    assert_eq!(stage.world.pagerduty.pages().len(), 1);
}

#[tokio::test]
async fn once_a_page_that_opened_between_the_note_and_the_page_has_closed_another_run_pages() {
    let settings = [("SUPPRESSION_RECHECK", "100ms"), ("SUPPRESSION_SETTLE", "300ms")];
    let (stage, page, run) = held_right_before_the_page(&settings).await;
    another_run_pages_once_closed(&stage, &run, &page).await;
}

/// Of no zone of the region's.
const MARS: &str = "DOWN | Origin - reg-glob-mars-endpoint-01 | Pool - reg-glob | Response code mismatch error";

/// Where the region lists its zones, another is not its own.
async fn list_glb_zones(stage: &mut Stage) {
    let path = stage.world.path("regions-with-glb.toml");
    let file = std::fs::read_to_string(stage.world.path("regions.toml")).expect("a file");
    let name = "name = \"prod-us-south\"\n";
    std::fs::write(&path, file.replace(name, &format!("{name}glb_zones = [\"us-south\"]\n"))).expect("a file");
    stage.restart(&[("REGIONS_FILE", &path.display().to_string())]).await;
}

#[tokio::test]
async fn an_origin_page_of_a_glb_zone_that_is_not_known() {
    let mut stage = Stage::quick(&[AUTO]).await;
    list_glb_zones(&mut stage).await;
    stage.world.pagerduty.open(Opening::new(MARS, Setup::REGISTRY));
    let run = stage.diagnosed().await;
    assert_eq!(run["related"][0]["title"], MARS);
    is_only_named(&stage, &run, MARS);
    is_held(&stage, &run, "reg-glob-mars").await;
}

/// lifecycle.md#before-the-note: what held the page has closed, so another run looks, and pages where it finds the same.
#[tokio::test]
async fn once_a_page_that_was_only_named_has_closed_another_run_pages() {
    let mut stage = Stage::quick(&[AUTO, ("SUPPRESSION_RECHECK", "100ms"), ("SUPPRESSION_SETTLE", "300ms")]).await;
    list_glb_zones(&mut stage).await;
    let page = stage.world.pagerduty.open(Opening::new(MARS, Setup::REGISTRY)).id;
    let run = stage.diagnosed().await;
    another_run_pages_once_closed(&stage, &run, &page).await;
}

#[tokio::test]
async fn a_related_page_that_was_old_already() {
    let stage = Stage::quick(&[AUTO, ("RELATED_MAX_AGE", "1h")]).await;
    let opened = stage.world.pagerduty.incident(&stage.world.alert).expect("the alert").created_at;
    let mut old = Opening::new(PUBLIC, Setup::REGISTRY);
    old.created_at = Some(opened - jiff::SignedDuration::from_mins(61));
    stage.world.pagerduty.open(old);
    let run = stage.diagnosed().await;
    is_only_named(&stage, &run, PUBLIC);
    is_held(&stage, &run, PUBLIC).await;
}

#[tokio::test]
async fn related_pages_that_could_not_be_asked_for() {
    let stage = Stage::quick(&[AUTO]).await;
    stage.world.pagerduty.fail(Endpoint::Incidents, Fault::Status(403), 1000);
    let run = stage.diagnosed().await;
    let note = stage.note_of(&run).content;
    assert!(note.contains("Whether related pages are open: "), "{note}");
    is_held(&stage, &run, "it is not known whether a bigger outage explains the alert").await;
}

/// note.md#what-holds-an-automatic-page: it is asked again first, twice at most, once the note is written.
#[tokio::test]
async fn evidence_that_is_too_old() {
    let stage = Stage::quick(&[AUTO, ("EVIDENCE_MAX_AGE", "1ms")]).await;
    let run = stage.diagnosed().await;
    is_held(&stage, &run, "older than EVIDENCE_MAX_AGE").await;
    // A reading and the re-run that makes sure of it, and both again, which were too old at once; its note was brought up to them.
    assert_eq!(stage.world.jenkins.started().len(), 2 * 2, "{:?}", stage.world.jenkins.started());
    let (note, readings) = (stage.note_of(&run).content, &run["diagnosis"]["readings"]);
    let last = readings[1]["build_url"].as_str().expect("a build");
    assert!(note.contains(last), "{last} is not in {note}");
    assert_eq!(stage.short_notes(&run).1.len(), 0, "nothing else is written");
}

/// lifecycle.md#the-page: evidence that could not be taken again changes nothing.
#[tokio::test]
async fn evidence_that_can_not_be_taken_again_stands_and_its_page_is_held() {
    let stage = Stage::quick(&[AUTO, ("EVIDENCE_MAX_AGE", "1ms")]).await;
    let jenkins = &stage.world.jenkins;
    stage.alert("incident.triggered").await.is(202);
    until("the re-run", async || (jenkins.started().len() == 2).then_some(())).await;
    jenkins.disable();
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(run["diagnosis"]["verdict"]["kind"], "service_endpoint", "{}", run["diagnosis"]["verdict"]);
    is_held(&stage, &run, "older than EVIDENCE_MAX_AGE").await;
    assert_eq!(jenkins.started().len(), 2, "no other build served");
    let steps = run["steps"].as_array().expect("steps");
    assert_eq!(steps.iter().filter(|step| step["name"] == "read_boxes").count(), 2, "it was tried: {steps:#?}");
}

/// note.md#what-holds-an-automatic-page: evidence that is too old is asked again first.
#[tokio::test]
async fn evidence_that_aged_while_the_page_could_not_be_opened_is_asked_again() {
    // At once: each waits until its evidence is old.
    let asked_again = async |restarted: bool| {
        let mut stage = Stage::quick(&[AUTO, ("EVIDENCE_MAX_AGE", "10s")]).await;
        stage.world.pagerduty.fail(Endpoint::Services, Fault::Status(503), 100_000);
        stage.alert("incident.triggered").await.is(202);
        until("the note", async || (stage.notes().len() == 2).then_some(())).await;
        let builds = stage.world.jenkins.started().len();
        let written = std::time::Instant::now();
        until("its evidence to be old", async || (written.elapsed().as_secs() >= 11).then_some(())).await;
        stage.world.pagerduty.mend();
        if restarted {
            stage.restart(&[]).await;
        }
        let run = stage.front.end_of(&stage.world.alert).await;
        assert_eq!(run["escalation"]["state"], "paged", "{}", run["escalation"]);
        assert!(stage.world.jenkins.started().len() > builds, "the job ran again");
        told(&stage.front, &stage.world, &run).await;
        let note = stage.note_of(&run).content;
        assert!(note.lines().nth(2).is_some_and(|line| line.starts_with("Paged: ")), "{note}");
        let build = run["diagnosis"]["readings"][0]["build_url"].as_str().expect("a build");
        assert!(note.contains(build), "the note shows what it stands on: {build} in {note}");
        assert_eq!(stage.world.pagerduty.pages().len(), 1);
        assert_eq!(stage.short_notes(&run).1.len(), 0, "nothing else is written");
    };
    tokio::join!(asked_again(false), asked_again(true));
}

/// The same where it is too old each time: twice it is asked again, then the page is held.
#[tokio::test]
async fn evidence_that_is_too_old_each_time_is_taken_again_twice_at_most() {
    let stage = Stage::quick(&[AUTO, ("EVIDENCE_MAX_AGE", "4s")]).await;
    let (pagerduty, jenkins) = (&stage.world.pagerduty, &stage.world.jenkins);
    stage.alert("incident.triggered").await.is(202);
    // A reading, and the re-run that makes sure of it; then the page waits for longer than that counts.
    for builds in [1, 3, 5] {
        until("a build", async || (jenkins.started().len() >= builds).then_some(())).await;
        pagerduty.fail(Endpoint::Services, Fault::RateLimited(Some(5)), 1);
    }
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!((run["escalation"]["state"].as_str(), pagerduty.faults_to_come()), (Some("held"), 0), "{run:#}");
    assert_eq!(jenkins.started().len(), 3 * 2, "{:?}", jenkins.started());
    is_held(&stage, &run, "older than EVIDENCE_MAX_AGE").await;
}

#[tokio::test]
async fn every_zone_disabled() {
    let clusters = |plan: simulators::cluster::Plan, _| Some(plan.konicle("ready", "false"));
    let scenario = Scenario { clusters, ..*quick() };
    let stage = Stage::on(Box::leak(Box::new(scenario)), &[QUICK, &[AUTO]].concat()).await;
    let run = stage.diagnosed().await;
    is_held(&stage, &run, "every zone is disabled").await;
}

#[tokio::test]
async fn a_region_that_the_file_does_not_list() {
    let stage = Stage::quick(&[AUTO]).await;
    let mut stage = stage;
    let path = stage.world.path("other-regions.toml");
    std::fs::write(
        &path,
        "[[regions]]\nname = \"prod-eu-de\"\n\n[[regions.zones]]\ncluster = \"registry-prod-eu-de-az1\"\n",
    )
    .expect("written");
    stage.restart(&[("REGIONS_FILE", &path.display().to_string())]).await;
    let run = stage.diagnosed().await;
    is_held(&stage, &run, "the regions file does not list prod-us-south").await;
}

#[tokio::test]
async fn a_zone_that_the_file_does_not_list() {
    let builds = |asked: &simulators::jenkins::Asked| {
        let zones: Vec<String> = (1..=4).map(|n| format!("registry-prod-us-south-az{n}")).collect();
        let boxes: Vec<_> = zones.iter().map(|z| (z.as_str(), 1, 0, 1)).collect();
        let _ = asked;
        BuildPlan::showing(&boxes, std::time::Duration::from_millis(100))
    };
    let stage = Stage::on(Box::leak(Box::new(Scenario { builds, ..*quick() })), &[QUICK, &[AUTO]].concat()).await;
    let run = stage.diagnosed().await;
    assert_eq!(run["diagnosis"]["zones"][3]["cluster"], "registry-prod-us-south-az4");
    is_held(&stage, &run, "does not list registry-prod-us-south-az4").await;
}

#[tokio::test]
async fn an_alert_that_was_triggered_too_long_ago() {
    let stage = Stage::quick(&[AUTO, ("RECONCILE_MAX_AGE", "1h")]).await;
    let opened = stage.world.pagerduty.incident(&stage.world.alert).expect("the alert").created_at;
    let long_ago = opened - jiff::SignedDuration::from_hours(2);
    let mut old = Opening::new("All SE endpoints down in prod-us-south", Setup::REGISTRY);
    old.created_at = Some(long_ago);
    let old = stage.world.pagerduty.open(old).id;
    let mut body: Value =
        serde_json::from_str(&stage.world.pagerduty.webhook_body("incident.triggered", &old)).expect("it");
    body["event"]["occurred_at"] = json!(long_ago.to_string());
    stage.front.signed(&body.to_string()).await.is(202);
    let run = stage.front.end_of(&old).await;
    assert_eq!(run["escalation"]["state"], "held", "{}", run["escalation"]);
    assert!(
        run["escalation"]["reason"].as_str().is_some_and(|r| r.contains("RECONCILE_MAX_AGE")),
        "{}",
        run["escalation"]
    );
    assert!(stage.world.pagerduty.pages().is_empty());
}

#[tokio::test]
async fn more_pages_than_an_hour_may_have() {
    let mut stage = Stage::quick(&[AUTO]).await;
    let path = stage.world.path("two-regions.toml");
    let region = |name: &str| {
        let zones: String =
            (1..=3).map(|n| format!("[[regions.zones]]\ncluster = \"registry-{name}-az{n}\"\n")).collect();
        format!("[[regions]]\nname = \"{name}\"\n{zones}")
    };
    std::fs::write(&path, region("prod-us-south") + &region("prod-eu-de")).expect("written");
    stage.restart(&[("REGIONS_FILE", &path.display().to_string()), ("ESCALATION_MAX_PER_HOUR", "1")]).await;
    let first = stage.diagnosed().await;
    assert_eq!(first["escalation"]["state"], "paged");
    let other = stage.world.pagerduty.open(Opening::new("All SE endpoints down in prod-eu-de", Setup::REGISTRY)).id;
    stage.front.signed(&stage.world.pagerduty.webhook_body("incident.triggered", &other)).await.is(202);
    let second = stage.front.end_of(&other).await;
    assert_eq!(second["escalation"]["state"], "held", "{}", second["escalation"]);
    assert!(second["escalation"]["reason"].as_str().is_some_and(|r| r.contains("ESCALATION_MAX_PER_HOUR")));
    // The same alert again is no further page; a person's word passes.
    assert_eq!(stage.world.pagerduty.pages().len(), 1);
    stage.front.post("/escalate", &json!({"incident_id": other})).await.is(202);
    until("the page", async || (stage.world.pagerduty.pages().len() == 2).then_some(())).await;
}

#[tokio::test]
async fn none_an_hour_is_none() {
    let stage = Stage::quick(&[AUTO, ("ESCALATION_MAX_PER_HOUR", "0")]).await;
    let run = stage.diagnosed().await;
    is_held(&stage, &run, "ESCALATION_MAX_PER_HOUR").await;
}
