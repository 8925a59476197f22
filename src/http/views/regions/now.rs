//! How a region is now, in the words of the run list's health. Pure.

use jiff::Timestamp;

use super::marks::{End, Mark};
use crate::config::RegionZones;
use crate::doctor::{Report, State, System};
use crate::http::views::health;
use crate::http::views::moment::{Moment, age};
use runbook::span::between;

/// How a region is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Now {
    /// In a word, with the name of its colour.
    pub says: &'static str,
    pub tone: &'static str,
    /// Why, in a few words.
    pub why: String,
    /// Since when, where that is a part of why.
    pub since: Option<Moment>,
}

/// How a region with these marks, oldest first, is at `at`: an open alert is a failure, a cluster that the last self-check could
/// not ask a warning. `zones` is its entry in the regions file, where it has one.
pub(super) fn now(marks: &[&Mark], zones: Option<&RegionZones>, report: Option<&Report>, at: Timestamp) -> Now {
    let open: Vec<&&Mark> = marks.iter().filter(|mark| mark.end == End::Open).collect();
    if let Some(first) = open.first() {
        let why = match open.len() {
            1 => "alert open".to_owned(),
            more => format!("{more} alerts open, the first"),
        };
        return Now::of(Some(State::Failed), why, Some(Moment::new(first.began, at)));
    }
    let quiet = || {
        let last = marks.iter().map(|mark| mark.until(at)).max();
        last.map(|end| format!("quiet for {}", age(between(end, at)))).unwrap_or_default()
    };
    let Some(zones) = zones else { return Now::of(None, "not in the regions file".into(), None) };
    let Some(report) = report else { return Now::of(None, "not checked yet".into(), None) };
    let worst_of = |zone: &str| {
        let own = report.checks.iter().filter(|c| c.system == System::Cluster && c.subject.as_deref() == Some(zone));
        health::worst(own)
    };
    let seen: Vec<(&str, Option<State>)> =
        zones.zones.iter().map(|entry| (entry.zone.as_str(), worst_of(entry.zone.as_str()))).collect();
    let named = |state: State| {
        let these: Vec<&str> = seen.iter().filter(|(_, worst)| *worst == Some(state)).map(|(zone, _)| *zone).collect();
        match these[..] {
            [] => None,
            [one] => Some(short(one, zones.region.as_str()).to_owned()),
            _ => Some(format!("{} of {} clusters", these.len(), seen.len())),
        }
    };
    let warned = |these: String, says: &str| Now::of(Some(State::Warning), format!("{these}: {says}"), None);
    match (named(State::Failed), named(State::Warning)) {
        (Some(these), _) => warned(these, "self-check fails"),
        (None, Some(these)) => warned(these, "self-check warns"),
        (None, None) if seen.iter().all(|(_, worst)| *worst == Some(State::Ok)) => {
            Now::of(Some(State::Ok), quiet(), None)
        }
        _ => Now::of(None, "not all clusters checked".into(), None),
    }
}

impl Now {
    fn of(state: Option<State>, why: String, since: Option<Moment>) -> Self {
        let (says, tone) = health::word(state);
        Self { says, tone, why, since }
    }
}

/// A zone's name without what all zones of its region have in common.
fn short<'a>(zone: &'a str, region: &str) -> &'a str {
    zone.strip_prefix("registry-").and_then(|rest| rest.strip_prefix(region)?.strip_prefix('-')).unwrap_or(zone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Regions;
    use crate::doctor::Check;
    use crate::http::views::regions::marks::Kind;

    const AT: &str = "2026-12-01T11:00:00Z";

    fn zones() -> RegionZones {
        let file = "[[regions]]\nname = \"prod-us-south\"\n[[regions.zones]]\ncluster = \"registry-prod-us-south-az1\"\n\
             [[regions.zones]]\ncluster = \"another\"\n";
        Regions::parse(file).unwrap().all()[0].clone()
    }

    fn report(states: &[(&str, State)]) -> Report {
        let check = |(zone, state): &(&str, State)| Check {
            system: System::Cluster,
            name: "api",
            subject: Some((*zone).to_owned()),
            state: *state,
            detail: String::new(),
            mend: None,
        };
        Report { ok: true, checks: states.iter().map(check).collect() }
    }

    fn mark(began: &str, end: End) -> Mark {
        Mark {
            region: "prod-us-south".parse().unwrap(),
            run_id: "r".into(),
            kind: Kind::Registry,
            began: began.parse().unwrap(),
            end,
            is_awaited: false,
            diagnosed_in: None,
        }
    }

    #[test]
    fn health_is_a_word_and_why() {
        let at: Timestamp = AT.parse().unwrap();
        let over = mark("2026-11-28T11:00:00Z", End::At("2026-11-28T12:00:00Z".parse().unwrap()));
        let open = mark("2026-12-01T10:46:00Z", End::Open);
        let (own, another) = ("registry-prod-us-south-az1", "another");
        let (well, file) = (report(&[(own, State::Ok), (another, State::Ok)]), zones());
        let is = |marks: &[&Mark], file: Option<&RegionZones>, report: Option<&Report>| {
            let now = now(marks, file, report, at);
            let since = now.since.map(|since| format!(" {}", since.age)).unwrap_or_default();
            format!("{} {}: {}{since}", now.tone, now.says, now.why)
        };
        assert_eq!(is(&[&over], Some(&file), Some(&well)), "whole OK: quiet for 2 days");
        assert_eq!(is(&[], Some(&file), Some(&well)), "whole OK: ");
        assert_eq!(is(&[&over, &open], Some(&file), Some(&well)), "broken Failing: alert open 14 min");
        assert_eq!(is(&[&open, &open], None, None), "broken Failing: 2 alerts open, the first 14 min");
        assert_eq!(is(&[&over], None, Some(&well)), "unknown Unknown: not in the regions file");
        assert_eq!(is(&[], Some(&file), None), "unknown Unknown: not checked yet");
        for (states, says) in [
            ([(own, State::Failed), (another, State::Warning)], "affected Warning: az1: self-check fails"),
            ([(own, State::Ok), (another, State::Warning)], "affected Warning: another: self-check warns"),
            ([(own, State::Failed), (another, State::Failed)], "affected Warning: 2 of 2 clusters: self-check fails"),
            ([(own, State::Ok), (another, State::Skipped)], "unknown Unknown: not all clusters checked"),
            ([(own, State::Ok), (own, State::Ok)], "unknown Unknown: not all clusters checked"),
        ] {
            assert_eq!(is(&[&over], Some(&file), Some(&report(&states))), says);
        }
    }
}
