//! Follow-ups (lifecycle.md#looking-again) and the wait for pages that opened midway (lifecycle.md#before-the-note).

use runbook::run::Trigger;
use simulators::pagerduty::{Endpoint, Fault};

use super::*;

const PUBLIC: &str = "All Public endpoints down in prod-us-south";

async fn follow_up(story: &Story) {
    let run = story.run_ends().await;
    story.tell(Input::MayChange { run_id: run, after: MINUTE * 10 }).await;
}

#[tokio::test]
async fn at_most_three_follow_ups_counted_from_the_last_command() {
    let story = Story::new().await;
    for n in 2..=4 {
        follow_up(&story).await;
        story.work().await;
        assert_eq!(story.runs().await.len(), n - 1, "not before it is due");
        story.clock.jump(MINUTE * 10);
        story.work().await;
        let runs = story.runs().await;
        assert_eq!((runs.len(), runs[0].trigger), (n, Trigger::FollowUp));
    }
    follow_up(&story).await;
    story.clock.jump(MINUTE * 10);
    story.work().await;
    assert_eq!(story.runs().await.len(), 4);
    story.writes("/rerun").await;
    story.work().await;
    follow_up(&story).await;
    story.clock.jump(MINUTE * 10);
    story.work().await;
    assert_eq!(story.runs().await.len(), 6, "a person's word counts them again");
}

#[tokio::test]
async fn a_follow_up_is_made_once_though_the_worker_dies() {
    let story = Story::new().await;
    follow_up(&story).await;
    story.clock.jump(MINUTE * 10);
    story.work_and_die().await;
    story.run_ends().await;
    story.work().await;
    assert_eq!(story.runs().await.len(), 2);
    assert_eq!(story.context.store.alert(&story.alert).await.unwrap().unwrap().follow_ups, 1);
}

#[tokio::test]
async fn no_follow_up_of_what_is_over_or_was_looked_at_since() {
    let story = Story::new().await;
    follow_up(&story).await;
    story.writes("/rerun").await;
    story.work().await;
    story.clock.jump(MINUTE * 10);
    story.work().await;
    assert_eq!(story.runs().await.len(), 2, "the rerun is active");
    follow_up(&story).await;
    story.pagerduty.resolve(&story.alert, None);
    story.clock.jump(MINUTE * 10);
    story.work().await;
    assert_eq!(story.runs().await.len(), 2);
    assert!(story.idle().await);
}

#[tokio::test]
async fn once_the_pages_have_been_closed_for_a_while_it_is_diagnosed_again() {
    let story = Story::new().await;
    let run = story.run_ends().await;
    let page = story.pagerduty.open(Opening::new(PUBLIC, Setup::REGISTRY)).id;
    story.tell(Input::Explained { run_id: run, after: SECOND * 30 }).await;
    story.pass(MINUTE * 5, SECOND * 10).await;
    assert_eq!(story.runs().await.len(), 1, "it is open");
    story.pagerduty.resolve(&page, None);
    story.pass(SECOND * 90, SECOND * 10).await;
    // It opens again within the time to settle.
    story.pagerduty.reopen(&page, None);
    story.pass(MINUTE, SECOND * 10).await;
    story.pagerduty.resolve(&page, None);
    story.pass(SECOND * 110, SECOND * 10).await;
    assert_eq!(story.runs().await.len(), 1, "not closed for long enough");
    story.pass(SECOND * 60, SECOND * 10).await;
    let runs = story.runs().await;
    assert_eq!((runs.len(), runs[0].trigger), (2, Trigger::RelatedResolved));
    assert!(story.idle().await);
}

#[tokio::test]
async fn a_related_resolved_run_is_made_once_though_the_worker_dies_and_none_of_what_is_over() {
    let story = Story::new().await;
    let run = story.run_ends().await;
    story.tell(Input::Explained { run_id: run, after: Duration::ZERO }).await;
    story.pass(MINUTE, SECOND * 30).await;
    story.clock.jump(MINUTE * 2);
    story.work_and_die().await;
    let second = story.run_ends().await;
    story.work().await;
    assert_eq!(story.runs().await.len(), 2);
    story.tell(Input::Explained { run_id: second, after: Duration::ZERO }).await;
    story.pagerduty.resolve(&story.alert, None);
    story.pass(MINUTE * 5, SECOND * 30).await;
    assert_eq!(story.runs().await.len(), 2);
    assert!(story.idle().await);
}

#[tokio::test]
async fn what_is_not_known_ends_no_wait_and_a_day_does() {
    let story = Story::new().await;
    let run = story.run_ends().await;
    story.tell(Input::Explained { run_id: run, after: Duration::ZERO }).await;
    story.pagerduty.fail(Endpoint::Incidents, Fault::Status(403), u32::MAX);
    story.pass(MINUTE * 10, SECOND * 30).await;
    assert_eq!(story.runs().await.len(), 1);
    story.clock.jump(MINUTE * 60 * 24);
    story.work().await;
    story.pagerduty.mend();
    assert!(story.idle().await, "it is given up");
    assert_eq!(story.runs().await.len(), 1);
}
