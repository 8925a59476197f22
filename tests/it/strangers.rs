//! What real accounts, services and people send must neither blind nor double nor command the service: texts that strict
//! JSON refuses, entries that can't be read, lists that change while they are read, commands of machines.

use serde_json::{Value, json};
use simulators::pagerduty::{Change, Opening, Setup, sign};
use simulators::world::WEBHOOK_SECRET;

use crate::harness::{Stage, until};

const AUTO: (&str, &str) = ("ESCALATION_MODE", "auto");
const ALERT: &str = "All SE endpoints down in prod-us-south";
const PUBLIC: &str = "All Public endpoints down in prod-us-south";

/// The webhook of the alert, with these bytes in place of its service's name.
fn spoilt(stage: &Stage, odd: &[u8]) -> Vec<u8> {
    let body = stage.world.pagerduty.webhook_body("incident.triggered", &stage.world.alert);
    let name = "Containers Registry";
    let at = body.find(name).expect("the service's name");
    [&body.as_bytes()[..at], odd, &body.as_bytes()[at + name.len()..]].concat()
}

async fn sent(stage: &Stage, body: &[u8]) -> String {
    stage.front.webhook(body, Some(&sign(WEBHOOK_SECRET, body))).await.is(202).word().to_owned()
}

#[tokio::test]
async fn a_webhook_that_strict_json_refuses_starts_its_run() {
    for odd in [&br"on call \ud83d"[..], b"caf\xe9", b"a\tb\nc", b"\x00", br"\u0000", br"\x41\u12"] {
        let stage = Stage::quick(&[]).await;
        let body = spoilt(&stage, odd);
        assert_eq!(sent(&stage, &body).await, "accepted", "{}", String::from_utf8_lossy(&body));
        assert_eq!(sent(&stage, &body).await, "duplicate");
        let run = stage.front.end_of(&stage.world.alert).await;
        assert_eq!((&run["state"], &run["incident"]["title"]), (&json!("done"), &json!(ALERT)));
        stage.note_of(&run);
        // What is signed is what was sent, not what is read of it.
        let read = String::from_utf8_lossy(&body).into_owned();
        if read.as_bytes() != body {
            stage.front.webhook(read.as_bytes(), Some(&sign(WEBHOOK_SECRET, &body))).await.is_problem(403);
        }
    }
}

#[tokio::test]
async fn odd_texts_all_over_the_account_cost_neither_note_nor_page_nor_the_look_for_lost_alerts() {
    for odd in [&br"\ud83d"[..], b"caf\xe9 \x00", br"\u0000"] {
        let stage = Stage::quick(&[AUTO, ("RECONCILE_INTERVAL", "400ms")]).await;
        let account = &stage.world.pagerduty;
        account.spell("ODD", odd);
        account.open(Opening::new("disk full ODD", Setup::REGISTRY));
        account.open(Opening::new("something ODD", Setup::SERVICE_ENDPOINT));
        account.annotate(&stage.world.alert, Setup::ENGINEER, "I see ODD things").expect("a note");
        account.add_user(simulators::pagerduty::User {
            id: "PODD".into(),
            name: "ODD".into(),
            email: "odd@example.com".into(),
        });
        // No webhook: it is found in the list.
        let run = until("a run", async || stage.front.runs_of(&stage.world.alert).await.into_iter().next()).await;
        assert_eq!(run["trigger"], "reconcile");
        let run = stage.front.end_of(&stage.world.alert).await;
        assert_eq!(
            (&run["state"], &run["escalation"]["state"]),
            (&json!("done"), &json!("paged")),
            "{}",
            run["escalation"]
        );
        stage.note_of(&run);
        assert_eq!(account.pages().len(), 1);
        // Who acknowledges it has an odd name too.
        let page = account.pages()[0].id.clone();
        account.acknowledge(&page, "PODD");
        account.resolve(&stage.world.alert, None);
        until("the alert's end to be told", async || {
            stage.notes().iter().any(|note| note.content.contains("TIMELINE")).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn an_open_incident_that_cannot_be_read_is_left_out_and_said_and_the_rest_counts() {
    let stage = Stage::quick(&[AUTO]).await;
    let account = &stage.world.pagerduty;
    account.spell("\"title\":\"LEFT OUT\"", b"\"title\":7");
    let odd = account.open(Opening::new("LEFT OUT", Setup::REGISTRY)).id;
    let run = stage.diagnosed().await;
    assert_eq!(run["escalation"]["state"], "paged", "{}", run["escalation"]);
    let note = stage.note_of(&run).content;
    let line = note.lines().find(|line| line.contains("can't be read")).unwrap_or_else(|| panic!("{note}"));
    assert!(line.contains("1 open incident in PagerDuty can't be read") && line.contains(&odd), "{line}");
}

#[tokio::test]
async fn an_incident_that_cannot_be_read_and_may_be_a_related_page_holds_the_page() {
    let stage = Stage::quick(&[AUTO]).await;
    let account = &stage.world.pagerduty;
    let page = account.open(Opening::new(PUBLIC, Setup::REGISTRY)).id;
    account.spell(&format!("\"id\":\"{page}\""), b"\"id\":7");
    let run = stage.diagnosed().await;
    assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("held")), "{}", run["escalation"]);
    assert!(run["escalation"]["reason"].as_str().is_some_and(|r| r.contains(PUBLIC)), "{}", run["escalation"]);
    assert!(account.pages().is_empty());
}

#[tokio::test]
async fn what_cannot_be_read_beside_the_escalation_service_keeps_nobody_from_being_paged() {
    let stage = Stage::quick(&[AUTO]).await;
    let account = &stage.world.pagerduty;
    account.spell("\"services\":[", b"\"services\":[null,7,{\"id\":7},");
    let run = stage.diagnosed().await;
    assert_eq!(run["escalation"]["state"], "paged", "{}", run["escalation"]);
    assert_eq!(account.pages().len(), 1);
}

#[tokio::test]
async fn our_own_page_that_cannot_be_read_is_not_opened_twice() {
    let stage = Stage::quick(&[AUTO]).await;
    let account = &stage.world.pagerduty;
    let mut ours = Opening::new("prod-us-south", Setup::SERVICE_ENDPOINT);
    ours.incident_key = Some(format!("se-responder/{}", stage.world.alert));
    let page = account.open(ours).id;
    // Closed, so that PagerDuty itself would let another be opened.
    account.resolve(&page, None);
    account.spell(&format!("\"id\":\"{page}\""), b"\"id\":7");
    stage.alert("incident.triggered").await.is(202);
    let asked = || account.requests().iter().filter(|r| r.query.contains("incident_key=")).count();
    until("the key to be looked up twice", async || (asked() >= 2).then_some(())).await;
    assert!(account.pages().is_empty());
    account.spell("\"id\":7", format!("\"id\":\"{page}\"").as_bytes());
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(run["escalation"]["page"]["id"], page, "{}", run["escalation"]);
    assert!(account.pages().is_empty(), "it is the page");
}

#[tokio::test]
async fn a_page_of_another_alert_that_cannot_be_read_is_not_doubled() {
    let stage = Stage::quick(&[AUTO]).await;
    let account = &stage.world.pagerduty;
    let page = account.open(Opening::new("SE down in prod-us-south", Setup::SERVICE_ENDPOINT)).id;
    account.spell(&format!("\"id\":\"{page}\""), b"\"id\":7");
    stage.alert("incident.triggered").await.is(202);
    // Each try begins with that.
    let asked = || account.requests().iter().filter(|r| r.query.contains("incident_key=")).count();
    until("the page to be tried twice", async || (asked() >= 2).then_some(())).await;
    assert!(account.pages().is_empty());
    account.spell("\"id\":7", format!("\"id\":\"{page}\"").as_bytes());
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!((&run["escalation"]["state"], &run["escalation"]["page"]["id"]), (&json!("paged"), &json!(page)));
    assert!(account.pages().is_empty(), "it is joined");
}

/// Opens this many incidents on a service; their ids.
fn crowd(stage: &Stage, count: usize, service: &str) -> Vec<String> {
    (0..count).map(|n| stage.world.pagerduty.open(Opening::new(&format!("other {n}"), service)).id).collect()
}

fn shrinking(ids: &[String]) -> impl Iterator<Item = Change> {
    ids.iter().cloned().map(Change::Resolve)
}

#[tokio::test]
async fn a_list_that_shrinks_while_it_is_read_shows_every_related_page() {
    for position in [0, 98, 99, 100, 101, 198, 249, 349] {
        let stage = Stage::quick(&[]).await;
        let before = crowd(&stage, position, Setup::REGISTRY);
        let page = stage.world.pagerduty.open(Opening::new(PUBLIC, Setup::REGISTRY)).id;
        let after = crowd(&stage, 349 - position, Setup::REGISTRY);
        stage.world.pagerduty.change_while_listed(3, shrinking(&[before, after].concat()));
        stage.alert("incident.triggered").await.is(202);
        let run = until("suppression", async || {
            stage.front.runs_of(&stage.world.alert).await.into_iter().find(|run| run["state"] == "suppressed")
        })
        .await;
        assert_eq!(run["related"][0]["id"], page, "{position}");
    }
}

#[tokio::test]
async fn a_list_that_shrinks_while_it_is_read_holds_no_page() {
    for every in [1, 3] {
        let stage = Stage::quick(&[AUTO]).await;
        let others = crowd(&stage, 350, Setup::REGISTRY);
        stage.world.pagerduty.change_while_listed(every, shrinking(&others));
        let run = stage.diagnosed().await;
        assert_eq!(run["escalation"]["state"], "paged", "{}", run["escalation"]);
        assert!(run["diagnosis"].is_object() && stage.world.pagerduty.changes_to_come() < 350);
    }
}

#[tokio::test]
async fn the_page_of_another_alert_is_joined_wherever_it_stands_in_a_list_that_shrinks() {
    for position in [0, 99, 100, 249] {
        let stage = Stage::quick(&[AUTO]).await;
        let account = &stage.world.pagerduty;
        let before = crowd(&stage, position, Setup::SERVICE_ENDPOINT);
        let page = account.open(Opening::new("SE down in prod-us-south", Setup::SERVICE_ENDPOINT)).id;
        let after = crowd(&stage, 349 - position, Setup::SERVICE_ENDPOINT);
        account.change_while_listed(1, shrinking(&[before, after].concat()));
        let run = stage.diagnosed().await;
        assert_eq!(run["escalation"]["page"]["id"], page, "{position}: {}", run["escalation"]);
        assert!(account.pages().is_empty(), "{position}: joined, not opened");
    }
}

/// lifecycle.md#commands: what a service, an integration, a workflow or an API key wrote is never one.
#[tokio::test]
async fn a_command_that_a_machine_wrote_is_not_obeyed() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
    stage.diagnosed().await;
    let account = &stage.world.pagerduty;
    let notes = stage.notes().len();
    let note = account.annotate(&stage.world.alert, Setup::ENGINEER, "/escalate").expect("a note");
    for (n, agent) in [
        json!({"id": "PINT1", "type": "inbound_integration_reference", "summary": "ticket sync"}),
        json!({"id": "PSVC1", "type": "service_reference", "summary": "Containers Registry"}),
        json!({"id": "PWRK1", "type": "workflow_reference", "summary": "on trigger"}),
        json!({"id": "PKEY1", "type": "api_key_reference", "summary": "a key"}),
        json!({"id": Setup::ENGINEER, "summary": "of no type"}),
        json!({"type": "user_reference", "summary": "of no id"}),
        Value::Null,
    ]
    .into_iter()
    .enumerate()
    {
        let body = account.annotated_body(&stage.world.alert, &note.id);
        let mut event: Value = serde_json::from_str(&body).expect("a body");
        event["event"]["agent"] = agent.clone();
        assert_eq!(stage.front.signed(&event.to_string()).await.is(202).word(), "ignored", "{n}: {agent}");
    }
    // A person's is, after all of them.
    stage.front.signed(&account.annotated_body(&stage.world.alert, &note.id)).await.is(202);
    until("the page", async || (account.pages().len() == 1).then_some(())).await;
    until("the answer", async || (stage.notes().len() >= notes + 2).then_some(())).await;
}
