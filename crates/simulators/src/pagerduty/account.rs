//! The account: what it has, and what can be done to it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::faults::Planned;
use super::log::More;
use super::moving::{Change, Moving};
use super::things::{Agent, Entry, Incident, Note, Opening, State, Subscription, Versions};
use super::{Recorded, ServiceSetup, Setup, User};
use crate::spelling::Spelling;
use outbound::clock::Clock;
use runbook::span::after;

#[derive(Debug)]
pub(super) struct Account {
    pub(super) clock: Clock,
    pub(super) token: String,
    pub(super) web: String,
    pub(super) api: String,
    pub(super) users: Vec<User>,
    pub(super) services: Vec<ServiceSetup>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) lag: Duration,
    /// How much later the note that is written next, or the incident that is opened, shows, to everybody.
    pub(super) late: Duration,
    pub(super) latency: Duration,
    pub(super) event_delay: Duration,
    /// How many of the next events are taken, and come to nothing.
    pub(super) events_to_lose: u32,
    pub(super) events_limit: u32,
    /// Whether their incidents have no key of their own, only their alerts, as in some accounts.
    pub(super) keyless_events: bool,
    pub(super) events_window: (Timestamp, u32),
    pub(super) without_policy: Vec<String>,
    /// Services that share another's escalation policy: the service, and whose it has.
    pub(super) shared_policies: Vec<(String, String)>,
    /// Teams by service.
    pub(super) teams: Vec<(String, String)>,
    pub(super) skew: SignedDuration,
    pub(super) rate_limit: u32,
    pub(super) window: (Timestamp, u32),
    pub(super) entries: Vec<Entry>,
    pub(super) planned: Vec<Planned>,
    pub(super) moving: Moving,
    pub(super) spelling: Spelling,
    pub(super) recorded: Vec<Recorded>,
    pub(super) writes: usize,
    /// How much was logged of all incidents.
    pub(super) logged: u64,
    next: u64,
}

impl Account {
    pub(super) fn new(setup: Setup) -> Self {
        let now = setup.clock.now();
        Self {
            clock: setup.clock,
            token: setup.token,
            web: "https://sim.pagerduty.com".to_owned(),
            api: "https://api.pagerduty.com".to_owned(),
            users: setup.users,
            services: setup.services,
            subscriptions: Vec::new(),
            lag: setup.lag,
            late: Duration::ZERO,
            latency: Duration::ZERO,
            event_delay: setup.event_delay,
            events_to_lose: 0,
            events_limit: 120,
            keyless_events: false,
            events_window: (now, 0),
            without_policy: Vec::new(),
            shared_policies: Vec::new(),
            teams: Vec::new(),
            skew: SignedDuration::ZERO,
            rate_limit: setup.rate_limit,
            window: (now, 0),
            entries: Vec::new(),
            planned: Vec::new(),
            moving: Moving::default(),
            spelling: Spelling::default(),
            recorded: Vec::new(),
            writes: 0,
            logged: 0,
            next: 0,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The time that lists show: what was written since is not in them yet.
    pub(super) fn listed(&self) -> Timestamp {
        self.now().checked_sub(SignedDuration::try_from(self.lag).unwrap_or_default()).unwrap_or(Timestamp::MIN)
    }

    /// An id of PagerDuty's kind.
    pub(super) fn new_id(&mut self, kind: char) -> String {
        self.next += 1;
        format!("{kind}SIM{:010}", self.next)
    }

    pub(super) fn user_by_email(&self, email: &str) -> Option<&User> {
        self.users.iter().find(|u| u.email.eq_ignore_ascii_case(email))
    }

    pub(super) fn service(&self, id: &str) -> Option<&ServiceSetup> {
        self.services.iter().find(|s| s.id == id)
    }

    pub(super) fn entry(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.incident.at(self.now()).is_some_and(|i| i.id == id))
    }

    pub(super) fn entry_mut(&mut self, id: &str) -> Option<&mut Entry> {
        let now = self.now();
        self.entries.iter_mut().find(|e| e.incident.at(now).is_some_and(|i| i.id == id))
    }

    pub(super) fn incident(&self, id: &str) -> Option<&Incident> {
        self.entry(id)?.incident.at(self.now())
    }

    /// All incidents as they were at `time`.
    pub(super) fn incidents_at(&self, time: Timestamp) -> impl Iterator<Item = &Incident> {
        self.entries.iter().filter_map(move |e| e.incident.at(time))
    }

    /// Opens an incident that is seen from `since` on.
    pub(super) fn open(&mut self, opening: Opening, since: Timestamp, over_api: bool) -> Incident {
        let agent = match (&opening.by, over_api) {
            (None, true) => Agent::Integration,
            (by, _) => Agent::by(by.as_deref()),
        };
        let created_at = opening.created_at.unwrap_or(since);
        let incident = Incident {
            id: self.new_id('Q'),
            number: 1000 + self.entries.len() as u64,
            title: opening.title,
            state: State::Triggered,
            assignees: self.service(&opening.service_id).and_then(|s| s.on_call.clone()).into_iter().collect(),
            service_id: opening.service_id,
            incident_key: opening.incident_key,
            alert_keys: Vec::new(),
            urgency: opening.urgency,
            created_at,
            changed_at: created_at,
            changed_by: None,
            acknowledgements: Vec::new(),
            merged_into: None,
            body: opening.body,
            over_api,
        };
        // What the setup opens in the past has always been in the lists.
        let versions = Versions::new(since.min(created_at), incident.clone());
        self.entries.push(Entry { incident: versions, notes: Vec::new(), log: Vec::new(), late: false });
        self.log_opening(&incident.id, created_at, agent, &incident.assignees);
        incident
    }

    /// Changes an incident; nothing where there is none.
    pub(super) fn change(&mut self, id: &str, change: impl FnOnce(&mut Incident, Timestamp)) -> Option<Incident> {
        let now = self.now();
        let entry = self.entry_mut(id)?;
        let mut incident = entry.incident.at(now)?.clone();
        change(&mut incident, now);
        entry.incident.set(now, Some(incident.clone()));
        Some(incident)
    }

    /// Opens an incident; late, where that is planned: what was asked for earlier than another with its key is dropped
    /// when that one is open by then.
    pub(super) fn open_asked(&mut self, opening: Opening) -> Incident {
        let late = std::mem::take(&mut self.late);
        let (now, since) = (self.now(), after(self.now(), late));
        if late.is_zero() {
            let key = opening.incident_key.clone();
            self.entries.retain(|entry| {
                !entry.is_to_come(now) || entry.incident.at(Timestamp::MAX).is_none_or(|i| i.incident_key != key)
            });
        }
        let incident = self.open(opening, since, true);
        if let Some(entry) = self.entries.last_mut() {
            entry.late = !late.is_zero();
        }
        incident
    }

    /// Gives the newest version of an incident an alert with this key, though it may be still on its way.
    pub(super) fn name_alert(&mut self, id: &str, key: &str) {
        for entry in &mut self.entries {
            if let Some(incident) = entry.incident.newest()
                && incident.id == id
            {
                incident.alert_keys.push(key.to_owned());
            }
        }
    }

    pub(super) fn set_state(&mut self, id: &str, state: State, by: Option<&str>) -> Option<Incident> {
        let before = self.incident(id)?.state;
        let on_call = self.incident(id).and_then(|i| self.service(&i.service_id)).and_then(|s| s.on_call.clone());
        let changed = self.change(id, |incident, now| {
            incident.changed_at = now;
            incident.changed_by = by.map(str::to_owned);
            incident.acknowledgements.clear();
            match state {
                State::Resolved => incident.assignees.clear(),
                State::Acknowledged => incident.acknowledgements.extend(by.map(|by| (now, by.to_owned()))),
                State::Triggered if incident.assignees.is_empty() => incident.assignees.extend(on_call),
                State::Triggered => {}
            }
            if state != State::Resolved {
                incident.merged_into = None;
            }
            incident.state = state;
        })?;
        // PagerDuty has types that it does not describe: `reopen` is one.
        let (kind, what) = match (before, state) {
            (_, State::Resolved) => ("resolve", "Resolved"),
            (_, State::Acknowledged) => ("acknowledge", "Acknowledged"),
            (State::Resolved, State::Triggered) => ("reopen", "Reopened"),
            (_, State::Triggered) => ("unacknowledge", "Unacknowledged"),
        };
        let channel = if by.is_some() { "website" } else { "auto" };
        self.log(id, kind, changed.changed_at, Agent::by(by), More::new(what, channel));
        Some(changed)
    }

    /// Gives an incident to other users.
    pub(super) fn assign(&mut self, id: &str, kind: &'static str, to: &[String], by: Option<&str>) {
        let Some(changed) = self.change(id, |incident, _| incident.assignees = to.to_vec()) else { return };
        let (what, channel) = if kind == "escalate" { ("Escalated", "timeout") } else { ("Reassigned", "website") };
        let now = self.now();
        self.log(&changed.id, kind, now, Agent::by(by), More::new(what, channel).to(to));
        if !to.is_empty() {
            self.log(&changed.id, "notify", now, Agent::Service, More::new("Notified", "auto").to(to));
        }
    }

    pub(super) fn merge(&mut self, from: &str, into: &str, by: Option<&str>) -> Option<Incident> {
        self.set_state(from, State::Resolved, by)?;
        let (now, what) = (self.now(), format!("Merged from {from}"));
        self.log(into, "merge", now, Agent::by(by), More::new(&what, "website"));
        self.change(from, |incident, _| incident.merged_into = Some(into.to_owned()))
    }

    /// The notes of an incident as they were at `time`, oldest first.
    pub(super) fn notes_at(&self, id: &str, time: Timestamp) -> Option<Vec<Note>> {
        let mut notes: Vec<Note> = self.entry(id)?.notes.iter().filter_map(|n| n.at(time).cloned()).collect();
        // One that was applied late was sent earlier than others.
        notes.sort_by_key(|note| note.created_at);
        Some(notes)
    }

    pub(super) fn add_note(&mut self, id: &str, user_id: &str, content: &str) -> Option<Note> {
        let now = after(self.now(), std::mem::take(&mut self.late));
        let note_id = self.new_id('P');
        let note = Note {
            id: note_id,
            content: content.to_owned(),
            user_id: user_id.to_owned(),
            created_at: now,
            updated_at: now,
        };
        self.entry_mut(id)?.notes.push(Versions::new(now, note.clone()));
        let more = More::new("Note added", "note").saying(content);
        self.log(id, "annotate", now, Agent::User(user_id.to_owned()), more);
        Some(note)
    }

    /// Changes a note, or deletes it where `content` is `None`.
    pub(super) fn set_note(&mut self, id: &str, note_id: &str, content: Option<&str>) -> Option<Note> {
        let now = self.now();
        let notes = &mut self.entry_mut(id)?.notes;
        let versions = notes.iter_mut().find(|n| n.at(now).is_some_and(|n| n.id == note_id))?;
        let mut note = versions.at(now)?.clone();
        note.updated_at = now;
        note.content = content.unwrap_or_default().to_owned();
        versions.set(now, content.map(|_| note.clone()));
        Some(note)
    }

    /// Counts a request against the minute's limit: the limit, what is left, and the seconds until it is whole again.
    pub(super) fn count(&mut self) -> (bool, [u64; 3]) {
        let now = self.now();
        let end = after(self.window.0, Duration::from_secs(60));
        if now >= end {
            self.window = (now, 0);
        }
        let left = self.rate_limit.saturating_sub(self.window.1);
        self.window.1 = self.window.1.saturating_add(1);
        let reset = runbook::span::between(now, after(self.window.0, Duration::from_secs(60))).as_secs().max(1);
        (left > 0, [u64::from(self.rate_limit), u64::from(left.saturating_sub(1)), reset])
    }

    /// Incidents were listed, or a page of them: what was to happen then happens.
    pub(super) fn moves_on(&mut self) {
        for change in self.moving.listed() {
            match change {
                Change::Resolve(id) => drop(self.set_state(&id, State::Resolved, None)),
                Change::Reopen(id) => drop(self.set_state(&id, State::Triggered, None)),
                Change::Open(opening) => {
                    let now = self.now();
                    self.open(opening, now, false);
                }
            }
        }
    }
}
