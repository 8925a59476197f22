//! How often a question is asked again, and until when.

use std::time::Duration;

use jiff::Timestamp;
use runbook::span::{after, between};

use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::metrics;

/// Who asks us to come back later than this is not waited for: the caller decides.
pub const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// How often a question is asked again.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    /// Tries in all.
    pub tries: u32,
    /// The wait after the first failure; it doubles, with jitter of plus or minus a half.
    pub first_wait: Duration,
    /// The longest wait of our own; who asks for a longer one gets it, up to [`LONGEST_ASKED`].
    pub longest_wait: Duration,
}

impl Retries {
    /// For reads during a run: about ten seconds in all.
    pub const READ: Self =
        Self { tries: 5, first_wait: Duration::from_millis(300), longest_wait: Duration::from_secs(5) };

    /// How long to wait before try `next` (2 is the first repetition): pure.
    pub fn wait_before(self, next: u32, asked: Option<Duration>, jitter: f64) -> Duration {
        let doubled = self.first_wait.saturating_mul(1 << next.saturating_sub(2).min(16));
        let own = doubled.mul_f64(0.5 + jitter.clamp(0.0, 1.0)).min(self.longest_wait);
        // Never before what was asked for; with jitter, so that not everybody comes back at once.
        asked.map_or(own, |asked| asked.max(own) + self.first_wait.mul_f64(jitter.clamp(0.0, 1.0)))
    }
}

/// Asks until it is answered, refused for good, the tries are used up, or `deadline` is too near for another.
///
/// # Errors
/// The last failure.
pub async fn retry<T, F>(
    clock: &Clock,
    retries: Retries,
    deadline: Option<Timestamp>,
    mut ask: impl FnMut() -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut next = 2;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_worth_a_retry() && next <= retries.tries => error,
            Err(error) => return Err(error),
        };
        let asked = if let Kind::Later(asked) = error.kind { asked } else { None };
        if asked.is_some_and(|asked| asked > LONGEST_ASKED) {
            return Err(error);
        }
        let wait = retries.wait_before(next, asked, clock.jitter());
        if deadline.is_some_and(|deadline| after(clock.now(), wait) >= deadline) {
            return Err(error);
        }
        tracing::debug!(error = %error, wait_ms = wait.as_millis(), "asking again");
        metrics::retry(metrics::Asker::Http);
        clock.sleep(wait).await;
        next += 1;
    }
}

/// How often something that was written is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks for something that was written, which may show late: until it is there, or `until`; at least once.
///
/// # Errors
/// The first look that fails.
pub async fn look_until<T, F>(clock: &Clock, until: Timestamp, mut look: impl FnMut() -> F) -> Result<Option<T>, Error>
where
    F: Future<Output = Result<Option<T>, Error>>,
{
    loop {
        let last = clock.now() >= until;
        let found = look().await?;
        if found.is_some() || last {
            return Ok(found);
        }
        clock.sleep(LOOK_EVERY.min(between(clock.now(), until).max(Duration::from_millis(1)))).await;
    }
}

/// Gives up at `deadline`.
///
/// # Errors
/// `doing` took too long; or its own failure.
pub async fn by_deadline<T>(
    clock: &Clock,
    deadline: Timestamp,
    doing: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        result = work => result,
        () = clock.sleep(between(clock.now(), deadline)) => Err(Error {
            doing: doing.to_owned(), got: "not done in time".into(), advice: None, kind: Kind::Ambiguous, source: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_respect_what_was_asked() {
        let retries = Retries::READ;
        assert_eq!(retries.wait_before(2, None, 0.5), Duration::from_millis(300));
        assert_eq!(retries.wait_before(3, None, 0.5), Duration::from_millis(600));
        assert_eq!(retries.wait_before(40, None, 1.0), Duration::from_secs(5));
        assert_eq!(retries.wait_before(2, Some(Duration::from_secs(2)), 0.0), Duration::from_secs(2));
        assert_eq!(retries.wait_before(2, Some(Duration::from_secs(20)), 0.0), Duration::from_secs(20));
        assert_eq!(retries.wait_before(2, Some(Duration::from_secs(20)), 1.0), Duration::from_millis(20_300));
    }
}
