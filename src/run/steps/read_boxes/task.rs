//! What all tries of one reading work with.

use jiff::Timestamp;

use super::until::Until;
use super::{BuildLog, BuildRecord, ReadingRequest};
use crate::run::progress::Progress;
use jenkins::{Build, Jenkins};
use outbound::retry::by_deadline;
use runbook::alert::Zone;
use runbook::span::{after, between};

pub(super) struct Task<'a, L> {
    pub(super) jenkins: &'a Jenkins,
    pub(super) log: &'a L,
    pub(super) progress: &'a Progress,
    pub(super) request: &'a ReadingRequest<'a>,
    pub(super) until: Until,
    /// What is remembered of this reading's builds: a restart.
    mine: Vec<BuildRecord>,
    /// What other readings of the run have: never this one's.
    pub(super) others: Vec<BuildRecord>,
    /// For a re-run the highest number that was known when it was called for; `None` where that is not known.
    above: Option<u64>,
}

impl<'a, L: BuildLog> Task<'a, L> {
    pub(super) async fn new(
        jenkins: &'a Jenkins,
        log: &'a L,
        progress: &'a Progress,
        request: &'a ReadingRequest<'a>,
        known: Vec<BuildRecord>,
    ) -> Self {
        let clock = jenkins.clock();
        let until = Until::new(clock, after(clock.now(), jenkins.settings().timeout), request.hurry.clone());
        // A reading that was taken again makes its old re-runs void: they came before it.
        let before = known.iter().filter(|record| record.reading < request.index).map(|record| record.asked_at).max();
        let (mine, others): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|record| record.reading == request.index && Some(record.asked_at) >= before);
        let mut task = Self { jenkins, log, progress, request, until, mine, others, above: None };
        if request.index > 0 {
            task.above = task.highest_known().await;
        }
        task
    }

    /// Whether a build of ours may be asked for, as far as those of other processes go.
    pub(super) async fn want_build(&self, most: usize) -> bool {
        self.log.want_build(most).await.unwrap_or_else(|error| {
            tracing::debug!(error, "builds could not be counted");
            false
        })
    }

    async fn highest_known(&self) -> Option<u64> {
        if let Some(above) = self.mine.iter().filter_map(|record| record.above).min() {
            return Some(above);
        }
        let clock = self.jenkins.clock();
        let soon = after(clock.now(), self.jenkins.lag().min(self.others_share()));
        let asking = by_deadline(clock, soon, "asking for the last builds", self.jenkins.builds(soon));
        let listed = tokio::select! {
            listed = asking => listed,
            () = self.until.over() => return None,
        };
        match listed {
            Ok(builds) => {
                let known = self.others.iter().filter_map(|record| record.number);
                builds.iter().map(|build| build.number).chain(known).max().or(Some(0))
            }
            Err(error) => {
                tracing::info!(error = %error, "no build of somebody else serves this re-run: the last one isn't known");
                None
            }
        }
    }

    /// How long others' builds may be waited for, in all: a share as if they were one zone more.
    pub(super) fn others_share(&self) -> std::time::Duration {
        let shares = u32::try_from(self.request.expected.len()).unwrap_or(u32::MAX).saturating_add(1);
        self.jenkins.settings().timeout / shares
    }

    /// What is remembered of this zone's build.
    pub(super) fn remembered(&self, zone: &Zone) -> Option<&BuildRecord> {
        self.mine.iter().rev().find(|record| record.zone == *zone)
    }

    /// What is remembered of a build that is not ours.
    pub(super) fn remembered_of_somebody(&self) -> Option<&BuildRecord> {
        self.mine.iter().rev().find(|record| record.is_somebodys())
    }

    /// Nothing is known yet of a build with this CLUSTER, wanted now: one more than those of this reading that are void.
    pub(super) fn intent(&self, zone: Zone) -> BuildRecord {
        let void = self.others.iter().filter(|record| record.reading == self.request.index && record.zone == zone);
        let nth = void.map(|record| record.nth + 1).max().unwrap_or(0);
        BuildRecord { nth, ..BuildRecord::wanted(self.request.index, zone, self.jenkins.clock().now(), self.above) }
    }

    /// The same of a build that is there, and not ours.
    pub(super) fn intent_to_share(&self, number: u64) -> BuildRecord {
        BuildRecord::of_somebody(self.request.index, number, self.jenkins.clock().now(), self.above)
    }

    /// Whether this build, whoever started it, is young enough for this reading, and no other one's.
    pub(super) fn may_serve(&self, build: &Build) -> bool {
        let Some(since) = self.request.serves_since else { return false };
        let is_known = |record: &BuildRecord| {
            record.number == Some(build.number) || (record.queue_id.is_some() && record.queue_id == build.queue_id)
        };
        let above = match (self.request.index, self.above) {
            (0, _) => 0,
            (_, Some(above)) => above,
            (_, None) => return false,
        };
        build.number > above
            && build.not_before >= since
            && !build.ended_at.is_some_and(|ended_at| self.is_too_old(ended_at))
            && !self.mine.iter().chain(&self.others).any(is_known)
    }

    /// Whether this zone's build is there already, and may serve.
    pub(super) fn has_build(&self, zone: &Zone) -> bool {
        let may_serve = |r: &BuildRecord| r.is_known() && !self.is_too_old(r.ended_at.unwrap_or(r.asked_at));
        self.remembered(zone).is_some_and(may_serve)
    }

    /// Whether what was seen then is no evidence any more.
    pub(super) fn is_too_old(&self, seen_at: Timestamp) -> bool {
        between(seen_at, self.jenkins.clock().now()) > self.request.max_age
            || self.request.evidence_since.is_some_and(|since| seen_at < since)
    }
}

/// None is wanted any more, of whoever worked on this before either. Where that can't be said, it counts until the run is over.
pub(super) async fn end_build(log: &impl BuildLog) {
    if let Err(error) = log.end_build().await {
        tracing::warn!(error, "it could not be said that a build has ended");
    }
}
