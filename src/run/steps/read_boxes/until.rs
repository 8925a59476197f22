//! How long is waited: until a deadline, or less where an answer is due sooner.

use jiff::Timestamp;
use tokio::sync::watch;

use outbound::clock::Clock;
use runbook::span::between;

/// Ends at its deadline, or at the time that `hurry` names once it does.
#[derive(Clone, Debug)]
pub(super) struct Until {
    clock: Clock,
    /// When it ends at the latest.
    pub(super) deadline: Timestamp,
    hurry: watch::Receiver<Option<Timestamp>>,
}

impl Until {
    pub(super) fn new(clock: &Clock, deadline: Timestamp, hurry: watch::Receiver<Option<Timestamp>>) -> Self {
        Self { clock: clock.clone(), deadline, hurry }
    }

    /// The same with another deadline, if that is sooner.
    pub(super) fn by(&self, deadline: Timestamp) -> Self {
        Self { deadline: deadline.min(self.deadline), ..self.clone() }
    }

    /// Whether an answer is due: what is begun may be ended, no more is begun.
    pub(super) fn is_hurried(&self) -> bool {
        self.hurry.borrow().is_some()
    }

    pub(super) fn is_over(&self) -> bool {
        self.clock.now() >= self.end()
    }

    fn end(&self) -> Timestamp {
        self.hurry.borrow().map_or(self.deadline, |due| due.min(self.deadline))
    }

    /// Waits for the end.
    pub(super) async fn over(&self) {
        let mut hurry = self.hurry.clone();
        let mut may_change = true;
        while !self.is_over() {
            let wait = self.clock.sleep(between(self.clock.now(), self.end()));
            tokio::select! {
                () = wait => {}
                changed = hurry.changed(), if may_change => may_change = changed.is_ok(),
            }
        }
    }
}
