use super::*;
use crate::clock::{ManualClock, Source as _, SystemClock};
use crate::run::State;
use crate::run::bench::{Bench, service_endpoint};
use crate::sim::pagerduty::{Endpoint, Fault, Opening, Setup};

/// Waits for what must come; a bound for a broken build only.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect(what);
}

/// Of a claim just made.
fn fence() -> Fence {
    Fence::new(Instant::now(), HOLDS)
}

/// As many runs as there are places, all of them waiting: a person's page is opened all the same.
#[tokio::test]
async fn runs_that_wait_do_not_keep_a_page_from_being_opened() {
    let mut bench = Bench::new().await;
    bench.tools.clock = SystemClock::shared();
    bench.tools.pagerduty = bench.tools.pagerduty.with_patience(Duration::from_secs(60));
    let finished = bench.run().await;
    bench.diagnosed(&finished, &service_endpoint(bench.clock.now())).await;
    bench.tools.store.finish_run(&finished, &Finish::Done).await.unwrap();
    for n in 0..AT_ONCE {
        let title = format!("All SE endpoints down in r{n}");
        let alert = bench.account.open(Opening::new(&title, Setup::REGISTRY)).id;
        bench.queued(&alert).await;
    }
    bench.account.fail(Endpoint::Incident, Fault::Hang, u32::MAX);
    bench.account.forget_requests();

    let stop = CancellationToken::new();
    let worker = tokio::spawn(work(bench.tools.clone(), stop.clone()));
    until("all runs ask for their alerts", || bench.account.requests().len() >= AT_ONCE).await;
    bench.tools.store.request_page(&bench.alert, finished.run_id(), Some("olivia")).await.unwrap();
    until("the page is opened", || bench.account.pages().len() == 1).await;
    stop.cancel();
    worker.await.unwrap().unwrap();
    // What it held is given back at once.
    assert!(bench.tools.store.claim_run().await.unwrap().is_some());
}

/// What is stored of its run can't be read: whoever waits for the page hears of it, once, and it is not tried for ever.
#[tokio::test]
async fn a_page_whose_run_cannot_be_read_fails_and_is_told_of_once() {
    let bench = Bench::new().await;
    let run = bench.run().await;
    bench.diagnosed(&run, &service_endpoint(bench.clock.now())).await;
    bench.tools.store.request_page(&bench.alert, run.run_id(), Some("olivia")).await.unwrap();
    bench.tools.store.spoil("UPDATE runs SET diagnosis = 'not JSON'").await;
    for _ in 0..2 {
        let Some(lease) = bench.tools.store.claim_page().await.unwrap() else { continue };
        keep_page(bench.tools.clone(), lease, fence(), CancellationToken::new()).await;
        bench.clock.jump(LEASE * 2);
    }
    let page = bench.tools.store.page(&bench.alert).await.unwrap().unwrap();
    assert_eq!(page.state, crate::store::PageState::Failed);
    let notes = bench.account.notes_of(&bench.alert);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].content.starts_with("NOBODY WAS PAGED"), "{notes:?}");
    assert_eq!(bench.tools.store.claim_page().await.unwrap(), None, "it is over");
}

/// Whatever it hangs in: PagerDuty here, which takes its question and never answers.
#[tokio::test]
async fn a_run_that_hangs_ends_failed_and_can_be_run_again() {
    let mut bench = Bench::new().await;
    let clock = ManualClock::at(bench.clock.now());
    bench.tools.clock = clock.clone();
    bench.tools.pagerduty = bench.tools.pagerduty.with_patience(Duration::from_secs(60));
    bench.account.fail(Endpoint::Incident, Fault::Hang, u32::MAX);
    let lease = bench.run().await;
    let id = lease.run_id().to_owned();
    let kept = tokio::spawn(keep_run(bench.tools.clone(), lease, fence(), CancellationToken::new()));
    until("it asks", || !bench.account.requests().is_empty()).await;
    clock.advance(longest_run(&bench.tools.config)).await;
    tokio::time::timeout(Duration::from_secs(30), kept).await.expect("an end").unwrap();
    let run = bench.tools.store.run(&id).await.unwrap().unwrap();
    assert_eq!(run.state, State::Failed);
    let why = run.reason.unwrap();
    assert!(why.contains("7h 45m") && why.contains("confirm_alert"), "{why}");
    assert_ne!(bench.queued(&bench.alert).await, id, "it may be run again");
}

/// As by `SIGSTOP`: it wakes with its page begun and its claim long over.
#[tokio::test]
async fn a_page_whose_claim_ran_out_unseen_is_not_opened_and_another_opens_it() {
    let mut bench = Bench::new().await;
    let lease = bench.run().await;
    bench.diagnosed(&lease, &service_endpoint(bench.clock.now())).await;
    bench.tools.store.request_page(&bench.alert, lease.run_id(), Some("olivia")).await.unwrap();
    let clock = ManualClock::at(bench.clock.now());
    let mut frozen = bench.tools.clone();
    frozen.clock = clock.clone();
    let claim = bench.tools.store.claim_page().await.unwrap().unwrap();
    let over = Fence::new(Instant::now() - HOLDS, HOLDS);
    let kept = tokio::spawn(async move { keep_page(frozen, claim, over, CancellationToken::new()).await });
    let begun = async || bench.tools.store.page(&bench.alert).await.unwrap().unwrap().begun_at.is_some();
    while !begun().await {}
    bench.clock.jump(LEASE * 2);
    let other = bench.tools.store.claim_page().await.unwrap().expect("its claim is over");
    clock.until_asleep(1).await;
    clock.advance(LEASE / 4).await;
    tokio::time::timeout(Duration::from_secs(30), kept).await.expect("an end").unwrap();
    assert_eq!(bench.asked("POST", "/incidents"), 0, "the claim was over");
    bench.tools.clock = SystemClock::shared();
    keep_page(bench.tools.clone(), other, fence(), CancellationToken::new()).await;
    assert_eq!(bench.account.pages().len(), 1);
}

/// Whatever it is that takes the process down with it each time, it ends some day, and says so.
#[tokio::test]
async fn a_run_that_is_cut_off_too_often_is_given_up() {
    let bench = Bench::new().await;
    let id = bench.queued(&bench.alert).await;
    for _ in 0..MOST_CRASHES {
        bench.tools.store.claim_run().await.unwrap().expect("its claim is over");
        bench.clock.jump(LEASE * 2);
    }
    let claim = async || {
        let lease = bench.tools.store.claim_run().await.unwrap().unwrap();
        bench.clock.jump(LEASE * 2);
        lease
    };
    assert_eq!(claim().await.crashes(), MOST_CRASHES, "not yet");
    let last = claim().await;
    keep_run(bench.tools.clone(), last, fence(), CancellationToken::new()).await;
    let run = bench.tools.store.run(&id).await.unwrap().unwrap();
    assert_eq!(run.state, State::Failed);
    let why = run.reason.unwrap();
    assert!(why.contains("cut off 101 times"), "{why}");
    assert_eq!(bench.account.notes_of(&bench.alert).len(), 0);
}
