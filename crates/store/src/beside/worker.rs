//! An alert in the hands of who works on it.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe};

use runbook::life::Beside;
use runbook::plan::Newest;
use runbook::run::State;

use super::{AlertLease, AlertNow, Alerts, is_newer, read};
use crate::decisions::{About, NewDecision};
use crate::pages::UNFINISHED;
use crate::rows::{column, time};
use crate::timed::Transaction;
use crate::work::Kind;
use crate::{Store, StoreError, failed};

/// How long an alert rests whose page is wanted, and of which something can't be read.
const UNREADABLE_RESTS: Duration = Duration::from_secs(60);
/// The same where what is known of the alert can't be read, and no page is wanted: somebody may put that right.
const UNKNOWN_RESTS: Duration = Duration::from_secs(3600);

impl Store {
    /// Claims an alert for which something is due.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_alert(&self) -> Result<Option<AlertLease>, StoreError> {
        self.claim_alert_of(Alerts::All).await
    }

    /// The same of these alerts only.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_alert_of(&self, alerts: Alerts) -> Result<Option<AlertLease>, StoreError> {
        let doing = "claiming an alert";
        let has_page = match alerts {
            Alerts::All => None,
            Alerts::WithPage => Some(true),
            Alerts::WithoutPage => Some(false),
        };
        loop {
            let mut tx = self.write_claimed(doing).await?;
            let Some(claim) = self.claim_of(&mut tx, Kind::Alert, &[], has_page).await? else { return Ok(None) };
            let sql = "SELECT alerts.beside, work.has_page FROM alerts, work WHERE alerts.id = $1 AND work.key = $2";
            let found = sqlx::query(sql)
                .bind(claim.id())
                .bind(&claim.key)
                .fetch_optional(&mut *tx)
                .await
                .map_err(failed(doing))?
                // What can't be read is seen to by who works on it, and keeps nobody from the others.
                .map(|row| {
                    let text: String = column(&row, "beside").unwrap_or_default();
                    (text, column::<i64>(&row, "has_page").unwrap_or_default())
                });
            match found {
                // It was merged into another, or is pruned.
                None => self.end_in(&mut tx, &claim).await?,
                Some((text, _)) if is_newer(&text) => {
                    self.leave_alone(tx, &claim).await?;
                    continue;
                }
                Some((_, has_page)) => {
                    tx.commit().await.map_err(failed(doing))?;
                    return Ok(Some(AlertLease { claim, has_page: has_page != 0 }));
                }
            }
            tx.commit().await.map_err(failed(doing))?;
        }
    }

    /// An alert as it is now, with what is under way; `None`: it is gone.
    ///
    /// # Errors
    /// The database, or something of it can't be read.
    pub async fn alert_now(&self, lease: &AlertLease) -> Result<Option<AlertNow>, StoreError> {
        let doing = "looking at an alert";
        let id = lease.alert_id();
        let mut tx = self.pool.begin().await.map_err(failed(doing))?;
        let row: Option<(String, String, i64)> =
            sqlx::query_as("SELECT incident_id, beside, beside_version FROM alerts WHERE id = $1")
                .bind(id)
                .fetch_optional(&mut *tx)
                .await
                .map_err(failed(doing))?;
        let Some((name, text, version)) = row else { return Ok(None) };
        let beside = read(&text)?;
        // It may be merged while it is looked at.
        let alert = self.known_alert_in(&mut tx, &name).await?.filter(|alert| alert.id == id);
        let Some(alert) = alert else { return Ok(None) };
        let newest = sqlx::query("SELECT id, state FROM runs WHERE alert_id = $1 ORDER BY id DESC LIMIT 1")
            .bind(id)
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(doing))?;
        let (active,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM runs WHERE alert_id = $1 AND state IN ('queued', 'suppressed', 'running')",
        )
        .bind(id)
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(doing))?;
        let (pages, unfinished) = self.pages_of_alert_in(&mut tx, &name).await?;
        let page = pages.into_iter().next();
        let commands: Vec<String> = beside.commands.iter().map(|open| open.command.key.clone()).collect();
        let answered = self.answered_in(&mut tx, &commands).await?;
        let newest = newest.map(|row| -> Result<Newest, StoreError> {
            // What can't be read is not known to be active.
            let state: Option<State> = column::<String>(&row, "state").ok().and_then(|state| state.parse().ok());
            Ok(Newest { run_id: column(&row, "id")?, is_active: state.is_some_and(State::is_active) })
        });
        let newest = newest.transpose()?;
        let related_changed_at = self.related_changed_in(&mut tx).await?;
        let is_active = active > 0;
        let pages = unfinished;
        Ok(Some(AlertNow { alert, beside, version, newest, is_active, page, pages, answered, related_changed_at }))
    }

    /// Keeps what is decided, before anything is done by it; the new version, or `None` where something has come meanwhile: then
    /// it is to be decided again.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn save_beside(
        &self,
        lease: &AlertLease,
        version: i64,
        beside: &Beside,
        decided: &[NewDecision],
    ) -> Result<Option<i64>, StoreError> {
        let doing = "keeping what is decided about an alert";
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        let kept = self.keep_beside(&mut tx, lease.alert_id(), beside, Some(version)).await?;
        if kept {
            self.decided_in(&mut tx, About::Alert(lease.alert_id()), decided).await?;
        }
        tx.commit().await.map_err(failed(doing))?;
        Ok(kept.then_some(version + 1))
    }

    /// Gives the claim back with what is decided, until `wake_at`; for good where nothing is under way. Where something has
    /// come meanwhile it is due at once, and of what is under way nothing is kept. `related_changed_at` is what was known of that:
    /// who waits for related pages is due at once where one has changed since.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn rest_alert(
        &self,
        lease: &AlertLease,
        version: i64,
        beside: &Beside,
        wake_at: Option<Timestamp>,
        related_changed_at: Option<Timestamp>,
        decided: &[NewDecision],
    ) -> Result<(), StoreError> {
        let doing = "giving an alert back";
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        let kept = self.keep_beside(&mut tx, lease.alert_id(), beside, Some(version)).await?;
        let has_changed =
            beside.related_again.is_some() && self.related_changed_in(&mut tx).await? > related_changed_at;
        self.decided_in(&mut tx, About::Alert(lease.alert_id()), decided).await?;
        // Where something has come meanwhile, who brought it has said so.
        if kept {
            self.mark_page_in(&mut tx, lease.alert_id(), !beside.pages.is_empty()).await?;
        }
        match wake_at {
            _ if !kept || has_changed => self.release_in(&mut tx, &lease.claim, self.now()).await?,
            None if beside.is_empty() => self.end_in(&mut tx, &lease.claim).await?,
            wake_at => {
                let due = wake_at.map_or_else(|| self.now(), Timestamp::as_millisecond);
                self.release_in(&mut tx, &lease.claim, due).await?;
            }
        }
        self.commit_due(tx, doing).await
    }

    /// When a page that may explain alerts was last opened or closed. Where that can't be read it is looked again at times all the same.
    async fn related_changed_in(&self, tx: &mut Transaction<'static, Any>) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query("SELECT changed_at FROM related_pages")
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("looking when related pages have changed"))?;
        Ok(row.and_then(|row| time(column(&row, "changed_at").ok()?).ok()))
    }

    /// The names of its pages that are wanted, or are to be told of, where what is known of the alert can't be read: nobody can decide
    /// about them any more. None where only what is under way can't: the pages go on.
    ///
    /// # Errors
    /// The database.
    pub async fn pages_without_alert(&self, lease: &AlertLease) -> Result<Vec<String>, StoreError> {
        let doing = "looking for the pages of an alert that can't be read";
        let mut tx = self.pool.begin().await.map_err(failed(doing))?;
        if self.is_readable_in(&mut tx, lease.alert_id()).await? {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT incident_id FROM pages WHERE {UNFINISHED}
             AND incident_id IN (SELECT incident_id FROM incidents WHERE alert_id = $1) ORDER BY incident_id"
        );
        let rows: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(lease.alert_id())
            .fetch_all(&mut *tx)
            .await
            .map_err(failed(doing))?;
        Ok(rows.into_iter().map(|(name,)| name).collect())
    }

    /// The alert is gone, or what is under way can't be read: it is given up, and stays as it is. Where something has come
    /// meanwhile that can be gone on with, it is due at once.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn give_up_alert(&self, lease: &AlertLease) -> Result<(), StoreError> {
        let doing = "giving an alert up";
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        let id = lease.alert_id();
        let is_wanted = self.has_unfinished_pages(&mut tx, id).await?;
        let is_readable = self.is_readable_in(&mut tx, id).await?;
        match self.beside_in(&mut tx, id).await {
            // Its page is not forgotten, and something else can't be read.
            Ok((_, Some(_))) if is_wanted => {
                self.release_in(&mut tx, &lease.claim, self.in_millis(UNREADABLE_RESTS)).await?;
            }
            Ok((beside, Some(_))) if !beside.is_empty() => {
                let due = if is_readable { self.now() } else { self.in_millis(UNKNOWN_RESTS) };
                self.release_in(&mut tx, &lease.claim, due).await?;
            }
            // Its page stands in a row of its own: that goes on without the rest.
            Err(StoreError::Corrupt { .. }) if is_wanted => {
                let readable = self.readable_beside(&mut tx, id).await?;
                self.keep_beside(&mut tx, id, &readable, None).await?;
                self.release_in(&mut tx, &lease.claim, self.now()).await?;
            }
            Ok(_) | Err(StoreError::Corrupt { .. }) => self.end_in(&mut tx, &lease.claim).await?,
            Err(error) => return Err(error),
        }
        self.commit_due(tx, doing).await
    }
}
