//! Told elsewhere: both Slack workspaces and GHE, each message exactly once, and never in the way of a note or a page. told.md.

use serde_json::{Value, json};
use simulators::github::Fault as GhFault;
use simulators::pagerduty::{Opening, Setup};
use simulators::scenario::Scenario;
use simulators::slack::{Fault, Message, REGISTRY, SERVICE_ENDPOINT, Workspace};
use std::time::Duration;

use crate::harness::{QUICK, Stage, quick, showing, until};
use crate::metrics::sum;
use crate::process::run;

const AUTO: (&str, &str) = ("ESCALATION_MODE", "auto");
const SUGGEST: (&str, &str) = ("ESCALATION_MODE", "suggest");
const HOUR: i64 = 3600;

/// An alert that is Service Endpoint's to solve, and Slack and GHE are told.
fn told_too() -> &'static Scenario {
    Box::leak(Box::new(Scenario { elsewhere: true, ..*quick() }))
}

async fn stage(settings: &[(&str, &str)]) -> Stage {
    Stage::on(told_too(), &[QUICK, settings].concat()).await
}

/// What stands in a workspace, once this holds of it.
async fn stand(stage: &Stage, workspace: Workspace, what: &str, holds: impl Fn(&[Message]) -> bool) -> Vec<Message> {
    until(what, async || {
        let messages = stage.world.slack.messages_in(workspace);
        holds(&messages).then_some(messages)
    })
    .await
}

fn roots(messages: &[Message]) -> Vec<&Message> {
    messages.iter().filter(|m| m.kind() == "root").collect()
}

/// Registry's thread, once it says all that was said on the alert, and its root these words.
async fn thread(stage: &Stage, words: &str) -> Vec<Message> {
    let notes = || stage.notes().into_iter().filter(|note| note.user_id == Setup::RESPONDER).count();
    let what = format!("the thread, with {words:?}");
    let messages = stand(stage, REGISTRY, &what, |messages| {
        messages.len() == notes() && roots(messages).iter().any(|root| root.text.contains(words))
    });
    let messages = messages.await;
    is_a_thread(&messages);
    messages
}

/// One root, all others under it, each with a name of its own.
#[track_caller]
fn is_a_thread(messages: &[Message]) {
    let root = roots(messages);
    assert_eq!(root.len(), 1, "{messages:#?}");
    assert!(root[0].thread.is_none(), "{messages:#?}");
    let mut kinds: Vec<&str> = messages.iter().map(Message::kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), messages.len(), "each has a name of its own: {messages:#?}");
    for message in messages {
        assert_eq!(message.alert(), root[0].alert(), "{message:#?}");
        assert!(message.kind() == "root" || message.thread.as_ref() == Some(&root[0].ts), "{message:#?}");
    }
}

async fn resolve(stage: &Stage) {
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    assert_eq!(stage.alert("incident.resolved").await.is(202).word(), "accepted");
}

fn link(run: &Value) -> String {
    format!("/runs/{}?key=", run["id"].as_str().expect("an id"))
}

/// Contract 9: root with the first note, a reply for all that is said later, the root edited to the last state.
#[tokio::test]
async fn registrys_channel_reads_the_alert_in_one_thread_whose_root_says_how_it_stands() {
    let stage = stage(&[AUTO]).await;
    let run = stage.diagnosed().await;
    let messages = thread(&stage, "not acknowledged yet").await;
    let note = stage.note_of(&run).content;
    let same = |messages: &[Message]| messages.iter().any(|m| m.thread.is_some() && m.text.contains("\nPaged"));
    let messages = if same(&messages) { messages } else { stand(&stage, REGISTRY, "the reply to say so", same).await };
    let (root, replies) = messages.split_first().expect("messages");
    assert_eq!(root.kind(), "root", "it is the first");
    let first = root.before.first().unwrap_or(&root.text);
    assert!(first.starts_with("*Still diagnosing"), "with the first note: {first}");
    assert!(root.text.contains(note.lines().nth(1).expect("a line")), "{}", root.text);
    let reply = replies.iter().find(|reply| reply.text.contains("SERVICE ENDPOINT")).expect("the diagnosis");
    assert!(reply.text.contains("\nWhy: ") && reply.text.contains(&link(&run)), "{}", reply.text);
    for line in note.lines().take(3) {
        assert!(reply.text.contains(line), "{line} in {}", reply.text);
    }
    let page = &stage.world.pagerduty.pages()[0];
    stage.world.pagerduty.acknowledge(&page.id, Setup::ENGINEER);
    thread(&stage, "acknowledged by Earline Greenholt").await;
    resolve(&stage).await;
    let messages = thread(&stage, "prod-us-south: resolved").await;
    let root = roots(&messages)[0];
    for text in root.before.iter().chain([&root.text]) {
        assert!(text.contains("prod-us-south") && text.contains("/runs/"), "{text}");
    }
    for message in stage.world.slack.messages() {
        assert_eq!((&message.posted["unfurl_links"], &message.posted["unfurl_media"]), (&json!(false), &json!(false)));
        let block = message.blocks[0]["text"]["text"].as_str().expect("a block");
        assert!(block.chars().count() < 3000 && block == message.text, "{block}");
        assert_eq!(message.metadata["event_type"], "se_responder");
    }
}

#[tokio::test]
async fn a_suppressed_alert_is_told_of_with_its_first_note() {
    let stage = stage(&[AUTO, ("SUPPRESSION_MAX", "1h"), ("SUPPRESSION_SETTLE", "1ms")]).await;
    let public = Opening::new("All Public endpoints down in prod-us-south", Setup::REGISTRY);
    let public = stage.world.pagerduty.open(public).id;
    stage.alert("incident.triggered").await.is(202);
    let messages = stand(&stage, REGISTRY, "the root", |messages| !messages.is_empty()).await;
    assert!(messages[0].text.contains("All Public endpoints down"), "{}", messages[0].text);
    stage.world.pagerduty.resolve(&public, None);
    stage.front.end_of(&stage.world.alert).await;
    thread(&stage, "SERVICE ENDPOINT").await;
}

/// Contract 9: "one message a page, only once it is `paged`: region, Magic Box IDs, the page's link".
#[tokio::test]
async fn the_service_endpoint_team_is_told_of_a_page_once_it_is_paged() {
    let stage = stage(&[SUGGEST]).await;
    let run = stage.diagnosed().await;
    thread(&stage, "SERVICE ENDPOINT").await;
    assert!(stage.world.slack.messages_in(SERVICE_ENDPOINT).is_empty(), "nobody is paged");
    stage.front.post("/escalate", &stage.this_alert()).await.is(202);
    let messages = stand(&stage, SERVICE_ENDPOINT, "the page's message", |messages| !messages.is_empty()).await;
    let page = &stage.world.pagerduty.pages()[0];
    let message = &messages[0];
    assert_eq!((message.kind(), message.alert()), ("se-page", stage.world.alert.as_str()));
    assert!(
        message.text.contains("prod-us-south") && message.text.contains(&format!("/incidents/{}>", page.id)),
        "{}",
        message.text
    );
    for zone in run["diagnosis"]["zones"].as_array().expect("zones") {
        let id = zone["boxes"][0]["magic_box_id"].as_str().expect("an id");
        assert!(message.text.contains(id), "{id} in {}", message.text);
    }
}

#[tokio::test]
async fn alerts_that_join_a_page_edit_its_message() {
    let stage = stage(&[AUTO]).await;
    stage.diagnosed().await;
    stand(&stage, SERVICE_ENDPOINT, "the page's message", |messages| messages.len() == 1).await;
    let title = "All SE endpoints down in prod-us-south";
    for more in ["and 1 more alert", "and 2 more alerts"] {
        let other = stage.world.pagerduty.open(Opening::new(title, Setup::REGISTRY)).id;
        stage.front.taken(&stage.world.pagerduty.webhook_body("incident.triggered", &other)).await;
        let run = stage.front.end_of(&other).await;
        assert_eq!(run["escalation"]["state"], "paged", "{run:#}");
        let says = |messages: &[Message]| messages.first().is_some_and(|message| message.text.contains(more));
        let messages = stand(&stage, SERVICE_ENDPOINT, more, says).await;
        assert_eq!((messages.len(), messages[0].alert()), (1, stage.world.alert.as_str()), "the first that was paged");
        assert_eq!(stage.world.pagerduty.pages().len(), 1);
    }
    // Each has a thread of its own in Registry's channel.
    stand(&stage, REGISTRY, "three threads", |messages| roots(messages).len() == 3).await;
}

/// Contract 9: "Each exactly once over crashes and lost answers".
#[tokio::test]
async fn each_is_told_once_though_answers_are_lost() {
    let stage = stage(&[AUTO]).await;
    stage.world.slack.fail("chat.postMessage", Fault::LostAnswer, 2);
    stage.world.slack.fail("chat.postMessage", Fault::Garbage, 1);
    stage.world.slack.fail("chat.postMessage", Fault::Lost, 1);
    stage.world.slack.fail("chat.update", Fault::LostAnswer, 2);
    stage.world.slack.fail("conversations.history", Fault::Status(503), 1);
    stage.world.github.fail("POST", GhFault::LostAnswer, 1);
    stage.diagnosed().await;
    resolve(&stage).await;
    thread(&stage, "prod-us-south: resolved").await;
    let messages = stand(&stage, SERVICE_ENDPOINT, "the page's message", |messages| !messages.is_empty()).await;
    assert_eq!(messages.len(), 1);
    until("the issue", async || (!stage.world.github.issues().is_empty()).then_some(())).await;
    // The issue's answer was lost: it is found, and no other is created.
    // Who it is, its issues, its intent; and once more who it is and its issues.
    until("a look for the issue", async || (stage.world.github.requests() >= 5).then_some(())).await;
    assert_eq!(stage.world.github.issues().len(), 1);
}

/// Contract 9: "429 waits as told".
#[tokio::test]
async fn a_429_waits_as_told_and_nothing_is_asked_meanwhile() {
    let stage = stage(&[AUTO]).await;
    stage.world.slack.fail("chat.postMessage", Fault::TooMany(Some(2)), 1);
    stage.world.slack.fail("chat.postMessage", Fault::TooMany(None), 0);
    stage.world.github.fail("GET", GhFault::Limited(1), 1);
    stage.diagnosed().await;
    resolve(&stage).await;
    thread(&stage, "resolved").await;
    until("the issue", async || (stage.world.github.issues().len() == 1).then_some(())).await;
}

/// Contract 9: "`ok:false` that no retry mends ends that message: loud in the log and in `se_responder_told_failed_total`".
#[tokio::test]
async fn what_no_retry_mends_ends_the_message_and_is_counted() {
    for error in ["invalid_auth", "not_in_channel", "channel_not_found", "is_archived"] {
        let stage = stage(&[AUTO]).await;
        let places =
            ["slack-registry", "slack-se", "ghe"].map(|p| format!("se_responder_told_failed_total{{where=\"{p}\"}}"));
        let mut before = Vec::new();
        for place in &places {
            before.push(sum(&stage, place).await);
        }
        stage.world.slack.fail("chat.postMessage", Fault::NotOk(error), u32::MAX);
        stage.world.github.fail("POST", GhFault::Status(410), u32::MAX);
        let run = stage.diagnosed().await;
        assert_eq!(run["escalation"]["state"], "paged", "note and page are as ever");
        resolve(&stage).await;
        for (place, before) in places.iter().zip(before) {
            until(place, async || (sum(&stage, place).await > before).then_some(())).await;
        }
        // It is not tried again, though it would be taken by now.
        stage.world.slack.recover();
        stage.world.github.recover();
        stage.front.post("/rerun", &stage.this_alert()).await;
        assert!(stage.world.slack.messages().is_empty() && stage.world.github.issues().is_empty(), "{error}");
    }
}

/// Contract 9: "Slack and GHE never delay a note or a page; they are tried for 6 h".
#[tokio::test]
async fn away_for_hours_note_and_page_are_as_ever_and_it_is_told_later() {
    let mut stage = stage(&[AUTO]).await;
    stage.world.slack.go_away();
    stage.world.github.go_away();
    let run = stage.diagnosed().await;
    assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("paged")), "{run:#}");
    resolve(&stage).await;
    stage.restart_at(5 * HOUR).await;
    stage.world.slack.recover();
    stage.world.github.recover();
    thread(&stage, "resolved").await;
    stand(&stage, SERVICE_ENDPOINT, "the page's message", |messages| messages.len() == 1).await;
    until("the issue", async || (stage.world.github.issues().len() == 1).then_some(())).await;
}

#[tokio::test]
async fn what_could_not_be_told_within_six_hours_is_given_up_and_counted() {
    let mut stage = stage(&[AUTO]).await;
    stage.world.slack.go_away();
    stage.diagnosed().await;
    let places = ["slack-registry", "slack-se"].map(|p| format!("se_responder_told_failed_total{{where=\"{p}\"}}"));
    let before = [sum(&stage, &places[0]).await, sum(&stage, &places[1]).await];
    stage.restart_at(7 * HOUR).await;
    for (place, before) in places.iter().zip(before) {
        until(place, async || (sum(&stage, place).await > before).then_some(())).await;
    }
    stage.world.slack.recover();
    resolve(&stage).await;
    until("the issue", async || (stage.world.github.issues().len() == 1).then_some(())).await;
    assert!(stage.world.slack.messages().is_empty(), "{:#?}", stage.world.slack.messages());
}

#[tokio::test]
async fn a_slack_that_never_answers_delays_neither_note_nor_page() {
    let stage = stage(&[AUTO]).await;
    stage.world.slack.fail("", Fault::Hang, u32::MAX);
    let run = stage.diagnosed().await;
    assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("paged")), "{run:#}");
    assert!(stage.world.slack.messages().is_empty());
}

#[tokio::test]
async fn started_again_between_intent_and_answer_it_is_told_once() {
    for fault in [Fault::Hang, Fault::LostAnswer] {
        let mut stage = stage(&[AUTO]).await;
        stage.world.slack.fail("chat.postMessage", fault, 1);
        stage.alert("incident.triggered").await.is(202);
        until("the first request", async || (stage.world.slack.requests() > 0).then_some(())).await;
        stage.restart(&[]).await;
        let run = stage.front.end_of(&stage.world.alert).await;
        assert_eq!(run["state"], "done");
        thread(&stage, "Paged Cloud Service Endpoint").await;
        stand(&stage, SERVICE_ENDPOINT, "the page's message", |messages| messages.len() == 1).await;
    }
}

/// Contract 9: "Drills and runs by region are told nowhere".
#[tokio::test]
async fn drills_and_runs_by_region_are_told_nowhere() {
    let stage = stage(&[AUTO, ("PAGERDUTY_SERVICE_IDS", "PREGSTR")]).await;
    let settings = vec![
        ("PAGERDUTY_WEBHOOK_SECRETS".to_owned(), simulators::world::WEBHOOK_SECRET.to_owned()),
        ("LISTEN_ADDR".to_owned(), stage.front.url.trim_start_matches("http://").to_owned()),
    ];
    let sent = run(&["trigger", "--title", "All SE endpoints down in prod-us-south"], &settings, "").await;
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let drill = until("the drill", async || {
        let listed = stage.front.get("/api/runs").await;
        listed["runs"][0]["id"].as_str().map(str::to_owned)
    });
    let drill = drill.await;
    stage.front.ended(&drill).await;
    let started = stage.front.post("/rerun", &json!({"region": "prod-us-south"})).await.is(202).body.clone();
    stage.front.ended(started["run_id"].as_str().expect("an id")).await;
    let listed = stage.front.get("/api/runs").await;
    for run in listed["runs"].as_array().expect("runs") {
        stage.front.ended(run["id"].as_str().expect("an id")).await;
    }
    // A real alert after them is told: whatever was to be told before would stand by now.
    stage.diagnosed().await;
    thread(&stage, "SERVICE ENDPOINT").await;
    assert_eq!(roots(&stage.world.slack.messages_in(REGISTRY)).len(), 1);
    assert!(stage.world.slack.messages().iter().all(|message| message.alert() == stage.world.alert));
}

/// Contract 9 is silent; design: "Merged alerts: the survivor's thread goes on".
#[tokio::test]
async fn after_a_merge_the_survivors_thread_goes_on() {
    let stage = stage(&[SUGGEST]).await;
    stage.diagnosed().await;
    thread(&stage, "SERVICE ENDPOINT").await;
    let title = "All SE endpoints down in prod-us-south";
    let other = stage.world.pagerduty.open(Opening::new(title, Setup::REGISTRY)).id;
    stage.front.taken(&stage.world.pagerduty.webhook_body("incident.triggered", &other)).await;
    stage.front.end_of(&other).await;
    stand(&stage, REGISTRY, "two threads", |messages| roots(messages).len() == 2).await;
    stage.world.pagerduty.merge(&stage.world.alert, &other, None);
    stage.alert("incident.resolved").await.is(202);
    until("the merge", async || {
        let runs = stage.front.runs_of(&stage.world.alert).await;
        (runs.first()?["alert"]["incident_id"] == other.as_str() || runs.len() > 1).then_some(())
    })
    .await;
    let before = stage.world.slack.messages_in(REGISTRY).len();
    until("a rerun", async || {
        (stage.front.post("/rerun", &json!({"incident_id": other})).await.status == 202).then_some(())
    })
    .await;
    stage.front.end_of(&other).await;
    let messages = stand(&stage, REGISTRY, "what is said later", |messages| messages.len() > before).await;
    let root = messages.iter().find(|m| m.kind() == "root" && m.alert() == other).expect("the survivor's root");
    for message in &messages[before..] {
        assert_eq!((message.thread.as_ref(), message.alert()), (Some(&root.ts), other.as_str()), "{message:#?}");
    }
    assert_eq!(roots(&messages).len(), 2, "no third root");
}

/// Contract 9: "`GHE_ISSUES=rca`: after the alert has resolved, one issue … label `se-responder`, body with the marker".
#[tokio::test]
async fn an_alert_that_was_probably_a_cie_has_one_issue_once_it_has_resolved() {
    let stage = stage(&[AUTO]).await;
    let run = stage.diagnosed().await;
    assert_eq!(run["diagnosis"]["class"], "pCIE, probably a CIE");
    thread(&stage, "SERVICE ENDPOINT").await;
    assert!(stage.world.github.issues().is_empty(), "it is not over");
    resolve(&stage).await;
    let issue = until("the issue", async || stage.world.github.issues().pop()).await;
    let marker = format!("<!-- se-responder:rca:{} -->", stage.world.alert);
    assert!(issue.body.contains(&marker) && issue.body.contains("prod-us-south"), "{}", issue.body);
    for part in [
        "| time (UTC) | source | kind | what | who |",
        "| jenkins | reading |",
        "| service | verdict |",
        "- Service Endpoint team paged: 2",
    ] {
        assert!(issue.body.contains(part), "it has the timeline, {part:?}: {}", issue.body);
    }
    assert_eq!((issue.labels, issue.title.contains("prod-us-south")), (vec!["se-responder".to_owned()], true));
    // Opened again and resolved again it is the same alert.
    stage.world.pagerduty.reopen(&stage.world.alert, None);
    stage.alert("incident.reopened").await.is(202);
    until("another run", async || (stage.front.runs_of(&stage.world.alert).await.len() == 2).then_some(())).await;
    stage.front.end_of(&stage.world.alert).await;
    resolve(&stage).await;
    thread(&stage, "prod-us-south: resolved").await;
    assert_eq!(stage.world.github.issues().len(), 1);
}

/// Nothing is ever added to an issue, so it waits until PagerDuty has confirmed the end.
#[tokio::test]
async fn an_alert_that_pagerduty_still_shows_open_has_no_issue_yet() {
    let mut stage = stage(&[AUTO]).await;
    let run = stage.diagnosed().await;
    // A webhook's word alone.
    stage.alert("incident.resolved").await.is(202);
    thread(&stage, "prod-us-south: resolved").await;
    // Whoever tells goes round twice more: what is wanted by now is told by then.
    for said in 1..=2 {
        let note = stage.world.pagerduty.annotate(&stage.world.alert, Setup::ENGINEER, "/status").expect("a note");
        let before = stage.world.slack.messages_in(REGISTRY).len();
        stage.front.signed(&stage.world.pagerduty.annotated_body(&stage.world.alert, &note.id)).await.is(202);
        stand(&stage, REGISTRY, &format!("answer {said}"), |messages| messages.len() > before).await;
    }
    assert_eq!(stage.world.github.issues().len(), 0, "that it is over is not confirmed");
    stage.restart_at(120).await;
    let open = async || {
        let run = stage.front.run(run["id"].as_str()?).await;
        run["alert"]["resolved_at"].is_null().then_some(())
    };
    until("it to be open after all", open).await;
    thread(&stage, "not acknowledged yet").await;
    assert_eq!(stage.world.github.issues().len(), 0, "it is not over");
    resolve(&stage).await;
    until("the issue", async || (stage.world.github.issues().len() == 1).then_some(())).await;
}

#[tokio::test]
async fn where_nothing_was_broken_there_is_no_issue() {
    let builds = |asked: &_| showing(asked, 1, 1, Duration::from_millis(100));
    let scenario = Box::leak(Box::new(Scenario { builds, elsewhere: true, ..*quick() }));
    let stage = Stage::on(scenario, QUICK).await;
    let run = stage.diagnosed().await;
    assert_eq!(run["diagnosis"]["class"], "pCIE");
    resolve(&stage).await;
    thread(&stage, "prod-us-south: resolved").await;
    assert_eq!(stage.world.github.requests(), 0);
}

#[tokio::test]
async fn without_it_configured_nothing_is_asked_and_the_record_says_nothing_of_it() {
    let stage = Stage::quick(&[AUTO]).await;
    let run = stage.diagnosed().await;
    resolve(&stage).await;
    until("its end", async || {
        let run = stage.front.run(run["id"].as_str()?).await;
        (!run["alert"]["resolved_at"].is_null()).then_some(())
    })
    .await;
    assert_eq!((stage.world.slack.requests(), stage.world.github.requests()), (0, 0));
}

/// Contract 9: the tracker of `[links]`, else `GHE_REPO`'s, else the runbook's, "with `title` and `body` filled in (under 8 KB)".
#[tokio::test]
async fn the_notes_tracker_link_opens_a_new_issue_with_title_and_body() {
    let tracker = |note: &str| {
        let line = note.lines().find(|line| line.starts_with("- Issues with the runbook")).expect("a link").to_owned();
        line.split_once(": ").expect("a link").1.to_owned()
    };
    let own = Stage::quick(&[]).await;
    let run = own.diagnosed().await;
    let url = tracker(&own.note_of(&run).content);
    assert!(url.starts_with("https://github.ibm.com/alchemy-registry/registry-build-squad/issues/new?title="), "{url}");
    let parsed = reqwest::Url::parse(&url).expect("a URL");
    let filled = |name: &str| parsed.query_pairs().find(|(n, _)| n == name).expect("filled in").1.into_owned();
    assert!(filled("title").contains("prod-us-south") && filled("body").contains("service_endpoint"), "{url}");
    assert!(filled("body").contains(&link(&run)) && url.len() < 8000 && !url.contains('+'), "{url}");

    let ours = stage(&[]).await;
    let run = ours.diagnosed().await;
    let url = tracker(&ours.note_of(&run).content);
    let base =
        ours.world.github.api_url().replace("/api/v3", "/alchemy-registry/registry-build-squad/issues/new?title=");
    assert!(url.starts_with(&base), "{url} begins with {base}");
}
