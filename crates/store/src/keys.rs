//! Keys that the service makes for itself, once, for all replicas.

use super::{Store, StoreError, failed};
use outbound::clock::new_secret;
use outbound::secret::Secret;

impl Store {
    /// The key of this name; made where there is none yet.
    ///
    /// # Errors
    /// The database.
    pub async fn key(&self, name: &str) -> Result<Secret, StoreError> {
        let doing = "keeping a key";
        let mut tx = self.write(doing).await?;
        sqlx::query("INSERT INTO keys (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
            .bind(name)
            .bind(new_secret())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        let (value,): (String,) = sqlx::query_as("SELECT value FROM keys WHERE name = $1")
            .bind(name)
            .fetch_one(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(Secret::from(value.as_str()))
    }
}
