//! The part of the list page that says whether everything is there that the service needs.

use super::words;
use crate::doctor::way_in::judge;
use crate::doctor::{Check, Report, State, System};
use crate::http::App;
use runbook::span::show_duration;

/// The check that has an entry of its own beside PagerDuty's: whether alerts are told to us at all.
const SUBSCRIPTION: &str = "subscription";

/// The same for whether webhooks reach us.
const INGEST: &str = "ingest";

/// How many failures are shown at once; the rest is folded away.
const SHOWN: usize = 4;

/// How the systems are.
pub(super) struct Health {
    /// Each system, and the webhook subscription.
    pub entries: Vec<Entry>,
    /// What failed: at most [`SHOWN`].
    pub failed: Vec<Trouble>,
    /// What else failed: every zone of every region may.
    pub more: Vec<Trouble>,
    /// What somebody should look at.
    pub look: Vec<Trouble>,
    /// When it was looked at last, or why it was not.
    pub when: String,
}

/// One system.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: &'static str,
    /// In a word, with the name of its colour.
    pub says: &'static str,
    pub tone: &'static str,
}

/// One thing that failed, or is to be looked at.
pub(super) struct Trouble {
    pub what: String,
    pub detail: String,
    pub mend: Option<String>,
}

/// What the last self-check found, and what is known of the subscription and of the way in since.
pub(super) async fn health(app: &App) -> Health {
    let seen = app.health.last();
    // Whichever process proved it last. Where the database does not say, what was found before stands.
    let last =
        app.store.way_in().await.inspect_err(|error| app.store.trouble("looking whether the way in is proven", error));
    let ingest =
        last.ok().map(|way_in| judge(&app.config, way_in.and_then(|way_in| way_in.last).as_ref(), app.clock.now()));
    let when = match (&seen, app.config.self_check_interval) {
        (Some(seen), interval) => {
            let every = interval.map(|every| format!(", every {}", show_duration(every))).unwrap_or_default();
            format!("Checked {} by this replica{every}.", words::date(app.clock.shown(seen.at)))
        }
        (None, None) => "Never checked: SELF_CHECK_INTERVAL is 0s.".to_owned(),
        (None, Some(_)) => "First check runs 1 min after start.".to_owned(),
    };
    build(seen.as_ref().map(|seen| &seen.report), app.subscription.trouble(), ingest, when)
}

fn build(report: Option<&Report>, subscription: Option<String>, ingest: Option<Check>, when: String) -> Health {
    let is_newer = ingest.is_some();
    let reported = move |check: &&Check| !(is_newer && check.name == INGEST);
    let checks = || report.into_iter().flat_map(|report| &report.checks).filter(reported).chain(&ingest);
    let of = |system: System| checks().filter(move |c| c.system == system && !matches!(c.name, SUBSCRIPTION | INGEST));
    let named = |name: &'static str| worst(checks().filter(move |check| check.name == name));
    let sub = match subscription {
        Some(_) => Some(State::Failed),
        None => named(SUBSCRIPTION),
    };
    let entry = |name, state: Option<State>| {
        let (says, tone) = word(state);
        Entry { name, says, tone }
    };
    let system = |system: System| entry(system.name(), worst(of(system)));
    let mut entries = vec![
        entry("Webhook subscription", sub),
        entry("Webhooks reach us", named(INGEST)),
        system(System::PagerDuty),
        system(System::Jenkins),
        system(System::Cluster),
    ];
    // Whoever is not configured has no check.
    entries.extend(
        [System::Client, System::Slack, System::Ghe].into_iter().filter(|s| worst(of(*s)).is_some()).map(system),
    );
    entries.extend([system(System::Database), system(System::Settings)]);
    // What is known of the subscription meanwhile is newer than the report.
    let stale = |check: &&Check| check.name == SUBSCRIPTION && subscription.is_some();
    let mut failed: Vec<Trouble> =
        checks().filter(|check| check.state == State::Failed && !stale(check)).map(trouble).collect();
    if let Some(detail) = &subscription {
        let what = "Webhook subscription".to_owned();
        failed.insert(0, Trouble { what, detail: detail.clone(), mend: None });
    }
    let look = checks().filter(|check| check.state == State::Warning && !stale(check)).map(trouble).collect();
    let more = failed.split_off(failed.len().min(SHOWN));
    Health { entries, failed, more, look, when }
}

/// A state for people, with the name of its colour.
pub(super) fn word(state: Option<State>) -> (&'static str, &'static str) {
    match state {
        None | Some(State::Skipped) => ("Unknown", "unknown"),
        Some(State::Ok) => ("OK", "whole"),
        Some(State::Warning) => ("Warning", "affected"),
        Some(State::Failed) => ("Failing", "broken"),
    }
}

/// The state that speaks for a system: what failed, then what is to be looked at. `None` without any check.
pub(super) fn worst<'a>(checks: impl Iterator<Item = &'a Check>) -> Option<State> {
    let rank = |state: &State| match state {
        State::Skipped => 0,
        State::Ok => 1,
        State::Warning => 2,
        State::Failed => 3,
    };
    checks.map(|check| check.state).max_by_key(rank)
}

fn trouble(check: &Check) -> Trouble {
    let (system, name) = (check.system.name(), check.name.replace('_', " "));
    let what = match &check.subject {
        None if check.name == INGEST => "Webhooks reach us".to_owned(),
        // Which setting says it all.
        Some(subject) if check.system == System::Settings => format!("{system}, {subject}"),
        Some(subject) => format!("{system}, {name} of {subject}"),
        None => format!("{system}, {name}"),
    };
    Trouble { what, detail: check.detail.clone(), mend: check.mend.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(states: &[(System, &'static str, State)]) -> Report {
        let checks: Vec<Check> = states
            .iter()
            .map(|(system, name, state)| Check {
                system: *system,
                name,
                subject: None,
                state: *state,
                detail: format!("detail of {name}"),
                mend: None,
            })
            .collect();
        Report { ok: false, checks }
    }

    fn says(health: &Health) -> Vec<&'static str> {
        health.entries.iter().map(|entry| entry.says).collect()
    }

    #[test]
    fn the_worst_check_speaks_for_its_system_and_the_subscription_for_itself() {
        let report = report(&[
            (System::PagerDuty, "api", State::Ok),
            (System::PagerDuty, "from", State::Warning),
            (System::PagerDuty, SUBSCRIPTION, State::Ok),
            (System::Jenkins, "job", State::Failed),
            (System::Jenkins, "clock", State::Warning),
            (System::Cluster, "api", State::Skipped),
            (System::Database, "reachable", State::Ok),
        ]);
        let seen = build(Some(&report), None, None, String::new());
        assert_eq!(says(&seen), ["OK", "Unknown", "Warning", "Failing", "Unknown", "OK", "Unknown"]);
        assert_eq!((seen.failed.len(), seen.look.len()), (1, 2));
        assert_eq!(seen.failed[0].what, "Jenkins, job");

        // Known since, and told instead of what the report had to say.
        let since = build(Some(&report), Some("it is disabled".into()), None, String::new());
        assert_eq!((says(&since)[0], since.failed.len()), ("Failing", 2));
        assert_eq!(since.failed[0].detail, "it is disabled");
    }

    #[test]
    fn what_was_proved_of_the_way_in_since_is_told_instead_of_what_the_report_says() {
        let report = report(&[(System::PagerDuty, "api", State::Ok), (System::PagerDuty, INGEST, State::Ok)]);
        assert_eq!(says(&build(Some(&report), None, None, String::new()))[1..3], ["OK", "OK"]);
        let failed = Check { state: State::Failed, detail: "0 of 1 pings".into(), ..report.checks[1].clone() };
        for report in [Some(&report), None] {
            let since = build(report, None, Some(failed.clone()), String::new());
            assert_eq!((says(&since)[1], since.failed.len(), since.look.len()), ("Failing", 1, 0));
            assert_eq!(
                (since.failed[0].what.as_str(), since.failed[0].detail.as_str()),
                ("Webhooks reach us", "0 of 1 pings")
            );
        }
    }

    #[test]
    fn before_the_first_self_check_nothing_is_known_but_the_subscription() {
        let none = build(None, None, None, String::new());
        assert!(says(&none).iter().all(|says| *says == "Unknown") && none.failed.is_empty());
        assert_eq!(says(&build(None, Some("off".into()), None, String::new()))[0], "Failing");
    }
}
