//! The record of an alert: what was read, concluded, said and done, for people. An entry is kept in the transaction of what it tells
//! of, for `EVIDENCE_RETENTION`.

mod of;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe};

use runbook::diagnosis::Diagnosis;
use runbook::record::{EntryKind, Source};
use runbook::run::{Activity, Run};

use super::alerts::OF_NAME;
use super::rows::{column, plain, time};
use super::timed::Transaction;
use super::{Store, StoreError, failed};

pub use of::{AlertRecord, Seen};

/// That somebody asked for a page.
pub(super) const ASKED: &str = "asked to page Cloud Service Endpoint";
/// How much of it is shown of one alert: the newest.
const SHOWN: i64 = 200;

/// An entry that is to be kept.
#[derive(Clone, Debug)]
pub struct NewEntry<'a> {
    /// The alert's incident; empty: there is none.
    pub incident_id: &'a str,
    /// What it tells.
    pub kind: EntryKind,
    /// In words.
    pub text: String,
    /// What makes it one, where it may be done again after a crash; `None`: each is another.
    pub key: Option<String>,
    /// The person who did; `None` is this service.
    pub who: Option<&'a str>,
    /// When, where that is known from elsewhere; else now.
    pub at: Option<Timestamp>,
    /// Who knows of it.
    pub source: Source,
    /// A link.
    pub url: Option<String>,
    /// The run that it is about.
    pub run_id: Option<&'a str>,
    /// What else is to be known of it: of a verdict its class, of a page its incident.
    pub data: Option<String>,
}

impl<'a> NewEntry<'a> {
    /// This service's own, of now.
    pub fn new(incident_id: &'a str, kind: EntryKind, text: impl Into<String>) -> Self {
        Self {
            incident_id,
            kind,
            text: text.into(),
            key: None,
            who: None,
            at: None,
            source: Source::Service,
            url: None,
            run_id: None,
            data: None,
        }
    }
}

/// The kinds that a run shows, as a list of SQL.
fn shown() -> String {
    let kinds: Vec<String> =
        EntryKind::ALL.iter().filter(|kind| kind.is_activity()).map(|kind| format!("'{kind}'")).collect();
    kinds.join(", ")
}

fn activity_of(row: &AnyRow) -> Option<Activity> {
    Some(Activity {
        at: time(column(row, "at").ok()?).ok()?,
        what: column(row, "text").ok()?,
        who: column(row, "who").ok().flatten(),
    })
}

impl Store {
    /// Keeps an entry, with what it tells of.
    pub(super) async fn record_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        entry: NewEntry<'_>,
    ) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO record (id, incident_id, at, text, who, source, kind, url, run_id, data, alert_id)
             VALUES ($2, $1, $3, $4, $5, $6, $7, $8, $9, $10, {OF_NAME}) ON CONFLICT (id) DO NOTHING"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(entry.incident_id)
            .bind(entry.key.unwrap_or_else(|| self.clock.id()))
            .bind(entry.at.map_or_else(|| self.now(), Timestamp::as_millisecond))
            .bind(plain(&entry.text))
            .bind(entry.who.map(plain))
            .bind(entry.source.as_str())
            .bind(entry.kind.as_str())
            .bind(entry.url.as_deref().map(plain))
            .bind(entry.run_id)
            .bind(entry.data.as_deref().map(plain))
            .execute(&mut **tx)
            .await
            .map_err(failed("keeping what was done"))?;
        Ok(())
    }

    /// Keeps what a run has found. Going round again to the same is no other entry.
    pub(super) async fn record_verdict_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        (incident_id, run_id): (&str, &str),
        diagnosis: &Diagnosis,
    ) -> Result<(), StoreError> {
        let (text, class) = (plain(&diagnosis.verdict.summary), diagnosis.class.as_str());
        let last: Option<(String, Option<String>)> = sqlx::query_as(
            "SELECT text, data FROM record WHERE incident_id = $1 AND run_id = $2 AND kind = 'verdict'
             ORDER BY at DESC, id DESC LIMIT 1",
        )
        .bind(incident_id)
        .bind(run_id)
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed("looking for what a run has found"))?;
        if last.is_some_and(|(last, data)| last == text && data.as_deref() == Some(class)) {
            return Ok(());
        }
        let found = NewEntry::new(incident_id, EntryKind::Verdict, text);
        self.record_in(tx, NewEntry { run_id: Some(run_id), data: Some(class.to_owned()), ..found }).await
    }

    /// Keeps that the automatic page of a run is held, and why. The same again is no other entry.
    pub(super) async fn record_held_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        (incident_id, run_id): (&str, &str),
        reason: &str,
    ) -> Result<(), StoreError> {
        let text = format!("held the automatic page: {}", reason.replace('\n', "; "));
        let last: Option<(String,)> = sqlx::query_as(
            "SELECT text FROM record WHERE incident_id = $1 AND run_id = $2 AND kind = 'held' ORDER BY at DESC, id DESC LIMIT 1",
        )
        .bind(incident_id)
        .bind(run_id)
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed("looking for why a page was held"))?;
        // How old something is by now is no news.
        let without_figures = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        if last.is_some_and(|(last,)| without_figures(&last) == without_figures(&plain(&text))) {
            return Ok(());
        }
        let held = NewEntry { run_id: Some(run_id), ..NewEntry::new(incident_id, EntryKind::Held, text) };
        self.record_in(tx, held).await
    }

    /// The same for what nothing else is kept of.
    ///
    /// # Errors
    /// The database.
    pub async fn add_entry(&self, entry: NewEntry<'_>) -> Result<(), StoreError> {
        let doing = "keeping what was done";
        let mut tx = self.write(doing).await?;
        self.record_in(&mut tx, entry).await?;
        self.commit_changed(tx, doing).await
    }

    /// Fills in what was said and done about each run's alert since its diagnosis (since its end, where it has none), oldest
    /// first, on all incidents that the alert has been. One question, however many runs.
    ///
    /// # Errors
    /// The database.
    pub async fn fill_activity(&self, runs: &mut [Run]) -> Result<(), StoreError> {
        let since = |run: &Run| run.diagnosed_at.or(run.finished_at);
        let asked: BTreeSet<String> = runs
            .iter()
            .filter(|run| since(run).is_some())
            .filter_map(|run| Some(run.incident.as_ref()?.id.clone()))
            .collect();
        if asked.is_empty() {
            return Ok(());
        }
        // CROSS JOIN: SQLite keeps that order, and reads no more than is of these alerts.
        let places: Vec<String> = (1..=asked.len()).map(|n| format!("(${n})")).collect();
        let sql = format!(
            "WITH asked (id) AS (VALUES {}), same (asked, incident_id) AS (
                 SELECT id, id FROM asked UNION
                 SELECT asked.id, other.incident_id FROM asked JOIN incidents own ON own.incident_id = asked.id
                 JOIN incidents other ON other.alert_id = own.alert_id)
             SELECT asked, at, text, who FROM (
                 SELECT same.asked, done.at, done.text, done.who,
                 ROW_NUMBER() OVER (PARTITION BY same.asked ORDER BY done.at DESC, done.id DESC) AS place
                 FROM same CROSS JOIN record done
                 WHERE done.incident_id = same.incident_id AND done.kind IN ({})) AS newest
             WHERE place <= {SHOWN} ORDER BY asked, place DESC",
            places.join(", "),
            shown()
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for id in &asked {
            query = query.bind(plain(id));
        }
        let rows = query.fetch_all(&self.pool).await.map_err(failed("reading what was done"))?;
        let mut done: BTreeMap<String, Vec<Activity>> = BTreeMap::new();
        for row in &rows {
            // One that can't be read hides neither the others nor the run.
            let Some(activity) = activity_of(row) else { continue };
            done.entry(column(row, "asked")?).or_default().push(activity);
        }
        for run in runs {
            let (Some(incident), Some(since)) = (&run.incident, since(run)) else { continue };
            let done = done.get(&incident.id).into_iter().flatten();
            run.activity = done.filter(|done| done.at >= since).cloned().collect();
        }
        Ok(())
    }

    /// The diagnosis note of a run was edited: this is its text now, and `why` it was edited. The same text again is no
    /// edit.
    ///
    /// # Errors
    /// The database.
    pub async fn set_note_text(&self, run_id: &str, text: &str, why: &str) -> Result<(), StoreError> {
        let doing = "keeping a note's text";
        let mut tx = self.write(doing).await?;
        self.note_text_in(&mut tx, run_id, text, why).await?;
        self.commit_due(tx, doing).await
    }

    pub(super) async fn note_text_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        run_id: &str,
        text: &str,
        why: &str,
    ) -> Result<(), StoreError> {
        let doing = "keeping a note's text";
        let text = plain(text);
        let changed: Option<(Option<String>,)> = sqlx::query_as(
            "UPDATE runs SET note_text = $1 WHERE id = $2 AND (note_text IS NULL OR note_text <> $1) RETURNING incident_id",
        )
        .bind(&text)
        .bind(run_id)
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed(doing))?;
        if let Some((Some(incident_id),)) = changed {
            let what = format!("edited the diagnosis note: {why}");
            let edit = NewEntry { run_id: Some(run_id), ..NewEntry::new(&incident_id, EntryKind::Edit, what) };
            self.record_in(tx, edit).await?;
            self.news_in(tx, &incident_id).await?;
        }
        Ok(())
    }
}
