//! Where notes send people.

use serde::Deserialize;

/// Where people are sent: the runbook's links unless `[links]` says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Links {
    /// `#private-marketplace`, where the Service Endpoint team is.
    pub service_endpoint_slack: String,
    /// `registry-va-users`, where Registry is.
    pub registry_slack: String,
    /// Registry's escalation policy.
    pub escalation_policy: String,
    /// Where problems with the runbook or the page are filed.
    pub issue_tracker: String,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            service_endpoint_slack: "https://ibm-cloudplatform.slack.com/messages/C88C6N338".into(),
            registry_slack: "https://ibm-argonauts.slack.com/messages/C53RR7TPE".into(),
            escalation_policy: "https://ibm.pagerduty.com/escalation_policies#PVHCBN9".into(),
            issue_tracker: "https://github.ibm.com/alchemy-registry/registry-build-squad/issues/new".into(),
        }
    }
}
