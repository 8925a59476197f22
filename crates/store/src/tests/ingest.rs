//! Webhooks that come at one time: one writer stores them together.

use super::*;
use runbook::life::Alert;

fn event(id: &str) -> NewEvent<'_> {
    NewEvent { id, event_type: "incident.triggered", incident_id: Some("Q1"), body: "{}" }
}

fn start() -> Route {
    Ok(Follow::Start(run_of("Q1")))
}

impl Disk {
    /// How many transactions were committed since the log was begun: the last frame of each says how long the database is
    /// then.
    fn commits(&self) -> usize {
        const PAGE: usize = 4096;
        let log = std::fs::read(self.folder.path().join("test.db-wal")).unwrap();
        log[32..].chunks_exact(24 + PAGE).filter(|frame| frame[4..8] != [0; 4]).count()
    }
}

/// Those that wait at one time are stored together: what one of them can't have costs no other.
#[tokio::test]
async fn of_events_that_are_stored_together_one_that_cannot_be_costs_no_other() {
    let disk = Disk::new().await;
    disk.fill_up().await;
    let ids: Vec<String> = (0..20).map(|n| format!("E{n}")).collect();
    let accepted = futures::future::join_all(
        ids.iter()
            .enumerate()
            .map(|(n, id)| disk.store.accept(event(id), if n == 7 { start() } else { Err("nothing follows".into()) })),
    )
    .await;
    for (n, accepted) in accepted.iter().enumerate() {
        assert_eq!(accepted.is_err(), n == 7, "{n}: {accepted:?}");
    }
    assert_eq!((disk.count("webhooks").await, disk.count("runs").await), (19, 0));
}

/// One transaction is one wait for the disk.
#[tokio::test]
async fn events_that_wait_at_one_time_share_a_transaction() {
    let disk = Disk::new().await;
    let before = disk.commits();
    let locked = disk.store.writers.acquire().await.unwrap();
    let ids: Vec<String> = (0..20).map(|n| format!("E{n}")).collect();
    let all = futures::future::join_all(ids.iter().map(|id| disk.store.accept(event(id), Err("x".into()))));
    let (all, ()) = tokio::join!(all, async {
        tokio::task::yield_now().await;
        drop(locked);
    });
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    // The first was there before the others.
    assert!((1..=2).contains(&(disk.commits() - before)), "{before} {}", disk.commits());
}

/// What was decided about an event before, in the same transaction, counts.
#[tokio::test]
async fn an_event_is_decided_after_those_before_it() {
    let disk = Disk::new().await;
    let locked = disk.store.writers.acquire().await.unwrap();
    let by_alert = || {
        Decide::ByAlert(Box::new(|known: Option<&Alert>| match known {
            Some(alert) => Ok(Follow::AlertResolved { incident_id: alert.incident_id.clone(), at: None }),
            None => Err("no alert".into()),
        }))
    };
    let (before, started, again, resolved, ()) = tokio::join!(
        disk.store.accept_by(event("E1"), by_alert()),
        disk.store.accept(event("E2"), start()),
        disk.store.accept(event("E3"), start()),
        disk.store.accept_by(event("E4"), by_alert()),
        async {
            tokio::task::yield_now().await;
            drop(locked);
        }
    );
    assert_eq!(before.unwrap(), Accepted::Ignored("no alert".into()));
    assert!(matches!(started.unwrap(), Accepted::Run(_)));
    assert!(matches!(again.unwrap(), Accepted::Ignored(why) if why.contains("is active")));
    assert_eq!(resolved.unwrap(), Accepted::Followed);
    assert!(disk.store.alert("Q1").await.unwrap().unwrap().resolved_at.is_some());
}

/// Who gave up is not waited for: it is sent again, and must not be stored twice.
#[tokio::test]
async fn an_event_that_nobody_waits_for_any_more_is_stored_once_at_most() {
    let disk = Disk::new().await;
    let locked = disk.store.writers.acquire().await.unwrap();
    for _ in 0..3 {
        let gave_up = futures::FutureExt::now_or_never(disk.store.accept(event("E1"), start()));
        assert!(gave_up.is_none());
        tokio::task::yield_now().await;
    }
    drop(locked);
    let accepted = disk.store.accept(event("E1"), start()).await.unwrap();
    assert!(matches!(accepted, Accepted::Run(_) | Accepted::Duplicate), "{accepted:?}");
    assert_eq!((disk.count("webhooks").await, disk.count("runs").await), (1, 1));
}
