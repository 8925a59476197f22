//! Runs: made, claimed, written under a lease.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::diagnosis::{Diagnosis, RelatedPage, VerdictKind};
use crate::run::steps::read_boxes::BuildRecord;
use crate::run::{AlertIncident, EscalationState, Facts, State, Trigger};

use super::rows::{from_json, plain, to_json};
use super::{Failure, LEASE, Lease, NewRun, Store, StoreError, failed};

/// How long an `Idempotency-Key` is kept, in milliseconds: 24 hours.
const KEY_KEPT: i64 = 24 * 3_600_000;

/// What became of a wish for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is made.
    Run(String),
    /// The same wish was made before, under the same key: that run.
    Before(String),
    /// The key was used for another wish.
    KeyTaken,
    /// A run is active already: this one.
    Active(String),
}

/// How a run ends.
#[derive(Clone, Debug)]
pub enum Finish {
    /// Its work is done.
    Done,
    /// Given up, and why.
    Failed(Failure, String),
    /// Nothing to do any more, and why.
    Cancelled(String),
}

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this incident.
    pub incident_id: Option<String>,
    /// Of this region.
    pub region: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// With a verdict of this kind.
    pub verdict: Option<VerdictKind>,
    /// Made before this run.
    pub before: Option<String>,
    /// At most so many.
    pub limit: i64,
}

impl Store {
    /// Makes a run at somebody's wish. `key` is their `Idempotency-Key`: who, key, and a hash of what was wished.
    ///
    /// # Errors
    /// The database.
    pub async fn create_run(&self, run: &NewRun, key: Option<(&str, &str, &str)>) -> Result<Created, StoreError> {
        let doing = "making a run";
        let mut tx = self.write(doing).await?;
        let now = self.now();
        if let Some((who, key, hash)) = key {
            sqlx::query("DELETE FROM idempotency_keys WHERE created_at < $1")
                .bind(now - KEY_KEPT)
                .execute(&mut *tx)
                .await
                .map_err(failed(doing))?;
            let before: Option<(String, String)> =
                sqlx::query_as("SELECT body_hash, run_id FROM idempotency_keys WHERE who = $1 AND key = $2")
                    .bind(who)
                    .bind(key)
                    .fetch_optional(&mut *tx)
                    .await
                    .map_err(failed(doing))?;
            if let Some((stored, run_id)) = before {
                // Dropping the transaction undoes nothing but the clearing of old keys.
                return Ok(if stored == hash { Created::Before(run_id) } else { Created::KeyTaken });
            }
        }
        if let Some(active) = active_run(&mut tx, run).await? {
            if run.trigger == Trigger::Rerun {
                self.not_to_wait_in(&mut tx, &active).await?;
                tx.commit().await.map_err(failed(doing))?;
            }
            return Ok(Created::Active(active));
        }
        let id = self.insert_run(&mut tx, run).await?;
        if let Some(key) = key {
            self.keep_key(&mut tx, key, &id).await?;
        }
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(Created::Run(id))
    }

    pub(super) async fn keep_key(
        &self,
        tx: &mut Transaction<'static, Any>,
        (who, key, hash): (&str, &str, &str),
        run_id: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO idempotency_keys (who, key, body_hash, run_id, created_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (who, key) DO NOTHING",
        )
        .bind(who)
        .bind(key)
        .bind(hash)
        .bind(run_id)
        .bind(self.now())
        .execute(&mut **tx)
        .await
        .map_err(failed("keeping an Idempotency-Key"))?;
        Ok(())
    }

    /// What became of the same wish before, by its `Idempotency-Key`; `None` where the key is new.
    ///
    /// # Errors
    /// The database.
    pub async fn created_before(&self, who: &str, key: &str, hash: &str) -> Result<Option<Created>, StoreError> {
        let before: Option<(String, String)> = sqlx::query_as(
            "SELECT body_hash, run_id FROM idempotency_keys WHERE who = $1 AND key = $2 AND created_at >= $3",
        )
        .bind(who)
        .bind(key)
        .bind(self.now() - KEY_KEPT)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("looking for an earlier wish"))?;
        Ok(before.map(|(stored, run_id)| if stored == hash { Created::Before(run_id) } else { Created::KeyTaken }))
    }

    /// Claims a run that is due and that nobody works on; `None` where there is none.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_run(&self) -> Result<Option<Lease>, StoreError> {
        let doing = "claiming a run";
        let mut tx = self.write_claimed(doing).await?;
        let now = self.lease_now();
        // One that nobody has claimed yet and that was made in the future was made before the clock was set back: it must
        // not wait for that time to come again.
        let sql = format!(
            "SELECT id, attempt, state, crashes FROM runs WHERE state IN ('queued', 'suppressed', 'running')
             AND (due_at <= $1 OR (attempt = 0 AND created_at > $1)) AND lease_until <= $1 ORDER BY due_at, id LIMIT 1{}",
            self.dialect.claim()
        );
        let due: Option<(String, i64, String, i64)> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(now).fetch_optional(&mut *tx).await.map_err(failed(doing))?;
        let Some((run_id, attempt, state, crashes)) = due else { return Ok(None) };
        let attempt = attempt + 1;
        // Whoever gives a run back says so by its state.
        let crashes = crashes + i64::from(state == State::Running.as_str());
        sqlx::query(
            "UPDATE runs SET state = 'running', owner = $1, lease_until = $2, attempt = $3, crashes = $4 WHERE id = $5",
        )
        .bind(&*self.owner)
        .bind(now + LEASE.as_millis() as i64)
        .bind(attempt)
        .bind(crashes)
        .bind(&run_id)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        let spent = self.spend(&mut tx, &run_id).await?;
        // What the worker before was doing when it was cut off.
        sqlx::query("UPDATE steps SET state = 'interrupted' WHERE run_id = $1 AND state = 'running'")
            .bind(&run_id)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
        Ok(Some(Lease { run_id, attempt, crashes, spent }))
    }

    /// Counts the time since a run was last claimed or renewed to what it has spent; how much that is by now. Of a
    /// longer gap (the service was down) only a lease counts.
    async fn spend(&self, tx: &mut Transaction<'static, Any>, run_id: &str) -> Result<i64, StoreError> {
        let doing = "counting a run's time";
        let (spent, touched): (i64, Option<i64>) = sqlx::query_as("SELECT spent, touched_at FROM runs WHERE id = $1")
            .bind(run_id)
            .fetch_one(&mut **tx)
            .await
            .map_err(failed(doing))?;
        let now = self.lease_now();
        let spent = spent + touched.map_or(0, |touched| (now - touched).clamp(0, LEASE.as_millis() as i64));
        sqlx::query("UPDATE runs SET spent = $1, touched_at = $2 WHERE id = $3")
            .bind(spent)
            .bind(now)
            .bind(run_id)
            .execute(&mut **tx)
            .await
            .map_err(failed(doing))?;
        Ok(spent)
    }

    /// Renews a claim.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn renew_run(&self, lease: &Lease) -> Result<(), StoreError> {
        let doing = "renewing a lease";
        // It must not wait for anybody's turn.
        let mut tx = self.write_claimed(doing).await?;
        self.check_lease(&mut tx, lease).await?;
        self.spend(&mut tx, &lease.run_id).await?;
        sqlx::query("UPDATE runs SET lease_until = $1 WHERE id = $2")
            .bind(self.lease_now() + LEASE.as_millis() as i64)
            .bind(&lease.run_id)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
        Ok(())
    }

    /// Gives a claim back; the run is due again after `wait`.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn release_run(&self, lease: &Lease, wait: Duration) -> Result<(), StoreError> {
        let due = self.lease_now() + wait.as_millis() as i64;
        let query = sqlx::query(
            "UPDATE runs SET state = 'queued', lease_until = 0, due_at = $1 WHERE id = $2 AND owner = $3 AND attempt = $4",
        );
        self.one_run(lease, "giving a lease back", query.bind(due)).await
    }

    /// Keeps the alert as PagerDuty shows it now, and what the note will need beside the diagnosis.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn set_facts(
        &self,
        lease: &Lease,
        incident: Option<&AlertIncident>,
        facts: &Facts,
        related: &[RelatedPage],
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE runs SET incident = COALESCE($1, incident), facts = $2, related = $3
             WHERE id = $4 AND owner = $5 AND attempt = $6",
        )
        .bind(incident.map(to_json).transpose()?)
        .bind(to_json(facts)?)
        .bind(to_json(&related)?);
        self.one_run(lease, "keeping a run's facts", query).await
    }

    /// Keeps the diagnosis and what was decided about a page.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn set_diagnosis(
        &self,
        lease: &Lease,
        diagnosis: &Diagnosis,
        escalation: EscalationState,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let state = match escalation {
            EscalationState::Suggested => "suggested",
            EscalationState::Held => "held",
            // What becomes of a page that is asked for stands in `pages`.
            _ => "none",
        };
        let query = sqlx::query(
            "UPDATE runs SET diagnosis = $1, escalation = $2, escalation_reason = $3
             WHERE id = $4 AND owner = $5 AND attempt = $6",
        )
        .bind(to_json(diagnosis)?)
        .bind(state)
        .bind(reason.map(plain));
        self.one_run(lease, "keeping a diagnosis", query).await
    }

    /// A note is about to be written.
    ///
    /// # Errors
    /// The database, or the lease is lost: then it must not be written.
    pub async fn begin_note(&self, lease: &Lease) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE runs SET note_begun_at = $1 WHERE id = $2 AND owner = $3 AND attempt = $4");
        self.one_run(lease, "noting that a note begins", query.bind(self.now())).await
    }

    /// The note is written.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn set_note(&self, lease: &Lease, note_id: &str) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE runs SET note_id = $1 WHERE id = $2 AND owner = $3 AND attempt = $4");
        self.one_run(lease, "keeping a note's id", query.bind(note_id.to_owned())).await
    }

    /// When a note of this run was last about to be written, and its id where it is known.
    ///
    /// # Errors
    /// The database.
    pub async fn note_state(&self, run_id: &str) -> Result<(Option<Timestamp>, Option<String>), StoreError> {
        let (begun, id): (Option<i64>, Option<String>) =
            sqlx::query_as("SELECT note_begun_at, note_id FROM runs WHERE id = $1")
                .bind(run_id)
                .fetch_one(&self.pool)
                .await
                .map_err(failed("looking for a note"))?;
        Ok((begun.map(super::rows::time).transpose()?, id))
    }

    /// The builds that a run asked for, by reading and zone.
    ///
    /// # Errors
    /// The database.
    pub async fn builds(&self, run_id: &str) -> Result<Vec<BuildRecord>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT record FROM builds WHERE run_id = $1 ORDER BY reading, zone")
            .bind(run_id)
            .fetch_all(&self.pool)
            .await
            .map_err(failed("looking for builds"))?;
        rows.iter().map(|(record,)| from_json("a build", record)).collect()
    }

    /// Keeps what is known of a build that was asked for.
    ///
    /// # Errors
    /// The database, or the lease is lost: then none may be started.
    pub async fn set_build(&self, lease: &Lease, record: &BuildRecord) -> Result<(), StoreError> {
        let doing = "keeping a build";
        let mut tx = self.write_claimed(doing).await?;
        self.check_lease(&mut tx, lease).await?;
        sqlx::query(
            "INSERT INTO builds (run_id, reading, zone, record) VALUES ($1, $2, $3, $4)
             ON CONFLICT (run_id, reading, zone) DO UPDATE SET record = excluded.record",
        )
        .bind(&lease.run_id)
        .bind(i64::from(record.reading))
        .bind(record.zone.as_str())
        .bind(to_json(record)?)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Fails unless the lease is still held, within the transaction that is about to write.
    pub(super) async fn check_lease(
        &self,
        tx: &mut Transaction<'static, Any>,
        lease: &Lease,
    ) -> Result<(), StoreError> {
        let guard = "SELECT attempt FROM runs WHERE id = $1 AND owner = $2 AND attempt = $3";
        let held: Option<(i64,)> = sqlx::query_as(AssertSqlSafe(format!("{guard}{}", self.dialect.hold())))
            .bind(&lease.run_id)
            .bind(&*self.owner)
            .bind(lease.attempt)
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("checking a lease"))?;
        held.map(drop).ok_or(StoreError::LeaseLost)
    }

    /// Runs an update whose last three parameters are the run's id, owner and attempt, and that must hit one row.
    pub(super) async fn one_run<'q>(
        &self,
        lease: &Lease,
        doing: &'static str,
        query: sqlx::query::Query<'q, Any, sqlx::any::AnyArguments>,
    ) -> Result<(), StoreError> {
        self.guarded(doing, query, lease.run_id.clone(), lease.attempt).await
    }
}

/// The active run of an alert, under whichever of its incidents it runs: one that stays where its note stands runs under
/// one that was merged away. Or that of a region, without an incident.
pub(super) async fn active_run(tx: &mut Transaction<'static, Any>, run: &NewRun) -> Result<Option<String>, StoreError> {
    let query = match &run.incident {
        Some(incident) => sqlx::query_as(
            "SELECT id FROM runs WHERE (incident_id = $1 OR incident_id IN (SELECT incident_id FROM alerts
             WHERE alert_id = (SELECT alert_id FROM alerts WHERE incident_id = $1)))
             AND state IN ('queued', 'suppressed', 'running')
             ORDER BY CASE WHEN incident_id = $1 THEN 0 ELSE 1 END, id DESC LIMIT 1",
        )
        .bind(incident.id.clone()),
        None => sqlx::query_as(
            "SELECT id FROM runs WHERE incident_id IS NULL AND region = $1
             AND state IN ('queued', 'suppressed', 'running')",
        )
        .bind(run.region.to_string()),
    };
    let active: Option<(String,)> = query.fetch_optional(&mut **tx).await.map_err(failed("looking for a run"))?;
    Ok(active.map(|(id,)| id))
}
