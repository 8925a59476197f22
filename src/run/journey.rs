//! The order of the steps, as the runbook has it.

mod ask;
mod look;
mod suppressed;
mod tell;

use ask::Gathered;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::config::RegionZones;
use crate::metrics;
use jenkins::Early;
use runbook::alert::{Region, Zone};
use runbook::diagnosis::last_good::{GoodReading, SinceLastGood, compare};
use runbook::diagnosis::verdict::diagnose;
use runbook::diagnosis::{Checks, Diagnosis, Earlier, Evidence, Reading, VerdictKind};
use runbook::gate::{self, Decision, EscalationMode};
use runbook::span::{after, between};
use store::{Failure, Finish, Lease, Sight, StoreError};

use super::canary::keep_good;
use super::context::Context;
use super::note_text::escalation_of;
use super::steps::page::update_note;
use super::steps::write::NotPosted;
use runbook::run::{EscalationState, Facts, Run};

/// How long the note is tried: an outage of PagerDuty that lasts longer has people on it who don't need the note.
pub const TELL_WITHIN: Duration = Duration::from_secs(6 * 3600);
/// How often evidence that became too old for a page meanwhile is taken again.
pub const ANEW: u32 = 2;
/// How long a note is tried before its text is made again, at first and at most.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_PATIENCE: Duration = Duration::from_secs(600);
/// An alert that has opened no longer than this before its run can't have a note of another.
const FRESH: Duration = Duration::from_secs(60);
/// The longest pause before PagerDuty is asked again whether it answers.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What a journey came to.
#[derive(Debug)]
pub enum Outcome {
    /// The run ends.
    Ended(Finish),
    /// It is ended in the store already.
    Over(Finish),
    /// It waits in the store, and costs nothing.
    Parked,
}

/// A run on its way.
struct Journey<'a> {
    context: &'a Context,
    lease: &'a Lease,
    run: Run,
    facts: Facts,
    zones: RegionZones,
    names: Vec<Zone>,
    /// The zones of all regions that the regions file lists.
    listed: Vec<(Zone, Region)>,
    /// All that the run has seen, by workers before this one too: the database has it as well.
    seen: Mutex<Earlier>,
    /// The last builds in Jenkins, asked for beside the first questions to PagerDuty.
    early: Mutex<Option<Early>>,
    /// The resolution that was heard of when PagerDuty was last asked for the alert.
    resolution_heard: Option<Timestamp>,
    /// Whether the page was asked for already.
    page_wanted: AtomicBool,
    /// When the note was first tried.
    note_first_tried: OnceLock<Timestamp>,
}

/// A step that has begun.
struct Begun {
    seq: i64,
    /// As it is counted.
    name: &'static str,
    at: Timestamp,
}

/// Takes a run from trigger to note, and to the page where one is due.
///
/// # Errors
/// The store failed, or the lease is lost: the run is taken up again from its start, by whoever claims it next.
pub async fn drive(context: &Context, lease: &Lease) -> Result<Outcome, StoreError> {
    // What can't be read is asked again or missing; a note without it is better than none, and the page is held.
    let Some(run) = context.store.readable_run(lease.run_id()).await? else { return Err(StoreError::LeaseLost) };
    let mut facts = context.store.readable_facts(lease.run_id()).await?;
    facts.unreadable |= !run.unreadable.is_empty();
    let zones = context.config.zones_of(&run.region);
    let names = zones.names();
    let listed = context.config.regions.listed_zones();
    let seen = Mutex::new(context.store.evidence(lease.run_id()).await?);
    let (early, resolution_heard, page_wanted, note_first_tried) = Default::default();
    let journey = Journey {
        context,
        lease,
        run,
        facts,
        zones,
        names,
        listed,
        seen,
        early,
        resolution_heard,
        page_wanted,
        note_first_tried,
    };
    journey.walk().await
}

impl Journey<'_> {
    async fn walk(mut self) -> Result<Outcome, StoreError> {
        if self.run.note.is_some() && self.run.diagnosis.is_some() {
            return self.after_the_note().await;
        }
        // All at once. Who has waited for a bigger outage asks Jenkins once that is over.
        if self.run.steps.is_empty() {
            let deadline = after(self.context.clock.now(), self.context.jenkins.settings().timeout);
            *self.early.get_mut().unwrap_or_else(PoisonError::into_inner) =
                Some(self.context.jenkins.ask_early(deadline));
        }
        let (seen, over) = self.confirm_alert("confirm_alert").await?;
        if let Some(over) = over {
            return Ok(Outcome::Over(Finish::Cancelled(over)));
        }
        if self.facts.resolved_at.is_some() && !self.has_begun_to_ask().await? {
            // That it has seen the end is asked for where the alert is reopened before the run has ended.
            self.keep_facts().await?;
            return Ok(Outcome::Ended(Finish::Cancelled("the alert was resolved before the run began to ask".into())));
        }

        self.look_for_a_lost_run().await?;

        // "Determine if this issue isolated to SE endpoints"
        self.find_related("find_related", &seen).await?;
        drop(seen);
        if self.is_suppressed().await? {
            return Ok(Outcome::Parked);
        }

        // "Determine if this issue is with Registry or Service Endpoint", "Debugging Registry's Private Ingress"
        let gathered = self.ask().await?;
        self.tell(gathered).await
    }

    /// From the evidence to the note and the page. Where PagerDuty can't be asked for a while, it goes round again once
    /// it can: what was decided may be over by then.
    async fn tell(mut self, (mut readings, mut checks): Gathered) -> Result<Outcome, StoreError> {
        let clock = &self.context.clock;
        let began = clock.now();
        let give_up = after(began, TELL_WITHIN);
        let (mut patience, mut anew) = (FIRST_PATIENCE, 0);
        // As it was before this run: what it reads itself may be the next good one.
        let last_good = self.last_good().await?;
        loop {
            let mut diagnosis = self.diagnose(&readings, &checks);

            // Meanwhile the alert may have ended or been merged, and a page that explains it may have opened.
            // No sooner than now: the last build has ended.
            let (seen, over) = self.confirm_alert("confirm_alert_again").await?;
            if let Some(over) = over {
                return Ok(Outcome::Over(Finish::Cancelled(over)));
            }
            self.find_related("find_related_again", &seen).await?;
            drop(seen);
            self.name_registry_pages(&mut diagnosis);
            diagnosis.since_last_good = last_good.as_ref().and_then(|good| self.since(good, &diagnosis));

            let decision = self.decide(&diagnosis).await?;
            let (escalation, reason) = escalation_of(&decision, self.context.config.escalation.mode);
            self.context.store.set_diagnosis(self.lease, &diagnosis, escalation, reason.as_deref()).await?;
            // Counted when it is new: going round again is no other diagnosis.
            let kind = diagnosis.verdict.kind;
            if self.run.diagnosis.as_ref().is_none_or(|before| before.verdict.kind != kind) {
                metrics::diagnosed(kind);
            }
            if escalation == EscalationState::Held && self.run.escalation.state != EscalationState::Held {
                metrics::page(metrics::Paged::Held);
                if reason.as_deref().is_some_and(gate::says_used_up) {
                    tracing::error!("NOBODY WAS PAGED: ESCALATION_MAX_PER_HOUR is used up");
                }
            }
            for reading in &readings {
                keep_good(self.context, reading, Some(&self.run.region)).await?;
            }
            tracing::info!(verdict = ?diagnosis.verdict.kind, rule = ?diagnosis.verdict.rule, page = ?escalation, "diagnosed");
            self.run.diagnosis = Some(diagnosis);
            self.run.escalation.state = escalation;
            self.run.escalation.reason = reason;

            let Some(incident) = self.run.incident.clone() else { return Ok(Outcome::Ended(Finish::Done)) };
            let until = after(clock.now(), patience).min(give_up);
            match self.post_note(&incident, until).await? {
                Err(NotPosted::NotYet(why)) if clock.now() >= give_up => {
                    metrics::give_up(metrics::GivenUp::Note);
                    let hours = TELL_WITHIN.as_secs() / 3600;
                    let why = format!("the note could not be written within {hours} h; last: {why}");
                    return Ok(Outcome::Ended(Finish::Failed(Failure::Note, why)));
                }
                Err(NotPosted::NotYet(_)) => {
                    self.wait_for_pagerduty(&incident, give_up).await;
                    patience = (patience * 2).min(LONGEST_PATIENCE);
                }
                written => {
                    self.look_again_later(&incident).await?;
                    // "If this condition persists then this is an SE problem and you should page the Service Endpoint
                    // team"
                    let held = decision == Decision::Page && !self.page(&incident).await?;
                    if !(held && anew < ANEW && self.is_outdated()) {
                        return Ok(Outcome::Ended(match written {
                            Ok(()) => Finish::Done,
                            Err(why) => Finish::Failed(Failure::Note, format!("the note was not written: {why}")),
                        }));
                    }
                }
            }
            // What became too old for a page meanwhile is asked again. What no page needs is kept, with its times.
            if anew < ANEW && self.is_outdated() {
                anew += 1;
                tracing::info!("the evidence is too old for a page; taking it again");
                (readings, checks) = self.ask().await?;
                self.page_wanted.store(false, Ordering::Relaxed);
            }
        }
    }

    /// Whether a page is at stake, and the evidence too old for it.
    fn is_outdated(&self) -> bool {
        let escalation = &self.context.config.escalation;
        self.facts.resolved_at.is_none()
            && escalation.mode != EscalationMode::Off
            && self.run.diagnosis.as_ref().is_some_and(|diagnosis| {
                diagnosis.verdict.kind == VerdictKind::ServiceEndpoint
                    && gate::is_outdated(diagnosis, escalation.evidence_max_age, self.context.clock.now())
            })
    }

    /// Taken up again with its note written: what it says stands. Left is the page, through the gate once more.
    async fn after_the_note(mut self) -> Result<Outcome, StoreError> {
        let (Some(incident), Some(diagnosis)) = (self.run.incident.clone(), self.run.diagnosis.clone()) else {
            return Ok(Outcome::Ended(Finish::Done));
        };
        let undecided = matches!(self.run.escalation.state, EscalationState::None | EscalationState::Requested);
        if undecided {
            let (seen, over) = self.confirm_alert("confirm_alert_again").await?;
            if let Some(over) = over {
                return Ok(Outcome::Over(Finish::Cancelled(over)));
            }
            if self.is_outdated() {
                let gathered = self.ask().await?;
                return self.tell(gathered).await;
            }
            self.find_related("find_related_again", &seen).await?;
            // Only now: a page that explains it may have opened while nobody worked on this run.
            self.look_again_later(&incident).await?;
            let decision = self.decide(&diagnosis).await?;
            let (escalation, reason) = escalation_of(&decision, self.context.config.escalation.mode);
            self.context.store.set_diagnosis(self.lease, &diagnosis, escalation, reason.as_deref()).await?;
            self.run.escalation.state = escalation;
            // Whose evidence became too old while its page waited takes it again.
            if decision == Decision::Page && !self.page(&incident).await? && self.is_outdated() {
                self.page_wanted.store(false, Ordering::Relaxed);
                let gathered = self.ask().await?;
                return self.tell(gathered).await;
            }
        } else {
            self.look_again_later(&incident).await?;
        }
        // Whoever was cut off may not have told of the page yet, or been about to write of it what was over by then.
        update_note(self.context, &incident.id, &self.run.id).await?;
        Ok(Outcome::Ended(Finish::Done))
    }

    /// The region's last good reading; what can't be read back is none.
    async fn last_good(&self) -> Result<Option<GoodReading>, StoreError> {
        match self.context.store.good_reading(&self.run.region).await {
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "nothing is compared with the last good reading"
                );
                Ok(None)
            }
            read => read,
        }
    }

    /// What differs from the last good reading. Where that is one of this run's own, from before a restart, what was
    /// found then stands.
    fn since(&self, good: &GoodReading, diagnosis: &Diagnosis) -> Option<SinceLastGood> {
        let is_own =
            |d: &&Diagnosis| good.build_url.is_some() && d.readings.iter().any(|r| r.build_url == good.build_url);
        match self.run.diagnosis.as_ref().filter(is_own) {
            Some(before) => before.since_last_good.clone(),
            None => compare(good, &diagnosis.zones),
        }
    }

    /// What these readings and checks come to, with all that the run has seen.
    fn diagnose(&self, readings: &[Reading], checks: &[(Zone, Checks)]) -> Diagnosis {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        diagnose(&self.evidence(readings, checks, &seen))
    }

    /// What a diagnosis is made of.
    fn evidence<'e>(
        &'e self,
        readings: &'e [Reading],
        checks: &'e [(Zone, Checks)],
        earlier: &'e Earlier,
    ) -> Evidence<'e> {
        Evidence { region: &self.run.region, expected: &self.names, readings, checks, earlier, listed: &self.listed }
    }

    /// Whether a worker before us has asked a cluster, or for a build, for this run: then the alert's evidence is kept,
    /// also when it has resolved since.
    async fn has_begun_to_ask(&self) -> Result<bool, StoreError> {
        let cluster = self.run.steps.iter().any(|step| step.name.starts_with("check_clusters"));
        Ok(cluster || !self.context.store.builds(&self.run.id).await?.is_empty())
    }

    async fn keep_facts(&self) -> Result<(), StoreError> {
        let store = &self.context.store;
        store.set_facts(self.lease, self.run.incident.as_ref(), &self.facts, &self.run.related).await
    }

    /// When the alert was found resolved.
    fn resolved_at(&self) -> Option<Timestamp> {
        self.facts.resolved_at
    }

    async fn begin(&self, name: &str) -> Result<Begun, StoreError> {
        tracing::debug!(run.step = name, "step begins");
        let at = self.context.clock.now();
        Ok(Begun { seq: self.context.store.begin_step(self.lease, name).await?, name: metrics::step_name(name), at })
    }

    async fn end(&self, step: Begun, error: Option<&str>) -> Result<(), StoreError> {
        self.end_having_seen(step, error, None).await
    }

    /// Ends a step; what it saw is kept first, whatever becomes of the run.
    async fn end_having_seen(
        &self,
        step: Begun,
        error: Option<&str>,
        saw: Option<Sight<'_>>,
    ) -> Result<(), StoreError> {
        metrics::step(step.name, between(step.at, self.context.clock.now()), error.is_none());
        if let Some(error) = error {
            tracing::info!(error, "step failed; run continues");
        }
        self.context.store.end_step(self.lease, step.seq, error, saw).await?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match saw {
            Some(Sight::Reading(reading)) => seen.readings.push(reading.clone()),
            Some(Sight::Checks(checks)) => seen.checks.extend_from_slice(checks),
            None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;
