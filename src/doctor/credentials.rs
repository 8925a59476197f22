//! How a context logs in: until when its token is good, and whether its program is there.

use std::time::Duration;

use jiff::Timestamp;

use super::{Check, State, System};
use clusters::{Login, TokenTimes};
use runbook::span::{between, show_duration};

/// A token that ends within this is warned of.
const SOON: Duration = Duration::from_secs(7 * 86_400);
/// One that was issued for no longer than this is renewed by something, and warned of only where little of it is left.
const SHORT: Duration = Duration::from_secs(48 * 3600);
/// So much of a short one's life is little: it should have been renewed.
const LITTLE: u32 = 5;

/// The fix where the login is by something that ends, or is not there.
const RENEW: &str = "put a new token into its tokenFile: tokens.sh of `se-responder kubeconfig`, or whatever renews it";

/// What is to be said of a context's login.
pub(super) fn judge(system: System, login: &Login, context: &str, now: Timestamp) -> Check {
    let check = |state, detail: String| Check::new(system, "credentials", state, detail);
    match login {
        Login::Token(TokenTimes { ends: None, .. }) => {
            check(State::Ok, "a token that does not say that it ends".into())
        }
        Login::Token(TokenTimes { ends: Some(ends), .. }) if *ends <= now => {
            check(State::Failed, format!("the token of context {context} ended at {}", at(*ends))).mend(RENEW)
        }
        Login::Token(TokenTimes { ends: Some(ends), issued }) => {
            let left = between(now, *ends);
            let life = issued.map(|issued| between(issued, *ends)).filter(|life| *life <= SHORT);
            let detail = format!("the token of context {context} ends at {}, in {}", at(*ends), rounded(left));
            if left < life.map_or(SOON, |life| life / LITTLE) {
                check(State::Warning, detail).mend(RENEW)
            } else {
                check(State::Ok, detail)
            }
        }
        Login::Plugin { command, found: Some(path) } => check(
            State::Ok,
            format!(
                "context {context} logs in by the program {command:?}, here {}: a container has it only where its image has",
                path.display()
            ),
        ),
        Login::Plugin { command, found: None } => check(
            State::Warning,
            format!("context {context} logs in by the program {command:?}, which is not on this machine"),
        )
        .mend("install it, or log in by a ServiceAccount's token instead: se-responder kubeconfig"),
        Login::Other => check(State::Ok, format!("context {context} logs in by a certificate or a password")),
    }
}

fn at(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Days from two on, else hours, else minutes.
fn rounded(left: Duration) -> String {
    let seconds = left.as_secs();
    show_duration(Duration::from_secs(match seconds {
        172_800.. => seconds - seconds % 86_400,
        7200.. => seconds - seconds % 3600,
        _ => seconds - seconds % 60,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn token(issued: Option<i64>, ends: Option<i64>) -> Check {
        let now = Timestamp::from_second(1_755_650_000).unwrap();
        let at = |hours: i64| Timestamp::from_second(now.as_second() + hours * HOUR).unwrap();
        let times = TokenTimes { issued: issued.map(at), ends: ends.map(at) };
        judge(System::Cluster, &Login::Token(times), "az1", now)
    }

    #[test]
    fn a_token_that_ends_soon_is_warned_of_and_one_that_has_ended_is_missing() {
        for (issued, ends, state) in [
            (None, None, State::Ok),
            (None, Some(24 * 30), State::Ok),
            (None, Some(24 * 7), State::Ok),
            (None, Some(24 * 7 - 1), State::Warning),
            (Some(-24 * 300), Some(24 * 3), State::Warning),
            (Some(0), Some(24 * 3), State::Warning),
            (Some(-1), Some(0), State::Failed),
            (None, Some(-24), State::Failed),
            // Something renews it: its end is no news until it should have been renewed.
            (Some(0), Some(24), State::Ok),
            (Some(-18), Some(6), State::Ok),
            (Some(-20), Some(4), State::Warning),
        ] {
            let check = token(issued, ends);
            assert_eq!(check.state, state, "{issued:?} {ends:?}: {check:?}");
            assert_eq!(check.mend.is_some(), state != State::Ok, "{check:?}");
        }
        let soon = token(None, Some(24 * 3 + 5)).detail;
        assert_eq!(soon, "the token of context az1 ends at 2025-08-23T05:33:20Z, in 3 days");
        assert!(token(None, Some(-24)).detail.contains("ended at 2025-08-19T00:33:20Z"));
    }

    #[test]
    fn a_program_that_is_not_here_is_warned_of() {
        let now = Timestamp::UNIX_EPOCH;
        let of = |found| judge(System::Cluster, &Login::Plugin { command: "ibmcloud".into(), found }, "az1", now);
        let missing = of(None);
        assert!(missing.state == State::Warning && missing.detail.contains("\"ibmcloud\""), "{missing:?}");
        assert!(missing.mend.is_some_and(|mend| mend.contains("se-responder kubeconfig")));
        let there = of(Some("/usr/bin/ibmcloud".into()));
        assert!(there.state == State::Ok && there.detail.contains("a container"), "{there:?}");
    }
}
