//! The database as a file: on a disk that is full for a while, locked, damaged, in use.

use outbound::clock::SystemClock;
use se_responder::commands::serve::Service;
use se_responder::config::{Config, Environment};
use serde_json::json;
use simulators::pagerduty::Setup;
use simulators::world::{OPERATOR_TOKEN, World};
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};
use tokio::net::TcpStream;

use crate::harness::{QUICK, Stage, free_address, quick, settings_of, told, until};
use crate::process::{Process, run};

#[tokio::test]
async fn a_full_disk_is_a_503_the_service_goes_on_and_recovers() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let settings = settings_of(&world, QUICK);
    let process = Process::serve_within_limits(&settings).await;
    let ready = async || process.front.get_as("", "/readyz").await;
    ready().await.is(200);
    process.limit("1024").await;
    let refused = process.front.signed(&world.pagerduty.webhook_body("incident.triggered", &world.alert)).await;
    refused.is_problem(503);
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    // Who asks again at once may get the last answer.
    until("it to be unready", async || (ready().await.status == 503).then_some(())).await;
    ready().await.is_problem(503);
    process.front.get_as("", "/healthz").await.is(200);
    let said = process.said();
    assert_eq!(said.matches("THE DATABASE TAKES NO WRITES").count(), 1, "{said}");

    process.limit("unlimited").await;
    until("the service to be ready again", async || (ready().await.status == 200).then_some(())).await;
    let accepted = process.front.signed(&world.pagerduty.webhook_body("incident.triggered", &world.alert)).await;
    assert_eq!(accepted.status, 202, "{}", process.said());
    assert_eq!(accepted.word(), "accepted");
    assert_eq!(process.front.end_of(&world.alert).await["state"], json!("done"));
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_left_as_it_is() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kept.db");
    let mut settings = settings_of(&world, QUICK);
    settings.push(("DATABASE_URL".into(), format!("sqlite://{}", path.display())));
    let process = Process::serve(&settings).await;
    process.front.signed(&world.pagerduty.webhook_body("incident.triggered", &world.alert)).await.is(202);
    process.front.end_of(&world.alert).await;
    process.terminate();
    let mut process = process;
    assert_eq!(process.ended().await, Some(0), "{}", process.said());
    // Its header, its first page and its length are as they were.
    let mut damaged = std::fs::read(&path).expect("the database");
    assert!(damaged.len() > 16 * 4096, "{}", damaged.len());
    damaged[4096 * 2..4096 * 12].fill(0x5a);
    std::fs::write(&path, &damaged).expect("damaged");
    let refused = run(&["serve"], &settings, "").await;
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("kept.db"), "{}", refused.stderr);
    assert!(std::fs::read(&path).expect("the database") == damaged, "it was written to");
}

/// A start must not take the longer the more there is.
#[tokio::test]
async fn damage_that_a_start_does_not_see_is_found_by_doctor() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kept.db");
    let mut settings = settings_of(&world, QUICK);
    settings.push(("DATABASE_URL".into(), format!("sqlite://{}", path.display())));
    let mut process = Process::serve(&settings).await;
    for n in 0..60 {
        let padding = "x".repeat(4000);
        let event =
            json!({"id": format!("E{n}"), "event_type": "pagey.ping", "data": {"type": "ping", "message": padding}});
        process.front.signed(&json!({"event": event}).to_string()).await.is(202);
    }
    process.terminate();
    assert_eq!(process.ended().await, Some(0), "{}", process.said());
    // In the midst of the events: neither the first nor the last.
    let mut damaged = std::fs::read(&path).expect("the database");
    let middle = damaged.windows(4).position(|bytes| bytes == b"\"E30").expect("an event");
    let page = middle / 4096 * 4096;
    damaged[page..page + 64].fill(0x5a);
    std::fs::write(&path, &damaged).expect("damaged");
    let doctor = run(&["doctor"], &settings, "").await;
    assert_eq!(doctor.code, Some(1), "{}", doctor.stdout);
    assert!(doctor.stdout.contains("is damaged"), "{}", doctor.stdout);

    // It works on what is whole.
    let process = Process::serve(&settings).await;
    process.front.signed(&world.pagerduty.webhook_body("incident.triggered", &world.alert)).await.is(202);
    assert_eq!(process.front.end_of(&world.alert).await["state"], json!("done"));
}

/// lifecycle.md#the-page: what was answered by a 503 pages nobody, and what is asked for again pages once. The database refuses the
/// wish itself, or what is kept with it.
#[tokio::test]
async fn an_escalation_that_can_not_be_stored_pages_nobody_and_asked_for_again_once() {
    for table in ["pages", "record"] {
        let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
        let run = stage.diagnosed().await;
        let note = stage.world.pagerduty.annotate(&stage.world.alert, Setup::ENGINEER, "/hold").expect("a note");
        stage.front.signed(&stage.world.pagerduty.annotated_body(&stage.world.alert, &note.id)).await.is(202);
        let shown = async || stage.front.run(run["id"].as_str().expect("an id")).await;
        let held = until("the hold", async || {
            let by = shown().await["alert"]["held_by"].clone();
            by.is_string().then_some(by)
        })
        .await;
        let file = format!("sqlite://{}", stage.world.path("se-responder.db").display());
        let mut other = SqliteConnection::connect(&file).await.expect("the database");
        other.execute("PRAGMA busy_timeout = 10000").await.expect("patience");
        let refuse = format!("CREATE TRIGGER no BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'it refuses'); END");
        other.execute(AssertSqlSafe(refuse)).await.expect("a trigger");
        let escalate = async || stage.front.post("/escalate", &stage.this_alert()).await;
        for _ in 0..2 {
            escalate().await.is_problem(503);
        }
        other.execute("DROP TRIGGER no").await.expect("none");
        let now = shown().await;
        assert_eq!(now["escalation"]["state"], "suggested", "{table}: nothing of it is kept");
        assert_eq!(now["alert"]["held_by"], held, "{table}: nor does it lift the hold");
        assert!(stage.world.pagerduty.pages().is_empty(), "{table}");
        until("it to be taken", async || (escalate().await.status == 202).then_some(())).await;
        until("the page", async || (escalate().await.status == 409).then_some(())).await;
        assert_eq!(stage.world.pagerduty.pages().len(), 1, "{table}");
        assert!(shown().await["alert"]["held_by"].is_null(), "{table}");
    }
}

/// Everything would seem to be kept, and be gone with the process.
#[tokio::test]
async fn a_database_file_that_is_deleted_under_the_service_is_a_503_and_once_it_is_back_nothing_is_lost() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let settings = settings_of(&world, QUICK);
    let file = world.path("se-responder.db");
    let away = world.path("elsewhere.db");
    let process = Process::serve(&settings).await;
    process.front.signed(&world.pagerduty.webhook_body("incident.triggered", &world.alert)).await.is(202);
    process.front.end_of(&world.alert).await;

    std::fs::rename(&file, &away).expect("moved");
    let body = world.pagerduty.webhook_body("incident.resolved", &world.alert);
    let refused = process.front.signed(&body).await;
    refused.is_problem(503);
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    let ready = process.front.get_as("", "/readyz").await;
    ready.is_problem(503);
    assert!(ready.body["detail"].as_str().is_some_and(|d| d.contains("deleted or moved while in use")), "{ready:?}");
    process.front.get_as("", "/healthz").await.is(200);
    process.front.post_as(OPERATOR_TOKEN, "/rerun", &json!({"region": "prod-us-south"}), None).await.is_problem(503);
    until("it to be said", async || process.said().contains("THE DATABASE TAKES NO WRITES").then_some(())).await;
    assert!(process.said().contains("se-responder.db"), "{}", process.said());

    std::fs::rename(&away, &file).expect("put back");
    assert_eq!(process.front.signed(&body).await.is(202).word(), "accepted");
    until("the service to be ready again", async || {
        (process.front.get_as("", "/readyz").await.status == 200).then_some(())
    })
    .await;
    process.kill().await;
    let process = Process::serve(&settings).await;
    assert_eq!(process.front.runs_of(&world.alert).await.len(), 1);
    assert_eq!(process.front.signed(&body).await.is(202).word(), "duplicate");
}

/// What is newest stands in a file beside it, which a clean-up may take for a leftover.
#[tokio::test]
async fn what_was_stored_outlives_a_deleted_log_and_a_kill() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let settings = settings_of(&world, QUICK);
    let process = Process::serve(&settings).await;
    process.front.signed(&world.pagerduty.webhook_body("incident.triggered", &world.alert)).await.is(202);
    let run = process.front.end_of(&world.alert).await;
    // The note is edited once the page is open.
    told(&process.front, &world, &run).await;
    let run = process.front.end_of(&world.alert).await;
    for suffix in ["wal", "shm"] {
        std::fs::remove_file(world.path(&format!("se-responder.db-{suffix}"))).expect("deleted");
    }
    let body = world.pagerduty.webhook_body("incident.acknowledged", &world.alert);
    process.front.signed(&body).await.is_problem(503);
    let file = world.path("se-responder.db");
    until("it to be saved", async || process.said().contains("is saved in the database file itself").then_some(()))
        .await;
    process.front.get_as("", "/readyz").await.is_problem(503);
    process.kill().await;
    assert!(file.exists());
    let process = Process::serve(&settings).await;
    let kept = process.front.run(run["id"].as_str().expect("an id")).await;
    assert_eq!((&kept["diagnosis"], &kept["note"]), (&run["diagnosis"], &run["note"]));
    process.front.signed(&body).await.is(202);
}

#[tokio::test]
async fn a_second_process_on_the_same_file_is_refused() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let settings = settings_of(&world, QUICK);
    let process = Process::serve(&settings).await;
    let second = run(&["serve"], &settings, "").await;
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(second.stderr.contains("another process uses the database"), "{}", second.stderr);
    process.front.get_as("", "/readyz").await.is(200);
}

#[tokio::test]
async fn what_cannot_be_stored_is_a_503_and_taken_when_it_is_sent_again() {
    let stage = Stage::quick(&[]).await;
    let body = stage.world.pagerduty.webhook_body("incident.triggered", &stage.world.alert);
    let file = format!("sqlite://{}", stage.world.path("se-responder.db").display());
    let mut other = SqliteConnection::connect(&file).await.expect("a connection");
    other.execute("BEGIN EXCLUSIVE").await.expect("a lock");
    let answer = stage.front.signed(&body).await;
    answer.is_problem(503);
    assert!(answer.headers["retry-after"].to_str().is_ok_and(|s| s.parse::<u32>().is_ok()), "{answer:?}");
    other.execute("ROLLBACK").await.expect("unlocked");
    // Where the lock is gone in the moment of the answer it may be stored after all: then it is taken for the same.
    let word = stage.front.signed(&body).await.is(202).word().to_owned();
    assert!(["accepted", "duplicate"].contains(&word.as_str()), "{word}");
    stage.front.end_of(&stage.world.alert).await;
    assert_eq!(stage.front.runs_of(&stage.world.alert).await.len(), 1, "one event, one run");
}

#[tokio::test]
async fn nothing_listens_before_it_is_ready() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let address = free_address();
    let settings = settings_of(&world, &[("LISTEN_ADDR", &address)]);
    let file = world.path("se-responder.db");
    let mut other = SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", file.display())).await.expect("it");
    other.execute("BEGIN EXCLUSIVE").await.expect("a lock");
    let config = Config::load(&Environment::of(settings)).expect("good settings");
    let preparing = tokio::spawn(Service::prepare(config, SystemClock::shared()));
    // It has come as far as the database, and waits for it.
    let lock = world.path("se-responder.db.lock");
    until("the service's lock", async || lock.exists().then_some(())).await;
    assert!(TcpStream::connect(&address).await.is_err(), "an early 404 would count against the subscription");
    other.execute("ROLLBACK").await.expect("unlocked");
    let _service = preparing.await.expect("no panic").expect("a service");
    assert!(TcpStream::connect(&address).await.is_ok());
}
