//! Who does what one of several processes that share a database does for all.

use std::time::Duration;

use super::{Store, StoreError, failed};

impl Store {
    /// Takes or keeps a role for so long; `false` where another process has it.
    ///
    /// # Errors
    /// The database: who has it is not known.
    pub async fn take_role(&self, name: &str, length: Duration) -> Result<bool, StoreError> {
        // It is what begins each round of whoever watches something: none may stand still for good.
        self.in_time(self.take_role_once(name, length)).await
    }

    async fn take_role_once(&self, name: &str, length: Duration) -> Result<bool, StoreError> {
        let doing = "taking a role";
        let mut tx = self.write_claimed(doing).await?;
        let now = self.now();
        let taken = sqlx::query(
            "INSERT INTO roles (name, owner, lease_until) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE
             SET owner = excluded.owner, lease_until = excluded.lease_until
             WHERE roles.owner = excluded.owner OR roles.lease_until <= $4",
        )
        .bind(name)
        .bind(&*self.owner)
        .bind(now + i64::try_from(length.as_millis()).unwrap_or(i64::MAX / 2))
        .bind(now)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(taken.rows_affected() == 1)
    }

    /// Gives a role back, where we have it: the next may take it at once.
    ///
    /// # Errors
    /// The database: then it runs out by itself.
    pub async fn leave_role(&self, name: &str) -> Result<(), StoreError> {
        let doing = "leaving a role";
        let mut tx = self.write_claimed(doing).await?;
        sqlx::query("DELETE FROM roles WHERE name = $1 AND owner = $2")
            .bind(name)
            .bind(&*self.owner)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Gives back every role that we have: this process ends.
    ///
    /// # Errors
    /// The database: then they run out by themselves.
    pub async fn leave_roles(&self) -> Result<(), StoreError> {
        let doing = "leaving all roles";
        let mut tx = self.write_claimed(doing).await?;
        sqlx::query("DELETE FROM roles WHERE owner = $1")
            .bind(&*self.owner)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }
}
