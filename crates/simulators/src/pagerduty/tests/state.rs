use super::*;

#[tokio::test]
async fn lists_lag_behind_writes_and_single_reads_do_not() {
    let (sim, clock) = start().await;
    sim.set_lag(Duration::from_secs(5));
    let (_, body) = sim.send(Method::POST, "/incidents", new_page("k")).await;
    let id = body["incident"]["id"].as_str().unwrap().to_owned();
    let notes = format!("/incidents/{id}/notes");
    sim.send(Method::POST, &notes, json!({"note": {"content": "one"}})).await;
    let seen = || async {
        let (_, incidents) = sim.get("/incidents?statuses[]=triggered").await;
        let (_, notes) = sim.get(&notes).await;
        (incidents["incidents"].as_array().unwrap().len(), notes["notes"].as_array().unwrap().len())
    };
    assert_eq!(sim.get(&format!("/incidents/{id}")).await.0, 200);
    assert_eq!((seen().await, sim.notes_of(&id).len()), ((0, 0), 1));
    clock.pass(Duration::from_secs(5));
    assert_eq!(seen().await, (1, 1));
    sim.resolve(&id, None);
    assert_eq!(seen().await.0, 1, "still listed as triggered");
    clock.pass(Duration::from_secs(5));
    assert_eq!(seen().await.0, 0);
}

#[tokio::test]
async fn incidents_change_as_people_change_them() {
    let (sim, clock) = start().await;
    let a = sim.open(Opening::new("a", Setup::REGISTRY)).id;
    let b = sim.open(Opening::new("b", Setup::REGISTRY)).id;
    clock.pass(Duration::from_secs(60));
    let path = format!("/incidents/{a}");
    let change = |status: &str| json!({"incident": {"type": "incident_reference", "status": status}});
    let (_, body) = sim.send(Method::PUT, &path, change("acknowledged")).await;
    assert_eq!(body["incident"]["acknowledgements"][0]["acknowledger"]["id"], Setup::RESPONDER);
    assert_eq!(body["incident"]["last_status_change_at"], "2026-08-20T03:01:00Z");
    assert_eq!(sim.get("/services?name=Containers+Registry").await.1["services"][0]["status"], "critical");
    let (_, body) = sim.send(Method::PUT, &path, change("resolved")).await;
    assert_eq!((&body["incident"]["status"], &body["incident"]["assignments"]), (&json!("resolved"), &json!([])));
    assert_eq!(body["incident"]["resolved_at"], "2026-08-20T03:01:00Z");
    assert_eq!(refusal(sim.send(Method::PUT, &path, change("resolved")).await).0, 400);
    assert_eq!(refusal(sim.send(Method::PUT, &path, change("triggered")).await).0, 400);
    sim.reopen(&a, Some(Setup::ENGINEER));
    sim.rename(&a, "renamed");
    let (_, body) = sim.get(&path).await;
    assert_eq!((&body["incident"]["status"], &body["incident"]["title"]), (&json!("triggered"), &json!("renamed")));
    assert_eq!(body["incident"]["assignments"][0]["assignee"]["id"], Setup::ENGINEER);
    sim.unassign(&a);
    assert_eq!(sim.get(&path).await.1["incident"]["assignments"], json!([]));

    let sources = json!({"source_incidents": [{"id": b, "type": "incident_reference"}]});
    assert_eq!(sim.send(Method::PUT, &format!("{path}/merge"), sources.clone()).await.0, 200);
    let (_, body) = sim.get(&format!("/incidents/{b}")).await;
    assert_eq!(body["incident"]["resolve_reason"]["type"], "merge_resolve_reason");
    assert_eq!(body["incident"]["resolve_reason"]["incident"]["id"], json!(a));
    assert_eq!(refusal(sim.send(Method::PUT, &format!("{path}/merge"), sources).await).0, 400);
    let number = sim.incident(&a).unwrap().number;
    assert_eq!(sim.get(&format!("/incidents/{number}")).await.1["incident"]["id"], json!(a));
}

#[tokio::test]
async fn notes_are_edited_and_deleted() {
    let (sim, _) = start().await;
    let id = sim.open(Opening::new("a", Setup::REGISTRY)).id;
    let first = sim.annotate(&id, Setup::ENGINEER, "one").unwrap().id;
    let path = format!("/incidents/{id}/notes/{first}");
    let (_, body) = sim.send(Method::PUT, &path, json!({"note": {"content": "two"}})).await;
    assert_eq!((&body["note"]["content"], &body["note"]["user"]["id"]), (&json!("two"), &json!(Setup::ENGINEER)));
    assert_eq!(sim.request(Method::DELETE, &path).send().await.unwrap().status(), 204);
    assert_eq!(sim.get(&format!("/incidents/{id}/notes")).await.1["notes"], json!([]));
    assert_eq!(refusal(sim.send(Method::PUT, &path, json!({"note": {"content": "x"}})).await).0, 404);
    for _ in 0..2000 {
        sim.annotate(&id, Setup::ENGINEER, "n");
    }
    let (status, _, error) =
        refusal(sim.send(Method::POST, &format!("/incidents/{id}/notes"), json!({"note": {"content": "x"}})).await);
    assert_eq!(status, 400);
    assert!(error.contains("2000"), "{error}");
}

#[tokio::test]
async fn an_event_becomes_an_incident_a_while_later() {
    let clock = HandClock::at(NOW);
    let setup = Setup { event_delay: Duration::from_secs(10), ..Setup::new(clock.clone()) };
    let sim = PagerDuty::start(setup).await.unwrap();
    let event = json!({
        "routing_key": Setup::ROUTING_KEY, "event_action": "trigger", "dedup_key": "se-responder/Q1",
        "payload": {"summary": "down", "source": "se-responder", "severity": "critical"},
    });
    let enqueue = |event: Value| sent(http_client().unwrap().post(format!("{}/v2/enqueue", sim.api_url)).json(&event));
    let success = json!({"status": "success", "message": "Event processed", "dedup_key": "se-responder/Q1"});
    assert_eq!(enqueue(event.clone()).await, (202, success.clone()));
    assert_eq!(enqueue(event.clone()).await, (202, success));
    let listed = || async { sim.get("/incidents?incident_key=se-responder/Q1&date_range=all").await.1 };
    assert_eq!((listed().await["incidents"].clone(), sim.pages().len()), (json!([]), 1));
    clock.pass(Duration::from_secs(10));
    let incident = listed().await["incidents"][0].clone();
    assert_eq!((&incident["title"], &incident["incident_key"]), (&json!("down"), &json!("se-responder/Q1")));
    assert_eq!(incident["service"]["id"], Setup::SERVICE_ENDPOINT);
    let (_, alerts) = sim.get(&format!("/incidents/{}/alerts", incident["id"].as_str().unwrap())).await;
    assert_eq!(alerts["alerts"][0]["alert_key"], "se-responder/Q1");

    let mut resolve = event.clone();
    resolve["event_action"] = json!("resolve");
    enqueue(resolve).await;
    assert_eq!(listed().await["incidents"][0]["status"], "resolved");

    for (pointer, value) in [
        ("/routing_key", json!("short")),
        ("/routing_key", json!("f".repeat(32))),
        ("/event_action", json!("open")),
        ("/dedup_key", json!("k".repeat(256))),
        ("/payload/summary", json!("s".repeat(1025))),
        ("/payload/summary", json!(" ")),
        ("/payload/source", Value::Null),
        ("/payload/severity", json!("bad")),
        ("/payload", json!("x")),
    ] {
        let mut wrong = event.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        let (status, body) = enqueue(wrong).await;
        assert_eq!((status, &body["status"]), (400, &json!("invalid event")), "{pointer}");
    }
    let mut wrong = event;
    wrong["payload"]["text"] = json!("x");
    assert_eq!(enqueue(wrong).await.1["errors"], json!(["'payload.text' is not known"]));
    assert_eq!(sim.pages().len(), 1);
}

#[tokio::test]
async fn webhooks_have_the_shape_of_version_3() {
    let (sim, _) = start().await;
    let id = sim.open(Opening::new("All SE endpoints down in prod-us-south", Setup::REGISTRY)).id;
    let body: Value = serde_json::from_str(&sim.webhook_body("incident.triggered", &id)).unwrap();
    let reference = |kind: &str, path: &str, web: &str, id: &str, summary: &str| {
        json!({
            "id": id, "type": kind, "summary": summary, "self": format!("https://api.pagerduty.com/{path}/{id}"),
            "html_url": format!("https://sim.pagerduty.com/{web}/{id}"),
        })
    };
    let policy = ("escalation_policy_reference", "escalation_policies", "escalation_policies");
    assert_eq!(
        body,
        json!({"event": {
            "id": body["event"]["id"], "event_type": "incident.triggered", "resource_type": "incident",
            "occurred_at": "2026-08-20T03:00:00Z", "agent": null, "client": null,
            "data": {
                "id": id, "type": "incident", "self": format!("https://api.pagerduty.com/incidents/{id}"),
                "html_url": format!("https://sim.pagerduty.com/incidents/{id}"), "number": 1000,
                "status": "triggered", "incident_key": null, "created_at": "2026-08-20T03:00:00Z",
                "title": "All SE endpoints down in prod-us-south",
                "service": reference("service_reference", "services", "service-directory", "PREGSTR", "Containers Registry"),
                "assignees": [reference("user_reference", "users", "users", "PENGINR", "Earline Greenholt")],
                "escalation_policy": reference(policy.0, policy.1, policy.2, "PEREGSTR", "Containers Registry"),
                "teams": [], "priority": null, "urgency": "high", "conference_bridge": null, "resolve_reason": null,
            },
        }})
    );
    let again: Value = serde_json::from_str(&sim.webhook_body("incident.triggered", &id)).unwrap();
    assert_ne!(again["event"]["id"], body["event"]["id"]);

    sim.resolve(&id, Some(Setup::ENGINEER));
    let body: Value = serde_json::from_str(&sim.webhook_body("incident.resolved", &id)).unwrap();
    assert_eq!(body["event"]["agent"]["id"], Setup::ENGINEER);
    assert_eq!(body["event"]["data"]["status"], "resolved");

    let note = sim.annotate(&id, Setup::ENGINEER, "/rerun").unwrap().id;
    let body: Value = serde_json::from_str(&sim.annotated_body(&id, &note)).unwrap();
    assert_eq!(body["event"]["event_type"], "incident.annotated");
    assert_eq!(body["event"]["data"]["incident"]["type"], "incident_reference");
    let data = &body["event"]["data"];
    assert_eq!(
        (&data["type"], &data["content"], &data["trimmed"]),
        (&json!("incident_note"), &json!("/rerun"), &json!(false))
    );
    let ping: Value = serde_json::from_str(&sim.ping_body()).unwrap();
    assert_eq!((&ping["event"]["event_type"], &ping["event"]["data"]["type"]), (&json!("pagey.ping"), &json!("ping")));
    assert_eq!(sim.webhook_body("incident.triggered", "QNOSUCH"), "");
}

#[test]
fn a_signature_is_hmac_sha256_of_the_raw_body() {
    // RFC 4231, test case 2.
    assert_eq!(
        sign("Jefe", b"what do ya want for nothing?"),
        "v1=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}
