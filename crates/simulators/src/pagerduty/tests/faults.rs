use super::*;

const NOTE: &str = "half of this is lost: ";

async fn note(sim: &PagerDuty, id: &str) -> Result<(StatusCode, String), reqwest::Error> {
    let body = json!({"note": {"content": NOTE}});
    let request = sim.request(Method::POST, &format!("/incidents/{id}/notes")).json(&body);
    let answer = request.timeout(Duration::from_millis(300)).send().await?;
    let status = answer.status();
    Ok((status, answer.text().await?))
}

#[tokio::test]
async fn each_fault_spoils_as_many_answers_as_were_planned() {
    let (sim, _) = start().await;
    let id = sim.open(Opening::new("a", Setup::REGISTRY)).id;
    for name in [
        "status-500",
        "rate-limited",
        "rate-limited-7",
        "hang",
        "reset",
        "half-answer",
        "html",
        "redirect-http://x/",
        "late-9",
        "garbage",
        "no-content",
    ] {
        let fault: Fault = name.parse().unwrap();
        assert_eq!(fault.to_string(), name);
        let (notes, writes) = (sim.notes_of(&id).len(), sim.writes());
        sim.fail(Endpoint::AddNote, fault.clone(), 2);
        for _ in 0..2 {
            match (&fault, note(&sim, &id).await) {
                (Fault::Status(_), Ok((status, body))) => {
                    assert_eq!(status, 500);
                    assert!(body.contains("\"error\":{\"code\""), "{body}");
                }
                (Fault::RateLimited(_), Ok((status, _))) => assert_eq!(status, 429),
                (Fault::Html, Ok((status, body))) => assert!(status == 200 && body.contains("<html>")),
                (Fault::Garbage, Ok((status, body))) => assert!(status == 202 && !body.ends_with('}'), "{body}"),
                (Fault::NoContent, Ok((status, body))) => assert!(status == 204 && body.is_empty(), "{body}"),
                (Fault::Redirect(_), Ok((status, _))) => assert_eq!(status, 302),
                (Fault::Late(_), Ok((status, _))) => assert_eq!(status, 504),
                (Fault::Hang, Err(error)) => assert!(error.is_timeout(), "{error:?}"),
                (Fault::Reset, Err(error)) => assert!(error.is_request() && !error.is_timeout(), "{error:?}"),
                (Fault::HalfAnswer, Err(error)) => assert!(!error.is_timeout(), "{error:?}"),
                (fault, answer) => panic!("{fault}: {answer:?}"),
            }
        }
        // Half an answer is the answer to something that was done.
        let done = if fault == Fault::HalfAnswer { 2 } else { 0 };
        // What comes late shows late.
        let taken = if matches!(fault, Fault::Late(_)) { 2 } else { done };
        assert_eq!((sim.notes_of(&id).len(), sim.writes()), (notes + done, writes + taken), "{fault}");
        assert_eq!(note(&sim, &id).await.unwrap().0, 200, "{fault} is over");
    }
    for wrong in ["status-200", "status-x", "rate-limited-x", "nothing", ""] {
        assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_late_note_is_answered_as_failed_and_shows_when_its_time_has_come() {
    let (sim, clock) = start().await;
    let id = sim.open(Opening::new("a", Setup::REGISTRY)).id;
    sim.fail(Endpoint::AddNote, "late-25".parse().unwrap(), 1);
    assert_eq!(note(&sim, &id).await.unwrap().0, 504);
    clock.pass(Duration::from_secs(24));
    assert_eq!(note(&sim, &id).await.unwrap().0, 200);
    let times = || sim.notes_of(&id).into_iter().map(|note| note.created_at.to_string()).collect::<Vec<_>>();
    assert_eq!(times().len(), 1);
    clock.pass(Duration::from_secs(1));
    let times = times();
    assert!(times.len() == 2 && times[0] < times[1], "{times:?}");
}

#[tokio::test]
async fn a_late_incident_is_opened_when_its_time_has_come_unless_another_with_its_key_is_open_by_then() {
    for again in [false, true] {
        let (sim, clock) = start().await;
        sim.fail(Endpoint::CreateIncident, "late-25".parse().unwrap(), 1);
        let service = json!({"id": Setup::SERVICE_ENDPOINT, "type": "service_reference"});
        let body = json!({"incident": {"type": "incident", "title": "t", "service": service, "incident_key": "k"}});
        let open = || async { sim.send(Method::POST, "/incidents", body.clone()).await.0 };
        assert_eq!(open().await, 504);
        clock.pass(Duration::from_secs(24));
        assert!(sim.pages().is_empty());
        if again {
            assert_eq!(open().await, 201);
        }
        clock.pass(Duration::from_secs(1));
        assert_eq!(sim.pages().len(), 1);
        assert_eq!(open().await, 400, "its key is taken");
    }
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (sim, _) = start().await;
    sim.fail(Endpoint::Services, Fault::Reset, 1);
    let mut stream = tokio::net::TcpStream::connect(sim.api_url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(b"GET /services HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let error = stream.read(&mut [0; 9]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn retry_after_is_sent_where_it_was_asked_for() {
    let (sim, _) = start().await;
    sim.fail(Endpoint::Services, Fault::RateLimited(None), 1);
    sim.fail(Endpoint::Services, Fault::RateLimited(Some(7)), 1);
    let ask = || async { sim.request(Method::GET, "/services").send().await.unwrap() };
    let first = ask().await;
    assert!(!first.headers().contains_key("retry-after") && !first.headers().contains_key("ratelimit-reset"));
    assert_eq!(ask().await.headers()["retry-after"], "7");
}

#[tokio::test]
async fn an_answer_can_be_lost_after_the_deed() {
    let (sim, _) = start().await;
    let id = sim.open(Opening::new("a", Setup::REGISTRY)).id;
    sim.fail_once_done(Endpoint::AddNote, Fault::Reset, 1);
    assert!(note(&sim, &id).await.is_err());
    assert_eq!((sim.notes_of(&id).len(), sim.writes()), (1, 1));
    sim.fail(Endpoint::AddNote, Fault::Hang, 9);
    sim.mend();
    assert_eq!(note(&sim, &id).await.unwrap().0, 200);
}

#[tokio::test]
async fn every_endpoint_can_fail_by_its_name() {
    let (sim, _) = start().await;
    let calls = [
        (Method::GET, "/incidents", "incidents"),
        (Method::GET, "/incidents/Q1", "incident"),
        (Method::GET, "/incidents/Q1/alerts", "alerts"),
        (Method::POST, "/incidents", "create-incident"),
        (Method::PUT, "/incidents/Q1", "update-incident"),
        (Method::PUT, "/incidents/Q1/merge", "merge"),
        (Method::GET, "/incidents/Q1/notes", "notes"),
        (Method::POST, "/incidents/Q1/notes", "add-note"),
        (Method::PUT, "/incidents/Q1/notes/P1", "edit-note"),
        (Method::DELETE, "/incidents/Q1/notes/P1", "delete-note"),
        (Method::GET, "/services", "services"),
        (Method::GET, "/services/P1", "service"),
        (Method::GET, "/users", "users"),
        (Method::POST, "/v2/enqueue", "enqueue"),
    ];
    for (method, path, name) in calls {
        let endpoint: Endpoint = name.parse().unwrap();
        assert_eq!(endpoint.to_string(), name);
        sim.fail(endpoint, Fault::Status(418), 1);
        assert_eq!(sim.request(method.clone(), path).send().await.unwrap().status(), 418, "{name}");
        assert_ne!(sim.request(method, path).send().await.unwrap().status(), 418, "{name}");
    }
    assert!("nothing".parse::<Endpoint>().is_err());
}
