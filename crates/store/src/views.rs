//! Runs as the API shows them.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::any::AnyRow;

use runbook::alert::Region;
use runbook::run::{
    AlertIncident, AlertPhase, AlertStatus, Escalation, EscalationState, Facts, NoteRef, PageRef, Run, Step, StepState,
    Unchanged,
};

use super::pages::UNREADABLE_PAGE;
use super::rows::{column, from_json, parse, plain, time};
use super::{PageState, Store, StoreError, failed};

/// A page belongs to the run that asked for it and to later runs of the same alert, whichever of the incidents that
/// were merged into one it was opened for; ids sort by time.
pub(super) const SELECT: &str = "SELECT r.id, r.incident_id, r.incident, r.region, r.triggered_by, r.state, r.reason, r.created_at, \
     r.finished_at, r.diagnosis, r.related, r.escalation, r.escalation_reason, r.diagnosed_at, r.facts, r.unchanged_from, \
     r.unchanged_at, r.note_id AS own_note_id, COALESCE(r.note_id, said.note_id) AS note_id, \
     CASE WHEN r.note_id IS NULL THEN COALESCE(r.note_text, said.note_text) ELSE r.note_text END AS note_text, \
     p.state AS page_state, p.page_id, p.page_url, p.reason AS page_reason, p.joined AS page_joined, \
     p.acknowledged_at, p.acknowledged_by, p.closed_at, now.incident_id AS alert, now.triggered_at, now.resolved_at, \
     now.held_by \
     FROM runs r LEFT JOIN runs said ON said.id = r.unchanged_from \
     LEFT JOIN alerts now ON now.id = r.alert_id \
     LEFT JOIN pages p ON p.run_id <= r.id AND p.incident_id = (SELECT q.incident_id FROM pages q \
     WHERE q.incident_id IN (SELECT r.incident_id UNION ALL \
     SELECT i.incident_id FROM incidents i WHERE i.alert_id = r.alert_id) \
     ORDER BY CASE q.state WHEN 'paged' THEN 0 WHEN 'requested' THEN 1 ELSE 2 END, q.requested_at LIMIT 1)";

impl Store {
    /// A run with its steps.
    ///
    /// # Errors
    /// The database, or something of it can't be read.
    pub async fn run(&self, id: &str) -> Result<Option<Run>, StoreError> {
        match self.run_and_error(id).await? {
            Some((_, Some(unreadable))) => Err(unreadable),
            Some((run, None)) => Ok(Some(run)),
            None => Ok(None),
        }
    }

    /// A run with its steps, as far as it can be read; `unreadable` in it names the rest.
    ///
    /// # Errors
    /// The database, or what makes it a run (its region, state, trigger, begin) can't be read.
    pub async fn readable_run(&self, id: &str) -> Result<Option<Run>, StoreError> {
        let Some((run, unreadable)) = self.run_and_error(id).await? else { return Ok(None) };
        if let Some(error) = unreadable {
            tracing::error!(run.id = id, error = &error as &dyn std::error::Error, "a run can be read in part only");
        }
        Ok(Some(run))
    }

    /// And the first thing in it that can't be read.
    async fn run_and_error(&self, id: &str) -> Result<Option<(Run, Option<StoreError>)>, StoreError> {
        let doing = "reading a run";
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} WHERE r.id = $1")))
            .bind(plain(id))
            .fetch_optional(&self.pool)
            .await
            .map_err(failed(doing))?;
        let Some(row) = row else { return Ok(None) };
        let (mut run, unreadable) = run_of(&row)?;
        let steps =
            sqlx::query("SELECT name, state, started_at, finished_at, error FROM steps WHERE run_id = $1 ORDER BY seq")
                .bind(id)
                .fetch_all(&self.pool)
                .await
                .map_err(failed(doing))?;
        // They are for people only: one that can't be read hides no run.
        run.steps.extend(steps.iter().filter_map(step_of));
        self.fill_activity(std::slice::from_mut(&mut run)).await?;
        Ok(Some((run, unreadable)))
    }

    /// What the note of a run needs beside its diagnosis; where it can't be read that alone.
    ///
    /// # Errors
    /// The database.
    pub async fn readable_facts(&self, run_id: &str) -> Result<Facts, StoreError> {
        match self.facts(run_id).await {
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(
                    run.id = run_id,
                    error = &error as &dyn std::error::Error,
                    "the run goes on without them"
                );
                Ok(Facts { unreadable: true, ..Facts::default() })
            }
            facts => facts,
        }
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

/// A run of which nothing can be shown but that there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableRun {
    /// Its id.
    pub id: String,
    /// What can't be read.
    pub what: &'static str,
}

pub(super) fn as_far_as_readable(row: &AnyRow) -> Result<Result<Run, UnreadableRun>, StoreError> {
    match run_of(row) {
        Ok((run, None)) => Ok(Ok(run)),
        Ok((run, Some(error))) => {
            tracing::warn!(run.id, error = &error as &dyn std::error::Error, "a run can be read in part only");
            Ok(Ok(run))
        }
        Err(error @ StoreError::Corrupt { what, .. }) => {
            let id: String = column(row, "id")?;
            tracing::warn!(run.id = id, error = &error as &dyn std::error::Error, "a run can't be read");
            Ok(Err(UnreadableRun { id, what }))
        }
        Err(error) => Err(error),
    }
}

/// What of a run could not be read.
#[derive(Default)]
struct Missing {
    what: Vec<String>,
    first: Option<StoreError>,
}

impl Missing {
    /// The value; where it can't be read nothing, and its name is kept.
    fn keep<T>(&mut self, read: Result<Option<T>, StoreError>) -> Option<T> {
        match read {
            Ok(value) => value,
            Err(error) => {
                if let StoreError::Corrupt { what, .. } = &error {
                    self.what.push((*what).to_owned());
                }
                self.first.get_or_insert(error);
                None
            }
        }
    }
}

/// What is not known to be under way is not shown to be.
fn step_of(row: &AnyRow) -> Option<Step> {
    Some(Step {
        name: column(row, "name").ok()?,
        state: maybe(row, "state").ok()??.parse().unwrap_or(StepState::Interrupted),
        started_at: at(row, "started_at").ok()??,
        finished_at: at(row, "finished_at").ok().flatten(),
        error: maybe(row, "error").ok().flatten(),
    })
}

/// A text, or none.
fn maybe(row: &AnyRow, name: &'static str) -> Result<Option<String>, StoreError> {
    column(row, name)
}

/// A time, or none.
fn at(row: &AnyRow, name: &'static str) -> Result<Option<Timestamp>, StoreError> {
    column::<Option<i64>>(row, name)?.map(time).transpose()
}

/// Something in JSON, or nothing.
fn json<T: DeserializeOwned>(row: &AnyRow, name: &'static str, what: &'static str) -> Result<Option<T>, StoreError> {
    maybe(row, name)?.map(|text| from_json(what, &text)).transpose()
}

/// A run, and the first thing in it that can't be read. Without what makes it a run it is an error.
fn run_of(row: &AnyRow) -> Result<(Run, Option<StoreError>), StoreError> {
    let text = |name: &'static str| column::<String>(row, name);
    let mut missing = Missing::default();
    let region: Region = parse("a region", &text("region")?)?;
    let incident_id = maybe(row, "incident_id")?;
    let alert = incident_id.as_ref().map(|id| alert(row, id, &mut missing));
    // Of one that was merged, the row is about the alert that it was merged into.
    let is_itself = alert.as_ref().is_some_and(|alert| alert.merged_into.is_none());
    let shown = missing.keep(json(row, "incident", "an incident"));
    // What has no incident's id is nobody's alert. What it was called is asked again where it counts.
    let (incident, drill) = match incident_id {
        Some(id) => {
            let unknown =
                || AlertIncident { id, number: 0, title: "(title not readable)".into(), html_url: String::new() };
            (Some(shown.unwrap_or_else(unknown)), None)
        }
        None => (None, shown),
    };
    let note_id = missing.keep(maybe(row, "note_id"));
    let note_text = missing.keep(maybe(row, "note_text"));
    // One that has written a note of its own since shows that.
    let own_note = missing.keep(maybe(row, "own_note_id"));
    let unchanged_from = missing.keep(maybe(row, "unchanged_from")).filter(|_| own_note.is_none());
    let unchanged_at = missing.keep(at(row, "unchanged_at"));
    let run = Run {
        id: text("id")?,
        incident,
        alert,
        drill,
        region,
        trigger: parse("a trigger", &text("triggered_by")?)?,
        state: parse("a state", &text("state")?)?,
        reason: missing.keep(maybe(row, "reason")),
        created_at: at(row, "created_at")?.unwrap_or_default(),
        finished_at: missing.keep(at(row, "finished_at")),
        diagnosis: missing.keep(json(row, "diagnosis", "a diagnosis")),
        related: missing.keep(json(row, "related", "related pages")).unwrap_or_default(),
        escalation: escalation(row, &mut missing),
        note: note_id.map(|id| NoteRef { id, text: note_text }),
        unchanged: unchanged_from.zip(unchanged_at).map(|(run_id, at)| Unchanged { run_id, at }),
        activity: Vec::new(),
        diagnosed_at: missing.keep(at(row, "diagnosed_at")),
        // Where facts can't be read the run's own page says so: a list does without.
        opened_at: maybe(row, "facts").ok().flatten().and_then(|facts| opened_at(&facts)),
        // As above.
        triggered_at: at(row, "triggered_at").ok().flatten().filter(|_| is_itself),
        steps: Vec::new(),
        unreadable: missing.what,
    };
    Ok((run, missing.first))
}

/// Of a run's facts when its alert opened.
fn opened_at(facts: &str) -> Option<Timestamp> {
    #[derive(serde::Deserialize)]
    struct Opened {
        alert_opened_at: Option<Timestamp>,
    }
    serde_json::from_str::<Opened>(facts).ok()?.alert_opened_at
}

/// How the alert of a run's incident stands now.
fn alert(row: &AnyRow, incident_id: &str, missing: &mut Missing) -> AlertStatus {
    let now = missing.keep(maybe(row, "alert"));
    let merged_into = now.clone().filter(|now| now != incident_id);
    let ended = at(row, "resolved_at");
    let state = match (&now, &merged_into, &ended) {
        (None, ..) | (_, None, Err(_)) => AlertPhase::Unknown,
        (_, Some(_), _) => AlertPhase::Merged,
        (_, None, Ok(Some(_))) => AlertPhase::Resolved,
        (_, None, Ok(None)) => AlertPhase::Open,
    };
    AlertStatus { state, resolved_at: missing.keep(ended), held_by: missing.keep(maybe(row, "held_by")), merged_into }
}

/// What is said to be unreadable where a page's state is.
pub const PAGE_STATE: &str = "the state of a page";

/// A word that is not known says nothing: never that a page may be opened, or that none was. The rest of the run can be
/// shown all the same.
fn escalation(row: &AnyRow, missing: &mut Missing) -> Escalation {
    let page_state = match maybe(row, "page_state") {
        Ok(Some(state)) => state.parse().unwrap_or(PageState::Unreadable),
        Err(_) => PageState::Unreadable,
        Ok(None) => {
            let decided = missing.keep(maybe(row, "escalation")).unwrap_or_default().parse().ok();
            let state = decided.filter(|state: &EscalationState| state.is_decided()).unwrap_or_else(|| {
                missing.what.push("what was decided about a page".into());
                EscalationState::Held
            });
            return Escalation { state, page: None, reason: missing.keep(maybe(row, "escalation_reason")) };
        }
    };
    let joined = missing.keep(column::<Option<i64>>(row, "page_joined")).unwrap_or_default() != 0;
    let acknowledged_at = missing.keep(at(row, "acknowledged_at"));
    let acknowledged_by = missing.keep(maybe(row, "acknowledged_by"));
    let closed_at = missing.keep(at(row, "closed_at"));
    let page = missing.keep(maybe(row, "page_id")).zip(missing.keep(maybe(row, "page_url")));
    let page = page.map(|(id, html_url)| PageRef { id, html_url, joined, acknowledged_at, acknowledged_by, closed_at });
    let (state, page) = match page_state {
        PageState::Paged => (EscalationState::Paged, page),
        PageState::Failed => (EscalationState::Failed, None),
        PageState::Requested => (EscalationState::Requested, None),
        PageState::Unreadable => {
            missing.what.push(PAGE_STATE.into());
            let reason = Some(UNREADABLE_PAGE.to_owned());
            return Escalation { state: EscalationState::Failed, page: None, reason };
        }
    };
    Escalation { state, page, reason: missing.keep(maybe(row, "page_reason")) }
}
