//! Asks PagerDuty's REST API: incidents, notes, services. Answers become small types of our own.
//!
//! Reads are asked again when that may help. A write is asked again only when it was certainly not done
//! ([`Kind::Later`]: rate limit, no connection); whether anything else was done is unknown ([`Kind::Ambiguous`]), and the
//! caller looks before it asks again. Nothing here acknowledges, reassigns, resolves or merges anybody's incident.

mod events;
mod incidents;
mod limit;
mod model;
mod notes;
mod request;
mod services;
mod subscriptions;
#[cfg(test)]
#[cfg(feature = "sim")]
pub(crate) mod tests;
mod users;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::header::HeaderValue;
use url::Url;

use super::outage::Outage;
use super::skew::Skew;
use super::{Error, Kind, http_client};
use crate::clock::Clock;
use crate::config::{PagerDutySettings, Secret};

use limit::{Limit, Priority};

pub use events::NewEvent;
pub use incidents::{Created, NewIncident};
pub use limit::{BoxError, SharedTurns};
pub use model::{Acknowledgement, Incident, Note, Reference, Service, ServiceStatus, Status, Urgency};
pub use notes::MAX_NOTE;
pub use subscriptions::{Delivery, Filter, Subscription};
pub use users::User;

/// Longest wait for one whole answer. PagerDuty answers in well under a second when well; a page of 100 incidents may
/// take a few.
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
}

impl PagerDuty {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// `PAGERDUTY_API_URL` or `PAGERDUTY_FROM` can't be used, or the machine's TLS set-up is unusable.
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
            limit: Arc::new(Limit::new(clock.clone(), None)),
            outage: Arc::new(Outage::new("PagerDuty", clock.clone())),
            clock,
            skew: Arc::default(),
        })))
    }

    /// The same client, whose rate limit is one with those of all who take `turns`.
    #[must_use]
    pub fn sharing(&self, turns: Arc<dyn SharedTurns>) -> Self {
        let limit = Arc::new(Limit::new(self.0.clock.clone(), Some(turns)));
        Self(Arc::new(Inner { limit, ..(*self.0).clone() }))
    }

    /// Whether this failure may pass by itself; see [`Error::may_pass`].
    pub fn may_pass(&self, error: &Error) -> bool {
        error.may_pass(self.0.token.is_renewable())
    }

    /// How far PagerDuty's clock is ahead of ours for certain, by the `Date` of its answers; `None` before the first.
    pub fn clock_ahead(&self) -> Option<SignedDuration> {
        self.0.skew.lock().unwrap_or_else(PoisonError::into_inner).ahead()
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
