//! Proves that PagerDuty's webhooks reach us: PagerDuty is asked to ping each of our subscriptions, and as many new pings must
//! come back, signed, at whichever process. What that came to is kept in the database, for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream;
use jiff::Timestamp;
use url::Url;

use super::subscription::ours;
use crate::config::Config;
use crate::run::context::Context;
use crate::run::watcher::Watcher;
use outbound::error::Error;
use outbound::retry::by_deadline;
use pagerduty::Subscription;
use runbook::span::{after, before};
use runbook::way_in::{Answer, Pinged, Proof, WITHIN};
use store::{StoreError, Watch, WatchLease};

/// How long it need not be looked at where no self-check asks for a proof: that wakes it.
const NOTHING_WANTED: Duration = Duration::from_secs(86_400);
/// How long PagerDuty may take to list subscriptions, and to take the wish for a ping.
const ASK_WITHIN: Duration = Duration::from_secs(30);
/// Subscriptions that are pinged at a time.
const AT_ONCE: usize = 8;
/// How often it is looked for the pings that came.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Pings that came so long before are known ones, not new: the clocks of processes differ by far less.
const KNOWN_SINCE: Duration = Duration::from_secs(600);

/// Counts the webhooks whose signature was wrong, at this process; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<AtomicU64>);

impl Refusals {
    /// One more was refused.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes the proofs that self-checks ask for.
#[derive(Debug)]
pub struct Prover {
    refusals: Refusals,
    within: Duration,
}

impl Prover {
    /// By these settings; `None` where there is no self-check. Pings have [`WITHIN`] unless said.
    pub fn new(config: &Config, refusals: Refusals, within: Option<Duration>) -> Option<Self> {
        config.self_check_interval?;
        Some(Self { refusals, within: within.unwrap_or(WITHIN) })
    }

    /// Asks for the pings, and waits for them.
    async fn prove(&self, context: &Context, url: &str) -> Result<Proof, StoreError> {
        let since = before(context.clock.now(), KNOWN_SINCE);
        let known = context.store.pings_since(since).await?;
        let refused_before = self.refusals.count();
        let subscriptions =
            match limited(context, "listing our webhook subscriptions", context.pagerduty.subscriptions()).await {
                Ok(all) => all,
                Err(error) => return Ok(Proof::without_list(&error.to_string(), is_not_allowed(&error))),
            };
        // "Each whose URL is WEBHOOK_URL": with another query it may be somebody else's.
        let query = |url: &str| Url::parse(url).ok().and_then(|url| url.query().map(str::to_owned));
        let is_it = |one: &&Subscription| one.delivery_method.url.as_deref().and_then(query) == query(url);
        let ours: Vec<Subscription> = ours(&subscriptions, Some(url)).into_iter().filter(is_it).cloned().collect();
        let asked: Vec<Asked> = stream::iter(ours).map(|one| ping(context, one)).buffered(AT_ONCE).collect().await;
        let wanted = asked.iter().filter(|one| one.may_come).count();
        let mut came = 0;
        // Without a right to ask there is nothing to prove.
        if !asked.iter().any(|one| matches!(one.pinged.answer, Answer::NotAllowed(_))) {
            let until = after(context.clock.now(), self.within);
            while came < wanted {
                came = context.store.pings_since(since).await?.difference(&known).count();
                if came < wanted {
                    if context.clock.now() >= until {
                        break;
                    }
                    context.clock.sleep(LOOK_EVERY).await;
                }
            }
        }
        let pinged: Vec<Pinged> = asked.into_iter().map(|one| one.pinged).collect();
        Ok(Proof::of(url, &pinged, came, self.refusals.count().saturating_sub(refused_before)))
    }
}

impl Watcher for Prover {
    fn watch(&self) -> Watch {
        Watch::WayIn
    }

    fn turn<'a>(&'a self, context: &'a Context, lease: &'a WatchLease) -> BoxFuture<'a, Result<Duration, StoreError>> {
        async move {
            // Also right at the start, and when somebody else has just made one.
            if context.store.way_in().await?.is_some_and(|way_in| way_in.is_wanted()) {
                let url = context.config.webhook_url();
                let proof = self.prove(context, &url).await?;
                tracing::debug!(outcome = %proof.outcome, detail = proof.detail, "the way in was looked at");
                context.store.in_time(context.store.end_way_in(lease, &url, &proof)).await?;
            }
            Ok(NOTHING_WANTED)
        }
        .boxed()
    }
}

/// A subscription that PagerDuty was asked to ping.
struct Asked {
    pinged: Pinged,
    /// Whether a ping may come.
    may_come: bool,
}

async fn ping(context: &Context, subscription: Subscription) -> Asked {
    let id = subscription.id.as_str();
    let asked = context.pagerduty.ping_subscription(&context.permit, id);
    let (answer, may_come) = match limited(context, "having PagerDuty ping our webhook subscription", asked).await {
        Ok(()) => (Answer::Sent, true),
        Err(error) if error.status().is_some_and(|status| status.as_u16() == 404) => (Answer::Gone, false),
        Err(error) if is_not_allowed(&error) => (Answer::NotAllowed(error.got), false),
        Err(error) => (Answer::Unknown(error.to_string()), !error.is_certainly_not_done()),
    };
    let is_disabled = subscription.delivery_method.temporarily_disabled;
    let pinged = Pinged { is_off: !subscription.active, id: subscription.id, is_disabled, answer };
    Asked { pinged, may_come }
}

/// Whether the answer is that this token may not.
fn is_not_allowed(error: &Error) -> bool {
    error.status().is_some_and(|status| matches!(status.as_u16(), 401..=403))
}

/// Gives up after [`ASK_WITHIN`].
async fn limited<T>(context: &Context, doing: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let deadline: Timestamp = after(context.clock.now(), ASK_WITHIN);
    by_deadline(&context.clock, deadline, doing, work).await
}
