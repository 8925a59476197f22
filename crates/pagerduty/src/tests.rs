//! The client against the simulated account, and (in `bad_answers`) against answers that no simulator would give.

mod bad_answers;
mod history;
mod moving;
mod reads;
mod strange;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use outbound::clock::Source;
use outbound::permit::Permit;
use simulators::clock::{HandClock, NOW};
use simulators::pagerduty as sim;
use simulators::pagerduty::Setup;

/// How a simulated account is reached.
fn settings(account: &sim::PagerDuty) -> PagerDutySettings {
    PagerDutySettings {
        api_url: account.api_url(),
        token: account.token().as_str().into(),
        from: Setup::FROM.to_owned(),
    }
}

/// A test needs no claim.
fn free() -> Permit {
    Permit::needless("a test")
}

/// A simulated account, a client of it, and the clock of both.
async fn account() -> (sim::PagerDuty, PagerDuty, Arc<HandClock>) {
    let clock = HandClock::at(NOW);
    let account = sim::PagerDuty::start(Setup::new(clock.clone())).await.unwrap();
    let client = PagerDuty::new(settings(&account), clock.clone()).unwrap();
    (account, client, clock)
}

/// An incident's ids, for short assertions.
fn ids(incidents: &[Incident]) -> Vec<&str> {
    incidents.iter().map(|i| i.id.as_str()).collect()
}

#[test]
fn a_client_that_cannot_work_is_not_made() {
    let settings = |url: &str, from: &str| PagerDutySettings {
        api_url: url.parse().unwrap(),
        token: "t".into(),
        from: from.to_owned(),
    };
    let error = |url, from| PagerDuty::new(settings(url, from), HandClock::at(NOW)).unwrap_err().to_string();
    assert!(error("ftp://x/", "a@b").contains("PAGERDUTY_API_URL"));
    assert!(error("data:x", "a@b").contains("PAGERDUTY_API_URL"));
    assert!(error("https://x/", "a@b\nX-Evil: 1").contains("PAGERDUTY_FROM"));
}

#[test]
fn a_path_before_the_api_is_kept_and_segments_are_encoded() {
    for base in ["https://proxy/pd", "https://proxy/pd/"] {
        let settings = PagerDutySettings { api_url: base.parse().unwrap(), token: "t".into(), from: "a@b".to_owned() };
        let client = PagerDuty::new(settings, HandClock::at(NOW)).unwrap();
        let url = client.url(&["incidents", "a/../b?c"], &[("statuses[]", "x&y")]);
        assert_eq!(url.as_str(), "https://proxy/pd/incidents/a%2F..%2Fb%3Fc?statuses%5B%5D=x%26y");
    }
}
