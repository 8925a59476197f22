//! What the client of the end-to-end test says: the second line where it decides that, and a part of the note with the times
//! of its samples.

use jiff::Timestamp;

use super::Context;
use super::alike::other_regions;
use super::limits::Section;
use super::text::{Day, clean, count, sentence};
use super::words::CLIENT;
use crate::diagnosis::Diagnosis;
use crate::diagnosis::client::{Client, ClientFinding, Reached, RegionTimes, Up, all_answer, sees_nothing};

/// How many regions or front ends a line names.
const NAMED: usize = 8;

/// What the client says of the alert, where it is asked.
pub(super) fn finding(d: &Diagnosis) -> Option<ClientFinding> {
    d.client.as_ref().map(|client| client.finding)
}

/// Whether the region's test passes again.
pub(super) fn is_over(d: &Diagnosis) -> bool {
    finding(d) == Some(ClientFinding::Over)
}

/// The second line, where it is about the client: where to look, that the path looks whole, and how many other regions alert.
/// Runbook: "If the problem was not with the healthcheck-prod cluster (the client in the end-to-end test)".
pub(super) fn now(d: &Diagnosis, c: &Context<'_>) -> String {
    let what = match finding(d) {
        Some(ClientFinding::Over) => {
            "wait for this alert to resolve: the path looks whole, the healthcheck cluster's own test passes, the outage is already over."
        }
        Some(ClientFinding::ClientBroken) => {
            "check the healthcheck cluster: the path looks whole, and it is the client of the test that is broken."
        }
        Some(ClientFinding::FrontEndPath) => {
            "check the route from the healthcheck cluster to the front ends: behind them the path looks whole."
        }
        Some(ClientFinding::NotClient | ClientFinding::Unknown) | None => {
            "check the healthcheck cluster and its way to the front ends: the path looks whole, every part that we can see works; \
             the outage may be already over."
        }
    };
    format!("{what} {}", other_regions(c))
}

/// What to do about it, for the part that says what to do next.
pub(super) fn next(d: &Diagnosis) -> Option<String> {
    let client = d.client.as_ref()?;
    Some(match client.finding {
        ClientFinding::Over => {
            "Wait for the alert to resolve by itself. If it is still open in some minutes, reply /rerun.".into()
        }
        ClientFinding::ClientBroken => {
            "Check the healthcheck cluster (registry-healthcheck, eu-central): what it says stands under CLIENT.".into()
        }
        ClientFinding::FrontEndPath => {
            "Check the route from the healthcheck cluster (registry-healthcheck, eu-central) to the front ends. Everything \
             behind them that was checked works."
                .into()
        }
        ClientFinding::NotClient | ClientFinding::Unknown => return None,
    })
}

fn why_broken(d: &Diagnosis, client: &Client) -> String {
    let se = client.of(&d.region).and_then(|region| region.se);
    if se == Some(Up::Absent) {
        return "it has no fresh sample of this region's test, so it no longer tests it".into();
    }
    if sees_nothing(&client.regions) {
        return "none of its tests passes, of whatever region, private or public".into();
    }
    if all_answer(&client.front_ends) {
        return "asked from there, every front end answers, though its test fails".into();
    }
    "its test fails though nothing else does".into()
}

/// What both tests of a region say.
type Says = (Option<Up>, Option<Up>);

/// What the client says, in full.
pub(super) fn section(d: &Diagnosis, day: Day) -> Section {
    let mut section = Section::new(CLIENT, 4, 6);
    let Some(client) = &d.client else { return section };
    section.line(match client.finding {
        ClientFinding::Over => "- The region's test passes: the outage is over.".into(),
        ClientFinding::NotClient => "- It was not the client: a Magic Box or a cluster showed a fault.".into(),
        ClientFinding::Unknown => "- Whether it was the client is not known.".into(),
        ClientFinding::ClientBroken => format!("- The client is broken: {}.", why_broken(d, client)),
        ClientFinding::FrontEndPath => {
            "- The test fails, and nothing behind the front ends does: the way to them is broken.".into()
        }
    });
    let none = Vec::new();
    let times = d.client_times.as_ref().map_or(&none, |times| &times.regions);
    let rows = || client.regions.iter().enumerate().map(|(n, r)| (r, times.get(n).copied().unwrap_or_default()));
    for (region, times) in rows().filter(|(r, _)| r.region == d.region) {
        section.line(format!(
            "- {}: SE {}, public {}.",
            clean(region.region.as_str(), 80),
            with_time(region.se, times.se, day),
            with_time(region.public, times.public, day)
        ));
    }
    // The others by what they say: mostly it is the same of all.
    let mut groups: Vec<(Says, Vec<(String, RegionTimes)>)> = Vec::new();
    for (region, times) in rows().filter(|(r, _)| r.region != d.region) {
        let says = (region.se, region.public);
        let entry = (clean(region.region.as_str(), 80), times);
        match groups.iter_mut().find(|(known, _)| *known == says) {
            Some((_, all)) => all.push(entry),
            None => groups.push((says, vec![entry])),
        }
    }
    for ((se, public), all) in groups {
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        let at = all.iter().flat_map(|(_, times)| [times.se, times.public]).flatten();
        section.line(format!("- {}: SE {}, public {}{}.", some_of(&names), word(se), word(public), span(at, day)));
    }
    if !client.front_ends.is_empty() {
        let at = d.client_times.as_ref().and_then(|times| times.front_ends);
        section.line(format!("- {}{}.", front_ends(client), span(at.into_iter(), day)));
    }
    section
}

/// That something of the client could not be found out, and why.
pub(super) fn not_known(d: &Diagnosis, max: usize) -> Option<String> {
    let error = d.client.as_ref()?.error.as_ref()?;
    Some(format!("- What the healthcheck cluster says: {}", sentence(error, max)))
}

fn front_ends(client: &Client) -> String {
    let part = |result, one: &str, many: &str| {
        let of: Vec<String> =
            client.front_ends.iter().filter(|f| f.result == result).map(|f| clean(&f.address, 45)).collect();
        let names: Vec<&str> = of.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("{} ({})", count(names.len(), one, many), some_of(&names)))
    };
    let parts = [
        part(Reached::Answers, "answers", "answer"),
        part(Reached::Fails, "fails", "fail"),
        part(Reached::Unknown, "not known", "not known"),
    ];
    let said: Vec<String> = parts.into_iter().flatten().collect();
    let all = count(client.front_ends.len(), "front end", "front ends");
    format!("Of {all}, asked from there: {}", said.join(", "))
}

fn some_of(names: &[&str]) -> String {
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", names[..names.len().min(NAMED)].join(", "))
}

fn word(state: Option<Up>) -> &'static str {
    match state {
        Some(Up::Up) => "passes",
        Some(Up::Down) => "fails",
        Some(Up::Absent) => "has no fresh sample",
        None => "is not known",
    }
}

fn with_time(state: Option<Up>, at: Option<Timestamp>, day: Day) -> String {
    match (state, at) {
        (Some(Up::Absent), Some(at)) => format!("{} (the last is of {})", word(state), day.utc(at)),
        (_, Some(at)) => format!("{} ({})", word(state), day.utc(at)),
        (_, None) => word(state).to_owned(),
    }
}

/// The time or times between which something was seen.
fn span(times: impl Iterator<Item = Timestamp> + Clone, day: Day) -> String {
    match (times.clone().min(), times.max()) {
        (Some(first), Some(last)) if day.time(first) != day.time(last) => {
            format!(" ({} to {})", day.time(first), day.utc(last))
        }
        (Some(first), _) => format!(" ({})", day.utc(first)),
        (None, _) => String::new(),
    }
}
