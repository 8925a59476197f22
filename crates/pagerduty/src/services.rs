//! Services: found by exact name or id.

use reqwest::StatusCode;
use serde::Deserialize;

use super::model::{Service, is_id};
use super::request::checked;
use super::{Error, PagerDuty};
use runbook::json::LeftOut;

#[derive(Deserialize)]
struct One {
    service: Service,
}

impl PagerDuty {
    /// The service with exactly this name, else with this id.
    ///
    /// # Errors
    /// Two services have this name (nobody is paged by guessing), PagerDuty can't be asked, or what it shows under this
    /// name can't be read.
    pub async fn find_service(&self, name_or_id: &str) -> Result<Option<Service>, Error> {
        let doing = format!("looking for the PagerDuty service {name_or_id:.100}");
        let wanted = name_or_id.trim();
        if wanted.is_empty() {
            return Err(Error::local(doing, "a service needs a name or an id"));
        }
        let shown = self.list::<Service>(&doing, &["services"], &[("query", wanted)], "services").await?;
        let unreadable = |left: &LeftOut| {
            Error::malformed(&doing, format!("a service that can't be read, and may be the one: {}", left.why))
        };
        // Two of one name: nobody is paged by guessing, whichever of them can be read.
        if let Some(left) = shown.left_out.iter().find(|left| left.text("name") == Some(wanted)) {
            return Err(unreadable(left));
        }
        let mut named = shown.entries.iter().filter(|service| service.name == wanted).cloned();
        match (named.next(), named.next()) {
            // What has no name that can be read (`null`, say) takes nothing from a service that has just this one.
            (Some(service), None) => Ok(Some(service)),
            (Some(one), Some(other)) => Err(Error {
                advice: Some("give the service's id in place of its name"),
                ..Error::local(doing, format!("both {} and {} have this name", one.id, other.id))
            }),
            (None, _) => {
                if is_id(wanted)
                    && let Some(service) = self.service(wanted).await?
                {
                    return Ok(Some(service));
                }
                // That there is none is never said while one that can't be read may be it: the page would be given up.
                match shown.left_out.iter().find(|left| left.text("name").is_none()) {
                    Some(left) => Err(unreadable(left)),
                    None => Ok(None),
                }
            }
        }
    }

    /// The service with this id, `None` where PagerDuty knows none (or shows none to this token).
    ///
    /// # Errors
    /// `id` is none, or PagerDuty can't be asked.
    pub async fn service(&self, id: &str) -> Result<Option<Service>, Error> {
        let doing = format!("asking PagerDuty for the service {id:.64}");
        match self.get::<One>(&doing, &["services", checked(&doing, id)?], &[]).await {
            Ok(one) => Ok(Some(one.service)),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
