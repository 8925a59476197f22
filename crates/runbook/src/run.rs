//! A run, one diagnosis of one alert from trigger to note: its states, what the API shows of it, and what its note is made of.

mod nothing_new;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray, VariantNames};
use utoipa::ToSchema;

use crate::alert::{Region, Zone};
use crate::diagnosis::{Diagnosis, RelatedPage};

crate::words! {
    State: "state of a run";
    Trigger: "trigger of a run";
    EscalationState: "state of an escalation";
    StepState: "state of a step";
    AlertPhase: "state of an alert";
}

/// Where a run is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum State {
    /// Stored, waiting for a worker.
    Queued,
    /// Parked while a bigger outage explains the alert.
    Suppressed,
    /// A worker drives it.
    Running,
    /// Its note is out (or, for a run by region, its diagnosis made).
    Done,
    /// Given up, with a reason.
    Failed,
    /// Nothing to do any more.
    Cancelled,
}

impl State {
    /// Whether a run in this state is the one active run of its incident.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Suppressed | Self::Running)
    }
}

/// What made a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Trigger {
    /// A webhook.
    Webhook,
    /// An alert in PagerDuty that no webhook told of.
    Reconcile,
    /// An operator's `POST /rerun`.
    Rerun,
    /// A person's `/rerun` in a note.
    Note,
    /// The pages that had opened while the alert was diagnosed have closed, and it is still open.
    RelatedResolved,
    /// A second look after a `transient`, `mixed` or `inconclusive` verdict.
    FollowUp,
}

/// The alert, as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertIncident {
    /// PagerDuty's id.
    pub id: String,
    /// Its number.
    pub number: u64,
    /// Its title, as last known.
    pub title: String,
    /// Its page.
    pub html_url: String,
}

/// What has become of the page of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum EscalationState {
    /// No page was wanted.
    None,
    /// A person is asked.
    Suggested,
    /// An automatic page is held back.
    Held,
    /// Somebody or something wants it; it is being opened.
    Requested,
    /// It is open.
    Paged,
    /// Nobody was paged, though it was tried.
    Failed,
}

impl EscalationState {
    /// Whether this is what a run decides about a page that nobody has asked for. What becomes of one that somebody has is
    /// the page's own state.
    pub fn is_decided(self) -> bool {
        matches!(self, Self::None | Self::Suggested | Self::Held)
    }
}

/// A page that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PageRef {
    /// PagerDuty's id.
    pub id: String,
    /// Its address for people.
    pub html_url: String,
    /// It was open already, and the alert joined it.
    #[serde(default)]
    pub joined: bool,
    /// When it was first seen acknowledged; `None`: it was not.
    #[serde(default)]
    pub acknowledged_at: Option<Timestamp>,
    /// By whom.
    #[serde(default)]
    pub acknowledged_by: Option<String>,
    /// When it was seen resolved; `None`: it is open, as far as is known.
    #[serde(skip)]
    pub closed_at: Option<Timestamp>,
}

/// How an alert stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum AlertPhase {
    /// It is open, as far as is known.
    Open,
    /// It has resolved.
    Resolved,
    /// The run's incident was merged into another, which is the alert now.
    Merged,
    /// Nothing is remembered of it.
    Unknown,
}

/// How the alert of a run stands now, whatever it was when the run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertStatus {
    /// In a word.
    pub state: AlertPhase,
    /// Since when it is resolved; `None`: it is not. Of a merged one: the incident that it was merged into.
    pub resolved_at: Option<Timestamp>,
    /// The person whose `/hold` holds automatic pages; `None`: nobody's does.
    pub held_by: Option<String>,
    /// The incident that is the alert now, by PagerDuty's id; `None`: it was not merged.
    pub merged_into: Option<String>,
}

/// Something that was said or done about an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Activity {
    /// When.
    pub at: Timestamp,
    /// What, in words.
    pub what: String,
    /// The person who did; `None` is this service.
    pub who: Option<String>,
}

/// The escalation of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Escalation {
    /// What has become of it.
    pub state: EscalationState,
    /// The page; `None` unless it is open.
    pub page: Option<PageRef>,
    /// What speaks against the page, or is wrong with it.
    pub reason: Option<String>,
}

/// A diagnosis note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoteRef {
    /// PagerDuty's id.
    pub id: String,
    /// Its text as it stands on the incident now, after edits; `None` where an older version wrote it.
    #[serde(default)]
    pub text: Option<String>,
}

/// That a follow-up found what a note says already, and has edited that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unchanged {
    /// The run whose note it is.
    pub run_id: String,
    /// When it was edited.
    pub at: Timestamp,
}

/// What has become of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum StepState {
    /// It is under way.
    Running,
    /// It ended well.
    Done,
    /// It ended, and something went wrong.
    Failed,
    /// Whoever did it was cut off.
    Interrupted,
}

/// One step of a run, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// What was done.
    pub name: String,
    /// What has become of it.
    pub state: StepState,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it runs, or where it was cut off.
    pub finished_at: Option<Timestamp>,
    /// What went wrong.
    pub error: Option<String>,
}

/// A run, as the API shows it and the store keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Its id, which sorts by time; the last line of its note.
    pub id: String,
    /// The alert; `None` for a run by region.
    pub incident: Option<AlertIncident>,
    /// How the alert stands now; `None` where there is no incident.
    #[serde(default)]
    pub alert: Option<AlertStatus>,
    /// What the alert would be, where this is a drill; there is no incident then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<AlertIncident>,
    /// The region.
    pub region: Region,
    /// What made it.
    pub trigger: Trigger,
    /// Where it is in its life.
    pub state: State,
    /// Why it failed or was cancelled.
    pub reason: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What was found.
    pub diagnosis: Option<Diagnosis>,
    /// Open pages that may explain the alert, those that suppress first.
    pub related: Vec<RelatedPage>,
    /// What has become of the page.
    pub escalation: Escalation,
    /// The diagnosis note; of a follow-up that found nothing new, the earlier run's note that it has edited.
    pub note: Option<NoteRef>,
    /// Where it is a follow-up that found nothing new.
    #[serde(skip)]
    pub unchanged: Option<Unchanged>,
    /// What was said and done after the diagnosis, oldest first.
    #[serde(default)]
    pub activity: Vec<Activity>,
    /// When a diagnosis was first made.
    #[serde(skip)]
    pub diagnosed_at: Option<Timestamp>,
    /// When the alert opened, by PagerDuty; `None` where it was not asked yet.
    #[serde(skip)]
    pub opened_at: Option<Timestamp>,
    /// When the alert was last triggered or reopened, by PagerDuty; `None`: not known, or it was merged into another.
    #[serde(skip)]
    pub triggered_at: Option<Timestamp>,
    /// What it did.
    pub steps: Vec<Step>,
    /// What of it can't be read in the database, and is missing here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

impl Run {
    /// The note that it has written itself.
    pub fn own_note(&self) -> Option<&NoteRef> {
        self.note.as_ref().filter(|_| self.unchanged.is_none())
    }

    /// Since when its alert is what it is: from its last trigger; where that is not known, from its opening or from this run.
    pub fn alert_since(&self) -> Timestamp {
        self.triggered_at.or(self.opened_at).unwrap_or(self.created_at)
    }

    /// Whether a person's word may still open a page for it: its alert is not over, and nobody is paged or about to be.
    pub fn may_be_paged_for(&self) -> bool {
        self.incident.is_some()
            && self.alert.as_ref().is_none_or(|alert| alert.resolved_at.is_none())
            && !matches!(self.escalation.state, EscalationState::Paged | EscalationState::Requested)
    }

    /// The same with all its times earlier: as people are shown it where service time is ahead of their clocks.
    #[must_use]
    pub fn earlier(mut self, by: SignedDuration) -> Self {
        if by.is_zero() {
            return self;
        }
        let steps = self.steps.iter_mut().flat_map(|s| std::iter::once(&mut s.started_at).chain(&mut s.finished_at));
        let own = std::iter::once(&mut self.created_at).chain(&mut self.finished_at).chain(&mut self.diagnosed_at);
        let page = self.escalation.page.iter_mut();
        let own = own.chain(page.flat_map(|page| page.acknowledged_at.iter_mut().chain(&mut page.closed_at)));
        let own = own.chain(self.unchanged.iter_mut().map(|unchanged| &mut unchanged.at));
        for time in own.chain(steps).chain(self.activity.iter_mut().map(|done| &mut done.at)) {
            *time = time.checked_sub(by).unwrap_or(*time);
        }
        self.diagnosis = self.diagnosis.map(|diagnosis| diagnosis.earlier(by));
        self
    }
}

/// Whose an incident is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Owners {
    /// Its service, by PagerDuty's id; `None` where it is not shown.
    pub service_id: Option<String>,
    /// Its escalation policy, the same way.
    pub policy_id: Option<String>,
    /// Its teams, the same way.
    pub team_ids: Vec<String>,
}

impl Owners {
    /// Whether these and others have the service, the policy or a team in common.
    pub fn overlap(&self, other: &Self) -> bool {
        (self.service_id.is_some() && self.service_id == other.service_id)
            || (self.policy_id.is_some() && self.policy_id == other.policy_id)
            || self.team_ids.iter().any(|team| other.team_ids.contains(team))
    }
}

/// What a note needs beside the diagnosis, kept so that an edit says what the first text said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// When the alert opened, by PagerDuty.
    pub alert_opened_at: Option<Timestamp>,
    /// What the incident that is the alert was called when PagerDuty last showed it, also where the run's note stays on one
    /// that was merged into it; `None` where it was not asked yet.
    pub title: Option<String>,
    /// When the alert last changed its status.
    pub alert_triggered_at: Option<Timestamp>,
    /// When the alert was found resolved; `None` where it is open, as far as is known.
    pub resolved_at: Option<Timestamp>,
    /// A webhook said that the alert is resolved, and PagerDuty could not be asked.
    pub said_resolved: bool,
    /// The alert carries the note of a run that this database lacks: one was lost, and a page may have been opened.
    pub foreign_run: bool,
    /// Something that was stored of the run can't be read: what it knew may have spoken against a page.
    pub unreadable: bool,
    /// Since when, until when, and by which pages the run was suppressed.
    pub suppressed_since: Option<Timestamp>,
    /// See [`Facts::suppressed_since`].
    pub suppressed_until: Option<Timestamp>,
    /// See [`Facts::suppressed_since`]; titles.
    pub suppressed_by: Vec<String>,
    /// How many of the run's related pages explain the alert: they stand first.
    pub explaining: usize,
    /// Open incidents of the alert's own service that name a zone of it, or konicle.
    pub registry_pages: Vec<(Zone, RelatedPage)>,
    /// Why it is not known whether related pages are open; `None` where it is.
    pub related_unknown: Option<String>,
    /// Related pages that are named though they don't explain the alert (too old, or of a zone that isn't its own).
    pub related_only_named: Vec<String>,
    /// When related pages were looked for.
    pub related_at: Option<Timestamp>,
    /// That some open incidents can't be read and don't count; `None` where all can.
    pub open_left_out: Option<String>,
    /// The alert's service, escalation policy and teams, as PagerDuty last showed it.
    pub alert_owners: Option<Owners>,
    /// Whether a page of the region may be open, to be joined.
    pub page_open: bool,
    /// Other regions whose SE alert is open.
    pub other_regions: Vec<Region>,
    /// Those of them whose alert opened about when this one did.
    pub at_once: Vec<Region>,
    /// What went wrong beside, each a sentence.
    pub warnings: Vec<String>,
}

impl Facts {
    /// The title by which an automatic page is judged: that of the incident which is the alert now, as last known.
    pub fn alert_title<'a>(&'a self, incident: Option<&'a AlertIncident>) -> Option<&'a str> {
        self.title.as_deref().or_else(|| incident.map(|incident| incident.title.as_str()))
    }
}

#[cfg(test)]
mod tests;
