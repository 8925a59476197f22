//! The report: a line an alert, sums, and whether it is good enough for `ESCALATION_MODE=auto`.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Judgement, Outcome, Truth};
use crate::alert::Region;
use crate::diagnosis::{Rule, VerdictKind};
use crate::span::{between, show_duration};
use crate::text::clean;

/// A report older than this says nothing of today.
const MAX_AGE: Duration = Duration::from_secs(180 * 86_400);
/// A report over fewer alerts says little.
const LEAST_ALERTS: usize = 10;
/// How much of a reason is shown in one line.
const MAX_REASON: usize = 600;

/// What `backtest --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When it was begun.
    pub at: Timestamp,
    /// Alerts that were triggered from then on.
    pub since: Timestamp,
    /// Alerts that were triggered until then.
    pub until: Timestamp,
    /// Every one of them, oldest first.
    pub alerts: Vec<Line>,
    /// What they come to.
    pub sums: Sums,
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its incident.
    pub incident_id: String,
    /// When it was triggered.
    pub at: Timestamp,
    /// Its region.
    pub region: Region,
    /// What the evidence comes to; `None` without evidence.
    pub verdict: Option<ShortVerdict>,
    /// What `auto` would have done.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// What was really the matter.
    pub truth: Truth,
    /// Whether the outcome was right.
    pub judgement: Judgement,
}

/// A verdict without its sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortVerdict {
    /// What the runbook concludes.
    pub kind: VerdictKind,
    /// By which rule.
    pub rule: Rule,
}

/// What all alerts come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// How many there are.
    pub alerts: usize,
    /// How many were right.
    pub right: usize,
    /// How many pages would have woken the wrong people.
    pub wrong_pages: usize,
    /// How many pages would have been missed.
    pub missed_pages: usize,
    /// How many say nothing.
    pub unknown: usize,
    /// Over right pages that a person opened too: how many minutes earlier they would have come, in all.
    pub minutes_earlier: i64,
}

impl Report {
    /// The report of these alerts. `minutes_earlier` has an entry for each right page that a person opened too.
    pub fn of(
        at: Timestamp,
        (since, until): (Timestamp, Timestamp),
        alerts: Vec<Line>,
        minutes_earlier: impl IntoIterator<Item = i64>,
    ) -> Self {
        let count = |judgement| alerts.iter().filter(|line| line.judgement == judgement).count();
        let sums = Sums {
            alerts: alerts.len(),
            right: count(Judgement::Right),
            wrong_pages: count(Judgement::WrongPage),
            missed_pages: count(Judgement::MissedPage),
            unknown: count(Judgement::Unknown),
            minutes_earlier: minutes_earlier.into_iter().fold(0, i64::saturating_add),
        };
        Self { at, since, until, alerts, sums }
    }

    /// The report for people: one line an alert, then the sums, then what a reader must know beside them, a sentence each.
    pub fn text(&self, notes: &[String]) -> String {
        let mut text = String::new();
        for line in &self.alerts {
            let verdict = line.verdict.map_or_else(|| "no verdict".to_owned(), |v| format!("{} ({})", v.kind, v.rule));
            let reason = clean(&line.reason, MAX_REASON);
            let Line { at, region, outcome, truth, judgement, .. } = line;
            let _ = writeln!(text, "{at}  {region}  {verdict}  {outcome}: {reason}  truth: {truth}  {judgement}");
        }
        let Sums { alerts, right, wrong_pages, missed_pages, unknown, minutes_earlier } = self.sums;
        let _ = writeln!(text, "\nAlerts from {} to {}: {alerts}", self.since, self.until);
        let _ = writeln!(text, "  right         {right}");
        let _ = writeln!(text, "  wrong pages   {wrong_pages}");
        let _ = writeln!(text, "  missed pages  {missed_pages}");
        let _ = writeln!(text, "  unknown       {unknown}");
        let _ = writeln!(
            text,
            "minutes_earlier: {minutes_earlier}, over the right pages that a person opened too: from the last reading to the \
             person's page"
        );
        for note in notes {
            let _ = writeln!(text, "{note}");
        }
        text
    }
}

/// How much earlier a page would have come, in whole minutes toward zero: from the last reading to the person's page.
pub fn minutes_between(last_reading: Timestamp, persons_page: Timestamp) -> i64 {
    persons_page.duration_since(last_reading).as_secs() / 60
}

/// What is read of a report: it may have been written by another version.
#[derive(Deserialize)]
struct Read {
    at: Timestamp,
    alerts: Vec<ReadLine>,
    sums: ReadSums,
}

#[derive(Deserialize)]
struct ReadLine {
    judgement: String,
}

#[derive(Deserialize)]
struct ReadSums {
    wrong_pages: u64,
}

/// Whether what `backtest --json` printed is good enough for `auto`: no more than 180 days old, at least ten alerts, no
/// wrong page.
///
/// # Errors
/// Why not, in words.
pub fn earns_auto(report: &[u8], now: Timestamp) -> Result<(), String> {
    let read: Read = crate::json::read(report)
        .map_err(|e| format!("it is not what `backtest --json` prints ({})", clean(&e.to_string(), MAX_REASON)))?;
    let age = between(read.at, now);
    if age > MAX_AGE {
        return Err(format!("it is {} old, more than 180 days", show_duration(age)));
    }
    // A clock may be a little off; a report of next month is none.
    if between(now, read.at) > Duration::from_secs(86_400) {
        return Err(format!("its time, {}, has not come yet", read.at));
    }
    let told = read.alerts.iter().filter(|line| line.judgement == Judgement::WrongPage.as_str()).count();
    let wrong = read.sums.wrong_pages.max(u64::try_from(told).unwrap_or(u64::MAX));
    match (wrong, read.alerts.len()) {
        (0, alerts) if alerts >= LEAST_ALERTS => Ok(()),
        (0, 1) => Err("it is over 1 alert, at least ten are needed".to_owned()),
        (0, alerts) => Err(format!("it is over {alerts} alerts, at least ten are needed")),
        (1, _) => Err("it has a wrong page".to_owned()),
        (wrong, _) => Err(format!("it has {wrong} wrong pages")),
    }
}
