//! The bar that stays in reach of a thumb: to page, to copy the Magic Box IDs or a text to hand over, to open the incident.

use super::words::clock;
use runbook::diagnosis::note::{against_page, in_focus, in_order, of_zone};
use runbook::diagnosis::{MagicBox, VerdictKind, ZoneDiagnosis};
use runbook::run::{EscalationState, Run};

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
    /// The verdict asks for it, and nothing speaks against it.
    pub wanted: bool,
    /// What speaks against it, each a sentence.
    pub against: Vec<String>,
    /// What would be sent: its title and its text.
    pub sent: (String, String),
    /// The run goes on: what it will find yet is sent too.
    pub goes_on: bool,
}

/// The bar of a run; `head` are the note's three lines, `sent` is what a page would say where one may still be opened,
/// `run_url` is the link to its view.
pub(super) fn reach(run: &Run, head: &[String; 3], sent: Option<(String, String)>, run_url: &str) -> Reach {
    let diagnosis = run.diagnosis.as_ref();
    let boxes = diagnosis.map(in_order).unwrap_or_default();
    let page = sent.map(|sent| {
        let against = against(run);
        let is_asked_for = diagnosis.is_some_and(|d| d.verdict.kind == VerdictKind::ServiceEndpoint);
        Asked { wanted: is_asked_for && against.is_empty(), against, sent, goes_on: run.state.is_active() }
    });
    let ids: Vec<&str> = boxes.iter().map(|(_, b)| b.magic_box_id.as_str()).collect();
    Reach { page, ids: ids.join("\n"), hand_over: hand_over(run, &boxes, head, run_url) }
}

/// What speaks against a page, beside what would hold an automatic one.
pub(super) fn against(run: &Run) -> Vec<String> {
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
    // That a page was tried and failed is no reason not to try it again.
    let reason = run.escalation.reason.as_ref().filter(|_| run.escalation.state != EscalationState::Failed);
    against.extend(reason.into_iter().flat_map(|reason| reason.lines()).map(str::to_owned));
    // Where nothing was decided, what would have held the page is not kept: then what the note says to do first.
    let advice =
        run.diagnosis.as_ref().filter(|_| run.escalation.state == EscalationState::None).and_then(against_page);
    against.extend(advice.map(str::to_owned));
    let named = |title: &str| against.iter().any(|line| line.contains(title));
    let related: Vec<&str> = run.related.iter().map(|page| page.title.as_str()).filter(|title| !named(title)).collect();
    against.extend(related.into_iter().map(|title| format!("Another page is open: {title}")));
    let held = run.alert.as_ref().and_then(|alert| alert.held_by.as_ref());
    against.extend(held.map(|by| format!("Automatic paging is on hold, by {by}.")));
    against
}

fn hand_over(run: &Run, boxes: &[(&ZoneDiagnosis, &MagicBox)], head: &[String; 3], run_url: &str) -> String {
    let mut lines: Vec<String> = head.to_vec();
    if let Some(incident) = &run.incident {
        lines.push(format!("Alert: #{} {} {}", incident.number, incident.title, incident.html_url));
    }
    if let Some(page) = &run.escalation.page {
        lines.push(match &page.acknowledged_by {
            _ if page.closed_at.is_some() => format!("Page: {} resolved", page.html_url),
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

#[cfg(test)]
mod tests {
    use super::*;
    use runbook::diagnosis::{Diagnosis, Earlier, Evidence, verdict};

    /// A run whose verdict asks for the page, which nobody has opened.
    fn run(state: EscalationState, reason: Option<&str>) -> Run {
        let mut run: Run = serde_json::from_value(serde_json::json!({
            "id": "r", "incident": null, "region": "prod-a", "trigger": "webhook", "state": "done", "reason": null,
            "created_at": "2026-08-14T03:12:05Z", "finished_at": null, "diagnosis": null, "related": [],
            "escalation": {"state": state.as_str(), "page": null, "reason": reason}, "note": null, "steps": []
        }))
        .expect("a run");
        let none = Evidence {
            region: &run.region,
            expected: &[],
            readings: &[],
            checks: &[],
            earlier: &Earlier::default(),
            listed: &[],
        };
        let mut diagnosis: Diagnosis = verdict::diagnose(&none);
        diagnosis.verdict.kind = VerdictKind::ServiceEndpoint;
        run.diagnosis = Some(diagnosis);
        run
    }

    fn asked(run: &Run) -> Asked {
        let sent = Some((String::new(), String::new()));
        reach(run, &[const { String::new() }; 3], sent, "https://x/runs/r").page.expect("a page")
    }

    #[test]
    fn the_button_is_the_first_thing_to_press_only_where_nothing_speaks_against_the_page() {
        for (state, reason, wanted, against) in [
            (EscalationState::Suggested, None, true, 0),
            (EscalationState::Suggested, Some("evidence is too old\nthe title is another"), false, 2),
            (EscalationState::Held, Some("the hour's pages are used up"), false, 1),
            (EscalationState::Failed, Some("PagerDuty answered 500"), true, 0),
        ] {
            let asked = asked(&run(state, reason));
            assert_eq!((asked.wanted, asked.against.len()), (wanted, against), "{state} {reason:?}");
        }
        let mut mixed = run(EscalationState::None, None);
        mixed.diagnosis.as_mut().expect("a diagnosis").verdict.kind = VerdictKind::Mixed;
        assert!(!asked(&mixed).wanted);
    }

    #[test]
    fn where_nothing_is_held_for_what_the_note_says_to_do_first_speaks_against_the_page() {
        let off = run(EscalationState::None, None);
        assert!(asked(&off).wanted);
        let mut elsewhere = off.clone();
        elsewhere.diagnosis.as_mut().expect("a diagnosis").client_suspected = true;
        assert!(!asked(&elsewhere).wanted);
        let mut explained = off;
        let page = serde_json::json!({"id": "Q9", "title": "Public prod-a down", "html_url": "https://pd.example/Q9"});
        explained.related = vec![serde_json::from_value(page).expect("a page")];
        assert!(!asked(&explained).wanted);
    }

    #[test]
    fn what_would_be_sent_may_change_while_the_run_goes_on() {
        let mut run = run(EscalationState::None, None);
        assert!(!asked(&run).goes_on);
        run.state = runbook::run::State::Running;
        assert!(asked(&run).goes_on);
    }
}
