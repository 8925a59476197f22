//! Runs that this process makes already claimed.

use futures::FutureExt as _;
use runbook::run::{AlertIncident, Trigger};
use store::NewRun;

use super::*;

/// Whoever would claim a run fails: it belongs to this process from its first moment.
#[tokio::test]
async fn what_is_made_here_is_worked_on_without_being_claimed() {
    let mut bench = Bench::new().await;
    bench.context.clock = SystemClock::shared();
    let jenkins = bench.context.config.jenkins.clone();
    bench.context.jenkins = Arc::new(Jenkins::new(jenkins, ManualClock::hurried(bench.clock.now())).unwrap());
    bench.queued(&bench.alert).await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(work(bench.context.clone(), Vec::new(), stop.clone()));
    until("the worker to have room", || bench.context.store.room() > 0).await;
    bench
        .context
        .store
        .spoil(
            "CREATE TRIGGER no_claims BEFORE UPDATE OF owner ON work WHEN NEW.owner IS NOT NULL AND NEW.kind = 'run'
             BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .await;
    let title = "All SE endpoints down in prod-eu-de";
    let second = bench.account.open(Opening::new(title, Setup::REGISTRY)).id;
    bench.queued(&second).await;
    until("its note", || !bench.account.notes_of(&second).is_empty()).await;
    stop.cancel();
    worker.await.unwrap().unwrap();
    assert_eq!(bench.context.store.room(), 0, "who ends takes nothing more");
}

/// Who holds nothing has not renewed its lease for long: making a run does. Who holds something may have lost that, which
/// only its own renewal tells.
#[tokio::test]
async fn who_holds_nothing_else_writes_at_once_of_what_it_has_made() {
    for holds in [false, true] {
        let bench = Bench::new().await;
        let lease = bench.run().await;
        let mut held = Held::new(&bench.context, Vec::new());
        if holds {
            held.items.insert(lease.claim().clone(), (Place::Of(Kind::Run), held.term.giver()));
        }
        held.due(&bench.context).await.unwrap();
        let second = bench.account.open(Opening::new("All SE endpoints down in prod-eu-de", Setup::REGISTRY)).id;
        bench.queued(&second).await;
        held.take(&bench.context, &CancellationToken::new());
        assert_eq!(held.items.len(), 1 + usize::from(holds));
        for (_, giver) in held.items.values() {
            assert_eq!(giver.permit().held("writing").now_or_never().is_some(), !holds);
        }
        assert_eq!(held.renew_in(&bench.context).is_zero(), holds);
    }
}

#[tokio::test]
async fn a_renewal_gives_nothing_back_that_is_on_its_way_here() {
    let bench = Bench::new().await;
    let mut held = Held::new(&bench.context, Vec::new());
    held.renew(&bench.context).await;
    held.due(&bench.context).await.unwrap();
    assert_eq!(bench.context.store.room(), AT_ONCE);
    bench.queued(&bench.alert).await;
    held.renew(&bench.context).await;
    held.take(&bench.context, &CancellationToken::new());
    let claim = held.items.keys().next().expect("it is taken");
    bench.context.store.check_claim(claim).await.unwrap();
}

/// Those that wait in the queue come first; and nobody claims under a lease that can't be renewed.
#[tokio::test]
async fn nothing_is_made_claimed_while_others_wait_or_the_lease_cannot_be_renewed() {
    let bench = Bench::new().await;
    let store = &bench.context.store;
    let mut held = Held::new(&bench.context, Vec::new());
    held.due(&bench.context).await.unwrap();
    assert_eq!(store.room(), AT_ONCE);
    // Making one fails over the lease: then it is to be renewed first.
    store.spoil("CREATE TRIGGER a BEFORE INSERT ON workers BEGIN SELECT RAISE(ABORT, 'no'); END").await;
    assert!(store.create_run(&made_of("Q1"), None).await.is_err());
    held.due(&bench.context).await.unwrap();
    assert_eq!(store.room(), 0);
    store.create_run(&made_of("Q1"), None).await.unwrap();
    held.renew(&bench.context).await;
    assert!(!held.is_renewed);
    store.spoil("DROP TRIGGER a").await;
    held.renew(&bench.context).await;
    assert!(held.is_renewed);
    held.due(&bench.context).await.unwrap();
    assert_eq!(store.room(), 0, "one waits");
    let lease = store.claim_run().await.unwrap().unwrap();
    held.items.insert(lease.claim().clone(), (Place::Of(Kind::Run), held.term.giver()));
    held.due(&bench.context).await.unwrap();
    assert_eq!(store.room(), AT_ONCE - 1);
}

fn made_of(incident_id: &str) -> NewRun {
    NewRun {
        incident: Some(AlertIncident {
            id: incident_id.to_owned(),
            number: 1,
            title: "All SE endpoints down in prod-us-south".to_owned(),
            html_url: "https://x".to_owned(),
        }),
        region: "prod-us-south".parse().unwrap(),
        trigger: Trigger::Webhook,
        reopened: false,
        alert_at: None,
    }
}
