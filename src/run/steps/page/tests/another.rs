//! Several alerts of one region: one opens a page, the others wait for what becomes of it.

use super::*;
use crate::run::tasks::{self, Done};
use runbook::plan::LOOK_IN_DOUBT;

impl Bench {
    /// Another alert of the region that wants a page, which nobody has claimed yet.
    async fn second(&self, asked_by: Option<&str>) -> String {
        self.second_run(asked_by).await.0
    }

    async fn second_run(&self, asked_by: Option<&str>) -> (String, Lease) {
        let alert = self.account.open(Opening::new(&format!("All SE endpoints down in {REGION}"), Setup::REGISTRY)).id;
        let id = self.queued(&alert).await;
        // The other's run may be due again by now.
        let lease = loop {
            let lease = self.context.store.claim_run().await.unwrap().unwrap();
            if lease.run_id() == id {
                break lease;
            }
        };
        self.diagnosed(&lease, &service_endpoint(self.context.clock.now())).await;
        self.context.store.request_page(&alert, lease.run_id(), asked_by).await.unwrap();
        (alert, lease)
    }

    /// Works on what is due until `alert`'s page has ended.
    async fn until_ended(&self, alert: &str) -> PageRecord {
        for _ in 0..1000 {
            match self.context.store.claim_page().await.unwrap() {
                Some(lease) => self.page(&lease).await,
                None => self.look_for_late_ones().await,
            }
            let record = self.context.store.page(alert).await.unwrap();
            if let Some(record) = record.filter(|record| record.state != PageState::Requested) {
                return record;
            }
        }
        panic!("{:#?}", self.context.store.page(alert).await);
    }

    /// A second passes, and what may be opened late is looked for where that is due.
    async fn look_for_late_ones(&self) {
        self.clock.jump(Duration::from_secs(1));
        let Some(task) = self.context.store.claim_task().await.unwrap() else { return };
        let done = match task.kind {
            TaskKind::Opening => tasks::drive(&self.context, &task).await.unwrap(),
            // Watched by nobody here.
            _ => Done::Later(task.data.clone(), Duration::from_secs(3600)),
        };
        tasks::end(&self.context.store, &task, &done).await.unwrap();
    }

    /// One has begun to open the region's page, and its worker works on it; the other has looked once.
    async fn one_at_it(&self) -> (PageOf, String) {
        let first = self.wanted(None).await;
        let begun = self.context.store.begins_page(&first, &REGION.parse().unwrap(), None, &[]).await.unwrap();
        assert_eq!(begun, Reservation::Reserved);
        let second = self.second(None).await;
        self.account.forget_requests();
        (first, second)
    }
}

#[tokio::test]
async fn who_waits_asks_nobody_and_keeps_no_claim() {
    let bench = Bench::new().await;
    let (first, second) = bench.one_at_it().await;
    let lease = bench.context.store.claim_page().await.unwrap().unwrap();
    assert_eq!(lease.incident_id(), second);
    bench.page(&lease).await;
    assert!(bench.account.requests().is_empty(), "{:?}", bench.account.requests());
    assert!(bench.context.store.check_claim(lease.claim()).await.is_err(), "it is given back");
    bench.context.store.spoil("UPDATE work SET due_at = 0").await;
    // Once the first has ended, its page is joined, though no list shows it.
    bench.account.set_lag(Duration::from_secs(3600));
    bench.page(&first).await;
    let joined = bench.until_ended(&second).await;
    assert_eq!((joined.state, joined.joined), (PageState::Paged, true));
    assert_eq!(joined.page_id, Some(bench.the_page().id));
    assert_eq!(joined.reason, None);
}

#[tokio::test]
async fn one_that_was_merged_into_another_by_people_is_joined_there() {
    let bench = Bench::new().await;
    let first = bench.wanted(None).await;
    bench.page(&first).await;
    let theirs = bench.account.open(Opening::new("SE is in trouble", Setup::SERVICE_ENDPOINT)).id;
    bench.account.merge(&bench.the_page().id, &theirs, Some(Setup::ENGINEER));
    let second = bench.second(None).await;
    let joined = bench.until_ended(&second).await;
    assert_eq!((joined.joined, joined.page_id), (true, Some(theirs)));
    assert_eq!(bench.account.pages().len(), 1);
}

#[tokio::test]
async fn one_that_is_resolved_is_followed_by_another_and_one_that_cannot_be_asked_for_is_not() {
    let bench = Bench::new().await;
    let first = bench.wanted(None).await;
    bench.page(&first).await;
    bench.account.resolve(&bench.the_page().id, None);
    let second = bench.second(None).await;
    let opened = bench.until_ended(&second).await;
    assert_eq!((opened.state, opened.joined, bench.account.pages().len()), (PageState::Paged, false, 2));

    // It is not known whether it is open: nobody guesses.
    let bench = Bench::new().await;
    let first = bench.wanted(None).await;
    bench.page(&first).await;
    let second = bench.second(Some("olivia")).await;
    bench.account.set_lag(Duration::from_secs(3600));
    bench.account.fail(Endpoint::Incident, Fault::Status(500), u32::MAX);
    let failed = bench.until_ended(&second).await;
    assert_eq!((failed.state, bench.account.pages().len()), (PageState::Failed, 1));
    assert!(failed.reason.unwrap().contains("the region's last page"));
}

/// What PagerDuty may have taken shows late, under the first alert's key.
#[tokio::test]
async fn one_that_failed_in_doubt_is_looked_for_by_its_key_before_another_is_opened() {
    for (shows, asked_by) in [(true, None), (false, None), (false, Some("olivia"))] {
        let settings = [("ESCALATION_ROUTING_KEY", Setup::ROUTING_KEY), ("EVIDENCE_MAX_AGE", "1h")];
        let bench = Bench::with(&settings).await;
        bench.account.lose_events(1);
        let first = bench.wanted(None).await;
        bench.page(&first).await;
        assert_eq!(bench.state().await, PageState::Failed);
        let failed_at = bench.context.clock.now();
        let second = bench.second(asked_by).await;
        bench.account.forget_requests();
        if shows {
            let mut late = Opening::new("page", Setup::SERVICE_ENDPOINT);
            late.incident_key = Some(Context::page_key(&bench.alert));
            let late = bench.account.open(late).id;
            assert_eq!(bench.until_ended(&second).await.page_id, Some(late));
            assert!(bench.account.pages().is_empty());
            continue;
        }
        // Not while it may yet show, rather than one after another; a person need not wait for that.
        let opened = bench.until_ended(&second).await;
        assert_eq!((opened.state, opened.joined, bench.account.pages().len()), (PageState::Paged, false, 1));
        // It was sent two minutes before it failed.
        let waited = between(failed_at, opened.begun_at.unwrap());
        assert_eq!(waited >= Duration::from_secs(660 - 120), asked_by.is_none(), "{waited:?}");
        let asked = bench.account.requests().len();
        assert!(asked < 400, "{asked} requests");
    }
}

/// Line 3 is what a lock screen shows: whose page it waits for, for how long, and what a person can do about it.
#[tokio::test]
async fn whoever_waits_for_a_page_that_may_open_late_says_so_in_its_note() {
    let settings = [("ESCALATION_ROUTING_KEY", Setup::ROUTING_KEY), ("EVIDENCE_MAX_AGE", "1h")];
    let bench = Bench::with(&settings).await;
    bench.account.lose_events(1);
    let first = bench.wanted(None).await;
    bench.page(&first).await;
    let (second, run) = bench.second_run(None).await;
    let text = format!("one\ntwo\nthree\nrun {}", run.run_id());
    let note = bench.context.pagerduty.add_note(&bench.context.permit, &second, &text).await.unwrap();
    bench.context.store.set_note(&run, &note.id, &note.content).await.unwrap();
    let lease = bench.context.store.claim_page().await.unwrap().unwrap();
    assert_eq!(lease.incident_id(), second);
    let third_line = || bench.notes_on(&second)[0].lines().nth(2).unwrap().to_owned();
    bench.account.forget_requests();
    bench.page(&lease).await;
    let says = format!("waits for that of the alert {}, which may still open late (at most 13 min", bench.alert);
    assert!(third_line().contains(&says) && third_line().contains("/escalate"), "{}", third_line());
    let edits = || bench.account.requests().iter().filter(|r| r.method == "PUT").count();
    assert_eq!(edits(), 1);
    bench.clock.jump(Duration::from_secs(40));
    let lease = bench.context.store.claim_page().await.unwrap().unwrap();
    bench.page(&lease).await;
    assert_eq!(edits(), 1, "it says so already");
    let opened = bench.until_ended(&second).await;
    assert!(third_line().contains(&opened.page_id.unwrap()), "{}", third_line());

    // As long as the note says, and no longer.
    let latest = Times::OPENING.looks.last().copied().unwrap() + Times::OPENING.longest_write + LOOK_IN_DOUBT;
    assert_eq!(latest, Duration::from_secs(13 * 60));
}

#[tokio::test]
async fn one_that_is_refused_or_held_is_in_nobodys_way() {
    let bench = Bench::new().await;
    bench.account.fail(Endpoint::CreateIncident, Fault::Status(400), 1);
    let first = bench.wanted(None).await;
    bench.page(&first).await;
    let second = bench.second(None).await;
    let opened = bench.until_ended(&second).await;
    assert_eq!((bench.state().await, opened.state, opened.joined), (PageState::Failed, PageState::Paged, false));

    let bench = Bench::new().await;
    let (first, second) = bench.one_at_it().await;
    bench.context.store.opens_no_page(&first).await;
    assert!(bench.context.store.hold_page(&first, "related pages", None, None).await.unwrap());
    let opened = bench.until_ended(&second).await;
    assert_eq!((opened.state, opened.joined, bench.account.pages().len()), (PageState::Paged, false, 1));
}

/// lifecycle.md#crashes-clocks-replicas: reserved and not opened, the next goes on with it, and the others wait.
/// Its worker died, and the next goes on with it, though others wait.
#[tokio::test]
async fn one_whose_worker_died_is_gone_on_with_and_joined() {
    let bench = Bench::new().await;
    let (_, second) = bench.one_at_it().await;
    bench.context.store.spoil("UPDATE work SET owner = 'dead' WHERE owner IS NOT NULL").await;
    let joined = bench.until_ended(&second).await;
    assert!(joined.joined, "{joined:?}");
    let first = bench.record().await.unwrap();
    assert_eq!((first.state, first.joined, first.page_id), (PageState::Paged, false, joined.page_id));
    bench.the_page();
}

/// The region's last page is shown no more (404), long after it was opened: it is over. What is new may only show late.
#[tokio::test]
async fn one_that_is_gone_stops_no_other_once_it_would_show() {
    for age in [GIVE_UP_AFTER, Duration::from_secs(60)] {
        let bench = Bench::new().await;
        let first = bench.wanted(None).await;
        bench.context.store.begins_page(&first, &REGION.parse().unwrap(), None, &[]).await.unwrap();
        bench.context.store.ends_opening(&bench.alert, &Outcome::Done("QGONE".into())).await;
        let gone = PageResult { page: Some(("QGONE", "https://x/QGONE")), joined: false, reason: None };
        bench.context.store.finish_page(&first, &gone).await.unwrap();
        let opened = bench.context.clock.now();
        bench.clock.jump(age);
        let second = bench.second(Some("olivia")).await;
        let ended = bench.until_ended(&second).await;
        assert_eq!((ended.state, ended.joined), (PageState::Paged, false), "{age:?}: {:?}", ended.reason);
        bench.the_page();
        assert!(ended.finished_at.is_some_and(|at| between(opened, at) >= GIVE_UP_AFTER), "{age:?}: {ended:?}");
    }
}

#[tokio::test]
async fn one_that_never_ends_is_waited_for_as_long_as_a_page_is_tried_and_that_is_said_loudly() {
    let bench = Bench::new().await;
    let (first, second) = bench.one_at_it().await;
    bench.context.store.release_page(&first, Duration::from_secs(100 * 3600)).await.unwrap();
    let began = bench.context.clock.now();
    let failed = bench.until_ended(&second).await;
    let took = between(began, bench.context.clock.now());
    assert!((GIVE_UP_AFTER..GIVE_UP_AFTER + Duration::from_secs(60)).contains(&took), "{took:?}");
    assert_eq!(failed.state, PageState::Failed);
    assert!(failed.reason.unwrap().contains(&bench.alert));
    assert!(bench.notes_on(&second).iter().any(|note| note.starts_with("NOBODY WAS PAGED")));
    assert!(bench.account.pages().is_empty());

    // While PagerDuty can't be asked, nothing could be said either, and whoever opens the page waits too.
    let bench = Bench::new().await;
    let (first, second) = bench.one_at_it().await;
    bench.context.store.release_page(&first, Duration::from_secs(3600)).await.unwrap();
    bench.account.fail(Endpoint::Incident, Fault::Status(500), u32::MAX);
    for _ in 0..900 {
        if let Some(lease) = bench.context.store.claim_page().await.unwrap() {
            bench.page(&lease).await;
        }
        bench.clock.jump(Duration::from_secs(1));
    }
    assert_eq!(bench.context.store.page(&second).await.unwrap().unwrap().state, PageState::Requested);
}
