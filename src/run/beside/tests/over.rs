//! The alert is over: its page and its note say so. lifecycle.md#the-alert-ends, and the RCA.

use runbook::run::Facts;
use simulators::pagerduty::{Endpoint, Fault};

use super::*;

/// An alert with a diagnosis note and an open page.
async fn paged() -> (Story, String) {
    let story = Story::new().await;
    let run = story.run_ends().await;
    story.context.store.request_page(&story.alert, &run, Some("olivia")).await.unwrap();
    let page = story.page_ends(None).await.unwrap();
    (story, page)
}

async fn resolves(story: &Story) {
    story.clock.jump(MINUTE * 40);
    story.pagerduty.resolve(&story.alert, None);
    story.told("incident.resolved").await;
}

fn diagnosis_note(story: &Story) -> String {
    let notes = story.pagerduty.notes_of(&story.alert);
    notes.into_iter().map(|note| note.content).find(|note| note.contains("\nrun ")).expect("the diagnosis note")
}

#[tokio::test]
async fn the_page_is_told_and_the_note_gets_its_timeline_once_though_the_worker_dies() {
    let (story, page) = paged().await;
    resolves(&story).await;
    story.work_and_die().await;
    story.work().await;
    once(&story.said_on(&page), "RESOLVED");
    once(&story.said_on(&page), "40 min");
    let note = diagnosis_note(&story);
    for words in ["alert opened", "diagnosed", "Cloud Service Endpoint paged", "alert resolved, after 40 min"] {
        assert_eq!(note.matches(words).count(), 1, "{words}: {note}");
    }
    assert!(note.starts_with("RESOLVED after 40 min") && note.lines().last().unwrap().starts_with("run "), "{note}");
    assert_eq!(story.said().len(), 1, "an edit, no new note");
    assert!(story.idle().await);
}

#[tokio::test]
async fn each_end_of_an_alert_that_was_opened_again_is_told_to_its_page() {
    let (story, page) = paged().await;
    resolves(&story).await;
    story.work().await;
    once(&story.said_on(&page), "RESOLVED");
    story.clock.jump(MINUTE);
    story.pagerduty.reopen(&story.alert, None);
    story.told("incident.reopened").await;
    story.run_ends().await;
    resolves(&story).await;
    story.work_and_die().await;
    story.work().await;
    let said = story.said_on(&page);
    assert_eq!(said.iter().filter(|line| line.contains("RESOLVED")).count(), 2, "{said:#?}");
    assert!(story.idle().await);
}

#[tokio::test]
async fn an_alert_that_is_open_after_all_is_no_end() {
    let (story, page) = paged().await;
    story.told("incident.resolved").await;
    story.pass(MINUTE * 3, SECOND * 10).await;
    assert!(story.said_on(&page).is_empty());
    let alert = story.context.store.alert(&story.alert).await.unwrap().unwrap();
    assert_eq!(alert.resolved_at, None, "nor does the store believe it any more: its real end is looked for");
    // Its page is watched again.
    story.pagerduty.acknowledge(&page, Setup::ENGINEER);
    story.pass(MINUTE, SECOND * 10).await;
    assert!(story.said().iter().any(|note| note.contains("acknowledged")), "{:#?}", story.said());
    assert!(story.idle().await);
}

#[tokio::test]
async fn pagerduty_is_waited_for_and_so_is_its_lag() {
    let (story, page) = paged().await;
    story.told("incident.resolved").await;
    story.work().await;
    assert!(story.said_on(&page).is_empty(), "PagerDuty shows it open yet");
    story.pagerduty.resolve(&story.alert, None);
    story.pagerduty.fail(Endpoint::Incident, Fault::Status(404), 2);
    story.pass(MINUTE * 4, SECOND * 10).await;
    once(&story.said_on(&page), "RESOLVED");
}

#[tokio::test]
async fn an_active_run_is_waited_for_and_a_refused_edit_is_one_short_note() {
    let (story, page) = paged().await;
    story.writes("/rerun").await;
    story.work().await;
    resolves(&story).await;
    story.pass(MINUTE, SECOND * 10).await;
    assert!(story.said_on(&page).is_empty(), "the run may yet write its note");
    story.run_ends().await;
    story.pagerduty.fail(Endpoint::EditNote, Fault::Status(403), 9);
    story.pass(SECOND * 10, SECOND * 2).await;
    once(&story.said_on(&page), "RESOLVED");
    assert!(!diagnosis_note(&story).contains("TIMELINE"));
    once(&story.said(), "RESOLVED");
    assert!(story.idle().await);
}

#[tokio::test]
async fn a_note_that_was_written_after_the_end_keeps_its_first_line_and_gets_the_timeline_too() {
    let story = Story::new().await;
    resolves(&story).await;
    story.pass(SECOND * 10, SECOND * 2).await;
    let lease = story.context.store.claim_run().await.unwrap().unwrap();
    let facts = Facts { resolved_at: Some(story.clock.now()), ..Facts::default() };
    story.context.store.set_facts(&lease, None, &facts, &[]).await.unwrap();
    let run = story.ends(&lease).await;
    let note = story.context.store.run(&run).await.unwrap().unwrap().note.unwrap().id;
    let late = format!("Alert resolved after 40 min. SE problem\nDo now: nothing.\nNobody was paged.\n\nrun {run}");
    story.context.pagerduty.edit_note(&story.context.permit, &story.alert, &note, &late).await.unwrap();
    story.pass(SECOND * 10, SECOND * 2).await;
    let note = diagnosis_note(&story);
    assert!(note.starts_with("Alert resolved after 40 min. SE problem\nDo now: nothing.\nNobody"), "{note}");
    assert!(note.contains("\nTIMELINE") && note.contains("alert resolved, after 40 min"), "{note}");
    assert_eq!(story.said().len(), 1, "an edit, no new note");
    assert!(story.idle().await);
}

#[tokio::test]
async fn a_note_that_tells_of_an_earlier_end_stands_as_it_is() {
    let story = Story::new().await;
    let lease = story.context.store.claim_run().await.unwrap().unwrap();
    let facts = Facts { resolved_at: Some(story.clock.now()), ..Facts::default() };
    story.context.store.set_facts(&lease, None, &facts, &[]).await.unwrap();
    story.ends(&lease).await;
    let before = diagnosis_note(&story);
    resolves(&story).await;
    story.clock.jump(MINUTE);
    story.pagerduty.reopen(&story.alert, None);
    story.told("incident.reopened").await;
    // The run of its second life has nothing to say: it is over again before it began.
    let second = story.context.store.claim_run().await.unwrap().unwrap();
    story.context.store.finish_run(&second, &Finish::Cancelled("over".into())).await.unwrap();
    resolves(&story).await;
    story.pass(SECOND * 10, SECOND * 2).await;
    assert_eq!(diagnosis_note(&story), before);
    assert!(story.idle().await);
}

#[tokio::test]
async fn a_note_that_was_on_its_way_when_the_alert_ended_is_told_of_it() {
    let story = Story::new().await;
    let lease = story.context.store.claim_run().await.unwrap().unwrap();
    // The run has looked at the alert for the last time, and not begun its note.
    resolves(&story).await;
    story.ends(&lease).await;
    story.pass(SECOND * 10, SECOND * 2).await;
    assert!(diagnosis_note(&story).starts_with("RESOLVED after 40 min"), "{}", diagnosis_note(&story));
}
