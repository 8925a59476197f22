//! The log of inputs: each decision about an alert, with all that it was decided by. It is for people and for replay, and nothing that
//! is decided reads it: what is lost of it in a crash is lost.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe};

use runbook::decided::Decided;

use super::many;
use super::rows::{column, from_json, plain, time, to_json};
use super::timed::Transaction;
use super::{Store, StoreError, failed};

const DOING: &str = "keeping what was decided";
const READING: &str = "reading what was decided";

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

/// Whose decisions are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// This run's alone.
    Run(&'a str),
    /// All of the alert of this run, where it has one.
    AlertOf(&'a str),
}

/// Which run or alert a decision is about.
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
        // One that is no text is not kept, and costs nothing that it is kept with.
        let text = |new: &NewDecision| match to_json(&new.decided) {
            Ok(text) => Some((new.at, plain(&text))),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a decision can't be kept");
                None
            }
        };
        let decisions: Vec<(Timestamp, String)> = decisions.iter().filter_map(text).collect();
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
        for decisions in many::chunks(&decisions) {
            let sql = many::insert("decisions (id, alert_id, run_id, at, body)", 5, decisions.len());
            let mut insert = sqlx::query(AssertSqlSafe(sql));
            for (at, body) in decisions {
                insert = insert
                    .bind(self.clock.id())
                    .bind(alert_id.clone())
                    .bind(run_id)
                    .bind(at.as_millisecond())
                    .bind(body);
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
        // In turn: whose they are may change in a merge.
        let mut tx = self.write(DOING).await?;
        self.decided_in(&mut tx, About::Run(run_id), decisions).await?;
        tx.commit().await.map_err(failed(DOING))
    }

    /// What was decided, in the order in which it was: `most` of it, from the `from`-th on, 0 being the first. `None`: no such run is
    /// known, nor was anything decided about it.
    ///
    /// # Errors
    /// The database.
    pub async fn decisions(&self, of: Of<'_>, from: i64, most: i64) -> Result<Option<Vec<Decision>>, StoreError> {
        let Some((of, id)) = self.whose(of).await? else { return Ok(None) };
        let sql = format!("SELECT at, run_id, body FROM decisions WHERE {of} = $1 ORDER BY at, id LIMIT $2 OFFSET $3");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .bind(most)
            .bind(from)
            .fetch_all(&self.pool)
            .await
            .map_err(failed(READING))?;
        // One that can't be read hides no other.
        let decision = |row: &AnyRow| Decision {
            at: column(row, "at").and_then(time).unwrap_or(Timestamp::UNIX_EPOCH),
            run_id: column(row, "run_id").ok().flatten(),
            decided: column::<String>(row, "body").and_then(|body| from_json("a decision", &body)),
        };
        Ok(Some(rows.iter().map(decision).collect()))
    }

    /// How many decisions that are.
    ///
    /// # Errors
    /// The database.
    pub async fn count_decisions(&self, of: Of<'_>) -> Result<i64, StoreError> {
        let Some((of, id)) = self.whose(of).await? else { return Ok(0) };
        let sql = format!("SELECT COUNT(*) FROM decisions WHERE {of} = $1");
        let (count,): (i64,) =
            sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_one(&self.pool).await.map_err(failed(READING))?;
        Ok(count)
    }

    /// The column, and what stands in it.
    async fn whose(&self, of: Of<'_>) -> Result<Option<(&'static str, String)>, StoreError> {
        let (Of::Run(run_id) | Of::AlertOf(run_id)) = of;
        // The run itself may be pruned.
        let known: Option<(Option<String>,)> = sqlx::query_as(
            "SELECT alert_id FROM (SELECT 0 AS place, alert_id FROM runs WHERE id = $1
             UNION ALL SELECT 1, alert_id FROM decisions WHERE run_id = $1) AS known ORDER BY place LIMIT 1",
        )
        .bind(run_id)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed(READING))?;
        Ok(known.map(|(alert_id,)| match (of, alert_id) {
            (Of::AlertOf(_), Some(alert_id)) => ("alert_id", alert_id),
            _ => ("run_id", run_id.to_owned()),
        }))
    }
}
