//! What people's commands by note, and second looks, change: each once, together with the memory that it was done.

use jiff::Timestamp;
use sqlx::{Any, Transaction};

use super::activity::NewActivity;
use super::rows::{plain, time};
use super::runs::active_run;
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

/// What became of a follow-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowedUp {
    /// It is made.
    Run(String),
    /// A run is active.
    Active,
    /// There were as many as may be.
    Enough,
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
            Order::Rerun(run) => match self.waive_in(&mut tx, incident_id).await? {
                Some(id) => (Obeyed::Run(id.clone()), id),
                None => match active_run(&mut tx, run).await? {
                    Some(id) => {
                        self.not_to_wait_in(&mut tx, &id).await?;
                        (Obeyed::Active(id), String::new())
                    }
                    None => {
                        let id = self.insert_run(&mut tx, run, &mut making).await?;
                        (Obeyed::Run(id.clone()), id)
                    }
                },
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
        sqlx::query("UPDATE alerts SET follow_ups = 0 WHERE incident_id = $1")
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
        sqlx::query("UPDATE alerts SET held_by = $1 WHERE incident_id = $2")
            .bind(who.map(plain))
            .bind(incident_id)
            .execute(&mut **tx)
            .await
            .map_err(failed("holding an alert's pages"))?;
        Ok(())
    }

    /// Makes a follow-up run of an alert and counts it, unless there were `most` already or a run is active.
    ///
    /// # Errors
    /// The database: none was made, nor counted.
    pub async fn follow_up(&self, run: &NewRun, most: u32) -> Result<FollowedUp, StoreError> {
        let doing = "making a follow-up";
        let mut making = self.making();
        let mut tx = self.write(doing).await?;
        if active_run(&mut tx, run).await?.is_some() {
            return Ok(FollowedUp::Active);
        }
        let incident_id = run.incident.as_ref().map(|i| i.id.as_str()).unwrap_or_default();
        let counted =
            sqlx::query("UPDATE alerts SET follow_ups = follow_ups + 1 WHERE incident_id = $1 AND follow_ups < $2")
                .bind(incident_id)
                .bind(i64::from(most))
                .execute(&mut *tx)
                .await
                .map_err(failed(doing))?;
        if counted.rows_affected() == 0 {
            return Ok(FollowedUp::Enough);
        }
        let id = self.insert_run(&mut tx, run, &mut making).await?;
        making.commit(tx, doing).await?;
        self.tell_due();
        Ok(FollowedUp::Run(id))
    }
}
