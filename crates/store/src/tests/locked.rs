//! A database that takes no writes for a while. (How a full disk is borne is told in `tests/it/storage.rs`.)

use sqlx::{AnyConnection, Connection as _};

use super::*;

#[tokio::test]
async fn a_locked_database_takes_nothing_says_so_and_recovers() {
    let disk = Disk::new().await;
    let stop = tokio_util::sync::CancellationToken::new();
    let mut other = AnyConnection::connect(&url(&disk.folder)).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let event = || NewEvent { id: "E1", event_type: "incident.triggered", incident_id: Some("Q1"), body: "{}" };
    let error = disk.store.accept(event(), Ok(run_of("Q1").into())).await.unwrap_err();
    disk.store.trouble("storing a webhook", &error);
    assert!(disk.store.ping().await.unwrap_err().to_string().contains("takes no writes"));
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    let watching = tokio::spawn(watch_health(disk.store.clone(), stop.clone()));
    while disk.store.ping().await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(disk.store.accept(event(), Ok(run_of("Q1").into())).await.unwrap(), Accepted::Run(_)));
    stop.cancel();
    watching.await.unwrap();
}

/// Webhooks go first: who tries to write now and then mostly may at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_much_is_pruned_the_database_is_mostly_free_for_others() {
    const DAY: Duration = Duration::from_secs(86_400);
    const EVENTS: usize = 600;
    let disk = Disk::new().await;
    let mut other = AnyConnection::connect(&url(&disk.folder)).await.unwrap();
    sqlx::query("BEGIN").execute(&mut other).await.unwrap();
    for n in 0..EVENTS {
        sqlx::query(
            "INSERT INTO webhooks (event_id, event_type, received_at, outcome, body) VALUES ($1, 'x', 0, 'ignored', $2)",
        )
        .bind(format!("E{n}"))
        .bind("x".repeat(4000))
        .execute(&mut other)
        .await
        .unwrap();
    }
    sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    sqlx::query("PRAGMA busy_timeout = 0").execute(&mut other).await.unwrap();
    let store = disk.store.clone();
    let pruning = tokio::spawn(async move { store.prune(store.clock.now(), DAY * 90).await.unwrap() });
    let (mut tried, mut free) = (0, 0);
    while !pruning.is_finished() {
        tried += 1;
        if sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.is_ok() {
            free += 1;
            sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(pruning.await.unwrap(), EVENTS as u64);
    assert!(free * 2 > tried && tried > 20, "{free} of {tried}");
}
