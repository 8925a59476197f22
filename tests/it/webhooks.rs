//! `POST /webhooks/pagerduty`: each of its answers.

use serde_json::{Value, json};
use simulators::pagerduty::{Opening, Setup, sign};
use simulators::world::WEBHOOK_SECRET;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Stage, until};

/// A stage whose runs need not end.
async fn stage() -> Stage {
    Stage::quick(&[]).await
}

/// An event as PagerDuty sends it.
fn event(id: &str, event_type: &str, data: &Value) -> String {
    json!({"event": {"id": id, "event_type": event_type, "resource_type": "incident",
           "occurred_at": "2026-08-14T03:12:05Z", "agent": null, "client": null, "data": data}})
    .to_string()
}

fn incident(id: &str, title: &str) -> Value {
    json!({"id": id, "number": 7, "title": title, "html_url": "https://sim.pagerduty.com/incidents/Q7",
           "incident_key": null, "priority": null, "service": {"id": Setup::REGISTRY, "summary": "Containers Registry"}})
}

const TITLE: &str = "All SE endpoints down in prod-us-south";

#[tokio::test]
async fn any_of_several_secrets_may_have_signed_and_any_of_several_signatures_may_match() {
    let stage = stage().await;
    let mut body = event("E0", "incident.acknowledged", &incident("Q7", TITLE));
    let good = |body: &str| sign(WEBHOOK_SECRET, body.as_bytes());
    let wrong = "v1=".to_owned() + &"0".repeat(64);
    for (n, signature) in [
        (1, (&good) as &dyn Fn(&str) -> String),
        (2, &|b| sign("an-older-secret", b.as_bytes())),
        (3, &|b| format!("{wrong},{}", good(b))),
        (4, &|b| format!("{}, {wrong}", good(b))),
        (5, &|b| format!("v2=whatever it is,v1={wrong}, {}", good(b))),
        (6, &|b| format!("v0={},{}", "a".repeat(8), good(b))),
        (7, &|b| good(b).to_uppercase().replace("V1=", "v1=")),
    ] {
        body = body.replace(&format!("\"E{}\"", n - 1), &format!("\"E{n}\""));
        let answer = stage.front.webhook(body.as_bytes(), Some(&signature(&body))).await;
        assert_eq!(answer.is(202).word(), "ignored", "signature {n}");
    }
}

#[tokio::test]
async fn what_no_secret_of_ours_signed_is_refused_and_nothing_comes_of_it() {
    let stage = stage().await;
    let body = stage.world.pagerduty.webhook_body("incident.triggered", &stage.world.alert);
    let foreign = sign("somebody-else's-secret", body.as_bytes());
    for signature in [foreign.as_str(), "v2=0123", "v1=deadbeef", &format!("{foreign},{foreign}")] {
        stage.front.webhook(body.as_bytes(), Some(signature)).await.is_problem(403);
    }
    for malformed in ["", "nonsense", "v1=", "v1=xyz", "v1=012", "v1", ","] {
        stage.front.webhook(body.as_bytes(), Some(malformed)).await.is_problem(400);
    }
    stage.front.webhook(body.as_bytes(), None).await.is_problem(400);
    assert_eq!(stage.front.runs_of(&stage.world.alert).await, Vec::<Value>::new());
}

#[tokio::test]
async fn the_raw_bytes_are_what_is_signed() {
    let stage = stage().await;
    let body = stage.world.pagerduty.webhook_body("incident.triggered", &stage.world.alert);
    // The same JSON, written otherwise.
    let spaced = body.replacen(':', " : ", 1) + "\r\n";
    let signature = sign(WEBHOOK_SECRET, body.as_bytes());
    stage.front.webhook(spaced.as_bytes(), Some(&signature)).await.is_problem(403);
    assert_eq!(stage.front.signed(&spaced).await.is(202).word(), "accepted");
}

#[tokio::test]
async fn a_body_over_1_mib_is_refused_by_its_length_and_by_its_bytes() {
    let stage = stage().await;
    let body = vec![b' '; 1024 * 1024 + 1];
    let signature = sign(WEBHOOK_SECRET, &body);
    stage.front.webhook(&body, Some(&signature)).await.is_problem(413);
    let address = stage.front.url.trim_start_matches("http://");
    // By its length alone: not one byte of it is sent.
    let mut socket = TcpStream::connect(address).await.expect("a socket");
    let head = format!("POST /webhooks/pagerduty HTTP/1.1\r\nhost: x\r\nx-pagerduty-signature: {signature}\r\n");
    socket.write_all(format!("{head}content-length: 1048577\r\n\r\n").as_bytes()).await.expect("sent");
    assert_eq!(status_line(&mut socket).await, "HTTP/1.1 413 Payload Too Large");
    // In chunks, without a length.
    let mut socket = TcpStream::connect(address).await.expect("a socket");
    socket.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).await.expect("sent");
    for _ in 0..17 {
        // The refusal may come before the last chunk, and close the socket.
        let _ = socket.write_all(&[b"10000\r\n", &body[..0x10000], b"\r\n"].concat()).await;
    }
    assert_eq!(status_line(&mut socket).await, "HTTP/1.1 413 Payload Too Large");
    // What is as large as it may be is taken.
    let largest = &body[..1024 * 1024];
    stage.front.webhook(largest, Some(&sign(WEBHOOK_SECRET, largest))).await.is(202);
}

async fn status_line(socket: &mut TcpStream) -> String {
    let mut answer = vec![0; 512];
    let read = tokio::time::timeout(crate::harness::PATIENCE, socket.read(&mut answer)).await;
    let length = read.expect("an answer in time").expect("an answer");
    String::from_utf8_lossy(&answer[..length]).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn an_event_counts_once_and_a_second_triggered_starts_nothing() {
    let stage = stage().await;
    let body = stage.world.pagerduty.webhook_body("incident.triggered", &stage.world.alert);
    assert_eq!(stage.front.signed(&body).await.is(202).word(), "accepted");
    assert_eq!(stage.front.signed(&body).await.is(202).word(), "duplicate");
    assert_eq!(stage.alert("incident.triggered").await.is(202).word(), "ignored", "while it runs");
    stage.front.end_of(&stage.world.alert).await;
    assert_eq!(stage.alert("incident.triggered").await.is(202).word(), "ignored", "when it is done");
    assert_eq!(stage.front.signed(&body).await.is(202).word(), "duplicate");
    assert_eq!(stage.front.runs_of(&stage.world.alert).await.len(), 1);
}

#[tokio::test]
async fn many_at_once_are_one_run() {
    let stage = stage().await;
    let same = stage.world.pagerduty.webhook_body("incident.triggered", &stage.world.alert);
    let bodies = (0..12).map(|n| match n % 2 {
        0 => same.clone(),
        _ => stage.world.pagerduty.webhook_body("incident.triggered", &stage.world.alert),
    });
    let answers = futures::future::join_all(bodies.map(async |body| stage.front.signed(&body).await)).await;
    let accepted = answers.iter().filter(|a| a.is(202).word() == "accepted").count();
    assert_eq!(accepted, 1, "{answers:#?}");
    assert_eq!(stage.front.runs_of(&stage.world.alert).await.len(), 1);
}

#[tokio::test]
async fn everything_authentic_is_taken_and_what_is_no_alert_is_ignored() {
    let stage = stage().await;
    let on = |service: Value| json!({"id": "Q7", "title": TITLE, "service": service});
    let keyed = |key: &str| json!({"id": "Q7", "title": TITLE, "incident_key": key});
    let service_endpoint = json!({"id": Setup::SERVICE_ENDPOINT, "summary": "Cloud Service Endpoint"});
    let bodies = [
        stage.world.pagerduty.ping_body(),
        stage.world.pagerduty.webhook_body("incident.acknowledged", &stage.world.alert),
        stage.world.pagerduty.webhook_body("incident.resolved", &stage.world.alert),
        event("N1", "incident.annotated", &json!({"id": "P1", "content": "/rerun", "incident": {"id": "Q7"}})),
        event("N2", "service.updated", &json!({"id": "P1"})),
        event("N3", "something.that.is.new", &json!(["?"])),
        event("N4", "incident.triggered", &incident("Q7", "Public endpoints down in prod-us-south")),
        event("N5", "incident.triggered", &incident("Q7", "All SE endpoints down in PROD_us/south")),
        event("N6", "incident.triggered", &incident("Q7", "All SE endpoints down in ")),
        event("N7", "incident.triggered", &incident("../Q7", TITLE)),
        event("N8", "incident.triggered", &on(service_endpoint)),
        event("N9", "incident.triggered", &keyed("se-responder/QOTHER")),
        event("N10", "incident.triggered", &json!(null)),
        // Its resolution would wake who waits for it; that it opens is found by looking.
        event("N11", "incident.triggered", &incident("Q8", "All Public endpoints down in prod-us-south")),
        "{\"event\":".to_owned(),
        "null".to_owned(),
        String::new(),
    ];
    for body in &bodies {
        assert_eq!(stage.front.signed(body).await.is(202).word(), "ignored", "{body}");
        assert_eq!(stage.front.signed(body).await.is(202).word(), "duplicate", "it was stored: {body}");
    }
    let bytes = b"\xff\xfe\x00 no text at all";
    assert_eq!(stage.front.webhook(bytes, Some(&sign(WEBHOOK_SECRET, bytes))).await.is(202).word(), "ignored");
    assert_eq!(stage.front.get("/api/runs").await["runs"], json!([]));
}

#[tokio::test]
async fn leading_tags_and_outer_space_are_no_part_of_a_title() {
    let stage = stage().await;
    let title = " [PROD] [sev 1]  All SE endpoints down in prod-us-south \n";
    let body = event("T1", "incident.triggered", &incident("Q7", title));
    assert_eq!(stage.front.signed(&body).await.is(202).word(), "accepted");
    assert_eq!(stage.front.runs_of("Q7").await[0]["region"], "prod-us-south");
}

#[tokio::test]
async fn only_alerts_on_the_listed_services_are_handled() {
    let stage = Stage::quick(&[("PAGERDUTY_SERVICE_IDS", "PELSE, PREGSTR")]).await;
    let elsewhere = stage.world.pagerduty.open(Opening::new(TITLE, "PCLDSTG")).id;
    let body = stage.world.pagerduty.webhook_body("incident.triggered", &elsewhere);
    assert_eq!(stage.front.signed(&body).await.is(202).word(), "ignored");
    assert_eq!(stage.alert("incident.triggered").await.is(202).word(), "accepted");
}

#[tokio::test]
async fn a_reopened_alert_is_diagnosed_again_for_the_region_that_it_had() {
    let stage = stage().await;
    let first = stage.diagnosed().await;
    assert_eq!(first["state"], "done");
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    stage.world.pagerduty.rename(&stage.world.alert, "SE again (was us-south)");
    stage.world.pagerduty.reopen(&stage.world.alert, None);
    assert_eq!(stage.alert("incident.reopened").await.is(202).word(), "accepted");
    let second = stage.front.end_of(&stage.world.alert).await;
    assert_ne!(first["id"], second["id"]);
    assert_eq!((&second["region"], &second["state"]), (&json!("prod-us-south"), &json!("done")));
    assert_eq!(second["incident"]["title"], "SE again (was us-south)");
    assert_ne!(stage.note_of(&first).id, stage.note_of(&second).id);
    assert_eq!(stage.world.pagerduty.pages().len(), 1, "one page an alert, ever");
}

/// lifecycle.md#a-run-begins: resolved by now, the run is `cancelled`, and nothing is posted.
#[tokio::test]
async fn an_alert_that_is_over_when_its_run_begins_is_cancelled() {
    let stage = stage().await;
    let body = stage.world.pagerduty.webhook_body("incident.triggered", &stage.world.alert);
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    assert_eq!(stage.front.signed(&body).await.is(202).word(), "accepted");
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!((&run["state"], &run["diagnosis"]), (&json!("cancelled"), &Value::Null));
    assert!(stage.notes().is_empty() && stage.world.jenkins.started().is_empty());
}

#[tokio::test]
async fn a_secret_in_a_file_is_read_again() {
    let stage = stage().await;
    let path = stage.world.path("secrets");
    std::fs::write(&path, "the-first\n").expect("written");
    let mut stage = stage;
    let file = path.display().to_string();
    stage.restart(&[("PAGERDUTY_WEBHOOK_SECRETS", ""), ("PAGERDUTY_WEBHOOK_SECRETS_FILE", &file)]).await;
    let body = stage.world.pagerduty.ping_body();
    let signed = |secret: &str| sign(secret, body.as_bytes());
    stage.front.webhook(body.as_bytes(), Some(&signed("the-second"))).await.is_problem(403);
    std::fs::write(&path, "the-first\nthe-second\n").expect("written");
    until("the new secret", async || {
        (stage.front.webhook(body.as_bytes(), Some(&signed("the-second"))).await.status == 202).then_some(())
    })
    .await;
}

#[tokio::test]
async fn other_addresses_and_methods_are_problems_too() {
    let stage = stage().await;
    stage.front.get_as("", "/nowhere").await.is_problem(404);
    stage.front.get_as("", "/webhooks/pagerduty").await.is_problem(405);
    stage.front.get_as("", "/healthz").await.is(200);
    stage.front.get_as("", "/readyz").await.is(200);
}
