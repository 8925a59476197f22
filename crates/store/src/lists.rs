//! Lists of runs. Which runs these are is asked by one text for each combination of filters: a filter that is absent does not stand
//! in it, and each combination has an index (`migrations/0400_one_queue.sql`). What a filter asks for is always a value.

use jiff::{SignedDuration, Timestamp};
use sqlx::AssertSqlSafe;

use runbook::diagnosis::VerdictKind;
use runbook::run::{Run, State};

use super::alerts::OF_NAME;
use super::rows::plain;
use super::views::{SELECT, as_far_as_readable};
use super::{Store, StoreError, UnreadableRun, failed};

/// How many runs of an alert are looked through, for one that has a note or a diagnosis.
const LAST_RUNS: i64 = 20;

/// As in the index of those runs.
pub(super) const ACTIVE: &str = "state IN ('queued', 'suppressed', 'running')";
/// As in the indexes of those runs.
const FINAL: &str = "state IN ('done', 'failed', 'cancelled')";

/// A run's id is made before the run, and on several machines: by so much it may be older than it seems beside another.
const ID_BEFORE_RUN: SignedDuration = SignedDuration::from_secs(60);

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this incident.
    pub incident_id: Option<String>,
    /// Of this region.
    pub region: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// With a verdict of this kind.
    pub verdict: Option<VerdictKind>,
    /// Made before this run.
    pub before: Option<String>,
    /// At most so many.
    pub limit: i64,
}

impl Filter {
    /// The ids of these runs, newest first; and the values of the text's places, but for the last one, the limit's.
    pub(super) fn ids(&self) -> (String, Vec<String>) {
        let (mut few, mut these, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut place = |value: &str| {
            values.push(plain(value));
            format!("${}", values.len())
        };
        if let Some(incident_id) = &self.incident_id {
            // Incidents that were merged into one alert have each other's runs. It is the first place.
            place(incident_id);
            few.push(format!("alert_id = {OF_NAME}"));
        }
        if let Some(state) = self.state {
            // A word of the enum, so that both databases see which index has it.
            let is = format!("state = '{state}'");
            match (state.is_active(), few.is_empty()) {
                (true, true) => few.push(format!("{is} AND {ACTIVE}")),
                (_, false) => these.push(is),
                (false, true) => these.push(format!("{is} AND {FINAL}")),
            }
        }
        if let Some(region) = &self.region {
            these.push(format!("region = {}", place(region)));
        }
        if let Some(verdict) = self.verdict {
            these.push(format!("verdict = {}", place(verdict.as_str())));
        }
        if let Some(before) = &self.before {
            these.push(format!("id < {}", place(before)));
        }
        // An alert has few runs, and few are active: of those the others are sorted out, whatever seems the better index.
        let (with, table) = match few.is_empty() {
            true => (String::new(), "runs"),
            false => {
                let few = few.join(" AND ");
                let with =
                    format!("WITH few AS MATERIALIZED (SELECT id, region, state, verdict FROM runs WHERE {few}) ");
                (with, "few")
            }
        };
        let these = if these.is_empty() { String::new() } else { format!(" WHERE {}", these.join(" AND ")) };
        (format!("{with}SELECT id FROM {table}{these} ORDER BY id DESC LIMIT ${}", values.len() + 1), values)
    }
}

impl Store {
    /// Whether some run is a drill that goes by this id.
    ///
    /// # Errors
    /// The database.
    pub async fn is_drill(&self, id: &str) -> Result<bool, StoreError> {
        let drill: Option<(String,)> = sqlx::query_as("SELECT id FROM runs WHERE drill = $1 LIMIT 1")
            .bind(plain(id))
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("looking for a drill"))?;
        Ok(drill.is_some())
    }

    /// The last runs of an incident, newest first, [`LAST_RUNS`] at most; those before this run where one is named.
    ///
    /// # Errors
    /// The database.
    pub async fn last_runs(&self, incident_id: &str, before: Option<&str>) -> Result<Vec<Run>, StoreError> {
        let (incident_id, before) = (Some(incident_id.to_owned()), before.map(str::to_owned));
        self.runs(&Filter { incident_id, before, limit: LAST_RUNS, ..Filter::default() }).await
    }

    /// The newest run of an alert.
    ///
    /// # Errors
    /// The database, or something of it can't be read.
    pub async fn newest_run(&self, incident_id: &str) -> Result<Option<Run>, StoreError> {
        let filter = Filter { incident_id: Some(incident_id.to_owned()), limit: 1, ..Filter::default() };
        Ok(self.runs(&filter).await?.into_iter().next())
    }

    /// Whether an alert has a run, also one that can't be read.
    ///
    /// # Errors
    /// The database.
    pub async fn had_run(&self, incident_id: &str) -> Result<bool, StoreError> {
        let row: Option<(i64,)> =
            sqlx::query_as(AssertSqlSafe(format!("SELECT 1 FROM runs WHERE alert_id = {OF_NAME} LIMIT 1")))
                .bind(incident_id)
                .fetch_optional(&self.pool)
                .await
                .map_err(failed("looking for a run"))?;
        Ok(row.is_some())
    }

    /// How many alerts of this run's region began a run in the hour before it, its own included.
    ///
    /// # Errors
    /// The database.
    pub async fn alerts_in_the_hour_before(&self, run: &Run) -> Result<u32, StoreError> {
        let ms = |at: Timestamp| at.as_millisecond();
        let (alerts,): (i64,) = sqlx::query_as(
            "WITH lately AS MATERIALIZED (
                 SELECT id, region, alert_id FROM runs WHERE created_at >= $1 AND created_at <= $2)
             SELECT COUNT(DISTINCT alert_id) FROM lately WHERE region = $3 AND id <= $4",
        )
        .bind(ms(run.created_at - SignedDuration::from_hours(1)))
        .bind(ms(run.created_at + ID_BEFORE_RUN))
        .bind(run.region.as_str())
        .bind(&run.id)
        .fetch_one(&self.pool)
        .await
        .map_err(failed("counting alerts"))?;
        Ok(u32::try_from(alerts).unwrap_or(u32::MAX))
    }

    /// Runs without their steps and activity, newest first, each as far as it can be read: one that can't must not hide the
    /// others.
    ///
    /// # Errors
    /// The database.
    pub async fn runs(&self, filter: &Filter) -> Result<Vec<Run>, StoreError> {
        Ok(self.list_runs(filter).await?.into_iter().filter_map(Result::ok).collect())
    }

    /// The same, with those of which nothing can be shown.
    ///
    /// # Errors
    /// The database.
    pub async fn list_runs(&self, filter: &Filter) -> Result<Vec<Result<Run, UnreadableRun>>, StoreError> {
        let (ids, values) = filter.ids();
        let sql = format!("{SELECT} WHERE r.id IN ({ids}) ORDER BY r.id DESC");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in values {
            query = query.bind(value);
        }
        let rows = query.bind(filter.limit).fetch_all(&self.pool).await.map_err(failed("listing runs"))?;
        rows.iter().map(as_far_as_readable).collect()
    }

    /// The newest runs, and those that go on, newest first, each as far as it can be read: what a list of all shows, in one
    /// question.
    ///
    /// # Errors
    /// The database.
    pub async fn newest_and_active(&self, limit: i64) -> Result<Vec<Result<Run, UnreadableRun>>, StoreError> {
        let sql = format!(
            "{SELECT} WHERE r.id IN (
                 SELECT id FROM (SELECT id FROM runs ORDER BY id DESC LIMIT $1) newest
                 UNION SELECT id FROM (SELECT id FROM runs WHERE {ACTIVE} ORDER BY id DESC LIMIT $1) going_on)
             ORDER BY r.id DESC"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(limit).fetch_all(&self.pool).await;
        rows.map_err(failed("listing runs"))?.iter().map(as_far_as_readable).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_absent_is_not_asked_about() {
        let text = |filter: Filter| filter.ids().0;
        assert_eq!(text(Filter::default()), "SELECT id FROM runs ORDER BY id DESC LIMIT $1");
        let region = Some("' OR 1 = 1 --".to_owned());
        let (sql, values) = Filter { region: region.clone(), before: Some("r1".into()), ..Filter::default() }.ids();
        assert_eq!(sql, "SELECT id FROM runs WHERE region = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
        assert_eq!(values, ["' OR 1 = 1 --", "r1"]);
    }
}
