//! What answers, and wrongly: a proxy's page, garbage, nothing. A page ends within [`GIVE_UP_AFTER`], and a short note
//! says so.

use super::*;

const KEY: (&str, &str) = ("ESCALATION_ROUTING_KEY", Setup::ROUTING_KEY);

impl Bench {
    /// Drives an automatic page as its worker and its run do: evidence that is too old is taken again. How long it took.
    async fn until_failed(&self, what: &str) -> Duration {
        let (run, mut lease) = self.wanted_for(&self.alert.clone(), None).await;
        let began = self.context.clock.now();
        for _ in 0..5 {
            self.page(&lease).await;
            if let Some(record) = self.record().await {
                assert_eq!(record.state, PageState::Failed, "{what}: {record:?}");
                let notes = self.notes_on(&self.alert);
                assert!(notes.iter().any(|note| note.starts_with("NOBODY WAS PAGED")), "{what}: {notes:#?}");
                return between(began, self.context.clock.now());
            }
            // Held: the run reads the boxes again, and wants it again.
            self.clock.jump(Duration::from_secs(60));
            self.diagnosed(&run, &service_endpoint(self.context.clock.now())).await;
            self.context.store.request_page(&self.alert, run.run_id(), None).await.unwrap();
            lease = self.context.store.claim_page().await.unwrap().unwrap();
        }
        panic!("{what}: no end: {:?}", self.shown().await.escalation);
    }
}

/// With evidence that is good for so long.
async fn the_events_api_answers_wrongly_for_ever(fault: &str, max_age: &str) {
    let bench = Bench::with(&[KEY, ("EVIDENCE_MAX_AGE", max_age)]).await.where_it(fault == "hang");
    bench.account.fail(Endpoint::Enqueue, fault.parse().unwrap(), u32::MAX);
    let took = bench.until_failed(fault).await;
    assert!(took <= GIVE_UP_AFTER + Duration::from_secs(60), "{fault}, {max_age}: {took:?}");
    assert!(took >= Duration::from_secs(300), "{fault}, {max_age}: it is tried for a while: {took:?}");
    let reason = bench.shown().await.escalation.reason.unwrap();
    assert!(reason.contains("Events API"), "{fault}, {max_age}: {reason}");
}

#[tokio::test]
async fn an_events_api_that_answers_wrongly_for_ever_ends_in_ten_minutes_loudly() {
    let faults = ["html", "garbage", "no-content", "redirect-http://127.0.0.1:9/", "status-500"];
    for fault in faults {
        the_events_api_answers_wrongly_for_ever(fault, "10m").await;
    }
    for max_age in ["3m", "1h"] {
        the_events_api_answers_wrongly_for_ever("html", max_age).await;
    }
}

/// By itself, beside the others: each request that hangs is waited for by the real clock.
#[tokio::test]
async fn an_events_api_that_hangs_for_ever_ends_in_ten_minutes_loudly() {
    the_events_api_answers_wrongly_for_ever("hang", "10m").await;
}

/// A proxy answers in its place, and yet the event has got through: it is found by its key, also when that is late.
#[tokio::test]
async fn an_event_that_was_taken_though_the_answer_was_wrong_is_found_by_its_key() {
    for fault in ["html", "garbage", "no-content"] {
        let bench = Bench::with(&[KEY]).await;
        bench.account.set_event_delay(Duration::from_secs(300));
        bench.account.fail_once_done(Endpoint::Enqueue, fault.parse().unwrap(), u32::MAX);
        let lease = bench.wanted(None).await;
        bench.page(&lease).await;
        assert_eq!(bench.state().await, PageState::Paged, "{fault}");
        let shown = bench.shown().await.escalation.page.unwrap().id;
        assert!(bench.account.pages().iter().any(|page| page.id == shown), "{fault}");
    }
}

/// One question goes wrong while PagerDuty answers others: it is no outage that would be waited out in silence.
async fn a_look_goes_wrong_while_pagerduty_answers(endpoint: Endpoint, fault: &str) {
    let bench = Bench::new().await.where_it(fault == "hang");
    bench.account.fail(endpoint, fault.parse().unwrap(), u32::MAX);
    let what = format!("{endpoint}, {fault}");
    let took = bench.until_failed(&what).await;
    assert!(took <= GIVE_UP_AFTER + Duration::from_secs(90), "{what}: {took:?}");
    assert!(bench.account.pages().is_empty(), "{what}");
}

#[tokio::test]
async fn a_look_that_goes_wrong_while_pagerduty_answers_ends_in_ten_minutes_loudly() {
    for (endpoint, fault) in [
        (Endpoint::Services, "html"),
        (Endpoint::Services, "garbage"),
        (Endpoint::Incidents, "html"),
        (Endpoint::Incidents, "status-500"),
    ] {
        a_look_goes_wrong_while_pagerduty_answers(endpoint, fault).await;
    }
}

/// By itself, beside the others: each request that hangs is waited for by the real clock.
#[tokio::test]
async fn a_look_that_hangs_while_pagerduty_answers_ends_in_ten_minutes_loudly() {
    a_look_goes_wrong_while_pagerduty_answers(Endpoint::Incidents, "hang").await;
}

/// Where it answers nothing at all nothing could be said either: the page waits, and is opened once it is back.
#[tokio::test]
async fn a_proxy_in_front_of_all_of_pagerduty_for_an_hour_is_waited_out() {
    let bench = Bench::new().await;
    let lease = bench.wanted(None).await;
    for endpoint in [Endpoint::Incidents, Endpoint::Incident, Endpoint::Services] {
        bench.account.fail(endpoint, Fault::Html, 120);
    }
    let began = bench.context.clock.now();
    bench.page(&lease).await;
    assert!(between(began, bench.context.clock.now()) > GIVE_UP_AFTER * 3);
    // Its evidence is too old by then: the run takes it again.
    let escalation = bench.shown().await.escalation;
    assert_eq!(escalation.state, EscalationState::Held, "{escalation:?}");
}

/// Ten minutes are counted over all workers.
#[tokio::test]
async fn a_restart_is_no_reason_to_try_for_longer() {
    let bench = Bench::with(&[("EVIDENCE_MAX_AGE", "1h")]).await;
    bench.account.fail(Endpoint::CreateIncident, Fault::Status(500), u32::MAX);
    let lease = bench.wanted(None).await;
    let began = bench.context.clock.now();
    let begun = bench.context.store.begins_page(&lease, &REGION.parse().unwrap(), None, &[]).await.unwrap();
    assert_eq!(begun, Reservation::Reserved);
    bench.clock.jump(GIVE_UP_AFTER - Duration::from_secs(30));
    let next = bench.context.store.claim_page().await.unwrap().unwrap();
    bench.page(&next).await;
    assert_eq!(bench.state().await, PageState::Failed);
    let took = between(began, bench.context.clock.now());
    assert!(took < GIVE_UP_AFTER + Duration::from_secs(60), "{took:?}");
}
