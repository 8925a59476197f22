//! Runs: made, claimed, written under a lease.

use std::time::Duration;

use sqlx::{Any, AssertSqlSafe};

use runbook::diagnosis::{Diagnosis, RelatedPage};
use runbook::run::{AlertIncident, EscalationState, Facts, State};

use super::decisions::{About, NewDecision};
use super::rows::{plain, to_json};
use super::timed::Transaction;
use super::work::Kind;
use super::{Failure, Lease, Store, StoreError, failed};

/// Counts the time since then, a lease at most.
const SPEND: &str =
    "UPDATE runs SET touched_at = $1, spent = spent + CASE WHEN touched_at IS NULL OR touched_at > $1 THEN 0
    WHEN $1 - touched_at > 30000 THEN 30000 ELSE $1 - touched_at END";

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

impl Store {
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
        self.commit_due(tx, doing).await
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

    /// Keeps the diagnosis and what was decided about a page, with how both were `decided`.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn set_diagnosis(
        &self,
        lease: &Lease,
        diagnosis: &Diagnosis,
        (escalation, reason): (EscalationState, Option<&str>),
        decided: &[NewDecision],
    ) -> Result<(), StoreError> {
        let doing = "keeping a diagnosis";
        // What becomes of a page that is asked for stands in `pages`.
        let state = if escalation.is_decided() { escalation } else { EscalationState::None };
        let query = sqlx::query_as(
            "UPDATE runs SET diagnosis = $1, verdict = $2, rule = $3, escalation = $4, escalation_reason = $5,
             diagnosed_at = COALESCE(diagnosed_at, $6) WHERE id = $7 RETURNING incident_id",
        )
        .bind(to_json(diagnosis)?)
        .bind(diagnosis.verdict.kind.as_str())
        .bind(diagnosis.verdict.rule.as_str())
        .bind(state.as_str())
        .bind(reason.map(plain))
        .bind(self.now())
        .bind(lease.run_id());
        let kept = async {
            let mut tx = self.write_claimed(doing).await?;
            self.check(&mut tx, &lease.claim).await?;
            let row: Option<(Option<String>,)> = query.fetch_optional(&mut *tx).await.map_err(failed(doing))?;
            let Some((incident_id,)) = row else { return Err(StoreError::LeaseLost) };
            self.decided_in(&mut tx, About::Run(lease.run_id()), decided).await?;
            if let Some(incident_id) = incident_id {
                self.record_verdict_in(&mut tx, (&incident_id, lease.run_id()), diagnosis).await?;
                if let (EscalationState::Held, Some(reason)) = (escalation, reason) {
                    self.record_held_in(&mut tx, (&incident_id, lease.run_id()), reason).await?;
                }
            }
            tx.commit().await.map_err(failed(doing))
        };
        self.noting(kept.await)?;
        self.tell_changed();
        Ok(())
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
