//! The canary: one Jenkins reading every `CANARY_INTERVAL` without an alert, so that a diagnosis can say what differs
//! from when all was well, and so that a job that fails is noticed before it is needed.
//!
//! One build an interval, with the first zone of one listed region, the regions in turn; what it shows of each listed
//! region is kept for that region where it is good ([`runbook::diagnosis::last_good`]). An alert goes first: none is begun
//! while a run is active, and one that goes on ends when a run comes; its build is stopped unless it serves that run.
//!
//! Runbook: "Run the ServiceEndPointStatus Jenkins job" and what its output is when nothing is wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::config::{Config, RegionZones};
use outbound::builds::{BuildLog, BuildRecord, LogError};
use runbook::alert::Region;
use runbook::canary::Outcome;
use runbook::diagnosis::last_good::GoodReading;
use runbook::diagnosis::verdict::is_complete;
use runbook::diagnosis::{Console, Reading};
use runbook::span::{after, between};
use store::{Canary, CanaryLease, LEASE, StoreError, Watch, WatchLease};

use super::context::Context;
use super::progress::Progress;
use super::steps::read_boxes::{ReadingRequest, read_boxes};
use super::watcher::Watcher;

/// How soon it is looked again where runs are active.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How soon it is due again where it gave way to an alert.
const PUT_OFF: Duration = Duration::from_secs(600);

/// How long the build of one whose time is up may take to be read.
const LOOK_BACK: Duration = Duration::from_secs(30);

/// Keeps what a reading shows of each listed region, and of `also`, where that is good.
///
/// # Errors
/// The store.
pub async fn keep_good(context: &Context, reading: &Reading, also: Option<&Region>) -> Result<(), StoreError> {
    let regions = &context.config.regions;
    let unlisted = also.map(|region| regions.zones_of(region)).filter(|region| !region.listed);
    let good: Vec<_> = regions
        .all()
        .iter()
        .chain(&unlisted)
        .filter_map(|zones| Some((&zones.region, GoodReading::of(&zones.region, &zones.names(), reading)?)))
        .collect();
    context.store.keep_good_readings(&good).await
}

/// Takes the readings.
#[derive(Debug)]
pub struct Watching {
    interval: Duration,
    /// It fails, which was said.
    failing: AtomicBool,
}

impl Watching {
    /// By these settings; `None` where they ask for none.
    pub fn new(config: &Config) -> Option<Self> {
        let interval = config.canary_interval?;
        if config.regions.is_empty() {
            tracing::debug!("CANARY_INTERVAL has no effect without a REGIONS_FILE: no region is known to be read");
            return None;
        }
        Some(Self { interval, failing: AtomicBool::default() })
    }
}

impl Watcher for Watching {
    fn watch(&self) -> Watch {
        Watch::Canary
    }

    fn turn<'a>(&'a self, context: &'a Context, lease: &'a WatchLease) -> BoxFuture<'a, Result<Duration, StoreError>> {
        async move {
            let failing = match turn(context, lease, self.interval).await {
                Ok(wait) => {
                    self.failing.store(false, Ordering::Relaxed);
                    return Ok(wait);
                }
                Err(StoreError::LeaseLost) => return Err(StoreError::LeaseLost),
                Err(error) => error,
            };
            let error = &failing as &dyn std::error::Error;
            if self.failing.swap(true, Ordering::Relaxed) {
                tracing::debug!(error, "no canary yet");
            } else {
                tracing::warn!(error, "the canary reading can't be taken now");
            }
            Ok(LOOK_EVERY)
        }
        .boxed()
    }
}

/// Takes a reading where one is due, once no run is active; in how long the next is due. A build that goes on when the claim
/// is given back or lost is picked up by who has it next.
async fn turn(context: &Context, lease: &WatchLease, interval: Duration) -> Result<Duration, StoreError> {
    let store = &context.store;
    loop {
        let Some(canary) = store.canary().await?.filter(|canary| canary.begun.is_some() || canary.due_in <= interval)
        else {
            store.in_time(store.plan_canary(interval)).await?;
            return Ok(interval);
        };
        if canary.begun.is_none() {
            if !canary.due_in.is_zero() {
                return Ok(canary.due_in);
            }
            if store.in_time(store.active_runs(None)).await?.others > 0 {
                context.clock.sleep(LOOK_EVERY).await;
                continue;
            }
        }
        // One that hangs in the database must not keep it for good.
        let longest = context.config.jenkins.timeout + 2 * LEASE;
        tokio::time::timeout(longest, read(context, lease, &canary, interval))
            .await
            .unwrap_or(Err(StoreError::Slow))?;
    }
}

/// Begins the reading that is due, or goes on with one that was cut off, and ends it.
async fn read(context: &Context, watch: &WatchLease, canary: &Canary, interval: Duration) -> Result<(), StoreError> {
    let (region, lease) = match canary.begun {
        Some(at) => (turn_of(context, canary.region.as_ref(), 0), CanaryLease::of(watch, at)),
        None => {
            let region = turn_of(context, canary.region.as_ref(), 1);
            let Some(region_zones) = region else { return Ok(()) };
            match context.store.begin_canary(watch, canary, &region_zones.region, interval).await? {
                Some(lease) => (region, lease),
                None => return Ok(()),
            }
        }
    };
    let Some(region) = region else { return context.store.end_canary(&lease, Outcome::Failed, None).await };
    let Some(reading) = read_or_give_way(context, region, &lease).await? else {
        tracing::info!("the canary reading was stopped for an alert");
        return context.store.put_off_canary(&lease, PUT_OFF.min(interval)).await;
    };
    keep_good(context, &reading, None).await?;
    let outcome = Outcome::of(&region.region, &region.names(), &reading);
    say(region, &reading, outcome, canary.outcome);
    context.store.end_canary(&lease, outcome, (outcome == Outcome::Good).then_some(reading.at)).await
}

/// The listed region `steps` after this one; the first where it isn't listed.
fn turn_of<'a>(context: &'a Context, last: Option<&Region>, steps: usize) -> Option<&'a RegionZones> {
    let listed = context.config.regions.all();
    let next = last
        .and_then(|last| listed.iter().position(|region| region.region == *last))
        .map_or(0, |n| (n + steps) % listed.len().max(1));
    listed.get(next)
}

/// One build's reading; `None` where a run needs Jenkins before it is whole.
async fn read_or_give_way(
    context: &Context,
    region: &RegionZones,
    lease: &CanaryLease,
) -> Result<Option<Reading>, StoreError> {
    let first_zone = &region.names()[..1];
    let (hurry, hurried) = watch::channel(None);
    let (began_at, builds) = (lease.at, CanaryBuilds { context, lease });
    // It was cut off, and its time is up: what its build has printed counts, however long ago, and no other is asked
    // for.
    let over = between(began_at, context.clock.now()) > context.config.jenkins.timeout;
    if over {
        let known = context.store.canary_builds(lease).await?;
        if !known.iter().any(BuildRecord::is_known) {
            let warnings = vec!["it was cut off before it was known which build is its own".to_owned()];
            let (at, console) = (context.clock.now(), Console::default());
            return Ok(Some(Reading { build_url: None, at, console, warnings, set_aside: Vec::new() }));
        }
        hurry.send_replace(Some(after(context.clock.now(), LOOK_BACK)));
    }
    let request = ReadingRequest {
        region: &region.region,
        expected: first_zone,
        index: 0,
        began_at,
        serves_since: None,
        max_age: if over { Duration::MAX } else { context.config.jenkins.timeout },
        evidence_since: None,
        hurry: hurried,
        permit: &context.permit,
    };
    let progress = Progress::new(|line| tracing::debug!("canary: {line}"));
    let reading = {
        let reading = read_boxes(&context.jenkins, &context.builds, request, &builds, &progress, None);
        tokio::select! {
            reading = reading => reading,
            left = leave_it(context, began_at, &hurry) => return left.map(|()| None),
        }
    };
    let gave_way = hurry.borrow().is_some() && !over;
    // What was whole by then counts all the same.
    Ok((!gave_way || is_complete(&region.region, &region.names(), &reading.console)).then_some(reading))
}

/// Waits for a run. One whose alert came before this build takes its reading from it: the build is left to that run,
/// and so is our place among `JENKINS_MAX_BUILDS`. For any other run an answer is due at once, so that the build ends.
async fn leave_it(
    context: &Context,
    began_at: Timestamp,
    hurry: &watch::Sender<Option<Timestamp>>,
) -> Result<(), StoreError> {
    let store = &context.store;
    loop {
        let change = store.change();
        // When an alert came is by PagerDuty's clock.
        let active = store.active_runs(context.pagerduty.to_theirs(began_at).or(Some(began_at))).await?;
        if active.served > 0 {
            return Ok(());
        }
        if active.others > 0 {
            hurry.send_if_modified(|due| due.is_none() && due.replace(context.clock.now()).is_none());
            return std::future::pending().await;
        }
        change.await;
    }
}

/// An error where it begins to fail, and once; what goes on is only logged.
fn say(region: &RegionZones, reading: &Reading, outcome: Outcome, before: Option<Outcome>) {
    let (name, build) = (&region.region, reading.build_url.as_deref().unwrap_or("none"));
    let why = || [reading.warnings.as_slice(), reading.console.warnings.as_slice()].concat().join("; ");
    let news = before.is_none_or(|before| before.is_trouble() != outcome.is_trouble());
    match outcome {
        Outcome::Good => tracing::info!(region = %name, build, "the canary reading is good"),
        Outcome::NotGood => {
            tracing::warn!(region = %name, build, "the canary reading shows Magic Boxes that are not 1:1");
        }
        Outcome::Incomplete | Outcome::Failed if news => tracing::error!(
            region = %name,
            build,
            %outcome,
            why = why(),
            "THE CANARY READING FAILED: an alert now would be diagnosed without its Magic Boxes; run the Jenkins job by hand"
        ),
        Outcome::Incomplete | Outcome::Failed => {
            tracing::info!(region = %name, build, %outcome, why = why(), "the canary reading fails still");
        }
    }
}

/// What the canary remembers of its build, over restarts.
struct CanaryBuilds<'a> {
    context: &'a Context,
    lease: &'a CanaryLease,
}

impl BuildLog for CanaryBuilds<'_> {
    async fn known(&self) -> Result<Vec<BuildRecord>, LogError> {
        Ok(self.context.store.canary_builds(self.lease).await?)
    }

    async fn record(&self, record: &BuildRecord) -> Result<(), LogError> {
        let mut builds = self.context.store.canary_builds(self.lease).await?;
        builds.retain(|old| (old.reading, &old.zone) != (record.reading, &record.zone));
        builds.push(record.clone());
        Ok(self.context.store.set_canary_builds(self.lease, &builds).await?)
    }

    async fn want_build(&self, most: usize) -> Result<bool, LogError> {
        let store = &self.context.store;
        Ok(store.in_time(store.want_build(self.lease.claim(), most)).await?)
    }

    async fn end_build(&self) -> Result<(), LogError> {
        let store = &self.context.store;
        Ok(store.in_time(store.end_build(self.lease.claim())).await?)
    }
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;
