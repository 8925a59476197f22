//! How a run begins, whoever asks for it: what follows is decided in [`runbook::life::begin`], and done in the same
//! transaction.

use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe};

use runbook::alert::{Title, parse_title};
use runbook::decided::Decided;
use runbook::life::{Active, Alert, Asked, Reply, Runs, begin};
use runbook::record::EntryKind;
use runbook::run::{State, Trigger};

use super::alerts::OF_NAME;
use super::decisions::{About, NewDecision};
use super::made::Making;
use super::record::NewEntry;
use super::timed::Transaction;
use super::work::Kind;
use super::{AlertLease, NewRun, Store, StoreError, failed};

/// How long an `Idempotency-Key` is kept, in milliseconds: 24 hours.
const KEY_KEPT: i64 = 24 * 3_600_000;

/// The active runs of an alert first: ids sort by time only as far as the machine's clock does.
const ACTIVE_FIRST: &str =
    "ORDER BY CASE WHEN state IN ('queued', 'suppressed', 'running') THEN 0 ELSE 1 END, id DESC LIMIT 1";

/// That somebody asked for another run, or not to wait for bigger outages.
const RERUN: &str = "asked for another diagnosis";
const AT_ONCE: &str = "asked to diagnose at once";

/// What became of a request for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// This.
    Now(Reply),
    /// The same was asked before, under the same key: that run.
    Before(String),
    /// The key was used for another request.
    KeyTaken,
}

impl Store {
    /// Makes a run that somebody asked for, where it is to be. `key` is their `Idempotency-Key`: who, key, and a hash of what
    /// was asked.
    ///
    /// # Errors
    /// The database: nothing was done.
    pub async fn create_run(&self, run: &NewRun, key: Option<(&str, &str, &str)>) -> Result<Created, StoreError> {
        self.create_run_for(run, None, key).await
    }

    /// The same at the word of a person, which the alert's record keeps where it came to something.
    ///
    /// # Errors
    /// The database: nothing was done.
    pub async fn create_run_for(
        &self,
        run: &NewRun,
        person: Option<&str>,
        key: Option<(&str, &str, &str)>,
    ) -> Result<Created, StoreError> {
        let doing = "making a run";
        let mut making = self.making();
        let mut tx = self.write(doing).await?;
        if let Some((who, key, hash)) = key {
            sqlx::query("DELETE FROM idempotency_keys WHERE created_at < $1")
                .bind(self.now() - KEY_KEPT)
                .execute(&mut *tx)
                .await
                .map_err(failed(doing))?;
            let before: Option<(String, String)> =
                sqlx::query_as("SELECT body_hash, run_id FROM idempotency_keys WHERE who = $1 AND key = $2")
                    .bind(who)
                    .bind(key)
                    .fetch_optional(&mut *tx)
                    .await
                    .map_err(failed(doing))?;
            if let Some((stored, run_id)) = before {
                // Dropping the transaction undoes nothing but the clearing of old keys.
                return Ok(if stored == hash { Created::Before(run_id) } else { Created::KeyTaken });
            }
        }
        let reply = self.begin_in(&mut tx, run, &mut making).await?;
        if let (Some(key), Reply::Started(id) | Reply::SuppressionSkipped(id)) = (key, &reply) {
            self.keep_key(&mut tx, key, id).await?;
        }
        if let (Some(who), Some(incident)) = (person, &run.incident) {
            let did = match &reply {
                Reply::Started(_) => Some(RERUN),
                Reply::SuppressionSkipped(_) => Some(AT_ONCE),
                _ => None,
            };
            if let Some(did) = did {
                let entry = NewEntry { who: Some(who), ..NewEntry::new(&incident.id, EntryKind::Command, did) };
                self.record_in(&mut tx, entry).await?;
            }
        }
        making.commit(tx, doing).await?;
        self.tell_due();
        Ok(Created::Now(reply))
    }

    /// Makes a run by who works on the alert beside its runs, where it is to be.
    ///
    /// # Errors
    /// The database, or the claim is lost: nothing was done.
    pub async fn create_run_by(&self, lease: &AlertLease, run: &NewRun) -> Result<Reply, StoreError> {
        let doing = "making a run";
        let mut making = self.making();
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, lease.claim()).await?;
        let reply = self.begin_in(&mut tx, run, &mut making).await?;
        making.commit(tx, doing).await?;
        self.tell_due();
        Ok(reply)
    }

    /// Decides whether an alert, or a region, gets a run, and does what follows.
    pub(super) async fn begin_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        run: &NewRun,
        making: &mut Making<'_>,
    ) -> Result<Reply, StoreError> {
        let mut run = run.clone();
        let id = self.clock.id();
        let asked = Asked { run_id: &id, trigger: run.trigger, reopened: run.reopened, at: run.alert_at };
        let reply = match &run.incident {
            Some(incident) => {
                let name = incident.id.clone();
                self.begin_of_alert(tx, &mut run, &name, asked).await?
            }
            None => begin(None, &self.runs_of_region(tx, &run).await?, asked),
        };
        match &reply {
            Reply::Started(id) => self.insert_run(tx, id, &run, making).await?,
            Reply::SuppressionSkipped(id) => self.skip_suppression_in(tx, id).await?,
            Reply::Active(id) if matches!(run.trigger, Trigger::Rerun | Trigger::Note) => {
                self.not_to_wait_in(tx, id).await?;
            }
            Reply::Active(_) | Reply::Ignored(_) | Reply::Paging | Reply::Paged(_) | Reply::Closed | Reply::Kept => {}
        }
        Ok(reply)
    }

    async fn begin_of_alert(
        &self,
        tx: &mut Transaction<'static, Any>,
        run: &mut NewRun,
        name: &str,
        asked: Asked<'_>,
    ) -> Result<Reply, StoreError> {
        let (known, is_readable) = match self.alert_in(tx, name).await {
            Ok(alert) => (alert, true),
            // Whoever asks must not wait for what can't be read; that holds the page.
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(incident.id = name, error = &error as &dyn std::error::Error, "an alert is left aside");
                (self.stand_in(tx, run, name).await?, false)
            }
            Err(error) => return Err(error),
        };
        // What was merged away is an alert of its own once it is open again, with the runs under that name.
        let merged = known.as_ref().filter(|alert| asked.reopened && alert.incident_id != name);
        let mut runs = self.runs_of_alert(tx, name, merged.is_some()).await?;
        let tells = asked.reopened || matches!(run.trigger, Trigger::Rerun | Trigger::Note);
        if let Some(active) = runs.active.as_ref().filter(|_| tells) {
            // It must not end before it is told: see `finish_run`.
            self.lock_in(tx, Kind::Run, &active.run_id).await?;
            runs = self.runs_of_alert(tx, name, merged.is_some()).await?;
        }
        let mut alert = match merged {
            Some(merged) => Some(self.split_in(tx, merged, name).await?),
            None => known,
        };
        let stored = alert.clone();
        // An open alert keeps its newest run: without any it lost it to a name that was split off.
        let is_left = runs == Runs::default() && !asked.reopened && is_readable;
        if let Some(left) = alert.as_mut().filter(|alert| is_left && alert.resolved_at.is_none()) {
            // The region that is remembered is that of what was split off.
            let title = run.incident.as_ref().map(|incident| parse_title(&incident.title));
            if let Some(Title::Alert(region)) = title {
                run.region = region;
            }
            left.begin_anew(run.region.clone(), run.alert_at);
            sqlx::query("UPDATE alerts SET region = $1 WHERE id = $2")
                .bind(left.region.as_str())
                .bind(&left.id)
                .execute(&mut **tx)
                .await
                .map_err(failed("keeping an alert's region"))?;
        }
        let before = alert.clone();
        let reply = begin(alert.as_mut(), &runs, asked);
        let Some(alert) = alert else { return Ok(reply) };
        let decided = Decided::begin(before, &runs, asked, &reply);
        let decided = NewDecision { at: self.clock.now(), decided };
        self.decided_in(tx, About::Alert(&alert.id), &[decided]).await?;
        if stored.as_ref() != Some(&alert) && (is_readable || asked.reopened) {
            self.save_alert(tx, &alert).await?;
        }
        if let Some(active) = runs.active.as_ref().filter(|_| asked.reopened) {
            sqlx::query("UPDATE runs SET alert_resolved_at = NULL, reopened_at = $1 WHERE id = $2")
                .bind(asked.at.map_or_else(|| self.now(), Timestamp::as_millisecond))
                .bind(&active.run_id)
                .execute(&mut **tx)
                .await
                .map_err(failed("noting that an alert is reopened"))?;
        }
        if asked.reopened {
            self.watch_again_in(tx, name).await?;
        }
        Ok(reply)
    }

    /// An alert that can't be read, as far as is needed to decide about a run.
    async fn stand_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        run: &NewRun,
        name: &str,
    ) -> Result<Option<Alert>, StoreError> {
        let ids: Option<(String, String)> =
            sqlx::query_as(AssertSqlSafe(format!("SELECT id, incident_id FROM alerts WHERE id = {OF_NAME}")))
                .bind(name)
                .fetch_optional(&mut **tx)
                .await
                .map_err(failed("looking for an alert"))?;
        Ok(ids.map(|(id, incident_id)| Alert::new(id, &incident_id, run.region.clone(), run.alert_at)))
    }

    /// The runs of the alert with this name; only those under that name where they are to be its `own`.
    async fn runs_of_alert(
        &self,
        tx: &mut Transaction<'static, Any>,
        name: &str,
        own: bool,
    ) -> Result<Runs, StoreError> {
        let under = if own { " AND incident_id = $1" } else { "" };
        self.runs_where(tx, &format!("alert_id = {OF_NAME}{under}"), name).await
    }

    async fn runs_of_region(&self, tx: &mut Transaction<'static, Any>, run: &NewRun) -> Result<Runs, StoreError> {
        self.runs_where(tx, "incident_id IS NULL AND region = $1", run.region.as_str()).await
    }

    async fn runs_where(&self, tx: &mut Transaction<'static, Any>, of: &str, id: &str) -> Result<Runs, StoreError> {
        // While a suppressed one looks again whether it may go on, it is `running`, and goes back to waiting unless it is
        // told now.
        let sql = format!(
            "SELECT id, state, CASE WHEN state = 'suppressed'
             OR (state = 'running' AND suppressed_at IS NOT NULL AND go_on = 0) THEN 1 ELSE 0 END
             FROM runs WHERE {of} {ACTIVE_FIRST}"
        );
        let row: Option<(String, String, i64)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(id.to_owned())
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("looking for runs"))?;
        Ok(match row {
            Some((run_id, state, waits)) if state.parse::<State>().is_ok_and(State::is_active) => {
                Runs { active: Some(Active { run_id, is_suppressed: waits == 1 }), last: None }
            }
            row => Runs { active: None, last: row.map(|(run_id, ..)| run_id) },
        })
    }

    pub(super) async fn keep_key(
        &self,
        tx: &mut Transaction<'static, Any>,
        (who, key, hash): (&str, &str, &str),
        run_id: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO idempotency_keys (who, key, body_hash, run_id, created_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (who, key) DO NOTHING",
        )
        .bind(who)
        .bind(key)
        .bind(hash)
        .bind(run_id)
        .bind(self.now())
        .execute(&mut **tx)
        .await
        .map_err(failed("keeping an Idempotency-Key"))?;
        Ok(())
    }

    /// What became of the same request before, by its `Idempotency-Key`; `None` where the key is new.
    ///
    /// # Errors
    /// The database.
    pub async fn created_before(&self, who: &str, key: &str, hash: &str) -> Result<Option<Created>, StoreError> {
        let before: Option<(String, String)> = sqlx::query_as(
            "SELECT body_hash, run_id FROM idempotency_keys WHERE who = $1 AND key = $2 AND created_at >= $3",
        )
        .bind(who)
        .bind(key)
        .bind(self.now() - KEY_KEPT)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("looking for an earlier request"))?;
        Ok(before.map(|(stored, run_id)| if stored == hash { Created::Before(run_id) } else { Created::KeyTaken }))
    }
}
