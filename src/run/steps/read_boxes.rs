//! Reads a region's Magic Boxes: runs the Jenkins job and takes what it prints.
//!
//! Runbook: "Run the ServiceEndPointStatus Jenkins job with CLUSTER set to the cluster name of one of the registry
//! clusters". A build that others started and that shows everything serves too. If there is none, the region's first
//! zone is asked for; when that build fails, or does not show every expected zone, the next, each within its share of
//! `JENKINS_TIMEOUT`. Builds are never mixed.

mod attempt;
mod follower;
mod release;
mod shared;
mod task;
#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;
mod until;
mod waiting;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::run::build_places::{BuildPlaces, Place};
use crate::run::progress::Progress;
use attempt::Attempt;
use follower::Tried;
use jenkins::{Early, Jenkins};
use outbound::permit::Permit;
use runbook::alert::{Region, Zone};
use runbook::diagnosis::verdict::{missing_zones, zone_of};
use runbook::diagnosis::{Console, MagicBox, Reading};
use runbook::span::{after, between};
use shared::Shared;
use task::{Task, end_build};

use outbound::builds::{BuildLog, BuildRecord};

/// Which reading is wanted.
#[derive(Clone, Debug)]
pub struct ReadingRequest<'a> {
    /// The alert's region.
    pub region: &'a Region,
    /// The zones that it should show, in the order in which the job is asked with them.
    pub expected: &'a [Zone],
    /// 0 for the first reading, n for the n-th re-run.
    pub index: u32,
    /// When the step began: of builds of ours that are looked for, those asked for since then serve.
    pub began_at: Timestamp,
    /// A build that others started serves if it was scheduled since then: when the alert began or, where somebody
    /// asked for the run, when the run was made. `None`: only builds of ours serve. A re-run moreover needs one above
    /// all that are there when it is called for.
    pub serves_since: Option<Timestamp>,
    /// A build that ended longer ago is no evidence any more, not even one of ours after a restart.
    pub max_age: Duration,
    /// What ended before this time is no evidence either: while a bigger outage explained the alert. `None`: none did.
    pub evidence_since: Option<Timestamp>,
    /// Names a time once an answer is due by then: no further zone is asked, and what a running build has printed by
    /// then counts. [`no_hurry`] never does.
    pub hurry: watch::Receiver<Option<Timestamp>>,
    /// To start builds, and to stop them.
    pub permit: &'a Permit,
}

/// For [`ReadingRequest::hurry`], where nothing ever hurries.
pub fn no_hurry() -> watch::Receiver<Option<Timestamp>> {
    watch::channel(None).1
}

/// Takes one reading. Never fails: what went wrong is in its warnings, and without any build it has no boxes.
///
/// Takes at most `JENKINS_TIMEOUT` from its call, waiting for one of the `places` (`JENKINS_MAX_BUILDS`) included. Builds
/// that `log` remembers are picked up, not started again. Dropping the future starts and stops nothing; the next call
/// picks its build up. `early` are the last builds, where somebody has begun to ask for them already.
pub async fn read_boxes(
    jenkins: &Jenkins,
    places: &BuildPlaces,
    request: ReadingRequest<'_>,
    log: &impl BuildLog,
    progress: &Progress,
    early: Option<Early>,
) -> Reading {
    let clock = jenkins.clock();
    let mut answer = Answer::new(&request);
    let known = match log.known().await {
        Ok(known) => known,
        Err(error) => {
            answer.warn(format!("no build was started, since it isn't known which were already: {error}"));
            end_build(log).await;
            return answer.finish(clock.now());
        }
    };
    let task = Task::new(jenkins, log, progress, &request, known).await;
    let deadline = task.until.deadline;
    let mut shared = Shared::new(&task, early);
    let mut place = None;
    // One that is remembered is picked up, first of all: another zone's may have been asked for when the first's could not.
    let mut zones: Vec<&Zone> = request.expected.iter().collect();
    zones.sort_by_key(|zone| task.remembered(zone).is_none());
    for (n, zone) in zones.into_iter().enumerate() {
        let must_start = task.remembered(zone).is_none();
        if must_start && let Some(tried) = shared.find().await {
            answer.take(tried);
            break;
        }
        if place.is_none() && task.has_build(zone) {
            // It runs already, or has ended: it has a place where there is one, and is not left waiting for another.
            place = places.try_take(|| task.want_build(places.most())).await;
        } else if place.is_none() {
            match wait_for_place(&task, places, &mut shared, must_start).await {
                Waited::Place(taken) => place = Some(taken),
                Waited::Served(tried) => {
                    answer.take(*tried);
                    break;
                }
                Waited::Over => {
                    answer.warn(no_place(&task, places.most()));
                    break;
                }
            }
        }
        let attempt = Attempt::new(&task, zone, shared.highest, share(&task, n));
        let tried = attempt.run().await;
        if let Some(number) = tried.number {
            shared.is_not(number);
        }
        // A refusal (401, 403, 404, 409) is not about the zone, nor is a store that can't be written.
        let is_last = tried.is_last;
        if answer.take(tried) || is_last || clock.now() >= deadline || task.until.is_hurried() {
            break;
        }
    }
    // Before its place goes to who waits for it here.
    end_build(log).await;
    drop(place);
    answer.set_aside.append(&mut shared.set_aside);
    answer.finish(clock.now())
}

/// When the n-th zone's try ends: an equal share of what is left, and no less than it would have had without a wait.
fn share<L>(task: &Task<'_, L>, n: usize) -> Timestamp {
    let clock = task.jenkins.clock();
    let zones = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).max(1);
    let left = between(clock.now(), task.until.deadline);
    let whole = task.jenkins.settings().timeout;
    let count = task.request.expected.len();
    let share = (left / zones(count.saturating_sub(n))).max(whole / zones(count)).min(left);
    after(clock.now(), share)
}

/// The best of several tries.
struct Answer<'a> {
    request: &'a ReadingRequest<'a>,
    best: Option<(usize, Tried)>,
    last_try: Option<Timestamp>,
    warnings: Vec<String>,
    /// The region's boxes of tries that are not the best.
    set_aside: Vec<MagicBox>,
}

impl<'a> Answer<'a> {
    fn new(request: &'a ReadingRequest<'a>) -> Self {
        Self { request, best: None, last_try: None, warnings: Vec::new(), set_aside: Vec::new() }
    }

    fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Takes what came of a try; says whether it shows everything.
    fn take(&mut self, mut tried: Tried) -> bool {
        self.last_try = Some(tried.at);
        self.warnings.append(&mut tried.warnings);
        let Some(console) = &tried.console else { return false };
        let missing = missing_zones(self.request.region, self.request.expected, console);
        if !missing.is_empty() {
            let name = tried.build.as_ref().map_or("the build", |build| &build.url);
            let zones: Vec<&str> = missing.iter().map(Zone::as_str).collect();
            self.warnings.push(format!("{name} does not show {}", zones.join(", ")));
        }
        // Of several builds the one with most expected zones counts, then the latest.
        let worse = match &self.best {
            Some((fewest, _)) if missing.len() > *fewest => Some(tried),
            _ => self.best.replace((missing.len(), tried)).map(|(_, before)| before),
        };
        self.set_aside.extend(worse.and_then(|tried| tried.console).iter().flat_map(|c| boxes_of(self.request, c)));
        missing.is_empty()
    }

    fn finish(self, now: Timestamp) -> Reading {
        let Self { best, last_try, warnings, set_aside, .. } = self;
        match best {
            Some((_, Tried { build: Some(build), at, console: Some(console), .. })) => {
                Reading { build_url: Some(build.url), at, console, warnings, set_aside }
            }
            _ => {
                let at = last_try.unwrap_or(now);
                Reading { build_url: None, at, console: Default::default(), warnings, set_aside }
            }
        }
    }
}

/// What a console shows of the region.
fn boxes_of(request: &ReadingRequest<'_>, console: &Console) -> Vec<MagicBox> {
    let is_ours = |b: &&MagicBox| zone_of(request.region, request.expected, &b.name).is_some();
    console.boxes.iter().filter(is_ours).cloned().collect()
}

/// What came of waiting for a place.
enum Waited {
    /// One of `JENKINS_MAX_BUILDS`.
    Place(Place),
    /// None is needed: a build that began or ended meanwhile serves.
    Served(Box<Tried>),
    /// There was none in time.
    Over,
}

/// Waits for a place to start a build. Whoever has to wait looks again when a build of this process begins, and once there
/// is a place: much may have ended.
async fn wait_for_place<L: BuildLog>(
    task: &Task<'_, L>,
    places: &BuildPlaces,
    shared: &mut Shared<'_, L>,
    must_start: bool,
) -> Waited {
    let waited = AtomicBool::new(false);
    loop {
        let waits = || {
            if !waited.swap(true, Ordering::Relaxed) {
                task.progress.say("Jenkins: waiting until one of our other builds has ended (JENKINS_MAX_BUILDS)");
            }
        };
        let place = tokio::select! {
            biased;
            place = places.take(|| task.want_build(places.most()), waits) => Some(place),
            () = task.until.over() => return Waited::Over,
            () = shared.another_begins(), if must_start => None,
        };
        if must_start
            && waited.load(Ordering::Relaxed)
            && let Some(tried) = shared.find().await
        {
            return Waited::Served(Box::new(tried));
        }
        if let Some(place) = place {
            return Waited::Place(place);
        }
    }
}

fn no_place<L>(task: &Task<'_, L>, max_builds: usize) -> String {
    let limit = if task.until.is_hurried() { "before an answer was due" } else { "within JENKINS_TIMEOUT" };
    format!("no build was started {limit}: {max_builds} builds of ours ran all the time (JENKINS_MAX_BUILDS)")
}
