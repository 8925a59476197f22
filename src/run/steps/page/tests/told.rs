//! What a page comes to is told of after something else has happened.

use super::*;
use crate::run::tasks;
use store::Finish;

impl Bench {
    /// Does what is due beside the runs.
    async fn tasks(&self) {
        self.clock.jump(Duration::from_secs(5));
        while let Some(lease) = self.context.store.claim_alert().await.unwrap() {
            if let Some(rest) = beside::turn(&self.context, &lease).await.unwrap() {
                rest.keep(&self.context, &lease).await.unwrap();
            }
        }
        while let Some(task) = self.context.store.claim_task().await.unwrap() {
            let done = tasks::drive(&self.context, &task).await.unwrap();
            tasks::end(&self.context.store, &task, &done).await.unwrap();
        }
    }
}

/// Its worker was cut off between the page and telling of it; meanwhile the alert has ended, and its note says so.
#[tokio::test]
async fn a_page_that_is_told_of_after_the_alerts_end_leaves_its_note_resolved() {
    let bench = Bench::new().await;
    let (run, lease) = bench.wanted_for(&bench.alert.clone(), Some("olivia")).await;
    bench.context.store.finish_run(&run, &Finish::Done).await.unwrap();
    let page = bench.account.open(Opening::new("SE page", Setup::SERVICE_ENDPOINT)).id;
    let url = format!("https://sim.pagerduty.com/incidents/{page}");
    let result = PageResult { page: Some((&page, &url)), joined: false, reason: None };
    bench.context.store.finish_page(&lease, &result).await.unwrap();
    bench.account.resolve(&bench.alert, None);
    bench.context.store.set_resolved(&bench.alert, None).await.unwrap();
    bench.context.store.release_page(&lease, Duration::ZERO).await.unwrap();
    bench.tasks().await;
    bench.clock.jump(Duration::from_secs(60));
    bench.tasks().await;
    let note = || bench.notes_on(&bench.alert).remove(0);
    assert!(note().starts_with("RESOLVED after "), "{}", note());

    bench.context.store.spoil("UPDATE pages SET told = 0").await;
    bench.context.store.tell_alert(&bench.alert, Input::PageWanted(bench.alert.clone())).await.unwrap();
    bench.tasks().await;
    bench.clock.jump(Duration::from_secs(60));
    bench.tasks().await;
    let note = note();
    assert!(note.starts_with("RESOLVED after ") && note.contains(&url), "{note}");
}

/// lifecycle.md#the-alert-ends: what holds the page is told over what the note said of the alert's end.
#[tokio::test]
async fn a_page_that_is_held_after_the_alerts_end_leaves_its_note_resolved() {
    let bench = Bench::new().await;
    let (run, lease) = bench.wanted_for(&bench.alert.clone(), None).await;
    bench.context.store.finish_run(&run, &Finish::Done).await.unwrap();
    // The end is told first.
    bench.context.store.spoil("DELETE FROM pages").await;
    bench.account.resolve(&bench.alert, None);
    bench.context.store.set_resolved(&bench.alert, None).await.unwrap();
    bench.context.store.release_page(&lease, Duration::ZERO).await.unwrap();
    let works = async || {
        bench.tasks().await;
        bench.clock.jump(Duration::from_secs(60));
        bench.tasks().await;
    };
    works().await;
    let note = || bench.notes_on(&bench.alert).remove(0);
    assert!(note().starts_with("RESOLVED after "), "{}", note());

    bench.context.store.request_page(&bench.alert, run.run_id(), None).await.unwrap();
    works().await;
    assert_eq!(bench.shown().await.escalation.state, EscalationState::Held);
    assert!(note().starts_with("RESOLVED after "), "{}", note());
    assert!(bench.account.pages().is_empty());
}
