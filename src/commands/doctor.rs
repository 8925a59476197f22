//! `doctor`: asks every system for what the service will need, and says what is missing and how to fix it.

use anyhow::{Context as _, bail};

use super::colour::wants_colour;
use super::output::print;
use super::watch::Watch;
use crate::config::{Config, Problems};
use crate::doctor::{Check, Patient, Report, State, examine};
use outbound::clock::Clock;
use runbook::text::visible;

/// Looks at everything, and prints what it found: as text, or as one JSON object.
///
/// `problems` are those of the settings: what the others permit is looked at all the same.
///
/// # Errors
/// [`Problems`] where settings are missing or wrong; else where anything that the service needs is missing.
pub async fn doctor(config: &Config, problems: Problems, json: bool, clock: Clock) -> anyhow::Result<()> {
    let watch = Watch::new();
    let patient =
        Patient { config, problems: &problems, pagerduty: None, jenkins: None, clock: &clock, thorough: true };
    let report = examine(patient, |left| watch.say(&format!("asking {}", left.join(", ")))).await;
    watch.end();
    if json {
        print(&serde_json::to_string_pretty(&report).context("writing what was found as JSON")?)?;
    } else {
        print(&visible(&text(&report, wants_colour(&std::io::stdout()))))?;
    }
    if !problems.0.is_empty() {
        return Err(problems.into());
    }
    match report.failed().count() {
        0 => Ok(()),
        1 => bail!("1 check failed"),
        count => bail!("{count} checks failed"),
    }
}

/// A line a check, under its system; what is to be fixed has a second one.
fn text(report: &Report, colours: bool) -> String {
    let paint = |code: &str, text: &str| {
        if colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    };
    let mut lines = Vec::new();
    let mut last = None;
    for check in &report.checks {
        if last != Some(check.system) {
            if last.is_some() {
                lines.push(String::new());
            }
            lines.push(paint("1", check.system.name()));
            last = Some(check.system);
        }
        let (word, code) = word(check);
        lines.push(format!("  {}  {}: {}", paint(code, &format!("{word:6}")), check.title(), check.detail));
        if let Some(mend) = check.mend.as_ref().filter(|_| check.state != State::Ok) {
            lines.push(format!("          {} {mend}", paint("1", "mend:")));
        }
    }
    let count = |state| report.checks.iter().filter(|check| check.state == state).count();
    let (failed, warnings) = (count(State::Failed), count(State::Warning));
    let sum = match (failed, warnings) {
        (0, 0) => "All is well.".to_owned(),
        (0, warnings) => format!("All that is needed is there; to look at: {warnings}."),
        (failed, warnings) => format!("Failed: {failed}; to look at: {warnings}."),
    };
    lines.extend([String::new(), paint("1", &sum)]);
    lines.join("\n")
}

/// A check's state as a word and its colour.
fn word(check: &Check) -> (&'static str, &'static str) {
    match check.state {
        State::Ok => ("ok", "32"),
        State::Warning => ("look", "33"),
        State::Failed => ("FAILED", "1;31"),
        State::Skipped => ("-", "2"),
    }
}
