//! Events and what follows from them, in one transaction.

use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::run::{AlertIncident, Facts, State, Trigger};

use super::rows::plain;
use super::{Follow, NewRun, Store, StoreError, failed};

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

impl Store {
    /// Stores an event together with what follows from it. When this returns, both are on disk.
    ///
    /// # Errors
    /// It could not be stored: nothing was.
    pub async fn accept(&self, event: NewEvent<'_>, follow: Result<Follow, String>) -> Result<Accepted, StoreError> {
        let doing = "storing an event";
        let mut tx = self.write(doing).await?;
        let now = self.now();
        let inserted = sqlx::query(
            "INSERT INTO events (event_id, event_type, incident_id, received_at, outcome, body)
             VALUES ($1, $2, $3, $4, 'accepted', $5) ON CONFLICT (event_id) DO NOTHING",
        )
        .bind(plain(event.id))
        .bind(plain(event.event_type))
        .bind(event.incident_id.map(plain))
        .bind(now)
        .bind(plain(event.body))
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        if inserted.rows_affected() == 0 {
            return Ok(Accepted::Duplicate);
        }
        let accepted = match follow {
            Err(reason) => Accepted::Ignored(reason),
            Ok(Follow::Start(run)) => self.start(&mut tx, &run).await?,
            Ok(Follow::Drill { incident, region }) => {
                let (incident_id, again) = (None, true);
                let run = NewRun { incident: incident_id, region, trigger: Trigger::Webhook, again, alert_at: None };
                let id = self.insert_run(&mut tx, &run).await?;
                // Without an incident's id nothing can be asked or written about it; what it would be is only shown.
                sqlx::query("UPDATE runs SET incident = $1 WHERE id = $2")
                    .bind(super::rows::to_json(&incident)?)
                    .bind(&id)
                    .execute(&mut *tx)
                    .await
                    .map_err(failed(doing))?;
                Accepted::Run(id)
            }
            Ok(Follow::AlertResolved { incident_id, at }) => {
                self.resolve_in(&mut tx, &incident_id, at).await?;
                Accepted::Followed
            }
            Ok(Follow::RelatedResolved) => {
                self.wake_suppressed(&mut tx).await?;
                Accepted::Followed
            }
            Ok(Follow::RelatedOpened) => {
                self.wake_suppressed(&mut tx).await?;
                Accepted::Ignored("it is no alert; who waits for such pages looks again".into())
            }
            Ok(Follow::Chore(chore)) => {
                self.chore_in(&mut tx, &chore).await?;
                Accepted::Followed
            }
        };
        if let Accepted::Ignored(reason) = &accepted {
            sqlx::query("UPDATE events SET outcome = 'ignored', reason = $1 WHERE event_id = $2")
                .bind(plain(reason))
                .bind(plain(event.id))
                .execute(&mut *tx)
                .await
                .map_err(failed(doing))?;
        }
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(accepted)
    }

    /// Makes a run where the incident may have (another) one: one active at a time, and more than one only where it
    /// is asked for again.
    pub(super) async fn start(&self, tx: &mut Transaction<'static, Any>, run: &NewRun) -> Result<Accepted, StoreError> {
        let Some(incident) = &run.incident else { return Ok(Accepted::Run(self.insert_run(tx, run).await?)) };
        // Incidents that were merged have each other's runs. An active one first: ids sort by time only as far as the
        // machine's clock does.
        let sql = "SELECT id, state FROM runs WHERE incident_id = $1 OR incident_id IN (SELECT incident_id FROM alerts
             WHERE alert_id = (SELECT alert_id FROM alerts WHERE incident_id = $1))
             ORDER BY CASE WHEN state IN ('queued', 'suppressed', 'running') THEN 0 ELSE 1 END, id DESC LIMIT 1";
        // One that is active must not end before it is told: see `finish_run`.
        let hold = if run.again { self.dialect.hold() } else { "" };
        let last: Option<(String, String)> = sqlx::query_as(AssertSqlSafe(format!("{sql}{hold}")))
            .bind(&incident.id)
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("looking for an incident's runs"))?;
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
            _ => Accepted::Run(self.insert_run(tx, run).await?),
        })
    }

    /// `reopened` begins an alert's life anew: what was said of the old one, `/hold` included, is over.
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

    pub(super) async fn insert_run(
        &self,
        tx: &mut Transaction<'static, Any>,
        run: &NewRun,
    ) -> Result<String, StoreError> {
        let id = self.clock.id();
        let incident = run.incident.as_ref();
        if let Some(incident) = incident {
            self.alert_in(tx, incident, &run.region, run.alert_at).await?;
        }
        let facts = Facts { alert_triggered_at: run.alert_at, ..Facts::default() };
        sqlx::query(
            "INSERT INTO runs (id, incident_id, incident, region, triggered_by, state, created_at, due_at, facts)
             VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, $8)",
        )
        .bind(&id)
        .bind(incident.map(|i| i.id.clone()))
        .bind(incident.map(super::rows::to_json).transpose()?)
        .bind(run.region.as_str())
        .bind(run.trigger.as_str())
        .bind(self.now())
        .bind(self.lease_now())
        .bind(super::rows::to_json(&facts)?)
        .execute(&mut **tx)
        .await
        .map_err(failed("making a run"))?;
        Ok(id)
    }
}
