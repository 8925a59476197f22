//! What pure modules hand to the store or get from it: plain values. No SQL, so that those can be built without it.

use std::time::Duration;

use jiff::Timestamp;
use strum::{EnumMessage, VariantArray, VariantNames};

use runbook::alert::Region;
use runbook::command::Command;
use runbook::run::{AlertIncident, Trigger};

runbook::words! {
    TaskKind: "kind of task";
    EventOutcome: "outcome of an event";
    Failure: "reason of a failure";
}

/// A run to be made.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The alert; `None` for a run by region.
    pub incident: Option<AlertIncident>,
    /// The region.
    pub region: Region,
    /// What made it.
    pub trigger: Trigger,
    /// The alert is open again after it was over: by a webhook, or by what the reconciler saw.
    pub reopened: bool,
    /// When the alert was triggered or reopened, by the event that says so; `None` where none does.
    pub alert_at: Option<Timestamp>,
}

/// What follows from an event.
#[derive(Clone, Debug)]
pub enum Follow {
    /// A run is to be made.
    Start(NewRun),
    /// A drill: a full run of which PagerDuty knows nothing.
    Drill {
        /// What the alert would be.
        incident: AlertIncident,
        /// The region.
        region: Region,
    },
    /// An alert is resolved: its active run is told, and the page that was opened for it.
    AlertResolved {
        /// The alert.
        incident_id: String,
        /// When, by PagerDuty's clock; `None`: the event doesn't say.
        at: Option<Timestamp>,
    },
    /// A page that may explain alerts has opened: nothing but that who waits for such pages looks again.
    RelatedOpened,
    /// A page that may explain alerts has closed.
    RelatedResolved,
    /// A person's command is to be obeyed, or not, and answered.
    Command {
        /// The alert.
        incident_id: String,
        /// What was said.
        command: Command,
    },
}

impl From<NewRun> for Follow {
    fn from(run: NewRun) -> Self {
        Self::Start(run)
    }
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum TaskKind {
    /// See that a write that is in doubt stands once; data is its key.
    Twin,
    /// See whether a page opens that may have been opened, whatever has become of its record.
    Opening,
    /// See that the newest text of a run's diagnosis note stands.
    Edit,
    /// Of an older version: a person's command. Its alert takes it in, as it does the others.
    Command,
    /// Of an older version: pages that explain the alert are to close.
    RelatedResolved,
    /// Of an older version: another run is to look.
    FollowUp,
    /// Of an older version: a page is watched.
    WatchPage,
    /// Of an older version: the alert is over.
    Resolution,
}

/// A task to be done.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// What there is to do.
    pub kind: TaskKind,
    /// Its alert.
    pub incident_id: String,
    /// The run that it follows from.
    pub run_id: Option<String>,
    /// What makes it one of several of its kind for an alert; empty: there is one at a time.
    pub mark: String,
    /// What it needs, as JSON.
    pub data: String,
    /// In how long.
    pub after: Duration,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum EventOutcome {
    /// Something is done about it.
    Accepted,
    /// It was here before.
    Duplicate,
    /// It is kept, and nothing is to be done about it.
    Ignored,
}

/// Why a run failed, in one word for whoever counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Failure {
    /// It was not done in the longest time that a run may take.
    Overdue,
    /// It was cut off too often, by whatever takes the process down.
    CutOff,
    /// What is stored of it can't be read.
    Unreadable,
    /// PagerDuty refused its note, or was away for too long.
    Note,
}
