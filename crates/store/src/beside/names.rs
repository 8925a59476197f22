//! What is under way for alerts that are merged and split, and what an older version has left.

use sqlx::Any;

use runbook::command::Word;
use runbook::life::{Beside, Input, Reply};

use crate::rows::time;
use crate::timed::Transaction;
use crate::work::Kind;
use crate::{Store, StoreError, Task, failed};

impl Store {
    /// What was under way for an alert that is merged into another goes on there.
    pub(crate) async fn merge_beside(
        &self,
        tx: &mut Transaction<'static, Any>,
        from: &str,
        into: &str,
    ) -> Result<(), StoreError> {
        let theirs = self.readable_beside(tx, from).await?;
        self.drop_in(tx, Kind::Alert, from).await?;
        let mut ours = self.readable_beside(tx, into).await?;
        ours.merge(theirs);
        self.keep_beside(tx, into, &ours, None).await?;
        // What could not be read of it may have been a `/hold`.
        sqlx::query(
            "UPDATE alerts SET held_by = COALESCE(held_by, (SELECT held_by FROM alerts WHERE id = $1)) WHERE id = $2",
        )
        .bind(from)
        .bind(into)
        .execute(&mut **tx)
        .await
        .map_err(failed("holding an alert's pages"))?;
        self.want_beside(tx, into, &ours).await?;
        // A page that nobody has taken up yet stands in its row alone.
        if self.has_unfinished_pages(tx, from).await? {
            self.want_page_in(tx, into).await?;
        }
        Ok(())
    }

    /// One of an alert's names is an alert of its own from now on, and takes along what belongs to it.
    pub(crate) async fn split_beside(
        &self,
        tx: &mut Transaction<'static, Any>,
        from: &str,
        own: &str,
        name: &str,
    ) -> Result<(), StoreError> {
        let mut theirs = self.readable_beside(tx, from).await?;
        let ours = theirs.split(name);
        if !ours.is_empty() {
            self.keep_beside(tx, from, &theirs, None).await?;
            self.keep_beside(tx, own, &ours, None).await?;
            self.want_beside(tx, own, &ours).await?;
        }
        if self.has_unfinished_pages(tx, own).await? {
            self.want_page_in(tx, own).await?;
        }
        Ok(())
    }

    /// What an older version has left to do is taken in by its alert. A command that was obeyed is not obeyed again.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn take_in(&self, task: &Task, mut left: Beside) -> Result<(), StoreError> {
        let doing = "taking in what an older version has left";
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, &task.claim).await?;
        for open in &mut left.commands {
            let obeyed: Option<(String, i64)> =
                sqlx::query_as("SELECT run_id, created_at FROM idempotency_keys WHERE who = 'note:' AND key = $1")
                    .bind(&open.command.key)
                    .fetch_optional(&mut *tx)
                    .await
                    .map_err(failed(doing))?;
            let Some((run_id, at)) = obeyed else { continue };
            let reply = match open.command.word {
                Word::Rerun => Reply::Started(run_id),
                Word::Escalate => Reply::Paging,
                Word::Hold | Word::Status | Word::Unknown => Reply::Kept,
            };
            open.obeyed = Some((reply, time(at)?));
        }
        self.tell_alert_in(&mut tx, &task.incident_id, Input::Left(Box::new(left))).await?;
        self.end_task_in(&mut tx, task).await?;
        self.commit_due(tx, doing).await
    }
}
