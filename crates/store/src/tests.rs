//! The store on a real SQLite file, with a clock that is moved by hand; the same on PostgreSQL: [`super::on_postgres`].

use std::marker::PhantomData;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use outbound::clock::Source;
use runbook::life::{Beside, Input, Reply, Why};
use runbook::run::{AlertIncident, State, Trigger};
use simulators::clock::ManualClock;

mod accepting;
mod beside;
mod brought_over;
mod builds;
mod due;
mod early_words;
mod file;
mod good_readings;
mod ingest;
mod keeping;
mod leases;
mod lists;
mod locked;
mod made;
mod merging;
mod opening;
mod operator_actions;
mod page_openings;
mod paging;
mod past_alerts;
mod past_plans;
mod plans;
mod rate_limit;
mod reopening;
mod seeing;
mod telling;
mod time;
mod unreadable;
mod viewing;
mod waiting;
mod way_in;
mod writes;

/// Which database a test's [`DiskOn`] is on.
pub(super) trait Engine {
    /// A new one.
    fn url(folder: &TempDir) -> String;
    /// Keeps runs from being stored.
    const FULL: &'static str;
    /// Ends that.
    const ROOM: &'static str;
}

pub(super) struct Sqlite;

impl Engine for Sqlite {
    fn url(folder: &TempDir) -> String {
        url(folder)
    }

    const FULL: &'static str =
        "CREATE TRIGGER full_disk BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    const ROOM: &'static str = "DROP TRIGGER full_disk";
}

/// A store on a database of its own, with a clock that is moved by hand.
pub(super) struct DiskOn<E> {
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Store,
    pub(super) folder: TempDir,
    pub(super) url: String,
    engine: PhantomData<E>,
}

type Disk = DiskOn<Sqlite>;

impl<E: Engine> DiskOn<E> {
    /// A place for a database, and its address: nothing is there yet, or an empty one.
    pub(super) fn place() -> (TempDir, String) {
        plans::record();
        let folder = tempfile::tempdir().unwrap();
        let url = E::url(&folder);
        (folder, url)
    }

    pub(super) async fn new() -> Self {
        let (folder, url) = Self::place();
        let clock = ManualClock::at("2026-08-20T03:00:00Z".parse().unwrap());
        let store = Store::open(&url, clock.clone()).await.unwrap();
        Self { clock, store, folder, url, engine: PhantomData }
    }

    /// Another process on the same database.
    pub(super) fn other(&self) -> Store {
        self.store.as_another()
    }

    /// The process ends, another begins.
    pub(super) async fn restarted(self) -> Self {
        let Self { clock, store, folder, url, engine } = self;
        store.close().await;
        drop(store);
        let store = Store::open(&url, clock.clone()).await.unwrap();
        Self { clock, store, folder, url, engine }
    }

    /// From now on no run can be stored.
    pub(super) async fn fill_up(&self) {
        sqlx::query(E::FULL).execute(&self.store.pool).await.unwrap();
    }

    /// It can again.
    pub(super) async fn make_room(&self) {
        sqlx::query(E::ROOM).execute(&self.store.pool).await.unwrap();
    }

    pub(super) async fn run(&self, incident_id: &str) -> String {
        let mut asked = run_of(incident_id);
        loop {
            match self.store.create_run(&asked, None).await.unwrap() {
                Created::Now(Reply::Started(id)) => return id,
                // It has had one: a person asks for another.
                Created::Now(Reply::Ignored(Why::HadRun(_))) => asked = rerun_of(incident_id),
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) async fn state(&self, run_id: &str) -> State {
        self.store.run(run_id).await.unwrap().unwrap().state
    }

    pub(super) async fn count(&self, table: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let (count,): (i64,) = sqlx::query_as(sql).fetch_one(&self.store.pool).await.unwrap();
        count
    }
}

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("test.db").display())
}

pub(super) fn run_of(incident_id: &str) -> NewRun {
    NewRun {
        incident: Some(AlertIncident {
            id: incident_id.into(),
            number: 1,
            title: "All SE endpoints down in prod-us-south".into(),
            html_url: "https://x".into(),
        }),
        region: "prod-us-south".parse().unwrap(),
        trigger: Trigger::Webhook,
        reopened: false,
        alert_at: None,
    }
}

pub(super) fn rerun_of(incident_id: &str) -> NewRun {
    NewRun { trigger: Trigger::Rerun, ..run_of(incident_id) }
}

pub(super) fn of_region(region: &str) -> NewRun {
    NewRun { incident: None, region: region.parse().unwrap(), trigger: Trigger::Rerun, reopened: false, alert_at: None }
}

#[track_caller]
pub(super) fn lost<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::LeaseLost)), "{result:?}");
}
