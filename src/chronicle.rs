//! Tells what happened to an alert, afterwards. PagerDuty is asked for its log each time; where it can't be, what the service
//! itself knows is told, and what is missing.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;

use crate::config::Config;
use outbound::clock::Clock;
use outbound::retry::by_deadline;
use pagerduty::PagerDuty;
use runbook::diagnosis::Class;
use runbook::event::is_id;
use runbook::record::Source;
use runbook::span::after;
use runbook::timeline::{Entry, Log, LogEntry, Of, Record, Summary, Timeline, seen};
use store::{AlertRecord, OwnedSight, Store, StoreError};

/// How long PagerDuty may take for one log.
const LOG_WITHIN: Duration = Duration::from_secs(15);
/// Logs that are asked for at a time, and in all: an alert has few names and pages.
const AT_ONCE: usize = 4;
const MOST_LOGS: usize = 200;

/// The upstreams to ask.
#[derive(Clone, Copy, Debug)]
pub struct Chronicle<'a> {
    /// The settings.
    pub config: &'a Config,
    /// What the service knows.
    pub store: &'a Store,
    /// PagerDuty's log.
    pub pagerduty: &'a PagerDuty,
    /// The clock that the store goes by.
    pub clock: &'a Clock,
}

impl Chronicle<'_> {
    /// What happened to the alert with this name; `None`: no such alert is known.
    ///
    /// # Errors
    /// The database. That PagerDuty can't be asked is none: the timeline says so.
    pub async fn timeline(&self, name: &str) -> Result<Option<Timeline>, StoreError> {
        if !is_id(name) {
            return Ok(None);
        }
        let Some(known) = self.store.in_time(self.store.record_of(name)).await? else { return Ok(None) };
        let mut wanted: Vec<(String, Of)> = vec![(known.incident_id.clone(), Of::Alert)];
        let more =
            known.names.iter().map(|name| (name, Of::Merged)).chain(known.pages.iter().map(|page| (page, Of::Page)));
        for (id, of) in more {
            if !wanted.iter().any(|(known, _)| known == id) {
                wanted.push((id.clone(), of));
            }
        }
        let logs = stream::iter(wanted.into_iter().enumerate()).map(|(n, (id, of))| self.log(id, of, n < MOST_LOGS));
        let logs: Vec<Log> = logs.buffered(AT_ONCE).collect().await;
        let summary = self.times(&known).await?;
        Ok(Some(Timeline::of(self.record(known, summary), &logs)))
    }

    /// PagerDuty's log of an incident.
    async fn log(&self, incident_id: String, of: Of, asks: bool) -> Log {
        if !asks {
            let entries = Err(format!("not asked: it has more than {MOST_LOGS} names and pages"));
            return Log { incident_id, of, entries, left_out: 0 };
        }
        let deadline = after(self.clock.now(), LOG_WITHIN);
        let asked = self.pagerduty.log_entries(&incident_id);
        match by_deadline(self.clock, deadline, "asking PagerDuty for the log of an incident", asked).await {
            Ok(Some(listed)) => {
                let mut left_out = listed.left_out.len();
                let mut entries = Vec::new();
                for entry in listed.entries {
                    match entry.at {
                        Some(at) => entries.push(LogEntry {
                            id: entry.id,
                            kind: entry.kind,
                            at,
                            summary: entry.summary,
                            who: entry.agent.map(|agent| agent.name).filter(|name| !name.is_empty()),
                            url: Some(entry.html_url).filter(|url| !url.is_empty()),
                        }),
                        // Without a time it has no place.
                        None => left_out += 1,
                    }
                }
                Log { incident_id, of, entries: Ok(entries), left_out }
            }
            Ok(None) => {
                let why = "PagerDuty knows no such incident, or shows none to PAGERDUTY_API_TOKEN".to_owned();
                Log { incident_id, of, entries: Err(why), left_out: 0 }
            }
            Err(error) => Log { incident_id, of, entries: Err(error.to_string()), left_out: 0 },
        }
    }

    /// The times that the service knows itself, as people are shown them. Those of the alert itself are PagerDuty's.
    async fn times(&self, known: &AlertRecord) -> Result<Summary, StoreError> {
        let store = self.store;
        let alert = store.in_time(store.readable_alert(&known.incident_id)).await?;
        let page = store.in_time(store.page_of_alert(&known.incident_id)).await?;
        let noted_at = store.in_time(store.first_noted_at(&known.incident_id)).await?;
        let shown = |at: Timestamp| self.clock.shown(at);
        let page = page.filter(|page| page.page_id.is_some());
        Ok(Summary {
            triggered_at: alert.as_ref().and_then(|alert| alert.triggered_at),
            noted_at: noted_at.map(shown),
            paged_at: page.as_ref().and_then(|page| page.finished_at).or(known.paged_at).map(shown),
            acknowledged_at: page.and_then(|page| page.acknowledged).map(|(at, _)| shown(at)),
            resolved_at: alert.and_then(|alert| alert.resolved_at),
        })
    }

    /// What the service knows itself, as people are shown it.
    fn record(&self, known: AlertRecord, summary: Summary) -> Record {
        let region = known.region.and_then(|region| region.parse().ok());
        let expected = region.as_ref().map(|region| self.config.zones_of(region).names()).unwrap_or_default();
        let class = known.classes.iter().filter_map(|class| class.parse().ok());
        let class = class.max_by_key(|class| *class == Class::ProbablyCie);
        let entries = known.entries.into_iter().filter(|entry| !entry.kind.is_in_pagerduty()).map(|entry| Entry {
            at: entry.at,
            source: entry.source,
            kind: entry.kind.to_string(),
            text: entry.text,
            who: entry.who,
            url: entry.url,
        });
        let read = known.seen.into_iter().filter_map(|look| match look.sight {
            Ok(OwnedSight::Reading(reading)) => Some(seen::reading(region.as_ref(), &expected, &reading)),
            Ok(OwnedSight::Checks(checks)) => seen::checks(&checks),
            Ok(OwnedSight::Client(client)) => seen::client(look.at, &client),
            Err(error) => Some(Entry {
                at: look.at,
                source: Source::Service,
                kind: "reading".to_owned(),
                text: format!("What run {} read then can't be read back: {error}", look.run_id),
                who: None,
                url: None,
            }),
        });
        let entries = entries.chain(read).map(|entry| Entry { at: self.clock.shown(entry.at), ..entry }).collect();
        Record { alert: known.incident_id, region, class, summary, entries }
    }
}
