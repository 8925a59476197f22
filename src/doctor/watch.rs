//! The self-check of `serve`: the checks of `doctor`, again and again. What fails is an error in the log once, and said
//! once more when it is fixed; in between it is in the metrics, in `/readyz`, and on the run list.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Check, Patient, Report, State, System, examine, way_in};
use crate::config::Problems;
use crate::metrics;
use crate::run::context::Context;
use runbook::span::{after, between};
use store::{Proved, Watch};

/// How long after the start the first one waits, or an interval where that is shorter: what came while we were down
/// goes first, and a service that is restarted again and again must not ask everybody everything each time.
const FIRST_AFTER: Duration = Duration::from_secs(60);
/// The check that `inbox::subscription` says the same of, sooner, where it is known which subscription is ours.
const SUBSCRIPTION: &str = "subscription";
/// How long a proof that webhooks reach us is awaited: PagerDuty is asked, its pings come, and another may be under way.
const PROOF_WITHIN: Duration = Duration::from_secs(180);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What one self-check found.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it had ended.
    pub at: Timestamp,
    /// What it found.
    pub report: Report,
}

/// What the last self-check found; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Option<Arc<Seen>>>>);

impl Health {
    /// The last one; `None` before the first has ended.
    pub fn last(&self) -> Option<Arc<Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, seen: Seen) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(seen));
    }
}

/// Looks every `SELF_CHECK_INTERVAL` until `stop`, the first time shortly after the start. Of several replicas each
/// looks for itself: one may be accepted where another is not. With each look a proof that webhooks reach us is asked for, which
/// one of them makes for all; its pings may take a minute, for which no look waits.
pub async fn watch(context: Context, health: Health, stop: CancellationToken) {
    let Some(interval) = context.config.self_check_interval else { return stop.cancelled().await };
    let fine = Problems(Vec::new());
    let mut known = Known::default();
    let mut proofs = Proofs::default();
    let mut last: Option<Report> = None;
    let mut next = after(context.clock.now(), FIRST_AFTER.min(interval));
    loop {
        tokio::select! {
            () = context.clock.sleep(between(context.clock.now(), next)) => {}
            proved = proofs.next(&context) => {
                if let Some(report) = last.take() {
                    let check = way_in::judge(&context.config, Some(&proved), context.clock.now());
                    let report = report.with(check);
                    take(&context, &health, &mut known, report.clone());
                    last = Some(report);
                }
                continue;
            }
            () = stop.cancelled() => return,
        }
        proofs.want(&context).await;
        let patient = Patient {
            config: &context.config,
            problems: &fine,
            pagerduty: Some(&context.pagerduty),
            jenkins: Some(&context.jenkins),
            clock: &context.clock,
            thorough: false,
        };
        let report = tokio::select! {
            report = examine(patient, |_| {}) => report,
            () = stop.cancelled() => return,
        };
        take(&context, &health, &mut known, report.clone());
        last = Some(report);
        next = after(context.clock.now(), interval);
    }
}

/// Says what is new in a report, and keeps it.
fn take(context: &Context, health: &Health, known: &mut Known, report: Report) {
    let at = context.clock.now();
    metrics::self_check(&report, context.clock.shown(at));
    let says_itself = |check: &Check| check.name == SUBSCRIPTION && context.config.known_webhook_url().is_some();
    let news = known.take(&report);
    for check in news.failed.into_iter().filter(|check| !says_itself(check)) {
        tracing::error!(
            system = check.system.as_str(),
            check = check.name,
            subject = check.subject,
            mend = check.mend,
            "SELF-CHECK FAILED: {}",
            check.detail
        );
    }
    for check in news.mended.into_iter().filter(|check| !says_itself(check)) {
        tracing::info!(
            system = check.system.as_str(),
            check = check.name,
            subject = check.subject,
            "self-check: fixed: {}",
            check.detail
        );
    }
    health.keep(Seen { at, report });
}

/// The proofs that webhooks reach us, whichever process makes them.
#[derive(Debug, Default)]
struct Proofs {
    /// Until when one is awaited; `None`: none is.
    awaited: Option<Timestamp>,
    /// When the last one had ended that was seen.
    seen: Option<Timestamp>,
}

impl Proofs {
    /// Asks for one.
    async fn want(&mut self, context: &Context) {
        match context.store.in_time(context.store.want_way_in()).await {
            Ok(wanted) => self.awaited = Some(after(wanted, PROOF_WITHIN)),
            Err(error) => context.store.trouble("asking for a proof of the way in", &error),
        }
    }

    /// The next one that has ended. Where none is awaited nothing is asked, and this never ends; dropping it is well.
    async fn next(&mut self, context: &Context) -> Proved {
        while self.awaited.is_some_and(|until| context.clock.now() < until) {
            context.clock.sleep(LOOK_EVERY).await;
            match context.store.way_in().await {
                Ok(Some(way_in)) => {
                    let is_wanted = way_in.is_wanted();
                    if !is_wanted {
                        self.awaited = None;
                    }
                    if let Some(last) = way_in.last.filter(|last| self.seen.is_none_or(|seen| seen < last.at)) {
                        self.seen = Some(last.at);
                        return last;
                    }
                    // Who was just about to put it off, since nobody had asked, is asked again.
                    if is_wanted && let Err(error) = context.store.in_time(context.store.wake_watch(Watch::WayIn)).await
                    {
                        context.store.trouble("asking for a proof of the way in", &error);
                    }
                }
                Ok(None) => {}
                Err(error) => context.store.trouble("looking whether the way in is proven", &error),
            }
        }
        std::future::pending().await
    }
}

/// What is known to fail.
#[derive(Debug, Default)]
struct Known(BTreeSet<(System, &'static str, Option<String>)>);

/// What one report says that was not known before.
struct News<'a> {
    failed: Vec<&'a Check>,
    mended: Vec<&'a Check>,
}

impl Known {
    /// Takes a report. What it could not look at stays as it was.
    fn take<'a>(&mut self, report: &'a Report) -> News<'a> {
        let mut news = News { failed: Vec::new(), mended: Vec::new() };
        for check in &report.checks {
            let key = (check.system, check.name, check.subject.clone());
            match check.state {
                State::Failed if self.0.insert(key.clone()) => news.failed.push(check),
                State::Ok | State::Warning if self.0.remove(&key) => news.mended.push(check),
                _ => {}
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_news_once_and_what_could_not_be_looked_at_is_none() {
        let check = |subject: &str, state| Check::new(System::Cluster, "api", state, "").of(subject);
        let mut known = Known::default();
        let mut says = |checks: &[Check]| {
            let report = Report::of(checks.to_vec());
            let news = known.take(&report);
            let of = |checks: Vec<&Check>| {
                checks.into_iter().filter_map(|c| c.subject.clone()).collect::<Vec<_>>().join(" ")
            };
            (of(news.failed), of(news.mended))
        };
        let said = |failed: &str, mended: &str| (failed.to_owned(), mended.to_owned());
        assert_eq!(says(&[check("a", State::Ok), check("b", State::Failed)]), said("b", ""));
        assert_eq!(says(&[check("a", State::Ok), check("b", State::Failed)]), said("", ""), "not each time");
        assert_eq!(says(&[check("a", State::Failed), check("b", State::Skipped)]), said("a", ""));
        assert_eq!(says(&[check("a", State::Failed)]), said("", ""), "left out is not looked at");
        assert_eq!(says(&[check("a", State::Failed), check("b", State::Warning)]), said("", "b"));
        assert_eq!(says(&[check("a", State::Ok), check("b", State::Ok)]), said("", "a"));
        assert_eq!(says(&[check("a", State::Failed)]), said("a", ""), "anew is news");
    }
}
