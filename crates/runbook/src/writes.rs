//! The protocol of a write that the outside can't take back, and for which it has no idempotency key.
//!
//! Begin to read at [`Write::next`]. A write has a key, and one record for each key. Its intent is recorded before it is
//! sent, its [`Outcome`] at once. Where nobody knows what came of a send, what it wrote is looked for before anything is
//! sent again, and may still show up minutes later beside the second one: so the record stays in doubt until a look that
//! began late enough, and the later of two goes. This belongs to the write, never to the run that wanted it: whoever
//! settles goes by [`Write::settle_in`] alone.
//!
//! Pure: it knows no database, no socket and no clock. a search walks through every life of it.

pub mod edit;
pub mod key;
pub mod opening;
#[cfg(test)]
mod pages;
mod start;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod texts;
mod tries;
#[cfg(test)]
mod world;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use start::{Step, UNNAMED};
pub use tries::{Patience, Tries};

/// What came of a write. There is no fifth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done; the id of what it made.
    Done(String),
    /// It was answered, and the answer is no: sending it again changes nothing.
    Refused(String),
    /// It was certainly not done, and may work later.
    NotSent(String),
    /// Nobody knows: it was sent, and no answer came that tells.
    Ambiguous(String),
}

/// The times that the protocol goes by.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// How long the outside may not show what it has done.
    pub read_lag: Duration,
    /// The longest that one write takes, its repetitions and its waits for the rate limit included.
    pub longest_write: Duration,
    /// How long after the last doubtful send it is looked for what that wrote late. Only a look that began after the last
    /// of these ends the doubt.
    pub looks: &'static [Duration],
}

impl Times {
    /// PagerDuty's. A few seconds of lag are reported, and more patience after a crash or a lost answer is cheaper than a
    /// second note. A write is begun within 120 s, and takes 15 s at most. It is applied 10 min after it was sent at the
    /// latest. Looks are counted from when the last doubtful send was over, so none is needed after 11 min.
    pub const PAGERDUTY: Self = Self {
        read_lag: Duration::from_secs(10),
        longest_write: Duration::from_secs(150),
        looks: &[Duration::from_secs(30), Duration::from_secs(120), Duration::from_secs(300), Duration::from_secs(660)],
    };
}

/// A moment by two clocks: ours, and (where it is known) that of who is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Moment {
    /// By our clock.
    pub ours: Timestamp,
    /// By theirs.
    pub theirs: Option<Timestamp>,
}

impl Moment {
    /// How long it was from `earlier` to this. Either clock may have been set forward between: the smaller counts.
    pub fn since(self, earlier: Self) -> Duration {
        let ours = between(earlier.ours, self.ours);
        earlier.theirs.zip(self.theirs).map_or(ours, |(from, to)| ours.min(between(from, to)))
    }

    fn later(self, other: Self) -> Self {
        if other.ours > self.ours { other } else { self }
    }
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// What is recorded of one write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Write {
    /// How often it was about to be sent. Whoever saw less than this must not send it.
    pub attempt: u32,
    /// It was about to be sent then, and what came of it is not recorded; `None`: nothing is on its way that is not in
    /// `doubt`.
    pub intent: Option<Timestamp>,
    /// What was sent before and may show yet; `None`: nothing.
    pub doubt: Option<Doubt>,
    /// The id of what stands; `None`: nothing does, as far as is known.
    pub id: Option<String>,
}

/// Sends whose fate nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Doubt {
    /// How many there may be, less those that have shown.
    pub sends: u32,
    /// When the last of them was sent, at the latest.
    pub since: Moment,
    /// When the last look that settled all that it found began; `None`: none did.
    pub looked: Option<Moment>,
}

/// What is to be done next by whoever wants it written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it stands.
    Stands(String),
    /// Look for what may have been written, until then, at least once: it may not show before.
    Look(Timestamp),
    /// Record the intent, and send it.
    Send,
}

/// Why an intent was not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotBegun {
    /// It stands already.
    Stands,
    /// Somebody else has begun since: whoever saw less must stop.
    Lost,
}

/// One of ours that a look has shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Its id.
    pub id: String,
    /// Whether it stands where it was last to be written: the alert may have been merged since.
    pub is_home: bool,
}

/// What a look comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Settling {
    /// The one that is the write's from now on; `None`: as before.
    pub stays: Option<String>,
    /// The others: they go.
    pub go: Vec<String>,
    /// How many of them came from sends whose fate was not known.
    pub shown: u32,
}

impl Write {
    /// What to do next, for whoever wants it written and has [taken it over](Self::take_over).
    pub fn next(&self, times: &Times) -> Next {
        if let Some(id) = &self.id {
            return Next::Stands(id.clone());
        }
        let Some(doubt) = &self.doubt else { return Next::Send };
        // Not before all shows that was sent: a second one is worse than a late one.
        let shown = plus(doubt.since.ours, times.read_lag);
        match doubt.looked {
            Some(looked) if looked.ours >= shown => Next::Send,
            _ => Next::Look(shown),
        }
    }

    /// Whether it stands, or may: then it is the run's own, whatever else is true by now.
    pub fn may_stand(&self) -> bool {
        self.id.is_some() || self.is_in_doubt()
    }

    /// Whether something was sent, or is being sent, of which nobody knows whether it will show.
    pub fn is_in_doubt(&self) -> bool {
        self.intent.is_some() || self.doubt.is_some()
    }

    /// Records that it is about to be sent, by who last saw the attempt `seen`; gives its number.
    ///
    /// # Errors
    /// It must not be sent.
    pub fn begin(&mut self, seen: u32, now: Moment, times: &Times) -> Result<u32, NotBegun> {
        if self.attempt != seen {
            return Err(NotBegun::Lost);
        }
        if self.id.is_some() {
            return Err(NotBegun::Stands);
        }
        self.take_over(now, times);
        self.attempt += 1;
        self.intent = Some(now.ours);
        Ok(self.attempt)
    }

    /// Records what came of the send with this number.
    pub fn ended(&mut self, attempt: u32, outcome: &Outcome, now: Moment) {
        // Another may have taken it over meanwhile, who counts it among those in doubt.
        let is_ours = self.attempt == attempt && self.intent.take().is_some();
        let is_news = self.id.is_none();
        match outcome {
            Outcome::Done(id) if self.id.as_ref().is_none_or(|known| known == id) => {
                self.id = Some(id.clone());
                match (is_ours, is_news) {
                    (true, true) | (false, false) => {}
                    (false, true) => self.shown(1),
                    // A look has found it before, and taken it for one of those in doubt: they are as many as they were.
                    (true, false) => self.doubted(1, now),
                }
                // It may not show yet: no look that began before this is the last.
                if let Some(doubt) = &mut self.doubt {
                    doubt.since = doubt.since.later(now);
                }
            }
            // There are two now: a look has to see both.
            Outcome::Done(_) => self.doubted(u32::from(is_ours || self.doubt.is_none()), now),
            Outcome::Refused(_) | Outcome::NotSent(_) if is_ours => {}
            Outcome::Refused(_) | Outcome::NotSent(_) => self.shown(1),
            // From now, not from when it was sent: an answer may take longer to be lost than the write to show.
            Outcome::Ambiguous(_) => self.doubted(u32::from(is_ours), now),
        }
    }

    /// Records that what stood is shown no more, long after it was answered: it may yet be there.
    pub fn vanished(&mut self, now: Moment) {
        if self.id.take().is_some() {
            self.doubted(1, now);
        }
    }

    /// What of `found`, the oldest first, stays and what goes, for a look that began then: the first one where it belongs
    /// stays.
    pub fn settle(&self, found: &[Seen], began: Moment, times: &Times) -> Settling {
        let is_known = |seen: &&Seen| Some(&seen.id) == self.id.as_ref();
        // What was answered and is not shown is shown later, unless somebody has deleted it.
        if self.id.is_some() && !found.iter().any(|seen| is_known(&seen)) && !self.is_last(began, times) {
            return Settling::default();
        }
        let home = found.iter().find(|seen| seen.is_home);
        let Some(first) = home.or_else(|| found.iter().find(is_known)).or(found.first()) else {
            return Settling::default();
        };
        let others = found.iter().filter(|seen| seen.id != first.id);
        // One that stands elsewhere is left alone, and may be seen again.
        let is_news = first.is_home && !is_known(&first);
        let shown = others.clone().filter(|seen| !is_known(seen)).count() + usize::from(is_news);
        Settling {
            stays: is_news.then(|| first.id.clone()),
            go: others.map(|seen| seen.id.clone()).collect(),
            shown: u32::try_from(shown).unwrap_or(u32::MAX),
        }
    }

    /// Records what was found by whoever has the right to send it, in a look that began then.
    pub fn found(&mut self, id: &str, began: Moment, times: &Times) {
        self.take_over(began, times);
        match &self.id {
            None => {
                self.id = Some(id.to_owned());
                self.shown(1);
            }
            Some(known) if known == id => {}
            // There are two: a look has to see both.
            Some(_) => self.doubted(u32::from(self.doubt.is_none()), began),
        }
    }

    /// Records that this one stays, before the others go: whoever is cut off between must find it known.
    pub fn moved(&mut self, id: &str) {
        let is_first = self.id.is_none();
        self.id = Some(id.to_owned());
        if is_first {
            self.shown(1);
        }
    }

    /// Records a look that began then, whose others are gone.
    pub fn looked(&mut self, began: Moment, settled: &Settling, times: &Times) {
        self.shown(settled.shown);
        let Some(doubt) = &mut self.doubt else { return };
        // The first look that hears their clock: it was sent no longer ago than our clock says.
        if doubt.since.theirs.is_none() {
            let age = began.since(doubt.since).min(times.looks.first().copied().unwrap_or_default());
            doubt.since.theirs = began.theirs.and_then(|theirs| theirs.checked_sub(signed(age)).ok());
        }
        doubt.looked = Some(doubt.looked.map_or(began, |looked| looked.later(began)));
        if self.is_last(began, times) {
            self.doubt = None;
        }
    }

    /// Whether a look that began then shows what was done in time of the last send in doubt.
    fn shows_by(&self, began: Moment, times: &Times) -> bool {
        self.doubt.as_ref().is_some_and(|doubt| began.ours > plus(doubt.since.ours, times.read_lag))
    }

    /// Whether a look that began then shows all that was ever sent.
    fn is_last(&self, began: Moment, times: &Times) -> bool {
        let last = times.looks.last().copied().unwrap_or_default();
        self.doubt.as_ref().is_none_or(|doubt| began.ours >= doubt.since.ours && began.since(doubt.since) >= last)
    }

    /// In how long it is to be looked what has become of it; `None`: nothing is open.
    pub fn settle_in(&self, now: Moment, times: &Times) -> Option<Duration> {
        // Whoever sends it records the outcome sooner, unless they are gone.
        let intent = self.intent.map(|intent| times.longest_write.saturating_sub(between(intent, now.ours)));
        let doubt = self.doubt.as_ref().and_then(|doubt| {
            let age =
                doubt.looked.filter(|looked| looked.ours >= doubt.since.ours).map(|looked| looked.since(doubt.since));
            let next = times.looks.iter().find(|look| age.is_none_or(|age| **look > age)).or(times.looks.last())?;
            Some(next.saturating_sub(now.since(doubt.since)))
        });
        intent.into_iter().chain(doubt).min()
    }

    /// Nobody is left who could tell what came of an intent that was recorded that long ago.
    pub fn expire(&mut self, now: Moment, times: &Times) {
        if self.intent.is_some_and(|intent| between(intent, now.ours) >= times.longest_write) {
            self.take_over(now, times);
        }
    }

    /// An intent that is open is that of a worker that was cut off: it may have been sent until now, or as late as a write
    /// takes. For whoever has the right to send it now.
    pub fn take_over(&mut self, now: Moment, times: &Times) {
        let Some(intent) = self.intent.take() else { return };
        let latest = Moment { ours: plus(intent, times.longest_write), theirs: None };
        self.doubted(1, if now.ours < latest.ours { now } else { latest });
    }

    /// So many more sends may show, the last of which was sent at `since` at the latest.
    fn doubted(&mut self, sends: u32, since: Moment) {
        let doubt = self.doubt.get_or_insert(Doubt { sends: 0, since, looked: None });
        doubt.sends = (doubt.sends + sends).max(1);
        doubt.since = doubt.since.later(since);
    }

    /// So many sends in doubt are known now.
    fn shown(&mut self, sends: u32) {
        if let Some(doubt) = &mut self.doubt {
            doubt.sends = doubt.sends.saturating_sub(sends);
            if doubt.sends == 0 {
                self.doubt = None;
            }
        }
    }
}

fn plus(at: Timestamp, length: Duration) -> Timestamp {
    at.saturating_add(signed(length)).unwrap_or(Timestamp::MAX)
}

fn signed(length: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(length).unwrap_or(jiff::SignedDuration::MAX)
}
