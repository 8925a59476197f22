//! The names of all settings.

/// Settings of the contract that this version reads and checks, but that do nothing yet.
pub(super) const NOT_YET_DURATIONS: [&str; 0] = [];

/// Likewise, those that are no durations.
pub(super) const NOT_YET_OTHERS: [&str; 0] = [];

pub(super) const KNOWN: [&str; 56] = [
    "CANARY_INTERVAL",
    "WEBHOOK_REENABLE",
    "RETENTION",
    "LINK_TTL",
    "LINK_SECRET",
    "LINK_SECRET_FILE",
    "PAGE_ACK_WAIT",
    "SUPPRESSION_RECHECK",
    "SUPPRESSION_SETTLE",
    "SUPPRESSION_MAX",
    "NOTE_BY",
    "FOLLOW_UP",
    "RECONCILE_INTERVAL",
    "SELF_CHECK_INTERVAL",
    "COMMAND_USERS",
    "LISTEN_ADDR",
    "PUBLIC_URL",
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "REGIONS_FILE",
    "PAGERDUTY_WEBHOOK_SECRETS",
    "PAGERDUTY_WEBHOOK_SECRETS_FILE",
    "PAGERDUTY_API_URL",
    "PAGERDUTY_API_TOKEN",
    "PAGERDUTY_API_TOKEN_FILE",
    "PAGERDUTY_FROM",
    "PAGERDUTY_SERVICE_IDS",
    "ESCALATION_SERVICE",
    "ESCALATION_MODE",
    "ESCALATION_ROUTING_KEY",
    "ESCALATION_ROUTING_KEY_FILE",
    "PAGERDUTY_EVENTS_URL",
    "ESCALATION_MAX_PER_HOUR",
    "EVIDENCE_MAX_AGE",
    "RELATED_MAX_AGE",
    "RECONCILE_MAX_AGE",
    "JENKINS_JOB_URL",
    "JENKINS_USER",
    "JENKINS_API_TOKEN",
    "JENKINS_API_TOKEN_FILE",
    "JENKINS_TIMEOUT",
    "JENKINS_POLL",
    "JENKINS_MAX_BUILDS",
    "TRANSIENT_RERUNS",
    "TRANSIENT_WAIT",
    "KUBECONFIG",
    "CLUSTER_CHECK_TIMEOUT",
    "CLUSTER_PROBE",
    "OPERATOR_TOKENS",
    "OPERATOR_TOKENS_FILE",
    "VIEWER_TOKENS",
    "VIEWER_TOKENS_FILE",
    "SHUTDOWN_GRACE",
    "LOG_FORMAT",
    "RUST_LOG",
    "HOME",
];

pub(super) fn is_known(name: &str) -> bool {
    KNOWN.contains(&name) || NOT_YET_DURATIONS.contains(&name) || NOT_YET_OTHERS.contains(&name)
}
