//! Runs: made, claimed, written under a lease.

use std::time::Duration;

use sqlx::{Any, AssertSqlSafe, Transaction};

use runbook::diagnosis::{Diagnosis, RelatedPage, VerdictKind};
use runbook::run::{AlertIncident, EscalationState, Facts, State, Trigger};

use super::rows::{plain, to_json};
use super::work::Kind;
use super::{Failure, Lease, NewRun, Store, StoreError, failed};

/// How long an `Idempotency-Key` is kept, in milliseconds: 24 hours.
const KEY_KEPT: i64 = 24 * 3_600_000;

/// Counts the time since then, a lease at most.
const SPEND: &str =
    "UPDATE runs SET touched_at = $1, spent = spent + CASE WHEN touched_at IS NULL OR touched_at > $1 THEN 0
    WHEN $1 - touched_at > 30000 THEN 30000 ELSE $1 - touched_at END";

/// What became of a request for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is made.
    Run(String),
    /// The same was asked before, under the same key: that run.
    Before(String),
    /// The key was used for another request.
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
    /// Makes a run that somebody asked for. `key` is their `Idempotency-Key`: who, key, and a hash of what was asked.
    ///
    /// # Errors
    /// The database.
    pub async fn create_run(&self, run: &NewRun, key: Option<(&str, &str, &str)>) -> Result<Created, StoreError> {
        let doing = "making a run";
        let mut making = self.making();
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
                self.tell_due();
            }
            return Ok(Created::Active(active));
        }
        let id = self.insert_run(&mut tx, run, &mut making).await?;
        if let Some(key) = key {
            self.keep_key(&mut tx, key, &id).await?;
        }
        making.commit(tx, doing).await?;
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

    /// What became of the same request before, by its `Idempotency-Key`; `None` where the key is new.
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
        .map_err(failed("looking for an earlier request"))?;
        Ok(before.map(|(stored, run_id)| if stored == hash { Created::Before(run_id) } else { Created::KeyTaken }))
    }

    /// Claims a run that is due and that nobody works on; `None` where there is none.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_run(&self) -> Result<Option<Lease>, StoreError> {
        let doing = "claiming a run";
        loop {
            let mut tx = self.write_claimed(doing).await?;
            let Some(claim) = self.claim_in(&mut tx, Kind::Run).await? else { return Ok(None) };
            let run: Option<(String, i64)> = sqlx::query_as("SELECT state, crashes FROM runs WHERE id = $1")
                .bind(claim.id())
                .fetch_optional(&mut *tx)
                .await
                .map_err(failed(doing))?;
            // Whoever gives a run back says so by its state.
            let crashes = run.and_then(|(state, crashes)| match state.parse::<State>() {
                Ok(State::Running) => Some(crashes + 1),
                Ok(state) => state.is_active().then_some(crashes),
                Err(_) => None,
            });
            let Some(crashes) = crashes else {
                self.leave_alone(tx, &claim).await?;
                continue;
            };
            sqlx::query("UPDATE runs SET state = 'running', crashes = $1 WHERE id = $2")
                .bind(crashes)
                .bind(claim.id())
                .execute(&mut *tx)
                .await
                .map_err(failed(doing))?;
            let spent = self.spend(&mut tx, claim.id()).await?;
            // What the worker before was doing when it was cut off.
            sqlx::query("UPDATE steps SET state = 'interrupted' WHERE run_id = $1 AND state = 'running'")
                .bind(claim.id())
                .execute(&mut *tx)
                .await
                .map_err(failed(doing))?;
            tx.commit().await.map_err(failed(doing))?;
            self.tell_changed();
            return Ok(Some(Lease { run_id: claim.id().to_owned(), claim, crashes, spent }));
        }
    }

    /// Counts the time since a run was last claimed, or its holder's lease renewed, to what it has spent; how much that is by
    /// now. Of a longer gap (the service was down) only a lease counts.
    async fn spend(&self, tx: &mut Transaction<'static, Any>, run_id: &str) -> Result<i64, StoreError> {
        let doing = "counting a run's time";
        sqlx::query(AssertSqlSafe(format!("{SPEND} WHERE id = $2")))
            .bind(self.now())
            .bind(run_id)
            .execute(&mut **tx)
            .await
            .map_err(failed(doing))?;
        let (spent,): (i64,) = sqlx::query_as("SELECT spent FROM runs WHERE id = $1")
            .bind(run_id)
            .fetch_one(&mut **tx)
            .await
            .map_err(failed(doing))?;
        Ok(spent)
    }

    /// The same of all runs that this process holds.
    pub(super) async fn spend_all(&self, tx: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
        // One that is being written is counted the next time: nobody waits for several rows here.
        let held = format!(
            "WHERE id IN (SELECT id FROM runs WHERE state = 'running' AND id IN
             (SELECT SUBSTR(key, 5) FROM work WHERE owner = $2 AND kind = 'run'){})",
            self.dialect.claim()
        );
        sqlx::query(AssertSqlSafe(format!("{SPEND} {held}")))
            .bind(self.now())
            .bind(&*self.owner)
            .execute(&mut **tx)
            .await
            .map_err(failed("counting the time of runs"))?;
        Ok(())
    }

    /// Gives a claim back; the run is due again after `wait`.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn release_run(&self, lease: &Lease, wait: Duration) -> Result<(), StoreError> {
        let doing = "giving a run back";
        let mut tx = self.write_claimed(doing).await?;
        self.release_in(&mut tx, &lease.claim, self.in_millis(wait)).await?;
        sqlx::query("UPDATE runs SET state = 'queued' WHERE id = $1")
            .bind(lease.run_id())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(())
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
             WHERE id = $4",
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
        // What becomes of a page that is asked for stands in `pages`.
        let state = if escalation.is_decided() { escalation } else { EscalationState::None };
        let query = sqlx::query(
            "UPDATE runs SET diagnosis = $1, escalation = $2, escalation_reason = $3,
             diagnosed_at = COALESCE(diagnosed_at, $4) WHERE id = $5",
        )
        .bind(to_json(diagnosis)?)
        .bind(state.as_str())
        .bind(reason.map(plain))
        .bind(self.now());
        self.one_run(lease, "keeping a diagnosis", query).await
    }

    /// Runs an update whose last parameter is the run's id, and that must hit one row.
    pub(super) async fn one_run<'q>(
        &self,
        lease: &Lease,
        doing: &'static str,
        query: sqlx::query::Query<'q, Any, sqlx::any::AnyArguments>,
    ) -> Result<(), StoreError> {
        self.guarded(doing, query, &lease.claim).await
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
