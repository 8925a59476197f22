//! What was seen: why, the boxes, the zones.

use std::cmp::Reverse;

use super::alike::{from_earlier_reading, in_focus, is_faulty, not_at_once, said_in_short};
use super::limits::Section;
use super::text::{bound, capital, clean, count, sentence};
use super::{Context, words};
use crate::diagnosis::{Class, Diagnosis, MagicBox, Rule, Verdict, VerdictKind, ZoneDiagnosis};

/// How long a name of a zone is shown.
pub(super) const ZONE: usize = 80;
/// How many other regions a line names.
const ELSEWHERE: usize = 3;

/// Why: the rule's evidence in one sentence.
pub(super) fn why(d: &Diagnosis) -> Section {
    let mut section = Section::new(words::WHY, 2, 9);
    let summary = capital(&sentence(&d.verdict.summary, 500));
    section.line(if summary.is_empty() { rule_sentence(&d.verdict).to_owned() } else { summary });
    section
}

/// Whether the other regions of the reading are whole: one region's trouble looks unlike everybody's.
fn elsewhere(d: &Diagnosis) -> Option<String> {
    let boxes: usize = d.other_regions.iter().map(|r| r.boxes).sum();
    let broken: Vec<String> = (d.other_regions.iter().filter(|r| r.whole < r.boxes))
        .map(|r| format!("{} ({} of {} 1:1)", bound(r.region.as_str(), ZONE), r.whole, count(r.boxes, "box", "boxes")))
        .collect();
    let names = |names: &[String]| {
        let more = match names.len().saturating_sub(ELSEWHERE) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{}{more}", names[..names.len().min(ELSEWHERE)].join(", "))
    };
    let all = count(d.other_regions.len(), "other region", "other regions");
    match (d.other_regions.as_slice(), broken.as_slice()) {
        ([], _) => None,
        ([only], []) => Some(format!(
            "In this reading the other region, {}, is whole ({}, all 1:1).",
            bound(only.region.as_str(), ZONE),
            count(boxes, "box", "boxes")
        )),
        (_, []) => Some(format!("In this reading all {all} are whole ({boxes} boxes, all 1:1).")),
        ([_], broken) => Some(format!("In this reading the other region is not whole: {}.", names(broken))),
        (_, broken) => {
            let are = if broken.len() == 1 { "is" } else { "are" };
            Some(format!("In this reading {} of {all} {are} not whole: {}.", broken.len(), names(broken)))
        }
    }
}

/// The runbook's line for each rule, where the verdict has no words of its own.
fn rule_sentence(verdict: &Verdict) -> &'static str {
    match verdict.rule {
        Rule::NoReading => "No Magic Box of the region could be read from the Jenkins job.",
        Rule::MixedStatus => "Some zones have SE=1, some SE=0.",
        Rule::IncompleteReading => "At least one zone is missing from the Jenkins job's output.",
        Rule::RecoveredOnRerun => "When the Jenkins job was run again, every zone had SE=1 and upstream=1.",
        Rule::AllSeAccepting => "All zones have SE=1: probably a registry problem.",
        Rule::AllSeRejectingUpstreamDown => {
            "All zones have SE=0, and none an upstream of 1: probably a registry problem."
        }
        Rule::AllSeRejectingUpstreamUp if verdict.kind == VerdictKind::ServiceEndpoint => {
            "All zones have SE=0, and at least one an upstream of 1. The re-run showed the same."
        }
        Rule::AllSeRejectingUpstreamUp => "All zones have SE=0, and at least one an upstream of 1.",
    }
}

/// The region's boxes in the runbook's order: `0:1` first, then `1:x`, then the others; within these the better
/// upstream, then the zone that is to be looked at earlier.
pub fn in_order(d: &Diagnosis) -> Vec<(&ZoneDiagnosis, &MagicBox)> {
    let mut boxes: Vec<_> = d.zones.iter().flat_map(|z| z.boxes.iter().map(move |b| (z, b))).collect();
    boxes.sort_by_key(|(zone, b)| {
        let group = match (b.se_status, b.upstream_status) {
            (0, 1) => 0,
            (1, _) => 1,
            _ => 2,
        };
        let focus = d.focus.iter().position(|f| *f == zone.cluster).unwrap_or(usize::MAX);
        (group, Reverse(b.upstream_status), focus, b.name.clone())
    });
    boxes
}

/// One line a box.
pub(super) fn boxes(d: &Diagnosis) -> Section {
    let title = if from_earlier_reading(d) { words::BOXES_OF_EARLIER } else { words::BOXES };
    let mut section = Section::new(title, 10, 8);
    for (zone, b) in in_order(d) {
        section.line(format!("- {}", box_line(zone, b)));
    }
    section
}

/// pCIE or probably a CIE, who can reach a front end at all, and what is known of the other regions.
pub(super) fn class(d: &Diagnosis, c: &Context<'_>) -> Section {
    let mut section = Section { joined: !d.zones.is_empty(), ..Section::new("", 5, 9) };
    section.line(format!("CLASS: {}. {VRF}", d.class.as_str()));
    if d.class == Class::ProbablyCie && !shows_a_fault(d) {
        section.line(
            "What is shown here looks healthy, but earlier in this run a Magic Box was not 1:1 or a cluster had a fault: it was \
             not the client.",
        );
    }
    section.lines.extend(elsewhere(d).into_iter().chain(not_at_once(d, c)));
    section
}

/// Runbook: "The private endpoits are only reachable from machines in accounts with VRF enabled".
const VRF: &str = "Front ends answer only from VRF accounts with routes to 166.8.0.0/14.";

/// Zone, statuses, Magic Box ID, both addresses, and the node where it is not Ready.
pub(super) fn box_line(zone: &ZoneDiagnosis, b: &MagicBox) -> String {
    let node = match clean(&b.node, 40) {
        node if node == "Ready" => String::new(),
        node if node.is_empty() => ", node state not given".into(),
        node => format!(", NODE {node}"),
    };
    format!(
        "{}: SE={} upstream={}, {}, back end {}, front end {}{node}",
        clean(zone.cluster.as_str(), ZONE),
        b.se_status,
        b.upstream_status,
        clean(&b.magic_box_id, 200),
        clean(&b.backend_ip, 45),
        clean(&b.frontend, 50),
    )
}

/// One line a zone, in the order in which to look at them.
pub(super) fn zones(d: &Diagnosis) -> Section {
    let mut section = Section::new(words::ZONES, 6, 6);
    section.joined = d.since_last_good.is_none() && d.zones.iter().any(|z| !z.boxes.is_empty());
    for zone in in_focus(d) {
        section.line(format!("- {}", zone_line(zone, &said_in_short(zone.checks.as_ref()))));
    }
    section
}

/// What the cluster said, where the path breaks, whether the private ingress accepts connections.
pub(super) fn zone_line(zone: &ZoneDiagnosis, said: &str) -> String {
    format!("{}: {said}. {} {}", clean(zone.cluster.as_str(), ZONE), words::breaks_at(zone.broken_at), accepts(zone),)
}

/// Runbook: "If the upstream status is `0` or `1` it is accepting connections".
pub(super) fn accepts(zone: &ZoneDiagnosis) -> String {
    let best = zone.boxes.iter().map(|b| b.upstream_status).max();
    let worst = zone.boxes.iter().map(|b| b.upstream_status).min();
    let answer = match (best, worst) {
        (Some(best), Some(worst)) if best >= 0 && worst < 0 => format!("from some boxes only (upstream={worst})"),
        (Some(best), _) if best >= 0 => format!("yes (upstream={best})"),
        (Some(best), _) => format!("no (upstream={best})"),
        (None, _) => "not known, no box was read".into(),
    };
    format!("Private ingress accepts connections: {answer}.")
}

/// Whether the boxes and findings that are shown have the fault for which it is probably a CIE.
fn shows_a_fault(d: &Diagnosis) -> bool {
    let is_ill = |b: &MagicBox| (b.se_status, b.upstream_status) != (1, 1);
    d.zones.iter().any(|zone| zone.boxes.iter().any(is_ill) || is_faulty(zone))
}
