//! Builds that run, followed: one of all who wait for a build asks Jenkins, and all see what it saw.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{Build, Jenkins, LogReader};
use outbound::clock::Clock;
use outbound::error::Error;
use runbook::diagnosis::Console;
use runbook::span::{after, between};

/// The shortest pause between two looks at a build, unless `JENKINS_POLL` is shorter.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// A build is looked at again after this part of the time that it has been followed for: the end of a short one is seen as
/// promptly, for what it takes, as that of a long one.
const PART: u32 = 16;

/// What is known of a build that is followed.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// The build as last seen; `None` before the first time.
    pub build: Option<Build>,
    /// Jenkins knows no build of this number.
    pub is_gone: bool,
    /// When it was last seen to run.
    pub seen_running_at: Option<Timestamp>,
    /// Since when it is known that it has ended.
    pub done_since: Option<Timestamp>,
    /// What it has printed so far.
    pub console: Arc<Console>,
    /// Whether the console will grow; `None` where that could not be asked the last time.
    pub grows: Option<bool>,
    /// Why the build could not be asked for the last time.
    pub build_error: Option<Error>,
    /// Why the console could not be read the last time.
    pub console_error: Option<Error>,
}

/// The builds that are followed in this process.
#[derive(Debug, Default)]
pub(super) struct Watched {
    builds: Mutex<BTreeMap<u64, Weak<One>>>,
    /// Counts the builds that one began to follow.
    begun: watch::Sender<u64>,
}

#[derive(Debug)]
struct One {
    /// Whoever holds it asks Jenkins.
    asker: tokio::sync::Mutex<Asker>,
    seen: watch::Sender<Sight>,
}

#[derive(Debug)]
struct Asker {
    console: LogReader,
    pace: Pace,
    /// Whether the console was read since the build is known to have ended.
    read_its_end: bool,
}

/// One of those who follow a build.
#[derive(Debug)]
pub struct Watch<'a> {
    jenkins: &'a Jenkins,
    number: u64,
    one: Arc<One>,
    seen: watch::Receiver<Sight>,
}

impl Jenkins {
    /// Follows a build, with whoever follows it already. Asks nothing yet.
    pub fn watch(&self, number: u64) -> Watch<'_> {
        let mut builds = self.watched.builds.lock().unwrap_or_else(PoisonError::into_inner);
        builds.retain(|_, one| one.strong_count() > 0);
        let known = builds.get(&number).and_then(Weak::upgrade);
        let is_new = known.is_none();
        let one = known.unwrap_or_else(|| {
            let asker = Asker { console: LogReader::default(), pace: self.pace(), read_its_end: false };
            let one = Arc::new(One { asker: tokio::sync::Mutex::new(asker), seen: watch::Sender::default() });
            builds.insert(number, Arc::downgrade(&one));
            one
        });
        drop(builds);
        if is_new {
            self.watched.begun.send_modify(|count| *count += 1);
        }
        let mut seen = one.seen.subscribe();
        // What the others saw counts from the first.
        if !is_new {
            seen.mark_changed();
        }
        Watch { jenkins: self, number, one, seen }
    }

    /// How many builds this process has begun to follow.
    pub fn begun(&self) -> u64 {
        *self.watched.begun.borrow()
    }

    /// Waits until it has begun to follow more than these.
    pub async fn begins_another(&self, known: u64) {
        let mut begun = self.watched.begun.subscribe();
        // The sender is ours: it is never closed.
        let _ = begun.wait_for(|count| *count > known).await;
    }

    /// How often something that has just been asked for is looked at.
    pub fn pace(&self) -> Pace {
        Pace { began: self.clock.now(), next: self.clock.now(), longest: self.settings.poll }
    }
}

impl Watch<'_> {
    /// What is seen next of the build. Dropping the future is well.
    pub async fn next(&mut self, deadline: Timestamp) -> Sight {
        loop {
            tokio::select! {
                biased;
                Ok(()) = self.seen.changed() => {
                    let sight = self.seen.borrow_and_update().clone();
                    if sight.is_something() {
                        return sight;
                    }
                }
                mut asker = self.one.asker.lock() => {
                    // The one before us may have seen something while we waited for it.
                    if !self.seen.has_changed().unwrap_or_default() {
                        let before = self.one.seen.borrow().clone();
                        let sight = asker.ask(self.jenkins, self.number, before, deadline).await;
                        self.one.seen.send_replace(sight);
                    }
                }
            }
        }
    }
}

impl Sight {
    /// Whether anything was asked yet.
    fn is_something(&self) -> bool {
        self.build.is_some() || self.is_gone || self.build_error.is_some()
    }
}

impl Asker {
    /// The build and its console, at once, when their time has come.
    async fn ask(&mut self, jenkins: &Jenkins, number: u64, before: Sight, deadline: Timestamp) -> Sight {
        // What it printed at the very end is read at once.
        if before.done_since.is_none() || self.read_its_end {
            self.pace.pause(&jenkins.clock).await;
        }
        self.read_its_end = before.done_since.is_some();
        let (build, grows) =
            tokio::join!(jenkins.build(number, deadline), jenkins.read_log(number, &mut self.console, deadline));
        let now = jenkins.clock.now();
        let mut sight = Sight { is_gone: false, build_error: None, console_error: None, grows: None, ..before };
        match build {
            Ok(Some(build)) => {
                if build.is_done() {
                    sight.done_since.get_or_insert(now);
                } else {
                    sight.seen_running_at = Some(now);
                }
                sight.build = Some(build);
            }
            Ok(None) => sight.is_gone = true,
            Err(error) => sight.build_error = Some(error),
        }
        match grows {
            Ok(grows) => sight.grows = Some(grows),
            Err(error) => sight.console_error = Some(error),
        }
        sight.console = Arc::new(self.console.so_far());
        sight
    }
}

/// When something is looked at: often while it is young, then ever more seldom, at last each `JENKINS_POLL`.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    began: Timestamp,
    next: Timestamp,
    longest: Duration,
}

impl Pace {
    /// Waits for the time of the next look, at first not at all. It counts from the look before, however long that took.
    pub async fn pause(&mut self, clock: &Clock) {
        // A clock that was set back must not make anybody wait for the old time to come again.
        let wait = between(clock.now(), self.next).min(self.longest);
        if !wait.is_zero() {
            clock.sleep(wait).await;
        }
        let now = clock.now();
        self.next = after(now, self.pause_after(between(self.began, now)));
    }

    /// How long the pause is once so much time has gone by. Pure.
    fn pause_after(&self, time: Duration) -> Duration {
        (time / PART).max(SHORTEST_PAUSE).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_young_is_looked_at_more_often_and_nothing_more_seldom_than_each_poll() {
        let ms = Duration::from_millis;
        let pace = |longest| Pace { began: Timestamp::UNIX_EPOCH, next: Timestamp::UNIX_EPOCH, longest };
        for (poll, time, pause) in [
            (1000, 0, 100),
            (1000, 1600, 100),
            (1000, 3200, 200),
            (1000, 16_000, 1000),
            (1000, 360_000, 1000),
            (50, 0, 50),
            (50, 360_000, 50),
        ] {
            assert_eq!(pace(ms(poll)).pause_after(ms(time)), ms(pause), "{poll} {time}");
        }
    }
}
