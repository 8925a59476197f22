//! The alerts of a time with their runs in short: what regions are drawn by over time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::any::AnyRow;

use runbook::alert::Region;
use runbook::diagnosis::{Rule, VerdictKind};
use runbook::run::{State, Trigger};

use super::rows::{column, parse, time};
use super::{Store, StoreError, failed};

/// The most runs that are looked at for one alert that is asked for; of an alert that has more, others have fewer.
const RUNS_AN_ALERT: i64 = 8;

/// An alert, and its runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastAlert {
    /// The incident that is the alert now; what was merged into it has runs here too.
    pub incident_id: String,
    /// When it was last triggered or reopened, by PagerDuty's clock; `None`: not known.
    pub triggered_at: Option<Timestamp>,
    /// When it resolved, by the same clock; `None`: it is open, as far as is known.
    pub resolved_at: Option<Timestamp>,
    /// Its runs, oldest first; there is one at least.
    pub runs: Vec<PastRun>,
}

/// Of a run what is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRun {
    /// Its id.
    pub id: String,
    /// The incident that it is a run of.
    pub incident_id: String,
    /// The region that it is about.
    pub region: Region,
    /// What made it.
    pub trigger: Trigger,
    /// Where it stands.
    pub state: State,
    /// The kind of its verdict and the rule; `None`: there is no diagnosis, or what stands there is no such word.
    pub verdict: Option<(VerdictKind, Rule)>,
    /// Whether a bigger outage has explained the alert, for a while at least.
    pub was_suppressed: bool,
    /// When it began.
    pub created_at: Timestamp,
    /// When a diagnosis was first kept.
    pub diagnosed_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// What is found of a time's alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PastAlerts {
    /// The alerts.
    pub alerts: Vec<PastAlert>,
    /// More than the limit are open: some of them are not here.
    pub more_open: bool,
    /// More than the limit have resolved: those until this time, by PagerDuty's clock, are not here.
    pub more_until: Option<Timestamp>,
    /// They have too many runs: those that began before this time are not here.
    pub runs_from: Option<Timestamp>,
}

fn run(row: &AnyRow) -> Result<PastRun, StoreError> {
    let text = |name: &'static str| column::<String>(row, name);
    let word = |name: &'static str| column::<Option<String>>(row, name).ok().flatten();
    let at = |name: &'static str| column::<Option<i64>>(row, name)?.map(time).transpose();
    let (kind, rule) =
        (word("verdict").and_then(|kind| kind.parse().ok()), word("rule").and_then(|rule| rule.parse().ok()));
    Ok(PastRun {
        id: text("id")?,
        incident_id: text("incident_id")?,
        region: parse("a region", &text("region")?)?,
        trigger: parse("a trigger", &text("triggered_by")?)?,
        state: parse("a state", &text("state")?)?,
        verdict: kind.zip(rule),
        was_suppressed: column::<i64>(row, "was_suppressed")? == 1,
        created_at: time(column(row, "created_at")?)?,
        diagnosed_at: at("diagnosed_at")?,
        finished_at: at("finished_at")?,
    })
}

/// Alerts by whether they are open, or by when they were over, as far as asked for; then the runs of each. In these steps: neither
/// database is to go through all runs by their order instead.
pub(super) const PAST: &str = "WITH few AS MATERIALIZED (
         SELECT * FROM (SELECT id, incident_id, triggered_at, resolved_at FROM alerts
             WHERE resolved_at IS NULL ORDER BY incident_id LIMIT $2) AS open
         UNION ALL
         SELECT * FROM (SELECT id, incident_id, triggered_at, resolved_at FROM alerts
             WHERE resolved_at IS NOT NULL AND resolved_at >= $1 ORDER BY resolved_at DESC LIMIT $2) AS over),
     own AS MATERIALIZED (
         SELECT few.id AS alert_id, few.incident_id AS newest, few.triggered_at, few.resolved_at, r.id, r.incident_id,
             r.region, r.triggered_by, r.state, r.verdict, r.rule, r.created_at, r.diagnosed_at, r.finished_at,
             CASE WHEN r.suppressed_at IS NULL THEN 0 ELSE 1 END AS was_suppressed
         FROM few CROSS JOIN runs r WHERE r.alert_id = few.id)
     SELECT * FROM own ORDER BY id DESC LIMIT $3";

/// When the first was over that is beyond the limit, and whether one that is open is.
pub(super) const BEYOND: &str = "SELECT
     (SELECT resolved_at FROM alerts WHERE resolved_at IS NOT NULL AND resolved_at >= $1
         ORDER BY resolved_at DESC LIMIT 1 OFFSET $2) AS more_until,
     (SELECT COUNT(*) FROM (SELECT incident_id FROM alerts WHERE resolved_at IS NULL
         ORDER BY incident_id LIMIT 1 OFFSET $2) AS open) AS more_open";

impl Store {
    /// Alerts that are open, or have resolved since, each with its runs: at most so many of either, those that resolved last, and
    /// no drills; and what is not here for that limit. One of which nothing can be read is left out: lists name its runs.
    ///
    /// # Errors
    /// The database.
    pub async fn past_alerts(&self, since: Timestamp, limit: i64) -> Result<PastAlerts, StoreError> {
        let doing = "listing past alerts";
        let most = limit.saturating_mul(RUNS_AN_ALERT);
        let mut rows = sqlx::query(PAST)
            .bind(since.as_millisecond())
            .bind(limit)
            .bind(most.saturating_add(1))
            .fetch_all(&self.pool)
            .await
            .map_err(failed(doing))?;
        let (more_until, more_open): (Option<i64>, i64) = sqlx::query_as(BEYOND)
            .bind(since.as_millisecond())
            .bind(limit)
            .fetch_one(&self.pool)
            .await
            .map_err(failed(doing))?;
        // The newest are first.
        let is_cut = i64::try_from(rows.len()).is_ok_and(|count| count > most);
        rows.truncate(rows.len() - usize::from(is_cut));
        let oldest = rows.last().filter(|_| is_cut);
        let runs_from = oldest.map(|row| column(row, "created_at")).transpose()?.map(time).transpose()?;
        let mut alerts: BTreeMap<String, PastAlert> = BTreeMap::new();
        for row in rows.iter().rev() {
            let (Ok(run), Ok(alert_id), Ok(incident_id)) = (run(row), column(row, "alert_id"), column(row, "newest"))
            else {
                continue;
            };
            let at = |name| column::<Option<i64>>(row, name).ok().flatten().and_then(|at| time(at).ok());
            let (triggered_at, resolved_at) = (at("triggered_at"), at("resolved_at"));
            let new = || PastAlert { incident_id, triggered_at, resolved_at, runs: Vec::new() };
            alerts.entry(alert_id).or_insert_with(new).runs.push(run);
        }
        Ok(PastAlerts {
            alerts: alerts.into_values().collect(),
            more_open: more_open > 0,
            more_until: more_until.map(time).transpose()?,
            runs_from,
        })
    }

    /// Since when something is recorded: when the oldest webhook came that is kept, or the oldest run began. `None`: nothing is.
    ///
    /// # Errors
    /// The database.
    pub async fn recorded_since(&self) -> Result<Option<Timestamp>, StoreError> {
        let (webhook, run): (Option<i64>, Option<i64>) = sqlx::query_as(
            "SELECT (SELECT MIN(received_at) FROM webhooks),
                 (SELECT MIN(created_at) FROM runs)",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(failed("looking since when something is recorded"))?;
        webhook.into_iter().chain(run).min().map(time).transpose()
    }
}
