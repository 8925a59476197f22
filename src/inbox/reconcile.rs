//! Looks in PagerDuty for what no webhook told of: alerts that are open without a run, resolutions, reopenings.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::Mutex;

use super::route::{alert_region, is_odd};
use crate::config::Config;
use crate::run::context::Context;
use crate::run::watcher::Watcher;
use pagerduty::Incident;
use runbook::life::Reply;
use runbook::run::{AlertIncident, Trigger};
use runbook::span::between;
use store::{Created, NewRun, StoreError, Watch, WatchLease};

/// Looks twice every `RECONCILE_INTERVAL`, and takes what is older than half of it: what is younger has a webhook on its way,
/// most likely. The first look is right at the start, since what came while we were down may never be sent again.
#[derive(Debug)]
pub struct Reconciler {
    interval: Duration,
    said: Mutex<Said>,
}

/// What was said once, and is not said each time.
#[derive(Debug, Default)]
struct Said {
    failing: bool,
    /// The incidents whose titles were said not to be understood.
    odd: HashSet<String>,
}

impl Reconciler {
    /// By these settings; `None` where they ask for no look.
    pub fn new(config: &Config) -> Option<Self> {
        Some(Self { interval: config.reconcile_interval?, said: Mutex::default() })
    }
}

impl Watcher for Reconciler {
    fn watch(&self) -> Watch {
        Watch::Reconcile
    }

    fn turn<'a>(&'a self, context: &'a Context, lease: &'a WatchLease) -> BoxFuture<'a, Result<Duration, StoreError>> {
        async move {
            let Said { failing, odd } = &mut *self.said.lock().await;
            let looked = look(context, self.interval / 2, odd).await;
            if looked.is_ok() {
                context.store.in_time(context.store.reconciled(lease)).await?;
            }
            // Said once when it begins and once when it ends, not each time.
            match looked {
                Ok(()) if *failing => {
                    tracing::info!("alerts that no webhook told of can be looked for again");
                    *failing = false;
                }
                Ok(()) => {}
                Err(error) if *failing => tracing::debug!(error, "alerts still can't be looked for"),
                Err(error) => {
                    tracing::warn!(error, "alerts that no webhook told of can't be looked for now");
                    *failing = true;
                }
            }
            Ok(jittered(self.interval / 2, context.clock.jitter()))
        }
        .boxed()
    }
}

/// Whether an incident that is shown open has been opened again since it was resolved, both by PagerDuty's clock: it
/// may still be shown as it was before, since reads lag behind writes, or was never resolved. Where it is known to have been
/// `triggered` since, that resolution was told of late: it is no news that it is open. PagerDuty's times are whole seconds.
fn was_reopened(resolved: Timestamp, triggered: Option<Timestamp>, changed: Option<Timestamp>) -> bool {
    let is_told_late = triggered.is_some_and(|triggered| resolved.as_second() < triggered.as_second());
    !is_told_late && changed.is_none_or(|changed| changed.as_second() >= resolved.as_second())
}

/// Never longer than what was promised.
fn jittered(interval: Duration, jitter: f64) -> Duration {
    interval.mul_f64(0.8 + 0.2 * jitter.clamp(0.0, 1.0))
}

/// `odd` are the incidents whose titles were said not to be understood: each is said once.
async fn look(context: &Context, grace: Duration, odd: &mut HashSet<String>) -> Result<(), String> {
    let seen = context.open_incidents.look(&context.pagerduty).await.map_err(|e| e.to_string())?;
    let open: HashMap<&str, &Incident> = seen.iter().map(|incident| (incident.id.as_str(), incident)).collect();
    odd.retain(|id| open.contains_key(id.as_str()));
    let mut unknown = Vec::new();
    for incident in open.values() {
        match start_where_missing(context, incident, grace).await {
            // One row must not hide the other alerts.
            Err(error @ StoreError::Corrupt { .. }) => unknown.push(format!("{}: {error}", incident.id)),
            Err(error) => return Err(error.to_string()),
            Ok(Missing::Odd) if odd.insert(incident.id.clone()) => {
                super::title_not_understood(&incident.id, &incident.title);
            }
            Ok(_) => {}
        }
    }
    // That an incident is not listed is no proof: a restricted token sees less. Each is asked for singly, and one that
    // can't be asked for is no reason to leave the others.
    for id in context.store.in_time(context.store.open_alerts()).await.map_err(|e| e.to_string())? {
        if open.contains_key(id.as_str()) {
            continue;
        }
        let incident = match context.pagerduty.incident(&id).await {
            Ok(incident) => incident,
            // Nobody is answered now: the next look is soon enough.
            Err(error) if error.is_worth_a_retry() => return Err(error.to_string()),
            Err(error) => {
                unknown.push(error.to_string());
                continue;
            }
        };
        if let Some(incident) = incident.filter(|incident| !incident.is_open()) {
            tracing::info!(incident.id = id, "an alert was resolved without a webhook that told of it");
            // Where it does not say when, it is by its clock all the same.
            let at = incident.last_status_change_at.or_else(|| context.pagerduty.time());
            context.store.in_time(context.store.set_resolved(&id, at)).await.map_err(|e| e.to_string())?;
        }
    }
    if unknown.is_empty() { Ok(()) } else { Err(unknown.join("; ")) }
}

/// What was missing of an open incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// Nothing, or a run, which is made.
    Nothing,
    /// Its title sounds like an alert's, and can't be read as one.
    Odd,
}

/// Makes a run for an open alert that has none, or that was resolved and is open again.
async fn start_where_missing(context: &Context, incident: &Incident, grace: Duration) -> Result<Missing, StoreError> {
    let known = context.store.in_time(context.store.alert(&incident.id)).await?;
    let resolved_at = known.as_ref().and_then(|alert| alert.resolved_at);
    // What was merged away and is open again is an alert of its own; lists lag behind, and may show it as it was.
    let is_apart = known.as_ref().is_some_and(|alert| alert.incident_id != incident.id)
        && matches!(context.pagerduty.incident(&incident.id).await, Ok(Some(shown)) if shown.is_open());
    let triggered_at = known.as_ref().and_then(|alert| alert.triggered_at);
    let is_open_again = |resolved| was_reopened(resolved, triggered_at, incident.last_status_change_at);
    let reopened = is_apart || resolved_at.is_some_and(is_open_again);
    // An open alert keeps its newest run: one without any lost it to a name that was split off.
    let is_left = !reopened
        && resolved_at.is_none()
        && known.as_ref().is_some_and(|alert| alert.incident_id == incident.id)
        && !context.store.in_time(context.store.had_run(&incident.id)).await?;
    if known.is_some() && !reopened && !is_left {
        return Ok(Missing::Nothing);
    }
    let since = if reopened { incident.last_status_change_at } else { incident.created_at };
    let age = |since| between(context.pagerduty.to_ours(since), context.clock.now());
    if since.is_some_and(|since| age(since) < grace) {
        return Ok(Missing::Nothing);
    }
    let service = incident.service.as_ref().map(|s| (s.id.as_str(), s.name.as_str())).unwrap_or_default();
    let key = incident.incident_key.as_deref();
    // What is left goes by its own title: it was the alert for what was merged into it.
    let remembered = known.as_ref().filter(|_| reopened).map(|alert| alert.region.clone());
    let Ok(region) = alert_region(&incident.title, key, service, &context.config, remembered) else {
        let odd = known.is_none() && is_odd(&incident.title, key, service, &context.config);
        return Ok(if odd { Missing::Odd } else { Missing::Nothing });
    };
    let run = NewRun {
        incident: Some(AlertIncident::from(incident)),
        region,
        trigger: Trigger::Reconcile,
        reopened,
        alert_at: since,
    };
    if let Created::Now(Reply::Started(run_id)) = context.store.in_time(context.store.create_run(&run, None)).await? {
        tracing::warn!(run.id = run_id, incident.id = incident.id, reopened, "an alert that no webhook told of");
    }
    Ok(Missing::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_as_it_was_before_its_end_is_not_reopened() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let resolved = at("2026-08-20T03:00:10.400Z");
        for triggered in [None, Some(at("2026-08-20T02:00:00Z")), Some(at("2026-08-20T03:00:10.900Z"))] {
            let was_reopened = |changed| was_reopened(resolved, triggered, changed);
            assert!(!was_reopened(Some(at("2026-08-20T03:00:09Z"))));
            assert!(was_reopened(Some(at("2026-08-20T03:00:10Z"))), "opened again within the second");
            assert!(was_reopened(Some(at("2026-08-20T04:00:00Z"))));
            assert!(was_reopened(None), "not known: the run asks for itself");
        }
        // The resolution was told of after the reopening.
        let triggered = Some(at("2026-08-20T03:00:11Z"));
        for changed in [None, triggered, Some(at("2026-08-20T04:00:00Z"))] {
            assert!(!was_reopened(resolved, triggered, changed), "{changed:?}");
        }
    }

    #[test]
    fn the_interval_is_kept() {
        let minute = Duration::from_secs(60);
        assert_eq!(jittered(minute, 1.0), minute);
        assert_eq!(jittered(minute, 0.0), Duration::from_secs(48));
    }

    /// lifecycle.md#commands: `/hold` holds until the alert is reopened. That one was is known; its end before that is told of late.
    #[cfg(feature = "sim")]
    #[tokio::test]
    async fn a_resolution_that_is_told_of_late_lifts_no_hold_and_starts_no_run() {
        use crate::run::bench::Bench;
        use jiff::SignedDuration;
        use outbound::clock::Source as _;

        let bench = Bench::new().await;
        let store = &bench.context.store;
        let run = bench.run().await;
        store.finish_run(&run, &store::Finish::Done).await.unwrap();
        store.spoil("UPDATE alerts SET held_by = 'Ann'").await;
        let late = bench.clock.now() - SignedDuration::from_secs(60);
        store.set_resolved(&bench.alert, Some(late)).await.unwrap();
        look(&bench.context, Duration::ZERO, &mut HashSet::new()).await.unwrap();
        let alert = store.alert(&bench.alert).await.unwrap().unwrap();
        assert_eq!(alert.held_by.as_deref(), Some("Ann"));
        assert_eq!(store.last_runs(&bench.alert, None).await.unwrap().len(), 1, "it is no news that it is open");
    }

    #[cfg(feature = "sim")]
    #[tokio::test]
    async fn an_alert_that_cannot_be_asked_for_costs_the_others_nothing() {
        use crate::run::bench::Bench;
        use simulators::pagerduty::{Endpoint, Fault, Opening, Setup};

        let bench = Bench::new().await;
        let other = bench.account.open(Opening::new("All SE endpoints down in prod-eu-de", Setup::REGISTRY)).id;
        for id in [&bench.alert, &other] {
            bench.queued(id).await;
            bench.account.resolve(id, None);
        }
        // Whichever is asked for first.
        bench.account.fail(Endpoint::Incident, Fault::Status(403), 1);
        let error = look(&bench.context, Duration::ZERO, &mut HashSet::new()).await.unwrap_err();
        assert!(error.contains("403"), "{error}");
        let open = bench.context.store.open_alerts().await.unwrap();
        assert_eq!(open.len(), 1, "the other's end is known: {open:?}");
        look(&bench.context, Duration::ZERO, &mut HashSet::new()).await.unwrap();
        assert!(bench.context.store.open_alerts().await.unwrap().is_empty());
    }

    #[cfg(feature = "sim")]
    #[tokio::test]
    async fn a_title_that_is_not_understood_is_told_once_and_one_that_is_not_exact_is_an_alert() {
        use crate::run::bench::Bench;
        use simulators::pagerduty::{Opening, Setup};

        let bench = Bench::new().await;
        let open = |title: &str, service: &str| bench.account.open(Opening::new(title, service)).id;
        let loose = open("all se endpoints down in PROD-EU-DE (critical)", Setup::REGISTRY);
        let odd = open("SE endpoints down: prod-eu-gb", Setup::REGISTRY);
        open("SE endpoints down: prod-eu-gb", Setup::SERVICE_ENDPOINT);
        let mut said = HashSet::new();
        look(&bench.context, Duration::ZERO, &mut said).await.unwrap();
        look(&bench.context, Duration::ZERO, &mut said).await.unwrap();
        assert_eq!(said, HashSet::from([odd.clone()]));
        let region = bench.context.store.alert(&loose).await.unwrap().map(|alert| alert.region.to_string());
        assert_eq!(region.as_deref(), Some("prod-eu-de"));
        bench.account.resolve(&odd, None);
        look(&bench.context, Duration::ZERO, &mut said).await.unwrap();
        assert!(said.is_empty(), "where it is opened again it is told again");
    }
}
