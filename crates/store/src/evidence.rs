//! What a run has seen: kept with the end of the step that saw it, so that no restart forgets it.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::{Any, Transaction};

use super::rows::{from_json, to_json};
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
            if let Err(error) = read(kind, body, &mut seen) {
                tracing::error!(
                    run.id = run_id,
                    kind,
                    error = &error as &dyn std::error::Error,
                    "what this run has seen before can't be read back: it is taken as a failed reading"
                );
                seen.readings.push(nothing(self.clock.now()));
            }
        }
        Ok(seen)
    }
}

fn read(kind: &str, body: &str, seen: &mut Earlier) -> Result<(), StoreError> {
    match kind {
        READING => seen.readings.push(from_json("a reading", body)?),
        CHECKS => seen.checks.extend(from_json::<Vec<(Zone, Checks)>>("what clusters said", body)?),
        CLIENT => seen.looks.push(from_json("what was seen of the client", body)?),
        other => {
            let source = format!("{other:?} is no kind of evidence").into();
            return Err(StoreError::Corrupt { what: "evidence", source });
        }
    }
    Ok(())
}

fn nothing(at: Timestamp) -> Reading {
    let (console, warnings) = (Console::default(), vec!["it can't be read back from the database".into()]);
    Reading { build_url: None, at, console, warnings, set_aside: Vec::new() }
}

/// Keeps what a step saw, within the transaction that ends the step.
pub(super) async fn keep(
    tx: &mut Transaction<'static, Any>,
    lease: &Lease,
    step: i64,
    sight: Sight<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO evidence (run_id, step, kind, body) VALUES ($1, $2, $3, $4)
         ON CONFLICT (run_id, step) DO UPDATE SET kind = excluded.kind, body = excluded.body",
    )
    .bind(&lease.run_id)
    .bind(step)
    .bind(sight.kind())
    .bind(to_json(&sight)?)
    .execute(&mut **tx)
    .await
    .map_err(failed("keeping what a run has seen"))?;
    Ok(())
}
