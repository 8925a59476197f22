//! Settings of who else is told: Slack and GHE. Contract 9.

use strum::{EnumMessage, VariantArray, VariantNames};
use url::Url;

use super::taker::Taker;
use crate::config::TellSettings;
use crate::config::values::web_url;
use github::GitHubSettings;
use outbound::secret::Secret;
use runbook::links::Links;
use slack::SlackSettings;

runbook::words! { GheIssues: "kind of issue"; }

/// `GHE_ISSUES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub(super) enum GheIssues {
    /// None is created.
    Off,
    /// One an alert that was probably a CIE, once it has resolved.
    Rca,
}

impl Taker<'_> {
    pub(super) fn telling(&mut self) -> TellSettings {
        let given = self.environment.get("SLACK_API_URL").unwrap_or("https://slack.com/api");
        let api_url = self.url("SLACK_API_URL", web_url(given));
        TellSettings {
            registry: self.slack(api_url.as_ref(), "SLACK_REGISTRY_TOKEN", "SLACK_REGISTRY_CHANNEL"),
            se: self.slack(api_url.as_ref(), "SLACK_SE_TOKEN", "SLACK_SE_CHANNEL"),
            ghe: self.ghe(),
        }
    }

    fn slack(
        &mut self,
        api_url: Option<&Url>,
        token_name: &'static str,
        channel_name: &'static str,
    ) -> Option<SlackSettings> {
        let channel = self.environment.get(channel_name).map(str::to_owned);
        let problems = self.problems.len();
        let token = self.secret(token_name);
        match (&token, &channel) {
            (Some(_), None) => {
                self.problem(channel_name, format!("is missing: {token_name} needs the id of the channel to write in"));
            }
            (None, Some(_)) if self.problems.len() == problems => {
                self.problem(
                    token_name,
                    format!("is missing (or {token_name}_FILE): {channel_name} needs a bot's token"),
                );
            }
            _ => {}
        }
        if channel.as_ref().is_some_and(|channel| channel.starts_with('#')) {
            let what =
                "is a channel's name: give its id, as in C53RR7TPE, which stands at the end of the channel's details";
            self.warnings.push(format!("{channel_name} {what}"));
        }
        Some(SlackSettings { api_url: api_url?.clone(), token: token?, token_name, channel: channel?, channel_name })
    }

    fn ghe(&mut self) -> Option<GitHubSettings> {
        let rca = self.read("GHE_ISSUES", GheIssues::Off, |text| {
            text.parse().map_err(|_| format!("{text:?} is not one of {}", GheIssues::WORDS.join(", ")))
        }) == GheIssues::Rca;
        let (api_url, repo) = (self.ghe_url(), self.ghe_repo());
        let problems = self.problems.len();
        let token = self.secret("GHE_TOKEN");
        if !rca {
            return None;
        }
        for (name, is_given) in [
            ("GHE_API_URL", self.environment.get("GHE_API_URL").is_some()),
            ("GHE_REPO", self.environment.get("GHE_REPO").is_some()),
        ] {
            if !is_given {
                self.problem(name, "is missing: GHE_ISSUES=rca needs GHE_API_URL, GHE_REPO and GHE_TOKEN");
            }
        }
        if token.is_none() && self.problems.iter().skip(problems).all(|p| !p.starts_with("GHE_TOKEN")) {
            self.problem(
                "GHE_TOKEN",
                "is missing (or GHE_TOKEN_FILE): GHE_ISSUES=rca needs GHE_API_URL, GHE_REPO and GHE_TOKEN",
            );
        }
        Some(GitHubSettings { api_url: api_url?, repo: repo?, token: token.unwrap_or_else(|| Secret::from("")) })
    }

    fn ghe_url(&mut self) -> Option<Url> {
        let given = self.environment.get("GHE_API_URL")?;
        self.url("GHE_API_URL", web_url(given))
    }

    fn ghe_repo(&mut self) -> Option<(String, String)> {
        let given = self.environment.get("GHE_REPO")?;
        let is_name = |name: &str| {
            !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                && !name.starts_with('.')
        };
        match given.split_once('/') {
            Some((owner, name)) if is_name(owner) && is_name(name) => Some((owner.to_owned(), name.to_owned())),
            _ => {
                self.problem("GHE_REPO", format!("{given:?} is not a repository, as in owner/name"));
                None
            }
        }
    }

    /// The tracker of `[links]`, else `GHE_REPO`'s, else the runbook's. What is wrong with either is said elsewhere.
    pub(super) fn tracker(&self, of_file: &str) -> Option<String> {
        if of_file != Links::default().issue_tracker {
            return None;
        }
        let api = web_url(self.environment.get("GHE_API_URL")?).ok()?;
        let repo = self.environment.get("GHE_REPO")?;
        let base = match api.host_str()? {
            "api.github.com" => "https://github.com".to_owned(),
            _ => {
                let base = api.as_str().trim_end_matches('/');
                base.strip_suffix("/api/v3").unwrap_or(base).to_owned()
            }
        };
        Some(format!("{base}/{repo}/issues/new"))
    }
}
