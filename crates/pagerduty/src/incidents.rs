//! Incidents: asked for, listed, looked up by key, opened.

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::model::Incident;
use super::request::checked;
use super::{Error, Kind, Listed, PagerDuty};
use outbound::permit::Permit;
use runbook::json::or_default;

/// PagerDuty's limit of a key.
const MAX_KEY: usize = 255;
/// PagerDuty's limit of a title.
pub(super) const MAX_TITLE: usize = 1024;
/// More incidents without a key than this, in answer to a key, mean that the key was not looked at.
const MAX_KEYLESS: usize = 25;

/// An incident to be opened, with high urgency.
#[derive(Clone, Debug)]
pub struct NewIncident {
    /// Its title; what is beyond 1,024 characters is cut.
    pub title: String,
    /// The service to open it on.
    pub service_id: String,
    /// Its de-duplication key, at most 255 characters: PagerDuty refuses a second open one on the same service.
    pub incident_key: String,
    /// Its body, for people.
    pub body: String,
    /// It is not handed in after this.
    pub by: Timestamp,
}

/// What became of a [`NewIncident`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is open.
    New(Box<Incident>),
    /// An open incident of that service has this key already: look it up by [`PagerDuty::incidents_with_key`].
    KeyTaken,
}

#[derive(Deserialize)]
struct One {
    incident: Incident,
}

#[derive(Deserialize)]
struct Alert {
    #[serde(default, deserialize_with = "or_default")]
    alert_key: Option<String>,
}

impl PagerDuty {
    /// One incident, `None` where PagerDuty knows none (or shows none to this token). PagerDuty also takes an
    /// incident's number for its id: go on with the answer's `id`.
    ///
    /// # Errors
    /// `id` is none, or PagerDuty can't be asked.
    pub async fn incident(&self, id: &str) -> Result<Option<Incident>, Error> {
        let doing = format!("asking PagerDuty for the incident {id:.64}");
        match self.get::<One>(&doing, &["incidents", checked(&doing, id)?], &[]).await {
            Ok(one) => Ok(Some(one.incident)),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All open incidents, however old: of all services, or of those whose ids are given. None twice, oldest first. Each
    /// that was open all the while is there, or among what can't be read.
    ///
    /// # Errors
    /// PagerDuty can't be asked, or has more than 10,000, the most that it lists: an incomplete list is never returned.
    pub async fn open_incidents(&self, service_ids: &[String]) -> Result<Listed<Incident>, Error> {
        let doing = "listing PagerDuty's open incidents";
        // Without a range PagerDuty leaves out what is older than a month, open or not.
        let mut query = vec![
            ("statuses[]", "triggered"),
            ("statuses[]", "acknowledged"),
            ("date_range", "all"),
            ("sort_by", "incident_number:asc"),
        ];
        for id in service_ids {
            query.push(("service_ids[]", checked(doing, id)?));
        }
        let mut incidents: Listed<Incident> = self.list(doing, &["incidents"], &query, "incidents").await?;
        incidents.entries.retain(Incident::is_open);
        Ok(incidents)
    }

    /// All incidents with this very key, open or not, however old.
    ///
    /// An incident that came through the Events API has no key of its own, its alerts have one: those are asked.
    ///
    /// # Errors
    /// The key is empty or too long, PagerDuty can't be asked, or it shows something that may be one and can't be read,
    /// and none that is one: that there is none is never guessed.
    pub async fn incidents_with_key(&self, key: &str) -> Result<Vec<Incident>, Error> {
        let doing = format!("looking for PagerDuty incidents with the key {key:.100}");
        check_key(&doing, key)?;
        let query = [
            ("incident_key", key),
            ("statuses[]", "triggered"),
            ("statuses[]", "acknowledged"),
            ("statuses[]", "resolved"),
            ("date_range", "all"),
            ("sort_by", "incident_number:asc"),
        ];
        let answered = self.list::<Incident>(&doing, &["incidents"], &query, "incidents").await?;
        let mut found = Vec::new();
        let mut keyless = 0;
        // Whatever was given in answer to the key and can't be read, also `null`, may be the very page, unless its key
        // is another: it hides no page that is found, but without one nobody knows, and none is opened.
        let other = |key_of: Option<&str>| key_of.is_some_and(|own| !own.is_empty() && own != key);
        let mut unreadable = answered.left_out.iter().find(|left| !other(left.text("incident_key"))).map(|left| {
            Error::malformed(&doing, format!("an incident that can't be read, and may have the key: {}", left.why))
        });
        for incident in answered.entries {
            let is_it = match &incident.incident_key {
                Some(own) => own == key,
                None => {
                    keyless += 1;
                    if keyless > MAX_KEYLESS {
                        return Err(Error::malformed(doing, "a list that does not look as if the key was looked at"));
                    }
                    match self.alerts_have_key(&incident.id, key).await {
                        Ok(has_key) => has_key,
                        // As above: another incident may be it for certain.
                        Err(error) if error.kind == Kind::Malformed => {
                            unreadable.get_or_insert(error);
                            false
                        }
                        Err(error) => return Err(error),
                    }
                }
            };
            if is_it {
                found.push(incident);
            }
        }
        match unreadable {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    /// Whether some alert of an incident has this key. An entry that can't be read may be the one that has it; one whose
    /// key is no text has another.
    async fn alerts_have_key(&self, incident_id: &str, key: &str) -> Result<bool, Error> {
        let doing = format!("asking PagerDuty for the alerts of the incident {incident_id}");
        let path = ["incidents", checked(&doing, incident_id)?, "alerts"];
        let alerts = self.list::<Alert>(&doing, &path, &[], "alerts").await?;
        let has_key = alerts.iter().any(|alert| alert.alert_key.as_deref() == Some(key));
        match alerts.left_out.first() {
            Some(left) if !has_key => {
                Err(Error::malformed(doing, format!("an alert that can't be read, and may have the key: {}", left.why)))
            }
            _ => Ok(has_key),
        }
    }

    /// Opens an incident of high urgency. Runbook: "Paging the Service Endpoint team".
    ///
    /// # Errors
    /// It was refused; or, as [`Kind::Ambiguous`], it may have been opened: look it up by its key.
    pub async fn create_incident(&self, permit: &Permit, new: NewIncident) -> Result<Created, Error> {
        let doing = format!("opening a PagerDuty incident on the service {:.64}", new.service_id);
        check_key(&doing, &new.incident_key)?;
        let title: String = new.title.chars().take(MAX_TITLE).collect();
        let body = json!({"incident": {
            "type": "incident",
            "title": title,
            "service": {"id": checked(&doing, &new.service_id)?, "type": "service_reference"},
            "urgency": "high",
            "incident_key": new.incident_key,
            "body": {"type": "incident_body", "details": new.body},
        }});
        match self.write_by::<One>(permit, &doing, Method::POST, &["incidents"], &body, new.by).await {
            Ok(one) => Ok(Created::New(Box::new(one.incident))),
            Err(failure)
                if failure.error.kind == Kind::Refused(StatusCode::BAD_REQUEST)
                    && failure.text.to_lowercase().contains("matching dedup key already exists") =>
            {
                Ok(Created::KeyTaken)
            }
            Err(failure) => Err(failure.error),
        }
    }
}

/// PagerDuty takes an empty key for none, and answers with everything.
pub(super) fn check_key(doing: &str, key: &str) -> Result<(), Error> {
    if key.is_empty() || key.chars().count() > MAX_KEY {
        return Err(Error::local(doing, format!("an incident key has 1 to {MAX_KEY} characters")));
    }
    Ok(())
}
