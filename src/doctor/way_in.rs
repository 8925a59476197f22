//! Whether PagerDuty's webhooks reach us. Only a running `serve` can prove it, with each of its self-checks: here is read what
//! it found last.

use std::time::Duration;

use jiff::Timestamp;

use super::{Check, LIMIT, Patient, State, System, unset};
use crate::config::Config;
use runbook::span::{between, show_duration};
use store::{Proved, known_way_in};

/// The check's name.
pub(super) const NAME: &str = "ingest";

/// How much longer than an interval a proof may take until it is old: it waits for pings, and for its turn.
const SLACK: Duration = Duration::from_secs(300);

pub(super) async fn examine(patient: Patient<'_>) -> Vec<Check> {
    let Patient { config, problems, clock, .. } = patient;
    let needed = ["DATABASE_URL", "SELF_CHECK_INTERVAL", "LISTEN_ADDR", "PUBLIC_URL", "WEBHOOK_URL"];
    if problems.concern(&needed) {
        return vec![unset(System::PagerDuty, NAME, &needed.join(", "))];
    }
    let unknown = || vec![skipped("not known while the database can't be read")];
    let Ok(url) = config.database_url.reveal() else { return unknown() };
    let looked = tokio::select! {
        biased;
        looked = known_way_in(&url) => looked.ok(),
        () = clock.sleep(LIMIT) => None,
    };
    let Some(way_in) = looked else { return unknown() };
    vec![judge(config, way_in.and_then(|way_in| way_in.last).as_ref(), clock.now())]
}

fn skipped(detail: impl Into<String>) -> Check {
    Check::new(System::PagerDuty, NAME, State::Skipped, detail)
}

/// What the last proof says `now`, and how old it is.
pub(crate) fn judge(config: &Config, last: Option<&Proved>, now: Timestamp) -> Check {
    let Some(interval) = config.self_check_interval else {
        return skipped("never checked: SELF_CHECK_INTERVAL is 0s");
    };
    let url = config.webhook_url();
    let Some(Proved { at, proof, .. }) = last.filter(|last| last.url == url) else {
        return skipped(format!(
            "not known yet whether webhooks to {url} reach a running `serve`: its self-check tells"
        ));
    };
    let age = between(*at, now);
    let ago = if age < Duration::from_secs(1) { "just now".to_owned() } else { format!("{} ago", show_duration(age)) };
    let detail = format!("{} ({ago})", proof.detail);
    let check = |state| Check::new(System::PagerDuty, NAME, state, detail.clone());
    match proof.outcome.is_proven() {
        Some(true) if age > interval.saturating_mul(2).saturating_add(SLACK) => {
            check(State::Warning).mend("is `serve` running? It asks for a ping with each self-check")
        }
        Some(true) => check(State::Ok),
        _ => check(State::Failed).mend(format!("{}; `serve` looks again with its next self-check", proof.fix)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixtures::config;
    use runbook::way_in::{Outcome, Proof};

    const URL: &str = "https://se.example.com/hooks";

    #[test]
    fn the_last_proof_is_told_with_its_age() {
        let now: Timestamp = "2026-08-20T04:00:00Z".parse().unwrap();
        let settings = config(&[("WEBHOOK_URL", URL), ("SELF_CHECK_INTERVAL", "1h")], "");
        let of = |outcome, minutes: u64| Proved {
            at: runbook::span::before(now, Duration::from_secs(minutes * 60)),
            url: URL.to_owned(),
            proof: Proof { outcome, detail: "what was found".into(), fix: "how to fix it".into() },
        };
        for (outcome, minutes, state, says) in [
            (Outcome::Proven, 0, State::Ok, "what was found (just now)"),
            (Outcome::Proven, 120, State::Ok, "what was found (2 h ago)"),
            (Outcome::Proven, 126, State::Warning, "what was found (2 h 6 min ago)"),
            (Outcome::Failed, 12, State::Failed, "what was found (12 min ago)"),
            (Outcome::NotAsked, 12, State::Failed, "what was found (12 min ago)"),
            (Outcome::NotAllowed, 12, State::Failed, "what was found (12 min ago)"),
            (Outcome::NoSubscription, 12, State::Failed, "what was found (12 min ago)"),
        ] {
            let check = judge(&settings, Some(&of(outcome, minutes)), now);
            assert_eq!((check.state, check.detail.as_str()), (state, says));
            assert_eq!(check.mend.is_some(), state != State::Ok, "{check:?}");
        }
        let elsewhere = Proved { url: "https://other.example.com/hooks".into(), ..of(Outcome::Failed, 1) };
        assert_eq!(judge(&settings, Some(&elsewhere), now).state, State::Skipped, "it was of another address");
        assert_eq!(judge(&settings, None, now).state, State::Skipped);
        let never = config(&[("WEBHOOK_URL", URL), ("SELF_CHECK_INTERVAL", "0s")], "");
        assert!(judge(&never, Some(&of(Outcome::Failed, 1)), now).detail.contains("SELF_CHECK_INTERVAL is 0s"));
    }
}
