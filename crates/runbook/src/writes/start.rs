//! The start of a build, by the same protocol as a note. What differs: a build has no mark of ours, and one too many is never
//! stopped, since somebody may read it: it is said, and counts among those of ours.

use std::time::Duration;

use super::{Moment, NotBegun, Outcome, Seen, Times, Write};

/// What a start is called that Jenkins took without saying as what.
pub const UNNAMED: &str = "taken";

impl Times {
    /// Jenkins' starts. What it was asked for is in its queue at once, and leaves that for its list of builds within a few
    /// polls: whoever asks puts that for the lag. A start is one request, never repeated, and no answer comes after 15 s of
    /// silence, beside 5 s for the connection; what is left is for the wait until the claim holds again. A request that
    /// nobody waits for any more may stand in a proxy or in a Jenkins that is busy for a minute or so; twice that is waited.
    pub const JENKINS: Self = Self {
        read_lag: Duration::from_secs(5),
        longest_write: Duration::from_secs(30),
        looks: &[Duration::from_secs(30), Duration::from_secs(120)],
    };
}

/// What whoever starts a build records of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is about to be asked for, by who last saw this attempt.
    Begin(u32),
    /// This came of the attempt of that number.
    Ended(u32, Outcome),
    /// A look has shown it, under this name.
    Found(String),
}

impl Write {
    /// Records a step of a build's start. Of a look, `now` is when it began.
    ///
    /// # Errors
    /// It must not be asked for.
    pub fn step(&mut self, step: &Step, now: Moment, times: &Times) -> Result<(), NotBegun> {
        match step {
            // One that stands is not asked for: who sees that goes on with it.
            Step::Begin(seen) => match self.begin(*seen, now, times) {
                Err(NotBegun::Lost) => return Err(NotBegun::Lost),
                Ok(_) | Err(NotBegun::Stands) => {}
            },
            Step::Ended(attempt, outcome) => self.ended(*attempt, outcome, now),
            Step::Found(id) => self.found(id, now, times),
        }
        Ok(())
    }

    /// What a look has shown that may be this build, the oldest first, for [`Write::settle`]: one that is known stays, shown or
    /// not, since it is being read.
    pub fn seen_builds(&self, found: &[String]) -> Vec<Seen> {
        let known = self.id.iter().map(|id| Seen { id: id.clone(), is_home: true });
        let is_other = |id: &&String| Some(*id) != self.id.as_ref();
        let others = found.iter().filter(is_other).map(|id| Seen { id: id.clone(), is_home: self.id.is_none() });
        known.chain(others).collect()
    }
}
