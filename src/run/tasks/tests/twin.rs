//! A note that PagerDuty applies late, when another was written long since: the later of the two goes.
//! lifecycle.md#the-note.

use jiff::SignedDuration;

use crate::run::steps::post_note::post_note;
use crate::run::steps::post_short::post_short;
use runbook::span::after;
use simulators::pagerduty::{Endpoint, Fault, Note};

use super::*;

impl Story {
    /// The alert's run, whose note is about to be written.
    async fn diagnosed(&self) -> Lease {
        let lease = self.context.store.claim_run().await.unwrap().expect("a run");
        self.context.store.set_diagnosis(&lease, &self.diagnosis(), (EscalationState::None, None), &[]).await.unwrap();
        lease
    }

    fn text(lease: &Lease) -> String {
        format!("INCONCLUSIVE in prod-us-south\nDo now: look.\nNobody was paged.\n\nrun {}", lease.run_id())
    }

    async fn posts(&self, lease: &Lease) -> String {
        let give_up = after(self.clock.now(), MINUTE * 60);
        let posted = post_note(&self.context, lease, &self.alert, &Self::text(lease), give_up).await.unwrap();
        posted.expect("a note").id
    }

    fn notes_of_run(&self, lease: &Lease) -> Vec<Note> {
        let last = format!("run {}", lease.run_id());
        let notes = self.pagerduty.notes_of(&self.alert);
        notes.into_iter().filter(|note| note.content.lines().next_back() == Some(&last)).collect()
    }

    async fn kept(&self, lease: &Lease) -> Option<String> {
        self.context.store.run(lease.run_id()).await.unwrap().unwrap().note.map(|note| note.id)
    }
}

/// From within the time that reads may lag to the ten minutes that a write may take.
#[tokio::test]
async fn of_a_diagnosis_note_that_was_applied_late_and_its_twin_one_is_left() {
    for seconds in [11, 25, 60, 280, 599] {
        let story = Story::new().await;
        let lease = story.diagnosed().await;
        story.pagerduty.fail(Endpoint::AddNote, Fault::Late(seconds), 1);
        let sent = story.clock.now();
        let id = story.posts(&lease).await;
        story.context.store.finish_run(&lease, &Finish::Done).await.unwrap();
        assert_eq!(story.notes_of_run(&lease).len(), 1, "{seconds} s: the second was written");
        story.clock.jump(
            after(sent, Duration::from_secs(seconds))
                .duration_since(story.clock.now())
                .max(SignedDuration::ZERO)
                .unsigned_abs(),
        );
        assert_eq!(story.notes_of_run(&lease).len(), 2, "{seconds} s: the first shows");
        story.pass(MINUTE * 15, SECOND * 10).await;
        let left = story.notes_of_run(&lease);
        assert_eq!(left.iter().map(|note| &note.id).collect::<Vec<_>>(), [&id], "{seconds} s: the later goes");
        assert_eq!(story.kept(&lease).await, Some(id), "{seconds} s");
        assert!(story.idle().await, "{seconds} s: no look is left");
    }
}

/// Where the one that is known is the later, the first takes its place, with what was edited meanwhile.
#[tokio::test]
async fn the_first_stays_though_the_later_is_known_and_has_the_newest_text() {
    let story = Story::new().await;
    let lease = story.diagnosed().await;
    story.context.store.lose_note(&lease).await;
    let first =
        story.context.pagerduty.add_note(&story.context.permit, &story.alert, &Story::text(&lease)).await.unwrap().id;
    story.clock.jump(SECOND);
    let later =
        story.context.pagerduty.add_note(&story.context.permit, &story.alert, &Story::text(&lease)).await.unwrap().id;
    story.context.store.set_note(&lease, &later, &Story::text(&lease)).await.unwrap();
    let edited = Story::text(&lease).replace("Nobody was paged.", "Paged.");
    story.context.pagerduty.edit_note(&story.context.permit, &story.alert, &later, &edited).await.unwrap();
    story.pass(MINUTE, SECOND * 10).await;
    let left = story.notes_of_run(&lease);
    assert_eq!(left.iter().map(|note| &note.id).collect::<Vec<_>>(), [&first]);
    assert_eq!(story.kept(&lease).await, Some(first));
    let edits =
        story.pagerduty.requests().into_iter().filter(|r| r.method == "PUT" && r.body.contains("Paged.")).count();
    assert!(edits >= 2, "its text goes over: {edits}");
}

#[tokio::test]
async fn a_twin_that_may_not_be_deleted_becomes_a_pointer_without_a_run_line() {
    for refused in [403, 405, 402] {
        let story = Story::new().await;
        let lease = story.diagnosed().await;
        story.pagerduty.fail(Endpoint::DeleteNote, Fault::Status(refused), u32::MAX);
        story.pagerduty.fail(Endpoint::AddNote, Fault::Late(25), 1);
        let id = story.posts(&lease).await;
        story.pass(MINUTE * 15, SECOND * 10).await;
        assert_eq!(story.notes_of_run(&lease).iter().map(|note| &note.id).collect::<Vec<_>>(), [&id]);
        let notes = story.pagerduty.notes_of(&story.alert);
        let pointer = notes.iter().find(|note| note.id != id).expect("the twin");
        insta::allow_duplicates! {
            insta::assert_snapshot!(pointer.content.replace(lease.run_id(), "<run>"), @r"
            This note was written twice. Read the other one on this incident.
            The diagnosis: http://127.0.0.1:8080/runs/<run>
            ");
        }
    }
}

/// What fails for a while is done later; what is gone already is done.
#[tokio::test]
async fn a_twin_goes_though_pagerduty_fails_meanwhile() {
    for (endpoint, fault, times) in [
        (Endpoint::DeleteNote, Fault::Status(500), 7),
        (Endpoint::DeleteNote, Fault::Html, 2),
        (Endpoint::Notes, Fault::Status(500), 40),
        (Endpoint::Users, Fault::Status(500), 40),
    ] {
        let story = Story::new().await;
        let lease = story.diagnosed().await;
        story.pagerduty.fail(Endpoint::AddNote, Fault::Late(25), 1);
        let id = story.posts(&lease).await;
        story.pagerduty.fail(endpoint, fault.clone(), times);
        story.pass(MINUTE * 20, SECOND * 10).await;
        let left: Vec<_> = story.notes_of_run(&lease).into_iter().map(|note| note.id).collect();
        assert_eq!(left, [id], "{endpoint} {fault}");
    }
    let story = Story::new().await;
    let lease = story.diagnosed().await;
    story.pagerduty.fail(Endpoint::AddNote, Fault::Late(25), 1);
    let id = story.posts(&lease).await;
    story.pagerduty.fail_once_done(Endpoint::DeleteNote, Fault::Reset, 1);
    story.pass(MINUTE * 15, SECOND * 10).await;
    assert_eq!(story.notes_of_run(&lease).into_iter().map(|note| note.id).collect::<Vec<_>>(), [id]);
    assert!(story.idle().await);
}

/// Killed after the note was sent: the next worker finds nothing, writes another, and then the first shows.
#[tokio::test]
async fn a_note_of_a_worker_that_was_killed_has_its_twin_removed_too() {
    let story = Story::new().await;
    let lease = story.diagnosed().await;
    story.context.store.begin_note(&lease).await.unwrap();
    story.pagerduty.fail(Endpoint::AddNote, Fault::Late(60), 1);
    story.context.pagerduty.add_note(&story.context.permit, &story.alert, &Story::text(&lease)).await.unwrap_err();
    story.context.store.release_run(&lease, Duration::ZERO).await.unwrap();
    let second = story.context.store.claim_run().await.unwrap().expect("the run");
    let id = story.posts(&second).await;
    story.pass(MINUTE * 15, SECOND * 10).await;
    assert_eq!(story.notes_of_run(&second).into_iter().map(|note| note.id).collect::<Vec<_>>(), [id]);
}

#[tokio::test]
async fn of_a_short_note_one_is_left_too() {
    let story = Story::new().await;
    story.pagerduty.fail(Endpoint::AddNote, Fault::Late(25), 1);
    post_short(&story.context, "key", &story.alert, "Still diagnosing.").await.unwrap().unwrap();
    story.clock.jump(SECOND * 25);
    assert_eq!(story.said(), ["Still diagnosing."; 2]);
    story.pass(MINUTE * 15, SECOND * 10).await;
    assert_eq!(story.said(), ["Still diagnosing."]);
    assert!(story.idle().await);
}

/// Nobody else's note is ever deleted, whatever it ends in.
#[tokio::test]
async fn a_persons_copy_stays() {
    let story = Story::new().await;
    let lease = story.diagnosed().await;
    story.pagerduty.fail(Endpoint::AddNote, Fault::Late(25), 1);
    story.pagerduty.annotate(&story.alert, Setup::ENGINEER, &Story::text(&lease)).unwrap();
    story.posts(&lease).await;
    story.pagerduty.fail(Endpoint::Users, Fault::Status(403), u32::MAX);
    story.pass(MINUTE * 15, SECOND * 10).await;
    let authors: Vec<_> = story.notes_of_run(&lease).into_iter().map(|note| note.user_id).collect();
    assert_eq!(authors, [Setup::ENGINEER, Setup::RESPONDER]);
}

/// A note that is written at the first try has no twin, and nothing is looked for.
#[tokio::test]
async fn a_note_that_is_written_at_once_is_not_looked_for_again() {
    let story = Story::new().await;
    let lease = story.diagnosed().await;
    story.posts(&lease).await;
    assert!(story.idle().await);
}

/// Two answers may have the same words: `/status` twice by one person.
#[tokio::test]
async fn another_short_note_with_the_same_words_is_no_twin_and_not_taken_for_it() {
    let story = Story::new().await;
    post_short(&story.context, "one", &story.alert, "Status.").await.unwrap().unwrap();
    story.pagerduty.fail(Endpoint::AddNote, Fault::Late(25), 1);
    post_short(&story.context, "two", &story.alert, "Status.").await.unwrap().unwrap();
    assert_eq!(story.said(), ["Status."; 2], "the first is not the second");
    story.clock.jump(SECOND * 25);
    assert_eq!(story.said(), ["Status."; 3]);
    story.pass(MINUTE * 15, SECOND * 10).await;
    assert_eq!(story.said(), ["Status."; 2]);
    let kept = story.context.store.recorded("one").await.unwrap().unwrap().write.id;
    assert!(story.pagerduty.notes_of(&story.alert).iter().any(|note| Some(&note.id) == kept.as_ref()));
}

/// What the later one was told of the alert's end goes over too.
#[tokio::test]
async fn the_first_one_says_that_the_alert_is_over_where_the_later_did() {
    let story = Story::new().await;
    let lease = story.diagnosed().await;
    story.context.store.lose_note(&lease).await;
    let first =
        story.context.pagerduty.add_note(&story.context.permit, &story.alert, &Story::text(&lease)).await.unwrap().id;
    story.clock.jump(SECOND);
    let later =
        story.context.pagerduty.add_note(&story.context.permit, &story.alert, &Story::text(&lease)).await.unwrap().id;
    story.context.store.set_note(&lease, &later, &Story::text(&lease)).await.unwrap();
    story.context.store.finish_run(&lease, &Finish::Done).await.unwrap();
    story.pagerduty.resolve(&story.alert, None);
    story.told("incident.resolved").await;
    story.work().await;
    let says = |id: &str| story.pagerduty.notes_of(&story.alert).into_iter().find(|n| n.id == id).map(|n| n.content);
    assert!(says(&later).is_some_and(|text| text.starts_with("RESOLVED")), "{:?}", says(&later));
    story.pass(MINUTE * 3, SECOND * 10).await;
    assert!(says(&later).is_none());
    assert!(says(&first).is_some_and(|text| text.starts_with("RESOLVED")), "{:?}", says(&first));
}

/// Ours may be set forward: the last look still begins when PagerDuty's write may have been applied.
#[tokio::test]
async fn a_clock_that_was_set_forward_ends_no_look_early() {
    let story = Story::new().await;
    let lease = story.diagnosed().await;
    // It is not done at all: what has shown is not looked for any longer.
    story.pagerduty.fail(Endpoint::AddNote, Fault::Reset, 1);
    story.posts(&lease).await;
    // PagerDuty's clock goes on as before.
    story.pagerduty.set_skew(SignedDuration::from_mins(-16));
    story.clock.jump(MINUTE * 16);
    story.work().await;
    assert!(!story.context.store.claim_task().await.unwrap().is_some_and(|task| task.kind != TaskKind::Twin));
    story.pass(MINUTE * 2, SECOND * 10).await;
    story.clock.jump(MINUTE * 14);
    assert!(story.context.store.claim_task().await.unwrap().is_some(), "it is still looked for");
}
