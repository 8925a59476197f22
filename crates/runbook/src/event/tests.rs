use serde_json::json;

use super::*;

fn body(event_type: &str, data: Value) -> Vec<u8> {
    json!({"event": {"id": "E1", "event_type": event_type, "resource_type": "incident", "data": data}})
        .to_string()
        .into_bytes()
}

#[test]
fn a_triggered_incident() {
    let event = Event::read(&body(
        "incident.triggered",
        json!({"id": "Q1", "number": 7, "title": "t", "html_url": "u", "incident_key": null, "priority": null,
               "service": {"id": "P1", "summary": "registry"}}),
    ));
    let Kind::Triggered(incident) = &event.kind else { panic!("{event:?}") };
    assert_eq!((incident.id.as_str(), incident.number, event.id.as_str()), ("Q1", 7, "E1"));
    assert_eq!(event.incident_id(), Some("Q1"));
}

#[test]
fn a_drill_is_told_by_its_client_alone_and_is_about_no_incident() {
    let of = |event_type: &str, client: Value| {
        let data = json!({"id": "DRILL1", "title": "All SE endpoints down in prod-us-south"});
        let event = json!({"id": "E1", "event_type": event_type, "client": client, "data": data});
        Event::read(json!({"event": event}).to_string().as_bytes())
    };
    let drill = of("incident.triggered", json!({"name": DRILL}));
    assert!(matches!(drill.kind, Kind::Drill(_)) && drill.incident_id().is_none(), "{drill:?}");
    for client in [json!(null), json!({"name": "Monitoring"}), json!({"name": "se-responder drill "})] {
        assert!(matches!(of("incident.triggered", client).kind, Kind::Triggered(_)));
    }
    assert!(matches!(of("incident.reopened", json!({"name": DRILL})).kind, Kind::Reopened(_)));
}

#[test]
fn odd_fields_cost_no_alert_its_run() {
    for odd in [
        json!({"number": -1, "html_url": null, "incident_key": 5, "service": "x"}),
        json!({"number": "7", "html_url": "javascript:x", "service": {"id": null, "summary": 3}}),
        json!({}),
    ] {
        let mut data = odd;
        data["id"] = json!("Q1");
        data["title"] = json!("All SE endpoints down in prod-us-south");
        let event = Event::read(&body("incident.triggered", data));
        let Kind::Triggered(incident) = &event.kind else { panic!("{event:?}") };
        assert_eq!((incident.number, incident.html_url.as_str()), (0, ""));
        assert_eq!(incident.service, ServiceRef::default());
    }
}

#[test]
fn what_strict_json_refuses_costs_no_alert_its_run() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for (field, odd) in [
        ("summary", &br#""on call \ud83d""#[..]),
        ("summary", b"\"caf\xe9\""),
        ("summary", b"\"tab\there\nand \x00\""),
        ("summary", br#""\u0000""#),
        ("summary", br#""\x41 \u12""#),
        ("number", b"1e999"),
        ("number", b"NaN"),
        ("html_url", br#""https://x/\u0000""#),
        ("incident_key", br#""\udc00""#),
        ("priority", deep.as_bytes()),
    ] {
        let before =
            format!(r#"{{"event":{{"id":"E1","event_type":"incident.triggered","data":{{"id":"Q1","{field}":"#);
        let after = br#","title":"All SE endpoints down in prod-us-south"}}}"#;
        let event = Event::read(&[before.as_bytes(), odd, after].concat());
        let Kind::Triggered(incident) = &event.kind else { panic!("{event:?}") };
        assert_eq!(incident.title, "All SE endpoints down in prod-us-south");
        assert!(!format!("{incident:?}").contains("\\0"), "{incident:?}");
        // A byte order mark before it changes nothing.
        let marked = [b"\xef\xbb\xbf", before.as_bytes(), odd, after].concat();
        assert_eq!(Event::read(&marked).kind, event.kind);
    }
}

#[test]
fn ids_that_differ_only_in_what_cannot_be_read_are_two_events() {
    let id = |id: &str| {
        let body =
            format!(r#"{{"event":{{"id":{id},"event_type":"incident.triggered","data":{{"id":"Q1","title":"t"}}}}}}"#);
        let event = Event::read(body.as_bytes());
        assert!(matches!(event.kind, Kind::Triggered(_)), "{event:?}");
        event.id
    };
    for odd in [r#""E\ud83d""#, r#""E\ud83e""#, "1e999", "null", r#""""#] {
        assert!(id(odd).starts_with("sha256:"), "{odd}");
    }
    assert_ne!(id(r#""E\ud83d""#), id(r#""E\ud83e""#));
}

/// lifecycle.md#commands: what a service, an integration, a workflow or an API key wrote is never one.
#[test]
fn only_a_user_is_a_person() {
    let author = |agent: Value| {
        let data = json!({"content": "/hold", "incident": {"id": "Q1"}});
        let event = json!({"id": "E1", "event_type": "incident.annotated", "agent": agent, "data": data});
        let Kind::Annotated(note) = Event::read(json!({"event": event}).to_string().as_bytes()).kind else { panic!() };
        note.author
    };
    for kind in ["user", "user_reference"] {
        let person = Author::Person { id: "PANN".into(), name: "Ann".into() };
        assert_eq!(author(json!({"id": "PANN", "type": kind, "summary": "Ann"})), person);
    }
    for kind in [
        "service_reference",
        "service",
        "inbound_integration_reference",
        "integration_reference",
        "workflow_reference",
        "incident_workflow_reference",
        "api_key_reference",
        "app_reference",
        "escalation_policy_reference",
        "user_reference ",
        "User_Reference",
        "bot_user_reference",
    ] {
        assert_eq!(author(json!({"id": "PANN", "type": kind, "summary": "Ann"})), Author::Machine(kind.to_owned()));
    }
    for nobody in [
        json!(null),
        json!({}),
        json!({"id": "PANN", "summary": "Ann"}),
        json!({"id": "PANN", "type": 5}),
        json!({"type": "user_reference"}),
        json!({"id": "", "type": "user_reference"}),
        json!({"id": "P\u{fffd}", "type": "user_reference"}),
        json!("PANN"),
        json!([{"id": "PANN", "type": "user_reference"}]),
    ] {
        assert_eq!(author(nobody.clone()), Author::Nobody, "{nobody}");
    }
}

#[test]
fn what_it_is_about() {
    let of = |event_type, data| Event::read(&body(event_type, data)).incident_id().map(str::to_owned);
    assert_eq!(of("incident.resolved", json!({"id": "Q1"})), Some("Q1".into()));
    assert_eq!(of("incident.annotated", json!({"id": "N1", "incident": {"id": "Q2"}})), Some("Q2".into()));
    assert_eq!(of("pagey.ping", json!({"message": "hello", "type": "ping"})), None);
    assert_eq!(of("service.updated", json!({"id": "P1"})), None);
}

#[test]
fn what_cannot_be_read_is_kept_once() {
    for bad in [
        &b"\xff\x00"[..],
        b"",
        b"[]",
        b"{\"event\":{}}",
        b"{\"event\":{\"id\":\"\",\"event_type\":\"incident.triggered\"}}",
    ] {
        let event = Event::read(bad);
        assert!(matches!(event.kind, Kind::Unreadable(_)), "{event:?}");
        assert_eq!(event, Event::read(bad), "the same bytes are the same event");
    }
    for data in [json!({}), json!(null), json!({"id": "../Q", "title": "t"}), json!({"id": 5, "title": "t"})] {
        let event = Event::read(&body("incident.triggered", data));
        assert!(matches!(event.kind, Kind::Unreadable(_)), "{event:?}");
        assert_eq!(event.id, "E1");
    }
}

#[test]
fn a_page_is_an_address_of_the_web_and_no_longer_than_one() {
    let page = |url: &str| {
        let data = json!({"id": "Q1", "title": "t", "html_url": url});
        let Kind::Triggered(incident) = Event::read(&body("incident.triggered", data)).kind else { panic!("{url}") };
        incident.html_url
    };
    for url in ["https://x.pagerduty.com/incidents/Q1", "http://x"] {
        assert_eq!(page(url), url);
    }
    let long = format!("https://{}", "x".repeat(MAX_URL - 8));
    assert_eq!(page(&long), long);
    for url in [format!("{long}x"), "https://x y".into(), format!("{long} y")] {
        assert_eq!(page(&url), "", "{url:.80}");
    }
}

#[test]
fn an_event_is_known_by_its_own_id_and_type_where_they_can_be_kept() {
    let id = |id: &str, event_type: &str| {
        let data = json!({"id": "Q1", "title": "t"});
        let event = json!({"id": id, "event_type": event_type, "data": data});
        Event::read(json!({"event": event}).to_string().as_bytes()).id
    };
    let longest = "E".repeat(MAX_NAME);
    assert_eq!(id(&longest, "incident.triggered"), longest);
    for (bad, event_type) in
        [(format!("{longest}E").as_str(), "incident.triggered"), ("", "incident.triggered"), ("E1", "")]
    {
        assert!(id(bad, event_type).starts_with("sha256:"), "{bad:.20} {event_type}");
    }
}

#[test]
fn what_may_be_an_incidents_id() {
    let longest = "Q".repeat(64);
    for id in ["Q1ABC", "q-1", "q_1", "0", &longest] {
        assert!(is_id(id), "{id}");
    }
    let too_long = "Q".repeat(65);
    for other in ["", "Q/1", "Q 1", "Q?1", "Q.1", "Ä", &too_long] {
        assert!(!is_id(other), "{other}");
    }
}

#[test]
fn an_id_that_is_none_is_quoted_in_part() {
    let data = json!({"id": format!("../{}", "Q".repeat(200)), "title": "t"});
    let Kind::Unreadable(why) = Event::read(&body("incident.triggered", data)).kind else { panic!("no id") };
    assert_eq!(why, format!("\"../{}\" is not an incident's id", "Q".repeat(77)));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let _ = Event::read(&bytes);
    }
}
