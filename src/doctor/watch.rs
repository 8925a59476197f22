//! The self-check of `serve`: the checks of `doctor`, again and again. What fails is an error in the log once, and said
//! once more when it is fixed; in between it is in the metrics, in `/readyz`, and on the run list.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Check, Patient, Report, State, System, examine};
use crate::config::Problems;
use crate::metrics;
use crate::run::context::Context;

/// How long after the start the first one waits, or an interval where that is shorter: what came while we were down
/// goes first, and a service that is restarted again and again must not ask everybody everything each time.
const FIRST_AFTER: Duration = Duration::from_secs(60);
/// The check that `inbox::subscription` says the same of, sooner, where `PUBLIC_URL` is set.
const SUBSCRIPTION: &str = "subscription";

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
/// looks for itself: one may be accepted where another is not.
pub async fn watch(context: Context, health: Health, stop: CancellationToken) {
    let Some(interval) = context.config.self_check_interval else { return stop.cancelled().await };
    let fine = Problems(Vec::new());
    let mut known = Known::default();
    let mut wait = FIRST_AFTER.min(interval);
    loop {
        tokio::select! {
            () = context.clock.sleep(wait) => {}
            () = stop.cancelled() => return,
        }
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
        let at = context.clock.now();
        metrics::self_check(&report, context.clock.shown(at));
        let says_itself = |check: &Check| check.name == SUBSCRIPTION && context.config.public_url.is_some();
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
                "self-check: mended: {}",
                check.detail
            );
        }
        health.keep(Seen { at, report });
        wait = interval;
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
