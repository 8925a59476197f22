//! Keeps who lost a claim from writing to the outside.
//!
//! The database refuses the writes of a worker that lost its claim; PagerDuty and Jenkins know of no claims. So whoever
//! works under one looks at its own clock right before each write. Who has none writes nothing, but by a client that says why
//! it needs none. A process that was frozen for longer than its claim
//! holds (`SIGSTOP`, a suspended machine) waits here when it wakes, until the claim is renewed. Where somebody else has it
//! by then, the renewal fails, and the waiting task is dropped with its write.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::since_boot;
use crate::error::Error;

tokio::task_local! {
    static FENCE: Fence;
}

/// Until when one claim certainly holds. Clones are the same.
#[derive(Clone, Debug)]
pub struct Fence {
    until: watch::Sender<Until>,
    holds: Duration,
}

/// By two clocks that nobody sets: one also counts while the whole machine is suspended. The wall clock counts for nothing: a
/// claim would be over because somebody sets it forth.
#[derive(Clone, Copy, Debug)]
struct Until {
    steady: Instant,
    up: Duration,
}

impl Until {
    fn holds(asked: Instant, holds: Duration) -> Self {
        let left = (asked + holds).saturating_duration_since(Instant::now());
        Self { steady: asked + holds, up: since_boot() + left }
    }

    fn is_to_come(&self) -> bool {
        Instant::now() < self.steady && since_boot() < self.up
    }
}

impl Fence {
    /// For a claim that was asked for at `asked`, and `holds` from then on.
    pub fn new(asked: Instant, holds: Duration) -> Self {
        Self { until: watch::Sender::new(Until::holds(asked, holds)), holds }
    }

    /// The claim was renewed; that was asked for at `asked`.
    pub fn renewed(&self, asked: Instant) {
        self.until.send_replace(Until::holds(asked, self.holds));
    }

    /// Does some work, which writes to the outside only while the claim holds.
    pub async fn around<F: Future>(&self, work: F) -> F::Output {
        FENCE.scope(self.clone(), work).await
    }
}

/// What a client may write where nobody around it has a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unclaimed {
    /// Nothing: a task that was started beside its claim must not write for it.
    #[default]
    Refused,
    /// What this one writes needs none, for this reason.
    Needless(&'static str),
}

/// Returns at once while the claim of who asks holds, else when it holds again.
///
/// # Errors
/// There is none, and this client may not write without: a bug, and nothing is written.
pub async fn held(doing: &str, unclaimed: Unclaimed) -> Result<(), Error> {
    match (FENCE.try_with(|fence| fence.until.subscribe()), unclaimed) {
        (Ok(mut until), _) => {
            // Its sender is in the fence, which outlives the work that it is around.
            let _ = until.wait_for(Until::is_to_come).await;
            Ok(())
        }
        (Err(_), Unclaimed::Needless(why)) => {
            tracing::debug!(doing, why, "written without a claim");
            Ok(())
        }
        (Err(_), Unclaimed::Refused) => {
            tracing::error!(doing, "nothing is written by who has no claim: this is a bug");
            Err(Error::local(doing, "nothing was written: who asked for it has no claim to the work, which is a bug"))
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    async fn held() {
        super::held("writing", Unclaimed::Refused).await.unwrap();
    }

    #[tokio::test]
    async fn who_has_a_claim_that_holds_writes_at_once_and_who_has_none_only_where_it_needs_none() {
        let fence = Fence::new(Instant::now(), HOUR);
        assert!(fence.around(held()).now_or_never().is_some());
        super::held("writing", Unclaimed::Needless("a test")).await.unwrap();
        let refused = super::held("writing a note", Unclaimed::Refused).await.unwrap_err();
        assert!(refused.to_string().contains("writing a note"), "{refused}");
    }

    /// A task that is spawned leaves its claim behind.
    #[tokio::test]
    async fn what_is_started_beside_a_claim_writes_nothing_and_one_that_needs_none_waits_for_its_claim_all_the_same() {
        let beside = async { tokio::spawn(super::held("writing", Unclaimed::Refused)).await.unwrap() };
        Fence::new(Instant::now(), HOUR).around(beside).await.unwrap_err();
        let fence = Fence::new(Instant::now() - HOUR, HOUR);
        let waiting = fence.around(super::held("writing", Unclaimed::Needless("a test")));
        assert!(waiting.now_or_never().is_none());
    }

    #[tokio::test]
    async fn who_was_away_for_longer_than_the_claim_holds_waits_until_it_is_renewed() {
        let fence = Fence::new(Instant::now() - HOUR, HOUR);
        let mut writing = Box::pin(fence.around(held()));
        assert!((&mut writing).now_or_never().is_none());
        // A renewal that was asked for before counts from then.
        fence.renewed(Instant::now() - HOUR);
        assert!((&mut writing).now_or_never().is_none());
        fence.renewed(Instant::now());
        assert!(writing.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_machine_that_slept_counts_its_sleep() {
        let fence = Fence::new(Instant::now(), HOUR);
        fence.until.send_modify(|until| until.up = Duration::ZERO);
        let mut writing = Box::pin(fence.around(held()));
        assert!((&mut writing).now_or_never().is_none());
        fence.renewed(Instant::now());
        assert!(writing.now_or_never().is_some());
    }
}
