//! Pages whose opening is in doubt, whatever became of their records: what shows late is looked for, and makes the page wanted
//! once more. What may be is decided in `runbook::writes::opening`.

use std::time::Duration;

use sqlx::{Any, AssertSqlSafe, Transaction};

use runbook::writes::key::of_opening;
use runbook::writes::opening::{is_news, looked_for, settle_in};
use runbook::writes::{Moment, Times};

use super::activity::NewActivity;
use super::openings::{opening_write, page};
use super::pages::page_of;
use super::work::Kind;
use super::{Recorded, Store, StoreError, Task, failed};

/// What came of a look for what shows late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateLook {
    /// The alert's page stands, though its record said otherwise: it is wanted once more.
    pub is_news: bool,
    /// In how long after the look began it is to be looked again; `None`: nothing is open.
    pub again_in: Option<Duration>,
}

impl Store {
    /// It was looked for what shows late, and this was found, which is open or not. Where the page's record says otherwise it is wanted once more:
    /// whoever works on it finds it open.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn looked_for_opening(
        &self,
        task: &Task,
        found: Option<(&str, bool)>,
        began: Moment,
        times: &Times,
    ) -> Result<LateLook, StoreError> {
        let doing = "noting a look for a page";
        let incident_id = task.incident_id.as_str();
        let key = of_opening(incident_id);
        let mut tx = self.write(doing).await?;
        self.lock_in(&mut tx, Kind::Page, incident_id).await?;
        let record = page_of(&mut *tx, incident_id).await?;
        let before = self.locked(&mut tx, &opening_write(&key, incident_id)).await?;
        self.check(&mut tx, &task.claim).await?;
        let mut after = before.clone();
        looked_for(&mut after.write, found.map(|(id, _)| id), began, times);
        self.keep(&mut tx, &key, &before, &after).await?;
        // Once: what a list shows and its own document doesn't must not go on for good.
        let was_told = record.as_ref().is_some_and(|record| record.after_all);
        let page = record.map(page);
        let known = after.write.id.as_deref().filter(|_| !was_told);
        // What a list does not show yet is no less open for that.
        let is_open = found.is_none_or(|(_, is_open)| is_open);
        let is_news = known.is_some_and(|id| is_news(page.as_ref(), id, is_open));
        if is_news {
            self.want_after_all(&mut tx, incident_id).await?;
        }
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(LateLook { is_news, again_in: after.write.settle_in(began, times) })
    }

    /// In how long it is to be looked for what shows late.
    pub(super) async fn opening_due_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        after: &Recorded,
        now: Moment,
        times: &Times,
    ) -> Result<Option<Duration>, StoreError> {
        let record = page_of(&mut **tx, &after.on).await?;
        let after_all = record.as_ref().is_some_and(|record| record.after_all);
        Ok(settle_in(&after.write, record.map(page).as_ref(), after_all, now, times))
    }

    /// The page that is known to stand for an alert, until the transaction ends: then it neither fails nor is held.
    pub(super) async fn standing_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        incident_id: &str,
    ) -> Result<Option<String>, StoreError> {
        let sql = AssertSqlSafe(format!("SELECT made_id FROM writes WHERE key = $1{}", self.dialect.hold()));
        let row: Option<(Option<String>,)> = sqlx::query_as(sql)
            .bind(of_opening(incident_id))
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("looking whether a page stands"))?;
        Ok(row.and_then(|(made_id,)| made_id))
    }

    async fn want_after_all(&self, tx: &mut Transaction<'static, Any>, incident_id: &str) -> Result<(), StoreError> {
        let doing = "wanting a page that was opened after all";
        let now = self.now();
        // One that was held has no row, and is told of by the run in whose name it was opened.
        let wanted = sqlx::query(
            "INSERT INTO pages (incident_id, run_id, requested_at, state, after_all)
             SELECT $1, id, $2, 'requested', 1 FROM runs WHERE id = COALESCE(
                 (SELECT r.id FROM runs r JOIN openings o ON o.run_id = r.id WHERE o.incident_id = $1),
                 (SELECT MAX(id) FROM runs WHERE alert_id = (SELECT alert_id FROM incidents WHERE incident_id = $1)))
             ON CONFLICT (incident_id) DO UPDATE SET state = 'requested', after_all = 1, told = 0, tried_since = NULL,
                 finished_at = NULL, reason = NULL, page_id = NULL, page_url = NULL, acknowledged_at = NULL,
                 acknowledged_by = NULL",
        )
        .bind(incident_id)
        .bind(now)
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
        self.want_in(tx, Kind::Page, incident_id, now).await?;
        let what = "found that PagerDuty had opened the page after all".to_owned();
        self.activity_in(tx, NewActivity { key: None, incident_id, what, who: None, at: None }).await
    }
}
