//! Reads a region's Magic Boxes: runs the Jenkins job and takes what it prints.
//!
//! Runbook: "Run the ServiceEndPointStatus Jenkins job with CLUSTER set to the cluster name of one of the registry
//! clusters". The region's first zone is asked for; when that build fails, or does not show every expected zone, the
//! next, each within its share of `JENKINS_TIMEOUT`. Builds are never mixed.

mod attempt;
mod builds;
mod coverage;
mod release;
#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::alert::{Region, Zone};
use crate::clock::{after, between};
use crate::diagnosis::Reading;
use crate::run::progress::Progress;
use crate::upstream::jenkins::Jenkins;
use attempt::{Attempt, Tried};

pub use builds::{BuildLog, BuildRecord, InMemory, LogError};

/// Which reading is wanted.
#[derive(Clone, Debug)]
pub struct ReadingRequest<'a> {
    /// The alert's region.
    pub region: &'a Region,
    /// The zones that it should show, in the order in which the job is asked with them.
    pub expected: &'a [Zone],
    /// 0 for the first reading, n for the n-th re-run.
    pub index: u32,
    /// When the step began: of builds that are looked for, those asked for since then serve.
    pub began_at: Timestamp,
}

/// Takes one reading. Never fails: what went wrong is in its warnings, and without any build it has no boxes.
///
/// Takes at most `JENKINS_TIMEOUT` from its call, waiting for one of the `limiter`'s permits (`JENKINS_MAX_BUILDS`,
/// shared by all runs) included. Builds that `log` remembers are picked up, not started again. Dropping the future
/// starts and stops nothing; the next call picks its build up.
pub async fn read_boxes(
    jenkins: &Jenkins,
    limiter: &Semaphore,
    request: ReadingRequest<'_>,
    log: &impl BuildLog,
    progress: &Progress,
) -> Reading {
    let clock = jenkins.clock();
    let deadline = after(clock.now(), jenkins.settings().timeout);
    let mut warnings = Vec::new();
    let known = match log.known().await {
        Ok(known) => known,
        Err(error) => {
            warnings.push(format!("no build was started, since it isn't known which were already: {error}"));
            return nothing(clock.now(), warnings);
        }
    };
    let Some(_permit) = permit(jenkins, limiter, deadline, progress).await else {
        warnings.push(format!(
            "no build was started within JENKINS_TIMEOUT: {} builds of ours ran all the time (JENKINS_MAX_BUILDS)",
            jenkins.settings().max_builds
        ));
        return nothing(clock.now(), warnings);
    };
    let mut best: Option<(usize, Tried)> = None;
    let mut last_try = clock.now();
    for (n, zone) in request.expected.iter().enumerate() {
        let left = between(clock.now(), deadline);
        let zones_left = u32::try_from(request.expected.len() - n).unwrap_or(u32::MAX);
        let share = after(clock.now(), left / zones_left);
        let mut tried = Attempt::new(jenkins, log, progress, &request, &known, zone, share).run().await;
        last_try = tried.at;
        warnings.append(&mut tried.warnings);
        let (refused, mut complete) = (tried.refused, false);
        if let Some(console) = &tried.console {
            let shown = coverage::present_zones(request.expected, console);
            complete = shown.len() == request.expected.len();
            if !complete {
                let missing: Vec<&str> =
                    request.expected.iter().filter(|z| !shown.contains(z)).map(Zone::as_str).collect();
                warnings.push(format!("{} does not show {}", tried.name(), missing.join(", ")));
            }
            // Of several builds the one with most expected zones counts, then the latest.
            if best.as_ref().is_none_or(|(most, _)| shown.len() >= *most) {
                best = Some((shown.len(), tried));
            }
        }
        // A refusal (401, 403, 404, 409) is not about the zone.
        if complete || refused || clock.now() >= deadline {
            break;
        }
    }
    match best {
        Some((_, Tried { build_url, at, console: Some(console), .. })) => Reading { build_url, at, console, warnings },
        _ => nothing(last_try, warnings),
    }
}

fn nothing(at: Timestamp, warnings: Vec<String>) -> Reading {
    Reading { build_url: None, at, console: Default::default(), warnings }
}

/// One of `JENKINS_MAX_BUILDS`, or nothing by the deadline.
async fn permit<'a>(
    jenkins: &Jenkins,
    limiter: &'a Semaphore,
    deadline: Timestamp,
    progress: &Progress,
) -> Option<tokio::sync::SemaphorePermit<'a>> {
    if let Ok(permit) = limiter.try_acquire() {
        return Some(permit);
    }
    progress.say("Jenkins: waiting until one of our other builds has ended (JENKINS_MAX_BUILDS)");
    tokio::select! {
        permit = limiter.acquire() => permit.ok(),
        () = jenkins.clock().sleep(between(jenkins.clock().now(), deadline)) => None,
    }
}
