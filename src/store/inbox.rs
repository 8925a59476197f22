//! Events and the runs that they start, in one transaction.

use crate::alert::Region;
use crate::run::{AlertIncident, Facts, State, Trigger};

use super::{Store, StoreError, failed};

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

/// A run to be made.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The alert; `None` for a run by region.
    pub incident: Option<AlertIncident>,
    /// The region.
    pub region: Region,
    /// What made it.
    pub trigger: Trigger,
    /// Whether an incident that had a run before gets another.
    pub again: bool,
    /// When the alert was triggered or reopened, by the event that says so; `None` where none does.
    pub alert_at: Option<jiff::Timestamp>,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Stored, with a run of this id.
    Run(String),
    /// Stored; nothing follows from it, and why.
    Ignored(String),
    /// It is stored already.
    Duplicate,
}

impl Store {
    /// Stores an event together with the run that it starts. When this returns, both are on disk.
    ///
    /// # Errors
    /// It could not be stored: nothing was.
    pub async fn accept(&self, event: NewEvent<'_>, decision: Result<NewRun, String>) -> Result<Accepted, StoreError> {
        let doing = "storing an event";
        let mut tx = self.write(doing).await?;
        let now = self.now();
        let inserted = sqlx::query(
            "INSERT INTO events (event_id, event_type, incident_id, received_at, outcome, body)
             VALUES ($1, $2, $3, $4, 'accepted', $5) ON CONFLICT (event_id) DO NOTHING",
        )
        .bind(event.id)
        .bind(event.event_type)
        .bind(event.incident_id)
        .bind(now)
        .bind(event.body)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        if inserted.rows_affected() == 0 {
            return Ok(Accepted::Duplicate);
        }
        let accepted = match decision {
            Err(reason) => Accepted::Ignored(reason),
            Ok(run) => match self.may_start(&mut tx, &run).await? {
                Err(reason) => Accepted::Ignored(reason),
                Ok(()) => Accepted::Run(self.insert_run(&mut tx, &run, now).await?),
            },
        };
        if let Accepted::Ignored(reason) = &accepted {
            sqlx::query("UPDATE events SET outcome = 'ignored', reason = $1 WHERE event_id = $2")
                .bind(reason)
                .bind(event.id)
                .execute(&mut *tx)
                .await
                .map_err(failed(doing))?;
        }
        tx.commit().await.map_err(failed(doing))?;
        if matches!(accepted, Accepted::Run(_)) {
            self.tell_due();
        }
        Ok(accepted)
    }

    /// Whether the incident may have (another) run: one active at a time, and more than one only for `again`.
    async fn may_start(
        &self,
        tx: &mut sqlx::Transaction<'static, sqlx::Any>,
        run: &NewRun,
    ) -> Result<Result<(), String>, StoreError> {
        let Some(incident) = &run.incident else { return Ok(Ok(())) };
        let last: Option<(String, String)> =
            sqlx::query_as("SELECT id, state FROM runs WHERE incident_id = $1 ORDER BY id DESC LIMIT 1")
                .bind(&incident.id)
                .fetch_optional(&mut **tx)
                .await
                .map_err(failed("looking for an incident's runs"))?;
        Ok(match last {
            Some((id, state)) if state.parse::<State>().is_ok_and(State::is_active) => {
                Err(format!("run {id} is active for this incident"))
            }
            Some((id, _)) if !run.again => Err(format!("this incident has a run already: {id}")),
            _ => Ok(()),
        })
    }

    pub(super) async fn insert_run(
        &self,
        tx: &mut sqlx::Transaction<'static, sqlx::Any>,
        run: &NewRun,
        now: i64,
    ) -> Result<String, StoreError> {
        let id = self.clock.id();
        let incident = run.incident.as_ref();
        let facts = Facts { alert_triggered_at: run.alert_at, ..Facts::default() };
        sqlx::query(
            "INSERT INTO runs (id, incident_id, incident, region, triggered_by, state, created_at, due_at, facts)
             VALUES ($1, $2, $3, $4, $5, 'queued', $6, $6, $7)",
        )
        .bind(&id)
        .bind(incident.map(|i| i.id.clone()))
        .bind(incident.map(super::rows::to_json).transpose()?)
        .bind(run.region.as_str())
        .bind(run.trigger.as_str())
        .bind(now)
        .bind(super::rows::to_json(&facts)?)
        .execute(&mut **tx)
        .await
        .map_err(failed("making a run"))?;
        Ok(id)
    }

    /// The region that an incident was first diagnosed for: remembered, whatever its title becomes.
    ///
    /// # Errors
    /// The database.
    pub async fn remembered_region(&self, incident_id: &str) -> Result<Option<Region>, StoreError> {
        let doing = "looking for an incident's region";
        let region: Option<(String,)> =
            sqlx::query_as("SELECT region FROM runs WHERE incident_id = $1 ORDER BY id LIMIT 1")
                .bind(incident_id)
                .fetch_optional(&self.pool)
                .await
                .map_err(failed(doing))?;
        region.map(|(region,)| super::rows::parse("a region", &region)).transpose()
    }
}
