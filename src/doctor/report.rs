//! What can be looked at, and what came of it.

use serde::Serialize;
use strum::{EnumMessage, VariantArray, VariantNames};

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
    /// Slack's workspaces.
    Slack,
    /// GitHub Enterprise.
    Ghe,
    /// The client of the end-to-end test: Prometheus, and the healthcheck cluster.
    Client,
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
            Self::Slack => "Slack",
            Self::Ghe => "GHE",
            Self::Client => "Healthcheck cluster",
            Self::Database => "Database",
        }
    }
}

/// Every check there is, by its system and name. Names are fixed: metrics have them as a label.
pub const CHECKS: [(System, &[&str]); 8] = [
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
            "ingest",
        ],
    ),
    (System::Jenkins, &["job", "buildable", "parameter", "permission", "clock"]),
    (
        System::Cluster,
        &[
            "kubeconfig",
            "credentials",
            "api",
            "read_konicle",
            "list_ingress_pods",
            "list_konicle_pods",
            "status_check",
            "clock",
        ],
    ),
    (System::Client, &["prometheus", "queries", "series", "kubeconfig", "credentials", "exporter", "port_forward"]),
    (System::Slack, &["token", "channel"]),
    (System::Ghe, &["token", "issues"]),
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
    pub(super) fn new(system: System, name: &'static str, state: State, detail: impl Into<String>) -> Self {
        Self { system, name, subject: None, state, detail: detail.into(), mend: None }
    }

    pub(super) fn mend(self, mend: impl Into<String>) -> Self {
        Self { mend: Some(mend.into()), ..self }
    }

    pub(super) fn of(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// What it is and what was found, for people: `escalation service: …`, `services PREGSTR: …`, or of a setting its name.
    pub fn said(&self) -> String {
        let name = self.name.replace('_', " ");
        let what = match (self.system, &self.subject) {
            (System::Settings, None) => return self.detail.clone(),
            (System::Settings, Some(setting)) if self.detail.starts_with(setting) => return self.detail.clone(),
            (System::Settings, Some(setting)) => setting.clone(),
            (_, Some(subject)) => format!("{name} {subject}"),
            (_, None) => name,
        };
        format!("{what}: {}", self.detail)
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
    pub(super) fn of(checks: Vec<Check>) -> Self {
        Self { ok: checks.iter().all(|check| check.state != State::Failed), checks }
    }

    /// The same with a newer check in the place of the former.
    #[must_use]
    pub(super) fn with(mut self, newer: Check) -> Self {
        for check in &mut self.checks {
            if (check.system, check.name, &check.subject) == (newer.system, newer.name, &newer.subject) {
                *check = newer.clone();
            }
        }
        Self::of(self.checks)
    }

    /// What is missing.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.state == State::Failed)
    }
}
