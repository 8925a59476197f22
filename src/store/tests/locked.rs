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
