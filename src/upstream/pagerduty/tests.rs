//! The client against the simulated account, and (in `bad_answers`) against answers that no simulator would give.

mod bad_answers;
mod reads;
mod writes;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::clock::{Source, after};
use crate::sim::pagerduty as sim;
use crate::sim::pagerduty::Setup;

/// A clock that is moved by hand, and by whoever sleeps: a wait takes no time and is kept.
#[derive(Debug)]
pub(crate) struct HandClock {
    now: Mutex<Timestamp>,
    slept: Mutex<Vec<Duration>>,
}

impl HandClock {
    pub(crate) fn at(now: &str) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(now.parse().unwrap()), slept: Mutex::default() })
    }

    pub(crate) fn pass(&self, length: Duration) {
        let mut now = self.now.lock().unwrap();
        *now = after(*now, length);
    }

    pub(crate) fn slept(&self) -> Vec<Duration> {
        self.slept.lock().unwrap().clone()
    }
}

impl Source for HandClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    fn sleep(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.pass(length);
        self.slept.lock().unwrap().push(length);
        Box::pin(tokio::task::yield_now())
    }

    fn id(&self) -> String {
        "an-id".to_owned()
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

pub(crate) const NOW: &str = "2026-08-20T03:00:00Z";

/// A simulated account, a client of it, and the clock of both.
async fn account() -> (sim::PagerDuty, PagerDuty, Arc<HandClock>) {
    let clock = HandClock::at(NOW);
    let account = sim::PagerDuty::start(Setup::new(clock.clone())).await.unwrap();
    let client = PagerDuty::new(account.settings(), clock.clone()).unwrap();
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
