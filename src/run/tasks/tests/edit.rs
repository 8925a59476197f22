//! Edits of a diagnosis note, of which the newest text stays. lifecycle.md#the-note.

use crate::run::steps::page::update_note;
use runbook::writes::key::of_edit;
use simulators::pagerduty::{Endpoint, Fault};

use super::*;

impl Story {
    /// What the run's diagnosis note says.
    fn note_of(&self, run_id: &str) -> String {
        let last = format!("run {run_id}");
        let notes = self.pagerduty.notes_of(&self.alert).into_iter().map(|note| note.content);
        notes.into_iter().find(|text| text.lines().next_back() == Some(&last)).expect("the diagnosis note")
    }

    /// The newest text that was begun.
    async fn newest(&self, run_id: &str) -> String {
        self.context.store.recorded(&of_edit(run_id)).await.unwrap().expect("an edit").text
    }

    /// A person wants a page, and nobody works on it yet.
    async fn wants_a_page(&self, run_id: &str) {
        self.context.store.request_page(&self.alert, run_id, Some("olivia")).await.unwrap();
        self.context.store.put_off_alert(&self.alert).await;
    }

    async fn updates(&self, run_id: &str) {
        update_note(&self.context, &self.alert, run_id).await.unwrap();
    }
}

/// PagerDuty may do late what it gave no answer to: the older text is replaced once more.
#[tokio::test]
async fn an_older_text_that_takes_effect_late_does_not_stay() {
    for late in [SECOND * 20, MINUTE * 4, MINUTE * 9] {
        let story = Story::new().await;
        let run = story.run_ends().await;
        story.pagerduty.fail(Endpoint::EditNote, Fault::Reset, 5);
        story.updates(&run).await;
        let older = story.newest(&run).await;
        story.wants_a_page(&run).await;
        story.updates(&run).await;
        let newer = story.note_of(&run);
        assert!(newer != older && newer.contains("is being opened"), "{newer}");
        story.pass(late, SECOND * 10).await;
        let id = story.pagerduty.notes_of(&story.alert)[0].id.clone();
        story.context.pagerduty.edit_note(&story.context.permit, &story.alert, &id, &older).await.unwrap();
        story.pass(MINUTE * 15, SECOND * 10).await;
        assert_eq!(story.note_of(&run), newer, "{late:?}");
        assert_eq!(story.said().len(), 1, "no note beside it");
        assert!(story.idle().await);
    }
}

/// Lists lag: a note that none shows yet is not gone.
#[tokio::test]
async fn an_edit_is_not_dropped_because_its_note_is_not_listed_yet() {
    let story = Story::new().await;
    story.pagerduty.set_lag(MINUTE * 5);
    let run = story.run_ends().await;
    story.pagerduty.fail(Endpoint::EditNote, Fault::Reset, 5);
    story.wants_a_page(&run).await;
    story.updates(&run).await;
    assert!(!story.note_of(&run).contains("is being opened"));
    story.pass(MINUTE * 15, SECOND * 10).await;
    assert!(story.note_of(&run).contains("is being opened"));
}

/// What PagerDuty can't do now waits for it, in the queue; nothing is written beside the note.
#[tokio::test]
async fn an_edit_waits_for_pagerduty() {
    for fault in [Fault::Status(503), Fault::Reset, Fault::RateLimited(None)] {
        let story = Story::new().await;
        let run = story.run_ends().await;
        let before = story.note_of(&run);
        story.pagerduty.fail(Endpoint::EditNote, fault.clone(), u32::MAX);
        story.wants_a_page(&run).await;
        story.updates(&run).await;
        story.pass(MINUTE * 20, SECOND * 10).await;
        assert_eq!((story.note_of(&run), story.said().len()), (before, 1), "{fault}");
        story.pagerduty.mend();
        story.pass(MINUTE, SECOND * 10).await;
        assert!(story.note_of(&run).contains("is being opened"), "{fault}: {}", story.note_of(&run));
        story.pass(MINUTE * 15, SECOND * 10).await;
        assert_eq!(story.said().len(), 1, "{fault}");
        assert!(story.idle().await, "{fault}");
    }
}

/// Whoever is cut off while it edits leaves nothing that must be heard of again.
#[tokio::test]
async fn an_edit_of_a_worker_that_was_killed_is_made_by_its_task() {
    let story = Story::new().await;
    let run = story.run_ends().await;
    story.wants_a_page(&run).await;
    story.pagerduty.fail(Endpoint::EditNote, Fault::Hang, u32::MAX);
    let (context, alert, of) = (story.context.clone(), story.alert.clone(), run.clone());
    let worker = tokio::spawn(async move { update_note(&context, &alert, &of).await });
    let begun = async || story.context.store.recorded(&of_edit(&run)).await.unwrap().is_some();
    while !begun().await {
        tokio::task::yield_now().await;
    }
    worker.abort();
    assert!(worker.await.is_err_and(|error| error.is_cancelled()));
    story.pagerduty.mend();
    story.pass(MINUTE * 4, SECOND * 10).await;
    assert!(story.note_of(&run).contains("is being opened"), "{}", story.note_of(&run));
}
