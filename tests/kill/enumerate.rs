//! Every instant in its turn: killed at the n-th sighting or commit, n = 1, 2, … until a run ends unkilled.
//!
//! `KILL_STRIDE` says how far n goes on at each step: 1 is every instant. Without it the stride is such that about
//! [`BY_DEFAULT`] instants of each story are tried, from a random one on, which is printed.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use se_responder::clock::SystemClock;
use se_responder::sim::world::World;

use crate::harness::{settings_of, until};
use crate::life::{Counter, Kill, Life};
use crate::stories::{self, Story};

/// Lives at a time in one story: most of a life is spent in waiting.
const AT_ONCE: u64 = 4;
/// How many instants of a story are tried where nobody asks for all of them.
const BY_DEFAULT: u64 = 12;
/// More than any story has: an enumeration that does not end is a failure.
const FAR_TOO_MANY: u64 = 5_000;

/// Says it past the test runner, which would keep it to itself.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// How one life of a story ended well.
struct Lived {
    /// What it was killed at.
    killed_at: Option<String>,
    sightings: u64,
    commits: u64,
}

/// One life of a story with one kill, held against its end.
async fn live(story: &Story, kill: Kill) -> Result<Lived, String> {
    let scenario = Box::leak(Box::new((story.scenario)()));
    let world = World::start(scenario, SystemClock::shared()).await.expect("a world");
    let settings = settings_of(&world, &[stories::SETTINGS, story.settings].concat());
    let life = Life::new(world, settings, kill);
    (story.tell)(&life).await;
    // What is due comes now: nothing may come after it.
    let mut quiet = (0, 0);
    until("silence", async || {
        let seen = life.sightings();
        quiet = if seen == quiet.0 { (seen, quiet.1 + 1) } else { (seen, 0) };
        life.runs(&life.world.alert).await?;
        (quiet.1 >= 10).then_some(())
    })
    .await;
    let runs = until("the runs", async || life.runs(&life.world.alert).await).await;
    let started = life.world.jenkins.started().len();
    stories::check(&life.world, &life.world.alert, &runs, started, story.end)
        .map_err(|why| format!("{:?}: {why}\n--- log ---\n{}", life.killed_at(), life.said()))?;
    Ok(Lived { killed_at: life.killed_at(), sightings: life.sightings() as u64, commits: life.commits() })
}

/// Runs something to its end on a runtime of its own; a panic becomes an error.
pub(crate) fn alone<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(work)));
    caught.unwrap_or_else(|panic| {
        Err(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic; see above".to_owned()))
    })
}

fn every(story: &Story, what: &str, kill: fn(u64) -> Kill) {
    let began = Instant::now();
    let unkilled =
        alone(live(story, Kill::Never)).unwrap_or_else(|why| panic!("{}, not killed at all: {why}", story.name));
    let about = if matches!(kill(1), Kill::Commit(_)) { unkilled.commits } else { unkilled.sightings };
    #[expect(clippy::disallowed_methods, reason = "how much is tested is no setting of the service")]
    let asked = std::env::var("KILL_STRIDE").ok().map(|stride| stride.parse().expect("a stride"));
    let stride: u64 = asked.unwrap_or(about / BY_DEFAULT).max(1);
    let first = rand::random_range(1..=stride);
    let (steps, kills, last) = (Counter::default(), Counter::default(), Counter::default());
    let (ended, failures) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while !ended.load(Ordering::SeqCst) {
                    let n = first + (steps.next() - 1) * stride;
                    assert!(n < FAR_TOO_MANY, "{}: no end of {what}s", story.name);
                    match alone(live(story, kill(n))) {
                        Ok(Lived { killed_at: None, .. }) => ended.store(true, Ordering::SeqCst),
                        Ok(Lived { killed_at: Some(_), .. }) => {
                            kills.next();
                            last.at_least(n);
                        }
                        Err(why) => {
                            let text = format!("killed at {what} {n}: {why}");
                            say(&format!("{}: {text}", story.name));
                            failures.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    say(&format!(
        "{}: killed at {what} n = {first}, {}, … {}: {} lives ended well, {} did not, {:.0} s",
        story.name,
        first + stride,
        last.so_far(),
        kills.so_far(),
        failures.len(),
        began.elapsed().as_secs_f64()
    ));
    assert!(kills.so_far() > 0, "{}: never killed", story.name);
    assert!(failures.is_empty(), "{}: {} failed; the first: {}", story.name, failures.len(), failures[0]);
}

macro_rules! stories {
    ($($name:ident = $story:ident;)*) => {
        mod sightings {
            $(#[test] fn $name() { super::every(&crate::stories::$story, "sighting", crate::life::Kill::Sighting); })*
        }
        mod commits {
            $(#[test] fn $name() { super::every(&crate::stories::$story, "commit", crate::life::Kill::Commit); })*
        }
    };
}

stories! {
    a_page_is_opened_automatically = AUTO;
    answers_are_lost = LOST_ANSWERS;
    a_person_escalates = ESCALATED;
    a_bigger_outage_is_waited_for = SUPPRESSED;
    a_command_and_a_resolution = COMMANDED;
}
