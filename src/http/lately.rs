//! What anybody may ask, as often as they like, is looked up once for all who ask at the same time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// For how long an answer is given again.
const FRESH: Duration = Duration::from_millis(100);
/// For how long it is given to who asks while another looks it up again: they must not fill all places by waiting.
const USABLE: Duration = Duration::from_secs(2);

/// The last answer to a question.
pub(super) struct Lately<T> {
    last: Arc<Mutex<Option<(Instant, T)>>>,
    asking: Arc<tokio::sync::Mutex<()>>,
    fresh: Duration,
    usable: Duration,
}

impl<T: Clone> Lately<T> {
    /// The last answer, or where that is too old, a new one.
    pub(super) async fn get(&self, ask: impl Future<Output = T>) -> T {
        if let Some(answer) = self.no_older_than(self.fresh) {
            return answer;
        }
        let _asking = match self.asking.try_lock() {
            Ok(asking) => asking,
            Err(_) => match self.no_older_than(self.usable) {
                Some(answer) => return answer,
                None => self.asking.lock().await,
            },
        };
        // Another may have been told while this one waited.
        if let Some(answer) = self.no_older_than(self.fresh) {
            return answer;
        }
        let answer = ask.await;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), answer.clone()));
        answer
    }

    fn no_older_than(&self, age: Duration) -> Option<T> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| at.elapsed() < age).map(|(_, answer)| answer.clone())
    }
}

impl<T> Default for Lately<T> {
    fn default() -> Self {
        Self { last: Arc::default(), asking: Arc::default(), fresh: FRESH, usable: USABLE }
    }
}

impl<T> Clone for Lately<T> {
    fn clone(&self) -> Self {
        Self { last: self.last.clone(), asking: self.asking.clone(), fresh: self.fresh, usable: self.usable }
    }
}

impl<T> fmt::Debug for Lately<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lately").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn fresh_for(fresh: Duration) -> Lately<u32> {
        Lately { fresh, usable: Duration::ZERO, ..Lately::default() }
    }

    #[tokio::test]
    async fn who_asks_while_an_answer_is_fresh_gets_it_and_who_asks_later_a_new_one() {
        for (fresh, answers) in [(Duration::MAX, [0; 3]), (Duration::ZERO, [0, 1, 2])] {
            let (lately, asked) = (fresh_for(fresh), AtomicU32::new(0));
            let ask = || lately.get(async { asked.fetch_add(1, Ordering::Relaxed) });
            assert_eq!(futures::future::join_all((0..3).map(|_| ask())).await, answers);
        }
    }

    #[tokio::test]
    async fn who_stops_asking_keeps_nobody_else_from_it() {
        let lately = fresh_for(Duration::MAX);
        let hangs = tokio::time::timeout(Duration::from_millis(20), lately.get(std::future::pending())).await;
        assert!(hangs.is_err());
        assert_eq!(lately.get(async { 7 }).await, 7);
    }

    #[tokio::test]
    async fn who_asks_while_another_looks_it_up_is_given_what_was_known_a_moment_ago() {
        let lately = Lately { fresh: Duration::ZERO, usable: Duration::MAX, ..Lately::default() };
        assert_eq!(lately.get(async { 1 }).await, 1);
        let hangs = lately.get(std::future::pending());
        let mut hangs = std::pin::pin!(hangs);
        assert!(futures::poll!(hangs.as_mut()).is_pending());
        assert_eq!(lately.get(std::future::pending()).await, 1);
    }
}
