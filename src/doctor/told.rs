//! Slack and GHE: whether who else is told can be. Nothing is written.

use super::{Check, Patient, State, System, limited, unanswered, unset};
use crate::config::TellSettings;
use crate::run::notify::Elsewhere;
use outbound::error::Error;
use runbook::notify::Place;

const SLACK: [(Place, &str, &str); 2] = [
    (Place::SlackRegistry, "SLACK_REGISTRY_TOKEN", "SLACK_REGISTRY_CHANNEL"),
    (Place::SlackSe, "SLACK_SE_TOKEN", "SLACK_SE_CHANNEL"),
];
const GHE: [&str; 4] = ["GHE_API_URL", "GHE_REPO", "GHE_TOKEN", "GHE_ISSUES"];
const SLACK_OTHERWISE: &str = "is SLACK_API_URL right, and may this machine reach it (proxy, firewall, DNS)?";
const GHE_OTHERWISE: &str = "is GHE_API_URL right (https://<host>/api/v3), and may this machine reach it?";
const UNKNOWN: &str = "not known while the token is not accepted";

/// Slack: each workspace that is configured.
pub(super) async fn slack(patient: Patient<'_>) -> Vec<Check> {
    let settings = TellSettings { ghe: None, ..patient.config.telling.clone() };
    let elsewhere = match Elsewhere::new(&settings, patient.clock) {
        Ok(elsewhere) => elsewhere,
        Err(error) => return vec![unanswered(System::Slack, "token", State::Failed, &error, SLACK_OTHERWISE)],
    };
    let mut checks = Vec::new();
    for (place, token, channel) in SLACK {
        if patient.problems.concern(&[token, channel, "SLACK_API_URL"]) {
            checks.push(unset(System::Slack, "token", &format!("{token}, {channel}")).of(token));
            continue;
        }
        let Some(slack) = elsewhere.slack(place) else { continue };
        let (identity, read) = tokio::join!(
            limited(patient.clock, "asking Slack whose token this is", slack.identity()),
            limited(patient.clock, "reading the Slack channel", slack.read_channel()),
        );
        let failed = |name, error: &Error| unanswered(System::Slack, name, State::Failed, error, SLACK_OTHERWISE);
        match identity {
            Ok(identity) => {
                let detail = format!("it is that of {} in the workspace {}", identity.user, identity.team);
                checks.push(Check::new(System::Slack, "token", State::Ok, detail).of(token));
                checks.push(
                    match read {
                        Ok(()) => Check::new(System::Slack, "channel", State::Ok, "the bot may read it".to_owned()),
                        Err(error) => failed("channel", &error),
                    }
                    .of(channel),
                );
            }
            Err(error) => {
                checks.push(failed("token", &error).of(token));
                checks.push(Check::new(System::Slack, "channel", State::Skipped, UNKNOWN).of(channel));
            }
        }
    }
    checks
}

/// GHE, where issues are created.
pub(super) async fn ghe(patient: Patient<'_>) -> Vec<Check> {
    if patient.problems.concern(&GHE) {
        return vec![unset(System::Ghe, "token", &GHE.join(", "))];
    }
    let settings = TellSettings { ghe: patient.config.telling.ghe.clone(), ..TellSettings::default() };
    let elsewhere = match Elsewhere::new(&settings, patient.clock) {
        Ok(elsewhere) => elsewhere,
        Err(error) => return vec![unanswered(System::Ghe, "token", State::Failed, &error, GHE_OTHERWISE)],
    };
    let Some(github) = elsewhere.github() else { return Vec::new() };
    let failed = |name, error: &Error| unanswered(System::Ghe, name, State::Failed, error, GHE_OTHERWISE);
    let login = match limited(patient.clock, "asking GitHub whose token this is", github.login()).await {
        Ok(login) => login,
        Err(error) => {
            return vec![failed("token", &error), Check::new(System::Ghe, "issues", State::Skipped, UNKNOWN)];
        }
    };
    let issues = limited(patient.clock, "reading the issues of GHE_REPO", github.read_issues(&login)).await;
    vec![
        Check::new(System::Ghe, "token", State::Ok, format!("it is that of {login}")),
        match issues {
            Ok(()) => Check::new(System::Ghe, "issues", State::Ok, format!("those of {} may be read", github.repo())),
            Err(error) => failed("issues", &error),
        },
    ]
}
