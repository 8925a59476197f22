//! What stands first in the list: each alert that needs somebody, and that several regions alerted at once.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::moment::Moment;
use super::reach::against;
use super::standing::is_unknown;
use super::words;
use runbook::diagnosis::VerdictKind;
use runbook::related::AT_ONCE;
use runbook::run::{AlertPhase, EscalationState, PageRef, Run, State};
use runbook::span::between;

/// An alert that needs somebody.
pub(super) struct Need {
    pub run_id: String,
    pub region: String,
    /// What is the matter, with the name of its colour.
    pub what: (&'static str, &'static str),
    /// What to do about it.
    pub now: &'static str,
    /// What was found.
    pub why: String,
    pub since: Moment,
}

/// Several regions that alerted at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AtOnce {
    pub regions: Vec<String>,
    /// Between the first and the last.
    pub within: String,
    /// In each of them everything that was looked at works.
    pub client_suspected: bool,
}

/// The incident that an alert is by now: the one that its own was merged into, where it was.
fn alert_of(run: &Run) -> Option<&str> {
    let merged_into = run.alert.as_ref().and_then(|alert| alert.merged_into.as_deref());
    merged_into.or(run.incident.as_ref().map(|incident| incident.id.as_str()))
}

/// The runs of each alert that is not over, newest first.
fn standing<'a>(newest_first: &[&'a Run]) -> Vec<Vec<&'a Run>> {
    let mut alerts: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
    for run in newest_first.iter().copied() {
        if let Some(alert) = alert_of(run) {
            alerts.entry(alert).or_default().push(run);
        }
    }
    alerts.into_values().filter(|runs| runs.first().is_some_and(|newest| !is_over(newest))).collect()
}

/// Whether what an earlier run of the alert came to is settled by this one.
fn settles(run: &Run) -> bool {
    run.state == State::Done || run.escalation.state != EscalationState::None
}

/// Whether an alert is over; one of which nothing is remembered is not waited for.
fn is_over(run: &Run) -> bool {
    let goes_on = |phase| matches!(phase, AlertPhase::Open | AlertPhase::Merged);
    !run.alert.as_ref().is_some_and(|alert| alert.resolved_at.is_none() && goes_on(alert.state))
}

/// What needs somebody, the most pressing first, then the oldest.
pub(super) fn needs<'a>(newest_first: &[&'a Run], now: Timestamp) -> Vec<Need> {
    let mut needs: Vec<(u8, Timestamp, Need)> = standing(newest_first)
        .into_iter()
        .filter_map(|runs| {
            // While a newer run goes on, or where it came to nothing, the page of the one before still waits.
            let settled = runs.iter().position(|run| settles(run)).map_or(runs.len(), |place| place + 1);
            let of = |run: &&'a Run| need_of(run).map(|(rank, what, to_do)| (*run, rank, what, to_do));
            let (run, rank, what, to_do) = runs[..settled].iter().filter_map(of).min_by_key(|(_, rank, ..)| *rank)?;
            // Of one that others were merged into, its own.
            let triggered_at = runs.iter().filter_map(|run| run.triggered_at).max();
            let began_at = triggered_at.unwrap_or_else(|| run.alert_since());
            let why = run.diagnosis.as_ref().map(|d| d.verdict.summary.clone()).or_else(|| run.reason.clone());
            let need = Need {
                run_id: run.id.clone(),
                region: run.region.to_string(),
                what,
                now: to_do,
                why: why.unwrap_or_default(),
                since: Moment::new(began_at, now),
            };
            Some((rank, began_at, need))
        })
        .collect();
    needs.sort_by_key(|(rank, at, _)| (*rank, *at));
    needs.into_iter().map(|(.., need)| need).collect()
}

/// How pressing, what is the matter, and what to do.
fn need_of(run: &Run) -> Option<(u8, (&'static str, &'static str), &'static str)> {
    // What was resolved waits for nobody.
    let is_settled = |page: &PageRef| page.acknowledged_at.is_some() || page.closed_at.is_some();
    let is_settled = run.escalation.page.as_ref().is_some_and(is_settled);
    match run.escalation.state {
        EscalationState::Failed if is_unknown(run) => {
            return Some((0, words::page_unknown(), "look in PagerDuty whether Service Endpoint was paged"));
        }
        EscalationState::Failed => return Some((0, ("Page failed", "broken"), "page Service Endpoint by hand")),
        EscalationState::Suggested => return Some((1, ("Not paged: needs approval", "broken"), "approve the page")),
        EscalationState::Held => return Some((2, ("Page on hold", "affected"), "decide about the page")),
        EscalationState::Paged if !is_settled => {
            return Some((3, ("Page not acknowledged", "affected"), "call Service Endpoint"));
        }
        // `ESCALATION_MODE` is `off`: nothing is kept of what would have held the page.
        EscalationState::None if run.state == State::Done && asks_for_page(run) => {
            return Some(match against(run).is_empty() {
                true => (1, ("Nobody was paged: page by hand", "broken"), "page Service Endpoint"),
                false => (2, ("Nobody was paged: decide", "affected"), "decide about the page"),
            });
        }
        EscalationState::None | EscalationState::Requested | EscalationState::Paged => {}
    }
    (run.state == State::Failed).then_some((
        4,
        ("Diagnosis failed", "broken"),
        "follow the runbook by hand, or run it again",
    ))
}

fn asks_for_page(run: &Run) -> bool {
    run.diagnosis.as_ref().is_some_and(|d| d.verdict.kind == VerdictKind::ServiceEndpoint)
}

/// Whether several regions alerted within five minutes and some of them are not over; the newest such time.
pub(super) fn at_once<'a>(newest_first: &[&'a Run]) -> Option<AtOnce> {
    // An alert began when PagerDuty says, which a run that was made by a look for open alerts tells much later than that;
    // where that is not known, with its first run. It is what its newest run says.
    let mut alerts: BTreeMap<&str, (Timestamp, &'a Run)> = BTreeMap::new();
    for run in newest_first.iter().copied() {
        let Some(incident) = &run.incident else { continue };
        let opened_at = run.opened_at.unwrap_or(run.created_at);
        alerts.entry(&incident.id).and_modify(|(at, _)| *at = opened_at.min(*at)).or_insert((opened_at, run));
    }
    // It counts by when it was last triggered too, as in the note.
    let times = |(opened_at, run): (Timestamp, &'a Run)| {
        std::iter::once(opened_at).chain(run.triggered_at).map(move |at| (at, run))
    };
    let mut alerts: Vec<_> = alerts.into_values().filter(|(_, run)| !is_over(run)).flat_map(times).collect();
    alerts.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    alerts.iter().enumerate().find_map(|(place, (last, _))| {
        let near: Vec<_> = alerts[place..].iter().take_while(|(at, _)| between(*at, *last) <= AT_ONCE).collect();
        let regions: BTreeSet<String> = near.iter().map(|(_, run)| run.region.to_string()).collect();
        let first = near.last().map(|(at, _)| *at)?;
        (regions.len() > 1).then(|| AtOnce {
            regions: regions.into_iter().collect(),
            within: format!("{} min", between(first, *last).as_secs().div_ceil(60).max(1)),
            client_suspected: near.iter().all(|(_, run)| run.diagnosis.as_ref().is_some_and(|d| d.client_suspected)),
        })
    })
}

#[cfg(test)]
mod tests;
