//! What is kept of PagerDuty's answers. Unknown fields are ignored; missing ones, nulls and those of another type count as
//! not given; only an id must be there, and what a thing is known by (a title, a name, a note's text) must be a text. Texts
//! are bounded here, and must be escaped where they are shown.

use jiff::Timestamp;
use runbook::run::AlertIncident;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use runbook::json::{list_or_default, or_default};

/// PagerDuty's own limit of a title.
const MAX_TITLE: usize = 1024;
/// What stands in a title where it has a control character. No blank of the titles that are looked for: one with a tab in it
/// is none of them in a list either, as it is none in its webhook.
const BLANK: char = '\u{2003}';
/// Longer links than this are nobody's.
const MAX_URL: usize = 2048;
/// Longest id that is taken for one; PagerDuty's have 7 or 14 characters.
const MAX_ID: usize = 64;

/// An incident.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "RawIncident")]
pub struct Incident {
    /// Its id, `Q…`.
    pub id: String,
    /// Its number in the account.
    pub number: u64,
    /// Its title, at most 1,024 characters, with a blank for each control character.
    pub title: String,
    /// Its page for people; empty where PagerDuty gave none that is an http(s) URL.
    pub html_url: String,
    /// Its state.
    pub status: Status,
    /// When it was first triggered; `None` where PagerDuty does not say.
    pub created_at: Option<Timestamp>,
    /// Its service.
    pub service: Option<Reference>,
    /// Its escalation policy's id.
    pub policy_id: Option<String>,
    /// The ids of its teams.
    pub team_ids: Vec<String>,
    /// Its de-duplication key; `None` for most that came through the Events API.
    pub incident_key: Option<String>,
    /// Its urgency.
    pub urgency: Urgency,
    /// To how many it is assigned; 0 once resolved, or where nobody is on call.
    pub assignments: usize,
    /// The incident that it was merged into: resolved by that, not fixed.
    pub merged_into: Option<String>,
    /// When its state last changed.
    pub last_status_change_at: Option<Timestamp>,
    /// Who acknowledged it; empty unless it is acknowledged now.
    pub acknowledgements: Vec<Acknowledgement>,
}

impl Incident {
    /// Whether it is not resolved. A state that is unknown here counts as open.
    pub fn is_open(&self) -> bool {
        self.status != Status::Resolved
    }
}

/// An incident's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nobody has it yet.
    Triggered,
    /// Somebody has it.
    Acknowledged,
    /// Over.
    Resolved,
    /// One that PagerDuty has added since, or none given.
    #[default]
    #[serde(other)]
    Other,
}

/// An incident's urgency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// Notifies at once.
    High,
    /// Does not.
    Low,
    /// Not given.
    #[default]
    #[serde(other)]
    Other,
}

/// Somebody or something, by id and name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Reference {
    /// Its id.
    #[serde(default, deserialize_with = "or_default")]
    pub id: String,
    /// Its name, for people.
    #[serde(default, rename = "summary", deserialize_with = "or_default")]
    pub name: String,
}

/// That somebody has acknowledged an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// When.
    pub at: Option<Timestamp>,
    /// Who.
    pub by: Option<Reference>,
}

/// A note on an incident.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Note {
    /// Its id.
    #[serde(deserialize_with = "id")]
    pub id: String,
    /// Its text, as written.
    #[serde(default, deserialize_with = "text")]
    pub content: String,
    /// When it was written.
    #[serde(default, deserialize_with = "time")]
    pub created_at: Option<Timestamp>,
    /// Who wrote it.
    #[serde(default, deserialize_with = "or_default")]
    pub user: Option<Reference>,
}

/// A service: what incidents are opened on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "RawService")]
pub struct Service {
    /// Its id, `P…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its state.
    pub status: ServiceStatus,
    /// Its page for people; empty where PagerDuty gave none that is an http(s) URL.
    pub html_url: String,
    /// Whether it has an escalation policy, without which its incidents reach nobody. An answer that leaves it out does
    /// not say that it has none.
    pub has_policy: bool,
}

impl Service {
    /// Whether it is in an open maintenance window, in which PagerDuty notifies nobody.
    pub fn is_in_maintenance(&self) -> bool {
        self.status == ServiceStatus::Maintenance
    }
}

/// A service's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceStatus {
    /// No open incident.
    Active,
    /// Acknowledged incidents.
    Warning,
    /// Triggered incidents.
    Critical,
    /// In a maintenance window.
    Maintenance,
    /// Switched off.
    Disabled,
    /// One that PagerDuty has added since, or none given.
    #[default]
    #[serde(other)]
    Other,
}

/// Whether this can be an id of PagerDuty's: `[A-Za-z0-9_-]+`, so that it can stand in a URL.
pub(super) fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[derive(Deserialize)]
struct RawIncident {
    #[serde(deserialize_with = "id")]
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    incident_number: u64,
    #[serde(default, deserialize_with = "text")]
    title: String,
    #[serde(default, deserialize_with = "or_default")]
    html_url: String,
    #[serde(default, deserialize_with = "or_default")]
    status: Status,
    #[serde(default, deserialize_with = "time")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "or_default")]
    service: Option<Reference>,
    #[serde(default, deserialize_with = "or_default")]
    escalation_policy: Option<Reference>,
    #[serde(default, deserialize_with = "list_or_default")]
    teams: Vec<Reference>,
    #[serde(default, deserialize_with = "or_default")]
    incident_key: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    urgency: Urgency,
    #[serde(default, deserialize_with = "list_or_default")]
    assignments: Vec<Map<String, Value>>,
    #[serde(default, deserialize_with = "or_default")]
    resolve_reason: Option<RawReason>,
    #[serde(default, deserialize_with = "time")]
    last_status_change_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "time")]
    resolved_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "list_or_default")]
    acknowledgements: Vec<RawAcknowledgement>,
}

#[derive(Deserialize)]
struct RawReason {
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    incident: Option<Reference>,
}

#[derive(Deserialize)]
struct RawAcknowledgement {
    #[serde(default, deserialize_with = "time")]
    at: Option<Timestamp>,
    #[serde(default, deserialize_with = "or_default")]
    acknowledger: Option<Reference>,
}

#[derive(Deserialize)]
struct RawService {
    #[serde(deserialize_with = "id")]
    id: String,
    #[serde(default, deserialize_with = "text")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    status: ServiceStatus,
    #[serde(default, deserialize_with = "or_default")]
    html_url: String,
    #[serde(default = "some")]
    escalation_policy: Option<serde::de::IgnoredAny>,
}

fn some() -> Option<serde::de::IgnoredAny> {
    Some(serde::de::IgnoredAny)
}

impl From<RawIncident> for Incident {
    fn from(raw: RawIncident) -> Self {
        Self {
            id: raw.id,
            number: raw.incident_number,
            title: raw.title.chars().take(MAX_TITLE).map(|c| if c.is_control() { BLANK } else { c }).collect(),
            html_url: link(raw.html_url),
            status: raw.status,
            created_at: raw.created_at,
            service: raw.service,
            policy_id: raw.escalation_policy.map(|policy| policy.id).filter(|id| !id.is_empty()),
            team_ids: raw.teams.into_iter().map(|team| team.id).filter(|id| !id.is_empty()).collect(),
            incident_key: raw.incident_key.filter(|key| !key.is_empty()),
            urgency: raw.urgency,
            assignments: raw.assignments.len(),
            merged_into: raw
                .resolve_reason
                .filter(|reason| reason.kind == "merge_resolve_reason")
                .and_then(|reason| Some(reason.incident?.id).filter(|id| is_id(id))),
            // Whatever was changed of one that is resolved since, that is when it ended.
            last_status_change_at: Some(raw.resolved_at)
                .filter(|_| raw.status == Status::Resolved)
                .flatten()
                .or(raw.last_status_change_at),
            acknowledgements: raw
                .acknowledgements
                .into_iter()
                .map(|a| Acknowledgement { at: a.at, by: a.acknowledger })
                .collect(),
        }
    }
}

impl From<RawService> for Service {
    fn from(raw: RawService) -> Self {
        let has_policy = raw.escalation_policy.is_some();
        Self { id: raw.id, name: raw.name, status: raw.status, html_url: link(raw.html_url), has_policy }
    }
}

/// A link that may be shown to people, or nothing.
pub(super) fn link(url: String) -> String {
    let shown = url.len() <= MAX_URL
        && (url.starts_with("https://") || url.starts_with("http://"))
        && !url.chars().any(|c| c.is_whitespace() || c.is_control());
    if shown { url } else { String::new() }
}

/// A time that can't be read is not known; the rest of the answer is still good.
pub(super) fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(or_default::<_, Option<String>>(from)?.and_then(|text| text.parse().ok()))
}

/// A text that decides what a thing is: it may be missing or `null`, but not something else.
pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

pub(super) fn id<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if is_id(&text) { Ok(text) } else { Err(serde::de::Error::custom("an id that is none")) }
}

impl From<&Incident> for AlertIncident {
    fn from(incident: &Incident) -> Self {
        Self {
            id: incident.id.clone(),
            number: incident.number,
            title: incident.title.clone(),
            html_url: incident.html_url.clone(),
        }
    }
}
