//! What is under way for an alert beside its runs: one text, which whoever brings something new changes, and whoever has the
//! alert's item of the queue. What it says is decided in [`runbook::plan`].
//!
//! All who change it take the writers' turn before they lock anything: so nobody waits for another in a circle.

use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe, Transaction};

use runbook::command::Word;
use runbook::life::{Alert, Beside, Input, Reply, Unreadable};
use runbook::plan::Newest;
use runbook::run::State;
use runbook::writes::key::of_command;

use super::alerts::OF_NAME;
use super::many;
use super::rows::{column, time};
use super::work::{Claim, GIVE_UPS, Kind};
use super::{PageRecord, Store, StoreError, Task, failed};

/// Who holds an alert's pages where that can't be read.
const SOMEBODY: &str = "somebody";

/// The right to work on an alert beside its runs. Made by a claim only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertLease {
    pub(super) claim: Claim,
}

impl AlertLease {
    /// The claim itself.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// The alert, by its own id.
    pub fn alert_id(&self) -> &str {
        self.claim.id()
    }
}

/// An alert, and what is under way for it.
#[derive(Clone, Debug)]
pub struct AlertNow {
    /// The alert.
    pub alert: Alert,
    /// What is under way.
    pub beside: Beside,
    /// That is as of this change of it.
    pub version: i64,
    /// The newest run.
    pub newest: Option<Newest>,
    /// Whether any run is active.
    pub is_active: bool,
    /// The page.
    pub page: Option<PageRecord>,
    /// The keys of the commands whose answer was about to be given.
    pub answered: Vec<String>,
    /// When a page that may explain alerts was last opened or closed, as far as was heard.
    pub related_changed_at: Option<Timestamp>,
}

fn read(text: &str) -> Result<Beside, StoreError> {
    Beside::read(text)
        .map_err(|error| StoreError::Corrupt { what: "what is under way for an alert", source: error.into() })
}

/// Whether a newer version of the service has written it.
fn is_newer(text: &str) -> bool {
    matches!(Beside::read(text), Err(Unreadable::Newer(_)))
}

impl Store {
    /// Something is new about the alert with this name. Where none is known, nothing follows.
    ///
    /// # Errors
    /// The database.
    pub async fn tell_alert(&self, name: &str, input: Input) -> Result<(), StoreError> {
        let doing = "noting what is new about an alert";
        let mut tx = self.write(doing).await?;
        self.tell_alert_in(&mut tx, name, input).await?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(())
    }

    pub(super) async fn tell_alert_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        name: &str,
        input: Input,
    ) -> Result<(), StoreError> {
        let id: Option<(String,)> =
            sqlx::query_as(AssertSqlSafe(format!("SELECT id FROM alerts WHERE id = {OF_NAME}")))
                .bind(name)
                .fetch_optional(&mut **tx)
                .await
                .map_err(failed("looking for an alert"))?;
        match id {
            Some((id,)) => self.tell_in(tx, &id, input).await,
            None => {
                tracing::warn!(incident.id = name, ?input, "alert not found");
                Ok(())
            }
        }
    }

    async fn tell_in(&self, tx: &mut Transaction<'static, Any>, id: &str, input: Input) -> Result<(), StoreError> {
        let mut beside = self.readable_beside(tx, id).await?;
        for command in beside.apply(input, self.clock.now()) {
            metrics::counter!(GIVE_UPS, "kind" => "task").increment(1);
            tracing::error!(
                alert.id = id,
                said = command.said,
                who = command.who(),
                "too many commands wait: one is dropped"
            );
        }
        self.keep_beside(tx, id, &beside, None).await?;
        self.want_beside(tx, id, &beside).await
    }

    /// The alert is due when what is under way says so.
    async fn want_beside(
        &self,
        tx: &mut Transaction<'static, Any>,
        id: &str,
        beside: &Beside,
    ) -> Result<(), StoreError> {
        match beside.due() {
            Some(due) => self.want_in(tx, Kind::Alert, id, due.as_millisecond()).await,
            None => Ok(()),
        }
    }

    /// A page that may explain alerts has changed: every alert that waits for such pages looks again.
    pub(super) async fn tell_related_changed(&self, tx: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
        for sql in [
            "INSERT INTO related_pages (id, changed_at) VALUES ('one', $1)
             ON CONFLICT (id) DO UPDATE SET changed_at = excluded.changed_at",
            "UPDATE work SET due_at = $1, set_at = $1 WHERE due_at > $1 AND kind = 'alert'
             AND key IN (SELECT 'alert/' || id FROM alerts WHERE waits_for_related = 1)",
        ] {
            sqlx::query(sql)
                .bind(self.now())
                .execute(&mut **tx)
                .await
                .map_err(failed("noting that a page has changed that may explain alerts"))?;
        }
        Ok(())
    }

    /// A command of a person. One that was answered, or was about to be, is told of once more.
    pub(super) async fn command_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        name: &str,
        command: &runbook::command::Command,
    ) -> Result<(), StoreError> {
        if self.answered_in(tx, std::slice::from_ref(&command.key)).await?.is_empty() {
            self.tell_alert_in(tx, name, Input::Said(command.clone())).await?;
        }
        Ok(())
    }

    /// Those of these commands whose answer was about to be given.
    async fn answered_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        commands: &[String],
    ) -> Result<Vec<String>, StoreError> {
        let doing = "looking for answers to commands";
        let keys: Vec<String> = commands.iter().map(|key| of_command(key)).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let sql = |places: &str| format!("SELECT key FROM writes WHERE key IN ({places})");
        let found = many::texts_in(tx, doing, &keys, sql).await?;
        Ok(commands.iter().filter(|key| found.contains(&of_command(key))).cloned().collect())
    }

    /// Who holds an alert's automatic pages: who has said `/hold`, also by a note that is stored and not obeyed yet. Of such notes
    /// those of people outside `allowed` don't count, where that names any. What can't be read may be such a note.
    ///
    /// # Errors
    /// The database.
    pub async fn held_by(&self, incident_id: &str, allowed: &[String]) -> Result<Option<String>, StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed("looking for who holds an alert's pages"))?;
        self.held_by_in(&mut tx, incident_id, allowed).await
    }

    pub(super) async fn held_by_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        incident_id: &str,
        allowed: &[String],
    ) -> Result<Option<String>, StoreError> {
        // By one statement: one that is obeyed meanwhile goes from one place to another. What an older version has left is
        // taken in by the alert soon.
        let sql = format!(
            "SELECT beside, held_by, (SELECT COUNT(*) FROM chores WHERE kind = 'command' AND data LIKE '%\"word\":\"hold\"%'
                AND incident_id IN (SELECT incident_id FROM incidents WHERE alert_id = alerts.id)) AS older
             FROM alerts WHERE id = {OF_NAME}"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(incident_id)
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("looking for who holds an alert's pages"))?;
        let Some(row) = row else { return Ok(None) };
        // A column that is no text is no error of the database, which would be asked again for ever.
        match column::<Option<String>>(&row, "held_by") {
            Ok(None) => {}
            Ok(held_by) => return Ok(held_by),
            Err(_) => return Ok(Some(SOMEBODY.to_owned())),
        }
        let beside = column::<String>(&row, "beside").ok().and_then(|text| Beside::read(&text).ok());
        let Some(beside) = beside else { return Ok(Some(SOMEBODY.to_owned())) };
        let left: i64 = column(&row, "older")?;
        let holds = beside.commands.iter().find(|open| {
            let counts = allowed.is_empty() || allowed.contains(&open.command.user_id);
            open.command.word == Word::Hold && open.obeyed.is_none() && counts
        });
        let holds = holds.map(|open| open.command.who());
        Ok(holds.or(Some(SOMEBODY).filter(|_| left > 0)).map(str::to_owned))
    }

    /// What is under way for an alert, which is locked until the transaction ends; with its version.
    pub(super) async fn beside_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        id: &str,
    ) -> Result<(Beside, Option<i64>), StoreError> {
        let sql = format!("SELECT beside, beside_version FROM alerts WHERE id = $1{}", self.dialect.hold());
        let row: Option<(String, i64)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("looking at what is under way for an alert"))?;
        let Some((text, version)) = row else { return Ok((Beside::default(), None)) };
        Ok((read(&text)?, Some(version)))
    }

    /// Keeps what is under way, where that is still of this version (`None`: whatever it is); whether it was.
    pub(super) async fn keep_beside(
        &self,
        tx: &mut Transaction<'static, Any>,
        id: &str,
        beside: &Beside,
        version: Option<i64>,
    ) -> Result<bool, StoreError> {
        let text = beside.text().map_err(|e| StoreError::Corrupt {
            what: "what is under way for an alert, to be stored",
            source: e.into(),
        })?;
        let kept = sqlx::query(
            "UPDATE alerts SET beside = $1, beside_version = beside_version + 1, waits_for_related = $2
             WHERE id = $3 AND ($4 < 0 OR beside_version = $4)",
        )
        .bind(text)
        .bind(i64::from(beside.related_again.is_some()))
        .bind(id)
        .bind(version.unwrap_or(-1))
        .execute(&mut **tx)
        .await
        .map_err(failed("keeping what is under way for an alert"))?;
        Ok(kept.rows_affected() == 1)
    }

    /// Claims an alert for which something is due.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_alert(&self) -> Result<Option<AlertLease>, StoreError> {
        let doing = "claiming an alert";
        loop {
            let mut tx = self.write_claimed(doing).await?;
            let Some(claim) = self.claim_in(&mut tx, Kind::Alert).await? else { return Ok(None) };
            let text: Option<(String,)> = sqlx::query_as("SELECT beside FROM alerts WHERE id = $1")
                .bind(claim.id())
                .fetch_optional(&mut *tx)
                .await
                .map_err(failed(doing))?;
            match text {
                // It was merged into another, or is pruned.
                None => self.end_in(&mut tx, &claim).await?,
                Some((text,)) if is_newer(&text) => {
                    self.leave_alone(tx, &claim).await?;
                    continue;
                }
                Some(_) => {
                    tx.commit().await.map_err(failed(doing))?;
                    return Ok(Some(AlertLease { claim }));
                }
            }
            tx.commit().await.map_err(failed(doing))?;
        }
    }

    /// An alert as it is now, with what is under way; `None`: it is gone.
    ///
    /// # Errors
    /// The database, or something of it can't be read.
    pub async fn alert_now(&self, lease: &AlertLease) -> Result<Option<AlertNow>, StoreError> {
        let doing = "looking at an alert";
        let id = lease.alert_id();
        let mut tx = self.pool.begin().await.map_err(failed(doing))?;
        let row: Option<(String, String, i64)> =
            sqlx::query_as("SELECT incident_id, beside, beside_version FROM alerts WHERE id = $1")
                .bind(id)
                .fetch_optional(&mut *tx)
                .await
                .map_err(failed(doing))?;
        let Some((name, text, version)) = row else { return Ok(None) };
        let beside = read(&text)?;
        // It may be merged while it is looked at.
        let alert = self.known_alert_in(&mut tx, &name).await?.filter(|alert| alert.id == id);
        let Some(alert) = alert else { return Ok(None) };
        let newest: Option<(String, String)> =
            sqlx::query_as("SELECT id, state FROM runs WHERE alert_id = $1 ORDER BY id DESC LIMIT 1")
                .bind(id)
                .fetch_optional(&mut *tx)
                .await
                .map_err(failed(doing))?;
        let (active,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM runs WHERE alert_id = $1 AND state IN ('queued', 'suppressed', 'running')",
        )
        .bind(id)
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(doing))?;
        let page = self.page_of_alert_in(&mut tx, &name).await?;
        let commands: Vec<String> = beside.commands.iter().map(|open| open.command.key.clone()).collect();
        let answered = self.answered_in(&mut tx, &commands).await?;
        let newest =
            newest.map(|(run_id, state)| Newest { run_id, is_active: state.parse().is_ok_and(State::is_active) });
        let changed: Option<(i64,)> = sqlx::query_as("SELECT changed_at FROM related_pages")
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(doing))?;
        let related_changed_at = changed.map(|(at,)| time(at)).transpose()?;
        let is_active = active > 0;
        Ok(Some(AlertNow { alert, beside, version, newest, is_active, page, answered, related_changed_at }))
    }

    /// Keeps what is decided, before anything is done by it; the new version, or `None` where something has come meanwhile: then
    /// it is to be decided again.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn save_beside(
        &self,
        lease: &AlertLease,
        version: i64,
        beside: &Beside,
    ) -> Result<Option<i64>, StoreError> {
        let doing = "keeping what is decided about an alert";
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        let kept = self.keep_beside(&mut tx, lease.alert_id(), beside, Some(version)).await?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(kept.then_some(version + 1))
    }

    /// Gives the claim back with what is decided, until `wake_at`; for good where nothing is under way. Where something has
    /// come meanwhile it is due at once, and of what is under way nothing is kept.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn rest_alert(
        &self,
        lease: &AlertLease,
        version: i64,
        beside: &Beside,
        wake_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let doing = "giving an alert back";
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        let kept = self.keep_beside(&mut tx, lease.alert_id(), beside, Some(version)).await?;
        let waits = beside.related_again.as_ref().map(|waits| waits.looked.unwrap_or(waits.since));
        let changed: Option<(i64,)> = sqlx::query_as("SELECT changed_at FROM related_pages WHERE changed_at > $1")
            .bind(waits.map_or(i64::MAX, Timestamp::as_millisecond))
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(doing))?;
        match wake_at {
            _ if !kept || changed.is_some() => self.release_in(&mut tx, &lease.claim, self.now()).await?,
            None if beside.is_empty() => self.end_in(&mut tx, &lease.claim).await?,
            wake_at => {
                let due = wake_at.map_or_else(|| self.now(), Timestamp::as_millisecond);
                self.release_in(&mut tx, &lease.claim, due).await?;
            }
        }
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(())
    }

    /// What is under way can't be read: it is given up, and stays as it is.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn give_up_alert(&self, lease: &AlertLease) -> Result<(), StoreError> {
        let doing = "giving an alert up";
        let mut tx = self.write_claimed(doing).await?;
        self.end_in(&mut tx, &lease.claim).await?;
        tx.commit().await.map_err(failed(doing))
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
        self.end_in(&mut tx, &task.claim).await?;
        sqlx::query("DELETE FROM chores WHERE id = $1")
            .bind(task.claim.id())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(())
    }

    /// What was under way for an alert that is merged into another goes on there.
    pub(super) async fn merge_beside(
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
        self.want_beside(tx, into, &ours).await
    }

    /// One of an alert's names is an alert of its own from now on, and takes along what belongs to it.
    pub(super) async fn split_beside(
        &self,
        tx: &mut Transaction<'static, Any>,
        from: &str,
        own: &str,
        name: &str,
    ) -> Result<(), StoreError> {
        let mut theirs = self.readable_beside(tx, from).await?;
        let ours = theirs.split(name);
        if ours.is_empty() {
            return Ok(());
        }
        self.keep_beside(tx, from, &theirs, None).await?;
        self.keep_beside(tx, own, &ours, None).await?;
        self.want_beside(tx, own, &ours).await
    }

    /// What is under way for an alert; nothing where that can't be read: that is said, and since there may have been a `/hold` in
    /// it, holds automatic pages. What a newer version has written is an error all the same.
    async fn readable_beside(&self, tx: &mut Transaction<'static, Any>, id: &str) -> Result<Beside, StoreError> {
        match self.beside_in(tx, id).await {
            Err(StoreError::Corrupt { source, .. }) if !is_of_newer(source.as_ref()) => {
                tracing::error!(
                    alert.id = id,
                    error = source.as_ref(),
                    "pending work of an alert can't be read: dropped"
                );
                sqlx::query("UPDATE alerts SET held_by = COALESCE(held_by, $1) WHERE id = $2")
                    .bind(SOMEBODY)
                    .bind(id)
                    .execute(&mut **tx)
                    .await
                    .map_err(failed("holding an alert's pages"))?;
                Ok(Beside::default())
            }
            read => read.map(|(beside, _)| beside),
        }
    }
}

fn is_of_newer(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(Unreadable::Newer(_)))
}
