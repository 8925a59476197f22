use std::time::Instant;

use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, Connection as _};

use super::*;
use crate::migrations;

fn clock() -> Arc<ManualClock> {
    ManualClock::at("2026-08-20T03:00:00Z".parse().unwrap())
}

async fn refused(url: &str) -> String {
    let opening = tokio::time::timeout(Duration::from_secs(30), Store::open(url, clock()));
    match opening.await.expect("an answer") {
        Err(StoreError::Unusable(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_may_start_at_once_on_an_empty_database() {
    let url = Server::shared().database().unwrap();
    let opened = futures::future::join_all((0..6).map(|_| Store::open(&url, clock()))).await;
    let stores: Vec<Store> = opened.into_iter().collect::<Result<_, _>>().unwrap();
    for store in &stores {
        store.ping().await.unwrap();
    }
    // All use it; on SQLite the second would have been refused.
    let Created::Now(Reply::Started(id)) = stores[0].create_run(&run_of("Q1"), None).await.unwrap() else { panic!() };
    assert_eq!(stores[5].claim_run().await.unwrap().unwrap().run_id(), id);
}

/// The server ends a statement that waits for more than 4 s: the start asks again, for 15 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_outlasts_a_server_that_is_busy() {
    let disk = Disk::new().await;
    let mut busy = (*disk.store.pool).begin().await.unwrap();
    sqlx::query("LOCK TABLE work IN ACCESS EXCLUSIVE MODE").execute(&mut *busy).await.unwrap();
    let starts = {
        let (url, clock) = (disk.url.clone(), disk.clock.clone());
        tokio::spawn(async move { Store::open(&url, clock).await })
    };
    let mut watch = AnyConnection::connect(&disk.url).await.unwrap();
    for waits in [true, false] {
        let found = async {
            while waits_for_a_lock(&mut watch).await != waits {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), found).await.expect("it waits, and no more");
    }
    assert!(!starts.is_finished(), "{starts:?}");
    busy.rollback().await.unwrap();
    starts.await.unwrap().unwrap().ping().await.unwrap();
}

async fn waits_for_a_lock(connection: &mut AnyConnection) -> bool {
    let sql = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = 'work'::regclass";
    let (waiting,): (i64,) = sqlx::query_as(sql).fetch_one(connection).await.unwrap();
    waiting > 0
}

#[tokio::test]
async fn a_restart_frees_nothing_that_another_process_may_hold() {
    let disk = Disk::new().await;
    disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    let fresh = Store::open(&disk.url, disk.clock.clone()).await.unwrap();
    let fresh = Store { owner: "fresh".into(), ..fresh };
    assert_eq!(fresh.claim_run().await.unwrap(), None);
    disk.store.renew().await.unwrap();
    disk.clock.jump(LEASE);
    assert_eq!(fresh.claim_run().await.unwrap().unwrap().attempt(), 2);
    lost(disk.store.check_claim(lease.claim()).await);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let disk = Disk::new().await;
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
               VALUES (9999, 'later', true, ''::bytea, 0)";
    sqlx::query(sql).execute(&disk.store.pool).await.unwrap();
    let why = refused(&disk.url).await;
    assert!(why.contains("newer version of se-responder (migration 9999)"), "{why}");
}

#[tokio::test]
async fn what_can_not_be_used_is_named_without_its_password() {
    let socket = Server::shared().socket().parent().unwrap().display().to_string();
    for (url, name) in [
        ("postgres://me:hush@127.0.0.1:1/somewhere".to_owned(), "somewhere on 127.0.0.1:1"),
        (format!("postgres://postgres:hush@localhost/missing?host={socket}"), "missing on /"),
        (format!("postgres://nobody:hush@localhost/postgres?host={socket}"), "postgres on /"),
    ] {
        let why = refused(&url).await;
        assert!(why.contains(name) && why.contains("does it run, and may this user log in"), "{why}");
        assert!(!why.contains("hush"), "{why}");
    }
    let why = refused("postgres://me:hu/sh@host/x").await;
    assert!(why.contains("can't be read") && !why.contains("hu/sh"), "{why}");
}

#[tokio::test]
async fn where_the_server_is_gone_it_fails_soon_and_when_it_is_back_it_goes_on() {
    let server = Server::start().unwrap();
    let store = Store::open(&server.database().unwrap(), clock()).await.unwrap();
    let event = |id| NewEvent { id, event_type: "incident.triggered", incident_id: Some("Q1"), body: "{}" };
    for end in [Server::stop, Server::crash] {
        end(&server).unwrap();
        let asked = Instant::now();
        store.accept(event("E1"), Err("x".into())).await.unwrap_err();
        store.ping().await.unwrap_err();
        assert!(asked.elapsed() < Duration::from_secs(30), "no wait without an end: {:?}", asked.elapsed());
        server.start_again().unwrap();
        // The connections of before are dead; none of them is handed out.
        store.ping().await.unwrap();
    }
    assert_eq!(store.accept(event("E1"), Err("x".into())).await.unwrap(), Accepted::Ignored("x".into()));
    assert_eq!(store.accept(event("E1"), Err("x".into())).await.unwrap(), Accepted::Duplicate);
}

#[tokio::test]
async fn text_from_outside_may_hold_what_postgresql_refuses() {
    let disk = Disk::new().await;
    let event = NewEvent { id: "E\0", event_type: "incident.\0", incident_id: Some("Q\0"), body: "{}" };
    let why = || Err("because of \0".into());
    assert!(matches!(disk.store.accept(event.clone(), why()).await.unwrap(), Accepted::Ignored(_)));
    assert_eq!(disk.store.accept(event, why()).await.unwrap(), Accepted::Duplicate);
    assert_eq!(disk.store.run("\0").await.unwrap(), None);
    let filter = Filter { incident_id: Some("\0".into()), limit: 5, ..Filter::default() };
    assert_eq!(disk.store.runs(&filter).await.unwrap(), []);
}

#[tokio::test]
async fn a_look_neither_makes_nor_migrates_it() {
    let url = Server::shared().database().unwrap();
    for _ in 0..2 {
        let Examined::Present { schema: Schema::Behind(all), read_only: None, name } =
            examine(&url, true).await.unwrap()
        else {
            panic!()
        };
        assert!(all > 3 && !name.contains("postgres://"), "{name}");
    }
    let disk = Disk::new().await;
    let seen = examine(&disk.url, false).await.unwrap();
    assert!(matches!(seen, Examined::Present { schema: Schema::Current, read_only: None, .. }), "{seen:?}");
    sqlx::query("UPDATE _sqlx_migrations SET checksum = ''::bytea WHERE version = 1")
        .execute(&disk.store.pool)
        .await
        .unwrap();
    let seen = examine(&disk.url, false).await.unwrap();
    assert!(
        matches!(&seen, Examined::Present { schema: Schema::Foreign(why), .. } if why.contains("another build")),
        "{seen:?}"
    );
    // A standby says the same.
    let sql = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); \
               END $$";
    sqlx::query(sql).execute(&disk.store.pool).await.unwrap();
    let seen = examine(&disk.url, false).await.unwrap();
    assert!(
        matches!(&seen, Examined::Present { read_only: Some(why), .. } if why.contains("takes no writes")),
        "{seen:?}"
    );
}

/// A database of version 0.1.0, as one of its processes uses it.
async fn older(url: &str) -> AnyConnection {
    sqlx::any::install_default_drivers();
    let mut older = AnyConnection::connect(url).await.unwrap();
    let before = migrations::MIGRATIONS.iter().filter(|migration| migration.version <= 100).cloned().collect();
    let before = Migrator { migrations: std::borrow::Cow::Owned(before), ..Migrator::DEFAULT };
    before.run_direct(None, &mut older, false).await.unwrap();
    older
}

/// Until a statement waits for one of these two tables.
async fn until_it_waits_for_pages_or_runs(url: &str) {
    let mut watching = AnyConnection::connect(url).await.unwrap();
    let waits = async {
        let sql =
            "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation IN ('pages'::regclass, 'runs'::regclass)
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        while sqlx::query_as::<_, (i64,)>(sql).fetch_one(&mut watching).await.unwrap().0 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waits).await.expect("it waits");
}

/// A process of version 0.1.0 takes tables in another order than the migration: one of them is ended by the server, and the
/// migration is made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_migration_that_meets_a_deadlock_is_tried_again() {
    for _ in 0..5 {
        let url = Server::shared().database().unwrap();
        let mut older = older(&url).await;
        for sql in ["BEGIN", "UPDATE runs SET state = state"] {
            sqlx::query(sql).execute(&mut older).await.unwrap();
        }
        let opening = tokio::spawn({
            let url = url.clone();
            async move { Store::open(&url, clock()).await }
        });
        until_it_waits_for_pages_or_runs(&url).await;
        // Who looks for a deadlock while there is one is ended, each a second after it began to wait: the migration, unless this
        // machine did something else for longer.
        let asked = sqlx::query("SELECT COUNT(*) FROM alerts").execute(&mut older).await;
        sqlx::query(if asked.is_ok() { "COMMIT" } else { "ROLLBACK" }).execute(&mut older).await.unwrap();
        opening.await.unwrap().unwrap().ping().await.unwrap();
        if asked.is_ok() {
            return;
        }
    }
    panic!("the migration was never the one that was ended");
}

/// A process of version 0.1.0 is about to commit a page that it wants: the migration waits for it, and finds it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_page_that_is_wanted_while_the_queue_is_made_again_is_taken_up_by_its_alert() {
    let url = Server::shared().database().unwrap();
    let mut older = older(&url).await;
    for sql in [
        "INSERT INTO alerts (incident_id, alert_id, region) VALUES ('Q1', 'Q1', 'prod-us-south')",
        "INSERT INTO runs (id, incident_id, region, triggered_by, state, created_at, due_at)
             VALUES ('r1', 'Q1', 'prod-us-south', 'webhook', 'done', 0, 0)",
        "BEGIN",
        "INSERT INTO pages (incident_id, run_id, requested_at, state, due_at) VALUES ('Q1', 'r1', 0, 'requested', 0)",
    ] {
        sqlx::query(sql).execute(&mut older).await.unwrap();
    }
    let opening = tokio::spawn({
        let url = url.clone();
        async move { Store::open(&url, clock()).await }
    });
    until_it_waits_for_pages_or_runs(&url).await;
    sqlx::query("COMMIT").execute(&mut older).await.unwrap();
    let store = opening.await.unwrap().unwrap();
    let page = store.claim_page().await.unwrap().expect("it is due with its alert");
    assert_eq!(page.incident_id(), "Q1");
}
