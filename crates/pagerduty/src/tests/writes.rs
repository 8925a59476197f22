use super::*;
use simulators::pagerduty::{Endpoint, Fault, Opening};

fn page() -> NewIncident {
    NewIncident {
        title: "Service Endpoint rejects connections in prod-us-south".to_owned(),
        service_id: Setup::SERVICE_ENDPOINT.to_owned(),
        incident_key: "se-responder/Q1".to_owned(),
        body: "Magic Boxes:\n…".to_owned(),
        by: Timestamp::MAX,
    }
}

#[tokio::test]
async fn a_page_is_opened_once() {
    let (account, client, _) = account().await;
    let Created::New(page_1) = client.create_incident(&free(), page()).await.unwrap() else { panic!("taken") };
    assert_eq!((page_1.status, page_1.urgency, page_1.assignments), (Status::Triggered, Urgency::High, 1));
    assert_eq!(page_1.incident_key.as_deref(), Some("se-responder/Q1"));
    assert_eq!(client.create_incident(&free(), page()).await.unwrap(), Created::KeyTaken);
    assert_eq!(account.pages().len(), 1);
    assert_eq!(account.pages()[0].body.as_deref(), Some("Magic Boxes:\n…"));
    let request = &account.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/incidents"));
    assert_eq!(request.from.as_deref(), Some(Setup::FROM));
    assert_eq!(request.content_type.as_deref(), Some("application/json"));

    account.resolve(&page_1.id, None);
    assert!(matches!(client.create_incident(&free(), page()).await.unwrap(), Created::New(_)));
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused_with_pagerdutys_words() {
    let (account, client, _) = account().await;
    let wrong = NewIncident { service_id: "PNOSUCH".to_owned(), ..page() };
    let error = client.create_incident(&free(), wrong).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "opening a PagerDuty incident on the service PNOSUCH: \
         400 Bad Request: Invalid Input Provided (code 2001): Service not found"
    );
    let long = NewIncident { title: "é".repeat(1100), ..page() };
    assert!(
        matches!(client.create_incident(&free(), long).await.unwrap(), Created::New(i) if i.title.chars().count() == 1024)
    );
    let error =
        client.create_incident(&free(), NewIncident { incident_key: "k".repeat(256), ..page() }).await.unwrap_err();
    assert_eq!(error.kind, Kind::Local);
    assert_eq!(account.pages().len(), 1);
}

#[tokio::test]
async fn a_from_that_pagerduty_does_not_know_says_what_to_set() {
    let (account, _, clock) = account().await;
    let id = account.open(Opening::new("a", Setup::REGISTRY)).id;
    for (from, code) in [("nobody@example.com", "1008"), ("", "2016"), ("nobody", "1028")] {
        let settings = PagerDutySettings { from: from.to_owned(), ..settings(&account) };
        let client = PagerDuty::new(settings, clock.clone()).unwrap();
        let error = client.add_note(&free(), &id, "x").await.unwrap_err();
        assert_eq!(error.status(), Some(reqwest::StatusCode::BAD_REQUEST));
        assert!(error.to_string().contains(code) && error.to_string().contains("PAGERDUTY_FROM"), "{error}");
    }
}

#[tokio::test]
async fn notes_are_written_read_and_edited() {
    let (account, client, clock) = account().await;
    let id = account.open(Opening::new("a", Setup::REGISTRY)).id;
    let note = client.add_note(&free(), &id, "first\nrun 1").await.unwrap();
    assert_eq!((note.content.as_str(), note.created_at), ("first\nrun 1", Some(clock.now())));
    assert_eq!(note.user.as_ref().unwrap().id, Setup::RESPONDER);
    client.edit_note(&free(), &id, &note.id, "second\nrun 1").await.unwrap();
    let notes = client.notes(&id).await.unwrap();
    assert_eq!(notes.len(), 1);
    assert_eq!((notes[0].id.as_str(), notes[0].content.as_str()), (note.id.as_str(), "second\nrun 1"));
    assert_eq!(
        client.edit_note(&free(), &id, "PNOSUCH", "x").await.unwrap_err().status().map(|s| s.as_u16()),
        Some(404)
    );
    assert_eq!(client.add_note(&free(), "QNOSUCH", "x").await.unwrap_err().status().map(|s| s.as_u16()), Some(404));
    assert_eq!(client.notes("QNOSUCH").await.unwrap_err().status().map(|s| s.as_u16()), Some(404));

    client.add_note(&free(), &id, &"ß".repeat(MAX_NOTE)).await.unwrap();
    let asked = account.requests().len();
    for content in ["", " \n", &"ß".repeat(MAX_NOTE + 1)] {
        assert_eq!(client.add_note(&free(), &id, content).await.unwrap_err().kind, Kind::Local);
        assert_eq!(client.edit_note(&free(), &id, &note.id, content).await.unwrap_err().kind, Kind::Local);
    }
    assert_eq!(account.requests().len(), asked);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_asked_again() {
    let (account, client, _) = account().await;
    let id = account.open(Opening::new("a", Setup::REGISTRY)).id;
    for fault in ["status-500", "status-503", "status-408", "hang", "reset", "half-answer", "html"] {
        let before = account.notes_of(&id).len();
        account.forget_requests();
        account.fail_once_done(Endpoint::AddNote, fault.parse().unwrap(), 1);
        let patience = Duration::from_secs(if fault == "hang" { 1 } else { 20 });
        let error = client.with_patience(patience).add_note(&free(), &id, "x").await.unwrap_err();
        assert_eq!(error.kind, Kind::Ambiguous, "{fault}: {error}");
        assert_eq!((account.requests().len(), account.notes_of(&id).len()), (1, before + 1), "{fault}");
    }
    account.fail(Endpoint::CreateIncident, Fault::Reset, 1);
    assert_eq!(client.create_incident(&free(), page()).await.unwrap_err().kind, Kind::Ambiguous);
    assert!(account.pages().is_empty());
}

#[tokio::test]
async fn a_write_that_was_certainly_not_done_is_asked_again() {
    let (account, client, clock) = account().await;
    let id = account.open(Opening::new("a", Setup::REGISTRY)).id;
    account.fail(Endpoint::AddNote, Fault::RateLimited(Some(3)), 1);
    account.fail(Endpoint::AddNote, Fault::RateLimited(None), 1);
    client.add_note(&free(), &id, "x").await.unwrap();
    assert_eq!(clock.slept(), [Duration::from_millis(3150), Duration::from_millis(600)]);
    assert_eq!((account.notes_of(&id).len(), account.requests().len()), (1, 3));

    account.forget_requests();
    account.fail(Endpoint::AddNote, Fault::RateLimited(None), 9);
    let error = client.add_note(&free(), &id, "x").await.unwrap_err();
    assert_eq!((error.kind, account.requests().len()), (Kind::Later(None), 5));
    assert_eq!(account.notes_of(&id).len(), 1);
}

#[tokio::test]
async fn without_a_connection_nothing_was_done() {
    let clock = HandClock::at(NOW);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let settings = PagerDutySettings { api_url, token: "t".into(), from: "a@b".to_owned() };
    let client = PagerDuty::new(settings, clock.clone()).unwrap();
    let error = client.add_note(&free(), "Q1", "x").await.unwrap_err();
    assert_eq!((error.kind, clock.slept().len()), (Kind::Later(None), 4));
    assert!(error.to_string().contains("no connection"), "{error}");
}

#[test]
fn an_opening_ends_within_what_is_reckoned_for_it() {
    use runbook::writes::{Times, opening::OPEN_WITHIN};
    assert_eq!(OPEN_WITHIN + PATIENCE, Times::OPENING.longest_write);
}

/// Whoever was frozen for longer than its claim holds may have been replaced meanwhile.
#[tokio::test]
async fn nothing_is_written_until_the_claim_certainly_holds_nor_long_after_it_was_asked_for() {
    use futures::{FutureExt as _, TryFutureExt as _};
    use tokio::time::Instant;

    use outbound::permit::Term;
    use runbook::span::after;
    use runbook::writes::opening::OPEN_WITHIN;

    const HOUR: Duration = Duration::from_secs(3600);
    let (account, client, clock) = account().await;
    let id = account.open(Opening::new("a", Setup::REGISTRY)).id;
    let note = client.add_note(&free(), &id, "x").await.unwrap().id;
    let events = account.api_url();
    let key = Secret::from(Setup::ROUTING_KEY);
    let event = || NewEvent {
        summary: "s".into(),
        dedup_key: "se-responder/Q2".into(),
        source: "prod-us-south".into(),
        details: "d".into(),
        client_url: String::new(),
        by: after(clock.now(), OPEN_WITHIN),
    };
    let page = || NewIncident { by: after(clock.now(), OPEN_WITHIN), ..page() };
    for waits in [0, 76, 121].map(Duration::from_secs) {
        let term = Term::new(Instant::now() - HOUR, HOUR);
        let giver = term.giver();
        let permit = giver.permit();
        let event = event();
        // A page is opened within a shorter time: the region's other alerts wait for it.
        for (mut writing, within) in [
            (client.add_note(&permit, &id, "x").map_ok(drop).boxed(), 120),
            (client.edit_note(&permit, &id, &note, "y").map_ok(drop).boxed(), 120),
            (client.create_incident(&permit, page()).map_ok(drop).boxed(), 75),
            (client.enqueue(&permit, &events, &key, &event).boxed(), 75),
        ] {
            account.forget_requests();
            term.renewed(Instant::now() - HOUR);
            assert!((&mut writing).now_or_never().is_none());
            clock.pass(waits);
            term.renewed(Instant::now());
            let written = writing.await;
            if waits < Duration::from_secs(within) {
                written.unwrap();
                assert_eq!(account.requests().len(), 1);
            } else {
                // What was noted as begun is too old by now: it is looked for, and begun again.
                assert_eq!(written.unwrap_err().kind, Kind::Later(None));
                assert!(account.requests().is_empty(), "{:?}", account.requests());
            }
        }
    }
}

#[tokio::test]
async fn a_ping_is_asked_for_once_and_an_answer_without_a_body_is_well() {
    let (account, client, _) = account().await;
    account.subscriptions(|all| {
        all.push(sim::Subscription {
            id: "PSUB1".into(),
            service_id: String::new(),
            url: "http://127.0.0.1:9/nobody".into(),
            events: Vec::new(),
            active: true,
            temporarily_disabled: false,
            secret: "s".into(),
        });
    });
    client.ping_subscription(&free(), "PSUB1").await.unwrap();
    let request = &account.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/webhook_subscriptions/PSUB1/ping"));
    let gone = client.ping_subscription(&free(), "PSUB2").await.unwrap_err();
    assert_eq!(gone.status().map(|status| status.as_u16()), Some(404), "{gone}");
    account.fail(Endpoint::PingSubscription, Fault::Status(403), 1);
    let refused = client.ping_subscription(&free(), "PSUB1").await.unwrap_err();
    assert_eq!(refused.status().map(|status| status.as_u16()), Some(403), "{refused}");
    assert_eq!(account.requests().len(), 3, "what is refused is not asked again");
    assert!(client.ping_subscription(&free(), "../users").await.is_err());
    assert_eq!(account.requests().len(), 3);
}
