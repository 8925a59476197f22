use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, Connection as _};

use super::*;
use runbook::writes::Times;

async fn refused(folder: &TempDir) -> String {
    let clock = ManualClock::at(jiff::Timestamp::UNIX_EPOCH);
    let url = url(folder);
    let opening = tokio::time::timeout(Duration::from_secs(15), Store::open(&url, clock));
    match opening.await.expect("an answer at once") {
        Err(StoreError::Unusable(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_restart_keeps_everything_and_frees_what_the_dead_process_held() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    let stale = disk.store.claim_run().await.unwrap().unwrap();
    disk.store.begin_step(&stale, "read_boxes").await.unwrap();
    disk.store.request_page("Q1", &id, None).await.unwrap();
    let page = disk.store.claim_page().await.unwrap().unwrap();
    let before = disk.store.run(&id).await.unwrap();

    let disk = disk.restarted().await;
    assert_eq!(disk.store.run(&id).await.unwrap(), before);
    // At once, though the leases of the dead process are not over by the clock.
    assert_eq!(disk.store.claim_run().await.unwrap().unwrap().attempt(), 2);
    assert_eq!(disk.store.claim_page().await.unwrap().unwrap().claim().attempt(), 2);
    lost(disk.store.check_claim(stale.claim()).await);
    lost(disk.store.check_claim(page.claim()).await);
}

#[tokio::test]
async fn one_process_at_a_time() {
    let disk = Disk::new().await;
    let why = refused(&disk.folder).await;
    assert!(why.contains("another process uses the database") && why.contains("test.db"), "{why}");
    // One that just ended may hold its lock for a moment.
    let Disk { store, folder, clock, .. } = disk;
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let opening = tokio::spawn(async move { Store::open(&url, clock).await });
    tokio::task::yield_now().await;
    assert!(!opening.is_finished());
    store.close().await;
    drop(store);
    opening.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let disk = Disk::new().await;
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
               VALUES (9999, 'later', 1, x'00', 0)";
    sqlx::query(sql).execute(&disk.store.pool).await.unwrap();
    let Disk { store, folder, .. } = disk;
    store.close().await;
    drop(store);
    let before = std::fs::read(folder.path().join("test.db")).unwrap();
    let why = refused(&folder).await;
    assert!(why.contains("newer version of se-responder (migration 9999)"), "{why}");
    assert_eq!(std::fs::read(folder.path().join("test.db")).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let text = "Dear diary,\n".repeat(1000).into_bytes();
    // A real one, broken in its middle: its header still looks well.
    let disk = Disk::new().await;
    let Disk { store, folder, .. } = disk;
    store.close().await;
    drop(store);
    let mut broken = std::fs::read(folder.path().join("test.db")).unwrap();
    broken[100..].fill(0xa5);
    for content in [text, broken, b"SQLite format 3\0but not really".to_vec()] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        std::fs::write(&path, &content).unwrap();
        let why = refused(&folder).await;
        assert!(why.contains("test.db"), "{why}");
        assert_eq!(std::fs::read(&path).unwrap(), content, "{why}");
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/no/such/folder/x.db", folder.path().display());
    let clock = ManualClock::at(jiff::Timestamp::UNIX_EPOCH);
    let Err(StoreError::Unusable(why)) = Store::open(&url, clock.clone()).await else { panic!() };
    assert!(why.contains("does the folder exist"), "{why}");
    for url in ["sqlite://", "sqlite::memory:", "sqlite://:memory:", "sqlite://?mode=memory", ""] {
        let Err(StoreError::Unusable(why)) = Store::open(url, clock.clone()).await else { panic!("{url}") };
        assert!(why.contains("names no file"), "{why}");
    }
}

#[tokio::test]
async fn a_value_that_can_not_be_read_back_is_named() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    for (column, value, what) in [
        ("diagnosis", "{", "a diagnosis"),
        ("facts", "[", "a run's facts"),
        ("related", "x", "related pages"),
        ("region", "Ü", "a region"),
        ("triggered_by", "magic", "a trigger"),
    ] {
        let sql = format!("UPDATE runs SET {column} = $1");
        let keep: (Option<String>,) = sqlx::query_as(sqlx::AssertSqlSafe(format!("SELECT {column} FROM runs")))
            .fetch_one(&disk.store.pool)
            .await
            .unwrap();
        let set = |value: Option<String>| sqlx::query(sqlx::AssertSqlSafe(sql.clone())).bind(value);
        set(Some(value.into())).execute(&disk.store.pool).await.unwrap();
        let error = match column {
            "facts" => disk.store.facts(&id).await.unwrap_err(),
            _ => disk.store.run(&id).await.unwrap_err(),
        };
        assert_eq!(error.to_string(), format!("{what} in the database can't be read"));
        set(keep.0).execute(&disk.store.pool).await.unwrap();
    }
    disk.store.run(&id).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_look_neither_makes_nor_migrates_nor_changes_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = url(&folder);
    let left = || std::fs::read_dir(folder.path()).unwrap().count();
    assert!(matches!(examine(&url, true).await.unwrap(), Examined::Absent { name } if name.ends_with("test.db")));
    assert_eq!(left(), 0);

    std::fs::write(folder.path().join("test.db"), "").unwrap();
    let Examined::Present { schema: Schema::Behind(all), read_only: None, .. } = examine(&url, true).await.unwrap()
    else {
        panic!()
    };
    assert!(all > 3);
    assert_eq!((std::fs::read(folder.path().join("test.db")).unwrap().len(), left()), (0, 1));

    // While the service has it, and after one that was killed.
    let disk = Disk::new().await;
    let url = format!("sqlite://{}", disk.folder.path().join("test.db").display());
    assert!(matches!(
        examine(&url, true).await.unwrap(),
        Examined::Present { schema: Schema::Current, read_only: None, .. }
    ));
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)")
        .execute(&disk.store.pool)
        .await
        .unwrap();
    assert!(matches!(examine(&url, true).await.unwrap(), Examined::Present { schema: Schema::Behind(1), .. }));
    for (sql, says) in [
        ("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1", "another build"),
        (
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'later', 1, x'00', 0)",
            "newer version of se-responder (migration 9999)",
        ),
        ("UPDATE _sqlx_migrations SET success = 0 WHERE version = 9999", "migration 9999 broke off"),
    ] {
        if says.contains("newer") {
            // The first difference is what is said.
            sqlx::query("DELETE FROM _sqlx_migrations WHERE version = 1").execute(&disk.store.pool).await.unwrap();
        }
        sqlx::query(sql).execute(&disk.store.pool).await.unwrap();
        let Examined::Present { schema: Schema::Foreign(why), .. } = examine(&url, true).await.unwrap() else {
            panic!("{says}")
        };
        assert!(why.contains(says), "{says}: {why}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_that_we_make_are_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let disk = Disk::new().await;
    disk.run("Q1").await;
    let mut found: Vec<_> = std::fs::read_dir(disk.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    let name = |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let names: Vec<_> = found.iter().map(name).collect();
    assert_eq!(names, ["test.db", "test.db-shm", "test.db-wal", "test.db.lock"]);
    for path in found {
        assert_eq!(mode(&path), 0o600, "{path:?}");
    }
    // One that is there already is somebody's choice.
    let Disk { store, folder, clock, .. } = disk;
    store.close().await;
    drop(store);
    let path = folder.path().join("test.db");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let _store = Store::open(&url(&folder), clock).await.unwrap();
    assert_eq!(mode(&path), 0o640);
}

/// What an older version was to do is done by this one, at once: whoever held it is gone.
#[tokio::test]
async fn work_of_an_older_version_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    sqlx::any::install_default_drivers();
    let mut older = AnyConnection::connect(&format!("{}?mode=rwc", url(&folder))).await.unwrap();
    let before = migrations::MIGRATIONS.iter().filter(|migration| migration.version < 210).cloned().collect();
    let before = Migrator { migrations: std::borrow::Cow::Owned(before), ..Migrator::DEFAULT };
    before.run_direct(None, &mut older, false).await.unwrap();
    for sql in [
        "INSERT INTO runs (id, incident_id, region, triggered_by, state, created_at, due_at, owner, lease_until, attempt)
         VALUES ('r1', 'Q1', 'prod-us-south', 'webhook', 'running', 0, 0, 'dead', 99999999999999, 3),
                ('r2', 'Q2', 'prod-us-south', 'webhook', 'done', 0, 0, 'dead', 0, 1)",
        "INSERT INTO pages (incident_id, run_id, requested_at, state, due_at, told, attempt)
         VALUES ('Q1', 'r1', 0, 'requested', 0, 0, 4), ('Q2', 'r2', 0, 'paged', 0, 1, 1)",
        "INSERT INTO chores (id, kind, incident_id, data, due_at, attempt) VALUES ('follow-up:Q2:', 'follow-up', 'Q2', '', 0, 5)",
    ] {
        sqlx::query(sql).execute(&mut older).await.unwrap();
    }
    older.close().await.unwrap();
    let store = Store::open(&url(&folder), ManualClock::at("2026-08-20T03:00:00Z".parse().unwrap())).await.unwrap();
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

/// A page had an item of the queue of its own. What is wanted, or to be told of, is due with its alert; what is told is not.
#[tokio::test]
async fn pages_of_the_version_before_are_taken_up_by_their_alerts() {
    let folder = tempfile::tempdir().unwrap();
    sqlx::any::install_default_drivers();
    let mut older = AnyConnection::connect(&format!("{}?mode=rwc", url(&folder))).await.unwrap();
    let before = migrations::MIGRATIONS.iter().filter(|migration| migration.version < 300).cloned().collect();
    let before = Migrator { migrations: std::borrow::Cow::Owned(before), ..Migrator::DEFAULT };
    before.run_direct(None, &mut older, false).await.unwrap();
    for sql in [
        "INSERT INTO alerts (id, incident_id, region) VALUES ('A1', 'Q1', 'prod-us-south'), ('A2', 'Q2', 'prod-eu-de'),
             ('A3', 'Q3', 'prod-eu-gb')",
        "INSERT INTO incidents (incident_id, alert_id) VALUES ('Q1', 'A1'), ('Q2', 'A2'), ('Q3', 'A3')",
        "INSERT INTO runs (id, incident_id, alert_id, region, triggered_by, state, created_at)
             VALUES ('r1', 'Q1', 'A1', 'prod-us-south', 'webhook', 'done', 0),
             ('r2', 'Q2', 'A2', 'prod-eu-de', 'webhook', 'done', 0), ('r3', 'Q3', 'A3', 'prod-eu-gb', 'webhook', 'done', 0)",
        "INSERT INTO pages (incident_id, run_id, requested_at, state, told)
             VALUES ('Q1', 'r1', 0, 'requested', 0), ('Q2', 'r2', 0, 'failed', 0), ('Q3', 'r3', 0, 'paged', 1)",
        "INSERT INTO work (key, kind, due_at, set_at, owner, attempt) VALUES ('page/Q1', 'page', 0, 0, 'dead', 2),
             ('page/Q2', 'page', 0, 0, NULL, 1), ('alert/A2', 'alert', 4102444800000, 0, NULL, 7)",
    ] {
        sqlx::query(sql).execute(&mut older).await.unwrap();
    }
    older.close().await.unwrap();
    let store = Store::open(&url(&folder), ManualClock::at("2026-08-20T03:00:00Z".parse().unwrap())).await.unwrap();
    let mut taken = Vec::new();
    while let Some(page) = store.claim_page().await.unwrap() {
        taken.push((page.incident_id().to_owned(), page.claim().attempt(), page.alert().has_page()));
    }
    taken.sort();
    assert_eq!(taken, [("Q1".to_owned(), 1, true), ("Q2".to_owned(), 8, true)]);
}

/// What the version before was about to write is in doubt, its notes are known, and the twins that it looked for are looked for.
#[tokio::test]
async fn what_the_version_before_wrote_is_brought_over_into_the_ledger() {
    let disk = Disk::new().await;
    let (noted, cut_off, twice) = (disk.run("Q1").await, disk.run("Q2").await, disk.run("Q3").await);
    let at = disk.clock.now().as_millisecond();
    for (incident, run) in [("Q1", &noted), ("Q2", &cut_off), ("Q3", &twice)] {
        disk.store.request_page(incident, run, None).await.unwrap();
    }
    let before = format!(
        "DROP TABLE writes;
         DROP TABLE openings;
         ALTER TABLE pages DROP COLUMN after_all;
         CREATE TABLE page_openings (region TEXT NOT NULL PRIMARY KEY, incident_id TEXT NOT NULL, begun_at BIGINT NOT NULL);
         INSERT INTO page_openings VALUES ('prod-us-south', 'Q3', {at});
         ALTER TABLE pages ADD COLUMN begun_at BIGINT;
         UPDATE pages SET begun_at = {at};
         UPDATE pages SET state = 'failed', finished_at = {at} WHERE incident_id = 'Q2';
         UPDATE pages SET state = 'paged', page_id = 'P9' WHERE incident_id = 'Q3';
         INSERT INTO chores (id, kind, incident_id, run_id, data)
             VALUES ('retell:Q1:{noted}', 'retell', 'Q1', '{noted}', ''), ('retell:Q2:{noted}', 'retell', 'Q2', '{noted}', '');
         INSERT INTO work (key, kind, due_at, set_at)
             SELECT 'task/' || id, 'task', 0, 0 FROM chores WHERE kind = 'retell';
         ALTER TABLE runs ADD COLUMN note_begun_at BIGINT;
         ALTER TABLE pages ADD COLUMN join_begun_at BIGINT;
         CREATE TABLE short_notes (key TEXT NOT NULL PRIMARY KEY, incident_id TEXT NOT NULL, text TEXT NOT NULL,
             begun_at BIGINT, note_id TEXT);
         UPDATE runs SET note_begun_at = {at};
         UPDATE runs SET note_id = 'P1' WHERE id = '{noted}';
         UPDATE runs SET note_id = 'P3' WHERE id = '{twice}';
         INSERT INTO chores (id, kind, incident_id, run_id, data)
             VALUES ('twin:Q3:{twice}', 'twin', 'Q3', '{twice}', '{{\"run\":\"{twice}\"}}'),
                 ('twin:Q1:early:1', 'twin', 'Q1', NULL, '{{\"short\":\"early:1\"}}');
         INSERT INTO short_notes VALUES ('early:1', 'Q1', 'a word', {at}, 'P4'), ('early:2', 'Q1', 'a word', {at}, NULL),
             ('early:3', 'Q1', 'a word', NULL, NULL)"
    );
    for sql in [
        before.as_str(),
        include_str!("../../../../migrations/0220_writes.sql"),
        include_str!("../../../../migrations/0240_edits.sql"),
        include_str!("../../../../migrations/0241_openings.sql"),
        include_str!("../../../../migrations/0250_openings.sql"),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&disk.store.pool).await.unwrap();
    }
    let mut found = Vec::new();
    for key in [
        format!("note:{noted}").as_str(),
        format!("note:{cut_off}").as_str(),
        format!("note:{twice}").as_str(),
        "early:1",
        "early:2",
        "early:3",
        "open:Q1",
        "open:Q2",
        "open:Q3",
    ] {
        let Recorded { on, text, write, .. } = disk.store.recorded(key).await.unwrap().unwrap();
        let doubt = write.doubt.map(|doubt| doubt.sends).unwrap_or_default();
        found.push(format!(
            "{on} {text} {} {} {doubt} {}",
            write.attempt,
            write.intent.is_some(),
            write.id.unwrap_or_default()
        ));
    }
    assert_eq!(
        found,
        [
            "Q1  1 false 0 P1",
            "Q2  1 true 0 ",
            "Q3  1 false 1 P3",
            "Q1 a word 1 false 1 P4",
            "Q1 a word 1 true 0 ",
            "Q1 a word 0 false 0 ",
            "Q1  1 true 0 ",
            "Q2  1 false 1 ",
            "Q3  1 false 0 P9"
        ]
    );
    let task = disk.store.claim_task().await.unwrap().expect("what was to be told");
    assert_eq!((task.kind, task.run_id.as_deref()), (TaskKind::Edit, Some(noted.as_str())));
    disk.store.finish_task(&task).await.unwrap();
    // What may yet be opened is looked for, and is in the way of the region's others, as is the last one.
    let task = disk.store.claim_task().await.unwrap().expect("a look for what shows late");
    assert_eq!((task.kind, task.incident_id.as_str()), (TaskKind::Opening, "Q2"));
    disk.store.finish_task(&task).await.unwrap();
    let (own, others) = disk.store.openings(&"prod-us-south".parse().unwrap(), "Q1").await.unwrap();
    let alerts: Vec<_> = others.iter().map(|other| other.alert.as_str()).collect();
    assert_eq!((own.holds_right, own.write.may_stand(), alerts), (false, true, vec!["Q2", "Q3"]));
    assert_eq!(disk.store.automatic_pages_since(disk.clock.now(), "").await.unwrap(), 3);
    assert!(disk.store.claim_task().await.unwrap().is_none(), "once");
    disk.clock.jump(Times::PAGERDUTY.longest_write);
    let mut keys = Vec::new();
    while let Some(task) = disk.store.claim_task().await.unwrap() {
        match task.kind {
            TaskKind::Opening => assert_eq!(task.incident_id, "Q1"),
            kind => {
                assert_eq!(kind, TaskKind::Twin);
                keys.push(task.data);
            }
        }
    }
    keys.sort();
    let mut open = vec!["early:1".to_owned(), "early:2".to_owned(), format!("note:{cut_off}"), format!("note:{twice}")];
    open.sort();
    assert_eq!(keys, open);
}

/// A process of the version before has taken the alert out of the queue, of whose page it knows nothing.
#[tokio::test]
async fn a_page_whose_alert_is_not_in_the_queue_is_taken_up_at_the_next_start() {
    let disk = Disk::new().await;
    let run = disk.run("Q1").await;
    disk.store.request_page("Q1", &run, None).await.unwrap();
    disk.store.spoil("DELETE FROM work WHERE kind = 'alert'").await;
    assert_eq!(disk.store.claim_page().await.unwrap(), None);
    let disk = disk.restarted().await.restarted().await;
    let page = disk.store.claim_page().await.unwrap().expect("it is due");
    assert!(page.alert().has_page() && disk.store.claim_page().await.unwrap().is_none());
    // What is told of is not.
    disk.store.finish_page(&page, &PageResult { page: None, joined: false, reason: Some("x") }).await.unwrap();
    disk.store.set_page_told(&page).await.unwrap();
    disk.store.spoil("DELETE FROM work WHERE kind = 'alert'").await;
    let disk = disk.restarted().await;
    assert_eq!(disk.store.claim_page().await.unwrap(), None);
}
