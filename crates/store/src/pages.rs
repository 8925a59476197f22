//! Pages: one row an alert, written by whoever has the alert's claim.

mod record;

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe};

use runbook::life::{Input, PageChange, PageWatch, want_page};
use runbook::record::EntryKind;
use runbook::span::between;

use super::alerts::OF_NAME;
use super::record::{ASKED, NewEntry};
use super::rows::{column, plain};
use super::timed::Transaction;
use super::work::Kind;
use super::{PageOf, Store, StoreError, failed};
use record::{COLUMNS, record};

pub use record::{PageRecord, PageResult, PageState};
pub(super) use record::{UNREADABLE_PAGE, page_of};

/// It is wanted, or it is to be told of its end. A state that is not known here is left alone.
pub(super) const UNFINISHED: &str = "state IN ('requested', 'paged', 'failed') AND (state = 'requested' OR told = 0)";

/// A page that is older is watched as if it were new, once its alert is open again.
const WATCHED_SINCE_ITS_BEGIN: Duration = Duration::from_secs(12 * 3600);

impl Store {
    /// Wants a page for an alert, in the name of its newest run `run_id`. An alert that has one keeps it; a failed
    /// one is tried again when a person asks.
    ///
    /// # Errors
    /// The database.
    pub async fn request_page(
        &self,
        incident_id: &str,
        run_id: &str,
        asked_by: Option<&str>,
    ) -> Result<PageRecord, StoreError> {
        let doing = "wanting a page";
        let mut tx = self.write(doing).await?;
        let page = self.request_page_in(&mut tx, incident_id, run_id, asked_by).await?;
        if asked_by.is_some() {
            let asked = NewEntry { who: asked_by, ..NewEntry::new(incident_id, EntryKind::Command, ASKED) };
            self.record_in(&mut tx, asked).await?;
        }
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(page)
    }

    pub(super) async fn request_page_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        incident_id: &str,
        run_id: &str,
        asked_by: Option<&str>,
    ) -> Result<PageRecord, StoreError> {
        let doing = "wanting a page";
        let now = self.now();
        // Before the page's row: the order in which everything locks.
        self.lock_alert_of(tx, incident_id).await?;
        // One page an alert, ever: also where it was opened before the alert was merged into this incident.
        let of_alert = self.page_of_alert_in(tx, incident_id).await?;
        let incident_id = of_alert.as_ref().map_or(incident_id, |page| page.incident_id.as_str());
        let state = of_alert.as_ref().map(PageRecord::of_alert);
        let wish = want_page(state.as_ref(), asked_by.is_some());
        let wanted = match wish {
            PageChange::Stays => None,
            PageChange::New => Some(sqlx::query(
                "INSERT INTO pages (incident_id, run_id, asked_by, requested_at, state, tried_since)
                 VALUES ($1, $2, $3, $4, 'requested', (SELECT page_tried_since FROM runs WHERE id = $2))",
            )),
            // One whose row can't be read may be open all the same.
            PageChange::Again => Some(sqlx::query(
                "UPDATE pages SET state = 'requested', run_id = $2, asked_by = COALESCE(asked_by, $3), reason = NULL,
                 requested_at = $4, finished_at = NULL, tried_since = NULL, told = 0, after_all = 0, no_news = '',
                 waits_for = NULL WHERE incident_id = $1 AND state <> 'paged'",
            )),
        };
        if let Some(wanted) = wanted {
            let wanted = wanted.bind(incident_id).bind(run_id).bind(asked_by.map(plain)).bind(now);
            let wanted = wanted.execute(&mut **tx).await.map_err(failed(doing))?;
            if wanted.rows_affected() == 1 {
                self.tell_alert_in(tx, incident_id, Input::PageWanted(incident_id.to_owned())).await?;
            }
        }
        let sql = AssertSqlSafe(format!("{COLUMNS} WHERE incident_id = $1"));
        let row = sqlx::query(sql).bind(incident_id).fetch_one(&mut **tx).await.map_err(failed(doing))?;
        record(&row)
    }

    /// The page of an alert.
    ///
    /// # Errors
    /// The database.
    pub async fn page(&self, incident_id: &str) -> Result<Option<PageRecord>, StoreError> {
        page_of(&self.pool, incident_id).await
    }

    /// The page of an alert, or that of an incident that was merged into it: an open one before a wanted one
    /// before one that failed.
    ///
    /// # Errors
    /// The database.
    pub async fn page_of_alert(&self, alert_id: &str) -> Result<Option<PageRecord>, StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed("looking for a page"))?;
        self.page_of_alert_in(&mut tx, alert_id).await
    }

    pub(super) async fn page_of_alert_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        alert_id: &str,
    ) -> Result<Option<PageRecord>, StoreError> {
        Ok(self.pages_of_alert_in(tx, alert_id).await?.0.into_iter().next())
    }

    /// All pages of an alert, in that order; and those of them that are wanted, or of whose end is to be told.
    pub(super) async fn pages_of_alert_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        name: &str,
    ) -> Result<(Vec<PageRecord>, Vec<PageRecord>), StoreError> {
        let columns = COLUMNS.replace(" FROM pages", "");
        let sql = AssertSqlSafe(format!(
            "{columns}, CASE WHEN {UNFINISHED} THEN 1 ELSE 0 END AS is_unfinished FROM pages
             WHERE incident_id IN (SELECT $1 UNION ALL SELECT incident_id FROM incidents WHERE alert_id = {OF_NAME})
             ORDER BY CASE state WHEN 'paged' THEN 0 WHEN 'requested' THEN 1 ELSE 2 END, requested_at"
        ));
        let rows = sqlx::query(sql).bind(name).fetch_all(&mut **tx).await.map_err(failed("looking for a page"))?;
        let (mut pages, mut unfinished) = (Vec::new(), Vec::new());
        for row in &rows {
            let page = record(row)?;
            if column::<i64>(row, "is_unfinished")? != 0 {
                unfinished.push(page.clone());
            }
            pages.push(page);
        }
        Ok((pages, unfinished))
    }

    /// The alert with this name is open again: its pages that nobody has taken are watched, as long as it is.
    pub(super) async fn watch_again_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        name: &str,
    ) -> Result<(), StoreError> {
        let (pages, _) = self.pages_of_alert_in(tx, name).await?;
        for page in pages.iter().filter(|page| page.state == PageState::Paged && page.acknowledged.is_none()) {
            let (Some(id), url) = (&page.page_id, page.page_url.as_deref().unwrap_or_default()) else { continue };
            let now = self.clock.now();
            // It waits since it was opened; where that is days ago, since now.
            let since = page.finished_at.filter(|at| between(*at, now) < WATCHED_SINCE_ITS_BEGIN).unwrap_or(now);
            let watch = PageWatch::new(&page.incident_id, &page.run_id, id, url, since);
            self.tell_alert_in(tx, name, Input::OpenAgain(watch)).await?;
        }
        Ok(())
    }

    /// Whether a page of the alert with this id is wanted, or is to be told of.
    pub(super) async fn has_unfinished_pages(
        &self,
        tx: &mut Transaction<'static, Any>,
        alert_id: &str,
    ) -> Result<bool, StoreError> {
        let sql = AssertSqlSafe(format!(
            "SELECT incident_id FROM pages WHERE {UNFINISHED}
             AND incident_id IN (SELECT incident_id FROM incidents WHERE alert_id = $1) LIMIT 1"
        ));
        let found = sqlx::query(sql).bind(alert_id).fetch_optional(&mut **tx).await;
        Ok(found.map_err(failed("looking for a page"))?.is_some())
    }

    /// Locks the item of the alert with this name, before its page is changed by who has no claim to it.
    pub(super) async fn lock_alert_of(&self, tx: &mut Transaction<'static, Any>, name: &str) -> Result<(), StoreError> {
        match self.alert_id_of(tx, name).await? {
            Some(id) => self.lock_in(tx, Kind::Alert, &id).await,
            None => Ok(()),
        }
    }

    async fn alert_id_of(&self, tx: &mut Transaction<'static, Any>, name: &str) -> Result<Option<String>, StoreError> {
        let id: Option<(String,)> = sqlx::query_as("SELECT alert_id FROM incidents WHERE incident_id = $1")
            .bind(name)
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("looking for the alert of a page"))?;
        Ok(id.map(|(id,)| id))
    }

    /// Fails unless the right to work on this page still holds, until the transaction ends: its alert may be another by now, which
    /// is no reason to stop what else is done under the claim.
    pub(super) async fn check_page(&self, tx: &mut Transaction<'static, Any>, page: &PageOf) -> Result<(), StoreError> {
        self.check(tx, page.claim()).await?;
        match self.alert_id_of(tx, &page.name).await? {
            Some(id) if id == page.lease.alert_id() => Ok(()),
            _ => Err(StoreError::PageChanged),
        }
    }

    /// The page is open, which is to be watched from now on; or nobody was paged. Where that is to be recorded, or that another's
    /// was joined, and one of its own is known to stand by now, it gives its id instead, and nothing is recorded.
    ///
    /// # Errors
    /// The database, or the lease is lost, or the page is another's.
    pub async fn finish_page(&self, page: &PageOf, result: &PageResult<'_>) -> Result<Option<String>, StoreError> {
        self.finish(page, result, None).await
    }

    /// The same of a page that failed, as it was wanted then: a person's wish of since is tried first.
    ///
    /// # Errors
    /// The database, or the lease is lost, or the page is another's or was wanted again.
    pub async fn fail_page(&self, page: &PageOf, why: &str, wanted: Timestamp) -> Result<Option<String>, StoreError> {
        self.finish(page, &PageResult { page: None, joined: false, reason: Some(why) }, Some(wanted)).await
    }

    async fn finish(
        &self,
        page: &PageOf,
        result: &PageResult<'_>,
        wanted: Option<Timestamp>,
    ) -> Result<Option<String>, StoreError> {
        let doing = "keeping a page's end";
        let incident_id = page.incident_id();
        let mut tx = self.write(doing).await?;
        self.check_page(&mut tx, page).await?;
        let done: Option<(String,)> = sqlx::query_as(
            "UPDATE pages SET state = $1, page_id = $2, page_url = $3, joined = $4, reason = $5, finished_at = $6
             WHERE incident_id = $7 AND ($8 < 0 OR requested_at = $8) RETURNING run_id",
        )
        .bind(if result.page.is_some() { PageState::Paged } else { PageState::Failed }.as_str())
        .bind(result.page.map(|(id, _)| id.to_owned()))
        .bind(result.page.map(|(_, url)| url.to_owned()))
        .bind(i64::from(result.joined))
        .bind(result.reason.map(plain))
        .bind(self.now())
        .bind(incident_id)
        .bind(wanted.map_or(-1, Timestamp::as_millisecond))
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(doing))?;
        let Some((run_id,)) = done else { return Err(StoreError::PageChanged) };
        if let Some(id) = self.another_stands_in(&mut tx, incident_id, result).await? {
            return Ok(Some(id));
        }
        let what = match result {
            PageResult { page: Some((_, url)), joined: true, .. } => format!("joined an open page: {url}"),
            PageResult { page: Some((_, url)), .. } => format!("paged Cloud Service Endpoint: {url}"),
            PageResult { reason, .. } => {
                format!("nobody was paged, it failed: {}", reason.unwrap_or("the reason is not known"))
            }
        };
        let (data, url) = result.page.map(|(id, url)| (id.to_owned(), url.to_owned())).unzip();
        let entry = NewEntry { run_id: Some(&run_id), data, url, ..NewEntry::new(incident_id, EntryKind::Page, what) };
        self.record_in(&mut tx, entry).await?;
        if let Some((id, url)) = result.page {
            let watch = PageWatch::new(incident_id, &run_id, id, url, self.clock.now());
            self.tell_alert_in(&mut tx, incident_id, Input::Paged(watch)).await?;
        }
        self.news_in(&mut tx, incident_id).await?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(None)
    }

    /// The alert's notes say what became of the page. A person may have asked for it again meanwhile: of that it is to be told yet.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn set_page_told(&self, page: &PageOf) -> Result<(), StoreError> {
        let query =
            sqlx::query("UPDATE pages SET told = CASE WHEN state = $1 THEN 0 ELSE 1 END WHERE incident_id = $2");
        self.one_page(page, "noting that a page is told of", query.bind(PageState::Requested.as_str())).await
    }

    /// Runs an update whose last parameter is the page's name, and that must hit one row.
    pub(super) async fn one_page<'q>(
        &self,
        page: &PageOf,
        doing: &'static str,
        query: sqlx::query::Query<'q, Any, sqlx::any::AnyArguments>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_claimed(doing).await?;
        self.check_page(&mut tx, page).await?;
        let done = query.bind(page.name.clone()).execute(&mut *tx).await.map_err(failed(doing))?;
        if done.rows_affected() != 1 {
            return Err(StoreError::PageChanged);
        }
        self.commit_changed(tx, doing).await
    }
}
