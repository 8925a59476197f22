//! What a plan wants asked and done.

use std::sync::Arc;

use pagerduty::{Incident, Status};
use runbook::life::{Alert, Reply};
use runbook::plan::{Acknowledged, Came, IncidentNow, OpenedPage, PageEnd, PageNow, Say, What};
use runbook::run::{AlertIncident, Trigger};
use store::{AlertLease, AlertNow, NewRun, StoreError};

use super::{answers, end};
use crate::run::context::Context;
use crate::run::steps::confirm_alert::{Alert as Asked, confirm_alert};
use crate::run::steps::find_related::find_related;
use crate::run::steps::page;
use crate::run::steps::post_short::post_short;

/// What came of it.
pub(super) enum Done {
    /// How the alert stands, all of it: whoever tells of its end needs more than who decides.
    Incident(Arc<Asked>),
    Came(Came),
}

impl From<Came> for Done {
    fn from(came: Came) -> Self {
        Self::Came(came)
    }
}

/// Asks, or does it. `incident` is how the alert stood when that was last asked.
pub(super) async fn perform(
    context: &Context,
    lease: &AlertLease,
    now: &AlertNow,
    what: What,
    incident: Option<Arc<Asked>>,
) -> Result<Done, StoreError> {
    let (store, alert) = (&context.store, &now.alert);
    Ok(match what {
        What::AskIncident => Done::Incident(confirm_alert(&context.pagerduty, &alert.incident_id).await.into()),
        What::ReadPage(id) => {
            let page = read_page(context, &id).await;
            if page == PageNow::Resolved {
                store.set_page_closed(lease, &id).await?;
            }
            Came::Page(page).into()
        }
        What::FindRelated(run_id) => Came::Explained(find(context, alert, &run_id).await?).into(),
        What::AskPagerDuty(name) => done(page::pagerduty_answers(context, &lease.page(&name)).await),
        // On the heap: a build without optimisation has a copy of it in each frame round it.
        What::TryPage(name) => Came::Tried(Box::pin(page::attempt(context, &lease.page(&name))).await?).into(),
        What::EndPage { name, end } => {
            let wanted = now.pages.iter().find(|page| page.incident_id == name).map(|page| page.requested_at);
            let Some(wanted) = wanted else { return Ok(Came::NotDone.into()) };
            done(page::end(context, &lease.page(&name), &end, wanted).await?)
        }
        What::HoldPage { name, held, starts_over } => {
            done(page::hold(context, &lease.page(&name), &held, starts_over).await?)
        }
        What::WaitForPage { name, alert, by_hand, starts_over } => {
            page::wait(context, &lease.page(&name), alert.as_deref(), by_hand, starts_over).await?;
            Came::Done.into()
        }
        What::ForgetTries(name) => {
            store.forget_tries(&lease.page(&name)).await?;
            Came::Done.into()
        }
        What::TellPage { name, is_last } => done(page::tell(context, &lease.page(&name), is_last).await?),
        What::GiveUpPage { name, why } => {
            page::give_up(context, &lease.page(&name), &why).await?;
            Came::Done.into()
        }
        What::Begin(trigger) => begin(context, lease, alert, incident.as_deref(), trigger).await?.into(),
        What::SaySilence(say) => {
            tracing::error!(incident.id = alert.incident_id, key = say.key, "NOBODY HAS ACKNOWLEDGED THE PAGE");
            post(context, alert, &say).await?.into()
        }
        What::Acknowledge { page_id, at, by, say } => {
            let name = now.beside.page_watches.iter().find(|watch| watch.page_id == page_id);
            let name = name.map_or(&alert.incident_id, |watch| &watch.name);
            store.set_acknowledged(lease, name, &page_id, at, &by).await?;
            tracing::info!(page.id = page_id, by, "the page is acknowledged");
            post(context, alert, &say).await?.into()
        }
        What::TellEnd { run_id, ended } => {
            let Some(Asked::Resolved(over)) = incident.as_deref() else { return Ok(Came::NotDone.into()) };
            done(end::tell(context, alert, over, ended, &run_id).await?)
        }
        What::OpenAfterAll => {
            let is_open = store.unset_resolved_by(lease, &alert.incident_id, now.version).await?;
            if is_open {
                tracing::info!(
                    incident.id = alert.incident_id,
                    "PagerDuty still shows the alert open: it was not resolved"
                );
            }
            done(is_open)
        }
        What::FollowMerge { into, over } => {
            let Some(Asked::Open(other) | Asked::Resolved(other)) = incident.as_deref() else {
                return Ok(Came::NotDone.into());
            };
            tracing::info!(from = alert.incident_id, into, "the alert was merged: that incident is the alert now");
            store.follow_merge(lease, &alert.incident_id, &AlertIncident::from(&**other), over).await?;
            Came::Done.into()
        }
        What::Obey(key) => {
            let again = another_run(context, alert, incident.as_deref(), Trigger::Note).await?;
            store.obey(lease, &key, &again).await?;
            Came::Done.into()
        }
        What::Answer { key, answer } => done(answers::give(context, now, &key, &answer).await?),
    })
}

/// Keeps a page that was opened while something else broke off the work on its alert. Where that fails too, its next try finds it.
pub(super) async fn keep_opened(context: &Context, lease: &AlertLease, key: &str, opened: OpenedPage) {
    let Some(name) = key.strip_prefix("try:") else { return };
    let now = context.clock.now();
    if let Err(error) = page::end(context, &lease.page(name), &PageEnd::Paged(opened), now).await {
        tracing::warn!(
            incident.id = name,
            error = &error as &dyn std::error::Error,
            "a page that is open is not kept yet"
        );
    }
}

fn done(is_done: bool) -> Done {
    if is_done { Came::Done.into() } else { Came::NotDone.into() }
}

/// What of it decides.
pub(super) fn incident_now(asked: &Asked) -> IncidentNow {
    match asked {
        Asked::Open(incident) => IncidentNow::Open(incident.id.clone()),
        Asked::Resolved(incident) => IncidentNow::Resolved(incident.id.clone(), incident.last_status_change_at),
        Asked::Unknown(error) => {
            tracing::debug!(error, "how the alert stands is not known");
            IncidentNow::Unknown
        }
    }
}

async fn read_page(context: &Context, id: &str) -> PageNow {
    match confirm_alert(&context.pagerduty, id).await {
        Asked::Resolved(_) => PageNow::Resolved,
        Asked::Open(page) => PageNow::Open { created_at: page.created_at, acknowledged: acknowledged(context, &page) },
        Asked::Unknown(error) => {
            tracing::debug!(page.id = id, error, "a page could not be read");
            PageNow::Unknown
        }
    }
}

fn acknowledged(context: &Context, page: &Incident) -> Option<Acknowledged> {
    if page.status != Status::Acknowledged {
        return None;
    }
    let first = page.acknowledgements.iter().min_by_key(|ack| ack.at.unwrap_or(jiff::Timestamp::MAX));
    let there = first.and_then(|ack| ack.at);
    let at = there.map_or_else(|| context.clock.now(), |at| context.pagerduty.to_ours(at));
    let by = first.and_then(|ack| ack.by.as_ref()).map(|by| if by.name.is_empty() { &by.id } else { &by.name });
    Some(Acknowledged { by: by.map_or("somebody", String::as_str).to_owned(), at, there })
}

/// Whether pages explain the alert now; `None`: that is not known.
async fn find(context: &Context, alert: &Alert, run_id: &str) -> Result<Option<bool>, StoreError> {
    let facts = context.store.facts(run_id).await?;
    let seen = context.open_incidents.look(&context.pagerduty).await;
    Ok(match find_related(&seen, &context.config, &alert.region, Some(&alert.incident_id), &facts) {
        Ok(related) => Some(related.is_open(facts.explaining == 0)),
        Err(error) => {
            tracing::debug!(error, "whether pages that the alert waits for are still open is not known");
            None
        }
    })
}

async fn begin(
    context: &Context,
    lease: &AlertLease,
    alert: &Alert,
    incident: Option<&Asked>,
    trigger: Trigger,
) -> Result<Came, StoreError> {
    let run = another_run(context, alert, incident, trigger).await?;
    match context.store.create_run_by(lease, &run).await? {
        Reply::Started(id) => {
            tracing::info!(run.id = id, incident.id = alert.incident_id, %trigger, "started another run");
        }
        other => tracing::info!(?other, incident.id = alert.incident_id, %trigger, "no other run started"),
    }
    Ok(Came::Done)
}

async fn post(context: &Context, alert: &Alert, say: &Say) -> Result<Came, StoreError> {
    let said = post_short(context, &say.key, &alert.incident_id, &say.text).await?;
    Ok(if said.is_ok() { Came::Done } else { Came::NotDone })
}

/// Another run of an alert, its incident as last known: the run itself asks again, and follows a merge.
async fn another_run(
    context: &Context,
    alert: &Alert,
    incident: Option<&Asked>,
    trigger: Trigger,
) -> Result<NewRun, StoreError> {
    let shown = match incident {
        Some(Asked::Open(incident) | Asked::Resolved(incident)) if incident.id == alert.incident_id => {
            Some(AlertIncident::from(&**incident))
        }
        _ => context.store.newest_run(&alert.incident_id).await?.and_then(|run| run.incident),
    };
    let incident = shown.unwrap_or_else(|| AlertIncident {
        id: alert.incident_id.clone(),
        number: 0,
        title: format!("All SE endpoints down in {}", alert.region),
        html_url: String::new(),
    });
    Ok(NewRun { incident: Some(incident), region: alert.region.clone(), trigger, reopened: false, alert_at: None })
}
