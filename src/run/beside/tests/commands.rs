//! lifecycle.md#commands.

use runbook::run::{State, Trigger};
use simulators::pagerduty::{Endpoint, Fault};
use store::PageState;

use super::*;

impl Story {
    /// The one page there is: it is not watched any more, and no other is looked for.
    async fn page_is_resolved(&self) {
        let [page] = self.pagerduty.pages().try_into().unwrap();
        self.pagerduty.resolve(&page.id, None);
        self.pass(MINUTE * 15, SECOND * 30).await;
    }
}

#[tokio::test]
async fn a_rerun_is_made_once_and_answered_once_though_the_worker_dies() {
    let story = Story::new().await;
    story.run_ends().await;
    story.writes("/rerun").await;
    // Dies before its answer is kept: the run is there, nothing else.
    story.pagerduty.fail(Endpoint::AddNote, Fault::Status(403), 1);
    story.work_and_die().await;
    story.work_and_die().await;
    story.work().await;
    let runs = story.runs().await;
    assert_eq!((runs.len(), runs[0].trigger), (2, Trigger::Note));
    once(&story.said(), "Diagnosing prod-us-south again (/rerun by Earline Greenholt)");
    assert_eq!(story.said().len(), 2, "the diagnosis note and the answer: {:#?}", story.said());
    assert!(story.idle().await);
}

/// While a secret is changed two subscriptions tell of each note, by events of their own.
#[tokio::test]
async fn a_note_that_is_told_of_twice_is_obeyed_and_answered_once() {
    let story = Story::new().await;
    story.run_ends().await;
    let note = story.pagerduty.annotate(&story.alert, Setup::ENGINEER, "/rerun").unwrap();
    let told = || story.pagerduty.annotated_body(&story.alert, &note.id);
    let (first, second) = (told(), told());
    assert_ne!(first, second);
    story.accept(&first).await;
    story.work().await;
    story.run_ends().await;
    let said = story.said();
    story.accept(&second).await;
    story.work().await;
    assert!(story.idle().await);
    assert_eq!((story.runs().await.len(), story.said()), (2, said));
}

#[tokio::test]
async fn a_rerun_that_is_cut_off_midway_makes_no_second_run() {
    let story = Story::new().await;
    story.run_ends().await;
    story.writes("/rerun").await;
    // The answer hangs: the task is dropped while it waits, the run is made.
    story.pagerduty.fail(Endpoint::AddNote, Fault::Hang, 1);
    let Claimed::Alert(lease) = story.claim().await else { panic!("the alert") };
    {
        let mut driven = Box::pin(turn(&story.context, &lease));
        let reached = async {
            while story.runs().await.len() < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = &mut driven => panic!("it hangs"),
            () = reached => {}
        }
    }
    story.clock.jump(store::LEASE + SECOND);
    story.context.store.spoil("UPDATE work SET owner = 'dead' WHERE owner IS NOT NULL").await;
    // By then the run may even have ended.
    story.pagerduty.mend();
    story.run_ends().await;
    story.work().await;
    assert_eq!(story.runs().await.len(), 2);
    once(&story.said(), "Diagnosing prod-us-south again");
}

#[tokio::test]
async fn a_rerun_beside_an_active_run_makes_none_and_wakes_a_suppressed_one() {
    let story = Story::new().await;
    story.writes("/rerun").await;
    story.work().await;
    once(&story.said(), "Already diagnosing prod-us-south");
    let queued = story.runs().await.remove(0);
    assert!(story.context.store.suppression(&queued.id).await.unwrap().was.go_on, "and nothing parks it any more");
    let lease = story.context.store.claim_run().await.unwrap().unwrap();
    let now = story.clock.now();
    story.context.store.park_run(&lease, now, None, None, MINUTE * 10).await.unwrap();
    story.writes("/Rerun.").await;
    story.work().await;
    once(&story.said(), "Diagnosing prod-us-south again");
    let runs = story.runs().await;
    assert_eq!((runs.len(), runs[0].state), (1, State::Suppressed));
    assert!(story.context.store.suppression(&runs[0].id).await.unwrap().was.go_on);
    assert!(story.context.store.claim_run().await.unwrap().is_some(), "it is due at once");
}

#[tokio::test]
async fn escalate_before_a_diagnosis_pages_lifts_the_hold_and_answers_once_the_page_is_known() {
    let story = Story::new().await;
    story.writes("/hold").await;
    story.work().await;
    once(&story.said(), "Automatic paging is on hold for prod-us-south");
    let held = || async { story.context.store.alert(&story.alert).await.unwrap().unwrap().held_by };
    assert_eq!(held().await.as_deref(), Some("Earline Greenholt"));
    story.pagerduty.fail(Endpoint::CreateIncident, Fault::Status(503), 1);
    story.writes("/escalate").await;
    story.work().await;
    let page = story.context.store.page(&story.alert).await.unwrap().unwrap();
    assert_eq!((page.state, page.asked_by.as_deref()), (PageState::Requested, Some("Earline Greenholt")));
    assert_eq!(held().await, None);
    assert_eq!(story.said().len(), 1, "no word of the page yet: {:#?}", story.said());
    story.pass(SECOND * 10, SECOND).await;
    once(&story.said(), "Paged Cloud Service Endpoint for prod-us-south (/escalate by Earline Greenholt)");
    story.writes("/escalate").await;
    story.work().await;
    once(&story.said(), "is paged already");
    story.page_is_resolved().await;
    assert!(story.idle().await);
}

/// By whose clock its age is judged is not known yet, and what holds a page does not wait for that. The others do.
#[tokio::test]
async fn a_hold_before_pagerduty_first_answers_holds_at_once() {
    let story = Story::new().await;
    for endpoint in [Endpoint::Incident, Endpoint::Notes, Endpoint::AddNote, Endpoint::Users] {
        story.pagerduty.fail(endpoint, Fault::Reset, u32::MAX);
    }
    story.writes("/escalate").await;
    story.writes("/hold").await;
    story.does(&story.claim().await).await;
    assert_eq!(story.context.pagerduty.time(), None, "it has not answered");
    let alert = story.context.store.alert(&story.alert).await.unwrap().unwrap();
    assert_eq!(alert.held_by.as_deref(), Some("Earline Greenholt"));
    assert_eq!(story.context.store.page(&story.alert).await.unwrap(), None, "a page waits");
    story.pagerduty.mend();
    story.pass(MINUTE * 3, SECOND * 30).await;
    once(&story.said(), "Automatic paging is on hold for prod-us-south");
}

#[tokio::test]
async fn an_operators_word_lifts_the_hold_too() {
    let story = Story::new().await;
    story.writes("/hold").await;
    story.work().await;
    let held = || async { story.context.store.alert(&story.alert).await.unwrap().unwrap().held_by };
    assert!(held().await.is_some());
    let run = story.runs().await.remove(0);
    story.context.store.request_page(&story.alert, &run.id, None).await.unwrap();
    assert!(held().await.is_some(), "an automatic page lifts nothing");
    story.context.store.escalate(&story.alert, "ann", false).await.unwrap();
    assert_eq!(held().await, None);
}

#[tokio::test]
async fn nobody_believes_in_a_page_that_failed_or_that_takes_long() {
    let story = Story::new().await;
    story.pagerduty.fail(Endpoint::CreateIncident, Fault::Status(400), u32::MAX);
    story.writes("/escalate").await;
    story.pass(SECOND * 3, SECOND).await;
    once(&story.said(), "FAILED for prod-us-south (/escalate");
    once(&story.said(), "NOBODY WAS PAGED");
    // A second word tries again; PagerDuty takes its time.
    story.pagerduty.mend();
    story.pagerduty.fail(Endpoint::CreateIncident, Fault::Status(503), u32::MAX);
    story.writes("/escalate").await;
    story.pass(SECOND * 55, SECOND * 5).await;
    assert_eq!(story.said().len(), 2);
    story.pass(SECOND * 10, SECOND * 5).await;
    once(&story.said(), "Paging Cloud Service Endpoint for prod-us-south");
    story.pagerduty.mend();
    story.pass(MINUTE, SECOND * 10).await;
    story.page_is_resolved().await;
    assert!(story.idle().await);
}

#[tokio::test]
async fn escalate_that_was_obeyed_is_not_refused_after_a_crash_of_hours() {
    let story = Story::new().await;
    story.writes("/escalate").await;
    story.work_and_die().await;
    story.clock.jump(MINUTE * 120);
    story.work().await;
    once(&story.said(), "Paged Cloud Service Endpoint");
}

/// lifecycle.md#commands: older than 15 minutes, on a closed alert, or from outside `COMMAND_USERS`.
#[tokio::test]
async fn what_is_not_obeyed_is_answered_all_the_same() {
    let old = Story::new().await;
    old.writes("/rerun").await;
    old.clock.jump(MINUTE * 15 + SECOND);
    old.run_ends().await;
    old.work().await;
    once(&old.said(), "Not obeyed for prod-us-south, it came too late");
    old.writes("/rerun").await;
    old.clock.jump(MINUTE * 15);
    old.work().await;
    assert_eq!(old.runs().await.len(), 2, "a quarter of an hour is in time");

    let stranger = Story::with(&[("COMMAND_USERS", "PSOMEBODY")]).await;
    stranger.writes("/escalate").await;
    stranger.work().await;
    once(&stranger.said(), "not allowed");
    assert_eq!(stranger.context.store.page(&stranger.alert).await.unwrap(), None);
    let known = Story::with(&[("COMMAND_USERS", "PSOMEBODY,PENGINR")]).await;
    known.writes("/hold").await;
    known.work().await;
    once(&known.said(), "Automatic paging is on hold");

    let closed = Story::new().await;
    closed.run_ends().await;
    closed.pagerduty.resolve(&closed.alert, None);
    closed.writes("/escalate").await;
    closed.work().await;
    once(&closed.said(), "the alert of prod-us-south is closed");
    assert_eq!(closed.context.store.page(&closed.alert).await.unwrap(), None);
}

#[tokio::test]
async fn where_pagerduty_cannot_be_asked_the_stored_word_counts() {
    let story = Story::new().await;
    story.run_ends().await;
    story.told("incident.resolved").await;
    story.pagerduty.fail(Endpoint::Incident, Fault::Status(404), 9);
    story.writes("/hold").await;
    story.work().await;
    once(&story.said(), "is closed");
}

#[tokio::test]
async fn status_and_the_list() {
    let story = Story::new().await;
    story.run_ends().await;
    story.writes("/status").await;
    story.writes("/help").await;
    story.work().await;
    once(&story.said(), "Status of prod-us-south: the run is done (/status by Earline Greenholt)");
    once(&story.said(), "No such command, nothing done for prod-us-south (/help by");
    let all: Vec<_> = story.pagerduty.notes_of(&story.alert).into_iter().map(|note| note.content).collect();
    assert!(all.iter().any(|note| note.contains("Verdict: ") && note.contains("\nNot paged.")), "{all:#?}");
    assert!(all.iter().any(|note| note.contains("/escalate (page")), "{all:#?}");
}

#[tokio::test]
async fn an_answer_that_pagerduty_does_not_take_is_tried_again() {
    let story = Story::new().await;
    story.pagerduty.fail(Endpoint::AddNote, Fault::Status(403), 3);
    story.writes("/status").await;
    story.work().await;
    assert!(story.said().is_empty());
    story.pass(MINUTE * 4, MINUTE).await;
    once(&story.said(), "Status of prod-us-south");
    assert!(story.idle().await);
}

/// lifecycle.md#commands: `/hold` holds automatic pages until the alert is reopened.
#[tokio::test]
async fn a_hold_is_over_once_the_alert_is_reopened() {
    let story = Story::new().await;
    story.run_ends().await;
    story.writes("/hold").await;
    story.work().await;
    story.writes("/status").await;
    story.work().await;
    let all: Vec<_> = story.pagerduty.notes_of(&story.alert).into_iter().map(|note| note.content).collect();
    assert!(all.iter().any(|note| note.contains("Not paged; Earline Greenholt said /hold")), "{all:#?}");
    story.pagerduty.resolve(&story.alert, None);
    story.told("incident.resolved").await;
    let held = || async { story.context.store.alert(&story.alert).await.unwrap().unwrap().held_by };
    assert!(held().await.is_some());
    story.pagerduty.reopen(&story.alert, None);
    assert!(matches!(story.told("incident.reopened").await, Accepted::Run(_)));
    assert_eq!(held().await, None);
}
