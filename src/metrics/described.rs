//! Every metric by name: its shape, what it says, and the words of its label.

use outbound::metrics::{Asker, REQUESTS, RETRIES, UPSTREAM_DURATION, Upstream};
use runbook::canary::Outcome;
use runbook::diagnosis::VerdictKind;
use runbook::run::State;
use store::{Access, EventOutcome, Failure, GIVE_UPS, STORE_DURATION};

use super::labels::{self, GivenUp, NotStored, Paged, Work};

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
pub(super) const STEP_NAMES: [&str; 8] = [
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
pub(super) const BUCKETS: [f64; 14] =
    [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 90.0, 180.0, 360.0, 600.0, 900.0];

/// The same of requests to other systems: from a cluster near by to what PagerDuty is given.
pub(super) const UPSTREAM_BUCKETS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// The same of the database: from a look into a file to the longest that anything is waited for.
pub(super) const STORE_BUCKETS: [f64; 13] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 4.0, 8.0];

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
        "Incidents that may be alerts that NOBODY DIAGNOSES: their titles look like an alert's, but can't be read as one",
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
        "Pages wanted, by what became of them; held: a person must approve; failed: NOBODY WAS PAGED",
        "outcome",
        Paged::WORDS,
    ),
    (
        UNACKNOWLEDGED,
        Shape::Gauge,
        "Open pages of open alerts, opened or joined, that nobody has acknowledged yet",
        "",
        &[],
    ),
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

pub(super) const INGEST_HELP: &str =
    "1 where each ping that the last self-check asked PagerDuty for came back signed, else 0; absent: not known";

/// The status classes of [`REQUESTS`].
pub(super) const CLASSES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "none"];
