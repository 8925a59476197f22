//! Runs that are made already claimed, for the worker of the process that makes them.

use super::*;

fn event<'e>(id: &'e str, incident_id: &'e str) -> NewEvent<'e> {
    NewEvent { id, event_type: "incident.triggered", incident_id: Some(incident_id), body: "{}" }
}

async fn accept(store: &Store, incident_id: &str) -> String {
    let id = format!("E{incident_id}");
    let follow = Ok(Follow::Start(NewRun { reopened: true, ..run_of(incident_id) }));
    match store.accept(event(&id, incident_id), follow).await.unwrap() {
        Accepted::Run(id) => id,
        other => panic!("{other:?}"),
    }
}

/// What the worker is handed, by run.
fn taken(taker: &Taker) -> Vec<Lease> {
    taker.take().map(|made| made.runs).unwrap_or_default()
}

fn ids(runs: &[Lease]) -> Vec<&str> {
    runs.iter().map(Lease::run_id).collect()
}

async fn claimed(store: &Store) -> Option<String> {
    store.claim_run().await.unwrap().map(|lease| lease.run_id().to_owned())
}

#[tokio::test]
async fn what_is_made_where_a_worker_has_room_is_its_own_and_the_rest_anybodys() {
    let disk = Disk::new().await;
    let other = disk.other();
    let taker = disk.store.taker();
    taker.offer(2);
    let first = accept(&disk.store, "Q1").await;
    let Created::Now(Reply::Started(second)) = disk.store.create_run(&run_of("Q2"), None).await.unwrap() else {
        panic!()
    };
    let third = accept(&disk.store, "Q3").await;
    let states = [disk.state(&first).await, disk.state(&second).await, disk.state(&third).await];
    assert_eq!(states, [State::Running, State::Running, State::Queued]);
    assert_eq!(claimed(&other).await.as_ref(), Some(&third));
    assert_eq!(claimed(&other).await, None);
    let runs = taken(&taker);
    assert_eq!(ids(&runs), [&first, &second]);
    for lease in &runs {
        assert_eq!((lease.attempt(), lease.crashes(), lease.spent()), (1, 0, Duration::ZERO));
        let step = disk.store.begin_step(lease, "one").await.unwrap();
        disk.store.end_step(lease, step, None, None, &[]).await.unwrap();
    }
    assert!(taker.take().is_none(), "once");
    // The lease began with the commit: who is killed before it works on them loses them when that is over.
    disk.clock.jump(LEASE - Duration::from_millis(1));
    assert_eq!(claimed(&other).await, None);
    disk.clock.jump(Duration::from_millis(1));
    let again = other.claim_run().await.unwrap().expect("its lease is over");
    assert_eq!((again.attempt(), again.crashes(), again.spent()), (2, 1, LEASE));
    let lost_run = runs.iter().find(|lease| lease.run_id() == again.run_id()).unwrap();
    lost(disk.store.begin_step(lost_run, "two").await);
}

#[tokio::test]
async fn where_no_worker_can_begin_it_a_run_is_made_free() {
    let disk = Disk::new().await;
    let other = disk.other();
    let is_free = async |incident_id: &str| {
        let id = accept(&disk.store, incident_id).await;
        assert_eq!(disk.state(&id).await, State::Queued, "{incident_id}");
        let lease = other.claim_run().await.unwrap().expect("it is free");
        assert_eq!((lease.run_id(), lease.attempt()), (id.as_str(), 1));
    };
    is_free("Q1").await;
    let taker = disk.store.taker();
    is_free("Q2").await;
    taker.offer(5);
    taker.offer(0);
    is_free("Q3").await;
    taker.offer(5);
    taker.close();
    is_free("Q4").await;
    let taker = disk.store.taker();
    taker.offer(5);
    drop(taker);
    is_free("Q5").await;
    // Another process is none of ours.
    let taker = other.taker();
    taker.offer(5);
    is_free("Q6").await;
}

/// What is on its way has its place already.
#[tokio::test]
async fn no_more_are_made_claimed_than_can_be_begun() {
    let disk = Disk::new().await;
    let taker = disk.store.taker();
    taker.offer(3);
    let all: Vec<String> = (0..20).map(|n| format!("Q{n}")).collect();
    futures::future::join_all(all[..10].iter().map(|incident| accept(&disk.store, incident))).await;
    taker.offer(3);
    futures::future::join_all(all[10..].iter().map(|incident| accept(&disk.store, incident))).await;
    assert_eq!(taken(&taker).len(), 3);
    taker.offer(2);
    accept(&disk.store, "Q20").await;
    assert_eq!(taken(&taker).len(), 1);
}

#[tokio::test]
async fn events_of_one_alert_that_are_stored_together_make_one_claimed_run() {
    let disk = Disk::new().await;
    let taker = disk.store.taker();
    taker.offer(10);
    let locked = disk.store.write("deciding for long").await.unwrap();
    let start = |again| Ok(Follow::Start(NewRun { reopened: again, ..run_of("Q1") }));
    let over = || Ok(Follow::AlertResolved { incident_id: "Q1".into(), at: None });
    let (first, again, reopened, resolved, ()) = tokio::join!(
        disk.store.accept(event("E1", "Q1"), start(false)),
        disk.store.accept(event("E2", "Q1"), start(false)),
        disk.store.accept(event("E3", "Q1"), start(true)),
        disk.store.accept(event("E4", "Q1"), over()),
        async {
            tokio::task::yield_now().await;
            drop(locked);
        }
    );
    let Accepted::Run(id) = first.unwrap() else { panic!() };
    for ignored in [again, reopened] {
        assert!(matches!(ignored.unwrap(), Accepted::Ignored(why) if why.contains(&id)));
    }
    assert_eq!(resolved.unwrap(), Accepted::Followed);
    let runs = taken(&taker);
    assert_eq!(ids(&runs), [&id]);
    assert!(disk.store.suppression(&id).await.unwrap().alert_resolved_at.is_some(), "its worker hears of the end");
    // And so does an event that comes while it is at work.
    assert!(matches!(disk.store.accept(event("E5", "Q1"), start(true)).await.unwrap(), Accepted::Ignored(_)));
    assert!(taker.take().is_none());
    // It was reopened: who ends its run goes on with the one that follows.
    disk.store.finish_run(&runs[0], &Finish::Done).await.unwrap();
    let next = taken(&taker);
    assert_eq!(next.len(), 1);
    assert_eq!(disk.state(next[0].run_id()).await, State::Running);
}

#[tokio::test]
async fn what_was_not_stored_is_not_handed_over() {
    let disk = Disk::new().await;
    let taker = disk.store.taker();
    taker.offer(1);
    disk.fill_up().await;
    disk.store.accept(event("E1", "Q1"), Ok(Follow::Start(run_of("Q1")))).await.unwrap_err();
    assert!(taker.take().is_none());
    assert!(taker.has_failed() && !taker.has_failed(), "said once");
    disk.make_room().await;
    taker.offer(1);
    let id = accept(&disk.store, "Q1").await;
    assert_eq!(ids(&taken(&taker)), [&id]);
}

/// A webhook is stored though the lease can't be renewed.
#[tokio::test]
async fn where_the_lease_cannot_be_renewed_the_next_is_made_free() {
    let disk = Disk::new().await;
    let taker = disk.store.taker();
    taker.offer(5);
    disk.store.spoil("ALTER TABLE workers RENAME TO away").await;
    disk.store.accept(event("E1", "Q1"), Ok(Follow::Start(run_of("Q1")))).await.unwrap_err();
    assert!(taker.has_failed());
    let id = accept(&disk.store, "Q1").await;
    assert_eq!(disk.state(&id).await, State::Queued);
}

#[tokio::test]
async fn what_is_on_its_way_when_the_worker_goes_is_given_back_at_once() {
    let disk = Disk::new().await;
    let taker = disk.store.taker();
    taker.offer(1);
    let mut making = disk.store.making();
    let mut tx = disk.store.write("making a run").await.unwrap();
    let id = "r1".to_owned();
    disk.store.insert_run(&mut tx, &id, &run_of("Q1"), &mut making).await.unwrap();
    let claim = Claim { key: Kind::Run.key(&id), attempt: 1 };
    assert!(taker.awaits(&claim));
    taker.close();
    making.commit(tx, "making a run").await.unwrap();
    assert!(taker.take().is_none() && !taker.awaits(&claim));
    assert_eq!(disk.state(&id).await, State::Queued);
    let lease = disk.other().claim_run().await.unwrap().expect("it is free");
    assert_eq!((lease.attempt(), lease.crashes()), (2, 0));
}

#[tokio::test]
async fn a_worker_is_told_of_what_was_made_for_it_and_awaits_it_until_then() {
    let disk = Disk::new().await;
    let taker = disk.store.taker();
    taker.offer(1);
    let woken = disk.store.something_due();
    let id = accept(&disk.store, "Q1").await;
    tokio::time::timeout(Duration::from_secs(60), woken).await.expect("it is told");
    let claim = Claim { key: Kind::Run.key(&id), attempt: 1 };
    assert!(taker.awaits(&claim));
    let made = taker.take().unwrap();
    assert!(!taker.awaits(&claim));
    assert_eq!((made.at, made.asked <= tokio::time::Instant::now()), (disk.clock.now(), true));
    assert!(disk.store.renew().await.unwrap().contains(&claim));
}
