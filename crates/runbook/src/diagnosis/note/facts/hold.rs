//! Holds a note against the table.

use super::{ALWAYS, CELLS, FINDINGS, Fact, News, VERDICTS};
use crate::diagnosis::note::advice::{self, Target};
use crate::diagnosis::note::client::is_over;
use crate::diagnosis::note::evidence::in_order;
use crate::diagnosis::note::{MAX_FIRST_LINE, MAX_NOTE, PageNews};
use crate::diagnosis::{Diagnosis, Finding, RelatedPage, ZoneDiagnosis};

/// A note and what it was written from.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// The diagnosis.
    pub diagnosis: &'a Diagnosis,
    /// What has become of the page.
    pub page: PageNews<'a>,
    /// Related pages that are open.
    pub related: &'a [RelatedPage],
    /// The run.
    pub run_id: &'a str,
    /// The run's view.
    pub run_url: &'a str,
    /// What was written.
    pub note: &'a str,
}

/// What a note lacks; nothing where all is well.
pub fn missing(case: &Case<'_>) -> Vec<String> {
    let mut missing = shape(case);
    let zones: Vec<&ZoneDiagnosis> = case.diagnosis.zones.iter().collect();
    let start = match advice::target(case.diagnosis) {
        Target::Zone(zone) => zone,
        Target::AllDisabled | Target::None => match zones.first() {
            Some(zone) => zone,
            None => return vec!["there is no zone".into()],
        },
    };
    hold(case, ALWAYS, "always", start, &mut missing);
    hold(case, VERDICTS, "verdicts", start, &mut missing);
    hold(case, CELLS, "cells", start, &mut missing);
    for zone in zones {
        hold(case, FINDINGS, "findings", zone, &mut missing);
        // A box's line begins with its zone too, and so may a warning.
        let start = format!("- {}: ", zone.cluster);
        let of_zone: Vec<&str> = case.note.lines().filter_map(|l| l.strip_prefix(&start)).collect();
        match of_zone.iter().filter(|l| l.contains("Private ingress accepts connections: ")).count() {
            1 => {}
            lines => missing.push(format!("{lines} lines rather than one for {}", zone.cluster)),
        }
        for magic_box in &zone.boxes {
            let status = format!("SE={} upstream={}, ", magic_box.se_status, magic_box.upstream_status);
            let words = [&magic_box.magic_box_id, &magic_box.backend_ip, &magic_box.frontend];
            let is_its = |l: &&&str| l.starts_with(&status) && words.iter().all(|w| l.contains(w.as_str()));
            let lines = of_zone.iter().filter(is_its).count();
            if lines != 1 {
                missing.push(format!("{lines} lines rather than one for the box {}", magic_box.name));
            }
        }
    }
    let builds = case.diagnosis.readings.iter().filter_map(|r| r.build_url.as_deref());
    missing.extend(builds.filter(|url| !case.note.contains(url)).map(|url| format!("a link to the build {url}")));
    missing
}

/// What holds for any note at all.
fn shape(case: &Case<'_>) -> Vec<String> {
    let lines: Vec<&str> = case.note.lines().collect();
    let line = |n: usize| lines.get(n).copied().unwrap_or_default();
    let last = format!("\nrun {}", case.run_id);
    [
        (case.note.chars().count() <= MAX_NOTE, "it is too long"),
        (line(0).chars().count() <= MAX_FIRST_LINE, "its first line is too long"),
        (line(1).starts_with("Do now: "), "its second line doesn't say what to do now"),
        (line(2).to_lowercase().contains("paged"), "its third line doesn't say whether somebody was paged"),
        (!case.note.chars().any(|c| c.is_control() && c != '\n'), "it has control characters"),
        (lines.iter().filter(|l| l.starts_with("run ")).count() == 1, "it has not one line that names a run"),
        (case.note.ends_with(&last), "its last line doesn't name the run"),
    ]
    .into_iter()
    .filter(|(holds, _)| !holds)
    .map(|(_, what)| what.to_owned())
    .collect()
}

/// Holds the rows that apply for a zone; one must.
fn hold(case: &Case<'_>, facts: &[Fact], table: &str, zone: &ZoneDiagnosis, missing: &mut Vec<String>) {
    let first_three: String = case.note.lines().take(3).map(|l| format!("{l}\n")).collect();
    // What is over is to be waited for, whatever its verdict and findings.
    if table == "cells" && is_over(case.diagnosis) {
        return;
    }
    let mut applied = false;
    for fact in facts.iter().filter(|f| applies(f, case, zone)) {
        applied = true;
        for (words, place, name) in
            [(fact.first, first_three.as_str(), "first lines"), (fact.anywhere, case.note, "note")]
        {
            for word in words {
                match fill(word, case, zone) {
                    Ok(word) if place.contains(&word) => {}
                    Ok(word) => missing.push(format!("{word:?} in its {name} (runbook: {})", fact.runbook)),
                    Err(what) => missing.push(format!("a value for {what}, asked for by {word:?}")),
                }
            }
        }
    }
    // With related pages open, they are what to do now.
    let related_first = table == "cells" && !case.related.is_empty();
    if !applied && !related_first {
        missing.push(format!("a row of {table} for {}", zone.cluster));
    }
}

fn finding(zone: &ZoneDiagnosis) -> Finding {
    zone.checks.as_ref().map_or(Finding::Unknown, |c| c.finding)
}

/// Whether a row is about this case and zone.
pub(in crate::diagnosis::note) fn applies(fact: &Fact, case: &Case<'_>, zone: &ZoneDiagnosis) -> bool {
    let d = case.diagnosis;
    (fact.kinds.is_empty() || fact.kinds.contains(&d.verdict.kind))
        && (fact.rules.is_empty() || fact.rules.contains(&d.verdict.rule))
        && (fact.findings.is_empty() || fact.findings.contains(&finding(zone)))
        && (fact.broken_at.is_empty() || fact.broken_at.contains(&zone.broken_at))
        && (fact.news.is_empty() || fact.news.contains(&News::from(&case.page)))
        && (fact.client.is_empty() || fact.client.contains(&d.client.as_ref().map(|client| client.finding)))
        && fact.client_suspected.is_none_or(|c| c == d.client_suspected)
        && fact.related.is_none_or(|open| open != case.related.is_empty())
}

/// Puts the case's values in place of words in braces.
fn fill(word: &str, case: &Case<'_>, zone: &ZoneDiagnosis) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('{') {
        filled += before;
        match after.split_once('}') {
            Some((name, after)) if name.chars().all(|c| c.is_ascii_lowercase() || c == '_') => {
                filled += &value(name, case, zone).ok_or_else(|| format!("{{{name}}}"))?;
                rest = after;
            }
            _ => {
                filled.push('{');
                rest = after;
            }
        }
    }
    Ok(filled + rest)
}

fn value(name: &str, case: &Case<'_>, zone: &ZoneDiagnosis) -> Option<String> {
    let checks = zone.checks.as_ref();
    let konicle = || checks?.konicle.as_ref();
    let error = |length| {
        let error: String = checks?.error.as_ref()?.chars().take(length).collect();
        Some(error.trim_end_matches('.').trim_end().to_owned())
    };
    let off = |value: &Option<String>| value.as_deref() == Some("false");
    let news = || match &case.page {
        PageNews::Suggested { incident_id, reasons } | PageNews::Held { incident_id, reasons } => {
            Some((*incident_id, reasons.first().cloned()))
        }
        _ => None,
    };
    Some(match name {
        "region" => case.diagnosis.region.to_string(),
        "zone" => zone.cluster.to_string(),
        "statuses" => advice::statuses(zone),
        "run_url" => case.run_url.to_owned(),
        "base" => case.run_url.rsplit_once("/runs/")?.0.to_owned(),
        // Where no context is known, no word that a shell takes for one.
        "context" => checks.and_then(|c| c.context.clone()).unwrap_or_else(|| format!("<context of {}>", zone.cluster)),
        "pod" => {
            let asked = checks.and_then(|c| c.status.as_ref()).map(|s| s.pod.clone());
            let running = || checks?.ingress.iter().find(|p| p.status == "Running").map(|p| p.name.clone());
            let any = || checks?.ingress.first().map(|p| p.name.clone());
            asked.or_else(running).or_else(any).unwrap_or_else(|| "<ingress_pod_name>".into())
        }
        // What is not known has it as good as whole.
        "error" => error(600)?,
        "switch" => if off(&konicle()?.ready) { "ready" } else { "private-override" }.into(),
        "ingress_pod" => checks?.ingress.first()?.name.clone(),
        "ingress_status" => checks?.ingress.first()?.status.clone(),
        "ingress_ready" => checks?.ingress.first()?.ready.clone(),
        "konicle_pod" => checks?.konicle_pods.first()?.name.clone(),
        "konicle_status" => checks?.konicle_pods.first()?.status.clone(),
        "konicle_ready" => checks?.konicle_pods.first()?.ready.clone(),
        "frontend" => zone.boxes.first()?.frontend.clone(),
        "first_box" => in_order(case.diagnosis).first()?.1.magic_box_id.clone(),
        "incident" => news()?.0.to_owned(),
        "reason" => news()?.1?.trim_end_matches('.').to_owned(),
        "related" => case.related.first()?.title.clone(),
        "page" => match case.page {
            PageNews::Paged { html_url, .. } => html_url.to_owned(),
            _ => return None,
        },
        _ => return None,
    })
}
