//! How runs end, and what may have to follow.

use jiff::Timestamp;
use sqlx::{Any, Transaction};

use runbook::run::{Facts, State, Trigger};

use super::rows::{from_json, parse, plain, time};
use super::runs::active_run;
use super::{Finish, Lease, NewRun, Store, StoreError, failed};

/// incident, region, facts, when the run's alert was reopened, when it was last triggered or reopened
type Reopened = (Option<String>, String, Option<String>, i64, Option<i64>);

impl Store {
    /// The run ends. Where its alert was reopened meanwhile, another is queued.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn finish_run(&self, lease: &Lease, finish: &Finish) -> Result<(), StoreError> {
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
        self.end_in(&mut tx, &lease.claim).await?;
        if let Some(run) = next
            && active_run(&mut tx, &run).await?.is_none()
        {
            let id = self.insert_run(&mut tx, &run, &mut making).await?;
            tracing::info!(run.id = id, "the alert was reopened while its run was active: another is queued");
        }
        making.commit(tx, doing).await?;
        self.tell_due();
        Ok(())
    }

    /// The run that an alert is owed which was reopened while this one was active, and is open.
    /// lifecycle.md#a-run-begins.
    async fn run_for_reopened(
        &self,
        tx: &mut Transaction<'static, Any>,
        run_id: &str,
    ) -> Result<Option<NewRun>, StoreError> {
        let row: Option<Reopened> = sqlx::query_as(
            "SELECT r.incident, r.region, r.facts, r.reopened_at, a.triggered_at FROM runs r
             JOIN alerts i ON i.incident_id = r.incident_id JOIN alerts a ON a.incident_id = i.alert_id
             WHERE r.id = $1 AND r.reopened_at IS NOT NULL AND a.resolved_at IS NULL",
        )
        .bind(run_id)
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed("looking for a reopened alert"))?;
        let Some((incident, region, facts, reopened_at, alert_at)) = row else { return Ok(None) };
        // What can't be read back must not keep a run from ending.
        let facts = facts.and_then(|facts| from_json::<Facts>("a run's facts", &facts).ok());
        let incident = incident.and_then(|incident| from_json("a run's incident", &incident).ok());
        let Some(incident) = incident else { return Ok(None) };
        let reopened_at = time(reopened_at)?;
        // It has ended once more since, and the run knows.
        if facts.and_then(|facts| facts.resolved_at).is_some_and(|resolved_at| !follows(reopened_at, resolved_at)) {
            return Ok(None);
        }
        Ok(Some(NewRun {
            incident: Some(incident),
            region: parse("a region", &region)?,
            trigger: Trigger::Webhook,
            again: true,
            alert_at: alert_at.map(time).transpose()?,
        }))
    }
}

/// Whether an alert was reopened after that end, rather than ended once more: PagerDuty's times may be whole seconds.
fn follows(reopened_at: Timestamp, resolved_at: Timestamp) -> bool {
    reopened_at.as_second() >= resolved_at.as_second()
}
