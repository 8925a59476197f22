//! What was said and done about an alert, for people: kept in the transaction of what it tells of.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use runbook::run::{Activity, Run};

use super::rows::{column, plain, time};
use super::{Store, StoreError, failed};

/// How much of it is shown of one alert: the newest.
const SHOWN: i64 = 200;

/// One thing that was said or done.
#[derive(Clone, Debug)]
pub struct NewActivity<'a> {
    /// What makes it one, where it may be done again after a crash; `None`: each is another.
    pub key: Option<String>,
    /// The alert's incident.
    pub incident_id: &'a str,
    /// What.
    pub what: String,
    /// The person who did; `None` is this service.
    pub who: Option<&'a str>,
    /// When, where that is known from elsewhere; else now.
    pub at: Option<Timestamp>,
}

fn activity_of(row: &AnyRow) -> Option<Activity> {
    Some(Activity {
        at: time(column(row, "at").ok()?).ok()?,
        what: column(row, "what").ok()?,
        who: column(row, "who").ok().flatten(),
    })
}

impl Store {
    /// Keeps what was said or done, with what it tells of.
    pub(super) async fn activity_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        done: NewActivity<'_>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO activity (id, incident_id, at, what, who) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING",
        )
        .bind(done.key.unwrap_or_else(|| self.clock.id()))
        .bind(done.incident_id)
        .bind(done.at.map_or_else(|| self.now(), Timestamp::as_millisecond))
        .bind(plain(&done.what))
        .bind(done.who.map(plain))
        .execute(&mut **tx)
        .await
        .map_err(failed("keeping what was done"))?;
        Ok(())
    }

    /// The same for what nothing else is kept of.
    ///
    /// # Errors
    /// The database.
    pub async fn add_activity(&self, done: NewActivity<'_>) -> Result<(), StoreError> {
        let doing = "keeping what was done";
        let mut tx = self.write(doing).await?;
        self.activity_in(&mut tx, done).await?;
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
             SELECT asked, at, what, who FROM (
                 SELECT same.asked, done.at, done.what, done.who,
                 ROW_NUMBER() OVER (PARTITION BY same.asked ORDER BY done.at DESC, done.id DESC) AS place
                 FROM same CROSS JOIN activity done WHERE done.incident_id = same.incident_id) AS newest
             WHERE place <= {SHOWN} ORDER BY asked, place DESC",
            places.join(", ")
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
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
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
            self.activity_in(tx, NewActivity { key: None, incident_id: &incident_id, what, who: None, at: None })
                .await?;
        }
        Ok(())
    }
}
