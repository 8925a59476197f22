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

/// So many turns are taken at once of those that all processes share, by whoever sends as many in [`BUSY`]; who sends
/// fewer takes them one by one, so that none lies unused where there are many processes.
const BLOCK: usize = 5;
/// As long as turns may be used that were taken.
const BUSY: Duration = Duration::from_secs(10);
/// How long taking them may take. A database that does not answer must not silence us: then only our own requests are
/// counted, for as long as [`BUSY`] before it is asked again.
const SHARING_TIME: Duration = Duration::from_secs(2);

/// The turns of all processes that use the key: PagerDuty counts them together.
pub trait SharedTurns: Debug + Send + Sync {
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

/// The limit. One for all clones of a client.
#[derive(Debug)]
pub(super) struct Limit {
    clock: Clock,
    shared: Option<Arc<dyn SharedTurns>>,
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
    pub(super) fn new(clock: Clock, shared: Option<Arc<dyn SharedTurns>>) -> Self {
        Self {
            clock,
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
            let own = self.state().take(priority, now);
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
        let asking = tokio::time::timeout(SHARING_TIME, shared.take(most(priority), wanted)).await;
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
        let low_until = self.low_until.filter(|_| priority == Priority::Look);
        let full_until = self.sent.len().checked_sub(most(priority)).map(|beyond| after(self.sent[beyond], WINDOW));
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

/// How many requests of any minute may be for this.
fn most(priority: Priority) -> usize {
    match priority {
        Priority::Look => MOST - RESERVE,
        Priority::Tell => MOST,
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
        (clock.clone(), Limit::new(clock, None))
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

    /// Turns that two processes share; or a database that is away.
    #[derive(Debug, Default)]
    struct Together {
        taken: Mutex<usize>,
        away: std::sync::atomic::AtomicBool,
        until: Timestamp,
    }

    impl SharedTurns for Together {
        fn take(&self, most: usize, wanted: usize) -> BoxFuture<'_, Result<(usize, Timestamp), BoxError>> {
            Box::pin(async move {
                if self.away.load(std::sync::atomic::Ordering::Relaxed) {
                    return Err("away".into());
                }
                let mut taken = self.taken.lock().unwrap();
                let count = wanted.min(most.saturating_sub(*taken));
                *taken += count;
                Ok((count, self.until))
            })
        }
    }

    #[tokio::test]
    async fn processes_that_share_a_key_have_no_more_together_and_none_waits_for_a_database_that_is_away() {
        let clock = ManualClock::at("2026-08-20T03:00:00Z".parse().unwrap());
        let until = after(clock.now(), SECOND * 10);
        let together = Arc::new(Together { until, ..Together::default() });
        let limits = [(); 2].map(|()| Limit::new(clock.clone(), Some(together.clone())));
        let [one, other] = &limits;
        for _ in 0..500 {
            one.turn(Priority::Look, clock.now()).await.unwrap();
        }
        assert_eq!(pass(other, Priority::Look).await, MOST - RESERVE - 500);
        assert_eq!(one.turn(Priority::Look, clock.now()).await, Err(SECOND * 10));
        assert_eq!((pass(other, Priority::Tell).await, pass(one, Priority::Tell).await), (RESERVE, 0));
        // What was granted for looks serves what is told; what is not used in its time is void.
        *together.taken.lock().unwrap() = MOST - RESERVE - 5;
        assert_eq!(one.turn(Priority::Look, clock.now()).await, Ok(()));
        *together.taken.lock().unwrap() = MOST;
        assert_eq!(pass(one, Priority::Tell).await, 4);
        *together.taken.lock().unwrap() = MOST - RESERVE - 5;
        assert_eq!(one.turn(Priority::Look, clock.now()).await, Ok(()));
        clock.advance(SECOND * 10).await;
        assert_eq!(one.turn(Priority::Look, clock.now()).await, Err(Duration::ZERO));
        // What was not granted is not counted as sent.
        together.away.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(pass(one, Priority::Tell).await, MOST - 506);
    }

    #[tokio::test]
    async fn who_sends_little_takes_its_turns_one_by_one_and_a_database_that_was_away_is_not_asked_each_time() {
        let clock = ManualClock::at("2026-08-20T03:00:00Z".parse().unwrap());
        let together = Arc::new(Together { until: after(clock.now(), SECOND * 600), ..Together::default() });
        let limit = Limit::new(clock.clone(), Some(together.clone()));
        for n in 1..=20 {
            limit.turn(Priority::Look, clock.now()).await.unwrap();
            assert_eq!(*together.taken.lock().unwrap(), n);
            clock.advance(SECOND * 3).await;
        }
        let away = |is| together.away.store(is, std::sync::atomic::Ordering::Relaxed);
        away(true);
        limit.turn(Priority::Look, clock.now()).await.unwrap();
        away(false);
        clock.advance(SECOND * 9).await;
        limit.turn(Priority::Look, clock.now()).await.unwrap();
        assert_eq!(*together.taken.lock().unwrap(), 20, "only our own are counted for a while");
        clock.advance(SECOND).await;
        limit.turn(Priority::Look, clock.now()).await.unwrap();
        assert_eq!(*together.taken.lock().unwrap(), 21);
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
