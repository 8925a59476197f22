use jiff::SignedDuration;

use super::*;
use outbound::clock::Source;

#[tokio::test]
async fn each_header_is_insisted_on() {
    let (sim, _) = start().await;
    let id = sim.open(Opening::new("a", Setup::REGISTRY)).id;
    let note = json!({"note": {"content": "x"}}).to_string();
    let all = [
        ("Accept", "application/vnd.pagerduty+json;version=2"),
        ("Authorization", "Token token=u+simulated-token"),
        ("Content-Type", "application/json"),
        ("From", Setup::FROM),
    ];
    let ask = |change: (&'static str, Option<&'static str>)| {
        let mut request = http_client().unwrap().post(format!("{}/incidents/{id}/notes", sim.api_url));
        for (name, value) in all {
            match change {
                (changed, None) if changed == name => {}
                (changed, Some(other)) if changed == name => request = request.header(name, other),
                _ => request = request.header(name, value),
            }
        }
        sent(request.body(note.clone()))
    };
    for (name, value, status, code) in [
        ("Accept", None, 406, 2014),
        ("Accept", Some("application/json"), 406, 2014),
        ("Accept", Some("application/vnd.pagerduty+json;version=3"), 406, 2014),
        ("Authorization", None, 401, 2006),
        ("Authorization", Some("Token token=other"), 401, 2006),
        ("Authorization", Some("Bearer u+simulated-token"), 401, 2006),
        ("Content-Type", None, 415, 2001),
        ("Content-Type", Some("text/plain"), 415, 2001),
        ("Content-Type", Some("application/json, application/json"), 415, 2001),
        ("From", None, 400, 2016),
        ("From", Some("earline"), 400, 1028),
        ("From", Some("nobody@example.com"), 400, 1008),
    ] {
        let (got, got_code, _) = refusal(ask((name, value)).await);
        assert_eq!((got, got_code), (status, code), "{name} {value:?}");
    }
    assert!(sim.notes_of(&id).is_empty() && sim.writes() == 0);
    assert_eq!(ask(("", None)).await.0, 200);
    assert_eq!((sim.notes_of(&id).len(), sim.writes()), (1, 1));
    let last = sim.requests().pop().unwrap();
    assert_eq!((last.method.as_str(), last.from.as_deref()), ("POST", Some(Setup::FROM)));
    assert_eq!((last.body, last.query), (note, String::new()));
}

#[tokio::test]
async fn what_is_unknown_is_refused() {
    let (sim, _) = start().await;
    let id = sim.open(Opening::new("a", Setup::REGISTRY)).id;
    for (path, part) in [
        ("/incidents?statuses=triggered", "Unknown parameter statuses"),
        ("/incidents?statuses[]=open", "statuses[]: \"open\""),
        ("/incidents?date_range=1y", "date_range"),
        ("/incidents?limit=0", "limit"),
        ("/incidents?limit=x", "limit"),
        ("/incidents?offset=-1", "offset"),
        ("/incidents?limit=100&offset=9901", "10000"),
        ("/incidents?sort_by=title", "sort_by"),
        ("/incidents?sort_by=created_at:up", "sort_by"),
        ("/incidents?since=2025-01-01T00:00:00Z", "6 months"),
        ("/services?title=x", "Unknown parameter title"),
    ] {
        let (status, code, error) = refusal(sim.get(path).await);
        assert_eq!((status, code), (400, 2001), "{path}");
        assert!(error.contains(part), "{path}: {error}");
    }
    for path in ["/incidents/QNOSUCH", "/incidents/QNOSUCH/notes", "/services/PNOSUCH", "/nothing", "/v3/incidents"] {
        assert_eq!(refusal(sim.get(path).await).0, 404, "{path}");
    }
    let notes = format!("/incidents/{id}/notes");
    for body in [
        json!({"note": {"content": " "}}),
        json!({"note": {"content": 1}}),
        json!({"note": {"text": "x"}}),
        json!({"content": "x"}),
        json!({"note": {"content": "x"}, "more": 1}),
        json!({"note": {"content": "x".repeat(20_001)}}),
    ] {
        assert_eq!(refusal(sim.send(Method::POST, &notes, body.clone()).await).0, 400, "{body}");
    }
    let mut cases = Vec::new();
    for (field, value) in [
        ("title", json!("")),
        ("title", json!("x".repeat(1025))),
        ("type", json!("page")),
        ("service", json!("P1")),
        ("service", json!({"id": "PNOSUCH", "type": "service_reference"})),
        ("urgency", json!("highest")),
        ("incident_key", json!("k".repeat(256))),
        ("key", json!("k")),
        ("body", json!("text")),
    ] {
        let mut page = new_page("k");
        page["incident"][field] = value;
        cases.push(page);
    }
    for body in cases {
        assert_eq!(refusal(sim.send(Method::POST, "/incidents", body.clone()).await).0, 400, "{body}");
    }
    assert_eq!((sim.writes(), sim.pages().len()), (0, 0));
}

#[tokio::test]
async fn an_open_key_is_taken_and_a_resolved_one_free() {
    let (sim, _) = start().await;
    let (status, body) = sim.send(Method::POST, "/incidents", new_page("k")).await;
    assert_eq!((status, body["incident"]["incident_key"].as_str()), (201, Some("k")));
    let again = refusal(sim.send(Method::POST, "/incidents", new_page("k")).await);
    assert_eq!(again, (400, 2001, "Open incident with matching dedup key already exists on this service".to_owned()));
    let mut elsewhere = new_page("k");
    elsewhere["incident"]["service"]["id"] = json!("PCLDSTG");
    assert_eq!(sim.send(Method::POST, "/incidents", elsewhere).await.0, 201);
    sim.resolve(body["incident"]["id"].as_str().unwrap(), None);
    assert_eq!(sim.send(Method::POST, "/incidents", new_page("k")).await.0, 201);
    assert_eq!((sim.pages().len(), sim.writes()), (3, 3));
    let (_, found) = sim.get("/incidents?incident_key=k&service_ids[]=PCLOUDS&total=true").await;
    assert_eq!(found["total"], 2);
    let (_, all) = sim.get("/incidents?incident_key=&total=true").await;
    assert_eq!(all["total"], 3, "an empty key is no filter");
}

#[tokio::test]
async fn a_month_is_listed_unless_all_is_asked_for_and_a_page_is_at_most_a_hundred() {
    let (sim, clock) = start().await;
    let mut old = Opening::new("old", Setup::REGISTRY);
    old.created_at = Some(clock.now().checked_sub(SignedDuration::from_hours(24 * 31)).unwrap());
    let old = sim.open(old).id;
    for n in 0..120 {
        sim.open(Opening::new(&format!("{n}"), Setup::REGISTRY));
    }
    let (_, body) = sim.get("/incidents?total=true&limit=500").await;
    assert_eq!((&body["total"], &body["limit"], &body["more"]), (&json!(120), &json!(100), &json!(true)));
    let (_, body) = sim.get("/incidents?date_range=all&total=true").await;
    assert_eq!((&body["total"], &body["limit"], &body["offset"]), (&json!(121), &json!(25), &json!(0)));
    assert_eq!(body["incidents"][0]["id"], old);
    let (_, body) = sim.get("/incidents?date_range=all&offset=100&limit=100&sort_by=incident_number:desc").await;
    assert_eq!((body["incidents"].as_array().unwrap().len(), &body["more"]), (21, &json!(false)));
    assert_eq!((&body["incidents"][20]["id"], &body["total"]), (&json!(old), &Value::Null));
}

#[tokio::test]
async fn the_rate_is_limited_and_said_in_headers() {
    let (sim, clock) = start().await;
    sim.set_rate_limit(2);
    let ask = || async { sim.request(Method::GET, "/services").send().await.unwrap() };
    let header = |answer: &reqwest::Response, name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    let first = ask().await;
    assert_eq!((first.status(), header(&first, "ratelimit-remaining")), (StatusCode::OK, "1".to_owned()));
    clock.pass(Duration::from_secs(20));
    ask().await;
    let third = ask().await;
    assert_eq!(third.status(), 429);
    assert_eq!((header(&third, "ratelimit-limit"), header(&third, "ratelimit-reset")), ("2".into(), "40".into()));
    clock.pass(Duration::from_secs(40));
    assert_eq!(ask().await.status(), 200);
}

#[tokio::test]
async fn the_same_account_is_behind_https_with_its_own_authority() {
    let (sim, _) = start().await;
    #[expect(clippy::disallowed_methods, reason = "a client that trusts the simulator's authority only")]
    let client = |pem: &str| {
        let ca = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
        Client::builder().tls_certs_only([ca]).build().unwrap()
    };
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("{}/services", sim.https_url.replace("127.0.0.1", host));
        let request = client(&sim.ca_pem).get(url);
        let answer = request
            .header("Accept", "application/vnd.pagerduty+json;version=2")
            .header("Authorization", "Token token=u+simulated-token")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }
    let (other, _) = start().await;
    let error = client(&other.ca_pem).get(format!("{}/services", sim.https_url)).send().await.unwrap_err();
    assert!(error.is_connect());
    let url = sim.api_url.clone();
    drop(sim);
    while http_client().unwrap().get(&url).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
}
