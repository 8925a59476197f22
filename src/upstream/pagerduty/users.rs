//! Users: whether there is one with an address.

use serde::Deserialize;

use super::model::or_default;
use super::{Error, PagerDuty};

/// A user, as far as we look at it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User {
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
        let users: Vec<User> = self.list(&doing, &["users"], &[("query", email)], "users").await?;
        Ok(users.into_iter().find(|user| user.email.eq_ignore_ascii_case(email)))
    }
}
