//! An answer is due: the alert is over.

use super::*;

fn now() -> Timestamp {
    SystemClock::shared().now()
}

/// lifecycle.md#the-alert-ends: a run takes what answers in time.
#[tokio::test]
async fn what_a_running_build_has_printed_counts_and_no_further_zone_is_asked() {
    for hurried_before in [false, true] {
        let mut plan = endless(&AZ[..2]);
        plan.console.iter_mut().for_each(|(at, _)| *at = Duration::ZERO);
        let mut story = Story::of(Setup::always(plan)).await.within(Duration::from_secs(200));
        let (hurried, hurry) = watch::channel(hurried_before.then(|| after(now(), Duration::from_secs(3))));
        story.hurry = hurry;
        let then = async {
            until(|| story.said().contains("build #1 runs, 2 boxes")).await;
            if !hurried_before {
                hurried.send(Some(after(now(), Duration::from_millis(50)))).unwrap();
            }
        };
        let (reading, ()) = tokio::join!(story.read(), then);
        assert_eq!(names(&reading), AZ[..2]);
        assert!(reading.warnings[0].contains("when the alert was over"), "{:?}", reading.warnings);
        assert_eq!((story.sim.started(), story.sim.stopped()), (vec![AZ[0].to_owned()], vec![1]));
    }
}

#[tokio::test]
async fn a_build_that_ends_in_time_is_waited_for_and_an_incomplete_one_is_the_last() {
    for zones in [&AZ[..], &AZ[..1]] {
        let mut story = Story::of(Setup::always(all_of(zones))).await;
        let (_hurried, hurry) = watch::channel(Some(after(now(), Duration::from_secs(20))));
        story.hurry = hurry;
        let reading = story.read().await;
        assert_eq!((names(&reading), story.sim.started().len()), (zones.to_vec(), 1));
        assert!(!reading.warnings.iter().any(|w| w.contains("not done")), "{:?}", reading.warnings);
    }
}

#[tokio::test]
async fn the_wait_for_a_permit_ends() {
    let mut story = Story::of(Setup::always(all_of(&AZ))).await.within(Duration::from_secs(200));
    let (hurried, hurry) = watch::channel(None);
    story.hurry = hurry;
    let all_taken = story.both_places().await;
    let then = async {
        until(|| story.said().contains("JENKINS_MAX_BUILDS")).await;
        hurried.send(Some(now())).unwrap();
    };
    let (reading, ()) = tokio::join!(story.read(), then);
    drop(all_taken);
    assert!(reading.warnings[0].contains("before an answer was due"), "{:?}", reading.warnings);
    assert!(story.sim.started().is_empty());
}

#[tokio::test]
async fn a_part_of_what_somebody_elses_build_prints_is_better_than_nothing() {
    let mut plan = endless(&AZ[..2]);
    plan.console.iter_mut().for_each(|(at, _)| *at = Duration::ZERO);
    let mut story = Story::of(Setup::always(plan)).await.within(Duration::from_secs(200));
    let (hurried, hurry) = watch::channel(None);
    story.hurry = hurry;
    story.sim.somebody_builds("registry-prod-us-east-az1");
    let then = async {
        until(|| story.said().contains("build #1 runs, 2 boxes")).await;
        hurried.send(Some(now())).unwrap();
    };
    let (reading, ()) = tokio::join!(story.read(), then);
    assert_eq!(names(&reading), AZ[..2]);
    assert!(reading.warnings.iter().any(|w| w.contains("still running")), "{:?}", reading.warnings);
    assert_eq!((story.sim.started().len(), story.sim.stopped().len()), (0, 0));
}
