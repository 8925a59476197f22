//! The record of an alert: what was read, concluded, said and done, for people. An entry is kept in the transaction of what it tells
//! of, for `EVIDENCE_RETENTION`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use runbook::diagnosis::Diagnosis;
use runbook::record::{Entry, EntryKind, Source};
use runbook::run::{Activity, Run};

use super::alerts::OF_NAME;
use super::evidence::OwnedSight;
use super::many;
use super::rows::{column, from_json, plain, time};
use super::{Store, StoreError, failed};

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

/// All that is kept of an alert, for people.
#[derive(Debug, Default)]
pub struct AlertRecord {
    /// The incident that it is now: its newest name.
    pub incident_id: String,
    /// All incidents that it is, or was.
    pub names: Vec<String>,
    /// Its region; `None`: that is not known any more.
    pub region: Option<String>,
    /// The incidents on the Service Endpoint team that it was paged by, or joined, the first one first.
    pub pages: Vec<String>,
    /// The classes of its runs' diagnoses, by the word.
    pub classes: Vec<String>,
    /// Its entries, the oldest first.
    pub entries: Vec<Entry>,
    /// What its runs have read, the oldest first.
    pub seen: Vec<Seen>,
}

/// What one step of a run has read.
#[derive(Debug)]
pub struct Seen {
    /// The run.
    pub run_id: String,
    /// When it was kept.
    pub at: Timestamp,
    /// What; an error is why it can't be read.
    pub sight: Result<OwnedSight, StoreError>,
}

fn entry_of(row: &AnyRow) -> Option<Entry> {
    let word = |name| column::<String>(row, name).ok();
    Some(Entry {
        at: time(column(row, "at").ok()?).ok()?,
        source: word("source")?.parse().ok()?,
        kind: word("kind")?.parse().ok()?,
        text: word("text")?,
        who: column(row, "who").ok().flatten(),
        url: column(row, "url").ok().flatten(),
        run_id: column(row, "run_id").ok().flatten(),
    })
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
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
        Ok(())
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

    /// All that is kept of the alert with this name, whichever of its names it is, also once the alert itself is pruned; `None`: no
    /// such alert is known.
    ///
    /// # Errors
    /// The database.
    pub async fn record_of(&self, name: &str) -> Result<Option<AlertRecord>, StoreError> {
        let doing = "reading the record of an alert";
        let known: Option<(Option<String>,)> = sqlx::query_as(
            "SELECT alert_id FROM (SELECT 0 AS place, 0 AS at, alert_id FROM incidents WHERE incident_id = $1
             UNION ALL SELECT 1, -at, alert_id FROM record WHERE incident_id = $1) AS known ORDER BY place, at LIMIT 1",
        )
        .bind(name)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed(doing))?;
        let Some((alert_id,)) = known else { return Ok(None) };
        let alert_id = alert_id.unwrap_or_default();
        let names: Vec<(String,)> = sqlx::query_as(
            "SELECT incident_id FROM incidents WHERE alert_id = $2 UNION
             SELECT incident_id FROM record WHERE alert_id = $2 UNION SELECT $1 ORDER BY incident_id",
        )
        .bind(name)
        .bind(&alert_id)
        .fetch_all(&self.pool)
        .await
        .map_err(failed(doing))?;
        let names: Vec<String> = names.into_iter().map(|(name,)| name).collect();
        let alert: Option<(String, String)> = sqlx::query_as("SELECT incident_id, region FROM alerts WHERE id = $1")
            .bind(&alert_id)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed(doing))?;
        let (newest, region) = alert.unzip();
        let mut rows = Vec::new();
        let columns = "id, incident_id, at, text, who, source, kind, url, run_id, data";
        for names in many::chunks(&names) {
            // By its names too: an entry may have been kept while the alert was merged, or before it was pruned and came again.
            let sql = format!(
                "SELECT {columns} FROM record WHERE alert_id = $1 UNION SELECT {columns} FROM record WHERE incident_id IN ({})",
                many::places(2, names.len())
            );
            let mut query = sqlx::query(AssertSqlSafe(sql)).bind(&alert_id);
            for name in names {
                query = query.bind(name.as_str());
            }
            rows.extend(query.fetch_all(&self.pool).await.map_err(failed(doing))?);
        }
        let mut rows: Vec<(i64, String, AnyRow)> = rows
            .into_iter()
            .filter_map(|row| Some((column(&row, "at").ok()?, column(&row, "id").ok()?, row)))
            .collect();
        rows.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        rows.dedup_by(|one, other| one.1 == other.1);
        let mut record = AlertRecord { region, ..AlertRecord::default() };
        let mut last_name = None;
        for (.., row) in &rows {
            // One that can't be read hides no other.
            let Some(entry) = entry_of(row) else { continue };
            // What was merged into is the newest name.
            if last_name.is_none() || entry.kind == EntryKind::Merged {
                last_name = column::<String>(row, "incident_id").ok().or(last_name);
            }
            let data: Option<String> = column(row, "data").ok().flatten();
            match (entry.kind, data) {
                (EntryKind::Verdict, Some(class)) => record.classes.push(class),
                (EntryKind::Page, Some(page)) if !record.pages.contains(&page) => record.pages.push(page),
                _ => {}
            }
            record.entries.push(entry);
        }
        self.add_what_is_kept(&mut record, &names).await?;
        record.incident_id = newest.or(last_name).unwrap_or_else(|| name.to_owned());
        let (seen, seen_in) = self.seen_by(&names).await?;
        record.region = record.region.or(seen_in);
        record.seen = seen;
        record.names = names;
        Ok(Some(record))
    }

    /// Adds what older entries don't tell, and rows that are there do: classes and pages.
    async fn add_what_is_kept(&self, record: &mut AlertRecord, names: &[String]) -> Result<(), StoreError> {
        let doing = "reading the runs and pages of an alert";
        for names in many::chunks(names) {
            let sql = format!(
                "SELECT 'page' AS what, page_id AS value FROM pages WHERE page_id IS NOT NULL AND incident_id IN ({places})
                 UNION ALL SELECT 'class', diagnosis FROM runs WHERE diagnosis IS NOT NULL AND alert_id IN
                 (SELECT alert_id FROM incidents WHERE incident_id IN ({places}))",
                places = many::places(1, names.len())
            );
            let mut query = sqlx::query_as(AssertSqlSafe(sql));
            for name in names {
                query = query.bind(name.as_str());
            }
            let rows: Vec<(String, String)> = query.fetch_all(&self.pool).await.map_err(failed(doing))?;
            for (what, value) in rows {
                if what == "page" && !record.pages.contains(&value) {
                    record.pages.push(value);
                } else if what == "class"
                    && let Ok(diagnosis) = from_json::<Diagnosis>("a diagnosis", &value)
                {
                    record.classes.push(diagnosis.class.to_string());
                }
            }
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
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(())
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
