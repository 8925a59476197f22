//! Builds that others started: one that shows all expected zones serves this reading too, and none of ours is needed.
//!
//! lifecycle.md#jenkins-and-the-clusters. Others are other runs of ours (several regions that alert at once), other
//! replicas, and people.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::follower::{Follower, Tried, Trouble};
use super::task::Task;
use super::{BuildLog, BuildRecord, boxes_of};
use jenkins::{Build, Early};
use outbound::error::Error;
use runbook::diagnosis::MagicBox;
use runbook::diagnosis::verdict::missing_zones;
use runbook::span::{after, between};

/// How many builds are looked at for one reading.
const LOOKED_AT: usize = 6;

pub(super) struct Shared<'a, L> {
    task: &'a Task<'a, L>,
    /// What is left of the time for others' builds.
    time: Duration,
    /// Builds that don't serve.
    in_vain: BTreeSet<u64>,
    looked_at: usize,
    /// A build for another region succeeded and did not show all of ours: none for another region is waited for again.
    only_own_region: bool,
    /// The last builds, asked for before it was known that they are needed.
    early: Option<Early>,
    /// How many builds were followed here when it was last looked: one that has begun since may serve.
    begun: u64,
    /// The highest number that was seen.
    pub(super) highest: Option<u64>,
    /// What builds that don't serve show of the region.
    pub(super) set_aside: Vec<MagicBox>,
}

/// A build that is being read.
struct Reading<'a> {
    record: BuildRecord,
    follower: Follower<'a>,
}

impl<'a, L: BuildLog> Shared<'a, L> {
    pub(super) fn new(task: &'a Task<'a, L>, early: Option<Early>) -> Self {
        let time = task.others_share();
        let (in_vain, set_aside) = (BTreeSet::new(), Vec::new());
        let (looked_at, only_own_region, begun, highest) = Default::default();
        Self { task, time, in_vain, looked_at, only_own_region, early, begun, highest, set_aside }
    }

    /// A build of ours that has been read already.
    pub(super) fn is_not(&mut self, number: u64) {
        self.in_vain.insert(number);
    }

    /// Looks for such a build and reads it, waiting for one that runs. `None`: a build of ours is needed.
    ///
    /// Where an answer is due, what a running one has printed so far is the answer.
    pub(super) async fn find(&mut self) -> Option<Tried> {
        self.task.request.serves_since?;
        let clock = self.task.jenkins.clock();
        let began = clock.now();
        // A look at those that have ended costs little, however much time has gone by with others.
        let until = self.task.until.by(after(began, self.time.max(self.task.others_share() / 10)));
        let mut reading = None;
        let found = tokio::select! {
            biased;
            found = self.search(until.deadline, &mut reading) => found,
            () = until.over() => match reading.take() {
                Some(reading) => self.conclude(reading, Err(Trouble::Deadline)).await,
                None => None,
            },
        };
        self.time = self.time.saturating_sub(between(began, clock.now()));
        found
    }

    async fn search(&mut self, deadline: Timestamp, reading: &mut Option<Reading<'a>>) -> Option<Tried> {
        // After a restart the same build is taken, whatever has come since.
        if let Some(record) = self.task.remembered_of_somebody().filter(|record| record.failed.is_none())
            && let Some(number) = record.number
            && !self.in_vain.contains(&number)
        {
            *reading = Some(self.begin(record.clone(), deadline));
            if let Some(tried) = self.read(number, reading).await {
                return Some(tried);
            }
        }
        while self.looked_at < LOOKED_AT {
            let builds = match self.builds(deadline).await {
                Ok(builds) => builds,
                Err(error) => {
                    tracing::info!(error = %error, "it isn't known whether somebody else's build can be used");
                    return None;
                }
            };
            self.highest = self.highest.max(builds.iter().map(|build| build.number).max().or(Some(0)));
            let build = self.choose(&builds)?;
            let record = self.task.intent_to_share(build.number);
            if !build.is_done() {
                let whose = if self.task.jenkins.is_ours_alone(&build.caused_by) {
                    "for another alert"
                } else {
                    "started by somebody else"
                };
                self.task.progress.say(&format!("Jenkins: build #{} runs already, {whose}", build.number));
                // A restart follows it again, even where by then it is not above the highest known.
                self.task.log.record(&record).await.ok()?;
            }
            *reading = Some(self.begin(record, deadline));
            if let Some(tried) = self.read(build.number, reading).await {
                return Some(tried);
            }
        }
        None
    }

    /// The last builds; where they were asked for early, as they were then.
    async fn builds(&mut self, deadline: Timestamp) -> Result<Vec<Build>, Error> {
        if let Some(early) = self.early.take() {
            self.begun = early.begun;
            if let Some(builds) = early.builds().await {
                return Ok(builds);
            }
        }
        self.begun = self.task.jenkins.begun();
        self.task.jenkins.builds(deadline).await
    }

    /// Waits until a build of this process has begun that was not there at the last look.
    pub(super) async fn another_begins(&self) {
        self.task.jenkins.begins_another(self.begun).await;
    }

    /// The newest that has ended, since it answers at once; else the oldest that runs, since it ends first.
    fn choose<'b>(&self, builds: &'b [Build]) -> Option<&'b Build> {
        let serving =
            || builds.iter().filter(|build| !self.in_vain.contains(&build.number) && self.task.may_serve(build));
        let ended = serving().filter(|build| build.is_done()).max_by_key(|build| build.number);
        let runs = serving().filter(|build| !build.is_done());
        let worth_waiting = runs.filter(|build| !self.only_own_region || self.is_of_our_region(build));
        ended.or_else(|| worth_waiting.min_by_key(|build| (!self.is_of_our_region(build), build.number)))
    }

    fn is_of_our_region(&self, build: &Build) -> bool {
        self.task.request.expected.iter().any(|zone| build.cluster.as_deref() == Some(zone.as_str()))
    }

    fn begin(&mut self, record: BuildRecord, deadline: Timestamp) -> Reading<'a> {
        self.looked_at += 1;
        Reading { record, follower: Follower::new(self.task.jenkins, self.task.progress, deadline) }
    }

    async fn read(&mut self, number: u64, reading: &mut Option<Reading<'a>>) -> Option<Tried> {
        let _followed = self.task.jenkins.follow(number);
        let result = reading.as_mut()?.follower.read(number, |_| Ok(())).await;
        self.conclude(reading.take()?, result).await
    }

    /// Decides whether what was read serves, and remembers that.
    async fn conclude(&mut self, reading: Reading<'a>, result: Result<(), Trouble>) -> Option<Tried> {
        let Self { task, .. } = self;
        let Reading { mut record, follower } = reading;
        let (now, console) = (task.jenkins.clock().now(), follower.so_far());
        let (build, ended_at) = (follower.build().cloned()?, follower.ended_at());
        let missing = missing_zones(task.request.region, task.request.expected, &console);
        let stale = ended_at.is_some_and(|ended_at| task.is_too_old(ended_at));
        // With an answer due, a part of what is needed is better than nothing.
        let enough = if task.until.is_hurried() { task.request.expected.len() } else { 1 };
        let serves = missing.len() < enough && !stale;
        record.ended_at = Some(now);
        let trouble = match result {
            Ok(()) => None,
            Err(Trouble::Deadline) => Some(follower.unfinished(build.number)),
            Err(error) => Some(error.to_string()),
        };
        if serves {
            task.progress.say(&format!("Jenkins: build #{} serves, no other is needed", build.number));
            task.log.record(&record).await.ok()?;
            return Some(follower.finish(record.number, trouble, false));
        }
        self.in_vain.insert(build.number);
        if !stale {
            self.set_aside.extend(boxes_of(task.request, &console));
        }
        if build.is_done() && build.result.as_deref() == Some("SUCCESS") && !self.is_of_our_region(&build) && !stale {
            self.only_own_region = true;
        }
        let zones: Vec<&str> = missing.iter().map(runbook::alert::Zone::as_str).collect();
        let why = trouble.unwrap_or_else(|| format!("it does not show {}", zones.join(", ")));
        self.task.progress.say(&format!("Jenkins: build #{} can't be used: {why}", build.number));
        record.failed = Some(why);
        if let Err(error) = self.task.log.record(&record).await {
            tracing::warn!(error, "could not remember that a build can't be used");
        }
        None
    }
}
