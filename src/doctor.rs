//! Asks every configured system for exactly what the service will need of it, and says what is missing and how to fix
//! it. `doctor` prints it; `serve` does the same every `SELF_CHECK_INTERVAL`.
//!
//! Only reads: nothing is written to PagerDuty, no build is started, clusters are asked about our own rights. All
//! systems are asked side by side, each question has a time limit, and one that hangs never stops the others.
//!
//! To add a check: its name in [`CHECKS`], the question in the submodule of its system, a row in `docs/doctor.md`.

mod clock;
mod cluster;
mod database;
mod jenkins;
mod pagerduty;
mod settings;
mod watch;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Serialize;
use strum::{EnumMessage, VariantArray, VariantNames};

use crate::config::{Config, Problems};
use ::jenkins::Jenkins;
use ::pagerduty::PagerDuty;
use outbound::clock::Clock;
use outbound::error::Error;
use outbound::retry::by_deadline;
use runbook::span::after;

pub use watch::{Health, Seen, watch};

/// How long one question may take, its repetitions included. PagerDuty and Jenkins answer in well under a second when
/// well; a zone has `CLUSTER_CHECK_TIMEOUT`.
const LIMIT: Duration = Duration::from_secs(10);

runbook::words! {
    System: "system";
    State: "state of a check";
}

/// Whom a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum System {
    /// Our own settings.
    Settings,
    /// PagerDuty.
    PagerDuty,
    /// Jenkins.
    Jenkins,
    /// The registry clusters.
    Cluster,
    /// The database.
    Database,
}

impl System {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "Settings",
            Self::PagerDuty => "PagerDuty",
            Self::Jenkins => "Jenkins",
            Self::Cluster => "Clusters",
            Self::Database => "Database",
        }
    }
}

/// Every check there is, by its system and name. Names are fixed: metrics have them as a label.
pub const CHECKS: [(System, &[&str]); 5] = [
    (System::Settings, &["valid", "sound"]),
    (
        System::PagerDuty,
        &[
            "api",
            "related_pages",
            "titles",
            "from",
            "escalation_service",
            "services",
            "subscription",
            "events_api",
            "clock",
        ],
    ),
    (System::Jenkins, &["job", "buildable", "parameter", "permission", "clock"]),
    (
        System::Cluster,
        &["kubeconfig", "api", "read_konicle", "list_ingress_pods", "list_konicle_pods", "status_check", "clock"],
    ),
    (System::Database, &["reachable", "schema", "writable"]),
];

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum State {
    /// All well.
    Ok,
    /// It works, or may work, but somebody should look.
    Warning,
    /// Something that the service needs is missing.
    Failed,
    /// It was not looked at, and why not: something else must be fixed first, or it is not needed.
    Skipped,
}

/// One check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Whom it is about.
    pub system: System,
    /// Which check: of [`CHECKS`].
    pub name: &'static str,
    /// Of what: a setting, a service's id, a zone; `None` where there is only one.
    pub subject: Option<String>,
    /// What came of it.
    pub state: State,
    /// What was found, in words.
    pub detail: String,
    /// How to fix it, a command where there is one; `None` where nothing is to be fixed.
    pub mend: Option<String>,
}

impl Check {
    fn new(system: System, name: &'static str, state: State, detail: impl Into<String>) -> Self {
        Self { system, name, subject: None, state, detail: detail.into(), mend: None }
    }

    fn mend(self, mend: impl Into<String>) -> Self {
        Self { mend: Some(mend.into()), ..self }
    }

    fn of(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// What it is, for people: `escalation_service`, or `services PREGSTR`.
    pub fn title(&self) -> String {
        match &self.subject {
            Some(subject) => format!("{} {subject}", self.name),
            None => self.name.to_owned(),
        }
    }
}

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing is missing.
    pub ok: bool,
    /// By system, in the order of [`CHECKS`].
    pub checks: Vec<Check>,
}

impl Report {
    fn of(checks: Vec<Check>) -> Self {
        Self { ok: checks.iter().all(|check| check.state != State::Failed), checks }
    }

    /// What is missing.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.state == State::Failed)
    }
}

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
    let systems = [System::PagerDuty, System::Jenkins, System::Cluster, System::Database];
    let left = Mutex::new(systems.map(System::name).to_vec());
    awaited(&left.lock().unwrap_or_else(PoisonError::into_inner));
    let asked = async |system: System, checks: BoxFuture<'_, Vec<Check>>| {
        let checks = checks.await;
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|name| *name != system.name());
        awaited(&left);
        checks
    };
    let (pagerduty, jenkins, clusters, database) = tokio::join!(
        asked(System::PagerDuty, pagerduty::examine(patient).boxed()),
        asked(System::Jenkins, jenkins::examine(patient).boxed()),
        asked(System::Cluster, cluster::examine(patient).boxed()),
        asked(System::Database, database::examine(patient).boxed()),
    );
    Report::of([settings::examine(patient.config, patient.problems), pagerduty, jenkins, clusters, database].concat())
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
    Check::new(system, name, State::Skipped, format!("not looked at: {settings} must be mended first"))
}

#[cfg(test)]
mod tests;
