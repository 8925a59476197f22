//! What `/metrics` counts in the database: the same for every process that asks.

use super::*;

async fn unacknowledged(store: &Store) -> i64 {
    store.waiting().await.unwrap().unacknowledged
}

/// The alert has a page, opened or joined.
async fn paged(disk: &Disk, incident_id: &str, page: &PageResult<'_>) -> PageOf {
    let run = disk.run(incident_id).await;
    disk.store.request_page(incident_id, &run, None).await.unwrap();
    let lease = disk.store.claim_page_of(incident_id).await.unwrap().unwrap();
    disk.store.finish_page(&lease, page).await.unwrap();
    lease
}

#[tokio::test]
async fn a_page_of_open_alerts_that_nobody_has_acknowledged_is_counted_once_at_every_replica() {
    let disk = Disk::new().await;
    let other = disk.other();
    let opened = PageResult { page: Some(("QPAGE", "https://page")), joined: false, reason: None };
    let joined = PageResult { joined: true, ..opened.clone() };
    let failed = PageResult { page: None, joined: false, reason: Some("refused") };
    let theirs = PageResult { page: Some(("QTHEIRS", "https://theirs")), joined: true, reason: None };
    assert_eq!(unacknowledged(&disk.store).await, 0);
    let run = disk.run("Q1").await;
    disk.store.request_page("Q1", &run, None).await.unwrap();
    assert_eq!(unacknowledged(&disk.store).await, 0, "it is wanted, and not open yet");
    let first = paged(&disk, "Q2", &opened).await;
    paged(&disk, "Q3", &joined).await;
    let theirs = paged(&disk, "Q4", &theirs).await;
    paged(&disk, "Q5", &failed).await;
    for store in [&disk.store, &other] {
        assert_eq!(unacknowledged(store).await, 2, "one that two alerts share, and one that somebody else has opened");
    }
    disk.store.set_acknowledged(first.alert(), "Q2", "QPAGE", disk.clock.now(), "Earline").await.unwrap();
    for store in [&disk.store, &other] {
        assert_eq!(unacknowledged(store).await, 1);
    }
    disk.store.set_resolved("Q4", Some(disk.clock.now())).await.unwrap();
    assert_eq!(unacknowledged(&disk.store).await, 0, "its alert is over: {theirs:?}");
}

#[tokio::test]
async fn the_last_good_look_for_open_alerts_is_known_to_all_and_over_restarts() {
    let disk = Disk::new().await;
    disk.store.begin_watches(&[Watch::Reconcile]).await.unwrap();
    assert_eq!(disk.store.waiting().await.unwrap().reconciled, 0, "none yet");
    let lease = disk.store.claim_watch(&[Watch::Reconcile]).await.unwrap().unwrap();
    let at = disk.clock.now().as_second();
    disk.store.reconciled(&lease).await.unwrap();
    disk.clock.jump(Duration::from_secs(90));
    assert_eq!(disk.other().waiting().await.unwrap().reconciled, at);
    let disk = disk.restarted().await;
    assert_eq!(disk.store.waiting().await.unwrap().reconciled, at);
    disk.store.begin_watches(&[Watch::Reconcile]).await.unwrap();
    disk.clock.jump(LEASE * 2);
    let lease = disk.store.claim_watch(&[Watch::Reconcile]).await.unwrap().unwrap();
    disk.store.reconciled(&lease).await.unwrap();
    assert_eq!(disk.store.waiting().await.unwrap().reconciled, disk.clock.now().as_second());
}
