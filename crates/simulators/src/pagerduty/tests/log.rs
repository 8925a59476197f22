use std::time::Duration;

use super::*;

fn kinds(body: &Value) -> Vec<String> {
    let entries = body["log_entries"].as_array().unwrap();
    let agent = |entry: &Value| entry["agent"]["type"].as_str().unwrap().trim_end_matches("_reference").to_owned();
    entries
        .iter()
        .rev()
        .map(|entry| format!("{} {}", entry["type"].as_str().unwrap().trim_end_matches("_log_entry"), agent(entry)))
        .collect()
}

#[tokio::test]
async fn whatever_happens_to_an_incident_is_logged_with_who_did_it() {
    let (sim, clock) = start().await;
    let id = sim.open(Opening::new("a", Setup::REGISTRY)).id;
    let other = sim.open(Opening::new("b", Setup::REGISTRY)).id;
    clock.pass(Duration::from_secs(60));
    sim.acknowledge(&id, Setup::ENGINEER);
    sim.annotate(&id, Setup::ENGINEER, "looking").unwrap();
    sim.reassign(&id, &[Setup::RESPONDER], Setup::ENGINEER);
    sim.escalate(&id, &[Setup::ENGINEER]);
    sim.merge(&other, &id, Some(Setup::ENGINEER));
    sim.resolve(&id, None);
    sim.reopen(&id, Some(Setup::ENGINEER));
    let (status, body) = sim.get(&format!("/incidents/{id}/log_entries?limit=100")).await;
    assert_eq!(status, 200);
    let all = [
        "trigger service",
        "assign service",
        "notify service",
        "acknowledge user",
        "annotate user",
        "assign user",
        "notify service",
        "escalate service",
        "notify service",
        "merge user",
        "resolve service",
        "reopen user",
    ];
    assert_eq!(kinds(&body), all);
    let note = body["log_entries"].as_array().unwrap().iter().find(|e| e["type"] == "annotate_log_entry").unwrap();
    assert_eq!((&note["note"], &note["channel"]), (&json!("looking"), &json!({"type": "note"})));
    assert_eq!((&note["agent"]["id"], &note["incident"]["id"]), (&json!(Setup::ENGINEER), &json!(id)));
    assert_eq!(note["created_at"], "2026-08-20T03:01:00Z");
    let (_, overview) = sim.get(&format!("/incidents/{id}/log_entries?is_overview=true&limit=100")).await;
    assert!(kinds(&overview).iter().all(|kind| !kind.starts_with("notify")), "{overview}");
    let (_, page) = sim.get(&format!("/incidents/{id}/log_entries?limit=2&offset=1")).await;
    assert_eq!(
        (kinds(&page), &page["more"]),
        (vec!["merge user".to_owned(), "resolve service".to_owned()], &json!(true))
    );
    let (_, merged) = sim.get(&format!("/incidents/{other}/log_entries?include[]=channels")).await;
    assert_eq!(kinds(&merged).last().unwrap(), "resolve user");
    assert!(merged["log_entries"][0]["channel"]["summary"].is_string());
}

#[tokio::test]
async fn who_opened_an_incident_is_the_agent_of_its_first_entry() {
    let (sim, _) = start().await;
    let mut opening = Opening::new("by hand", Setup::SERVICE_ENDPOINT);
    opening.by = Some(Setup::ENGINEER.to_owned());
    let by_hand = sim.open(opening).id;
    let (_, created) = sim.send(Method::POST, "/incidents", new_page("k")).await;
    let by_api = created["incident"]["id"].as_str().unwrap().to_owned();
    let event = json!({"routing_key": Setup::ROUTING_KEY, "event_action": "trigger", "dedup_key": "k2",
        "payload": {"summary": "page", "source": "x", "severity": "critical"}});
    let url = format!("{}/v2/enqueue", sim.api_url);
    assert_eq!(http_client().unwrap().post(url).json(&event).send().await.unwrap().status(), 202);
    let by_event = sim.open_titled("page").unwrap().id;
    for (id, agent, user) in [
        (by_hand, "trigger user", Setup::ENGINEER),
        (by_api, "trigger user", Setup::RESPONDER),
        (by_event, "trigger integration", "PICLOUDS"),
    ] {
        let (_, body) = sim.get(&format!("/incidents/{id}/log_entries")).await;
        assert_eq!(kinds(&body)[0], agent);
        assert_eq!(body["log_entries"].as_array().unwrap().last().unwrap()["agent"]["id"], user);
    }
}

#[tokio::test]
async fn a_log_is_asked_for_as_pagerduty_describes_it() {
    let (sim, clock) = start().await;
    let id = sim.open(Opening::new("a", Setup::REGISTRY)).id;
    for (query, part) in [
        ("include[]=agents", "include[]"),
        ("is_overview=yes", "is_overview"),
        ("since=yesterday", "since"),
        ("statuses[]=x", "Unknown parameter"),
        ("offset=9901&limit=100", "10000"),
    ] {
        let (status, _, error) = refusal(sim.get(&format!("/incidents/{id}/log_entries?{query}")).await);
        assert!(status == 400 && error.contains(part), "{query}: {error}");
    }
    assert_eq!(refusal(sim.get("/incidents/QNOSUCH/log_entries").await).0, 404);
    sim.set_lag(Duration::from_secs(10));
    clock.pass(Duration::from_secs(60));
    sim.acknowledge(&id, Setup::ENGINEER);
    let count = async || kinds(&sim.get(&format!("/incidents/{id}/log_entries")).await.1).len();
    assert_eq!(count().await, 3, "it lags behind as lists do");
    clock.pass(Duration::from_secs(10));
    assert_eq!(count().await, 4);
    let later = sim.get(&format!("/incidents/{id}/log_entries?since=2026-08-20T03:00:30Z")).await.1;
    assert_eq!(kinds(&later), ["acknowledge user"]);
}
