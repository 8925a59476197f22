//! Opens the page, or finds it open; reads it back.

use std::time::Duration;

use jiff::Timestamp;

use crate::run::alone::to_its_end;
use crate::run::context::Context;
use crate::run::note_text::with_context;
use crate::run::steps::confirm_alert::{Alert, confirm_alert};
use crate::run::words::Past;
use outbound::error::{Error, Kind};
use outbound::retry::look_until;
use pagerduty::{Created, Incident, NewEvent, NewIncident, Service, ServiceStatus};
use runbook::diagnosis::note;
use runbook::gate;
use runbook::span::{after, between};
use runbook::writes::opening::{OPEN_WITHIN, key_taken, looked_for};
use runbook::writes::{Moment, Next, Outcome, Write};
use store::StoreError;

use super::another::Start;
use super::join::also_open;
use super::{OpenedPage, Subject, Tried};

/// How often a page that was opened is read back until it shows.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the incident of a page that the Events API has taken is looked for. It shows within seconds when PagerDuty
/// is well; after this a person must page by hand.
const EVENT_SHOWN: Duration = Duration::from_secs(120);
/// The longest pause between two such looks.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// What became of a page that was handed in.
enum Sent {
    /// It is open.
    Open(Box<Incident>),
    /// The Events API has taken it: that doesn't say which incident it is, nor whether there is one.
    Taken,
    /// An open incident has its key.
    KeyTaken,
    Failed(Error),
}

impl Sent {
    /// What is recorded of it, where that was its record before.
    fn outcome(&self, before: &Write) -> Outcome {
        match self {
            Self::Open(page) => Outcome::Done(page.id.clone()),
            Self::Taken => Outcome::Ambiguous("the Events API does not say what it has opened".to_owned()),
            Self::KeyTaken => key_taken(before),
            Self::Failed(error) => match error.kind {
                Kind::Refused(_) => Outcome::Refused(error.to_string()),
                Kind::Ambiguous | Kind::Malformed => Outcome::Ambiguous(error.to_string()),
                Kind::Later(_) | Kind::Local => Outcome::NotSent(error.to_string()),
            },
        }
    }
}

impl Subject<'_> {
    pub(super) async fn join_or_open(&self) -> Result<Tried, StoreError> {
        let Self { context, of, record, .. } = self;
        let key = Context::page_key(of.incident_id());
        let times = context.page_times();
        let wanted = &context.config.escalation.service;
        // First of all: what is open already can't be held back any more.
        let now = context.moment(context.clock.now());
        let mut write = context.store.take_over_opening(of, now, &times).await?;
        let began = match self.look(&key, &mut write).await {
            Ok((began, Some(page))) => {
                // It counts, whatever has become of the service's name since.
                let service = context.escalation_service().await.ok().flatten();
                return self.found(page, began, service.as_ref()).await;
            }
            Ok((began, None)) => began,
            Err(error) => return Ok(self.not_asked(error)),
        };
        if let Some(id) = &write.id {
            return self.gone(id).await;
        }
        let service = match context.escalation_service().await {
            Ok(Some(service)) => service,
            Ok(None) => {
                return Ok(Tried::Refused(format!(
                    "PagerDuty shows no service with the exact name or id {wanted:?}: check ESCALATION_SERVICE, and \
                     what PAGERDUTY_API_TOKEN may see"
                )));
            }
            Err(error) => return Ok(self.not_asked(error)),
        };
        // The alert itself once more, by its own document: lists lag behind, and nobody is paged for what is over.
        let alert = match record.asked_by {
            None => Some(confirm_alert(&context.pagerduty, self.of.incident_id()).await),
            Some(_) => None,
        };
        // Last of all: what was asked above may have taken long, and a bigger outage may show meanwhile.
        let seen = context.open_incidents.look(&context.pagerduty).await;
        let open = match self.open_pages(&service, &seen).await {
            Ok(open) => open,
            Err(error) => return Ok(self.not_asked(error)),
        };
        if let Some(alert) = alert
            && let Some(held) = self.last_look(&alert, &seen).await?
        {
            return Ok(held);
        }
        let others = open.linked;
        if let Some(page) = open.joined {
            return self.join(page, &others, &service).await;
        }
        let begun = match self.start(write.attempt, began).await? {
            Start::Begun(at) => at.ours,
            Start::UsedUp(pages) => return Ok(self.held(&gate::used_up(pages))),
            Start::Join(page) => return self.join(*page, &others, &service).await,
            Start::Not(instead) => return Ok(instead),
        };
        let mut new = self.new_incident(&service, key.clone(), after(begun, OPEN_WITHIN));
        new.body.push_str(&also_open(&others));
        let (sent, outcome, ended) = self.send_and_keep(new, &write).await?;
        // Looked for from now on, not from when it was sent: an answer may take longer to be lost than to show.
        let (shown, instead) = match sent {
            Sent::Open(page) => return self.opened(*page, Some(&service)).await,
            Sent::Taken => match self.shown_at_last(&key).await {
                Ok(shown) => (shown, Tried::Refused(never_shown(&key))),
                Err(error) => return Ok(self.trouble(error)),
            },
            Sent::KeyTaken => match self.with_key(&key, self.lag_from_now()).await {
                Ok(shown) => {
                    let got = format!("PagerDuty has an open incident with the key {key}, but does not show it");
                    (shown, self.later("opening the page", got))
                }
                Err(error) => return Ok(self.trouble(error)),
            },
            Sent::Failed(error) if matches!(outcome, Outcome::Ambiguous(_)) => {
                (self.with_key(&key, self.lag_from_now()).await.ok().flatten(), Tried::Later(error.to_string()))
            }
            Sent::Failed(error) => return Ok(self.trouble(error)),
        };
        match shown {
            Some(page) => self.found(page, ended, Some(&service)).await,
            None => Ok(instead),
        }
    }

    /// The page that may have been opened before, and when the last look for it began: by its key, until everything shows
    /// that was sent, and by its id where that is known.
    async fn look(&self, key: &str, write: &mut Write) -> Result<(Moment, Option<Incident>), Error> {
        let Self { context, .. } = self;
        let (clock, times) = (&context.clock, context.page_times());
        let known = write.id.clone();
        loop {
            let began = context.moment(clock.now());
            let found = self.with_key(key, began.ours).await?;
            // One that is known stands for what was closed before it was opened.
            let is_it = |page: &Incident| page.is_open() || known.as_ref().is_none_or(|id| *id == page.id);
            if let Some(page) = found.filter(is_it) {
                return Ok((began, Some(page)));
            }
            if let Some(id) = &known {
                let page = look_until(clock, self.lag_from_now(), || context.pagerduty.incident(id)).await?;
                return Ok((began, page));
            }
            looked_for(write, None, began, &times);
            let Next::Look(until) = write.next(&times) else { return Ok((began, None)) };
            clock.sleep(LOOK_EVERY.min(between(clock.now(), until).max(Duration::from_millis(1)))).await;
        }
    }

    /// It was found open, in a look that began then.
    async fn found(&self, page: Incident, began: Moment, service: Option<&Service>) -> Result<Tried, StoreError> {
        let times = self.context.page_times();
        self.context.store.found_opening(self.of.incident_id(), &page.id, began, &times).await?;
        self.opened(page, service).await
    }

    /// Reads back what is open, by its own answer or as it was found.
    async fn opened(&self, page: Incident, service: Option<&Service>) -> Result<Tried, StoreError> {
        let id = page.id.clone();
        match self.read_back(page, service, false).await? {
            Tried::Refused(_) => self.gone(&id).await,
            tried => Ok(tried),
        }
    }

    /// It was opened, and PagerDuty does not show it: a person who asks for it again may get another.
    async fn gone(&self, id: &str) -> Result<Tried, StoreError> {
        let now = self.context.moment(self.context.clock.now());
        self.context.store.vanished_opening(self.of.incident_id(), now, &self.context.page_times()).await?;
        Ok(Tried::Refused(format!("the page {id} was opened, but PagerDuty does not show it")))
    }

    /// What went wrong with the content of an answer, or with what was found: it may pass.
    pub(super) fn later(&self, doing: &'static str, got: String) -> Tried {
        Tried::Later(Error::malformed(doing, got).to_string())
    }

    /// Hands it in and keeps what came of it, in a task that goes on though the alert is merged meanwhile, or its claim lost:
    /// what is on its way would be in doubt for minutes. The claim is asked for right before it is sent.
    async fn send_and_keep(&self, new: NewIncident, before: &Write) -> Result<(Sent, Outcome, Moment), StoreError> {
        let (context, incident_id, before) = (self.context.clone(), self.of.incident_id().to_owned(), before.clone());
        let (region, run_url) = (self.run.region.to_string(), self.context.config.run_url(&self.run.id));
        to_its_end(async move {
            let times = context.page_times();
            let sent = send(&context, new, region, run_url).await;
            let ended = context.moment(context.clock.now());
            let outcome = sent.outcome(&before);
            context.store.end_opening(&incident_id, before.attempt + 1, &outcome, ended, &times).await?;
            Ok((sent, outcome, ended))
        })
        .await
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

    fn new_incident(&self, service: &Service, incident_key: String, by: Timestamp) -> NewIncident {
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
        NewIncident { title, service_id: service.id.clone(), incident_key, body, by }
    }

    /// Reads the page back: nobody may believe that somebody was paged.
    pub(super) async fn read_back(
        &self,
        page: Incident,
        service: Option<&Service>,
        joined: bool,
    ) -> Result<Tried, StoreError> {
        let clock = &self.context.clock;
        let until = after(clock.now(), self.context.read_lag);
        let seen = loop {
            match self.context.pagerduty.incident(&page.id).await {
                Ok(Some(seen)) => break seen,
                Ok(None) if clock.now() < until => clock.sleep(LOOK_EVERY).await,
                Ok(None) => {
                    return Ok(Tried::Refused(format!(
                        "the page {} was opened, but PagerDuty does not show it",
                        page.id
                    )));
                }
                // It is open by its own answer; that it can't be read back is said, and no reason to open another.
                Err(error) => {
                    let problem = Some(format!("it could not be read back: {error}"));
                    return Ok(Tried::Opened(OpenedPage { id: page.id, html_url: page.html_url, joined, problem }));
                }
            }
        };
        let seen = if joined { seen } else { self.merged_into(seen).await };
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
            return Ok(self.later("joining an open page", got));
        }
        let problem = match service.map(|s| s.status) {
            _ if !seen.is_open() => Some(over(&seen)),
            Some(ServiceStatus::Disabled) => Some(format!("the service {name} is disabled: nobody is notified")),
            Some(ServiceStatus::Maintenance) => {
                Some(format!("the service {name} is in maintenance: nobody is notified"))
            }
            // A routing key decides by itself where a page goes. What it was merged into, people have chosen.
            _ if elsewhere.is_some() && seen.id == page.id => elsewhere,
            _ if seen.assignments == 0 => Some("it is assigned to nobody: call the Service Endpoint team".to_owned()),
            _ => None,
        };
        Ok(Tried::Opened(OpenedPage { id: seen.id, html_url: seen.html_url, joined, problem }))
    }

    /// Whether this incident is an alert; what can't be read may be one.
    pub(super) async fn is_an_alert(&self, id: &str) -> bool {
        !matches!(self.context.store.alert(id).await, Ok(None))
    }

    /// The open incident that people have merged a page of ours into: that is where they are. Else the page itself.
    async fn merged_into(&self, page: Incident) -> Incident {
        let Some(into) = page.merged_into.as_deref().filter(|_| !page.is_open()) else { return page };
        match confirm_alert(&self.context.pagerduty, into).await {
            // An alert, this one or another, is no page to anybody.
            Alert::Open(into) if !self.is_an_alert(&into.id).await => *into,
            Alert::Open(_) | Alert::Resolved(_) | Alert::Unknown(_) => page,
        }
    }
}

/// Hands it in, by REST or by the Events API.
async fn send(context: &Context, new: NewIncident, source: String, client_url: String) -> Sent {
    let escalation = &context.config.escalation;
    let Some(routing_key) = &escalation.routing_key else {
        return match context.pagerduty.create_incident(&context.permit, new).await {
            Ok(Created::New(page)) => Sent::Open(page),
            Ok(Created::KeyTaken) => Sent::KeyTaken,
            Err(error) => Sent::Failed(error),
        };
    };
    let event =
        NewEvent { summary: new.title, dedup_key: new.incident_key, source, details: new.body, client_url, by: new.by };
    match context.pagerduty.enqueue(&context.permit, &escalation.events_url, routing_key, &event).await {
        Ok(()) => Sent::Taken,
        Err(error) => Sent::Failed(error),
    }
}

/// What is wrong with a page that is not open. One that was merged into what is open by now is that.
fn over(page: &Incident) -> String {
    match &page.merged_into {
        None => "it is resolved already: nobody is working on it".to_owned(),
        Some(into) => format!("it was merged into the incident {into}: look there whether anybody is working on it"),
    }
}

/// Why a page failed that the Events API has taken.
fn never_shown(key: &str) -> String {
    format!(
        "the Events API took the page, but within {} PagerDuty shows no incident with the key {key}: is \
         ESCALATION_ROUTING_KEY of a service that PAGERDUTY_API_TOKEN may see, and is that service enabled?",
        runbook::span::show_duration(EVENT_SHOWN)
    )
}
