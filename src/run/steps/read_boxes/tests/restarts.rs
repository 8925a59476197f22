//! What is remembered over restarts, and what a re-run needs of its own.

use super::*;
use jenkins::Started;

#[tokio::test]
async fn after_a_restart_a_known_build_is_picked_up_and_not_started_again() {
    let plan = all_of(&AZ).after_queue(Duration::from_millis(150), 1);
    // Killed while it waits, while it runs, and after its end.
    for with_number in [false, true] {
        let story = Story::of(Setup::always(plan.clone())).await;
        let settle = async {
            loop {
                let records = story.log.records();
                if records.first().is_some_and(|r| if with_number { r.number.is_some() } else { r.queue_id.is_some() })
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            _ = story.read() => panic!("it was to be killed first"),
            () = settle => {}
        }
        for _ in 0..2 {
            assert_eq!(names(&story.read().await), AZ, "{with_number}");
        }
        assert_eq!(story.sim.started(), [AZ[0]], "{with_number}");
    }
}

/// Whoever takes up a run whose worker died has its build already: others that have every place keep it from nothing.
#[tokio::test]
async fn a_build_that_is_there_waits_for_no_place() {
    let story = Story::of(Setup::always(all_of(&AZ))).await.within(Duration::from_secs(9));
    story.sim.somebody_builds(AZ[0]);
    let record = BuildRecord { number: Some(1), ..story.intent(AZ[0]) };
    story.log.record(&record).await.unwrap();
    let _all = story.both_places().await;
    let reading = story.read().await;
    assert_eq!((names(&reading), reading.warnings.len()), (AZ.to_vec(), 0), "{:?}", reading.warnings);
    assert!(story.sim.started().is_empty());
}

#[tokio::test]
async fn after_a_restart_an_intent_is_looked_for_before_anything_is_started() {
    // Killed after the request arrived and before its answer was remembered: it has even ended by now.
    let story = Story::of(Setup::always(all_of(&AZ))).await;
    story.log.record(&story.intent(AZ[0])).await.unwrap();
    let jenkins = &story.jenkins;
    jenkins.start(&Permit::needless("a test"), &Zone::new(AZ[0])).await.unwrap();
    assert_eq!(names(&story.read().await), AZ);
    assert_eq!(story.sim.started(), [AZ[0]]);
    // Killed before the request was sent.
    let story = Story::of(Setup::always(all_of(&AZ))).await;
    story.log.record(&story.intent(AZ[0])).await.unwrap();
    assert_eq!(names(&story.read().await), AZ);
    assert_eq!(story.sim.started(), [AZ[0]]);
}

#[tokio::test]
async fn a_rerun_has_a_build_of_its_own() {
    let story = Story::of(Setup::always(all_of(&AZ))).await;
    let first = story.read().await;
    story.sim.fault(Place::Start, Fault::LostAnswer, 1);
    let again = story.read_again(1, story.began_at).await;
    assert_eq!((first.build_url, again.build_url), (story.build(1), story.build(2)));
    assert_eq!(story.log.records().len(), 2);
}

/// Remembers nothing.
struct Broken;

impl BuildLog for Broken {
    async fn known(&self) -> Result<Vec<BuildRecord>, LogError> {
        Ok(Vec::new())
    }

    async fn record(&self, _: &BuildRecord) -> Result<(), LogError> {
        Err("the lease is lost".into())
    }

    async fn want_build(&self, _: usize) -> Result<bool, LogError> {
        Ok(true)
    }

    async fn end_build(&self) -> Result<(), LogError> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_is_started_that_cannot_be_remembered() {
    let story = Story::of(Setup::always(all_of(&AZ))).await;
    let jenkins = &story.jenkins;
    let request = story.request(0, story.began_at);
    let reading = read_boxes(jenkins, &story.places, request, &Broken, &Progress::silent(), None).await;
    assert!(story.sim.started().is_empty());
    assert!(reading.warnings[0].contains("the lease is lost"), "{:?}", reading.warnings);
}

#[tokio::test]
async fn what_runs_is_picked_up_however_long_ago_it_was_asked_for() {
    // The service was down for an hour, and evidence may be no older than a moment.
    for queue in [Duration::ZERO, Duration::from_millis(200)] {
        let mut story = Story::of(Setup::always(all_of(&AZ).after_queue(queue, 0))).await;
        story.max_age = Duration::from_secs(1);
        let Started::Item { id, .. } =
            story.jenkins.start(&Permit::needless("a test"), &Zone::new(AZ[0])).await.unwrap()
        else {
            panic!()
        };
        let asked_at = story.began_at - SignedDuration::from_hours(1);
        let record = BuildRecord { asked_at, queue_id: Some(id), ..story.intent(AZ[0]) };
        story.log.record(&record).await.unwrap();
        assert_eq!(names(&story.read().await), AZ);
        assert_eq!(story.sim.started(), [AZ[0]], "{queue:?}");
    }
}

#[tokio::test]
async fn what_ended_too_long_ago_is_asked_for_again() {
    // Its end is remembered; only Jenkins knows it; it is gone altogether.
    for case in 0..3 {
        let mut story = Story::of(Setup::always(all_of(&AZ))).await;
        let first = story.read().await;
        let mut record = story.remembers(AZ[0]);
        story.max_age = Duration::ZERO;
        match case {
            0 => record.asked_at = story.began_at - SignedDuration::from_hours(1),
            1 => record.ended_at = None,
            _ => {
                story.max_age = Duration::from_secs(600);
                record.asked_at = story.began_at - SignedDuration::from_hours(1);
                record.ended_at = None;
                (record.queue_id, record.number) = (Some(999), None);
            }
        }
        story.log.record(&record).await.unwrap();
        let again = story.read().await;
        assert_eq!(names(&again), AZ);
        assert_eq!((first.build_url, again.build_url), (story.build(1), story.build(2)), "{case}");
    }
}

/// The run was cut off, and waited for a bigger outage when it was taken up again.
#[tokio::test]
async fn what_ended_before_a_bigger_outage_was_over_is_asked_for_again() {
    let mut story = Story::of(Setup::always(all_of(&AZ))).await;
    story.read().await;
    story.evidence_since = Some(SystemClock::shared().now());
    let (anew, again) = (story.read().await, story.read().await);
    assert_eq!((anew.build_url, again.build_url), (story.build(2), story.build(2)));
}

/// Jenkins' `Date` has whole seconds: after a restart its times may seem to be earlier by one.
#[tokio::test]
async fn what_was_asked_for_after_a_bigger_outage_did_not_end_before_its_end() {
    let mut story = Story::of(Setup::always(all_of(&AZ))).await;
    story.evidence_since = Some(SystemClock::shared().now());
    let asked_at = SystemClock::shared().now();
    let Started::Item { id, .. } = story.jenkins.start(&Permit::needless("a test"), &Zone::new(AZ[0])).await.unwrap()
    else {
        panic!("an item")
    };
    let record = BuildRecord { asked_at, queue_id: Some(id), ..story.intent(AZ[0]) };
    story.log.record(&record).await.unwrap();
    let soon = SystemClock::shared().now() + SignedDuration::from_secs(20);
    while story.jenkins.builds(soon).await.unwrap().first().is_none_or(|build| build.ended_at.is_none()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    story.sim.set_skew(SignedDuration::from_secs(2));
    let story = story.within(Duration::from_secs(15));
    assert_eq!(story.read().await.build_url, story.build(1));
    assert_eq!(story.sim.started(), [AZ[0]]);
}

#[tokio::test]
async fn a_reading_taken_anew_makes_its_old_reruns_void() {
    let mut story = Story::of(Setup::always(all_of(&AZ))).await;
    story.read().await;
    story.read_again(1, story.began_at).await;
    // A restart to which the first reading is too old, and its re-run just not.
    let mut first = story.log.records().into_iter().find(|record| record.reading == 0).unwrap();
    first.ended_at = Some(story.began_at - SignedDuration::from_hours(1));
    story.log.record(&first).await.unwrap();
    story.serves_since = None;
    assert_eq!(story.read().await.build_url, story.build(3));
    assert_eq!(story.read_again(1, story.began_at).await.build_url, story.build(4));
}
