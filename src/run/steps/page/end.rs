//! Keeps what has become of a page, and what follows.

use jiff::Timestamp;

use super::tell;
use crate::metrics;
use crate::run::context::Context;
use crate::run::steps::post_short::post_short;
use runbook::alert::Region;
use runbook::diagnosis::note;
use runbook::gate;
use runbook::life::Input;
use runbook::plan::{HeldPage, LOUD_FOR, OpenedPage, PageEnd};
use runbook::related::Looked;
use runbook::span::between;
use store::{PageOf, PageResult, PageState, StoreError};

/// Keeps how a page ended that was wanted then; `false`: one of its own stands by now, and is looked for first.
///
/// # Errors
/// The store, or it failed and was wanted again since.
pub async fn end(context: &Context, of: &PageOf, end: &PageEnd, wanted: Timestamp) -> Result<bool, StoreError> {
    match end {
        PageEnd::Paged(opened) => paged(context, of, opened).await,
        PageEnd::Failed(why) => failed(context, of, why, wanted).await,
    }
}

async fn paged(context: &Context, of: &PageOf, opened: &OpenedPage) -> Result<bool, StoreError> {
    let OpenedPage { id, html_url, joined, problem } = opened;
    let result = PageResult { page: Some((id, html_url)), joined: *joined, reason: problem.as_deref() };
    if context.store.finish_page(of, &result).await?.is_some() {
        // Its own was heard of while another was joined: that is found by its key.
        return Ok(false);
    }
    metrics::page(if *joined { metrics::Paged::Joined } else { metrics::Paged::Opened });
    tracing::info!(incident.id = of.incident_id(), page.id = id, joined, problem, "the Service Endpoint team is paged");
    Ok(true)
}

async fn failed(context: &Context, of: &PageOf, why: &str, wanted: Timestamp) -> Result<bool, StoreError> {
    // It was heard of meanwhile: nobody is told that nobody was paged.
    if let Some(id) = context.store.fail_page(of, why, wanted).await? {
        let html_url = page_url(context, of.incident_id(), &id).await?;
        let problem = Some(format!("it is open, and could not be read back: {why}"));
        return paged(context, of, &OpenedPage { id, html_url, joined: false, problem }).await;
    }
    metrics::page(metrics::Paged::Failed);
    tracing::error!(incident.id = of.incident_id(), why, "NOBODY WAS PAGED: the page failed");
    Ok(true)
}

/// Holds an automatic page, and tells why; `false`: a person has asked for it meanwhile, or it stands. `starts_over`: the time in
/// which it is tried begins again.
///
/// # Errors
/// The store.
pub async fn hold(context: &Context, of: &PageOf, held: &HeldPage, starts_over: bool) -> Result<bool, StoreError> {
    let (context, incident_id) = (&context.first(), of.incident_id());
    let Some(record) = context.store.page(incident_id).await? else { return Err(StoreError::PageChanged) };
    if starts_over {
        context.store.forget_tries(of).await?;
    }
    // Once what it is held for is over, somebody has to look again.
    let again = held.looked.as_ref().is_some_and(Looked::holds);
    let wait = context.config.suppression.recheck;
    let again = again.then(|| Input::Explained { run_id: record.run_id.clone(), after: wait });
    if !context.store.hold_page(of, &held.reasons.join("\n"), held.looked.as_ref(), again).await? {
        return Ok(false);
    }
    metrics::page(metrics::Paged::Held);
    tracing::warn!(incident.id = incident_id, reasons = held.reasons.join("; "), "the page is held");
    // From its intent on the edit has a task of its own, the short note has not.
    if held.reasons.iter().any(|reason| gate::says_used_up(reason)) {
        tell::used_up(context, incident_id, &record.run_id).await?;
    }
    tell::update_note_and_end(context, incident_id, &record.run_id).await?;
    Ok(true)
}

/// Keeps that a page waits for another alert's, and tells for which.
///
/// # Errors
/// The store.
pub async fn wait(
    context: &Context,
    of: &PageOf,
    alert: Option<&str>,
    by_hand: bool,
    starts_over: bool,
) -> Result<(), StoreError> {
    let context = &context.first();
    if context.store.wait_for_opening(of, by_hand, alert, starts_over).await?
        && let Some(record) = context.store.page(of.incident_id()).await?
    {
        tell::update_note_and_end(context, of.incident_id(), &record.run_id).await?;
    }
    Ok(())
}

/// What is stored of a page's run, or of its alert, can't be read: the page ends, and the alert is told so without it.
///
/// # Errors
/// The store.
pub async fn give_up(context: &Context, of: &PageOf, why: &str) -> Result<(), StoreError> {
    let (context, incident_id) = (&context.first(), of.incident_id());
    let Some(record) = context.store.page(incident_id).await? else { return Err(StoreError::PageChanged) };
    if record.state == PageState::Requested {
        if let Some(id) = context.store.fail_page(of, why, record.requested_at).await? {
            let url = page_url(context, incident_id, &id).await?;
            let opened = PageResult { page: Some((&id, &url)), joined: false, reason: Some(why) };
            context.store.finish_page(of, &opened).await?;
            return context.store.set_page_told(of).await;
        }
        tracing::error!(incident.id = incident_id, why, "NOBODY WAS PAGED: the page failed");
        metrics::page(metrics::Paged::Failed);
    }
    if matches!(record.state, PageState::Requested | PageState::Failed)
        && let Some((on, region)) = whom_to_tell(context, incident_id, &record.run_id).await?
    {
        let why = record.reason.as_deref().unwrap_or(why);
        let text = note::page_failed(&region, None, why, "", &context.config.regions.links);
        let key = tell::failed_key(&record);
        let said = post_short(context, &key, &on, &text).await?;
        let failed_at = record.finished_at.unwrap_or_else(|| context.clock.now());
        if said.is_err() && between(failed_at, context.clock.now()) < LOUD_FOR {
            // PagerDuty is away: nobody knows of it yet.
            return Ok(());
        }
    }
    // Reading it again would not help the next worker either.
    context.store.set_page_told(of).await
}

/// The incident on which to say what has become of a page, and its region, by the alert or else by the run; `None`: neither can be
/// read.
async fn whom_to_tell(
    context: &Context,
    incident_id: &str,
    run_id: &str,
) -> Result<Option<(String, Region)>, StoreError> {
    if let Some(alert) = context.store.readable_alert(incident_id).await? {
        return Ok(Some((alert.incident_id, alert.region)));
    }
    let run = match context.store.readable_run(run_id).await {
        Err(StoreError::Corrupt { .. }) => None,
        run => run?,
    };
    let Some(run) = run else { return Ok(None) };
    Ok(Some((context.store.newest_name(incident_id).await?, run.region)))
}

/// The link of a page of which only the id is known: beside the alert's own.
async fn page_url(context: &Context, incident_id: &str, page_id: &str) -> Result<String, StoreError> {
    let runs = context.store.last_runs(incident_id, None).await?;
    let alert = runs.iter().find_map(|run| run.incident.as_ref()).map(|incident| incident.html_url.as_str());
    let beside = alert.and_then(|url| url.rsplit_once('/'));
    Ok(beside.map(|(account, _)| format!("{account}/{page_id}")).unwrap_or_default())
}
