//! Opens the page, or finds it open; reads it back.

use std::time::Duration;

use jiff::Timestamp;

use crate::run::context::Context;
use crate::run::note_text::with_context;
use crate::run::steps::confirm_alert::confirm_alert;
use crate::run::words::Past;
use outbound::error::{Error, Kind};
use outbound::retry::look_until;
use pagerduty::{Created, Incident, NewEvent, NewIncident, Service, ServiceStatus};
use runbook::diagnosis::note;
use runbook::gate;
use runbook::span::{after, between};
use runbook::writes::{Next, Outcome, Write};
use store::StoreError;

use super::another::Start;
use super::join::also_open;
use super::{Opened, Subject, Try, held};

/// How often a page that was opened is read back until it shows.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the incident of a page that the Events API has taken is looked for. It shows within seconds when PagerDuty
/// is well; after this a person must page by hand.
const EVENT_SHOWN: Duration = Duration::from_secs(120);
/// The longest pause between two such looks.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// What became of a try to open it.
enum NotOpened {
    /// Nobody was paged by it, and nobody will be.
    Certainly(Error),
    /// It may be open, or be opened yet.
    Perhaps(Try),
}

impl Subject<'_> {
    pub(super) async fn join_or_open(&self) -> Result<Try, StoreError> {
        let Self { context, lease, record, .. } = self;
        let key = Context::page_key(lease.incident_id());
        let wanted = &context.config.escalation.service;
        // First of all: what is open already can't be held back any more.
        let mut write = context.store.opening_of(lease.incident_id()).await?;
        let began = context.moment(context.clock.now());
        write.take_over(began, &context.times());
        match self.look(&key, &write).await {
            Ok(Some(page)) => {
                context.store.found_opening(lease.incident_id(), &page.id, began).await?;
                // It counts, whatever has become of the service's name since.
                let service = context.escalation_service().await.ok().flatten();
                return self.opened(page, service.as_ref()).await;
            }
            Ok(None) => {}
            Err(error) => return Ok(self.not_asked(error)),
        }
        if let Some(id) = &write.id {
            return self.gone(id).await;
        }
        let service = match context.escalation_service().await {
            Ok(Some(service)) => service,
            Ok(None) => {
                return Ok(Try::Refused(format!(
                    "PagerDuty shows no service with the exact name or id {wanted:?}: check ESCALATION_SERVICE, and \
                     what PAGERDUTY_API_TOKEN may see"
                )));
            }
            Err(error) => return Ok(self.not_asked(error)),
        };
        // The alert itself once more, by its own document: lists lag behind, and nobody is paged for what is over.
        let alert = match record.asked_by {
            None => Some(confirm_alert(context, self.lease.incident_id()).await),
            Some(_) => None,
        };
        // Last of all: what was asked above may have taken long, and a bigger outage may show meanwhile.
        let seen = context.open_incidents.look(&context.pagerduty).await;
        let (theirs, others) = match self.open_pages(&service, &seen).await {
            Ok(open) => open,
            Err(error) => return Ok(self.not_asked(error)),
        };
        if let Some(alert) = alert
            && let Some(held) = self.last_look(&alert, &seen).await?
        {
            return Ok(held);
        }
        if let Some(page) = theirs {
            return self.join(page, &others, &service).await;
        }
        match self.start(write.attempt).await? {
            Start::Begun => {}
            Start::UsedUp(pages) => return Ok(held(&gate::used_up(pages))),
            Start::Join(page) => return self.join(*page, &others, &service).await,
            Start::Not(instead) => return Ok(instead),
        }
        let mut new = self.new_incident(&service, key.clone());
        new.body.push_str(&also_open(&others));
        let sent = self.open(new, &key).await;
        let outcome = match &sent {
            Ok(created) => Outcome::Done(created.id.clone()),
            Err(NotOpened::Certainly(error)) if matches!(error.kind, Kind::Refused(_)) => {
                Outcome::Refused(error.to_string())
            }
            Err(NotOpened::Certainly(error)) => Outcome::NotSent(error.to_string()),
            Err(NotOpened::Perhaps(_)) => Outcome::Ambiguous(String::new()),
        };
        let now = context.moment(context.clock.now());
        context.store.end_opening(lease.incident_id(), write.attempt + 1, &outcome, now).await?;
        match sent {
            Ok(created) => self.opened(created, Some(&service)).await,
            Err(NotOpened::Certainly(error)) => Ok(self.trouble(error)),
            Err(NotOpened::Perhaps(instead)) => Ok(instead),
        }
    }

    /// The page that may have been opened before: by its key, until everything shows that was sent, and by its id where it
    /// was answered.
    async fn look(&self, key: &str, write: &Write) -> Result<Option<Incident>, Error> {
        let now = self.context.clock.now();
        let until = match write.next(&self.context.times()) {
            Next::Look(until) => until,
            Next::Stands(_) | Next::Send => now,
        };
        if let Some(page) = self.with_key(key, until).await? {
            return Ok(Some(page));
        }
        let Some(id) = &write.id else { return Ok(None) };
        look_until(&self.context.clock, self.lag_from_now(), || self.context.pagerduty.incident(id)).await
    }

    /// Reads back what is open, by its own answer or as it was found.
    async fn opened(&self, page: Incident, service: Option<&Service>) -> Result<Try, StoreError> {
        let id = page.id.clone();
        match self.read_back(page, service, false).await? {
            Try::Refused(_) => self.gone(&id).await,
            tried => Ok(tried),
        }
    }

    /// It was opened, and PagerDuty does not show it: a person who asks for it again may get another.
    async fn gone(&self, id: &str) -> Result<Try, StoreError> {
        let now = self.context.moment(self.context.clock.now());
        self.context.store.vanished_opening(self.lease.incident_id(), now).await?;
        Ok(Try::Refused(format!("the page {id} was opened, but PagerDuty does not show it")))
    }

    /// Opens it, by REST or by the Events API; or what became of the try instead.
    async fn open(&self, new: NewIncident, key: &str) -> Result<Incident, NotOpened> {
        let Self { context, run, .. } = self;
        let escalation = &context.config.escalation;
        let Some(routing_key) = &escalation.routing_key else { return self.open_by_rest(new, key).await };
        let event = NewEvent {
            summary: new.title,
            dedup_key: new.incident_key,
            source: run.region.to_string(),
            details: new.body,
            client_url: context.config.run_url(&run.id),
        };
        match context.pagerduty.enqueue(&context.permit, &escalation.events_url, routing_key, &event).await {
            // It doesn't say which incident that is, nor whether there is one.
            Ok(()) => match self.shown_at_last(key).await.map_err(|error| NotOpened::Perhaps(self.trouble(error)))? {
                Some(page) => Ok(page),
                None => Err(NotOpened::Perhaps(Try::Refused(format!(
                    "the Events API took the page, but within {} PagerDuty shows no incident with the key {key}: is \
                     ESCALATION_ROUTING_KEY of a service that PAGERDUTY_API_TOKEN may see, and is that service enabled?",
                    runbook::span::show_duration(EVENT_SHOWN)
                )))),
            },
            // It may have been taken. Handing it in again would open no other while it is open, but it is looked for.
            Err(error) if error.kind == Kind::Ambiguous => self.found_after(error, key).await,
            Err(error) => Err(NotOpened::Certainly(error)),
        }
    }

    /// The page, though its answer was `lost`. Looked for from now on, not from when it was sent: an answer may take longer
    /// to be lost than to show.
    async fn found_after(&self, lost: Error, key: &str) -> Result<Incident, NotOpened> {
        let found = self.with_key(key, self.lag_from_now()).await.ok().flatten();
        found.ok_or(NotOpened::Perhaps(Try::Later(lost)))
    }

    /// The page that the Events API has taken, looked for ever more seldom until [`EVENT_SHOWN`].
    async fn shown_at_last(&self, key: &str) -> Result<Option<Incident>, Error> {
        let clock = &self.context.clock;
        let until = after(clock.now(), EVENT_SHOWN);
        let mut pause = LOOK_EVERY;
        loop {
            let last = clock.now() >= until;
            match self.with_key(key, clock.now()).await {
                Ok(Some(page)) => return Ok(Some(page)),
                Ok(None) if last => return Ok(None),
                Err(error) if last || !error.is_worth_a_retry() => return Err(error),
                Ok(None) | Err(_) => {}
            }
            clock.sleep(pause.min(between(clock.now(), until).max(Duration::from_millis(1)))).await;
            pause = (pause * 2).min(LONGEST_LOOK);
        }
    }

    async fn open_by_rest(&self, new: NewIncident, key: &str) -> Result<Incident, NotOpened> {
        match self.context.pagerduty.create_incident(&self.context.permit, new).await {
            Ok(Created::New(page)) => Ok(*page),
            // Open already, or the answer was lost: what is there is found by its key.
            Ok(Created::KeyTaken) => match self.with_key(key, self.lag_from_now()).await {
                Ok(Some(page)) => Ok(page),
                Ok(None) => Err(NotOpened::Perhaps(Try::Later(Error::malformed(
                    "opening the page",
                    format!("PagerDuty has an open incident with the key {key}, but does not show it"),
                )))),
                Err(error) => Err(NotOpened::Perhaps(self.trouble(error))),
            },
            Err(error) if matches!(error.kind, Kind::Ambiguous | Kind::Malformed) => self.found_after(error, key).await,
            Err(error) => Err(NotOpened::Certainly(error)),
        }
    }

    /// When everything that was written by now is shown.
    pub(super) fn lag_from_now(&self) -> Timestamp {
        after(self.context.clock.now(), self.context.read_lag)
    }

    /// The page by its key, looked for until `until`, at least once; an open one before a closed one.
    async fn with_key(&self, key: &str, until: Timestamp) -> Result<Option<Incident>, Error> {
        look_until(&self.context.clock, until, || async {
            let mut found = self.context.pagerduty.incidents_with_key(key).await?;
            found.sort_by_key(|incident| !incident.is_open());
            Ok(found.into_iter().next())
        })
        .await
    }

    fn new_incident(&self, service: &Service, incident_key: String) -> NewIncident {
        let Self { context, run, facts, record, .. } = self;
        let now = context.clock.now();
        let (alert_title, alert_url) =
            run.incident.as_ref().map(|i| (i.title.as_str(), i.html_url.as_str())).unwrap_or_default();
        let (title, body) = match self.known() {
            Some((diagnosis, earlier)) => {
                let (past, now) = (Past::default(), (&context.clock, now));
                let shown = diagnosis.clone().earlier(context.clock.ahead());
                let body = with_context(&context.config, run, facts, &past, Some(record), now, |context| {
                    note::page_body(&shown, context, alert_title, alert_url, earlier)
                });
                (note::page_title(diagnosis), body)
            }
            None => (
                note::page_title_without_diagnosis(&run.region),
                note::page_body_without_diagnosis(
                    &run.region,
                    &context.config.run_url(&run.id),
                    &context.config.regions.links,
                    alert_title,
                    alert_url,
                    record.asked_by.as_deref(),
                ),
            ),
        };
        NewIncident { title, service_id: service.id.clone(), incident_key, body }
    }

    /// Reads the page back: nobody may believe that somebody was paged.
    pub(super) async fn read_back(
        &self,
        page: Incident,
        service: Option<&Service>,
        joined: bool,
    ) -> Result<Try, StoreError> {
        let clock = &self.context.clock;
        let until = after(clock.now(), self.context.read_lag);
        let seen = loop {
            match self.context.pagerduty.incident(&page.id).await {
                Ok(Some(seen)) => break seen,
                Ok(None) if clock.now() < until => clock.sleep(LOOK_EVERY).await,
                Ok(None) => {
                    return Ok(Try::Refused(format!(
                        "the page {} was opened, but PagerDuty does not show it",
                        page.id
                    )));
                }
                // It is open by its own answer; that it can't be read back is said, and no reason to open another.
                Err(error) => {
                    let problem = Some(format!("it could not be read back: {error}"));
                    return Ok(Try::Opened(Opened { id: page.id, html_url: page.html_url, joined, problem }));
                }
            }
        };
        let name = service.map(|s| s.name.as_str()).unwrap_or_default();
        let elsewhere =
            seen.service.as_ref().zip(service).filter(|(its, wanted)| its.id != wanted.id).map(|(its, _)| {
                let its = if its.name.is_empty() { &its.id } else { &its.name };
                format!(
                    "it is on the service {its}, not on {name}: check ESCALATION_ROUTING_KEY and ESCALATION_SERVICE"
                )
            });
        // Lists may show as open what somebody has resolved just now: nobody works on it, and it is nobody's page to join.
        if joined && !seen.is_open() {
            let got = format!("the incident {} is resolved, though it was listed as open", seen.id);
            return Ok(Try::Later(Error::malformed("joining an open page", got)));
        }
        let problem = match service.map(|s| s.status) {
            _ if !seen.is_open() => Some("it is resolved already: nobody is working on it".to_owned()),
            Some(ServiceStatus::Disabled) => Some(format!("the service {name} is disabled: nobody is notified")),
            Some(ServiceStatus::Maintenance) => {
                Some(format!("the service {name} is in maintenance: nobody is notified"))
            }
            // A routing key decides by itself where a page goes.
            _ if elsewhere.is_some() => elsewhere,
            _ if seen.assignments == 0 => Some("it is assigned to nobody: call the Service Endpoint team".to_owned()),
            _ => None,
        };
        Ok(Try::Opened(Opened { id: seen.id, html_url: seen.html_url, joined, problem }))
    }
}
