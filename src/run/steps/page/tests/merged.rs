//! The alert is merged into another while its page is being opened: its claim is gone in that instant.

use std::sync::{Arc, Mutex, mpsc};

use super::*;
use runbook::run::AlertIncident;
use simulators::tap::{Moment, Then};

impl Bench {
    /// Another alert of the region, whose run is over.
    async fn other(&self) -> String {
        let alert = self.account.open(Opening::new(&format!("All SE endpoints down in {REGION}"), Setup::REGISTRY)).id;
        let run = self.run_of(&alert).await;
        self.context.store.finish_run(&run, &store::Finish::Done).await.unwrap();
        alert
    }
}

/// PagerDuty waits before it opens the page, or with its answer: what is sent runs to its answer, which is recorded, and the
/// other alert's worker finds the page by it.
async fn merged_while(moment: Moment) {
    let bench = Bench::new().await;
    let (run, of) = bench.wanted_for(&bench.alert.clone(), None).await;
    let other = bench.other().await;
    bench.account.forget_requests();
    let (come, has_come) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel::<()>();
    let first = Mutex::new(Some((come, goes_on)));
    bench.tap.watch(Arc::new(move |sighting| {
        if sighting.moment == moment && sighting.request.starts_with("POST /incidents ") {
            let first = first.lock().unwrap().take();
            if let Some((come, goes_on)) = first {
                come.send(()).unwrap();
                let _ = goes_on.recv();
            }
        }
        Then::GoOn
    }));
    let (context, lease) = (bench.context.clone(), of.alert().clone());
    let turn = tokio::spawn(async move { beside::turn(&context, &lease).await.map(|rest| rest.is_none()) });
    tokio::task::spawn_blocking(move || has_come.recv()).await.unwrap().unwrap();

    let into = AlertIncident {
        id: other.clone(),
        number: 2,
        title: format!("All SE endpoints down in {REGION}"),
        html_url: format!("https://sim.pagerduty.com/incidents/{other}"),
    };
    bench.context.store.merge_alert(&run, &bench.alert, &into, true, None).await.unwrap().unwrap();
    assert!(turn.await.unwrap().unwrap(), "the alert is gone, and who worked on it stops");
    go_on.send(()).unwrap();
    let id = async || bench.context.store.opening_of(&bench.alert).await.unwrap().id;
    let heard = async { while id().await.is_none() {} };
    tokio::time::timeout(Duration::from_secs(30), heard).await.expect("what was sent runs to its answer");

    let began = bench.context.clock.now();
    let of = bench.context.store.claim_page_of(&bench.alert).await.unwrap().expect("it goes on with the other alert");
    bench.page(&of).await;
    let took = between(began, bench.context.clock.now());
    let page = bench.the_page();
    assert_eq!((bench.state().await, bench.asked("POST", "/incidents")), (PageState::Paged, 1));
    assert!(took < Duration::from_secs(10), "{took:?}");
    let known = bench.context.store.page_of_alert(&other).await.unwrap().unwrap();
    assert_eq!(known.page_id.as_deref(), Some(page.id.as_str()), "that is the other's page too");
    let notes = bench.notes_on(&bench.alert);
    let told = notes.iter().filter(|note| note.contains(&format!("/incidents/{}", page.id))).count();
    assert_eq!((notes.len(), told), (1, 1), "{notes:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_alert_that_is_merged_before_its_page_opens_has_that_one_page() {
    merged_while(Moment::RequestWhole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_alert_that_is_merged_before_its_page_is_answered_has_that_one_page() {
    merged_while(Moment::AnswerBegun).await;
}

/// Nobody has taken it up yet: it stands in its row alone.
#[tokio::test]
async fn a_page_that_is_wanted_when_its_alert_is_merged_is_opened_for_the_other() {
    let bench = Bench::new().await;
    let (run, of) = bench.wanted_for(&bench.alert.clone(), None).await;
    bench.context.store.release_page(&of, Duration::from_secs(3600)).await.unwrap();
    let other = bench.other().await;
    bench.context.store.spoil("UPDATE alerts SET beside = ''").await;
    let into =
        AlertIncident { id: other.clone(), number: 2, title: "another".to_owned(), html_url: "https://x".to_owned() };
    bench.context.store.merge_alert(&run, &bench.alert, &into, true, None).await.unwrap().unwrap();
    let of = bench.context.store.claim_page_of(&bench.alert).await.unwrap().expect("it is due with the other");
    bench.page(&of).await;
    bench.the_page();
    assert_eq!(bench.context.store.page_of_alert(&other).await.unwrap().unwrap().state, PageState::Paged);
}

/// Its row is taken away while it is looked for: nothing is opened, and the alert's claim and all that goes on under it hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_page_that_is_gone_when_it_is_to_be_opened_costs_its_alert_nothing() {
    let bench = Bench::new().await;
    let of = bench.wanted(None).await;
    let (come, has_come) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel::<()>();
    let first = Mutex::new(Some((come, goes_on)));
    bench.tap.watch(Arc::new(move |sighting| {
        if sighting.moment == Moment::RequestWhole && sighting.request.starts_with("GET /services") {
            let first = first.lock().unwrap().take();
            if let Some((come, goes_on)) = first {
                come.send(()).unwrap();
                let _ = goes_on.recv();
            }
        }
        Then::GoOn
    }));
    let (context, lease) = (bench.context.clone(), of.alert().clone());
    let turn = tokio::spawn(async move { beside::turn(&context, &lease).await });
    tokio::task::spawn_blocking(move || has_come.recv()).await.unwrap().unwrap();
    bench.context.store.spoil("DELETE FROM pages").await;
    go_on.send(()).unwrap();
    let rest = turn.await.unwrap().expect("the claim holds").expect("the alert is there");
    assert!(rest.page(&bench.alert).is_none());
    rest.keep(&bench.context, of.alert()).await.unwrap();
    assert_eq!((bench.asked("POST", "/incidents"), bench.record().await), (0, None));
}
