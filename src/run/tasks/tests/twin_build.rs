//! A build that Jenkins starts late, when another was asked for long since: it is said, and counts while it runs.
//! lifecycle.md#jenkins-and-the-clusters. Jenkins goes by the real clock here.

use crate::run::build_log::RunBuilds;
use crate::run::progress::Progress;
use crate::run::steps::read_boxes::{ReadingRequest, no_hurry, read_boxes};
use jenkins::{Jenkins, JenkinsSettings};
use outbound::builds::BuildRecord;
use outbound::clock::SystemClock;
use runbook::alert::Zone;
use runbook::diagnosis::Reading;
use runbook::writes::{Moment, Step, Times};
use simulators::jenkins::{self as sim, BuildPlan, Fault, Place};

use super::*;

const AZ: &str = "registry-prod-us-south-az1";

/// An alert's run, and the Jenkins that it asks.
struct Building {
    story: Story,
    sim: sim::Jenkins,
    lease: Lease,
}

impl Building {
    async fn new() -> Self {
        let plan = BuildPlan::showing(&[(AZ, 1, 0, 1)], Duration::from_millis(60));
        let sim = sim::Jenkins::start(sim::Setup::always(plan)).await.unwrap();
        let mut story = Story::new().await;
        let (user, token) = sim.credentials();
        let settings = JenkinsSettings {
            job_url: sim.job_url().parse().unwrap(),
            user,
            token: token.as_str().into(),
            timeout: Duration::from_secs(20),
            poll: Duration::from_millis(10),
            max_builds: 1,
        };
        story.context.clock = SystemClock::shared();
        story.context.jenkins = Arc::new(Jenkins::new(settings, SystemClock::shared()).unwrap());
        let lease = story.context.store.claim_run().await.unwrap().expect("the alert's run");
        Self { story, sim, lease }
    }

    async fn reads(&self) -> Reading {
        let context = &self.story.context;
        let (region, expected) = ("prod-us-south".parse().unwrap(), [Zone::new(AZ)]);
        let request = ReadingRequest {
            region: &region,
            expected: &expected,
            index: 0,
            began_at: context.clock.now(),
            serves_since: None,
            max_age: MINUTE,
            evidence_since: None,
            hurry: no_hurry(),
            permit: &context.permit,
        };
        let (builds, silent) = (RunBuilds::new(context, &self.lease), Progress::silent());
        let reading = read_boxes(&context.jenkins, &context.builds, request, &builds, &silent, None);
        tokio::time::timeout(MINUTE, reading).await.expect("a reading in its time")
    }

    async fn until(&self, what: &str, holds: impl Fn(&sim::Jenkins) -> bool) {
        let waiting = async {
            while !holds(&self.sim) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(MINUTE, waiting).await.expect(what);
    }

    /// What the timeline says of builds that nobody reads.
    async fn said(&self) -> Vec<String> {
        let run = self.story.context.store.run(self.lease.run_id()).await.unwrap().unwrap();
        run.activity.into_iter().map(|done| done.what).filter(|what| what.contains("second build")).collect()
    }

    /// Whether another may have a build, where one runs at a time.
    async fn has_room(&self) -> bool {
        let store = &self.story.context.store;
        let task = NewTask {
            kind: TaskKind::FollowUp,
            incident_id: self.story.alert.clone(),
            run_id: None,
            mark: "asks".into(),
            data: String::new(),
            after: Duration::ZERO,
        };
        store.add_task(&task).await.unwrap();
        let task = self.story.claim_task().await;
        assert_eq!(task.kind, TaskKind::FollowUp);
        let has_room = store.want_build(task.claim(), 1).await.unwrap();
        store.finish_task(&task).await.unwrap();
        has_room
    }
}

#[tokio::test]
async fn a_build_that_was_started_late_is_said_once_and_counts_while_it_runs() {
    let building = Building::new().await;
    let (story, sim) = (&building.story, &building.sim);
    sim.fault(Place::Start, Fault::Late(SECOND * 3), 1);
    sim.hold_builds(2);
    let reading = building.reads().await;
    assert_eq!((reading.console.boxes.len(), reading.build_url), (1, Some(format!("{}1/", sim.job_url()))));
    story.context.store.finish_run(&building.lease, &Finish::Done).await.unwrap();
    assert!(building.has_room().await, "nothing of it is known yet");
    building.until("the late one", |sim| sim.started().len() == 2 && sim.runs(2)).await;
    for _ in 0..2 {
        story.pass(SECOND * 40, SECOND * 10).await;
        let said = building.said().await;
        assert!(said.len() == 1 && said[0].contains(AZ) && said[0].contains("/2/"), "{said:?}");
        assert!(!building.has_room().await, "it runs");
    }
    assert!(sim.stopped().is_empty() && sim.cancelled().is_empty(), "nobody stops it");
    sim.let_builds_end();
    building.until("its end", |sim| !sim.runs(2)).await;
    story.pass(SECOND * 20, SECOND * 10).await;
    assert!(building.has_room().await);
    assert_eq!(building.said().await.len(), 1);
}

/// Killed before the answer: the build is nobody's until its run is taken up, and is not asked for again then.
#[tokio::test]
async fn a_build_of_a_worker_that_was_killed_counts_and_is_read_by_who_takes_its_run_up() {
    let building = Building::new().await;
    let (story, sim) = (&building.story, &building.sim);
    let store = &story.context.store;
    sim.hold_builds(1);
    let record = BuildRecord::wanted(0, Zone::new(AZ), story.context.clock.now(), Some(0));
    let now = Moment { ours: record.asked_at, theirs: None };
    store.start_build(&building.lease, &record, &Step::Begin(0), now, &Times::JENKINS).await.unwrap();
    story.context.jenkins.start(&story.context.permit, &record.zone).await.unwrap();
    building.until("a build", |sim| sim.runs(1)).await;
    story.pass(SECOND * 40, SECOND * 10).await;
    assert!(!building.has_room().await, "it runs");
    let recorded = store.recorded(&record.key(building.lease.run_id())).await.unwrap().unwrap();
    assert!(recorded.write.id.is_some() && building.said().await.is_empty(), "{recorded:?}");
    sim.let_builds_end();
    story.clock.jump(store::LEASE * 2);
    let lease = store.claim_run().await.unwrap().expect("its lease is over");
    let again = Building { lease, ..building };
    assert_eq!(again.reads().await.console.boxes.len(), 1);
    assert_eq!(again.sim.started(), [AZ]);
}
