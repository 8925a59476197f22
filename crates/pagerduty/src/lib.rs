//! Asks PagerDuty's REST API: incidents, notes, services. Answers become small types of our own.
//!
//! Reads are asked again when that may help. A write is asked again only when it was certainly not done
//! ([`Kind::Later`]: rate limit, no connection); whether anything else was done is unknown ([`Kind::Ambiguous`]), and the
//! caller looks before it asks again. Nothing here acknowledges, reassigns, resolves or merges anybody's incident.
//!
//! It knows PagerDuty's API, and must not know why it is asked. Begin with [`PagerDuty`]; `request` sends, `model` has
//! what comes back.

mod events;
mod history;
mod incidents;
mod limit;
mod list;
mod log_entries;
mod model;
mod notes;
mod request;
mod services;
mod settings;
mod subscriptions;
#[cfg(test)]
mod tests;
mod users;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderValue;
use url::Url;

use outbound::clock::Clock;
use outbound::error::{Error, Kind};
use outbound::http::http_client;
use outbound::outage::Outage;
use outbound::secret::Secret;
use outbound::skew::Skew;

use limit::{Limit, Most, Priority};

pub use events::NewEvent;
pub use history::windows;
pub use incidents::{Created, NewIncident};
pub use limit::{BoxError, SharedRateLimit};
pub use list::Listed;
pub use log_entries::{Agent, AgentKind, LogEntry};
pub use model::{Acknowledgement, Incident, Note, Reference, Service, ServiceStatus, Status, Urgency};
pub use notes::MAX_NOTE;
pub use settings::PagerDutySettings;
pub use subscriptions::{Delivery, Filter, Subscription};
pub use users::User;

/// Longest wait for one whole answer. PagerDuty answers in well under a second when well; a page of 100 incidents may
/// take a few. `runbook::writes::Times` go by it.
const PATIENCE: Duration = Duration::from_secs(15);

/// PagerDuty's REST API, for one account. Clones share their connections.
#[derive(Clone, Debug)]
pub struct PagerDuty(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    http: reqwest::Client,
    api_url: Url,
    token: Secret,
    from: HeaderValue,
    clock: Clock,
    patience: Duration,
    priority: Priority,
    /// Of all clones, since it is the key's.
    limit: Arc<Limit>,
    outage: Arc<Outage>,
    skew: Arc<Mutex<Skew>>,
    /// See [`PagerDuty::our_user_id`].
    our_user_id: Arc<Mutex<Option<String>>>,
}

impl PagerDuty {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// `PAGERDUTY_API_URL` or `PAGERDUTY_FROM` can't be used, or the machine's TLS setup is unusable.
    pub fn new(settings: PagerDutySettings, clock: Clock) -> Result<Self, Error> {
        let wrong = |got: String| Error::local("setting up the PagerDuty client", got);
        let PagerDutySettings { api_url, token, from } = settings;
        if !matches!(api_url.scheme(), "http" | "https") || api_url.cannot_be_a_base() {
            return Err(wrong(format!("PAGERDUTY_API_URL is {api_url}, which is not an http(s) URL")));
        }
        let from = HeaderValue::from_str(from.trim())
            .map_err(|_| wrong(format!("PAGERDUTY_FROM is {from:?}, which is not an e-mail address")))?;
        Ok(Self(Arc::new(Inner {
            http: http_client()?,
            api_url,
            token,
            from,
            patience: PATIENCE,
            priority: Priority::Look,
            limit: Arc::new(Limit::new(clock.clone(), None, Most::default())),
            outage: Arc::new(Outage::new("PagerDuty", clock.clone())),
            clock,
            skew: Arc::default(),
            our_user_id: Arc::default(),
        })))
    }

    /// The same client, whose rate limit is one with those of all who take `turns`.
    #[must_use]
    pub fn sharing(&self, turns: Arc<dyn SharedRateLimit>) -> Self {
        let limit = Arc::new(Limit::new(self.0.clock.clone(), Some(turns), Most::default()));
        Self(Arc::new(Inner { limit, ..(*self.0).clone() }))
    }

    /// The same client with a rate limit of its own, which it shares with nobody: at most so many requests a minute.
    #[must_use]
    pub fn at_most(&self, a_minute: usize) -> Self {
        let limit = Arc::new(Limit::new(self.0.clock.clone(), None, Most::of(a_minute)));
        Self(Arc::new(Inner { limit, ..(*self.0).clone() }))
    }

    /// Whether this failure may pass by itself; see [`Error::may_pass`].
    pub fn may_pass(&self, error: &Error) -> bool {
        error.may_pass(self.0.token.is_renewable())
    }

    /// How far PagerDuty's clock is ahead of ours, as people see it, for certain: by the `Date` of its answers. `None`
    /// before the first.
    pub fn clock_ahead(&self) -> Option<SignedDuration> {
        Some(self.skew().ahead()?.saturating_add(self.0.clock.ahead()))
    }

    /// What PagerDuty's clock says now: how old what it tells of is. `None` before its first answer.
    pub fn time(&self) -> Option<Timestamp> {
        self.to_theirs(self.0.clock.now())
    }

    /// What PagerDuty's clock says when ours says this; `None` before its first answer.
    pub fn to_theirs(&self, ours: Timestamp) -> Option<Timestamp> {
        self.skew().to_theirs(ours)
    }

    /// The same instant by our clock; before its first answer the clocks are taken to agree.
    pub fn to_ours(&self, theirs: Timestamp) -> Timestamp {
        self.skew().to_ours(theirs)
    }

    fn skew(&self) -> Skew {
        *self.0.skew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same client with another limit for one whole answer (15 s unless said).
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        Self(Arc::new(Inner { patience, ..(*self.0).clone() }))
    }

    /// The same client for a note or a page: what it looks up goes before what others look up, as what is written
    /// always does, where the rate limit is short.
    #[must_use]
    pub fn first(&self) -> Self {
        Self(Arc::new(Inner { priority: Priority::Tell, ..(*self.0).clone() }))
    }
}
