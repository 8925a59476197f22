//! A database of version 0.1.0 comes over in one migration, and that version can do nothing with it any more. Whole ones that
//! it has left: `tests/it/brought_over.rs`.

use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};

use super::*;
use crate::migrations::MIGRATIONS;
use runbook::writes::Times;

/// When it is brought over, in milliseconds.
const AT: i64 = 1_787_194_800_000;

fn clock() -> Arc<ManualClock> {
    ManualClock::at(jiff::Timestamp::from_millisecond(AT).unwrap())
}

/// A database as version 0.1.0 left it, with these rows.
async fn older(url: &str, rows: &[&str]) {
    sqlx::any::install_default_drivers();
    let made = if url.starts_with("sqlite") { format!("{url}?mode=rwc") } else { url.to_owned() };
    let mut connection = AnyConnection::connect(&made).await.unwrap();
    let before = MIGRATIONS.iter().filter(|migration| migration.version <= 100).cloned().collect();
    let before = Migrator { migrations: std::borrow::Cow::Owned(before), ..Migrator::DEFAULT };
    before.run_direct(None, &mut connection, false).await.unwrap();
    for row in rows {
        sqlx::query(AssertSqlSafe((*row).to_owned())).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// What that version was to do is done by this one, at once: whoever held it is gone.
#[tokio::test]
async fn work_of_an_older_version_is_taken_up() {
    let (_folder, url) = Disk::place();
    let rows = [
        "INSERT INTO runs (id, incident_id, region, triggered_by, state, created_at, due_at, owner, lease_until, attempt)
         VALUES ('r1', 'Q1', 'prod-us-south', 'webhook', 'running', 0, 0, 'dead', 99999999999999, 3),
                ('r2', 'Q2', 'prod-us-south', 'webhook', 'done', 0, 0, 'dead', 0, 1)",
        "INSERT INTO pages (incident_id, run_id, requested_at, state, due_at, told, attempt)
         VALUES ('Q1', 'r1', 0, 'requested', 0, 0, 4), ('Q2', 'r2', 0, 'paged', 0, 1, 1)",
        "INSERT INTO chores (id, kind, incident_id, data, due_at, attempt) VALUES ('follow-up:Q2:', 'follow-up', 'Q2', '', 0, 5)",
    ];
    older(&url, &rows).await;
    let store = Store::open(&url, clock()).await.unwrap();
    let run = store.claim_run().await.unwrap().unwrap();
    assert_eq!((run.run_id(), run.attempt(), run.crashes()), ("r1", 4, 1));
    let page = store.claim_page().await.unwrap().unwrap();
    assert_eq!(page.incident_id(), "Q1", "with its alert");
    let task = store.claim_task().await.unwrap().unwrap();
    assert_eq!((task.incident_id.as_str(), task.attempt()), ("Q2", 6));
    assert!(
        store.claim_run().await.unwrap().is_none() && store.claim_page().await.unwrap().is_none(),
        "what is over is over"
    );
}

/// A page was claimed by itself. What is wanted, or to be told of, is due with its alert; what is told is not.
#[tokio::test]
async fn pages_of_an_older_version_are_taken_up_by_their_alerts() {
    let (_folder, url) = Disk::place();
    let rows = [
        "INSERT INTO alerts (incident_id, alert_id, region) VALUES ('Q1', 'Q1', 'prod-us-south'), ('Q2', 'Q2', 'prod-eu-de'),
             ('Q3', 'Q3', 'prod-eu-gb')",
        "INSERT INTO runs (id, incident_id, region, triggered_by, state, created_at, due_at)
             VALUES ('r1', 'Q1', 'prod-us-south', 'webhook', 'done', 0, 0),
             ('r2', 'Q2', 'prod-eu-de', 'webhook', 'done', 0, 0), ('r3', 'Q3', 'prod-eu-gb', 'webhook', 'done', 0, 0)",
        "INSERT INTO pages (incident_id, run_id, requested_at, state, told, due_at, owner, attempt)
             VALUES ('Q1', 'r1', 0, 'requested', 0, 0, 'dead', 2), ('Q2', 'r2', 0, 'failed', 0, 0, NULL, 1),
             ('Q3', 'r3', 0, 'paged', 1, 0, NULL, 1)",
    ];
    older(&url, &rows).await;
    let store = Store::open(&url, clock()).await.unwrap();
    let mut taken = Vec::new();
    while let Some(page) = store.claim_page().await.unwrap() {
        taken.push((page.incident_id().to_owned(), page.alert().has_page()));
    }
    taken.sort();
    assert_eq!(taken, [("Q1".to_owned(), true), ("Q2".to_owned(), true)]);
}

/// What version 0.1.0 was about to write is in doubt, and is looked for; its notes are known; the last page of a region has the
/// right to be joined.
#[tokio::test]
async fn what_an_older_version_wrote_is_brought_over_into_the_ledger() {
    let (_folder, url) = Disk::place();
    let runs = format!(
        "INSERT INTO runs (id, incident_id, region, triggered_by, state, created_at, due_at, note_begun_at, note_id) VALUES
         ('r1', 'Q1', 'prod-us-south', 'webhook', 'done', {AT}, 0, {AT}, 'P1'),
         ('r2', 'Q2', 'prod-us-south', 'webhook', 'running', {AT}, 0, {AT}, NULL),
         ('r3', 'Q3', 'prod-us-south', 'webhook', 'done', {AT}, 0, {AT}, 'P3'),
         ('r4', 'Q4', 'prod-eu-de', 'webhook', 'done', {AT}, 0, NULL, NULL)"
    );
    let (later, long_ago) = (AT + 1, AT - 3_600_001);
    let pages = format!(
        "INSERT INTO pages (incident_id, run_id, requested_at, state, told, due_at, begun_at, finished_at, page_id) VALUES
         ('Q1', 'r1', {AT}, 'requested', 0, 0, {AT}, NULL, NULL), ('Q2', 'r2', {AT}, 'failed', 1, 0, {AT}, {AT}, NULL),
         ('Q3', 'r3', {AT}, 'paged', 1, 0, {later}, {later}, 'P9'),
         ('Q4', 'r4', {AT}, 'failed', 1, 0, {long_ago}, {long_ago}, NULL)"
    );
    let notes = format!(
        "INSERT INTO short_notes (key, incident_id, text, begun_at, note_id) VALUES ('early:1', 'Q1', 'a word', {AT}, 'P4'),
         ('early:2', 'Q1', 'a word', {AT}, NULL), ('early:3', 'Q1', 'a word', NULL, NULL)"
    );
    older(&url, &[runs.as_str(), pages.as_str(), notes.as_str()]).await;
    let clock = clock();
    let store = Store::open(&url, clock.clone()).await.unwrap();
    for (key, expected) in [
        ("note:r1", "Q1  1 false 0 P1"),
        ("note:r2", "Q2  1 true 0 "),
        ("note:r3", "Q3  1 false 0 P3"),
        ("early:1", "Q1 a word 1 false 0 P4"),
        ("early:2", "Q1 a word 1 true 0 "),
        ("early:3", "Q1 a word 0 false 0 "),
        ("open:Q1", "Q1  1 true 0 "),
        ("open:Q2", "Q2  1 false 1 "),
        ("open:Q3", "Q3  1 false 0 P9"),
        ("open:Q4", "Q4  1 false 0 "),
    ] {
        let Recorded { on, text, write, .. } = store.recorded(key).await.unwrap().unwrap();
        let doubt = write.doubt.map(|doubt| doubt.sends).unwrap_or_default();
        let (attempt, is_open, id) = (write.attempt, write.intent.is_some(), write.id.unwrap_or_default());
        assert_eq!(format!("{on} {text} {attempt} {is_open} {doubt} {id}"), expected, "{key}");
    }
    // What may yet be opened is looked for, and is in the way of the region's others, as is the last one.
    let task = store.claim_task().await.unwrap().expect("a look for what shows late");
    assert_eq!((task.kind, task.incident_id.as_str()), (TaskKind::Opening, "Q2"));
    store.finish_task(&task).await.unwrap();
    let (own, others) = store.openings(&"prod-us-south".parse().unwrap(), "Q1").await.unwrap();
    let others: Vec<_> = others.iter().map(|other| other.alert.as_str()).collect();
    assert_eq!((own.holds_right, own.write.may_stand()), (false, true));
    assert_eq!(others, ["Q2", "Q3"]);
    assert_eq!(store.automatic_pages_since(clock.now(), "").await.unwrap(), 3);
    assert!(store.claim_task().await.unwrap().is_none(), "once");
    clock.jump(Times::PAGERDUTY.longest_write);
    let mut found = Vec::new();
    while let Some(task) = store.claim_task().await.unwrap() {
        found.push(match task.kind {
            TaskKind::Opening => task.incident_id,
            kind => {
                assert_eq!(kind, TaskKind::Twin);
                task.data
            }
        });
    }
    found.sort();
    assert_eq!(found, ["Q1", "early:2", "note:r2"]);
}

#[tokio::test]
async fn alerts_that_were_merged_come_over_as_one_with_all_its_runs_and_one_of_them_active() {
    let (_folder, url) = Disk::place();
    let rows = [
        "INSERT INTO alerts (incident_id, alert_id, region, triggered_at, resolved_at, held_by, follow_ups) VALUES
         ('QA', 'QB', 'prod-us-south', 1, 5, NULL, 0), ('QB', 'QB', 'prod-us-south', 2, NULL, 'Olivia', 1),
         ('QC', 'QC', 'prod-eu-de', 3, 4, NULL, 2), ('QD', 'QGONE', 'prod-eu-de', 6, 7, NULL, 0)",
        "INSERT INTO runs (id, incident_id, region, triggered_by, state, created_at, due_at) VALUES
         ('r1', 'QA', 'prod-us-south', 'webhook', 'running', 1, 1), ('r2', 'QB', 'prod-us-south', 'webhook', 'queued', 2, 1),
         ('r3', 'QC', 'prod-eu-de', 'webhook', 'done', 3, 1), ('r4', NULL, 'prod-eu-de', 'rerun', 'queued', 4, 1),
         ('r5', 'QFORGOTTEN', 'prod-eu-de', 'webhook', 'done', 5, 1)",
    ];
    older(&url, &rows).await;
    let store = Store::open(&url, clock()).await.unwrap();
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

/// What a process of version 0.1.0 does: that by which it takes, claims and begins things, or without which it can't go on. What it
/// only reads is left out.
const STATEMENTS_OF_BEFORE: &[(&str, &str)] = &[
    (
        "takes a webhook",
        "INSERT INTO events (event_id, event_type, incident_id, received_at, outcome, body)
        VALUES ('E1', 'incident.triggered', 'Q1', 0, 'accepted', '{}') ON CONFLICT (event_id) DO NOTHING",
    ),
    (
        "makes a run",
        "INSERT INTO runs (id, incident_id, incident, region, triggered_by, state, created_at, due_at, facts)
        VALUES ('r1', 'Q1', NULL, 'prod-us-south', 'webhook', 'queued', 0, 0, NULL)",
    ),
    (
        "claims a run",
        "SELECT id, attempt, state, crashes FROM runs WHERE state IN ('queued', 'suppressed', 'running')
        AND (due_at <= 1 OR (attempt = 0 AND created_at > 1)) AND lease_until <= 1 ORDER BY due_at, id LIMIT 1",
    ),
    ("holds a run", "SELECT attempt FROM runs WHERE id = 'r1' AND owner = 'o' AND attempt = 1"),
    ("begins a note", "UPDATE runs SET note_begun_at = 1 WHERE id = 'r1' AND owner = 'o' AND attempt = 1"),
    (
        "parks a run",
        "UPDATE runs SET state = 'suppressed', suppressed_at = 1, related_closed_at = NULL, lease_until = 0,
        due_at = 1 WHERE id = 'r1' AND owner = 'o' AND attempt = 1",
    ),
    ("wakes runs", "UPDATE runs SET due_at = 1 WHERE state = 'suppressed' AND due_at > 1"),
    (
        "hears of an alert's end",
        "UPDATE runs SET alert_resolved_at = 1, due_at = 1 WHERE alert_resolved_at IS NULL
        AND (incident_id = 'Q1' OR incident_id IN (SELECT incident_id FROM alerts WHERE alert_id = 'Q1'))
        AND state IN ('queued', 'suppressed', 'running')",
    ),
    (
        "remembers an alert",
        "INSERT INTO alerts (incident_id, alert_id, region, triggered_at)
        VALUES ('Q1', 'Q1', 'prod-us-south', 1)
        ON CONFLICT (incident_id) DO UPDATE SET triggered_at = COALESCE(excluded.triggered_at, alerts.triggered_at)",
    ),
    (
        "wants a page",
        "INSERT INTO pages (incident_id, run_id, asked_by, requested_at, state, due_at)
        VALUES ('Q1', 'r1', NULL, 1, 'requested', 1) ON CONFLICT (incident_id) DO NOTHING",
    ),
    (
        "claims a page",
        "SELECT incident_id, attempt FROM pages WHERE (state = 'requested' OR told = 0)
        AND due_at <= 1 AND lease_until <= 1 ORDER BY due_at LIMIT 1",
    ),
    ("begins a page", "UPDATE pages SET begun_at = 1 WHERE incident_id = 'Q1' AND owner = 'o' AND attempt = 1"),
    (
        "ends a page",
        "UPDATE pages SET state = 'failed', page_id = NULL, page_url = NULL, joined = 0, reason = NULL,
        finished_at = 1 WHERE incident_id = 'Q1' AND owner = 'o' AND attempt = 1",
    ),
    (
        "wants a short note",
        "INSERT INTO short_notes (key, incident_id, text) VALUES ('k', 'Q1', 'x')
        ON CONFLICT (key) DO NOTHING",
    ),
    (
        "adds a chore",
        "INSERT INTO chores (id, kind, incident_id, run_id, data, due_at)
        VALUES ('c', 'follow-up', 'Q1', NULL, '', 1)",
    ),
    (
        "claims a chore",
        "SELECT id, kind, incident_id, run_id, data, attempt FROM chores
        WHERE due_at <= 1 AND lease_until <= 1 ORDER BY due_at, id LIMIT 1",
    ),
    (
        "takes a role",
        "INSERT INTO roles (name, owner, lease_until) VALUES ('reconcile', 'o', 1)
        ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until",
    ),
];

/// A replica of version 0.1.0 that still runs beside this one does no harm: it fails, and says so.
#[tokio::test]
async fn a_process_of_an_older_version_can_take_claim_and_begin_nothing() {
    let (_folder, url) = Disk::place();
    older(&url, &[]).await;
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    for (what, sql) in STATEMENTS_OF_BEFORE {
        let mut trial = connection.begin().await.unwrap();
        let done = sqlx::query(*sql).execute(&mut *trial).await;
        assert!(
            done.is_ok() || done.as_ref().is_err_and(|e| e.to_string().to_lowercase().contains("foreign key")),
            "{what}: {done:?}"
        );
        trial.rollback().await.unwrap();
    }
    connection.close().await.unwrap();
    let store = Store::open(&url, clock()).await.unwrap();
    for (what, sql) in STATEMENTS_OF_BEFORE {
        let done = sqlx::query(*sql).execute(&store.pool).await;
        assert!(done.is_err(), "it {what}: {done:?}");
    }
}

#[tokio::test]
async fn a_database_of_a_build_that_was_never_released_is_refused_with_what_to_do() {
    let disk = Disk::new().await;
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
               SELECT 110, description, success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1";
    sqlx::query(sql).execute(&disk.store.pool).await.unwrap();
    let DiskOn { store, folder: _folder, url, .. } = disk;
    store.close().await;
    drop(store);
    let Err(StoreError::Unusable(opened)) = Store::open(&url, clock()).await else { panic!("it is refused") };
    let Examined::Present { schema: Schema::Foreign(looked), .. } = examine(&url, false).await.unwrap() else {
        panic!()
    };
    for why in [opened, looked] {
        assert!(why.contains("never released (migration 110)"), "{why}");
        assert!(why.contains("put a backup of version 0.1.0 in its place"), "{why}");
    }
}
