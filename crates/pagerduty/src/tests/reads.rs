use super::*;
use simulators::pagerduty::{Endpoint, Fault, Opening, ServiceSetup};

#[tokio::test]
async fn an_incident_is_read_with_the_headers_that_pagerduty_wants() {
    let (account, client, _) = account().await;
    let opened = account.open(Opening::new("All SE endpoints down in prod-us-south", Setup::REGISTRY));
    account.acknowledge(&opened.id, Setup::ENGINEER);
    let incident = client.incident(&opened.id).await.unwrap().unwrap();
    assert_eq!(incident.title, "All SE endpoints down in prod-us-south");
    assert_eq!(
        (incident.number, incident.status, incident.urgency),
        (opened.number, Status::Acknowledged, Urgency::High)
    );
    assert_eq!(incident.created_at, Some(opened.created_at));
    assert_eq!(incident.last_status_change_at, Some(opened.created_at));
    assert_eq!(incident.html_url, format!("https://sim.pagerduty.com/incidents/{}", opened.id));
    let service = incident.service.unwrap();
    assert_eq!((service.id.as_str(), service.name.as_str()), (Setup::REGISTRY, "Containers Registry"));
    assert_eq!((incident.assignments, incident.merged_into, incident.incident_key), (1, None, None));
    assert_eq!(incident.acknowledgements[0].by.as_ref().unwrap().name, "Earline Greenholt");

    let request = &account.requests()[0];
    assert_eq!(request.accept.as_deref(), Some("application/vnd.pagerduty+json;version=2"));
    assert_eq!(request.authorization.as_deref(), Some("Token token=u+simulated-token"));
    assert_eq!(request.content_type.as_deref(), Some("application/json"));
    assert_eq!(request.from, None);
}

#[tokio::test]
async fn an_unknown_incident_is_none_and_a_merged_one_says_where_it_went() {
    let (account, client, _) = account().await;
    assert_eq!(client.incident("QNOSUCH").await.unwrap(), None);
    let into = account.open(Opening::new("a", Setup::REGISTRY));
    let from = account.open(Opening::new("b", Setup::REGISTRY));
    account.merge(&from.id, &into.id, Some(Setup::ENGINEER));
    let merged = client.incident(&from.id).await.unwrap().unwrap();
    assert_eq!((merged.status, merged.merged_into), (Status::Resolved, Some(into.id)));
    assert_eq!(merged.assignments, 0);
}

#[tokio::test]
async fn all_open_incidents_are_listed_over_all_pages_however_old() {
    let (account, client, clock) = account().await;
    let mut open = Vec::new();
    for n in 0..205 {
        let mut opening = Opening::new(&format!("page {n}"), if n % 2 == 0 { Setup::REGISTRY } else { "PCLDSTG" });
        opening.created_at = Some(clock.now().checked_sub(SignedDuration::from_hours(24 * n)).unwrap());
        open.push(account.open(opening).id);
    }
    for n in [0, 98, 99, 100, 204] {
        account.resolve(&open[n], None);
    }
    account.acknowledge(&open[1], Setup::ENGINEER);
    let expected: Vec<&str> = open
        .iter()
        .enumerate()
        .filter(|(n, _)| ![0, 98, 99, 100, 204].contains(n))
        .map(|(_, id)| id.as_str())
        .collect();
    let listed = client.open_incidents(&[]).await.unwrap();
    assert_eq!(ids(&listed), expected);
    assert_eq!(account.requests().len(), 3);

    let of_one = client.open_incidents(&["PCLDSTG".to_owned()]).await.unwrap();
    assert!(of_one.iter().all(|i| i.service.as_ref().unwrap().id == "PCLDSTG"));
    assert_eq!(of_one.len(), 101);
}

/// lifecycle.md#the-page: the key is looked up over all statuses and dates.
#[tokio::test]
async fn a_key_is_compared_exactly_and_found_in_alerts_too() {
    let (account, client, _) = account().await;
    let with_key = |key: &str| {
        let mut opening = Opening::new("page", Setup::SERVICE_ENDPOINT);
        opening.incident_key = Some(key.to_owned());
        account.open(opening).id
    };
    let ours = with_key("se-responder/Q1");
    with_key("se-responder/Q12");
    account.resolve(&ours, None);
    assert_eq!(ids(&client.incidents_with_key("se-responder/Q1").await.unwrap()), [ours.as_str()]);
    assert!(client.incidents_with_key("se-responder/q1").await.unwrap().is_empty());
    // PagerDuty would answer with everything.
    assert_eq!(client.incidents_with_key("").await.unwrap_err().kind, Kind::Local);

    account.set_keyless_events();
    let event = serde_json::json!({
        "routing_key": Setup::ROUTING_KEY, "event_action": "trigger", "dedup_key": "se-responder/Q9",
        "payload": {"summary": "page", "source": "se-responder", "severity": "critical"},
    });
    let url = format!("{}/v2/enqueue", account.api_url);
    let answer = http_client().unwrap().post(url).json(&event).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let found = client.incidents_with_key("se-responder/Q9").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].incident_key, None);
}

#[tokio::test]
async fn a_service_is_found_by_its_exact_name_or_by_id() {
    let (account, client, _) = account().await;
    let service = client.find_service("Cloud Service Endpoint").await.unwrap().unwrap();
    assert_eq!((service.id.as_str(), service.status), (Setup::SERVICE_ENDPOINT, ServiceStatus::Active));
    assert!(!service.is_in_maintenance());
    assert_eq!(client.find_service(Setup::SERVICE_ENDPOINT).await.unwrap().unwrap().name, "Cloud Service Endpoint");
    for nothing in ["Cloud Service", "cloud service endpoint", "PNOSUCH", "Service/Endpoint?x=1&y"] {
        assert_eq!(client.find_service(nothing).await.unwrap(), None, "{nothing}");
    }
    account.set_service_status(Setup::SERVICE_ENDPOINT, "maintenance");
    assert!(client.find_service("Cloud Service Endpoint").await.unwrap().unwrap().is_in_maintenance());
}

#[tokio::test]
async fn a_service_is_found_among_more_than_a_page_and_never_guessed() {
    let (account, client, _) = account().await;
    let service = |id: String, name: &str| ServiceSetup {
        id,
        name: name.to_owned(),
        status: "active".to_owned(),
        on_call: None,
        routing_key: None,
    };
    for n in 0..120 {
        account.add_service(service(format!("PEXTRA{n}"), &format!("A Cloud Service Endpoint {n}")));
    }
    let found = client.find_service("Cloud Service Endpoint").await.unwrap().unwrap();
    assert_eq!(found.id, Setup::SERVICE_ENDPOINT);
    account.add_service(service("PSECOND".to_owned(), "Cloud Service Endpoint"));
    let error = client.find_service("Cloud Service Endpoint").await.unwrap_err();
    assert_eq!(error.kind, Kind::Local);
    assert!(error.to_string().contains("both PCLOUDS and PSECOND have this name (give the service's id"), "{error}");
}

#[tokio::test]
async fn reads_are_asked_again_whatever_went_wrong() {
    let (account, client, clock) = account().await;
    let id = account.open(Opening::new("a", Setup::REGISTRY)).id;
    for fault in ["status-500", "status-503", "status-408", "rate-limited", "hang", "reset", "half-answer"] {
        account.forget_requests();
        account.fail(Endpoint::Incident, fault.parse().unwrap(), 1);
        let patience = Duration::from_secs(if fault == "hang" { 1 } else { 20 });
        assert!(client.with_patience(patience).incident(&id).await.unwrap().is_some(), "{fault}");
        assert_eq!(account.requests().len(), 2, "{fault}");
    }
    account.fail(Endpoint::Incident, Fault::RateLimited(Some(2)), 1);
    client.incident(&id).await.unwrap();
    // As long as asked, and a little more, so that not everybody comes back at once.
    assert_eq!(clock.slept().last(), Some(&Duration::from_millis(2150)));

    account.mend();
    account.forget_requests();
    account.fail(Endpoint::Incident, Fault::Status(500), 9);
    let error = client.incident(&id).await.unwrap_err();
    assert_eq!((error.kind, account.requests().len()), (Kind::Ambiguous, 5));
    assert!(error.to_string().contains(&format!("for the incident {id}: 500 Internal Server Error")), "{error}");
}

#[tokio::test]
async fn what_is_refused_for_good_is_asked_once() {
    let (account, client, _) = account().await;
    for (status, advice) in [(401, "PAGERDUTY_API_TOKEN"), (402, "plan"), (403, "read-only")] {
        account.forget_requests();
        account.fail(Endpoint::Incidents, Fault::Status(status), 1);
        let error = client.open_incidents(&[]).await.unwrap_err();
        assert_eq!(error.status().map(|s| s.as_u16()), Some(status));
        assert!(error.advice.unwrap().contains(advice), "{error}");
        assert_eq!(account.requests().len(), 1);
    }
}

#[tokio::test]
async fn the_token_is_read_again_for_each_request() {
    let (account, _, clock) = account().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let mut settings = settings(&account);
    settings.token = Secret::File(file.clone());
    let client = PagerDuty::new(settings, clock).unwrap();
    let error = client.open_incidents(&[]).await.unwrap_err();
    assert!(error.to_string().contains("PAGERDUTY_API_TOKEN_FILE"), "{error}");
    std::fs::write(&file, "one\n").unwrap();
    let error = client.open_incidents(&[]).await.unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
    account.renew_token("two");
    std::fs::write(&file, "two\n").unwrap();
    client.open_incidents(&[]).await.unwrap();
    std::fs::write(&file, "t\nwo").unwrap();
    let error = client.open_incidents(&[]).await.unwrap_err();
    assert!(error.to_string().contains("line break"), "{error}");
    assert!(!error.to_string().contains("wo\n") && !format!("{error:?}").contains("t\\nwo"));
}

#[tokio::test]
async fn an_id_that_is_none_is_never_sent() {
    let (account, client, _) = account().await;
    for id in ["", "Q1/notes", "..", "Q1?x", "Q 1", "Ü", &"Q".repeat(65)] {
        assert_eq!(client.incident(id).await.unwrap_err().kind, Kind::Local, "{id}");
        assert_eq!(client.notes(id).await.unwrap_err().kind, Kind::Local, "{id}");
        assert_eq!(client.add_note(&free(), id, "x").await.unwrap_err().kind, Kind::Local, "{id}");
        assert_eq!(client.edit_note(&free(), "Q1", id, "x").await.unwrap_err().kind, Kind::Local, "{id}");
        assert_eq!(client.service(id).await.unwrap_err().kind, Kind::Local, "{id}");
        assert_eq!(client.open_incidents(&[id.to_owned()]).await.unwrap_err().kind, Kind::Local, "{id}");
    }
    assert!(account.requests().is_empty());
}

#[tokio::test]
async fn a_read_that_hangs_is_not_asked_again_for_ever() {
    let (account, client, clock) = account().await;
    let client = client.with_patience(Duration::from_secs(2));
    account.fail(Endpoint::Incident, Fault::Hang, 9);
    let asking = client.incident("Q1");
    let passing = async {
        while account.requests().len() < 2 {
            tokio::task::yield_now().await;
        }
        clock.pass(Duration::from_secs(40));
    };
    let (answer, ()) = tokio::join!(asking, passing);
    assert_eq!((answer.unwrap_err().kind, account.requests().len()), (Kind::Ambiguous, 2));
}
