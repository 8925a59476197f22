//! Keeps who lost a claim from writing to the outside.
//!
//! The database refuses the writes of a worker that lost its claim; PagerDuty and Jenkins know of no claims. So whoever
//! works under one looks at its own clock right before each write. A process that was frozen for longer than its claim
//! holds (`SIGSTOP`, a suspended machine) waits here when it wakes, until the claim is renewed. Where somebody else has it
//! by then, the renewal fails, and the waiting task is dropped with its write.

use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

tokio::task_local! {
    static FENCE: Fence;
}

/// Until when one claim certainly holds. Clones are the same.
#[derive(Clone, Debug)]
pub struct Fence {
    until: watch::Sender<Until>,
    holds: Duration,
}

/// By the clock that nobody sets, and by the one that also counts while the whole machine is suspended.
#[derive(Clone, Copy, Debug)]
struct Until {
    steady: Instant,
    wall: SystemTime,
}

impl Until {
    #[expect(
        clippy::disallowed_methods,
        reason = "a claim is about this process, not about the world that it tells of"
    )]
    fn holds(asked: Instant, holds: Duration) -> Self {
        let left = (asked + holds).saturating_duration_since(Instant::now());
        Self { steady: asked + holds, wall: SystemTime::now() + left }
    }

    #[expect(clippy::disallowed_methods, reason = "see above")]
    fn is_to_come(&self) -> bool {
        Instant::now() < self.steady && SystemTime::now() < self.wall
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

/// Returns at once while the claim of who asks holds, or where there is none; else when it holds again.
pub(super) async fn held() {
    let Ok(mut until) = FENCE.try_with(|fence| fence.until.subscribe()) else { return };
    // Its sender is in the fence, which outlives the work that it is around.
    let _ = until.wait_for(Until::is_to_come).await;
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn who_has_no_claim_or_one_that_holds_writes_at_once() {
        assert!(held().now_or_never().is_some());
        let fence = Fence::new(Instant::now(), HOUR);
        assert!(fence.around(held()).now_or_never().is_some());
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
        fence.until.send_modify(|until| until.wall -= HOUR * 2);
        let mut writing = Box::pin(fence.around(held()));
        assert!((&mut writing).now_or_never().is_none());
        fence.renewed(Instant::now());
        assert!(writing.now_or_never().is_some());
    }
}
