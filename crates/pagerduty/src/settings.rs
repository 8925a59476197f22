//! How the account is reached.

use outbound::secret::Secret;
use url::Url;

/// How PagerDuty's REST API is reached.
#[derive(Clone, Debug)]
pub struct PagerDutySettings {
    /// `PAGERDUTY_API_URL`.
    pub api_url: Url,
    /// `PAGERDUTY_API_TOKEN`, sent as `Authorization: Token token=…`.
    pub token: Secret,
    /// `PAGERDUTY_FROM`: the e-mail address of a user, sent as `From` with every write.
    pub from: String,
}
