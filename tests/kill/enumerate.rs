//! Every instant in its turn: struck at the n-th sighting or commit, n = 1, 2, … until a run ends unstruck.
//!
//! That is hours of waiting, so the day's tests draw some instants of all enumerations by a seed, which is printed
//! ([`a_sample_of_all_instants`]; `KILL_SEED`, and `KILL_LIVES` for how many), and each enumeration is a test that
//! `--ignored` runs (`scripts/check-release`). `KILL_STRIDE` says how far n goes on at each step there: 1, unless it is
//! set, is every instant. `KILL_AT_ONCE` says how many lives on a database go on at a time, for a machine that has the
//! room.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use outbound::clock::SystemClock;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use simulators::world::World;
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
/// How many instants the day's tests draw of all enumerations.
const SAMPLE: usize = 32;
/// More than any story has: an enumeration that does not end is a failure.
const FAR_TOO_MANY: u64 = 5_000;
/// After this long without a word to any upstream nothing more comes; and after a thaw, from a worker whose claim has
/// to be tried again first.
const QUIET: Duration = Duration::from_millis(300);
const QUIET_AFTER_THAW: Duration = Duration::from_secs(12);

/// A twin of a note is looked for 30 s after it was begun; with room for a busy machine.
const TWIN_GONE_WITHIN: Duration = Duration::from_secs(90);

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
    // Who was frozen right before it sent a note may send it when it wakes: its twin goes at the next look for one.
    let twin_gone = Instant::now() + if matches!(blow, Blow::Freeze(_)) { TWIN_GONE_WITHIN } else { Duration::ZERO };
    loop {
        let runs = until("the runs", async || life.runs(&life.world.alert).await).await;
        match stories::check(&life.world, story, &runs, struck_at.is_some()) {
            Ok(()) => break,
            Err(why) if Instant::now() >= twin_gone => return Err(format!("{struck_at:?}: {why}\n{}", life.said())),
            Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
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

/// What is struck when: a line of [`ALL`].
pub(crate) struct Enumeration {
    name: &'static str,
    story: &'static Story,
    on: On,
    at: fn(u64) -> At,
    blow: Blow,
}

impl Enumeration {
    fn one(&self, at: At, enough: &AtomicBool) -> Result<Option<Lived>, String> {
        alone(live(self.story, self.on, at, self.blow, enough)).map_err(|why| format!("{}, {at:?}: {why}", self.name))
    }

    /// How many instants there are, about: of a life without a blow, which must end well too.
    fn about(&self) -> Result<u64, String> {
        type Counts = Arc<OnceLock<Result<(u64, u64), String>>>;
        static KNOWN: Mutex<BTreeMap<(&str, On), Counts>> = Mutex::new(BTreeMap::new());
        let known = {
            let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry((self.story.name, self.on)).or_default())
        };
        let counts = known.get_or_init(|| {
            let lived = self.one(At::Never, &AtomicBool::new(false))?.expect("it is not enough yet");
            Ok((lived.sightings, lived.commits))
        });
        let (sightings, commits) = counts.clone()?;
        Ok(if self.counts_commits() { commits } else { sightings })
    }

    fn counts_commits(&self) -> bool {
        matches!((self.at)(1), At::Commit(_))
    }
}

/// All instants of an enumeration.
fn every(enumeration: &Enumeration) {
    let began = Instant::now();
    let name = enumeration.name;
    let about = enumeration.about().unwrap_or_else(|why| panic!("{name}: fails without a blow: {why}"));
    let what = if enumeration.counts_commits() { "commit" } else { "sighting" };
    let stride: u64 = asked("KILL_STRIDE").unwrap_or(1).max(1);
    // A stride that is longer than the life strikes it once all the same: before its end, which comes sooner in some
    // lives.
    let first = rand::random_range(1..=stride.min((about * 3 / 4).max(1)));
    let ended = AtomicBool::new(false);
    let (steps, blows, last) = (Counter::default(), Counter::default(), Counter::default());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once(enumeration.on) {
            scope.spawn(|| {
                while !ended.load(Ordering::SeqCst) {
                    let n = first + (steps.next() - 1) * stride;
                    assert!(n < FAR_TOO_MANY, "{name}: no end of {what}s");
                    match enumeration.one((enumeration.at)(n), &ended) {
                        Ok(None | Some(Lived { struck_at: None, .. })) => ended.store(true, Ordering::SeqCst),
                        Ok(Some(Lived { struck_at: Some(_), .. })) => {
                            blows.next();
                            last.at_least(n);
                        }
                        Err(why) => {
                            say(&why);
                            failures.lock().unwrap_or_else(PoisonError::into_inner).push(why);
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

/// As many of the enumerations as asked for, none twice before all were drawn once, each struck at one instant.
#[test]
fn a_sample_of_all_instants() {
    let began = Instant::now();
    let seed: u64 = asked("KILL_SEED").unwrap_or_else(rand::random);
    let count = asked("KILL_LIVES").unwrap_or(SAMPLE);
    say(&format!("instants: {count} of {} enumerations, KILL_SEED={seed}", ALL.len()));
    let mut random = StdRng::seed_from_u64(seed);
    let mut order: Vec<&Enumeration> = ALL.iter().collect();
    order.shuffle(&mut random);
    let drawn: Vec<(&Enumeration, u64)> = order.into_iter().cycle().take(count).map(|e| (e, random.random())).collect();
    let (next, struck) = (Counter::default(), Counter::default());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once(On::Postgres) {
            scope.spawn(|| {
                while let Some((enumeration, number)) = drawn.get(next.next() as usize - 1) {
                    let lived = enumeration.about().and_then(|about| {
                        let at = (enumeration.at)(1 + number % about.max(1));
                        enumeration.one(at, &AtomicBool::new(false))
                    });
                    match lived {
                        Ok(Some(Lived { struck_at: Some(_), .. })) => drop(struck.next()),
                        // It needed a few instants less than the life that was counted.
                        Ok(_) => {}
                        Err(why) => {
                            say(&why);
                            failures.lock().unwrap_or_else(PoisonError::into_inner).push(why);
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (struck, took) = (struck.so_far(), began.elapsed().as_secs_f64());
    say(&format!("instants: {struck} lives struck, {} ended badly, {took:.0} s, KILL_SEED={seed}", failures.len()));
    assert!(struck * 2 > count as u64, "most are struck: {struck} of {count}");
    assert!(failures.is_empty(), "KILL_SEED={seed}: {} failed; the first: {}", failures.len(), failures[0]);
}

macro_rules! enumerations {
    ($($place:ident: $on:expr, $blow:expr => { $($name:ident = $story:ident;)* })*) => {
        /// All there are.
        const ALL: &[Enumeration] = &[$($(
            Enumeration {
                name: concat!(stringify!($place), "::sightings::", stringify!($name)),
                story: &stories::$story,
                on: $on,
                at: At::Sighting,
                blow: $blow,
            },
            Enumeration {
                name: concat!(stringify!($place), "::commits::", stringify!($name)),
                story: &stories::$story,
                on: $on,
                at: At::Commit,
                blow: $blow,
            },
        )*)*];
        $(mod $place {
            mod sightings {
                $(#[test] #[ignore = "hours of all of them: scripts/check-release"] fn $name() {
                    crate::enumerate::every_of(module_path!(), stringify!($name));
                })*
            }
            mod commits {
                $(#[test] #[ignore = "hours of all of them: scripts/check-release"] fn $name() {
                    crate::enumerate::every_of(module_path!(), stringify!($name));
                })*
            }
        })*
    };
}

/// The enumeration of a test by where the test stands.
fn every_of(module: &str, name: &str) {
    let name = format!("{}::{name}", module.split_once("::enumerate::").expect("a test of this module").1);
    every(ALL.iter().find(|e| e.name == name).unwrap_or_else(|| panic!("{name} is not in ALL")));
}

enumerations! {
    sqlite: On::Sqlite, Blow::Kill(0) => {
        a_page_is_opened_automatically = AUTO;
        answers_are_lost = LOST_ANSWERS;
        a_person_escalates = ESCALATED;
        a_bigger_outage_is_waited_for = SUPPRESSED;
        a_command_and_a_resolution = COMMANDED;
        a_page_by_the_events_api = EVENTS_API;
        a_page_by_the_events_api_whose_answer_is_lost = EVENTS_LOST;
        a_page_that_is_open_is_joined = JOINED;
        a_merge_while_it_is_diagnosed = MERGED;
        a_merge_once_the_note_is_written = MERGED_LATE;
        a_bigger_outage_opens_meanwhile = RELATED_RESOLVED;
        a_follow_up = FOLLOW_UP;
        a_canary_serves_the_alert = CANARY;
        slack_and_ghe_are_told = TOLD;
        slack_refuses_a_channel = REFUSED;
    }
    postgres: On::Postgres, Blow::Kill(0) => {
        a_page_is_opened_automatically = AUTO;
        answers_are_lost = LOST_ANSWERS;
        a_person_escalates = ESCALATED;
        a_bigger_outage_is_waited_for = SUPPRESSED;
        a_command_and_a_resolution = COMMANDED;
        a_page_by_the_events_api = EVENTS_API;
        a_page_that_is_open_is_joined = JOINED;
        a_merge_while_it_is_diagnosed = MERGED;
        a_merge_once_the_note_is_written = MERGED_LATE;
        a_bigger_outage_opens_meanwhile = RELATED_RESOLVED;
        a_follow_up = FOLLOW_UP;
        slack_and_ghe_are_told = TOLD;
        slack_refuses_a_channel = REFUSED;
    }
    first_replica_killed: On::Replicas, Blow::Kill(0) => {
        a_page_is_opened_automatically = AUTO;
        answers_are_lost = LOST_ANSWERS;
    }
    second_replica_killed: On::Replicas, Blow::Kill(1) => {
        a_page_is_opened_automatically = AUTO;
    }
    first_replica_frozen: On::Replicas, Blow::Freeze(0) => {
        a_page_is_opened_automatically = AUTO;
        answers_are_lost = LOST_ANSWERS;
        a_command_and_a_resolution = COMMANDED;
    }
    second_replica_frozen: On::Replicas, Blow::Freeze(1) => {
        a_page_is_opened_automatically = AUTO;
        answers_are_lost = LOST_ANSWERS;
        a_command_and_a_resolution = COMMANDED;
    }
}
