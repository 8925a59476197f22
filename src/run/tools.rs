//! What a run works with.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::build_places::BuildPlaces;
use super::open_incidents::OpenIncidents;
use crate::alert::KEY_PREFIX;
use crate::clock::{Clock, after};
use crate::config::Config;
use crate::store::Store;
use crate::upstream::jenkins::Jenkins;
use crate::upstream::pagerduty::{BoxError, PagerDuty, SharedTurns};

/// How long PagerDuty's reads may lag behind writes: "a few seconds" are reported, and half a minute of patience
/// after a crash or a lost answer is cheaper than a second note.
pub const READ_LAG: Duration = Duration::from_secs(10);
/// The longest that one write to PagerDuty takes, its repetitions and its waits for a turn included: the last is begun
/// within 120 s, and takes 15 s.
const LONGEST_WRITE: Duration = Duration::from_secs(150);

/// Everything that steps need; clones share it.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The settings.
    pub config: Arc<Config>,
    /// What is on disk.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// PagerDuty.
    pub pagerduty: PagerDuty,
    /// Jenkins.
    pub jenkins: Arc<Jenkins>,
    /// `JENKINS_MAX_BUILDS`, over all runs of all processes.
    pub builds: BuildPlaces,
    /// One look at open incidents for all runs that ask at once.
    pub open_incidents: Arc<OpenIncidents>,
    /// How long PagerDuty's reads may lag behind writes: [`READ_LAG`].
    pub read_lag: Duration,
}

impl Tools {
    /// Sets up the clients of these settings. Asks nothing yet.
    ///
    /// # Errors
    /// A client can't be set up.
    pub fn new(config: Arc<Config>, store: Store, clock: Clock) -> Result<Self, crate::upstream::Error> {
        let pagerduty = PagerDuty::new(config.pagerduty.clone(), clock.clone())?;
        let shared = store.is_shared().then(|| store.clone());
        Ok(Self {
            pagerduty: match &shared {
                Some(store) => pagerduty.sharing(Arc::new(Turns(store.clone()))),
                None => pagerduty,
            },
            jenkins: Arc::new(Jenkins::new(config.jenkins.clone(), clock.clone())?),
            builds: BuildPlaces::new(config.jenkins.max_builds, shared),
            open_incidents: Arc::default(),
            read_lag: READ_LAG,
            config,
            store,
            clock,
        })
    }

    /// The same for a note or a page: before PagerDuty's rate limit, it goes first.
    #[must_use]
    pub fn first(&self) -> Self {
        Self { pagerduty: self.pagerduty.first(), ..self.clone() }
    }

    /// Until when to look for what another worker was about to write at `begun`: it may have been cut off this
    /// instant, its request just sent.
    pub fn shown_by(&self, begun: Timestamp) -> Timestamp {
        after(self.clock.now(), self.read_lag).min(after(begun, LONGEST_WRITE + self.read_lag))
    }

    /// The key of the page of an alert: one page an alert, ever.
    pub fn page_key(incident_id: &str) -> String {
        format!("{KEY_PREFIX}{incident_id}")
    }
}

/// Turns at PagerDuty, of the processes that share the database.
#[derive(Debug)]
struct Turns(Store);

impl SharedTurns for Turns {
    fn take(&self, most: usize, wanted: usize) -> BoxFuture<'_, Result<(usize, Timestamp), BoxError>> {
        async move { Ok(self.0.take_turns(most, wanted).await?) }.boxed()
    }
}
