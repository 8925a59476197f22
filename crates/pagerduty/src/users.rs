//! Users: whether there is one with an address, and which of them we are.

use std::sync::PoisonError;

use serde::Deserialize;

use super::{Error, PagerDuty};
use runbook::json::or_default;

/// A user, as far as we look at it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Its id.
    #[serde(default, deserialize_with = "or_default")]
    pub id: String,
    /// The name, for people.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// The e-mail address.
    #[serde(default, deserialize_with = "or_default")]
    pub email: String,
}

impl PagerDuty {
    /// The user with exactly this e-mail address (case does not count), `None` where the account has none.
    ///
    /// # Errors
    /// The token may not see users (403), or PagerDuty can't be asked.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>, Error> {
        let email = email.trim();
        let doing = format!("looking for the PagerDuty user {email:.100}");
        // The query is a part of the name or the address, so others may come with it.
        let users = self.list::<User>(&doing, &["users"], &[("query", email)], "users").await?;
        Ok(users.entries.into_iter().find(|user| user.email.eq_ignore_ascii_case(email)))
    }

    /// The id of the user of `PAGERDUTY_FROM`, whose notes are ours. Asked once, and kept; `None` where the account shows
    /// no such user, or none with an id.
    ///
    /// # Errors
    /// The token may not see users (403), or PagerDuty can't be asked: it is asked again next time.
    pub async fn our_user_id(&self) -> Result<Option<String>, Error> {
        let kept = self.0.our_user_id.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if kept.is_some() {
            return Ok(kept);
        }
        // It was made of a text, with nothing in it that a header can't have.
        let email = String::from_utf8_lossy(self.0.from.as_bytes()).into_owned();
        let id = self.user_by_email(&email).await?.map(|user| user.id).filter(|id| !id.is_empty());
        self.0.our_user_id.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&id);
        Ok(id)
    }
}
