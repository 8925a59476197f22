//! What is counted and measured, for `/metrics`. `docs/metrics.md` lists it all, with alerts.
//!
//! Labels are words of this program (`&'static str`), never an id, a title or a region: their number is bounded.
//! To add one: a constant, its line in [`ALL`], a function that says it, a row in `docs/metrics.md`.

mod labels;

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use outbound::clock::Clock;
use outbound::metrics::{Asker, REQUESTS, RETRIES, UPSTREAM_DURATION, Upstream};
use runbook::canary::Outcome;
use runbook::diagnosis::VerdictKind;
use runbook::run::{State, StepState};
use store::{Access, EventOutcome, Failure, Finish, GIVE_UPS, STORE_DURATION, Waiting};

pub use labels::{GivenUp, NotStored, Paged, Work};

/// Webhooks by `outcome`.
pub const WEBHOOKS: &str = "se_responder_webhooks_total";
/// Incidents whose title sounds like an alert's, and can't be read as one.
pub const TITLES: &str = "se_responder_titles_not_understood_total";
/// Runs made by `state` that they ended in.
pub const RUNS_ENDED: &str = "se_responder_runs_ended_total";
/// Failed runs by `reason`.
pub const RUNS_FAILED: &str = "se_responder_runs_failed_total";
/// Diagnoses by `verdict`.
pub const DIAGNOSES: &str = "se_responder_diagnoses_total";
/// Active runs by `state`.
pub const RUNS: &str = "se_responder_runs";
/// What is due and that nobody works on, by `kind`.
pub const QUEUE: &str = "se_responder_queue_depth";
/// How long the oldest queued run has waited.
pub const OLDEST: &str = "se_responder_oldest_waiting_run_seconds";
/// Steps by `step` and `outcome`.
pub const STEPS: &str = "se_responder_step_duration_seconds";
/// From the making of a run to its note.
pub const NOTES: &str = "se_responder_trigger_to_note_seconds";
/// Leases lost, by `kind`.
pub const LEASES_LOST: &str = "se_responder_leases_lost_total";
/// Pages by `outcome`.
pub const PAGES: &str = "se_responder_pages_total";
/// Whether something is wrong with our webhook subscription.
pub const SUBSCRIPTION: &str = "se_responder_webhook_subscription_trouble";
/// When the last good canary reading ended.
pub const CANARY_GOOD: &str = "se_responder_canary_last_good_timestamp_seconds";
/// What the last canary reading came to, by `outcome`.
pub const CANARY: &str = "se_responder_canary_outcome";
/// Whether a self-check failed, by `system` and `check`.
pub const SELF_CHECK: &str = "se_responder_self_check_trouble";
/// When the last self-check ended.
pub const SELF_CHECK_AT: &str = "se_responder_self_check_timestamp_seconds";
/// Whether the last proof shows that webhooks reach us; absent where that is not known.
pub const INGEST: &str = "se_responder_ingest_proven";
/// Pages that nobody has acknowledged yet.
pub const UNACKNOWLEDGED: &str = "se_responder_pages_unacknowledged";
/// When the last look for open alerts in PagerDuty succeeded.
pub const RECONCILED: &str = "se_responder_reconcile_success_timestamp_seconds";
/// Connections closed by us, by `why`.
pub const CONNECTIONS_CLOSED: &str = "se_responder_connections_closed_total";
/// What others were not told of, by `where`.
pub const TOLD_FAILED: &str = "se_responder_told_failed_total";
/// Which build runs.
pub const BUILD: &str = "se_responder_build_info";

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Only ever grows.
    Counter,
    /// As it is at the scrape.
    Gauge,
    /// How long something took, in seconds.
    Histogram,
}

/// A metric: name, shape, what it says, its label (empty: none) and that label's words. Histograms have theirs when
/// there is something to tell.
pub type Described = (&'static str, Shape, &'static str, &'static str, &'static [&'static str]);

/// The steps of a run that are told apart; a re-run's count with the first's.
const STEP_NAMES: [&str; 8] = [
    "confirm_alert",
    "find_related",
    "read_boxes",
    "check_clusters",
    "ask_client",
    "wait_before_rerun",
    "post_note",
    "page",
];
/// What becomes of webhooks: those that are stored, and those that are not.
const WEBHOOK_WORDS: [&str; 7] = labels::joined(EventOutcome::WORDS, NotStored::WORDS);
/// The states in which a run is active, and those in which it has ended.
const ACTIVE: [&str; 3] = [State::Queued.as_str(), State::Suppressed.as_str(), State::Running.as_str()];
const ENDED: [&str; 3] = [State::Done.as_str(), State::Failed.as_str(), State::Cancelled.as_str()];
/// In seconds: from a quick look at PagerDuty to a note that waits for it.
const BUCKETS: [f64; 13] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 90.0, 180.0, 360.0, 900.0];

/// The same of requests to other systems: from a cluster near by to what PagerDuty is given.
const UPSTREAM_BUCKETS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// The same of the database: from a look into a file to the longest that anything is waited for.
const STORE_BUCKETS: [f64; 13] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 4.0, 8.0];

/// Every metric.
pub const ALL: [Described; 28] = [
    (
        WEBHOOKS,
        Shape::Counter,
        "Webhooks by what became of them; refused_*: answered 4xx, three of which disable the subscription",
        "outcome",
        &WEBHOOK_WORDS,
    ),
    (
        TITLES,
        Shape::Counter,
        "Incidents that may be alerts that NOBODY DIAGNOSES: their titles sound like an alert's, and can't be read as one",
        "",
        &[],
    ),
    (RUNS_ENDED, Shape::Counter, "Runs that ended, by their last state", "state", &ENDED),
    (
        RUNS_FAILED,
        Shape::Counter,
        "Runs that failed, by why: too long under way, cut off too often, unreadable in the database, note not written",
        "reason",
        Failure::WORDS,
    ),
    (DIAGNOSES, Shape::Counter, "Diagnoses by the kind of their verdict", "verdict", VerdictKind::WORDS),
    (RUNS, Shape::Gauge, "Active runs by state", "state", &ACTIVE),
    (QUEUE, Shape::Gauge, "What is due now and not begun", "kind", Work::WORDS),
    (OLDEST, Shape::Gauge, "Seconds that the oldest queued run has waited since it was made; 0 without one", "", &[]),
    (STEPS, Shape::Histogram, "Seconds that a run's step took, by step and outcome", "step", &STEP_NAMES),
    (NOTES, Shape::Histogram, "Seconds from the making of a run to its diagnosis note, waits included", "", &[]),
    (
        REQUESTS,
        Shape::Counter,
        "Requests to other systems by system and status class; none: no answer",
        "system",
        Upstream::WORDS,
    ),
    (RETRIES, Shape::Counter, "Questions to other systems that were asked again", "system", Asker::WORDS),
    (
        UPSTREAM_DURATION,
        Shape::Histogram,
        "Seconds that a request to another system took, to its answer or to its failure",
        "system",
        Upstream::WORDS,
    ),
    (
        STORE_DURATION,
        Shape::Histogram,
        "Seconds that a question to the database or a transaction took, waits for its turn included",
        "kind",
        Access::WORDS,
    ),
    (LEASES_LOST, Shape::Counter, "Work whose lease was lost: somebody else took it over", "kind", Work::WORDS),
    (
        PAGES,
        Shape::Counter,
        "Pages wanted, by what became of them; held: a person has to say yes; failed: NOBODY WAS PAGED",
        "outcome",
        Paged::WORDS,
    ),
    (UNACKNOWLEDGED, Shape::Gauge, "Pages of open alerts, opened or joined, that nobody has acknowledged yet", "", &[]),
    (
        RECONCILED,
        Shape::Gauge,
        "When the last look for open alerts in PagerDuty succeeded, in seconds since 1970; 0: none has",
        "",
        &[],
    ),
    (GIVE_UPS, Shape::Counter, "What was given up and needs a person", "kind", GivenUp::WORDS),
    (
        TOLD_FAILED,
        Shape::Counter,
        "Messages and issues that were refused for good, or could not be told within 6 h",
        "where",
        runbook::notify::Place::WORDS,
    ),
    (
        SUBSCRIPTION,
        Shape::Gauge,
        "1 where PagerDuty sends us nothing: our webhook subscription is disabled, off, missing, or lacks events",
        "",
        &[],
    ),
    (
        CANARY_GOOD,
        Shape::Gauge,
        "When the last good reading without an alert was taken, in seconds since 1970; 0: never",
        "",
        &[],
    ),
    (CANARY, Shape::Gauge, "1 at what the last reading without an alert came to", "outcome", Outcome::WORDS),
    (
        SELF_CHECK,
        Shape::Gauge,
        "1 where the last self-check found something missing, by system and check",
        "system",
        crate::doctor::report::System::WORDS,
    ),
    (SELF_CHECK_AT, Shape::Gauge, "When the last self-check ended, in seconds since 1970; 0 before the first", "", &[]),
    (INGEST, Shape::Gauge, INGEST_HELP, "", &[]),
    (
        CONNECTIONS_CLOSED,
        Shape::Counter,
        "Connections closed before their time; full: another needed the place, peer: one address had too many, refused: \
         answered 503 since every place was at work, time: too slow",
        "why",
        &["full", "peer", "refused", "time"],
    ),
    (BUILD, Shape::Gauge, "1, with the version that runs", "version", &[env!("CARGO_PKG_VERSION")]),
];

const INGEST_HELP: &str =
    "1 where each ping that the last self-check asked PagerDuty for came back signed, else 0; absent: not known";

/// The status classes of [`REQUESTS`].
const CLASSES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "none"];

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
