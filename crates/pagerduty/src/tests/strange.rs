//! What strict JSON refuses, and entries that are none: the rest is read all the same.

use serde_json::json;

use super::bad_answers::{client_of, ok, server};
use super::*;
use simulators::pagerduty::{Endpoint, Fault, Opening, ServiceSetup};

/// Ways in which a text breaks a whole answer, each to stand within quotes.
const ODD: [&[u8]; 7] = [br"\ud83d", b"caf\xe9", b"a\nb", b"\x00", br"\x41", br"\u12", br"\u0000"];

/// An account that writes `ODD` in one of these ways.
async fn odd_account(bytes: &[u8]) -> (sim::PagerDuty, PagerDuty) {
    let (account, client, _) = account().await;
    account.spell("ODD", bytes);
    (account, client)
}

#[tokio::test]
async fn an_odd_text_in_one_incident_hides_no_other() {
    for bytes in ODD {
        let (account, client) = odd_account(bytes).await;
        let odd = account.open(Opening::new("disk full ODD", Setup::REGISTRY)).id;
        let related = account.open(Opening::new("All Public endpoints down in prod-us-south", Setup::REGISTRY)).id;
        let listed = client.open_incidents(&[]).await.unwrap();
        assert_eq!((ids(&listed), listed.left_out.len()), (vec![odd.as_str(), related.as_str()], 0));
        assert!(listed[0].title.starts_with("disk full"), "{}", listed[0].title);
        assert!(client.incident(&odd).await.unwrap().is_some());
        assert!(!listed[0].title.contains('\0'));
    }
}

#[tokio::test]
async fn an_odd_text_anywhere_else_is_survived_too() {
    for bytes in ODD {
        let (account, client) = odd_account(bytes).await;
        account.add_service(ServiceSetup {
            id: "PODD".into(),
            name: "Cloud Service Endpoint ODD".into(),
            status: "active".into(),
            on_call: None,
            routing_key: None,
        });
        assert_eq!(client.find_service("Cloud Service Endpoint").await.unwrap().unwrap().id, Setup::SERVICE_ENDPOINT);
        account.add_user(sim::User { id: "PODDU".into(), name: "ODD".into(), email: "odd@example.com".into() });
        assert!(client.user_by_email("odd@example.com").await.unwrap().is_some());
        let id = account.open(Opening::new("a", Setup::REGISTRY)).id;
        account.annotate(&id, Setup::ENGINEER, "they said ODD").unwrap();
        account.annotate(&id, Setup::ENGINEER, "run 1").unwrap();
        let notes = client.notes(&id).await.unwrap();
        assert_eq!((notes.len(), notes[1].content.as_str()), (2, "run 1"));
        // Written, and answered with what was written.
        assert!(client.add_note(&free(), &id, "ODD").await.unwrap().id.starts_with('P'));
        let mut opening = Opening::new("ODD", Setup::SERVICE_ENDPOINT);
        opening.incident_key = Some("se-responder/Q1".into());
        let page = account.open(opening).id;
        assert_eq!(ids(&client.incidents_with_key("se-responder/Q1").await.unwrap()), [page.as_str()]);
        account.fail(Endpoint::Incident, Fault::Status(403), 1);
        assert!(client.incident(&id).await.unwrap_err().to_string().contains("403"));
    }
}

#[tokio::test]
async fn numbers_depth_and_a_byte_order_mark_are_survived() {
    let deep = format!("{}1{}", "[".repeat(300), "]".repeat(300));
    for spoilt in ["\"incident_number\":1e999", "\"incident_number\":NaN", &format!("\"body\":{deep}"), "\"id\":\"Q0\""]
    {
        let body = format!("\u{feff}{{\"incidents\":[{{{spoilt},\"id\":\"Q1\",\"title\":\"t\"}}],\"more\":false}}\0");
        let (url, _) = server(move |_| {
            let length = body.len();
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        })
        .await;
        let listed = client_of(&url).open_incidents(&[]).await.unwrap();
        assert_eq!((ids(&listed), listed[0].number), (vec!["Q1"], 0), "{spoilt:.40}");
    }
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_left_out_and_the_rest_counts() {
    for none in [
        json!(null),
        json!(5),
        json!("Q1"),
        json!([]),
        json!({}),
        json!({"title": "x"}),
        json!({"id": 5, "title": "x"}),
        json!({"id": "../users", "title": "x"}),
        json!({"id": "Q1", "title": 7}),
        json!({"id": "Q1", "title": {"text": "x"}}),
    ] {
        let entries = json!([{"id": "Q0"}, none, {"id": "Q2", "title": "t"}]);
        let (url, _) = server(move |_| ok(&json!({"incidents": entries, "more": false}))).await;
        let listed = client_of(&url).open_incidents(&[]).await.unwrap();
        assert_eq!((ids(&listed), listed.left_out.len()), (vec!["Q0", "Q2"], 1), "{none}");
        assert_eq!(listed.left_out[0].entry, none);
    }
}

#[tokio::test]
async fn a_field_of_another_type_is_as_if_it_were_missing() {
    let odd = json!({"id": "Q1", "title": "t", "incident_number": "7", "html_url": 5, "status": 3, "created_at": 12,
        "service": "x", "incident_key": ["k"], "urgency": {}, "assignments": 2, "resolve_reason": "merged",
        "last_status_change_at": {}, "acknowledgements": [null, 5, {"at": 1, "acknowledger": "x"}, {"acknowledger": {"id": 3}}]});
    let (url, _) = server(move |_| ok(&json!({"incidents": [odd], "more": false}))).await;
    let listed = client_of(&url).open_incidents(&[]).await.unwrap();
    let incident = &listed[0];
    assert_eq!((incident.number, incident.html_url.as_str(), incident.status), (0, "", Status::Other));
    assert_eq!((&incident.service, &incident.incident_key, incident.urgency), (&None, &None, Urgency::Other));
    assert_eq!((incident.assignments, incident.acknowledgements.len()), (0, 2));
}

#[tokio::test]
async fn that_there_is_no_page_is_never_said_of_what_cannot_be_read() {
    let ours = "se-responder/Q1";
    for (entries, expected) in [
        (json!([null]), Err(Kind::Malformed)),
        (json!([{"title": "page"}]), Err(Kind::Malformed)),
        (json!([{"id": 5, "incident_key": ours}]), Err(Kind::Malformed)),
        (json!([{"id": 5, "incident_key": "se-responder/Q12"}]), Ok(vec![])),
        (json!([null, {"id": "QP", "incident_key": ours}]), Ok(vec!["QP"])),
        // It was given in answer to the key: what else is there, with another key, doesn't say what it is.
        (json!([null, {"id": "QO", "incident_key": "se-responder/Q2"}]), Err(Kind::Malformed)),
        (json!([null, {"id": 5, "incident_key": "se-responder/Q2"}]), Err(Kind::Malformed)),
    ] {
        let shown = entries.clone();
        let (url, _) = server(move |_| ok(&json!({"incidents": shown, "more": false}))).await;
        let found = client_of(&url).incidents_with_key(ours).await;
        assert_eq!(found.as_ref().map(|found| ids(found)).map_err(|e| e.kind), expected, "{entries}");
    }
    // The same of the alerts of an incident without a key.
    let keyless = json!([{"id": "QP"}]);
    for (incidents, alerts, expected) in [
        (keyless.clone(), json!([null]), Err(Kind::Malformed)),
        (keyless.clone(), json!([null, {"alert_key": "se-responder/Q2"}]), Err(Kind::Malformed)),
        (keyless.clone(), json!([null, {"alert_key": ours}]), Ok(vec!["QP"])),
        (keyless, json!([{"alert_key": 5}, {"alert_key": null}, {}]), Ok(vec![])),
        // One that is found for certain counts, whatever another may be.
        (json!([{"id": "QX"}, {"id": "QP", "incident_key": ours}]), json!([null]), Ok(vec!["QP"])),
        (json!([{"id": "QP", "incident_key": ours}, {"id": "QX"}]), json!({}), Ok(vec!["QP"])),
    ] {
        let said = format!("{incidents} {alerts}");
        let (url, _) = server(move |line| match line.contains("/alerts") {
            true => ok(&json!({"alerts": alerts, "more": false})),
            false => ok(&json!({"incidents": incidents, "more": false})),
        })
        .await;
        let found = client_of(&url).incidents_with_key(ours).await;
        assert_eq!(found.as_ref().map(|found| ids(found)).map_err(|e| e.kind), expected, "{said}");
    }
}

#[tokio::test]
async fn a_service_is_not_guessed_where_one_that_may_be_it_cannot_be_read() {
    let good = json!({"id": "P1", "name": "S E"});
    let found = Ok(Some("P1".to_owned()));
    for (services, expected) in [
        // Two may have this name.
        (json!([good, {"id": 7, "name": "S E"}]), Err(Kind::Malformed)),
        (json!([good, {"id": 7, "name": "S E (staging)"}]), found.clone()),
        // What has no name is no second one of this name.
        (json!([null, good]), found.clone()),
        (json!([{"id": 7}, {"id": "P7", "name": {}}, "S E", good]), found),
        // But it may be the only one.
        (json!([null]), Err(Kind::Malformed)),
        (json!([{"id": 7}, {"id": "P2", "name": "S"}]), Err(Kind::Malformed)),
        (json!([{"id": 7, "name": "S"}, {"id": "P2", "name": "S"}]), Ok(None)),
    ] {
        let shown = services.clone();
        let (url, _) = server(move |_| ok(&json!({"services": shown, "more": false}))).await;
        let found = client_of(&url).find_service("S E").await;
        assert_eq!(found.map(|found| found.map(|s| s.id)).map_err(|e| e.kind), expected, "{services}");
    }
}

#[tokio::test]
async fn a_note_that_cannot_be_read_hides_no_other_and_one_without_an_id_is_found_by_its_text() {
    let notes =
        json!([null, {"id": "N1", "content": 5}, {"content": "x\nrun 7"}, {"id": "N2", "content": "run 8", "user": 3}]);
    let (url, _) = server(move |_| ok(&json!({"notes": notes}))).await;
    let notes = client_of(&url).notes("Q1").await.unwrap();
    let mut shown: Vec<_> = notes.iter().map(|n| (n.id.as_str(), n.content.as_str())).collect();
    shown.sort_unstable();
    assert_eq!(shown, [("", "x\nrun 7"), ("N2", "run 8")]);
}

#[tokio::test]
async fn a_subscription_that_cannot_be_read_hides_no_other() {
    let all = json!([null, {"id": "S1", "delivery_method": 5}, {"id": "S2", "events": [5, "incident.triggered"], "filter": "x",
        "delivery_method": {"url": "https://x", "temporarily_disabled": null}}]);
    let (url, _) = server(move |_| ok(&json!({"webhook_subscriptions": all, "more": false}))).await;
    let found = client_of(&url).subscriptions().await.unwrap();
    assert_eq!((found.len(), found[0].id.as_str(), found[0].events.len()), (1, "S2", 1));
}
