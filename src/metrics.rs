//! What is counted and measured, for `/metrics`. `docs/metrics.md` lists it all, with alerts.
//!
//! Labels are words of this program (`&'static str`), never an id, a title or a region: their number is bounded.
//! To add one: a constant, its line in [`ALL`], a function that says it, a row in `docs/metrics.md`.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::run::canary::Outcome;
use crate::store::{Failure, Finish};

/// Webhooks by `outcome`.
pub const WEBHOOKS: &str = "se_responder_webhooks_total";
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
/// Requests by `system` and `status`.
pub const REQUESTS: &str = "se_responder_upstream_requests_total";
/// Questions asked again.
pub const RETRIES: &str = "se_responder_upstream_retries_total";
/// Leases lost, by `kind`.
pub const LEASES_LOST: &str = "se_responder_leases_lost_total";
/// Pages by `outcome`.
pub const PAGES: &str = "se_responder_pages_total";
/// What was given up, by `kind`.
pub const GIVE_UPS: &str = "se_responder_give_ups_total";
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
/// Which build runs.
pub const BUILD: &str = "se_responder_build_info";

/// What waits, and is worked on, now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Runs that are queued.
    pub queued: i64,
    /// Runs that wait for a bigger outage to end.
    pub suppressed: i64,
    /// Runs at work.
    pub running: i64,
    /// Runs that are due and that nobody works on.
    pub due_runs: i64,
    /// Pages likewise.
    pub due_pages: i64,
    /// Chores likewise.
    pub due_chores: i64,
    /// How long ago the oldest queued run was made; zero without one.
    pub oldest: Duration,
    /// When the last good canary reading ended, in seconds since 1970; 0: never.
    pub canary_good: i64,
    /// What the last canary reading came to; `None`: there was none.
    pub canary: Option<Outcome>,
}

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
const STEP_NAMES: [&str; 7] =
    ["confirm_alert", "find_related", "read_boxes", "check_clusters", "wait_before_rerun", "post_note", "page"];
/// In seconds: from a quick look at PagerDuty to a note that waits for it.
const BUCKETS: [f64; 13] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 90.0, 180.0, 360.0, 900.0];

/// Every metric.
pub const ALL: [Described; 20] = [
    (
        WEBHOOKS,
        Shape::Counter,
        "Webhooks by what became of them; refused_*: answered 4xx, three of which disable the subscription",
        "outcome",
        &["accepted", "duplicate", "ignored", "refused_signature", "refused_malformed", "refused_size", "unavailable"],
    ),
    (RUNS_ENDED, Shape::Counter, "Runs that ended, by their last state", "state", &["done", "failed", "cancelled"]),
    (
        RUNS_FAILED,
        Shape::Counter,
        "Runs that failed, by why: too long under way, cut off too often, unreadable in the database, note not written",
        "reason",
        &["overdue", "cut_off", "unreadable", "note"],
    ),
    (
        DIAGNOSES,
        Shape::Counter,
        "Diagnoses by the kind of their verdict",
        "verdict",
        &["registry", "service_endpoint", "transient", "mixed", "inconclusive"],
    ),
    (RUNS, Shape::Gauge, "Active runs by state", "state", &["queued", "suppressed", "running"]),
    (QUEUE, Shape::Gauge, "What is due now and not begun", "kind", &["run", "page", "chore"]),
    (OLDEST, Shape::Gauge, "Seconds that the oldest queued run has waited since it was made; 0 without one", "", &[]),
    (STEPS, Shape::Histogram, "Seconds that a run's step took, by step and outcome", "step", &STEP_NAMES),
    (NOTES, Shape::Histogram, "Seconds from the making of a run to its diagnosis note, waits included", "", &[]),
    (
        REQUESTS,
        Shape::Counter,
        "Requests to other systems by system and status class; none: no answer",
        "system",
        &["pagerduty", "jenkins", "cluster"],
    ),
    (RETRIES, Shape::Counter, "Questions to other systems that were asked again", "system", &["http", "cluster"]),
    (
        LEASES_LOST,
        Shape::Counter,
        "Work whose lease was lost: somebody else took it over",
        "kind",
        &["run", "page", "chore"],
    ),
    (
        PAGES,
        Shape::Counter,
        "Pages wanted, by what became of them; held: a person has to say yes; failed: NOBODY WAS PAGED",
        "outcome",
        &["opened", "joined", "held", "failed"],
    ),
    (GIVE_UPS, Shape::Counter, "What was given up and needs a person", "kind", &["note", "short_note", "chore"]),
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
    (
        CANARY,
        Shape::Gauge,
        "1 at what the last reading without an alert came to",
        "outcome",
        &["good", "not_good", "incomplete", "failed"],
    ),
    (
        SELF_CHECK,
        Shape::Gauge,
        "1 where the last self-check found something missing, by system and check",
        "system",
        &["settings", "pagerduty", "jenkins", "cluster", "database"],
    ),
    (SELF_CHECK_AT, Shape::Gauge, "When the last self-check ended, in seconds since 1970; 0 before the first", "", &[]),
    (BUILD, Shape::Gauge, "1, with the version that runs", "version", &[env!("CARGO_PKG_VERSION")]),
];

/// The status classes of [`REQUESTS`].
const CLASSES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "none"];

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
    let recorder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)?.build_recorder();
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
                    let of = crate::doctor::CHECKS.iter().filter(|(system, _)| system.as_str() == *word);
                    for check in of.flat_map(|(_, checks)| *checks) {
                        ::metrics::gauge!(name, label => *word, "check" => *check).set(0.0);
                    }
                }
                Shape::Gauge => ::metrics::gauge!(name, label => *word).set(f64::from(u8::from(name == BUILD))),
                Shape::Histogram => {}
            }
        }
        if label.is_empty() && shape == Shape::Gauge {
            ::metrics::gauge!(name).set(0.0);
        }
    }
}

/// The text of a scrape, with what waits in the store now.
pub fn render(waiting: &Waiting) -> String {
    static ONE: Mutex<()> = Mutex::new(());
    // Where services share a process, each shows its own store's numbers.
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let number = |count: i64| count as f64;
    for (state, count) in [("queued", waiting.queued), ("suppressed", waiting.suppressed), ("running", waiting.running)]
    {
        ::metrics::gauge!(RUNS, "state" => state).set(number(count));
    }
    for (kind, count) in [("run", waiting.due_runs), ("page", waiting.due_pages), ("chore", waiting.due_chores)] {
        ::metrics::gauge!(QUEUE, "kind" => kind).set(number(count));
    }
    ::metrics::gauge!(OLDEST).set(waiting.oldest.as_secs_f64());
    ::metrics::gauge!(CANARY_GOOD).set(number(waiting.canary_good));
    for outcome in Outcome::ALL {
        ::metrics::gauge!(CANARY, "outcome" => outcome.as_str()).set(f64::from(waiting.canary == Some(outcome)));
    }
    RECORDER.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Our webhook subscription was looked at.
pub fn subscription(is_well: bool) {
    ::metrics::gauge!(SUBSCRIPTION).set(if is_well { 0.0 } else { 1.0 });
}

/// A self-check ended, and found this.
pub fn self_check(report: &crate::doctor::Report, at: Timestamp) {
    for (system, names) in crate::doctor::CHECKS {
        for name in names {
            let failed = report.failed().any(|check| check.system == system && check.name == *name);
            let value = if failed { 1.0 } else { 0.0 };
            ::metrics::gauge!(SELF_CHECK, "system" => system.as_str(), "check" => *name).set(value);
        }
    }
    ::metrics::gauge!(SELF_CHECK_AT).set(at.as_second() as f64);
}

/// A webhook was answered.
pub fn webhook(outcome: &'static str) {
    ::metrics::counter!(WEBHOOKS, "outcome" => outcome).increment(1);
}

/// A run ended.
pub fn run_ended(finish: &Finish) {
    let state = match finish {
        Finish::Done => "done",
        Finish::Cancelled(_) => "cancelled",
        Finish::Failed(reason, _) => {
            let reason = match reason {
                Failure::Overdue => "overdue",
                Failure::CutOff => "cut_off",
                Failure::Unreadable => "unreadable",
                Failure::Note => "note",
            };
            ::metrics::counter!(RUNS_FAILED, "reason" => reason).increment(1);
            "failed"
        }
    };
    ::metrics::counter!(RUNS_ENDED, "state" => state).increment(1);
    // What nobody scrapes would pile up otherwise.
    if let Some(recorder) = RECORDER.get() {
        recorder.run_upkeep();
    }
}

/// A diagnosis is made.
pub fn diagnosed(kind: crate::diagnosis::VerdictKind) {
    use crate::diagnosis::VerdictKind as Kind;
    let verdict = match kind {
        Kind::Registry => "registry",
        Kind::ServiceEndpoint => "service_endpoint",
        Kind::Transient => "transient",
        Kind::Mixed => "mixed",
        Kind::Inconclusive => "inconclusive",
    };
    ::metrics::counter!(DIAGNOSES, "verdict" => verdict).increment(1);
}

/// The word that a step is counted under.
pub fn step_name(name: &str) -> &'static str {
    STEP_NAMES.into_iter().find(|step| name.starts_with(step)).unwrap_or("other")
}

/// A step ended, of this [`step_name`].
pub fn step(step: &'static str, took: Duration, well: bool) {
    let outcome = if well { "done" } else { "failed" };
    ::metrics::histogram!(STEPS, "step" => step, "outcome" => outcome).record(took);
}

/// A run's note is written, so long after the run was made.
pub fn note(after: Duration) {
    ::metrics::histogram!(NOTES).record(after);
}

/// A request ended, with this HTTP status; `None` where no answer came.
pub fn request(system: &'static str, status: Option<u16>) {
    ::metrics::counter!(REQUESTS, "system" => system, "status" => class(status)).increment(1);
}

fn class(status: Option<u16>) -> &'static str {
    match status {
        Some(100..=299) => "2xx",
        Some(300..=399) => "3xx",
        Some(400..=499) => "4xx",
        Some(_) => "5xx",
        None => "none",
    }
}

/// A question is asked again.
pub fn retry(system: &'static str) {
    ::metrics::counter!(RETRIES, "system" => system).increment(1);
}

/// A lease is lost.
pub fn lease_lost(kind: &'static str) {
    ::metrics::counter!(LEASES_LOST, "kind" => kind).increment(1);
}

/// A page came to its end, or is held.
pub fn page(outcome: &'static str) {
    ::metrics::counter!(PAGES, "outcome" => outcome).increment(1);
}

/// Something is given up.
pub fn give_up(kind: &'static str) {
    ::metrics::counter!(GIVE_UPS, "kind" => kind).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of the manual: name, shape, and its words.
    #[test]
    fn the_manual_lists_every_metric_and_no_other() {
        let manual = include_str!("../docs/metrics.md");
        let rows: Vec<Vec<&str>> = manual
            .lines()
            .filter(|line| line.starts_with("| `se_responder_"))
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        assert_eq!(rows.len(), ALL.len());
        for (name, shape, _, label, words) in ALL {
            let row =
                rows.iter().find(|row| row[1] == format!("`{name}`")).unwrap_or_else(|| panic!("no row of {name}"));
            assert_eq!(row[2], format!("{shape:?}").to_lowercase(), "{name}");
            assert!(label.is_empty() || row[3].contains(&format!("`{label}`")), "{name}: label {label}");
            for word in words.iter().filter(|_| name != BUILD) {
                assert!(row[3].contains(&format!("`{word}`")), "{name}: {word}");
            }
            assert!(row[4].len() > 7 && row[5].len() > 1, "{name} says what it means and what to alert on");
        }
    }

    #[test]
    fn all_is_there_before_anything_happened() {
        install().unwrap();
        install().unwrap();
        let canary = Some(Outcome::NotGood);
        let text = render(&Waiting {
            suppressed: 3,
            oldest: Duration::from_millis(1500),
            canary,
            canary_good: 1_755_651_600,
            ..Waiting::default()
        });
        for (name, shape, help, label, words) in ALL.into_iter().filter(|m| m.1 != Shape::Histogram) {
            assert!(text.contains(&format!("# HELP {name} {help}")), "{name} in {text}");
            assert!(text.contains(&format!("# TYPE {name} {}", format!("{shape:?}").to_lowercase())), "{name}");
            for word in words {
                assert!(text.contains(&format!("{name}{{{label}=\"{word}\"")), "{name} {word} in {text}");
            }
        }
        assert!(text.contains("se_responder_runs{state=\"suppressed\"} 3"), "{text}");
        assert!(text.contains("se_responder_oldest_waiting_run_seconds 1.5"), "{text}");
        assert!(text.contains("se_responder_canary_last_good_timestamp_seconds 1755651600"), "{text}");
        for (outcome, is) in [("good", 0), ("not_good", 1), ("incomplete", 0), ("failed", 0)] {
            assert!(text.contains(&format!("se_responder_canary_outcome{{outcome=\"{outcome}\"}} {is}")), "{text}");
        }
    }

    #[test]
    fn statuses_have_classes() {
        let of = [200, 201, 302, 404, 429, 500, 599].map(|status| class(Some(status)));
        assert_eq!(of, ["2xx", "2xx", "3xx", "4xx", "4xx", "5xx", "5xx"]);
        assert_eq!(class(None), "none");
    }
}
