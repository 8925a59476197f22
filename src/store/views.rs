//! Runs as the API shows them.

use jiff::SignedDuration;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::alert::Region;
use crate::run::{Escalation, EscalationState, Facts, NoteRef, PageRef, Run, State, Step};

use super::rows::{from_json, parse, plain, time};
use super::{Filter, Store, StoreError, failed};

/// Name, state, began, ended, error.
type StepRow = (String, String, i64, Option<i64>, Option<String>);

/// How many runs of an alert are looked through, for one that has a note or a diagnosis.
const LAST_RUNS: i64 = 20;

/// A page belongs to the run that asked for it and to later runs of the same alert, whichever of the incidents that
/// were merged into one it was opened for; ids sort by time.
const SELECT: &str = "SELECT r.id, r.incident_id, r.incident, r.region, r.triggered_by, r.state, r.reason, r.created_at, \
     r.finished_at, r.diagnosis, r.related, r.escalation, r.escalation_reason, r.note_id, \
     p.state AS page_state, p.page_id, p.page_url, p.reason AS page_reason \
     FROM runs r LEFT JOIN pages p ON p.run_id <= r.id AND p.incident_id = (SELECT q.incident_id FROM pages q \
     WHERE q.incident_id = r.incident_id OR q.incident_id IN (SELECT a.incident_id FROM alerts a \
     WHERE a.alert_id = (SELECT b.alert_id FROM alerts b WHERE b.incident_id = r.incident_id)) \
     ORDER BY CASE q.state WHEN 'paged' THEN 0 WHEN 'requested' THEN 1 ELSE 2 END, q.requested_at LIMIT 1)";

impl Store {
    /// The last runs of an incident, newest first, [`LAST_RUNS`] at most; those before this run where one is named.
    ///
    /// # Errors
    /// The database.
    pub async fn last_runs(&self, incident_id: &str, before: Option<&str>) -> Result<Vec<Run>, StoreError> {
        let (incident_id, before) = (Some(incident_id.to_owned()), before.map(str::to_owned));
        self.runs(&Filter { incident_id, before, limit: LAST_RUNS, ..Filter::default() }).await
    }

    /// How many alerts of this run's region began a run in the hour before it, its own included.
    ///
    /// # Errors
    /// The database.
    pub async fn alerts_in_the_hour_before(&self, run: &Run) -> Result<u32, StoreError> {
        let (alerts,): (i64,) = sqlx::query_as(
            "SELECT COUNT(DISTINCT incident_id) FROM runs WHERE region = $1 AND id <= $2 AND created_at >= $3",
        )
        .bind(run.region.as_str())
        .bind(&run.id)
        .bind((run.created_at - SignedDuration::from_hours(1)).as_millisecond())
        .fetch_one(&self.pool)
        .await
        .map_err(failed("counting alerts"))?;
        Ok(u32::try_from(alerts).unwrap_or(u32::MAX))
    }

    /// A run with its steps.
    ///
    /// # Errors
    /// The database.
    pub async fn run(&self, id: &str) -> Result<Option<Run>, StoreError> {
        let doing = "reading a run";
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} WHERE r.id = $1")))
            .bind(plain(id))
            .fetch_optional(&self.pool)
            .await
            .map_err(failed(doing))?;
        let Some(row) = row else { return Ok(None) };
        let mut run = run_of(&row)?;
        let steps: Vec<StepRow> = sqlx::query_as(
            "SELECT name, state, started_at, finished_at, error FROM steps WHERE run_id = $1 ORDER BY seq",
        )
        .bind(id)
        .fetch_all(&self.pool)
        .await
        .map_err(failed(doing))?;
        for (name, state, started_at, finished_at, error) in steps {
            let finished_at = finished_at.map(time).transpose()?;
            run.steps.push(Step { name, state, started_at: time(started_at)?, finished_at, error });
        }
        Ok(Some(run))
    }

    /// Runs without their steps, newest first.
    ///
    /// # Errors
    /// The database.
    pub async fn runs(&self, filter: &Filter) -> Result<Vec<Run>, StoreError> {
        // An absent filter is an empty text, so that one fixed query serves them all. Incidents that were merged into one
        // alert have each other's runs.
        let sql = format!(
            "{SELECT} WHERE ($1 = '' OR r.incident_id = $1 OR r.incident_id IN (SELECT a.incident_id FROM alerts a
             WHERE a.alert_id = (SELECT b.alert_id FROM alerts b WHERE b.incident_id = $1)))
             AND ($2 = '' OR r.region = $2) AND ($3 = '' OR r.state = $3) AND ($4 = '' OR r.id < $4)
             AND ($6 = '' OR r.diagnosis LIKE $6) ORDER BY r.id DESC LIMIT $5"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(plain(filter.incident_id.as_deref().unwrap_or_default()))
            .bind(plain(filter.region.as_deref().unwrap_or_default()))
            .bind(filter.state.map(State::as_str).unwrap_or_default())
            .bind(plain(filter.before.as_deref().unwrap_or_default()))
            .bind(filter.limit)
            // The diagnosis is JSON, its members in the order of their declaration.
            .bind(
                filter
                    .verdict
                    .map(|kind| format!("%\"verdict\":{{\"kind\":\"{}\"%", kind.as_str()))
                    .unwrap_or_default(),
            )
            .fetch_all(&self.pool)
            .await
            .map_err(failed("listing runs"))?;
        rows.iter().map(run_of).collect()
    }

    /// What the note of a run needs beside its diagnosis.
    ///
    /// # Errors
    /// The database.
    pub async fn facts(&self, run_id: &str) -> Result<Facts, StoreError> {
        let facts: Option<(Option<String>,)> = sqlx::query_as("SELECT facts FROM runs WHERE id = $1")
            .bind(run_id)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("reading a run's facts"))?;
        facts.and_then(|(text,)| text).map_or_else(|| Ok(Facts::default()), |text| from_json("a run's facts", &text))
    }
}

fn run_of(row: &AnyRow) -> Result<Run, StoreError> {
    let doing = "reading a run's columns";
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed(doing));
    let maybe = |column: &str| row.try_get::<Option<String>, _>(column).map_err(failed(doing));
    let at = |column: &str| row.try_get::<Option<i64>, _>(column).map_err(failed(doing))?.map(time).transpose();
    let own_reason = maybe("escalation_reason")?;
    let escalation = match maybe("page_state")?.as_deref() {
        None => Escalation {
            state: match text("escalation")?.as_str() {
                "suggested" => EscalationState::Suggested,
                "held" => EscalationState::Held,
                _ => EscalationState::None,
            },
            page: None,
            reason: own_reason,
        },
        Some(state) => {
            let page = maybe("page_id")?.zip(maybe("page_url")?).map(|(id, html_url)| PageRef { id, html_url });
            let (state, page) = match state {
                "paged" => (EscalationState::Paged, page),
                "failed" => (EscalationState::Failed, None),
                _ => (EscalationState::Requested, None),
            };
            Escalation { state, page, reason: maybe("page_reason")? }
        }
    };
    let region: Region = parse("a region", &text("region")?)?;
    let shown = maybe("incident")?.map(|i| from_json("an incident", &i)).transpose()?;
    // What has no incident's id is nobody's alert.
    let (incident, drill) = if maybe("incident_id")?.is_some() { (shown, None) } else { (None, shown) };
    Ok(Run {
        id: text("id")?,
        incident,
        drill,
        region,
        trigger: parse("a trigger", &text("triggered_by")?)?,
        state: parse("a state", &text("state")?)?,
        reason: maybe("reason")?,
        created_at: at("created_at")?.unwrap_or_default(),
        finished_at: at("finished_at")?,
        diagnosis: maybe("diagnosis")?.map(|d| from_json("a diagnosis", &d)).transpose()?,
        related: from_json("related pages", &text("related")?)?,
        escalation,
        note: maybe("note_id")?.map(|id| NoteRef { id }),
        steps: Vec::new(),
    })
}
