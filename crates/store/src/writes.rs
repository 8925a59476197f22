//! The ledger of writes: what was about to be written to the outside, and what came of it. What follows from a record is
//! decided in `runbook::writes`.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe};

use runbook::record::EntryKind;
use runbook::writes::key::{FoundBy, found_by};
use runbook::writes::{Doubt, Moment, NotBegun, Outcome, Seen, Settling, Times, Write};

use super::alerts::OF_NAME;
use super::record::NewEntry;
use super::rows::{column, plain, time};
use super::timed::Transaction;
use super::{Lease, PageOf, Store, StoreError, Task, failed};

/// A write that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct WantedWrite<'a> {
    /// What it is for: what is written under one key is written once.
    pub key: &'a str,
    /// Where it is to be written: an incident.
    pub on: &'a str,
    /// The run whose diagnosis note it is; `None`: it is another note.
    pub run_id: Option<&'a str>,
    /// What is to be written. Of a short note the first text stays, since it is found again by that.
    pub text: &'a str,
}

/// A write as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Where it was last to be written.
    pub on: String,
    /// The run whose diagnosis note it is.
    pub run_id: Option<String>,
    /// Its text as first wanted (of an edit, as last); empty for a diagnosis note, which is found by its last line.
    pub text: String,
    /// Of an edit, what its short note is told by where it is refused.
    pub fact: Option<String>,
    /// When it was last about to be sent.
    pub begun_at: Option<Timestamp>,
    /// What came of it.
    pub write: Write,
}

/// By what right a write is begun: whoever has lost it must not send.
#[derive(Clone, Copy, Debug)]
pub enum Right<'a> {
    /// The claim of the run.
    Run(&'a Lease),
    /// The right to work on the page.
    Page(&'a PageOf),
    /// Having seen all that was done for it.
    Seen,
}

const SELECT: &str = "SELECT incident_id, run_id, text, attempt, begun_at, is_open, doubt_sends, doubt_at, doubt_there, \
     looked_at, looked_there, made_id, fact FROM writes WHERE key = $1";

fn recorded(row: &AnyRow) -> Result<Recorded, StoreError> {
    let at = |name: &'static str| column::<Option<i64>>(row, name)?.map(time).transpose();
    let moment = |ours: &'static str, theirs: &'static str| -> Result<Option<Moment>, StoreError> {
        let Some(ours) = at(ours)? else { return Ok(None) };
        Ok(Some(Moment { ours, theirs: at(theirs)? }))
    };
    let count = |name: &'static str| {
        let number: i64 = column(row, name)?;
        u32::try_from(number).map_err(|e| StoreError::Corrupt { what: name, source: e.into() })
    };
    let (sends, looked) = (count("doubt_sends")?, moment("looked_at", "looked_there")?);
    let is_open = column::<i64>(row, "is_open")? != 0;
    Ok(Recorded {
        on: column(row, "incident_id")?,
        run_id: column(row, "run_id")?,
        text: column(row, "text")?,
        fact: column(row, "fact")?,
        begun_at: at("begun_at")?,
        write: Write {
            attempt: count("attempt")?,
            intent: at("begun_at")?.filter(|_| is_open),
            doubt: moment("doubt_at", "doubt_there")?.map(|since| Doubt { sends, since, looked }),
            id: column(row, "made_id")?,
        },
    })
}

/// The same as [`Store::recorded`], as this connection sees it.
pub(super) async fn recorded_in<'c>(
    connection: impl sqlx::Executor<'c, Database = Any>,
    key: &str,
) -> Result<Option<Recorded>, StoreError> {
    let row = sqlx::query(SELECT).bind(key).fetch_optional(connection).await;
    row.map_err(failed("looking for a write"))?.as_ref().map(recorded).transpose()
}

impl Store {
    /// The write of this key, where one was wanted.
    ///
    /// # Errors
    /// The database.
    pub async fn recorded(&self, key: &str) -> Result<Option<Recorded>, StoreError> {
        recorded_in(&self.pool, key).await
    }

    /// Wants a write; the one that was wanted first under this key stays.
    ///
    /// # Errors
    /// The database.
    pub async fn want_write(&self, wanted: &WantedWrite<'_>) -> Result<Recorded, StoreError> {
        let doing = "wanting a write";
        let mut tx = self.write_claimed(doing).await?;
        let found = self.locked(&mut tx, wanted).await?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(found)
    }

    /// The ids of the notes of other keys on this incident, or on another of its alert's, that have the same text.
    ///
    /// # Errors
    /// The database.
    pub async fn written_alike(&self, text: &str, key: &str, on: &str) -> Result<Vec<String>, StoreError> {
        let sql = format!(
            "SELECT made_id FROM writes
             WHERE incident_id IN (SELECT $1 UNION ALL SELECT incident_id FROM incidents WHERE alert_id = {OF_NAME})
             AND text = $2 AND key <> $3 AND made_id IS NOT NULL"
        );
        let rows: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(on)
            .bind(plain(text))
            .bind(key)
            .fetch_all(&self.pool)
            .await
            .map_err(failed("looking for notes with the same words"))?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// It is about to be sent, by who last saw its attempt `seen`; the number of this one, `None`: it stands already.
    ///
    /// # Errors
    /// The database, or (as a lost lease) the right is lost, or somebody else has begun it since: it must not be sent.
    pub async fn begin_write(
        &self,
        wanted: &WantedWrite<'_>,
        right: Right<'_>,
        seen: u32,
        now: Moment,
        times: &Times,
    ) -> Result<Option<u32>, StoreError> {
        let doing = "noting that a write begins";
        let mut tx = self.write_claimed(doing).await?;
        match right {
            Right::Run(lease) => self.check(&mut tx, &lease.claim).await?,
            Right::Page(of) => self.check_page(&mut tx, of).await?,
            Right::Seen => {}
        }
        let before = self.locked(&mut tx, wanted).await?;
        let mut after = before.clone();
        let attempt = match after.write.begin(seen, now, times) {
            Ok(attempt) => attempt,
            Err(NotBegun::Stands) => return Ok(None),
            Err(NotBegun::Lost) => return Err(StoreError::LeaseLost),
        };
        wanted.on.clone_into(&mut after.on);
        self.keep(&mut tx, wanted.key, &before, &after).await?;
        self.settle_later(&mut tx, wanted.key, &after, now, times).await?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(Some(attempt))
    }

    /// This is what came of its attempt of that number.
    ///
    /// # Errors
    /// The database.
    pub async fn end_write(
        &self,
        wanted: &WantedWrite<'_>,
        attempt: u32,
        outcome: &Outcome,
        now: Moment,
        times: &Times,
    ) -> Result<Recorded, StoreError> {
        self.change_write(wanted, now, times, |write| write.ended(attempt, outcome, now)).await
    }

    /// It was found written, with the text that is wanted here, by whoever has the right to send it.
    ///
    /// # Errors
    /// The database.
    pub async fn found_write(
        &self,
        wanted: &WantedWrite<'_>,
        id: &str,
        began: Moment,
        times: &Times,
    ) -> Result<Recorded, StoreError> {
        self.change_write(wanted, began, times, |write| write.found(id, began, times)).await
    }

    async fn change_write(
        &self,
        wanted: &WantedWrite<'_>,
        now: Moment,
        times: &Times,
        change: impl FnOnce(&mut Write),
    ) -> Result<Recorded, StoreError> {
        let doing = "noting what came of a write";
        let mut tx = self.write_claimed(doing).await?;
        self.lock_run(&mut tx, wanted.run_id).await?;
        let before = self.locked(&mut tx, wanted).await?;
        let mut after = before.clone();
        change(&mut after.write);
        self.keep(&mut tx, wanted.key, &before, &after).await?;
        self.settle_later(&mut tx, wanted.key, &after, now, times).await?;
        if let (true, Some(id)) = (before.write.id != after.write.id, &after.write.id) {
            self.show_write(&mut tx, wanted, id).await?;
        }
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(after)
    }

    /// Of several the first stays, whoever was taken for it: by who looks for twins.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn move_write(&self, task: &Task, wanted: &WantedWrite<'_>, id: &str) -> Result<(), StoreError> {
        let doing = "noting which note stays";
        let mut tx = self.write_claimed(doing).await?;
        self.lock_run(&mut tx, wanted.run_id).await?;
        let before = self.locked(&mut tx, wanted).await?;
        self.check(&mut tx, &task.claim).await?;
        let mut after = before.clone();
        after.write.moved(id);
        self.keep(&mut tx, wanted.key, &before, &after).await?;
        if before.write.id.is_none() {
            self.show_write(&mut tx, wanted, id).await?;
        } else if let Some(run_id) = wanted.run_id {
            sqlx::query("UPDATE runs SET note_id = $1 WHERE id = $2")
                .bind(id)
                .bind(run_id)
                .execute(&mut *tx)
                .await
                .map_err(failed(doing))?;
        }
        self.commit_due(tx, doing).await
    }

    /// A look for twins began then, `found` these, and what of it should go is gone. Nothing is noted where something
    /// changed meanwhile by which it should not: then it has to be looked again.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn looked_at_write(
        &self,
        task: &Task,
        wanted: &WantedWrite<'_>,
        found: &[Seen],
        settled: &Settling,
        began: Moment,
        times: &Times,
    ) -> Result<Write, StoreError> {
        let doing = "noting a look for twins";
        let mut tx = self.write_claimed(doing).await?;
        let before = self.locked(&mut tx, wanted).await?;
        self.check(&mut tx, &task.claim).await?;
        let mut after = before.clone();
        after.write.expire(began, times);
        if after.write.settle(found, began, times) == *settled {
            after.write.looked(began, settled, times);
        }
        self.keep(&mut tx, wanted.key, &before, &after).await?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(after.write)
    }

    /// The record, made where there is none, and locked until the transaction ends.
    pub(super) async fn locked(
        &self,
        tx: &mut Transaction<'static, Any>,
        wanted: &WantedWrite<'_>,
    ) -> Result<Recorded, StoreError> {
        let doing = "looking for a write";
        let text = if found_by(wanted.key) == FoundBy::Text { wanted.text } else { "" };
        sqlx::query(
            "INSERT INTO writes (key, incident_id, run_id, text) VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO NOTHING",
        )
        .bind(wanted.key)
        .bind(wanted.on)
        .bind(wanted.run_id)
        .bind(plain(text))
        .execute(&mut **tx)
        .await
        .map_err(failed(doing))?;
        let sql = AssertSqlSafe(format!("{SELECT}{}", self.dialect.hold()));
        let row = sqlx::query(sql).bind(wanted.key).fetch_one(&mut **tx).await.map_err(failed(doing))?;
        recorded(&row)
    }

    /// The write of this key, where one was wanted, until the transaction ends.
    pub(super) async fn held_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        key: &str,
    ) -> Result<Option<Recorded>, StoreError> {
        let sql = AssertSqlSafe(format!("{SELECT}{}", self.dialect.hold()));
        let row = sqlx::query(sql).bind(key).fetch_optional(&mut **tx).await;
        row.map_err(failed("looking for a write"))?.as_ref().map(recorded).transpose()
    }

    pub(super) async fn keep(
        &self,
        tx: &mut Transaction<'static, Any>,
        key: &str,
        before: &Recorded,
        after: &Recorded,
    ) -> Result<(), StoreError> {
        if before == after {
            return Ok(());
        }
        let Write { attempt, intent, doubt, id } = &after.write;
        let ms = |at: Timestamp| at.as_millisecond();
        let since = doubt.as_ref().map(|doubt| doubt.since);
        let looked = doubt.as_ref().and_then(|doubt| doubt.looked);
        sqlx::query(
            "UPDATE writes SET incident_id = $1, attempt = $2, begun_at = COALESCE($3, begun_at), is_open = $4,
             doubt_sends = $5, doubt_at = $6, doubt_there = $7, looked_at = $8, looked_there = $9, made_id = $10
             WHERE key = $11",
        )
        .bind(&after.on)
        .bind(i64::from(*attempt))
        .bind(intent.map(ms))
        .bind(i64::from(intent.is_some()))
        .bind(doubt.as_ref().map_or(0, |doubt| i64::from(doubt.sends)))
        .bind(since.map(|at| ms(at.ours)))
        .bind(since.and_then(|at| at.theirs).map(ms))
        .bind(looked.map(|at| ms(at.ours)))
        .bind(looked.and_then(|at| at.theirs).map(ms))
        .bind(id)
        .bind(key)
        .execute(&mut **tx)
        .await
        .map_err(failed("recording a write"))?;
        Ok(())
    }

    /// What people see of a note that stands now.
    async fn show_write(
        &self,
        tx: &mut Transaction<'static, Any>,
        wanted: &WantedWrite<'_>,
        id: &str,
    ) -> Result<(), StoreError> {
        let Some(run_id) = wanted.run_id else {
            if found_by(wanted.key) != FoundBy::Text {
                // That a page was joined is told with the page.
                return Ok(());
            }
            self.announce_in(tx, wanted.key, wanted.on, None, wanted.text).await?;
            let what = format!("wrote: {}", wanted.text.lines().next().unwrap_or_default());
            let key = Some(format!("note:{}", wanted.key));
            return self.record_in(tx, NewEntry { key, ..NewEntry::new(wanted.on, EntryKind::Note, what) }).await;
        };
        sqlx::query(
            "UPDATE runs SET note_id = $1, note_text = $2, unchanged_from = NULL, unchanged_at = NULL WHERE id = $3",
        )
        .bind(id)
        .bind(plain(wanted.text))
        .bind(run_id)
        .execute(&mut **tx)
        .await
        .map_err(failed("keeping a note's id"))?;
        self.announce_in(tx, wanted.key, wanted.on, Some(run_id), wanted.text).await
    }

    /// Whoever writes a run's note has its row first: the order in which everything locks.
    pub(super) async fn lock_run(
        &self,
        tx: &mut Transaction<'static, Any>,
        run_id: Option<&str>,
    ) -> Result<(), StoreError> {
        let Some(run_id) = run_id else { return Ok(()) };
        let sql = AssertSqlSafe(format!("SELECT id FROM runs WHERE id = $1{}", self.dialect.hold()));
        let row = sqlx::query(sql).bind(run_id).fetch_optional(&mut **tx).await;
        row.map(drop).map_err(failed("looking for the run of a note"))
    }
}
