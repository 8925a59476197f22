//! A panic in one item's work costs that an attempt; anywhere else it ends the process with a failure exit code. Each in a
//! process of its own, which is this test binary.

use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outbound::clock::{Clock, Source, SystemClock};
use se_responder::commands::serve::{die_of_panics, serve};
use se_responder::config::{Config, Environment};
use se_responder::run::alone::alone;
use simulators::world::World;
use tokio::process::Command;

use crate::harness::{Front, PATIENCE, free_address, quick, settings_of, until};

const WHERE: &str = "PANIC_IN";
/// The exit code of a process that a panic did not end.
const SURVIVED: i32 = 42;

#[tokio::test]
async fn a_panic_in_any_task_ends_the_process_and_says_so() {
    for place in ["thread", "task", "worker", "handler"] {
        // A test that fails by itself ends with 101.
        assert_eq!(end_of(place).await, Some(1), "{place}");
    }
}

/// The exit code of a process that panics there.
async fn end_of(place: &str) -> Option<i32> {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--exact", "panics::in_a_process_of_its_own", "--ignored", "--nocapture"]);
    command.env(WHERE, place).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE * 2, command.output()).await.expect("an end").expect("an output");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("on purpose"), "{place}: {said}");
    ended.status.code()
}

/// What is one run's, page's or task's own is tried again by itself, and the others go on.
#[tokio::test]
async fn a_panic_in_one_items_work_does_not_end_the_process() {
    assert_eq!(end_of("item").await, Some(SURVIVED));
}

/// A clock that panics when it is asked for an id or a wait, once that is wanted.
#[derive(Debug)]
struct Mine {
    clock: Clock,
    ids: AtomicBool,
    waits: AtomicBool,
}

impl Source for Mine {
    fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    fn sleep(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        assert!(!self.waits.load(Ordering::SeqCst), "a wait, on purpose");
        self.clock.sleep(length)
    }

    fn id(&self) -> String {
        assert!(!self.ids.load(Ordering::SeqCst), "an id, on purpose");
        self.clock.id()
    }

    fn jitter(&self) -> f64 {
        self.clock.jitter()
    }

    fn set(&self, now: jiff::Timestamp, shown: jiff::Timestamp) {
        self.clock.set(now, shown);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the test above runs it, in a process of its own"]
async fn in_a_process_of_its_own() {
    #[expect(clippy::disallowed_methods, reason = "told by the test that starts this process")]
    let place = std::env::var(WHERE).unwrap_or_default();
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    match place.as_str() {
        "thread" => {
            die_of_panics();
            std::thread::spawn(|| panic!("a thread, on purpose"));
        }
        "task" => {
            die_of_panics();
            tokio::spawn(async { panic!("a task, on purpose") });
        }
        "item" => {
            die_of_panics();
            let item = tokio::spawn(alone(async { panic!("an item, on purpose") }));
            assert!(item.await.is_err_and(|error| error.is_panic()));
            std::process::exit(SURVIVED);
        }
        _ => {
            let address = free_address();
            let settings = settings_of(&world, &[("LISTEN_ADDR", &address)]);
            let config = Config::load(&Environment::of(settings)).expect("good settings");
            let mine = Arc::new(Mine { clock: SystemClock::shared(), ids: false.into(), waits: false.into() });
            tokio::spawn(serve(config, mine.clone()));
            let front = Front::at(format!("http://{address}"));
            until("the service", async || front.http.get(format!("{}/readyz", front.url)).send().await.ok()).await;
            if place == "worker" {
                mine.waits.store(true, Ordering::SeqCst);
            } else {
                mine.ids.store(true, Ordering::SeqCst);
                // No answer: the process ends meanwhile.
                let _ = world.send(&front.url, "incident.triggered").await;
            }
        }
    }
    tokio::time::sleep(PATIENCE).await;
}
