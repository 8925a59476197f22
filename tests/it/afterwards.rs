//! What follows a diagnosis, lifecycle.md#looking-again and #the-page: its page is watched, its end is told, what may
//! change is looked at again.

use outbound::clock::SystemClock;
use serde_json::{Value, json};
use simulators::pagerduty::{Endpoint, Fault, Note, Opening, Setup};
use simulators::world::VIEWER_TOKEN;

use crate::harness::{Stage, until};

const AUTO: (&str, &str) = ("ESCALATION_MODE", "auto");

fn beginning(notes: &[Note], words: &str) -> usize {
    notes.iter().filter(|note| note.content.starts_with(words)).count()
}

/// lifecycle.md#the-page: while the alert is open the page is watched.
#[tokio::test]
async fn a_page_is_watched_until_it_is_acknowledged_and_told_when_the_alert_is_over() {
    let stage = Stage::quick(&[AUTO, ("PAGE_ACK_WAIT", "1s")]).await;
    let run = stage.diagnosed().await;
    let page = run["escalation"]["page"]["id"].as_str().expect("a page").to_owned();
    let said = async |words: &str| {
        until(words, async || (beginning(&stage.notes(), words) == 1).then_some(())).await;
    };
    said("NOBODY HAS ACKNOWLEDGED THE PAGE for prod-us-south").await;
    stage.world.pagerduty.acknowledge(&page, Setup::ENGINEER);
    said("Page acknowledged for prod-us-south").await;
    let after = stage.short_notes(&run).1;
    assert!(after.len() == 2 && after[1].content.contains("Earline Greenholt"), "{after:#?}");

    for times in [1, 2] {
        stage.world.pagerduty.resolve(&stage.world.alert, None);
        stage.alert("incident.resolved").await.is(202);
        let newest = stage.front.end_of(&stage.world.alert).await;
        until("the page to be told", async || {
            (beginning(&stage.world.pagerduty.notes_of(&page), "RESOLVED") == times).then_some(())
        })
        .await;
        let note = until("the timeline", async || {
            let note = stage.note_of(&newest).content;
            note.contains("TIMELINE").then_some(note)
        })
        .await;
        assert!(note.starts_with("RESOLVED after ") && note.contains("paged"), "{note}");
        let notes = stage.notes().len();
        assert_eq!(notes, if times == 1 { 4 } else { 6 }, "an edit, and no note: {:#?}", stage.notes());
        if times == 1 {
            // It comes back, and ends again: an early word and a note more, no page.
            stage.world.pagerduty.reopen(&stage.world.alert, None);
            stage.alert("incident.reopened").await.is(202);
            let again = stage.front.end_of(&stage.world.alert).await;
            assert_eq!(again["escalation"]["page"]["id"], page);
            // PagerDuty's times are whole seconds: what ends twice within one has ended once.
            let began = SystemClock::shared().now().as_second();
            until("another second", async || (SystemClock::shared().now().as_second() > began).then_some(())).await;
        }
    }
    assert_eq!(stage.world.pagerduty.pages().len(), 1);
    let state = stage.world.pagerduty.incident(&page).expect("the page").state;
    assert_eq!(state, simulators::pagerduty::State::Acknowledged, "it resolves nobody's incident");
}

/// lifecycle.md#looking-again: at most three times, and what finds nothing new edits the last note.
#[tokio::test]
async fn follow_ups_that_find_nothing_new_edit_the_last_note_and_are_three_at_most() {
    let stage = Stage::quick(&[AUTO, ("TRANSIENT_RERUNS", "0"), ("FOLLOW_UP", "200ms")]).await;
    stage.alert("incident.triggered").await.is(202);
    let runs = until("three follow-ups", async || {
        let runs = stage.front.runs_of(&stage.world.alert).await;
        (runs.len() == 4 && runs.iter().all(|run| run["state"] == "done")).then_some(runs)
    })
    .await;
    assert!(runs[..3].iter().all(|run| run["trigger"] == "follow-up"), "{runs:#?}");
    let first: &Value = &runs[3];
    assert_eq!((&first["trigger"], &first["diagnosis"]["verdict"]["kind"]), (&json!("webhook"), &json!("transient")));
    let note = stage.note_of(first).content;
    assert!(note.to_lowercase().contains("unchanged"), "{note}");
    assert_eq!(note.lines().next_back(), Some(format!("run {}", first["id"].as_str().expect("an id")).as_str()));
    assert!(stage.short_notes(first).1.is_empty(), "no other note");
    // lifecycle.md#looking-again: "its `note.id` is that note's, which keeps its own `run` line".
    let edited = json!({"id": stage.note_of(first).id, "text": note});
    for run in stage.front.runs_of(&stage.world.alert).await {
        let id = run["id"].as_str().expect("an id");
        assert_eq!((&run["note"], &stage.front.run(id).await["note"]), (&edited, &edited), "{run:#}");
        let view = stage.front.get_as(VIEWER_TOKEN, &format!("/runs/{id}")).await;
        let view = view.is(200).body.as_str().expect("a view").to_owned();
        assert!(view.contains(": unchanged.") && view.contains("The note on the incident"), "{view}");
    }
    // A person's word counts them again.
    let note = stage.world.pagerduty.annotate(&stage.world.alert, Setup::ENGINEER, "/rerun").expect("a note");
    stage.front.signed(&stage.world.pagerduty.annotated_body(&stage.world.alert, &note.id)).await.is(202);
    until("follow-ups of the rerun", async || (stage.front.runs_of(&stage.world.alert).await.len() == 8).then_some(()))
        .await;
    // And nobody is asked to do what is over, by the view of a follow-up either.
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    stage.alert("incident.resolved").await.is(202);
    let path = format!("/runs/{}", runs[0]["id"].as_str().expect("an id"));
    until("the view to say that it is over", async || {
        let view = stage.front.get_as(VIEWER_TOKEN, &path).await;
        view.body.as_str().is_some_and(|view| view.contains("nothing urgent, the alert has closed")).then_some(())
    })
    .await;
}

/// What PagerDuty does not take now is edited later, by its task; another note would say it twice.
#[tokio::test]
async fn a_follow_up_whose_edit_has_to_wait_writes_no_note_beside_it() {
    let stage = Stage::quick(&[AUTO, ("TRANSIENT_RERUNS", "0"), ("FOLLOW_UP", "200ms")]).await;
    stage.world.pagerduty.fail(Endpoint::EditNote, Fault::Status(503), 5);
    stage.alert("incident.triggered").await.is(202);
    let runs = until("three follow-ups", async || {
        let runs = stage.front.runs_of(&stage.world.alert).await;
        (runs.len() == 4 && runs.iter().all(|run| run["state"] == "done")).then_some(runs)
    })
    .await;
    until("the note to say so", async || stage.note_of(&runs[3]).content.contains(": unchanged.").then_some(())).await;
    assert!(stage.short_notes(&runs[3]).1.is_empty(), "no other note: {:#?}", stage.notes());
}

/// lifecycle.md#looking-again: "the same rule, box statuses, findings, client finding and related pages".
#[tokio::test]
async fn a_follow_up_that_finds_another_related_page_writes_a_note() {
    let stage = Stage::quick(&[AUTO, ("TRANSIENT_RERUNS", "0"), ("FOLLOW_UP", "2s")]).await;
    let first = stage.diagnosed().await;
    // Too old to suppress: it is named.
    let mut old = Opening::new("All Public endpoints down in prod-us-south", Setup::REGISTRY);
    old.created_at = Some(SystemClock::shared().now() - jiff::SignedDuration::from_hours(30));
    let old = stage.world.pagerduty.open(old).id;
    // One may have begun before it was opened.
    let second = until("a follow-up", async || {
        let newest = stage.front.runs_of(&stage.world.alert).await.remove(0);
        (newest["id"] != first["id"] && newest["state"] == "done" && newest["related"] != json!([])).then_some(newest)
    })
    .await;
    assert_eq!((&second["trigger"], &second["related"][0]["id"]), (&json!("follow-up"), &json!(old)), "{second:#}");
    assert_ne!(stage.note_of(&second).id, stage.note_of(&first).id);
}

#[tokio::test]
async fn a_page_after_a_follow_up_that_found_nothing_new_is_told_in_the_note_that_there_is() {
    for by_note in [false, true] {
        let stage = Stage::quick(&[AUTO, ("TRANSIENT_RERUNS", "0"), ("FOLLOW_UP", "200ms")]).await;
        stage.alert("incident.triggered").await.is(202);
        let first = until("a follow-up", async || {
            let runs = stage.front.runs_of(&stage.world.alert).await;
            (runs.len() > 1 && runs.iter().all(|run| run["state"] == "done")).then(|| runs[runs.len() - 1].clone())
        })
        .await;
        let note = stage.note_of(&first).content;
        assert!(note.contains(": unchanged."), "{note}");
        assert!(note.lines().nth(2).is_some_and(|line| line.starts_with("Nobody was paged")), "{note}");
        if by_note {
            let note =
                stage.world.pagerduty.annotate(&stage.world.alert, Setup::ENGINEER, "/escalate").expect("a note");
            stage.front.signed(&stage.world.pagerduty.annotated_body(&stage.world.alert, &note.id)).await.is(202);
        } else {
            stage.front.post("/escalate", &stage.this_alert()).await.is(202);
        }
        // The follow-ups that are left must not write over it either.
        let runs = async || stage.front.runs_of(&stage.world.alert).await;
        until("the follow-ups to end", async || {
            let runs = runs().await;
            (runs.len() >= 4 && runs.iter().all(|run| run["state"] == "done")).then_some(())
        })
        .await;
        let note = until("the note to tell of the page", async || {
            let note = stage.note_of(&first).content;
            note.lines().nth(2).is_some_and(|line| line.starts_with("Paged")).then_some(note)
        })
        .await;
        assert!(note.contains(": unchanged.") && stage.world.pagerduty.pages().len() == 1, "{note}");
    }
}
