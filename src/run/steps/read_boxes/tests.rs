//! Readings taken from the simulated Jenkins. What a watcher sees, what the run remembers, what was started.

mod hurry;
mod restarts;
mod shared;
mod starts;

use std::sync::{Arc, Mutex};

use jiff::SignedDuration;

use super::*;
use jenkins::JenkinsSettings;
use outbound::builds::{InMemory, LogError};
use outbound::clock::SystemClock;
use outbound::permit::Permit;
use simulators::jenkins::{self as sim, Asked, BuildPlan, Fault, Location, Place, Setup};

const AZ: [&str; 3] = ["registry-prod-us-south-az1", "registry-prod-us-south-az2", "registry-prod-us-south-az3"];

/// One simulated Jenkins and a service in front of it.
struct Story {
    sim: Arc<sim::Jenkins>,
    settings: JenkinsSettings,
    jenkins: Arc<Jenkins>,
    places: BuildPlaces,
    log: InMemory,
    said: Arc<Mutex<Vec<String>>>,
    region: Region,
    expected: Vec<Zone>,
    began_at: Timestamp,
    serves_since: Option<Timestamp>,
    max_age: Duration,
    evidence_since: Option<Timestamp>,
    hurry: watch::Receiver<Option<Timestamp>>,
    permit: Permit,
}

/// These zones, one rejecting box each.
fn all_of(zones: &[&str]) -> BuildPlan {
    let boxes: Vec<_> = zones.iter().map(|zone| (*zone, 1, 0, 1)).collect();
    BuildPlan::showing(&boxes, Duration::from_millis(60))
}

/// Nobody else counts.
fn always() -> std::future::Ready<bool> {
    std::future::ready(true)
}

fn endless(zones: &[&str]) -> BuildPlan {
    let mut plan = all_of(zones);
    plan.duration = Duration::from_secs(600);
    plan
}

impl Story {
    async fn of(setup: Setup) -> Self {
        Self::with(Arc::new(sim::Jenkins::start(setup).await.unwrap()))
    }

    fn with(sim: Arc<sim::Jenkins>) -> Self {
        let (user, token) = sim.credentials();
        let settings = JenkinsSettings {
            job_url: sim.job_url().parse().unwrap(),
            user,
            token: token.as_str().into(),
            timeout: Duration::from_secs(15),
            poll: Duration::from_millis(10),
            max_builds: 2,
        };
        let began_at = SystemClock::shared().now();
        Self {
            jenkins: Arc::new(Jenkins::new(settings.clone(), SystemClock::shared()).unwrap()),
            sim,
            settings,
            places: BuildPlaces::new(2, SystemClock::shared()),
            log: InMemory::default(),
            said: Arc::default(),
            region: "prod-us-south".parse().unwrap(),
            expected: AZ.map(Zone::new).into(),
            began_at,
            // Jenkins' times are whole milliseconds.
            serves_since: Some(began_at - SignedDuration::from_millis(2)),
            max_age: Duration::from_secs(600),
            evidence_since: None,
            hurry: no_hurry(),
            permit: Permit::needless("a test"),
        }
    }

    /// Builds by the zone that they are asked with.
    async fn by(plan: impl Fn(&Asked) -> BuildPlan + Send + Sync + 'static) -> Self {
        Self::of(Setup::by(plan)).await
    }

    fn within(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self.jenkins = Arc::new(Jenkins::new(self.settings.clone(), SystemClock::shared()).unwrap());
        self
    }

    /// Two builds of ours run.
    async fn both_places(&self) -> [super::Place; 2] {
        [self.places.take(always, || ()).await, self.places.take(always, || ()).await]
    }

    async fn read(&self) -> Reading {
        self.read_again(0, self.began_at).await
    }

    async fn read_again(&self, index: u32, began_at: Timestamp) -> Reading {
        let said = Arc::clone(&self.said);
        let progress = Progress::new(move |line| said.lock().unwrap().push(line.to_owned()));
        let request = self.request(index, began_at);
        let reading = read_boxes(&self.jenkins, &self.places, request, &self.log, &progress, None);
        tokio::time::timeout(Duration::from_secs(120), reading).await.expect("a reading within its time")
    }

    fn request(&self, index: u32, began_at: Timestamp) -> ReadingRequest<'_> {
        ReadingRequest {
            region: &self.region,
            expected: &self.expected,
            index,
            began_at,
            serves_since: self.serves_since,
            max_age: self.max_age,
            evidence_since: self.evidence_since,
            hurry: self.hurry.clone(),
            permit: &self.permit,
        }
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
        BuildRecord::wanted(0, Zone::new(zone), self.began_at, None)
    }
}

/// Waits until it is so.
async fn until(so: impl Fn() -> bool) {
    let work = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), work).await.expect("it happens within its time");
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

/// Builds are never mixed: what the others printed of the region decides nothing, but it was there.
#[tokio::test]
async fn what_a_build_showed_that_does_not_count_is_kept_beside_the_reading() {
    const EAST: &str = "registry-prod-us-east-az1";
    let story = Story::by(|asked| match asked.cluster.as_str() {
        zone if zone == AZ[0] => all_of(&[AZ[0], EAST]),
        zone if zone == AZ[1] => all_of(&AZ[..2]),
        _ => all_of(&AZ[2..]),
    })
    .await;
    let reading = story.read().await;
    assert_eq!((names(&reading), reading.build_url.clone()), (AZ[..2].to_vec(), story.build(2)));
    let set_aside: Vec<_> = reading.set_aside.iter().map(|b| b.name.trim_end_matches("-1")).collect();
    assert_eq!(set_aside, [AZ[0], AZ[2]], "of a worse one before it, and of one after it; another region's are not");
    // One that shows everything leaves nothing aside.
    let reading = Story::of(Setup::always(all_of(&AZ))).await.read().await;
    assert_eq!(reading.set_aside, []);
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
async fn each_zone_has_its_share_and_what_is_ours_alone_is_stopped() {
    let story = Story::by(|asked| match asked.nth {
        1 => endless(&AZ[..1]),
        2 => all_of(&AZ).after_queue(Duration::from_secs(600), 2),
        _ => all_of(&AZ),
    })
    .await
    .within(Duration::from_secs(6));
    let reading = story.read().await;
    assert_eq!(names(&reading), AZ);
    assert_eq!(story.sim.started(), AZ);
    assert_eq!((story.sim.stopped(), story.sim.cancelled().len()), (vec![1], 1));
    assert!(reading.warnings[0].contains("its share of JENKINS_TIMEOUT"), "{:?}", reading.warnings);
    assert!(reading.warnings.iter().any(|w| w.contains("still waiting")), "{:?}", reading.warnings);
}

#[tokio::test]
async fn what_somebody_else_waits_for_is_left_alone() {
    // Somebody joins ours in the queue; we join somebody's. At once: each waits until its time is up.
    let left_alone = async |we_come_first: bool| {
        let plan = endless(&AZ[..1]).after_queue(Duration::from_millis(200), 0);
        let mut story = Story::of(Setup::always(plan)).await.within(Duration::from_secs(6));
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
    };
    tokio::join!(left_alone(true), left_alone(false));
}

#[tokio::test]
async fn a_complete_console_counts_though_its_build_never_ends() {
    let mut plan = endless(&AZ);
    for (at, _) in &mut plan.console {
        *at = Duration::ZERO;
    }
    let story = Story::of(Setup::always(plan)).await.within(Duration::from_secs(6));
    let reading = story.read().await;
    assert_eq!((names(&reading), story.sim.started().len()), (AZ.to_vec(), 1));
    assert!(reading.warnings[0].contains("still running"), "{:?}", reading.warnings);
}

#[tokio::test]
async fn no_more_builds_run_at_a_time_than_allowed_and_waiting_for_one_ends() {
    let story = Story::of(Setup::always(all_of(&AZ))).await.within(Duration::from_millis(200));
    let _taken = story.both_places().await;
    let reading = story.read().await;
    assert!(story.sim.started().is_empty());
    assert!(reading.warnings[0].contains("JENKINS_MAX_BUILDS"), "{:?}", reading.warnings);
    assert!(story.said().contains("JENKINS_MAX_BUILDS"));
}

#[tokio::test]
async fn a_jenkins_that_hangs_or_is_not_there_ends_in_a_reading_with_a_warning() {
    let hangs = async {
        let story = Story::of(Setup::always(all_of(&AZ))).await.within(Duration::from_secs(6));
        story.sim.fault(Place::Any, Fault::Hang, 99);
        let reading = story.read().await;
        assert_eq!((reading.build_url, reading.warnings.len()), (None, 3), "{:?}", reading.warnings);
    };
    let is_not_there = async {
        let mut story = Story::of(Setup::always(all_of(&AZ))).await;
        story.settings.job_url = "http://127.0.0.1:9/job/x/".parse().unwrap();
        let story = story.within(Duration::from_secs(6));
        let reading = story.read().await;
        assert!(reading.warnings[0].contains("no connection"), "{:?}", reading.warnings);
    };
    // At once: both wait until their time is up.
    tokio::join!(hangs, is_not_there);
}

/// While the build runs, whatever stands between us and Jenkins for a while costs nothing.
#[tokio::test]
async fn a_sign_in_page_while_a_build_is_followed_does_not_end_its_try() {
    let faults = [Fault::SignInPage, Fault::SentToSignIn];
    for (fault, place) in
        faults.into_iter().flat_map(|fault| [Place::Build, Place::Log, Place::Item].map(|p| (fault, p)))
    {
        let mut plan = all_of(&AZ);
        plan.duration = Duration::from_millis(300);
        let story = Story::of(Setup::always(plan)).await;
        story.sim.fault(place, fault, 6);
        let reading = story.read().await;
        assert_eq!(
            (names(&reading), reading.warnings.len()),
            (AZ.to_vec(), 0),
            "{fault:?} {place:?}: {:?}",
            reading.warnings
        );
        assert_eq!(story.sim.started(), [AZ[0]], "{fault:?} {place:?}");
    }
    // One that does not pass ends with the zone's share, and says what it was.
    let story = Story::of(Setup::always(all_of(&AZ))).await.within(Duration::from_secs(6));
    story.sim.fault(Place::Build, Fault::SignInPage, u32::MAX);
    let reading = story.read().await;
    assert!(reading.warnings.iter().any(|w| w.contains("sign-in page")), "{:?}", reading.warnings);
}

/// The token runs out while a build is followed, and is renewed on disk.
#[tokio::test]
async fn a_token_that_is_renewed_on_disk_while_a_build_runs_costs_nothing() {
    let story = Story::of(Setup::always(all_of(&AZ))).await;
    story.sim.fault(Place::Build, Fault::Unauthorized, 4);
    let reading = story.read().await;
    assert!(reading.warnings[0].contains("401"), "one that can't be renewed is refused: {:?}", reading.warnings);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "an old one").unwrap();
    let mut story = Story::of(Setup::always(all_of(&AZ))).await;
    let (_, token) = story.sim.credentials();
    story.settings.token = outbound::secret::Secret::File(file.clone());
    let story = story.within(Duration::from_secs(15));
    std::fs::write(&file, format!("{token}\n")).unwrap();
    story.sim.fault(Place::Build, Fault::Unauthorized, 4);
    let reading = story.read().await;
    assert_eq!((names(&reading), reading.warnings.len()), (AZ.to_vec(), 0), "{:?}", reading.warnings);
    assert_eq!(story.sim.started(), [AZ[0]]);
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
