//! The database as a file: on a disk that is full for a while, locked, damaged, in use.

use se_responder::clock::SystemClock;
use se_responder::commands::serve::Service;
use se_responder::config::{Config, Environment};
use se_responder::sim::world::World;
use serde_json::json;
use sqlx::{Connection, Executor, SqliteConnection};
use tokio::net::TcpStream;

use crate::harness::{QUICK, Stage, free_address, quick, settings_of, until};
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
    process.terminate().await;
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
    assert_eq!(stage.front.signed(&body).await.is(202).word(), "accepted", "nothing of it was stored before");
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
