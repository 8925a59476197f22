//! An alert that is merged into another incident after its last run has ended. lifecycle.md#a-run-begins: "from then on
//! that incident is the alert (key, commands, resolution, "has a run")".

use runbook::run::Trigger;
use simulators::pagerduty::{Endpoint, Fault};
use store::PageState;

use super::*;

impl Story {
    fn opens(&self, title: &str) -> String {
        self.pagerduty.open(Opening::new(title, Setup::REGISTRY)).id
    }

    /// It is merged, and its webhook arrives: `incident.resolved`, as PagerDuty has it.
    async fn merges(&self, from: &str, into: &str) {
        self.pagerduty.merge(from, into, None);
        self.hears("incident.resolved", from).await;
        self.pass(SECOND * 4, SECOND * 2).await;
    }

    async fn hears(&self, event_type: &str, incident_id: &str) -> Accepted {
        self.accept(&self.pagerduty.webhook_body(event_type, incident_id)).await
    }

    async fn writes_on(&self, incident_id: &str, content: &str) {
        let note = self.pagerduty.annotate(incident_id, Setup::ENGINEER, content).unwrap();
        self.accept(&self.pagerduty.annotated_body(incident_id, &note.id)).await;
        self.work().await;
    }

    async fn alert_of(&self, incident_id: &str) -> String {
        self.context.store.alert(incident_id).await.unwrap().expect("an alert").incident_id
    }

    fn note_on_alert(&self) -> String {
        let notes = self.pagerduty.notes_of(&self.alert);
        notes.into_iter().map(|note| note.content).find(|note| note.contains("\nrun ")).expect("the diagnosis note")
    }
}

const BIGGER: &str = "Registry in us-south is in trouble";

#[tokio::test]
async fn it_has_its_run_its_commands_its_hold_and_its_resolution() {
    let story = Story::new().await;
    let run = story.run_ends().await;
    story.context.store.request_page(&story.alert, &run, Some("olivia")).await.unwrap();
    let page = story.page_ends(None).await.unwrap();
    story.writes("/hold").await;
    story.work().await;
    let bigger = story.opens(TITLE);
    story.merges(&story.alert, &bigger).await;
    assert_eq!(story.alert_of(&story.alert).await, bigger);
    assert!(story.said_on(&page).is_empty() && !story.note_on_alert().contains("RESOLVED"), "it goes on there");

    // It has a run.
    let triggered = story.hears("incident.triggered", &bigger).await;
    assert!(matches!(&triggered, Accepted::Ignored(why) if why.contains(&run)), "{triggered:?}");
    assert_eq!(story.runs().await.len(), 1);
    let kept = story.context.store.alert(&bigger).await.unwrap().unwrap();
    assert_eq!(kept.held_by.as_deref(), Some("Earline Greenholt"), "what was said of it still holds");

    // Commands, and one page ever.
    story.writes_on(&bigger, "/escalate").await;
    once(&story.said_on(&bigger), "is paged already");
    let again = story.context.store.request_page(&bigger, &run, None).await.unwrap();
    assert_eq!((again.state, again.page_id.as_deref()), (PageState::Paged, Some(page.as_str())));
    story.writes_on(&bigger, "/rerun").await;
    let runs = story.runs().await;
    assert_eq!((runs.len(), runs[0].trigger), (2, Trigger::Note), "asked for by either id: {runs:#?}");
    assert_eq!(runs[0].incident.as_ref().map(|incident| incident.id.clone()), Some(bigger.clone()));
    assert_eq!(runs[0].escalation.page.as_ref().map(|page| page.id.clone()), Some(page.clone()), "and shows its page");
    let lease = story.context.store.claim_run().await.unwrap().unwrap();
    story.context.store.finish_run(&lease, &Finish::Done).await.unwrap();

    // Its resolution.
    story.clock.jump(MINUTE * 40);
    story.pagerduty.resolve(&bigger, None);
    story.hears("incident.resolved", &bigger).await;
    story.work().await;
    once(&story.said_on(&page), "RESOLVED");
    assert!(story.note_on_alert().starts_with("RESOLVED after 40 min"), "{}", story.note_on_alert());
    assert!(story.idle().await);
}

#[tokio::test]
async fn a_chain_of_merges_is_followed_one_by_one_and_at_once() {
    for at_once in [false, true] {
        let story = Story::new().await;
        story.run_ends().await;
        let (second, third) = (story.opens(BIGGER), story.opens("Everything is in trouble"));
        if at_once {
            story.pagerduty.merge(&story.alert, &second, None);
        } else {
            story.merges(&story.alert, &second).await;
        }
        story.pagerduty.merge(&second, &third, None);
        story.hears("incident.resolved", if at_once { &story.alert } else { &second }).await;
        story.pass(SECOND * 4, SECOND * 2).await;
        assert_eq!(story.alert_of(&story.alert).await, third);
        story.writes_on(&third, "/status").await;
        once(&story.said_on(&third), "Status of prod-us-south: the run is done");
        assert!(story.idle().await);
    }
}

#[tokio::test]
async fn into_one_that_has_closed_it_is_over() {
    let story = Story::new().await;
    story.run_ends().await;
    let bigger = story.opens(BIGGER);
    story.clock.jump(MINUTE * 5);
    story.pagerduty.merge(&story.alert, &bigger, None);
    story.pagerduty.resolve(&bigger, None);
    story.hears("incident.resolved", &story.alert).await;
    story.pass(SECOND * 10, SECOND * 2).await;
    assert_eq!(story.alert_of(&story.alert).await, bigger);
    assert!(story.note_on_alert().starts_with("RESOLVED after 5 min"), "{}", story.note_on_alert());
    assert!(story.idle().await);
}

#[tokio::test]
async fn into_one_that_is_diagnosed_already_there_are_two_runs_of_one_alert() {
    let story = Story::new().await;
    story.run_ends().await;
    let other = story.opens(TITLE);
    story.hears("incident.triggered", &other).await;
    // The other's run is active, and goes on as if nothing had been.
    story.merges(&other, &story.alert).await;
    assert_eq!(story.alert_of(&other).await, other, "an active run follows its merge itself");
    let lease = story.context.store.claim_run().await.unwrap().unwrap();
    story.context.store.finish_run(&lease, &Finish::Done).await.unwrap();
    story.pass(SECOND * 4, SECOND * 2).await;
    assert_eq!(story.alert_of(&other).await, story.alert);
    assert_eq!(story.runs().await.len(), 2);
    story.writes("/rerun").await;
    story.work().await;
    assert_eq!(story.runs().await.len(), 3);
    assert!(matches!(story.hears("incident.triggered", &other).await, Accepted::Ignored(_)));
}

#[tokio::test]
async fn where_pagerduty_cannot_be_asked_it_is_followed_once_it_can() {
    let story = Story::new().await;
    story.run_ends().await;
    let bigger = story.opens(BIGGER);
    story.pagerduty.fail(Endpoint::Incident, Fault::Status(403), u32::MAX);
    story.merges(&story.alert, &bigger).await;
    story.pass(MINUTE * 5, SECOND * 30).await;
    assert_eq!(story.alert_of(&story.alert).await, story.alert);
    assert!(!story.note_on_alert().contains("RESOLVED"), "the webhook's word is no end of the diagnosis");
    story.pagerduty.mend();
    story.pass(MINUTE * 2, SECOND * 30).await;
    assert_eq!(story.alert_of(&story.alert).await, bigger);
    assert!(story.idle().await);
}

#[tokio::test]
async fn it_is_followed_once_though_the_worker_dies() {
    let story = Story::new().await;
    story.run_ends().await;
    let bigger = story.opens(BIGGER);
    story.pagerduty.merge(&story.alert, &bigger, None);
    story.hears("incident.resolved", &story.alert).await;
    story.work_and_die().await;
    story.work().await;
    assert_eq!(story.alert_of(&story.alert).await, bigger);
    assert!(story.idle().await);
}
