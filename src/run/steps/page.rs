//! Pages the Service Endpoint team, once an alert, ever. Runbook: "Paging the Service Endpoint team".
//!
//! Before it opens an incident it looks for its key over all statuses and dates, and for an open page of that team
//! that names the region or one of the boxes; after it, it reads the page back.

mod join;
mod known;
mod noted;
mod open;
mod tell;
#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::after;
use crate::diagnosis::note;
use crate::run::chores::{related_resolved_chore, watch_page_chore};
use crate::run::gate::{self, Known};
use crate::run::steps::confirm_alert::{Alert, confirm_alert};
use crate::run::steps::find_related::{Look, Looked, find_related};
use crate::run::steps::post_short::post_short;
use crate::run::tools::Tools;
use crate::run::{Facts, Run};
use crate::store::{PageLease, PageResult, PageState, StoreError};
use crate::upstream::Error;

use known::Earlier;

pub use tell::retell;

/// How long a page is tried: after that it is said loudly that nobody was paged.
const GIVE_UP_AFTER: Duration = Duration::from_secs(600);
/// How long an automatic page waits for a PagerDuty that can't be asked at all, where nothing could be said either.
/// Once it answers, everything is looked at again before the page.
const WAIT_FOR_PAGERDUTY: Duration = Duration::from_secs(6 * 3600);
/// How long a page waits for PagerDuty to say whether a bigger outage explains the alert; then it is held.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How a page came about.
#[derive(Debug)]
struct Opened {
    id: String,
    html_url: String,
    joined: bool,
    problem: Option<String>,
}

/// What one try came to.
enum Try {
    Opened(Opened),
    /// Asking again changes nothing.
    Refused(String),
    /// It may work later.
    Later(Error),
    /// PagerDuty could not be asked for what must be known first: nothing was begun.
    NotAsked(Error),
    /// An automatic page must not be opened now.
    Held {
        /// Why.
        reasons: Vec<String>,
        /// PagerDuty could not be asked: that alone may pass.
        unknown: bool,
        /// The look for related pages, where one was made: the note is to name what it found.
        looked: Option<Looked>,
    },
}

fn held(why: &str) -> Try {
    Try::Held { reasons: vec![why.to_owned()], unknown: false, looked: None }
}

/// Everything that a page is made of.
struct Subject<'a> {
    tools: &'a Tools,
    lease: &'a PageLease,
    run: Run,
    /// What an earlier run found, while this one has found nothing yet.
    earlier: Option<Earlier>,
    facts: Facts,
}

/// Pages, and tells the alert how it went.
///
/// # Errors
/// The store.
pub async fn page(tools: &Tools, lease: &PageLease) -> Result<(), StoreError> {
    let tools = &tools.first();
    let Some(record) = tools.store.page(lease.incident_id()).await? else { return Err(StoreError::LeaseLost) };
    if record.state != PageState::Requested {
        // The worker before us was cut off between the page and telling of it.
        return tell::tell(tools, lease).await;
    }
    let began = tools.clock.now();
    let mut give_up = after(began, GIVE_UP_AFTER);
    let mut pause = Duration::from_secs(1);
    loop {
        // Read anew for each try: the diagnosis may come meanwhile, and a person may ask for what was automatic.
        let Some(run) = tools.store.run(&record.run_id).await? else { return Err(StoreError::LeaseLost) };
        let facts = tools.store.facts(&record.run_id).await?;
        let Some(record) = tools.store.page(lease.incident_id()).await? else { return Err(StoreError::LeaseLost) };
        let earlier = Earlier::of(tools, &run).await?;
        let subject = Subject { tools, lease, run, earlier, facts };
        let outcome = subject.join_or_open(&record).await?;
        match outcome {
            Try::Opened(opened) => return subject.paged(&opened).await,
            Try::Refused(why) => return subject.failed(&why).await,
            Try::Held { unknown: true, .. } if tools.clock.now() < after(began, UNKNOWN_FOR) => {
                tracing::debug!(
                    incident.id = lease.incident_id(),
                    "whether a bigger outage explains it is asked again"
                );
                tools.clock.sleep(pause).await;
            }
            Try::Held { reasons, looked, .. } => {
                // Once what explains the alert is over, somebody has to look again.
                let again = looked.as_ref().is_some_and(Looked::is_explained);
                let again = again.then(|| related_resolved_chore(tools, lease.incident_id(), &subject.run.id));
                if tools.store.hold_page(lease, &reasons.join("\n"), looked.as_ref(), again.as_ref()).await? {
                    crate::metrics::page("held");
                    tracing::warn!(incident.id = lease.incident_id(), reasons = reasons.join("; "), "the page is held");
                    return retell(tools, lease.incident_id(), &subject.run.id).await;
                }
            }
            outcome @ (Try::Later(_) | Try::NotAsked(_)) => {
                let now = tools.clock.now();
                let not_asked = matches!(outcome, Try::NotAsked(_));
                if not_asked && record.asked_by.is_none() && now < after(began, WAIT_FOR_PAGERDUTY) {
                    give_up = after(now, GIVE_UP_AFTER);
                }
                let (Try::Later(error) | Try::NotAsked(error)) = outcome else { continue };
                if now >= give_up {
                    return subject.failed(&error.to_string()).await;
                }
                // That PagerDuty can't be asked is said once, for all that ask it.
                tracing::debug!(incident.id = lease.incident_id(), error = %error, "the page is not opened yet");
                tools.clock.sleep(pause.mul_f64(0.5 + tools.clock.jitter())).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// What is stored of a page's run can't be read: the page ends, and the alert is told so without it.
///
/// # Errors
/// The store.
pub async fn given_up(tools: &Tools, lease: &PageLease, why: &str) -> Result<(), StoreError> {
    let incident_id = lease.incident_id();
    let ended = tools.store.page(incident_id).await?.is_some_and(|page| page.state != PageState::Requested);
    if !ended {
        tools.store.finish_page(lease, &PageResult { page: None, joined: false, reason: Some(why) }).await?;
        if let Some(alert) = tools.store.alert(incident_id).await? {
            let text = note::page_failed(&alert.region, None, why, "", &tools.config.regions.links);
            let _ = post_short(tools, &format!("page:{incident_id}:unreadable"), incident_id, &text).await?;
        }
    }
    // Reading it again would not help the next worker either.
    tools.store.set_page_told(lease).await
}

impl Subject<'_> {
    /// What a failure means for the page.
    fn trouble(&self, error: Error) -> Try {
        if self.tools.pagerduty.may_pass(&error) { Try::Later(error) } else { Try::Refused(error.to_string()) }
    }

    /// What a look that failed means for the page.
    fn not_asked(&self, error: Error) -> Try {
        match self.trouble(error) {
            Try::Later(error) => Try::NotAsked(error),
            refused => refused,
        }
    }

    /// Since when automatic pages count, and how many there may be.
    fn limit(&self) -> (Timestamp, u32) {
        let hour_ago = self.tools.clock.now() - SignedDuration::from_hours(1);
        (hour_ago, self.tools.config.escalation.max_per_hour)
    }

    /// The gate once more, with a fresh look for related pages, right before an automatic page.
    async fn last_look(&self) -> Result<Option<Try>, StoreError> {
        let Self { tools, lease, run, facts, .. } = self;
        let Some(diagnosis) = &run.diagnosis else {
            return Ok(Some(held("there is no diagnosis yet")));
        };
        // The alert itself once more: nobody is paged for what is over.
        let alert = confirm_alert(tools, lease.incident_id()).await;
        if matches!(alert, Alert::Resolved(_)) {
            return Ok(Some(held("the alert is resolved")));
        }
        let said = tools.store.alert(lease.incident_id()).await?;
        let unconfirmed = matches!(alert, Alert::Unknown(_)) && said.as_ref().is_some_and(|a| a.resolved_at.is_some());
        let incident_id = Some(lease.incident_id());
        let found = find_related(tools, &run.region, incident_id, facts.alert_opened_at, Look::Fresh).await;
        let titles = found.as_ref().map(super::find_related::Related::titles).map_err(String::clone);
        let now = tools.clock.now();
        let looked = Looked { at: now, found };
        let (hour_ago, max_per_hour) = self.limit();
        let escalation = &tools.config.escalation;
        let known = Known {
            diagnosis,
            mode: escalation.mode,
            drill: false,
            has_incident: true,
            said_resolved: unconfirmed,
            foreign_run: facts.foreign_run,
            held_by: said.as_ref().and_then(|alert| alert.held_by.as_deref()),
            related: titles.as_ref().map(Vec::as_slice).map_err(String::as_str),
            related_at: Some(now),
            region_listed: tools.config.zones_of(&run.region).listed,
            pages_this_hour: tools.store.automatic_pages_since(hour_ago, lease.incident_id()).await?,
            max_per_hour,
            evidence_max_age: escalation.evidence_max_age,
            alert_triggered_at: facts.alert_triggered_at,
            alert_max_age: escalation.alert_max_age,
            now,
        };
        Ok(match gate::decide(&known) {
            gate::Decision::Page => None,
            gate::Decision::Hold(reasons) | gate::Decision::Suggest(reasons) => {
                let unknown = reasons.len() == 1 && looked.found.is_err();
                Some(Try::Held { reasons, unknown, looked: Some(looked) })
            }
            gate::Decision::NotWanted | gate::Decision::Off => Some(held("the verdict asks for no page")),
        })
    }

    async fn paged(&self, opened: &Opened) -> Result<(), StoreError> {
        let Self { tools, lease, run, .. } = self;
        let result = PageResult {
            page: Some((&opened.id, &opened.html_url)),
            joined: opened.joined,
            reason: opened.problem.as_deref(),
        };
        // Before the page's own row: a crash between the two is taken up here again, and the watch is not forgotten.
        let incident_id = lease.incident_id();
        let watch = watch_page_chore(incident_id, &run.id, &opened.id, &opened.html_url, tools.clock.now());
        tools.store.add_chore(&watch).await?;
        tools.store.finish_page(lease, &result).await?;
        crate::metrics::page(if opened.joined { "joined" } else { "opened" });
        tracing::info!(
            run.id,
            incident.id = incident_id,
            page.id = opened.id,
            joined = opened.joined,
            problem = opened.problem,
            "the Service Endpoint team is paged"
        );
        tell::tell(tools, lease).await
    }

    async fn failed(&self, why: &str) -> Result<(), StoreError> {
        let Self { tools, lease, run, .. } = self;
        let result = PageResult { page: None, joined: false, reason: Some(why) };
        tools.store.finish_page(lease, &result).await?;
        crate::metrics::page("failed");
        tracing::error!(run.id, incident.id = lease.incident_id(), why, "NOBODY WAS PAGED: the page failed");
        tell::tell(tools, lease).await
    }
}
