//! A page that PagerDuty opens late, when it was said long since that nobody was paged.

use super::*;
use crate::run::tasks::{self, Done};
use store::TaskKind;

impl Bench {
    /// Works on what is due, a second at a time, until `is_so`.
    async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        for _ in 0..1500 {
            if is_so().await {
                return;
            }
            if let Some(lease) = self.context.store.claim_alert().await.unwrap() {
                if let Some(rest) = beside::turn(&self.context, &lease).await.unwrap() {
                    rest.keep(&self.context, &lease).await.unwrap();
                }
            } else if let Some(task) = self.context.store.claim_task().await.unwrap() {
                let done = tasks::drive(&self.context, &task).await.unwrap();
                tasks::end(&self.context.store, &task, &done).await.unwrap();
            } else {
                self.clock.jump(Duration::from_secs(1));
            }
        }
        panic!("{what}: {:#?}", self.record().await);
    }

    async fn is(&self, state: PageState) -> bool {
        self.record().await.is_some_and(|record| record.state == state)
    }

    fn short_notes(&self, begins: &str) -> usize {
        self.notes_on(&self.alert).iter().filter(|note| note.starts_with(begins)).count()
    }
}

/// The first answer is lost, and what was asked for is done so much later; what is sent again is refused.
async fn failed_in_doubt(late: u64) -> Bench {
    let bench = Bench::new().await;
    bench.account.fail(Endpoint::CreateIncident, Fault::Late(late), 1);
    bench.account.fail(Endpoint::CreateIncident, Fault::Status(400), u32::MAX);
    let lease = bench.wanted(None).await;
    bench.page(&lease).await;
    assert_eq!((bench.state().await, bench.account.pages().len()), (PageState::Failed, 0));
    assert_eq!(bench.short_notes("NOBODY WAS PAGED"), 1);
    bench
}

#[tokio::test]
async fn a_page_that_opens_after_it_was_called_failed_is_paged_after_all_and_said_once() {
    for late in [20, 90, 590] {
        let bench = failed_in_doubt(late).await;
        bench.until("it is found", async || bench.is(PageState::Paged).await).await;
        let (record, page) = (bench.record().await.unwrap(), bench.the_page());
        assert_eq!((record.page_id, record.joined, record.reason), (Some(page.id.clone()), false, None), "{late}");
        let note = bench.notes_on(&bench.alert).remove(0);
        assert!(note.contains(&page.id) && !note.contains("failed"), "{late}: {note}");
        assert_eq!((bench.short_notes("NOBODY WAS PAGED"), bench.short_notes("PAGED AFTER ALL")), (1, 1), "{late}");
        // What a page gets goes on.
        bench.account.acknowledge(&page.id, Setup::ENGINEER);
        let seen = async || bench.record().await.is_some_and(|record| record.acknowledged.is_some());
        bench.until("it is acknowledged", seen).await;
        assert_eq!(bench.short_notes("PAGED AFTER ALL"), 1, "{late}");
    }
}

/// The first is resolved, and then the second opens late too: that is what people have to work on.
#[tokio::test]
async fn each_of_two_pages_that_open_late_is_told_of_once() {
    let bench = Bench::new().await;
    for late in [60, 200] {
        bench.account.fail(Endpoint::CreateIncident, Fault::Late(late), 1);
    }
    bench.account.fail(Endpoint::CreateIncident, Fault::Status(400), u32::MAX);
    let lease = bench.wanted(None).await;
    bench.page(&lease).await;
    assert_eq!((bench.state().await, bench.account.pages().len()), (PageState::Failed, 0));
    bench.until("the first is found", async || bench.is(PageState::Paged).await).await;
    let first = bench.the_page().id;
    bench.account.resolve(&first, None);
    let is_second = async || {
        let record = bench.record().await;
        record.is_some_and(|record| record.page_id.is_some_and(|id| id != first))
    };
    bench.until("the second is found", is_second).await;
    let second = bench.account.pages().into_iter().find(|page| page.id != first).unwrap().id;
    assert_eq!(bench.record().await.unwrap().page_id, Some(second.clone()));
    let in_doubt = async || bench.context.store.opening_of(&bench.alert).await.unwrap().is_in_doubt();
    bench.until("nothing more may open", async || !in_doubt().await).await;
    let told = |page: &str| {
        let notes = bench.notes_on(&bench.alert);
        notes.iter().filter(|note| note.starts_with("PAGED AFTER ALL") && note.contains(page)).count()
    };
    assert_eq!((told(&first), told(&second)), (1, 1));
    let note = bench.notes_on(&bench.alert).remove(0);
    assert!(note.contains(&second) && !note.contains(&first), "{note}");
}

/// People have merged it before it was found: they are where it was merged into, whatever the service of that is.
#[tokio::test]
async fn a_late_page_that_was_merged_is_told_of_as_what_it_was_merged_into() {
    let (theirs, registry) = (Some(Setup::SERVICE_ENDPOINT), Some(Setup::REGISTRY));
    // Without a service: into the alert itself, which is no page.
    for (service, is_closed, is_page) in
        [(theirs, false, true), (registry, false, true), (theirs, true, false), (None, false, false)]
    {
        let bench = failed_in_doubt(20).await;
        bench.clock.jump(Duration::from_secs(25));
        let own = bench.the_page().id;
        let by_hand = |service| bench.account.open(Opening::new("opened by hand", service)).id;
        let into = service.map_or_else(|| bench.alert.clone(), by_hand);
        bench.account.merge(&own, &into, None);
        if is_closed {
            bench.account.resolve(&into, None);
        }
        bench.until("it is found", async || bench.is(PageState::Paged).await).await;
        let in_doubt = async || bench.context.store.opening_of(&bench.alert).await.unwrap().is_in_doubt();
        bench.until("nothing more may open", async || !in_doubt().await).await;
        let record = bench.record().await.unwrap();
        assert_eq!((record.state, record.joined), (PageState::Paged, false));
        assert_eq!(record.page_id, Some(if is_page { into.clone() } else { own }), "{service:?}");
        let (told, doubted) = (bench.short_notes("PAGED AFTER ALL"), bench.short_notes("MAYBE NOBODY HEARS"));
        assert_eq!((told, doubted), if is_page { (1, 0) } else { (0, 1) }, "{service:?}: {:?}", record.reason);
        let note = bench.notes_on(&bench.alert).remove(0);
        assert!(note.contains(&into), "{note}");
    }
}

/// People have merged it into another alert: that is no page to anybody, and `/escalate` must not be told that somebody is paged
/// there.
#[tokio::test]
async fn a_late_page_that_was_merged_into_another_alert_is_no_page() {
    let bench = failed_in_doubt(20).await;
    bench.clock.jump(Duration::from_secs(25));
    let own = bench.the_page().id;
    let other = bench.account.open(Opening::new(&format!("All SE endpoints down in {REGION}"), Setup::REGISTRY)).id;
    bench.queued(&other).await;
    bench.account.merge(&own, &other, None);
    bench.until("it is found", async || bench.is(PageState::Paged).await).await;
    let record = bench.record().await.unwrap();
    assert_eq!(record.page_id, Some(own));
    assert!(record.reason.as_ref().is_some_and(|reason| reason.contains(&other)), "{record:?}");
}

/// Its answer is recorded after another was joined, and no list shows it yet: its own document says whether it is open.
#[tokio::test]
async fn a_page_that_no_list_shows_yet_is_asked_for_by_its_id() {
    for is_open in [true, false] {
        let bench = failed_in_doubt(20).await;
        bench.clock.jump(Duration::from_secs(25));
        let own = bench.the_page().id;
        if !is_open {
            bench.account.resolve(&own, None);
        }
        let theirs = PageResult { page: Some(("QTHEIRS", "https://x/QTHEIRS")), joined: true, reason: None };
        let run = bench.shown().await;
        bench.context.store.request_page(&bench.alert, &run.id, Some("olivia")).await.unwrap();
        let lease = bench.context.store.claim_page().await.unwrap().unwrap();
        assert_eq!(bench.context.store.finish_page(&lease, &theirs).await.unwrap(), None);
        bench.context.store.set_page_told(&lease).await.unwrap();
        bench.account.set_lag(Duration::from_secs(3600));
        bench.account.forget_requests();
        bench.context.store.ends_opening(&bench.alert, &Outcome::Done(own.clone())).await;
        let task = loop {
            let task = bench.context.store.claim_task().await.unwrap().expect("at once");
            if task.kind == TaskKind::Opening {
                break task;
            }
        };
        tasks::drive(&bench.context, &task).await.unwrap();
        let record = bench.record().await.unwrap();
        let expected = if is_open { PageState::Requested } else { PageState::Paged };
        assert_eq!((record.state, record.no_news.contains(&own)), (expected, true), "{is_open}");
        assert_eq!(bench.asked("GET", &format!("/incidents/{own}")), 1);
    }
}

/// Found by a look that is due, not by chance: and looked for no longer than PagerDuty may take.
#[tokio::test]
async fn a_page_that_never_opens_stays_failed_and_is_looked_for_until_it_can_not_open_any_more() {
    let bench = failed_in_doubt(100_000).await;
    let in_doubt = async || bench.context.store.opening_of(&bench.alert).await.unwrap().is_in_doubt();
    let began = bench.context.clock.now();
    assert!(in_doubt().await);
    bench.account.forget_requests();
    bench.until("the doubt ends", async || !in_doubt().await).await;
    let took = between(began, bench.context.clock.now());
    assert!((Duration::from_secs(600)..Duration::from_secs(700)).contains(&took), "{took:?}");
    let looks = bench.account.requests().iter().filter(|r| r.query.contains("incident_key")).count();
    assert_eq!((bench.state().await, looks), (PageState::Failed, 4));
    assert_eq!((bench.short_notes("NOBODY WAS PAGED"), bench.short_notes("PAGED AFTER ALL")), (1, 0));
}

#[tokio::test]
async fn a_page_that_was_held_in_doubt_and_opens_is_paged_after_all() {
    let bench = Bench::new().await;
    bench.account.fail(Endpoint::CreateIncident, Fault::Late(40), 1);
    let lease = bench.wanted(None).await;
    // A bigger outage opens while its answer is waited for: the last look of the next try holds it.
    bench.account.fail(Endpoint::CreateIncident, Fault::Status(429), 1);
    let outage = bench.account.clone();
    let at = bench.context.clock.now();
    let (page, opens) = tokio::join!(bench.page(&lease), async move {
        while outage.requests().iter().all(|r| (r.method.as_str(), r.path.as_str()) != ("POST", "/incidents")) {
            tokio::task::yield_now().await;
        }
        outage.open(Opening::new(PUBLIC_DOWN, Setup::REGISTRY))
    });
    let ((), _) = (page, opens);
    assert_eq!((bench.record().await, bench.shown().await.escalation.state), (None, EscalationState::Held));
    bench.until("it is found", async || bench.is(PageState::Paged).await).await;
    assert!(between(at, bench.context.clock.now()) < Duration::from_secs(180));
    let run = bench.shown().await;
    assert_eq!((run.escalation.state, run.escalation.page.unwrap().id), (EscalationState::Paged, bench.the_page().id));
    assert_eq!(bench.short_notes("PAGED AFTER ALL"), 1);
}

/// A person's word waits for nothing but the look by its key, which finds what has opened.
#[tokio::test]
async fn a_person_who_asks_for_a_page_that_failed_in_doubt_gets_the_one_that_has_opened() {
    let bench = failed_in_doubt(20).await;
    bench.clock.jump(Duration::from_secs(20));
    let run = bench.shown().await;
    bench.context.store.request_page(&bench.alert, &run.id, Some("olivia")).await.unwrap();
    let lease = bench.context.store.claim_page().await.unwrap().unwrap();
    let sent = bench.asked("POST", "/incidents");
    bench.page(&lease).await;
    let record = bench.record().await.unwrap();
    assert_eq!((record.page_id, record.joined), (Some(bench.the_page().id), false), "its own, by its key");
    assert_eq!((bench.asked("POST", "/incidents"), bench.short_notes("PAGED AFTER ALL")), (sent, 0));
}

/// As long as it is not known, no other page of the region is opened by itself.
#[tokio::test]
async fn a_page_in_doubt_is_looked_for_however_long_pagerduty_can_not_be_asked() {
    let bench = failed_in_doubt(20).await;
    bench.account.fail(Endpoint::Incidents, Fault::Status(403), u32::MAX);
    bench.clock.jump(Duration::from_secs(60));
    let mut task = loop {
        let task = bench.context.store.claim_task().await.unwrap().expect("it is due");
        if task.kind == TaskKind::Opening {
            break task;
        }
    };
    for hours in [0, 5, 7, 24] {
        bench.clock.jump(Duration::from_secs(hours * 3600));
        let done = tasks::drive(&bench.context, &task).await.unwrap();
        let Done::Later(kept, wait) = done else { panic!("given up after {hours} h") };
        assert_eq!(wait > Duration::from_secs(60), hours >= 7, "{hours} h: {wait:?}");
        task.data = kept;
    }
}
