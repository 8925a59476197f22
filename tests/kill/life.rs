//! The service's life in a test: a process that is killed from where an upstream sees it, and started again.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use se_responder::sim::pagerduty::sign;
use se_responder::sim::tap::{Moment, Sighting, Then};
use se_responder::sim::world::{OPERATOR_TOKEN, WEBHOOK_SECRET, World};
use se_responder::upstream::http_client;
use serde_json::Value;

use crate::harness::until;

/// How often commits are looked for: well below the time of a commit, which waits for the disk.
const LOOK_FOR_COMMITS: Duration = Duration::from_micros(100);

/// When the process is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kill {
    Never,
    /// At the n-th thing that an upstream sees.
    Sighting(u64),
    /// Right after the n-th commit.
    Commit(u64),
}

/// The process, to be killed by whoever sees that it is time.
#[derive(Debug, Default)]
pub(crate) struct Victim(Mutex<Option<Child>>);

impl Victim {
    /// `SIGKILL`; returns once it is dead.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it is dead");
        }
    }

    fn is_dead(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Its exit code, where it ended without being killed.
    fn ended(&self) -> Option<String> {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        child.as_mut()?.try_wait().expect("a status").map(|status| status.to_string())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A world, and the service in front of it, whichever process that is.
pub(crate) struct Life {
    pub(crate) world: World,
    settings: Vec<(String, String)>,
    pub(crate) victim: Arc<Victim>,
    url: RefCell<String>,
    pub(crate) starts: RefCell<u32>,
    seen: Arc<Mutex<Vec<Sighting>>>,
    /// What it was killed at.
    killed_at: Arc<Mutex<Option<String>>>,
    http: reqwest::Client,
}

impl Life {
    /// Nothing runs yet; the first process that is asked something will be killed so.
    pub(crate) fn new(world: World, settings: Vec<(String, String)>, kill: Kill) -> Self {
        let life = Self {
            world,
            settings,
            victim: Arc::default(),
            url: RefCell::default(),
            starts: RefCell::default(),
            seen: Arc::default(),
            killed_at: Arc::default(),
            http: http_client().expect("a client"),
        };
        life.arm(kill);
        life
    }

    fn arm(&self, kill: Kill) {
        let (victim, seen, killed_at) = (self.victim.clone(), self.seen.clone(), self.killed_at.clone());
        self.world.tap.watch(Arc::new(move |sighting| {
            let count = {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push(sighting.clone());
                seen.len() as u64
            };
            if !matches!(kill, Kill::Sighting(n) if n == count) {
                return Then::GoOn;
            }
            victim.kill();
            *killed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{sighting:?}"));
            // A request that was begun is lost; one that was whole takes effect, though nobody is left to hear of it.
            if matches!(sighting.moment, Moment::RequestBegun) { Then::Lose } else { Then::GoOn }
        }));
        if let Kill::Commit(n) = kill {
            let (victim, killed_at) = (Arc::downgrade(&self.victim), self.killed_at.clone());
            let index = self.world.path("se-responder.db-shm");
            std::thread::spawn(move || {
                let mut commits = Commits::of(&index);
                while let Some(victim) = victim.upgrade() {
                    if commits.so_far() >= n {
                        victim.kill();
                        *killed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("commit {n}"));
                        return;
                    }
                    drop(victim);
                    std::thread::sleep(LOOK_FOR_COMMITS);
                }
            });
        }
    }

    pub(crate) fn killed_at(&self) -> Option<String> {
        self.killed_at.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How much the upstreams have seen so far.
    pub(crate) fn sightings(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many commits its last process has made, the migrations of a new database included.
    pub(crate) fn commits(&self) -> u64 {
        Commits::of(&self.world.path("se-responder.db-shm")).so_far()
    }

    fn log(&self) -> PathBuf {
        self.world.path(&format!("log-{}", self.starts.borrow()))
    }

    /// All that its processes have logged.
    pub(crate) fn said(&self) -> String {
        let starts = *self.starts.borrow();
        let logs = (1..=starts).map(|n| std::fs::read_to_string(self.world.path(&format!("log-{n}"))));
        logs.map(Result::unwrap_or_default).collect::<Vec<_>>().join("\n--- killed, and started again ---\n")
    }

    fn start(&self) {
        *self.starts.borrow_mut() += 1;
        let log = File::create(self.log()).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_se-responder"))
            .arg("serve")
            .current_dir(self.log().parent().expect("a folder"))
            .env_clear()
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("it starts");
        *self.victim.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        self.url.borrow_mut().clear();
    }

    /// Where it listens; started where it is dead. `None` while it does not listen yet.
    fn url(&self) -> Option<String> {
        if let Some(status) = self.victim.ended() {
            panic!("it ended by itself, {status}:\n{}", self.said());
        }
        if self.victim.is_dead() {
            self.start();
        }
        if self.url.borrow().is_empty() {
            let log = std::fs::read_to_string(self.log()).ok()?;
            let (address, _) = log.split_once("listening addr=")?.1.split_once(' ')?;
            *self.url.borrow_mut() = format!("http://{address}");
        }
        Some(self.url.borrow().clone())
    }

    /// One request; `None` where it was not answered: it may have been killed.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
        let url = self.url()?;
        let method = method.parse().expect("a method");
        let request = self.http.request(method, format!("{url}{path}")).bearer_auth(OPERATOR_TOKEN);
        let signature = sign(WEBHOOK_SECRET, body.as_bytes());
        let request = request.header("x-pagerduty-signature", signature).body(body.to_owned());
        let answer = request.timeout(Duration::from_secs(10)).send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, serde_json::from_str(&answer.text().await.ok()?).ok()?))
    }

    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        self.ask("GET", path, "").await.filter(|(status, _)| *status == 200).map(|(_, body)| body)
    }

    /// Sends a webhook as PagerDuty does: again and again, the same event, until it is accepted.
    pub(crate) async fn webhook(&self, body: &str) {
        until("the webhook to be accepted", async || {
            self.ask("POST", "/webhooks/pagerduty", body).await.filter(|(status, _)| *status == 202)
        })
        .await;
    }

    /// The runs of an alert, newest first; `None` while it does not answer.
    pub(crate) async fn runs(&self, alert: &str) -> Option<Vec<Value>> {
        self.get(&format!("/api/runs?incident_id={alert}")).await?["runs"].as_array().cloned()
    }
}

/// Counts a SQLite database's commits from outside: its WAL index says how many there were.
struct Commits<'a> {
    index: &'a Path,
    before: u64,
    last: u64,
}

/// Where the WAL index has its count of commits (`iChange`, <https://www.sqlite.org/walformat.html>).
const COMMITS_AT: u64 = 8;

impl<'a> Commits<'a> {
    fn of(index: &'a Path) -> Self {
        Self { index, before: 0, last: 0 }
    }

    fn so_far(&mut self) -> u64 {
        let mut count = [0; 4];
        if File::open(self.index).is_ok_and(|file| file.read_exact_at(&mut count, COMMITS_AT).is_ok()) {
            let now = u64::from(u32::from_ne_bytes(count));
            // The last connection's end removes the index; the next begins a new one.
            if now < self.last {
                self.before += self.last;
            }
            self.last = now;
        }
        self.before + self.last
    }
}

/// A number that several workers count on.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// The next, from 1.
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn at_least(&self, n: u64) {
        self.0.fetch_max(n, Ordering::SeqCst);
    }

    pub(crate) fn so_far(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
