//! What the Service Endpoint team reads: the page's title and body, the note on a page that is joined; and the
//! prominent short notes on the alert when a page went wrong. None of them ends in a `run …` line.

use jiff::Timestamp;

use super::alike::{in_focus, said};
use super::evidence::{box_line, in_order, zone_line};
use super::limits::{Section, fit};
use super::text::{bound, capital, clean, count, link, sentence, utc};
use super::{Context, MAX_NOTE, MAX_PAGE_TITLE, SERVICE_ENDPOINT};
use crate::alert::Region;
use crate::diagnosis::{Diagnosis, Rule, VerdictKind};
use crate::links::Links;

/// A look before the one that is under way: until that one has found something, what it found is what is known.
#[derive(Clone, Copy, Debug)]
pub struct EarlierLook<'a> {
    /// When it read the boxes.
    pub at: Timestamp,
    /// Its run's view.
    pub run_url: &'a str,
}

impl EarlierLook<'_> {
    fn line(self) -> String {
        format!(
            "This is what an earlier look found, at {}: {} The look that is under way has found nothing yet.",
            utc(self.at),
            link(self.run_url)
        )
    }
}

/// The title of the page: at most [`MAX_PAGE_TITLE`] characters, and never an alert's or a related page's.
pub fn page_title(diagnosis: &Diagnosis) -> String {
    let why = match diagnosis.verdict.rule {
        Rule::AllSeRejectingUpstreamUp | Rule::AllSeRejectingUpstreamDown => ", every Magic Box rejects connections",
        Rule::MixedStatus => ", some Magic Boxes reject connections",
        Rule::AllSeAccepting | Rule::RecoveredOnRerun | Rule::NoReading | Rule::IncompleteReading => "",
    };
    title(&diagnosis.region, why)
}

/// The title of a page that a person asks for before there is a diagnosis.
pub fn page_title_without_diagnosis(region: &Region) -> String {
    title(region, "")
}

fn title(region: &Region, why: &str) -> String {
    // "are down": the alert's own title has no "are", and this must never be taken for it.
    let start = "All SE endpoints are down in registry region ";
    let room = MAX_PAGE_TITLE - start.chars().count() - why.chars().count();
    format!("{start}{}{why}", bound(region.as_str(), room))
}

/// The body of the page: region, Magic Boxes (`0:1` first), what Jenkins and the clusters said, links. At most
/// [`MAX_NOTE`] characters. `earlier` is the look that found it, where that is not the last.
pub fn page_body(
    diagnosis: &Diagnosis,
    context: &Context<'_>,
    alert_title: &str,
    alert_url: &str,
    earlier: Option<EarlierLook<'_>>,
) -> String {
    let d = diagnosis;
    let mut why = Section::new("WHY", 3, 9);
    why.lines.extend(earlier.map(EarlierLook::line));
    why.line(capital(&sentence(&d.verdict.summary, 500)));
    why.line(format!("By registry's runbook: {}. Class: {}.", verdict_words(d.verdict.kind), d.class.as_str()));
    let mut boxes = boxes(d);
    boxes.keep = 20;
    let mut jenkins = Section::new("EVIDENCE FROM JENKINS", 4, 4);
    for reading in &d.readings {
        let build = reading.build_url.as_deref().map(|u| format!(", {}", link(u))).unwrap_or_default();
        jenkins.line(format!("- {}: {}{build}", utc(reading.at), count(reading.boxes, "box", "boxes")));
        for warning in reading.warnings.iter().take(3) {
            jenkins.line(format!("  {}", sentence(warning, 200)));
        }
    }
    let mut clusters = Section::new("EVIDENCE FROM REGISTRY'S CLUSTERS (asked behind the Magic Boxes)", 6, 5);
    for zone in in_focus(d) {
        let at = zone.checks.as_ref().map(|c| format!(" ({})", utc(c.at))).unwrap_or_default();
        clusters.line(format!("- {}{at}", zone_line(zone, &said(zone.checks.as_ref()))));
    }
    if let Err(reason) = context.related {
        clusters.line(format!("Whether other registry pages are open is not known: {}", sentence(reason, 200)));
    }
    let links = links(alert_title, alert_url, context.run_url, context.links);
    fit(&introduction(&d.region), vec![why, boxes, jenkins, clusters, links], None, &link(context.run_url), MAX_NOTE)
}

/// A person may ask for a page whatever the verdict: the team is told what it is.
fn verdict_words(kind: VerdictKind) -> &'static str {
    match kind {
        VerdictKind::ServiceEndpoint => "a Service Endpoint problem",
        VerdictKind::Registry => "probably a registry problem, a person asked for this page all the same",
        VerdictKind::Transient => "perhaps a transient state, a person asked for this page all the same",
        VerdictKind::Mixed => "the zones differ, a person asked for this page",
        VerdictKind::Inconclusive => "not enough is known, a person asked for this page",
    }
}

/// The body of a page that a person asks for before there is a diagnosis.
pub fn page_body_without_diagnosis(
    region: &Region,
    run_url: &str,
    links_to: &Links,
    alert_title: &str,
    alert_url: &str,
    asked_by: Option<&str>,
) -> String {
    let mut why = Section::new("WHY", 3, 9);
    let who = asked_by.map_or_else(|| "A person".into(), |name| clean(name, 60));
    why.line(format!("{who} asked for this page before the diagnosis was done."));
    why.line("The Magic Box IDs are not known yet. They will be in the run's view, linked below.");
    let links = links(alert_title, alert_url, run_url, links_to);
    fit(&introduction(region), vec![why, links], None, &link(run_url), MAX_NOTE)
}

/// The note on an open page of the Service Endpoint team, which is joined instead of opening another. `earlier` as for
/// [`page_body`].
pub fn join_note(
    region: &Region,
    diagnosis: Option<&Diagnosis>,
    earlier: Option<EarlierLook<'_>>,
    run_url: &str,
    links_to: &Links,
    alert_title: &str,
    alert_url: &str,
) -> String {
    let head = [
        format!("Registry sees this too: all SE endpoints are down in {}.", bound(region.as_str(), 80)),
        "No other page is opened: registry's alert has joined this one.".into(),
    ];
    let mut sections = Vec::new();
    if let Some(d) = diagnosis {
        let mut why = Section::new("WHY", 2, 9);
        why.lines.extend(earlier.map(EarlierLook::line));
        why.line(capital(&sentence(&d.verdict.summary, 500)));
        sections.extend([why, boxes(d)]);
    }
    sections.push(links(alert_title, alert_url, run_url, links_to));
    fit(&head, sections, None, &link(run_url), MAX_NOTE)
}

/// The short note on the alert when a page was tried and failed: nobody was paged, and a person must.
pub fn page_failed(
    region: &Region,
    diagnosis: Option<&Diagnosis>,
    reason: &str,
    run_url: &str,
    links_to: &Links,
) -> String {
    let head = [
        format!("NOBODY WAS PAGED for {}: the page to {SERVICE_ENDPOINT} failed.", bound(region.as_str(), 60)),
        format!("Do now: page {SERVICE_ENDPOINT} by hand in PagerDuty."),
        format!("Why it failed: {}", sentence(reason, 400)),
    ];
    let mut sections = Vec::new();
    if let Some(d) = diagnosis {
        let mut ids = Section::new("Magic Box IDs to give them:", 12, 9);
        for (_, b) in in_order(d) {
            ids.line(format!("- {} ({}:{})", clean(&b.magic_box_id, 200), b.se_status, b.upstream_status));
        }
        sections.push(ids);
    }
    sections.push(call(run_url, links_to));
    fit(&head, sections, None, &link(run_url), MAX_NOTE)
}

/// The short note on the alert when the page is open, but perhaps nobody hears it (unassigned, its service disabled
/// or in maintenance).
pub fn page_problem(region: &Region, page_url: &str, problem: &str, run_url: &str, links_to: &Links) -> String {
    let head = [
        format!("MAYBE NOBODY HEARS THE PAGE for {}.", bound(region.as_str(), 60)),
        format!("Do now: reach {SERVICE_ENDPOINT} another way, Slack #private-marketplace."),
        format!("What is wrong with the page: {}", sentence(problem, 400)),
    ];
    let mut page = Section::new("", 1, 9);
    page.line(format!("The page: {}", link(page_url)));
    fit(&head, vec![page, call(run_url, links_to)], None, &link(run_url), MAX_NOTE)
}

/// The short note on the alert when a page is open of which it was said that it failed, or is held, or that another is the page.
pub fn page_after_all(region: &Region, page_url: &str, run_url: &str, links_to: &Links) -> String {
    let head = [
        format!("PAGED AFTER ALL for {}: PagerDuty opened the page late.", bound(region.as_str(), 60)),
        format!("Do now: work with the page below. If you paged {SERVICE_ENDPOINT} by hand, resolve one of the two."),
        "An earlier note on this incident said otherwise.".to_owned(),
    ];
    let mut page = Section::new("", 1, 9);
    page.line(format!("The page: {}", link(page_url)));
    fit(&head, vec![page, call(run_url, links_to)], None, &link(run_url), MAX_NOTE)
}

/// What is left of a note of ours that PagerDuty has written twice, where it can't be deleted.
pub fn pointer(run_url: &str) -> String {
    let mut text = "This note was written twice. Read the other one on this incident.".to_owned();
    if !run_url.is_empty() {
        text.push_str(&format!("\nThe diagnosis: {}", link(run_url)));
    }
    text
}

fn call(run_url: &str, links_to: &Links) -> Section {
    let mut section = Section::new("", 2, 9);
    section.line(format!("Slack #private-marketplace: {}", link(&links_to.service_endpoint_slack)));
    if !run_url.is_empty() {
        section.line(format!("The diagnosis: {}", link(run_url)));
    }
    section
}

fn introduction(region: &Region) -> [String; 2] {
    [
        format!("All SE endpoints of registry's region {} are down.", bound(region.as_str(), 80)),
        "Registry's end-to-end check through SE gets no 200 OK from /status in any zone.".into(),
    ]
}

fn boxes(d: &Diagnosis) -> Section {
    let mut section = Section::new(
        "MAGIC BOXES, 0:1 first (SE 1 accepts, 0 rejects; upstream, which is registry, 1 is 200, 0 another status, -1 none)",
        12,
        8,
    );
    for (zone, b) in in_order(d) {
        section.line(format!("- {}", box_line(zone, b)));
    }
    if section.lines.is_empty() {
        section.line("None could be read from the Jenkins job.");
    }
    section
}

fn links(alert_title: &str, alert_url: &str, run_url: &str, links_to: &Links) -> Section {
    let mut section = Section::new("LINKS", 3, 7);
    section.line(format!("- Registry's alert: \"{}\" {}", clean(alert_title, 200), link(alert_url)));
    if !run_url.is_empty() {
        section.line(format!("- The diagnosis: {}", link(run_url)));
    }
    section.line(format!("- Registry, Slack registry-va-users: {}", link(&links_to.registry_slack)));
    section
}
