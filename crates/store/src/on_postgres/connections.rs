//! Sessions that are of no more use: each is replaced before it costs a request.

use std::process::Command;
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::*;

/// PagerDuty gives up after 5 s; a new connection must be made within that.
const PAGERDUTY_WAITS: Duration = Duration::from_secs(5);

struct There {
    store: Store,
    admin: PgConnection,
    /// How many events were tried.
    tried: usize,
}

impl There {
    /// A store on a database of this server, with several sessions open.
    async fn on(server: &Server) -> Self {
        let url = server.database().unwrap();
        let admin = PgConnection::connect(&url).await.unwrap();
        let clock = ManualClock::at("2026-08-20T03:00:00Z".parse().unwrap());
        let store = Store::open(&url, clock).await.unwrap();
        let mut there = Self { store, admin, tried: 0 };
        there.fill().await;
        there
    }

    /// Opens as many sessions as there may be.
    async fn fill(&mut self) {
        let mut all = Vec::new();
        for _ in 0..self.store.dialect.connections() {
            all.push(self.store.pool.acquire().await.unwrap());
        }
        drop(all);
        // They are given back by tasks of their own.
        while self.store.pool.num_idle() < self.store.dialect.connections() as usize {
            tokio::task::yield_now().await;
        }
    }

    async fn accept(&mut self) -> Result<Accepted, StoreError> {
        self.tried += 1;
        let id = format!("E{}", self.tried);
        let event = NewEvent { id: &id, event_type: "incident.triggered", incident_id: None, body: "{}" };
        self.store.accept(event, Err("x".into())).await
    }

    async fn admin(&mut self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut self.admin).await.unwrap();
    }

    async fn name(&mut self) -> String {
        let (name,): (String,) =
            sqlx::query_as("SELECT current_database()::text").fetch_one(&mut self.admin).await.unwrap();
        name
    }

    /// The server's processes behind the store's sessions.
    async fn behind(&mut self) -> Vec<i32> {
        let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sqlx::query_scalar(sql).fetch_all(&mut self.admin).await.unwrap()
    }

    async fn end_sessions(&mut self) {
        self.admin(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    }

    /// From here on everything is taken, whichever session it would have come to; how long the slowest took.
    async fn takes_all(&mut self) -> Duration {
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            let asked = Instant::now();
            self.accept().await.unwrap();
            longest = longest.max(asked.elapsed());
        }
        longest
    }
}

#[tokio::test]
async fn sessions_that_only_read_are_replaced_once_new_ones_may_write() {
    let mut there = There::on(Server::shared()).await;
    let name = there.name().await;
    there.admin(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    there.end_sessions().await;
    for _ in 0..3 {
        there.accept().await.unwrap_err();
    }
    // Reading goes on meanwhile, by as many sessions as there may be.
    there.fill().await;
    there.store.ping().await.unwrap();
    there.admin(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
    there.takes_all().await;
}

/// Some of them only, as where a proxy in front of two servers has changed its mind.
#[tokio::test]
async fn one_session_of_many_that_only_reads_costs_no_request() {
    let mut there = There::on(Server::shared()).await;
    for _ in 0..2 {
        let mut one = there.store.pool.acquire().await.unwrap();
        sqlx::query("SET default_transaction_read_only = on").execute(&mut *one).await.unwrap();
    }
    there.takes_all().await;
}

#[tokio::test]
async fn a_hot_standby_that_is_promoted_is_written_to() {
    let server = Server::start().unwrap();
    let mut there = There::on(&server).await;
    let url = server.url_of(&there.name().await);
    server.become_standby().unwrap();
    there.admin = PgConnection::connect(&url).await.unwrap();
    for _ in 0..3 {
        there.accept().await.unwrap_err();
    }
    there.store.ping().await.unwrap();
    there.admin("SELECT pg_promote()").await;
    there.takes_all().await;
}

#[tokio::test]
async fn after_a_restart_of_the_server_no_request_meets_a_dead_session() {
    let server = Server::start().unwrap();
    let mut there = There::on(&server).await;
    for end in [Server::stop, Server::crash] {
        there.fill().await;
        end(&server).unwrap();
        server.start_again().unwrap();
        there.takes_all().await;
    }
}

/// As behind a proxy or an address that moved: the old sessions live, and nothing ever answers in them; new ones do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_hang_are_replaced_within_the_time_of_one_webhook() {
    let server = Server::start().unwrap();
    let mut there = There::on(&server).await;
    let frozen = Frozen::all(there.behind().await);
    let longest = there.takes_all().await;
    assert!(longest < PAGERDUTY_WAITS, "{longest:?}");
    drop(frozen);
}

/// What asks when they begin to hang is not kept for good, nor are its places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hangs_midway_ends_and_leaves_its_place() {
    let server = Server::start().unwrap();
    let mut there = There::on(&server).await;
    let places = there.store.dialect.connections();
    let mut asking = Vec::new();
    let frozen = {
        // Begun before they hang: each has a session of its own, which answers no more.
        let mut held = Vec::new();
        for _ in 0..places {
            held.push(there.store.pool.acquire().await.unwrap());
        }
        let frozen = Frozen::all(there.behind().await);
        for mut session in held {
            let store = there.store.clone();
            asking.push(tokio::spawn(async move {
                let asked = sqlx::query("SELECT 1").execute(&mut *session);
                let error = store.in_time(async { asked.await.map_err(failed("asking")) }).await.map(drop);
                assert!(matches!(error, Err(StoreError::Slow)), "{error:?}");
            }));
        }
        frozen
    };
    for asked in asking {
        tokio::time::timeout(Duration::from_secs(60), asked).await.expect("an end").unwrap();
    }
    let taken = async {
        while there.accept().await.is_err() {}
        there.takes_all().await;
    };
    tokio::time::timeout(Duration::from_secs(60), taken).await.expect("places for new sessions");
    drop(frozen);
}

/// Processes of the server's that stand still; they go on when this is dropped.
struct Frozen(Vec<i32>);

impl Frozen {
    fn all(processes: Vec<i32>) -> Self {
        assert!(!processes.is_empty());
        signal("-STOP", &processes);
        Self(processes)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("-CONT", &self.0);
    }
}

fn signal(name: &str, processes: &[i32]) {
    let ids = processes.iter().map(ToString::to_string);
    // One that has ended meanwhile needs none.
    let _ = Command::new("kill").arg(name).args(ids).status().unwrap();
}

/// Each of these begins a round of what goes on for good: one that hangs forever would end that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_round_of_what_goes_on_for_good_hangs_with_its_session() {
    let server = Server::start().unwrap();
    let mut there = There::on(&server).await;
    // They wait for these tables when they are frozen: what they wait for never comes.
    there.admin("BEGIN").await;
    there.admin("LOCK TABLE runs, canary, webhooks, service_time IN ACCESS EXCLUSIVE MODE").await;
    let store = there.store.clone();
    let [early_words, canary, prune, time] = [(); 4].map(|()| store.clone());
    let rounds: [(&str, BoxFuture<'static, Result<(), StoreError>>); 4] = [
        ("early words", async move { early_words.early_words_due(Duration::ZERO).await.map(drop) }.boxed()),
        ("the canary", async move { canary.canary().await.map(drop) }.boxed()),
        ("pruning", async move { prune.prune(prune.clock.now(), Duration::ZERO).await.map(drop) }.boxed()),
        ("service time", async move { time.keep_time_once().await }.boxed()),
    ];
    let rounds = rounds.map(|(name, round)| (name, tokio::spawn(round)));
    let waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    loop {
        let (waiting,): (i64,) = sqlx::query_as(waits).fetch_one(&mut there.admin).await.unwrap();
        if waiting == 4 {
            break;
        }
    }
    let frozen = Frozen::all(there.behind().await);
    there.admin("COMMIT").await;
    let mut hang = Vec::new();
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    for (name, round) in rounds {
        match tokio::time::timeout_at(until, round).await.map(Result::unwrap) {
            Ok(ended) => assert!(matches!(ended, Err(StoreError::Slow)), "{name}: {ended:?}"),
            Err(_) => hang.push(name),
        }
    }
    assert!(hang.is_empty(), "{hang:?}");
    // What comes next is done by other sessions.
    store.early_words_due(Duration::ZERO).await.unwrap();
    drop(frozen);
}
