//! What follows from an event, in the transaction that stores it.

use jiff::Timestamp;
use sqlx::{Any, Transaction};

use runbook::run::{AlertIncident, State, Trigger};

use super::made::Making;
use super::new_runs::NewRuns;
use super::{EventOutcome, Follow, Kind, NewRun, Store, StoreError, failed};

/// An authentic event, as it came.
#[derive(Clone, Debug)]
pub struct NewEvent<'a> {
    /// PagerDuty's id of it (or one made of its bytes, where it can't be read).
    pub id: &'a str,
    /// `incident.triggered`, …
    pub event_type: &'a str,
    /// The incident that it is about.
    pub incident_id: Option<&'a str>,
    /// Its bytes.
    pub body: &'a str,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Stored, with a run of this id.
    Run(String),
    /// Stored, and something else follows from it.
    Followed,
    /// Stored; nothing follows from it, and why.
    Ignored(String),
    /// It is stored already.
    Duplicate,
}

impl Accepted {
    /// In one word.
    pub fn outcome(&self) -> EventOutcome {
        match self {
            Self::Run(_) | Self::Followed => EventOutcome::Accepted,
            Self::Ignored(_) => EventOutcome::Ignored,
            Self::Duplicate => EventOutcome::Duplicate,
        }
    }
}

impl Store {
    /// Does what follows from an event.
    pub(super) async fn follow(
        &self,
        tx: &mut Transaction<'static, Any>,
        new: &mut NewRuns<'_>,
        follow: &Follow,
    ) -> Result<Accepted, StoreError> {
        if let Follow::Start(run) = follow
            && let Some(id) = new.make(self, run)
        {
            return Ok(Accepted::Run(id));
        }
        new.flush(self, tx).await?;
        match follow {
            Follow::Start(run) => return self.start(tx, run, &mut new.making).await,
            Follow::Drill { incident, region } => {
                let (trigger, region) = (Trigger::Webhook, region.clone());
                let run = NewRun { incident: None, region, trigger, again: true, alert_at: None };
                let id = self.insert_run(tx, &run, &mut new.making).await?;
                // Without an incident's id nothing can be asked or written about it; what it would be is only shown.
                sqlx::query("UPDATE runs SET incident = $1 WHERE id = $2")
                    .bind(super::rows::to_json(incident)?)
                    .bind(&id)
                    .execute(&mut **tx)
                    .await
                    .map_err(failed("making a drill's run"))?;
                return Ok(Accepted::Run(id));
            }
            Follow::AlertResolved { incident_id, at } => self.resolve_in(tx, incident_id, *at).await?,
            Follow::RelatedResolved => self.wake_suppressed(tx).await?,
            Follow::RelatedOpened => {
                self.wake_suppressed(tx).await?;
                return Ok(Accepted::Ignored("it is no alert; who waits for such pages looks again".into()));
            }
            Follow::Task(task) => self.task_in(tx, task).await?,
        }
        Ok(Accepted::Followed)
    }

    /// Makes a run where the incident may have (another) one: one active at a time, and more than one only where it
    /// is asked for again.
    pub(super) async fn start(
        &self,
        tx: &mut Transaction<'static, Any>,
        run: &NewRun,
        making: &mut Making<'_>,
    ) -> Result<Accepted, StoreError> {
        let Some(incident) = &run.incident else { return Ok(Accepted::Run(self.insert_run(tx, run, making).await?)) };
        // Incidents that were merged have each other's runs. An active one first: ids sort by time only as far as the
        // machine's clock does.
        let sql = "SELECT id, state FROM runs WHERE incident_id = $1 OR incident_id IN (SELECT incident_id FROM alerts
             WHERE alert_id = (SELECT alert_id FROM alerts WHERE incident_id = $1))
             ORDER BY CASE WHEN state IN ('queued', 'suppressed', 'running') THEN 0 ELSE 1 END, id DESC LIMIT 1";
        let mut last: Option<(String, String)> = None;
        for held in [false, true] {
            last = sqlx::query_as(sql)
                .bind(&incident.id)
                .fetch_optional(&mut **tx)
                .await
                .map_err(failed("looking for an incident's runs"))?;
            // One that is active must not end before it is told: see `finish_run`.
            let active = last.as_ref().filter(|(_, state)| state.parse::<State>().is_ok_and(State::is_active));
            match active {
                Some((id, _)) if run.again && !held => self.lock_in(tx, Kind::Run, id).await?,
                _ => break,
            }
        }
        if matches!(run.trigger, Trigger::Webhook | Trigger::Reconcile) && run.again {
            self.reopen_in(tx, incident, run.alert_at).await?;
        }
        Ok(match last {
            Some((id, state)) if state.parse::<State>().is_ok_and(State::is_active) => {
                Accepted::Ignored(format!("run {id} is active for this incident"))
            }
            Some((id, _)) if !run.again => Accepted::Ignored(format!("this incident has a run already: {id}")),
            // Its runs are pruned, the alert is remembered.
            None if !run.again && self.is_alert_in(tx, &incident.id).await? => {
                Accepted::Ignored("this incident had a run, which is pruned since (RETENTION)".into())
            }
            _ => Accepted::Run(self.insert_run(tx, run, making).await?),
        })
    }

    /// `reopened` begins an alert's life again: what was said of the old one, `/hold` included, is over.
    async fn reopen_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        incident: &AlertIncident,
        at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let doing = "noting that an alert is reopened";
        sqlx::query(
            "UPDATE alerts SET alert_id = incident_id, resolved_at = NULL, held_by = NULL, follow_ups = 0,
             triggered_at = COALESCE($1, triggered_at) WHERE incident_id = $2",
        )
        .bind(at.map(Timestamp::as_millisecond))
        .bind(&incident.id)
        .execute(&mut **tx)
        .await
        .map_err(failed(doing))?;
        sqlx::query(
            "UPDATE runs SET alert_resolved_at = NULL, reopened_at = $1
             WHERE (incident_id = $2 OR incident_id IN (SELECT incident_id FROM alerts WHERE alert_id = $2))
             AND state IN ('queued', 'suppressed', 'running')",
        )
        .bind(at.map_or_else(|| self.now(), Timestamp::as_millisecond))
        .bind(&incident.id)
        .execute(&mut **tx)
        .await
        .map_err(failed(doing))?;
        Ok(())
    }
}
