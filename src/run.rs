//! Station 3: a run, one diagnosis of one alert from trigger to note. Its states and what the API shows of it.

#[cfg(test)]
#[cfg(feature = "sim")]
pub(crate) mod bench;
pub mod build_log;
pub mod build_places;
pub mod canary;
pub mod chores;
pub mod deadline;
pub mod gate;
pub mod journey;
pub mod note_text;
pub mod open_incidents;
pub mod progress;
pub mod steps;
pub mod tools;
pub mod words;
pub mod worker;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::alert::{Region, Zone};
use crate::diagnosis::{Diagnosis, RelatedPage};

/// Where a run is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
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
    const NAMES: [(Self, &'static str); 6] = [
        (Self::Queued, "queued"),
        (Self::Suppressed, "suppressed"),
        (Self::Running, "running"),
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
    ];

    /// Every state, in the order of a run's life.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Suppressed, Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    /// Whether a run in this state is the one active run of its incident.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Suppressed | Self::Running)
    }

    /// The state's name in the API and in the store.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(state, _)| *state).ok_or_else(|| format!("{text:?} is no state of a run"))
    }
}

/// What made a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
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
    /// A second look after a `transient` or `inconclusive` verdict.
    FollowUp,
}

impl Trigger {
    const NAMES: [(Self, &'static str); 6] = [
        (Self::Webhook, "webhook"),
        (Self::Reconcile, "reconcile"),
        (Self::Rerun, "rerun"),
        (Self::Note, "note"),
        (Self::RelatedResolved, "related-resolved"),
        (Self::FollowUp, "follow-up"),
    ];

    /// The trigger's name in the API and in the store.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(trigger, _)| *trigger == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for Trigger {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(trigger, _)| *trigger).ok_or_else(|| format!("{text:?} is nothing that makes a run"))
    }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
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

/// A page that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PageRef {
    /// PagerDuty's id.
    pub id: String,
    /// Its page.
    pub html_url: String,
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

/// A note by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoteRef {
    /// PagerDuty's id.
    pub id: String,
}

/// One step of a run, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// What was done.
    pub name: String,
    /// `running`, `done`, `failed`, `interrupted`.
    pub state: String,
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
    /// The diagnosis note.
    pub note: Option<NoteRef>,
    /// What it did.
    pub steps: Vec<Step>,
}

/// What a note needs beside the diagnosis, kept so that an edit says what the first text said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// When the alert opened, by PagerDuty.
    pub alert_opened_at: Option<Timestamp>,
    /// When the alert last changed its status.
    pub alert_triggered_at: Option<Timestamp>,
    /// When the alert was found resolved; `None` where it is open, as far as is known.
    pub resolved_at: Option<Timestamp>,
    /// A webhook said that the alert is resolved, and PagerDuty could not be asked.
    pub said_resolved: bool,
    /// The alert carries the note of a run that this database lacks: one was lost, and a page may have been opened.
    pub foreign_run: bool,
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
    /// Other regions whose SE alert is open.
    pub other_regions: Vec<Region>,
    /// What went wrong beside, each a sentence.
    pub warnings: Vec<String>,
}
