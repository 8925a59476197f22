//! A webhook's body becomes an event. Pure. PagerDuty v3: one event a delivery. What strict JSON refuses of it is
//! repaired: its signature was held against the bytes as they came.

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::json;

/// Longest id or type that is taken; PagerDuty's are some 30 characters.
const MAX_NAME: usize = 200;
/// Longer links than this are nobody's.
const MAX_URL: usize = 2048;

/// `event.client.name` of a drill. It is signed with all the rest.
pub const DRILL: &str = "se-responder drill";

/// The events that this service acts on.
pub const EVENTS: [&str; 4] = ["incident.triggered", "incident.reopened", "incident.resolved", "incident.annotated"];
/// Where webhooks are received.
pub const PATH: &str = "/webhooks/pagerduty";

/// An authentic event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `event.id`; made of the body's bytes where there is none that can be read, so that it is stored once all the
    /// same.
    pub id: String,
    /// `event.event_type`; `unreadable` where there is none.
    pub event_type: String,
    /// `event.occurred_at`.
    pub occurred_at: Option<Timestamp>,
    /// What it says.
    pub kind: Kind,
}

/// What an event says, as far as we act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `incident.triggered`.
    Triggered(IncidentData),
    /// `incident.reopened`.
    Reopened(IncidentData),
    /// `incident.triggered` of a drill: `trigger` sent it, and PagerDuty knows nothing of its incident.
    Drill(IncidentData),
    /// `incident.resolved`, whether fixed or merged into another.
    Resolved {
        /// The incident.
        incident_id: String,
        /// Its title; empty where there is none.
        title: String,
    },
    /// `incident.annotated`: somebody wrote a note.
    Annotated(Annotation),
    /// Any other event about an incident.
    OfIncident(String),
    /// An event about something else: `pagey.ping`, `service.updated`, one that did not exist when this was written.
    Other,
    /// It is authentic, and can't be read: why.
    Unreadable(String),
}

impl Kind {
    /// Whether what follows from it depends on what is known of its incident.
    pub fn is_by_alert(&self) -> bool {
        matches!(self, Self::Reopened(_) | Self::Resolved { .. } | Self::Annotated(_))
    }
}

/// `event.data` of an incident event. Only its id and title must be there; what else is missing or odd is as if it
/// were not given, since an alert must not go unseen for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentData {
    /// PagerDuty's id.
    pub id: String,
    /// Its number; 0 where it is not given.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Its page; empty where none is given that is an http(s) URL.
    pub html_url: String,
    /// Its key; ours begin with `se-responder/`.
    pub incident_key: Option<String>,
    /// The service that it is on; its id and name are empty where they are not given.
    pub service: ServiceRef,
}

impl IncidentData {
    fn read(data: &Value) -> Result<Self, String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let id = text(&data["id"]).ok_or("event.data has no id")?;
        if !is_id(&id) {
            return Err(format!("{:?} is not an incident's id", truncated(&id)));
        }
        let url = text(&data["html_url"]).filter(|url| url.starts_with("https://") || url.starts_with("http://"));
        let service = &data["service"];
        Ok(Self {
            id,
            number: data["number"].as_u64().unwrap_or_default(),
            title: text(&data["title"]).ok_or("event.data has no title")?,
            html_url: url
                .filter(|url| url.len() <= MAX_URL && !url.contains(|c: char| c.is_whitespace() || c.is_control()))
                .unwrap_or_default(),
            incident_key: text(&data["incident_key"]),
            service: ServiceRef {
                id: text(&service["id"]).unwrap_or_default(),
                summary: text(&service["summary"]).unwrap_or_default(),
            },
        })
    }
}

/// A note, as `incident.annotated` brings it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Its own id; `None` where the event names none.
    pub note_id: Option<String>,
    /// The incident that it is on.
    pub incident_id: String,
    /// Its text.
    pub content: String,
    /// Who wrote it.
    pub author: Author,
}

/// Who is behind an event: `event.agent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Author {
    /// A user.
    Person {
        /// PagerDuty's id.
        id: String,
        /// The name.
        name: String,
    },
    /// A service, an integration, a workflow, an API key, or whatever else is no user: its type.
    Machine(String),
    /// Nobody is named.
    Nobody,
}

impl Author {
    /// Only who is said to be a user is one: what PagerDuty may add is not guessed at.
    fn read(agent: &Value) -> Self {
        let text = |field: &str| agent[field].as_str().unwrap_or_default();
        match (text("type"), text("id")) {
            ("user" | "user_reference", id) if is_id(id) => {
                Self::Person { id: id.to_owned(), name: text("summary").to_owned() }
            }
            ("" | "user" | "user_reference", _) => Self::Nobody,
            (kind, _) => Self::Machine(truncated(kind)),
        }
    }
}

/// A reference to a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceRef {
    /// PagerDuty's id.
    pub id: String,
    /// Its name.
    pub summary: String,
}

impl Event {
    /// Reads a body; never fails, since whatever is authentic is kept.
    pub fn read(body: &[u8]) -> Self {
        let digest = || format!("sha256:{}", hex::encode(Sha256::digest(body)));
        let unreadable = |why: String| Self {
            id: digest(),
            event_type: "unreadable".to_owned(),
            occurred_at: None,
            kind: Kind::Unreadable(why),
        };
        let value: Value = match json::read(body) {
            Ok(value) => value,
            Err(e) => return unreadable(format!("the body is not JSON: {e}")),
        };
        let event = &value["event"];
        let name = |field: &str| event[field].as_str().filter(|n| !n.is_empty() && n.len() <= MAX_NAME);
        let Some(event_type) = name("event_type") else {
            return unreadable("the body has no event.event_type".into());
        };
        // Ids that were repaired may look alike though they were not.
        let id = name("id").filter(|id| !id.contains('\u{fffd}')).map_or_else(digest, str::to_owned);
        let data = &event["data"];
        let kind = match event_type {
            "incident.triggered" | "incident.reopened" => match IncidentData::read(data) {
                Ok(incident) => match (event_type, event["client"]["name"].as_str()) {
                    ("incident.triggered", Some(DRILL)) => Kind::Drill(incident),
                    ("incident.triggered", _) => Kind::Triggered(incident),
                    _ => Kind::Reopened(incident),
                },
                Err(why) => Kind::Unreadable(why),
            },
            _ => {
                // An incident event's data is the incident, or (a note, a responder) refers to it.
                let of = if data["incident"].is_object() { &data["incident"]["id"] } else { &data["id"] };
                match of.as_str() {
                    Some(id) if event_type.starts_with("incident.") && is_id(id) => of_incident(event, id),
                    _ => Kind::Other,
                }
            }
        };
        let occurred_at = event["occurred_at"].as_str().and_then(|text| text.parse().ok());
        Self { id, event_type: event_type.to_owned(), occurred_at, kind }
    }

    /// The incident that it is about.
    pub fn incident_id(&self) -> Option<&str> {
        match &self.kind {
            Kind::Triggered(incident) | Kind::Reopened(incident) => Some(&incident.id),
            Kind::Annotated(annotation) => Some(&annotation.incident_id),
            Kind::Resolved { incident_id, .. } => Some(incident_id),
            Kind::OfIncident(id) => Some(id),
            // A drill is about no incident of PagerDuty's.
            Kind::Drill(_) | Kind::Other | Kind::Unreadable(_) => None,
        }
    }
}

/// An event about an incident whose id is known.
fn of_incident(event: &Value, id: &str) -> Kind {
    let data = &event["data"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match event["event_type"].as_str() {
        Some("incident.resolved") => {
            Kind::Resolved { incident_id: id.to_owned(), title: text(&data["title"]).unwrap_or_default() }
        }
        Some("incident.annotated") => Kind::Annotated(Annotation {
            note_id: text(&data["id"]).filter(|id| is_id(id) && data["incident"].is_object()),
            incident_id: id.to_owned(),
            content: text(&data["content"]).unwrap_or_default(),
            author: Author::read(&event["agent"]),
        }),
        _ => Kind::OfIncident(id.to_owned()),
    }
}

/// Whether a text can be an incident's id, and stand in a URL: PagerDuty's are letters and digits;
/// a dash or an underscore does no harm.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn truncated(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
