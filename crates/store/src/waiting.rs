//! How much waits: for `/metrics`.

use std::time::Duration;

use super::work::Kind;
use super::{Proved, Store, StoreError, failed};
use runbook::canary::Outcome;
use runbook::run::State;

/// What waits, and is worked on, now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Runs that are queued.
    pub queued: i64,
    /// Runs that wait for a bigger outage to end.
    pub suppressed: i64,
    /// Runs at work.
    pub running: i64,
    /// Runs that are due and that nobody works on.
    pub due_runs: i64,
    /// The same for what is under way for alerts beside their runs, pages among it.
    pub due_alerts: i64,
    /// The same for tasks.
    pub due_tasks: i64,
    /// The same for what others are to be told of.
    pub due_notify: i64,
    /// How long ago the oldest queued run was made; zero without one.
    pub oldest: Duration,
    /// When the last good canary reading ended, in seconds since 1970; 0: never.
    pub canary_good: i64,
    /// What the last canary reading came to; `None`: there was none.
    pub canary: Option<Outcome>,
    /// Open pages of open alerts, opened or joined, that nobody has acknowledged as far as is known.
    pub unacknowledged: i64,
    /// When the last look for open alerts in PagerDuty succeeded, in seconds since 1970; 0: none has.
    pub reconciled: i64,
    /// The last proof that webhooks reach us; `None`: there was none.
    pub way_in: Option<Proved>,
}

/// What is due and nobody holds.
const DUE: &str = "SELECT kind, COUNT(*) FROM work WHERE due_at <= $1 AND (owner IS NULL
    OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.id = work.owner AND w.lease_until > $1)) GROUP BY kind";

/// Several alerts may have one page, which one of them opened and the others joined. SQLite keeps to the order of a cross join:
/// it begins with the few alerts that are open.
const UNACKNOWLEDGED: &str = "SELECT COUNT(DISTINCT COALESCE(p.page_id, p.incident_id))
    FROM alerts a CROSS JOIN incidents i CROSS JOIN pages p
    WHERE a.resolved_at IS NULL AND i.alert_id = a.id AND p.incident_id = i.incident_id
    AND p.state = 'paged' AND p.acknowledged_at IS NULL AND p.closed_at IS NULL";

impl Store {
    /// What waits now.
    ///
    /// # Errors
    /// The database.
    pub async fn waiting(&self) -> Result<Waiting, StoreError> {
        let doing = "counting what waits";
        let now = self.now();
        let mut waiting = Waiting::default();
        let states: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT state, COUNT(*), MIN(created_at) FROM runs WHERE state IN ('queued', 'suppressed', 'running')
             GROUP BY state",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(failed(doing))?;
        for (state, count, oldest) in states {
            match state.parse() {
                Ok(State::Queued) => {
                    waiting.queued = count;
                    waiting.oldest = Duration::from_millis(now.saturating_sub(oldest).try_into().unwrap_or(0));
                }
                Ok(State::Suppressed) => waiting.suppressed = count,
                _ => waiting.running = count,
            }
        }
        let due: Vec<(String, i64)> =
            sqlx::query_as(DUE).bind(self.now()).fetch_all(&self.pool).await.map_err(failed(doing))?;
        for (kind, count) in due {
            match kind.parse() {
                Ok(Kind::Run) => waiting.due_runs = count,
                Ok(Kind::Alert) => waiting.due_alerts = count,
                Ok(Kind::Task) => waiting.due_tasks = count,
                Ok(Kind::Notify) => waiting.due_notify = count,
                Ok(Kind::Watch) | Err(_) => {}
            }
        }
        if let Some(canary) = self.canary().await? {
            waiting.canary = canary.outcome;
            waiting.canary_good = canary.good_at.map_or(0, |at| self.clock.shown(at).as_second());
        }
        (waiting.unacknowledged,) =
            sqlx::query_as(UNACKNOWLEDGED).fetch_one(&self.pool).await.map_err(failed(doing))?;
        waiting.reconciled = self.reconciled_at().await?.map_or(0, |at| self.clock.shown(at).as_second());
        waiting.way_in = self.way_in().await?.and_then(|way_in| way_in.last);
        Ok(waiting)
    }
}
