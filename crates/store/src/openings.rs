//! Who opens a page of a region. Of several alerts of one region at one time one opens a page, over all processes that
//! share the database; the others wait for what becomes of it, and join it.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{Any, Transaction};

use runbook::alert::Region;
use runbook::span::between;
use runbook::writes::key::of_opening;
use runbook::writes::{Moment, Outcome, Times, Write};

use super::pages::{count_since, page_of};
use super::rows::time;
use super::{PageLease, PageRecord, PageState, Store, StoreError, WantedWrite, failed};

/// How long PagerDuty's lists may not show a page that was opened, and more.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

/// What came of opening a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// It may be opened now.
    Begun,
    /// The hour's automatic pages are used up: so many were opened.
    UsedUp(u32),
    /// Another alert of the region was there before.
    Taken(Box<Opening>),
}

/// The alert that opens a page of a region, or was the last to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The alert's incident.
    pub incident_id: String,
    /// What has become of its page; `None` where that was held, or is forgotten.
    pub page: Option<PageRecord>,
}

impl Opening {
    /// Whether its page is still being opened.
    pub fn is_under_way(&self) -> bool {
        self.page.as_ref().is_some_and(|page| page.state == PageState::Requested)
    }

    /// Whether its page is being opened, or was so lately that lists may not show it yet: another alert may join it. One
    /// that is open for longer is in the lists.
    pub fn may_be_joined(&self, now: Timestamp) -> bool {
        let young = |page: &PageRecord| between(page.finished_at.unwrap_or(page.requested_at), now) < SHOWN_WITHIN;
        self.is_under_way() || self.page.as_ref().is_some_and(|page| page.state == PageState::Paged && young(page))
    }
}

fn opening_write<'a>(key: &'a str, incident_id: &'a str) -> WantedWrite<'a> {
    WantedWrite { key, on: incident_id, run_id: None, text: "" }
}

impl Store {
    /// An incident is about to be opened, by who last saw the attempt `seen` of it and has looked for it. It may be where no other alert of the `region` is at it, or has been: then it
    /// gives that one, which is to be looked at; one that was found to be `over` is in nobody's way any more.
    ///
    /// `limit` is for automatic pages: since when they count, and how many there may be. Looking, counting and beginning
    /// are one: of several alerts at once one begins for a region, and no more pass than may.
    ///
    /// # Errors
    /// The database, or the lease is lost: then it must not be opened.
    pub async fn begin_page(
        &self,
        lease: &PageLease,
        region: &Region,
        limit: Option<(Timestamp, u32)>,
        over: Option<&str>,
        seen: u32,
    ) -> Result<Beginning, StoreError> {
        let doing = "noting that a page begins";
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        let now = self.now();
        let updated = sqlx::query("UPDATE pages SET tried_since = COALESCE(tried_since, $1) WHERE incident_id = $2")
            .bind(now)
            .bind(&lease.incident_id)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        if updated.rows_affected() != 1 {
            return Err(StoreError::LeaseLost);
        }
        // What is not committed is as if never begun.
        if let Some(other) = opening_in(&mut tx, region, &lease.incident_id).await?
            && (other.is_under_way() || over != Some(other.incident_id.as_str()))
        {
            return Ok(Beginning::Taken(Box::new(other)));
        }
        if let Some((since, most)) = limit {
            let opened = count_since(&mut *tx, since, &lease.incident_id).await?;
            if opened >= most {
                return Ok(Beginning::UsedUp(opened));
            }
        }
        sqlx::query(
            "INSERT INTO page_openings (region, incident_id, begun_at) VALUES ($1, $2, $3)
             ON CONFLICT (region) DO UPDATE SET incident_id = excluded.incident_id, begun_at = excluded.begun_at",
        )
        .bind(region.as_str())
        .bind(&lease.incident_id)
        .bind(now)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        let key = of_opening(&lease.incident_id);
        let before = self.locked(&mut tx, &opening_write(&key, &lease.incident_id)).await?;
        let mut after = before.clone();
        let at = Moment { ours: time(now)?, theirs: None };
        // Whoever has the claim looks before it sends, and is the only one: another is a claim that is lost.
        after.write.begin(seen, at, &Times::PAGERDUTY).map_err(|_| StoreError::LeaseLost)?;
        self.keep(&mut tx, &key, &before, &after).await?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
        Ok(Beginning::Begun)
    }

    /// What is recorded of opening the page of this alert.
    ///
    /// # Errors
    /// The database.
    pub async fn opening_of(&self, incident_id: &str) -> Result<Write, StoreError> {
        Ok(self.recorded(&of_opening(incident_id)).await?.map(|recorded| recorded.write).unwrap_or_default())
    }

    /// This is what came of the attempt of that number to open it. Without a claim: what came of it is so, whoever has that.
    ///
    /// # Errors
    /// The database.
    pub async fn end_opening(
        &self,
        incident_id: &str,
        attempt: u32,
        outcome: &Outcome,
        now: Moment,
    ) -> Result<(), StoreError> {
        self.change_opening(incident_id, |write| write.ended(attempt, outcome, now)).await
    }

    /// It was found by its key, in a look that began then.
    ///
    /// # Errors
    /// The database.
    pub async fn found_opening(&self, incident_id: &str, page_id: &str, began: Moment) -> Result<(), StoreError> {
        self.change_opening(incident_id, |write| write.found(page_id, began, &Times::PAGERDUTY)).await
    }

    /// PagerDuty does not show it, though it was answered as open.
    ///
    /// # Errors
    /// The database.
    pub async fn vanished_opening(&self, incident_id: &str, now: Moment) -> Result<(), StoreError> {
        self.change_opening(incident_id, |write| write.vanished(now)).await
    }

    async fn change_opening(&self, incident_id: &str, change: impl FnOnce(&mut Write)) -> Result<(), StoreError> {
        let doing = "noting what came of opening a page";
        let key = of_opening(incident_id);
        let mut tx = self.write_claimed(doing).await?;
        let before = self.locked(&mut tx, &opening_write(&key, incident_id)).await?;
        let mut after = before.clone();
        change(&mut after.write);
        self.keep(&mut tx, &key, &before, &after).await?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
        Ok(())
    }

    /// Another alert than `except` that opens a page of this region, or was the last to.
    ///
    /// # Errors
    /// The database.
    pub async fn opening(&self, region: &Region, except: &str) -> Result<Option<Opening>, StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed("looking for who opens a page"))?;
        opening_in(&mut tx, region, except).await
    }

    /// Another alert of the region opens a page: the claim is given back, and due again after `wait`.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn wait_for_opening(&self, lease: &PageLease, wait: Duration) -> Result<(), StoreError> {
        let doing = "waiting for another alert's page";
        let mut tx = self.write_claimed(doing).await?;
        self.release_in(&mut tx, &lease.claim, self.in_millis(wait)).await?;
        sqlx::query("UPDATE pages SET tried_since = COALESCE(tried_since, $1) WHERE incident_id = $2")
            .bind(self.now())
            .bind(&lease.incident_id)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(())
    }

    /// PagerDuty could not be asked: the time in which it is tried begins again.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn forget_tries(&self, lease: &PageLease) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE pages SET tried_since = $1 WHERE incident_id = $2");
        self.one_page(lease, "noting that PagerDuty can't be asked for a page", query.bind(None::<i64>)).await
    }
}

async fn opening_in(
    tx: &mut Transaction<'static, Any>,
    region: &Region,
    except: &str,
) -> Result<Option<Opening>, StoreError> {
    let row: Option<(String,)> =
        sqlx::query_as("SELECT incident_id FROM page_openings WHERE region = $1 AND incident_id <> $2")
            .bind(region.as_str())
            .bind(except)
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("looking for who opens a page"))?;
    let Some((incident_id,)) = row else { return Ok(None) };
    let page = page_of(&mut **tx, &incident_id).await?;
    Ok(Some(Opening { incident_id, page }))
}
