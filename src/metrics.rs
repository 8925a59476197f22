//! What is counted and measured, for `/metrics`. `docs/metrics.md` lists it all, with alerts.
//!
//! Labels are words of this program (`&'static str`), never an id, a title or a region: their number is bounded.
//! To add one: a constant and its line in [`ALL`] (`metrics/described.rs`), a function that says it, a row in `docs/metrics.md`.

mod described;
mod labels;

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use outbound::clock::Clock;
use outbound::metrics::{REQUESTS, UPSTREAM_DURATION};
use runbook::canary::Outcome;
use runbook::diagnosis::VerdictKind;
use runbook::run::{State, StepState};
use store::{EventOutcome, Finish, GIVE_UPS, STORE_DURATION, Waiting};

pub use described::*;
use described::{BUCKETS, CLASSES, INGEST_HELP, STEP_NAMES, STORE_BUCKETS, UPSTREAM_BUCKETS};
pub use labels::{GivenUp, NotStored, Paged, Work};

/// How often room is made.
const KEEP_SMALL_EVERY: Duration = Duration::from_secs(60);

/// There is one recorder a process. Services that share a process, as in tests, share it.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Begins to count, and makes every counter and gauge at 0. Before it nothing is counted.
///
/// # Errors
/// Something else in this process records metrics.
pub fn install() -> anyhow::Result<()> {
    static FIRST: Mutex<()> = Mutex::new(());
    let _first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    if RECORDER.get().is_some() {
        return Ok(());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(UPSTREAM_DURATION.into()), &UPSTREAM_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(STORE_DURATION.into()), &STORE_BUCKETS)?
        .build_recorder();
    let handle = recorder.handle();
    ::metrics::set_global_recorder(recorder).map_err(|e| anyhow::anyhow!("setting up metrics failed: {e}"))?;
    describe();
    RECORDER.get_or_init(|| handle);
    Ok(())
}

fn describe() {
    for (name, shape, help, label, words) in ALL {
        let unit = if name.ends_with("_seconds") { ::metrics::Unit::Seconds } else { ::metrics::Unit::Count };
        match shape {
            Shape::Counter => ::metrics::describe_counter!(name, unit, help),
            Shape::Gauge => ::metrics::describe_gauge!(name, unit, help),
            Shape::Histogram => ::metrics::describe_histogram!(name, unit, help),
        }
        for word in words {
            match shape {
                Shape::Counter if name == REQUESTS => {
                    for class in CLASSES {
                        ::metrics::counter!(name, label => *word, "status" => class).absolute(0);
                    }
                }
                Shape::Counter => ::metrics::counter!(name, label => *word).absolute(0),
                Shape::Gauge if name == SELF_CHECK => {
                    let of = crate::doctor::report::CHECKS.iter().filter(|(system, _)| system.as_str() == *word);
                    for check in of.flat_map(|(_, checks)| *checks) {
                        ::metrics::gauge!(name, label => *word, "check" => *check).set(0.0);
                    }
                }
                Shape::Gauge => ::metrics::gauge!(name, label => *word).set(f64::from(u8::from(name == BUILD))),
                Shape::Histogram => {}
            }
        }
        match shape {
            // Not known yet: it is not there.
            Shape::Gauge if name == INGEST => {}
            Shape::Gauge if label.is_empty() => ::metrics::gauge!(name).set(0.0),
            Shape::Counter if label.is_empty() => ::metrics::counter!(name).absolute(0),
            _ => {}
        }
    }
}

/// The text of a scrape, with what waits in the store now, and whether it is proven that webhooks reach us.
pub fn render(waiting: &Waiting, proven: Option<bool>) -> String {
    static ONE: Mutex<()> = Mutex::new(());
    // Where services share a process, each shows its own store's numbers.
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let number = |count: i64| count as f64;
    for (state, count) in
        [(State::Queued, waiting.queued), (State::Suppressed, waiting.suppressed), (State::Running, waiting.running)]
    {
        ::metrics::gauge!(RUNS, "state" => state.as_str()).set(number(count));
    }
    for (kind, count) in [
        (Work::Run, waiting.due_runs),
        (Work::Alert, waiting.due_alerts),
        (Work::Task, waiting.due_tasks),
        (Work::Notify, waiting.due_notify),
    ] {
        ::metrics::gauge!(QUEUE, "kind" => kind.as_str()).set(number(count));
    }
    ::metrics::gauge!(UNACKNOWLEDGED).set(number(waiting.unacknowledged));
    ::metrics::gauge!(RECONCILED).set(number(waiting.reconciled));
    ::metrics::gauge!(OLDEST).set(waiting.oldest.as_secs_f64());
    ::metrics::gauge!(CANARY_GOOD).set(number(waiting.canary_good));
    for outcome in Outcome::ALL {
        ::metrics::gauge!(CANARY, "outcome" => outcome.as_str()).set(f64::from(waiting.canary == Some(*outcome)));
    }
    let mut text = RECORDER.get().map(PrometheusHandle::render).unwrap_or_default();
    // The recorder can't take a gauge back.
    if let Some(proven) = proven {
        text.push_str(&format!(
            "# HELP {INGEST} {INGEST_HELP}\n# TYPE {INGEST} gauge\n{INGEST} {}\n\n",
            u8::from(proven)
        ));
    }
    text
}

/// Our webhook subscription was looked at.
pub fn subscription(is_well: bool) {
    ::metrics::gauge!(SUBSCRIPTION).set(if is_well { 0.0 } else { 1.0 });
}

/// A self-check ended, and found this.
pub fn self_check(report: &crate::doctor::report::Report, at: Timestamp) {
    for (system, names) in crate::doctor::report::CHECKS {
        for name in names {
            let failed = report.failed().any(|check| check.system == system && check.name == *name);
            let value = if failed { 1.0 } else { 0.0 };
            ::metrics::gauge!(SELF_CHECK, "system" => system.as_str(), "check" => *name).set(value);
        }
    }
    ::metrics::gauge!(SELF_CHECK_AT).set(at.as_second() as f64);
}

/// A webhook was stored.
pub fn webhook(outcome: EventOutcome) {
    ::metrics::counter!(WEBHOOKS, "outcome" => outcome.as_str()).increment(1);
}

/// A webhook was not stored.
pub fn webhook_refused(why: NotStored) {
    ::metrics::counter!(WEBHOOKS, "outcome" => why.as_str()).increment(1);
}

/// An incident's title sounds like an alert's, and can't be read as one.
pub fn title_not_understood() {
    ::metrics::counter!(TITLES).increment(1);
}

/// A connection was closed, or refused, before its time.
pub fn connection_closed(why: &'static str) {
    ::metrics::counter!(CONNECTIONS_CLOSED, "why" => why).increment(1);
}

/// A run ended.
pub fn run_ended(finish: &Finish) {
    let state = match finish {
        Finish::Done => State::Done,
        Finish::Cancelled(_) => State::Cancelled,
        Finish::Failed(reason, _) => {
            ::metrics::counter!(RUNS_FAILED, "reason" => reason.as_str()).increment(1);
            State::Failed
        }
    };
    ::metrics::counter!(RUNS_ENDED, "state" => state.as_str()).increment(1);
}

/// Makes room, every now and then, until it is dropped: what is measured would pile up where nobody scrapes.
pub async fn keep_small(clock: Clock) {
    loop {
        clock.sleep(KEEP_SMALL_EVERY).await;
        if let Some(recorder) = RECORDER.get() {
            recorder.run_upkeep();
        }
    }
}

/// A diagnosis is made.
pub fn diagnosed(kind: VerdictKind) {
    ::metrics::counter!(DIAGNOSES, "verdict" => kind.as_str()).increment(1);
}

/// The word that a step is counted under.
pub fn step_name(name: &str) -> &'static str {
    STEP_NAMES.into_iter().find(|step| name.starts_with(step)).unwrap_or("other")
}

/// A step ended, of this [`step_name`].
pub fn step(step: &'static str, took: Duration, well: bool) {
    let outcome = if well { StepState::Done } else { StepState::Failed };
    ::metrics::histogram!(STEPS, "step" => step, "outcome" => outcome.as_str()).record(took);
}

/// A run's note is written, so long after the run was made.
pub fn note(after: Duration) {
    ::metrics::histogram!(NOTES).record(after);
}

/// A lease is lost.
pub fn lease_lost(kind: Work) {
    ::metrics::counter!(LEASES_LOST, "kind" => kind.as_str()).increment(1);
}

/// A page came to its end, or is held.
pub fn page(outcome: Paged) {
    ::metrics::counter!(PAGES, "outcome" => outcome.as_str()).increment(1);
}

/// Others are not told of something, and it is not tried any more.
pub fn told_failed(place: runbook::notify::Place) {
    ::metrics::counter!(TOLD_FAILED, "where" => place.as_str()).increment(1);
}

/// Something is given up.
pub fn give_up(kind: GivenUp) {
    ::metrics::counter!(GIVE_UPS, "kind" => kind.as_str()).increment(1);
}

#[cfg(test)]
mod tests;
