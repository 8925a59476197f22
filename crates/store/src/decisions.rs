//! The log of inputs: each decision about an alert, with all that it was decided by. It is for people and for replay, and nothing that
//! is decided reads it: what is lost of it in a crash is lost.

use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe, Transaction};

use runbook::decided::Decided;

use super::many;
use super::rows::{from_json, plain, time, to_json};
use super::{Store, StoreError, failed};

const DOING: &str = "keeping what was decided";

/// The most of an alert's decisions that are read at a time, the oldest first.
const MOST: i64 = 2_000;

/// A decision that is to be kept, and when it was made.
#[derive(Clone, Debug)]
pub struct NewDecision {
    /// When.
    pub at: Timestamp,
    /// What.
    pub decided: Decided,
}

/// A decision that was kept.
#[derive(Debug)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// The run; `None`: it was decided beside the runs.
    pub run_id: Option<String>,
    /// What; an error is why it can't be read.
    pub decided: Result<Decided, StoreError>,
}

/// Whom a decision is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum About<'a> {
    /// This run, and its alert where it has one.
    Run(&'a str),
    /// An alert, by our id, beside its runs.
    Alert(&'a str),
}

impl Store {
    /// Keeps decisions, with what they tell of.
    pub(super) async fn decided_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        about: About<'_>,
        decisions: &[NewDecision],
    ) -> Result<(), StoreError> {
        if decisions.is_empty() {
            return Ok(());
        }
        let (alert_id, run_id) = match about {
            About::Alert(id) => (Some(id.to_owned()), None),
            About::Run(id) => {
                let found: Option<(Option<String>,)> = sqlx::query_as("SELECT alert_id FROM runs WHERE id = $1")
                    .bind(id)
                    .fetch_optional(&mut **tx)
                    .await
                    .map_err(failed(DOING))?;
                (found.and_then(|(alert_id,)| alert_id), Some(id))
            }
        };
        for decisions in many::chunks(decisions) {
            let sql = many::insert("decisions (id, alert_id, run_id, at, body)", 5, decisions.len());
            let mut insert = sqlx::query(AssertSqlSafe(sql));
            for NewDecision { at, decided } in decisions {
                insert = insert
                    .bind(self.clock.id())
                    .bind(alert_id.clone())
                    .bind(run_id)
                    .bind(at.as_millisecond())
                    .bind(plain(&to_json(decided)?));
            }
            insert.execute(&mut **tx).await.map_err(failed(DOING))?;
        }
        Ok(())
    }

    /// Keeps decisions about a run that nothing else is kept of.
    ///
    /// # Errors
    /// The database.
    pub async fn add_decisions(&self, run_id: &str, decisions: &[NewDecision]) -> Result<(), StoreError> {
        let mut tx = self.write_claimed(DOING).await?;
        self.decided_in(&mut tx, About::Run(run_id), decisions).await?;
        tx.commit().await.map_err(failed(DOING))
    }

    /// What was decided about a run and about its alert, in the order in which it was; `None`: no such run is known, nor was anything
    /// decided about it.
    ///
    /// # Errors
    /// The database.
    pub async fn decisions(&self, run_id: &str) -> Result<Option<Vec<Decision>>, StoreError> {
        let doing = "reading what was decided";
        // The run itself may be pruned.
        let known: Option<(Option<String>,)> = sqlx::query_as(
            "SELECT alert_id FROM (SELECT 0 AS place, alert_id FROM runs WHERE id = $1
             UNION ALL SELECT 1, alert_id FROM decisions WHERE run_id = $1) AS known ORDER BY place LIMIT 1",
        )
        .bind(run_id)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed(doing))?;
        let Some((alert_id,)) = known else { return Ok(None) };
        let (of, id) = match &alert_id {
            Some(alert_id) => ("alert_id", alert_id.as_str()),
            None => ("run_id", run_id),
        };
        let sql = format!("SELECT at, run_id, body FROM decisions WHERE {of} = $1 ORDER BY id LIMIT {MOST}");
        let rows: Vec<(i64, Option<String>, String)> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_all(&self.pool).await.map_err(failed(doing))?;
        let decision = |(at, run_id, body): (i64, Option<String>, String)| {
            Ok(Decision { at: time(at)?, run_id, decided: from_json("a decision", &body) })
        };
        Ok(Some(rows.into_iter().map(decision).collect::<Result<_, StoreError>>()?))
    }
}
