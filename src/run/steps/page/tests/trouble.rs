use std::sync::{Arc, Mutex, mpsc};

use super::*;
use crate::run::steps::page::update_note;
use simulators::tap::{Moment, Then};
use store::Finish;

#[tokio::test]
async fn a_page_that_is_refused_is_said_loudly() {
    let bench = Bench::with(&[("ESCALATION_SERVICE", "No Such Service")]).await;
    let lease = bench.wanted(None).await;
    bench.page(&lease).await;
    let run = bench.shown().await;
    assert_eq!(run.escalation.state, EscalationState::Failed);
    let notes = bench.notes_on(&bench.alert);
    assert_eq!(notes.len(), 2, "the diagnosis note, and a short one that is seen: {notes:?}");
    assert!(notes.iter().all(|note| note.contains("No Such Service")), "{notes:?}");

    // A person tries again once the setting is fixed; here it fails again, and ends.
    bench.context.store.request_page(&bench.alert, &run.id, Some("olivia")).await.unwrap();
    let again = bench.context.store.claim_page().await.unwrap().unwrap();
    bench.page(&again).await;
    assert_eq!(bench.state().await, PageState::Failed);
}

/// A person pages while a second run has found nothing yet: by hand, too, the Magic Box IDs of the first are needed.
#[tokio::test]
async fn a_page_that_failed_before_a_newer_run_found_anything_is_told_with_what_the_last_one_found() {
    let bench = Bench::with(&[("ESCALATION_SERVICE", "No Such Service"), ("ESCALATION_MODE", "suggest")]).await;
    let first = bench.run().await;
    let diagnosis = service_endpoint(bench.context.clock.now());
    bench.diagnosed(&first, &diagnosis).await;
    bench.context.store.finish_run(&first, &Finish::Done).await.unwrap();
    let second = bench.run().await;
    bench.context.store.request_page(&bench.alert, second.run_id(), Some("olivia")).await.unwrap();
    let lease = bench.context.store.claim_page().await.unwrap().unwrap();
    bench.page(&lease).await;
    assert_eq!(bench.state().await, PageState::Failed);
    let loud = bench.notes_on(&bench.alert).pop().expect("a short note");
    for shown in diagnosis.zones.iter().flat_map(|zone| &zone.boxes) {
        assert!(loud.contains(&shown.magic_box_id), "{}: {loud}", shown.magic_box_id);
    }
}

#[tokio::test]
async fn paging_ends_after_ten_minutes_and_says_so() {
    let bench = Bench::new().await;
    let lease = bench.wanted(Some("olivia")).await;
    bench.account.fail(Endpoint::CreateIncident, Fault::Status(500), u32::MAX);
    let began = bench.context.clock.now();
    bench.page(&lease).await;
    let took = between(began, bench.context.clock.now());
    assert!((GIVE_UP_AFTER..GIVE_UP_AFTER + Duration::from_secs(60)).contains(&took), "{took:?}");
    assert_eq!((bench.state().await, bench.account.pages().len()), (PageState::Failed, 0));
    assert!(bench.asked("POST", "/incidents") < 60);
}

/// lifecycle.md#the-page: one that nobody is assigned to, or whose service is off, is `paged` with that as its reason.
#[tokio::test]
async fn a_page_that_reaches_nobody_is_said_loudly() {
    type Prepare = fn(&Bench);
    let cases: [(&str, Prepare); 3] = [
        ("assigned to nobody", |bench| bench.account.set_on_call(Setup::SERVICE_ENDPOINT, None)),
        ("is disabled", |bench| bench.account.set_service_status(Setup::SERVICE_ENDPOINT, "disabled")),
        ("in maintenance", |bench| bench.account.set_service_status(Setup::SERVICE_ENDPOINT, "maintenance")),
    ];
    for (words, prepare) in cases {
        let bench = Bench::new().await;
        prepare(&bench);
        let lease = bench.wanted(None).await;
        bench.page(&lease).await;
        let run = bench.shown().await;
        // A disabled service may refuse the incident: then nobody was paged at all.
        let reason = run.escalation.reason.unwrap_or_default();
        assert!(matches!(run.escalation.state, EscalationState::Paged | EscalationState::Failed), "{words}");
        if run.escalation.state == EscalationState::Paged {
            assert!(reason.contains(words), "{words}: {reason}");
        }
        assert_eq!(bench.notes_on(&bench.alert).len(), 2, "{words}: {reason}");
    }
}

/// lifecycle.md#the-page: it is read back, and one that is missing has `failed`.
#[tokio::test]
async fn a_page_that_is_not_shown_is_a_failure_and_one_that_cannot_be_read_is_not() {
    let bench = Bench::new().await;
    let lease = bench.wanted(None).await;
    bench.account.fail(Endpoint::Incident, Fault::Status(404), u32::MAX);
    bench.page(&lease).await;
    let run = bench.shown().await;
    assert_eq!(run.escalation.state, EscalationState::Failed);
    assert!(run.escalation.reason.unwrap().contains("does not show it"));

    let bench = Bench::new().await;
    let lease = bench.wanted(None).await;
    bench.account.fail(Endpoint::Incident, Fault::Status(500), u32::MAX);
    bench.page(&lease).await;
    let run = bench.shown().await;
    assert_eq!((run.escalation.state, run.escalation.page.unwrap().id), (EscalationState::Paged, bench.the_page().id));
    assert!(run.escalation.reason.unwrap().contains("could not be read back"));

    // Shown a moment later, as after any write.
    let bench = Bench::new().await;
    let lease = bench.wanted(None).await;
    bench.account.fail(Endpoint::Incident, Fault::Status(404), 2);
    bench.page(&lease).await;
    assert_eq!(bench.state().await, PageState::Paged);
}

#[tokio::test]
async fn an_edit_that_is_refused_leaves_a_short_note_without_a_run_line() {
    let bench = Bench::new().await;
    let lease = bench.wanted(None).await;
    bench.account.fail(Endpoint::EditNote, Fault::Status(403), 1);
    bench.page(&lease).await;
    let notes = bench.notes_on(&bench.alert);
    assert_eq!(notes.len(), 2);
    assert_eq!(notes[1].lines().count(), 3);
    assert!(notes[1].contains("https://sim.pagerduty.com/incidents/"), "{}", notes[1]);
    assert!(!notes[1].lines().any(|line| line.starts_with("run ")));
}

#[tokio::test]
async fn a_worker_that_lost_its_page_opens_nothing_and_holds_nothing() {
    let bench = Bench::new().await;
    let stale = bench.wanted(None).await;
    bench.context.store.release_page(&stale, Duration::ZERO).await.unwrap();
    bench.context.store.claim_page().await.unwrap().unwrap();
    let result = beside::turn(&bench.context, stale.alert()).await.map(drop);
    assert!(matches!(result, Err(StoreError::LeaseLost)), "{result:?}");
    bench.account.open(Opening::new(PUBLIC_DOWN, Setup::REGISTRY));
    let result = beside::turn(&bench.context, stale.alert()).await.map(drop);
    assert!(matches!(result, Err(StoreError::LeaseLost)), "{result:?}");
    assert_eq!((bench.account.pages().len(), bench.asked("POST", "/incidents")), (0, 0));
    assert_eq!(bench.state().await, PageState::Requested);
}

#[tokio::test]
async fn an_incident_with_our_key_that_is_never_shown_ends_as_a_failure() {
    let bench = Bench::new().await;
    let lease = bench.wanted(Some("olivia")).await;
    let mut taken = Opening::new("x", Setup::SERVICE_ENDPOINT);
    taken.incident_key = Some(Context::page_key(&bench.alert));
    bench.account.set_lag(Duration::from_secs(3600));
    bench.account.open(taken);
    bench.page(&lease).await;
    assert_eq!(bench.state().await, PageState::Failed);
    assert!(bench.account.pages().is_empty());
    assert!(bench.shown().await.escalation.reason.unwrap().contains("does not show it"));
}

/// lifecycle.md#the-alert-ends: nobody is paged for it.
#[tokio::test]
async fn nobody_is_paged_for_an_alert_that_ended_between_its_note_and_its_page() {
    let bench = Bench::new().await;
    let lease = bench.wanted(None).await;
    bench.account.resolve(&bench.alert, None);
    bench.page(&lease).await;
    assert!(bench.account.pages().is_empty());
    let escalation = bench.shown().await.escalation;
    assert_eq!(escalation.state, EscalationState::Held);
    assert!(escalation.reason.unwrap().contains("the alert is resolved"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_tells_of_what_is_over_by_then_tells_again() {
    let bench = Bench::new().await;
    let (run, page) = bench.wanted_for(&bench.alert.clone(), None).await;
    let (come, has_come) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel::<()>();
    let first = Mutex::new(Some((come, goes_on)));
    bench.tap.watch(Arc::new(move |sighting| {
        if sighting.moment == Moment::RequestWhole && sighting.request.starts_with("PUT ") {
            let first = first.lock().unwrap().take();
            if let Some((come, goes_on)) = first {
                come.send(()).unwrap();
                let _ = goes_on.recv();
            }
        }
        Then::GoOn
    }));
    // One tells that the page is being opened; before its edit takes effect another opens the page and tells of that.
    let (context, alert, run_id) = (bench.context.clone(), bench.alert.clone(), run.run_id().to_owned());
    let late = tokio::spawn(async move { update_note(&context, &alert, &run_id).await });
    tokio::task::spawn_blocking(move || has_come.recv()).await.unwrap().unwrap();
    bench.page(&page).await;
    assert_eq!(bench.state().await, PageState::Paged);
    go_on.send(()).unwrap();
    late.await.unwrap().unwrap();
    let notes = bench.notes_on(&bench.alert);
    assert!(notes[0].lines().nth(2).is_some_and(|line| line.starts_with("Paged: ")), "{notes:#?}");
}

#[tokio::test]
async fn an_edit_that_is_lost_is_made_again_before_a_short_note_takes_its_place() {
    for fault in [Fault::Reset, Fault::Status(503), Fault::RateLimited(None), Fault::HalfAnswer] {
        let bench = Bench::new().await;
        let lease = bench.wanted(None).await;
        bench.account.fail(Endpoint::EditNote, fault.clone(), 3);
        bench.page(&lease).await;
        let notes = bench.notes_on(&bench.alert);
        let paged = notes[0].lines().nth(2).is_some_and(|line| line.starts_with("Paged: "));
        assert!(paged && notes.len() == 1, "{fault}: {notes:#?}");
    }
}
