//! The rate limit that all requests to PagerDuty share, so that a storm of alerts stays below what PagerDuty allows a
//! key, and what is written for people never waits behind what is only looked up.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use outbound::clock::Clock;
use outbound::headers::{number, retry_after};
use runbook::span::{after, between};

/// What PagerDuty counts over.
const WINDOW: Duration = Duration::from_secs(60);
/// Requests in any minute. PagerDuty allows 960 a key; what is left is for the key's other users.
const MOST: usize = 900;
/// Of these, so many are for notes and pages only.
const RESERVE: usize = 100;
/// A wait that PagerDuty asks for is respected up to this: its window is one minute, and a page must not be silenced
/// for an hour by a slip.
const LONGEST_CLOSED: Duration = Duration::from_secs(300);

/// So many turns are taken at once of those that all processes share, by whoever sends as many in [`BUSY`]; who sends
/// fewer takes them one by one, so that none lies unused where there are many processes.
const BLOCK: usize = 5;
/// As long as turns may be used that were taken.
const BUSY: Duration = Duration::from_secs(10);
/// How long taking them may take. A database that does not answer must not silence us: then only our own requests are
/// counted, for as long as [`BUSY`] before it is asked again.
const SHARING_TIME: Duration = Duration::from_secs(2);

/// The turns of all processes that use the key: PagerDuty counts them together.
pub trait SharedRateLimit: Debug + Send + Sync {
    /// Takes up to `wanted` turns, so that all processes together have no more than `most` in any minute: how many were
    /// granted, and until when they may be used. Where there are none, that is when to ask again.
    fn take(&self, most: usize, wanted: usize) -> BoxFuture<'_, Result<(usize, Timestamp), BoxError>>;
}

/// Whatever kept turns from being taken.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    /// To know something.
    Look,
    /// A note or a page, and the looks without which it must not be written.
    Tell,
}

/// How many requests of any minute there may be, by what they are for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    looks: usize,
    tells: usize,
}

impl Default for Most {
    fn default() -> Self {
        Self { looks: MOST - RESERVE, tells: MOST }
    }
}

impl Most {
    /// So many, whatever for.
    pub(super) fn of(a_minute: usize) -> Self {
        Self { looks: a_minute.max(1), tells: a_minute.max(1) }
    }

    fn of_this(self, priority: Priority) -> usize {
        match priority {
            Priority::Look => self.looks,
            Priority::Tell => self.tells,
        }
    }
}

/// The limit. One for all clones of a client.
#[derive(Debug)]
pub(super) struct Limit {
    clock: Clock,
    most: Most,
    shared: Option<Arc<dyn SharedRateLimit>>,
    state: Mutex<State>,
    /// Whoever waits for its turn holds its own kind's: first come, first served.
    looks: tokio::sync::Mutex<()>,
    tells: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// When the last minute's requests were sent.
    sent: VecDeque<Timestamp>,
    /// PagerDuty asked that nothing be sent before this.
    closed_until: Option<Timestamp>,
    /// PagerDuty's own count is nearly used up until then: what is left is for notes and pages.
    low_until: Option<Timestamp>,
    /// Turns of all processes that were granted to us and are not used yet, and until when they may be: for looks, and
    /// for what is told.
    granted: [Option<(usize, Timestamp)>; 2],
    /// Taking turns failed: not tried again before this.
    alone_until: Option<Timestamp>,
}

impl Limit {
    /// `shared` is what other processes use too, where there may be any.
    pub(super) fn new(clock: Clock, shared: Option<Arc<dyn SharedRateLimit>>, most: Most) -> Self {
        Self {
            clock,
            most,
            shared,
            state: Mutex::default(),
            looks: tokio::sync::Mutex::default(),
            tells: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// It does not come before `deadline`: how long it would have been waited for.
    pub(super) async fn turn(&self, priority: Priority, deadline: Timestamp) -> Result<(), Duration> {
        let queue = if priority == Priority::Look { &self.looks } else { &self.tells };
        let _first = match queue.try_lock() {
            Ok(first) => first,
            Err(_) => tokio::select! {
                first = queue.lock() => first,
                () = self.clock.sleep(between(self.clock.now(), deadline)) => return Err(WINDOW),
            },
        };
        loop {
            let now = self.clock.now();
            let own = self.state().take(priority, now, self.most.of_this(priority));
            let at = match own {
                Some(at) => at,
                None => match self.shared_turn(priority, now).await {
                    Some(at) => {
                        // It was not used.
                        self.state().sent.pop_back();
                        at
                    }
                    None => return Ok(()),
                },
            };
            if at >= deadline {
                return Err(between(now, at));
            }
            self.clock.sleep(between(now, at)).await;
        }
    }

    /// Takes one of the turns that all processes share, or says when there may be one.
    async fn shared_turn(&self, priority: Priority, now: Timestamp) -> Option<Timestamp> {
        let shared = self.shared.as_ref()?;
        let wanted = {
            let mut state = self.state();
            let alone = state.alone_until.is_some_and(|until| now < until && until <= after(now, BUSY));
            if alone || state.use_granted(priority, now) {
                return None;
            }
            let lately = state.sent.iter().rev().take_while(|sent| after(**sent, BUSY) > now).count();
            if lately > BLOCK { BLOCK } else { 1 }
        };
        let asking = tokio::time::timeout(SHARING_TIME, shared.take(self.most.of_this(priority), wanted)).await;
        match asking.unwrap_or_else(|_| Err("the database did not answer in time".into())) {
            Ok((0, until)) => Some(until),
            Ok((count, until)) => {
                self.state().granted[priority as usize] = Some((count - 1, until));
                None
            }
            Err(error) => {
                self.state().alone_until = Some(after(self.clock.now(), BUSY));
                tracing::debug!(error, "PagerDuty's rate limit could not be shared with the other processes");
                None
            }
        }
    }

    /// Learns from an answer.
    pub(super) fn observe(&self, status: StatusCode, headers: &HeaderMap) {
        let now = self.clock.now();
        let until = |wait: Duration| Some(after(now, wait.min(LONGEST_CLOSED)));
        let reset = number(headers, "ratelimit-reset").map(Duration::from_secs);
        let mut state = self.state();
        if status == StatusCode::TOO_MANY_REQUESTS {
            if let Some(wait) = retry_after(headers) {
                state.closed_until = state.closed_until.max(until(wait));
            }
        } else if let (Some(left), Some(reset)) = (number(headers, "ratelimit-remaining"), reset) {
            let reserve =
                number(headers, "ratelimit-limit").map_or(RESERVE as u64, |limit| (limit / 10).min(RESERVE as u64));
            if left == 0 {
                state.closed_until = state.closed_until.max(until(reset));
            } else if left <= reserve {
                state.low_until = state.low_until.max(until(reset));
            }
        }
    }
}

impl State {
    /// Takes a turn, or says when there may be one.
    fn take(&mut self, priority: Priority, now: Timestamp, most: usize) -> Option<Timestamp> {
        // A clock that was set back must not make anybody wait for the old time to come again.
        let latest = after(now, LONGEST_CLOSED);
        for until in [&mut self.closed_until, &mut self.low_until] {
            *until = until.filter(|until| *until > now && *until <= latest);
        }
        while self.sent.back().is_some_and(|sent| *sent > now) {
            self.sent.pop_back();
        }
        while self.sent.front().is_some_and(|sent| after(*sent, WINDOW) <= now) {
            self.sent.pop_front();
        }
        let low_until = self.low_until.filter(|_| priority == Priority::Look);
        let full_until = self.sent.len().checked_sub(most).map(|beyond| after(self.sent[beyond], WINDOW));
        let until = [self.closed_until, low_until, full_until].into_iter().flatten().max();
        if until.is_none() {
            self.sent.push_back(now);
        }
        until
    }

    /// Uses a turn that was granted; one for a look will do for what is told.
    fn use_granted(&mut self, priority: Priority, now: Timestamp) -> bool {
        let mut granted = self.granted[..=priority as usize].iter_mut().flatten();
        match granted.find(|(count, until)| *count > 0 && now < *until) {
            Some((count, _)) => {
                *count -= 1;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
