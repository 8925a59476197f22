//! A run on its way: asks, tells and keeps what each rung of its ladder (`runbook::plan::run`) says.

mod ask;
mod client;
mod look;
mod settle;
mod suppressed;
mod tell;

use ask::Gathered;

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tracing::Span;

use crate::config::RegionZones;
use crate::metrics;
use crate::traces;
use jenkins::Early;
use runbook::alert::{Region, Zone};
use runbook::decided::Decided;
use runbook::diagnosis::last_good::GoodReading;
use runbook::diagnosis::verdict::diagnose;
use runbook::diagnosis::{Checks, Diagnosis, Earlier, Evidence, Reading, VerdictKind};
use runbook::gate::{self, EscalationMode};
use runbook::plan::run::{self as ladder, End, Page, Rung, Standing};
use runbook::span::{after, between};
use store::{Failure, Finish, Lease, NewDecision, Sight, StoreError};

use super::context::Context;
use super::open_incidents::Seen;
use super::steps::page::update_note;
use runbook::run::{EscalationState, Facts, Run};

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
    /// The run ends; with what was decided last.
    Ended(Finish, Vec<NewDecision>),
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
    /// What says on which rung it stands.
    standing: Standing,
    /// Whoever had it before has written its note.
    was_noted: bool,
    /// What is open, by a look that nothing was asked since.
    open: Option<Seen>,
    /// What was read, by this worker.
    readings: Vec<Reading>,
    /// What that comes to.
    found: Option<Diagnosis>,
    /// That its page is held was counted.
    counted_held: bool,
    /// The region's last good reading before this run: what it reads itself may be the next. `None`: it was not looked for yet.
    last_good: Option<Option<GoodReading>>,
    /// The resolution that was heard of when PagerDuty was last asked for the alert.
    resolution_heard: Option<Timestamp>,
    /// Whether the page was asked for already.
    page_wanted: AtomicBool,
    /// When the note was first tried.
    note_first_tried: OnceLock<Timestamp>,
    /// When it is given up; `None`: there was nothing to tell yet.
    give_up: Option<Timestamp>,
    /// How long it is tried before its text is made again.
    patience: Duration,
    /// Why the run ends as it does.
    why: String,
    /// What was decided, and is not kept yet.
    decided: Mutex<Vec<NewDecision>>,
    /// How what was read became a verdict.
    concluded_by: Option<Decided>,
}

/// A step that has begun.
struct Begun {
    seq: i64,
    /// As it is counted.
    name: &'static str,
    at: Timestamp,
    /// What is asked for it, and said of it.
    span: Span,
}

/// Takes a run from trigger to note, and to the page where one is due.
///
/// # Errors
/// The store failed, or the lease is lost: the run is taken up again from its start, by whoever claims it next.
pub async fn drive(context: &Context, lease: &Lease) -> Result<Outcome, StoreError> {
    // What can't be read is asked again or missing; a note without it is better than none, and the page is held.
    let Some(run) = context.store.readable_run(lease.run_id()).await? else { return Err(StoreError::LeaseLost) };
    traces::say_whose(run.incident.as_ref().map(|incident| incident.id.as_str()), &run.region);
    let mut facts = context.store.readable_facts(lease.run_id()).await?;
    facts.unreadable |= !run.unreadable.is_empty();
    let seen = context.store.evidence(lease.run_id()).await?;
    Journey::new(context, lease, run, facts, seen).climb().await
}

impl<'a> Journey<'a> {
    /// A run that is taken up: all that the store has of it is known.
    fn new(context: &'a Context, lease: &'a Lease, run: Run, facts: Facts, seen: Earlier) -> Self {
        let zones = context.config.zones_of(&run.region);
        let client = context.client.as_ref().map(|client| client.asked(&run.region));
        let was_noted = run.incident.is_some() && run.note.is_some() && run.diagnosis.is_some();
        let aged = |reasons: &str| reasons.lines().all(gate::says_outdated);
        let standing = if was_noted {
            Standing::noted(match run.escalation.state {
                EscalationState::None | EscalationState::Requested => Page::Undecided,
                EscalationState::Held if run.escalation.reason.as_deref().is_some_and(aged) => Page::Held,
                _ => Page::NotDue,
            })
        } else {
            Standing::new(run.incident.is_some())
        };
        // By whoever had it before, but not where evidence was to be taken again; one that is wanted is counted by whoever holds it.
        let counted_held = match run.escalation.state {
            EscalationState::Held => !run.escalation.reason.as_deref().is_some_and(aged),
            state => state == EscalationState::Requested,
        };
        Self {
            context,
            lease,
            run,
            facts,
            names: zones.names(),
            zones,
            listed: context.config.regions.listed_zones(),
            seen: Mutex::new(Earlier { client, ..seen }),
            early: Mutex::default(),
            standing,
            was_noted,
            open: None,
            readings: Vec::new(),
            found: None,
            counted_held,
            last_good: None,
            resolution_heard: None,
            page_wanted: AtomicBool::default(),
            note_first_tried: OnceLock::default(),
            give_up: None,
            patience: FIRST_PATIENCE,
            why: String::new(),
            decided: Mutex::default(),
            concluded_by: None,
        }
    }
}

impl Journey<'_> {
    async fn climb(mut self) -> Result<Outcome, StoreError> {
        // All at once. Who has waited for a bigger outage asks Jenkins once that is over.
        if self.run.steps.is_empty() {
            let deadline = after(self.context.clock.now(), self.context.jenkins.settings().timeout);
            *self.early.get_mut().unwrap_or_else(PoisonError::into_inner) =
                Some(self.context.jenkins.ask_early(deadline));
        }
        loop {
            if self.standing.evidence != ladder::Evidence::Missing {
                self.standing.evidence = self.age();
            }
            let rung = ladder::rung(&self.standing);
            self.has_decided(Decided::Rung { standing: self.standing, rung });
            match rung {
                Rung::Confirm => self.confirm().await?,
                Rung::Isolate => self.isolate().await?,
                Rung::Suppressed => {
                    self.keep_decisions().await;
                    return Ok(Outcome::Parked);
                }
                Rung::Read => self.read().await?,
                Rung::Settle => self.settle().await?,
                Rung::Tell => self.tell().await?,
                Rung::Page => self.page().await?,
                Rung::Ended(end) => return self.ends(end).await,
            }
        }
    }

    /// "Determine if this issue is with Registry or Service Endpoint", "Debugging Registry's Private Ingress". What is taken again,
    /// and tells nothing or was cut short by the alert's end, changes nothing of what was found before.
    async fn read(&mut self) -> Result<(), StoreError> {
        let again = self.standing.evidence != ladder::Evidence::Missing;
        if again {
            // What no page needs is kept, with its times.
            tracing::info!("the evidence is too old for a page; taking it again");
            self.seen.get_mut().unwrap_or_else(PoisonError::into_inner).taken_again = true;
        }
        // What is open is looked for once this has ended, and no sooner.
        self.open = None;
        let Gathered { readings, checks, is_cut_short } = self.ask().await?;
        let (found, by) = self.diagnose(&readings, &checks);
        let tells = !is_cut_short && found.verdict.kind != VerdictKind::Inconclusive;
        if !again || tells {
            (self.found, self.readings, self.concluded_by) = (Some(found), readings, Some(by));
        } else {
            tracing::warn!(verdict = ?found.verdict.kind, is_cut_short, "it could not be taken again: what was found stands");
        }
        let age = self.age();
        self.standing.has_read(age);
        Ok(())
    }

    /// How old the evidence is for a page which is at stake.
    fn age(&self) -> ladder::Evidence {
        if self.is_outdated() { ladder::Evidence::Outdated } else { ladder::Evidence::Fresh }
    }

    async fn ends(self, end: End) -> Result<Outcome, StoreError> {
        let why = || self.why.clone();
        let ended = |finish| Outcome::Ended(finish, self.to_keep());
        Ok(match end {
            End::Elsewhere => {
                self.keep_decisions().await;
                Outcome::Over(Finish::Cancelled(why()))
            }
            End::Resolved => {
                // That it has seen the end is asked for where the alert is reopened before the run has ended.
                self.keep_facts().await?;
                ended(Finish::Cancelled("the alert was resolved before the run began to ask".into()))
            }
            End::Refused => ended(Finish::Failed(Failure::Note, format!("the note was not written: {}", self.why))),
            End::GivenUp => ended(Finish::Failed(Failure::Note, why())),
            End::Done => {
                if let Some(incident) = self.run.incident.as_ref().filter(|_| self.was_noted) {
                    if !self.standing.is_settled {
                        self.look_again_later(incident).await?;
                    }
                    // Whoever was cut off may not have told of the page yet, or been about to write of it what was over by
                    // then.
                    update_note(self.context, &incident.id, &self.run.id).await?;
                }
                ended(Finish::Done)
            }
        })
    }

    /// Whether a page is at stake, and the evidence too old for it.
    fn is_outdated(&self) -> bool {
        let escalation = &self.context.config.escalation;
        self.facts.resolved_at.is_none()
            && escalation.mode != EscalationMode::Off
            && self.found.as_ref().or(self.run.diagnosis.as_ref()).is_some_and(|diagnosis| {
                diagnosis.verdict.kind == VerdictKind::ServiceEndpoint
                    && gate::is_outdated(diagnosis, escalation.evidence_max_age, self.context.clock.now())
            })
    }

    /// What these readings and checks come to, with all that the run has seen; and how.
    fn diagnose(&self, readings: &[Reading], checks: &[(Zone, Checks)]) -> (Diagnosis, Decided) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let evidence = self.evidence(readings, checks, &seen);
        let found = diagnose(&evidence);
        let by = Decided::verdict(&evidence, &found);
        (found, by)
    }

    /// This was decided: it is kept with what is kept next.
    fn has_decided(&self, decided: Decided) {
        let decision = NewDecision { at: self.context.clock.now(), decided };
        self.decided.lock().unwrap_or_else(PoisonError::into_inner).push(decision);
    }

    /// Keeps what was decided, where nothing else is kept any more. No run waits for a log.
    async fn keep_decisions(&self) {
        if let Err(error) = self.context.store.add_decisions(&self.run.id, &self.to_keep()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "how a run was decided is not kept");
        }
    }

    /// What was decided, and is to be kept now.
    fn to_keep(&self) -> Vec<NewDecision> {
        std::mem::take(&mut self.decided.lock().unwrap_or_else(PoisonError::into_inner))
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
        let (at, span) = (self.context.clock.now(), tracing::info_span!("run.step", step = name));
        span.in_scope(|| tracing::debug!("step begins"));
        let seq = self.context.store.begin_step(self.lease, name).await?;
        Ok(Begun { seq, name: metrics::step_name(name), at, span })
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
        self.context.store.end_step(self.lease, step.seq, error, saw, &self.to_keep()).await?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match saw {
            Some(Sight::Reading(reading)) => seen.readings.push(reading.clone()),
            Some(Sight::Checks(checks)) => seen.checks.extend_from_slice(checks),
            Some(Sight::Client(look)) => seen.looks.push(look.clone()),
            None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;
