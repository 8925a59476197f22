//! What others are told of: what was said of an alert, and that something of it has changed. Kept in the transaction of what it
//! tells of, and only where somebody is told ([`Store::tell_others`]). Rows are only added here: who has something to tell waits
//! for nobody.

use std::sync::atomic::Ordering;

use sqlx::{Any, AssertSqlSafe};

use runbook::notify::Digest;

use super::alerts::OF_NAME;
use super::rows::plain;
use super::timed::Transaction;
use super::{Store, StoreError, failed};

/// The pages that are open for an alert, by any of its names.
const PAGES: &str =
    "SELECT DISTINCT page_id FROM pages WHERE state = 'paged' AND page_id IS NOT NULL AND incident_id IN
     (SELECT $1 UNION ALL SELECT o.incident_id FROM incidents i JOIN incidents o ON o.alert_id = i.alert_id
      WHERE i.incident_id = $1)";

impl Store {
    /// Others are told of alerts from now on: Slack or GHE is configured.
    pub fn tell_others(&self) {
        self.tells.store(true, Ordering::Relaxed);
    }

    /// A note of this text stands on an incident.
    pub(super) async fn announce_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        key: &str,
        incident_id: &str,
        run_id: Option<&str>,
        text: &str,
    ) -> Result<(), StoreError> {
        if !self.tells.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Digest { head, why } = Digest::of(text);
        // A short note is about the run that is the newest by now.
        let newest: Option<(Option<String>,)> = match run_id {
            Some(_) => None,
            None => sqlx::query_as(AssertSqlSafe(format!("SELECT MAX(id) FROM runs WHERE alert_id = {OF_NAME}")))
                .bind(incident_id)
                .fetch_optional(&mut **tx)
                .await
                .map_err(failed("looking for an alert's newest run"))?,
        };
        let run_id = run_id.map(str::to_owned).or(newest.and_then(|(id,)| id));
        // What is written on a page is not said of an alert.
        sqlx::query(
            "INSERT INTO announcements (key, incident_id, run_id, head, why, at)
             SELECT $1, i.incident_id, $3, $4, $5, $6 FROM incidents i WHERE i.incident_id = $2
             ON CONFLICT (key) DO NOTHING",
        )
        .bind(key)
        .bind(incident_id)
        .bind(run_id)
        .bind(plain(&head))
        .bind(why.as_deref().map(plain))
        .bind(self.now())
        .execute(&mut **tx)
        .await
        .map_err(failed("keeping what others are to be told"))?;
        self.news_in(tx, incident_id).await
    }

    /// Something has changed of the alert with this name, or of its page.
    pub(super) async fn news_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        incident_id: &str,
    ) -> Result<(), StoreError> {
        if !self.tells.load(Ordering::Relaxed) {
            return Ok(());
        }
        let doing = "keeping that others are to be told";
        let pages: Vec<(String,)> =
            sqlx::query_as(AssertSqlSafe(PAGES)).bind(incident_id).fetch_all(&mut **tx).await.map_err(failed(doing))?;
        let of_pages = pages.into_iter().map(|(page_id,)| (None, Some(page_id)));
        for (incident_id, page_id) in [(Some(incident_id.to_owned()), None)].into_iter().chain(of_pages) {
            sqlx::query("INSERT INTO news (id, incident_id, page_id, at) VALUES ($1, $2, $3, $4)")
                .bind(self.clock.id())
                .bind(incident_id)
                .bind(page_id)
                .bind(self.now())
                .execute(&mut **tx)
                .await
                .map_err(failed(doing))?;
        }
        Ok(())
    }
}
