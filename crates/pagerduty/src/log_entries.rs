//! What happened to an incident, as PagerDuty logged it.

use jiff::Timestamp;
use reqwest::StatusCode;
use serde::Deserialize;

use super::model::{id, time};
use super::request::checked;
use super::{Error, Listed, PagerDuty};
use runbook::json::or_default;

/// How much of a text is kept.
const MAX_TEXT: usize = 1024;
/// A note of 20,000 characters, and more.
const MAX_SUMMARY: usize = 65_536;
/// Longest name of a kind.
const MAX_KIND: usize = 64;

/// One entry of an incident's log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Raw")]
pub struct LogEntry {
    /// Its id.
    pub id: String,
    /// What happened: PagerDuty's type without its `_log_entry`, such as `trigger`, `acknowledge`, `annotate`. PagerDuty
    /// has more types than it describes.
    pub kind: String,
    /// When; `None` where PagerDuty does not say.
    pub at: Option<Timestamp>,
    /// The same for people, at most 1,024 characters, with a blank for each control character.
    pub summary: String,
    /// Who did it; `None` where PagerDuty does not say.
    pub agent: Option<Agent>,
    /// By which way, such as `api`, `website`, `note`, `auto`; empty where PagerDuty does not say.
    pub channel: String,
    /// Its page for people; empty where PagerDuty gave none that is an http(s) URL.
    pub html_url: String,
}

/// Who did something to an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// What it is.
    pub kind: AgentKind,
    /// Its id; empty where PagerDuty gives none.
    pub id: String,
    /// Its name, for people; empty where PagerDuty gives none.
    pub name: String,
}

/// What did something to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentKind {
    /// A person, or a key that acts in a person's name.
    User,
    /// The service that the incident is on.
    Service,
    /// What monitoring comes in by.
    Integration,
    /// Something that PagerDuty does not describe.
    Other,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(deserialize_with = "id")]
    id: String,
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "time")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "or_default")]
    summary: String,
    #[serde(default, deserialize_with = "or_default")]
    agent: Option<RawAgent>,
    #[serde(default, deserialize_with = "or_default")]
    channel: RawChannel,
    #[serde(default, deserialize_with = "or_default")]
    html_url: String,
}

#[derive(Deserialize)]
struct RawAgent {
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    summary: String,
}

#[derive(Default, Deserialize)]
struct RawChannel {
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    kind: String,
}

impl From<Raw> for LogEntry {
    fn from(raw: Raw) -> Self {
        let kind = raw.kind.strip_suffix("_reference").unwrap_or(&raw.kind);
        Self {
            id: raw.id,
            kind: short(kind.strip_suffix("_log_entry").unwrap_or(kind), MAX_KIND),
            at: raw.created_at,
            summary: whole(&raw.summary, MAX_SUMMARY),
            agent: raw.agent.map(Agent::from),
            channel: short(&raw.channel.kind, MAX_KIND),
            html_url: super::model::link(raw.html_url),
        }
    }
}

impl From<RawAgent> for Agent {
    fn from(raw: RawAgent) -> Self {
        let kind = match raw.kind.strip_suffix("_reference").unwrap_or(&raw.kind) {
            "user" => AgentKind::User,
            "service" => AgentKind::Service,
            // `inbound_integration` and its like too.
            other if other.ends_with("integration") => AgentKind::Integration,
            _ => AgentKind::Other,
        };
        Self { kind, id: short(&raw.id, MAX_KIND), name: whole(&raw.summary, MAX_TEXT) }
    }
}

/// At most so many characters of what people are to read as it stands there.
fn whole(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// At most so many characters, with a blank for each control character.
fn short(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl PagerDuty {
    /// All that PagerDuty logged of an incident, oldest first; of one second, in PagerDuty's order. `None` where
    /// PagerDuty knows no such incident, or shows none to this token.
    ///
    /// # Errors
    /// `incident_id` is none, PagerDuty can't be asked, or has more than 10,000 entries: an incomplete list is never
    /// returned.
    pub async fn log_entries(&self, incident_id: &str) -> Result<Option<Listed<LogEntry>>, Error> {
        let doing = format!("asking PagerDuty for the log of the incident {incident_id:.64}");
        let path = ["incidents", checked(&doing, incident_id)?, "log_entries"];
        match self.list::<LogEntry>(&doing, &path, &[], "log_entries").await {
            Ok(mut listed) => {
                // PagerDuty lists the newest first; whichever way it does, entries of one second keep their order.
                let at = |entry: Option<&LogEntry>| entry.and_then(|entry| entry.at);
                if at(listed.entries.first()) >= at(listed.entries.last()) {
                    listed.entries.reverse();
                }
                // What has no time is taken for newest: it is nobody's beginning.
                listed.entries.sort_by_key(|entry| (entry.at.is_none(), entry.at));
                Ok(Some(listed))
            }
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
