//! What was seen: why, the boxes, the zones, the times, the links, and what could not be found out.

use std::cmp::Reverse;

use super::alike::{from_earlier_reading, in_focus, is_faulty, missing_zones, not_at_once, rule_name, said};
use super::limits::Section;
use super::text::{bound, capital, clean, count, link, sentence, utc};
use super::{Context, client};
use crate::diagnosis::{BrokenAt, Class, Diagnosis, Finding, MagicBox, Rule, ZoneDiagnosis};
use crate::notify::new_issue_url;

/// How long a name of a zone is shown.
const ZONE: usize = 80;
/// How many other regions a line names.
const ELSEWHERE: usize = 3;
/// How long a reason or a warning is shown.
const REASON: usize = 300;
/// How long it is where it is the subject: what was refused, and what to do about it, stand at its end.
const WHOLE_REASON: usize = 700;

/// The open related pages, before anything else: the runbook deals with those first that explain the alert. Why the others
/// don't stands with what is odd.
pub(super) fn related_pages(c: &Context<'_>) -> [Section; 2] {
    let all = [("OPEN PAGES TO DEAL WITH FIRST", c.explaining()), ("ALSO OPEN", c.also_open())];
    all.map(|(title, pages)| {
        let mut section = Section::new(title, 5, 8);
        for page in pages {
            section.line(format!("- {} {}", clean(&page.title, 200), link(&page.html_url)));
        }
        section
    })
}

/// Why: the rule's evidence in one sentence.
pub(super) fn why(d: &Diagnosis, c: &Context<'_>) -> Section {
    let mut section = Section::new("WHY", 4, 8);
    let summary = capital(&sentence(&d.verdict.summary, 500));
    section.line(if summary.is_empty() { rule_sentence(d.verdict.rule).to_owned() } else { summary });
    section.line(format!("Rule: {}.", rule_name(d.verdict.rule)));
    section.lines.extend(elsewhere(d));
    section.lines.extend(not_at_once(d, c));
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
fn rule_sentence(rule: Rule) -> &'static str {
    match rule {
        Rule::NoReading => "No Magic Box of the region could be read from the Jenkins job.",
        Rule::MixedStatus => "Some zones have SE=1, some SE=0.",
        Rule::IncompleteReading => "At least one zone is missing from the Jenkins job's output.",
        Rule::RecoveredOnRerun => "When the Jenkins job was run again, every zone had SE=1 and upstream=1.",
        Rule::AllSeAccepting => "All zones have SE=1: probably a registry problem.",
        Rule::AllSeRejectingUpstreamDown => {
            "All zones have SE=0, and none an upstream of 1: probably a registry problem."
        }
        Rule::AllSeRejectingUpstreamUp => "All zones have SE=0, and at least one an upstream of 1.",
    }
}

/// The region's boxes in the runbook's order: `0:1` first, then `1:x`, then the others; within these the better
/// upstream, then the zone that is to be looked at earlier.
pub(super) fn in_order(d: &Diagnosis) -> Vec<(&ZoneDiagnosis, &MagicBox)> {
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
    let title = if from_earlier_reading(d) {
        "MAGIC BOXES (of an earlier reading: the last one failed)"
    } else {
        "MAGIC BOXES (SE 1 accepts, 0 rejects; upstream 1 is 200, 0 another status, -1 no answer)"
    };
    let mut section = Section::new(title, 10, 7);
    for (zone, b) in in_order(d) {
        section.line(format!("- {}", box_line(zone, b)));
    }
    section
}

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
    let mut section = Section::new("ZONES (what each cluster said)", 6, 6);
    for zone in in_focus(d) {
        section.line(format!("- {}", zone_line(zone)));
    }
    section
}

/// What the cluster said, where the path is broken, whether the private ingress accepts connections.
pub(super) fn zone_line(zone: &ZoneDiagnosis) -> String {
    format!(
        "{}: {}. Broken at {}. {}",
        clean(zone.cluster.as_str(), ZONE),
        said(zone.checks.as_ref()),
        broken_at(zone.broken_at),
        accepts(zone),
    )
}

pub(super) fn broken_at(place: BrokenAt) -> String {
    let what = match place {
        BrokenAt::ClientOrFrontEnd => "nothing behind the front end",
        BrokenAt::SeTo10443 => "SE can't reach registry on port 10443",
        BrokenAt::MagicBox => "it rejects connections, its registry is fine",
        BrokenAt::PrivateIngress => "nothing accepts connections",
        BrokenAt::Zone => "behind the private ingress",
        BrokenAt::DisabledByRegistry => "turned off on purpose",
        BrokenAt::Contradiction => "Jenkins and the cluster disagree",
        BrokenAt::Unknown => return place.to_string(),
    };
    format!("{place}: {what}")
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

/// pCIE or probably a CIE, and who can reach a front end at all.
pub(super) fn class(d: &Diagnosis) -> Section {
    let mut section = Section::new("", 3, 9);
    section.line(format!("CLASS: {}.", d.class.as_str()));
    if d.class == Class::ProbablyCie && !shows_a_fault(d) {
        section.line(
            "What is shown here looks healthy, but earlier in this run a Magic Box was not 1:1 or a cluster had a fault: it was \
             not the client.",
        );
    }
    section.line("NB: front ends answer only from VRF accounts with routes to 166.8.0.0/14.");
    section
}

/// Whether the boxes and findings that are shown have the fault for which it is probably a CIE.
fn shows_a_fault(d: &Diagnosis) -> bool {
    let is_ill = |b: &MagicBox| (b.se_status, b.upstream_status) != (1, 1);
    d.zones.iter().any(|zone| zone.boxes.iter().any(is_ill) || is_faulty(zone))
}

/// When each piece of evidence was taken.
pub(super) fn times(d: &Diagnosis, c: &Context<'_>) -> Section {
    let mut section = Section::new("WHEN (UTC)", 6, 3);
    if let Some(opened) = c.alert_opened_at {
        section.line(format!("- {} alert opened", utc(opened)));
    }
    for (n, reading) in d.readings.iter().enumerate() {
        let name = if n == 0 { "Jenkins reading".to_owned() } else { format!("Jenkins re-run {n}") };
        let build = reading.build_url.as_deref().map(|u| format!(", {}", link(u))).unwrap_or_default();
        section.line(format!("- {} {name}: {}{build}", utc(reading.at), count(reading.boxes, "box", "boxes")));
    }
    // The clusters are asked side by side: mostly it is one time.
    let clusters = in_focus(d).into_iter().filter_map(|z| z.checks.as_ref().map(|c| (utc(c.at), z)));
    for (at, names) in grouped(clusters) {
        section.line(format!("- {at} cluster {names}"));
    }
    if let Some(at) = c.related_at {
        section.line(format!("- {} related pages looked for", utc(at)));
    }
    if let Some(at) = c.resolved_at {
        section.line(format!("- {} alert found resolved", utc(at)));
    }
    section.line(format!("- {} this note", utc(c.now)));
    section
}

/// Where to go.
pub(super) fn links(d: &Diagnosis, c: &Context<'_>) -> Section {
    let mut section = Section::new("LINKS", 9, 5);
    let build = d.readings.iter().rev().find_map(|r| r.build_url.as_deref());
    let rows = [
        ("This run", Some(c.run_url)),
        ("Jenkins build", build),
        ("Jenkins job", c.job_url),
        (SERVICE_ENDPOINT_SLACK, Some(c.links.service_endpoint_slack.as_str())),
        ("Registry, Slack registry-va-users", Some(c.links.registry_slack.as_str())),
        ("Registry's escalation policy", Some(c.links.escalation_policy.as_str())),
    ];
    for (name, url) in rows {
        if let Some(url) = url.filter(|u| !u.is_empty()) {
            section.line(format!("- {name}: {}", link(url)));
        }
    }
    if !c.links.issue_tracker.is_empty() {
        section.line(format!("- Issues with the runbook or this page: {}", new_issue(d, c)));
    }
    section
}

/// The tracker's link, with a title and what this run has found filled in.
fn new_issue(d: &Diagnosis, c: &Context<'_>) -> String {
    let region = clean(d.region.as_str(), 60);
    let title = format!("All SE endpoints down in {region}");
    let (kind, rule) = (d.verdict.kind.as_str(), rule_name(d.verdict.rule));
    let body = format!("Region: {region}\nVerdict: {kind}, {rule}\nRun: {}\n\nWhat went wrong:\n", link(c.run_url));
    new_issue_url(&c.links.issue_tracker, &title, &body)
}

const SERVICE_ENDPOINT_SLACK: &str = "Service Endpoint, Slack #private-marketplace";

/// What could not be found out, and why.
pub(super) fn not_known(d: &Diagnosis, c: &Context<'_>) -> Section {
    let mut section = Section::new("COULD NOT BE FOUND OUT", 5, 4);
    if let Err(reason) = c.related {
        section.line(format!("- Whether related pages are open: {}", sentence(reason, WHOLE_REASON)));
    }
    let why = |z: &ZoneDiagnosis| if z.unread { "one could not be read." } else { "not in the reading." };
    for (why, names) in grouped(missing_zones(d).map(|z| (why(z).into(), z))) {
        section.line(format!("- Magic Boxes of {names}: {why}"));
    }
    if d.readings.is_empty() {
        section.line("- Anything of Jenkins: there is no reading.");
    }
    for (n, reading) in d.readings.iter().enumerate().filter(|(_, r)| r.boxes == 0) {
        let why: Vec<String> = reading.warnings.iter().take(3).map(|w| sentence(w, WHOLE_REASON)).collect();
        let why = if why.is_empty() { "no box of the region in it.".into() } else { why.join(" ") };
        section.line(format!("- Reading {}: {why}", n + 1));
    }
    let unknown = in_focus(d).into_iter().filter_map(|zone| match &zone.checks {
        None => Some(("it was not asked.".to_owned(), zone)),
        Some(checks) if checks.finding == Finding::Unknown => Some((
            checks.error.as_deref().map_or_else(|| "no reason is known.".into(), |e| sentence(e, WHOLE_REASON)),
            zone,
        )),
        Some(_) => None,
    });
    for (why, names) in grouped(unknown) {
        section.line(format!("- What the cluster says, {names}: {why}"));
    }
    section.lines.extend(client::not_known(d, WHOLE_REASON));
    section
}

/// The zones that have the same to say, with what it is, in the order of the first of each.
fn grouped<'a>(zones: impl Iterator<Item = (String, &'a ZoneDiagnosis)>) -> Vec<(String, String)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (what, zone) in zones {
        let name = clean(zone.cluster.as_str(), ZONE);
        match groups.iter_mut().find(|(w, names)| *w == what && names.len() < 4) {
            Some((_, names)) => names.push(name),
            None => groups.push((what, vec![name])),
        }
    }
    groups.into_iter().map(|(what, names)| (what, names.join(", "))).collect()
}

/// What is odd, and what a person should know beside the diagnosis.
pub(super) fn warnings(d: &Diagnosis, c: &Context<'_>) -> Section {
    let mut section = Section::new("ODD", 4, 1);
    for warning in c.warnings {
        section.line(format!("- {}", sentence(warning, REASON)));
    }
    if !c.region_listed {
        section.line(format!(
            "- {} is not in the regions file: its zones are taken to be az1, az2 and az3.",
            bound(d.region.as_str(), ZONE)
        ));
    }
    for zone in d.zones.iter().filter(|z| !z.expected) {
        section.line(format!("- {} has Magic Boxes, but is not a listed zone.", clean(zone.cluster.as_str(), ZONE)));
    }
    for (n, reading) in d.readings.iter().enumerate().filter(|(_, r)| r.boxes > 0) {
        for warning in &reading.warnings {
            section.line(format!("- Reading {}: {}", n + 1, sentence(warning, REASON)));
        }
    }
    for zone in in_focus(d) {
        for warning in zone.checks.iter().flat_map(|checks| &checks.warnings) {
            section.line(format!("- {}: {}", clean(zone.cluster.as_str(), ZONE), sentence(warning, REASON)));
        }
    }
    section
}
