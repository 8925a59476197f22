use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::config::fixtures::config;
use runbook::command::Word;
use runbook::event::DRILL;

const AT: &str = "2026-08-20T03:00:00Z";
const ALERT: &str = "All SE endpoints down in prod-us-south";
const PUBLIC_DOWN: &str = "All Public endpoints down in prod-us-south";

fn event(event_type: &str, data: Value, agent: Value) -> Event {
    let body =
        json!({"event": {"id": "E1", "event_type": event_type, "occurred_at": AT, "agent": agent, "data": data}});
    Event::read(body.to_string().as_bytes())
}

fn incident(title: &str) -> Value {
    json!({"id": "Q1", "number": 7, "title": title, "html_url": "https://x/Q1", "incident_key": "k",
           "service": {"id": "PREGSTR", "summary": "Containers Registry"}})
}

fn of(event_type: &str, data: Value) -> Event {
    event(event_type, data, Value::Null)
}

fn known(incident_id: &str) -> life::Alert {
    life::Alert::new("ours".into(), incident_id, "prod-eu-de".parse().unwrap(), None)
}

fn plain(event: &Event, known: Option<&life::Alert>) -> Result<Follow, String> {
    route(event, &config(&[], ""), known)
}

/// The run that follows.
#[track_caller]
fn run(follow: Result<Follow, String>) -> NewRun {
    match follow {
        Ok(Follow::Start(run)) => run,
        other => panic!("no run: {other:?}"),
    }
}

#[track_caller]
fn ignored(follow: Result<Follow, String>, why: &str) {
    match follow {
        Err(reason) => assert!(reason.contains(why), "{why}: {reason}"),
        other => panic!("not ignored: {other:?}"),
    }
}

#[test]
fn a_triggered_alert_starts_a_run() {
    let run = run(plain(&of("incident.triggered", incident(&format!("[prod] {ALERT} "))), None));
    let incident = run.incident.unwrap();
    assert_eq!((incident.id.as_str(), incident.number, incident.html_url.as_str()), ("Q1", 7, "https://x/Q1"));
    assert_eq!((run.region.as_str(), run.trigger, run.reopened), ("prod-us-south", Trigger::Webhook, false));
    assert_eq!(run.alert_at, AT.parse::<Timestamp>().ok());
}

#[test]
fn a_reopened_one_starts_another_for_the_region_that_is_remembered() {
    let reopened = |title| of("incident.reopened", incident(title));
    let again = run(plain(&reopened(ALERT), None));
    assert_eq!((again.region.as_str(), again.reopened), ("prod-us-south", true));
    for title in ["renamed", ALERT, PUBLIC_DOWN] {
        let again = run(plain(&reopened(title), Some(&known("Q1"))));
        assert_eq!((again.region.as_str(), again.reopened), ("prod-eu-de", true), "{title}");
    }
    ignored(plain(&reopened("renamed"), None), "title");
    // A triggered one is what its title says, whatever is remembered.
    let first = run(plain(&of("incident.triggered", incident(ALERT)), Some(&known("Q1"))));
    assert_eq!(first.region.as_str(), "prod-us-south");
}

#[test]
fn what_is_no_alert_here_is_ignored_with_the_reason() {
    let with = |field: &str, value: Value| {
        let mut data = incident(ALERT);
        data[field] = value;
        of("incident.triggered", data)
    };
    for title in ["", "All SE endpoints down in ../etc", "All SE endpoints down: prod", "Disk full"] {
        ignored(plain(&of("incident.triggered", incident(title)), None), "title");
    }
    ignored(plain(&with("incident_key", json!("se-responder/Q0")), None), "this service opened");
    run(plain(&with("incident_key", json!("x/se-responder/Q0")), None));
    run(plain(&with("incident_key", Value::Null), None));
    let on = |id: &str, name: &str| with("service", json!({"id": id, "summary": name}));
    ignored(plain(&on("P1", "Cloud Service Endpoint"), None), "escalation service");
    run(plain(&on("P1", "Cloud Service Endpoint (staging)"), None));
    let by_id = config(&[("ESCALATION_SERVICE", "PCLOUDS")], "");
    ignored(route(&on("PCLOUDS", "Renamed"), &by_id, None), "escalation service");
    let some = config(&[("PAGERDUTY_SERVICE_IDS", "P5, P6")], "");
    for (id, handled) in [("P5", true), ("P6", true), ("P7", false), ("", false)] {
        let follow = route(&on(id, "x"), &some, None);
        if handled {
            run(follow);
        } else {
            ignored(follow, "PAGERDUTY_SERVICE_IDS");
        }
    }
    run(plain(&with("service", Value::Null), None));
    ignored(route(&with("service", Value::Null), &some, None), "PAGERDUTY_SERVICE_IDS");
}

#[test]
fn a_title_that_sounds_like_an_alerts_is_told_unless_it_is_ours() {
    let title = "SE endpoints down: prod-us-south";
    let odd = |event_type: &str, field: &str, value: Value, settings: &[(&str, &str)]| {
        let mut data = incident(title);
        data[field] = value;
        not_understood(&of(event_type, data), &config(settings, "")).is_some()
    };
    let service = |id: &str, name: &str| json!({"id": id, "summary": name});
    for event_type in ["incident.triggered", "incident.reopened"] {
        assert!(odd(event_type, "x", Value::Null, &[]), "{event_type}");
        assert!(!odd(event_type, "title", json!(ALERT), &[]), "{event_type}");
        assert!(!odd(event_type, "title", json!("Disk full"), &[]), "{event_type}");
        assert!(!odd(event_type, "incident_key", json!("se-responder/Q0"), &[]), "ours, {event_type}");
        assert!(!odd(event_type, "service", service("P1", "Cloud Service Endpoint"), &[]), "{event_type}");
        assert!(!odd(event_type, "service", service("P1", "x"), &[("PAGERDUTY_SERVICE_IDS", "P2")]));
        assert!(odd(event_type, "service", service("P2", "x"), &[("PAGERDUTY_SERVICE_IDS", "P2")]));
    }
    assert!(!odd("incident.acknowledged", "x", Value::Null, &[]));
}

#[test]
fn a_page_that_may_explain_alerts_wakes_who_waits() {
    let glb = "DOWN | Origin - reg-glob-us-south-endpoint-01 | Pool - reg-glob | Response code mismatch error";
    for title in [PUBLIC_DOWN, glb] {
        for event_type in ["incident.triggered", "incident.reopened"] {
            let follow = plain(&of(event_type, incident(title)), None);
            assert!(matches!(follow, Ok(Follow::RelatedOpened)), "{event_type} {title}: {follow:?}");
        }
        let follow = plain(&of("incident.resolved", incident(title)), None);
        assert!(matches!(follow, Ok(Follow::RelatedResolved)), "{title}: {follow:?}");
    }
}

#[test]
fn a_resolution_is_the_alerts_or_a_related_pages_or_nothing() {
    let resolved = of("incident.resolved", incident("renamed"));
    let Ok(Follow::AlertResolved { incident_id, at }) = plain(&resolved, Some(&known("Q1"))) else { panic!() };
    assert_eq!(at, AT.parse().ok(), "by PagerDuty's clock");
    assert_eq!(incident_id, "Q1");
    // Merged away: the alert lives on elsewhere.
    ignored(plain(&resolved, Some(&known("Q2"))), "merged into Q2");
    ignored(plain(&resolved, None), "neither an alert");
    // An alert whose title is now that of a related page is still the alert.
    let follow = plain(&of("incident.resolved", incident(PUBLIC_DOWN)), Some(&known("Q1")));
    assert!(matches!(follow, Ok(Follow::AlertResolved { .. })), "{follow:?}");
}

#[test]
fn a_persons_command_on_an_alert_is_the_alerts_whatever_name_it_was_written_under() {
    let person = json!({"id": "PANN", "type": "user_reference", "summary": "Ann"});
    let note = |content: &str| json!({"id": "N1", "content": content, "incident": {"id": "Q1"}});
    let annotated = |content, agent| event("incident.annotated", note(content), agent);
    let followed = plain(&annotated("/hold", person.clone()), Some(&known("Q2")));
    let Ok(Follow::Command { incident_id, command }) = followed else { panic!("{followed:?}") };
    assert_eq!((incident_id.as_str(), command.word, command.key.as_str()), ("Q2", Word::Hold, "N1:hold"));
    assert_eq!((command.user_id.as_str(), command.who()), ("PANN", "Ann"));
    ignored(plain(&annotated("/hold", person.clone()), None), "no run");
    ignored(plain(&annotated("hello", person), Some(&known("Q1"))), "not a command");
    ignored(plain(&annotated("/hold", Value::Null), Some(&known("Q1"))), "no author");
}

#[test]
fn everything_else_is_kept_and_nothing_follows() {
    for event_type in ["incident.acknowledged", "incident.priority_updated", "incident.brand_new"] {
        ignored(plain(&of(event_type, incident(ALERT)), Some(&known("Q1"))), event_type);
    }
    ignored(plain(&of("pagey.ping", json!({"type": "ping"})), None), "about no incident");
    ignored(plain(&of("incident.triggered", json!({"title": ALERT})), None), "can't be read");
    ignored(plain(&Event::read(b"\xff"), None), "can't be read");
}

#[test]
fn a_drill_is_a_run_that_is_about_no_incident_of_pagerdutys() {
    let drill = |title: &str| {
        let body = json!({"event": {"id": "E1", "event_type": "incident.triggered", "occurred_at": AT,
                                    "client": {"name": DRILL}, "data": incident(title)}});
        plain(&Event::read(body.to_string().as_bytes()), None)
    };
    match drill(ALERT) {
        Ok(Follow::Drill { incident, region }) => {
            assert_eq!((incident.id.as_str(), region.as_str()), ("Q1", "prod-us-south"));
        }
        other => panic!("{other:?}"),
    }
    ignored(drill(PUBLIC_DOWN), "All SE endpoints down in <region>");
}
