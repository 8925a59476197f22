//! The store on a real SQLite file, with a clock that is moved by hand.

use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::clock::{ManualClock, Source};
use crate::run::{AlertIncident, State, Trigger};

mod accepting;
mod keeping;
mod leases;
mod opening;
mod paging;
mod viewing;
mod wishes;

struct Disk {
    clock: Arc<ManualClock>,
    store: Store,
    folder: TempDir,
}

impl Disk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at("2026-08-20T03:00:00Z".parse().unwrap());
        let store = Store::open(&url(&folder), clock.clone()).await.unwrap();
        Self { clock, store, folder }
    }

    /// Another process on the same database, as PostgreSQL will have it.
    fn other(&self) -> Store {
        Store { owner: self.clock.id().into(), ..self.store.clone() }
    }

    /// The process ends, another begins.
    async fn restarted(self) -> Self {
        let Self { clock, store, folder } = self;
        store.pool.close().await;
        drop(store);
        let store = Store::open(&url(&folder), clock.clone()).await.unwrap();
        Self { clock, store, folder }
    }

    async fn run(&self, incident_id: &str) -> String {
        match self.store.create_run(&run_of(incident_id), None).await.unwrap() {
            Created::Run(id) => id,
            other => panic!("{other:?}"),
        }
    }

    async fn state(&self, run_id: &str) -> State {
        self.store.run(run_id).await.unwrap().unwrap().state
    }

    async fn count(&self, table: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let (count,): (i64,) = sqlx::query_as(sql).fetch_one(&self.store.pool).await.unwrap();
        count
    }
}

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("test.db").display())
}

fn run_of(incident_id: &str) -> NewRun {
    NewRun {
        incident: Some(AlertIncident {
            id: incident_id.into(),
            number: 1,
            title: "All SE endpoints down in prod-us-south".into(),
            html_url: "https://x".into(),
        }),
        region: "prod-us-south".parse().unwrap(),
        trigger: Trigger::Webhook,
        again: false,
        alert_at: None,
    }
}

fn of_region(region: &str) -> NewRun {
    NewRun { incident: None, region: region.parse().unwrap(), trigger: Trigger::Rerun, again: true, alert_at: None }
}

#[track_caller]
fn lost<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::LeaseLost)), "{result:?}");
}
