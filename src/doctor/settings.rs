//! Our own settings: those that are missing or wrong, and those that are legal but risky.

use jiff::Timestamp;

use super::{Check, State, System};
use crate::backtest::earned;
use crate::config::{Config, Problems};
use runbook::gate::EscalationMode;

/// Every problem and every warning; one line that all is well where there is none.
pub(super) fn examine(config: &Config, problems: &Problems, now: Timestamp) -> Vec<Check> {
    let check = |name, state, detail: &str| Check::new(System::Settings, name, state, detail);
    let mut checks = Vec::new();
    for problem in &problems.0 {
        let named = problem.split_once(": ").filter(|(name, _)| !name.contains(' '));
        let (name, what) = named.unwrap_or((problem.split(' ').next().unwrap_or_default(), problem));
        checks.push(
            check("valid", State::Failed, what)
                .of(name)
                .mend(format!("set {name}: .env.example and docs/settings.md explain it")),
        );
    }
    if checks.is_empty() {
        checks.push(check("valid", State::Ok, "every setting is there and can be read"));
    }
    let warnings: Vec<String> =
        config.warnings.iter().cloned().chain(risks(config, problems)).chain(earned::warning(config, now)).collect();
    if warnings.is_empty() {
        checks.push(check("sound", State::Ok, "no risky settings"));
    }
    for warning in warnings {
        let name = warning.split([' ', ':']).next().unwrap_or_default().to_owned();
        let mend = format!("see {name} in docs/settings.md");
        checks.push(check("sound", State::Warning, &warning).of(name).mend(mend));
    }
    checks
}

/// What is legal, and yet not what most would want.
fn risks(config: &Config, problems: &Problems) -> Vec<String> {
    let mut risks = Vec::new();
    let by_proxy = config.user_header.is_some() && !config.trusted_operators.is_empty();
    if config.operator_tokens.is_none() && !by_proxy && !problems.concern(&["OPERATOR_TOKENS"]) {
        risks
            .push("OPERATOR_TOKENS is not set: nobody can ask for a rerun or a page but by a note in PagerDuty".into());
    }
    let pages = config.escalation.mode != EscalationMode::Off;
    if pages && config.transient.reruns == 0 && !problems.concern(&["TRANSIENT_RERUNS"]) {
        risks.push("TRANSIENT_RERUNS is 0: a transient state stays one, and nobody is ever paged for it".into());
    }
    risks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixtures::config;

    #[test]
    fn all_is_said_and_each_with_its_setting() {
        let well = examine(
            &config(&[("PUBLIC_URL", "https://x.example"), ("OPERATOR_TOKENS", "a:0123456789abcdef")], ""),
            &Problems(vec![]),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(
            well.iter().map(|c| (c.name, c.state)).collect::<Vec<_>>(),
            [("valid", State::Ok), ("sound", State::Ok)]
        );

        let by_proxy = [
            ("PUBLIC_URL", "https://x.example"),
            ("TRUSTED_PROXIES", "10.0.0.1"),
            ("TRUSTED_USER_HEADER", "X-User"),
            ("TRUSTED_OPERATORS", "olga"),
        ];
        let none = Problems(vec![]);
        let warned = |settings| examine(&config(settings, ""), &none, Timestamp::UNIX_EPOCH).pop().unwrap().subject;
        assert_eq!(warned(&by_proxy[..]), None, "operators are whom the proxy names");
        assert_eq!(warned(&by_proxy[..3]).as_deref(), Some("OPERATOR_TOKENS"));

        let problems = Problems(vec!["NOTE_BY: \"soon\" is not a duration".into(), ".env can't be read".into()]);
        let bad = examine(&config(&[("TRANSIENT_RERUNS", "0")], ""), &problems, Timestamp::UNIX_EPOCH);
        let of: Vec<_> = bad.iter().map(|c| (c.subject.as_deref().unwrap(), c.state)).collect();
        let (failed, warning) = (State::Failed, State::Warning);
        assert_eq!(
            of,
            [
                ("NOTE_BY", failed),
                (".env", failed),
                ("PUBLIC_URL", warning),
                ("OPERATOR_TOKENS", warning),
                ("TRANSIENT_RERUNS", warning)
            ]
        );
        assert!(bad.iter().all(|c| c.mend.is_some()));
    }
}
