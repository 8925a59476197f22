use super::*;
use outbound::builds::BuildRecord;
use runbook::run::{EscalationState, Facts};

const SECOND: Duration = Duration::from_secs(1);

fn build(clock: &ManualClock) -> BuildRecord {
    BuildRecord::wanted(0, runbook::alert::Zone::new("registry-prod-us-south-az1"), clock.now(), None)
}

pub(super) fn diagnosis() -> runbook::diagnosis::Diagnosis {
    let region = "prod-us-south".parse().unwrap();
    runbook::diagnosis::verdict::diagnose(&runbook::diagnosis::Evidence {
        region: &region,
        expected: &[],
        readings: &[],
        checks: &[],
        earlier: &runbook::diagnosis::Earlier::default(),
        listed: &[],
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
    assert!(disk.store.renew().await.unwrap().contains(lease.claim()));
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
    writes("set_facts", store.set_facts(lease, None, &Facts::default(), &[]).await);
    writes("set_diagnosis", store.set_diagnosis(lease, &diagnosis(), (EscalationState::Held, Some("x")), &[]).await);
    writes("begin_note", store.begin_note(lease).await.map(drop));
    writes("set_build", store.set_build(lease, &build(clock)).await);
    let (now, times) = (store.moment(), runbook::writes::Times::JENKINS);
    let begin = runbook::writes::Step::Begin(0);
    writes("start_build", store.start_build(lease, &build(clock), &begin, now, &times).await.map(drop));
    writes("begin_step", store.begin_step(lease, "x").await.map(drop));
    writes("end_step", store.end_step(lease, 1, None, None, &[]).await);
    writes("end_suppression", store.end_suppression(lease).await);
    writes("unset_resolved", store.unset_resolved(lease, "Q1", None).await);
    let into = run_of("Q2").incident.unwrap();
    writes("merge_alert", store.merge_alert(lease, "Q1", &into, false, None).await.map(drop));
}

/// The same of what also gives it back.
async fn every_end(disk: &Disk, store: &Store, lease: Lease, writes: impl Fn(&str, Result<(), StoreError>)) {
    let again = async |lease: Lease| {
        disk.clock.jump(LEASE);
        store.claim_run().await.unwrap().unwrap_or(lease)
    };
    writes("park_run", store.park_run(&lease, disk.clock.now(), None, None, SECOND).await);
    let lease = again(lease).await;
    writes("release_run", store.release_run(&lease, SECOND).await);
    let lease = again(lease).await;
    writes("finish_run", store.finish_run(&lease, &Finish::Done).await);
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
        let is_lost = |name: &str, result| assert!(matches!(result, Err(StoreError::LeaseLost)), "{name}: {result:?}");
        every_write(&disk.store, &disk.clock, &stale, is_lost).await;
        is_lost("park_run", disk.store.park_run(&stale, disk.clock.now(), None, None, SECOND).await);
        is_lost("release_run", disk.store.release_run(&stale, SECOND).await);
        is_lost("finish_run", disk.store.finish_run(&stale, &Finish::Done).await);
        assert_eq!(disk.store.run(&id).await.unwrap(), before);
        assert_eq!((disk.count("builds").await, disk.count("steps").await), (0, 0));
        assert_eq!(disk.store.recorded(&format!("note:{id}")).await.unwrap(), None);
        // Another's attempt under our name, and our attempt under another's, are no lease either.
        lost(disk.store.check_claim(&Claim { attempt: 3, ..lease.claim().clone() }).await);
        lost(disk.other().check_claim(lease.claim()).await);
        let done = |name: &str, result: Result<(), StoreError>| result.unwrap_or_else(|e| panic!("{name}: {e}"));
        every_write(&owner, &disk.clock, &lease, done).await;
        every_end(&disk, &owner, lease, done).await;
    }
}

#[tokio::test]
async fn what_the_worker_before_was_doing_is_called_interrupted() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    let done = disk.store.begin_step(&lease, "one").await.unwrap();
    disk.store.end_step(&lease, done, None, None, &[]).await.unwrap();
    let failed = disk.store.begin_step(&lease, "two").await.unwrap();
    disk.store.end_step(&lease, failed, Some("broken"), None, &[]).await.unwrap();
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
async fn a_short_note_is_begun_only_by_who_knows_all_that_was_done_for_it() {
    let disk = Disk::new().await;
    let (frozen, other) = (disk.other(), &disk.store);
    let seen = frozen.want_short("early:r1", "Q1", "a word").await.write.attempt;
    assert_eq!(seen, 0);
    let lost = |begun| assert!(matches!(begun, Err(StoreError::LeaseLost)), "{begun:?}");
    // While the one is frozen, another takes over.
    let first = other.begin_short("early:r1", "Q1", seen).await.unwrap().expect("it is begun");
    lost(frozen.begin_short("early:r1", "Q1", seen).await);
    // Whoever began it may begin again, an answer being lost.
    let again = other.begin_short("early:r1", "Q1", first).await.unwrap().expect("it is begun again");
    assert!(again > first);
    lost(frozen.begin_short("early:r1", "Q1", first).await);
    other.set_short("early:r1", "Q1", "P1").await;
    assert_eq!(frozen.begin_short("early:r1", "Q1", again).await.unwrap(), None, "it stands");
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
