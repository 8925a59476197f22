//! What an account has: incidents, notes, subscriptions, each with every version that it ever had.

use jiff::Timestamp;

/// Every version of something, and since when each holds: so that a list can lag, and a page can come later.
#[derive(Clone, Debug)]
pub(super) struct Versions<T>(Vec<(Timestamp, Option<T>)>);

impl<T: Clone> Versions<T> {
    pub(super) fn new(since: Timestamp, value: T) -> Self {
        Self(vec![(since, Some(value))])
    }

    /// What held at `time`.
    pub(super) fn at(&self, time: Timestamp) -> Option<&T> {
        self.0.iter().rev().find(|(since, _)| *since <= time)?.1.as_ref()
    }

    /// The newest, which may be still on its way; `None`: it is deleted.
    pub(super) fn newest(&mut self) -> Option<&mut T> {
        self.0.last_mut()?.1.as_mut()
    }

    pub(super) fn set(&mut self, since: Timestamp, value: Option<T>) {
        self.0.push((since, value));
    }
}

/// The state of a simulated incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has it yet.
    Triggered,
    /// Somebody has it.
    Acknowledged,
    /// Over.
    Resolved,
}

impl State {
    /// As PagerDuty writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Triggered => "triggered",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

/// A simulated incident.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Its id, `Q…`.
    pub id: String,
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Its state.
    pub state: State,
    /// Its service's id.
    pub service_id: String,
    /// Its key; `None` where it came through the Events API: its alerts have keys.
    pub incident_key: Option<String>,
    /// The keys of its alerts.
    pub alert_keys: Vec<String>,
    /// `high` or `low`.
    pub urgency: String,
    /// When it was triggered.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub changed_at: Timestamp,
    /// Who changed its state last, a user's id.
    pub changed_by: Option<String>,
    /// Whom it is assigned to, users' ids.
    pub assignees: Vec<String>,
    /// When and by whom it was acknowledged.
    pub acknowledgements: Vec<(Timestamp, String)>,
    /// The incident that it was merged into.
    pub merged_into: Option<String>,
    /// The body that it was opened with.
    pub body: Option<String>,
    /// Whether a client opened it over the REST or Events API, rather than the setup or the test.
    pub over_api: bool,
}

/// A simulated note.
#[derive(Clone, Debug)]
pub struct Note {
    /// Its id, `P…`.
    pub id: String,
    /// Its text.
    pub content: String,
    /// Who wrote it, a user's id.
    pub user_id: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
}

/// What a new incident is made of.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Its title.
    pub title: String,
    /// Its service's id.
    pub service_id: String,
    /// `high` or `low`.
    pub urgency: String,
    /// Its key.
    pub incident_key: Option<String>,
    /// When it was triggered; `None` is now.
    pub created_at: Option<Timestamp>,
    /// Its body.
    pub body: Option<String>,
    /// The user who opens it; `None` is monitoring.
    pub by: Option<String>,
}

impl Opening {
    /// An incident of high urgency, opened now.
    pub fn new(title: &str, service_id: &str) -> Self {
        Self {
            title: title.to_owned(),
            service_id: service_id.to_owned(),
            urgency: "high".to_owned(),
            incident_key: None,
            created_at: None,
            body: None,
            by: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) incident: Versions<Incident>,
    pub(super) notes: Vec<Versions<Note>>,
    /// All that happened to it, in the order in which it was told of.
    pub(super) log: Vec<Logged>,
    /// It is asked for, and opened once its time has come: until then nobody knows of it.
    pub(super) late: bool,
}

impl Entry {
    /// It was asked for, and is not there yet: it may never be.
    pub(super) fn is_to_come(&self, now: Timestamp) -> bool {
        self.late && self.incident.at(now).is_none()
    }
}

/// Who does something to an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Agent {
    /// A user, by id.
    User(String),
    /// The incident's service.
    Service,
    /// The integration that an event came in by.
    Integration,
}

impl Agent {
    /// This user, or the service itself.
    pub(super) fn by(user_id: Option<&str>) -> Self {
        user_id.map_or(Self::Service, |id| Self::User(id.to_owned()))
    }
}

/// An entry of an incident's log.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    pub(super) id: String,
    /// Its type, without `_log_entry`.
    pub(super) kind: &'static str,
    pub(super) at: Timestamp,
    pub(super) agent: Agent,
    pub(super) channel: &'static str,
    pub(super) summary: String,
    pub(super) note: Option<String>,
    /// Who it was assigned to, or who was notified.
    pub(super) users: Vec<String>,
}

/// A subscription. Its secret is shown when it is made, and never again.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Its id, `P…`.
    pub id: String,
    /// The service whose events it sends; empty is the whole account's.
    pub service_id: String,
    /// Where to.
    pub url: String,
    /// Which.
    pub events: Vec<String>,
    /// Whether it is on.
    pub active: bool,
    /// Whether PagerDuty has turned it off for a while.
    pub temporarily_disabled: bool,
    /// What signs its webhooks.
    pub secret: String,
}
