//! Services: found by exact name or id.

use reqwest::StatusCode;
use serde::Deserialize;

use super::model::{Service, is_id};
use super::request::checked;
use super::{Error, PagerDuty};

#[derive(Deserialize)]
struct One {
    service: Service,
}

impl PagerDuty {
    /// The service with exactly this name, else with this id.
    ///
    /// # Errors
    /// Two services have this name (nobody is paged by guessing), or PagerDuty can't be asked.
    pub async fn find_service(&self, name_or_id: &str) -> Result<Option<Service>, Error> {
        let doing = format!("looking for the PagerDuty service {name_or_id:.100}");
        let wanted = name_or_id.trim();
        if wanted.is_empty() {
            return Err(Error::local(doing, "a service needs a name or an id"));
        }
        let named: Vec<Service> = self.list(&doing, &["services"], &[("query", wanted)], "services").await?;
        let mut named = named.into_iter().filter(|service| service.name == wanted);
        match (named.next(), named.next()) {
            (Some(service), None) => Ok(Some(service)),
            (Some(one), Some(other)) => Err(Error {
                advice: Some("give the service's id in place of its name"),
                ..Error::local(doing, format!("both {} and {} have this name", one.id, other.id))
            }),
            (None, _) if is_id(wanted) => self.service(wanted).await,
            (None, _) => Ok(None),
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
