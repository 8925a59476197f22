//! The rate limit at PagerDuty, which counts the requests of a key, not of a process: all that share the database share them.

use std::time::Duration;

use jiff::Timestamp;

use super::dialect::Dialect;
use super::{Store, StoreError, failed};
use runbook::span::after;

/// Turns are granted for the rest of such a slot.
const SLOT: i64 = 10_000;
/// A minute, wherever it begins, touches so many of them.
const SLOTS: i64 = 7;
/// How far from now rows are kept, in slots: a day. Whoever's clock is wrong for a while takes nothing from the others.
const KEPT: i64 = 8_640;

impl Store {
    /// Whether other processes may use the database too.
    pub fn is_shared(&self) -> bool {
        self.dialect != Dialect::Sqlite
    }

    /// Takes up to `wanted` turns, so that all processes together have no more than `most` in any minute: how many were
    /// granted, and until when they may be used. Where there are none, that is when to ask again.
    ///
    /// # Errors
    /// The database: nothing was granted.
    pub async fn take_requests(&self, most: usize, wanted: usize) -> Result<(usize, Timestamp), StoreError> {
        let doing = "taking turns at PagerDuty";
        let mut tx = self.write(doing).await?;
        let (now, here) = (self.now(), self.clock.now());
        let slot = now.div_euclid(SLOT);
        // What a clock that was wrong for a while has booked for later counts for nothing.
        let (taken,): (i64,) =
            sqlx::query_as("SELECT CAST(COALESCE(SUM(taken), 0) AS BIGINT) FROM turns WHERE slot > $1 AND slot <= $2")
                .bind(slot - SLOTS)
                .bind(slot + 1)
                .fetch_one(&mut *tx)
                .await
                .map_err(failed(doing))?;
        let left = most.saturating_sub(usize::try_from(taken).unwrap_or_default());
        let count = wanted.min(left);
        if count > 0 {
            sqlx::query("DELETE FROM turns WHERE slot <= $1 OR slot > $2")
                .bind(slot - KEPT)
                .bind(slot + KEPT)
                .execute(&mut *tx)
                .await
                .map_err(failed(doing))?;
            sqlx::query(
                "INSERT INTO turns (slot, taken) VALUES ($1, $2)
                 ON CONFLICT (slot) DO UPDATE SET taken = turns.taken + excluded.taken",
            )
            .bind(slot)
            .bind(i64::try_from(count).unwrap_or_default())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        }
        tx.commit().await.map_err(failed(doing))?;
        let rest = Duration::from_millis(u64::try_from((slot + 1) * SLOT - now).unwrap_or_default());
        Ok((count, after(here, rest)))
    }
}
