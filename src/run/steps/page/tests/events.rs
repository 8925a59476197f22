//! By the Events API, where a routing key is given.

use super::*;

const KEY: (&str, &str) = ("ESCALATION_ROUTING_KEY", Setup::ROUTING_KEY);
const ENQUEUE: &str = "/v2/enqueue";

async fn bench() -> Bench {
    Bench::with(&[KEY]).await
}

#[tokio::test]
async fn the_page_goes_through_the_events_api_and_is_read_back() {
    for keyless in [false, true] {
        let bench = bench().await;
        bench.account.set_event_delay(Duration::from_secs(60));
        if keyless {
            bench.account.set_keyless_events();
        }
        let lease = bench.wanted(None).await;
        bench.page(&lease).await;
        let page = bench.the_page();
        assert_eq!((page.service_id.as_str(), page.urgency.as_str()), (Setup::SERVICE_ENDPOINT, "high"));
        assert_eq!(page.alert_keys, [Context::page_key(&bench.alert)]);
        assert_eq!((bench.asked("POST", "/incidents"), bench.asked("POST", ENQUEUE)), (0, 1));
        let run = bench.shown().await;
        assert_eq!((run.escalation.state, run.escalation.reason), (EscalationState::Paged, None));
        assert_eq!(run.escalation.page.unwrap().id, page.id);
        let sent = bench.account.requests().into_iter().find(|r| r.path == ENQUEUE).unwrap();
        assert_eq!((sent.authorization, sent.from), (None, None), "the REST API's credentials stay there");
        let event: serde_json::Value = serde_json::from_str(&sent.body).unwrap();
        assert_eq!(event["payload"]["severity"], "critical");
        assert_eq!(event["payload"]["source"], REGION);
        let body = event["payload"]["custom_details"]["details"].as_str().unwrap();
        assert!(body.contains(&format!("{REGION}-az1-1-vm-d4533b5e")), "the Magic Box IDs: {body}");
        let elsewhere = bench.account.requests().into_iter().filter(|r| r.path != ENQUEUE);
        assert!(elsewhere.into_iter().all(|r| !format!("{r:?}").contains(Setup::ROUTING_KEY)));
    }
}

#[tokio::test]
async fn an_event_whose_answer_is_lost_is_looked_for_and_not_sent_twice() {
    for fault in ["reset", "half-answer", "status-500", "status-503", "status-408", "html", "hang"] {
        let bench = bench().await.where_it(fault == "hang");
        bench.account.set_lag(LAG);
        bench.account.fail_once_done(Endpoint::Enqueue, fault.parse().unwrap(), 1);
        let lease = bench.wanted(None).await;
        bench.page(&lease).await;
        bench.the_page();
        assert_eq!((bench.state().await, bench.asked("POST", ENQUEUE)), (PageState::Paged, 1), "{fault}");
    }
}

#[tokio::test]
async fn an_event_that_was_not_taken_is_sent_again_within_bounds() {
    for (fault, times) in [(Fault::RateLimited(Some(2)), 12), (Fault::Status(500), 3), (Fault::Reset, 2)] {
        let bench = bench().await;
        bench.account.fail(Endpoint::Enqueue, fault.clone(), times);
        let lease = bench.wanted(None).await;
        bench.page(&lease).await;
        bench.the_page();
        assert_eq!(
            (bench.state().await, bench.asked("POST", ENQUEUE)),
            (PageState::Paged, times as usize + 1),
            "{fault}"
        );
    }
    // Its own limit, however much REST would take.
    let bench = bench().await;
    bench.account.set_events_limit(0);
    let lease = bench.wanted(Some("olivia")).await;
    bench.page(&lease).await;
    assert_eq!(bench.state().await, PageState::Failed);
    assert!(bench.asked("POST", ENQUEUE) < 150, "{}", bench.asked("POST", ENQUEUE));
    let reason = bench.shown().await.escalation.reason.unwrap();
    assert!(reason.contains("too quickly") && reason.contains("rate limit"), "{reason}");
}

/// lifecycle.md#the-page: a page by the Events API may take a while to show, and then has `failed`.
#[tokio::test]
async fn an_event_that_is_taken_and_never_shows_is_a_failure_said_loudly() {
    let bench = bench().await;
    bench.account.lose_events(1);
    let lease = bench.wanted(None).await;
    let began = bench.context.clock.now();
    bench.page(&lease).await;
    let took = between(began, bench.context.clock.now());
    assert!((Duration::from_secs(120)..Duration::from_secs(180)).contains(&took), "{took:?}");
    assert!(bench.account.pages().is_empty());
    let run = bench.shown().await;
    assert_eq!((run.escalation.state, run.escalation.page), (EscalationState::Failed, None));
    let reason = run.escalation.reason.unwrap();
    assert!(reason.contains("within 2 min PagerDuty shows no incident"), "{reason}");
    let notes = bench.notes_on(&bench.alert);
    assert!(notes.len() == 2 && notes[1].starts_with("NOBODY WAS PAGED"), "{notes:?}");
}

#[tokio::test]
async fn what_is_there_already_is_found_or_joined_and_no_event_is_sent() {
    let bench = bench().await;
    let lease = bench.wanted(Some("olivia")).await;
    let mut old = Opening::new("opened by hand", Setup::SERVICE_ENDPOINT);
    old.incident_key = Some(Context::page_key(&bench.alert));
    let old = bench.account.open(old).id;
    bench.account.resolve(&old, None);
    bench.page(&lease).await;
    assert_eq!((bench.shown().await.escalation.page.unwrap().id, bench.asked("POST", ENQUEUE)), (old, 0));

    let bench = self::bench().await;
    let lease = bench.wanted(None).await;
    let open = bench.account.open(Opening::new(&format!("{REGION} rejects"), Setup::SERVICE_ENDPOINT)).id;
    bench.page(&lease).await;
    assert_eq!((bench.shown().await.escalation.page.unwrap().id, bench.asked("POST", ENQUEUE)), (open, 0));
    assert!(bench.record().await.unwrap().joined);
}

#[tokio::test]
async fn a_routing_key_that_is_refused_is_said_without_it() {
    let wrong = "f".repeat(32);
    let bench = Bench::with(&[("ESCALATION_ROUTING_KEY", &wrong)]).await;
    let lease = bench.wanted(None).await;
    bench.page(&lease).await;
    let run = bench.shown().await;
    let reason = run.escalation.reason.unwrap();
    assert_eq!((run.escalation.state, bench.asked("POST", ENQUEUE)), (EscalationState::Failed, 1));
    assert!(reason.contains("'routing_key' is not known") && reason.contains("ESCALATION_ROUTING_KEY"), "{reason}");
    assert!(!reason.contains(&wrong) && !format!("{:?}", bench.context.config).contains(&wrong));
}

#[tokio::test]
async fn a_routing_key_in_a_file_is_read_anew_for_each_page() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "f".repeat(32)).unwrap();
    let bench = Bench::with(&[("ESCALATION_ROUTING_KEY_FILE", file.to_str().unwrap())]).await;
    let lease = bench.wanted(Some("olivia")).await;
    std::fs::write(&file, format!("{}\n", Setup::ROUTING_KEY)).unwrap();
    bench.page(&lease).await;
    assert_eq!((bench.state().await, bench.account.pages().len()), (PageState::Paged, 1));
}

#[tokio::test]
async fn a_page_that_went_to_another_service_is_said_loudly() {
    let bench = bench().await;
    bench.account.add_service(simulators::pagerduty::ServiceSetup {
        id: "POTHERS".into(),
        name: "Somebody else".into(),
        status: "active".into(),
        on_call: Some(Setup::ENGINEER.into()),
        routing_key: Some("e".repeat(32)),
    });
    let mut config = (*bench.context.config).clone();
    config.escalation.routing_key = Some("e".repeat(32).as_str().into());
    let mut bench = bench;
    bench.context.config = std::sync::Arc::new(config);
    let lease = bench.wanted(None).await;
    bench.page(&lease).await;
    let run = bench.shown().await;
    assert_eq!(run.escalation.state, EscalationState::Paged);
    let reason = run.escalation.reason.unwrap();
    assert!(reason.contains("on the service Somebody else, not on Cloud Service Endpoint"), "{reason}");
    assert_eq!(bench.notes_on(&bench.alert).len(), 2, "the diagnosis, and a short one that is seen");
}
