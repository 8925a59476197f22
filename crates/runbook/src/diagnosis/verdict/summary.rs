//! The rule's evidence in words: one sentence a verdict, and what a reading lacks.

use std::collections::BTreeSet;

use super::{MagicBox, Rule, Seen};
use crate::alert::{Region, Zone};

/// How many zones a sentence names; a region has three.
const NAMED: usize = 6;
/// The longest sentence, whatever the names in it, in characters.
const LONGEST: usize = 600;

/// What a verdict's sentence is made of.
pub(super) struct Facts<'a> {
    pub(super) region: &'a Region,
    /// The last reading.
    pub(super) seen: &'a Seen<'a>,
    pub(super) rule: Rule,
    /// How many re-runs there were.
    pub(super) reruns: usize,
    /// The earlier reading whose boxes are shown instead, counted from 0.
    pub(super) older: Option<usize>,
}

/// One sentence that names the evidence, in the runbook's words where it has some.
pub(super) fn of(facts: &Facts<'_>) -> String {
    let Facts { region, seen, rule, reruns, older } = *facts;
    let all = all_have(seen);
    let count = |holds: fn(&MagicBox) -> bool| seen.boxes.iter().filter(|(_, b)| holds(b)).count();
    let up = || n(count(|b| b.upstream_status == 1), "has", "have");
    let mut text = match rule {
        Rule::NoReading => {
            format!("no Magic Box of {region} could be read from Jenkins, so the runbook's rules can't be applied")
        }
        Rule::MixedStatus => format!(
            "SE statuses differ: of {}, {} SE status 1 and {} SE status 0; focus on zones with :0:1 first, then on 1:x",
            boxes(seen),
            n(count(|b| b.se_status == 1), "has", "have"),
            n(count(|b| b.se_status == 0), "has", "have"),
        ),
        Rule::IncompleteReading => {
            format!("the reading shows {}, but {} missing or incomplete", boxes(seen), is_or_are(&seen.missing))
        }
        Rule::RecoveredOnRerun if reruns == 0 => {
            format!("read once more, {all} SE status 1 and upstream status 1 again")
        }
        Rule::RecoveredOnRerun => format!("in re-run {reruns} {all} SE status 1 and upstream status 1 again"),
        Rule::AllSeAccepting => format!("{all} SE status 1, so this is probably a registry problem"),
        Rule::AllSeRejectingUpstreamDown => {
            format!("{all} SE status 0 and upstream status 0 or -1, so this is probably a registry problem")
        }
        Rule::AllSeRejectingUpstreamUp if reruns == 0 => {
            format!("{all} SE status 0, but {} upstream status 1: this can be a transient state", up())
        }
        Rule::AllSeRejectingUpstreamUp => format!(
            "in re-run {reruns} {all} SE status 0, but {} upstream status 1: it persists, so this is an SE problem",
            up()
        ),
    };
    if let Some(older) = older {
        text.push_str(&format!("; the statuses shown are those of {}", reading(older)));
    }
    bounded(sentence(&text))
}

fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), rest.as_str()))
}

/// What a reading lacks.
pub(super) fn missing(seen: &Seen<'_>) -> Option<String> {
    if seen.missing.is_empty() {
        return None;
    }
    let (broken, absent): (BTreeSet<_>, BTreeSet<_>) =
        seen.missing.iter().cloned().partition(|zone| seen.unreadable.contains(zone));
    let mut parts = Vec::new();
    if !absent.is_empty() {
        parts.push(format!("no box of {} was printed", names(&absent)));
    }
    if !broken.is_empty() {
        parts.push(format!("a box of {} could not be read, so the zone counts as missing", names(&broken)));
    }
    Some(bounded(parts.join("; ")))
}

/// Which zones are not expected.
pub(super) fn unlisted(seen: &Seen<'_>) -> Option<String> {
    (!seen.unlisted.is_empty()).then(|| {
        bounded(format!(
            "{} printed, but not among the zones expected of the region: is the regions file up to date?",
            is_or_are(&seen.unlisted)
        ))
    })
}

/// `6 boxes of 3 zones`.
fn boxes(seen: &Seen<'_>) -> String {
    let zones = seen.boxes.iter().map(|(zone, _)| zone).collect::<BTreeSet<_>>().len();
    format!("{} of {}", n(seen.boxes.len(), "box", "boxes"), n(zones, "zone", "zones"))
}

/// `all 6 boxes of 3 zones have`.
fn all_have(seen: &Seen<'_>) -> String {
    if seen.boxes.len() == 1 { "the only box has".to_owned() } else { format!("all {} have", boxes(seen)) }
}

fn n(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn is_or_are(zones: &BTreeSet<Zone>) -> String {
    format!("{} {}", names(zones), if zones.len() == 1 { "is" } else { "are" })
}

fn names(zones: &BTreeSet<Zone>) -> String {
    let named: Vec<_> = zones.iter().take(NAMED).map(Zone::as_str).collect();
    let named = named.join(", ");
    match zones.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn reading(index: usize) -> String {
    if index == 0 { "the first reading".to_owned() } else { format!("re-run {index}") }
}

pub(super) fn bounded(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
