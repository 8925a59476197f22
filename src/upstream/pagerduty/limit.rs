//! The rate limit that all requests to PagerDuty share, so that a storm of alerts stays below what PagerDuty allows a
//! key, and what is written for people never waits behind what is only looked up.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use crate::clock::{Clock, after, between};
use crate::upstream::{number, retry_after};

/// What PagerDuty counts over.
const WINDOW: Duration = Duration::from_secs(60);
/// Requests in any minute. PagerDuty allows 960 a key; what is left is for the key's other users.
const MOST: usize = 900;
/// Of these, so many are for notes and pages only.
const RESERVE: usize = 100;
/// A wait that PagerDuty asks for is respected up to this: its window is one minute, and a page must not be silenced
/// for an hour by a slip.
const LONGEST_CLOSED: Duration = Duration::from_secs(300);

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    /// To know something.
    Look,
    /// A note or a page, and the looks without which it must not be written.
    Tell,
}

/// The limit. One for all clones of a client.
#[derive(Debug)]
pub(super) struct Limit {
    clock: Clock,
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
}

impl Limit {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
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
            let Some(at) = self.state().take(priority, now) else { return Ok(()) };
            if at >= deadline {
                return Err(between(now, at));
            }
            self.clock.sleep(between(now, at)).await;
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
    fn take(&mut self, priority: Priority, now: Timestamp) -> Option<Timestamp> {
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
        let (most, low_until) = match priority {
            Priority::Look => (MOST - RESERVE, self.low_until),
            Priority::Tell => (MOST, None),
        };
        let full_until = self.sent.len().checked_sub(most).map(|beyond| after(self.sent[beyond], WINDOW));
        let until = [self.closed_until, low_until, full_until].into_iter().flatten().max();
        if until.is_none() {
            self.sent.push_back(now);
        }
        until
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{ManualClock, Source};

    const SECOND: Duration = Duration::from_secs(1);

    fn limit() -> (Arc<ManualClock>, Limit) {
        let clock = ManualClock::at("2026-08-20T03:00:00Z".parse().unwrap());
        (clock.clone(), Limit::new(clock))
    }

    /// How many of each are let through at once.
    async fn pass(limit: &Limit, priority: Priority) -> usize {
        let now = limit.clock.now();
        let mut passed = 0;
        while limit.turn(priority, now).await.is_ok() {
            passed += 1;
        }
        passed
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[tokio::test]
    async fn no_minute_has_more_than_allowed_and_the_last_turns_are_for_notes_and_pages() {
        let (clock, limit) = limit();
        assert_eq!(pass(&limit, Priority::Look).await, MOST - RESERVE);
        clock.advance(SECOND * 30).await;
        assert_eq!((pass(&limit, Priority::Look).await, pass(&limit, Priority::Tell).await), (0, RESERVE));
        clock.advance(SECOND * 29).await;
        assert_eq!((pass(&limit, Priority::Look).await, pass(&limit, Priority::Tell).await), (0, 0));
        // The first 800 were sent a minute ago, the next 100 were not.
        clock.advance(SECOND).await;
        assert_eq!(pass(&limit, Priority::Tell).await, MOST - RESERVE);
        const { assert!(MOST < 960) };
    }

    #[tokio::test]
    async fn who_waits_for_a_note_goes_before_who_waited_longer_for_a_look() {
        let (clock, limit) = limit();
        let limit = Arc::new(limit);
        for _ in 0..MOST {
            limit.turn(Priority::Tell, clock.now()).await.unwrap();
            clock.advance(Duration::from_millis(10)).await;
        }
        let deadline = after(clock.now(), SECOND * 600);
        let order = Arc::new(Mutex::new(Vec::new()));
        for (n, priority) in [(1, Priority::Look), (2, Priority::Look), (3, Priority::Tell), (4, Priority::Tell)] {
            let (limit, order) = (Arc::clone(&limit), Arc::clone(&order));
            tokio::spawn(async move {
                limit.turn(priority, deadline).await.unwrap();
                order.lock().unwrap().push(n);
            });
            tokio::task::yield_now().await;
        }
        clock.advance(SECOND * 60).await;
        assert_eq!(*order.lock().unwrap(), [3, 4, 1, 2]);
    }

    #[tokio::test]
    async fn what_pagerduty_says_of_its_limit_is_respected() {
        let (clock, limit) = limit();
        let ok = StatusCode::OK;
        // Nearly used up, by whomever: what is left is for notes and pages.
        limit.observe(
            ok,
            &headers(&[("ratelimit-limit", "960"), ("ratelimit-remaining", "96"), ("ratelimit-reset", "7")]),
        );
        assert_eq!(limit.turn(Priority::Look, clock.now()).await, Err(SECOND * 7));
        assert_eq!(limit.turn(Priority::Tell, clock.now()).await, Ok(()));
        clock.advance(SECOND * 7).await;
        assert_eq!(limit.turn(Priority::Look, clock.now()).await, Ok(()));
        // Used up, with and without a 429; a wait is cut at five minutes.
        limit.observe(ok, &headers(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "9")]));
        assert_eq!(limit.turn(Priority::Tell, clock.now()).await, Err(SECOND * 9));
        clock.advance(SECOND * 9).await;
        let later = StatusCode::TOO_MANY_REQUESTS;
        limit.observe(later, &headers(&[("retry-after", "20")]));
        limit.observe(later, &headers(&[]));
        assert_eq!(limit.turn(Priority::Tell, clock.now()).await, Err(SECOND * 20));
        limit.observe(later, &headers(&[("retry-after", "86400")]));
        assert_eq!(limit.turn(Priority::Tell, clock.now()).await, Err(LONGEST_CLOSED));
        let date = [("retry-after", "Thu, 20 Aug 2026 03:09:00 GMT"), ("date", "Thu, 20 Aug 2026 03:08:30 GMT")];
        clock.advance(LONGEST_CLOSED).await;
        limit.observe(later, &headers(&date));
        assert_eq!(limit.turn(Priority::Look, clock.now()).await, Err(SECOND * 30));
        // Whoever can wait goes on then.
        let deadline = after(clock.now(), SECOND * 60);
        let waiting = async { limit.turn(Priority::Look, deadline).await };
        let (turn, ()) = tokio::join!(waiting, clock.advance(SECOND * 30));
        assert_eq!(turn, Ok(()));
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_keeps_nobody_waiting() {
        let mut state = State::default();
        let now: Timestamp = "2026-08-20T03:00:00Z".parse().unwrap();
        for _ in 0..MOST {
            assert_eq!(state.take(Priority::Tell, now), None);
        }
        assert_eq!(state.take(Priority::Tell, now), Some(after(now, WINDOW)));
        let earlier = now.checked_sub(jiff::SignedDuration::from_hours(1)).unwrap();
        assert_eq!(state.take(Priority::Tell, earlier), None);
    }
}
