//! The limit with a clock that is moved by hand.

use std::sync::Arc;

use super::*;
use outbound::clock::Source;
use simulators::clock::ManualClock;

const SECOND: Duration = Duration::from_secs(1);

fn limit() -> (Arc<ManualClock>, Limit) {
    let clock = ManualClock::at("2026-08-20T03:00:00Z".parse().unwrap());
    (clock.clone(), Limit::new(clock, None, Most::default()))
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

impl SharedRateLimit for Together {
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
    let limits = [(); 2].map(|()| Limit::new(clock.clone(), Some(together.clone()), Most::default()));
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
    let limit = Limit::new(clock.clone(), Some(together.clone()), Most::default());
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
    limit.observe(ok, &headers(&[("ratelimit-limit", "960"), ("ratelimit-remaining", "96"), ("ratelimit-reset", "7")]));
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
        assert_eq!(state.take(Priority::Tell, now, MOST), None);
    }
    assert_eq!(state.take(Priority::Tell, now, MOST), Some(after(now, WINDOW)));
    let earlier = now.checked_sub(jiff::SignedDuration::from_hours(1)).unwrap();
    assert_eq!(state.take(Priority::Tell, earlier, MOST), None);
}
