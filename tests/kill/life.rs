//! The service's life in a test: processes that are struck from where an upstream or a database sees them, and go on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use outbound::http::http_client;
use serde_json::Value;
use simulators::pagerduty::sign;
use simulators::postgres::Postgres;
use simulators::tap::{Moment, Then, Watcher};
use simulators::world::{OPERATOR_TOKEN, WEBHOOK_SECRET, World};

use crate::commits::Commits;
use crate::harness::{Signal, owned, until_within};
use crate::replica::{Replica, Victim};
use crate::wire;

/// How often commits are looked for: well below the time of a commit, which waits for the disk.
const LOOK_FOR_COMMITS: Duration = Duration::from_micros(100);
/// The longest that a story waits for anything: several claims of dead processes may have to run out first.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// Waits until `look` gives something: often at first, then less so, since many lives wait side by side for half a minute
/// and each look costs the service some queries.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_or_say(what, look, String::new).await
}

/// The same, and says `more` where it waited in vain.
pub(crate) async fn until_or_say<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
    more: impl Fn() -> String,
) -> T {
    let mut pause = Duration::from_millis(10);
    let waited = tokio::time::timeout(
        PATIENCE,
        until_within(PATIENCE * 2, what, async || {
            let found = look().await;
            if found.is_none() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(300));
            }
            found
        }),
    );
    waited.await.unwrap_or_else(|_| panic!("waited in vain for {what}\n{}", more()))
}

/// On which database, with how many processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum On {
    Sqlite,
    Postgres,
    /// Two replicas share it.
    Replicas,
}

/// When a process is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Never,
    /// At the n-th thing that an upstream sees.
    Sighting(u64),
    /// At the n-th thing that is seen of commits: on SQLite right after one; on PostgreSQL before one, or when it is done
    /// and not answered.
    Commit(u64),
}

/// What is done to which of the replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// `SIGKILL`; it is started again.
    Kill(usize),
    /// `SIGSTOP` until all is over; then `SIGCONT`.
    Freeze(usize),
}

#[derive(Debug, Default)]
struct Seen {
    at: Option<At>,
    sightings: u64,
    commits: u64,
    last: Option<Instant>,
    struck_at: Option<String>,
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A world, and the service in front of it, whichever processes that is.
pub(crate) struct Life {
    pub(crate) world: World,
    pub(crate) replicas: Vec<Replica>,
    on: On,
    blow: Blow,
    seen: Arc<Mutex<Seen>>,
    http: reqwest::Client,
}

impl Life {
    /// Nothing runs yet. On a runtime of one thread: while a process is struck, nothing else goes on here.
    pub(crate) fn new(world: World, settings: &[(&str, &str)], on: On, blow: Blow) -> Self {
        let mut all = [world.settings(), owned(settings)].concat();
        let folder = world.path("");
        let names: &[_] = if on == On::Replicas { &["a", "b"] } else { &["a"] };
        let database = (on != On::Sqlite).then(|| Postgres::shared().database().expect("a database of its own"));
        if let Some(url) = &database {
            let (start, _) = url.split_once("?host=").expect("a socket's folder");
            all.push(("DATABASE_URL".into(), format!("{start}?host={}", folder.display())));
        }
        let life = Self {
            replicas: names.iter().map(|name| Replica::new(name, &folder, &all)).collect(),
            on,
            blow,
            seen: Arc::default(),
            http: http_client().expect("a client"),
            world,
        };
        let watcher = life.watcher();
        life.world.tap.watch(Arc::clone(&watcher));
        if database.is_some() {
            wire::watch(&folder, &Postgres::shared().socket(), watcher);
        }
        life
    }

    /// From now on is counted, until it is time to strike.
    pub(crate) fn arm(&self, at: At) {
        *lock(&self.seen) = Seen { at: Some(at), ..Seen::default() };
        if let (On::Sqlite, At::Commit(n)) = (self.on, at) {
            self.strike_after_commit(n);
        }
    }

    /// Whether all are there; whoever is not is started.
    pub(crate) fn all_listen(&self) -> bool {
        self.replicas.iter().filter_map(Replica::url).count() == self.replicas.len()
    }

    fn victim(&self) -> Arc<Victim> {
        let (Blow::Kill(n) | Blow::Freeze(n)) = self.blow;
        Arc::clone(&self.replicas[n].victim)
    }

    fn watcher(&self) -> Watcher {
        let (victim, seen, blow) = (self.victim(), Arc::clone(&self.seen), self.blow);
        Arc::new(move |sighting| {
            let due = {
                let mut seen = lock(&seen);
                let commit = sighting.upstream == "postgres";
                if commit {
                    seen.commits += 1;
                } else {
                    seen.sightings += 1;
                    seen.last = Some(Instant::now());
                }
                // A victim that does not run yet is struck as soon as it does.
                seen.struck_at.is_none()
                    && match seen.at {
                        None | Some(At::Never) => false,
                        Some(At::Sighting(n)) => !commit && seen.sightings >= n,
                        Some(At::Commit(n)) => commit && seen.commits >= n,
                    }
            };
            if !due || !strike(&victim, blow) {
                return Then::GoOn;
            }
            lock(&seen).struck_at = Some(format!("{sighting:?}"));
            // What was begun is lost with a dead process; what was whole takes effect, though nobody is left to hear of it.
            let lost = matches!(blow, Blow::Kill(_)) && sighting.moment == Moment::RequestBegun;
            if lost { Then::Lose } else { Then::GoOn }
        })
    }

    fn strike_after_commit(&self, n: u64) {
        let (victim, seen, blow) = (Arc::downgrade(&self.victim()), Arc::clone(&self.seen), self.blow);
        let mut commits = Commits::of(self.world.path("se-responder.db-shm"));
        std::thread::spawn(move || {
            while let Some(victim) = victim.upgrade() {
                if commits.so_far() >= n && strike(&victim, blow) {
                    lock(&seen).struck_at = Some(format!("commit {n}"));
                    return;
                }
                drop(victim);
                std::thread::sleep(LOOK_FOR_COMMITS);
            }
        });
    }

    pub(crate) fn struck_at(&self) -> Option<String> {
        lock(&self.seen).struck_at.clone()
    }

    /// How much the upstreams have seen so far.
    pub(crate) fn sightings(&self) -> u64 {
        lock(&self.seen).sightings
    }

    /// How much was seen of commits so far, the migrations of a new database included.
    pub(crate) fn commits(&self) -> u64 {
        match self.on {
            On::Sqlite => Commits::of(self.world.path("se-responder.db-shm")).so_far(),
            On::Postgres | On::Replicas => lock(&self.seen).commits,
        }
    }

    /// All that its processes have logged.
    pub(crate) fn said(&self) -> String {
        self.replicas.iter().map(Replica::said).collect()
    }

    /// Who was frozen wakes.
    pub(crate) fn thaw(&self) -> bool {
        matches!(self.blow, Blow::Freeze(_)) && self.struck_at().is_some() && self.victim().signal(Signal::CONT)
    }

    /// Until nothing was asked of any upstream for so long.
    pub(crate) async fn silence(&self, length: Duration) {
        let began = Instant::now();
        until("silence", async || {
            // Whoever is dead is started again by being asked.
            self.runs(&self.world.alert).await?;
            let last = lock(&self.seen).last.map_or(began, |last| last.max(began));
            (last.elapsed() >= length).then_some(())
        })
        .await;
    }

    /// One request to whoever answers; `None` where nobody did: it may have been killed.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
        // All that are dead are started again, whoever is asked.
        let urls: Vec<_> = self.replicas.iter().map(Replica::url).collect();
        let frozen = match self.blow {
            Blow::Freeze(n) if self.struck_at().is_some() => Some(n),
            _ => None,
        };
        let living = urls.into_iter().enumerate().filter(|(n, _)| Some(*n) != frozen);
        let url = living.filter_map(|(_, url)| url).next()?;
        ask(&self.http, method, &format!("{url}{path}"), body).await
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

/// One request, signed and with an operator's token; `None` without a whole answer in JSON within 5 s.
pub(crate) async fn ask(http: &reqwest::Client, method: &str, url: &str, body: &str) -> Option<(u16, Value)> {
    let request = http.request(method.parse().expect("a method"), url).bearer_auth(OPERATOR_TOKEN);
    let request = request.header("x-pagerduty-signature", sign(WEBHOOK_SECRET, body.as_bytes()));
    let answer = request.body(body.to_owned()).timeout(Duration::from_secs(5)).send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, serde_json::from_str(&answer.text().await.ok()?).ok()?))
}

/// Whether there was one to strike.
fn strike(victim: &Victim, blow: Blow) -> bool {
    match blow {
        Blow::Kill(_) => victim.kill(),
        Blow::Freeze(_) => victim.signal(Signal::STOP),
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
