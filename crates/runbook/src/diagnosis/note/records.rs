//! What stands last: when each piece of evidence was taken, where to go, what is not known, and what a person should know
//! beside the diagnosis.

use jiff::Timestamp;

use super::alike::{in_focus, missing_zones};
use super::evidence::ZONE;
use super::limits::Section;
use super::next::EXPLAINING as NAMED_IN_NEXT;
use super::text::{Day, bound, clean, count, link, sentence};
use super::{Context, client, whom, words};
use crate::diagnosis::{Diagnosis, Finding, ZoneDiagnosis};
use crate::notify::new_issue_url;

/// How long a reason or a warning is shown.
const REASON: usize = 300;
/// How long it is where it is the subject: what was refused, and what to do about it, stand at its end.
const WHOLE_REASON: usize = 700;

/// The open pages that are only named. Why they don't explain the alert stands among the warnings.
pub(super) fn also_open(c: &Context<'_>) -> Section {
    let mut section = Section::new(words::ALSO_OPEN, 5, 8);
    for page in c.also_open() {
        section.line(format!("- {} {}", clean(&page.title, 200), link(&page.html_url)));
    }
    section
}

/// When each piece of evidence was taken, in order of time.
fn moments(d: &Diagnosis, c: &Context<'_>) -> Vec<(Timestamp, String)> {
    let mut all = Vec::new();
    all.extend(c.alert_opened_at.map(|at| (at, "alert opened".to_owned())));
    for (n, reading) in d.readings.iter().enumerate() {
        let name = if n == 0 { "Jenkins reading".to_owned() } else { format!("Jenkins re-run {n}") };
        let build = reading.build_url.as_deref().map(|u| format!(", {}", link(u))).unwrap_or_default();
        all.push((reading.at, format!("{name}: {}{build}", count(reading.boxes, "box", "boxes"))));
    }
    // The clusters are asked side by side: mostly it is one time.
    let whole_second = |at: Timestamp| Timestamp::from_second(at.as_second()).unwrap_or(at);
    let clusters = in_focus(d).into_iter().filter_map(|z| z.checks.as_ref().map(|c| (whole_second(c.at), z)));
    all.extend(grouped(clusters).into_iter().map(|(at, names)| (at, format!("clusters asked: {names}"))));
    all.extend(c.related_at.map(|at| (at, "related pages looked for".to_owned())));
    all.extend(c.resolved_at.map(|at| (at, "alert found resolved".to_owned())));
    all.sort_by_key(|(at, _)| at.as_second());
    all
}

/// The day of the first piece of evidence: that of the note's times.
pub(super) fn day(d: &Diagnosis, c: &Context<'_>) -> Day {
    Day::of(moments(d, c).first().map_or(c.now, |(at, _)| *at))
}

/// A line a piece of evidence.
pub(super) fn times(d: &Diagnosis, c: &Context<'_>, day: Day) -> Section {
    let mut section = Section::new(format!("{} ({day}, UTC)", words::WHEN), 6, 3);
    for (at, what) in moments(d, c) {
        section.line(format!("- {} {what}", day.time(at)));
    }
    section
}

/// Where to go, but for what stands above already.
pub(super) fn links(d: &Diagnosis, c: &Context<'_>, above: &[String]) -> Section {
    let mut section = Section { joined: true, ..Section::new(words::LINKS, 9, 5) };
    let is_above = |url: &str| above.iter().any(|line| line.contains(&link(url)));
    if !c.run_url.is_empty() {
        section.line(format!("{}{}", words::THIS_RUN, link(c.run_url)));
    }
    let job = c.job_url.filter(|url| !is_above(url));
    section.lines.extend(job.map(|url| format!("- Jenkins job: {}", link(url))));
    if !is_above(&c.links.service_endpoint_slack) {
        section.line(format!("- {}", whom::service_endpoint(c)));
    }
    if !is_above(&c.links.escalation_policy) {
        section.line(format!("- {}", whom::registry(c)));
    }
    if !c.links.issue_tracker.is_empty() {
        section.line(format!("- Issues with the runbook or this alert: {}", new_issue(d, c)));
    }
    // The first of them are linked above, with what is to be done about them.
    for page in c.explaining().iter().skip(NAMED_IN_NEXT).filter(|page| !is_above(&page.html_url)) {
        section.line(format!("- Open page: {} {}", clean(&page.title, 200), link(&page.html_url)));
    }
    section
}

/// The tracker's link, with a title and what this run has found filled in.
fn new_issue(d: &Diagnosis, c: &Context<'_>) -> String {
    let region = clean(d.region.as_str(), 60);
    let title = format!("All SE endpoints down in {region}");
    let (kind, rule) = (d.verdict.kind.as_str(), d.verdict.rule.as_str());
    let body = format!("Region: {region}\nVerdict: {kind}, {rule}\nRun: {}\n\nWhat went wrong:\n", link(c.run_url));
    new_issue_url(&c.links.issue_tracker, &title, &body)
}

/// What could not be found out, and why.
pub(super) fn not_known(d: &Diagnosis, c: &Context<'_>) -> Section {
    let mut section = Section::new(words::NOT_KNOWN, 5, 4);
    if let Err(reason) = c.related {
        section.line(format!("- Whether related pages are open: {}", sentence(reason, WHOLE_REASON)));
    }
    let why = |z: &ZoneDiagnosis| if z.unread { "one could not be read." } else { "not in the reading." };
    // Where no reading shows a box, why not is said below.
    let is_read = d.readings.iter().any(|reading| reading.boxes > 0);
    for (why, names) in grouped(missing_zones(d).filter(|_| is_read).map(|z| (why(z), z))) {
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
        None => Some(("not asked.".to_owned(), zone)),
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
fn grouped<'a, T: PartialEq>(zones: impl Iterator<Item = (T, &'a ZoneDiagnosis)>) -> Vec<(T, String)> {
    let mut groups: Vec<(T, Vec<String>)> = Vec::new();
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
    let mut section = Section::new(words::WARNINGS, 4, 1);
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
