//! What follows from an event, in the transaction that stores it.

use sqlx::Any;

use runbook::life::{Reply, Why};
use runbook::run::Trigger;

use super::made::Making;
use super::new_runs::NewRuns;
use super::timed::Transaction;
use super::{EventOutcome, Follow, NewRun, Store, StoreError, failed};

/// An authentic event, as it came.
#[derive(Clone, Debug)]
pub struct NewEvent<'a> {
    /// PagerDuty's id of it (or one made of its bytes, where it can't be read).
    pub id: &'a str,
    /// `incident.triggered`, …
    pub event_type: &'a str,
    /// The incident that it is about.
    pub incident_id: Option<&'a str>,
    /// Its bytes.
    pub body: &'a str,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Stored, with a run of this id.
    Run(String),
    /// Stored, and something else follows from it.
    Followed,
    /// Stored; nothing follows from it, and why.
    Ignored(String),
    /// It is stored already.
    Duplicate,
}

impl Accepted {
    /// In one word.
    pub fn outcome(&self) -> EventOutcome {
        match self {
            Self::Run(_) | Self::Followed => EventOutcome::Accepted,
            Self::Ignored(_) => EventOutcome::Ignored,
            Self::Duplicate => EventOutcome::Duplicate,
        }
    }
}

impl Store {
    /// Does what follows from an event.
    pub(super) async fn follow(
        &self,
        tx: &mut Transaction<'static, Any>,
        new: &mut NewRuns<'_>,
        follow: &Follow,
    ) -> Result<Accepted, StoreError> {
        if let Follow::Start(run) = follow
            && let Some(id) = new.make(self, run)
        {
            return Ok(Accepted::Run(id));
        }
        new.flush(self, tx).await?;
        match follow {
            Follow::Start(run) => return self.start(tx, run, &mut new.making).await,
            Follow::Drill { incident, region } => {
                let (trigger, region) = (Trigger::Webhook, region.clone());
                let run = NewRun { incident: None, region, trigger, reopened: false, alert_at: None };
                let id = self.clock.id();
                self.insert_run(tx, &id, &run, &mut new.making).await?;
                // Without an incident's id nothing can be asked or written about it; what it would be is only shown.
                sqlx::query("UPDATE runs SET incident = $1, drill = $2 WHERE id = $3")
                    .bind(super::rows::to_json(incident)?)
                    .bind(super::rows::plain(&incident.id))
                    .bind(&id)
                    .execute(&mut **tx)
                    .await
                    .map_err(failed("making a drill's run"))?;
                return Ok(Accepted::Run(id));
            }
            Follow::AlertResolved { incident_id, at } => self.resolve_in(tx, incident_id, *at).await?,
            Follow::RelatedResolved => self.wake_suppressed(tx).await?,
            Follow::RelatedOpened => {
                self.wake_suppressed(tx).await?;
                return Ok(Accepted::Ignored("it is not an alert; who waits for such pages looks again".into()));
            }
            Follow::Command { incident_id, command } => self.command_in(tx, incident_id, command).await?,
        }
        Ok(Accepted::Followed)
    }

    /// Makes a run where the alert is to have one.
    async fn start(
        &self,
        tx: &mut Transaction<'static, Any>,
        run: &NewRun,
        making: &mut Making<'_>,
    ) -> Result<Accepted, StoreError> {
        Ok(match self.begin_in(tx, run, making).await? {
            Reply::Started(id) | Reply::SuppressionSkipped(id) => Accepted::Run(id),
            Reply::Ignored(why) => Accepted::Ignored(why.to_string()),
            Reply::Active(id) => Accepted::Ignored(Why::Active(id).to_string()),
            Reply::Paging | Reply::Paged(_) | Reply::Closed | Reply::Kept => Accepted::Followed,
        })
    }
}
