//! The one queue: what is to be worked on, when, and who is at it.
//!
//! A process has one lease ([`Store::renew`]); what it has claimed is its own for as long as that holds, or until it gives
//! it back. A claim is owner and attempt: whoever claims an item again raises its attempt, and from then on who had it
//! before can't write. Every write of an item's holder first locks the item's row ([`Store::check`]), and only then what it
//! is about; so does who wakes it: nobody waits for another in a circle. What is under way for an alert is changed in the writers'
//! turn, in which nobody else does (`beside.rs`).

use std::collections::HashSet;
use std::time::Duration;

use sqlx::{Any, AssertSqlSafe};
use strum::{EnumMessage, VariantArray, VariantNames};

use super::dialect::Dialect;
use super::timed::Transaction;
use super::{LEASE, Store, StoreError, Watch, failed};

runbook::words! { Kind: "kind of work"; }

/// What an item of the queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    /// A run: `runs` has the rest.
    Run,
    /// What is under way for an alert beside its runs: `alerts` has the rest, and `pages`.
    Alert,
    /// What is seen to after a write that is in doubt: `tasks` has the rest.
    Task,
    /// Something that one process looks after for all: see [`Watch`].
    Watch,
    /// Others are told of an alert or of a page: `told` has the rest.
    Notify,
}

impl Kind {
    /// The item's key in the queue; `id` is what its own table calls it.
    pub(super) fn key(self, id: &str) -> String {
        format!("{}/{id}", self.as_str())
    }
}

/// The right to work on an item, and to write of it. Made by [`Store`] only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    pub(super) key: String,
    pub(super) attempt: i64,
}

impl Claim {
    /// How often it was claimed: above 1, somebody began it before.
    pub fn attempt(&self) -> i64 {
        self.attempt
    }

    /// What its own table calls it.
    pub(super) fn id(&self) -> &str {
        self.key.split_once('/').map_or("", |(_, id)| id)
    }
}

/// Nobody holds it: whoever did gave it back, or has no lease at $1.
pub(super) const FREE: &str =
    "(owner IS NULL OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.id = work.owner AND w.lease_until > $1))";

/// When the next of each kind is due that nobody holds, and when one that is held may be had if its holder's lease is not
/// renewed: our own too, where it could not be given back. One that was put there
/// later than now is due: time has gone back. Of what is watched, these.
const NEXT: &str = "SELECT
    (SELECT CASE WHEN set_at > $1 + 5000 THEN 0 ELSE due_at END FROM work
        WHERE kind = 'run' AND owner IS NULL ORDER BY due_at LIMIT 1),
    (SELECT CASE WHEN set_at > $1 + 5000 THEN 0 ELSE due_at END FROM work
        WHERE kind = 'alert' AND owner IS NULL ORDER BY due_at LIMIT 1),
    (SELECT CASE WHEN set_at > $1 + 5000 THEN 0 ELSE due_at END FROM work
        WHERE kind = 'task' AND owner IS NULL ORDER BY due_at LIMIT 1),
    (SELECT CASE WHEN set_at > $1 + 5000 THEN 0 ELSE due_at END FROM work
        WHERE kind = 'watch' AND key IN ($2, $3, $4, $5) AND owner IS NULL ORDER BY due_at LIMIT 1),
    (SELECT CASE WHEN set_at > $1 + 5000 THEN 0 ELSE due_at END FROM work
        WHERE kind = 'notify' AND owner IS NULL ORDER BY due_at LIMIT 1),
    (SELECT CASE WHEN at > $1 + 5000 THEN 0 ELSE at END FROM news ORDER BY at LIMIT 1),
    (SELECT MIN(CASE WHEN l.lease_until > w.due_at THEN l.lease_until ELSE w.due_at END)
        FROM work w LEFT JOIN workers l ON l.id = w.owner
        WHERE w.owner IS NOT NULL AND (w.kind <> 'watch' OR w.key IN ($2, $3, $4, $5)))";

type Time = Option<i64>;

/// Counts what was given up, by `kind`.
pub const GIVE_UPS: &str = "se_responder_give_ups_total";

/// What another process makes due, or leaves when it dies, is found by looking.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(10);
/// On a file that no other process has, all that becomes due is told ([`Store::something_due`]).
const LOOK_WHERE_ALONE: Duration = Duration::from_secs(600);
/// For how long what nobody here knows how to do is left alone: a newer version may come back.
pub(super) const UNKNOWN_LATER: Duration = Duration::from_secs(3600);

impl Store {
    /// Which of these kinds there may be something to claim of now, and in how long to look again where there is nothing. Of
    /// what is watched only `watches` count.
    ///
    /// # Errors
    /// The database.
    pub async fn due(&self, kinds: &[Kind], watches: &[Watch]) -> Result<(Vec<Kind>, Duration), StoreError> {
        let longest = match self.dialect {
            Dialect::Sqlite => LOOK_WHERE_ALONE,
            Dialect::Postgres => LOOK_EVERY,
        };
        let look = async {
            let mut query = sqlx::query_as(NEXT).bind(self.now());
            for key in Watch::keys(watches) {
                query = query.bind(key);
            }
            query.fetch_one(&self.pool).await.map_err(failed("looking for what is due"))
        };
        let (run, alert, task, watch, notify, news, held): (Time, Time, Time, Time, Time, Time, Time) =
            self.in_time(look).await?;
        let now = self.now();
        let (mut due, mut next) = (Vec::new(), i64::MAX);
        for kind in kinds {
            let free = match kind {
                Kind::Run => run,
                Kind::Alert => alert,
                Kind::Task => task,
                Kind::Watch => watch,
                Kind::Notify => notify.into_iter().chain(news).min(),
            };
            let at = free.into_iter().chain(held).min().unwrap_or(i64::MAX);
            if at <= now {
                due.push(*kind);
            }
            next = next.min(at);
        }
        let wait = Duration::from_millis(next.saturating_sub(now).try_into().unwrap_or(0));
        Ok((due, wait.min(longest)))
    }

    /// Renews the lease of this process, under which it holds what it has claimed; gives that.
    ///
    /// # Errors
    /// The database.
    pub async fn renew(&self) -> Result<HashSet<Claim>, StoreError> {
        let doing = "renewing the lease";
        // It must not wait for anybody's turn.
        let mut tx = self.write_claimed(doing).await?;
        self.renew_in(&mut tx).await?;
        self.spend_all(&mut tx).await?;
        let ours: Vec<(String, i64)> = sqlx::query_as("SELECT key, attempt FROM work WHERE owner = $1")
            .bind(&*self.owner)
            .fetch_all(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(ours.into_iter().map(|(key, attempt)| Claim { key, attempt }).collect())
    }

    pub(super) async fn renew_in(&self, tx: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO workers (id, lease_until) VALUES ($1, $2)
             ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until",
        )
        .bind(&*self.owner)
        .bind(self.now() + LEASE.as_millis() as i64)
        .execute(&mut **tx)
        .await
        .map_err(failed("renewing the lease"))?;
        Ok(())
    }

    /// This process ends: what it has claimed is anybody's.
    ///
    /// # Errors
    /// The database: then its lease runs out by itself.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let doing = "giving the lease back";
        let mut tx = self.write_claimed(doing).await?;
        // Those of the dead go with it.
        sqlx::query("DELETE FROM workers WHERE id = $1 OR lease_until < $2")
            .bind(&*self.owner)
            .bind(self.now() - LEASE.as_millis() as i64)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Claims what is due of a kind and nobody holds.
    pub(super) async fn claim_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        kind: Kind,
    ) -> Result<Option<Claim>, StoreError> {
        self.claim_of(tx, kind, &[], None).await
    }

    /// The same, of these keys only, where there are any; and of alerts, where that is said, those only of which a page is wanted
    /// or is to be told of, or the others.
    pub(super) async fn claim_of(
        &self,
        tx: &mut Transaction<'static, Any>,
        kind: Kind,
        keys: &[String],
        has_page: Option<bool>,
    ) -> Result<Option<Claim>, StoreError> {
        let doing = "claiming work";
        let now = self.now();
        let places: Vec<String> = (3..3 + keys.len()).map(|n| format!("${n}")).collect();
        let of_these = if keys.is_empty() { String::new() } else { format!("AND key IN ({})", places.join(", ")) };
        let of_pages = match has_page {
            Some(true) => "AND has_page = 1",
            Some(false) => "AND has_page = 0",
            None => "",
        };
        let sql = format!(
            "SELECT key, attempt, owner FROM work WHERE kind = $2 AND (due_at <= $1 OR set_at > $1 + 5000) AND {FREE}
             {of_these} {of_pages} ORDER BY due_at, key LIMIT 1{}",
            self.dialect.claim()
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql)).bind(now).bind(kind.as_str());
        for key in keys {
            query = query.bind(key.clone());
        }
        let due: Option<(String, i64, Option<String>)> =
            query.fetch_optional(&mut **tx).await.map_err(failed(doing))?;
        let Some((key, attempt, owner)) = due else { return Ok(None) };
        // Whoever wakes now and renews its lease waits until this is decided, and then sees what it has lost.
        if let Some(owner) = owner {
            let sql = format!("SELECT lease_until FROM workers WHERE id = $1{}", self.dialect.hold());
            let _: Option<(i64,)> = sqlx::query_as(AssertSqlSafe(sql))
                .bind(owner)
                .fetch_optional(&mut **tx)
                .await
                .map_err(failed(doing))?;
        }
        let claim = Claim { key, attempt: attempt + 1 };
        // Asked again, now that the row is ours: PostgreSQL looked at the leases as they were before it waited for the row.
        let sql = format!("UPDATE work SET owner = $2, attempt = $3 WHERE key = $4 AND {FREE}");
        let claimed = sqlx::query(AssertSqlSafe(sql))
            .bind(now)
            .bind(&*self.owner)
            .bind(claim.attempt)
            .bind(&claim.key)
            .execute(&mut **tx)
            .await
            .map_err(failed(doing))?;
        if claimed.rows_affected() == 0 {
            return Ok(None);
        }
        self.renew_in(tx).await?;
        Ok(Some(claim))
    }

    /// Fails unless the claim still holds, within the transaction that is about to write; until that ends nobody else can
    /// claim it.
    pub(super) async fn check(&self, tx: &mut Transaction<'static, Any>, claim: &Claim) -> Result<(), StoreError> {
        let guard = "SELECT attempt FROM work WHERE key = $1 AND owner = $2 AND attempt = $3";
        let held: Option<(i64,)> = sqlx::query_as(AssertSqlSafe(format!("{guard}{}", self.dialect.hold())))
            .bind(&claim.key)
            .bind(&*self.owner)
            .bind(claim.attempt)
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("checking a claim"))?;
        held.map(drop).ok_or(StoreError::LeaseLost)
    }

    /// Gives a claim back; it is due again at `due`.
    pub(super) async fn release_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        claim: &Claim,
        due: i64,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE work SET owner = NULL, due_at = $1, set_at = $2 WHERE key = $3 AND owner = $4 AND attempt = $5",
        );
        self.of_claim(tx, claim, query.bind(due).bind(self.now())).await
    }

    /// There is nothing left to do about it.
    pub(super) async fn end_in(&self, tx: &mut Transaction<'static, Any>, claim: &Claim) -> Result<(), StoreError> {
        self.of_claim(tx, claim, sqlx::query("DELETE FROM work WHERE key = $1 AND owner = $2 AND attempt = $3")).await
    }

    async fn of_claim<'q>(
        &self,
        tx: &mut Transaction<'static, Any>,
        claim: &Claim,
        query: sqlx::query::Query<'q, Any, sqlx::any::AnyArguments>,
    ) -> Result<(), StoreError> {
        let query = query.bind(claim.key.clone()).bind(self.owner.to_string()).bind(claim.attempt);
        let done = query.execute(&mut **tx).await.map_err(failed("ending a claim"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::LeaseLost) }
    }

    /// Gives a claim back, in a transaction of its own; it is due again after `wait`.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn release(&self, claim: &Claim, wait: Duration) -> Result<(), StoreError> {
        let doing = "giving a claim back";
        let mut tx = self.write_claimed(doing).await?;
        self.release_in(&mut tx, claim, self.in_millis(wait)).await?;
        self.commit_due(tx, doing).await
    }

    /// Leaves alone what nobody here knows how to do, and says so.
    pub(super) async fn leave_alone(&self, mut tx: Transaction<'static, Any>, claim: &Claim) -> Result<(), StoreError> {
        self.set_building(&mut tx, claim, 0).await?;
        self.release_in(&mut tx, claim, self.in_millis(UNKNOWN_LATER)).await?;
        tx.commit().await.map_err(failed("leaving work alone"))?;
        metrics::counter!(GIVE_UPS, "kind" => Kind::Task.as_str()).increment(1);
        tracing::error!(
            work = claim.key,
            "work of a kind, or in a state, that this version doesn't know is left alone"
        );
        Ok(())
    }

    /// `wait` from now, in milliseconds since 1970.
    pub(super) fn in_millis(&self, wait: Duration) -> i64 {
        self.now().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
    }

    /// Does one thing under a claim: a statement whose last parameter is the item's id, and that must hit one row.
    pub(super) async fn guarded<'q>(
        &self,
        doing: &'static str,
        query: sqlx::query::Query<'q, Any, sqlx::any::AnyArguments>,
        claim: &Claim,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_claimed(doing).await?;
        self.noting(self.check(&mut tx, claim).await)?;
        let done = query.bind(claim.id().to_owned()).execute(&mut *tx).await;
        let done = self.noting(done.map_err(failed(doing)))?;
        if done.rows_affected() != 1 {
            return Err(StoreError::LeaseLost);
        }
        self.commit_changed(tx, doing).await
    }
}
