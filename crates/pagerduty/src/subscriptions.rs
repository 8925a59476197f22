//! Webhook subscriptions: whether PagerDuty still tells us anything.

use reqwest::Method;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::request::checked;
use super::{Error, PagerDuty};
use outbound::permit::Permit;
use runbook::json::{list_or_default, or_default};

/// A webhook subscription, as far as we look at it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Subscription {
    /// Its id.
    pub id: String,
    /// Whether it produces events at all.
    #[serde(default = "yes", deserialize_with = "unless_said")]
    pub active: bool,
    /// The events that it sends.
    #[serde(default, deserialize_with = "list_or_default")]
    pub events: Vec<String>,
    /// Where to, and how that goes.
    pub delivery_method: Delivery,
    /// Whose events it sends; `None` where PagerDuty does not say.
    #[serde(default, deserialize_with = "or_default")]
    pub filter: Option<Filter>,
}

/// Whose events a subscription sends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Filter {
    /// `account_reference`, `service_reference` or `team_reference`.
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// The service's or team's id.
    #[serde(default, deserialize_with = "or_default")]
    pub id: Option<String>,
}

/// Where a subscription delivers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Delivery {
    /// Where it sends them.
    #[serde(default, deserialize_with = "or_default")]
    pub url: Option<String>,
    /// Whether PagerDuty has turned it off for a while: the address refused three webhooks in a row.
    #[serde(default, deserialize_with = "or_default")]
    pub temporarily_disabled: bool,
}

fn yes() -> bool {
    true
}

fn unless_said<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(or_default::<_, Option<bool>>(from)?.unwrap_or_else(yes))
}

#[derive(Deserialize)]
struct Created {
    webhook_subscription: Secretive,
}

#[derive(Deserialize)]
struct Secretive {
    id: String,
    delivery_method: WithSecret,
}

#[derive(Deserialize)]
struct WithSecret {
    #[serde(default)]
    secret: Option<String>,
}

impl PagerDuty {
    /// Every subscription that this token may see.
    ///
    /// # Errors
    /// It may not (403), or PagerDuty can't be asked.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, Error> {
        let doing = "listing PagerDuty's webhook subscriptions";
        Ok(self.list(doing, &["webhook_subscriptions"], &[], "webhook_subscriptions").await?.entries)
    }

    /// Turns a subscription on again that PagerDuty has disabled for a while.
    ///
    /// # Errors
    /// It may not, or PagerDuty can't be asked.
    pub async fn enable_subscription(&self, permit: &Permit, id: &str) -> Result<(), Error> {
        let doing = format!("turning on the PagerDuty webhook subscription {id:.64}");
        let path = ["webhook_subscriptions", checked(&doing, id)?, "enable"];
        let _: Value = self.write(permit, &doing, Method::POST, &path, &json!({})).await?;
        Ok(())
    }

    /// Has PagerDuty send `pagey.ping` to where a subscription delivers. Its answer says that it will, not that it did; a ping
    /// more does no harm, but whether one was sent is told by the ping alone.
    ///
    /// # Errors
    /// It may not (403), there is no such subscription (404), or PagerDuty can't be asked; or, as [`super::Kind::Ambiguous`], one
    /// may have been sent.
    pub async fn ping_subscription(&self, permit: &Permit, id: &str) -> Result<(), Error> {
        let doing = format!("having PagerDuty ping the webhook subscription {id:.64}");
        let path = ["webhook_subscriptions", checked(&doing, id)?, "ping"];
        let _: Value = self.write(permit, &doing, Method::POST, &path, &Value::Null).await?;
        Ok(())
    }

    /// Makes a subscription of a service's incidents; gives its id and the secret that signs its webhooks, which
    /// PagerDuty shows this once.
    ///
    /// # Errors
    /// It was refused; or, as [`super::Kind::Ambiguous`], it may have been made.
    pub async fn subscribe(
        &self,
        permit: &Permit,
        service_id: &str,
        url: &str,
        events: &[&str],
    ) -> Result<(String, String), Error> {
        let doing = format!("making a PagerDuty webhook subscription of the service {service_id:.64} to {url:.200}");
        let body = json!({"webhook_subscription": {
            "type": "webhook_subscription",
            "description": "se-responder",
            "delivery_method": {"type": "http_delivery_method", "url": url},
            "events": events,
            "filter": {"type": "service_reference", "id": checked(&doing, service_id)?},
        }});
        let made: Created = self.write(permit, &doing, Method::POST, &["webhook_subscriptions"], &body).await?;
        let Secretive { id, delivery_method } = made.webhook_subscription;
        match delivery_method.secret {
            Some(secret) => Ok((id, secret)),
            None => Err(Error::local(doing, format!("it was made ({id}), but PagerDuty gave no secret"))),
        }
    }
}
