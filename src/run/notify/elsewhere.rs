//! The clients of who else is told, behind one face: a message goes where it belongs.

use std::sync::Arc;

use crate::config::TellSettings;
use github::GitHub;
use jiff::Timestamp;
use outbound::clock::Clock;
use outbound::error::Error;
use outbound::permit::Permit;
use runbook::notify::{Message, Place};
use slack::{Mark, Slack};

use super::issue::{LABEL, marker};

/// Who else is told. Clones share their connections.
#[derive(Clone, Debug, Default)]
pub struct Elsewhere(Arc<Clients>);

#[derive(Debug, Default)]
struct Clients {
    registry: Option<Slack>,
    se: Option<Slack>,
    ghe: Option<GitHub>,
}

/// The id of what stands, and its link where it has one.
pub(super) type Stands = (String, Option<String>);

impl Elsewhere {
    /// The clients of what is configured. Asks nothing yet.
    ///
    /// # Errors
    /// A client can't be set up.
    pub fn new(settings: &TellSettings, clock: &Clock) -> Result<Self, Error> {
        let slack = |settings: &Option<_>, who| {
            let settings: Option<slack::SlackSettings> = Clone::clone(settings);
            settings.map(|settings| Slack::new(settings, who, clock.clone())).transpose()
        };
        Ok(Self(Arc::new(Clients {
            registry: slack(&settings.registry, "Registry's Slack")?,
            se: slack(&settings.se, "the Service Endpoint team's Slack")?,
            ghe: settings.ghe.clone().map(|settings| GitHub::new(settings, clock.clone())).transpose()?,
        })))
    }

    /// Whether anybody is told.
    pub fn is_any(&self) -> bool {
        self.0.registry.is_some() || self.0.se.is_some() || self.0.ghe.is_some()
    }

    /// Slack, in this place.
    pub fn slack(&self, place: Place) -> Option<&Slack> {
        match place {
            Place::SlackRegistry => self.0.registry.as_ref(),
            Place::SlackSe => self.0.se.as_ref(),
            Place::Ghe => None,
        }
    }

    /// GHE.
    pub fn github(&self) -> Option<&GitHub> {
        self.0.ghe.as_ref()
    }

    fn none(message: &Message) -> Error {
        Error::local("telling others", format!("{} is no longer configured", message.place))
    }

    /// What was wanted `since` then, where it stands.
    pub(super) async fn find(
        &self,
        message: &Message,
        thread: Option<&str>,
        since: Timestamp,
    ) -> Result<Option<Stands>, Error> {
        if let Some(slack) = self.slack(message.place) {
            return Ok(slack.find(mark(message), thread, since).await?.map(|ts| (ts, None)));
        }
        let github = self.github().ok_or_else(|| Self::none(message))?;
        let login = github.login().await?;
        let found = github.find(&login, &marker(&message.alert)).await?;
        Ok(found.map(|issue| (issue.number.to_string(), Some(issue.html_url))))
    }

    pub(super) async fn post(&self, permit: &Permit, message: &Message, thread: Option<&str>) -> Result<Stands, Error> {
        if let Some(slack) = self.slack(message.place) {
            return Ok((slack.post(permit, mark(message), &message.text, thread).await?, None));
        }
        let github = self.github().ok_or_else(|| Self::none(message))?;
        let title = message.title.as_deref().unwrap_or_default();
        let issue = github.create(permit, title, &message.text, LABEL).await?;
        Ok((issue.number.to_string(), Some(issue.html_url)))
    }

    pub(super) async fn edit(&self, permit: &Permit, message: &Message, id: &str) -> Result<(), Error> {
        let slack = self.slack(message.place).ok_or_else(|| Self::none(message))?;
        slack.update(permit, mark(message), &message.text, id).await
    }
}

fn mark(message: &Message) -> Mark<'_> {
    Mark { alert: &message.alert, kind: &message.kind }
}
