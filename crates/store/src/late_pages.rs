//! Pages whose opening is in doubt, whatever became of their records: what shows late is looked for, and makes the page wanted
//! once more. What may be is decided in `runbook::writes::opening`.

use std::time::Duration;

use sqlx::Any;

use runbook::life::Input;
use runbook::record::EntryKind;
use runbook::writes::key::of_opening;
use runbook::writes::opening::{Shown, looked_late, settle_in};
use runbook::writes::{Moment, Times};

use super::openings::{known_of, opening_write};
use super::pages::page_of;
use super::record::NewEntry;
use super::timed::Transaction;
use super::{PageResult, Recorded, Store, StoreError, Task, failed};

/// What came of a look for what shows late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateLook {
    /// The alert's page that stands, though its record said otherwise: that is wanted once more.
    pub news: Option<String>,
    /// In how long after the look began it is to be looked again; `None`: nothing is open.
    pub again_in: Option<Duration>,
}

impl Store {
    /// It was looked for what shows late, and these were found. Where the page's record says otherwise it is wanted once more:
    /// whoever works on it finds it open.
    ///
    /// # Errors
    /// The database, or the claim is lost: something was recorded of it since.
    pub async fn looked_for_opening(
        &self,
        task: &Task,
        shown: &[Shown],
        began: Moment,
        times: &Times,
    ) -> Result<LateLook, StoreError> {
        let doing = "noting a look for a page";
        let incident_id = task.incident_id.as_str();
        let key = of_opening(incident_id);
        let mut tx = self.write(doing).await?;
        self.lock_alert_of(&mut tx, incident_id).await?;
        let record = page_of(&mut *tx, incident_id).await?;
        let before = self.locked(&mut tx, &opening_write(&key, incident_id)).await?;
        self.check(&mut tx, &task.claim).await?;
        let mut after = before.clone();
        let (mut no_news, record) = known_of(record);
        let late = looked_late(&mut after.write, record.as_ref(), &no_news, shown, began, times);
        self.keep(&mut tx, &key, &before, &after).await?;
        let is_more = !late.no_news.is_empty();
        no_news.extend(late.no_news);
        let news = after.write.id.clone().filter(|_| late.is_news);
        if news.is_some() {
            self.want_after_all(&mut tx, incident_id, &no_news).await?;
        } else if is_more {
            sqlx::query("UPDATE pages SET no_news = $1 WHERE incident_id = $2")
                .bind(no_news.join(" "))
                .bind(incident_id)
                .execute(&mut *tx)
                .await
                .map_err(failed(doing))?;
        }
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(LateLook { news, again_in: after.write.settle_in(began, times) })
    }

    /// In how long it is to be looked for what shows late.
    pub(super) async fn opening_due_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        after: &Recorded,
        now: Moment,
        times: &Times,
    ) -> Result<Option<Duration>, StoreError> {
        let (no_news, record) = known_of(page_of(&mut **tx, &after.on).await?);
        Ok(settle_in(&after.write, record.as_ref(), &no_news, now, times))
    }

    /// The page that is known to stand for an alert, until the transaction ends: then it neither fails nor is held.
    pub(super) async fn standing_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        incident_id: &str,
    ) -> Result<Option<String>, StoreError> {
        Ok(self.held_in(tx, &of_opening(incident_id)).await?.and_then(|opening| opening.write.id))
    }

    /// The page that is known to stand, where this end of a page is to be recorded and that is another. Where it may be recorded, who
    /// looks for what shows late looks once more, by what is recorded then: of one's own another may stand by now.
    pub(super) async fn another_stands_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        incident_id: &str,
        end: &PageResult<'_>,
    ) -> Result<Option<String>, StoreError> {
        let key = of_opening(incident_id);
        let Some(opening) = self.held_in(tx, &key).await? else { return Ok(None) };
        let is_another = |id: &&String| end.page.is_none_or(|(page, _)| page != *id);
        // One that was joined is another's.
        if (end.page.is_none() || end.joined)
            && let Some(id) = opening.write.id.as_ref().filter(is_another)
        {
            return Ok(Some(id.clone()));
        }
        let now = Moment { ours: self.clock.now(), theirs: None };
        self.settle_later(tx, &key, &opening, now, &Times::OPENING).await?;
        Ok(None)
    }

    async fn want_after_all(
        &self,
        tx: &mut Transaction<'static, Any>,
        incident_id: &str,
        no_news: &[String],
    ) -> Result<(), StoreError> {
        let doing = "wanting a page that was opened after all";
        let now = self.now();
        // One that was held has no row, and is told of by the run in whose name it was opened.
        let wanted = sqlx::query(
            "INSERT INTO pages (incident_id, run_id, requested_at, state, after_all, no_news)
             SELECT $1, id, $2, 'requested', 1, $3 FROM runs WHERE id = COALESCE(
                 (SELECT r.id FROM runs r JOIN openings o ON o.run_id = r.id WHERE o.incident_id = $1),
                 (SELECT MAX(id) FROM runs WHERE alert_id = (SELECT alert_id FROM incidents WHERE incident_id = $1)))
             ON CONFLICT (incident_id) DO UPDATE SET state = 'requested', after_all = 1, no_news = excluded.no_news,
                 told = 0, tried_since = NULL, waits_for = NULL, finished_at = NULL, reason = NULL, page_id = NULL, page_url = NULL,
                 acknowledged_at = NULL, acknowledged_by = NULL, closed_at = NULL",
        )
        .bind(incident_id)
        .bind(now)
        .bind(no_news.join(" "))
        .execute(&mut **tx)
        .await
        .map_err(failed(doing))?;
        if wanted.rows_affected() == 0 {
            tracing::error!(
                incident.id = incident_id,
                "a page is open, and no run is left in whose name to tell of it"
            );
            return Ok(());
        }
        self.tell_alert_in(tx, incident_id, Input::PageWanted(incident_id.to_owned())).await?;
        let what = "found that PagerDuty had opened the page after all".to_owned();
        self.record_in(tx, NewEntry::new(incident_id, EntryKind::Page, what)).await
    }
}
