//! Short notes, so that each is written once.

use jiff::Timestamp;

use super::{Store, StoreError, failed};

/// A short note as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortNote {
    /// The incident that it was last about to be written on.
    pub incident_id: String,
    /// Its text as first wanted: what it is found again by.
    pub text: String,
    /// When it was about to be written; `None` is never.
    pub begun_at: Option<Timestamp>,
    /// Its id; `None` where it is not written, or not known to be.
    pub note_id: Option<String>,
}

type Row = (String, String, Option<i64>, Option<String>);

const SELECT: &str = "SELECT incident_id, text, begun_at, note_id FROM short_notes WHERE key = $1";

fn short_note((incident_id, text, begun_at, note_id): Row) -> Result<ShortNote, StoreError> {
    Ok(ShortNote { incident_id, text, begun_at: begun_at.map(super::rows::time).transpose()?, note_id })
}

impl Store {
    /// Wants a short note; the one that was wanted first under this key stays.
    ///
    /// # Errors
    /// The database.
    pub async fn want_short_note(&self, key: &str, incident_id: &str, text: &str) -> Result<ShortNote, StoreError> {
        let doing = "wanting a short note";
        let mut tx = self.write(doing).await?;
        sqlx::query(
            "INSERT INTO short_notes (key, incident_id, text) VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING",
        )
        .bind(key)
        .bind(incident_id)
        .bind(super::rows::plain(text))
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        let row: Row = sqlx::query_as(SELECT).bind(key).fetch_one(&mut *tx).await.map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        short_note(row)
    }

    /// The short note of this key, where one was wanted.
    ///
    /// # Errors
    /// The database.
    pub async fn short_note(&self, key: &str) -> Result<Option<ShortNote>, StoreError> {
        let row: Option<Row> = sqlx::query_as(SELECT)
            .bind(key)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("looking for a short note"))?;
        row.map(short_note).transpose()
    }

    /// It is about to be written on this incident, by who last saw it begun at `seen`; gives when it is begun now.
    ///
    /// Whoever was frozen meanwhile saw less than is here, and must not write it once more: this is its fence.
    ///
    /// # Errors
    /// The database, or (as a lost lease) somebody else has begun or written it since: it must not be written.
    pub async fn begin_short_note(
        &self,
        key: &str,
        incident_id: &str,
        seen: Option<Timestamp>,
    ) -> Result<Timestamp, StoreError> {
        let doing = "beginning a short note";
        let seen = seen.map_or(-1, Timestamp::as_millisecond);
        // Never the same twice, however little time there is between.
        let now = self.now().max(seen + 1);
        let mut tx = self.write(doing).await?;
        let done = sqlx::query(
            "UPDATE short_notes SET begun_at = $1, incident_id = $2
             WHERE key = $3 AND note_id IS NULL AND COALESCE(begun_at, -1) = $4",
        )
        .bind(now)
        .bind(incident_id)
        .bind(key)
        .bind(seen)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        if done.rows_affected() != 1 {
            return Err(StoreError::LeaseLost);
        }
        tx.commit().await.map_err(failed(doing))?;
        super::rows::time(now)
    }

    /// It is written.
    ///
    /// # Errors
    /// The database.
    pub async fn set_short_note_id(&self, key: &str, note_id: &str) -> Result<(), StoreError> {
        let doing = "keeping a short note";
        let mut tx = self.write(doing).await?;
        let done = sqlx::query("UPDATE short_notes SET note_id = $1 WHERE key = $2")
            .bind(note_id)
            .bind(key)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Corrupt { what: "a short note", source: "it is gone".into() });
        }
        tx.commit().await.map_err(failed(doing))
    }
}
