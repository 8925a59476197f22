//! Things to do for an alert beside its runs, claimed and written like a run.

use std::time::Duration;

use sqlx::{Any, AssertSqlSafe, Transaction};

use super::{ChoreKind, LEASE, NewChore, Store, StoreError, failed};

impl ChoreKind {
    const NAMES: [(Self, &'static str); 5] = [
        (Self::Command, "command"),
        (Self::RelatedResolved, "related-resolved"),
        (Self::FollowUp, "follow-up"),
        (Self::WatchPage, "watch-page"),
        (Self::Resolution, "resolution"),
    ];

    fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

impl NewChore {
    fn id(&self) -> String {
        format!("{}:{}:{}", self.kind.as_str(), self.incident_id, self.mark)
    }
}

/// A claimed chore: the right to do it.
#[derive(Clone, Debug)]
pub struct Chore {
    id: String,
    attempt: i64,
    /// What there is to do.
    pub kind: ChoreKind,
    /// Its alert.
    pub incident_id: String,
    /// The run that it follows from.
    pub run_id: Option<String>,
    /// What it needs, as JSON.
    pub data: String,
}

impl Chore {
    /// How often it was claimed.
    pub fn attempt(&self) -> i64 {
        self.attempt
    }
}

type Row = (String, String, String, Option<String>, String, i64);

impl Store {
    /// Adds a chore; one that is there already for the same (kind, alert, mark) is replaced.
    ///
    /// # Errors
    /// The database.
    pub async fn add_chore(&self, chore: &NewChore) -> Result<(), StoreError> {
        let mut tx = self.write("adding a chore").await?;
        self.chore_in(&mut tx, chore).await?;
        tx.commit().await.map_err(failed("adding a chore"))?;
        self.tell_due();
        Ok(())
    }

    pub(super) async fn chore_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        chore: &NewChore,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO chores (id, kind, incident_id, run_id, data, due_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (id) DO UPDATE SET run_id = excluded.run_id, data = excluded.data, due_at = excluded.due_at,
             lease_until = 0, attempt = chores.attempt + 1",
        )
        .bind(chore.id())
        .bind(chore.kind.as_str())
        .bind(&chore.incident_id)
        .bind(&chore.run_id)
        .bind(&chore.data)
        .bind(self.lease_now() + chore.after.as_millis() as i64)
        .execute(&mut **tx)
        .await
        .map_err(failed("adding a chore"))?;
        Ok(())
    }

    /// Claims a chore that is due.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_chore(&self) -> Result<Option<Chore>, StoreError> {
        let doing = "claiming a chore";
        let mut tx = self.write_claimed(doing).await?;
        let now = self.lease_now();
        let sql = format!(
            "SELECT id, kind, incident_id, run_id, data, attempt FROM chores
             WHERE due_at <= $1 AND lease_until <= $1 ORDER BY due_at, id LIMIT 1{}",
            self.dialect.claim()
        );
        let due: Option<Row> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(now).fetch_optional(&mut *tx).await.map_err(failed(doing))?;
        let Some((id, kind, incident_id, run_id, data, attempt)) = due else { return Ok(None) };
        let attempt = attempt + 1;
        sqlx::query("UPDATE chores SET owner = $1, lease_until = $2, attempt = $3 WHERE id = $4")
            .bind(&*self.owner)
            .bind(now + LEASE.as_millis() as i64)
            .bind(attempt)
            .bind(&id)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        let kind = ChoreKind::NAMES.iter().find(|(_, name)| *name == kind).map(|(kind, _)| *kind);
        let kind = kind.ok_or_else(|| StoreError::Corrupt { what: "a chore", source: "its kind is unknown".into() })?;
        Ok(Some(Chore { id, attempt, kind, incident_id, run_id, data }))
    }

    /// Renews a claim.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn renew_chore(&self, chore: &Chore) -> Result<(), StoreError> {
        let until = self.lease_now() + LEASE.as_millis() as i64;
        let query = sqlx::query("UPDATE chores SET lease_until = $1 WHERE id = $2 AND owner = $3 AND attempt = $4");
        self.one_chore(chore, "renewing a chore's lease", query.bind(until)).await
    }

    /// Puts it off, with what it needs then.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn put_off_chore(&self, chore: &Chore, data: &str, wait: Duration) -> Result<(), StoreError> {
        let due = self.lease_now() + wait.as_millis() as i64;
        let query = sqlx::query(
            "UPDATE chores SET lease_until = 0, data = $1, due_at = $2 WHERE id = $3 AND owner = $4 AND attempt = $5",
        );
        self.one_chore(chore, "putting a chore off", query.bind(data.to_owned()).bind(due)).await
    }

    /// It is done, or has become pointless.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn finish_chore(&self, chore: &Chore) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM chores WHERE id = $1 AND owner = $2 AND attempt = $3");
        self.one_chore(chore, "ending a chore", query).await
    }

    /// Fails unless the claim still holds, within the transaction that is about to write.
    pub(super) async fn check_chore(
        &self,
        tx: &mut Transaction<'static, Any>,
        chore: &Chore,
    ) -> Result<(), StoreError> {
        let guard = "SELECT attempt FROM chores WHERE id = $1 AND owner = $2 AND attempt = $3";
        let held: Option<(i64,)> = sqlx::query_as(AssertSqlSafe(format!("{guard}{}", self.dialect.hold())))
            .bind(&chore.id)
            .bind(&*self.owner)
            .bind(chore.attempt)
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("checking a chore's claim"))?;
        held.map(drop).ok_or(StoreError::LeaseLost)
    }

    async fn one_chore<'q>(
        &self,
        chore: &Chore,
        doing: &'static str,
        query: sqlx::query::Query<'q, Any, sqlx::any::AnyArguments>,
    ) -> Result<(), StoreError> {
        self.guarded(doing, query, chore.id.clone(), chore.attempt).await
    }
}
