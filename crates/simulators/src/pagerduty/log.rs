//! What happened to an incident: `/incidents/{id}/log_entries`, written by whatever changes it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::account::Account;
use super::call::{Answer, Call, Refusal};
use super::listings::{PAGING, page};
use super::shapes::time;
use super::things::{Agent, Logged};

/// What `is_overview=true` leaves out: the small steps.
const DETAILS: [&str; 2] = ["notify", "assign"];

/// `GET`: the newest first; lags behind writes. Refuses what PagerDuty doesn't describe.
pub(super) fn list(account: &mut Account, call: &Call<'_>) -> Answer {
    call.only(&[&PAGING[..], &["time_zone", "since", "until", "is_overview", "include[]"]].concat())?;
    let id = call.path[1];
    let time = |name: &str| match call.one(name).map(str::parse::<Timestamp>) {
        None => Ok(None),
        Some(Ok(time)) => Ok(Some(time)),
        Some(Err(_)) => Err(Refusal::input(format!("{name} is no time"))),
    };
    let (since, until) = (time("since")?, time("until")?);
    let overview = match call.one("is_overview") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Refusal::input("is_overview must be true or false")),
    };
    if call.all("include[]").any(|name| !["incidents", "services", "channels", "teams"].contains(&name)) {
        return Err(Refusal::input("include[] must be one of incidents, services, channels, teams"));
    }
    let channels = call.all("include[]").any(|name| name == "channels");
    let incident = account.incident(id).ok_or_else(Refusal::not_found)?.clone();
    let entry = account.entry(id).ok_or_else(Refusal::not_found)?;
    let listed = account.listed().max(incident.created_at);
    let mut log: Vec<&Logged> = entry
        .log
        .iter()
        .filter(|logged| logged.at <= listed)
        .filter(|logged| since.is_none_or(|since| since <= logged.at) && until.is_none_or(|until| logged.at <= until))
        .filter(|logged| !overview || !DETAILS.contains(&logged.kind))
        .collect();
    log.sort_by_key(|logged| logged.at);
    log.reverse();
    page(call, "log_entries", &log, |logged| {
        account.log_entry_json(&incident.id, &incident.service_id, logged, channels)
    })
}

impl Account {
    /// Adds to the log of an incident, even of one that is still on its way.
    pub(super) fn log(&mut self, id: &str, kind: &'static str, at: Timestamp, agent: Agent, more: More<'_>) {
        // Ids of their own, so that those of incidents and notes stay what tests know them by.
        self.logged += 1;
        let summary = format!("{} by {}", more.what, self.agent_name(id, &agent));
        let logged = Logged {
            id: format!("RSIM{:010}", self.logged),
            kind,
            at,
            agent,
            channel: more.channel,
            summary,
            note: more.note.map(str::to_owned),
            users: more.users.to_vec(),
        };
        for entry in self.entries.iter_mut().rev() {
            if entry.incident.newest().is_some_and(|incident| incident.id == id) {
                entry.log.push(logged);
                return;
            }
        }
    }

    /// An incident was opened: it is triggered, and whoever is on call is assigned and notified.
    pub(super) fn log_opening(&mut self, id: &str, at: Timestamp, agent: Agent, assignees: &[String]) {
        let channel = match agent {
            Agent::User(_) => "website",
            Agent::Service => "auto",
            Agent::Integration => "api",
        };
        self.log(id, "trigger", at, agent, More::new("Triggered", channel));
        if !assignees.is_empty() {
            self.log(id, "assign", at, Agent::Service, More::new("Assigned", "auto").to(assignees));
            self.log(id, "notify", at, Agent::Service, More::new("Notified", "auto").to(assignees));
        }
    }

    fn agent_name(&self, incident_id: &str, agent: &Agent) -> String {
        let name = match agent {
            Agent::User(id) => self.users.iter().find(|user| user.id == *id).map(|user| user.name.clone()),
            Agent::Service => {
                let mut newest = self.entries.iter().rev().filter_map(|entry| entry.incident.at(Timestamp::MAX));
                newest
                    .find(|incident| incident.id == incident_id)
                    .and_then(|i| self.service(&i.service_id))
                    .map(|service| service.name.clone())
            }
            Agent::Integration => Some("Events API".to_owned()),
        };
        name.unwrap_or_default()
    }

    /// One of `log_entries`.
    fn log_entry_json(&self, incident_id: &str, service_id: &str, logged: &Logged, channels: bool) -> Value {
        let agent = match &logged.agent {
            Agent::User(id) => self.user_reference(id),
            Agent::Service => self.service_reference(service_id),
            Agent::Integration => self.integration_reference(service_id),
        };
        let users: Vec<Value> = logged.users.iter().map(|user| self.user_reference(user)).collect();
        let mut channel = json!({"type": logged.channel});
        if channels {
            channel["summary"] = json!(logged.note.as_deref().unwrap_or(&logged.summary));
        }
        let mut shown = Map::from_iter([
            ("id".to_owned(), json!(logged.id)),
            ("type".to_owned(), json!(format!("{}_log_entry", logged.kind))),
            ("summary".to_owned(), json!(logged.summary)),
            ("self".to_owned(), json!(format!("{}/log_entries/{}?incident_id={incident_id}", self.api, logged.id))),
            ("html_url".to_owned(), json!(format!("{}/log_entries/{}", self.incident_url(incident_id), logged.id))),
            ("created_at".to_owned(), json!(time(logged.at))),
            ("agent".to_owned(), agent),
            ("channel".to_owned(), channel),
            ("service".to_owned(), self.service_reference(service_id)),
            ("incident".to_owned(), self.incident_reference(incident_id)),
            ("teams".to_owned(), json!([])),
            ("contexts".to_owned(), json!([])),
        ]);
        if let Some(note) = &logged.note {
            shown.insert("note".to_owned(), json!(note));
        }
        match (logged.kind, users.first()) {
            ("trigger", _) => {
                let description = self.incident(incident_id).map(|i| i.title.clone());
                shown.insert("event_details".to_owned(), json!({"description": description}));
            }
            ("assign" | "escalate", _) => drop(shown.insert("assignees".to_owned(), json!(users))),
            ("notify", Some(user)) => drop(shown.insert("user".to_owned(), user.clone())),
            _ => {}
        }
        Value::Object(shown)
    }
}

/// What an entry says beside its kind.
pub(super) struct More<'a> {
    what: &'a str,
    channel: &'static str,
    note: Option<&'a str>,
    users: &'a [String],
}

impl<'a> More<'a> {
    pub(super) fn new(what: &'a str, channel: &'static str) -> Self {
        Self { what, channel, note: None, users: &[] }
    }

    /// With these words of a person.
    pub(super) fn saying(self, note: &'a str) -> Self {
        Self { note: Some(note), ..self }
    }

    /// To these users.
    pub(super) fn to(self, users: &'a [String]) -> Self {
        Self { users, ..self }
    }
}
