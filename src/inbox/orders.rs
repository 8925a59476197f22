//! What people ask of an alert through the web: to diagnose it again, or to page for it. PagerDuty is asked what it takes to
//! decide; what follows is decided in [`runbook::life`], by whichever way it was asked for, and comes back as its [`Reply`].

use std::time::Duration;

use super::named::Named;
use super::route::alert_region;
use crate::config::Config;
use crate::run::steps::confirm_alert::{Alert, confirm_alert};
use pagerduty::{Incident, PagerDuty};
use runbook::alert::Region;
use runbook::life::{Reply, Why};
use runbook::run::{AlertIncident, Run, Trigger};
use store::{Created, NewRun, PageState, Store, StoreError};

/// How long PagerDuty may take to say what an incident is that somebody wants run again. Without that nothing is run.
const RERUN_ASKS: Duration = Duration::from_secs(10);
/// How long it may take to say whether the alert is over that somebody wants to page for. Without that it is paged for.
const ESCALATE_ASKS: Duration = Duration::from_secs(5);

/// What to diagnose.
#[derive(Debug)]
pub enum Order {
    /// An alert again: its id in PagerDuty, or its address there, as somebody named it.
    Incident(String),
    /// A region, without an alert.
    Region(Region),
}

impl Order {
    /// What makes this run again.
    pub fn again(run: Run) -> Self {
        match run.incident {
            Some(incident) => Self::Incident(incident.id),
            None => Self::Region(run.region),
        }
    }

    /// Tells it from another under the same `Idempotency-Key`.
    fn fingerprint(&self) -> String {
        match self {
            Self::Incident(named) => format!("incident {named}"),
            Self::Region(region) => format!("region {region}"),
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// What follows.
    pub reply: Reply,
    /// The newest run of the alert, where it is paged for: it is paged for in that one's name.
    pub newest: Option<String>,
}

/// Why it was brought to no alert.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Nobody knows the incident.
    #[error("PagerDuty does not know this incident")]
    Unknown,
    /// It is another account's.
    #[error(
        "this address is not of the PagerDuty account that this service asks: check its host, or give the incident's id"
    )]
    Elsewhere,
    /// It is no alert, and why.
    #[error("the incident is not an alert that is handled here: {0}")]
    NoAlert(String),
    /// It is of a drill.
    #[error("this is a drill, which never pages")]
    Drill,
    /// The run is of no alert.
    #[error("this run is of a region, not of an alert: there is nothing to page for")]
    OfRegion,
    /// The key came with another order.
    #[error("this Idempotency-Key was used for another body: take a new one for another request")]
    KeyTaken,
    /// PagerDuty did not answer.
    #[error("PagerDuty did not show this incident: try again in a few seconds")]
    NotAsked,
    /// The database did not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What it takes to bring an order to its alert.
#[derive(Clone, Copy, Debug)]
pub struct Orders<'a> {
    /// The settings.
    pub config: &'a Config,
    /// What is on disk.
    pub store: &'a Store,
    /// PagerDuty.
    pub pagerduty: &'a PagerDuty,
}

impl Orders<'_> {
    /// Diagnoses an alert again, or a region, at the word of `who`; once under an `Idempotency-Key`, which is given with whose
    /// it is.
    ///
    /// # Errors
    /// It was brought to no alert.
    pub async fn rerun(&self, who: &str, order: &Order, key: Option<(&str, &str)>) -> Result<Outcome, Refused> {
        let fingerprint = order.fingerprint();
        // A repeat is answered as the first was, whatever PagerDuty says by now.
        if let Some((holder, key)) = key
            && let Some(before) = self.store.created_before(holder, key, &fingerprint).await?
        {
            return outcome(before);
        }
        let (incident, region) = match order {
            Order::Incident(named) => self.alert(named).await.map(|(incident, region)| (Some(incident), region))?,
            Order::Region(region) => (None, region.clone()),
        };
        let run = NewRun { incident, region, trigger: Trigger::Rerun, reopened: false, alert_at: None };
        let keyed = key.map(|(holder, key)| (holder, key, fingerprint.as_str()));
        let created = self.store.create_run_for(&run, Some(who), keyed).await?;
        match &created {
            Created::Now(Reply::Started(run_id)) => {
                tracing::info!(run.id = run_id, operator = who, region = %run.region, "a rerun is asked for");
            }
            Created::Now(Reply::SuppressionSkipped(run_id)) => {
                tracing::info!(run.id = run_id, operator = who, "a suppressed run is diagnosed at a person's word");
            }
            _ => {}
        }
        outcome(created)
    }

    /// Pages for the alert of a run, at the word of `who`.
    ///
    /// # Errors
    /// It was brought to no alert.
    pub async fn escalate_for(&self, who: &str, run: &Run) -> Result<Outcome, Refused> {
        self.escalate(who, &run.incident.as_ref().ok_or(Refused::OfRegion)?.id).await
    }

    /// Pages for an incident's alert, at the word of `who`.
    ///
    /// # Errors
    /// It was brought to no alert.
    pub async fn escalate(&self, who: &str, named: &str) -> Result<Outcome, Refused> {
        let no_run = || Ok(Outcome { reply: Reply::Ignored(Why::NoRun), newest: None });
        let Some(named) = Named::read(named) else { return no_run() };
        let id = named.id.as_str();
        let Some(run) = self.store.newest_run(id).await? else {
            return if self.store.is_drill(id).await? { Err(Refused::Drill) } else { no_run() };
        };
        if run.incident.as_ref().is_some_and(|incident| !named.is_of_account(&incident.html_url)) {
            return Err(Refused::Elsewhere);
        }
        // An incident that was merged into another is closed by that; the alert is the other one.
        let alert = self.store.alert(id).await?.map_or_else(|| id.to_owned(), |alert| alert.incident_id);
        // Where there is a page already that is the answer, whatever PagerDuty says of the alert.
        let is_paged = self.store.page_of_alert(&alert).await?.is_some_and(|page| page.state == PageState::Paged);
        let is_closed = !is_paged && self.is_closed(&alert).await;
        let (reply, newest) = self.store.escalate(&alert, who, is_closed).await?;
        if reply == Reply::Paging {
            tracing::info!(incident.id = id, operator = who, "a person asks for the page");
        }
        Ok(Outcome { reply, newest: newest.or(Some(run.id)) })
    }

    /// The incident as PagerDuty has it, where it is an alert that is handled here.
    async fn alert(&self, named: &str) -> Result<(AlertIncident, Region), Refused> {
        let named = Named::read(named).ok_or(Refused::Unknown)?;
        let incident = match self.incident(&named.id).await {
            Ok(incident) => incident.ok_or(Refused::Unknown)?,
            Err(error) => {
                tracing::warn!(error, "a rerun could not be made");
                return Err(Refused::NotAsked);
            }
        };
        if !named.is_of_account(&incident.html_url) {
            return Err(Refused::Elsewhere);
        }
        let remembered = self.store.alert(&incident.id).await?.map(|alert| alert.region);
        let Incident { title, incident_key, service, .. } = &incident;
        let service = service.as_ref().map(|s| (s.id.as_str(), s.name.as_str())).unwrap_or_default();
        let region = alert_region(title, incident_key.as_deref(), service, self.config, remembered);
        Ok((AlertIncident::from(&incident), region.map_err(Refused::NoAlert)?))
    }

    async fn incident(&self, id: &str) -> Result<Option<Incident>, String> {
        within(RERUN_ASKS, self.pagerduty.incident(id)).await?.map_err(|error| error.to_string())
    }

    /// Whether PagerDuty shows the alert closed, also where it was merged into another and nobody has told of that yet. A person who wants a page gets it also while PagerDuty can't be asked; that
    /// the alert is over must be known.
    async fn is_closed(&self, alert: &str) -> bool {
        let why = match within(ESCALATE_ASKS, confirm_alert(self.pagerduty, alert)).await {
            Ok(Alert::Open(_)) => return false,
            Ok(Alert::Resolved(_)) => return true,
            Ok(Alert::Unknown(why)) | Err(why) => why,
        };
        tracing::warn!(error = why, "PagerDuty did not say whether the alert is open; paging");
        false
    }
}

/// What PagerDuty answers, or that it does not within this time: somebody waits for it.
async fn within<T>(time: Duration, answer: impl Future<Output = T>) -> Result<T, String> {
    let late = |_| format!("PagerDuty did not answer within {} s", time.as_secs());
    tokio::time::timeout(time, answer).await.map_err(late)
}

fn outcome(created: Created) -> Result<Outcome, Refused> {
    match created {
        Created::Now(reply) => Ok(Outcome { reply, newest: None }),
        Created::Before(run_id) => Ok(Outcome { reply: Reply::Started(run_id), newest: None }),
        Created::KeyTaken => Err(Refused::KeyTaken),
    }
}
