//! An automatic page is held after it was wanted: what the last look right before it found stands in its way.

use sqlx::{Any, AssertSqlSafe};

use runbook::life::Input;
use runbook::related::Looked;
use runbook::run::Facts;

use super::rows::{from_json, plain, to_json};
use super::timed::Transaction;
use super::{PageOf, Store, StoreError, failed};

const DOING: &str = "holding a page";

impl Store {
    /// A page that is wanted automatically is taken back, and its run says why: it is held. Nothing is done where a person
    /// has asked for it meanwhile, or it is known to be open by now; then it gives `false`. With it, or not at all, goes what was found
    /// open, which the run's note is to name, and what is to be done `again` for it: a crash between them would hold
    /// the page for good.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn hold_page(
        &self,
        page: &PageOf,
        reason: &str,
        looked: Option<&Looked>,
        again: Option<Input>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write(DOING).await?;
        self.check_page(&mut tx, page).await?;
        let incident_id = page.incident_id();
        let sql = format!(
            "SELECT run_id, asked_by, tried_since FROM pages WHERE incident_id = $1
             AND state = 'requested'{}",
            self.dialect.hold()
        );
        let row: Option<(String, Option<String>, Option<i64>)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(incident_id)
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        let Some((run_id, asked_by, tried_since)) = row else { return Err(StoreError::PageChanged) };
        if asked_by.is_some() || self.standing_in(&mut tx, incident_id).await?.is_some() {
            return Ok(false);
        }
        sqlx::query("DELETE FROM pages WHERE incident_id = $1")
            .bind(incident_id)
            .execute(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        // Where its evidence is taken again, the page is wanted again: it is tried no longer for that.
        sqlx::query("UPDATE runs SET escalation = 'held', escalation_reason = $1, page_tried_since = $2 WHERE id = $3")
            .bind(plain(reason))
            .bind(tried_since)
            .bind(&run_id)
            .execute(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        self.record_held_in(&mut tx, (incident_id, &run_id), reason).await?;
        if let Some(looked) = looked {
            self.keep_look(&mut tx, &run_id, looked).await?;
        }
        if let Some(input) = again {
            self.tell_alert_in(&mut tx, incident_id, input).await?;
        }
        tx.commit().await.map_err(failed(DOING))?;
        self.tell_due();
        Ok(true)
    }

    /// Only what the look found: whoever drives the run may have learned more since its page was wanted.
    async fn keep_look(
        &self,
        tx: &mut Transaction<'static, Any>,
        run_id: &str,
        looked: &Looked,
    ) -> Result<(), StoreError> {
        let sql = format!("SELECT facts FROM runs WHERE id = $1{}", self.dialect.hold());
        let (facts,): (Option<String>,) =
            sqlx::query_as(AssertSqlSafe(sql)).bind(run_id).fetch_one(&mut **tx).await.map_err(failed(DOING))?;
        let mut facts: Facts = facts.map_or_else(|| Ok(Facts::default()), |text| from_json("a run's facts", &text))?;
        let related = looked.keep(&mut facts);
        sqlx::query("UPDATE runs SET facts = $1, related = $2 WHERE id = $3")
            .bind(to_json(&facts)?)
            .bind(to_json(&related)?)
            .bind(run_id)
            .execute(&mut **tx)
            .await
            .map_err(failed(DOING))?;
        Ok(())
    }
}
