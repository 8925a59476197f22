//! Pages: one row an alert, claimed and written like a run.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};
use strum::{EnumMessage, VariantArray, VariantNames};

use runbook::life::AlertPage;

use super::activity::NewActivity;
use super::alerts::OF_NAME;
use super::rows::{column, plain, time};
use super::work::Kind;
use super::{PageLease, Store, StoreError, failed};

runbook::words! { PageState: "state of a page"; }

/// What has become of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum PageState {
    /// It is wanted; somebody opens it.
    Requested,
    /// It is open.
    Paged,
    /// Nobody was paged.
    Failed,
    /// What stands in the database is none of these: nothing is done about it, unless a person asks for the page.
    Unreadable,
}

/// What is said of a page whose row can't be read.
pub(super) const UNREADABLE_PAGE: &str =
    "what became of the page can't be read in the database: look in PagerDuty for its key, se-responder/<incident id>";

/// A page, wanted or open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRecord {
    /// The alert.
    pub incident_id: String,
    /// The run that wanted it first.
    pub run_id: String,
    /// The operator who asked for it; `None` for an automatic one.
    pub asked_by: Option<String>,
    /// What has become of it.
    pub state: PageState,
    /// When an incident was last about to be opened that is, or may be; `None`: none may be. By the ledger of writes.
    pub begun_at: Option<Timestamp>,
    /// Since when it is tried to open or join it, over all workers; `None` where it is not tried yet.
    pub tried_since: Option<Timestamp>,
    /// The alert whose page may still be opened late, for which this one waits; `None`: for none.
    pub waits_for: Option<String>,
    /// When it was wanted.
    pub requested_at: Timestamp,
    /// The page's id; `None` unless it is open.
    pub page_id: Option<String>,
    /// The page's link.
    pub page_url: Option<String>,
    /// An open page was joined, none was opened.
    pub joined: bool,
    /// What is wrong with it.
    pub reason: Option<String>,
    /// It was found open after it had been called failed or held, or while its record named another.
    pub after_all: bool,
    /// The pages of which no look for what shows late makes news any more.
    pub no_news: Vec<String>,
    /// When it was opened or joined, or given up.
    pub finished_at: Option<Timestamp>,
    /// When and by whom it was first seen acknowledged.
    pub acknowledged: Option<(Timestamp, String)>,
}

impl PageRecord {
    /// What it says, for who decides.
    pub fn of_alert(&self) -> AlertPage {
        match self.state {
            PageState::Requested => AlertPage::Wanted,
            PageState::Paged => AlertPage::Paged(self.page_url.clone()),
            PageState::Failed => AlertPage::Failed(self.reason.clone()),
            PageState::Unreadable => AlertPage::Unreadable,
        }
    }
}

/// How a wanted page ended.
#[derive(Clone, Debug)]
pub struct PageResult<'a> {
    /// The page, or `None` where nobody was paged.
    pub page: Option<(&'a str, &'a str)>,
    /// An open page was joined, none was opened.
    pub joined: bool,
    /// What is wrong with it, or why nobody was paged.
    pub reason: Option<&'a str>,
}

const COLUMNS: &str = "SELECT incident_id, run_id, asked_by, requested_at, state, (SELECT w.begun_at FROM writes w \
     WHERE w.key = 'open:' || pages.incident_id AND (w.is_open <> 0 OR w.doubt_at IS NOT NULL OR w.made_id IS NOT NULL)) \
     AS begun_at, tried_since, page_id, page_url, joined, reason, finished_at, acknowledged_at, acknowledged_by, after_all, \
     no_news, waits_for FROM pages";

/// The value; where something else stands there nothing, and the record is not readable.
fn kept<T>(readable: &mut bool, read: Result<Option<T>, StoreError>) -> Option<T> {
    *readable &= read.is_ok();
    read.ok().flatten()
}

fn record(row: &AnyRow) -> Result<PageRecord, StoreError> {
    let mut readable = true;
    let mut at = |name: &'static str| {
        kept(&mut readable, column::<Option<i64>>(row, name).and_then(|at| at.map(time).transpose()))
    };
    let (begun_at, requested_at) = (at("begun_at"), at("requested_at").unwrap_or_default());
    let (finished_at, acknowledged_at) = (at("finished_at"), at("acknowledged_at"));
    let tried_since = at("tried_since");
    let mut maybe = |name: &'static str| kept(&mut readable, column::<Option<String>>(row, name));
    let (asked_by, reason, acknowledged_by) = (maybe("asked_by"), maybe("reason"), maybe("acknowledged_by"));
    let (page_id, page_url, state) = (maybe("page_id"), maybe("page_url"), maybe("state").unwrap_or_default());
    let waits_for = maybe("waits_for");
    let no_news = maybe("no_news").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let mut is = |name: &'static str| kept(&mut readable, column::<Option<i64>>(row, name)).unwrap_or_default() != 0;
    let (joined, after_all) = (is("joined"), is("after_all"));
    let state = if readable { state.parse().unwrap_or(PageState::Unreadable) } else { PageState::Unreadable };
    let incident_id: String = column(row, "incident_id")?;
    if state == PageState::Unreadable {
        tracing::error!(incident.id = incident_id, "{UNREADABLE_PAGE}");
    }
    Ok(PageRecord {
        incident_id,
        run_id: column(row, "run_id")?,
        asked_by,
        state,
        begun_at,
        tried_since,
        waits_for,
        requested_at,
        page_id,
        page_url,
        joined,
        reason: if state == PageState::Unreadable { Some(UNREADABLE_PAGE.to_owned()) } else { reason },
        after_all,
        no_news,
        finished_at,
        acknowledged: acknowledged_at.zip(acknowledged_by),
    })
}

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
            let what = "asked to page Cloud Service Endpoint".to_owned();
            self.activity_in(&mut tx, NewActivity { key: None, incident_id, what, who: asked_by, at: None }).await?;
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
        // One page an alert, ever: also where it was opened before the alert was merged into this incident.
        let of_alert = self.page_of_alert_in(tx, incident_id).await?;
        let incident_id = of_alert.as_ref().map_or(incident_id, |page| page.incident_id.as_str());
        self.lock_in(tx, Kind::Page, incident_id).await?;
        let wanted = sqlx::query(
            "INSERT INTO pages (incident_id, run_id, asked_by, requested_at, state, tried_since)
             VALUES ($1, $2, $3, $4, 'requested', (SELECT page_tried_since FROM runs WHERE id = $2))
             ON CONFLICT (incident_id) DO NOTHING",
        )
        .bind(incident_id)
        .bind(run_id)
        .bind(asked_by.map(plain))
        .bind(now)
        .execute(&mut **tx)
        .await
        .map_err(failed(doing))?;
        let mut is_due = wanted.rows_affected() == 1;
        if asked_by.is_some() {
            // A person's word: it also takes over an automatic page that is still wanted, whose gate may yet hold it.
            let wanted = sqlx::query(
                "UPDATE pages SET state = 'requested', asked_by = COALESCE(asked_by, $1), reason = NULL,
                 requested_at = $2, finished_at = NULL, tried_since = NULL, told = 0, after_all = 0, no_news = '',
                 waits_for = NULL, run_id = $3
                 WHERE incident_id = $4 AND state <> 'paged'",
            )
            .bind(asked_by.map(plain))
            .bind(now)
            .bind(run_id)
            .bind(incident_id)
            .execute(&mut **tx)
            .await
            .map_err(failed(doing))?;
            is_due |= wanted.rows_affected() == 1;
        }
        if is_due {
            self.want_in(tx, Kind::Page, incident_id, now).await?;
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
        let sql = AssertSqlSafe(format!(
            "{COLUMNS} WHERE incident_id = $1 OR incident_id IN (SELECT incident_id FROM incidents
             WHERE alert_id = {OF_NAME})
             ORDER BY CASE state WHEN 'paged' THEN 0 WHEN 'requested' THEN 1 ELSE 2 END, requested_at LIMIT 1"
        ));
        let row = sqlx::query(sql).bind(alert_id).fetch_optional(&mut **tx).await;
        row.map_err(failed("looking for a page"))?.as_ref().map(record).transpose()
    }

    /// Claims a page that is wanted and that nobody opens yet.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_page(&self) -> Result<Option<PageLease>, StoreError> {
        let doing = "claiming a page";
        loop {
            let mut tx = self.write_claimed(doing).await?;
            let Some(claim) = self.claim_in(&mut tx, Kind::Page).await? else { return Ok(None) };
            let known: Option<(String,)> = sqlx::query_as(
                "SELECT incident_id FROM pages WHERE incident_id = $1 AND (state = 'requested' OR told = 0)
                 AND state IN ('requested', 'paged', 'failed')",
            )
            .bind(claim.id())
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(doing))?;
            let Some((incident_id,)) = known else {
                self.leave_alone(tx, &claim).await?;
                continue;
            };
            tx.commit().await.map_err(failed(doing))?;
            return Ok(Some(PageLease { incident_id, claim }));
        }
    }

    /// Gives a claim back; the page is due again after `wait`.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn release_page(&self, lease: &PageLease, wait: Duration) -> Result<(), StoreError> {
        self.release(&lease.claim, wait).await
    }

    /// The page is open, or nobody was paged. Where that is to be recorded, or that another's was joined, and one of its own is
    /// known to stand by now, it gives its id instead, and nothing is recorded.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn finish_page(&self, lease: &PageLease, result: &PageResult<'_>) -> Result<Option<String>, StoreError> {
        let doing = "keeping a page's end";
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        let done = sqlx::query(
            "UPDATE pages SET state = $1, page_id = $2, page_url = $3, joined = $4, reason = $5, finished_at = $6
             WHERE incident_id = $7",
        )
        .bind(if result.page.is_some() { PageState::Paged } else { PageState::Failed }.as_str())
        .bind(result.page.map(|(id, _)| id.to_owned()))
        .bind(result.page.map(|(_, url)| url.to_owned()))
        .bind(i64::from(result.joined))
        .bind(result.reason.map(plain))
        .bind(self.now())
        .bind(&lease.incident_id)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        if done.rows_affected() != 1 {
            return Err(StoreError::LeaseLost);
        }
        if let Some(id) = self.another_stands_in(&mut tx, &lease.incident_id, result).await? {
            return Ok(Some(id));
        }
        let what = match result {
            PageResult { page: Some((_, url)), joined: true, .. } => format!("joined an open page: {url}"),
            PageResult { page: Some((_, url)), .. } => format!("paged Cloud Service Endpoint: {url}"),
            PageResult { reason, .. } => {
                format!("nobody was paged, it failed: {}", reason.unwrap_or("the reason is not known"))
            }
        };
        let incident_id = lease.incident_id.as_str();
        self.activity_in(&mut tx, NewActivity { key: None, incident_id, what, who: None, at: None }).await?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
        Ok(None)
    }

    /// The alert's notes say what became of the page; the claim is given back.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn set_page_told(&self, lease: &PageLease) -> Result<(), StoreError> {
        let doing = "noting that a page is told of";
        let mut tx = self.write_claimed(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        let page: Option<(String,)> = sqlx::query_as(
            // A person may have asked for it again meanwhile: of that it is to be told yet.
            "UPDATE pages SET told = CASE WHEN state = $1 THEN 0 ELSE 1 END WHERE incident_id = $2 RETURNING state",
        )
        .bind(PageState::Requested.as_str())
        .bind(&lease.incident_id)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(doing))?;
        if page.is_some_and(|(state,)| state == PageState::Requested.as_str()) {
            // A person has asked for it again meanwhile.
            self.release_in(&mut tx, &lease.claim, self.now()).await?;
        } else {
            self.end_in(&mut tx, &lease.claim).await?;
        }
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(())
    }

    /// Runs an update whose last parameter is the alert's id, and that must hit one row.
    pub(super) async fn one_page<'q>(
        &self,
        lease: &PageLease,
        doing: &'static str,
        query: sqlx::query::Query<'q, Any, sqlx::any::AnyArguments>,
    ) -> Result<(), StoreError> {
        self.guarded(doing, query, &lease.claim).await
    }
}

pub(super) async fn page_of<'c>(
    connection: impl sqlx::Executor<'c, Database = Any>,
    incident_id: &str,
) -> Result<Option<PageRecord>, StoreError> {
    let sql = AssertSqlSafe(format!("{COLUMNS} WHERE incident_id = $1"));
    let row = sqlx::query(sql).bind(incident_id).fetch_optional(connection).await;
    row.map_err(failed("looking for a page"))?.as_ref().map(record).transpose()
}
