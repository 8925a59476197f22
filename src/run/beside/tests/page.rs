//! The watch over a page. lifecycle.md#the-page.

use runbook::life::PageWatch;

use super::*;

/// An alert whose page is open and watched; with the page's id.
async fn watched(settings: &[(&'static str, &'static str)]) -> (Story, String) {
    let story = Story::with(settings).await;
    let run = story.run_ends().await;
    story.context.store.request_page(&story.alert, &run, Some("olivia")).await.unwrap();
    let page = story.page_ends(None).await.unwrap();
    let watch = PageWatch::new(&story.alert, &run, &page, &page_url(&page), story.clock.now());
    story.tell(Input::Paged(watch)).await;
    (story, page)
}

/// lifecycle.md#the-page: that somebody has acknowledged it is one short note.
#[tokio::test]
async fn who_acknowledges_is_said_once_though_the_worker_dies() {
    let (story, page) = watched(&[]).await;
    story.pass(MINUTE * 2, SECOND * 15).await;
    assert_eq!(story.said().len(), 1, "the diagnosis only");
    story.pagerduty.acknowledge(&page, Setup::ENGINEER);
    story.clock.jump(SECOND * 15);
    story.work_and_die().await;
    story.work().await;
    once(&story.said(), "Page acknowledged for prod-us-south, after 2 min, by Earline Greenholt");
    let kept = story.context.store.page(&story.alert).await.unwrap().unwrap();
    assert_eq!(kept.acknowledged.map(|(_, by)| by).as_deref(), Some("Earline Greenholt"));
    assert!(story.idle().await);
}

/// PagerDuty tells whole seconds: by its word the page was taken before the alert was diagnosed.
#[tokio::test]
async fn who_acknowledges_at_once_is_shown_among_what_came_after() {
    let story = Story::with(&[]).await;
    story.clock.jump(Duration::from_millis(700));
    let run = story.run_ends().await;
    story.context.store.request_page(&story.alert, &run, None).await.unwrap();
    let page = story.page_ends(None).await.unwrap();
    let watch = PageWatch::new(&story.alert, &run, &page, &page_url(&page), story.clock.now());
    story.tell(Input::Paged(watch)).await;
    story.pagerduty.acknowledge(&page, Setup::ENGINEER);
    story.pass(SECOND * 2, SECOND).await;
    let shown = story.context.store.run(&run).await.unwrap().unwrap().activity;
    assert!(shown.iter().any(|done| done.what == "acknowledged the page"), "{shown:#?}");
}

/// lifecycle.md#the-page: that nobody has acknowledged it within `PAGE_ACK_WAIT` is one short note.
#[tokio::test]
async fn silence_is_a_short_note_once_and_the_watch_goes_on() {
    let (story, page) = watched(&[("PAGE_ACK_WAIT", "5m")]).await;
    story.pass(MINUTE * 4 + SECOND * 50, SECOND * 5).await;
    assert_eq!(story.said().len(), 1);
    story.pass(SECOND * 10, SECOND * 5).await;
    once(&story.said(), "NOBODY HAS ACKNOWLEDGED");
    once(&story.said(), "5 min");
    story.pass(MINUTE * 30, SECOND * 30).await;
    once(&story.said(), "NOBODY HAS ACKNOWLEDGED");
    story.pagerduty.acknowledge(&page, Setup::ENGINEER);
    story.pass(MINUTE * 2, SECOND * 30).await;
    once(&story.said(), "Page acknowledged");
    assert!(story.idle().await);
}

#[tokio::test]
async fn the_watch_ends_with_the_page_the_alert_or_the_day() {
    let (story, page) = watched(&[]).await;
    story.pagerduty.resolve(&page, None);
    story.pass(MINUTE * 20, MINUTE).await;
    assert_eq!(story.said().len(), 1);
    assert!(story.idle().await);

    let (story, _) = watched(&[]).await;
    story.pagerduty.resolve(&story.alert, None);
    story.told("incident.resolved").await;
    story.pass(MINUTE * 20, MINUTE).await;
    assert!(!story.said().iter().any(|line| line.contains("ACKNOWLEDGED")), "{:#?}", story.said());
    assert!(story.idle().await);

    let (story, _) = watched(&[]).await;
    story.pass(MINUTE * 11, MINUTE).await;
    story.clock.jump(MINUTE * 60 * 24);
    story.work().await;
    assert!(story.idle().await);
}

#[tokio::test]
async fn a_page_that_was_merged_is_followed() {
    let (story, page) = watched(&[]).await;
    let other = story.pagerduty.open(Opening::new("SE is down", Setup::SERVICE_ENDPOINT)).id;
    story.pagerduty.merge(&page, &other, None);
    story.pass(MINUTE, SECOND * 15).await;
    story.pagerduty.acknowledge(&other, Setup::ENGINEER);
    story.pass(MINUTE, SECOND * 15).await;
    once(&story.said(), "Page acknowledged");
}
