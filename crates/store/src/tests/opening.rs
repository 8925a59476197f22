use super::*;

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
        ("UPDATE _sqlx_migrations SET success = 0 WHERE version = 9999", "migration 9999 did not finish"),
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
