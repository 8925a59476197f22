//! What PagerDuty knows of the time: alerts, pages that may have explained them, and what people opened on the escalation
//! service.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::journal::{Entry, Journal};
use crate::config::BacktestConfig;
use crate::run::steps::find_related::{is_on_escalation_service, is_ours};
use outbound::clock::Clock;
use outbound::error::{Error, Kind};
use pagerduty::{AgentKind, Incident, LogEntry, PagerDuty, Status, Urgency, windows};
use runbook::alert::{KEY_PREFIX, Title, is_region_named, parse_title};
use runbook::backtest::Alert;
use runbook::span::{after, before};

/// "At most 200 PagerDuty requests a minute": whatever else uses the key has the rest.
const A_MINUTE: usize = 190;
/// Pages may have been open that opened so long before the first alert.
const LEAD: Duration = Duration::from_secs(7 * 86_400);
/// What opened after the last alert may be about it, for so long.
const TAIL: Duration = Duration::from_secs(86_400);
/// PagerDuty was founded in 2009.
const FIRST: Timestamp = Timestamp::constant(1_230_768_000, 0);
/// How often an incident that was merged is followed to where it went.
const MERGES: usize = 10;
/// How often PagerDuty is asked again where it has no time for it.
const TRIES: usize = 20;
/// How long is waited before that where PagerDuty does not say.
const WAIT: Duration = Duration::from_secs(60);
/// The longest wait before that.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// All that is known of the time.
#[derive(Debug)]
pub(super) struct Past {
    /// The alerts, oldest first.
    pub(super) alerts: Vec<Alert>,
    /// Every incident that matters, alerts included, by number.
    pub(super) incidents: Vec<Incident>,
    /// Of those that were opened on the escalation service for an alert: whether a person did so.
    pub(super) by_a_person: HashMap<String, bool>,
    /// How many incidents can't be read.
    pub(super) unreadable: usize,
}

/// When an incident ended; `None`: it is open.
pub(super) fn ended_at(incident: &Incident) -> Option<Timestamp> {
    incident.last_status_change_at.filter(|_| !incident.is_open())
}

impl Past {
    /// Asks PagerDuty for what the journal lacks.
    pub(super) async fn read(
        config: &BacktestConfig,
        journal: &mut Journal,
        (since, until): (Timestamp, Timestamp),
        at: Timestamp,
        clock: &Clock,
        watch: &impl Fn(&str),
    ) -> anyhow::Result<Self> {
        let pagerduty = PagerDuty::new(config.pagerduty.clone(), clock.clone())?.at_most(A_MINUTE);
        let asker = Asker { pagerduty, clock, watch };
        asker.read_windows(config, journal, (before(since, LEAD).max(FIRST), after(until, TAIL).min(at))).await?;
        let mut incidents: HashMap<String, Incident> = HashMap::new();
        let mut unreadable = 0;
        for entry in journal.entries() {
            if let Entry::Window { incidents: shown, unreadable: more, .. } = entry {
                unreadable += more;
                for incident in shown {
                    let incident = incident_of(incident)?;
                    incidents.entry(incident.id.clone()).or_insert(incident);
                }
            }
        }
        let mut alerts = Vec::new();
        for incident in incidents.values() {
            let Title::Alert(region) = parse_title(&incident.title) else { continue };
            let Some(created) = incident.created_at.filter(|at| since <= *at && *at <= until) else { continue };
            let its_service = incident.service.as_ref().map(|service| service.id.as_str()).unwrap_or_default();
            let handled = config.service_ids.is_empty() || config.service_ids.iter().any(|id| id == its_service);
            if handled && !is_ours(incident, &config.escalation) {
                alerts.push((incident.clone(), region, created));
            }
        }
        alerts.sort_by(|a, b| (a.2, &a.0.id).cmp(&(b.2, &b.0.id)));
        let mut found = Vec::new();
        for (incident, region, created) in alerts {
            let ended_at = asker.life_of(journal, &incidents, &incident).await?;
            let (incident_id, title) = (incident.id, incident.title);
            found.push(Alert { incident_id, title, region, at: created, ended_at });
        }
        let mut incidents: Vec<Incident> = incidents.into_values().collect();
        incidents.sort_by(|a, b| (a.number, &a.id).cmp(&(b.number, &b.id)));
        let mut past = Self { alerts: found, incidents, by_a_person: HashMap::new(), unreadable };
        asker.ask_for_openers(config, journal, &past).await?;
        for entry in journal.entries() {
            if let Entry::Opener { id, by_a_person } = entry {
                past.by_a_person.insert(id.clone(), *by_a_person);
            }
        }
        Ok(past)
    }

    /// Incidents that somebody opened on the escalation service for an alert while it was open, oldest first: they name its
    /// region, and have no key of ours.
    pub(super) fn opened_for<'a>(
        &'a self,
        config: &'a BacktestConfig,
        alert: &'a Alert,
    ) -> impl Iterator<Item = (&'a Incident, Timestamp)> {
        let zones = config.regions.zones_of(&alert.region).names();
        let is_anothers = |name: &str| config.regions.is_anothers(&alert.region, name);
        let mut opened: Vec<_> = self
            .incidents
            .iter()
            .filter(|i| is_on_escalation_service(i, &config.escalation))
            .filter(|i| !i.incident_key.as_ref().is_some_and(|key| key.starts_with(KEY_PREFIX)))
            .filter_map(|i| Some((i, i.created_at?)))
            .filter(|(_, at)| alert.was_open(*at))
            .filter(|(i, _)| is_region_named(&i.title, &alert.region, &zones, is_anothers))
            .collect();
        opened.sort_by_key(|(i, at)| (*at, i.number));
        opened.into_iter()
    }
}

/// Asks PagerDuty, and keeps what it says.
struct Asker<'a, W> {
    pagerduty: PagerDuty,
    clock: &'a Clock,
    watch: &'a W,
}

impl<W: Fn(&str)> Asker<'_, W> {
    async fn read_windows(
        &self,
        config: &BacktestConfig,
        journal: &mut Journal,
        (since, until): (Timestamp, Timestamp),
    ) -> anyhow::Result<()> {
        let all = windows(since, until);
        for (n, (since, until)) in all.iter().copied().enumerate() {
            let is_it = |e: &Entry| matches!(e, Entry::Window { since: s, until: u, .. } if (*s, *u) == (since, until));
            if journal.entries().iter().any(is_it) {
                continue;
            }
            (self.watch)(&format!("PagerDuty: incidents from {} ({} of {})", day(since), n + 1, all.len()));
            let listed = self
                .ask(async || self.pagerduty.incidents_between((since, until), &[], |i| matters(i, config)).await)
                .await?;
            let incidents = listed.entries.iter().map(shape).collect();
            journal.keep(Entry::Window { since, until, incidents, unreadable: listed.left_out.len() })?;
        }
        Ok(())
    }

    /// When an alert ended. One that was merged goes on as another incident.
    async fn life_of(
        &self,
        journal: &mut Journal,
        known: &HashMap<String, Incident>,
        alert: &Incident,
    ) -> anyhow::Result<Option<Timestamp>> {
        let mut now = alert.clone();
        for _ in 0..MERGES {
            let Some(into) = now.merged_into.clone().filter(|_| !now.is_open()) else { break };
            let survivor = match known.get(&into) {
                Some(survivor) => Some(survivor.clone()),
                None => self.incident(journal, &into).await?,
            };
            match survivor {
                Some(survivor) if survivor.id != alert.id => now = survivor,
                _ => break,
            }
        }
        // What was merged into one that had ended before has ended with its own end.
        Ok(match (ended_at(alert), ended_at(&now)) {
            (Some(own), Some(last)) => Some(own.max(last)),
            (_, last) => last,
        })
    }

    async fn incident(&self, journal: &mut Journal, id: &str) -> anyhow::Result<Option<Incident>> {
        for entry in journal.entries() {
            match entry {
                Entry::Incident { id: of, incident } if of == id => {
                    return incident.as_ref().map(incident_of).transpose();
                }
                _ => {}
            }
        }
        (self.watch)(&format!("PagerDuty: the incident {id}"));
        let found = self.ask(async || self.pagerduty.incident(id).await).await?;
        journal.keep(Entry::Incident { id: id.to_owned(), incident: found.as_ref().map(shape) })?;
        Ok(found)
    }

    /// "By its first log entry's agent": who opened what is on the escalation service.
    async fn ask_for_openers(&self, config: &BacktestConfig, journal: &mut Journal, past: &Past) -> anyhow::Result<()> {
        let mut asked: HashSet<String> = journal
            .entries()
            .iter()
            .filter_map(|entry| match entry {
                Entry::Opener { id, .. } => Some(id.clone()),
                _ => None,
            })
            .collect();
        for alert in &past.alerts {
            for (incident, _) in past.opened_for(config, alert) {
                if !asked.insert(incident.id.clone()) {
                    continue;
                }
                (self.watch)(&format!("PagerDuty: who opened {}", incident.id));
                let log = self.ask(async || self.pagerduty.log_entries(&incident.id).await).await?;
                let by_a_person = log.is_some_and(|log| is_by_a_person(&log));
                journal.keep(Entry::Opener { id: incident.id.clone(), by_a_person })?;
            }
        }
        Ok(())
    }

    /// Asks again for as long as PagerDuty only has no time: the rate limit is used up. Whatever else may pass the client has
    /// waited for.
    async fn ask<T>(&self, question: impl AsyncFn() -> Result<T, Error>) -> anyhow::Result<T> {
        for _ in 0..TRIES {
            match question().await {
                Err(Error { kind: Kind::Later(wait), got, .. }) if wait.is_some() || got.starts_with("429") => {
                    let wait = wait.unwrap_or(WAIT).min(LONGEST_WAIT);
                    (self.watch)("PagerDuty's rate limit is reached: waiting");
                    self.clock.sleep(wait).await;
                }
                answer => return answer.context(GOES_ON),
            }
        }
        question().await.context(GOES_ON)
    }
}

/// What to do about an upstream that does not answer.
pub(super) const GOES_ON: &str =
    "the backtest stops here, and goes on when it is started again with the same arguments";

/// Whether the first entry of a log is a person's. An incident is triggered, assigned and notified of within one second.
fn is_by_a_person(log: &[LogEntry]) -> bool {
    let oldest = log.iter().filter_map(|entry| entry.at).min();
    let mut first = log.iter().filter(|entry| entry.at == oldest);
    let first = first.clone().find(|entry| entry.kind == "trigger").or_else(|| first.next());
    first.and_then(|entry| entry.agent.as_ref()).is_some_and(|agent| agent.kind == AgentKind::User)
}

/// What the replay asks of: alerts, pages that may explain them, and whatever is on the escalation service.
fn matters(incident: &Incident, config: &BacktestConfig) -> bool {
    parse_title(&incident.title) != Title::Other || is_on_escalation_service(incident, &config.escalation)
}

/// What is kept of an incident, as PagerDuty would show it, so that it is read back by the same reader.
fn shape(incident: &Incident) -> Value {
    let reason =
        incident.merged_into.as_ref().map(|id| json!({"type": "merge_resolve_reason", "incident": {"id": id}}));
    json!({
        "id": incident.id,
        "incident_number": incident.number,
        "title": incident.title,
        "html_url": incident.html_url,
        "status": match incident.status {
            Status::Triggered => "triggered",
            Status::Acknowledged => "acknowledged",
            Status::Resolved => "resolved",
            Status::Other => "",
        },
        "urgency": match incident.urgency {
            Urgency::High => "high",
            Urgency::Low => "low",
            Urgency::Other => "",
        },
        "created_at": incident.created_at,
        "last_status_change_at": incident.last_status_change_at,
        "service": incident.service.as_ref().map(|service| json!({"id": service.id, "summary": service.name})),
        "incident_key": incident.incident_key,
        "resolve_reason": reason,
    })
}

fn incident_of(shown: &Value) -> anyhow::Result<Incident> {
    serde_json::from_value(shown.clone()).context("reading an incident of the state: remove the file and begin again")
}

fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pagerduty::Agent;

    #[test]
    fn who_opened_an_incident_is_told_by_its_first_entry() {
        let entry = |kind: &str, second: Option<i64>, by: AgentKind| LogEntry {
            id: "R1".into(),
            kind: kind.into(),
            at: second.and_then(|second| Timestamp::from_second(second).ok()),
            summary: String::new(),
            agent: Some(Agent { kind: by, id: String::new(), name: String::new() }),
            channel: String::new(),
            html_url: String::new(),
        };
        let (user, service) = (AgentKind::User, AgentKind::Service);
        let by_hand = [entry("trigger", Some(1), user), entry("notify", Some(1), service)];
        assert!(is_by_a_person(&by_hand));
        // Whatever is of the same second, in whichever order.
        assert!(is_by_a_person(&[by_hand[1].clone(), by_hand[0].clone()]));
        assert!(!is_by_a_person(&[entry("trigger", Some(1), service), entry("acknowledge", Some(2), user)]));
        assert!(!is_by_a_person(&[entry("trigger", Some(1), AgentKind::Integration), entry("annotate", None, user)]));
        assert!(!is_by_a_person(&[entry("trigger", Some(1), AgentKind::Other)]) && !is_by_a_person(&[]));
        let nobody = LogEntry { agent: None, ..entry("trigger", Some(1), user) };
        assert!(!is_by_a_person(&[nobody]));
    }
}
