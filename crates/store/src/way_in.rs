//! Whether PagerDuty's webhooks reach us, as it was last proved: one row, shared by all processes.

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::AnyConnection;

use super::rows::{parse, plain, time};
use super::{Store, StoreError, Watch, WatchLease, failed};
use runbook::way_in::Proof;

/// The last proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// When it ended.
    pub at: Timestamp,
    /// The `WEBHOOK_URL` that it was of.
    pub url: String,
    /// What came of it.
    pub proof: Proof,
}

/// How far it is with proofs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayIn {
    /// When a self-check last asked for one.
    pub wanted_at: Timestamp,
    /// The last that has ended; `None`: none has.
    pub last: Option<Proved>,
}

impl WayIn {
    /// Whether one is asked for that has not ended.
    pub fn is_wanted(&self) -> bool {
        self.last.as_ref().is_none_or(|last| last.at < self.wanted_at)
    }
}

/// wanted_at, ended_at, url, outcome, detail, fix
type Row = (i64, Option<i64>, Option<String>, Option<String>, Option<String>, Option<String>);

const LOOK: &str = "SELECT wanted_at, ended_at, url, outcome, detail, fix FROM way_in WHERE id = 'one'";
/// More pings than these are nobody's.
const PINGS: &str = "SELECT event_id FROM webhooks WHERE event_type = 'pagey.ping' AND received_at >= $1
    ORDER BY received_at DESC LIMIT 1000";

fn read(row: Row) -> Result<WayIn, StoreError> {
    let (wanted_at, ended_at, url, outcome, detail, fix) = row;
    let last = match (ended_at, url, outcome) {
        (Some(at), Some(url), Some(outcome)) => {
            let outcome = parse("the outcome of a proof of the way in", &outcome)?;
            let proof = Proof { outcome, detail: detail.unwrap_or_default(), fix: fix.unwrap_or_default() };
            Some(Proved { at: time(at)?, url, proof })
        }
        _ => None,
    };
    Ok(WayIn { wanted_at: time(wanted_at)?, last })
}

/// The same by a connection of its own, for who has no store.
pub(super) async fn look(connection: &mut AnyConnection) -> Result<Option<WayIn>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(LOOK).fetch_optional(connection).await?;
    // What can't be read is as if it were not known: the next self-check writes it again.
    Ok(row.and_then(|row| read(row).ok()))
}

impl Store {
    /// How far it is with proofs; `None`: no self-check has asked for one yet, or what is kept can't be read.
    ///
    /// # Errors
    /// The database.
    pub async fn way_in(&self) -> Result<Option<WayIn>, StoreError> {
        let look = async {
            sqlx::query_as(LOOK)
                .fetch_optional(&self.pool)
                .await
                .map_err(failed("looking whether the way in is proven"))
        };
        let row: Option<Row> = self.in_time(look).await?;
        match row.map(read).transpose() {
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the last proof of the way in can't be read");
                Ok(None)
            }
            found => found,
        }
    }

    /// A self-check asks for a proof, whichever process makes it; when that was.
    ///
    /// # Errors
    /// The database.
    pub async fn want_way_in(&self) -> Result<Timestamp, StoreError> {
        let doing = "asking for a proof of the way in";
        let now = self.now();
        let mut tx = self.write(doing).await?;
        sqlx::query(
            "INSERT INTO way_in (id, wanted_at) VALUES ('one', $1)
             ON CONFLICT (id) DO UPDATE SET wanted_at = excluded.wanted_at",
        )
        .bind(now)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        self.wake_watch(Watch::WayIn).await?;
        time(now)
    }

    /// A proof has ended now.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn end_way_in(&self, lease: &WatchLease, url: &str, proof: &Proof) -> Result<(), StoreError> {
        let doing = "ending a proof of the way in";
        let mut tx = self.write_claimed(doing).await?;
        self.noting(self.check(&mut tx, lease.claim()).await)?;
        sqlx::query("UPDATE way_in SET ended_at = $1, url = $2, outcome = $3, detail = $4, fix = $5 WHERE id = 'one'")
            .bind(self.now())
            .bind(plain(url))
            .bind(proof.outcome.as_str())
            .bind(plain(&proof.detail))
            .bind(plain(&proof.fix))
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// The pings that came since then, at any process, by their events' ids: one that is delivered twice is one.
    ///
    /// # Errors
    /// The database.
    pub async fn pings_since(&self, since: Timestamp) -> Result<HashSet<String>, StoreError> {
        let look = async {
            sqlx::query_as(PINGS)
                .bind(since.as_millisecond())
                .fetch_all(&self.pool)
                .await
                .map_err(failed("looking for pings"))
        };
        let rows: Vec<(String,)> = self.in_time(look).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }
}
