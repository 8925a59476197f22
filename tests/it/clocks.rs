//! The machine's clock went back or forth, over a restart or while the service runs: what is due is done, what is young
//! is young, and nothing is forgotten. lifecycle.md#crashes-clocks-replicas.

use std::time::Duration;

use outbound::clock::SystemClock;
use serde_json::json;
use simulators::pagerduty::{Endpoint, Fault, Opening, Setup};
use simulators::scenario::Scenario;
use simulators::world::World;

use crate::harness::{QUICK, Stage, quick, showing, told, until};

const AUTO: (&str, &str) = ("ESCALATION_MODE", "auto");
const PUBLIC: &str = "All Public endpoints down in prod-us-south";

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

async fn on_page(stage: &Stage) {
    until("the page", async || (stage.world.pagerduty.pages().len() == 1).then_some(())).await;
}

/// An answer on the alert that begins so.
async fn answered(stage: &Stage, words: &str) -> String {
    until(words, async || stage.notes().into_iter().map(|n| n.content).find(|n| n.contains(words) && n != words)).await
}

/// A note of a person on the alert, and its webhook, changed in some way.
async fn says(stage: &Stage, word: &str, change: impl FnOnce(String) -> String) {
    let note = stage.world.pagerduty.annotate(&stage.world.alert, Setup::ENGINEER, word).expect("a note");
    let body = change(stage.world.pagerduty.annotated_body(&stage.world.alert, &note.id));
    assert_eq!(stage.front.signed(&body).await.is(202).word(), "accepted");
}

#[tokio::test]
async fn an_escalation_that_was_accepted_pages_though_the_clock_went_back() {
    for back in [-20 * MINUTE, -2 * HOUR, -DAY] {
        let mut stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
        stage.diagnosed().await;
        stage.world.pagerduty.fail(Endpoint::Services, Fault::Status(503), u32::MAX);
        stage.front.post("/escalate", &stage.this_alert()).await.is(202);
        until("a try of the page", async || {
            let asked = stage.world.pagerduty.requests();
            asked.iter().any(|request| request.path.contains("/services")).then_some(())
        })
        .await;
        stage.restart_at(back).await;
        stage.world.pagerduty.mend();
        on_page(&stage).await;
    }
}

#[tokio::test]
async fn a_suppressed_run_goes_on_though_the_clock_went_back() {
    for (back, restarted) in [(-20 * MINUTE, true), (-2 * HOUR, true), (-2 * HOUR, false)] {
        let waits = [("SUPPRESSION_RECHECK", "200ms"), ("SUPPRESSION_SETTLE", "300ms"), ("SUPPRESSION_MAX", "1h")];
        let mut stage = Stage::quick(&[&waits[..], &[AUTO]].concat()).await;
        let public = stage.world.pagerduty.open(Opening::new(PUBLIC, Setup::REGISTRY)).id;
        stage.alert("incident.triggered").await.is(202);
        until("the run to be parked", async || {
            (stage.front.runs_of(&stage.world.alert).await[0]["state"] == "suppressed").then_some(())
        })
        .await;
        if restarted {
            stage.restart_at(back).await;
        } else {
            stage.set_clock(back);
        }
        // Nothing but its looks tells it.
        stage.world.pagerduty.resolve(&public, None);
        let run = stage.front.end_of(&stage.world.alert).await;
        assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("paged")), "{run:#}");
    }
}

#[tokio::test]
async fn a_suppressed_run_is_diagnosed_after_its_longest_wait_though_the_clock_went_back() {
    let waits = [("SUPPRESSION_RECHECK", "200ms"), ("SUPPRESSION_MAX", "3s")];
    let mut stage = Stage::quick(&waits).await;
    stage.world.pagerduty.open(Opening::new(PUBLIC, Setup::REGISTRY));
    stage.alert("incident.triggered").await.is(202);
    until("the short note", async || (!stage.notes().is_empty()).then_some(())).await;
    stage.restart_at(-2 * HOUR).await;
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(run["state"], "done", "{run:#}");
}

#[tokio::test]
async fn a_run_between_two_readings_goes_on_though_the_clock_went_back_or_forth() {
    for ahead in [-20 * MINUTE, -2 * HOUR, 16 * MINUTE] {
        let mut stage = Stage::quick(&[AUTO, ("TRANSIENT_WAIT", "2s")]).await;
        stage.alert("incident.triggered").await.is(202);
        // The early word tells of the first reading.
        until("the early word", async || (!stage.notes().is_empty()).then_some(())).await;
        stage.restart_at(ahead).await;
        let run = stage.front.end_of(&stage.world.alert).await;
        told(&stage.front, &stage.world, &run).await;
        assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("paged")), "{run:#}");
        stage.note_of(&run);
        assert_eq!(stage.world.pagerduty.pages().len(), 1);
        // What was read before a clock that went forth is old by now, and read again.
        if ahead < 0 {
            assert_eq!(stage.world.jenkins.started().len(), 2, "no build twice: {:?}", stage.world.jenkins.started());
        }
    }
}

#[tokio::test]
async fn a_running_job_is_picked_up_though_the_clock_went_back_or_forth() {
    for ahead in [-20 * MINUTE, -2 * HOUR, 2 * HOUR] {
        let scenario = Scenario { builds: |asked| showing(asked, 1, 0, Duration::from_millis(100)), ..*quick() };
        let mut stage = Stage::on(Box::leak(Box::new(scenario)), QUICK).await;
        stage.world.jenkins.hold_builds(1);
        stage.alert("incident.triggered").await.is(202);
        until("the build", async || (!stage.world.jenkins.started().is_empty()).then_some(())).await;
        stage.restart_at(ahead).await;
        stage.world.jenkins.let_builds_end();
        let run = stage.front.end_of(&stage.world.alert).await;
        assert_eq!((&run["state"], stage.world.jenkins.started().len()), (&json!("done"), 1), "{run:#}");
    }
}

#[tokio::test]
async fn what_follows_a_diagnosis_goes_on_though_the_clock_went_back() {
    let page_is_watched = async {
        let mut stage = Stage::quick(&[AUTO, ("PAGE_ACK_WAIT", "3s")]).await;
        let run = stage.diagnosed().await;
        let page = run["escalation"]["page"]["id"].as_str().expect("a page").to_owned();
        stage.restart_at(-20 * MINUTE).await;
        answered(&stage, "NOBODY HAS ACKNOWLEDGED THE PAGE").await;
        stage.restart_at(-2 * HOUR).await;
        stage.world.pagerduty.acknowledge(&page, Setup::ENGINEER);
        answered(&stage, "Page acknowledged").await;
    };
    let is_followed_up = async {
        let mut stage = Stage::quick(&[("TRANSIENT_RERUNS", "0"), ("FOLLOW_UP", "2s")]).await;
        stage.diagnosed().await;
        stage.restart_at(-20 * MINUTE).await;
        until("the follow-up", async || (stage.front.runs_of(&stage.world.alert).await.len() > 1).then_some(())).await;
    };
    // At once: both mostly wait.
    tokio::join!(page_is_watched, is_followed_up);
}

#[tokio::test]
async fn runs_that_begin_after_the_clock_went_back_are_the_newest() {
    let mut stage = Stage::quick(&[]).await;
    let mut before = stage.diagnosed().await["id"].as_str().expect("an id").to_owned();
    for back in [-20 * MINUTE, -DAY, 0] {
        stage.restart_at(back).await;
        stage.front.post("/rerun", &stage.this_alert()).await.is(202);
        let newest = stage.front.end_of(&stage.world.alert).await;
        let id = newest["id"].as_str().expect("an id").to_owned();
        assert!(id > before && newest["trigger"] == "rerun", "{id} after {before}");
        stage.note_of(&newest);
        before = id;
    }
}

/// lifecycle.md#commands: one that is older than 15 minutes is not obeyed, whatever our clock says.
#[tokio::test]
async fn a_command_is_old_by_the_clock_of_those_who_told_of_it() {
    let older = |body: String, minutes: i64| {
        let mut body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let at: jiff::Timestamp = body["event"]["occurred_at"].as_str().expect("a time").parse().expect("a time");
        body["event"]["occurred_at"] = json!(at - jiff::SignedDuration::from_mins(minutes));
        body.to_string()
    };
    for ahead in [16 * MINUTE, 2 * HOUR, DAY, -20 * MINUTE, -2 * HOUR] {
        for restarted in [false, true] {
            let mut stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
            stage.diagnosed().await;
            if restarted {
                stage.restart_at(ahead).await;
            } else {
                stage.set_clock(ahead);
            }
            says(&stage, "/escalate", |body| older(body, 16)).await;
            answered(&stage, "more than 15 minutes").await;
            assert!(stage.world.pagerduty.pages().is_empty());
            says(&stage, "/escalate", |body| older(body, 13)).await;
            on_page(&stage).await;
        }
    }
}

#[tokio::test]
async fn a_young_alert_is_paged_for_though_the_clock_is_wrong_by_hours() {
    for ahead in [-8 * HOUR, 8 * HOUR, 2 * DAY] {
        let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
        let stage = Stage::before(world, ahead, &[QUICK, &[AUTO]].concat()).await;
        let run = stage.diagnosed().await;
        assert_eq!(run["escalation"]["state"], "paged", "{}", run["escalation"]);
    }
}

#[tokio::test]
async fn an_old_alert_holds_the_page_though_the_clock_is_wrong_by_hours() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let mut old = Opening::new("All SE endpoints down in prod-us-south", Setup::REGISTRY);
    old.created_at = Some(SystemClock::shared().now() - jiff::SignedDuration::from_hours(7));
    let old = world.pagerduty.open(old).id;
    let stage = Stage::before(world, -2 * HOUR, &[QUICK, &[AUTO, ("RECONCILE_INTERVAL", "200ms")]].concat()).await;
    let run = until("its run", async || stage.front.runs_of(&old).await.into_iter().next()).await;
    let run = stage.front.ended(run["id"].as_str().expect("an id")).await;
    assert_eq!(run["escalation"]["state"], "held", "{}", run["escalation"]);
    assert!(run["escalation"]["reason"].as_str().is_some_and(|why| why.contains("RECONCILE_MAX_AGE")), "{run:#}");
}

#[tokio::test]
async fn a_young_page_is_joined_and_an_old_one_not_though_the_clock_is_wrong() {
    for (ahead, hours, joined) in [(2 * DAY, 1, true), (-2 * DAY, 25, false)] {
        let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
        let mut theirs = Opening::new("SE: prod-us-south rejects", Setup::SERVICE_ENDPOINT);
        theirs.created_at = Some(SystemClock::shared().now() - jiff::SignedDuration::from_hours(hours));
        let theirs = world.pagerduty.open(theirs).id;
        let stage = Stage::before(world, ahead, &[QUICK, &[AUTO]].concat()).await;
        let run = stage.diagnosed().await;
        assert_eq!(run["escalation"]["page"]["id"] == json!(theirs), joined, "{}", run["escalation"]);
    }
}

#[tokio::test]
async fn nothing_is_pruned_because_the_clock_went_forth_by_years() {
    let mut stage = Stage::quick(&[]).await;
    let run = stage.diagnosed().await;
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    stage.alert("incident.resolved").await.is(202);
    // Nothing is left to do for it.
    until("the timeline", async || stage.note_of(&run).content.contains("TIMELINE").then_some(())).await;
    stage.restart_at(2 * 366 * DAY).await;
    // It has asked PagerDuty meanwhile, and pruned what is to be pruned.
    let another =
        stage.world.pagerduty.open(Opening::new("All SE endpoints down in prod-us-south", Setup::REGISTRY)).id;
    stage.front.signed(&stage.world.pagerduty.webhook_body("incident.triggered", &another)).await.is(202);
    stage.front.end_of(&another).await;
    assert_eq!(stage.front.run(run["id"].as_str().expect("an id")).await["state"], "done");
}

#[tokio::test]
async fn people_are_shown_the_time_of_their_clocks_once_a_wrong_one_is_right_again() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let mut stage = Stage::before(world, DAY, &[QUICK, &[AUTO]].concat()).await;
    stage.diagnosed().await;
    stage.restart_at(0).await;
    stage.front.post("/rerun", &stage.this_alert()).await.is(202);
    let run = stage.front.end_of(&stage.world.alert).await;
    let today = SystemClock::shared().now();
    let near = |text: &serde_json::Value| {
        let at: jiff::Timestamp = text.as_str().expect("a time").parse().expect("a time");
        at.duration_since(today).abs() < jiff::SignedDuration::from_mins(5)
    };
    assert!(near(&run["created_at"]) && near(&run["steps"][0]["started_at"]), "{run:#}");
    assert!(near(&run["diagnosis"]["readings"][0]["at"]), "{run:#}");
    let listed = &stage.front.runs_of(&stage.world.alert).await[0];
    assert!(near(&listed["created_at"]) && near(&listed["finished_at"]), "{listed:#}");
    let note = stage.note_of(&run).content;
    let tomorrow = (today + jiff::SignedDuration::from_hours(24)).strftime("%Y-%m-%d ").to_string();
    assert!(!note.contains(&tomorrow), "{note}");
}

#[tokio::test]
async fn a_clock_that_is_set_right_while_the_service_runs_makes_nothing_due_and_people_see_the_right_time() {
    let set_right = async |away: i64| {
        let settings = [("ESCALATION_MODE", "suggest"), ("TRANSIENT_RERUNS", "0"), ("FOLLOW_UP", "30m")];
        let stage = Stage::quick(&settings).await;
        let born: jiff::Timestamp =
            stage.diagnosed().await["created_at"].as_str().expect("a time").parse().expect("a time");
        // People see that the service has noticed; on PostgreSQL they see the server's time.
        let shown = async |ahead: i64| {
            until(&format!("times that are {ahead} s ahead"), async || {
                let shown = &stage.front.runs_of(&stage.world.alert).await[0]["created_at"];
                let shown: jiff::Timestamp = shown.as_str().expect("a time").parse().expect("a time");
                let off = shown.duration_since(born) - jiff::SignedDuration::from_secs(ahead);
                (off.abs() < jiff::SignedDuration::from_mins(5)).then_some(())
            })
            .await;
        };
        stage.set_clock(away);
        let on_server = stage.database().iter().any(|(_, url)| url.starts_with("postgres"));
        shown(if on_server { 0 } else { away }).await;
        stage.set_clock(0);
        shown(0).await;
        // Who takes this up would have taken up the second look before, were it due.
        says(&stage, "/status", |body| body).await;
        until("the answer", async || {
            let notes = stage.notes();
            let asked = notes.iter().position(|note| note.content == "/status").expect("the command");
            (notes.len() > asked + 1).then_some(())
        })
        .await;
        assert_eq!(stage.front.runs_of(&stage.world.alert).await.len(), 1, "{away}");
    };
    tokio::join!(set_right(-2 * HOUR), set_right(2 * HOUR));
}

#[tokio::test]
async fn nobody_is_called_careless_because_the_clock_went_forth() {
    let mut stage = Stage::quick(&[AUTO, ("PAGE_ACK_WAIT", "5m")]).await;
    let run = stage.diagnosed().await;
    let page = run["escalation"]["page"]["id"].as_str().expect("a page").to_owned();
    let looks = |stage: &Stage| {
        let asked = stage.world.pagerduty.requests();
        asked.iter().filter(|r| r.method == "GET" && r.path.ends_with(&format!("/incidents/{page}"))).count()
    };
    // It was read back, and is watched from then on.
    until("a first look", async || (looks(&stage) >= 2).then_some(())).await;
    let before = looks(&stage);
    stage.restart_at(16 * MINUTE).await;
    // One may have been made as it ended.
    until("looks after that", async || (looks(&stage) >= before + 2).then_some(())).await;
    stage.world.pagerduty.acknowledge(&page, Setup::ENGINEER);
    let said = answered(&stage, "Page acknowledged").await;
    let told: Vec<String> = stage.notes().into_iter().map(|note| note.content).collect();
    assert!(!told.iter().any(|note| note.contains("NOBODY HAS ACKNOWLEDGED")), "{told:#?}");
    assert!(!said.contains("16 min"), "{said}");
}

#[tokio::test]
async fn how_long_an_alert_took_is_told_right_though_our_clock_is_behind() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let mut opening = Opening::new("All SE endpoints down in prod-us-south", Setup::REGISTRY);
    opening.created_at = Some(SystemClock::shared().now() - jiff::SignedDuration::from_mins(12));
    let alert = world.pagerduty.open(opening).id;
    let stage = Stage::before(world, -HOUR, &[QUICK, &[AUTO]].concat()).await;
    let told = |event| stage.world.pagerduty.webhook_body(event, &alert);
    stage.front.signed(&told("incident.triggered")).await.is(202);
    let run = stage.front.end_of(&alert).await;
    let id = run["id"].as_str().expect("an id");
    on_page(&stage).await;
    stage.world.pagerduty.resolve(&alert, None);
    stage.front.signed(&told("incident.resolved")).await.is(202);
    let note = until("the timeline", async || {
        let text = stage.front.run(id).await["note"]["text"].as_str().unwrap_or_default().to_owned();
        text.contains("TIMELINE").then_some(text)
    })
    .await;
    assert!(note.starts_with("RESOLVED after 12 min"), "{note}");
    let paged = note.lines().find(|line| line.contains("Cloud Service Endpoint paged")).expect("when it was paged");
    assert!(paged.contains("paged, after 12 min"), "{note}");
    // What is stored of it, and what the view makes of that.
    let over = stage.front.run(id).await["alert"]["resolved_at"].clone();
    let over: jiff::Timestamp = over.as_str().expect("a time").parse().expect("a time");
    assert!(over.duration_since(SystemClock::shared().now()).abs() < jiff::SignedDuration::from_mins(5), "{over}");
    let view = stage.front.get_as(simulators::world::VIEWER_TOKEN, &format!("/runs/{id}")).await;
    let view = view.body.as_str().expect("a view").to_owned();
    assert!(view.contains("RESOLVED after 12 min"), "{view}");
}
