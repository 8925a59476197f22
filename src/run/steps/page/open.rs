//! Opens the page, or finds it open; reads it back.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{after, between};
use crate::diagnosis::note;
use crate::run::note_text::with_context;
use crate::run::tools::Tools;
use crate::run::words::Past;
use crate::store::{PageRecord, StoreError};
use crate::upstream::pagerduty::{Created, Incident, NewEvent, NewIncident, Service, ServiceStatus};
use crate::upstream::{Error, Kind, look_until};

use super::join::also_open;
use super::{Opened, Subject, Try, held};

/// How often a page that was opened is read back until it shows.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the incident of a page that the Events API has taken is looked for. It shows within seconds when PagerDuty
/// is well; after this a person must page by hand.
const EVENT_SHOWN: Duration = Duration::from_secs(120);
/// The longest pause between two such looks.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

impl Subject<'_> {
    pub(super) async fn join_or_open(&self, record: &PageRecord) -> Result<Try, StoreError> {
        let Self { tools, lease, .. } = self;
        let key = Tools::page_key(lease.incident_id());
        let wanted = &tools.config.escalation.service;
        // First of all: what is open already can't be held back any more.
        let until = record.begun_at.map_or(tools.clock.now(), |begun| tools.shown_by(begun));
        match self.with_key(&key, until).await {
            Ok(Some(page)) => {
                // It counts, whatever has become of the service's name since.
                let service = tools.pagerduty.find_service(wanted).await.ok().flatten();
                return self.read_back(page, service.as_ref(), false).await;
            }
            Ok(None) => {}
            Err(error) => return Ok(self.not_asked(error)),
        }
        let service = match tools.pagerduty.find_service(wanted).await {
            Ok(Some(service)) => service,
            Ok(None) => {
                return Ok(Try::Refused(format!(
                    "PagerDuty shows no service with the exact name or id {wanted:?}: check ESCALATION_SERVICE, and \
                     what PAGERDUTY_API_TOKEN may see"
                )));
            }
            Err(error) => return Ok(self.not_asked(error)),
        };
        let (theirs, others) = match self.open_pages(&service).await {
            Ok(open) => open,
            Err(error) => return Ok(self.not_asked(error)),
        };
        // Last of all: what was asked above may have taken long, and a bigger outage may show meanwhile.
        if record.asked_by.is_none()
            && let Some(held) = self.last_look().await?
        {
            return Ok(held);
        }
        if let Some(page) = theirs {
            return self.join(page, &others, &service).await;
        }
        let mut new = self.new_incident(&service, key.clone(), record);
        new.body.push_str(&also_open(&others));
        let limit = record.asked_by.is_none().then(|| self.limit());
        if !tools.store.begin_page(lease, limit).await? {
            return Ok(held("the hour's automatic pages were used up meanwhile"));
        }
        let created = match self.open(new, &key).await {
            Ok(page) => page,
            Err(instead) => return Ok(instead),
        };
        self.read_back(created, Some(&service), false).await
    }

    /// Opens it, by REST or by the Events API; or what became of the try instead.
    async fn open(&self, new: NewIncident, key: &str) -> Result<Incident, Try> {
        let Self { tools, run, .. } = self;
        let escalation = &tools.config.escalation;
        let Some(routing_key) = &escalation.routing_key else { return self.open_by_rest(new, key).await };
        let event = NewEvent {
            summary: new.title,
            dedup_key: new.incident_key,
            source: run.region.to_string(),
            details: new.body,
            client_url: tools.config.run_url(&run.id),
        };
        match tools.pagerduty.enqueue(&escalation.events_url, routing_key, &event).await {
            // It doesn't say which incident that is, nor whether there is one.
            Ok(()) => match self.shown_at_last(key).await.map_err(|error| self.trouble(error))? {
                Some(page) => Ok(page),
                None => Err(Try::Refused(format!(
                    "the Events API took the page, but within {} PagerDuty shows no incident with the key {key}: is \
                     ESCALATION_ROUTING_KEY of a service that PAGERDUTY_API_TOKEN may see, and is that service enabled?",
                    crate::config::show_duration(EVENT_SHOWN)
                ))),
            },
            // It may have been taken. Handing it in again would open no other while it is open, but it is looked for.
            Err(error) if error.kind == Kind::Ambiguous => {
                self.with_key(key, self.lag_from_now()).await.ok().flatten().ok_or(Try::Later(error))
            }
            Err(error) => Err(self.trouble(error)),
        }
    }

    /// The page that the Events API has taken, looked for ever more seldom until [`EVENT_SHOWN`].
    async fn shown_at_last(&self, key: &str) -> Result<Option<Incident>, Error> {
        let clock = &self.tools.clock;
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

    async fn open_by_rest(&self, new: NewIncident, key: &str) -> Result<Incident, Try> {
        match self.tools.pagerduty.create_incident(new).await {
            Ok(Created::New(page)) => Ok(*page),
            // Open already, or the answer was lost: what is there is found by its key.
            Ok(Created::KeyTaken) => match self.with_key(key, self.lag_from_now()).await {
                Ok(Some(page)) => Ok(page),
                Ok(None) => Err(Try::Later(Error::malformed(
                    "opening the page",
                    format!("PagerDuty has an open incident with the key {key}, but does not show it"),
                ))),
                Err(error) => Err(self.trouble(error)),
            },
            Err(error) if matches!(error.kind, Kind::Ambiguous | Kind::Malformed) => {
                // Looked for from now on, not from when it was sent: an answer may take longer to be lost than to show.
                self.with_key(key, self.lag_from_now()).await.ok().flatten().ok_or(Try::Later(error))
            }
            Err(error) => Err(self.trouble(error)),
        }
    }

    /// When everything that was written by now is shown.
    pub(super) fn lag_from_now(&self) -> Timestamp {
        after(self.tools.clock.now(), self.tools.read_lag)
    }

    /// The page by its key, looked for until `until`, at least once; an open one before a closed one.
    async fn with_key(&self, key: &str, until: Timestamp) -> Result<Option<Incident>, Error> {
        look_until(&self.tools.clock, until, || async {
            let mut found = self.tools.pagerduty.incidents_with_key(key).await?;
            found.sort_by_key(|incident| !incident.is_open());
            Ok(found.into_iter().next())
        })
        .await
    }

    fn new_incident(&self, service: &Service, incident_key: String, record: &PageRecord) -> NewIncident {
        let Self { tools, run, facts, .. } = self;
        let now = tools.clock.now();
        let (alert_title, alert_url) =
            run.incident.as_ref().map(|i| (i.title.as_str(), i.html_url.as_str())).unwrap_or_default();
        let (title, body) = match self.known() {
            Some((diagnosis, earlier)) => (
                note::page_title(diagnosis),
                with_context(&tools.config, run, facts, &Past::default(), Some(record), now, |context| {
                    note::page_body(diagnosis, context, alert_title, alert_url, earlier)
                }),
            ),
            None => (
                note::page_title_without_diagnosis(&run.region),
                note::page_body_without_diagnosis(
                    &run.region,
                    &tools.config.run_url(&run.id),
                    &tools.config.regions.links,
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
        let clock = &self.tools.clock;
        let until = after(clock.now(), self.tools.read_lag);
        let seen = loop {
            match self.tools.pagerduty.incident(&page.id).await {
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
