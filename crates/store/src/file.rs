//! The SQLite file that this process has open, held against what stands at its path now.
//!
//! A file that is deleted or replaced stays open: everything seems to be kept, and is gone with the process. Each look is a
//! few `stat` calls. The file itself is never opened here: closing it would drop the locks that SQLite holds on it.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sqlx::{AnyConnection, Connection as _};
use tokio::sync::Mutex;

use super::Store;

/// No SQLite file is shorter: it is the smallest page.
const SHORTEST: u64 = 512;

/// What is wrong with the file. No paths: `/readyz` says it to everybody; the log has them beside.
#[derive(Debug, thiserror::Error)]
pub enum FileTrouble {
    /// Nothing stands at its path.
    #[error(
        "the database file was deleted or moved while in use: put it back where it was, and the service goes on; else put \
         a backup there and restart"
    )]
    Gone,
    /// Another file stands at its path.
    #[error(
        "another file stands where the database was opened, and nothing is written to it: put the first one back, and the \
         service goes on; or restart to use the other"
    )]
    Replaced,
    /// It is shorter than before, and not known yet whether SQLite made it so.
    #[error("the database file is shorter than before: it is being looked whether it was vacuumed")]
    Shorter,
    /// It was cut off.
    #[error(
        "the database file was emptied, cut off or overwritten while in use: stop, put a backup in its place and start again"
    )]
    Emptied,
    /// What is newest of it is in a file beside it, which is not there any more.
    #[error(
        "a file that belongs to the database ({0}) was deleted or replaced while in use: restart. What was stored is \
         written into the database itself"
    )]
    Beside(&'static str),
    /// It can't be looked at.
    #[error("looking at the database file failed: {0}; may this user still enter its folder?")]
    Unknown(#[source] io::Error),
}

/// Device and inode: a file stays the same one under whatever name.
type Identity = (u64, u64);

fn identity(found: &Metadata) -> Identity {
    (found.dev(), found.ino())
}

/// The file, as it was opened.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    /// As it is configured: the end of a symbolic link may change.
    path: PathBuf,
    opened: Identity,
    /// SQLite's files beside it.
    beside: Vec<(&'static str, PathBuf, Identity)>,
    /// It never is again what it was, though it grows.
    emptied: AtomicBool,
    /// How long it was at most: of its own accord SQLite only makes it longer, on `VACUUM` it does not.
    longest: AtomicU64,
    /// What a deleted log held is in the database.
    rescued: AtomicBool,
    /// One connection that is always open: the files beside it live as long as any is.
    anchor: Mutex<Option<AnyConnection>>,
}

impl DatabaseFile {
    /// The file at `path`, which `connection` has open and has read from.
    pub(super) fn of(path: &Path, connection: AnyConnection) -> io::Result<Self> {
        let found = path.metadata()?;
        let opened = identity(&found);
        // SQLite puts them beside the file that a symbolic link leads to.
        let real = path.canonicalize()?;
        let beside = ["-wal", "-shm"].into_iter().filter_map(|suffix| {
            let mut name = real.clone().into_os_string();
            name.push(suffix);
            let path = PathBuf::from(name);
            // A file system without them has them never.
            let found = identity(&path.metadata().ok()?);
            Some((suffix, path, found))
        });
        let (emptied, rescued, anchor) = (AtomicBool::new(false), AtomicBool::new(false), Mutex::new(Some(connection)));
        let longest = AtomicU64::new(found.len().max(SHORTEST));
        Ok(Self { path: path.to_owned(), opened, beside: beside.collect(), emptied, longest, rescued, anchor })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails unless what is written now is found there by the next process.
    pub(super) fn look(&self) -> Result<(), FileTrouble> {
        // Before the look: meanwhile another may find that it has become longer.
        let longest = self.longest.load(Ordering::Acquire);
        let found = self.path.metadata().map_err(|e| match e.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => FileTrouble::Gone,
            _ => FileTrouble::Unknown(e),
        })?;
        if identity(&found) != self.opened {
            return Err(FileTrouble::Replaced);
        }
        if found.len() < SHORTEST {
            self.emptied.store(true, Ordering::Relaxed);
        }
        if self.emptied.load(Ordering::Relaxed) {
            return Err(FileTrouble::Emptied);
        }
        if found.len() < longest {
            return Err(FileTrouble::Shorter);
        }
        self.longest.fetch_max(found.len(), Ordering::Release);
        for (suffix, path, opened) in &self.beside {
            if path.metadata().map(|found| identity(&found)).ok() != Some(*opened) {
                return Err(FileTrouble::Beside(suffix));
            }
        }
        Ok(())
    }

    /// Tells why the file is shorter. Who has it open knows how long it should be: after `VACUUM` shorter than it was, and as
    /// long as ever where it was cut off, or a backup was copied over it.
    async fn settle(&self) {
        let longest = self.longest.load(Ordering::Acquire);
        let mut anchor = self.anchor.lock().await;
        let Some(anchor) = anchor.as_mut() else { return };
        let asked: Result<(i64, i64), _> =
            sqlx::query_as("SELECT page_count, page_size FROM pragma_page_count, pragma_page_size")
                .fetch_one(anchor)
                .await;
        match asked {
            Ok((pages, size)) if pages.saturating_mul(size).unsigned_abs() < longest => {
                let length = self.path.metadata().map_or(SHORTEST, |found| found.len());
                // Unless another has found it longer since.
                let _ = self.longest.compare_exchange(longest, length, Ordering::AcqRel, Ordering::Relaxed);
                tracing::info!(bytes = length, "the database file was vacuumed");
            }
            Ok(_) => self.emptied.store(true, Ordering::Relaxed),
            Err(error) => {
                tracing::debug!(%error, "how long the database should be can't be asked");
                self.emptied.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Writes what stands in the log that was deleted into the database itself, from the connection that still has it. Once:
    /// nothing is written to that log any more.
    async fn rescue(&self) {
        // Who comes meanwhile need not wait for it.
        let Ok(mut anchor) = self.anchor.try_lock() else { return };
        let Some(anchor) = anchor.as_mut().filter(|_| !self.rescued.load(Ordering::Relaxed)) else { return };
        let done: Result<(i64, i64, i64), _> =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(anchor).await;
        match done {
            Ok((0, ..)) => {
                self.rescued.store(true, Ordering::Relaxed);
                tracing::warn!("what was stored is saved in the database file itself: restart the service");
            }
            Ok(_) => tracing::debug!("what the deleted log holds can't be saved yet: somebody reads"),
            Err(error) => tracing::debug!(%error, "what the deleted log holds can't be saved yet"),
        }
    }

    /// Closes the last connection, which makes one file of all. Where another file stands there it is left open to the
    /// end of the process: closing it deletes what lies beside that path, which may be the other's.
    pub(super) async fn close(&self) {
        let looked = self.look();
        if matches!(looked, Err(FileTrouble::Beside(_))) {
            self.rescue().await;
        }
        let Some(anchor) = self.anchor.lock().await.take() else { return };
        match looked {
            Ok(()) => {
                if let Err(error) = anchor.close().await {
                    tracing::debug!(%error, "the last connection could not be closed");
                }
            }
            Err(_) => std::mem::forget(anchor),
        }
    }
}

impl Store {
    /// Fails unless what is written now stands where the next process looks for it.
    pub(super) fn in_place(&self) -> Result<(), FileTrouble> {
        self.file.as_ref().map_or(Ok(()), |file| file.look())
    }

    /// The same before a write; what can be saved of a file whose log was deleted is saved then.
    pub(super) async fn in_place_to_write(&self) -> Result<(), FileTrouble> {
        let looked = self.in_place();
        match (&looked, &self.file) {
            (Err(FileTrouble::Beside(_)), Some(file)) => file.rescue().await,
            (Err(FileTrouble::Shorter), Some(file)) => {
                file.settle().await;
                return self.in_place();
            }
            _ => {}
        }
        looked
    }
}
