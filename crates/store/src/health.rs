//! Whether the database takes writes: a full disk answers every question, and keeps nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Store, StoreError, failed};

/// How often a write is tried while all is well, and while it isn't.
const EVERY: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_secs(1);
/// As long as a small webhook.
const PADDING: usize = 4096;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Health {
    failing: AtomicBool,
}

/// Tries to write, until `stop`.
pub async fn watch_health(store: Store, stop: CancellationToken) {
    loop {
        let wait = tokio::select! {
            tried = store.in_time(store.try_to_write()) => match tried {
                Ok(()) => {
                    store.is_well();
                    EVERY
                }
                Err(error) => {
                    store.trouble("a trial write", &error);
                    AGAIN
                }
            },
            () = stop.cancelled() => return,
        };
        tokio::select! {
            () = store.clock.sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

impl Store {
    /// Whether the database answers and takes writes, as far as is known.
    ///
    /// # Errors
    /// It doesn't.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.in_place()?;
        self.noting(sqlx::query("SELECT 1").execute(&self.pool).await.map_err(failed("a look")))?;
        if self.health.failing.load(Ordering::Relaxed) {
            return Err(StoreError::Unusable(
                "the database takes no writes: is the disk full, or the file locked?".into(),
            ));
        }
        Ok(())
    }

    /// Something could not be written. Said once, until writes work again; `doing` is what.
    pub fn trouble(&self, doing: &str, error: &StoreError) {
        self.note_session(error);
        let file = self.file.as_ref().map(|file| file.path().display());
        if self.health.failing.swap(true, Ordering::Relaxed) {
            tracing::debug!(doing, error = error as &dyn std::error::Error, "the database still takes no writes");
        } else {
            tracing::error!(
                doing,
                error = error as &dyn std::error::Error,
                file = file.map(tracing::field::display),
                "THE DATABASE TAKES NO WRITES: webhooks are answered 503 until it does"
            );
        }
    }

    fn is_well(&self) {
        if self.health.failing.swap(false, Ordering::Relaxed) {
            tracing::warn!("the database takes writes again");
        }
    }

    async fn try_to_write(&self) -> Result<(), StoreError> {
        let doing = "a trial write";
        let mut tx = self.write(doing).await?;
        sqlx::query(
            "INSERT INTO health (id, at, padding) VALUES ('one', $1, $2)
             ON CONFLICT (id) DO UPDATE SET at = excluded.at, padding = excluded.padding",
        )
        .bind(self.now())
        .bind(" ".repeat(PADDING))
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }
}
