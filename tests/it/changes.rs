//! The alert and what is around it change under a run (lifecycle.md): titles, merges, bigger outages that
//! show before or after, several regions at once, a flapping alert, people's words.

use std::time::Duration;

use serde_json::{Value, json};
use simulators::jenkins::{Asked, BuildPlan};
use simulators::pagerduty::{Endpoint, Fault, Opening, Setup};
use simulators::scenario::Scenario;

use crate::harness::{QUICK, Stage, is_allowed, nothing_else_was_asked, quick, showing, told, until};

const AUTO: (&str, &str) = ("ESCALATION_MODE", "auto");
const ALERT: &str = "All SE endpoints down in prod-us-south";
const PUBLIC: &str = "All Public endpoints down in prod-us-south";

impl Stage {
    async fn hears(&self, event_type: &str, incident: &str) -> String {
        self.front.signed(&self.world.pagerduty.webhook_body(event_type, incident)).await.is(202).word().to_owned()
    }

    async fn says(&self, incident: &str, content: &str) {
        let note = self.world.pagerduty.annotate(incident, Setup::ENGINEER, content).expect("a note");
        self.front.signed(&self.world.pagerduty.annotated_body(incident, &note.id)).await.is(202);
    }

    /// Waits for a note of ours on an incident that has these words; its text.
    async fn told(&self, incident: &str, words: &str) -> String {
        until(words, async || {
            let notes = self.world.pagerduty.notes_of(incident);
            notes.into_iter().map(|note| note.content).find(|content| content.contains(words))
        })
        .await
    }

    async fn in_state(&self, state: &str) -> Value {
        until(state, async || self.front.runs_of(&self.world.alert).await.into_iter().find(|run| run["state"] == state))
            .await
    }
}

/// A stage with a build of the alert's run that does not end before it may.
async fn building(settings: &[(&str, &str)]) -> Stage {
    let stage = Stage::quick(settings).await;
    stage.world.jenkins.hold_builds(1);
    stage.alert("incident.triggered").await.is(202);
    until("the first build", async || (!stage.world.jenkins.started().is_empty()).then_some(())).await;
    stage
}

#[tokio::test]
async fn merged_after_its_run_has_ended_that_incident_is_the_alert() {
    let stage = Stage::quick(&[AUTO]).await;
    let first = stage.diagnosed().await;
    assert_eq!(first["escalation"]["state"], "paged");
    let bigger = stage.world.pagerduty.open(Opening::new(ALERT, Setup::REGISTRY)).id;
    stage.world.pagerduty.merge(&stage.world.alert, &bigger, None);
    assert_eq!(stage.alert("incident.resolved").await.is(202).word(), "accepted");
    until("the merge to be followed", async || {
        (stage.front.runs_of(&bigger).await.first()?["id"] == first["id"]).then_some(())
    })
    .await;
    assert_eq!(stage.hears("incident.triggered", &bigger).await, "ignored", "it has a run");
    stage.says(&bigger, "/escalate").await;
    stage.told(&bigger, "is paged already").await;
    stage.world.pagerduty.resolve(&bigger, None);
    assert_eq!(stage.hears("incident.resolved", &bigger).await, "accepted");
    stage.told(&stage.world.alert, "TIMELINE").await;
    assert_eq!(stage.world.pagerduty.pages().len(), 1);
}

#[tokio::test]
async fn a_page_may_be_asked_for_by_the_incident_that_was_merged_away() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
    let first = stage.diagnosed().await;
    let bigger = stage.world.pagerduty.open(Opening::new(ALERT, Setup::REGISTRY)).id;
    stage.world.pagerduty.merge(&stage.world.alert, &bigger, None);
    assert_eq!(stage.alert("incident.resolved").await.is(202).word(), "accepted");
    until("the merge to be followed", async || {
        (stage.front.runs_of(&bigger).await.first()?["id"] == first["id"]).then_some(())
    })
    .await;
    stage.front.post("/escalate", &json!({"incident_id": stage.world.alert})).await.is(202);
    until("the page", async || (stage.world.pagerduty.pages().len() == 1).then_some(())).await;
    let key = format!("se-responder/{bigger}");
    assert_eq!(stage.world.pagerduty.pages()[0].incident_key, Some(key), "that incident is the alert from then on");
}

/// That the incident is closed by the merge closes no alert.
#[tokio::test]
async fn a_page_may_be_asked_for_by_an_incident_of_whose_merge_nobody_has_told() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest"), ("RECONCILE_INTERVAL", "0s")]).await;
    stage.diagnosed().await;
    let bigger = stage.world.pagerduty.open(Opening::new("Registry is in trouble", Setup::REGISTRY)).id;
    stage.world.pagerduty.merge(&stage.world.alert, &bigger, None);
    stage.front.post("/escalate", &stage.this_alert()).await.is(202);
    until("the page", async || (stage.world.pagerduty.pages().len() == 1).then_some(())).await;
    // Where the other is closed too there is nobody to page for.
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest"), ("RECONCILE_INTERVAL", "0s")]).await;
    stage.diagnosed().await;
    let bigger = stage.world.pagerduty.open(Opening::new("Registry is in trouble", Setup::REGISTRY)).id;
    stage.world.pagerduty.merge(&stage.world.alert, &bigger, None);
    stage.world.pagerduty.resolve(&bigger, None);
    stage.front.post("/escalate", &stage.this_alert()).await.is_problem(409);
}

#[tokio::test]
async fn a_merge_that_no_webhook_told_of_is_followed() {
    let stage = Stage::quick(&[("RECONCILE_INTERVAL", "400ms")]).await;
    until("a run", async || stage.front.runs_of(&stage.world.alert).await.into_iter().next()).await;
    let run = stage.front.end_of(&stage.world.alert).await;
    let bigger = stage.world.pagerduty.open(Opening::new("Registry is in trouble", Setup::REGISTRY)).id;
    stage.world.pagerduty.merge(&stage.world.alert, &bigger, None);
    until("the merge to be followed", async || {
        (stage.front.runs_of(&bigger).await.first()?["id"] == run["id"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn into_one_that_is_being_diagnosed_there_is_one_note() {
    // The other's builds take longer, so that it is still active when this one is read.
    let builds = |asked: &Asked| {
        let length = if asked.cluster.contains("us-south") { 100 } else { 6_000 };
        showing(asked, 0, 1, Duration::from_millis(length))
    };
    let scenario = Scenario { builds, other_regions: &["prod-eu-de"], ..*quick() };
    let stage = Stage::on(Box::leak(Box::new(scenario)), QUICK).await;
    let other = stage.world.pagerduty.open(Opening::new("All SE endpoints down in prod-eu-de", Setup::REGISTRY)).id;
    stage.world.jenkins.hold_builds(1);
    stage.alert("incident.triggered").await.is(202);
    assert_eq!(stage.hears("incident.triggered", &other).await, "accepted");
    until("both builds", async || (stage.world.jenkins.started().len() == 2).then_some(())).await;
    let mine = stage.front.runs_of(&stage.world.alert).await[0]["id"].as_str().expect("an id").to_owned();
    stage.world.pagerduty.merge(&stage.world.alert, &other, None);
    stage.alert("incident.resolved").await.is(202);
    stage.world.jenkins.let_builds_end();
    let cancelled = stage.front.ended(&mine).await;
    assert_eq!(cancelled["state"], "cancelled", "{cancelled:#}");
    let last = |id: &str| format!("\nrun {id}");
    until("the other's note", async || {
        let notes = stage.world.pagerduty.notes_of(&other);
        notes.iter().any(|n| n.content.contains("\nrun ") && !n.content.contains(&last(&mine))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn merged_while_both_run_and_end_at_once_there_is_one_note() {
    let stage = building(&[]).await;
    let other = stage.world.pagerduty.open(Opening::new(ALERT, Setup::REGISTRY)).id;
    assert_eq!(stage.hears("incident.triggered", &other).await, "accepted");
    let theirs = until("the other's run", async || stage.front.runs_of(&other).await.into_iter().next()).await;
    let mine = stage.front.runs_of(&stage.world.alert).await[0]["id"].as_str().expect("an id").to_owned();
    stage.world.pagerduty.merge(&stage.world.alert, &other, None);
    stage.world.jenkins.let_builds_end();
    let mine = stage.front.ended(&mine).await;
    stage.front.ended(theirs["id"].as_str().expect("an id")).await;
    let with_run = |id: &str| {
        let notes = stage.world.pagerduty.notes_of(id);
        notes.into_iter().filter(|note| note.content.contains("\nrun ")).count()
    };
    assert_eq!((with_run(&stage.world.alert), with_run(&other)), (0, 1), "{mine:#}");
}

#[tokio::test]
async fn retitled_it_keeps_its_region() {
    let stage = building(&[]).await;
    stage.world.pagerduty.rename(&stage.world.alert, "us-south: we are on it");
    stage.world.jenkins.let_builds_end();
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!((&run["region"], &run["state"]), (&json!("prod-us-south"), &json!("done")));
    assert_eq!(run["incident"]["title"], "us-south: we are on it");
    stage.note_of(&run);
    let again = stage.front.post("/rerun", &stage.this_alert()).await;
    let again = stage.front.ended(again.is(202).body["run_id"].as_str().expect("an id")).await;
    assert_eq!((&again["region"], &again["state"]), (&json!("prod-us-south"), &json!("done")));
}

#[tokio::test]
async fn a_public_page_20_s_before_leads_to_that_team_and_then_back() {
    let waits = [AUTO, ("SUPPRESSION_RECHECK", "100ms"), ("SUPPRESSION_SETTLE", "100ms")];
    let stage = Stage::quick(&waits).await;
    let opened = stage.world.pagerduty.incident(&stage.world.alert).expect("the alert").created_at;
    let mut before = Opening::new(PUBLIC, Setup::REGISTRY);
    before.created_at = Some(opened - jiff::SignedDuration::from_secs(20));
    let public = stage.world.pagerduty.open(before).id;
    stage.alert("incident.triggered").await.is(202);
    let waiting = stage.in_state("suppressed").await;
    assert_eq!(waiting["related"][0]["id"], public, "visible in the API");
    let short = stage.notes()[0].content.clone();
    let head: Vec<&str> = short.lines().take(2).collect();
    assert_eq!(
        head,
        [
            "WAITING, not diagnosed yet, in prod-us-south: 1 open page may explain it",
            "Do now: deal with \"All Public endpoints down in prod-us-south\" first, see if this alert resolves with it.",
        ]
    );
    assert!(
        short.contains(&public) && short.contains("\n\nOPEN PAGES\n- All Public endpoints down in prod-us-south http"),
        "{short}"
    );
    assert!(stage.world.pagerduty.pages().is_empty() && stage.world.jenkins.started().is_empty());
    stage.world.pagerduty.resolve(&public, None);
    let run = stage.front.ended(waiting["id"].as_str().expect("an id")).await;
    assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("paged")), "{run:#}");
    told(&stage.front, &stage.world, &run).await;
    let note = stage.note_of(&run).content;
    for words in [
        "\nPaged: Cloud Service Endpoint, automatically. ",
        "\n\nWAITED FOR OTHER PAGES\nThis diagnosis waited ",
        " for 1 related page. None is open now, this alert still is: another cause, or it needs longer.\n- All Public endpoints",
    ] {
        assert!(note.contains(words), "{words:?}: {note}");
    }
    assert!(!note.contains("deal with"), "{note}");
}

#[tokio::test]
async fn a_public_page_20_s_after_leads_to_that_team_and_then_back() {
    let waits = [AUTO, ("SUPPRESSION_RECHECK", "100ms"), ("SUPPRESSION_SETTLE", "100ms")];
    let stage = building(&waits).await;
    let public = stage.world.pagerduty.open(Opening::new(PUBLIC, Setup::REGISTRY)).id;
    stage.world.jenkins.let_builds_end();
    let first = stage.front.end_of(&stage.world.alert).await;
    assert_eq!((&first["state"], &first["escalation"]["state"]), (&json!("done"), &json!("held")), "{first:#}");
    let note = stage.note_of(&first).content;
    let second = note.lines().nth(1);
    assert_eq!(second, Some(&*format!("Do now: deal with \"{PUBLIC}\" first, see if this one resolves with it.")));
    for words in [
        "\nNOBODY WAS PAGED. The automatic page to Cloud Service Endpoint is held: other pages are open that may explain the alert",
        "\n1. Deal with these pages, and see if this alert resolves:\n   - All Public endpoints down in prod-us-south http",
    ] {
        assert!(note.contains(words), "{words:?}: {note}");
    }
    stage.world.pagerduty.resolve(&public, None);
    let second = until("a second look", async || {
        let runs = stage.front.runs_of(&stage.world.alert).await;
        runs.into_iter().find(|run| run["trigger"] == "related-resolved")
    })
    .await;
    let second = stage.front.ended(second["id"].as_str().expect("an id")).await;
    assert_eq!((&second["state"], &second["escalation"]["state"]), (&json!("done"), &json!("paged")), "{second:#}");
    assert_eq!(stage.world.pagerduty.pages().len(), 1);
    told(&stage.front, &stage.world, &second).await;
    let note = stage.note_of(&second).content;
    for words in
        ["\nPaged: Cloud Service Endpoint, automatically. ", "\nEARLIER RUNS\nFound before, the same as now:\n- "]
    {
        assert!(note.contains(words), "{words:?}: {note}");
    }
    assert!(!note.contains("Deal with these pages") && !note.contains("deal with"), "{note}");
}

/// Every build shows two regions, whichever zone it was asked with.
fn two_regions(_: &Asked) -> BuildPlan {
    let zones: Vec<String> = ["prod-us-south", "prod-eu-de"]
        .iter()
        .flat_map(|region| (1..=3).map(move |n| format!("registry-{region}-az{n}")))
        .collect();
    let boxes: Vec<_> = zones.iter().map(|zone| (zone.as_str(), 1, 1, 0)).collect();
    BuildPlan::showing(&boxes, Duration::from_millis(700))
}

#[tokio::test]
async fn one_build_serves_all_regions_that_alert_and_each_note_names_the_others() {
    let stage = Stage::on(Box::leak(Box::new(Scenario { builds: two_regions, ..*quick() })), QUICK).await;
    let other = stage.world.pagerduty.open(Opening::new("All SE endpoints down in prod-eu-de", Setup::REGISTRY)).id;
    // Both alert before the build begins; the webhook of one comes when it runs.
    let theirs = stage.world.pagerduty.webhook_body("incident.triggered", &other);
    stage.alert("incident.triggered").await.is(202);
    until("the first build", async || (!stage.world.jenkins.started().is_empty()).then_some(())).await;
    stage.front.signed(&theirs).await.is(202);
    let (mine, theirs) = (stage.front.end_of(&stage.world.alert).await, stage.front.end_of(&other).await);
    for (run, at, names) in [(&mine, &stage.world.alert, "prod-eu-de"), (&theirs, &other, "prod-us-south")] {
        assert_eq!(run["diagnosis"]["verdict"]["rule"], "all-se-accepting", "{run:#}");
        let note = stage.told(at, "\nrun ").await;
        let fourth = format!("1 other region alerts within 5 min of this one, likely one cause: {names}.");
        assert_eq!(note.lines().nth(3), Some(&*fourth), "{note}");
        let not_whole = format!("\nIn this reading the other region is not whole: {names} (0 of 3 boxes 1:1).\n");
        assert!(note.contains(&not_whole) && !note.contains("from another time"), "{note}");
    }
    let url = |run: &Value| run["diagnosis"]["readings"][0]["build_url"].clone();
    assert_eq!(url(&mine), url(&theirs), "one reading");
    assert_eq!(stage.world.jenkins.started().len(), 1);
}

#[tokio::test]
async fn a_flapping_alert_says_which_time_this_is_and_what_the_last_ones_found() {
    let stage = Stage::quick(&[]).await;
    let first = stage.diagnosed().await;
    let mut alert = stage.world.alert.clone();
    for time in ["2nd", "3rd"] {
        stage.world.pagerduty.resolve(&alert, None);
        stage.hears("incident.resolved", &alert).await;
        alert = stage.world.pagerduty.open(Opening::new(ALERT, Setup::REGISTRY)).id;
        assert_eq!(stage.hears("incident.triggered", &alert).await, "accepted");
        stage.front.end_of(&alert).await;
        let note = stage.told(&alert, "\nrun ").await;
        assert!(note.lines().next().is_some_and(|line| line.contains(&format!("{time} time in an hour"))), "{note}");
        let found =
            format!("\nFLAPPING: the {time} alert of this region in an hour\nFound before, the same as now:\n- ");
        assert!(note.contains(&found) && note.contains(", another alert, http"), "{note}");
        assert!(note.contains(first["id"].as_str().expect("an id")), "it links what was found before: {note}");
    }
}

#[tokio::test]
async fn a_rerun_while_a_run_has_not_yet_parked_has_it_diagnosed_at_once() {
    for by_note in [false, true] {
        let stage = Stage::quick(&[("SUPPRESSION_RECHECK", "1m"), ("SUPPRESSION_MAX", "1h")]).await;
        stage.world.pagerduty.open(Opening::new(PUBLIC, Setup::REGISTRY));
        // Its first look hangs for a moment.
        stage.world.pagerduty.fail(Endpoint::Incidents, Fault::Status(503), u32::MAX);
        stage.alert("incident.triggered").await.is(202);
        stage.in_state("running").await;
        if by_note {
            stage.says(&stage.world.alert, "/rerun").await;
            stage.told(&stage.world.alert, "Already diagnosing prod-us-south").await;
        } else {
            stage.front.post("/rerun", &stage.this_alert()).await.is_problem(409);
        }
        stage.world.pagerduty.mend();
        let run = stage.front.end_of(&stage.world.alert).await;
        assert_eq!(run["state"], "done", "{run:#}");
        assert_eq!(stage.front.runs_of(&stage.world.alert).await.len(), 1);
    }
}

/// lifecycle.md#commands: `/hold` holds automatic pages until `/escalate`.
#[tokio::test]
async fn hold_stops_the_page_until_escalate_and_the_run_says_who_said_it() {
    let stage = building(&[AUTO]).await;
    stage.says(&stage.world.alert, "/HOLD.").await;
    stage.told(&stage.world.alert, "Automatic paging is on hold for prod-us-south").await;
    stage.world.jenkins.let_builds_end();
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(run["escalation"]["state"], "held", "{run:#}");
    assert!(run["escalation"]["reason"].as_str().is_some_and(|r| r.contains("said /hold")), "{run:#}");
    let note = stage.note_of(&run).content;
    let third = note.lines().nth(2).unwrap_or_default();
    assert!(
        third.starts_with("NOBODY WAS PAGED. The automatic page to Cloud Service Endpoint is held: ")
            && third.ends_with(" said /hold; /escalate lifts it."),
        "{note}"
    );
    assert!(stage.world.pagerduty.pages().is_empty());
    stage.says(&stage.world.alert, "/escalate").await;
    until("the page", async || (stage.world.pagerduty.pages().len() == 1).then_some(())).await;
}

#[tokio::test]
async fn escalate_before_a_diagnosis_pages_at_once_and_says_who_asked() {
    let stage = Stage::slow(&[]).await;
    stage.alert("incident.triggered").await.is(202);
    stage.in_state("running").await;
    stage.says(&stage.world.alert, "/escalate").await;
    let answer = stage.told(&stage.world.alert, "Paged Cloud Service Endpoint for prod-us-south").await;
    assert!(answer.contains("/escalate by Earline"), "{answer}");
    let run = stage.in_state("running").await;
    assert_eq!((&run["escalation"]["state"], &run["diagnosis"]), (&json!("paged"), &Value::Null), "{run:#}");
    assert_eq!(stage.world.pagerduty.pages().len(), 1);
}

/// lifecycle.md#commands: nor is a note of our own, an event without an agent, or a note on an incident without a run.
#[tokio::test]
async fn what_is_no_persons_command_is_none() {
    let stage = Stage::quick(&[]).await;
    let run = stage.diagnosed().await;
    let pagerduty = &stage.world.pagerduty;
    let note = pagerduty.annotate(&stage.world.alert, Setup::ENGINEER, "/rerun").expect("a note");
    let mut nobody: Value =
        serde_json::from_str(&pagerduty.annotated_body(&stage.world.alert, &note.id)).expect("a body");
    nobody["event"]["agent"] = Value::Null;
    assert_eq!(stage.front.signed(&nobody.to_string()).await.is(202).word(), "ignored");
    let ours = stage.note_of(&run);
    let body = pagerduty.annotated_body(&stage.world.alert, &ours.id);
    assert_eq!(stage.front.signed(&body).await.is(202).word(), "ignored");
    let elsewhere = pagerduty.open(Opening::new("Disk full", Setup::REGISTRY)).id;
    let note = pagerduty.annotate(&elsewhere, Setup::ENGINEER, "/rerun").expect("a note");
    let body = pagerduty.annotated_body(&elsewhere, &note.id);
    assert_eq!(stage.front.signed(&body).await.is(202).word(), "ignored", "it has no run");
    // What is one is answered after them: they are not.
    stage.says(&stage.world.alert, "/help").await;
    let list = stage.told(&stage.world.alert, "No such command").await;
    assert!(["/rerun", "/escalate", "/hold", "/status"].iter().all(|word| list.contains(word)), "{list}");
    assert_eq!(stage.front.runs_of(&stage.world.alert).await.len(), 1);
}

#[tokio::test]
async fn a_suppressed_run_is_woken_by_the_webhook_of_the_page_that_closed() {
    let waits = [("SUPPRESSION_RECHECK", "1h"), ("SUPPRESSION_MAX", "24h"), ("SUPPRESSION_SETTLE", "100ms")];
    let stage = Stage::quick(&waits).await;
    let public = stage.world.pagerduty.open(Opening::new(PUBLIC, Setup::REGISTRY)).id;
    stage.alert("incident.triggered").await.is(202);
    stage.in_state("suppressed").await;
    stage.world.pagerduty.resolve(&public, None);
    assert_eq!(stage.hears("incident.resolved", &public).await, "accepted");
    assert_eq!(stage.front.end_of(&stage.world.alert).await["state"], "done");
}

#[tokio::test]
async fn after_suppression_max_it_is_diagnosed_though_the_page_is_open() {
    let waits = [AUTO, ("SUPPRESSION_RECHECK", "100ms"), ("SUPPRESSION_MAX", "500ms")];
    let stage = Stage::quick(&waits).await;
    stage.world.pagerduty.open(Opening::new(PUBLIC, Setup::REGISTRY));
    stage.alert("incident.triggered").await.is(202);
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("held")), "{run:#}");
    let note = stage.note_of(&run).content;
    for words in [
        "\nDo now: deal with \"All Public endpoints down in prod-us-south\" first, ",
        " for 1 related page. Some of these are still open.\n- All Public endpoints down in prod-us-south\n",
    ] {
        assert!(note.contains(words), "{words:?}: {note}");
    }
}

#[tokio::test]
async fn where_pagerduty_cannot_be_asked_for_the_alert_the_webhooks_word_counts() {
    let stage = Stage::quick(&[]).await;
    for endpoint in [Endpoint::Incidents, Endpoint::Incident] {
        stage.world.pagerduty.fail(endpoint, Fault::Status(403), u32::MAX);
    }
    stage.alert("incident.triggered").await.is(202);
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(run["state"], "done", "{run:#}");
    let step = run["steps"].as_array().expect("steps").iter().find(|step| step["name"] == "confirm_alert");
    assert!(step.is_some_and(|step| step["error"].is_string()), "visible in the API: {run:#}");
    let note = stage.note_of(&run).content;
    for words in [
        "\n1. Look in PagerDuty for \"All Public endpoints down in prod-us-south\" and \"DOWN | Origin - reg-glob-…\": ",
        "\n\nNOT KNOWN\n- Whether related pages are open: ",
        "- PagerDuty did not show the alert itself",
    ] {
        assert!(note.contains(words), "{words:?}: {note}");
    }
}

#[tokio::test]
async fn jenkins_and_clusters_are_asked_at_once_and_again_beside_a_re_run() {
    // Each lasts far longer than it takes to begin the other question.
    let builds = |asked: &Asked| showing(asked, 0, 1, Duration::from_secs(3));
    let stage = Stage::on(Box::leak(Box::new(Scenario { builds, ..*quick() })), QUICK).await;
    let run = stage.diagnosed().await;
    let at = |name: &str, end: &str| {
        let steps = run["steps"].as_array().expect("steps");
        let step = steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("{name}: {run:#}"));
        step[end].as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time")
    };
    for suffix in ["", "_rerun_1"] {
        let (boxes, clusters) = (format!("read_boxes{suffix}"), format!("check_clusters{suffix}"));
        assert!(at(&clusters, "started_at") < at(&boxes, "finished_at"), "{run:#}");
    }
}

#[tokio::test]
async fn a_person_who_asks_again_gets_a_build_that_began_after_that() {
    let stage = Stage::quick(&[("TRANSIENT_RERUNS", "0")]).await;
    let first = stage.diagnosed().await;
    stage.says(&stage.world.alert, "/rerun").await;
    let again = until("the rerun", async || {
        stage.front.runs_of(&stage.world.alert).await.into_iter().find(|run| run["trigger"] == "note")
    })
    .await;
    let again = stage.front.ended(again["id"].as_str().expect("an id")).await;
    let url = |run: &Value| run["diagnosis"]["readings"][0]["build_url"].clone();
    assert!(url(&first).is_string() && url(&first) != url(&again), "{again:#}");
    assert_eq!(stage.world.jenkins.started().len(), 2);
}

/// lifecycle.md#what-it-never-does: it never acknowledges, reassigns, resolves or merges anybody's incident.
#[tokio::test]
async fn it_changes_nobodys_incident() {
    let stage = Stage::quick(&[AUTO, ("PAGE_ACK_WAIT", "100ms")]).await;
    stage.diagnosed().await;
    for word in ["/hold", "/status", "/escalate", "/help"] {
        stage.says(&stage.world.alert, word).await;
    }
    stage.told(&stage.world.alert, "is paged already").await;
    stage.told(&stage.world.alert, "NOBODY HAS ACKNOWLEDGED").await;
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    stage.alert("incident.resolved").await.is(202);
    stage.told(&stage.world.alert, "TIMELINE").await;
    let asked = stage.world.pagerduty.requests();
    let mut pages = 0;
    for request in asked.iter().filter(|request| request.method != "GET" && !request.path.contains("/notes")) {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/incidents"), "{request:?}");
        pages += 1;
    }
    assert_eq!(pages, 1, "one page, and beside it notes only");
    nothing_else_was_asked(&stage.world);
}

/// The list that every stage is held against at its end.
#[test]
fn what_may_be_asked_of_pagerduty_changes_nobodys_incident() {
    for (method, path) in [
        ("GET", "/incidents"),
        ("GET", "/incidents/Q1/alerts"),
        ("POST", "/incidents"),
        ("POST", "/v2/enqueue"),
        ("POST", "/incidents/Q1/notes"),
        ("PUT", "/incidents/Q1/notes/P1"),
        ("DELETE", "/incidents/Q1/notes/P1"),
    ] {
        assert!(is_allowed(method, path), "{method} {path}");
    }
    for (method, path) in [
        // To acknowledge, resolve, reassign or escalate one, or several at once.
        ("PUT", "/incidents/Q1"),
        ("PUT", "/incidents"),
        ("PUT", "/incidents/Q1/merge"),
        ("POST", "/incidents/Q1/snooze"),
        ("POST", "/incidents/Q1/responder_requests"),
        ("POST", "/incidents/Q1/status_updates"),
        ("PUT", "/incidents/Q1/alerts"),
        ("PUT", "/incidents/Q1/alerts/A1"),
        ("DELETE", "/incidents/Q1"),
        ("POST", "/incidents/Q1/notes/P1"),
        ("PUT", "/services/PSE"),
        ("POST", "/maintenance_windows"),
        ("PUT", "/webhook_subscriptions/S1"),
        ("DELETE", "/webhook_subscriptions/S1"),
        ("PATCH", "/incidents/Q1"),
    ] {
        assert!(!is_allowed(method, path), "{method} {path}");
    }
}
