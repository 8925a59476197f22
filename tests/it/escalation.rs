//! Escalation, lifecycle.md#the-page: how a page comes about, what is joined instead, and what is said when it goes
//! wrong.

use jiff::Timestamp;
use serde_json::{Value, json};
use simulators::pagerduty::{Endpoint, Fault, Incident, Opening, Setup};

use crate::harness::{Stage, until};

const AUTO: (&str, &str) = ("ESCALATION_MODE", "auto");

async fn stage(mode: &str) -> Stage {
    Stage::quick(&[("ESCALATION_MODE", mode)]).await
}

fn third_line(note: &str) -> &str {
    note.lines().nth(2).unwrap_or_default()
}

/// lifecycle.md#the-page: `off` suggests nothing.
#[tokio::test]
async fn off_pages_nobody_and_says_so() {
    let stage = stage("off").await;
    let run = stage.diagnosed().await;
    assert_eq!(run["escalation"], json!({"state": "none", "page": null, "reason": null}));
    let note = stage.note_of(&run).content;
    assert!(third_line(&note).starts_with("NOBODY WAS PAGED"), "{note}");
    assert!(stage.world.pagerduty.pages().is_empty());
}

/// lifecycle.md#the-page: `suggest` waits for a person.
#[tokio::test]
async fn suggest_waits_for_a_person_and_tells_the_same_reasons() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest"), ("REGIONS_FILE", "")]).await;
    let run = stage.diagnosed().await;
    assert_eq!(run["escalation"]["state"], "suggested");
    assert!(run["escalation"]["reason"].as_str().is_some_and(|r| r.contains("regions file")), "{}", run["escalation"]);
    let note = stage.note_of(&run).content;
    assert!(
        third_line(&note)
            .starts_with("NOBODY WAS PAGED. The page to Cloud Service Endpoint needs approval. Think first: "),
        "{note}"
    );
    assert!(stage.world.pagerduty.pages().is_empty());
}

#[tokio::test]
async fn what_has_become_of_the_page_is_told_however_long_no_note_is_taken() {
    let stage = stage("auto").await;
    let pagerduty = &stage.world.pagerduty;
    // The page waits until notes fail too.
    pagerduty.fail(Endpoint::EditNote, Fault::Status(403), u32::MAX);
    pagerduty.fail(Endpoint::Services, Fault::Status(503), u32::MAX);
    stage.alert("incident.triggered").await.is(202);
    // The early word, then the diagnosis.
    until("the note", async || (stage.notes().len() == 2).then_some(())).await;
    pagerduty.fail(Endpoint::AddNote, Fault::Status(403), u32::MAX);
    pagerduty.mend_only(Endpoint::Services);
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(run["escalation"]["state"], "paged", "{}", run["escalation"]);
    let note = stage.note_of(&run).content;
    assert!(third_line(&note).starts_with("Nobody was paged yet"), "{note}");
    pagerduty.mend();
    // By an edit; or by a short note, where the edit was refused a moment before.
    let says = |text: &str| text.lines().any(|line| line.starts_with("Paged: "));
    until("it to be told", async || stage.notes().iter().any(|note| says(&note.content)).then_some(())).await;
}

/// lifecycle.md#the-page: `auto` pages, with high urgency and the key of the alert; the run is `done` after that.
#[tokio::test]
async fn auto_opens_one_page_that_says_all_they_need() {
    let stage = stage("auto").await;
    let run = stage.diagnosed().await;
    let page = stage.world.pagerduty.pages().remove(0);
    assert_eq!(run["escalation"]["page"]["id"], page.id);
    assert_eq!(run["escalation"]["reason"], Value::Null);
    assert_eq!((page.service_id.as_str(), page.urgency.as_str()), (Setup::SERVICE_ENDPOINT, "high"));
    assert_eq!(page.incident_key, Some(format!("se-responder/{}", stage.world.alert)));
    assert!(page.title.contains("prod-us-south"), "{}", page.title);
    let body = page.body.expect("a body");
    for zone in run["diagnosis"]["zones"].as_array().expect("zones") {
        let b = &zone["boxes"][0];
        let words = ["magic_box_id", "backend_ip", "frontend"].map(|name| b[name].as_str().expect("text"));
        let line = body.lines().find(|l| words.iter().all(|w| l.contains(w)));
        let line = line.unwrap_or_else(|| panic!("no line for {words:?} in\n{body}"));
        assert!(line.contains(zone["cluster"].as_str().expect("text")) && line.contains("SE=0 upstream=1"), "{line}");
    }
    let build = run["diagnosis"]["readings"][1]["build_url"].as_str().expect("a build");
    for words in ["status check 200", build, run["incident"]["html_url"].as_str().expect("a link")] {
        assert!(body.contains(words), "{words:?} in\n{body}");
    }
    // The diagnosis note came first.
    let asked = stage.world.pagerduty.requests();
    let last_line = format!("\\nrun {}", run["id"].as_str().expect("an id"));
    let noted = asked.iter().position(|r| r.method == "POST" && r.body.contains(&last_line));
    let opened = asked.iter().position(|r| r.method == "POST" && r.path == "/incidents");
    assert!(noted.is_some() && noted < opened, "{noted:?} {opened:?}");
}

/// lifecycle.md#the-page: `auto` pages when the verdict is `service_endpoint`, and only then.
#[tokio::test]
async fn only_service_endpoint_pages() {
    for scenario in ["zones-unhealthy", "client-suspected"] {
        let stage = Stage::of(scenario, &[AUTO]).await;
        let run = stage.diagnosed().await;
        assert_eq!(run["escalation"]["state"], "none", "{scenario}");
        assert!(stage.world.pagerduty.pages().is_empty(), "{scenario}");
    }
}

#[tokio::test]
async fn without_a_re_run_a_transient_stays_one_and_never_pages() {
    let stage = Stage::quick(&[AUTO, ("TRANSIENT_RERUNS", "0")]).await;
    let run = stage.diagnosed().await;
    assert_eq!(run["diagnosis"]["verdict"]["kind"], "transient");
    assert_eq!((&run["escalation"]["state"], stage.world.pagerduty.pages().len()), (&json!("none"), 0));
}

/// Opens an incident on the Service Endpoint team's service before the alert is diagnosed.
fn theirs(stage: &Stage, title: &str, change: impl FnOnce(&mut Opening)) -> Incident {
    let mut opening = Opening::new(title, Setup::SERVICE_ENDPOINT);
    change(&mut opening);
    stage.world.pagerduty.open(opening)
}

#[tokio::test]
async fn an_open_page_of_theirs_is_joined_by_one_note() {
    let stage = stage("auto").await;
    let page = theirs(&stage, "SE: prod-us-south rejects", |_| {});
    let run = stage.diagnosed().await;
    assert_eq!((&run["escalation"]["state"], &run["escalation"]["page"]["id"]), (&json!("paged"), &json!(page.id)));
    assert!(stage.world.pagerduty.pages().is_empty());
    let notes = stage.world.pagerduty.notes_of(&page.id);
    assert_eq!(notes.len(), 1, "{notes:#?}");
    let id = run["diagnosis"]["zones"][2]["boxes"][0]["magic_box_id"].as_str().expect("an id");
    for words in ["prod-us-south", id, run["incident"]["html_url"].as_str().expect("a link")] {
        assert!(notes[0].content.contains(words), "{words:?} in\n{}", notes[0].content);
    }
    // A later run of the same alert adds nothing to it.
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    stage.world.pagerduty.reopen(&stage.world.alert, None);
    stage.alert("incident.reopened").await.is(202);
    let again = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(again["escalation"]["page"]["id"], page.id);
    assert_eq!((stage.world.pagerduty.notes_of(&page.id).len(), stage.world.pagerduty.pages().len()), (1, 0));
}

#[tokio::test]
async fn a_page_for_one_of_the_boxes_is_joined_too() {
    let stage = stage("auto").await;
    let first = stage.front.post("/rerun", &json!({"region": "prod-us-south"})).await;
    let run = stage.front.ended(first.is(202).body["run_id"].as_str().expect("an id")).await;
    let id = run["diagnosis"]["zones"][0]["boxes"][0]["magic_box_id"].as_str().expect("an id").to_owned();
    let page = theirs(&stage, &format!("Magic Box {id} down"), |_| {});
    let run = stage.diagnosed().await;
    assert_eq!(run["escalation"]["page"]["id"], page.id);
}

#[tokio::test]
async fn what_is_not_certainly_about_this_is_not_joined() {
    let stage = stage("auto").await;
    theirs(&stage, "SE: prod-us-south rejects", |o| o.urgency = "low".into());
    theirs(&stage, "SE: prod-us-south2 rejects", |_| {});
    theirs(&stage, "SE: xprod-us-south rejects", |_| {});
    let two_days_ago = Timestamp::UNIX_EPOCH
        + (stage.world.pagerduty.incident(&stage.world.alert).expect("it").created_at
            - jiff::SignedDuration::from_hours(48))
        .duration_since(Timestamp::UNIX_EPOCH);
    theirs(&stage, "SE: prod-us-south rejects", |o| o.created_at = Some(two_days_ago));
    let over = theirs(&stage, "SE: prod-us-south rejects", |_| {});
    stage.world.pagerduty.resolve(&over.id, None);
    stage.world.pagerduty.open(Opening::new("SE: prod-us-south rejects", "PCLDSTG"));
    let run = stage.diagnosed().await;
    let page = stage.world.pagerduty.pages().remove(0);
    assert_eq!(
        (&run["escalation"]["page"]["id"], page.service_id.as_str()),
        (&json!(page.id), Setup::SERVICE_ENDPOINT)
    );
}

/// lifecycle.md#the-page: its key is looked up over all statuses and dates; found, that is the page.
#[tokio::test]
async fn one_page_an_alert_ever_a_closed_one_too() {
    let stage = stage("auto").await;
    let key = format!("se-responder/{}", stage.world.alert);
    let page = theirs(&stage, "an older page", |o| o.incident_key = Some(key));
    stage.world.pagerduty.resolve(&page.id, None);
    let run = stage.diagnosed().await;
    assert_eq!((&run["escalation"]["state"], &run["escalation"]["page"]["id"]), (&json!("paged"), &json!(page.id)));
    assert!(stage.world.pagerduty.pages().is_empty(), "none was opened");
    assert!(run["escalation"]["reason"].as_str().is_some_and(|r| r.contains("resolved")), "{}", run["escalation"]);
}

/// lifecycle.md#the-page: one that nobody is assigned to, or whose service is off, is `paged` with that as its reason.
#[tokio::test]
async fn a_page_that_nobody_may_hear_is_reported_prominently() {
    for (name, change) in [
        ("assigned to nobody", (|s| s.world.pagerduty.set_on_call(Setup::SERVICE_ENDPOINT, None)) as fn(&Stage)),
        ("disabled", |s| s.world.pagerduty.set_service_status(Setup::SERVICE_ENDPOINT, "disabled")),
        ("maintenance", |s| s.world.pagerduty.set_service_status(Setup::SERVICE_ENDPOINT, "maintenance")),
    ] {
        let stage = stage("auto").await;
        change(&stage);
        let run = stage.diagnosed().await;
        assert_eq!(run["escalation"]["state"], "paged", "{name}: {}", run["escalation"]);
        assert!(run["escalation"]["reason"].as_str().is_some_and(|r| r.contains(name)), "{}", run["escalation"]);
        let note = stage.note_of(&run);
        assert!(third_line(&note.content).starts_with("PAGED, BUT MAYBE NOBODY HEARS IT: "), "{}", note.content);
        let (_, loud) = stage.short_notes(&run);
        assert_eq!(loud.len(), 1, "{name}: {loud:#?}");
        assert!(loud[0].content.starts_with("MAYBE NOBODY HEARS THE PAGE for prod-us-south"), "{}", loud[0].content);
        assert!(loud[0].content.contains(name), "{}", loud[0].content);
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_fails_the_page_and_the_run_ends() {
    let stage = Stage::quick(&[AUTO, ("ESCALATION_SERVICE", "Cloud Service Endpoin")]).await;
    let run = stage.diagnosed().await;
    assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("failed")));
    assert!(
        run["escalation"]["reason"].as_str().is_some_and(|r| r.contains("ESCALATION_SERVICE")),
        "{}",
        run["escalation"]
    );
    let note = stage.note_of(&run);
    assert!(third_line(&note.content).starts_with("NOBODY WAS PAGED: it was tried and failed."), "{}", note.content);
    let (_, loud) = stage.short_notes(&run);
    assert!(loud.len() == 1 && loud[0].content.starts_with("NOBODY WAS PAGED for prod-us-south"), "{loud:#?}");
    assert!(stage.world.pagerduty.pages().is_empty());
}

#[tokio::test]
async fn the_service_may_be_named_by_its_id() {
    let stage = Stage::quick(&[AUTO, ("ESCALATION_SERVICE", Setup::SERVICE_ENDPOINT)]).await;
    stage.diagnosed().await;
    assert_eq!(stage.world.pagerduty.pages()[0].service_id, Setup::SERVICE_ENDPOINT);
}

#[tokio::test]
async fn where_notes_cannot_be_edited_a_short_one_tells_of_the_page() {
    for status in [405, 403] {
        let stage = stage("auto").await;
        stage.world.pagerduty.fail(Endpoint::EditNote, Fault::Status(status), 1000);
        stage.alert("incident.triggered").await.is(202);
        let run = stage.front.end_of(&stage.world.alert).await;
        until("a short note", async || (!stage.short_notes(&run).1.is_empty()).then_some(())).await;
        assert_eq!(run["escalation"]["state"], "paged");
        let note = stage.note_of(&run);
        let (_, short) = stage.short_notes(&run);
        assert_eq!(short.len(), 1, "{short:#?}");
        assert!(short[0].content.contains("\nPaged: Cloud Service Endpoint"), "{}", short[0].content);
        // What was written before the page is open must not say that it is, nor that none is wanted.
        assert!(third_line(&note.content).to_lowercase().starts_with("nobody was paged"), "{}", note.content);
    }
}

#[tokio::test]
async fn one_note_and_one_page_however_their_answers_are_lost() {
    // At once: each mostly waits for its next try.
    let faults = [Fault::Reset, Fault::HalfAnswer, Fault::Status(500), Fault::Status(504), Fault::Html];
    let once = faults.map(async |fault| {
        let stage = stage("auto").await;
        stage.world.pagerduty.fail_once_done(Endpoint::AddNote, fault.clone(), 2);
        stage.world.pagerduty.fail_once_done(Endpoint::CreateIncident, fault.clone(), 1);
        let run = stage.diagnosed().await;
        assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("paged")), "{fault}");
        let (before, after) = stage.short_notes(&run);
        assert_eq!((before.len(), after.len(), stage.world.pagerduty.pages().len()), (1, 0, 1), "{fault}");
        assert!(third_line(&stage.note_of(&run).content).starts_with("Paged: "), "{fault}");
    });
    futures::future::join_all(once).await;
}

#[tokio::test]
async fn pagerduty_being_rate_limited_or_away_for_a_while_costs_nothing() {
    let stage = stage("auto").await;
    let pagerduty = &stage.world.pagerduty;
    for endpoint in [Endpoint::AddNote, Endpoint::CreateIncident, Endpoint::Incidents, Endpoint::Services] {
        pagerduty.fail(endpoint, Fault::RateLimited(Some(1)), 1);
        pagerduty.fail(endpoint, Fault::Status(503), 1);
    }
    let run = stage.diagnosed().await;
    assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("paged")), "{run:#}");
    assert_eq!((stage.short_notes(&run).1.len(), pagerduty.pages().len()), (0, 1));
    stage.note_of(&run);
}

#[tokio::test]
async fn with_a_routing_key_the_page_goes_through_the_events_api() {
    let stage = Stage::quick(&[AUTO, ("ESCALATION_ROUTING_KEY", Setup::ROUTING_KEY)]).await;
    stage.world.pagerduty.set_event_delay(std::time::Duration::from_secs(1));
    stage.world.pagerduty.fail_once_done(Endpoint::Enqueue, Fault::Reset, 1);
    let run = stage.diagnosed().await;
    let page = stage.world.pagerduty.pages().remove(0);
    assert_eq!((&run["state"], &run["escalation"]["page"]["id"]), (&json!("done"), &json!(page.id)), "{run:#}");
    assert_eq!(page.alert_keys, [format!("se-responder/{}", stage.world.alert)]);
    assert!(stage.world.pagerduty.requests().iter().all(|r| r.method != "POST" || r.path != "/incidents"));
    assert!(third_line(&stage.note_of(&run).content).starts_with("Paged: "));
    assert_eq!(stage.world.pagerduty.pages().len(), 1);
}

/// lifecycle.md#the-page: it comes when no note could be written for 30 s.
#[tokio::test]
async fn a_note_that_cannot_be_written_does_not_hold_the_page_back() {
    let stage = stage("auto").await;
    stage.world.pagerduty.fail(Endpoint::AddNote, Fault::Status(503), 100_000);
    stage.alert("incident.triggered").await.is(202);
    // Half a minute after the note was first tried.
    until("the page", async || (stage.world.pagerduty.pages().len() == 1).then_some(())).await;
    assert!(stage.notes().is_empty());
    stage.world.pagerduty.mend();
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("paged")));
    until("the note to say so", async || third_line(&stage.note_of(&run).content).starts_with("Paged: ").then_some(()))
        .await;
    assert_eq!(stage.world.pagerduty.pages().len(), 1);
}
