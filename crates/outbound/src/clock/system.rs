//! The machine's clock, made one that never goes back.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use uuid::{ContextV7, Uuid};

use super::{Clock, Source};
use runbook::span::after;

/// Less than this nobody sees. What people are shown does not move by less: a text that is written again says the same.
const NOTICED: SignedDuration = SignedDuration::from_secs(2);

/// The machine's clock and UUID v7.
///
/// Since it was last [set](Source::set), as much time has passed as the steady clock says: what is due, leased or old does
/// not move because somebody sets the wall clock, back or forth, or right again. What people are shown follows the wall
/// clock ([`Source::ahead`]).
pub struct SystemClock {
    wall: Box<dyn Fn() -> Timestamp + Send + Sync>,
    steady: Box<dyn Fn() -> Duration + Send + Sync>,
    base: Mutex<Base>,
    /// Ids go on rising also where the time they are made of does not.
    ids: Mutex<ContextV7>,
}

/// The instant at which it was last set, by two clocks.
#[derive(Clone, Copy, Debug)]
struct Base {
    service: Timestamp,
    steady: Duration,
    ahead: SignedDuration,
}

impl SystemClock {
    /// The machine's clock, as what everything takes.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn shared() -> Clock {
        Self::reading(Timestamp::now)
    }

    /// The clock of a machine whose wall clock is read so.
    pub fn reading(wall: impl Fn() -> Timestamp + Send + Sync + 'static) -> Clock {
        Self::of(wall, since_boot)
    }

    fn of(
        wall: impl Fn() -> Timestamp + Send + Sync + 'static,
        steady: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Clock {
        let base = Base { service: wall(), steady: steady(), ahead: SignedDuration::ZERO };
        let (wall, steady) = (Box::new(wall), Box::new(steady));
        Arc::new(Self { wall, steady, base: Mutex::new(base), ids: Mutex::new(ContextV7::new()) })
    }

    fn base(&self) -> MutexGuard<'_, Base> {
        self.base.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the machine has been up, by a clock that nobody can set. It counts the time in which a machine is suspended:
/// evidence is old after that, and leases are over.
pub fn since_boot() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: ClockId = ClockId::Boottime;
    // Elsewhere this one does.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: ClockId = ClockId::Monotonic;
    Duration::try_from(clock_gettime(CLOCK)).unwrap_or_default()
}

impl fmt::Debug for SystemClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemClock").field("base", &*self.base()).finish_non_exhaustive()
    }
}

impl Source for SystemClock {
    fn now(&self) -> Timestamp {
        let base = *self.base();
        after(base.service, (self.steady)().saturating_sub(base.steady))
    }

    fn sleep(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(length))
    }

    fn id(&self) -> String {
        let now = self.now();
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
        Uuid::new_v7(uuid::Timestamp::from_unix(&self.ids, seconds, nanoseconds)).to_string()
    }

    fn jitter(&self) -> f64 {
        rand::random()
    }

    fn wall(&self) -> Timestamp {
        (self.wall)()
    }

    fn set(&self, now: Timestamp, shown: Timestamp) {
        let mut base = self.base();
        let ahead = now.duration_since(shown);
        let ahead = if (ahead - base.ahead).abs() < NOTICED { base.ahead } else { ahead };
        *base = Base { service: now, steady: (self.steady)(), ahead };
    }

    fn ahead(&self) -> SignedDuration {
        self.base().ahead
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    use super::*;
    use runbook::span::between;

    /// A clock, and what its machine's wall clock says, in seconds.
    fn machine() -> (Arc<AtomicI64>, Clock) {
        let wall = Arc::new(AtomicI64::new(1_800_000_000));
        let read = Arc::clone(&wall);
        (wall, SystemClock::reading(move || Timestamp::from_second(read.load(Ordering::SeqCst)).unwrap()))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn a_wall_clock_that_is_set_back_changes_nothing_and_ids_go_on_rising() {
        let (wall, clock) = machine();
        let (began, id) = (clock.now(), clock.id());
        wall.fetch_sub(7200, Ordering::SeqCst);
        assert!(between(began, clock.now()) < Duration::from_secs(60) && clock.now() >= began);
        assert_eq!((clock.wall(), clock.ahead()), (at(-7200), SignedDuration::ZERO));
        assert!(clock.id() > id);
        // Also where what it is set to is earlier.
        let id = clock.id();
        clock.set(at(-60), at(-7200));
        assert!(clock.now() < at(0) && clock.id() > id);
    }

    #[test]
    fn a_wall_clock_that_is_set_right_moves_nothing_but_what_people_are_shown() {
        for away in [-7200, 7200] {
            let (wall, clock) = machine();
            let began = clock.now();
            let still = |clock: &Clock| between(began, clock.now()) < Duration::from_secs(60) && clock.now() >= began;
            wall.fetch_add(away, Ordering::SeqCst);
            assert!(still(&clock));
            // As the store does every now and then.
            clock.set(clock.now(), clock.wall());
            assert_eq!(clock.shown(clock.now()).as_second(), at(away).as_second());
            wall.fetch_sub(away, Ordering::SeqCst);
            assert!(still(&clock));
            clock.set(clock.now(), clock.wall());
            assert!(still(&clock));
            assert!(clock.ahead().abs() < SignedDuration::from_secs(60));
        }
    }

    #[test]
    fn what_a_machine_slept_has_passed() {
        let up = Arc::new(AtomicU64::new(300));
        let read = Arc::clone(&up);
        let clock = SystemClock::of(|| at(0), move || Duration::from_secs(read.load(Ordering::SeqCst)));
        assert_eq!(clock.now(), at(0));
        up.fetch_add(7200, Ordering::SeqCst);
        assert_eq!(clock.now(), at(7200));
        clock.set(at(9000), at(7200));
        up.fetch_add(1, Ordering::SeqCst);
        assert_eq!((clock.now(), clock.ahead()), (at(9001), SignedDuration::from_secs(1800)));
    }

    #[test]
    fn people_are_shown_what_their_clock_says_and_see_no_flicker() {
        let (_, clock) = machine();
        clock.set(at(86_400), at(0));
        assert!(clock.now() >= at(86_400) && clock.now() < at(86_460));
        assert_eq!(clock.shown(at(86_400)), at(0));
        clock.set(at(86_401), at(0));
        assert_eq!(clock.ahead(), SignedDuration::from_secs(86_400));
        clock.set(at(86_402), at(86_401));
        assert_eq!(clock.ahead(), SignedDuration::from_secs(1));
    }

    #[test]
    fn ids_sort_by_the_time_of_their_making() {
        let (_, clock) = machine();
        let ids: Vec<String> = (0..1000).map(|_| clock.id()).collect();
        assert!(ids.is_sorted() && ids.windows(2).all(|two| two[0] != two[1]));
        let ours: u64 = 1_800_000_000_000;
        let (seconds, _) = Uuid::parse_str(&ids[0]).unwrap().get_timestamp().unwrap().to_unix();
        assert_eq!(seconds, ours / 1000);
        clock.set(at(86_400), at(0));
        let (later, _) = Uuid::parse_str(&clock.id()).unwrap().get_timestamp().unwrap().to_unix();
        assert_eq!(later - seconds, 86_400);
    }
}
