//! Who has a page.

use jiff::Timestamp;

use runbook::record::EntryKind;

use super::record::NewEntry;
use super::rows::{plain, time};
use super::{AlertLease, Store, StoreError, failed};

impl Store {
    /// A page was seen resolved.
    ///
    /// # Errors
    /// The database, or the claim of who saw it is lost.
    pub async fn set_page_closed(&self, lease: &AlertLease, page_id: &str) -> Result<(), StoreError> {
        let doing = "keeping that a page is resolved";
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        sqlx::query("UPDATE pages SET closed_at = $1 WHERE page_id = $2 AND closed_at IS NULL")
            .bind(self.now())
            .bind(page_id)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Somebody has the page of the alert with this name; whoever was seen first stays.
    ///
    /// # Errors
    /// The database, or the claim of who saw it is lost.
    pub async fn set_acknowledged(
        &self,
        lease: &AlertLease,
        name: &str,
        page_id: &str,
        at: Timestamp,
        by: &str,
    ) -> Result<(), StoreError> {
        let doing = "keeping who has a page";
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        sqlx::query(
            "UPDATE pages SET acknowledged_at = $1, acknowledged_by = $2 WHERE page_id = $3 AND acknowledged_at IS NULL",
        )
        .bind(at.as_millisecond())
        .bind(plain(by))
        .bind(page_id)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        // PagerDuty tells whole seconds, by its own clock: it may seem to be before the page, and so before the diagnosis.
        let (opened,): (Option<i64>,) =
            sqlx::query_as("SELECT MAX(finished_at) FROM pages WHERE page_id = $1 AND joined = 0")
                .bind(page_id)
                .fetch_one(&mut *tx)
                .await
                .map_err(failed(doing))?;
        let at = opened.map(time).transpose()?.map_or(at, |opened| at.max(opened));
        let key = Some(format!("acknowledged:{page_id}:{name}"));
        let what = "acknowledged the page".to_owned();
        let done = NewEntry { key, who: Some(by), at: Some(at), ..NewEntry::new(name, EntryKind::Acknowledged, what) };
        self.record_in(&mut tx, done).await?;
        // It is that of all alerts that have joined it.
        let names: Vec<(String,)> = sqlx::query_as("SELECT incident_id FROM pages WHERE page_id = $1")
            .bind(page_id)
            .fetch_all(&mut *tx)
            .await
            .map_err(failed(doing))?;
        for (name,) in names {
            self.news_in(&mut tx, &name).await?;
        }
        self.commit_due(tx, doing).await
    }
}
