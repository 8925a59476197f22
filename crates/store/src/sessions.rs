//! Sessions that somebody ended by signing out, on whichever replica: they must not be taken again.

use super::{Store, StoreError, failed};

impl Store {
    /// Ends a session that would have lasted until then (seconds since 1970).
    ///
    /// # Errors
    /// The database: it is not ended.
    pub async fn end_session(&self, id: &str, until: i64) -> Result<(), StoreError> {
        let doing = "ending a session";
        let mut tx = self.write_claimed(doing).await?;
        sqlx::query("INSERT INTO ended_sessions (id, ends_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING")
            .bind(id)
            .bind(until.saturating_mul(1000))
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        // Streams that were opened by it end.
        self.tell_changed();
        Ok(())
    }

    /// Whether a session was ended.
    ///
    /// # Errors
    /// The database.
    pub async fn is_session_ended(&self, id: &str) -> Result<bool, StoreError> {
        let found: Option<(i64,)> = sqlx::query_as("SELECT ends_at FROM ended_sessions WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("looking whether a session was ended"))?;
        Ok(found.is_some())
    }
}
