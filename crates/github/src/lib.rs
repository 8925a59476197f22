//! Tells and asks GitHub Enterprise: issues of ours in one repository. They are listed, never searched for (a search shows
//! late), and one is created. A write is never sent again here: the caller looks first ([`GitHub::find`]).
//!
//! It knows GitHub's API, and must not know what an issue says, nor why. Begin with [`GitHub`].

mod request;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use outbound::clock::Clock;
use outbound::error::Error;
use outbound::http::http_client;
use outbound::outage::Outage;
use outbound::permit::Permit;
use outbound::secret::Secret;
use runbook::json::entries;

/// The issues of a page of a list.
const PAGE: usize = 100;
/// The most pages that are read of our own issues.
const PAGES: usize = 30;

/// How a repository is reached.
#[derive(Clone, Debug)]
pub struct GitHubSettings {
    /// `GHE_API_URL`: `https://<host>/api/v3`.
    pub api_url: Url,
    /// `GHE_REPO`: owner and name.
    pub repo: (String, String),
    /// `GHE_TOKEN`.
    pub token: Secret,
}

/// One repository. Clones share its rate limit.
#[derive(Clone, Debug)]
pub struct GitHub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    settings: GitHubSettings,
    clock: Clock,
    /// GitHub takes nothing before then.
    closed_until: Mutex<Option<Timestamp>>,
    outage: Outage,
}

/// An issue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Issue {
    /// Its number in the repository.
    pub number: u64,
    /// Its page.
    #[serde(default)]
    pub html_url: String,
    /// What it says.
    #[serde(default, deserialize_with = "runbook::json::or_default")]
    pub body: String,
}

#[derive(Deserialize)]
struct User {
    login: String,
}

impl GitHub {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// The URL can't be used, or the machine's TLS setup is unusable.
    pub fn new(settings: GitHubSettings, clock: Clock) -> Result<Self, Error> {
        if settings.api_url.cannot_be_a_base() {
            let got = format!("GHE_API_URL is {}, which is not an http(s) URL", settings.api_url);
            return Err(Error::local("setting up the GitHub client", got));
        }
        let outage = Outage::new("GHE", clock.clone());
        Ok(Self(Arc::new(Inner { http: http_client()?, settings, clock, closed_until: Mutex::default(), outage })))
    }

    /// `owner/name`.
    pub fn repo(&self) -> String {
        let (owner, name) = &self.0.settings.repo;
        format!("{owner}/{name}")
    }

    /// Whose the token is.
    ///
    /// # Errors
    /// GitHub does not know it, or can't be asked.
    pub async fn login(&self) -> Result<String, Error> {
        let user: User = self.get("asking GitHub whose token this is", &["user"], &[]).await?.0;
        Ok(user.login)
    }

    /// The issue with this marker in its body, of all that `login` has created, open or closed; `None`: there is none.
    ///
    /// # Errors
    /// GitHub can't be asked, or there are more than are read: then it is not known.
    pub async fn find(&self, login: &str, marker: &str) -> Result<Option<Issue>, Error> {
        let doing = format!("looking for an issue of {login:.64} in {:.128}", self.repo());
        for page in 1..=PAGES {
            let (issues, more) = self.issues(&doing, login, PAGE, page).await?;
            // What stands between us may drop the header that tells of more.
            let more = more || issues.len() == PAGE;
            if let Some(found) = issues.into_iter().find(|issue| issue.body.contains(marker)) {
                return Ok(Some(found));
            }
            if !more {
                return Ok(None);
            }
        }
        Err(Error::malformed(&doing, format!("more than {} issues", PAGES * PAGE)))
    }

    /// Reads one issue of the repository, to see whether its issues may be read.
    ///
    /// # Errors
    /// They may not, or GitHub can't be asked.
    pub async fn read_issues(&self, login: &str) -> Result<(), Error> {
        let doing = format!("reading the issues of {:.128}", self.repo());
        self.issues(&doing, login, 1, 1).await.map(drop)
    }

    /// Creates an issue; its label may be dropped silently.
    ///
    /// # Errors
    /// It was refused; or, as [`outbound::error::Kind::Ambiguous`], it may be there: look for it.
    pub async fn create(&self, permit: &Permit, title: &str, body: &str, label: &str) -> Result<Issue, Error> {
        let doing = format!("creating an issue in {:.128}", self.repo());
        let (owner, name) = &self.0.settings.repo;
        let body = json!({"title": title, "body": body, "labels": [label]});
        self.post(permit, &doing, &["repos", owner, name, "issues"], &body).await
    }

    async fn issues(&self, doing: &str, login: &str, limit: usize, page: usize) -> Result<(Vec<Issue>, bool), Error> {
        let (owner, name) = &self.0.settings.repo;
        let (limit, page) = (limit.to_string(), page.to_string());
        let query = [
            ("creator", login),
            ("state", "all"),
            ("sort", "created"),
            ("direction", "desc"),
            ("per_page", limit.as_str()),
            ("page", page.as_str()),
        ];
        let (list, more): (Vec<Value>, bool) = self.get(doing, &["repos", owner, name, "issues"], &query).await?;
        let (issues, left_out) = entries::<Issue>(list);
        if !left_out.is_empty() {
            // One of them may be the one that is looked for.
            return Err(Error::malformed(doing, format!("{} issues that can't be read", left_out.len())));
        }
        Ok((issues, more))
    }
}
