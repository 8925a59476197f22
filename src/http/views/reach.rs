//! The bar that stays in reach of a thumb: to page, to copy the Magic Box IDs or a text to hand over, to open the incident.

use std::cmp::Reverse;

use super::first::in_focus;
use super::words::clock;
use runbook::diagnosis::note::of_zone;
use runbook::diagnosis::{Diagnosis, MagicBox, VerdictKind, ZoneDiagnosis};
use runbook::run::Run;

/// The bar.
pub(super) struct Reach {
    /// What a person is shown before they page; `None` where there is nothing to page for.
    pub page: Option<Asked>,
    /// The region's Magic Box IDs, `0:1` first, one a line.
    pub ids: String,
    /// What to tell who takes over.
    pub hand_over: String,
}

/// What a person is shown before they page.
pub(super) struct Asked {
    /// The verdict asks for it.
    pub wanted: bool,
    /// What speaks against it, each a sentence.
    pub against: Vec<String>,
    /// What would be sent: its title and its text.
    pub sent: (String, String),
}

/// The bar of a run; `head` are the note's three lines, `run_url` is the link to its view.
pub(super) fn reach(run: &Run, head: &[String; 3], sent: (String, String), run_url: &str) -> Reach {
    let diagnosis = run.diagnosis.as_ref();
    let boxes = diagnosis.map(in_order).unwrap_or_default();
    let page = run.may_be_paged_for().then(|| Asked {
        wanted: diagnosis.is_some_and(|d| d.verdict.kind == VerdictKind::ServiceEndpoint),
        against: against(run),
        sent,
    });
    let ids: Vec<&str> = boxes.iter().map(|(_, b)| b.magic_box_id.as_str()).collect();
    Reach { page, ids: ids.join("\n"), hand_over: hand_over(run, &boxes, head, run_url) }
}

/// What speaks against a page, beside what would hold an automatic one.
fn against(run: &Run) -> Vec<String> {
    let mut against = Vec::new();
    let verdict = match run.diagnosis.as_ref().map(|d| d.verdict.kind) {
        None => "There is no diagnosis yet: the Magic Box IDs are not known.",
        Some(VerdictKind::ServiceEndpoint) => "",
        Some(VerdictKind::Registry) => "The diagnosis says: probably Registry, not Service Endpoint.",
        Some(VerdictKind::Transient) => "It may be over by itself. Run it again first.",
        Some(VerdictKind::Mixed) => "The zones differ, and one reading may be transient. Run it again first.",
        Some(VerdictKind::Inconclusive) => "Not enough is known to say whose problem it is.",
    };
    against.extend((!verdict.is_empty()).then(|| verdict.to_owned()));
    against.extend(run.escalation.reason.iter().flat_map(|reason| reason.lines()).map(str::to_owned));
    let named = |title: &str| against.iter().any(|line| line.contains(title));
    let related: Vec<&str> = run.related.iter().map(|page| page.title.as_str()).filter(|title| !named(title)).collect();
    against.extend(related.into_iter().map(|title| format!("Another page is open: {title}")));
    let held = run.alert.as_ref().and_then(|alert| alert.held_by.as_ref());
    against.extend(held.map(|by| format!("Automatic paging is on hold, by {by}.")));
    against
}

/// The boxes to name, in the runbook's order: `0:1` first, then `1:x`, then the others.
fn in_order(diagnosis: &Diagnosis) -> Vec<(&ZoneDiagnosis, &MagicBox)> {
    let mut boxes: Vec<_> =
        in_focus(diagnosis).into_iter().flat_map(|zone| zone.boxes.iter().map(move |b| (zone, b))).collect();
    boxes.sort_by_key(|(_, b)| {
        let group = match (b.se_status, b.upstream_status) {
            (0, 1) => 0,
            (1, _) => 1,
            _ => 2,
        };
        (group, Reverse(b.upstream_status))
    });
    boxes
}

fn hand_over(run: &Run, boxes: &[(&ZoneDiagnosis, &MagicBox)], head: &[String; 3], run_url: &str) -> String {
    let mut lines: Vec<String> = head.to_vec();
    if let Some(incident) = &run.incident {
        lines.push(format!("Alert: #{} {} {}", incident.number, incident.title, incident.html_url));
    }
    if let Some(page) = &run.escalation.page {
        lines.push(match &page.acknowledged_by {
            Some(by) => format!("Page: {} acknowledged by {by}", page.html_url),
            None => format!("Page: {} not acknowledged yet", page.html_url),
        });
    }
    if let Some(diagnosis) = &run.diagnosis {
        let at = diagnosis.readings.last().map(|reading| format!(", read at {} UTC", clock(reading.at)));
        if !boxes.is_empty() {
            lines.push(format!("Magic Boxes (SE:upstream){}:", at.unwrap_or_default()));
        }
        lines.extend(boxes.iter().map(|(zone, b)| {
            format!("- {} ({}:{}) {}", b.magic_box_id, b.se_status, b.upstream_status, zone.cluster.as_str())
        }));
        lines.push("Zones:".to_owned());
        lines.extend(in_focus(diagnosis).into_iter().map(|zone| {
            let [said, broken_at, _] = of_zone(zone);
            format!("- {}: {said}. {broken_at}", zone.cluster.as_str())
        }));
    }
    lines.push(format!("Run: {run_url}"));
    lines.join("\n")
}
