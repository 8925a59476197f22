//! How runs end, and what may have to follow.

use sqlx::Any;

use runbook::life::is_owed_another;
use runbook::run::{Facts, State, Trigger};

use super::decisions::{About, NewDecision};
use super::rows::{from_json, plain, time};
use super::timed::Transaction;
use super::{Finish, Lease, NewRun, Store, StoreError, failed};

/// incident, its id, facts, when the run's alert was reopened
type Reopened = (Option<String>, String, Option<String>, i64);

impl Store {
    /// The run ends. Where its alert was reopened meanwhile, another is queued.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn finish_run(&self, lease: &Lease, finish: &Finish) -> Result<(), StoreError> {
        self.finish_decided(lease, finish, &[]).await
    }

    /// The same, with what was `decided` last.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn finish_decided(
        &self,
        lease: &Lease,
        finish: &Finish,
        decided: &[NewDecision],
    ) -> Result<(), StoreError> {
        let doing = "ending a run";
        let (state, reason) = match finish {
            Finish::Done => (State::Done, None),
            Finish::Failed(_, reason) => (State::Failed, Some(reason.as_str())),
            Finish::Cancelled(reason) => (State::Cancelled, Some(reason.as_str())),
        };
        let mut tx = self.write_claimed(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        // With the item held: a webhook that reopens the alert is here by now, or sees that the run is over.
        let (reopened_at,): (Option<i64>,) = sqlx::query_as("SELECT reopened_at FROM runs WHERE id = $1")
            .bind(lease.run_id())
            .fetch_one(&mut *tx)
            .await
            .map_err(failed(doing))?;
        let (mut next, mut making) = (None, self.making());
        if reopened_at.is_some() {
            // Whether another is made is decided in turn with all who make runs. Most runs end without that wait.
            drop(tx);
            tx = self.write(doing).await?;
            self.check(&mut tx, &lease.claim).await?;
            next = self.run_for_reopened(&mut tx, lease.run_id()).await?;
        }
        sqlx::query("UPDATE runs SET state = $1, reason = $2, finished_at = $3 WHERE id = $4")
            .bind(state.as_str())
            .bind(reason.map(plain))
            .bind(self.now())
            .bind(lease.run_id())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        self.decided_in(&mut tx, About::Run(lease.run_id()), decided).await?;
        self.end_in(&mut tx, &lease.claim).await?;
        if let Some(run) = next {
            let id = self.clock.id();
            self.insert_run(&mut tx, &id, &run, &mut making).await?;
            tracing::info!(run.id = id, "the alert was reopened while its run was active: another is queued");
        }
        making.commit(tx, doing).await?;
        self.tell_due();
        Ok(())
    }

    /// The run that an alert is owed which was reopened while this one was active.
    async fn run_for_reopened(
        &self,
        tx: &mut Transaction<'static, Any>,
        run_id: &str,
    ) -> Result<Option<NewRun>, StoreError> {
        let row: Option<Reopened> = sqlx::query_as(
            "SELECT incident, incident_id, facts, reopened_at FROM runs
             WHERE id = $1 AND reopened_at IS NOT NULL AND incident_id IS NOT NULL",
        )
        .bind(run_id)
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed("looking for a reopened alert"))?;
        let Some((incident, name, facts, reopened_at)) = row else { return Ok(None) };
        let Some(mut alert) = self.alert_in(tx, &name).await? else { return Ok(None) };
        // What can't be read back must not keep a run from ending.
        let facts = facts.and_then(|facts| from_json::<Facts>("a run's facts", &facts).ok());
        let incident = incident.and_then(|incident| from_json("a run's incident", &incident).ok());
        let Some(incident) = incident else { return Ok(None) };
        let resolved = facts.and_then(|facts| facts.resolved_at);
        if !is_owed_another(&alert, time(reopened_at)?, resolved) {
            return Ok(None);
        }
        // It is open: the webhook of its end came after that.
        if alert.resolved_at.take().is_some() {
            self.save_alert(tx, &alert).await?;
            self.watch_again_in(tx, &name).await?;
        }
        Ok(Some(NewRun {
            incident: Some(incident),
            region: alert.region.clone(),
            trigger: Trigger::Webhook,
            reopened: true,
            alert_at: alert.triggered_at,
        }))
    }
}
