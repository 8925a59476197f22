//! What was decided, with all that it was decided by. Kept for people and for replay, and never read by a life: [`Decided::again`]
//! decides it once more, by today's rules, and says whether that comes to the same.
//!
//! A kind of decision is a variant here: its input whole, and what came of it as far as it is a decision. Words that people read
//! are none: a text that is written better is no other decision.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::{Region, Zone};
use crate::diagnosis::verdict::diagnose;
use crate::diagnosis::{BrokenAt, Checks, Class, Diagnosis, Earlier, Evidence, Reading, Rule, VerdictKind};
use crate::gate::{self, EscalationMode};
use crate::life::{self, Alert, AlertPage, Asked, Beside, Reply, Runs};
use crate::plan::run::{End, Rung, Standing, rung};
use crate::plan::{self, Answers, KnownPage, Newest, Next, Policy};
use crate::run::Trigger;
use crate::span::show_duration;
use crate::suppression::{self, Suppression};
use crate::writes::Moment;

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

/// One turn of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// What was under way.
    pub before: Beside,
    /// What was known.
    pub known: OwnedKnown,
    /// What had come of what was wanted before.
    pub answers: Answers,
    /// The settings.
    pub policy: Policy,
    /// When.
    pub now: Moment,
    /// What is under way from then on.
    pub after: Beside,
    /// What is to be done, by its keys.
    pub actions: Vec<String>,
    /// When to look again.
    pub wake_at: Option<Timestamp>,
}

/// [`plan::Known`], to be kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnedKnown {
    /// The alert.
    pub alert: Alert,
    /// Its newest run.
    pub newest: Option<Newest>,
    /// Whether any run is active.
    pub is_active: bool,
    /// Its page.
    pub page: Option<AlertPage>,
    /// Its pages that need something yet.
    pub pages: Vec<KnownPage>,
    /// The keys of commands whose answer was about to be given.
    pub answered: Vec<String>,
    /// When a page that may explain alerts was last opened or closed.
    pub related_changed_at: Option<Timestamp>,
    /// The link of its newest run.
    pub run_url: String,
}

/// [`Evidence`], to be kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnedEvidence {
    /// The region of the alert.
    pub region: Region,
    /// The zones that it should have.
    pub expected: Vec<Zone>,
    /// The first reading and its re-runs.
    pub readings: Vec<Reading>,
    /// What each zone's cluster said.
    pub checks: Vec<(Zone, Checks)>,
    /// What the run has seen beside these.
    pub earlier: Earlier,
    /// Zones that the regions file lists.
    pub listed: Vec<(Zone, Region)>,
}

/// What is decided in a diagnosis; the rest of it is what was seen, and words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The verdict.
    pub kind: VerdictKind,
    /// Its rule.
    pub rule: Rule,
    /// Whether it is probably a CIE.
    pub class: Class,
    /// Whether the client is suspected.
    pub client_suspected: bool,
    /// The order in which to look at the zones.
    pub focus: Vec<Zone>,
    /// Where each zone's path is broken.
    pub broken_at: Vec<(Zone, BrokenAt)>,
}

/// [`gate::Known`], to be kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The diagnosis.
    pub diagnosis: Diagnosis,
    /// `ESCALATION_MODE`.
    pub mode: EscalationMode,
    /// Whether this is a drill.
    pub drill: bool,
    /// Whether there is an incident to page for.
    pub has_incident: bool,
    /// The alert's title.
    pub title: Option<String>,
    /// A webhook said that the alert is resolved, and PagerDuty could not be asked.
    pub said_resolved: bool,
    /// The alert carries the note of a run that the database lacked.
    pub foreign_run: bool,
    /// Something that was stored of the run could not be read.
    pub unreadable: bool,
    /// Who said `/hold`.
    pub held_by: Option<String>,
    /// Open pages that may explain the alert, by title; an error is why that is not known.
    pub related: Result<Vec<String>, String>,
    /// When they were looked for.
    pub related_at: Option<Timestamp>,
    /// Whether the regions file lists the region.
    pub region_listed: bool,
    /// Automatic pages opened in the last hour.
    pub pages_this_hour: u32,
    /// Whether there may be a page to join.
    pub may_join: bool,
    /// `ESCALATION_MAX_PER_HOUR`.
    pub max_per_hour: u32,
    /// `EVIDENCE_MAX_AGE`.
    pub evidence_max_age: Duration,
    /// When the alert was last triggered or reopened.
    pub alert_triggered_at: Option<Timestamp>,
    /// `RECONCILE_MAX_AGE`.
    pub alert_max_age: Duration,
    /// The time of the decision.
    pub now: Timestamp,
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
        let evidence = OwnedEvidence {
            region: evidence.region.clone(),
            expected: evidence.expected.to_vec(),
            readings: evidence.readings.to_vec(),
            checks: evidence.checks.to_vec(),
            earlier: evidence.earlier.clone(),
            listed: evidence.listed.to_vec(),
        };
        Self::Verdict { evidence: Box::new(evidence), found: Found::of(diagnosis) }
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
            known: OwnedKnown {
                alert: known.alert.clone(),
                newest: known.newest.cloned(),
                is_active: known.is_active,
                page: known.page.cloned(),
                pages: known.pages.to_vec(),
                answered: known.answered.to_vec(),
                related_changed_at: known.related_changed_at,
                // Without the key of its link: who may see this may not see that.
                run_url: known.run_url.split('?').next().unwrap_or_default().to_owned(),
            },
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

fn show_gate(decision: &gate::Decision) -> String {
    match decision {
        gate::Decision::NotWanted => "no page wanted".to_owned(),
        gate::Decision::Off => "no page: nobody asks for one here".to_owned(),
        gate::Decision::Suggest(reasons) if reasons.is_empty() => "page suggested".to_owned(),
        gate::Decision::Suggest(reasons) => format!("page suggested; against it: {}", reasons.join("; ")),
        gate::Decision::Hold(reasons) => format!("page held: {}", reasons.join("; ")),
        gate::Decision::Page => "page".to_owned(),
    }
}

fn show_plan(actions: &[String], wake_at: Option<Timestamp>) -> String {
    let actions = if actions.is_empty() { "nothing to do".to_owned() } else { actions.join(", ") };
    match wake_at {
        Some(at) => format!("{actions}; looks again at {at}"),
        None => actions,
    }
}

/// What is under way that differs from another, as it is stored.
fn under_way(one: &Beside, other: &Beside) -> String {
    let members = |beside: &Beside| match serde_json::to_value(beside) {
        Ok(serde_json::Value::Object(members)) => members,
        _ => serde_json::Map::new(),
    };
    let other = members(other);
    let differing = members(one).into_iter().filter(|(name, value)| other.get(name) != Some(value));
    let shown: Vec<String> = differing.map(|(name, value)| format!("{name} {value}")).collect();
    if shown.is_empty() { "nothing more under way".to_owned() } else { format!("under way: {}", shown.join(", ")) }
}

fn show_reply(reply: &Reply) -> String {
    match reply {
        Reply::Started(run_id) => format!("run {run_id} begins"),
        Reply::SuppressionSkipped(run_id) => format!("run {run_id} waits no more"),
        Reply::Active(run_id) => format!("run {run_id} is active"),
        Reply::Paging => "the page is wanted".to_owned(),
        Reply::Paged(_) => "the page is open already".to_owned(),
        Reply::Closed => "the alert is closed".to_owned(),
        Reply::Kept => "kept".to_owned(),
        Reply::Ignored(why) => format!("none: {why}"),
    }
}

fn show_wait(next: &suppression::Next) -> String {
    match next {
        suppression::Next::GoOn => "goes on".to_owned(),
        suppression::Next::Park { since, closed_since, wait } => {
            let closed = closed_since.map(|at| format!(", all closed since {at}")).unwrap_or_default();
            format!("waits since {since}{closed}; looks again in {}", show_duration(*wait))
        }
    }
}

fn show_rung(rung: Rung) -> &'static str {
    match rung {
        Rung::Confirm => "confirm the alert",
        Rung::Isolate => "look for a bigger outage",
        Rung::Suppressed => "wait for the bigger outage",
        Rung::Read => "read the Magic Boxes and ask the clusters",
        Rung::Settle => "look once more, and decide about the page",
        Rung::Tell => "write the note",
        Rung::Page => "page the Service Endpoint team",
        Rung::Ended(End::Done) => "end: done",
        Rung::Ended(End::Resolved) => "end: the alert has resolved",
        Rung::Ended(End::Elsewhere) => "end: another run has the alert",
        Rung::Ended(End::Refused) => "end: the note was refused",
        Rung::Ended(End::GivenUp) => "end: the note could not be written",
    }
}

fn keys(next: &Next) -> Vec<String> {
    next.actions.iter().map(plan::What::key).collect()
}

impl Planned {
    fn again(&self) -> Result<(), Otherwise> {
        let OwnedKnown { alert, newest, is_active, page, pages, answered, related_changed_at, run_url } = &self.known;
        let known = plan::Known {
            alert,
            newest: newest.as_ref(),
            is_active: *is_active,
            page: page.as_ref(),
            pages,
            answered,
            related_changed_at: *related_changed_at,
            run_url,
        };
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

impl OwnedEvidence {
    /// The same, to be diagnosed.
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence {
            region: &self.region,
            expected: &self.expected,
            readings: &self.readings,
            checks: &self.checks,
            earlier: &self.earlier,
            listed: &self.listed,
        }
    }
}

impl Found {
    /// What is decided in it.
    pub fn of(diagnosis: &Diagnosis) -> Self {
        Self {
            kind: diagnosis.verdict.kind,
            rule: diagnosis.verdict.rule,
            class: diagnosis.class,
            client_suspected: diagnosis.client_suspected,
            focus: diagnosis.focus.clone(),
            broken_at: diagnosis.zones.iter().map(|zone| (zone.cluster.clone(), zone.broken_at)).collect(),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, rule, class, client_suspected, focus, broken_at } = self;
        write!(f, "{kind} ({rule}), {class}, client suspected: {}", if *client_suspected { "yes" } else { "no" })?;
        let focus: Vec<&str> = focus.iter().map(Zone::as_str).collect();
        write!(f, "; look at {}", focus.join(", "))?;
        broken_at.iter().try_for_each(|(zone, at)| write!(f, "; {zone}: {at}"))
    }
}

impl Told {
    fn of(known: &gate::Known<'_>) -> Self {
        Self {
            diagnosis: known.diagnosis.clone(),
            mode: known.mode,
            drill: known.drill,
            has_incident: known.has_incident,
            title: known.title.map(str::to_owned),
            said_resolved: known.said_resolved,
            foreign_run: known.foreign_run,
            unreadable: known.unreadable,
            held_by: known.held_by.map(str::to_owned),
            related: known.related.map(<[String]>::to_vec).map_err(str::to_owned),
            related_at: known.related_at,
            region_listed: known.region_listed,
            pages_this_hour: known.pages_this_hour,
            may_join: known.may_join,
            max_per_hour: known.max_per_hour,
            evidence_max_age: known.evidence_max_age,
            alert_triggered_at: known.alert_triggered_at,
            alert_max_age: known.alert_max_age,
            now: known.now,
        }
    }

    /// The same, to be decided by.
    pub fn known(&self) -> gate::Known<'_> {
        gate::Known {
            diagnosis: &self.diagnosis,
            mode: self.mode,
            drill: self.drill,
            has_incident: self.has_incident,
            title: self.title.as_deref(),
            said_resolved: self.said_resolved,
            foreign_run: self.foreign_run,
            unreadable: self.unreadable,
            held_by: self.held_by.as_deref(),
            related: self.related.as_deref().map_err(String::as_str),
            related_at: self.related_at,
            region_listed: self.region_listed,
            pages_this_hour: self.pages_this_hour,
            may_join: self.may_join,
            max_per_hour: self.max_per_hour,
            evidence_max_age: self.evidence_max_age,
            alert_triggered_at: self.alert_triggered_at,
            alert_max_age: self.alert_max_age,
            now: self.now,
        }
    }
}
