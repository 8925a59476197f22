//! The record of one alert, read back.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use runbook::diagnosis::Diagnosis;
use runbook::record::{Entry, EntryKind};

use crate::evidence::OwnedSight;
use crate::many;
use crate::rows::{column, from_json, time};
use crate::{Store, StoreError, failed};

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
    /// When it was first paged for, or joined a page; `None`: it was not.
    pub paged_at: Option<Timestamp>,
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

impl Store {
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
                (EntryKind::Page, Some(page)) => {
                    record.paged_at.get_or_insert(entry.at);
                    if !record.pages.contains(&page) {
                        record.pages.push(page);
                    }
                }
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
}
