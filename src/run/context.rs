//! What a run works with.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::bell::Bell;
use super::build_places::BuildPlaces;
use super::client::ClientAsker;
use super::notify::Elsewhere;
use super::open_incidents::OpenIncidents;
use super::waiting::Waiting;
use crate::config::Config;
use jenkins::Jenkins;
use outbound::clock::Clock;
use outbound::error::Error;
use outbound::permit::Permit;
use outbound::shared::Shared;
use pagerduty::{BoxError, PagerDuty, Service, SharedRateLimit};
use runbook::alert::KEY_PREFIX;
use runbook::writes::{Moment, Times};
use store::Store;

/// Everything that steps need; clones share it.
#[derive(Clone, Debug)]
pub struct Context {
    /// The settings.
    pub config: Arc<Config>,
    /// What is on disk.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// What is written to the outside takes it: of the claim that is worked on.
    pub permit: Permit,
    /// PagerDuty.
    pub pagerduty: PagerDuty,
    /// Jenkins.
    pub jenkins: Arc<Jenkins>,
    /// The client of the end-to-end test; `None`: it is not asked.
    pub client: Option<Arc<ClientAsker>>,
    /// `JENKINS_MAX_BUILDS`, over all runs of all processes.
    pub builds: BuildPlaces,
    /// Slack and GHE: who else is told.
    pub elsewhere: Elsewhere,
    /// One look at open incidents for all that ask at once.
    pub open_incidents: Arc<OpenIncidents>,
    /// The same for one look for the escalation service.
    escalation_service: Arc<Shared<Result<Option<Service>, Error>>>,
    /// Runs that only wait: they hold no place.
    pub waiting: Arc<Waiting>,
    /// Early words that are wanted, and written.
    pub early_words: Arc<Bell>,
    /// How long PagerDuty's reads may lag behind writes: [`Times::PAGERDUTY`].
    pub read_lag: Duration,
}

impl Context {
    /// Sets up the clients of these settings. Asks nothing yet.
    ///
    /// # Errors
    /// A client can't be set up.
    pub fn new(config: Arc<Config>, store: Store, clock: Clock) -> Result<Self, Error> {
        let pagerduty = PagerDuty::new(config.pagerduty.clone(), clock.clone())?;
        let shared = store.is_shared().then(|| store.clone());
        let elsewhere = Elsewhere::new(&config.telling, &clock)?;
        if elsewhere.is_any() {
            store.tell_others();
        }
        Ok(Self {
            pagerduty: match &shared {
                Some(store) => pagerduty.sharing(Arc::new(SharedByProcesses(store.clone()))),
                None => pagerduty,
            },
            jenkins: Arc::new(Jenkins::new(config.jenkins.clone(), clock.clone())?),
            client: ClientAsker::new(&config.regions, &config.client, Some(&config.cluster), clock.clone())?
                .map(Arc::new),
            builds: BuildPlaces::new(config.jenkins.max_builds, clock.clone()),
            elsewhere,
            open_incidents: Arc::default(),
            escalation_service: Arc::default(),
            waiting: Arc::default(),
            early_words: Arc::default(),
            read_lag: Times::PAGERDUTY.read_lag,
            permit: Permit::none(),
            config,
            store,
            clock,
        })
    }

    /// The same for who works on a claim.
    #[must_use]
    pub fn permitted(&self, permit: Permit) -> Self {
        Self { permit, ..self.clone() }
    }

    /// The same for a note or a page: before PagerDuty's rate limit, it goes first.
    #[must_use]
    pub fn first(&self) -> Self {
        Self { pagerduty: self.pagerduty.first(), ..self.clone() }
    }

    /// The service to page, as it is now.
    ///
    /// # Errors
    /// See [`PagerDuty::find_service`].
    pub async fn escalation_service(&self) -> Result<Option<Service>, Error> {
        self.escalation_service.ask(|| self.pagerduty.find_service(&self.config.escalation.service)).await
    }

    /// The times that writes to PagerDuty go by.
    pub fn times(&self) -> Times {
        Times { read_lag: self.read_lag, ..Times::PAGERDUTY }
    }

    /// The times that opening a page goes by.
    pub fn page_times(&self) -> Times {
        Times { read_lag: self.read_lag, ..Times::OPENING }
    }

    /// A moment by our clock, with what PagerDuty's says then.
    pub fn moment(&self, ours: Timestamp) -> Moment {
        Moment { ours, theirs: self.pagerduty.to_theirs(ours) }
    }

    /// The key of the page of an alert: one page an alert, ever.
    pub fn page_key(incident_id: &str) -> String {
        format!("{KEY_PREFIX}{incident_id}")
    }
}

/// The rate limit at PagerDuty, of the processes that share the database.
#[derive(Debug)]
struct SharedByProcesses(Store);

impl SharedRateLimit for SharedByProcesses {
    fn take(&self, most: usize, wanted: usize) -> BoxFuture<'_, Result<(usize, Timestamp), BoxError>> {
        async move { Ok(self.0.take_requests(most, wanted).await?) }.boxed()
    }
}
