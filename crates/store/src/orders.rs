//! What people's commands by note, and second looks, change: each once, together with the memory that it was done.

use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe, Transaction};

use runbook::life::{Reply, Why};

use super::activity::NewActivity;
use super::alerts::OF_NAME;
use super::rows::{plain, time};
use super::{NewRun, PageState, Store, StoreError, failed};

/// Under whose name obeyed commands stand among the idempotency keys. No operator's name has a colon.
const WHO: &str = "note:";

/// What a person wants.
#[derive(Clone, Debug)]
pub enum Order<'a> {
    /// Another diagnosis, or that of a suppressed run at once.
    Rerun(&'a NewRun),
    /// A page, in the name of this run; a hold is over.
    Escalate {
        /// The alert's newest run.
        run_id: &'a str,
    },
    /// No automatic page.
    Hold,
    /// To know how things stand.
    Status,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obeyed {
    /// This run is made, or no longer waits.
    Run(String),
    /// A run is active already: this one.
    Active(String),
    /// The page is wanted, since then by this person.
    Paging(Timestamp),
    /// The page is open already.
    Paged {
        /// Its link.
        url: Option<String>,
    },
    /// It is kept.
    Kept,
}

impl Store {
    /// Does what `who` wants of an alert, once a command; the same answer comes when it is asked for again. Whatever a
    /// person says, follow-ups are counted again from then on.
    ///
    /// # Errors
    /// The database: nothing was done.
    pub async fn obey(
        &self,
        command: &str,
        incident_id: &str,
        who: &str,
        order: &Order<'_>,
    ) -> Result<Obeyed, StoreError> {
        let doing = "obeying a command";
        let mut making = self.making();
        let mut tx = self.write(doing).await?;
        if let Some((run_id, at)) = self.obeyed_in(&mut tx, command).await? {
            return Ok(match order {
                Order::Rerun(_) => Obeyed::Run(run_id),
                Order::Escalate { .. } => Obeyed::Paging(at),
                Order::Hold | Order::Status => Obeyed::Kept,
            });
        }
        let (obeyed, run_id) = match order {
            Order::Rerun(run) => match self.begin_in(&mut tx, run, &mut making).await? {
                Reply::Started(id) | Reply::SuppressionSkipped(id) => (Obeyed::Run(id.clone()), id),
                Reply::Active(id) | Reply::Ignored(Why::Active(id) | Why::HadRun(id)) => {
                    (Obeyed::Active(id), String::new())
                }
                Reply::Ignored(_) => (Obeyed::Kept, String::new()),
            },
            Order::Escalate { run_id } => {
                self.hold_in(&mut tx, incident_id, None).await?;
                match self.page_of_alert_in(&mut tx, incident_id).await? {
                    Some(page) if page.state == PageState::Paged => {
                        (Obeyed::Paged { url: page.page_url }, String::new())
                    }
                    _ => {
                        self.request_page_in(&mut tx, incident_id, run_id, Some(who)).await?;
                        (Obeyed::Paging(self.clock.now()), (*run_id).to_owned())
                    }
                }
            }
            Order::Hold => {
                self.hold_in(&mut tx, incident_id, Some(who)).await?;
                (Obeyed::Kept, String::new())
            }
            Order::Status => (Obeyed::Kept, String::new()),
        };
        sqlx::query(AssertSqlSafe(format!("UPDATE alerts SET follow_ups = 0 WHERE id = {OF_NAME}")))
            .bind(incident_id)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        let what = match order {
            Order::Rerun(_) => "/rerun",
            Order::Escalate { .. } => "/escalate",
            Order::Hold => "/hold",
            Order::Status => "/status",
        };
        let key = Some(format!("command:{command}"));
        let done = NewActivity { key, incident_id, what: what.to_owned(), who: Some(who), at: None };
        self.activity_in(&mut tx, done).await?;
        // What changed nothing is judged again when it is asked for again.
        if !matches!(obeyed, Obeyed::Active(_) | Obeyed::Paged { .. }) {
            self.keep_key(&mut tx, (WHO, command, ""), &run_id).await?;
        }
        making.commit(tx, doing).await?;
        self.tell_due();
        Ok(obeyed)
    }

    /// Whether a command was obeyed, by its key.
    ///
    /// # Errors
    /// The database.
    pub async fn was_obeyed(&self, command: &str) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed("looking for a command"))?;
        Ok(self.obeyed_in(&mut tx, command).await?.is_some())
    }

    async fn obeyed_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        command: &str,
    ) -> Result<Option<(String, Timestamp)>, StoreError> {
        let row: Option<(String, i64)> =
            sqlx::query_as("SELECT run_id, created_at FROM idempotency_keys WHERE who = $1 AND key = $2")
                .bind(WHO)
                .bind(command)
                .fetch_optional(&mut **tx)
                .await
                .map_err(failed("looking for a command"))?;
        row.map(|(run_id, at)| Ok((run_id, time(at)?))).transpose()
    }

    /// Holds an alert's automatic pages at the word of `who`; `None` ends that.
    pub(super) async fn hold_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        incident_id: &str,
        who: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query(AssertSqlSafe(format!("UPDATE alerts SET held_by = $2 WHERE id = {OF_NAME}")))
            .bind(incident_id)
            .bind(who.map(plain))
            .execute(&mut **tx)
            .await
            .map_err(failed("holding an alert's pages"))?;
        Ok(())
    }
}
