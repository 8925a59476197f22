//! Every instant in its turn: struck at the n-th sighting or commit, n = 1, 2, … until a run ends unstruck.
//!
//! `KILL_STRIDE` says how far n goes on at each step: 1 is every instant. Without it the stride is such that about
//! [`BY_DEFAULT`] instants of each story are tried, from a random one on, which is printed. `KILL_AT_ONCE` says how many
//! lives on a database go on at a time, for a machine that has the room: every instant of them is hours of waiting.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use se_responder::clock::SystemClock;
use se_responder::sim::world::World;
use tokio::sync::Semaphore;

use crate::life::{At, Blow, Counter, Life, On, until};
use crate::stories::{self, Story};

/// Lives at a time in one enumeration, and in all: most of a life is spent in waiting, on PostgreSQL above all, where a
/// dead process's claims run out after 30 s.
const AT_ONCE: usize = 8;
const AT_ONCE_ON_SQLITE: usize = 6;
static SQLITE: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(at_once(On::Sqlite)));
static POSTGRES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(at_once(On::Postgres)));

fn at_once(on: On) -> usize {
    asked("KILL_AT_ONCE").unwrap_or(if on == On::Sqlite { AT_ONCE_ON_SQLITE } else { AT_ONCE })
}
/// How many instants of a story are tried where nobody asks for all of them.
const BY_DEFAULT: u64 = 4;
/// More than any story has: an enumeration that does not end is a failure.
const FAR_TOO_MANY: u64 = 5_000;
/// After this long without a word to any upstream nothing more comes; and after a thaw, from a worker whose claim has to
/// be tried again first.
const QUIET: Duration = Duration::from_millis(300);
const QUIET_AFTER_THAW: Duration = Duration::from_secs(12);

/// A number that a setting of the tests gives.
pub(crate) fn asked<T: std::str::FromStr>(name: &str) -> Option<T> {
    #[expect(clippy::disallowed_methods, reason = "how much is tested is no setting of the service")]
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// Says it past the test runner, which would keep it to itself.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// How one life of a story ended well.
struct Lived {
    struck_at: Option<String>,
    sightings: u64,
    commits: u64,
}

/// One life of a story with one blow, held against its end; `None` where it is `enough` by the time that it may begin.
async fn live(story: &Story, on: On, at: At, blow: Blow, enough: &AtomicBool) -> Result<Option<Lived>, String> {
    let slots: &Semaphore = if on == On::Sqlite { &SQLITE } else { &POSTGRES };
    let _slot = slots.acquire().await.expect("never closed");
    if enough.load(Ordering::SeqCst) {
        return Ok(None);
    }
    let scenario = Box::leak(Box::new((story.scenario)()));
    let world = World::start(scenario, SystemClock::shared()).await.expect("a world");
    let life = Life::new(world, &[stories::SETTINGS, story.settings].concat(), on, blow);
    if on == On::Replicas {
        // A replica that is frozen while it migrates keeps the others from starting: that is as it should be.
        until("both to listen", async || life.all_listen().then_some(())).await;
    }
    life.arm(at);
    (story.tell)(&life).await;
    // What is due comes now: nothing may come after it.
    let quiet = if life.thaw() { QUIET_AFTER_THAW } else { QUIET };
    life.silence(quiet).await;
    let (struck_at, sightings, commits) = (life.struck_at(), life.sightings(), life.commits());
    let runs = until("the runs", async || life.runs(&life.world.alert).await).await;
    stories::check(&life.world, story, &runs, struck_at.is_some())
        .map_err(|why| format!("{struck_at:?}: {why}\n{}", life.said()))?;
    Ok(Some(Lived { struck_at, sightings, commits }))
}

/// Runs something to its end on a runtime of its own; a panic becomes an error.
pub(crate) fn alone<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(work)));
    caught.unwrap_or_else(|panic| {
        Err(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic; see above".to_owned()))
    })
}

fn every(story: &Story, on: On, at: fn(u64) -> At, blow: Blow) {
    let began = Instant::now();
    let name = format!("{}, {on:?}, {blow:?}", story.name);
    let ended = AtomicBool::new(false);
    let unstruck = alone(live(story, on, At::Never, blow, &ended))
        .unwrap_or_else(|why| panic!("{name}: fails without a blow: {why}"))
        .expect("it is not enough yet");
    let (what, about) = match at(1) {
        At::Commit(_) => ("commit", unstruck.commits),
        _ => ("sighting", unstruck.sightings),
    };
    let every_nth = asked("KILL_STRIDE");
    let stride: u64 = every_nth.unwrap_or(about / BY_DEFAULT).max(1);
    // A life that is not struck any more tells that there are no more instants; by default it would tell nothing new.
    let most = if every_nth.is_some() { FAR_TOO_MANY } else { about };
    let first = rand::random_range(1..=stride);
    let (steps, blows, last) = (Counter::default(), Counter::default(), Counter::default());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once(on) {
            scope.spawn(|| {
                while !ended.load(Ordering::SeqCst) {
                    let n = first + (steps.next() - 1) * stride;
                    assert!(n < FAR_TOO_MANY, "{name}: no end of {what}s");
                    if n > most {
                        return;
                    }
                    match alone(live(story, on, at(n), blow, &ended)) {
                        Ok(None | Some(Lived { struck_at: None, .. })) => ended.store(true, Ordering::SeqCst),
                        Ok(Some(Lived { struck_at: Some(_), .. })) => {
                            blows.next();
                            last.at_least(n);
                        }
                        Err(why) => {
                            let text = format!("at {what} {n}: {why}");
                            say(&format!("{name}: {text}"));
                            failures.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    say(&format!(
        "{name}: at {what} n = {first}, {}, … {} of about {about}: {} lives ended well, {} did not, {:.0} s",
        first + stride,
        last.so_far(),
        blows.so_far(),
        failures.len(),
        began.elapsed().as_secs_f64()
    ));
    assert!(blows.so_far() > 0, "{name}: never struck");
    assert!(failures.is_empty(), "{name}: {} failed; the first: {}", failures.len(), failures[0]);
}

macro_rules! enumerations {
    ($($place:ident: $on:expr, $blow:expr => {
        $($name:ident = $story:ident $(, sightings: $sightings:meta)? $(, commits: $commits:meta)?;)*
    })*) => {
        $(mod $place {
            mod sightings {
                $(#[test] $(#[$sightings])? fn $name() {
                    crate::enumerate::every(&crate::stories::$story, $on, crate::life::At::Sighting, $blow);
                })*
            }
            mod commits {
                $(#[test] $(#[$commits])? fn $name() {
                    crate::enumerate::every(&crate::stories::$story, $on, crate::life::At::Commit, $blow);
                })*
            }
        })*
    };
}

// Those that are ignored come with `--include-ignored`: they cost more than what they add to every day's tests.
enumerations! {
    sqlite: crate::life::On::Sqlite, crate::life::Blow::Kill(0) => {
        a_page_is_opened_automatically = AUTO;
        answers_are_lost = LOST_ANSWERS;
        a_person_escalates = ESCALATED;
        a_bigger_outage_is_waited_for = SUPPRESSED;
        a_command_and_a_resolution = COMMANDED;
        a_page_by_the_events_api = EVENTS_API, commits: ignore;
        a_page_by_the_events_api_whose_answer_is_lost = EVENTS_LOST, commits: ignore;
        a_page_that_is_open_is_joined = JOINED, commits: ignore;
        a_merge_while_it_is_diagnosed = MERGED, commits: ignore;
        a_merge_once_the_note_is_written = MERGED_LATE;
        a_bigger_outage_opens_meanwhile = RELATED_RESOLVED;
        a_follow_up = FOLLOW_UP;
        a_canary_serves_the_alert = CANARY, commits: ignore;
    }
    postgres: crate::life::On::Postgres, crate::life::Blow::Kill(0) => {
        a_page_is_opened_automatically = AUTO;
        answers_are_lost = LOST_ANSWERS;
        a_person_escalates = ESCALATED;
        a_bigger_outage_is_waited_for = SUPPRESSED;
        a_command_and_a_resolution = COMMANDED;
        a_page_by_the_events_api = EVENTS_API, sightings: ignore, commits: ignore;
        a_page_that_is_open_is_joined = JOINED, sightings: ignore, commits: ignore;
        a_merge_while_it_is_diagnosed = MERGED, sightings: ignore, commits: ignore;
        a_merge_once_the_note_is_written = MERGED_LATE, sightings: ignore;
        a_bigger_outage_opens_meanwhile = RELATED_RESOLVED, sightings: ignore;
        a_follow_up = FOLLOW_UP, sightings: ignore, commits: ignore;
    }
    first_replica_killed: crate::life::On::Replicas, crate::life::Blow::Kill(0) => {
        a_page_is_opened_automatically = AUTO;
        answers_are_lost = LOST_ANSWERS, sightings: ignore, commits: ignore;
    }
    second_replica_killed: crate::life::On::Replicas, crate::life::Blow::Kill(1) => {
        a_page_is_opened_automatically = AUTO;
    }
    first_replica_frozen: crate::life::On::Replicas, crate::life::Blow::Freeze(0) => {
        a_page_is_opened_automatically = AUTO;
        answers_are_lost = LOST_ANSWERS, commits: ignore;
        a_command_and_a_resolution = COMMANDED;
    }
    second_replica_frozen: crate::life::On::Replicas, crate::life::Blow::Freeze(1) => {
        a_page_is_opened_automatically = AUTO;
        answers_are_lost = LOST_ANSWERS, sightings: ignore, commits: ignore;
        a_command_and_a_resolution = COMMANDED;
    }
}
