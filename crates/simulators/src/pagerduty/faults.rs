//! What can go wrong, by name, and where.

use std::fmt;
use std::str::FromStr;

/// A call of the API. `incident` and the like are the names in [`Endpoint::from_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `GET /incidents`: `incidents`.
    Incidents,
    /// `GET /incidents/{id}`: `incident`.
    Incident,
    /// `GET /incidents/{id}/alerts`: `alerts`.
    Alerts,
    /// `GET /incidents/{id}/log_entries`: `log-entries`.
    LogEntries,
    /// `POST /incidents`: `create-incident`.
    CreateIncident,
    /// `PUT /incidents/{id}`: `update-incident`.
    UpdateIncident,
    /// `PUT /incidents/{id}/merge`: `merge`.
    Merge,
    /// `GET /incidents/{id}/notes`: `notes`.
    Notes,
    /// `POST /incidents/{id}/notes`: `add-note`.
    AddNote,
    /// `PUT /incidents/{id}/notes/{note_id}`: `edit-note`.
    EditNote,
    /// `DELETE /incidents/{id}/notes/{note_id}`: `delete-note`.
    DeleteNote,
    /// `GET /services`: `services`.
    Services,
    /// `GET /services/{id}`: `service`.
    Service,
    /// `GET /users`: `users`.
    Users,
    /// `POST /v2/enqueue`: `enqueue`.
    Enqueue,
    /// `GET /webhook_subscriptions`: `subscriptions`.
    Subscriptions,
    /// `POST /webhook_subscriptions`: `subscribe`.
    Subscribe,
    /// `POST /webhook_subscriptions/{id}/enable`: `enable-subscription`.
    EnableSubscription,
}

const ENDPOINTS: [(Endpoint, &str); 18] = [
    (Endpoint::Incidents, "incidents"),
    (Endpoint::Incident, "incident"),
    (Endpoint::Alerts, "alerts"),
    (Endpoint::LogEntries, "log-entries"),
    (Endpoint::CreateIncident, "create-incident"),
    (Endpoint::UpdateIncident, "update-incident"),
    (Endpoint::Merge, "merge"),
    (Endpoint::Notes, "notes"),
    (Endpoint::AddNote, "add-note"),
    (Endpoint::EditNote, "edit-note"),
    (Endpoint::DeleteNote, "delete-note"),
    (Endpoint::Services, "services"),
    (Endpoint::Service, "service"),
    (Endpoint::Users, "users"),
    (Endpoint::Enqueue, "enqueue"),
    (Endpoint::Subscriptions, "subscriptions"),
    (Endpoint::Subscribe, "subscribe"),
    (Endpoint::EnableSubscription, "enable-subscription"),
];

impl Endpoint {
    /// The call that a request makes, if it is one that there is.
    pub(super) fn of(method: &str, path: &[&str]) -> Option<Self> {
        Some(match (method, path) {
            ("GET", ["incidents"]) => Self::Incidents,
            ("POST", ["incidents"]) => Self::CreateIncident,
            ("GET", ["incidents", _]) => Self::Incident,
            ("PUT", ["incidents", _]) => Self::UpdateIncident,
            ("GET", ["incidents", _, "alerts"]) => Self::Alerts,
            ("GET", ["incidents", _, "log_entries"]) => Self::LogEntries,
            ("PUT", ["incidents", _, "merge"]) => Self::Merge,
            ("GET", ["incidents", _, "notes"]) => Self::Notes,
            ("POST", ["incidents", _, "notes"]) => Self::AddNote,
            ("PUT", ["incidents", _, "notes", _]) => Self::EditNote,
            ("DELETE", ["incidents", _, "notes", _]) => Self::DeleteNote,
            ("GET", ["services"]) => Self::Services,
            ("GET", ["services", _]) => Self::Service,
            ("GET", ["users"]) => Self::Users,
            ("POST", ["v2", "enqueue"]) => Self::Enqueue,
            ("GET", ["webhook_subscriptions"]) => Self::Subscriptions,
            ("POST", ["webhook_subscriptions"]) => Self::Subscribe,
            ("POST", ["webhook_subscriptions", _, "enable"]) => Self::EnableSubscription,
            _ => return None,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ENDPOINTS.iter().find(|(e, _)| e == self).map_or("", |(_, name)| name))
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ENDPOINTS.iter().find(|(_, name)| *name == text).map(|(e, _)| *e).ok_or(format!("no such endpoint: {text}"))
    }
}

/// What goes wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `status-500`: this status, with PagerDuty's error body.
    Status(u16),
    /// `rate-limited`, `rate-limited-2`: 429, with `Retry-After` where a number of seconds is given.
    RateLimited(Option<u64>),
    /// `hang`: no answer, ever.
    Hang,
    /// `reset`: the connection is reset.
    Reset,
    /// `half-answer`: headers and half a body, then a reset.
    HalfAnswer,
    /// `html`: 200 with a sign-in page, as a proxy answers.
    Html,
    /// `garbage`: 202 with a body that is no JSON.
    Garbage,
    /// `no-content`: 204 without a body.
    NoContent,
    /// `redirect-<url>`: 302 to somewhere else.
    Redirect(String),
    /// `late-25`: 504 at once, and what was asked for is done so many seconds later all the same (a note that is
    /// written, an incident that is opened unless one with its key is open by then; nothing else is).
    Late(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status-{status}"),
            Self::RateLimited(None) => f.write_str("rate-limited"),
            Self::RateLimited(Some(seconds)) => write!(f, "rate-limited-{seconds}"),
            Self::Hang => f.write_str("hang"),
            Self::Reset => f.write_str("reset"),
            Self::HalfAnswer => f.write_str("half-answer"),
            Self::Html => f.write_str("html"),
            Self::Garbage => f.write_str("garbage"),
            Self::NoContent => f.write_str("no-content"),
            Self::Redirect(to) => write!(f, "redirect-{to}"),
            Self::Late(seconds) => write!(f, "late-{seconds}"),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("no such fault: {text}");
        Ok(match text {
            "rate-limited" => Self::RateLimited(None),
            "hang" => Self::Hang,
            "reset" => Self::Reset,
            "half-answer" => Self::HalfAnswer,
            "html" => Self::Html,
            "garbage" => Self::Garbage,
            "no-content" => Self::NoContent,
            _ => {
                if let Some(status) = text.strip_prefix("status-") {
                    let status = status.parse().ok().filter(|s| (400..=599).contains(s));
                    Self::Status(status.ok_or_else(unknown)?)
                } else if let Some(seconds) = text.strip_prefix("rate-limited-") {
                    Self::RateLimited(Some(seconds.parse().map_err(|_| unknown())?))
                } else if let Some(seconds) = text.strip_prefix("late-") {
                    Self::Late(seconds.parse().map_err(|_| unknown())?)
                } else {
                    Self::Redirect(text.strip_prefix("redirect-").ok_or_else(unknown)?.to_owned())
                }
            }
        })
    }
}

/// A fault in waiting.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) endpoint: Endpoint,
    pub(super) fault: Fault,
    /// Whether the request is carried out first: its answer is lost, not its effect.
    pub(super) done_first: bool,
    /// Texts that all stand in the request, in its path, its query or its body.
    pub(super) about: Vec<String>,
    pub(super) times: u32,
}

/// Takes the fault that is next for a request to this endpoint; `said` is its path, its query and its body.
pub(super) fn take(planned: &mut Vec<Planned>, endpoint: Endpoint, said: &str) -> Option<Planned> {
    let at = planned.iter().position(|p| p.endpoint == endpoint && p.about.iter().all(|text| said.contains(text)))?;
    let fault = planned[at].clone();
    planned[at].times -= 1;
    if planned[at].times == 0 {
        planned.remove(at);
    }
    Some(fault)
}
