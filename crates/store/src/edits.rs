//! Edits of diagnosis notes in the ledger of writes: one row a run, whose text is the newest that was wanted. What follows
//! from it is decided in `runbook::writes::edit`.

use sqlx::Any;

use runbook::writes::key::of_edit;
use runbook::writes::{Moment, NotBegun, Outcome, Times};

use super::rows::plain;
use super::timed::Transaction;
use super::{Recorded, Store, StoreError, Task, WantedWrite, failed};

/// An edit that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct WantedEdit<'a> {
    /// The run whose diagnosis note it is.
    pub run_id: &'a str,
    /// The incident on which that stands.
    pub on: &'a str,
    /// What it is to say from now on.
    pub text: &'a str,
    /// What its short note is told by, where it is refused; `None`: there is none.
    pub fact: Option<&'a str>,
    /// Why, for people.
    pub why: &'a str,
}

impl Store {
    /// The text is about to be sent, by who last saw the attempt `seen`; the number of this one, `None`: somebody else has
    /// begun since. From here on a task sees to it that the newest text stands; `task` is that one, where it sends.
    ///
    /// # Errors
    /// The database, or the claim of the task is lost.
    pub async fn begin_edit(
        &self,
        wanted: &WantedEdit<'_>,
        task: Option<&Task>,
        seen: u32,
        now: Moment,
        times: &Times,
    ) -> Result<Option<u32>, StoreError> {
        let doing = "noting that an edit begins";
        let mut tx = self.write_claimed(doing).await?;
        let (before, mut after) = self.edit_in(&mut tx, wanted, task).await?;
        let attempt = match after.write.begin_edit(seen, now, times) {
            Ok(attempt) => attempt,
            Err(NotBegun::Lost | NotBegun::Stands) => return Ok(None),
        };
        wanted.on.clone_into(&mut after.on);
        let key = of_edit(wanted.run_id);
        self.keep(&mut tx, &key, &before, &after).await?;
        sqlx::query("UPDATE writes SET text = $1, fact = $2 WHERE key = $3")
            .bind(plain(wanted.text))
            .bind(wanted.fact)
            .bind(&key)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        if task.is_none() {
            self.settle_later(&mut tx, &key, &after, now, times).await?;
        }
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(Some(attempt))
    }

    /// This is what came of the edit's attempt of that number; whether nothing newer was begun since.
    ///
    /// # Errors
    /// The database.
    pub async fn end_edit(
        &self,
        wanted: &WantedEdit<'_>,
        task: Option<&Task>,
        attempt: u32,
        outcome: &Outcome,
        now: Moment,
        times: &Times,
    ) -> Result<bool, StoreError> {
        let doing = "noting what came of an edit";
        let mut tx = self.write_claimed(doing).await?;
        self.lock_run(&mut tx, Some(wanted.run_id)).await?;
        let (before, mut after) = self.edit_in(&mut tx, wanted, None).await?;
        let is_newest = after.write.edited(attempt, outcome, now);
        let key = of_edit(wanted.run_id);
        self.keep(&mut tx, &key, &before, &after).await?;
        if task.is_none() {
            self.settle_later(&mut tx, &key, &after, now, times).await?;
        }
        if is_newest && matches!(outcome, Outcome::Done(_)) {
            self.note_text_in(&mut tx, wanted.run_id, wanted.text, wanted.why).await?;
        }
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(is_newest)
    }

    /// A look that began then has found the newest text on the note `id`, or it was sent after it. In how long to look
    /// again is for the record that it gives.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn looked_at_edit(
        &self,
        task: &Task,
        wanted: &WantedEdit<'_>,
        (seen, id): (u32, &str),
        began: Moment,
        times: &Times,
    ) -> Result<Recorded, StoreError> {
        let doing = "noting a look at an edit";
        let mut tx = self.write_claimed(doing).await?;
        self.lock_run(&mut tx, Some(wanted.run_id)).await?;
        let (before, mut after) = self.edit_in(&mut tx, wanted, Some(task)).await?;
        after.write.expire(began, times);
        // Nothing newer was wanted meanwhile.
        if after.write.attempt == seen {
            after.write.looked_at_edit(id, began, times);
            self.note_text_in(&mut tx, wanted.run_id, wanted.text, wanted.why).await?;
        }
        self.keep(&mut tx, &of_edit(wanted.run_id), &before, &after).await?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(after)
    }

    /// Nothing is left to be done about an edit: it is refused and said otherwise, or its note is gone. The `task` that
    /// found so ends by itself.
    ///
    /// # Errors
    /// The database.
    pub async fn drop_edit(&self, run_id: &str, seen: u32, task: Option<&Task>) -> Result<(), StoreError> {
        let doing = "dropping an edit";
        let mut tx = self.write_claimed(doing).await?;
        let query = sqlx::query(
            "UPDATE writes SET is_open = 0, doubt_sends = 0, doubt_at = NULL WHERE key = $1 AND attempt = $2",
        );
        let done = query.bind(of_edit(run_id)).bind(i64::from(seen)).execute(&mut *tx).await.map_err(failed(doing))?;
        if done.rows_affected() == 1 && task.is_none() {
            self.settle_no_more(&mut tx, &of_edit(run_id)).await?;
        }
        tx.commit().await.map_err(failed(doing))
    }

    async fn edit_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        wanted: &WantedEdit<'_>,
        task: Option<&Task>,
    ) -> Result<(Recorded, Recorded), StoreError> {
        let key = of_edit(wanted.run_id);
        let write = WantedWrite { key: &key, on: wanted.on, run_id: Some(wanted.run_id), text: wanted.text };
        let before = self.locked(tx, &write).await?;
        if let Some(task) = task {
            self.check(tx, task.claim()).await?;
        }
        Ok((before.clone(), before))
    }
}
