//! What happened to an alert, in order: PagerDuty's log entries of it and of its page, and beside them what the service read,
//! decided and did. The same record gives the same bytes each time.
//!
//! [`Timeline::of`] puts it together, [`text`] writes it as Markdown and CSV, [`seen`] says what was read in words.

pub mod seen;
pub mod text;

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::alert::Region;
use crate::diagnosis::Class;
pub use crate::record::Source;

/// What the service's own entries may be. All else that it heard or did has a log entry in PagerDuty, and isn't said again.
pub const OWN: [&str; 8] = ["reading", "checks", "client", "verdict", "held", "edit", "command", "notified"];

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Entry {
    /// When, in whole seconds.
    pub at: Timestamp,
    /// Where it is from.
    pub source: Source,
    /// What it is: one of [`OWN`]; of PagerDuty the type of its log entry without `_log_entry`.
    pub kind: String,
    /// In words.
    pub text: String,
    /// Who did it; null where nobody is named, or for the service itself.
    pub who: Option<String>,
    /// Where it can be looked at.
    pub url: Option<String>,
}

/// The times that people ask for first, in whole seconds; null where it did not happen, or is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Summary {
    /// When the alert was first triggered, under whichever of its names.
    pub triggered_at: Option<Timestamp>,
    /// When its first diagnosis note was written.
    pub noted_at: Option<Timestamp>,
    /// When the Service Endpoint team was paged, or a page of theirs joined.
    pub paged_at: Option<Timestamp>,
    /// When somebody first acknowledged that page; where nobody was paged, the alert.
    pub acknowledged_at: Option<Timestamp>,
    /// When the alert was resolved; null while it is open, or open again.
    pub resolved_at: Option<Timestamp>,
}

/// What happened to an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Timeline {
    /// The incident's id, of several that were merged the one that is left.
    #[schema(examples("Q1ZHNABGAD5AP2"))]
    pub alert: String,
    /// The region; null where it is no longer known.
    pub region: Option<Region>,
    /// The worst class of its runs; null without a diagnosis.
    pub class: Option<Class>,
    /// Whether all that PagerDuty knows is in it.
    pub complete: bool,
    /// What is not, and why.
    pub missing: Vec<String>,
    /// The times that people ask for first.
    pub summary: Summary,
    /// By time, then source, then text.
    pub entries: Vec<Entry>,
}

/// What the service itself knows of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The incident's id now.
    pub alert: String,
    /// The region, where it is known.
    pub region: Option<Region>,
    /// The worst class of its runs.
    pub class: Option<Class>,
    /// As far as the service knows these times itself.
    pub summary: Summary,
    /// What it read, decided and did. What is none of [`OWN`] is left out.
    pub entries: Vec<Entry>,
}

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The alert's own.
    Alert,
    /// That of an incident which was merged into it.
    Merged,
    /// That of its page.
    Page,
}

/// One entry of PagerDuty's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its id.
    pub id: String,
    /// Its type, such as `trigger_log_entry`.
    pub kind: String,
    /// When.
    pub at: Timestamp,
    /// In words.
    pub summary: String,
    /// Its agent's name.
    pub who: Option<String>,
    /// Where it can be looked at.
    pub url: Option<String>,
}

impl LogEntry {
    /// Its type without what all types end in.
    fn kind(&self) -> &str {
        self.kind.strip_suffix("_log_entry").unwrap_or(&self.kind)
    }
}

/// PagerDuty's log of an incident, or why it could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The incident.
    pub incident_id: String,
    /// Whose it is.
    pub of: Of,
    /// Its entries; in words why PagerDuty could not be asked.
    pub entries: Result<Vec<LogEntry>, String>,
    /// How many of its entries could not be read.
    pub left_out: usize,
}

impl Timeline {
    /// Puts together what the service knows and what PagerDuty's logs say.
    pub fn of(record: Record, logs: &[Log]) -> Self {
        let missing: Vec<String> = logs.iter().filter_map(missing).collect();
        let summary = summary(&record.summary, logs);
        // Whatever list an entry stands in: it is one.
        let mut known = HashSet::new();
        let there = logs.iter().flat_map(|log| log.entries.iter().flatten());
        let there = there.filter(|entry| entry.id.is_empty() || known.insert(entry.id.as_str())).map(|entry| Entry {
            at: entry.at,
            source: Source::Pagerduty,
            kind: entry.kind().to_owned(),
            text: entry.summary.clone(),
            who: entry.who.clone(),
            url: entry.url.clone(),
        });
        let own = record.entries.into_iter().filter(|entry| OWN.contains(&entry.kind.as_str()));
        let mut entries: Vec<Entry> = own.chain(there).map(|entry| Entry { at: whole(entry.at), ..entry }).collect();
        // What is equal so far goes by the rest, so that it is the same order each time.
        let rest = |entry: &Entry| (entry.kind.clone(), entry.who.clone(), entry.url.clone());
        entries.sort_by(|a, b| {
            (a.at, a.source.as_str(), &a.text)
                .cmp(&(b.at, b.source.as_str(), &b.text))
                .then_with(|| rest(a).cmp(&rest(b)))
        });
        Self {
            alert: record.alert,
            region: record.region,
            class: record.class,
            complete: missing.is_empty(),
            missing,
            summary,
            entries,
        }
    }
}

/// What is missing of a log.
fn missing(log: &Log) -> Option<String> {
    let whose = match log.of {
        Of::Alert => "the alert",
        Of::Merged => "an incident that was merged into the alert",
        Of::Page => "the page",
    };
    match (&log.entries, log.left_out) {
        (Err(why), _) => Some(format!("PagerDuty's log of {} ({whose}): {why}", log.incident_id)),
        (Ok(_), 0) => None,
        (Ok(_), left_out) => {
            let count = if left_out == 1 { "1 entry".to_owned() } else { format!("{left_out} entries") };
            Some(format!("{count} of PagerDuty's log of {} ({whose}): can't be read", log.incident_id))
        }
    }
}

/// What PagerDuty's logs say of these times, else what the service knows. PagerDuty dates what happens there.
fn summary(own: &Summary, logs: &[Log]) -> Summary {
    let of = |wanted: &[Of], kinds: &[&str]| -> Vec<Timestamp> {
        let logs = logs.iter().filter(|log| wanted.contains(&log.of));
        let entries = logs.flat_map(|log| log.entries.iter().flatten());
        entries.filter(|entry| kinds.contains(&entry.kind())).map(|entry| entry.at).collect()
    };
    let first = |times: Vec<Timestamp>| times.into_iter().min();
    let last = |times: Vec<Timestamp>| times.into_iter().max();
    let has_page = logs.iter().any(|log| log.of == Of::Page);
    let acknowledged = first(of(if has_page { &[Of::Page] } else { &[Of::Alert] }, &["acknowledge"]));
    let begun_again = last(of(&[Of::Alert], &["trigger", "reopen", "unresolve"]));
    let resolved = match last(of(&[Of::Alert], &["resolve"])) {
        Some(resolved) => Some(resolved).filter(|resolved| begun_again.is_none_or(|again| again <= *resolved)),
        None => own.resolved_at,
    };
    Summary {
        triggered_at: first(of(&[Of::Alert, Of::Merged], &["trigger"])).or(own.triggered_at).map(whole),
        noted_at: own.noted_at.map(whole),
        paged_at: own.paged_at.or_else(|| first(of(&[Of::Page], &["trigger"]))).map(whole),
        acknowledged_at: acknowledged.or(own.acknowledged_at).map(whole),
        resolved_at: resolved.map(whole),
    }
}

/// The second that a time is in.
fn whole(at: Timestamp) -> Timestamp {
    // Before 1970 a second begins below, not above.
    let second = at.as_millisecond().div_euclid(1000);
    Timestamp::from_second(second).unwrap_or(at)
}

#[cfg(test)]
mod tests;
