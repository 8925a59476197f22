//! A clock that is moved by hand: hours pass in milliseconds, in the same order each time.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, oneshot};

use outbound::clock::Source;
use runbook::span::after;

/// How often other tasks of the same thread are let run after one was woken, so that it comes to its next wait.
const TURNS: usize = 64;

/// A clock that stands until [`ManualClock::advance`] moves it. A [hurried](ManualClock::hurried) one is moved by
/// whoever sleeps instead: a wait takes no time, for code that waits in one place only.
///
/// Ids count up. Jitter is always one half, so that waits are as written.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<State>,
    asleep: Notify,
    hurried: bool,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    ahead: SignedDuration,
    made: u64,
    ids: u64,
    slept: Vec<Duration>,
    /// By the time of waking, then in the order in which they fell asleep.
    sleepers: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self::new(now, false))
    }

    /// A clock that starts at `now` and that every sleep moves on.
    pub fn hurried(now: Timestamp) -> Arc<Self> {
        Arc::new(Self::new(now, true))
    }

    fn new(now: Timestamp, hurried: bool) -> Self {
        let state =
            State { now, ahead: SignedDuration::ZERO, made: 0, ids: 0, slept: Vec::new(), sleepers: BTreeMap::new() };
        Self { state: Mutex::new(state), asleep: Notify::new(), hurried }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the clock, waking sleepers in the order of their times. Each may run, and fall asleep again within the
    /// same stretch, before the next is woken: as far as that takes no sockets and only this thread's tasks.
    pub async fn advance(&self, length: Duration) {
        let until = after(self.now(), length);
        loop {
            let due = {
                let mut state = self.state();
                match state.sleepers.first_key_value() {
                    Some((&(at, _), _)) if at <= until => {
                        state.now = state.now.max(at);
                        state.sleepers.pop_first().map(|(_, sleeper)| sleeper)
                    }
                    _ => {
                        state.now = until;
                        None
                    }
                }
            };
            let Some(sleeper) = due else { return };
            // One that was dropped meanwhile needs no turn.
            if sleeper.send(()).is_ok() {
                for _ in 0..TURNS {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Moves the clock without waking anybody: time that passes unseen, as while a machine is suspended.
    pub fn jump(&self, length: Duration) {
        let mut state = self.state();
        state.now = after(state.now, length);
    }

    /// How many wait for this clock.
    pub fn sleepers(&self) -> usize {
        let mut state = self.state();
        state.sleepers.retain(|_, sleeper| !sleeper.is_closed());
        state.sleepers.len()
    }

    /// Resolves when at least so many wait for this clock.
    pub async fn until_asleep(&self, count: usize) {
        loop {
            let asleep = self.asleep.notified();
            if self.sleepers() >= count {
                return;
            }
            asleep.await;
        }
    }

    /// Every wait so far, in the order in which they began.
    pub fn slept(&self) -> Vec<Duration> {
        self.state().slept.clone()
    }
}

impl Source for ManualClock {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    fn sleep(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut state = self.state();
        state.slept.push(length);
        let at = after(state.now, length);
        if self.hurried || length.is_zero() {
            state.now = at;
            return Box::pin(tokio::task::yield_now());
        }
        let (sleeper, woken) = oneshot::channel();
        state.made += 1;
        let order = state.made;
        state.sleepers.insert((at, order), sleeper);
        drop(state);
        self.asleep.notify_waiters();
        Box::pin(async move {
            // The clock is gone: nobody will ever wake it.
            if woken.await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    fn id(&self) -> String {
        let mut state = self.state();
        state.ids += 1;
        format!("id-{:06}", state.ids)
    }

    fn jitter(&self) -> f64 {
        0.5
    }

    fn set(&self, now: Timestamp, shown: Timestamp) {
        let mut state = self.state();
        // Whoever sleeps sleeps as long as before.
        let by = now.duration_since(state.now);
        let sleepers = std::mem::take(&mut state.sleepers);
        state.sleepers = sleepers
            .into_iter()
            .map(|((at, order), sleeper)| ((at.saturating_add(by).unwrap_or(at), order), sleeper))
            .collect();
        (state.now, state.ahead) = (now, now.duration_since(shown));
    }

    fn wall(&self) -> Timestamp {
        self.shown(self.now())
    }

    fn ahead(&self) -> SignedDuration {
        self.state().ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn sleepers_wake_in_the_order_of_their_times_also_those_that_sleep_again() {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let woken = Arc::new(Mutex::new(Vec::new()));
        for (name, seconds) in [("every 3", 3), ("every 2", 2)] {
            let (clock, woken) = (Arc::clone(&clock), Arc::clone(&woken));
            tokio::spawn(async move {
                loop {
                    clock.sleep(SECOND * seconds).await;
                    woken.lock().unwrap().push((name, clock.now().as_second()));
                }
            });
        }
        clock.until_asleep(2).await;
        clock.advance(SECOND).await;
        assert!(woken.lock().unwrap().is_empty());
        clock.advance(SECOND * 6).await;
        assert_eq!(
            *woken.lock().unwrap(),
            [("every 2", 2), ("every 3", 3), ("every 2", 4), ("every 3", 6), ("every 2", 6)]
        );
        assert_eq!((clock.now().as_second(), clock.sleepers()), (7, 2));
    }

    #[tokio::test]
    async fn a_dropped_sleep_is_nobodys() {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let sleep = clock.sleep(SECOND);
        assert_eq!(clock.sleepers(), 1);
        drop(sleep);
        assert_eq!(clock.sleepers(), 0);
        clock.advance(SECOND * 2).await;
        assert_eq!(clock.now().as_second(), 2);
    }

    #[tokio::test]
    async fn a_hurried_clock_is_moved_by_who_sleeps_and_a_jump_wakes_nobody() {
        let clock = ManualClock::hurried(Timestamp::UNIX_EPOCH);
        clock.sleep(SECOND * 3600).await;
        assert_eq!((clock.now().as_second(), clock.slept()), (3600, vec![SECOND * 3600]));
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let _asleep = clock.sleep(SECOND);
        clock.jump(SECOND * 5);
        assert_eq!((clock.now().as_second(), clock.sleepers()), (5, 1));
        assert!(clock.id() < clock.id());
    }
}
