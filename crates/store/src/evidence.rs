//! What a run has seen: kept with the end of the step that saw it, so that no restart forgets it.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::{Any, AssertSqlSafe};

use super::many;
use super::record::Seen;
use super::rows::{column, from_json, plain, time, to_json};
use super::timed::Transaction;
use super::{Lease, Store, StoreError, failed};
use runbook::alert::Zone;
use runbook::diagnosis::client::Look;
use runbook::diagnosis::{Checks, Console, Earlier, Reading};

/// What a step saw.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum Sight<'a> {
    /// A reading, or a re-run.
    Reading(&'a Reading),
    /// What the clusters said.
    Checks(&'a [(Zone, Checks)]),
    /// What was seen of the client of the end-to-end test.
    Client(&'a Look),
}

/// The same, read back.
#[derive(Clone, Debug)]
pub enum OwnedSight {
    /// A reading, or a re-run.
    Reading(Reading),
    /// What the clusters said.
    Checks(Vec<(Zone, Checks)>),
    /// What was seen of the client of the end-to-end test.
    Client(Look),
}

impl Sight<'_> {
    fn kind(self) -> &'static str {
        match self {
            Self::Reading(_) => READING,
            Self::Checks(_) => CHECKS,
            Self::Client(_) => CLIENT,
        }
    }
}

const READING: &str = "reading";
const CHECKS: &str = "checks";
const CLIENT: &str = "client";

impl Store {
    /// All that a run has seen, in the order in which it saw it. What can't be read back is logged, and stands there as
    /// a reading of nothing: nobody may conclude from it that all was well.
    ///
    /// # Errors
    /// The database.
    pub async fn evidence(&self, run_id: &str) -> Result<Earlier, StoreError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT kind, body FROM evidence WHERE run_id = $1 ORDER BY step")
                .bind(run_id)
                .fetch_all(&self.pool)
                .await
                .map_err(failed("looking for what a run has seen"))?;
        let mut seen = Earlier::default();
        for (kind, body) in &rows {
            match read(kind, body) {
                Ok(OwnedSight::Reading(reading)) => seen.readings.push(reading),
                Ok(OwnedSight::Checks(checks)) => seen.checks.extend(checks),
                Ok(OwnedSight::Client(look)) => seen.looks.push(look),
                Err(error) => {
                    tracing::error!(
                        run.id = run_id,
                        kind,
                        error = &error as &dyn std::error::Error,
                        "what this run has seen before can't be read back: it is taken as a failed reading"
                    );
                    seen.readings.push(nothing(self.clock.now()));
                }
            }
        }
        Ok(seen)
    }

    /// What runs have read under these names of an alert, the oldest first, and of which region.
    pub(super) async fn seen_by(&self, names: &[String]) -> Result<(Vec<Seen>, Option<String>), StoreError> {
        let (mut found, mut region): (Vec<(i64, i64, Seen)>, _) = (Vec::new(), None);
        for names in many::chunks(names) {
            let sql = format!(
                "SELECT run_id, step, at, kind, body, region FROM evidence WHERE incident_id IN ({})",
                many::places(1, names.len())
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for name in names {
                query = query.bind(name.as_str());
            }
            let rows = query.fetch_all(&self.pool).await.map_err(failed("reading what an alert's runs have seen"))?;
            for row in &rows {
                // One that can't be read hides no other.
                let (Ok(run_id), Ok(step), Ok(at)) = (column(row, "run_id"), column(row, "step"), column(row, "at"))
                else {
                    continue;
                };
                let sight = column::<String>(row, "kind").and_then(|kind| read(&kind, &column::<String>(row, "body")?));
                region = column(row, "region").ok().or(region);
                let Ok(kept) = time(at) else { continue };
                found.push((at, step, Seen { run_id, at: kept, sight }));
            }
        }
        found.sort_by(|one, other| (one.0, &one.2.run_id, one.1).cmp(&(other.0, &other.2.run_id, other.1)));
        Ok((found.into_iter().map(|(.., seen)| seen).collect(), region))
    }

    /// Keeps what a step saw, within the transaction that ends the step. It outlives the run.
    pub(super) async fn keep_sight(
        &self,
        tx: &mut Transaction<'static, Any>,
        lease: &Lease,
        step: i64,
        sight: Sight<'_>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO evidence (run_id, step, kind, body, at, incident_id, region)
             SELECT id, $2, $3, $4, $5, incident_id, region FROM runs WHERE id = $1
             ON CONFLICT (run_id, step) DO UPDATE SET kind = excluded.kind, body = excluded.body, at = excluded.at",
        )
        .bind(&lease.run_id)
        .bind(step)
        .bind(sight.kind())
        .bind(plain(&to_json(&sight)?))
        .bind(self.now())
        .execute(&mut **tx)
        .await
        .map_err(failed("keeping what a run has seen"))?;
        Ok(())
    }
}

fn read(kind: &str, body: &str) -> Result<OwnedSight, StoreError> {
    match kind {
        READING => Ok(OwnedSight::Reading(from_json("a reading", body)?)),
        CHECKS => Ok(OwnedSight::Checks(from_json("what clusters said", body)?)),
        CLIENT => Ok(OwnedSight::Client(from_json("what was seen of the client", body)?)),
        other => {
            let source = format!("{other:?} is not a kind of evidence").into();
            Err(StoreError::Corrupt { what: "evidence", source })
        }
    }
}

fn nothing(at: Timestamp) -> Reading {
    let (console, warnings) = (Console::default(), vec!["it can't be read back from the database".into()]);
    Reading { build_url: None, at, console, warnings, set_aside: Vec::new() }
}
