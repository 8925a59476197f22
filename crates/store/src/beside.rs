//! What is under way for an alert beside its runs: one text, which whoever brings something new changes, and whoever has the
//! alert's item of the queue. What it says is decided in [`runbook::plan`].
//!
//! All who change it take the writers' turn before they lock anything: so nobody waits for another in a circle.

mod names;
mod worker;

use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe};

use runbook::command::Word;
use runbook::life::{Alert, Beside, Input, Unreadable};
use runbook::plan::Newest;
use runbook::writes::key::of_command;

use super::alerts::OF_NAME;
use super::many;
use super::pages::UNFINISHED;
use super::rows::column;
use super::timed::Transaction;
use super::work::{Claim, GIVE_UPS, Kind};
use super::{PageRecord, Store, StoreError, failed};

/// Who holds an alert's pages where that can't be read.
const SOMEBODY: &str = "somebody";

/// The right to work on an alert beside its runs. Made by a claim only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertLease {
    pub(super) claim: Claim,
    pub(super) has_page: bool,
}

/// Which alerts somebody has a place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alerts {
    /// Whichever is due.
    All,
    /// Those only of which a page is wanted, or is to be told of.
    WithPage,
    /// The others.
    WithoutPage,
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

    /// A page of it was wanted, or was to be told of, when it was claimed.
    pub fn has_page(&self) -> bool {
        self.has_page
    }

    /// The right to work on its page of this name.
    pub fn page(&self, name: &str) -> PageOf {
        PageOf { lease: self.clone(), name: name.to_owned() }
    }
}

/// The right to work on a page: the alert's claim, as long as the alert has the name under which it is paged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageOf {
    pub(super) lease: AlertLease,
    pub(super) name: String,
}

impl PageOf {
    /// The alert's claim.
    pub fn claim(&self) -> &Claim {
        &self.lease.claim
    }

    /// The right to work on the alert.
    pub fn alert(&self) -> &AlertLease {
        &self.lease
    }

    /// The incident for which the team is paged.
    pub fn incident_id(&self) -> &str {
        &self.name
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
    /// Those that are wanted, or of whose end is to be told, under all of its names.
    pub pages: Vec<PageRecord>,
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
        self.commit_due(tx, doing).await
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

    /// The alert is due when what is under way says so, and needs a place for its page where it has one.
    async fn want_beside(
        &self,
        tx: &mut Transaction<'static, Any>,
        id: &str,
        beside: &Beside,
    ) -> Result<(), StoreError> {
        match beside.due() {
            Some(due) => {
                self.want_in(tx, Kind::Alert, id, due.as_millisecond()).await?;
                self.mark_page_in(tx, id, !beside.pages.is_empty()).await
            }
            None => Ok(()),
        }
    }

    /// Whether the alert's item needs a place for a page.
    async fn mark_page_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        id: &str,
        has_page: bool,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE work SET has_page = $1 WHERE key = $2 AND has_page <> $1")
            .bind(i64::from(has_page))
            .bind(Kind::Alert.key(id))
            .execute(&mut **tx)
            .await
            .map_err(failed("noting that an alert has a page"))?;
        Ok(())
    }

    /// An alert of which a page is wanted, or is to be told of, is due now, whatever else is under way.
    async fn want_page_in(&self, tx: &mut Transaction<'static, Any>, id: &str) -> Result<(), StoreError> {
        self.want_in(tx, Kind::Alert, id, self.now()).await?;
        self.mark_page_in(tx, id, true).await
    }

    /// Alerts with a page that is wanted, or is to be told of, are in the queue, whoever has taken them out of it: a process of an
    /// older version knows nothing of pages there.
    pub(super) async fn want_forgotten_pages(&self) -> Result<(), StoreError> {
        let doing = "looking for pages that nobody works on";
        let mut tx = self.write(doing).await?;
        let sql = format!(
            "INSERT INTO work (key, kind, due_at, set_at, has_page)
             SELECT DISTINCT 'alert/' || i.alert_id, 'alert', $1, $1, 1 FROM pages JOIN incidents i
                 ON i.incident_id = pages.incident_id
             WHERE {UNFINISHED} ON CONFLICT (key) DO NOTHING"
        );
        sqlx::query(AssertSqlSafe(sql)).bind(self.now()).execute(&mut *tx).await.map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
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

    /// A command of a person. One that was obeyed or answered before is told of once more: nothing follows.
    pub(super) async fn command_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        name: &str,
        command: &runbook::command::Command,
    ) -> Result<(), StoreError> {
        if !self.answered_in(tx, std::slice::from_ref(&command.key)).await?.is_empty() {
            return Ok(());
        }
        // One that was obeyed, and dropped before its answer.
        let obeyed: Option<(String,)> = sqlx::query_as("SELECT id FROM record WHERE id = $1")
            .bind(of_command(&command.key))
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("looking for a command"))?;
        match obeyed {
            Some(_) => Ok(()),
            None => self.tell_alert_in(tx, name, Input::Said(command.clone())).await,
        }
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
            "SELECT beside, held_by, (SELECT COUNT(*) FROM tasks WHERE kind = 'command' AND data LIKE '%\"word\":\"hold\"%'
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
            open.command.word == Word::Hold && open.obeyed.is_none() && open.refused.is_none() && counts
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
            "UPDATE alerts SET beside = $1, beside_version = beside_version + 1, waits_for_related = $2,
             news = news + CASE WHEN $4 < 0 THEN 1 ELSE 0 END
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
