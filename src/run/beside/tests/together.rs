//! Several things at once for one alert: what hangs, or can't be read, is in nobody's way.

use std::time::Instant;

use runbook::life::PageWatch;
use runbook::run::Trigger;
use simulators::pagerduty::{Endpoint, Fault};
use store::AlertLease;

use super::*;

impl Story {
    async fn claim_alert(&self) -> AlertLease {
        self.context.store.claim_alert().await.unwrap().expect("it is due")
    }

    /// Works on the alert until this holds; what it is at then is cut off.
    async fn works_until(&self, lease: &AlertLease, what: &str, holds: impl AsyncFn() -> bool) {
        let reached = async {
            let begun = Instant::now();
            while !holds().await {
                assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            turn = turn(&self.context, lease) => panic!("it hangs: {turn:?}"),
            () = reached => {}
        }
    }

    fn looks_at(&self, id: &str) -> usize {
        let path = format!("/incidents/{id}");
        self.pagerduty.requests().iter().filter(|request| request.method == "GET" && request.path == path).count()
    }
}

#[tokio::test]
async fn an_answer_that_hangs_keeps_no_follow_up_waiting() {
    let story = Story::new().await;
    let run = story.run_ends().await;
    story.pagerduty.fail(Endpoint::AddNote, Fault::Hang, u32::MAX);
    story.writes("/status").await;
    story.tell(Input::MayChange { run_id: run, after: Duration::ZERO }).await;
    let lease = story.claim_alert().await;
    story.works_until(&lease, "the follow-up", async || story.runs().await.len() == 2).await;
    assert_eq!(story.runs().await[0].trigger, Trigger::FollowUp);
}

/// The page is looked at again when that is due, though another thing of the alert hangs since before.
#[tokio::test]
async fn what_hangs_makes_no_old_look_count() {
    let story = Story::new().await;
    let run = story.run_ends().await;
    let page = story.pagerduty.open(Opening::new("SE page", Setup::SERVICE_ENDPOINT)).id;
    story.pagerduty.fail(Endpoint::AddNote, Fault::Hang, u32::MAX);
    story.writes("/status").await;
    let watch = PageWatch::new(&story.alert, &run, &page, &page_url(&page), story.clock.now());
    story.tell(Input::Paged(watch)).await;
    story.clock.jump(SECOND * 2);
    let lease = story.claim_alert().await;
    story
        .works_until(&lease, "looks at the page", async || {
            let looks = story.looks_at(&page);
            story.clock.jump(SECOND * 16);
            looks >= 3
        })
        .await;
}

/// lifecycle.md#commands: what another replica stores meanwhile is obeyed within a second.
#[tokio::test]
async fn what_comes_while_something_hangs_is_seen_to_at_once() {
    let story = Story::new().await;
    story.run_ends().await;
    story.pagerduty.fail(Endpoint::AddNote, Fault::Hang, u32::MAX);
    story.writes("/status").await;
    let lease = story.claim_alert().await;
    let held = async || story.context.store.alert(&story.alert).await.unwrap().unwrap().held_by.is_some();
    let (begun, said) = (Instant::now(), std::cell::Cell::new(false));
    story
        .works_until(&lease, "the hold", async || {
            if begun.elapsed() > Duration::from_millis(300) && !said.replace(true) {
                story.writes("/hold").await;
            }
            held().await
        })
        .await;
}

/// What its run has kept can't be read: the wait for related pages ends, and says so; the rest is done.
#[tokio::test]
async fn what_can_not_be_read_ends_what_needs_it_only() {
    let story = Story::new().await;
    let run = story.run_ends().await;
    story.context.store.spoil("UPDATE runs SET facts = '{'").await;
    story.tell(Input::Explained { run_id: run, after: Duration::ZERO }).await;
    story.writes("/hold").await;
    story.work().await;
    once(&story.said(), "Automatic paging is on hold for prod-us-south");
    assert!(story.idle().await);
}
