//! How often, and for how long, a write is tried that does not go through.

use std::time::Duration;

use jiff::Timestamp;

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// When a write is given up that nobody refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Once it is this late.
    Until(Timestamp),
    /// After so many tries: a short note that comes late says nothing that the next one doesn't say better.
    Tries(u32),
}

/// The tries of one caller.
#[derive(Clone, Copy, Debug)]
pub struct Tries {
    patience: Patience,
    made: u32,
    pause: Duration,
}

impl Tries {
    /// None made yet.
    pub fn new(patience: Patience) -> Self {
        let pause = match patience {
            Patience::Until(_) => Duration::from_secs(1),
            Patience::Tries(_) => Duration::from_secs(2),
        };
        Self { patience, made: 0, pause }
    }

    /// One has failed at `now`; how long to pause before the next, `None`: it is given up.
    pub fn failed(&mut self, now: Timestamp) -> Option<Duration> {
        self.made += 1;
        let over = match self.patience {
            Patience::Until(until) => now >= until,
            Patience::Tries(most) => self.made >= most,
        };
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        (!over).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_end_when_patience_does() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let seconds = |n| Some(Duration::from_secs(n));
        let mut tries = Tries::new(Patience::Until(at(100)));
        let pauses: Vec<_> = (0..8).map(|_| tries.failed(at(99))).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60].map(seconds));
        assert_eq!(tries.failed(at(100)), None);
        let mut tries = Tries::new(Patience::Tries(4));
        let pauses: Vec<_> = (0..4).map(|_| tries.failed(at(0))).collect();
        assert_eq!(pauses, [seconds(2), seconds(4), seconds(8), None]);
    }
}
