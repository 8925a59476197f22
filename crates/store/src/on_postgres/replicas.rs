//! Several processes on one database: each of these stores has connections and a name of its own.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// So many processes on a new database.
async fn replicas(count: usize) -> (Disk, Vec<Store>) {
    let disk = Disk::new().await;
    let mut stores = Vec::new();
    for n in 0..count {
        let store = Store::open(&disk.url, disk.clock.clone()).await.unwrap();
        stores.push(Store { owner: format!("replica-{n}").into(), ..store });
    }
    (disk, stores)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_due_is_claimed_by_one_of_many_and_none_is_forgotten() {
    const EACH: usize = 60;
    let (disk, stores) = replicas(4).await;
    for n in 0..EACH {
        let incident = format!("Q{n}");
        let run = disk.run(&incident).await;
        disk.store.request_page(&incident, &run, None).await.unwrap();
        let task = NewTask {
            kind: TaskKind::FollowUp,
            incident_id: incident,
            run_id: None,
            mark: String::new(),
            data: String::new(),
            after: Duration::ZERO,
        };
        disk.store.add_task(&task).await.unwrap();
    }
    let claimers = stores.iter().flat_map(|store| [store.clone(), store.clone(), store.clone()]).map(|store| {
        tokio::spawn(async move {
            let mut claimed = Vec::new();
            loop {
                let run = store.claim_run().await.unwrap().map(|l| format!("run {}", l.run_id()));
                let page = store.claim_page().await.unwrap().map(|l| format!("page {}", l.incident_id()));
                let task = store.claim_task().await.unwrap().map(|c| format!("task {}", c.incident_id));
                let before = claimed.len();
                claimed.extend([run, page, task].into_iter().flatten());
                if claimed.len() == before {
                    return claimed;
                }
            }
        })
    });
    let mut all = Vec::new();
    for claimer in claimers.collect::<Vec<_>>() {
        all.extend(claimer.await.unwrap());
    }
    // Rows that others were claiming are skipped: whoever came last may have seen nothing left, so one looks again.
    while let Some(lease) = stores[0].claim_run().await.unwrap() {
        all.push(format!("run {}", lease.run_id()));
    }
    while let Some(lease) = stores[0].claim_page().await.unwrap() {
        all.push(format!("page {}", lease.incident_id()));
    }
    while let Some(task) = stores[0].claim_task().await.unwrap() {
        all.push(format!("task {}", task.incident_id));
    }
    assert_eq!(all.len(), 3 * EACH, "none lost, none doubled");
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 3 * EACH, "none doubled");
}

#[tokio::test]
async fn while_a_claim_is_written_under_nobody_else_can_claim() {
    let (disk, stores) = replicas(2).await;
    disk.run("Q1").await;
    let lease = stores[0].claim_run().await.unwrap().unwrap();
    disk.clock.jump(LEASE);
    // Over by the clock, but not taken: it may still write, and until it has, it can't be taken.
    let mut tx = stores[0].write_claimed("writing").await.unwrap();
    stores[0].check(&mut tx, lease.claim()).await.unwrap();
    assert_eq!(stores[1].claim_run().await.unwrap(), None);
    tx.commit().await.unwrap();
    let taken = stores[1].claim_run().await.unwrap().unwrap();
    let mut tx = stores[0].write_claimed("writing").await.unwrap();
    lost(stores[0].check(&mut tx, lease.claim()).await);
    drop(tx);
    stores[1].check_claim(taken.claim()).await.unwrap();
}

#[tokio::test]
async fn who_decides_by_what_is_stored_waits_for_who_is_deciding() {
    let (_disk, stores) = replicas(2).await;
    let mut tx = stores[0].write("deciding").await.unwrap();
    let run = run_of("Q1");
    let Reply::Started(id) = stores[0].begin_in(&mut tx, &run, &mut stores[0].making()).await.unwrap() else {
        panic!()
    };
    let committed = Arc::new(AtomicBool::new(false));
    let other = tokio::spawn({
        let (store, committed) = (stores[1].clone(), Arc::clone(&committed));
        async move {
            let event = NewEvent { id: "E2", event_type: "incident.triggered", incident_id: Some("Q1"), body: "{}" };
            let accepted = store.accept(event, Ok(Follow::Start(run_of("Q1")))).await.unwrap();
            assert!(committed.load(Ordering::SeqCst), "it did not wait");
            accepted
        }
    });
    until_it_waits(&stores[0], &other, "advisory").await;
    committed.store(true, Ordering::SeqCst);
    tx.commit().await.unwrap();
    let accepted = other.await.unwrap();
    assert!(matches!(&accepted, Accepted::Ignored(why) if why.contains(&id)), "{accepted:?}");
}

/// Until a task has come as far as a lock of this kind, or has passed it by: `advisory` is that under which those who
/// decide take turns, `transactionid` that of a row.
async fn until_it_waits<T>(store: &Store, task: &tokio::task::JoinHandle<T>, lock: &str) {
    let waits = "SELECT COUNT(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
                 WHERE locktype = $1 AND NOT granted AND datname = current_database()";
    loop {
        let (waiting,): (i64,) = sqlx::query_as(waits).bind(lock).fetch_one(&store.pool).await.unwrap();
        if waiting == 1 || task.is_finished() {
            return;
        }
    }
}

/// note.md#what-holds-an-automatic-page: the hour's pages, over all replicas, at the last place.
#[tokio::test]
async fn an_hours_pages_are_counted_with_those_that_another_process_is_just_beginning() {
    let (disk, stores) = replicas(2).await;
    for incident in ["Q1", "Q2"] {
        let run = disk.run(incident).await;
        disk.store.request_page(incident, &run, None).await.unwrap();
    }
    let leases = [stores[0].claim_page().await.unwrap().unwrap(), stores[1].claim_page().await.unwrap().unwrap()];
    // The one is as far as it comes before its commit; there is room for one page.
    let mut tx = stores[0].write("beginning a page").await.unwrap();
    sqlx::query("INSERT INTO writes (key, incident_id, text, begun_at, is_open) VALUES ('open:' || $1, $1, '', $2, 1)")
        .bind(leases[0].incident_id())
        .bind(disk.clock.now().as_millisecond())
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO openings (incident_id, region, automatic, holds_right, begun_at) VALUES ($1, 'prod-eu-de', 1, 1, $2)",
    )
    .bind(leases[0].incident_id())
    .bind(disk.clock.now().as_millisecond())
    .execute(&mut *tx)
    .await
    .unwrap();
    let [_, lease] = leases;
    let (store, limit) = (stores[1].clone(), Some((disk.clock.now(), 1)));
    let region = "prod-us-south".parse().unwrap();
    let other = tokio::spawn(async move { store.begins_page(&lease, &region, limit, &[]).await.unwrap() });
    until_it_waits(&stores[0], &other, "advisory").await;
    tx.commit().await.unwrap();
    assert_eq!(other.await.unwrap(), runbook::writes::opening::Reservation::HourFull(1), "two pages where one may be");
}

#[tokio::test]
async fn who_has_a_claim_waits_for_nobodys_turn() {
    let (disk, stores) = replicas(2).await;
    let run = disk.run("Q1").await;
    disk.store.request_page("Q1", &run, None).await.unwrap();
    let lease = stores[0].claim_run().await.unwrap().unwrap();
    let turn = stores[1].write("deciding for long").await.unwrap();
    stores[0].renew().await.unwrap();
    let step = stores[0].begin_step(&lease, "one").await.unwrap();
    stores[0].end_step(&lease, step, None, None, &[]).await.unwrap();
    let page = stores[0].claim_page().await.unwrap().unwrap();
    stores[0].check_claim(page.claim()).await.unwrap();
    stores[0].finish_run(&lease, &Finish::Done).await.unwrap();
    drop(turn);
}

/// lifecycle.md#words: an alert has at most one active run, whichever replicas are asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_incident_has_one_active_run_whatever_asks_for_it_at_once() {
    let (disk, stores) = replicas(4).await;
    let events: Vec<String> = (0..8).map(|n| format!("E{n}")).collect();
    let by_event = events.iter().zip(stores.iter().cycle()).map(|(id, store)| async move {
        let event = NewEvent { id, event_type: "incident.triggered", incident_id: Some("Q1"), body: "{}" };
        matches!(store.accept(event, Ok(Follow::Start(run_of("Q1")))).await.unwrap(), Accepted::Run(_))
    });
    let by_wish = stores.iter().map(|store| async move {
        matches!(store.create_run(&run_of("Q1"), None).await.unwrap(), Created::Now(Reply::Started(_)))
    });
    let reconciled = stores.iter().map(|store| async move {
        let run = NewRun { trigger: Trigger::Reconcile, ..run_of("Q1") };
        matches!(store.create_run(&run, None).await.unwrap(), Created::Now(Reply::Started(_)))
    });
    let (events, requests, reconciled) = tokio::join!(
        futures::future::join_all(by_event),
        futures::future::join_all(by_wish),
        futures::future::join_all(reconciled)
    );
    let made = events.iter().chain(&requests).chain(&reconciled).filter(|made| **made).count();
    assert_eq!((made, disk.count("runs").await, disk.count("webhooks").await), (1, 1, 8));
}

/// lifecycle.md#looking-again: at most three times, over all replicas.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn follow_ups_are_counted_over_all_processes() {
    let (disk, stores) = replicas(4).await;
    disk.run("Q1").await;
    let mut made = 0;
    for _ in 0..=FOLLOW_UPS {
        let lease = disk.store.claim_run().await.unwrap().unwrap();
        disk.store.finish_run(&lease, &Finish::Done).await.unwrap();
        let run = NewRun { trigger: Trigger::FollowUp, reopened: false, ..run_of("Q1") };
        let asked = futures::future::join_all(stores.iter().map(|store| store.create_run(&run, None))).await;
        let asked: Vec<Created> = asked.into_iter().collect::<Result<_, _>>().unwrap();
        made += asked.iter().filter(|one| matches!(one, Created::Now(Reply::Started(_)))).count();
        let enough = Created::Now(Reply::Ignored(Why::EnoughFollowUps));
        if made == FOLLOW_UPS as usize && asked.iter().all(|one| *one == enough) {
            return;
        }
    }
    panic!("{made} were made");
}

/// lifecycle.md#crashes-clocks-replicas: the clock of PostgreSQL is the one clock.
#[tokio::test]
async fn leases_are_judged_by_one_clock() {
    let (disk, stores) = replicas(2).await;
    // This machine's clock is an hour ahead of that one's.
    let ahead = ManualClock::at(disk.clock.now() + jiff::SignedDuration::from_hours(1));
    let ahead = Store { clock: ahead, ..stores[1].clone() };
    for store in [&stores[0], &ahead] {
        store.set_time().await.unwrap();
    }
    disk.run("Q1").await;
    // Whoever made it did not compare: it has been due for long.
    let lease = stores[0].claim_run().await.unwrap().unwrap();
    assert_eq!(ahead.claim_run().await.unwrap(), None, "its lease is not over");
    stores[0].renew().await.unwrap();
    stores[0].release_run(&lease, Duration::from_secs(600)).await.unwrap();
    assert_eq!(ahead.claim_run().await.unwrap(), None, "nor is its rest");
    stores[0]
        .add_task(&NewTask {
            kind: TaskKind::FollowUp,
            incident_id: "Q1".into(),
            run_id: None,
            mark: String::new(),
            data: String::new(),
            after: Duration::ZERO,
        })
        .await
        .unwrap();
    assert!(ahead.claim_task().await.unwrap().is_some(), "what is due for one is due for all");
}

#[tokio::test]
async fn what_is_watched_is_one_processs_until_it_gives_it_back_or_dies() {
    let (disk, stores) = replicas(2).await;
    const OURS: &[Watch] = &[Watch::Reconcile];
    let take = |n: usize| {
        let store = stores[n].clone();
        async move { store.claim_watch(OURS).await.unwrap() }
    };
    for store in &stores {
        store.begin_watches(OURS).await.unwrap();
    }
    let first = take(0).await.unwrap();
    // Another that starts makes it due, and takes it from nobody.
    stores[1].begin_watches(OURS).await.unwrap();
    disk.clock.jump(LEASE - Duration::from_millis(1));
    assert_eq!(take(1).await, None);
    stores[0].renew().await.unwrap();
    disk.clock.jump(LEASE - Duration::from_millis(1));
    assert_eq!(take(1).await, None, "who has it keeps it");
    disk.clock.jump(LEASE);
    let second = take(1).await.expect("who died loses it");
    lost(stores[0].put_off_watch(&first, Duration::ZERO).await);
    stores[1].put_off_watch(&second, Duration::from_secs(60)).await.unwrap();
    assert_eq!(take(0).await, None, "it is not due");
    disk.clock.jump(Duration::from_secs(60));
    assert!(take(0).await.is_some());
    // Who is not to look after something neither gets it nor waits for it.
    stores[1].begin_watches(&[Watch::Canary]).await.unwrap();
    assert_eq!(take(0).await, None);
    let (due, wait) = stores[0].due(&[Kind::Watch], OURS).await.unwrap();
    assert!(due.is_empty() && !wait.is_zero(), "{due:?} {wait:?}");
    assert_eq!(stores[1].due(&[Kind::Watch], &[Watch::Canary]).await.unwrap().0, [Kind::Watch]);
}

#[tokio::test]
async fn what_rests_is_woken_and_what_somebody_is_at_is_left_to_them() {
    let (_disk, stores) = replicas(2).await;
    const OURS: &[Watch] = &[Watch::EarlyWords];
    stores[0].begin_watches(OURS).await.unwrap();
    let lease = stores[0].claim_watch(OURS).await.unwrap().unwrap();
    stores[1].wake_watch(Watch::EarlyWords).await.unwrap();
    stores[0].put_off_watch(&lease, Duration::from_secs(60)).await.unwrap();
    assert_eq!(stores[1].claim_watch(OURS).await.unwrap(), None, "it rests");
    stores[1].wake_watch(Watch::EarlyWords).await.unwrap();
    assert!(stores[1].claim_watch(OURS).await.unwrap().is_some());
}

#[tokio::test]
async fn who_waits_for_a_change_hears_of_another_processs() {
    let (_disk, stores) = replicas(2).await;
    let change = stores[0].change();
    let Created::Now(Reply::Started(id)) = stores[1].create_run(&run_of("Q1"), None).await.unwrap() else { panic!() };
    tokio::time::timeout(Duration::from_secs(60), change).await.expect("it is told to look");
    assert_eq!(stores[0].run(&id).await.unwrap().unwrap().state, State::Queued);
}

#[tokio::test]
async fn a_servers_clock_that_went_back_and_replicas_that_start_meanwhile_go_on_from_the_time_that_was_reached() {
    let (disk, stores) = replicas(1).await;
    let twenty = jiff::SignedDuration::from_mins(20);
    disk.store.set_time().await.unwrap();
    let server = disk.clock.now();
    // As far as it had come before.
    sqlx::query("UPDATE service_time SET reached = reached + $1")
        .bind(i64::try_from(twenty.as_millis()).unwrap())
        .execute(&disk.store.pool)
        .await
        .unwrap();
    disk.store.set_time().await.unwrap();
    let gone_on = disk.clock.now();
    assert!(gone_on >= server + twenty && gone_on < server + twenty + twenty, "{gone_on} after {server}");
    assert!((disk.clock.ahead() - twenty).abs() < jiff::SignedDuration::from_mins(1), "{:?}", disk.clock.ahead());
    // It doesn't stand still until the server's comes there again.
    disk.clock.jump(Duration::from_secs(60));
    disk.store.set_time().await.unwrap();
    assert!(disk.clock.now() >= gone_on + jiff::SignedDuration::from_mins(1));
    // One that starts on a machine a day ahead takes over the time that all have, and pushes nobody forward.
    let wrong = ManualClock::at(disk.clock.now() + jiff::SignedDuration::from_hours(24));
    let other = Store { clock: wrong.clone(), timed: Arc::default(), ..stores[0].clone() };
    other.set_time().await.unwrap();
    disk.store.set_time().await.unwrap();
    for clock in [&wrong, &disk.clock] {
        assert!(clock.now() < gone_on + twenty, "{}", clock.now());
    }
}
