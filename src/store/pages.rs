//! Pages: one row an alert, claimed and written like a run.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use super::rows::{plain, time};
use super::{Chore, LEASE, PageLease, Store, StoreError, failed};

/// What has become of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageState {
    /// It is wanted; somebody opens it.
    Requested,
    /// It is open.
    Paged,
    /// Nobody was paged.
    Failed,
}

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
    /// When an incident was last about to be opened; `None` is never.
    pub begun_at: Option<Timestamp>,
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
    /// When it was opened or joined, or given up.
    pub finished_at: Option<Timestamp>,
    /// When and by whom it was first seen acknowledged.
    pub acknowledged: Option<(Timestamp, String)>,
}

/// How a wish for a page ended.
#[derive(Clone, Debug)]
pub struct PageResult<'a> {
    /// The page, or `None` where nobody was paged.
    pub page: Option<(&'a str, &'a str)>,
    /// An open page was joined, none was opened.
    pub joined: bool,
    /// What is wrong with it, or why nobody was paged.
    pub reason: Option<&'a str>,
}

const COLUMNS: &str = "SELECT incident_id, run_id, asked_by, requested_at, state, begun_at, page_id, page_url, joined, \
     reason, finished_at, acknowledged_at, acknowledged_by FROM pages";

fn record(row: &AnyRow) -> Result<PageRecord, StoreError> {
    let doing = "reading a page's columns";
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed(doing));
    let maybe = |column: &str| row.try_get::<Option<String>, _>(column).map_err(failed(doing));
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(failed(doing));
    let at = |column: &str| row.try_get::<Option<i64>, _>(column).map_err(failed(doing))?.map(time).transpose();
    Ok(PageRecord {
        incident_id: text("incident_id")?,
        run_id: text("run_id")?,
        asked_by: maybe("asked_by")?,
        state: match text("state")?.as_str() {
            "paged" => PageState::Paged,
            "failed" => PageState::Failed,
            _ => PageState::Requested,
        },
        begun_at: at("begun_at")?,
        requested_at: time(number("requested_at")?)?,
        page_id: maybe("page_id")?,
        page_url: maybe("page_url")?,
        joined: number("joined")? != 0,
        reason: maybe("reason")?,
        finished_at: at("finished_at")?,
        acknowledged: at("acknowledged_at")?.zip(maybe("acknowledged_by")?),
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
        let alert_id = incident_id;
        let incident_id = of_alert.as_ref().map_or(incident_id, |page| page.incident_id.as_str());
        sqlx::query(
            "INSERT INTO pages (incident_id, run_id, asked_by, requested_at, state, due_at)
             VALUES ($1, $2, $3, $4, 'requested', $5) ON CONFLICT (incident_id) DO NOTHING",
        )
        .bind(incident_id)
        .bind(run_id)
        .bind(asked_by.map(plain))
        .bind(now)
        .bind(self.lease_now())
        .execute(&mut **tx)
        .await
        .map_err(failed(doing))?;
        if asked_by.is_some() {
            self.hold_in(tx, alert_id, None).await?;
            // A person's word: it also takes over an automatic wish that is still open, whose gate may yet hold it.
            sqlx::query(
                "UPDATE pages SET state = 'requested', asked_by = COALESCE(asked_by, $1), due_at = $5, reason = NULL,
                 requested_at = $2, finished_at = NULL, told = 0, run_id = $3
                 WHERE incident_id = $4 AND state <> 'paged'",
            )
            .bind(asked_by.map(plain))
            .bind(now)
            .bind(run_id)
            .bind(incident_id)
            .bind(self.lease_now())
            .execute(&mut **tx)
            .await
            .map_err(failed(doing))?;
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
        let sql = AssertSqlSafe(format!("{COLUMNS} WHERE incident_id = $1"));
        let row = sqlx::query(sql).bind(incident_id).fetch_optional(&self.pool).await;
        row.map_err(failed("looking for a page"))?.as_ref().map(record).transpose()
    }

    /// The page of an alert, be it that of an incident that was merged into it: an open one before a wanted one
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
            "{COLUMNS} WHERE incident_id = $1 OR incident_id IN (SELECT incident_id FROM alerts
             WHERE alert_id = (SELECT alert_id FROM alerts WHERE incident_id = $1))
             ORDER BY CASE state WHEN 'paged' THEN 0 WHEN 'requested' THEN 1 ELSE 2 END, requested_at LIMIT 1"
        ));
        let row = sqlx::query(sql).bind(alert_id).fetch_optional(&mut **tx).await;
        row.map_err(failed("looking for a page"))?.as_ref().map(record).transpose()
    }

    /// Somebody has the page; whoever was seen first stays.
    ///
    /// # Errors
    /// The database, or the claim of the chore that saw it is lost.
    pub async fn set_acknowledged(
        &self,
        chore: &Chore,
        page_id: &str,
        at: Timestamp,
        by: &str,
    ) -> Result<(), StoreError> {
        let doing = "keeping who has a page";
        let mut tx = self.write(doing).await?;
        self.check_chore(&mut tx, chore).await?;
        sqlx::query(
            "UPDATE pages SET acknowledged_at = $1, acknowledged_by = $2 WHERE page_id = $3 AND acknowledged_at IS NULL",
        )
        .bind(at.as_millisecond())
        .bind(plain(by))
        .bind(page_id)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
        Ok(())
    }

    /// Claims a page that is wanted and that nobody opens yet.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_page(&self) -> Result<Option<PageLease>, StoreError> {
        let doing = "claiming a page";
        let mut tx = self.write_claimed(doing).await?;
        let now = self.lease_now();
        let sql = format!(
            "SELECT incident_id, attempt FROM pages WHERE (state = 'requested' OR told = 0)
             AND due_at <= $1 AND lease_until <= $1 ORDER BY due_at LIMIT 1{}",
            self.dialect.claim()
        );
        let due: Option<(String, i64)> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(now).fetch_optional(&mut *tx).await.map_err(failed(doing))?;
        let Some((incident_id, attempt)) = due else { return Ok(None) };
        let attempt = attempt + 1;
        sqlx::query("UPDATE pages SET owner = $1, lease_until = $2, attempt = $3 WHERE incident_id = $4")
            .bind(&*self.owner)
            .bind(now + LEASE.as_millis() as i64)
            .bind(attempt)
            .bind(&incident_id)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(Some(PageLease { incident_id, attempt }))
    }

    /// Renews a claim.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn renew_page(&self, lease: &PageLease) -> Result<(), StoreError> {
        let until = self.lease_now() + LEASE.as_millis() as i64;
        let query =
            sqlx::query("UPDATE pages SET lease_until = $1 WHERE incident_id = $2 AND owner = $3 AND attempt = $4");
        self.one_page(lease, "renewing a page's lease", query.bind(until)).await
    }

    /// Gives a claim back; the page is due again after `wait`.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn release_page(&self, lease: &PageLease, wait: Duration) -> Result<(), StoreError> {
        let due = self.lease_now() + wait.as_millis() as i64;
        let query = sqlx::query(
            "UPDATE pages SET lease_until = 0, due_at = $1 WHERE incident_id = $2 AND owner = $3 AND attempt = $4",
        );
        self.one_page(lease, "giving a page's lease back", query.bind(due)).await
    }

    /// An incident is about to be opened. `limit` is for automatic pages: since when they count, and how many there
    /// may be; where they are used up it gives `false`, and none may be opened. Counting and beginning are one: of
    /// several alerts at once no more pass than may.
    ///
    /// # Errors
    /// The database, or the lease is lost: then it must not be opened.
    pub async fn begin_page(&self, lease: &PageLease, limit: Option<(Timestamp, u32)>) -> Result<bool, StoreError> {
        let doing = "noting that a page begins";
        let mut tx = self.write(doing).await?;
        let updated =
            sqlx::query("UPDATE pages SET begun_at = $1 WHERE incident_id = $2 AND owner = $3 AND attempt = $4")
                .bind(self.now())
                .bind(&lease.incident_id)
                .bind(&*self.owner)
                .bind(lease.attempt)
                .execute(&mut *tx)
                .await
                .map_err(failed(doing))?;
        if updated.rows_affected() != 1 {
            return Err(StoreError::LeaseLost);
        }
        if let Some((since, most)) = limit
            && count_since(&mut *tx, since, &lease.incident_id).await? >= most
        {
            return Ok(false);
        }
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
        Ok(true)
    }

    /// The page is open, or nobody was paged.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn finish_page(&self, lease: &PageLease, result: &PageResult<'_>) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE pages SET state = $1, page_id = $2, page_url = $3, joined = $4, reason = $5, finished_at = $6
             WHERE incident_id = $7 AND owner = $8 AND attempt = $9",
        )
        .bind(if result.page.is_some() { "paged" } else { "failed" })
        .bind(result.page.map(|(id, _)| id.to_owned()))
        .bind(result.page.map(|(_, url)| url.to_owned()))
        .bind(i64::from(result.joined))
        .bind(result.reason.map(plain))
        .bind(self.now());
        self.one_page(lease, "keeping a page's end", query).await
    }

    /// The alert's notes say what became of the page; the claim is given back.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn set_page_told(&self, lease: &PageLease) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE pages SET told = $1, lease_until = 0 WHERE incident_id = $2 AND owner = $3 AND attempt = $4",
        );
        self.one_page(lease, "noting that a page is told of", query.bind(1_i64)).await
    }

    /// How many pages were opened automatically (not joined), or may yet be, since `since`.
    ///
    /// # Errors
    /// The database.
    pub async fn automatic_pages_since(&self, since: Timestamp, except: &str) -> Result<u32, StoreError> {
        count_since(&self.pool, since, except).await
    }

    /// Runs an update whose last three parameters are the alert's id, owner and attempt, and that must hit one row.
    async fn one_page<'q>(
        &self,
        lease: &PageLease,
        doing: &'static str,
        query: sqlx::query::Query<'q, Any, sqlx::any::AnyArguments>,
    ) -> Result<(), StoreError> {
        self.guarded(doing, query, lease.incident_id.clone(), lease.attempt).await
    }
}

async fn count_since<'c>(
    connection: impl sqlx::Executor<'c, Database = Any>,
    since: Timestamp,
    except: &str,
) -> Result<u32, StoreError> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT COUNT(*) FROM pages WHERE asked_by IS NULL AND joined = 0 AND begun_at >= $1 AND incident_id <> $2",
    )
    .bind(since.as_millisecond())
    .bind(except)
    .fetch_one(connection)
    .await
    .map_err(failed("counting pages"))?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}
