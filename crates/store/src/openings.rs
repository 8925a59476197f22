//! Who opens a page of a region, over all processes that share the database. What may be is decided in
//! `runbook::writes::opening`; here is read, under one lock, what that goes by.

use jiff::Timestamp;
use sqlx::Any;

use runbook::alert::Region;
use runbook::writes::key::of_opening;
use runbook::writes::opening::{
    Hour, Opened, Other, Own, Page, Reservation, State, ended, looked_for, pages_of, reserve,
};
use runbook::writes::{Moment, Outcome, Times, Write};

use super::pages::page_of;
use super::rows::time;
use super::timed::Transaction;
use super::writes::recorded_in;
use super::{PageOf, PageRecord, PageState, Store, StoreError, WantedWrite, failed};

/// What an alert's page is opened by.
#[derive(Clone, Copy, Debug)]
pub struct Reserving<'a> {
    /// The alert's region.
    pub region: &'a Region,
    /// The attempt that was last seen of its opening.
    pub seen: u32,
    /// When the look for it began that has found nothing.
    pub began: Moment,
    /// What another has opened, as it was recorded when nothing open was found of it.
    pub looked: &'a [Other],
    /// Since when automatic pages count, and how many there may be.
    pub hour: (Timestamp, u32),
    /// Whose `/hold` counts; empty: anyone's.
    pub command_users: &'a [String],
    /// Now.
    pub now: Moment,
    /// The times that openings go by.
    pub times: &'a Times,
}

pub(super) fn opening_write<'a>(key: &'a str, incident_id: &'a str) -> WantedWrite<'a> {
    WantedWrite { key, on: incident_id, run_id: None, text: "" }
}

/// What a page's record says of it, for who decides.
pub(super) fn page(record: PageRecord) -> Page {
    let state = match record.state {
        PageState::Requested => State::Wanted,
        PageState::Paged => State::Paged,
        PageState::Failed => State::Failed,
        PageState::Unreadable => State::Unreadable,
    };
    Page { state, id: record.page_id, since: record.finished_at.unwrap_or(record.requested_at) }
}

/// The pages that are no news of an alert, and what its record says.
pub(super) fn known_of(record: Option<PageRecord>) -> (Vec<String>, Option<Page>) {
    let no_news = record.as_ref().map(|record| record.no_news.clone()).unwrap_or_default();
    (no_news, record.map(page))
}

impl Store {
    /// Whether an incident may be opened now, by whoever has looked for it. Looking at what others do, counting and
    /// recording the intent are one: of several alerts at once one begins for a region, and no more pass than may.
    ///
    /// # Errors
    /// The database, or the lease is lost, or somebody else has begun it since: then it must not be opened.
    pub async fn reserve_page(&self, of: &PageOf, by: &Reserving<'_>) -> Result<Reservation, StoreError> {
        let doing = "noting that a page begins";
        let incident_id = of.incident_id();
        let mut tx = self.write(doing).await?;
        self.check_page(&mut tx, of).await?;
        let wanted: Option<(Option<String>, String)> = sqlx::query_as(
            "UPDATE pages SET tried_since = COALESCE(tried_since, $1), waits_for = NULL WHERE incident_id = $2
             RETURNING asked_by, run_id",
        )
        .bind(self.now())
        .bind(incident_id)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(doing))?;
        let Some((asked_by, run_id)) = wanted else { return Err(StoreError::PageChanged) };
        let key = of_opening(incident_id);
        let before = self.locked(&mut tx, &opening_write(&key, incident_id)).await?;
        // Whoever has the claim looks before it sends, and is the only one: another is a claim that is lost.
        if before.write.attempt != by.seen {
            return Err(StoreError::LeaseLost);
        }
        let mut after = before.clone();
        looked_for(&mut after.write, None, by.began, by.times);
        let others = others_in(&mut tx, by.region, incident_id).await?;
        let (since, most) = by.hour;
        let hour = Hour { opened: pages_of(&opened_in(&mut tx, since, incident_id).await?, since), most };
        let known: Option<(i64, i64)> =
            sqlx::query_as("SELECT automatic, holds_right FROM openings WHERE incident_id = $1")
                .bind(incident_id)
                .fetch_optional(&mut *tx)
                .await
                .map_err(failed(doing))?;
        let (was_automatic, holds_right) =
            known.map_or((false, false), |(automatic, right)| (automatic != 0, right != 0));
        let held_by = self.held_by_in(&mut tx, incident_id, by.command_users).await?;
        let own = Own { write: after.write.clone(), by_hand: asked_by.is_some(), holds_right, held_by };
        let reservation = reserve(&own, &others, by.looked, hour, by.times);
        if reservation != Reservation::Reserved {
            // What is not committed is as if never begun.
            return Ok(reservation);
        }
        after.write.begin(by.seen, by.now, by.times).map_err(|_| StoreError::LeaseLost)?;
        self.keep(&mut tx, &key, &before, &after).await?;
        self.settle_later(&mut tx, &key, &after, by.now, by.times).await?;
        // What was sent automatically and may show yet is an automatic page, whoever has asked for it since.
        let automatic = asked_by.is_none() || (was_automatic && own.write.may_stand());
        sqlx::query("UPDATE openings SET holds_right = 0 WHERE region = $1")
            .bind(by.region.as_str())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        sqlx::query(
            "INSERT INTO openings (incident_id, region, run_id, automatic, holds_right, begun_at)
             VALUES ($1, $2, $3, $4, 1, $5) ON CONFLICT (incident_id) DO UPDATE SET region = excluded.region,
             run_id = excluded.run_id, automatic = excluded.automatic, holds_right = 1, begun_at = excluded.begun_at",
        )
        .bind(incident_id)
        .bind(by.region.as_str())
        .bind(run_id)
        .bind(i64::from(automatic))
        .bind(by.now.ours.as_millisecond())
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(reservation)
    }

    /// What is recorded of opening the page of this alert, by whoever works on it now: what a worker before was cut off
    /// from is in doubt.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn take_over_opening(&self, of: &PageOf, now: Moment, times: &Times) -> Result<Write, StoreError> {
        let mut write = self.opening_of(of.incident_id()).await?;
        if write.intent.is_some() {
            let right = Some(of);
            write = self
                .change_opening(of.incident_id(), right, now, times, |write, _| write.take_over(now, times))
                .await?;
        }
        Ok(write)
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
        times: &Times,
    ) -> Result<(), StoreError> {
        let ended = |write: &mut Write, no_news: &[String]| ended(write, no_news, attempt, outcome, now);
        self.change_opening(incident_id, None, now, times, ended).await.map(drop)
    }

    /// It was found by its key, in a look that began then.
    ///
    /// # Errors
    /// The database.
    pub async fn found_opening(
        &self,
        incident_id: &str,
        page_id: &str,
        began: Moment,
        times: &Times,
    ) -> Result<(), StoreError> {
        let found = |write: &mut Write, _: &[String]| looked_for(write, Some(page_id), began, times);
        self.change_opening(incident_id, None, began, times, found).await.map(drop)
    }

    /// PagerDuty does not show it, though it was answered as open.
    ///
    /// # Errors
    /// The database.
    pub async fn vanished_opening(&self, incident_id: &str, now: Moment, times: &Times) -> Result<(), StoreError> {
        self.change_opening(incident_id, None, now, times, |write, _| write.vanished(now)).await.map(drop)
    }

    async fn change_opening(
        &self,
        incident_id: &str,
        by: Option<&PageOf>,
        now: Moment,
        times: &Times,
        change: impl FnOnce(&mut Write, &[String]),
    ) -> Result<Write, StoreError> {
        let doing = "noting what came of opening a page";
        let key = of_opening(incident_id);
        let mut tx = self.write_claimed(doing).await?;
        if let Some(of) = by {
            self.check_page(&mut tx, of).await?;
        }
        let before = self.locked(&mut tx, &opening_write(&key, incident_id)).await?;
        let mut after = before.clone();
        let (no_news, _) = known_of(page_of(&mut *tx, incident_id).await?);
        change(&mut after.write, &no_news);
        self.keep(&mut tx, &key, &before, &after).await?;
        self.settle_later(&mut tx, &key, &after, now, times).await?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(after.write)
    }

    /// The opening of this alert's page as others see it, and those of other alerts of the region.
    ///
    /// # Errors
    /// The database.
    pub async fn openings(&self, region: &Region, incident_id: &str) -> Result<(Own, Vec<Other>), StoreError> {
        let doing = "looking for who opens a page";
        let mut tx = self.pool.begin().await.map_err(failed(doing))?;
        let own: Option<(i64,)> = sqlx::query_as("SELECT holds_right FROM openings WHERE incident_id = $1")
            .bind(incident_id)
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(doing))?;
        let asked_by = page_of(&mut *tx, incident_id).await?.and_then(|page| page.asked_by);
        let write = recorded_in(&mut *tx, &of_opening(incident_id)).await?.map(|recorded| recorded.write);
        let own = Own {
            write: write.unwrap_or_default(),
            by_hand: asked_by.is_some(),
            holds_right: own.is_some_and(|(right,)| right != 0),
            held_by: None,
        };
        Ok((own, others_in(&mut tx, region, incident_id).await?))
    }

    /// How many pages were opened automatically (not joined), or may yet be, since `since`.
    ///
    /// # Errors
    /// The database.
    pub async fn automatic_pages_since(&self, since: Timestamp, except: &str) -> Result<u32, StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed("counting pages"))?;
        Ok(pages_of(&opened_in(&mut tx, since, except).await?, since))
    }

    /// Another alert of the region opens a page, or `waits_for`'s may still be opened late: that is kept, unless a person has asked
    /// for it since it was read as wanted `by_hand`, or not. `starts_over`: the time in which it is tried begins again. Whether it
    /// waits for another than before: then the note is to say so.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn wait_for_opening(
        &self,
        of: &PageOf,
        by_hand: bool,
        waits_for: Option<&str>,
        starts_over: bool,
    ) -> Result<bool, StoreError> {
        let doing = "waiting for another alert's page";
        let mut tx = self.write_claimed(doing).await?;
        self.check_page(&mut tx, of).await?;
        let page = page_of(&mut *tx, of.incident_id()).await?;
        let (asked_by, before) = page.map_or((None, None), |page| (page.asked_by, page.waits_for));
        if asked_by.is_some() != by_hand {
            return Ok(false);
        }
        sqlx::query(
            "UPDATE pages SET tried_since = CASE WHEN $1 = 0 THEN COALESCE(tried_since, $2) ELSE $2 END, waits_for = $3
             WHERE incident_id = $4",
        )
        .bind(i64::from(starts_over))
        .bind(self.now())
        .bind(waits_for)
        .bind(of.incident_id())
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
        Ok(before.as_deref() != waits_for)
    }

    /// PagerDuty could not be asked: the time in which it is tried begins again.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn forget_tries(&self, of: &PageOf) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE pages SET tried_since = $1 WHERE incident_id = $2");
        self.one_page(of, "noting that PagerDuty can't be asked for a page", query.bind(None::<i64>)).await
    }
}

/// The region's last opening, and those of which something may show yet: no other is in anybody's way. What was opened under
/// another name of the same alert is among them: it may stand.
async fn others_in(
    tx: &mut Transaction<'static, Any>,
    region: &Region,
    except: &str,
) -> Result<Vec<Other>, StoreError> {
    let doing = "looking for who opens a page";
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT o.incident_id FROM openings o LEFT JOIN writes w ON w.key = 'open:' || o.incident_id
         WHERE o.region = $1 AND o.incident_id <> $2
         AND (o.holds_right <> 0 OR w.is_open <> 0 OR w.doubt_at IS NOT NULL) ORDER BY o.begun_at, o.incident_id",
    )
    .bind(region.as_str())
    .bind(except)
    .fetch_all(&mut **tx)
    .await
    .map_err(failed(doing))?;
    let mut others = Vec::new();
    for (alert,) in rows {
        // First what may show, then what is said of it: who finds it changes both at once.
        let write = recorded_in(&mut **tx, &of_opening(&alert)).await?.map(|recorded| recorded.write);
        let page = page_of(&mut **tx, &alert).await?.map(page);
        others.push(Other { alert, write: write.unwrap_or_default(), page });
    }
    Ok(others)
}

/// The pages that were about to be opened since, but this alert's.
async fn opened_in(
    tx: &mut Transaction<'static, Any>,
    since: Timestamp,
    except: &str,
) -> Result<Vec<Opened>, StoreError> {
    let doing = "counting pages";
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT incident_id, automatic, begun_at FROM openings WHERE begun_at >= $1 AND incident_id <> $2
         AND incident_id NOT IN (SELECT n.incident_id FROM incidents n
             JOIN incidents own ON own.alert_id = n.alert_id WHERE own.incident_id = $2)",
    )
    .bind(since.as_millisecond())
    .bind(except)
    .fetch_all(&mut **tx)
    .await
    .map_err(failed(doing))?;
    let mut opened = Vec::new();
    for (alert, automatic, begun_at) in rows {
        let write = recorded_in(&mut **tx, &of_opening(&alert)).await?.map(|recorded| recorded.write);
        let write = write.unwrap_or_default();
        opened.push(Opened { automatic: automatic != 0, begun_at: time(begun_at)?, write });
    }
    Ok(opened)
}
