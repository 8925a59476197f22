//! A panic anywhere ends the process with a failure exit code: each in a process of its own, which is this test binary.

use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use se_responder::clock::{Clock, Source, SystemClock};
use se_responder::commands::serve::{die_of_panics, serve};
use se_responder::config::{Config, Environment};
use se_responder::sim::world::World;
use tokio::process::Command;

use crate::harness::{Front, PATIENCE, free_address, quick, settings_of, until};

const WHERE: &str = "PANIC_IN";

#[tokio::test]
async fn a_panic_in_any_task_ends_the_process_loudly() {
    for place in ["thread", "task", "worker", "handler"] {
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command.args(["--exact", "panics::in_a_process_of_its_own", "--ignored", "--nocapture"]);
        command.env(WHERE, place).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE * 2, command.output()).await.expect("an end").expect("an output");
        let said = String::from_utf8_lossy(&ended.stderr);
        // A test that fails by itself ends with 101.
        assert_eq!(ended.status.code(), Some(1), "{place}: {said}");
        assert!(said.contains("on purpose"), "{place}: {said}");
    }
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
