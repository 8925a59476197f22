//! What a phone's first screen shows of a run beside the note's first lines: the verdict in a word, how the alert stands and for
//! how long, and every zone's path in a line, with the time of what was seen.

use jiff::Timestamp;

use super::moment::{Moment, age};
use super::words;
use runbook::diagnosis::note::{in_focus, of_zone, start_of};
use runbook::diagnosis::path::{Station, path};
use runbook::diagnosis::{Diagnosis, ZoneDiagnosis};
use runbook::run::{AlertPhase, Run};
use runbook::span::between;

/// From one station of the drawn line to the next, and from its middle to its edge.
const STEP: usize = 50;
const RADIUS: usize = 9;

/// The first screen.
pub(super) struct First {
    /// The verdict, or what the run does, in a word or two.
    pub verdict: &'static str,
    /// How the alert stands and for how long, with the name of its colour.
    pub alert: Option<Alert>,
    /// When what is drawn was seen.
    pub as_of: Option<Moment>,
    /// Each zone, in the order in which to look at them.
    pub lanes: Vec<Lane>,
    /// Whether one of them is seen to be broken somewhere.
    pub breaks: bool,
    /// What stands above them, and where.
    pub heads: [(usize, &'static str); 5],
}

/// How the alert stands.
pub(super) struct Alert {
    pub says: &'static str,
    pub tone: &'static str,
    /// Since when; of one that is over, for how long it lasted.
    pub since: Option<Moment>,
    pub lasted: String,
}

/// A zone's path in a line.
pub(super) struct Lane {
    /// The zone's name without what every zone of the region has in common.
    pub name: String,
    /// All of it in words.
    pub says: String,
    /// It is the zone to begin with.
    pub start: bool,
    pub dots: Vec<Dot>,
}

/// A station of it.
pub(super) struct Dot {
    pub x: usize,
    pub tone: &'static str,
    pub sign: &'static str,
    /// The way to the next.
    pub way: Option<Way>,
}

/// The way from a station to the next.
pub(super) struct Way {
    pub from: usize,
    pub to: usize,
    pub middle: usize,
    pub tone: &'static str,
}

/// What stands above the lines, and where.
const HEADS: [(usize, &str); 5] =
    [(25, "client"), (75, "front end"), (125, "box"), (175, "ingress"), (225, "registry")];

/// The first screen of a run.
pub(super) fn first(run: &Run, now: Timestamp) -> First {
    let diagnosis = run.diagnosis.as_ref();
    let start = diagnosis.and_then(start_of);
    let lanes: Vec<Lane> =
        diagnosis.map(in_focus).unwrap_or_default().into_iter().map(|zone| lane(zone, run, start)).collect();
    let is_broken = |dot: &Dot| dot.tone == "broken" || dot.way.as_ref().is_some_and(|way| way.tone == "broken");
    First {
        verdict: verdict(run),
        alert: alert(run, now),
        as_of: diagnosis.and_then(seen_at).map(|at| Moment::new(at, now)),
        breaks: lanes.iter().flat_map(|lane| &lane.dots).any(is_broken),
        lanes,
        heads: HEADS,
    }
}

/// The verdict, or what the run does where there is none yet, in a word or two.
fn verdict(run: &Run) -> &'static str {
    let diagnosis = run.diagnosis.as_ref();
    diagnosis.map_or(words::state(run.state), |d| words::verdict(d.verdict.kind, d.verdict.rule).0)
}

/// What the browser's tab says.
pub(super) fn tab(run: &Run) -> String {
    format!("{} · {} · {}", verdict(run), run.region, words::state(run.state))
}

fn alert(run: &Run, now: Timestamp) -> Option<Alert> {
    let alert = run.alert.as_ref()?;
    let since = run.alert_since();
    let over = |says, at: Option<Timestamp>| Alert {
        says,
        tone: "whole",
        since: None,
        lasted: at.map(|at| age(between(since, at))).unwrap_or_default(),
    };
    let goes_on = |says, tone| Alert { says, tone, since: Some(Moment::new(since, now)), lasted: String::new() };
    Some(match (alert.state, alert.resolved_at) {
        (AlertPhase::Resolved, at) | (AlertPhase::Merged, at @ Some(_)) => over("Alert resolved", at),
        (AlertPhase::Merged, None) => goes_on("Alert merged", "affected"),
        (AlertPhase::Open, _) => goes_on("Alert open", "affected"),
        (AlertPhase::Unknown, _) => goes_on("Alert: not known", "unknown"),
    })
}

/// The last that was seen of boxes or clusters.
fn seen_at(diagnosis: &Diagnosis) -> Option<Timestamp> {
    let checks = diagnosis.zones.iter().filter_map(|zone| zone.checks.as_ref()).map(|checks| checks.at);
    diagnosis.readings.iter().map(|reading| reading.at).chain(checks).max()
}

fn lane(zone: &ZoneDiagnosis, run: &Run, start: Option<&ZoneDiagnosis>) -> Lane {
    let cluster = zone.cluster.as_str();
    let common = format!("registry-{}-", run.region);
    let stations = path(zone);
    let [said, broken_at, _] = of_zone(zone);
    let seen: Vec<String> = stations.iter().map(|s| format!("{}: {}", s.name, s.seen)).collect();
    Lane {
        name: cluster.strip_prefix(&common).unwrap_or(cluster).to_owned(),
        says: format!("{cluster}: {said}. {broken_at} {}.", seen.join("; ")),
        start: start.is_some_and(|start| start.cluster == zone.cluster),
        dots: dots(&stations),
    }
}

fn dots(stations: &[Station]) -> Vec<Dot> {
    let last = stations.len().saturating_sub(1);
    let dot = |(n, station): (usize, &Station)| {
        let x = STEP / 2 + n * STEP;
        Dot {
            x,
            tone: station.health.class(),
            sign: station.health.sign(),
            way: (n < last).then(|| Way {
                from: x + RADIUS,
                to: x + STEP - RADIUS,
                middle: x + STEP / 2,
                tone: station.onward.class(),
            }),
        }
    };
    stations.iter().enumerate().map(dot).collect()
}
