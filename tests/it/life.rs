//! The lifecycle of an alert, lifecycle.md: it waits for a bigger outage, ends, is merged, is told of by nobody, is
//! commanded.

use std::time::{Duration, Instant};

use serde_json::json;
use simulators::cluster::{Answer, Fault};
use simulators::pagerduty::{self, Endpoint, Opening, Setup};
use simulators::scenario::Scenario;

use crate::harness::{QUICK, Stage, quick, showing, until};

const AUTO: (&str, &str) = ("ESCALATION_MODE", "auto");
const PUBLIC: &str = "All Public endpoints down in prod-us-south";

/// A stage whose builds from this number on do not end before they may: a story changes the alert under them.
async fn held(from: u64, settings: &[(&str, &str)]) -> Stage {
    let stage = Stage::quick(settings).await;
    stage.world.jenkins.hold_builds(from);
    stage
}

/// The alert is resolved while a build runs that is held, and the run knows: it has asked PagerDuty, and more of Jenkins
/// since it was answered.
async fn ends(stage: &Stage) {
    let asked = || {
        let path = format!("/incidents/{}", stage.world.alert);
        stage.world.pagerduty.requests().iter().filter(|r| r.method == "GET" && r.path == path).count()
    };
    let before = asked();
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    assert_eq!(stage.alert("incident.resolved").await.is(202).word(), "accepted");
    until("a question whether it is so", async || (asked() > before).then_some(())).await;
    let polls = stage.world.jenkins.requests().len();
    until("some more looks at the build", async || (stage.world.jenkins.requests().len() >= polls + 6).then_some(()))
        .await;
}

async fn building(stage: &Stage) {
    until("the first build", async || (!stage.world.jenkins.started().is_empty()).then_some(())).await;
}

/// The short note goes out a moment before the run is parked.
async fn parked(stage: &Stage) {
    until("the run to be parked", async || {
        (stage.front.runs_of(&stage.world.alert).await[0]["state"] == "suppressed").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_bigger_outage_is_waited_for_and_told_of() {
    let waits = [("SUPPRESSION_RECHECK", "200ms"), ("SUPPRESSION_SETTLE", "300ms"), ("SUPPRESSION_MAX", "1m")];
    let stage = Stage::quick(&waits).await;
    let public = stage.world.pagerduty.open(Opening::new(PUBLIC, Setup::REGISTRY)).id;
    stage.alert("incident.triggered").await.is(202);
    let short = until("the short note", async || stage.notes().first().map(|n| n.content.clone())).await;
    assert!(short.contains(PUBLIC) && !short.lines().any(|line| line.starts_with("run ")), "{short}");
    parked(&stage).await;
    assert_eq!(stage.front.runs_of(&stage.world.alert).await.len(), 1);
    assert!(stage.world.jenkins.started().is_empty(), "while it waits nothing is asked of Jenkins");

    stage.world.pagerduty.resolve(&public, None);
    stage.front.signed(&stage.world.pagerduty.webhook_body("incident.resolved", &public)).await.is(202);
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(run["state"], "done", "{run:#}");
    let note = stage.note_of(&run).content;
    assert!(note.contains("WAITED FOR OTHER PAGES") && note.contains(PUBLIC), "{note}");
}

#[tokio::test]
async fn while_it_waits_its_short_note_is_tried_until_it_is_written_and_written_once() {
    let stage = Stage::quick(&[("SUPPRESSION_RECHECK", "200ms"), ("SUPPRESSION_MAX", "1m")]).await;
    stage.world.pagerduty.open(Opening::new(PUBLIC, Setup::REGISTRY));
    stage.world.pagerduty.fail(Endpoint::AddNote, pagerduty::Fault::Status(403), u32::MAX);
    stage.alert("incident.triggered").await.is(202);
    parked(&stage).await;
    assert!(stage.notes().is_empty());
    stage.world.pagerduty.mend();
    until("the short note", async || (!stage.notes().is_empty()).then_some(())).await;
    // Some looks later there is no other.
    let looks =
        || stage.world.pagerduty.requests().iter().filter(|r| r.method == "GET" && r.path == "/incidents").count();
    let before = looks();
    until("three more looks", async || (looks() >= before + 3).then_some(())).await;
    assert_eq!(stage.notes().len(), 1, "{:#?}", stage.notes());
    parked(&stage).await;
}

#[tokio::test]
async fn an_alert_that_ends_while_it_waits_is_told_nothing_more() {
    let stage = Stage::quick(&[("SUPPRESSION_RECHECK", "200ms"), ("SUPPRESSION_MAX", "1m")]).await;
    stage.world.pagerduty.open(Opening::new(PUBLIC, Setup::REGISTRY));
    stage.alert("incident.triggered").await.is(202);
    until("the short note", async || (stage.notes().len() == 1).then_some(())).await;
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    assert_eq!(stage.alert("incident.resolved").await.is(202).word(), "accepted");
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!((&run["state"], stage.notes().len()), (&json!("cancelled"), 1));
}

/// lifecycle.md#commands: a run that is suppressed is then diagnosed at once, at `POST /rerun` too.
#[tokio::test]
async fn a_person_has_a_suppressed_run_diagnosed_at_once() {
    let stage = Stage::quick(&[("SUPPRESSION_RECHECK", "1m"), ("SUPPRESSION_MAX", "1h"), AUTO]).await;
    stage.world.pagerduty.open(Opening::new(PUBLIC, Setup::REGISTRY));
    stage.alert("incident.triggered").await.is(202);
    until("the short note", async || (stage.notes().len() == 1).then_some(())).await;
    let parked = stage.front.runs_of(&stage.world.alert).await[0]["id"].clone();
    self::parked(&stage).await;
    let answer = stage.front.post("/rerun", &stage.this_alert()).await;
    assert_eq!(answer.is(202).body["run_id"], parked, "the same run, none beside it");
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("held")), "{run:#}");
    let timeline = stage.front.get(&format!("/api/alerts/{}/timeline", stage.world.alert)).await;
    let asked = timeline["entries"].as_array().expect("entries").iter().filter(|entry| entry["kind"] == "command");
    let asked: Vec<_> = asked.map(|entry| (entry["text"].as_str(), entry["who"].as_str())).collect();
    assert_eq!(asked, [(Some("asked to diagnose at once"), Some("olivia"))], "{timeline:#}");
}

/// lifecycle.md#the-alert-ends: another run starts no re-run, pages nobody, and says `RESOLVED` first.
#[tokio::test]
async fn an_alert_that_ends_while_it_is_diagnosed_gets_its_note_and_no_page() {
    let stage = held(1, &[AUTO]).await;
    stage.alert("incident.triggered").await.is(202);
    building(&stage).await;
    ends(&stage).await;
    stage.world.jenkins.let_builds_end();
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(run["state"], "done", "{run:#}");
    assert_eq!(run["diagnosis"]["readings"].as_array().map(Vec::len), Some(1), "no re-run for what is over");
    let note = stage.note_of(&run).content;
    assert!(note.lines().next().is_some_and(|line| line.to_lowercase().contains("resolved")), "{note}");
    assert!(stage.world.pagerduty.pages().is_empty());
}

/// lifecycle.md#the-alert-ends: if PagerDuty does not answer, the page stops and the diagnosis goes on.
#[tokio::test]
async fn where_its_end_cannot_be_confirmed_the_webhooks_word_stops_the_page_but_not_the_diagnosis() {
    let stage = held(1, &[AUTO]).await;
    stage.alert("incident.triggered").await.is(202);
    building(&stage).await;
    stage.world.pagerduty.fail(Endpoint::Incident, pagerduty::Fault::Status(403), u32::MAX);
    assert_eq!(stage.alert("incident.resolved").await.is(202).word(), "accepted");
    stage.world.jenkins.let_builds_end();
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("held")), "{run:#}");
    let reason = run["escalation"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("a webhook says that the alert is resolved"), "{reason}");
    // The run's own gate says so, not only the one before the page is opened.
    let steps = run["steps"].as_array().expect("steps");
    assert!(steps.iter().all(|step| step["name"] != "page"), "no page is asked for: {run:#}");
    stage.note_of(&run);
    assert!(stage.world.pagerduty.pages().is_empty());
}

#[tokio::test]
async fn an_alert_that_is_reopened_while_its_end_is_told_is_diagnosed_again() {
    let stage = held(1, &[]).await;
    stage.world.pagerduty.fail(Endpoint::AddNote, pagerduty::Fault::RateLimited(Some(1)), u32::MAX);
    stage.alert("incident.triggered").await.is(202);
    building(&stage).await;
    ends(&stage).await;
    stage.world.jenkins.let_builds_end();
    // Its end is confirmed, its note on its way.
    until("a note that is refused", async || {
        let run = stage.front.runs_of(&stage.world.alert).await.remove(0);
        let run = stage.front.run(run["id"].as_str()?).await;
        run["steps"].as_array()?.iter().any(|step| step["name"] == "post_note").then_some(())
    })
    .await;
    stage.world.pagerduty.reopen(&stage.world.alert, None);
    assert_eq!(stage.alert("incident.reopened").await.is(202).word(), "ignored", "a run is active");
    stage.world.pagerduty.mend();
    let runs = until("a second run", async || {
        let runs = stage.front.runs_of(&stage.world.alert).await;
        (runs.len() == 2).then_some(runs)
    })
    .await;
    let second = stage.front.end_of(&stage.world.alert).await;
    assert_eq!((&second["trigger"], &second["state"]), (&json!("webhook"), &json!("done")), "{second:#}");
    let first = stage.note_of(&runs[1]).content;
    assert!(first.lines().next().is_some_and(|line| line.to_lowercase().contains("resolved")), "{first}");
    let note = stage.note_of(&second).content;
    assert!(note.lines().next().is_some_and(|line| !line.to_lowercase().contains("resolved")), "{note}");
    assert_eq!(stage.front.runs_of(&stage.world.alert).await.len(), 2);
}

/// lifecycle.md#the-alert-ends: a run takes what answers within 30 s.
#[tokio::test]
async fn what_clusters_said_is_kept_when_the_alerts_end_cuts_another_short() {
    let stage = Stage::quick(&[("CLUSTER_CHECK_TIMEOUT", "10m")]).await;
    stage.world.clusters[0].change(|plan| plan.fault = Some(Fault::Silent));
    stage.alert("incident.triggered").await.is(202);
    building(&stage).await;
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    stage.alert("incident.resolved").await.is(202);
    let told = Instant::now();
    let run = stage.front.end_of(&stage.world.alert).await;
    assert!(told.elapsed() > Duration::from_secs(25), "answers are waited for, for 30 s: {:?}", told.elapsed());
    let zones = run["diagnosis"]["zones"].as_array().expect("zones");
    let mut findings: Vec<&str> = zones.iter().filter_map(|zone| zone["checks"]["finding"].as_str()).collect();
    findings.sort_unstable();
    assert_eq!(findings, ["healthy", "healthy", "unknown"], "{run:#}");
}

#[tokio::test]
async fn nobody_is_asked_to_page_for_what_is_over() {
    // The same in the re-run, so that it is Service Endpoint's problem, and by then it is over.
    let stage = held(2, &[("ESCALATION_MODE", "off")]).await;
    stage.alert("incident.triggered").await.is(202);
    until("the re-run", async || (stage.world.jenkins.started().len() == 2).then_some(())).await;
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    stage.alert("incident.resolved").await.is(202);
    stage.world.jenkins.let_builds_end();
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(run["diagnosis"]["verdict"]["kind"], "service_endpoint", "{run:#}");
    let note = stage.note_of(&run).content;
    assert_eq!(note.lines().nth(2), Some("Nobody was paged: the alert has closed."), "{note}");
}

/// Registry's pages of a zone that is ill are known by the alert's own service, and the list of open incidents no
/// longer has the alert: what was found while it was open stays in its note.
#[tokio::test]
async fn the_note_of_an_alert_that_has_resolved_keeps_registrys_pages() {
    let scenario = Scenario {
        builds: |asked| showing(asked, 1, 0, Duration::from_millis(100)),
        clusters: |plan, _| Some(plan.answering(Answer::Status(404))),
        ..*quick()
    };
    let stage = Stage::on(Box::leak(Box::new(scenario)), &[QUICK, &[AUTO]].concat()).await;
    stage.world.jenkins.hold_builds(1);
    let title = "registry-prod-us-south-az1: pods restart";
    let page = stage.world.pagerduty.open(Opening::new(title, Setup::REGISTRY)).id;
    stage.alert("incident.triggered").await.is(202);
    building(&stage).await;
    ends(&stage).await;
    stage.world.jenkins.let_builds_end();
    let run = stage.front.end_of(&stage.world.alert).await;
    let note = stage.note_of(&run).content;
    assert!(note.starts_with("Alert resolved after ") && note.contains(title), "{note}");
    assert_eq!(run["diagnosis"]["zones"][0]["checks"]["registry_pages"][0]["id"], page, "{:#}", run["diagnosis"]);
}

/// lifecycle.md#a-run-begins: resolved by now, the run is `cancelled`, and nothing is posted.
#[tokio::test]
async fn an_alert_that_ended_before_its_webhook_came_is_told_nothing() {
    let stage = Stage::quick(&[AUTO]).await;
    let body = stage.world.pagerduty.webhook_body("incident.triggered", &stage.world.alert);
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    stage.front.signed(&body).await.is(202);
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!((&run["state"], stage.notes().len()), (&json!("cancelled"), 0));
    assert!(stage.world.jenkins.started().is_empty());
}

#[tokio::test]
async fn a_merged_alert_takes_its_note_and_its_page_along() {
    let stage = held(1, &[AUTO]).await;
    let title = "[bridge 7] All SE endpoints down in prod-us-south";
    let bigger = stage.world.pagerduty.open(Opening::new(title, Setup::REGISTRY)).id;
    stage.alert("incident.triggered").await.is(202);
    building(&stage).await;
    stage.world.pagerduty.merge(&stage.world.alert, &bigger, None);
    stage.alert("incident.resolved").await.is(202);
    stage.world.jenkins.let_builds_end();
    until("the page", async || (stage.world.pagerduty.pages().len() == 1).then_some(())).await;
    let run = stage.front.end_of(&bigger).await;
    assert_eq!((&run["state"], &run["incident"]["id"]), (&json!("done"), &json!(bigger)), "{run:#}");
    let last = format!("run {}", run["id"].as_str().expect("an id"));
    let there = stage.world.pagerduty.notes_of(&bigger);
    assert!(there.iter().any(|n| n.content.lines().next_back() == Some(&last)), "{there:#?}");
    let key = format!("se-responder/{bigger}");
    assert_eq!(stage.world.pagerduty.pages()[0].incident_key, Some(key), "that incident is the alert from then on");
    // The incident that it was has a run: it gets no other.
    assert_eq!(stage.alert("incident.triggered").await.is(202).word(), "ignored");
}

/// lifecycle.md#a-run-begins and #the-page: "that incident is the alert", and "an automatic page is held when the title
/// is not exactly an alert's": while it is diagnosed the note goes there, once it is written it stays; the rule is one.
#[tokio::test]
async fn merged_into_one_that_is_called_otherwise_its_page_is_held_and_a_person_still_pages() {
    let title = "Registry in us-south is in trouble";
    for written in [false, true] {
        let stage = held(if written { u64::MAX } else { 1 }, &[AUTO]).await;
        let bigger = stage.world.pagerduty.open(Opening::new(title, Setup::REGISTRY)).id;
        if written {
            // The page can't be opened for a while: time enough for people to merge.
            stage.world.pagerduty.fail(Endpoint::Services, pagerduty::Fault::Status(503), 100_000);
        }
        stage.alert("incident.triggered").await.is(202);
        if written {
            until("the note", async || stage.notes().iter().any(|n| n.content.contains("\nrun ")).then_some(())).await;
        } else {
            building(&stage).await;
        }
        stage.world.pagerduty.merge(&stage.world.alert, &bigger, None);
        stage.alert("incident.resolved").await.is(202);
        stage.world.jenkins.let_builds_end();
        stage.world.pagerduty.mend();
        let at = if written { &stage.world.alert } else { &bigger };
        let held = until("the page to be held", async || {
            let run = stage.front.runs_of(at).await.into_iter().next()?;
            (run["escalation"]["state"] == "held" && !run["finished_at"].is_null()).then_some(run)
        })
        .await;
        let reason =
            format!("the alert's title is not exactly \"All SE endpoints down in prod-us-south\", it is \"{title}\"");
        assert_eq!(held["escalation"]["reason"], reason, "written: {written}");
        let note = until("the note to say so", async || {
            let notes = stage.world.pagerduty.notes_of(at).into_iter().map(|note| note.content);
            notes
                .filter(|text| text.contains("\nrun "))
                .find(|text| text.contains("page to Cloud Service Endpoint is held"))
        })
        .await;
        assert!(note.lines().nth(2).is_some_and(|line| line.contains(title)), "written: {written}: {note}");
        assert!(!note.contains("The alert's title is"), "said as the reason, and not as a warning too: {note}");
        assert!(stage.world.pagerduty.pages().is_empty());
        // A later run goes by the same title, once the merge is followed.
        until("the merge to be followed", async || stage.front.runs_of(&bigger).await.into_iter().next()).await;
        stage.front.post("/rerun", &json!({"incident_id": bigger})).await.is(202);
        let again = stage.front.end_of(&bigger).await;
        assert_eq!((&again["trigger"], &again["escalation"]["reason"]), (&json!("rerun"), &json!(reason)));
        stage.front.post("/escalate", &json!({"incident_id": bigger})).await.is(202);
        until("the page", async || (stage.world.pagerduty.pages().len() == 1).then_some(())).await;
        assert_eq!(stage.world.pagerduty.pages()[0].incident_key, Some(format!("se-responder/{bigger}")));
        let last = format!("\nrun {}", again["id"].as_str().expect("an id"));
        let note = until("the note to tell of the page", async || {
            let notes = stage.world.pagerduty.notes_of(&bigger).into_iter().map(|note| note.content);
            let mut notes = notes.filter(|text| text.ends_with(&last));
            notes.find(|text| text.lines().nth(2).is_some_and(|line| line.starts_with("Paged")))
        })
        .await;
        assert_eq!(note.matches(title).count(), 1, "where no page is held for it the title is a warning: {note}");
    }
}

#[tokio::test]
async fn an_alert_that_no_webhook_told_of_is_diagnosed_all_the_same() {
    let stage = Stage::quick(&[("RECONCILE_INTERVAL", "400ms")]).await;
    let run = until("a run", async || stage.front.runs_of(&stage.world.alert).await.into_iter().next()).await;
    assert_eq!(run["trigger"], "reconcile");
    let run = stage.front.end_of(&stage.world.alert).await;
    stage.note_of(&run);
    // Its webhook comes late: it has a run.
    assert_eq!(stage.alert("incident.triggered").await.is(202).word(), "ignored");

    // It is resolved and opened again, and nobody tells.
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    until("the timeline in the note", async || {
        stage.notes().iter().any(|n| n.content.contains("TIMELINE")).then_some(())
    })
    .await;
    stage.world.pagerduty.reopen(&stage.world.alert, None);
    until("a second run", async || (stage.front.runs_of(&stage.world.alert).await.len() == 2).then_some(())).await;
}

#[tokio::test]
async fn an_early_word_where_it_takes_long() {
    let stage = Stage::slow(&[("NOTE_BY", "300ms")]).await;
    stage.alert("incident.triggered").await.is(202);
    let word = until("the early word", async || stage.notes().first().map(|n| n.content.clone())).await;
    assert!(!word.lines().any(|line| line.starts_with("run ")), "{word}");
    assert!(word.to_lowercase().contains("nobody was paged"), "{word}");
}

/// lifecycle.md#commands: a note by a person that is only `/escalate`.
#[tokio::test]
async fn a_note_on_the_phone_is_enough_to_page() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
    stage.diagnosed().await;
    let engineer = Setup::ENGINEER;
    let note = stage.world.pagerduty.annotate(&stage.world.alert, engineer, " /Escalate.\n").expect("a note");
    let body = stage.world.pagerduty.annotated_body(&stage.world.alert, &note.id);
    assert_eq!(stage.front.signed(&body).await.is(202).word(), "accepted");
    assert_eq!(stage.front.signed(&body).await.is(202).word(), "duplicate");
    until("the page", async || (stage.world.pagerduty.pages().len() == 1).then_some(())).await;
    let run = until("the run to say so", async || {
        let run = stage.front.runs_of(&stage.world.alert).await.remove(0);
        (run["escalation"]["state"] == "paged").then_some(run)
    })
    .await;
    until("the answer", async || {
        let after = stage.short_notes(&run).1;
        // The command itself, and one answer.
        (after.len() == 2 && after[1].content.contains("Earline")).then_some(())
    })
    .await;
    assert_eq!(stage.world.pagerduty.pages().len(), 1);
}

/// note.md#what-holds-an-automatic-page: a note with a `run` line that this database does not know.
#[tokio::test]
async fn a_lost_database_costs_no_second_page() {
    let mut stage = Stage::quick(&[AUTO]).await;
    let first = stage.diagnosed().await;
    assert_eq!(first["escalation"]["state"], "paged");
    // Even where the page itself is beyond being found.
    let fresh = format!("sqlite://{}", stage.world.path("another.db").display());
    stage.restart(&[("DATABASE_URL", &fresh), ("RECONCILE_INTERVAL", "400ms")]).await;
    let run = until("a run", async || stage.front.runs_of(&stage.world.alert).await.into_iter().next()).await;
    assert_eq!(run["trigger"], "reconcile");
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(run["escalation"]["state"], "held", "{}", run["escalation"]);
    assert!(run["escalation"]["reason"].as_str().is_some_and(|r| r.contains("not in this database")));
    assert_eq!(stage.world.pagerduty.pages().len(), 1);
}

/// note.md#what-holds-an-automatic-page: "a note of the user of `PAGERDUTY_FROM`".
#[tokio::test]
async fn a_persons_note_that_names_a_run_holds_no_page() {
    let stage = Stage::quick(&[AUTO, ("RECONCILE_INTERVAL", "0s")]).await;
    let text = "As in the last review:\nrun 01a205c2-ba58-762a-bf95-9d4254c5d8a3";
    stage.world.pagerduty.annotate(&stage.world.alert, Setup::ENGINEER, text).expect("a note");
    // A rerun reads the notes, since it may be that of a lost one.
    stage.front.post("/rerun", &stage.this_alert()).await.is(202);
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(run["escalation"]["state"], "paged", "{}", run["escalation"]);
}

#[tokio::test]
async fn a_lost_database_costs_no_second_page_also_where_a_person_asks_again() {
    let mut stage = Stage::quick(&[AUTO]).await;
    let first = stage.diagnosed().await;
    let fresh = format!("sqlite://{}", stage.world.path("another.db").display());
    stage.restart(&[("DATABASE_URL", &fresh)]).await;
    let body = json!({"incident_id": stage.world.alert});
    stage.front.post("/rerun", &body).await.is(202);
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_ne!(run["id"], first["id"]);
    assert_eq!((&run["trigger"], &run["escalation"]["state"]), (&json!("rerun"), &json!("held")), "{run:#}");
    assert_eq!(stage.world.pagerduty.pages().len(), 1);
}
