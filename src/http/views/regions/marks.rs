//! What an alert is in the picture: which region's, from when to when, and by what verdict. Pure.

use std::time::Duration;

use jiff::Timestamp;

use runbook::alert::Region;
use runbook::diagnosis::VerdictKind;
use runbook::run::Trigger;
use runbook::span::between;
use store::{PastAlert, PastRun};

/// What was found: the mark's shape and colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    ServiceEndpoint,
    Registry,
    Mixed,
    Transient,
    Inconclusive,
    /// Another page explained the alert until its end, or does now.
    Outage,
    /// Resolved before there was a diagnosis, not diagnosed yet, or given up.
    Undiagnosed,
}

impl Kind {
    /// In the order of the legend.
    pub(super) const ALL: [Self; 7] = [
        Self::ServiceEndpoint,
        Self::Registry,
        Self::Mixed,
        Self::Transient,
        Self::Inconclusive,
        Self::Outage,
        Self::Undiagnosed,
    ];

    /// The name of its shape and its colour in template and style sheet.
    pub(super) fn tone(self) -> &'static str {
        match self {
            Self::ServiceEndpoint => "se",
            Self::Registry => "registry",
            Self::Mixed => "mixed",
            Self::Transient => "transient",
            Self::Inconclusive => "inconclusive",
            Self::Outage => "outage",
            Self::Undiagnosed => "none",
        }
    }

    /// For people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::ServiceEndpoint => "Service Endpoint",
            Self::Registry => "Registry",
            Self::Mixed => "Mixed",
            Self::Transient => "Transient",
            Self::Inconclusive => "Inconclusive",
            Self::Outage => "Bigger outage",
            Self::Undiagnosed => "No diagnosis",
        }
    }
}

impl From<VerdictKind> for Kind {
    fn from(kind: VerdictKind) -> Self {
        match kind {
            VerdictKind::ServiceEndpoint => Self::ServiceEndpoint,
            VerdictKind::Registry => Self::Registry,
            VerdictKind::Mixed => Self::Mixed,
            VerdictKind::Transient => Self::Transient,
            VerdictKind::Inconclusive => Self::Inconclusive,
        }
    }
}

/// How an alert ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It has not, as far as is known.
    Open,
    /// It resolved then.
    At(Timestamp),
    /// It was triggered once more later; until then at least it was open.
    NotBefore(Timestamp),
}

/// One alert of a region, from a trigger to its end: an incident that is reopened is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub region: Region,
    /// The run to look at: the one that found what the mark shows.
    pub run_id: String,
    pub kind: Kind,
    pub began: Timestamp,
    pub end: End,
    /// A run of it goes on, and has not found anything yet.
    pub is_awaited: bool,
    /// From its first run to its first diagnosis.
    pub diagnosed_in: Option<Duration>,
}

impl Mark {
    /// Where it ends in the picture.
    pub(super) fn until(&self, now: Timestamp) -> Timestamp {
        match self.end {
            End::Open => now.max(self.began),
            End::At(at) | End::NotBefore(at) => at.max(self.began),
        }
    }

    /// How long it was open, where that is known.
    pub(super) fn lasted(&self) -> Option<Duration> {
        match self.end {
            End::At(at) => Some(between(self.began, at)),
            End::Open | End::NotBefore(_) => None,
        }
    }
}

/// The marks of these alerts, oldest first.
pub(super) fn marks(alerts: &[PastAlert]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = alerts.iter().flat_map(of_alert).collect();
    marks.sort_by(|a, b| (a.began, &a.run_id).cmp(&(b.began, &b.run_id)));
    marks
}

fn of_alert(alert: &PastAlert) -> Vec<Mark> {
    // What was merged into one alert was one alert each: of their own regions, perhaps.
    let mut incidents: Vec<(&str, Vec<&PastRun>)> = Vec::new();
    for run in &alert.runs {
        match incidents.iter_mut().find(|(incident, _)| *incident == run.incident_id) {
            Some((_, runs)) => runs.push(run),
            None => incidents.push((&run.incident_id, vec![run])),
        }
    }
    let mut marks: Vec<(bool, Mark)> = Vec::new();
    for (incident, runs) in incidents {
        let is_newest = incident == alert.incident_id;
        let parts = runs.chunk_by(|_, next| !matches!(next.trigger, Trigger::Webhook | Trigger::Reconcile));
        let parts: Vec<&[&PastRun]> = parts.collect();
        for (n, part) in parts.iter().enumerate() {
            let (Some(first), Some(last)) = (part.first(), part.last()) else { continue };
            let before = n.checked_sub(1).and_then(|n| parts[n].last()).map(|run| run.created_at);
            let is_last = n + 1 == parts.len();
            // PagerDuty says when, where that is not about another trigger.
            let triggered_at = alert.triggered_at.filter(|at| {
                is_newest && is_last && *at < first.created_at && before.is_none_or(|before| before < *at)
            });
            let end = match alert.resolved_at {
                Some(at) if is_last => End::At(at),
                None if is_last => End::Open,
                _ => End::NotBefore(last.finished_at.unwrap_or(last.created_at)),
            };
            marks.push((is_newest, mark(part, first, last, triggered_at.unwrap_or(first.created_at), end)));
        }
    }
    // One that was merged away before it was diagnosed says nothing that the survivor does not.
    let is_said = |mark: &Mark| marks.iter().any(|(is_newest, other)| *is_newest && other.region == mark.region);
    let is_shown = |(is_newest, mark): &(bool, Mark)| *is_newest || mark.kind != Kind::Undiagnosed || !is_said(mark);
    marks.iter().filter(|one| is_shown(one)).map(|(_, mark)| mark.clone()).collect()
}

fn mark(part: &[&PastRun], first: &PastRun, last: &PastRun, began: Timestamp, end: End) -> Mark {
    let found = part.iter().rev().find_map(|run| Some((*run, Kind::from(run.verdict?.0))));
    let explained = || part.iter().rev().find(|run| run.was_suppressed).map(|run| (*run, Kind::Outage));
    let (run, kind) = found.or_else(explained).unwrap_or((last, Kind::Undiagnosed));
    let diagnosed = part.iter().find_map(|run| run.diagnosed_at);
    Mark {
        region: first.region.clone(),
        run_id: run.id.clone(),
        kind,
        began,
        end,
        is_awaited: kind == Kind::Undiagnosed && last.state.is_active(),
        diagnosed_in: diagnosed.map(|at| between(first.created_at, at)),
    }
}

/// The one in the middle: half of them are no longer.
pub(super) fn median(lengths: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut lengths: Vec<Duration> = lengths.collect();
    lengths.sort_unstable();
    lengths.get(lengths.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use runbook::diagnosis::Rule;
    use runbook::run::State;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + minute * 60).unwrap()
    }

    /// A run that began then and took two minutes.
    fn run(id: &str, incident: &str, trigger: Trigger, minute: i64, verdict: Option<VerdictKind>) -> PastRun {
        PastRun {
            id: id.into(),
            incident_id: incident.into(),
            region: "prod-us-south".parse().unwrap(),
            trigger,
            state: State::Done,
            verdict: verdict.map(|kind| (kind, Rule::MixedStatus)),
            was_suppressed: false,
            created_at: at(minute),
            diagnosed_at: verdict.map(|_| at(minute + 1)),
            finished_at: Some(at(minute + 2)),
        }
    }

    fn alert(triggered: Option<i64>, resolved: Option<i64>, runs: Vec<PastRun>) -> PastAlert {
        PastAlert { incident_id: "Q1".into(), triggered_at: triggered.map(at), resolved_at: resolved.map(at), runs }
    }

    type Short = (String, Kind, i64, End);

    fn short(alerts: &[PastAlert]) -> Vec<Short> {
        let minute = |time: Timestamp| (time.as_second() - 1_790_000_000) / 60;
        marks(alerts).into_iter().map(|m| (m.run_id, m.kind, minute(m.began), m.end)).collect()
    }

    #[test]
    fn an_alert_is_its_last_verdict_from_its_trigger_to_its_end() {
        let runs = vec![
            run("r1", "Q1", Trigger::Webhook, 10, Some(VerdictKind::Transient)),
            run("r2", "Q1", Trigger::FollowUp, 20, Some(VerdictKind::Registry)),
            run("r3", "Q1", Trigger::Note, 30, None),
        ];
        let seen = alert(Some(8), Some(50), runs.clone());
        assert_eq!(short(std::slice::from_ref(&seen)), [("r2".into(), Kind::Registry, 8, End::At(at(50)))]);
        let mark = marks(&[seen]).remove(0);
        assert_eq!(
            (mark.lasted(), mark.diagnosed_in),
            (Some(Duration::from_secs(2520)), Some(Duration::from_secs(60)))
        );
        // PagerDuty's clock may be ahead of ours: it ends no earlier than it begins.
        let odd = marks(&[alert(Some(12), Some(9), runs.clone())]).remove(0);
        assert_eq!((odd.began, odd.until(at(99)), odd.lasted()), (at(10), at(10), Some(Duration::ZERO)));
        assert_eq!(short(&[alert(None, None, runs)])[0].3, End::Open);
    }

    #[test]
    fn one_that_was_reopened_is_one_mark_each_time() {
        let runs = vec![
            run("r1", "Q1", Trigger::Webhook, 10, Some(VerdictKind::Mixed)),
            run("r2", "Q1", Trigger::Rerun, 14, None),
            run("r3", "Q1", Trigger::Webhook, 600, Some(VerdictKind::ServiceEndpoint)),
        ];
        let seen = short(&[alert(Some(599), Some(640), runs)]);
        let first = ("r1".into(), Kind::Mixed, 10, End::NotBefore(at(16)));
        assert_eq!(seen, [first, ("r3".into(), Kind::ServiceEndpoint, 599, End::At(at(640)))]);
    }

    #[test]
    fn without_a_diagnosis_it_is_a_bigger_outage_or_none_yet() {
        let suppressed = PastRun { was_suppressed: true, ..run("r1", "Q1", Trigger::Webhook, 10, None) };
        let running = PastRun { state: State::Running, ..run("r2", "Q2", Trigger::Webhook, 20, None) };
        let seen = marks(&[alert(None, Some(20), vec![suppressed.clone()]), alert(None, None, vec![running])]);
        let kinds: Vec<(Kind, bool)> = seen.iter().map(|mark| (mark.kind, mark.is_awaited)).collect();
        assert_eq!(kinds, [(Kind::Outage, false), (Kind::Undiagnosed, true)]);
        // It was diagnosed after all.
        let found = run("r3", "Q1", Trigger::RelatedResolved, 30, Some(VerdictKind::Registry));
        assert_eq!(short(&[alert(None, Some(40), vec![suppressed, found])])[0].1, Kind::Registry);
    }

    #[test]
    fn what_was_merged_away_is_shown_where_it_says_something_of_its_own() {
        let survivor = run("r3", "Q1", Trigger::Webhook, 12, Some(VerdictKind::Registry));
        let cancelled = PastRun { state: State::Cancelled, ..run("r1", "Q0", Trigger::Webhook, 10, None) };
        let elsewhere = PastRun { region: "prod-eu-gb".parse().unwrap(), ..cancelled.clone() };
        let regions = |runs: Vec<PastRun>| -> Vec<String> {
            marks(&[alert(None, Some(40), runs)]).into_iter().map(|mark| mark.region.to_string()).collect()
        };
        assert_eq!(regions(vec![cancelled, survivor.clone()]), ["prod-us-south"]);
        assert_eq!(regions(vec![elsewhere, survivor.clone()]), ["prod-eu-gb", "prod-us-south"]);
        let diagnosed = run("r1", "Q0", Trigger::Webhook, 10, Some(VerdictKind::Registry));
        assert_eq!(regions(vec![diagnosed, survivor]), ["prod-us-south", "prod-us-south"]);
    }

    #[test]
    fn the_median_is_one_of_them() {
        let of = |seconds: &[u64]| median(seconds.iter().map(|s| Duration::from_secs(*s))).map(|d| d.as_secs());
        assert_eq!((of(&[]), of(&[7]), of(&[9, 1, 5]), of(&[9, 1, 5, 6])), (None, Some(7), Some(5), Some(5)));
    }
}
