//! Asks every configured system for exactly what the service will need of it, and says what is missing and how to fix
//! it. `doctor` prints it; `serve` does the same every `SELF_CHECK_INTERVAL`.
//!
//! Only reads: nothing is written to PagerDuty, no build is started, clusters are asked about our own rights. All
//! systems are asked side by side, each question has a time limit, and one that hangs never stops the others.
//!
//! To add a check: its name in [`CHECKS`], the question in the submodule of its system, a row in `docs/doctor.md`.

mod client;
mod clock;
mod cluster;
mod credentials;
mod database;
mod jenkins;
mod pagerduty;
pub mod report;
mod settings;
mod told;
mod watch;
pub(crate) mod way_in;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::config::{Config, Problems};
use ::jenkins::Jenkins;
use ::pagerduty::PagerDuty;
use outbound::clock::Clock;
use outbound::error::Error;
use outbound::retry::by_deadline;
use runbook::span::after;

pub use report::{CHECKS, Check, Report, State, System};
pub use watch::{Health, Seen, watch};

/// How long one question may take, its repetitions included. PagerDuty and Jenkins answer in well under a second when
/// well; a zone has `CLUSTER_CHECK_TIMEOUT`.
const LIMIT: Duration = Duration::from_secs(10);

/// Who is asked, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Patient<'a> {
    /// The settings, as far as they could be read.
    pub config: &'a Config,
    /// What is wrong with the others.
    pub problems: &'a Problems,
    /// The client of PagerDuty; `None` where one is to be made of the settings.
    pub pagerduty: Option<&'a PagerDuty>,
    /// The client of Jenkins, the same way.
    pub jenkins: Option<&'a Jenkins>,
    /// The clock.
    pub clock: &'a Clock,
    /// Whether the database is read to its end for damage: for a start, not beside a service at work.
    pub thorough: bool,
}

/// Asks all systems at once. `awaited` is told whose answers are still awaited, whenever that changes.
pub async fn examine(patient: Patient<'_>, awaited: impl Fn(&[&'static str])) -> Report {
    let systems = [
        System::PagerDuty,
        System::Jenkins,
        System::Cluster,
        System::Client,
        System::Slack,
        System::Ghe,
        System::Database,
    ];
    // What is not configured is not waited for.
    let telling = &patient.config.telling;
    let is_asked = |system: &System| match system {
        System::Client => patient.config.regions.healthcheck.is_some(),
        System::Slack => telling.registry.is_some() || telling.se.is_some(),
        System::Ghe => telling.ghe.is_some(),
        _ => true,
    };
    let left = Mutex::new(systems.into_iter().filter(is_asked).map(System::name).collect::<Vec<_>>());
    awaited(&left.lock().unwrap_or_else(PoisonError::into_inner));
    let asked = async |system: System, checks: BoxFuture<'_, Vec<Check>>| {
        let checks = checks.await;
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|name| *name != system.name());
        awaited(&left);
        checks
    };
    let (pagerduty, way_in, jenkins, clusters, client, slack, ghe, database) = tokio::join!(
        asked(System::PagerDuty, pagerduty::examine(patient).boxed()),
        way_in::examine(patient),
        asked(System::Jenkins, jenkins::examine(patient).boxed()),
        asked(System::Cluster, cluster::examine(patient).boxed()),
        asked(System::Client, client::examine(patient).boxed()),
        asked(System::Slack, told::slack(patient).boxed()),
        asked(System::Ghe, told::ghe(patient).boxed()),
        asked(System::Database, database::examine(patient).boxed()),
    );
    let settings = settings::examine(patient.config, patient.problems, patient.clock.now());
    Report::of([settings, pagerduty, way_in, jenkins, clusters, client, slack, ghe, database].concat())
}

/// Gives up after [`LIMIT`].
async fn limited<T>(clock: &Clock, doing: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    by_deadline(clock, after(clock.now(), LIMIT), doing, work).await
}

/// A question that was not answered as it should be: what came back, and what to do about it.
fn unanswered(system: System, name: &'static str, state: State, error: &Error, otherwise: &str) -> Check {
    let detail = format!("{}: {}", error.doing, error.got);
    Check::new(system, name, state, detail).mend(error.advice.unwrap_or(otherwise))
}

/// Not looked at, since these settings are missing or wrong.
fn unset(system: System, name: &'static str, settings: &str) -> Check {
    Check::new(system, name, State::Skipped, format!("not checked: {settings} must be fixed first"))
}

#[cfg(test)]
mod tests;
