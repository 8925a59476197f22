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
        lines.push(format!("  {}  {}", paint(code, &format!("{word:6}")), check.said()));
        if let Some(mend) = check.mend.as_ref().filter(|_| check.state != State::Ok) {
            lines.push(format!("          {} {mend}", paint("1", "fix:")));
        }
    }
    let count = |state| report.checks.iter().filter(|check| check.state == state).count();
    let (failed, warnings) = (count(State::Failed), count(State::Warning));
    let sum = match (failed, warnings) {
        (0, 0) => "Everything is OK.".to_owned(),
        (0, warnings) => format!("Nothing is missing. {}.", warned(warnings)),
        (failed, warnings) => format!("{failed} failed. {}.", warned(warnings)),
    };
    lines.extend([String::new(), paint("1", &sum)]);
    lines.join("\n")
}

/// `1 warning`, `2 warnings`.
fn warned(warnings: usize) -> String {
    format!("{warnings} {}", if warnings == 1 { "warning" } else { "warnings" })
}

/// A check's state as a word and its colour.
fn word(check: &Check) -> (&'static str, &'static str) {
    match check.state {
        State::Ok => ("ok", "32"),
        State::Warning => ("warn", "33"),
        State::Failed => ("FAILED", "1;31"),
        State::Skipped => ("-", "2"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::System;

    fn check(system: System, name: &'static str, subject: Option<&str>, state: State, detail: &str) -> Check {
        let mend = Some("do it".to_owned());
        Check { system, name, subject: subject.map(Into::into), state, detail: detail.into(), mend }
    }

    #[test]
    fn a_line_says_what_it_is_about_in_the_words_of_people() {
        let slip = "PAGERDUTTY_FROM in .env is not a setting of se-responder. Did you mean PAGERDUTY_FROM?";
        let mut report = Report {
            ok: false,
            checks: vec![
                check(System::Settings, "valid", Some("PUBLIC_URL"), State::Failed, "is missing"),
                check(System::Settings, "sound", Some("PAGERDUTTY_FROM"), State::Warning, slip),
                check(System::PagerDuty, "escalation_service", None, State::Ok, "it can be paged"),
                check(System::PagerDuty, "services", Some("P_1"), State::Skipped, "not needed"),
            ],
        };
        assert_eq!(
            text(&report, false),
            format!(
                "Settings\n  FAILED  PUBLIC_URL: is missing\n          fix: do it\n  warn    {slip}\n          fix: do it\n\n\
                 PagerDuty\n  ok      escalation service: it can be paged\n  -       services P_1: not needed\n          \
                 fix: do it\n\n1 failed. 1 warning."
            )
        );
        report.checks.truncate(2);
        report.checks.remove(0);
        assert!(text(&report, false).ends_with("\n\nNothing is missing. 1 warning."));
        report.checks = vec![check(System::Settings, "sound", None, State::Ok, "no risky settings")];
        assert_eq!(text(&report, false), "Settings\n  ok      no risky settings\n\nEverything is OK.");
    }
}
