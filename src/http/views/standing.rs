//! How an alert and its page stand now, whatever they were when the run ended.

use super::words;
use runbook::run::{AlertPhase, EscalationState, Run};
use store::PAGE_STATE;

/// How the alert and its page stand now, in one line.
pub(super) fn standing(run: &Run) -> Option<String> {
    let alert = run.alert.as_ref()?;
    let since = |at: Option<jiff::Timestamp>| at.map(|at| format!(" since {}", words::date(at))).unwrap_or_default();
    let mut parts = vec![match (alert.state, alert.resolved_at) {
        (AlertPhase::Open, _) => "Alert open".to_owned(),
        (AlertPhase::Resolved, at) => format!("Alert resolved{}", since(at)),
        (AlertPhase::Merged, at) => {
            let into = alert.merged_into.as_deref().unwrap_or_default();
            let over = at.map(|_| format!(", resolved{}", since(at))).unwrap_or_default();
            format!("Alert merged into {into}{over}")
        }
        (AlertPhase::Unknown, _) => "Whether the alert is open is not known".to_owned(),
    }];
    if let Some(page) = &run.escalation.page {
        parts.push(match (&page.acknowledged_by, page.acknowledged_at) {
            _ if page.closed_at.is_some() => "page resolved".to_owned(),
            (Some(by), at) => format!("page acknowledged by {by}{}", since(at)),
            _ => "page not acknowledged yet".to_owned(),
        });
    }
    parts.extend(alert.held_by.as_ref().map(|by| format!("automatic paging on hold, by {by}")));
    Some(parts.join(" · "))
}

/// What has become of the page.
pub(super) fn paged(run: &Run) -> Option<(&'static str, &'static str)> {
    let acknowledged = run.escalation.page.as_ref().is_some_and(|page| page.acknowledged_at.is_some());
    match run.escalation.state {
        EscalationState::None => None,
        EscalationState::Failed if is_unknown(run) => Some(words::page_unknown()),
        EscalationState::Paged if acknowledged => Some(("Page acknowledged", "whole")),
        state => Some(words::escalation(state)),
    }
}

/// Whether what is stored of the page can't be read: then nobody knows here whether it was opened.
pub(super) fn is_unknown(run: &Run) -> bool {
    run.unreadable.iter().any(|what| what == PAGE_STATE)
}

/// How the alert stands, once its run has ended.
pub(super) fn alert(run: &Run) -> Option<(&'static str, &'static str)> {
    let alert = run.alert.as_ref().filter(|_| !run.state.is_active())?;
    Some(match (alert.state, alert.resolved_at) {
        (AlertPhase::Resolved, _) | (AlertPhase::Merged, Some(_)) => ("Alert resolved", "unknown"),
        (AlertPhase::Merged, None) => ("Alert merged", "affected"),
        (AlertPhase::Open, _) => ("Alert open", "affected"),
        (AlertPhase::Unknown, _) => return None,
    })
}
