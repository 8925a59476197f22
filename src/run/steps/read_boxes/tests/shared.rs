//! Builds that others started.

use futures::future::join_all;

use super::*;

/// Another region's zone, with which others ask.
const EAST: &str = "registry-prod-us-east-az1";

/// A build that has ended as soon as it began.
fn done_at_once(zones: &[&str]) -> BuildPlan {
    lasting(zones, 0)
}

fn lasting(zones: &[&str], milliseconds: u64) -> BuildPlan {
    let boxes: Vec<_> = zones.iter().map(|zone| (*zone, 1, 0, 1)).collect();
    BuildPlan::showing(&boxes, Duration::from_millis(milliseconds))
}

/// What runs of ours need, and what others' builds for another region do.
async fn beside(theirs: BuildPlan) -> Story {
    Story::by(move |asked| if asked.cluster == EAST { theirs.clone() } else { all_of(&AZ) }).await
}

impl Story {
    /// The alert began this many milliseconds after (or before) now.
    fn alert_in(&mut self, milliseconds: i64) {
        let now = SystemClock::shared().now();
        self.serves_since = Some(now + SignedDuration::from_millis(milliseconds));
    }

    fn shared_record(&self) -> Option<BuildRecord> {
        self.log.records().into_iter().find(BuildRecord::is_somebodys)
    }
}

#[tokio::test]
async fn one_that_has_ended_and_shows_everything_is_the_reading() {
    for result in ["SUCCESS", "FAILURE"] {
        let story = beside(done_at_once(&AZ).ending(result)).await;
        story.sim.somebody_builds(EAST);
        let reading = story.read().await;
        assert_eq!((names(&reading), reading.build_url.clone()), (AZ.to_vec(), story.build(1)), "{result}");
        assert!(story.sim.started().is_empty());
        let record = story.shared_record().expect("it is remembered");
        assert!(record.shared && record.number == Some(1) && record.failed.is_none(), "{record:?}");
        assert!(reading.at <= record.ended_at.unwrap() && reading.at >= story.began_at, "the build's end");
        assert_eq!(reading.warnings.len(), usize::from(result == "FAILURE"), "{:?}", reading.warnings);
    }
}

#[tokio::test]
async fn what_somebodys_build_showed_that_does_not_serve_is_kept_too() {
    let story = beside(done_at_once(&[AZ[0], EAST])).await;
    story.sim.somebody_builds(EAST);
    let reading = story.read().await;
    assert_eq!((names(&reading), reading.build_url.clone()), (AZ.to_vec(), story.build(2)));
    let set_aside: Vec<_> = reading.set_aside.iter().map(|b| b.name.trim_end_matches("-1")).collect();
    assert_eq!(set_aside, [AZ[0]]);
}

/// Jenkins' `timestamp` is when a build was scheduled: what began to run since then may have been asked for before.
#[tokio::test]
async fn one_that_was_asked_for_before_the_alert_and_ran_after_it_does_not_serve() {
    let mut story = beside(lasting(&AZ, 100).after_queue(Duration::from_millis(200), 0)).await;
    story.sim.somebody_builds(EAST);
    story.alert_in(100);
    until(|| story.sim.runs(1)).await;
    let reading = story.read().await;
    assert_eq!((names(&reading), reading.build_url.clone()), (AZ.to_vec(), story.build(2)));
    assert_eq!(story.sim.started(), [AZ[0]]);
}

#[tokio::test]
async fn one_that_runs_is_followed_and_never_stopped() {
    let story = beside(lasting(&AZ, 300)).await;
    story.sim.somebody_builds(EAST);
    assert_eq!(names(&story.read().await), AZ);
    assert!(story.sim.started().is_empty());
    let said = story.said();
    assert!(said.contains("Jenkins: build #1 runs already, started by somebody else"), "{said}");
    // Too slow, though all is there: it counts, and goes on.
    let mut plan = endless(&AZ);
    plan.console.iter_mut().for_each(|(at, _)| *at = Duration::ZERO);
    let story = beside(plan).await.within(Duration::from_secs(8));
    story.sim.somebody_builds(EAST);
    let reading = story.read().await;
    assert_eq!((names(&reading), story.sim.started().len()), (AZ.to_vec(), 0));
    assert!(reading.warnings[0].contains("still running"), "{:?}", reading.warnings);
    assert_eq!(story.sim.stopped(), [0; 0]);
}

#[tokio::test]
async fn one_that_does_not_do_costs_a_share_at_most() {
    let missing = || lasting(&AZ[..2], 100);
    for (theirs, why) in [
        (missing(), "does not show registry-prod-us-south-az3"),
        (all_of(&[]).ending("FAILURE"), "ended FAILURE"),
        (lasting(&AZ, 600_000), "still running"),
    ] {
        let story = beside(theirs).await.within(Duration::from_secs(8));
        story.sim.somebody_builds(EAST);
        let reading = story.read().await;
        assert_eq!((names(&reading), reading.build_url.clone()), (AZ.to_vec(), story.build(2)), "{why}");
        assert_eq!(story.sim.started(), [AZ[0]], "{why}");
        assert_eq!((reading.warnings.len(), story.sim.stopped().len()), (0, 0), "{why}");
        let said = story.said();
        assert!(said.contains("build #1 can't be used") && said.contains(why), "{said}");
        assert!(story.shared_record().unwrap().failed.is_some());
    }
}

#[tokio::test]
async fn who_has_seen_that_others_do_not_show_ours_waits_for_no_more_of_them() {
    let story = Story::by(|asked| match asked.nth {
        1 => done_at_once(&[EAST]),
        2 => endless(&[EAST]),
        _ => all_of(&AZ),
    })
    .await;
    story.sim.somebody_builds(EAST);
    until(|| !story.sim.runs(1)).await;
    story.sim.somebody_builds(EAST);
    assert_eq!(story.read().await.build_url, story.build(3));
    assert!(!story.said().contains("#2"), "{}", story.said());
}

#[tokio::test]
async fn one_that_began_before_the_alert_does_not_serve_and_neither_does_old_evidence() {
    for running in [false, true] {
        let mut story = beside(if running { lasting(&AZ, 400) } else { done_at_once(&AZ) }).await;
        story.sim.somebody_builds(EAST);
        story.alert_in(5);
        assert_eq!(story.read().await.build_url, story.build(2), "running: {running}");
    }
    let mut story = beside(done_at_once(&AZ)).await;
    story.sim.somebody_builds(EAST);
    story.max_age = Duration::ZERO;
    assert_eq!(story.read().await.build_url, story.build(2));
    let mut story = beside(done_at_once(&AZ)).await;
    story.sim.somebody_builds(EAST);
    story.serves_since = None;
    assert_eq!(story.read().await.build_url, story.build(2));
}

#[tokio::test]
async fn jenkins_clock_may_be_off_by_minutes() {
    for minutes in [5, -5] {
        for (alert_in, ours) in [(-2000, 0), (2000, 1)] {
            let theirs = done_at_once(&AZ);
            let skew = SignedDuration::from_mins(minutes);
            let mut story = Story::of(Setup { skew, ..Setup::always(theirs) }).await;
            story.sim.somebody_builds(EAST);
            story.alert_in(alert_in);
            let reading = story.read().await;
            assert_eq!(names(&reading), AZ);
            assert_eq!(story.sim.started().len(), ours, "{minutes} min, alert {alert_in} ms later");
        }
    }
}

#[tokio::test]
async fn a_rerun_takes_no_build_that_was_there_when_its_wait_ended() {
    // Ended, and running.
    for theirs in [done_at_once(&AZ), lasting(&AZ, 400)] {
        let story = beside(theirs).await;
        story.sim.somebody_builds(EAST);
        assert_eq!(story.read_again(1, story.began_at).await.build_url, story.build(2));
    }
    // The last one isn't known.
    let story = beside(done_at_once(&AZ)).await;
    story.sim.fault(Place::Job, Fault::NotFound, 1);
    story.sim.somebody_builds(EAST);
    assert_eq!(story.read_again(1, story.began_at).await.build_url, story.build(2));
    // One that came while it waited for its permit does.
    let story = beside(done_at_once(&AZ)).await;
    story.sim.somebody_builds(EAST);
    let all_taken = story.both_places().await;
    let meanwhile = async {
        until(|| story.said().contains("JENKINS_MAX_BUILDS")).await;
        story.sim.somebody_builds(EAST);
        drop(all_taken);
    };
    let (reading, ()) = tokio::join!(story.read_again(1, story.began_at), meanwhile);
    assert_eq!((reading.build_url, story.sim.started().len()), (story.build(2), 0));
}

#[tokio::test]
async fn after_a_restart_the_same_one_is_followed() {
    // A re-run, to which by then it is not above the highest known.
    let story = beside(lasting(&AZ, 500)).await;
    let all_taken = story.both_places().await;
    let killed = async {
        until(|| story.said().contains("JENKINS_MAX_BUILDS")).await;
        story.sim.somebody_builds(EAST);
        drop(all_taken);
        until(|| story.said().contains("build #1 runs, ")).await;
    };
    tokio::select! {
        _ = story.read_again(1, story.began_at) => panic!("it was to be killed first"),
        () = killed => {}
    }
    for _ in 0..2 {
        assert_eq!(story.read_again(1, story.began_at).await.build_url, story.build(1));
    }
    assert!(story.sim.started().is_empty());
}

#[tokio::test]
async fn a_build_that_is_ours_already_is_not_taken_for_another_reading() {
    // What the re-run had is not the first reading's too: one look would pass for two.
    let story = Story::of(Setup::always(all_of(&AZ))).await;
    let record = BuildRecord { number: Some(1), ..BuildRecord::wanted(1, Zone::new(EAST), story.began_at, None) };
    story.log.record(&record).await.unwrap();
    story.sim.somebody_builds(EAST);
    assert_eq!(story.read().await.build_url, story.build(2));
}

#[tokio::test]
async fn who_started_one_does_not_stop_it_while_another_run_follows_it() {
    let sim = Arc::new(sim::Jenkins::start(Setup::always(lasting(&AZ, 900))).await.unwrap());
    let (hurried, hurry) = watch::channel(None);
    let first = Story { hurry, ..Story::with(Arc::clone(&sim)) };
    let second = Story { jenkins: Arc::clone(&first.jenkins), ..Story::with(sim) };
    let then = async {
        until(|| first.said().contains("build #1 runs, ")).await;
        let follow = second.read();
        let hurry = async {
            until(|| second.said().contains("build #1 runs already, for another alert")).await;
            hurried.send(Some(SystemClock::shared().now())).unwrap();
        };
        tokio::join!(follow, hurry).0
    };
    let (given_up, followed) = tokio::join!(first.read(), then);
    assert!(given_up.warnings[0].contains("still running"), "{:?}", given_up.warnings);
    assert_eq!((names(&followed), followed.warnings.len()), (AZ.to_vec(), 0));
    assert_eq!((first.sim.started().len(), first.sim.stopped().len()), (1, 0));
}

/// Ten alerts at once, two builds allowed at a time; gives how many were started.
async fn ten_regions(each_shows_all: bool) -> usize {
    let regions: Vec<String> = (0..10).map(|n| format!("prod-r{n}")).collect();
    let zones_of = |region: &str| (1..=3).map(|n| format!("registry-{region}-az{n}")).collect::<Vec<_>>();
    let all: Vec<String> = regions.iter().flat_map(|region| zones_of(region)).collect();
    let setup = Setup::by(move |asked| {
        let (region, _) = asked.cluster.rsplit_once("-az").unwrap();
        let shown = all.iter().filter(|zone| each_shows_all || zone.starts_with(region));
        lasting(&shown.map(String::as_str).collect::<Vec<_>>(), 150)
    });
    let sim = Arc::new(sim::Jenkins::start(setup).await.unwrap());
    let one = Story::with(Arc::clone(&sim));
    let stories: Vec<Story> = regions
        .iter()
        .map(|region| Story {
            region: region.parse().unwrap(),
            expected: zones_of(region).into_iter().map(Zone::new).collect(),
            places: one.places.clone(),
            jenkins: Arc::clone(&one.jenkins),
            serves_since: one.serves_since,
            ..Story::with(Arc::clone(&sim))
        })
        .collect();
    let readings = join_all(stories.iter().map(Story::read)).await;
    for (story, reading) in stories.iter().zip(&readings) {
        let missing = missing_zones(&story.region, &story.expected, &reading.console);
        assert!(missing.is_empty() && reading.warnings.is_empty(), "{}: {:?}", story.region, reading.warnings);
    }
    sim.started().len()
}

#[tokio::test]
async fn ten_regions_at_once_need_few_builds_where_each_shows_all() {
    let builds = ten_regions(true).await;
    assert!(builds <= 2, "{builds} builds");
}

#[tokio::test]
async fn ten_regions_at_once_have_a_build_each_where_each_shows_its_own() {
    assert_eq!(ten_regions(false).await, 10);
}

/// How often Jenkins was asked for the last builds.
fn listed(story: &Story) -> usize {
    story.sim.requests().iter().filter(|seen| seen.path.ends_with("/ServiceEndpointStatus/api/json")).count()
}

#[tokio::test]
async fn however_many_wait_for_a_build_one_of_them_asks_for_it() {
    let story = beside(lasting(&AZ, 300)).await;
    story.sim.somebody_builds(EAST);
    let readings = join_all((0..20).map(|_| story.read())).await;
    assert!(readings.iter().all(|reading| names(reading) == AZ && reading.build_url == story.build(1)));
    let asked = story.sim.requests().iter().filter(|seen| seen.path.ends_with("/1/api/json")).count();
    // A look each 10 ms, and twenty that each looked for itself would have asked twice at least.
    assert!(asked <= 35, "{asked}");
    assert!(listed(&story) <= 4, "{}", listed(&story));
}

#[tokio::test]
async fn who_follows_a_build_goes_on_when_who_asked_for_it_leaves() {
    let story = beside(lasting(&AZ, 300)).await;
    story.sim.somebody_builds(EAST);
    until(|| story.sim.runs(1)).await;
    let deadline = story.began_at + SignedDuration::from_secs(60);
    let (mut first, mut second) = (story.jenkins.watch(1), story.jenkins.watch(1));
    first.next(deadline).await;
    // It is asking, or about to, and is dropped.
    let asking = tokio::time::timeout(Duration::from_millis(5), async {
        loop {
            first.next(deadline).await;
        }
    });
    asking.await.unwrap_err();
    drop(first);
    let end = loop {
        let sight = second.next(deadline).await;
        // The two are asked at once: the build may end in between.
        if sight.grows == Some(false) && sight.build.as_ref().is_some_and(jenkins::Build::is_done) {
            break sight;
        }
    };
    assert_eq!(end.console.boxes.len(), 3, "{:?}", end.console);
}

#[tokio::test]
async fn who_waits_for_a_place_takes_its_reading_from_a_build_that_begins_meanwhile() {
    let story = beside(lasting(&AZ, 300)).await;
    let _both = story.both_places().await;
    let waits = async {
        until(|| story.said().contains("waiting until one of our other builds has ended")).await;
        story.sim.somebody_builds(EAST);
        until(|| story.sim.runs(1)).await;
        // Another run of this process finds it.
        story.jenkins.watch(1)
    };
    let (reading, _other) = tokio::join!(story.read(), waits);
    assert_eq!((names(&reading), reading.build_url.clone()), (AZ.to_vec(), story.build(1)));
    assert!(story.sim.started().is_empty());
}

#[tokio::test]
async fn builds_that_were_asked_for_early_are_not_asked_for_again() {
    let story = beside(done_at_once(&AZ)).await;
    let deadline = story.began_at + SignedDuration::from_secs(60);
    let early = story.jenkins.ask_early(deadline);
    until(|| listed(&story) == 1).await;
    let silent = Progress::silent();
    let request = story.request(0, story.began_at);
    let reading = read_boxes(&story.jenkins, &story.places, request, &story.log, &silent, Some(early)).await;
    assert_eq!((names(&reading), story.sim.started().len()), (AZ.to_vec(), 1));
    assert_eq!(listed(&story), 1);
}
