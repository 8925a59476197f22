mod made;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::held::{AT_ONCE, BROKE_OFF_RESTS, Item, Place, RENEW_EVERY};
use super::keep::{MOST_CRASHES, REST, keep_alert, keep_run};
use super::*;
use crate::run::bench::{Bench, service_endpoint};
use crate::run::deadline::longest_run;
use jenkins::Jenkins;
use outbound::clock::{Clock, Source, SystemClock};
use runbook::life::{Input, PageWatch};
use runbook::run::State;
use runbook::writes::Outcome;
use simulators::clock::ManualClock;
use simulators::pagerduty::{Endpoint, Fault, Opening, Setup};
use store::{Finish, Kind, LEASE, NewTask, TaskKind};

/// Waits for what must come; a bound for a broken build only.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect(what);
}

/// As many runs as there are places, all of them waiting: a person's page is opened all the same.
#[tokio::test]
async fn runs_that_wait_do_not_keep_a_page_from_being_opened() {
    let mut bench = Bench::new().await;
    // Whoever waits for Jenkins must not move the clock that leases go by.
    bench.context.clock = SystemClock::shared();
    let jenkins = bench.context.config.jenkins.clone();
    bench.context.jenkins = Arc::new(Jenkins::new(jenkins, ManualClock::hurried(bench.clock.now())).unwrap());
    bench.context.pagerduty = bench.context.pagerduty.with_patience(Duration::from_secs(60));
    let finished = bench.run().await;
    bench.diagnosed(&finished, &service_endpoint(bench.clock.now())).await;
    bench.context.store.finish_run(&finished, &Finish::Done).await.unwrap();
    for n in 0..AT_ONCE {
        let title = format!("All SE endpoints down in r{n}");
        let alert = bench.account.open(Opening::new(&title, Setup::REGISTRY)).id;
        bench.queued(&alert).await;
    }
    bench.account.fail(Endpoint::AddNote, Fault::Hang, u32::MAX);
    bench.account.forget_requests();

    let stop = CancellationToken::new();
    let worker = tokio::spawn(work(bench.context.clone(), Vec::new(), stop.clone()));
    until("all runs write their notes", || bench.asked("POST", "/notes") >= AT_ONCE).await;
    bench.context.store.request_page(&bench.alert, finished.run_id(), Some("olivia")).await.unwrap();
    until("the page is opened", || bench.account.pages().len() == 1).await;
    stop.cancel();
    worker.await.unwrap().unwrap();
    // What it held is given back at once.
    assert!(bench.context.store.claim_run().await.unwrap().is_some());
}

/// As many alerts as there are places, of which each waits for an answer about its page: another's page is opened all the same.
#[tokio::test]
async fn alerts_that_are_only_looked_at_do_not_keep_a_page_from_being_opened() {
    let mut bench = Bench::new().await;
    bench.context.clock = SystemClock::shared();
    bench.context.pagerduty = bench.context.pagerduty.with_patience(Duration::from_secs(60));
    let finished = bench.run().await;
    bench.diagnosed(&finished, &service_endpoint(bench.clock.now())).await;
    bench.context.store.finish_run(&finished, &Finish::Done).await.unwrap();
    for n in 0..AT_ONCE {
        let title = format!("All SE endpoints down in r{n}");
        let alert = bench.account.open(Opening::new(&title, Setup::REGISTRY)).id;
        let run = bench.run_of(&alert).await;
        bench.context.store.finish_run(&run, &Finish::Done).await.unwrap();
        let watch = PageWatch::new(&alert, run.run_id(), &format!("QPAGE{n}"), "https://page", bench.clock.now());
        let watch = PageWatch { due: bench.clock.now(), ..watch };
        bench.context.store.tell_alert(&alert, Input::Paged(watch)).await.unwrap();
    }
    bench.account.fail(Endpoint::Incident, Fault::Hang, AT_ONCE as u32);
    bench.account.forget_requests();

    let stop = CancellationToken::new();
    let worker = tokio::spawn(work(bench.context.clone(), Vec::new(), stop.clone()));
    let looks = || bench.account.requests().iter().filter(|r| r.path.starts_with("/incidents/QPAGE")).count();
    until("all look at their pages", || looks() >= AT_ONCE).await;
    bench.context.store.request_page(&bench.alert, finished.run_id(), Some("olivia")).await.unwrap();
    let opened = async {
        while bench.account.pages().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await
        }
    };
    let soon = Duration::from_secs(20);
    tokio::time::timeout(soon, opened).await.expect("the page is opened while they wait");
    assert_eq!((bench.account.pages().len(), looks()), (1, AT_ONCE), "they still wait");
    stop.cancel();
    worker.await.unwrap().unwrap();
}

/// A claim that nobody works on (the database failed when it was to be given back): the process itself takes it up again,
/// though it holds nothing else.
#[tokio::test]
async fn what_could_not_be_given_back_is_taken_up_again_by_the_same_process() {
    let mut bench = Bench::new().await;
    bench.context.clock = SystemClock::shared();
    let jenkins = bench.context.config.jenkins.clone();
    bench.context.jenkins = Arc::new(Jenkins::new(jenkins, ManualClock::hurried(bench.clock.now())).unwrap());
    bench.run().await;
    bench.clock.jump(LEASE * 2);
    let stop = CancellationToken::new();
    let worker = tokio::spawn(work(bench.context.clone(), Vec::new(), stop.clone()));
    // The store's time passes twice as fast as ours: a lease holds, and the rest of what is given back ends.
    until("its note", || {
        bench.clock.jump(Duration::from_millis(10));
        !bench.account.notes_of(&bench.alert).is_empty()
    })
    .await;
    stop.cancel();
    worker.await.unwrap().unwrap();
}

/// What is stored of its run can't be read: whoever waits for the page hears of it, once, and it is not tried forever.
#[tokio::test]
async fn a_page_whose_run_cannot_be_read_fails_and_is_told_of_once() {
    let bench = Bench::new().await;
    let run = bench.run().await;
    bench.diagnosed(&run, &service_endpoint(bench.clock.now())).await;
    bench.context.store.request_page(&bench.alert, run.run_id(), Some("olivia")).await.unwrap();
    bench.context.store.spoil("UPDATE runs SET diagnosis = 'not JSON'").await;
    for _ in 0..2 {
        let Some(lease) = bench.context.store.claim_page().await.unwrap() else { continue };
        keep_alert(bench.context.clone(), lease.alert().clone(), CancellationToken::new()).await;
        bench.clock.jump(LEASE * 2);
    }
    let page = bench.context.store.page(&bench.alert).await.unwrap().unwrap();
    assert_eq!(page.state, store::PageState::Failed);
    let notes = bench.account.notes_of(&bench.alert);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].content.starts_with("NOBODY WAS PAGED"), "{notes:?}");
    assert_eq!(bench.context.store.claim_page().await.unwrap(), None, "it is over");
}

/// What is known of its alert can't be read: nothing is decided about its page any more. It ends, whoever waits hears of it, and
/// another alert of the region has the right that this one had.
#[tokio::test]
async fn a_page_of_an_alert_that_can_not_be_read_fails_and_keeps_no_other_from_its_own() {
    for spoilt in [
        "UPDATE alerts SET held_by = x'ff'",
        "UPDATE alerts SET resolved_at = 'x'",
        "UPDATE alerts SET region = 'No region'",
        "UPDATE alerts SET beside = x'ff', follow_ups = 'x'",
    ] {
        let bench = Bench::new().await;
        let store = &bench.context.store;
        let run = bench.run().await;
        bench.diagnosed(&run, &service_endpoint(bench.clock.now())).await;
        store.request_page(&bench.alert, run.run_id(), None).await.unwrap();
        store.finish_run(&run, &Finish::Done).await.unwrap();
        // It has the region's right, and its first try has come to nothing.
        let page = store.claim_page().await.unwrap().unwrap();
        let region = crate::run::bench::REGION.parse().unwrap();
        store.begins_page(&page, &region, None, &[]).await.unwrap();
        store.ends_opening(&bench.alert, &Outcome::NotSent("cut off".into())).await;
        let other = bench.account.open(Opening::new("All SE endpoints down in prod-us-south", Setup::REGISTRY)).id;
        let waits = async || {
            let (own, others) = store.openings(&region, &other).await.unwrap();
            others.iter().any(|ahead| ahead.is_ahead_of(&own))
        };
        assert!(waits().await, "{spoilt}");

        store.spoil(spoilt).await;
        keep_alert(bench.context.clone(), page.alert().clone(), CancellationToken::new()).await;
        let record = store.page(&bench.alert).await.unwrap().unwrap();
        assert_eq!(record.state, store::PageState::Failed, "{spoilt}");
        assert!(record.reason.is_some_and(|why| why.contains("can't be read")), "{spoilt}");
        let notes = bench.account.notes_of(&bench.alert);
        assert!(notes.len() == 1 && notes[0].content.starts_with("NOBODY WAS PAGED"), "{spoilt}: {notes:?}");
        assert!(store.claim_alert().await.unwrap().is_none(), "{spoilt}: it is not looked at again at once");
        assert!(!waits().await && bench.account.pages().is_empty(), "{spoilt}");

        let run = bench.run_of(&other).await;
        bench.diagnosed(&run, &service_endpoint(bench.clock.now())).await;
        store.request_page(&other, run.run_id(), None).await.unwrap();
        let page = store.claim_page().await.unwrap().unwrap();
        keep_alert(bench.context.clone(), page.alert().clone(), CancellationToken::new()).await;
        let pages = bench.account.pages();
        assert_eq!(
            (pages.len(), pages[0].incident_key.clone()),
            (1, Some(format!("se-responder/{other}"))),
            "{spoilt}"
        );
    }
}

/// PagerDuty is away when it ends: it is told of once that is back.
#[tokio::test]
async fn that_a_page_of_an_alert_that_can_not_be_read_has_failed_is_said_once_pagerduty_is_back() {
    let bench = Bench::new().await;
    let store = &bench.context.store;
    let run = bench.run().await;
    bench.diagnosed(&run, &service_endpoint(bench.clock.now())).await;
    store.request_page(&bench.alert, run.run_id(), Some("olivia")).await.unwrap();
    store.finish_run(&run, &Finish::Done).await.unwrap();
    let mut lease = store.claim_alert().await.unwrap().unwrap();
    store.spoil("UPDATE alerts SET held_by = x'ff'").await;
    bench.account.fail(Endpoint::AddNote, Fault::Status(503), u32::MAX);
    for notes in [0, 1] {
        keep_alert(bench.context.clone(), lease.clone(), CancellationToken::new()).await;
        assert_eq!(store.page(&bench.alert).await.unwrap().unwrap().state, store::PageState::Failed);
        assert_eq!(bench.account.notes_of(&bench.alert).len(), notes);
        bench.account.mend();
        bench.clock.jump(LEASE * 4);
        match store.claim_alert().await.unwrap() {
            Some(again) => lease = again,
            None => assert_eq!(notes, 1, "it is tried again until it is said"),
        }
    }
    assert!(bench.account.pages().is_empty());
}

/// Whatever it hangs in: PagerDuty here, which takes its question and never answers.
#[tokio::test]
async fn a_run_that_hangs_ends_failed_and_can_be_run_again() {
    let mut bench = Bench::new().await;
    let clock = ManualClock::at(bench.clock.now());
    bench.context.clock = clock.clone();
    bench.context.pagerduty = bench.context.pagerduty.with_patience(Duration::from_secs(60));
    bench.account.fail(Endpoint::Incidents, Fault::Hang, u32::MAX);
    let lease = bench.run().await;
    let id = lease.run_id().to_owned();
    let kept = tokio::spawn(keep_run(bench.context.clone(), lease, CancellationToken::new()));
    until("it asks", || !bench.account.requests().is_empty()).await;
    clock.advance(longest_run(&bench.context.config)).await;
    tokio::time::timeout(Duration::from_secs(30), kept).await.expect("an end").unwrap();
    let run = bench.context.store.run(&id).await.unwrap().unwrap();
    assert_eq!(run.state, State::Failed);
    let why = run.reason.unwrap();
    assert!(why.contains("7 h 45 min") && why.contains("confirm_alert"), "{why}");
    assert_ne!(bench.queued(&bench.alert).await, id, "it may be run again");
}

/// lifecycle.md#crashes-clocks-replicas: who was frozen while another took over sends nothing.
/// As by `SIGSTOP`: it wakes with its page begun and its lease long over.
#[tokio::test]
async fn a_page_whose_claim_ran_out_unseen_is_not_opened_and_another_opens_it() {
    let bench = Bench::new().await;
    let lease = bench.run().await;
    bench.diagnosed(&lease, &service_endpoint(bench.clock.now())).await;
    bench.context.store.request_page(&bench.alert, lease.run_id(), Some("olivia")).await.unwrap();
    let claim = bench.context.store.claim_page().await.unwrap().unwrap();
    // Its lease is not certain: what it writes waits for that.
    let mut held = Held::new(&bench.context, Vec::new());
    held.keep(&bench.context, Item::Alert(claim.alert().clone()), &CancellationToken::new());
    let begun = async || bench.context.store.page(&bench.alert).await.unwrap().unwrap().begun_at.is_some();
    while !begun().await {}
    bench.clock.jump(LEASE * 2);
    let mut other = bench.context.clone();
    other.store = bench.context.store.as_another();
    let taken = other.store.claim_page().await.unwrap().expect("its claim is over");
    held.renew(&bench.context).await;
    let ended = tokio::time::timeout(Duration::from_secs(30), held.tasks.join_next_with_id()).await.expect("an end");
    held.ended(&bench.context, ended.unwrap()).await.unwrap();
    assert_eq!(bench.asked("POST", "/incidents"), 0, "the claim was over");
    other.clock = SystemClock::shared();
    keep_alert(other, taken.alert().clone(), CancellationToken::new()).await;
    assert_eq!(bench.account.pages().len(), 1);
}

/// A clock that breaks whoever waits by it.
#[derive(Debug)]
struct Broken(Clock);

impl Source for Broken {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep(&self, _: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        panic!("a wait, on purpose")
    }

    fn id(&self) -> String {
        self.0.id()
    }

    fn jitter(&self) -> f64 {
        self.0.jitter()
    }
}

#[tokio::test]
async fn a_panic_costs_its_own_item_an_attempt_and_no_other() {
    let bench = Bench::new().await;
    let id = bench.queued(&bench.alert).await;
    let run = bench.context.store.claim_run().await.unwrap().unwrap();
    let mut held = Held::new(&bench.context, Vec::new());
    let mut spoilt = bench.context.clone();
    spoilt.clock = Arc::new(Broken(bench.context.clock.clone()));
    held.keep(&spoilt, Item::Run(run), &CancellationToken::new());
    let ended = held.tasks.join_next_with_id().await.unwrap();
    assert!(ended.as_ref().is_err_and(JoinError::is_panic));
    held.ended(&bench.context, ended).await.unwrap();
    assert!(held.items.is_empty() && held.claims.is_empty());
    bench.clock.jump(BROKE_OFF_RESTS);
    let again = bench.context.store.claim_run().await.unwrap().unwrap();
    assert_eq!((again.run_id(), again.attempt(), again.crashes()), (id.as_str(), 2, 1));
}

/// What has ended may come up again, and be claimed under the same name, before it is heard that it had ended: that must not
/// take the right to write from who works on it now.
#[tokio::test]
async fn what_ends_late_ends_nobody_elses_right() {
    let bench = Bench::new().await;
    let id = bench.queued(&bench.alert).await;
    let lease = bench.context.store.claim_run().await.unwrap().unwrap();
    assert_eq!(lease.run_id(), id);
    let stopped = CancellationToken::new();
    stopped.cancel();
    let mut held = Held::new(&bench.context, Vec::new());
    held.keep(&bench.context, Item::Run(lease.clone()), &stopped);
    held.keep(&bench.context, Item::Run(lease.clone()), &stopped);
    for left in [1, 0] {
        let ended = held.tasks.join_next_with_id().await.unwrap();
        held.ended(&bench.context, ended).await.unwrap();
        assert_eq!((held.items.len(), held.claims.len()), (left, left));
    }
}

/// What could not be given back, since the database failed that, is not forgotten for as long as the process lives.
#[tokio::test]
async fn what_nobody_here_works_on_is_given_back() {
    let bench = Bench::new().await;
    let id = bench.queued(&bench.alert).await;
    let lost = bench.context.store.claim_run().await.unwrap().unwrap();
    let mut held = Held::new(&bench.context, Vec::new());
    held.renew(&bench.context).await;
    assert!(bench.context.store.check_claim(lost.claim()).await.is_err());
    bench.clock.jump(REST);
    assert_eq!(bench.context.store.claim_run().await.unwrap().unwrap().run_id(), id);
}

/// Under a lease that may have run out, what is our own would be claimed once more.
#[tokio::test]
async fn nothing_is_claimed_after_a_renewal_that_failed() {
    let bench = Bench::new().await;
    let store = &bench.context.store;
    let lease = bench.run().await;
    let task = NewTask {
        kind: TaskKind::Edit,
        incident_id: bench.alert.clone(),
        run_id: Some(lease.run_id().to_owned()),
        mark: String::new(),
        data: String::new(),
        after: Duration::ZERO,
    };
    store.add_task(&task).await.unwrap();
    let mut held = Held::new(&bench.context, Vec::new());
    held.items.insert(lease.claim().clone(), (Place::Of(Kind::Run), held.term.giver()));
    // A renewal counts the time of the runs that are held: that fails, and nothing that a task's claim needs.
    let fails = [
        "CREATE TRIGGER a BEFORE UPDATE OF touched_at ON runs BEGIN SELECT RAISE(ABORT, 'no'); END",
        "CREATE TRIGGER b BEFORE UPDATE OF touched_at ON runs BEGIN SELECT RAISE(ABORT, 'no'); END",
    ];
    // Before the first renewal, and once the time of the next has come.
    for (n, (fails, works)) in fails.into_iter().zip(["DROP TRIGGER a", "DROP TRIGGER b"]).enumerate() {
        if n > 0 {
            held.renew(&bench.context).await;
            assert!(held.is_renewed);
            bench.clock.jump(RENEW_EVERY);
        }
        store.spoil(fails).await;
        let any = held.start(&bench.context, &[Kind::Task], &CancellationToken::new()).await;
        assert!(!any && held.items.len() == 1 && !held.is_renewed, "{n}");
        assert!(store.as_another().claim_task().await.unwrap().is_some(), "nobody has claimed it");
        store.spoil("UPDATE work SET owner = NULL WHERE kind = 'task'").await;
        store.spoil(works).await;
    }
    assert!(held.start(&bench.context, &[Kind::Task], &CancellationToken::new()).await);
    assert_eq!(held.items.len(), 2);
}

/// reliability.md#deadlines: one that was cut off 100 times ends `failed`.
/// Whatever it is that takes the process down with it each time, it ends some day, and says so.
#[tokio::test]
async fn a_run_that_is_cut_off_too_often_is_given_up() {
    let bench = Bench::new().await;
    let id = bench.queued(&bench.alert).await;
    for _ in 0..MOST_CRASHES {
        bench.context.store.claim_run().await.unwrap().expect("its claim is over");
        bench.clock.jump(LEASE * 2);
    }
    let claim = async || {
        let lease = bench.context.store.claim_run().await.unwrap().unwrap();
        bench.clock.jump(LEASE * 2);
        lease
    };
    assert_eq!(claim().await.crashes(), MOST_CRASHES, "not yet");
    let last = claim().await;
    keep_run(bench.context.clone(), last, CancellationToken::new()).await;
    let run = bench.context.store.run(&id).await.unwrap().unwrap();
    assert_eq!(run.state, State::Failed);
    let why = run.reason.unwrap();
    assert!(why.contains("cut off 101 times"), "{why}");
    assert_eq!(bench.account.notes_of(&bench.alert).len(), 0);
}
