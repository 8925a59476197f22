//! What is old, and what goes with it. Of an alert that is over all goes together: its runs with what hangs on them, its notes,
//! pages and names. What was seen and decided stays for longer.

use sqlx::{Any, AssertSqlSafe};

use super::many::{chunks, places};
use super::timed::Transaction;
use super::{StoreError, failed};

const DOING: &str = "pruning what is old";

/// The most runs that go in one transaction: an alert that has more goes in parts, its newest runs last.
const RUNS: usize = 20;

/// What hangs on a run.
const OF_RUN: [&str; 5] = ["pages", "idempotency_keys", "steps", "builds", "writes"];
/// What hangs on an alert's names.
const OF_NAME: [&str; 5] = ["writes", "openings", "pages", "announcements", "told"];

/// What goes with a row.
#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    /// What hangs on a run.
    OfRun,
    /// All that is about an alert.
    OfAlert,
}

/// How old it has to be.
#[derive(Clone, Copy)]
pub(super) enum Age {
    /// `RETENTION`.
    Kept,
    /// The same, or three days: what is remembered at least.
    Remembered,
    /// A day.
    Key,
    /// `EVIDENCE_RETENTION`, and no less than `RETENTION`.
    Evidence,
}

/// What is pruned.
pub(super) struct Old {
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    /// How many one transaction takes at most.
    pub(super) batch: usize,
    takes: Takes,
    /// What $1, $2, … are: so long ago.
    pub(super) ages: &'static [Age],
    /// What a row is like that is old.
    pub(super) is_old: &'static str,
    pub(super) order: &'static str,
}

/// In this order: alerts that are over, whole; runs of those that go on, and of regions; what hangs on no alert; events, then the
/// memory that what they told to do was done; keys; sessions that would have ended long ago.
pub(super) const ALL: [Old; 10] = [
    // Over for long enough, its last run too, and nothing is under way for it. A page of it that may yet count (it is not ended and
    // told of, is young, or another alert that is not over shows it) keeps it, and a key that makes a repeated request answer as
    // the first did.
    Old {
        table: "alerts",
        key: "id",
        batch: 20,
        takes: Takes::OfAlert,
        ages: &[Age::Kept, Age::Remembered, Age::Key],
        is_old: "resolved_at < $2
            AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.alert_id = alerts.id
                AND (r.finished_at IS NULL OR r.finished_at >= $1 OR r.state NOT IN ('done', 'failed', 'cancelled')))
            AND NOT EXISTS (SELECT 1 FROM incidents i JOIN pages p ON p.incident_id = i.incident_id
                WHERE i.alert_id = alerts.id AND (p.state NOT IN ('paged', 'failed') OR p.told = 0 OR p.requested_at >= $2))
            AND NOT EXISTS (SELECT 1 FROM runs r JOIN pages p ON p.run_id = r.id WHERE r.alert_id = alerts.id
                AND (p.state NOT IN ('paged', 'failed') OR p.told = 0 OR p.requested_at >= $2
                    OR EXISTS (SELECT 1 FROM incidents i JOIN alerts a ON a.id = i.alert_id
                        WHERE i.incident_id = p.incident_id AND (a.resolved_at IS NULL OR a.resolved_at >= $2))))
            AND id NOT IN (SELECT i.alert_id FROM tasks c JOIN incidents i ON i.incident_id = c.incident_id)
            AND NOT EXISTS (SELECT 1 FROM runs r JOIN tasks c ON c.run_id = r.id WHERE r.alert_id = alerts.id)
            AND NOT EXISTS (SELECT 1 FROM work w WHERE w.key IN ('alert/' || alerts.id, 'notify/alert:' || alerts.id))
            AND NOT EXISTS (SELECT 1 FROM runs r JOIN idempotency_keys k ON k.run_id = r.id WHERE r.alert_id = alerts.id
                AND (k.created_at >= $3 OR (k.who = 'note:' AND k.created_at >= $2)))",
        order: "ORDER BY resolved_at",
    },
    // Runs that nothing needs: of no alert; of one that is open, but for the newest, and the newest that has written a note, which
    // is to say how it ended; of one whose names alone are remembered any more. No page hangs on it that may yet count, nothing is
    // under way for it, no key is.
    Old {
        table: "runs",
        key: "id",
        batch: RUNS,
        takes: Takes::OfRun,
        ages: &[Age::Kept, Age::Remembered, Age::Key],
        // By when they ended alone: of any state there are many.
        is_old: "finished_at < $1 AND COALESCE(state, '') IN ('done', 'failed', 'cancelled')
            AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.id = runs.alert_id AND (a.resolved_at >= $1
                OR (a.resolved_at IS NULL AND (runs.id = (SELECT MAX(r.id) FROM runs r WHERE r.alert_id = runs.alert_id
                    AND r.incident_id = runs.incident_id) OR runs.id = (SELECT MAX(r.id) FROM runs r
                    WHERE r.alert_id = runs.alert_id AND r.note_id IS NOT NULL)))
                OR (a.resolved_at IS NOT NULL AND EXISTS (SELECT 1 FROM runs r WHERE r.alert_id = a.id
                    AND (r.finished_at IS NULL OR r.finished_at >= $1)))))
            AND NOT EXISTS (SELECT 1 FROM pages p WHERE p.run_id = runs.id
                AND (p.state NOT IN ('paged', 'failed') OR p.told = 0 OR p.requested_at >= $2
                    OR EXISTS (SELECT 1 FROM incidents i JOIN alerts a ON a.id = i.alert_id
                        WHERE i.incident_id = p.incident_id AND (a.resolved_at IS NULL OR a.resolved_at >= $2))))
            AND NOT EXISTS (SELECT 1 FROM tasks c WHERE c.run_id = runs.id)
            AND NOT EXISTS (SELECT 1 FROM work w WHERE w.key = 'alert/' || runs.alert_id)
            AND NOT EXISTS (SELECT 1 FROM idempotency_keys k WHERE k.run_id = runs.id
                AND (k.created_at >= $3 OR (k.who = 'note:' AND k.created_at >= $2)))",
        order: "ORDER BY finished_at",
    },
    // Notes on pages that were joined, and what an older version has left.
    Old {
        table: "writes",
        key: "key",
        batch: 100,
        takes: Takes::Nothing,
        ages: &[Age::Remembered],
        is_old: "COALESCE(run_id, '') = '' AND COALESCE(begun_at, 0) < $1
            AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.incident_id = writes.incident_id)",
        order: "ORDER BY COALESCE(begun_at, 0)",
    },
    Old {
        table: "openings",
        key: "incident_id",
        batch: 100,
        takes: Takes::Nothing,
        ages: &[Age::Remembered],
        is_old: "begun_at < $1
            AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.incident_id = openings.incident_id)",
        order: "ORDER BY begun_at",
    },
    // What was seen, concluded, said and done. What an alert that goes on shows stays with it.
    Old {
        table: "record",
        key: "id",
        batch: 100,
        takes: Takes::Nothing,
        ages: &[Age::Evidence],
        is_old: "at < $1 AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.incident_id = record.incident_id)",
        order: "ORDER BY at",
    },
    Old {
        table: "decisions",
        key: "id",
        batch: 100,
        takes: Takes::Nothing,
        ages: &[Age::Evidence],
        is_old: "at < $1",
        order: "ORDER BY at",
    },
    // By run: all that one has seen goes together, and never while it may go on.
    Old {
        table: "evidence",
        key: "run_id",
        batch: 20,
        takes: Takes::Nothing,
        ages: &[Age::Evidence],
        is_old: "at < $1 AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = evidence.run_id)",
        order: "ORDER BY at",
    },
    Old {
        table: "webhooks",
        key: "event_id",
        batch: 100,
        takes: Takes::Nothing,
        ages: &[Age::Remembered],
        is_old: "received_at < $1",
        order: "ORDER BY received_at",
    },
    // `/hold` and `/status` made no run with which they would go: they go with the event that told of them. An operator's
    // key may be the same text, and is none of these.
    Old {
        table: "idempotency_keys",
        key: "CASE WHEN who = 'note:' AND run_id = '' THEN key END",
        batch: 100,
        takes: Takes::Nothing,
        ages: &[Age::Remembered],
        is_old: "who = 'note:' AND run_id = '' AND created_at < $1
            AND NOT EXISTS (SELECT 1 FROM webhooks e WHERE e.event_id = idempotency_keys.key)",
        order: "",
    },
    Old {
        table: "ended_sessions",
        key: "id",
        batch: 100,
        takes: Takes::Nothing,
        ages: &[Age::Remembered],
        is_old: "ends_at < $1",
        order: "ORDER BY ends_at",
    },
];

impl Old {
    /// Deletes these, and what goes with them; how many rows of its own and of runs that were.
    pub(super) async fn delete(&self, tx: &mut Transaction<'static, Any>, keys: &[&str]) -> Result<u64, StoreError> {
        match self.takes {
            Takes::Nothing => delete(tx, self.table, self.key, keys).await?,
            Takes::OfRun => delete_runs(tx, keys).await?,
            Takes::OfAlert => return delete_alerts(tx, keys).await,
        }
        Ok(keys.len() as u64)
    }
}

async fn delete_alerts(tx: &mut Transaction<'static, Any>, ids: &[&str]) -> Result<u64, StoreError> {
    let runs = texts(tx, "SELECT id FROM runs WHERE alert_id IN", ids, "ORDER BY id").await?;
    let runs: Vec<&str> = runs.iter().map(String::as_str).collect();
    if runs.len() > RUNS.max(ids.len() * 2) {
        // They are found again.
        delete_runs(tx, &runs[..RUNS]).await?;
        return Ok(RUNS as u64);
    }
    delete_runs(tx, &runs).await?;
    let names = texts(tx, "SELECT incident_id FROM incidents WHERE alert_id IN", ids, "").await?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for table in OF_NAME {
        delete(tx, table, "incident_id", &names).await?;
    }
    // With its names.
    delete(tx, "alerts", "id", ids).await?;
    Ok((runs.len() + ids.len()) as u64)
}

async fn delete_runs(tx: &mut Transaction<'static, Any>, ids: &[&str]) -> Result<(), StoreError> {
    for table in OF_RUN {
        delete(tx, table, "run_id", ids).await?;
    }
    delete(tx, "runs", "id", ids).await
}

async fn delete(tx: &mut Transaction<'static, Any>, table: &str, key: &str, keys: &[&str]) -> Result<(), StoreError> {
    for keys in chunks(keys) {
        let sql = format!("DELETE FROM {table} WHERE {key} IN ({})", places(1, keys.len()));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for key in keys {
            query = query.bind(*key);
        }
        query.execute(&mut **tx).await.map_err(failed(DOING))?;
    }
    Ok(())
}

/// What `select` finds that ends with one of these.
async fn texts(
    tx: &mut Transaction<'static, Any>,
    select: &str,
    keys: &[&str],
    order: &str,
) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    for keys in chunks(keys) {
        let mut query = sqlx::query_as(AssertSqlSafe(format!("{select} ({}) {order}", places(1, keys.len()))));
        for key in keys {
            query = query.bind(*key);
        }
        let rows: Vec<(String,)> = query.fetch_all(&mut **tx).await.map_err(failed(DOING))?;
        found.extend(rows.into_iter().map(|(text,)| text));
    }
    Ok(found)
}
