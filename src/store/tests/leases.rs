use super::*;
use crate::run::EscalationState;
use crate::run::Facts;
use crate::run::steps::read_boxes::BuildRecord;

const SECOND: Duration = Duration::from_secs(1);

fn build(clock: &ManualClock) -> BuildRecord {
    BuildRecord {
        above: None,
        reading: 0,
        zone: crate::alert::Zone::new("registry-prod-us-south-az1"),
        asked_at: clock.now(),
        queue_id: None,
        number: None,
        shared: false,
        ended_at: None,
        failed: None,
    }
}

fn diagnosis() -> crate::diagnosis::Diagnosis {
    let region = "prod-us-south".parse().unwrap();
    crate::diagnosis::verdict::diagnose(&crate::diagnosis::Evidence {
        region: &region,
        expected: &[],
        readings: &[],
        checks: &[],
    })
}

#[tokio::test]
async fn a_claimed_run_is_nobody_elses_until_the_lease_is_over() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    assert_eq!((lease.run_id(), lease.attempt(), disk.state(&id).await), (id.as_str(), 1, State::Running));
    let other = disk.other();
    assert_eq!(other.claim_run().await.unwrap(), None);
    disk.clock.jump(LEASE - Duration::from_millis(1));
    assert_eq!(other.claim_run().await.unwrap(), None);
    disk.store.renew_run(&lease).await.unwrap();
    disk.clock.jump(LEASE - Duration::from_millis(1));
    assert_eq!(other.claim_run().await.unwrap(), None);
    disk.clock.jump(Duration::from_millis(1));
    assert_eq!(other.claim_run().await.unwrap().unwrap().attempt(), 2);
}

#[tokio::test]
async fn a_run_that_is_given_back_is_due_after_its_rest() {
    let disk = Disk::new().await;
    disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    disk.store.release_run(&lease, SECOND * 5).await.unwrap();
    disk.clock.jump(SECOND * 5 - Duration::from_millis(1));
    assert_eq!(disk.store.claim_run().await.unwrap(), None);
    disk.clock.jump(Duration::from_millis(1));
    let again = disk.store.claim_run().await.unwrap().unwrap();
    disk.store.finish_run(&again, &Finish::Done).await.unwrap();
    disk.clock.jump(LEASE * 2);
    assert_eq!(disk.store.claim_run().await.unwrap(), None, "what is over is nobody's");
}

/// Every write of a run, under a lease: each must fail once it is lost.
async fn every_write(store: &Store, clock: &ManualClock, lease: &Lease, writes: impl Fn(&str, Result<(), StoreError>)) {
    let now = clock.now();
    writes("renew_run", store.renew_run(lease).await);
    writes("set_facts", store.set_facts(lease, None, &Facts::default(), &[]).await);
    writes("set_diagnosis", store.set_diagnosis(lease, &diagnosis(), EscalationState::Held, Some("x")).await);
    writes("begin_note", store.begin_note(lease).await);
    writes("set_note", store.set_note(lease, "P1").await);
    writes("set_build", store.set_build(lease, &build(clock)).await);
    writes("begin_step", store.begin_step(lease, "x").await.map(drop));
    writes("end_step", store.end_step(lease, 1, None).await);
    writes("end_suppression", store.end_suppression(lease).await);
    writes("unset_resolved", store.unset_resolved(lease, "Q1").await);
    let into = run_of("Q2").incident.unwrap();
    writes("merge_alert", store.merge_alert(lease, "Q1", &into, false).await.map(drop));
    writes("park_run", store.park_run(lease, now, None, None, SECOND).await);
    writes("release_run", store.release_run(lease, SECOND).await);
    writes("finish_run", store.finish_run(lease, &Finish::Done).await);
}

#[tokio::test]
async fn a_worker_that_lost_its_run_can_write_nothing_at_all() {
    // Lost to another process, and to another task of the same one.
    for same_process in [false, true] {
        let disk = Disk::new().await;
        let id = disk.run("Q1").await;
        let stale = disk.store.claim_run().await.unwrap().unwrap();
        disk.clock.jump(LEASE);
        let owner = if same_process { disk.store.clone() } else { disk.other() };
        let lease = owner.claim_run().await.unwrap().unwrap();
        let before = disk.store.run(&id).await.unwrap();
        every_write(&disk.store, &disk.clock, &stale, |name, result| {
            assert!(matches!(result, Err(StoreError::LeaseLost)), "{name}: {result:?}");
        })
        .await;
        assert_eq!(disk.store.run(&id).await.unwrap(), before);
        assert_eq!((disk.count("builds").await, disk.count("steps").await), (0, 0));
        assert_eq!(disk.store.note_state(&id).await.unwrap(), (None, None));
        // Another's attempt under our name, and our attempt under another's, are no lease either.
        lost(disk.store.renew_run(&Lease { attempt: 3, ..lease.clone() }).await);
        lost(disk.other().renew_run(&lease).await);
        every_write(&owner, &disk.clock, &lease, |name, result| result.unwrap_or_else(|e| panic!("{name}: {e}"))).await;
    }
}

#[tokio::test]
async fn what_the_worker_before_was_doing_is_called_interrupted() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    let done = disk.store.begin_step(&lease, "one").await.unwrap();
    disk.store.end_step(&lease, done, None).await.unwrap();
    let failed = disk.store.begin_step(&lease, "two").await.unwrap();
    disk.store.end_step(&lease, failed, Some("broken")).await.unwrap();
    disk.store.begin_step(&lease, "three").await.unwrap();
    disk.clock.jump(LEASE);
    disk.store.claim_run().await.unwrap().unwrap();
    let steps = disk.store.run(&id).await.unwrap().unwrap().steps;
    let shown: Vec<_> = steps.iter().map(|s| (s.name.as_str(), s.state.as_str(), s.error.as_deref())).collect();
    assert_eq!(shown, [("one", "done", None), ("two", "failed", Some("broken")), ("three", "interrupted", None)]);
    assert_eq!(steps[2].finished_at, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claimers_that_race_never_get_the_same() {
    let disk = Disk::new().await;
    for n in 0..40 {
        let run = disk.run(&format!("Q{n}")).await;
        disk.store.request_page(&format!("Q{n}"), &run, None).await.unwrap();
    }
    let claimers = (0..12).map(|n| {
        let store = if n % 2 == 0 { disk.store.clone() } else { disk.other() };
        tokio::spawn(async move {
            let (mut runs, mut pages) = (Vec::new(), Vec::new());
            while let Some(lease) = store.claim_run().await.unwrap() {
                runs.push(lease.run_id().to_owned());
                pages.extend(store.claim_page().await.unwrap().map(|lease| lease.incident_id().to_owned()));
            }
            while let Some(lease) = store.claim_page().await.unwrap() {
                pages.push(lease.incident_id().to_owned());
            }
            (runs, pages)
        })
    });
    let (mut runs, mut pages) = (Vec::new(), Vec::new());
    for claimer in claimers.collect::<Vec<_>>() {
        let (r, p) = claimer.await.unwrap();
        runs.extend(r);
        pages.extend(p);
    }
    for claimed in [&mut runs, &mut pages] {
        assert_eq!(claimed.len(), 40);
        claimed.sort();
        claimed.dedup();
        assert_eq!(claimed.len(), 40, "none twice");
    }
}

#[tokio::test]
async fn a_run_that_was_made_before_the_clock_was_set_back_does_not_wait_for_that_time_to_come_again() {
    let disk = Disk::new().await;
    let run_id = disk.run("Q1").await;
    let earlier: Arc<ManualClock> = ManualClock::at("2026-08-20T02:00:00Z".parse().unwrap());
    let store = Store { clock: earlier, ..disk.store.clone() };
    let lease = store.claim_run().await.unwrap().expect("it is due");
    assert_eq!(lease.run_id(), run_id);
    // Whoever rests, rests: it is not claimed over and over for an hour.
    store.release_run(&lease, Duration::from_secs(5)).await.unwrap();
    assert!(store.claim_run().await.unwrap().is_none());
}

#[tokio::test]
async fn a_short_note_is_begun_only_by_who_knows_all_that_was_done_for_it() {
    let disk = Disk::new().await;
    let (frozen, other) = (disk.other(), &disk.store);
    let seen = frozen.want_short_note("early:r1", "Q1", "a word").await.unwrap().begun_at;
    assert_eq!(seen, None);
    // While the one is frozen, another takes over.
    let first = other.begin_short_note("early:r1", "Q1", None).await.unwrap();
    lost(frozen.begin_short_note("early:r1", "Q1", seen).await);
    // Whoever began it may begin again, an answer being lost, also within the same instant.
    let again = other.begin_short_note("early:r1", "Q1", Some(first)).await.unwrap();
    assert!(again > first);
    lost(frozen.begin_short_note("early:r1", "Q1", Some(first)).await);
    other.set_short_note_id("early:r1", "P1").await.unwrap();
    lost(frozen.begin_short_note("early:r1", "Q1", Some(again)).await);
}

#[tokio::test]
async fn an_end_that_was_heard_of_already_wakes_no_parked_run() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    disk.store.set_resolved("Q1", Some(disk.clock.now())).await.unwrap();
    let heard = disk.store.suppression(&id).await.unwrap().alert_resolved_at;
    assert!(heard.is_some());
    let minute = SECOND * 60;
    disk.store.park_run(&lease, disk.clock.now(), None, heard, minute).await.unwrap();
    assert!(disk.store.claim_run().await.unwrap().is_none(), "it would ask PagerDuty without end");
    disk.clock.jump(minute);
    let lease = disk.store.claim_run().await.unwrap().expect("it looks again at its time");
    disk.store.park_run(&lease, disk.clock.now(), None, None, minute).await.unwrap();
    assert!(disk.store.claim_run().await.unwrap().is_some(), "news is not slept over");
}
