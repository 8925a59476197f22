//! What becomes of the database's file while the service has it open.

use std::fs;
use std::path::Path;

use super::*;

/// A store in a folder within a folder, reached by a symbolic link to its file, with one event in it.
struct There {
    outer: TempDir,
    store: Store,
}

impl There {
    async fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        fs::create_dir(outer.path().join("data")).unwrap();
        fs::write(outer.path().join("data/real.db"), "").unwrap();
        std::os::unix::fs::symlink("real.db", outer.path().join("data/test.db")).unwrap();
        let there = Self { store: open(outer.path()).await, outer };
        there.takes("E0").await;
        there
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.outer.path().join(name)
    }

    async fn accept(&self, id: &str) -> Result<Accepted, StoreError> {
        self.store.accept(event(id), Err("x".into())).await
    }

    async fn takes(&self, id: &str) {
        assert_eq!(self.accept(id).await.unwrap(), Accepted::Ignored("x".into()));
        self.store.ping().await.unwrap();
    }

    /// Takes nothing, is not ready, and says so by these words.
    async fn refuses(&self, words: &str) {
        let refused = self.accept("E1").await.unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
        let asked = self.store.ping().await.unwrap_err().to_string();
        assert!(asked.contains(words), "{asked}");
        // The path is for the log: anybody may ask whether we are ready.
        assert!(!asked.contains("test.db") && !asked.contains(self.outer.path().to_str().unwrap()), "{asked}");
    }
}

fn event(id: &str) -> NewEvent<'_> {
    NewEvent { id, event_type: "incident.triggered", incident_id: Some("Q1"), body: "{}" }
}

async fn open(outer: &Path) -> Store {
    let clock = ManualClock::at("2026-08-20T03:00:00Z".parse().unwrap());
    let url = format!("sqlite://{}", outer.join("data/test.db").display());
    Store::open(&url, clock).await.unwrap()
}

#[tokio::test]
async fn nothing_is_taken_while_the_file_is_not_where_it_was_and_it_goes_on_once_it_is_back() {
    for (from, to) in [
        // Deleted or moved; its folder renamed.
        ("data/real.db", "elsewhere.db"),
        ("data", "backup-of-data"),
        ("data/test.db", "data/old-link.db"),
    ] {
        let there = There::new().await;
        fs::rename(there.path(from), there.path(to)).unwrap();
        there.refuses("deleted or moved while in use").await;
        assert!(!there.path("data/test.db").try_exists().unwrap(), "none was made in its place: {from}");
        fs::rename(there.path(to), there.path(from)).unwrap();
        there.takes("E1").await;
    }
}

#[tokio::test]
async fn another_file_in_its_place_is_not_written_to_and_it_goes_on_once_the_first_is_back() {
    // Renamed over it, and by a symbolic link that leads elsewhere.
    for link in [false, true] {
        let there = There::new().await;
        let other = tempfile::tempdir().unwrap();
        fs::create_dir(other.path().join("data")).unwrap();
        open(other.path()).await.close().await;
        let (other, ours) = (other.path().join("data/test.db"), there.path("data/real.db"));
        let before = fs::read(&other).unwrap();
        fs::rename(&ours, there.path("kept.db")).unwrap();
        let place = if link { there.path("data/other.db") } else { ours.clone() };
        fs::copy(&other, &place).unwrap();
        if link {
            fs::remove_file(there.path("data/test.db")).unwrap();
            std::os::unix::fs::symlink("other.db", there.path("data/test.db")).unwrap();
        }
        there.refuses("another file stands where the database was opened").await;
        assert_eq!(fs::read(&place).unwrap(), before, "it was written to");
        if link {
            fs::remove_file(there.path("data/test.db")).unwrap();
            std::os::unix::fs::symlink("real.db", there.path("data/test.db")).unwrap();
        }
        fs::rename(there.path("kept.db"), &ours).unwrap();
        there.takes("E1").await;
    }
}

#[tokio::test]
async fn a_file_that_was_emptied_is_no_more_used_though_it_grows_again() {
    let there = There::new().await;
    let file = fs::OpenOptions::new().write(true).open(there.path("data/real.db")).unwrap();
    file.set_len(0).unwrap();
    there.refuses("was emptied, cut off or overwritten while in use").await;
    file.set_len(8192).unwrap();
    there.refuses("was emptied, cut off or overwritten while in use").await;
    // What this handle's end does to SQLite's locks is no matter any more.
}

/// As where an older copy is written over it.
#[tokio::test]
async fn a_file_that_was_cut_off_is_no_more_used() {
    let there = There::new().await;
    let file = there.path("data/real.db");
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&there.store.pool).await.unwrap();
    there.takes("E1").await;
    let mut older = fs::read(&file).unwrap();
    older.truncate(older.len() - 4096);
    fs::write(&file, older).unwrap();
    there.refuses("was emptied, cut off or overwritten while in use").await;
}

/// By whoever has sqlite3: it is SQLite that makes the file shorter then.
#[tokio::test]
async fn a_file_that_was_vacuumed_is_used_on() {
    let there = There::new().await;
    let file = there.path("data/real.db");
    for statement in [
        "CREATE TABLE much AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         SELECT hex(randomblob(1000)) AS text FROM n",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ] {
        sqlx::query(statement).fetch_all(&there.store.pool).await.unwrap();
    }
    there.takes("E1").await;
    let before = fs::metadata(&file).unwrap().len();
    for statement in ["DROP TABLE much", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"] {
        sqlx::query(statement).fetch_all(&there.store.pool).await.unwrap();
    }
    assert!(fs::metadata(&file).unwrap().len() < before);
    there.takes("E2").await;
    // From then on it is held against what it is now.
    let older = fs::read(&file).unwrap();
    fs::write(&file, &older[..older.len() - 4096]).unwrap();
    there.refuses("was emptied, cut off or overwritten while in use").await;
}

#[tokio::test]
async fn what_was_stored_outlives_a_log_that_was_deleted() {
    for suffix in ["-wal", "-shm"] {
        let there = There::new().await;
        let beside = there.path(&format!("data/real.db{suffix}"));
        fs::remove_file(&beside).unwrap();
        there.refuses(suffix).await;
        let stop = tokio_util::sync::CancellationToken::new();
        let watching = tokio::spawn(watch_health(there.store.clone(), stop.clone()));
        // What is in the log that has no name any more is written into the file: this is all that a kill would leave.
        let saved = async {
            loop {
                let copy = tempfile::tempdir().unwrap();
                fs::create_dir(copy.path().join("data")).unwrap();
                fs::copy(there.path("data/real.db"), copy.path().join("data/test.db")).unwrap();
                let store = open(copy.path()).await;
                if store.accept(event("E0"), Err("x".into())).await.unwrap() == Accepted::Duplicate {
                    return store.close().await;
                }
                store.close().await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), saved).await.expect("what was stored");
        stop.cancel();
        watching.await.unwrap();
        there.refuses(suffix).await;
        there.store.close().await;
    }
}

/// A backup that was put in its place has files beside it too: closing the first one must not delete them.
#[tokio::test]
async fn closing_it_leaves_what_belongs_to_another_file_in_its_place() {
    let there = There::new().await;
    for name in ["data/real.db", "data/real.db-wal", "data/real.db-shm"] {
        fs::rename(there.path(name), there.path(&name.replace("data/", "old-"))).unwrap();
    }
    fs::write(there.path("data/real.db"), "a backup").unwrap();
    fs::write(there.path("data/real.db-wal"), "the newest of it").unwrap();
    there.store.close().await;
    assert_eq!(fs::read_to_string(there.path("data/real.db-wal")).unwrap(), "the newest of it");
    assert_eq!(fs::read_to_string(there.path("data/real.db")).unwrap(), "a backup");
}

#[tokio::test]
async fn closing_it_makes_one_file_of_all() {
    let there = There::new().await;
    there.store.close().await;
    let mut left: Vec<_> =
        fs::read_dir(there.path("data")).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["real.db", "test.db", "test.db.lock"]);
}

/// As one is that was opened while the file could not be written to: it can't write for good.
#[tokio::test]
async fn a_connection_that_can_only_read_is_not_used_again() {
    let disk = Disk::new().await;
    let mut one = disk.store.writers.acquire().await.unwrap();
    sqlx::query("PRAGMA query_only = ON").execute(&mut *one).await.unwrap();
    drop(one);
    disk.store.accept(event("E1"), Err("x".into())).await.unwrap_err();
    for _ in 0..3 {
        assert!(matches!(
            disk.store.accept(event("E1"), Err("x".into())).await.unwrap(),
            Accepted::Ignored(_) | Accepted::Duplicate
        ));
    }
}
