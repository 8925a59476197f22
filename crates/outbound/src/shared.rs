//! One question that many ask: it is put once for all who asked before, so that its answer is as fresh as one's own.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

/// Puts a question for whoever asks it. An answer serves those only who asked before the question was put; who asks while
/// it is put gets the next one.
#[derive(Debug)]
pub struct Shared<T> {
    /// Counts those who have asked.
    asked: AtomicU64,
    /// Counts those who wait for an answer, or are about to get one.
    waiting: AtomicU64,
    /// The last answer, and how many had asked when its question was put.
    last: Mutex<Option<(u64, T)>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { asked: AtomicU64::new(0), waiting: AtomicU64::new(0), last: Mutex::new(None) }
    }
}

impl<T: Clone> Shared<T> {
    /// An answer to a question that was put after this call, by us or by somebody else. Who is dropped while it puts the
    /// question leaves that to the next who waits.
    pub async fn ask<F: Future<Output = T>>(&self, put: impl FnOnce() -> F) -> T {
        let mine = self.asked.fetch_add(1, Ordering::SeqCst);
        let waits = Waits::new(&self.waiting);
        let mut last = self.last.lock().await;
        if let Some((before, answer)) = &*last
            && *before > mine
        {
            let answer = answer.clone();
            waits.leave(last);
            return answer;
        }
        let before = self.asked.load(Ordering::SeqCst);
        let answer = put().await;
        *last = Some((before, answer.clone()));
        waits.leave(last);
        answer
    }
}

/// One of those who wait.
struct Waits<'a>(&'a AtomicU64);

impl<'a> Waits<'a> {
    fn new(waiting: &'a AtomicU64) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }

    /// The last who waits takes the answer away: it may be large, and serves nobody who asks from now on.
    fn leave<T>(self, mut last: MutexGuard<'_, Option<(u64, T)>>) {
        if self.0.load(Ordering::SeqCst) == 1 {
            *last = None;
        }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::future::join_all;
    use tokio::sync::{Notify, Semaphore};

    use super::*;

    #[tokio::test]
    async fn all_who_ask_while_a_question_is_put_share_the_next_one() {
        let (shared, put, gate) = (Shared::default(), AtomicU64::new(0), Semaphore::new(0));
        let ask = || {
            shared.ask(|| async {
                let n = put.fetch_add(1, Ordering::SeqCst) + 1;
                gate.acquire().await.unwrap().forget();
                n
            })
        };
        let (first, others, ()) = tokio::join!(ask(), join_all((0..20).map(|_| ask())), async {
            // Only once everybody has asked, and the first question is put.
            gate.add_permits(2);
        });
        assert_eq!((first, others), (1, vec![2; 20]));
        gate.add_permits(1);
        assert_eq!(ask().await, 3, "who asks later is not served by what was answered before");
        assert!(shared.last.lock().await.is_none(), "nothing is kept that serves nobody");
    }

    #[tokio::test]
    async fn who_is_dropped_while_it_puts_the_question_leaves_it_to_the_next() {
        let (shared, begun) = (Arc::new(Shared::default()), Arc::new(Notify::new()));
        let stuck = tokio::spawn({
            let (shared, begun) = (Arc::clone(&shared), Arc::clone(&begun));
            async move {
                shared
                    .ask(|| async {
                        begun.notify_one();
                        std::future::pending::<u8>().await
                    })
                    .await
            }
        });
        begun.notified().await;
        let next = tokio::spawn(async move { shared.ask(|| async { 2 }).await });
        stuck.abort();
        assert_eq!(next.await.unwrap(), 2);
    }
}
