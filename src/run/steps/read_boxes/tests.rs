//! Readings taken from the simulated Jenkins. What a watcher sees, what the run remembers, what was started.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::clock::SystemClock;
use crate::config::JenkinsSettings;
use crate::sim::jenkins::{self as sim, Asked, BuildPlan, Fault, Location, Place, Setup};

const AZ: [&str; 3] = ["registry-prod-us-south-az1", "registry-prod-us-south-az2", "registry-prod-us-south-az3"];

/// One simulated Jenkins and a service in front of it.
struct Story {
    sim: sim::Jenkins,
    settings: JenkinsSettings,
    limiter: Semaphore,
    log: InMemory,
    said: Arc<Mutex<Vec<String>>>,
    region: Region,
    expected: Vec<Zone>,
    began_at: Timestamp,
}

/// These zones, one rejecting box each.
fn all_of(zones: &[&str]) -> BuildPlan {
    let boxes: Vec<_> = zones.iter().map(|zone| (*zone, 1, 0, 1)).collect();
    BuildPlan::showing(&boxes, Duration::from_millis(60))
}

fn endless(zones: &[&str]) -> BuildPlan {
    let mut plan = all_of(zones);
    plan.duration = Duration::from_secs(600);
    plan
}

impl Story {
    async fn of(setup: Setup) -> Self {
        let sim = sim::Jenkins::start(setup).await.unwrap();
        let (user, token) = sim.credentials();
        let settings = JenkinsSettings {
            job_url: sim.job_url().parse().unwrap(),
            user,
            token: token.as_str().into(),
            timeout: Duration::from_secs(15),
            poll: Duration::from_millis(10),
            max_builds: 2,
        };
        Self {
            sim,
            settings,
            limiter: Semaphore::new(2),
            log: InMemory::default(),
            said: Arc::default(),
            region: "prod-us-south".parse().unwrap(),
            expected: AZ.map(Zone::new).into(),
            began_at: SystemClock::shared().now(),
        }
    }

    /// Builds by the zone that they are asked with.
    async fn by(plan: impl Fn(&Asked) -> BuildPlan + Send + Sync + 'static) -> Self {
        Self::of(Setup::by(plan)).await
    }

    fn within(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    async fn read(&self) -> Reading {
        self.read_again(0, self.began_at).await
    }

    async fn read_again(&self, index: u32, began_at: Timestamp) -> Reading {
        let jenkins = Jenkins::new(self.settings.clone(), SystemClock::shared()).unwrap();
        let said = Arc::clone(&self.said);
        let progress = Progress::new(move |line| said.lock().unwrap().push(line.to_owned()));
        let request = ReadingRequest { region: &self.region, expected: &self.expected, index, began_at };
        let reading = read_boxes(&jenkins, &self.limiter, request, &self.log, &progress);
        tokio::time::timeout(Duration::from_secs(30), reading).await.expect("a reading within its time")
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    fn build(&self, number: u64) -> Option<String> {
        Some(format!("{}{number}/", self.sim.job_url()))
    }

    /// What the run remembers of a zone's build.
    fn remembers(&self, zone: &str) -> BuildRecord {
        self.log.records().into_iter().find(|record| record.zone.as_str() == zone).expect("a record")
    }

    fn intent(&self, zone: &str) -> BuildRecord {
        BuildRecord {
            reading: 0,
            zone: Zone::new(zone),
            asked_at: self.began_at,
            queue_id: None,
            number: None,
            shared: false,
            ended_at: None,
            failed: None,
        }
    }
}

fn names(reading: &Reading) -> Vec<&str> {
    reading.console.boxes.iter().map(|magic_box| magic_box.name.trim_end_matches("-1")).collect()
}

#[tokio::test]
async fn the_first_zone_is_asked_and_all_boxes_come() {
    let story = Story::of(Setup::always(all_of(&AZ).after_queue(Duration::from_millis(200), 3))).await;
    let reading = story.read().await;
    assert_eq!(names(&reading), AZ);
    assert_eq!(reading.warnings, [""; 0]);
    assert_eq!(reading.build_url, story.build(1));
    assert_eq!(story.sim.started(), [AZ[0]]);
    let said = story.said();
    assert!(
        said.contains("Jenkins: waiting in the queue (3 before us): Waiting for next available executor"),
        "{said}"
    );
    assert!(said.contains("(1 before us)") && said.contains("build #1 runs"), "{said}");
    let record = story.remembers(AZ[0]);
    assert!(record.queue_id.is_some() && record.number == Some(1) && record.failed.is_none());
    assert!(reading.at >= story.began_at && Some(reading.at) <= record.ended_at);
}

#[tokio::test]
async fn the_next_zone_is_asked_when_one_is_missing_and_the_fuller_build_counts_and_none_are_mixed() {
    let story = Story::by(|asked| match asked.cluster.as_str() {
        zone if zone == AZ[0] => all_of(&AZ[..2]),
        zone if zone == AZ[1] => all_of(&AZ[2..]),
        _ => all_of(&AZ[1..]),
    })
    .await;
    let reading = story.read().await;
    assert_eq!(story.sim.started(), AZ);
    // The first and the last show two zones each: the later counts.
    assert_eq!(names(&reading), AZ[1..]);
    assert_eq!(reading.build_url, story.build(3));
    assert_eq!(reading.warnings.len(), 3, "{:?}", reading.warnings);
    assert!(reading.warnings[0].contains("does not show registry-prod-us-south-az3"), "{:?}", reading.warnings);
}

#[tokio::test]
async fn a_failed_build_that_shows_everything_counts_and_no_other_is_started() {
    let story = Story::of(Setup::always(all_of(&AZ).ending("FAILURE"))).await;
    let reading = story.read().await;
    assert_eq!(names(&reading), AZ);
    assert_eq!(story.sim.started(), [AZ[0]]);
    assert!(reading.warnings[0].contains("ended FAILURE"), "{:?}", reading.warnings);
}

#[tokio::test]
async fn a_failed_build_that_shows_nothing_is_followed_by_the_next_zone() {
    let story = Story::by(|asked| match asked.nth {
        1 => all_of(&[]).ending("FAILURE"),
        _ => all_of(&AZ),
    })
    .await;
    let reading = story.read().await;
    assert_eq!(names(&reading), AZ);
    assert_eq!(story.sim.started(), AZ[..2]);
}

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
    for fault in [Fault::Reset, Fault::InternalError, Fault::Unavailable(Duration::ZERO)] {
        let story = Story::of(Setup::always(all_of(&AZ))).await;
        story.sim.fault(Place::Start, fault, 2);
        assert_eq!(names(&story.read().await), AZ, "{fault:?}");
        assert_eq!(story.sim.started(), [AZ[0]], "{fault:?}");
    }
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

#[tokio::test]
async fn each_zone_has_its_share_and_what_is_ours_alone_is_stopped() {
    let story = Story::by(|asked| match asked.nth {
        1 => endless(&AZ[..1]),
        2 => all_of(&AZ).after_queue(Duration::from_secs(600), 2),
        _ => all_of(&AZ),
    })
    .await
    .within(Duration::from_millis(1800));
    let reading = story.read().await;
    assert_eq!(names(&reading), AZ);
    assert_eq!(story.sim.started(), AZ);
    assert_eq!((story.sim.stopped(), story.sim.cancelled().len()), (vec![1], 1));
    assert!(reading.warnings[0].contains("its share of JENKINS_TIMEOUT"), "{:?}", reading.warnings);
    assert!(reading.warnings.iter().any(|w| w.contains("still waiting")), "{:?}", reading.warnings);
}

#[tokio::test]
async fn what_somebody_else_waits_for_is_left_alone() {
    // Somebody joins ours in the queue; we join somebody's.
    for we_come_first in [true, false] {
        let plan = endless(&AZ[..1]).after_queue(Duration::from_millis(200), 0);
        let mut story = Story::of(Setup::always(plan)).await.within(Duration::from_millis(600));
        story.expected.truncate(1);
        if !we_come_first {
            story.sim.somebody_builds(AZ[0]);
        }
        let join = async {
            while we_come_first && story.sim.started().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            story.sim.somebody_builds(AZ[0]);
        };
        let (reading, ()) = tokio::join!(story.read(), join);
        assert!(reading.warnings[0].contains("was not done"), "{:?}", reading.warnings);
        assert_eq!(story.sim.stopped(), [0; 0], "first: {we_come_first}");
        assert_eq!(names(&reading), AZ[..1], "what it had printed counts");
    }
}

#[tokio::test]
async fn a_complete_console_counts_though_its_build_never_ends() {
    let mut plan = endless(&AZ);
    for (at, _) in &mut plan.console {
        *at = Duration::ZERO;
    }
    let story = Story::of(Setup::always(plan)).await.within(Duration::from_millis(900));
    let reading = story.read().await;
    assert_eq!((names(&reading), story.sim.started().len()), (AZ.to_vec(), 1));
    assert!(reading.warnings[0].contains("still running"), "{:?}", reading.warnings);
}

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

#[tokio::test]
async fn after_a_restart_an_intent_is_looked_for_before_anything_is_started() {
    // Killed after the request arrived and before its answer was remembered: it has even ended by now.
    let story = Story::of(Setup::always(all_of(&AZ))).await;
    story.log.record(&story.intent(AZ[0])).await.unwrap();
    let jenkins = Jenkins::new(story.settings.clone(), SystemClock::shared()).unwrap();
    jenkins.start(&Zone::new(AZ[0])).await.unwrap();
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
}

#[tokio::test]
async fn nothing_is_started_that_cannot_be_remembered() {
    let story = Story::of(Setup::always(all_of(&AZ))).await;
    let jenkins = Jenkins::new(story.settings.clone(), SystemClock::shared()).unwrap();
    let request =
        ReadingRequest { region: &story.region, expected: &story.expected, index: 0, began_at: story.began_at };
    let reading = read_boxes(&jenkins, &story.limiter, request, &Broken, &Progress::silent()).await;
    assert!(story.sim.started().is_empty());
    assert!(reading.warnings[0].contains("the lease is lost"), "{:?}", reading.warnings);
}

#[tokio::test]
async fn no_more_builds_run_at_a_time_than_allowed_and_waiting_for_one_ends() {
    let story = Story::of(Setup::always(all_of(&AZ))).await.within(Duration::from_millis(200));
    let _taken = story.limiter.acquire_many(2).await.unwrap();
    let reading = story.read().await;
    assert!(story.sim.started().is_empty());
    assert!(reading.warnings[0].contains("JENKINS_MAX_BUILDS"), "{:?}", reading.warnings);
    assert!(story.said().contains("JENKINS_MAX_BUILDS"));
}

#[tokio::test]
async fn a_jenkins_that_hangs_or_is_not_there_ends_in_a_reading_with_a_warning() {
    let story = Story::of(Setup::always(all_of(&AZ))).await.within(Duration::from_millis(600));
    story.sim.fault(Place::Any, Fault::Hang, 99);
    let reading = story.read().await;
    assert_eq!((reading.build_url, reading.warnings.len()), (None, 3), "{:?}", reading.warnings);
    let mut story = Story::of(Setup::always(all_of(&AZ))).await.within(Duration::from_millis(900));
    story.settings.job_url = "http://127.0.0.1:9/job/x/".parse().unwrap();
    let reading = story.read().await;
    assert!(reading.warnings[0].contains("no connection"), "{:?}", reading.warnings);
}

#[tokio::test]
async fn a_console_that_breaks_off_or_is_refused_is_survived() {
    let story = Story::of(Setup::always(all_of(&AZ))).await;
    story.sim.fault(Place::Log, Fault::HalfAnswer, 2);
    story.sim.fault(Place::Build, Fault::Reset, 1);
    story.sim.fault(Place::Item, Fault::InternalError, 1);
    let reading = story.read().await;
    assert_eq!((names(&reading), reading.warnings.len()), (AZ.to_vec(), 0), "{:?}", reading.warnings);
    // More often than a question is repeated: a build that is there is not given up.
    let story = Story::of(Setup::always(all_of(&AZ))).await.within(Duration::from_secs(60));
    story.sim.fault(Place::Build, Fault::InternalError, 6);
    let reading = story.read().await;
    assert_eq!((names(&reading), story.sim.started().len()), (AZ.to_vec(), 1), "{:?}", reading.warnings);
    let story = Story::of(Setup::always(all_of(&AZ))).await;
    story.sim.fault(Place::Log, Fault::Forbidden, 9);
    let reading = story.read().await;
    assert_eq!(story.sim.started(), [AZ[0]]);
    assert!(reading.warnings[0].contains("403"), "{:?}", reading.warnings);
}
