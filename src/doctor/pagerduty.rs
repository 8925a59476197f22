//! PagerDuty: the token, the user in whose name is written, the services, the webhook subscription, the very look-up of
//! related pages that a run makes, and the Events API where pages go through it.

mod titles;

use super::{Check, Patient, State, System, clock, limited, unanswered, unset};
use crate::config::{Config, Problems};
use crate::inbox::subscription;
use outbound::error::Error;
use pagerduty::{PagerDuty, PagerDutySettings, Service, ServiceStatus};
use runbook::gate::EscalationMode;

const NEEDED: [&str; 2] = ["PAGERDUTY_API_URL", "PAGERDUTY_API_TOKEN"];
const OTHERWISE: &str = "is PAGERDUTY_API_URL right, and may this machine reach it (proxy, firewall, DNS)?";
/// The length of a routing key.
const ROUTING_KEY: usize = 32;

/// A question and what came of it.
type Answered = (&'static str, Result<Vec<Check>, Error>);

pub(super) async fn examine(patient: Patient<'_>) -> Vec<Check> {
    let Patient { config, problems, .. } = patient;
    let own;
    let client = match patient.pagerduty {
        Some(client) => client,
        None => match PagerDuty::new(readable(config, problems), patient.clock.clone()) {
            Ok(client) => {
                own = client;
                &own
            }
            Err(error) => return vec![unanswered(System::PagerDuty, "api", State::Failed, &error, OTHERWISE)],
        },
    };
    if problems.concern(&NEEDED) {
        let mut checks = vec![unset(System::PagerDuty, "api", &NEEDED.join(", "))];
        checks.extend(events_api(patient, client).await);
        return checks;
    }
    let ask = async |name: &'static str, work: futures::future::BoxFuture<'_, Result<Vec<Check>, Error>>| -> Answered {
        (name, limited(patient.clock, &format!("asking PagerDuty for {}", name.replace('_', " ")), work).await)
    };
    let (related, from, escalation, services, subscription, events) = tokio::join!(
        ask("related_pages", Box::pin(related_pages(patient, client))),
        ask("from", Box::pin(from(patient, client))),
        ask("escalation_service", Box::pin(escalation_service(patient, client))),
        ask("services", Box::pin(services(config, client))),
        ask("subscription", Box::pin(subscription(config, client))),
        events_api(patient, client),
    );
    let mut checks = judge(config, vec![related, from, escalation, services, subscription]);
    checks.extend(events);
    checks.extend(clock::judge(System::PagerDuty, client.clock_ahead()));
    checks
}

/// The settings of the client. An address that can't be sent goes with writes only, and there are none here.
fn readable(config: &Config, problems: &Problems) -> PagerDutySettings {
    let mut settings = config.pagerduty.clone();
    if problems.concern(&["PAGERDUTY_FROM"]) {
        settings.from.clear();
    }
    settings
}

fn check(name: &'static str, state: State, detail: impl Into<String>) -> Check {
    Check::new(System::PagerDuty, name, state, detail)
}

/// One word on whether PagerDuty can be asked at all, and then each answer. Where it can't, the others say nothing of
/// their own.
fn judge(config: &Config, answered: Vec<Answered>) -> Vec<Check> {
    let errors = || answered.iter().filter_map(|(_, answer)| answer.as_ref().err());
    let refused = errors().find(|error| error.status().is_some_and(|status| status.as_u16() == 401));
    // An answer that is no says at least that PagerDuty is there; a check that asked nothing does not.
    let mute = !answered.iter().any(|(_, answer)| match answer {
        Ok(checks) => checks.iter().any(|check| check.state != State::Skipped),
        Err(error) => error.status().is_some_and(|status| !status.is_redirection()),
    });
    let trouble = refused.or_else(|| errors().next().filter(|_| mute));
    let mut checks = vec![match trouble {
        Some(error) => unanswered(System::PagerDuty, "api", State::Failed, error, OTHERWISE),
        None => check("api", State::Ok, format!("{} answers, and takes the token", config.pagerduty.api_url)),
    }];
    let down = trouble.is_some();
    for (name, answer) in answered {
        checks.extend(match answer {
            Ok(checks) => checks,
            Err(_) if down => vec![check(name, State::Skipped, "not known while PagerDuty does not answer")],
            Err(error) => {
                // The service works without seeing these; that they are not shown is no proof that they are missing.
                let optional = matches!(name, "from" | "subscription");
                let hidden = error.status().is_some_and(|status| matches!(status.as_u16(), 402..=404));
                let state = if optional && hidden { State::Warning } else { State::Failed };
                vec![unanswered(System::PagerDuty, name, state, &error, OTHERWISE)]
            }
        });
    }
    checks
}

/// The very call that a run makes; and of what it lists, what may be an alert that nobody diagnoses.
async fn related_pages(patient: Patient<'_>, client: &PagerDuty) -> Result<Vec<Check>, Error> {
    let open = client.open_incidents(&[]).await?;
    let count = open.len();
    let listed = match open.left_out.first() {
        None => check("related_pages", State::Ok, format!("open incidents can be listed: {count} now")),
        Some(first) => {
            let bad = open.left_out.len();
            let detail =
                format!("open incidents can be listed: {count} now, and {bad} that can't be read: {}", first.why);
            check("related_pages", State::Warning, detail)
        }
    };
    Ok(vec![listed, titles::titles(patient, &open).await])
}

async fn from(patient: Patient<'_>, client: &PagerDuty) -> Result<Vec<Check>, Error> {
    if patient.problems.concern(&["PAGERDUTY_FROM"]) {
        return Ok(vec![unset(System::PagerDuty, "from", "PAGERDUTY_FROM")]);
    }
    let from = &patient.config.pagerduty.from;
    Ok(vec![match client.user_by_email(from).await? {
        Some(user) => check("from", State::Ok, format!("notes and pages are written as {:.100}", user.name)),
        None => check("from", State::Failed, format!("no user of this account has the address {from:.100}"))
            .mend("set PAGERDUTY_FROM to the e-mail address of a user of this PagerDuty account"),
    }])
}

async fn escalation_service(patient: Patient<'_>, client: &PagerDuty) -> Result<Vec<Check>, Error> {
    let name = "escalation_service";
    let wanted = &patient.config.escalation.service;
    if patient.problems.concern(&["ESCALATION_MODE"]) {
        return Ok(vec![unset(System::PagerDuty, name, "ESCALATION_MODE")]);
    }
    if patient.config.escalation.mode == EscalationMode::Off {
        return Ok(vec![check(name, State::Skipped, "not needed: ESCALATION_MODE is off")]);
    }
    let Some(service) = client.find_service(wanted).await? else {
        let detail = format!("there is no service with the exact name or id {wanted:?}, or this token may not see it");
        return Ok(vec![
            check(name, State::Failed, detail)
                .mend("set ESCALATION_SERVICE to its exact name or id, and give the token access to it"),
        ]);
    };
    Ok(vec![judge_service(&service)])
}

fn judge_service(service: &Service) -> Check {
    let name = "escalation_service";
    let Service { id, name: called, html_url, .. } = service;
    let at = if html_url.is_empty() { "its page in PagerDuty" } else { html_url };
    let failed =
        |what: &str| check(name, State::Failed, format!("{called:.100} ({id}) {what}: a page would reach nobody"));
    match service.status {
        ServiceStatus::Disabled => failed("is disabled").mend(format!("enable it on {at}")),
        ServiceStatus::Maintenance => {
            failed("is in a maintenance window").mend(format!("wait for the window to end, or end it on {at}"))
        }
        _ if !service.has_policy => {
            failed("has no escalation policy").mend(format!("give it an escalation policy on {at}"))
        }
        _ => check(name, State::Ok, format!("{called:.100} ({id}) can be paged")),
    }
}

async fn services(config: &Config, client: &PagerDuty) -> Result<Vec<Check>, Error> {
    let name = "services";
    if config.service_ids.is_empty() {
        return Ok(vec![check(name, State::Skipped, "not needed: alerts of any service are handled")]);
    }
    let found = futures::future::try_join_all(config.service_ids.iter().map(|id| client.service(id))).await?;
    let each = config.service_ids.iter().zip(found).map(|(id, service)| {
        match service {
            Some(service) => check(name, State::Ok, format!("alerts of {:.100} are handled", service.name)),
            None => check(name, State::Failed, "there is no such service, or this token may not see it")
                .mend("fix PAGERDUTY_SERVICE_IDS (ids, as in the service's address), or the token's access"),
        }
        .of(id)
    });
    Ok(each.collect())
}

async fn subscription(config: &Config, client: &PagerDuty) -> Result<Vec<Check>, Error> {
    let name = "subscription";
    let all = client.subscriptions().await?;
    let fix = "se-responder subscribe --service <id> --url https://<your proxy>/webhooks/pagerduty";
    let found = subscription::examine(&all, config.known_webhook_url().as_deref(), &config.service_ids);
    Ok(vec![match (found.trouble, found.sure) {
        (Some(trouble), _) => check(name, State::Failed, trouble).mend(match found.ours {
            0 => format!("{fix}, and its secret into PAGERDUTY_WEBHOOK_SECRETS"),
            _ => "fix it in PagerDuty: Integrations, Generic Webhooks (v3)".to_owned(),
        }),
        (None, true) => check(name, State::Ok, found.detail),
        (None, false) => check(name, State::Warning, format!("{}, but whether it is ours is not known", found.detail))
            .mend("set PUBLIC_URL to the address by which PagerDuty reaches this service, or WEBHOOK_URL where that is another"),
    }])
}

/// Whether the Events API is there; no event is sent, so that nobody is paged.
async fn events_api(patient: Patient<'_>, client: &PagerDuty) -> Vec<Check> {
    let name = "events_api";
    let escalation = &patient.config.escalation;
    if patient.problems.concern(&["PAGERDUTY_EVENTS_URL", "ESCALATION_ROUTING_KEY", "ESCALATION_MODE"]) {
        let settings = "PAGERDUTY_EVENTS_URL, ESCALATION_ROUTING_KEY, ESCALATION_MODE";
        return vec![unset(System::PagerDuty, name, settings)];
    }
    let Some(key) = escalation.routing_key.as_ref().filter(|_| escalation.mode != EscalationMode::Off) else {
        return Vec::new();
    };
    let fix = "set ESCALATION_ROUTING_KEY to the integration key of an Events API v2 integration of that service";
    match key.reveal() {
        Err(error) => {
            return vec![check(name, State::Failed, format!("the routing key can't be read: {error}")).mend(fix)];
        }
        Ok(key) if key.len() != ROUTING_KEY => {
            let detail = format!("the routing key has {} characters, not {ROUTING_KEY}", key.len());
            return vec![check(name, State::Failed, detail).mend(fix)];
        }
        Ok(_) => {}
    }
    let otherwise = "is PAGERDUTY_EVENTS_URL right, and may this machine reach it (proxy, firewall, DNS)?";
    let reached = client.reach_events(&escalation.events_url);
    vec![match limited(patient.clock, "asking whether PagerDuty's Events API answers", reached).await {
        Ok(()) => {
            let url = &escalation.events_url;
            check(name, State::Ok, format!("{url} answers; only a page would tell whether it takes the routing key"))
        }
        Err(error) => unanswered(System::PagerDuty, name, State::Failed, &error, otherwise),
    }]
}
