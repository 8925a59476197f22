use super::*;

const MOST: usize = 2;

async fn claimed(disk: &Disk, incident: &str) -> Lease {
    disk.run(incident).await;
    disk.store.claim_run().await.unwrap().unwrap()
}

#[tokio::test]
async fn builds_are_counted_over_all_that_want_one_until_they_end_or_what_wants_them_does() {
    let disk = Disk::new().await;
    let want = async |claim: &Claim| disk.store.want_build(claim, MOST).await.unwrap();
    let first = claimed(&disk, "Q1").await;
    let second = claimed(&disk, "Q2").await;
    let third = claimed(&disk, "Q3").await;
    assert!(want(first.claim()).await && want(second.claim()).await);
    assert!(!want(third.claim()).await, "two run");
    assert!(want(first.claim()).await, "it has one, and is not counted twice");
    disk.store.end_build(second.claim()).await.unwrap();
    assert!(want(third.claim()).await && !want(second.claim()).await);
    // A run's end, whatever it is, takes its build along.
    disk.store.finish_run(&first, &Finish::Cancelled("over".into())).await.unwrap();
    assert!(want(second.claim()).await && !want(claimed(&disk, "Q4").await.claim()).await);
    // So does its wait for other pages to close.
    disk.store.park_run(&third, disk.clock.now(), None, None, Duration::from_secs(60)).await.unwrap();
    assert!(want(claimed(&disk, "Q5").await.claim()).await);
}

/// Its build runs on in Jenkins.
#[tokio::test]
async fn the_build_of_a_run_whose_worker_died_or_stopped_counts_until_another_is_done_with_it() {
    let disk = Disk::new().await;
    let dead = claimed(&disk, "Q1").await;
    let stopped = claimed(&disk, "Q2").await;
    for lease in [&dead, &stopped] {
        assert!(disk.store.want_build(lease.claim(), MOST).await.unwrap());
    }
    disk.store.release_run(&stopped, Duration::from_secs(3600)).await.unwrap();
    let disk = disk.restarted().await;
    disk.clock.jump(LEASE * 10);
    let again = disk.store.claim_run().await.unwrap().unwrap();
    assert_eq!(again.run_id(), dead.run_id());
    let other = claimed(&disk, "Q3").await;
    assert!(!disk.store.want_build(other.claim(), MOST).await.unwrap());
    // Who had it before has no say.
    lost(disk.store.end_build(dead.claim()).await);
    lost(disk.store.want_build(dead.claim(), MOST).await);
    assert!(disk.store.want_build(again.claim(), MOST).await.unwrap(), "it goes on with its own");
    disk.store.end_build(again.claim()).await.unwrap();
    assert!(disk.store.want_build(other.claim(), MOST).await.unwrap());
}

#[tokio::test]
async fn a_canary_that_nobody_takes_any_more_keeps_no_build() {
    let disk = Disk::new().await;
    disk.store.begin_watches(&[Watch::Canary]).await.unwrap();
    let canary = disk.store.claim_watch(&[Watch::Canary]).await.unwrap().unwrap();
    assert!(disk.store.want_build(canary.claim(), 1).await.unwrap());
    disk.store.put_off_watch(&canary, Duration::ZERO).await.unwrap();
    let run = claimed(&disk, "Q1").await;
    disk.store.begin_watches(&[Watch::Canary, Watch::Reconcile]).await.unwrap();
    assert!(!disk.store.want_build(run.claim(), 1).await.unwrap(), "whoever takes it up goes on with its build");
    disk.store.begin_watches(&[Watch::Reconcile]).await.unwrap();
    assert!(disk.store.want_build(run.claim(), 1).await.unwrap());
}

/// Its settings may have changed in every process, or whoever had it may have died.
#[tokio::test]
async fn a_canary_that_is_long_due_and_that_nobody_holds_keeps_no_build() {
    let disk = Disk::new().await;
    disk.store.begin_watches(&[Watch::Canary]).await.unwrap();
    let canary = disk.store.claim_watch(&[Watch::Canary]).await.unwrap().unwrap();
    assert!(disk.store.want_build(canary.claim(), 1).await.unwrap());
    let run = claimed(&disk, "Q1").await;
    disk.clock.jump(Duration::from_secs(120));
    disk.store.renew().await.unwrap();
    assert!(!disk.store.want_build(run.claim(), 1).await.unwrap(), "it is held");
    disk.store.spoil("UPDATE work SET owner = 'dead' WHERE kind = 'watch'").await;
    assert!(disk.store.want_build(run.claim(), 1).await.unwrap());
}
