//! Whether an upstream can be asked: said once when it begins and once when it ends, not at each of a thousand tries.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::error::{Error, Kind};
use runbook::span::between;

/// A call that failed and was not made again for so long says nothing any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// The outage of one upstream, where there is one.
#[derive(Debug)]
pub struct Outage {
    who: &'static str,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    since: Option<Timestamp>,
    failures: u64,
    /// Calls that fail, and when they last did: one that works says nothing of another.
    failing: BTreeMap<String, Timestamp>,
}

impl Outage {
    /// None yet, of this upstream.
    pub fn new(who: &'static str, clock: Clock) -> Self {
        Self { who, clock, state: Mutex::default() }
    }

    /// Takes what came of a call, its repetitions included. `call` names it without its ids.
    pub fn observe(&self, call: &str, error: Option<&Error>) {
        match error {
            Some(error) if is_outage(error) => self.failed(call, error),
            _ => self.worked(call),
        }
    }

    fn failed(&self, call: &str, error: &Error) {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failing.insert(call.to_owned(), now);
        state.failures += 1;
        if state.since.is_none() {
            state.since = Some(now);
            tracing::warn!(
                upstream = self.who,
                error = %error,
                "upstream unreachable; retrying (logged again when it recovers)"
            );
        } else {
            tracing::debug!(upstream = self.who, error = %error, "upstream still unreachable");
        }
    }

    fn worked(&self, call: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(since) = state.since else { return };
        let now = self.clock.now();
        state.failing.remove(call);
        state.failing.retain(|_, last| between(*last, now) < FORGOTTEN_AFTER);
        if state.failing.is_empty() {
            let State { failures, .. } = std::mem::take(&mut *state);
            let lasted = between(since, now).as_secs();
            tracing::info!(upstream = self.who, lasted_s = lasted, failures, "upstream reachable again");
        }
    }
}

/// Whether the failure is the upstream's (or our credentials'), rather than an answer to this one question.
pub fn is_outage(error: &Error) -> bool {
    match error.kind {
        Kind::Later(_) | Kind::Ambiguous | Kind::Malformed | Kind::Local => true,
        Kind::Refused(status) => status.as_u16() == 401 || status.is_redirection(),
    }
}
