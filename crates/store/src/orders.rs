//! What people ask for, by note and at the web: what follows is decided in [`runbook::life`], and done in the same transaction.

use sqlx::Any;

use runbook::command::Word;
use runbook::life::{OpenCommand, Reply, Why};
use runbook::record::EntryKind;
use runbook::writes::key::of_command;

use super::record::{ASKED, NewEntry};
use super::timed::Transaction;
use super::{AlertLease, NewRun, PageRecord, Store, StoreError, failed};

impl Store {
    /// Does what the command with this key asks for, once: what came of it is kept with the command. `again` is the run that
    /// `/rerun` would make.
    ///
    /// # Errors
    /// The database, or the claim is lost: nothing was done.
    pub async fn obey(&self, lease: &AlertLease, key: &str, again: &NewRun) -> Result<(), StoreError> {
        let doing = "obeying a command";
        let mut making = self.making();
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        let (beside, _) = self.beside_in(&mut tx, lease.alert_id()).await?;
        let is_it = |open: &OpenCommand| open.command.key == key && open.obeyed.is_none() && open.refused.is_none();
        let Some(place) = beside.commands.iter().position(is_it) else { return Ok(()) };
        // A hold waits for nobody's clock: it may be obeyed before what was said before it, and stays the last word.
        let held_since =
            beside.commands[place..].iter().find(|open| open.command.word == Word::Hold && open.obeyed.is_some());
        let held_since = held_since.map(|open| open.command.who().to_owned());
        let open = &beside.commands[place];
        let name: Option<(String,)> = sqlx::query_as("SELECT incident_id FROM alerts WHERE id = $1")
            .bind(lease.alert_id())
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(doing))?;
        let Some((name,)) = name else { return Err(StoreError::LeaseLost) };
        let (word, who) = (open.command.word, open.command.who().to_owned());
        let Some(mut alert) = self.alert_in(&mut tx, &name).await? else { return Err(StoreError::LeaseLost) };
        alert.commanded();
        let kept = if word == Word::Hold { alert.hold(&who) } else { Reply::Kept };
        self.save_alert(&mut tx, &alert).await?;
        let reply = match word {
            Word::Rerun => self.begin_in(&mut tx, again, &mut making).await?,
            Word::Escalate => {
                let (reply, _) = self.escalate_in(&mut tx, &name, &who, false).await?;
                if let (Some(who), Some(mut alert)) = (held_since, self.alert_in(&mut tx, &name).await?) {
                    alert.hold(&who);
                    self.save_alert(&mut tx, &alert).await?;
                }
                reply
            }
            Word::Hold | Word::Status | Word::Unknown => kept,
        };
        // Read again: the page that it asks for is under way there by now.
        let (mut beside, version) = self.beside_in(&mut tx, lease.alert_id()).await?;
        if let Some(open) = beside.commands.iter_mut().find(|open| is_it(open)) {
            open.obeyed = Some((reply.clone(), self.clock.now()));
        }
        self.keep_beside(&mut tx, lease.alert_id(), &beside, version).await?;
        let key = Some(of_command(key));
        let done = NewEntry { key, who: Some(&who), ..NewEntry::new(&name, EntryKind::Command, format!("/{word}")) };
        self.record_in(&mut tx, done).await?;
        making.commit(tx, doing).await?;
        tracing::info!(incident.id = name, user = who, ?word, ?reply, "a command by note");
        self.tell_due();
        Ok(())
    }

    /// Somebody is to be paged for the alert with this name, at the word of `who`; `is_closed`: PagerDuty shows it closed. What
    /// came of it, and the run in whose name.
    ///
    /// # Errors
    /// The database: nothing was done.
    pub async fn escalate(
        &self,
        name: &str,
        who: &str,
        is_closed: bool,
    ) -> Result<(Reply, Option<String>), StoreError> {
        let doing = "wanting a page";
        let mut tx = self.write(doing).await?;
        let (reply, run_id) = self.escalate_in(&mut tx, name, who, is_closed).await?;
        if reply == Reply::Paging {
            self.record_in(&mut tx, NewEntry { who: Some(who), ..NewEntry::new(name, EntryKind::Command, ASKED) })
                .await?;
        }
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok((reply, run_id))
    }

    async fn escalate_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        name: &str,
        who: &str,
        is_closed: bool,
    ) -> Result<(Reply, Option<String>), StoreError> {
        let Some(mut alert) = self.alert_in(tx, name).await? else { return Ok((Reply::Ignored(Why::NoRun), None)) };
        let newest: Option<(String,)> =
            sqlx::query_as("SELECT id FROM runs WHERE alert_id = $1 ORDER BY id DESC LIMIT 1")
                .bind(&alert.id)
                .fetch_optional(&mut **tx)
                .await
                .map_err(failed("looking for an alert's newest run"))?;
        let page = self.page_of_alert_in(tx, name).await?.as_ref().map(PageRecord::of_alert);
        let reply = alert.escalate(page.as_ref(), is_closed, newest.is_some());
        self.save_alert(tx, &alert).await?;
        let run_id = newest.map(|(run_id,)| run_id);
        if let (Reply::Paging, Some(run_id)) = (&reply, &run_id) {
            self.request_page_in(tx, &alert.incident_id, run_id, Some(who)).await?;
        }
        Ok((reply, run_id))
    }
}
