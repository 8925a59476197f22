//! Opens the page, or finds it open; reads it back.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::after;
use crate::diagnosis::note;
use crate::run::note_text::with_context;
use crate::run::tools::Tools;
use crate::run::words::Past;
use crate::store::{PageRecord, StoreError};
use crate::upstream::pagerduty::{Created, Incident, NewIncident, Service, ServiceStatus};
use crate::upstream::{Error, Kind, look_until};

use super::{Opened, Subject, Try, held};

/// How many other open pages are linked.
const MAX_OTHERS: usize = 5;
/// How often a page that was opened is read back until it shows.
const LOOK_EVERY: Duration = Duration::from_millis(500);

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
            return self.join(page, &service).await;
        }
        let mut new = self.new_incident(&service, key.clone(), record);
        for other in others.iter().take(MAX_OTHERS) {
            new.body.push_str(&format!("\nAlso open on this service: {} {}", other.title, other.html_url));
        }
        let limit = record.asked_by.is_none().then(|| self.limit());
        if !tools.store.begin_page(lease, limit).await? {
            return Ok(held("the hour's automatic pages were used up meanwhile"));
        }
        let created = match tools.pagerduty.create_incident(new).await {
            Ok(Created::New(page)) => *page,
            // Open already, or the answer was lost: what is there is found by its key.
            Ok(Created::KeyTaken) => match self.with_key(&key, self.lag_from_now()).await {
                Ok(Some(page)) => page,
                Ok(None) => {
                    return Ok(Try::Later(Error::malformed(
                        "opening the page",
                        format!("PagerDuty has an open incident with the key {key}, but does not show it"),
                    )));
                }
                Err(error) => return Ok(self.trouble(error)),
            },
            Err(error) if matches!(error.kind, Kind::Ambiguous | Kind::Malformed) => {
                // Looked for from now on, not from when it was sent: an answer may take longer to be lost than to show.
                match self.with_key(&key, self.lag_from_now()).await {
                    Ok(Some(page)) => page,
                    Ok(None) | Err(_) => return Ok(Try::Later(error)),
                }
            }
            Err(error) => return Ok(self.trouble(error)),
        };
        self.read_back(created, Some(&service), false).await
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
        let (title, body) = match &run.diagnosis {
            Some(diagnosis) => (
                note::page_title(diagnosis),
                with_context(&tools.config, run, facts, &Past::default(), Some(record), now, |context| {
                    note::page_body(diagnosis, context, alert_title, alert_url)
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
        let problem = match service.map(|s| s.status) {
            _ if !seen.is_open() => Some("it is resolved already: nobody is working on it".to_owned()),
            Some(ServiceStatus::Disabled) => Some(format!("the service {name} is disabled: nobody is notified")),
            Some(ServiceStatus::Maintenance) => {
                Some(format!("the service {name} is in maintenance: nobody is notified"))
            }
            _ if seen.assignments == 0 => Some("it is assigned to nobody: call the Service Endpoint team".to_owned()),
            _ => None,
        };
        Ok(Try::Opened(Opened { id: seen.id, html_url: seen.html_url, joined, problem }))
    }
}
