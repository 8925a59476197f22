//! Runs that webhooks start: those of incidents that nobody knew before are made together.

use std::collections::{HashMap, HashSet};

use sqlx::{Any, AssertSqlSafe};

use runbook::life::Alert;
use runbook::run::{Facts, State};

use super::made::Making;
use super::many::{self, Texts};
use super::rows::{plain, to_json};
use super::timed::Transaction;
use super::work::Kind;
use super::{NewRun, Store, StoreError, failed};

const DOING: &str = "making a run";

/// What is to be made for the events of one transaction.
pub(super) struct NewRuns<'s> {
    pub(super) making: Making<'s>,
    /// Incidents that have, or had, a run.
    known: Texts,
    /// The same, as far as was looked.
    looked_for: HashSet<String>,
    /// Not written yet.
    runs: Vec<(String, NewRun)>,
}

impl<'s> NewRuns<'s> {
    /// Looks which of these incidents are known.
    pub(super) async fn of<'g>(
        making: Making<'s>,
        tx: &mut Transaction<'static, Any>,
        incidents: impl Iterator<Item = &'g str>,
    ) -> Result<Self, StoreError> {
        let looked_for: Vec<&str> = incidents.collect();
        let sql = |places: &str| format!("SELECT incident_id FROM incidents WHERE incident_id IN ({places})");
        let known = many::texts_in(tx, DOING, &looked_for, sql).await?;
        let looked_for = looked_for.into_iter().map(str::to_owned).collect();
        Ok(Self { making, known, looked_for, runs: Vec::new() })
    }

    /// Makes a run where nobody can have one for its incident yet, whatever asks for it; its id, or `None` where it must be
    /// looked.
    pub(super) fn make(&mut self, store: &Store, run: &NewRun) -> Option<String> {
        let incident_id = run.incident.as_ref()?.id.as_str();
        if !self.looked_for.contains(incident_id) || !self.known.insert(incident_id.to_owned()) {
            return None;
        }
        let id = store.clock.id();
        self.runs.push((id.clone(), run.clone()));
        Some(id)
    }

    /// Writes what was made: before anything else is looked for.
    pub(super) async fn flush(&mut self, store: &Store, tx: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
        let runs = std::mem::take(&mut self.runs);
        for runs in many::chunks(&runs) {
            store.insert_runs(tx, runs, &mut self.making).await?;
        }
        Ok(())
    }
}

impl Store {
    /// Notes the alerts of these runs, and makes the runs.
    async fn insert_runs(
        &self,
        tx: &mut Transaction<'static, Any>,
        runs: &[(String, NewRun)],
        making: &mut Making<'_>,
    ) -> Result<(), StoreError> {
        let named = self.alerts_of_runs(tx, runs).await?;
        let now = self.now();
        let into =
            "runs (id, alert_id, incident_id, incident, region, triggered_by, state, touched_at, created_at, facts)";
        let mut insert = sqlx::query(AssertSqlSafe(many::insert(into, 10, runs.len())));
        let into = "work (key, kind, due_at, set_at, owner, attempt)";
        let mut queue = sqlx::query(AssertSqlSafe(many::insert(into, 6, runs.len())));
        for (id, run) in runs {
            let (owner, attempt) = making.owner_of(id);
            let state = if owner.is_some() { State::Running } else { State::Queued };
            let facts = Facts { alert_triggered_at: run.alert_at, ..Facts::default() };
            let incident = run.incident.as_ref();
            insert = insert
                .bind(id)
                .bind(incident.and_then(|incident| named.get(&incident.id)))
                .bind(incident.map(|incident| &incident.id))
                .bind(incident.map(to_json).transpose()?)
                .bind(run.region.as_str())
                .bind(run.trigger.as_str())
                .bind(state.as_str())
                .bind(owner.map(|_| now))
                .bind(now)
                .bind(plain(&to_json(&facts)?));
            queue = queue.bind(Kind::Run.key(id)).bind(Kind::Run.as_str()).bind(now).bind(now);
            queue = queue.bind(owner.map(str::to_owned)).bind(attempt);
        }
        insert.execute(&mut **tx).await.map_err(failed(DOING))?;
        queue.execute(&mut **tx).await.map_err(failed(DOING))?;
        Ok(())
    }

    /// The alerts of these runs, by incident: those that nobody knew are made. When one that is known began again is kept
    /// with what it was asked by.
    async fn alerts_of_runs(
        &self,
        tx: &mut Transaction<'static, Any>,
        runs: &[(String, NewRun)],
    ) -> Result<HashMap<String, String>, StoreError> {
        let mut named = HashMap::new();
        let incidents: Vec<&str> =
            runs.iter().filter_map(|(_, run)| Some(run.incident.as_ref()?.id.as_str())).collect();
        for incidents in many::chunks(&incidents) {
            let places = many::places(1, incidents.len());
            let sql = format!("SELECT incident_id, alert_id FROM incidents WHERE incident_id IN ({places})");
            let mut query = sqlx::query_as(AssertSqlSafe(sql));
            for incident in incidents {
                query = query.bind(*incident);
            }
            let known: Vec<(String, String)> = query.fetch_all(&mut **tx).await.map_err(failed(DOING))?;
            named.extend(known);
        }
        let mut new = Vec::new();
        for (_, run) in runs {
            let Some(incident) = run.incident.as_ref().filter(|incident| !named.contains_key(&incident.id)) else {
                continue;
            };
            let alert = Alert::new(self.clock.id(), &incident.id, run.region.clone(), run.alert_at);
            named.insert(incident.id.clone(), alert.id.clone());
            new.push(alert);
        }
        self.new_alerts(tx, &new).await?;
        Ok(named)
    }

    /// Makes one run, with this id.
    pub(super) async fn insert_run(
        &self,
        tx: &mut Transaction<'static, Any>,
        id: &str,
        run: &NewRun,
        making: &mut Making<'_>,
    ) -> Result<(), StoreError> {
        self.insert_runs(tx, &[(id.to_owned(), run.clone())], making).await
    }
}
