//! Alerts of before they had ids of their own (migration 270).

use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, Connection as _};

use super::*;
use crate::migrations::MIGRATIONS;

/// A database as the version before left it, with these rows.
async fn older(url: &str, rows: &[&'static str]) {
    sqlx::any::install_default_drivers();
    let made = if url.starts_with("sqlite") { format!("{url}?mode=rwc") } else { url.to_owned() };
    let mut connection = AnyConnection::connect(&made).await.unwrap();
    let before = MIGRATIONS.iter().filter(|migration| migration.version < 270).cloned().collect();
    let before = Migrator { migrations: std::borrow::Cow::Owned(before), ..Migrator::DEFAULT };
    before.run_direct(None, &mut connection, false).await.unwrap();
    for row in rows {
        sqlx::query(*row).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn alerts_that_were_merged_come_over_as_one_with_all_its_runs_and_one_of_them_active() {
    let (_folder, url) = Disk::place();
    let rows = [
        "INSERT INTO alerts (incident_id, alert_id, region, triggered_at, resolved_at, held_by, follow_ups) VALUES
         ('QA', 'QB', 'prod-us-south', 1, 5, NULL, 0), ('QB', 'QB', 'prod-us-south', 2, NULL, 'Olivia', 1),
         ('QC', 'QC', 'prod-eu-de', 3, 4, NULL, 2), ('QD', 'QGONE', 'prod-eu-de', 6, 7, NULL, 0)",
        "INSERT INTO runs (id, incident_id, region, triggered_by, state, created_at) VALUES
         ('r1', 'QA', 'prod-us-south', 'webhook', 'running', 1), ('r2', 'QB', 'prod-us-south', 'webhook', 'queued', 2),
         ('r3', 'QC', 'prod-eu-de', 'webhook', 'done', 3), ('r4', NULL, 'prod-eu-de', 'rerun', 'queued', 4),
         ('r5', 'QFORGOTTEN', 'prod-eu-de', 'webhook', 'done', 5)",
        "INSERT INTO work (key, kind, due_at, set_at) VALUES
         ('run/r1', 'run', 1, 1), ('run/r2', 'run', 1, 1), ('run/r4', 'run', 1, 1)",
    ];
    older(&url, &rows).await;
    let store = Store::open(&url, ManualClock::at("2026-08-20T03:00:00Z".parse().unwrap())).await.unwrap();
    let alert = async |id: &str| store.alert(id).await.unwrap().expect(id);
    let both = alert("QA").await;
    assert_eq!(both, alert("QB").await);
    assert_eq!((both.incident_id.as_str(), both.held_by.as_deref(), both.follow_ups), ("QB", Some("Olivia"), 1));
    assert_eq!(both.resolved_at, None);
    let other = alert("QC").await;
    assert_eq!((other.incident_id.as_str(), other.follow_ups, other.resolved_at.is_some()), ("QC", 2, true));
    assert_eq!(alert("QD").await.incident_id, "QGONE", "what it was merged into is known by it alone");
    assert_eq!(alert("QFORGOTTEN").await.region.as_str(), "prod-eu-de");

    let ids = async |incident_id: &str| -> Vec<(String, State)> {
        store.last_runs(incident_id, None).await.unwrap().into_iter().map(|run| (run.id, run.state)).collect()
    };
    assert_eq!(ids("QA").await, [("r2".to_owned(), State::Queued), ("r1".to_owned(), State::Cancelled)]);
    assert_eq!(ids("QFORGOTTEN").await, [("r5".to_owned(), State::Done)]);
    let (first, second) = (store.claim_run().await.unwrap().unwrap(), store.claim_run().await.unwrap().unwrap());
    assert_eq!([first.run_id(), second.run_id()], ["r2", "r4"]);
    assert!(store.claim_run().await.unwrap().is_none(), "that of the alert merged away is not worked on");
}
