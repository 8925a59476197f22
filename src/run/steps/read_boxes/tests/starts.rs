//! Asking for a build: refused, lost, spoilt, not what was asked for.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use outbound::builds::{BuildLog, InMemory, LogError};

#[tokio::test]
async fn after_a_refusal_no_other_zone_is_asked_but_after_anything_else_one_is() {
    for (fault, starts) in [
        (Fault::Unauthorized, 1),
        (Fault::Forbidden, 1),
        (Fault::NotFound, 1),
        (Fault::Conflict, 1),
        (Fault::BadRequest, 3),
        (Fault::SentBack, 3),
        (Fault::NotParameterized, 3),
        (Fault::SignInPage, 3),
    ] {
        let story = Story::of(Setup::always(all_of(&AZ))).await;
        story.sim.fault(Place::Start, fault, 9);
        let reading = story.read().await;
        let asked = story.sim.requests().iter().filter(|r| r.method == "POST").count();
        assert_eq!(asked, starts, "{fault:?}: {:?}", reading.warnings);
        assert_eq!((reading.build_url, reading.console.boxes.len()), (None, 0));
        assert_eq!(reading.warnings.len(), starts, "{fault:?}: {:?}", reading.warnings);
        assert!(reading.warnings[0].contains(AZ[0]), "{:?}", reading.warnings);
    }
}

/// Keeps what it is told but for the n-th record.
struct Forgetful {
    log: InMemory,
    records: AtomicU64,
    fails_at: u64,
}

impl BuildLog for Forgetful {
    async fn known(&self) -> Result<Vec<BuildRecord>, LogError> {
        self.log.known().await
    }

    async fn record(&self, record: &BuildRecord) -> Result<(), LogError> {
        if self.records.fetch_add(1, Ordering::SeqCst) + 1 == self.fails_at {
            return Err("the database is away".into());
        }
        self.log.record(record).await
    }

    async fn want_build(&self, _: usize) -> Result<bool, LogError> {
        Ok(true)
    }

    async fn end_build(&self) -> Result<(), LogError> {
        Ok(())
    }
}

/// Others have builds until it is asked for the third time.
#[derive(Default)]
struct Counted {
    log: InMemory,
    asked: AtomicU64,
    ended: AtomicU64,
}

impl BuildLog for Counted {
    async fn known(&self) -> Result<Vec<BuildRecord>, LogError> {
        self.log.known().await
    }

    async fn record(&self, record: &BuildRecord) -> Result<(), LogError> {
        assert!(self.asked.load(Ordering::SeqCst) > 2, "nothing is asked for before it is counted");
        self.log.record(record).await
    }

    async fn want_build(&self, _: usize) -> Result<bool, LogError> {
        Ok(self.asked.fetch_add(1, Ordering::SeqCst) > 1)
    }

    async fn end_build(&self) -> Result<(), LogError> {
        self.ended.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn a_build_is_counted_while_it_is_wanted_and_not_after() {
    let story = Story::of(Setup::always(all_of(&AZ))).await;
    let silent = Progress::new(|_| ());
    let read = async |log: &Counted| {
        read_boxes(&story.jenkins, &story.places, story.request(0, story.began_at), log, &silent, None).await
    };
    let log = Counted::default();
    assert_eq!((names(&read(&log).await), story.sim.started().len()), (AZ.to_vec(), 1));
    assert_eq!((log.asked.into_inner(), log.ended.into_inner()), (3, 1));
    // What a worker before wanted is counted no more either, though it had no place here.
    let again = Counted { log: InMemory::with(log.log.records()), asked: AtomicU64::new(3), ..Counted::default() };
    let _all = story.both_places().await;
    assert_eq!((names(&read(&again).await), story.sim.started().len()), (AZ.to_vec(), 1));
    assert_eq!((again.asked.into_inner(), again.ended.into_inner()), (3, 1));
}

#[tokio::test]
async fn where_a_build_can_not_be_remembered_no_other_is_started_and_it_is_found_later() {
    // The intent, its queue item.
    for (fails_at, started) in [(1, 0), (2, 1)] {
        let story = Story::of(Setup::always(all_of(&AZ))).await;
        let log = Forgetful { log: InMemory::default(), records: AtomicU64::new(0), fails_at };
        let silent = Progress::new(|_| ());
        let request = || story.request(0, story.began_at);
        let reading = read_boxes(&story.jenkins, &story.places, request(), &log, &silent, None).await;
        assert_eq!(story.sim.started().len(), started, "{:?}", reading.warnings);
        assert!(reading.warnings[0].contains("the database is away"), "{:?}", reading.warnings);
        let reading = read_boxes(&story.jenkins, &story.places, request(), &log, &silent, None).await;
        assert_eq!((names(&reading), story.sim.started().len()), (AZ.to_vec(), 1), "{:?}", reading.warnings);
    }
}

#[tokio::test]
async fn a_start_that_may_have_arrived_is_looked_for_and_never_doubled() {
    for fault in [Fault::LostAnswer, Fault::DoneThenUnavailable] {
        let story = Story::of(Setup::always(all_of(&AZ).after_queue(Duration::from_millis(100), 0))).await;
        story.sim.fault(Place::Start, fault, 1);
        assert_eq!(names(&story.read().await), AZ, "{fault:?}");
        assert_eq!(story.sim.started(), [AZ[0]], "{fault:?}");
        assert!(story.remembers(AZ[0]).shared, "what was found may be another's");
    }
}

#[tokio::test]
async fn a_start_that_did_not_arrive_is_asked_for_again() {
    // At once: each mostly waits for its next try.
    let asked_again = async |fault: Fault| {
        let story = Story::of(Setup::always(all_of(&AZ))).await;
        story.sim.fault(Place::Start, fault, 2);
        assert_eq!(names(&story.read().await), AZ, "{fault:?}");
        assert_eq!(story.sim.started(), [AZ[0]], "{fault:?}");
    };
    tokio::join!(
        asked_again(Fault::Reset),
        asked_again(Fault::InternalError),
        asked_again(Fault::Unavailable(Duration::ZERO))
    );
}

#[tokio::test]
async fn a_spoilt_location_costs_nothing() {
    for location in [Location::WrongHost, Location::Malformed] {
        let story = Story::of(Setup { location, ..Setup::always(all_of(&AZ)) }).await;
        assert_eq!(names(&story.read().await), AZ, "{location:?}");
        assert_eq!(story.sim.started(), [AZ[0]], "{location:?}");
    }
}

#[tokio::test]
async fn a_build_without_our_cluster_is_not_used() {
    let story = Story::by(|asked| {
        let mut plan = all_of(&AZ);
        match asked.nth {
            1 => plan.cluster_vanishes = true,
            2 => plan.cluster_becomes = Some("registry-stage-us-south-az1".into()),
            _ => {}
        }
        plan
    })
    .await;
    let reading = story.read().await;
    assert_eq!(reading.build_url, story.build(3));
    assert_eq!(story.sim.started(), AZ);
    assert!(reading.warnings[0].contains("ran without CLUSTER"), "{:?}", reading.warnings);
    assert!(reading.warnings[1].contains("registry-stage-us-south-az1"), "{:?}", reading.warnings);
}

#[tokio::test]
async fn cancelled_by_somebody_forgotten_by_the_queue_or_slow_to_show() {
    let story = Story::by(|asked| {
        let mut plan = all_of(&AZ);
        match asked.nth {
            1 => plan.cancelled = true,
            _ => plan.item_gone = true,
        }
        plan
    })
    .await;
    let reading = story.read().await;
    assert_eq!(reading.build_url, story.build(1), "the cancelled one never became a build");
    assert!(reading.warnings[0].contains("somebody took it out"), "{:?}", reading.warnings);
    let mut plan = all_of(&AZ);
    plan.handover = Duration::from_millis(150);
    let story = Story::of(Setup::always(plan)).await;
    assert_eq!(names(&story.read().await), AZ);
}
