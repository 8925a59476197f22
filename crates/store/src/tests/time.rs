//! Service time never goes back, whatever is done to the machine's clock.

use jiff::SignedDuration;

use super::*;

/// lifecycle.md#crashes-clocks-replicas: killed, and started again with a clock that went back.
#[tokio::test]
async fn what_a_killed_process_left_is_due_though_the_clock_went_back() {
    for back in [SignedDuration::from_mins(20), SignedDuration::from_hours(2), SignedDuration::from_hours(24 * 366)] {
        let disk = Disk::new().await;
        disk.store.set_time().await.unwrap();
        let reached = disk.clock.now();
        let run = disk.run("Q1").await;
        let lease = disk.store.claim_run().await.unwrap().unwrap();
        disk.store.check_claim(lease.claim()).await.unwrap();
        disk.store.request_page("Q1", &run, Some("somebody")).await.unwrap();
        disk.store.claim_page().await.unwrap().unwrap();
        disk.run("Q2").await;
        let url = disk.url.clone();
        let DiskOn { store, folder, .. } = disk;
        // Killed: nothing is given back.
        store.pool.close().await;
        drop(store);
        let clock = ManualClock::at(reached - back);
        let store = Store::open(&url, clock.clone()).await.unwrap();
        store.set_time().await.unwrap();
        assert_eq!((clock.now(), clock.ahead(), clock.wall()), (reached, back, reached - back));
        for _ in ["Q1", "Q2"] {
            store.claim_run().await.unwrap().expect("a run that is due");
        }
        store.claim_page().await.unwrap().expect("a page that is due");
        drop(folder);
    }
}

/// lifecycle.md#crashes-clocks-replicas: also with a clock that went forth.
#[tokio::test]
async fn a_clock_that_went_forth_is_followed_and_set_right_again_nothing_stands_still() {
    let disk = Disk::new().await;
    let day = SignedDuration::from_hours(24);
    let right = disk.clock.now();
    disk.clock.set(right + day, right + day);
    disk.store.set_time().await.unwrap();
    disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    disk.store.release_run(&lease, Duration::from_secs(5)).await.unwrap();
    let disk = disk.restarted().await;
    disk.clock.set(right, right);
    disk.store.set_time().await.unwrap();
    assert_eq!((disk.clock.now(), disk.clock.ahead()), (right + day, day));
    disk.clock.jump(Duration::from_secs(5));
    assert!(disk.store.claim_run().await.unwrap().is_some());
    // The time comes where it had been: it goes on by the clock.
    let disk = disk.restarted().await;
    let later = right + day + day;
    disk.clock.set(later, later);
    disk.store.set_time().await.unwrap();
    assert_eq!((disk.clock.now(), disk.clock.ahead()), (later, SignedDuration::ZERO));
}

#[tokio::test]
async fn ids_rise_though_the_clock_went_back_right_after_a_run_was_made() {
    let disk = Disk::new().await;
    disk.store.set_time().await.unwrap();
    disk.run("Q1").await;
    sqlx::query("UPDATE runs SET id = '019f9a4a-7a00-762a-bf95-9d4254c5d8a3'").execute(&disk.store.pool).await.unwrap();
    let made = jiff::Timestamp::from_second(1_785_000_000).unwrap();
    // The time was noted some seconds before.
    sqlx::query("UPDATE service_time SET reached = $1")
        .bind(made.as_millisecond() - 9_000)
        .execute(&disk.store.pool)
        .await
        .unwrap();
    let disk = disk.restarted().await;
    let back = made - SignedDuration::from_hours(2);
    disk.clock.set(back, back);
    disk.store.set_time().await.unwrap();
    assert_eq!(disk.clock.now(), made);
}
