use super::*;
use outbound::builds::BuildRecord;
use runbook::alert::Zone;
use runbook::writes::{Outcome, Step, Times, Write};

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

const TIMES: &Times = &Times::JENKINS;

fn az(disk: &Disk) -> BuildRecord {
    BuildRecord::wanted(0, Zone::new("registry-prod-us-south-az1"), disk.clock.now(), Some(3))
}

/// The intent is on disk before anything is sent, and somebody looks after it from then on, whatever becomes of the run.
#[tokio::test]
async fn the_start_of_a_build_is_recorded_with_it_before_and_after() {
    let disk = Disk::new().await;
    let lease = claimed(&disk, "Q1").await;
    let step = async |record: &BuildRecord, step: Step| {
        disk.store.start_build(&lease, record, &step, disk.store.moment(), TIMES).await
    };
    let known = async || disk.store.builds(lease.run_id()).await.unwrap();
    let mut record = az(&disk);
    record.start = step(&record, Step::Begin(0)).await.unwrap();
    assert_eq!((record.start.attempt, record.start.intent), (1, Some(disk.clock.now())));
    assert_eq!(known().await, [record.clone()], "the row and its start");
    assert_eq!((disk.count("writes").await, disk.count("tasks").await), (1, 1));
    // Who did not know of it hears that it is not theirs to send.
    assert_eq!(step(&record, Step::Begin(0)).await.unwrap().intent, None);
    // What nobody settles is settled by a task.
    disk.clock.jump(TIMES.longest_write);
    disk.store.renew().await.unwrap();
    let task = disk.store.claim_task().await.unwrap().expect("it is due");
    assert_eq!((task.kind, task.data.as_str()), (TaskKind::Twin, record.key(lease.run_id()).as_str()));
    record.queue_id = Some(7);
    let name = record.name().unwrap();
    record.start = step(&record, Step::Ended(1, Outcome::Done(name.clone()))).await.unwrap();
    assert_eq!(record.start, Write { attempt: 1, id: Some(name), ..Write::default() });
    assert_eq!(known().await, [record.clone()]);
    assert_eq!(disk.count("tasks").await, 0, "nothing is open");
    lost(disk.store.count_build(task.claim()).await);
    // One that stands is not begun again.
    assert_eq!(step(&record, Step::Begin(1)).await.unwrap(), record.start);
    // Another, since that became too old to count, has a record of its own.
    let again = BuildRecord { nth: 1, ..az(&disk) };
    assert_eq!(step(&again, Step::Begin(0)).await.unwrap().attempt, 1);
    assert_eq!(disk.count("writes").await, 2);
    let others = disk.store.builds_of_all(disk.clock.now()).await.unwrap();
    assert_eq!(others, [BuildRecord { start: Write::default(), ..again }]);
}

/// A row of a version that kept no ledger of starts.
#[tokio::test]
async fn a_build_of_an_older_version_is_in_doubt_until_it_is_looked_for() {
    let disk = Disk::new().await;
    let lease = claimed(&disk, "Q1").await;
    let old = r#"{"reading":0,"zone":"registry-prod-us-south-az1","asked_at":"2026-08-20T02:59:00Z","queue_id":null,
        "number":null,"shared":false,"ended_at":null,"failed":null,"above":3}"#;
    sqlx::query("INSERT INTO builds (run_id, reading, zone, record) VALUES ($1, 0, 'registry-prod-us-south-az1', $2)")
        .bind(lease.run_id())
        .bind(old)
        .execute(&disk.store.pool)
        .await
        .unwrap();
    let mut record = disk.store.builds(lease.run_id()).await.unwrap().remove(0);
    assert_eq!(record.start, Write::default());
    record.start = record.start_by_itself();
    assert_eq!((record.start.attempt, record.start.intent), (1, Some(record.asked_at)));
    let found = Step::Found("item 7".into());
    let write = disk.store.start_build(&lease, &record, &found, disk.store.moment(), TIMES).await.unwrap();
    assert_eq!((write.id.as_deref(), write.doubt, write.attempt), (Some("item 7"), None, 1));
    // One whose item or number is known stands.
    let known = BuildRecord { number: Some(5), ..record };
    assert_eq!(known.start_by_itself().id.as_deref(), Some("build 5"));
}

#[tokio::test]
async fn a_build_that_nobody_asked_for_any_more_counts_while_it_is_looked_at() {
    let disk = Disk::new().await;
    let task = NewTask {
        kind: TaskKind::Twin,
        incident_id: "Q1".into(),
        run_id: None,
        mark: "build".into(),
        data: String::new(),
        after: Duration::ZERO,
    };
    disk.store.add_task(&task).await.unwrap();
    let task = disk.store.claim_task().await.unwrap().unwrap();
    let run = claimed(&disk, "Q1").await;
    disk.store.count_build(task.claim()).await.unwrap();
    disk.store.count_build(task.claim()).await.unwrap();
    assert!(!disk.store.want_build(run.claim(), 1).await.unwrap());
    assert!(disk.store.want_build(run.claim(), 2).await.unwrap(), "it is one");
    disk.store.end_build(run.claim()).await.unwrap();
    disk.store.put_off_task(&task, "", Duration::from_secs(5)).await.unwrap();
    assert!(!disk.store.want_build(run.claim(), 1).await.unwrap(), "between two looks too");
    disk.clock.jump(Duration::from_secs(5));
    let task = disk.store.claim_task().await.unwrap().unwrap();
    disk.store.finish_task(&task).await.unwrap();
    assert!(disk.store.want_build(run.claim(), 1).await.unwrap());
}
