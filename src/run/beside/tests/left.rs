//! What an older version has left to do, as tasks of its own.

use runbook::run::Trigger;
use store::{NewTask, PageState, TaskKind};

use super::*;

impl Story {
    async fn left(&self, kind: TaskKind, run_id: Option<&str>, mark: &str, data: String) {
        let task = NewTask {
            kind,
            incident_id: self.alert.clone(),
            run_id: run_id.map(str::to_owned),
            mark: mark.to_owned(),
            data,
            after: Duration::ZERO,
        };
        self.context.store.add_task(&task).await.unwrap();
    }
}

#[tokio::test]
async fn a_follow_up_and_a_wait_for_related_pages_are_gone_on_with() {
    let story = Story::new().await;
    let run = story.run_ends().await;
    story.left(TaskKind::FollowUp, Some(&run), "", String::new()).await;
    story.work().await;
    let runs = story.runs().await;
    assert_eq!((runs.len(), runs[0].trigger), (2, Trigger::FollowUp));
    let second = story.run_ends().await;
    story.left(TaskKind::RelatedResolved, Some(&second), "", r#"{"since":null,"closed_since":null}"#.to_owned()).await;
    story.pass(MINUTE * 3, SECOND * 10).await;
    assert_eq!(story.runs().await[0].trigger, Trigger::RelatedResolved);
    assert!(story.idle().await);
}

#[tokio::test]
async fn a_page_is_watched_on_and_what_was_said_of_it_is_not_said_again() {
    let story = Story::new().await;
    let run = story.run_ends().await;
    story.context.store.request_page(&story.alert, &run, Some("olivia")).await.unwrap();
    let page = story.page_ends(None).await.unwrap();
    let data =
        serde_json::json!({"page_id": page, "page_url": page_url(&page), "since": story.clock.now(), "said": true});
    story.left(TaskKind::WatchPage, Some(&run), "", data.to_string()).await;
    story.pass(MINUTE * 30, SECOND * 30).await;
    assert!(!story.said().iter().any(|line| line.contains("NOBODY")), "{:#?}", story.said());
    story.pagerduty.acknowledge(&page, Setup::ENGINEER);
    story.pass(MINUTE * 2, SECOND * 30).await;
    once(&story.said(), "Page acknowledged");
    assert!(story.idle().await);
}

#[tokio::test]
async fn a_command_is_obeyed_and_until_then_a_hold_holds() {
    let story = Story::new().await;
    story.run_ends().await;
    let note = story.pagerduty.annotate(&story.alert, Setup::ENGINEER, "/hold").unwrap();
    let command = serde_json::json!({"event_id": format!("{}:hold", note.id), "word": "hold", "said": "/hold",
        "user_id": "PENGINR", "user": "Earline Greenholt", "at": story.clock.now(), "refused_since": null});
    story.left(TaskKind::Command, None, &format!("{}:hold", note.id), command.to_string()).await;
    let held_by = || async { story.context.store.held_by(&story.alert, &[]).await.unwrap() };
    assert_eq!(held_by().await.as_deref(), Some("somebody"));
    story.work().await;
    assert_eq!(held_by().await.as_deref(), Some("Earline Greenholt"));
    once(&story.said(), "Automatic paging is on hold for prod-us-south");
    assert!(story.idle().await);
}

#[tokio::test]
async fn an_end_is_told_and_what_can_not_be_read_is_given_up() {
    let story = Story::new().await;
    let run = story.run_ends().await;
    story.context.store.request_page(&story.alert, &run, Some("olivia")).await.unwrap();
    let page = story.page_ends(None).await.unwrap();
    assert_eq!(story.context.store.page(&story.alert).await.unwrap().unwrap().state, PageState::Paged);
    story.clock.jump(MINUTE * 40);
    story.pagerduty.resolve(&story.alert, None);
    story.context.store.spoil("UPDATE alerts SET resolved_at = 1").await;
    story.left(TaskKind::Resolution, Some(&run), "", String::new()).await;
    story.left(TaskKind::WatchPage, Some(&run), "", "{".to_owned()).await;
    story.pagerduty.open(Opening::new(TITLE, Setup::REGISTRY));
    story.work().await;
    once(&story.said_on(&page), "RESOLVED");
    assert!(story.idle().await);
}
