//! Runs as the API shows them.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::alert::Region;
use crate::run::{Escalation, EscalationState, Facts, NoteRef, PageRef, Run, State, Step};

use super::rows::{from_json, parse, time};
use super::{Filter, Store, StoreError, failed};

/// Name, state, began, ended, error.
type StepRow = (String, String, i64, Option<i64>, Option<String>);

/// A page belongs to the run that asked for it and to later runs of the same alert; ids sort by time.
const SELECT: &str = "SELECT r.id, r.incident, r.region, r.triggered_by, r.state, r.reason, r.created_at, \
     r.finished_at, r.diagnosis, r.related, r.escalation, r.escalation_reason, r.note_id, \
     p.state AS page_state, p.page_id, p.page_url, p.reason AS page_reason \
     FROM runs r LEFT JOIN pages p ON p.incident_id = r.incident_id AND p.run_id <= r.id";

impl Store {
    /// A run with its steps.
    ///
    /// # Errors
    /// The database.
    pub async fn run(&self, id: &str) -> Result<Option<Run>, StoreError> {
        let doing = "reading a run";
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} WHERE r.id = $1")))
            .bind(id)
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
        // An absent filter is an empty text, so that one fixed query serves them all.
        let sql = format!(
            "{SELECT} WHERE ($1 = '' OR r.incident_id = $1) AND ($2 = '' OR r.region = $2)
             AND ($3 = '' OR r.state = $3) AND ($4 = '' OR r.id < $4)
             AND ($6 = '' OR r.diagnosis LIKE $6) ORDER BY r.id DESC LIMIT $5"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(filter.incident_id.as_deref().unwrap_or_default())
            .bind(filter.region.as_deref().unwrap_or_default())
            .bind(filter.state.map(State::as_str).unwrap_or_default())
            .bind(filter.before.as_deref().unwrap_or_default())
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
    Ok(Run {
        id: text("id")?,
        incident: maybe("incident")?.map(|i| from_json("an incident", &i)).transpose()?,
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
