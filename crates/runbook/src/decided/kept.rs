//! What decisions are made by, in forms that can be kept.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::{Region, Zone};
use crate::diagnosis::client::ClientFinding;
use crate::diagnosis::{BrokenAt, Checks, Class, Diagnosis, Earlier, Evidence, Reading, Rule, VerdictKind};
use crate::gate::{self, EscalationMode};
use crate::life::{Alert, AlertPage, Beside};
use crate::plan::{self, Answers, KnownPage, Newest, Policy};
use crate::writes::Moment;

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
    /// What is found about the client, where it is asked.
    #[serde(default)]
    pub client: Option<ClientFinding>,
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

impl OwnedKnown {
    pub(super) fn of(known: &plan::Known<'_>) -> Self {
        Self {
            alert: known.alert.clone(),
            newest: known.newest.cloned(),
            is_active: known.is_active,
            page: known.page.cloned(),
            pages: known.pages.to_vec(),
            answered: known.answered.to_vec(),
            related_changed_at: known.related_changed_at,
            // Without the key of its link: who may see this may not see that.
            run_url: known.run_url.split('?').next().unwrap_or_default().to_owned(),
        }
    }

    /// The same, to be decided by.
    pub fn known(&self) -> plan::Known<'_> {
        plan::Known {
            alert: &self.alert,
            newest: self.newest.as_ref(),
            is_active: self.is_active,
            page: self.page.as_ref(),
            pages: &self.pages,
            answered: &self.answered,
            related_changed_at: self.related_changed_at,
            run_url: &self.run_url,
        }
    }
}

impl OwnedEvidence {
    pub(super) fn of(evidence: &Evidence<'_>) -> Self {
        Self {
            region: evidence.region.clone(),
            expected: evidence.expected.to_vec(),
            readings: evidence.readings.to_vec(),
            checks: evidence.checks.to_vec(),
            earlier: evidence.earlier.clone(),
            listed: evidence.listed.to_vec(),
        }
    }

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
            client: diagnosis.client.as_ref().map(|client| client.finding),
            client_suspected: diagnosis.client_suspected,
            focus: diagnosis.focus.clone(),
            broken_at: diagnosis.zones.iter().map(|zone| (zone.cluster.clone(), zone.broken_at)).collect(),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, rule, class, client, client_suspected, focus, broken_at } = self;
        write!(f, "{kind} ({rule}), {class}, client suspected: {}", if *client_suspected { "yes" } else { "no" })?;
        client.iter().try_for_each(|finding| write!(f, " ({finding})"))?;
        let focus: Vec<&str> = focus.iter().map(Zone::as_str).collect();
        write!(f, "; look at {}", focus.join(", "))?;
        broken_at.iter().try_for_each(|(zone, at)| write!(f, "; {zone}: {at}"))
    }
}

impl Told {
    pub(super) fn of(known: &gate::Known<'_>) -> Self {
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
