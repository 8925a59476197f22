//! What was decided, with all that it was decided by. Kept for people and for replay, and never read by a life: [`Decided::again`]
//! decides it once more, by today's rules, and says whether that comes to the same.
//!
//! A kind of decision is a variant here: its input whole, and what came of it as far as it is a decision. Words that people read
//! are none: a text that is written better is no other decision.

mod kept;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::diagnosis::verdict::diagnose;
use crate::diagnosis::{Diagnosis, Evidence};
use crate::gate;
use crate::life::{self, Alert, Asked, Beside, Reply, Runs};
use crate::plan::run::{Rung, Standing, rung};
use crate::plan::{self, Answers, Next, Policy};
use crate::run::Trigger;
use crate::suppression::{self, Suppression};
use crate::writes::Moment;
use words::{show_gate, show_plan, show_reply, show_rung, show_wait, under_way};

pub use kept::{Found, OwnedEvidence, OwnedKnown, Planned, Told};

/// One decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Decided {
    /// Whether somebody who asks for a run gets one: [`life::begin`].
    Begin {
        /// The alert; `None`: a region, or one that nobody knew.
        alert: Option<Box<Alert>>,
        /// Its runs.
        runs: Runs,
        /// The id that the run would get.
        run_id: String,
        /// What asks.
        trigger: Trigger,
        /// The alert is open again.
        reopened: bool,
        /// When it was triggered or reopened, by PagerDuty's clock.
        at: Option<Timestamp>,
        /// What came of it.
        reply: Reply,
    },
    /// Whether a bigger outage keeps a run waiting: [`suppression::next`].
    Suppression {
        /// How it stood.
        was: Suppression,
        /// Whether a page that explains the alert is open; `None`: that was not known.
        open: Option<bool>,
        /// When.
        now: Timestamp,
        /// The settings.
        settings: suppression::Settings,
        /// What came of it.
        next: suppression::Next,
    },
    /// On which rung of its ladder a run stands: [`rung`].
    Rung {
        /// What is known of it.
        standing: Standing,
        /// Where it stands.
        rung: Rung,
    },
    /// What was read becomes a verdict: [`diagnose`].
    Verdict {
        /// What it is made of.
        evidence: Box<OwnedEvidence>,
        /// What it comes to.
        found: Found,
    },
    /// Whether that pages: [`gate::decide`].
    Gate {
        /// What was known.
        told: Box<Told>,
        /// The decision.
        decision: gate::Decision,
    },
    /// What is done for an alert beside its runs: [`plan::advance`].
    Plan(Box<Planned>),
}

/// What is decided otherwise by today's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otherwise {
    /// What was decided.
    pub was: String,
    /// What is decided today.
    pub is: String,
}

impl fmt::Display for Otherwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "was {}, would be {}", self.was, self.is)
    }
}

impl Decided {
    /// That this was decided for somebody who asks for a run of this alert, as it was before.
    pub fn begin(alert: Option<Alert>, runs: &Runs, asked: Asked<'_>, reply: &Reply) -> Self {
        Self::Begin {
            alert: alert.map(Box::new),
            runs: runs.clone(),
            run_id: asked.run_id.to_owned(),
            trigger: asked.trigger,
            reopened: asked.reopened,
            at: asked.at,
            reply: reply.clone(),
        }
    }

    /// That this was found in it.
    pub fn verdict(evidence: &Evidence<'_>, diagnosis: &Diagnosis) -> Self {
        Self::Verdict { evidence: Box::new(OwnedEvidence::of(evidence)), found: Found::of(diagnosis) }
    }

    /// That the gate has decided this by it.
    pub fn gate(known: &gate::Known<'_>, decision: &gate::Decision) -> Self {
        Self::Gate { told: Box::new(Told::of(known)), decision: decision.clone() }
    }

    /// That the plan wants this next, where this was under way before.
    pub fn plan(
        before: Beside,
        known: &plan::Known<'_>,
        answers: &Answers,
        (policy, now): (&Policy, Moment),
        after: &Beside,
        next: &Next,
    ) -> Self {
        Self::Plan(Box::new(Planned {
            before,
            known: OwnedKnown::of(known),
            answers: answers.clone(),
            policy: policy.clone(),
            now,
            after: after.clone(),
            actions: keys(next),
            wake_at: next.wake_at,
        }))
    }

    /// Of what it is, in a word or two.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Begin { .. } => "run or none",
            Self::Suppression { .. } => "wait for a bigger outage",
            Self::Rung { .. } => "next step of the run",
            Self::Verdict { .. } => "verdict",
            Self::Gate { .. } => "page gate",
            Self::Plan(_) => "beside the run",
        }
    }

    /// What was decided, in a line.
    pub fn said(&self) -> String {
        match self {
            Self::Begin { reply, .. } => show_reply(reply),
            Self::Suppression { next, .. } => show_wait(next),
            Self::Rung { rung, .. } => show_rung(*rung).to_owned(),
            Self::Verdict { found, .. } => found.to_string(),
            Self::Gate { decision, .. } => show_gate(decision),
            Self::Plan(planned) => show_plan(&planned.actions, planned.wake_at),
        }
    }

    /// Decides it once more, by today's rules.
    ///
    /// # Errors
    /// It comes to something else, and to what.
    pub fn again(&self) -> Result<(), Otherwise> {
        match self {
            Self::Begin { alert, runs, run_id, trigger, reopened, at, reply } => {
                let asked = Asked { run_id, trigger: *trigger, reopened: *reopened, at: *at };
                let today = life::begin(alert.clone().as_deref_mut(), runs, asked);
                same(*reply == today, || self.said(), || show_reply(&today))
            }
            Self::Suppression { was, open, now, settings, next } => {
                let today = suppression::next(*was, *open, *now, settings);
                same(*next == today, || self.said(), || show_wait(&today))
            }
            Self::Rung { standing, rung: was } => {
                let today = rung(standing);
                same(*was == today, || self.said(), || show_rung(today).to_owned())
            }
            Self::Verdict { evidence, found } => {
                let today = Found::of(&diagnose(&evidence.evidence()));
                same(*found == today, || found.to_string(), || today.to_string())
            }
            Self::Gate { told, decision } => {
                let today = gate::decide(&told.known());
                same(is_same(decision, &today), || self.said(), || show_gate(&today))
            }
            Self::Plan(planned) => planned.again(),
        }
    }
}

fn same(same: bool, was: impl FnOnce() -> String, is: impl FnOnce() -> String) -> Result<(), Otherwise> {
    if same { Ok(()) } else { Err(Otherwise { was: was(), is: is() }) }
}

/// Whether two decisions of the gate are the same. A reason more or less is another decision; what it says is words.
fn is_same(one: &gate::Decision, other: &gate::Decision) -> bool {
    use gate::Decision::{Hold, NotWanted, Off, Page, Suggest};
    match (one, other) {
        (Hold(one), Hold(other)) | (Suggest(one), Suggest(other)) => one.len() == other.len(),
        (NotWanted, NotWanted) | (Off, Off) | (Page, Page) => true,
        (Hold(_) | Suggest(_) | NotWanted | Off | Page, _) => false,
    }
}

fn keys(next: &Next) -> Vec<String> {
    next.actions.iter().map(plan::What::key).collect()
}

impl Planned {
    fn again(&self) -> Result<(), Otherwise> {
        let known = self.known.known();
        let mut after = self.before.clone();
        let next = plan::advance(&mut after, &known, &self.answers, &self.policy, self.now);
        let actions = keys(&next);
        let done = self.actions == actions && self.wake_at == next.wake_at;
        same(
            done && self.after == after,
            || if done { under_way(&self.after, &after) } else { show_plan(&self.actions, self.wake_at) },
            || if done { under_way(&after, &self.after) } else { show_plan(&actions, next.wake_at) },
        )
    }
}
