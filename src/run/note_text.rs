//! Puts together what a note is written from.

use jiff::Timestamp;

use crate::config::Config;
use outbound::clock::Clock;
use runbook::diagnosis::note::{Context, PageNews, PastRun};
use runbook::diagnosis::{Diagnosis, VerdictKind};
use runbook::gate::{self, EscalationMode};
use runbook::span::{after, between};
use store::{PageRecord, PageState};

use super::words::Past;
use runbook::run::{EscalationState, Facts, Run};

/// Calls `with` with the context of a run's note, as things stand at `now`, with its times as people are shown them.
pub fn with_context<T>(
    config: &Config,
    run: &Run,
    facts: &Facts,
    past: &Past,
    page: Option<&PageRecord>,
    (clock, now): (&Clock, Timestamp),
    with: impl FnOnce(&Context<'_>) -> T,
) -> T {
    let url = config.run_url(&run.id);
    let incident_id = run.incident.as_ref().or(run.drill.as_ref()).map(|i| i.id.as_str()).unwrap_or_default();
    let reasons: Vec<String> =
        run.escalation.reason.as_deref().map(|r| r.lines().map(str::to_owned).collect()).unwrap_or_default();
    let news = match page {
        Some(page) => news_of_page(page),
        // Nobody is asked to page for what is over.
        None if facts.resolved_at.is_some() => PageNews::NotWanted,
        None => match run.escalation.state {
            EscalationState::Held => PageNews::Held { incident_id, reasons: &reasons },
            // The gate has let it pass; it is opened right after the note.
            EscalationState::Requested => PageNews::Paging { waits_for: None },
            EscalationState::Suggested => PageNews::Suggested { incident_id, reasons: &reasons },
            _ if wanted(run.diagnosis.as_ref()) => PageNews::Off,
            _ => PageNews::NotWanted,
        },
    };
    let history: Vec<PastRun> = past.runs.iter().filter_map(|before| past_run(config, clock, run, before)).collect();
    let mut warnings = facts.warnings.clone();
    warnings.extend(facts.related_only_named.iter().chain(&facts.open_left_out).cloned());
    let title = facts.alert_title(run.incident.as_ref().or(run.drill.as_ref()));
    let title = title.and_then(|title| gate::other_title(title, &run.region));
    // What is said of the page says it already: as it was called when the page was held.
    let is_said = matches!(news, PageNews::Held { .. } | PageNews::Suggested { .. })
        && reasons.iter().any(|reason| gate::says_title(reason));
    let title = title.filter(|_| !is_said);
    warnings.extend(title.map(|title| title.replacen("the alert", "The alert", 1)));
    let context = Context {
        run_id: &run.id,
        run_url: &url,
        job_url: Some(config.jenkins.job_url.as_str()),
        links: &config.regions.links,
        region_listed: config.zones_of(&run.region).listed,
        alert_opened_at: facts.alert_opened_at,
        resolved_at: facts.resolved_at,
        related: facts.related_unknown.as_deref().map_or(Ok(run.related.as_slice()), Err),
        only_named: run.related.len().saturating_sub(facts.explaining),
        related_at: facts.related_at.map(|at| clock.shown(at)),
        looks_again_at: past
            .looks_again
            .then_some(facts.related_at)
            .flatten()
            .map(|at| clock.shown(after(at, config.follow_up))),
        other_regions: &facts.other_regions,
        at_once: &facts.at_once,
        suppressed_by: &facts.suppressed_by,
        suppressed_for: facts.suppressed_since.zip(facts.suppressed_until).map(|(from, to)| between(from, to)),
        history: &history,
        flaps_last_hour: past.alerts_last_hour,
        page: news,
        warnings: &warnings,
        now: clock.shown(now),
    };
    with(&context)
}

/// What an earlier run found.
fn past_run(config: &Config, clock: &Clock, run: &Run, before: &Run) -> Option<PastRun> {
    let verdict = &before.diagnosis.as_ref()?.verdict;
    let id = |run: &Run| run.incident.as_ref().map(|incident| incident.id.clone());
    Some(PastRun {
        at: clock.shown(before.finished_at.unwrap_or(before.created_at)),
        took: before.finished_at.map(|end| between(before.created_at, end)),
        verdict: verdict.kind.as_str().to_owned(),
        rule: verdict.rule.as_str().to_owned(),
        run_url: config.run_url(&before.id),
        same_incident: id(run).is_some() && id(run) == id(before),
    })
}

fn wanted(diagnosis: Option<&Diagnosis>) -> bool {
    diagnosis.is_some_and(|d| d.verdict.kind == VerdictKind::ServiceEndpoint)
}

fn news_of_page(page: &PageRecord) -> PageNews<'_> {
    match page.state {
        PageState::Requested => PageNews::Paging { waits_for: page.waits_for.as_deref() },
        PageState::Paged => PageNews::Paged {
            html_url: page.page_url.as_deref().unwrap_or_default(),
            joined: page.joined,
            problem: page.reason.as_deref(),
            asked_by: page.asked_by.as_deref(),
        },
        PageState::Unreadable => PageNews::Unreadable { reason: page.reason.as_deref().unwrap_or_default() },
        PageState::Failed => {
            PageNews::Failed { reason: page.reason.as_deref().unwrap_or("it is not known why: see the log") }
        }
    }
}

/// Whether a person may be asked to page: what `POST /escalate` would do is never `off`.
pub fn escalation_of(decision: &gate::Decision, mode: EscalationMode) -> (EscalationState, Option<String>) {
    use gate::Decision;
    let reasons = |reasons: &[String]| (!reasons.is_empty()).then(|| reasons.join("\n"));
    match decision {
        Decision::Suggest(why) => (EscalationState::Suggested, reasons(why)),
        Decision::Hold(why) => (EscalationState::Held, reasons(why)),
        Decision::Page if mode == EscalationMode::Auto => (EscalationState::Requested, None),
        Decision::Page | Decision::NotWanted | Decision::Off => (EscalationState::None, None),
    }
}
