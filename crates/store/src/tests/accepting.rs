use super::*;

fn event(id: &str) -> NewEvent<'_> {
    NewEvent { id, event_type: "incident.triggered", incident_id: Some("Q1"), body: "{}" }
}

fn start(again: bool) -> Result<Follow, String> {
    Ok(Follow::Start(NewRun { reopened: again, ..run_of("Q1") }))
}

#[track_caller]
fn ignored(accepted: Accepted, why: &str) {
    assert!(matches!(&accepted, Accepted::Ignored(reason) if reason.contains(why)), "{accepted:?}");
}

/// lifecycle.md#a-run-begins: the webhook and its run are stored together, then it is answered.
#[tokio::test]
async fn an_event_and_its_run_are_stored_together() {
    let disk = Disk::new().await;
    let Accepted::Run(id) = disk.store.accept(event("E1"), start(false)).await.unwrap() else { panic!() };
    assert_eq!((disk.count("webhooks").await, disk.state(&id).await), (1, State::Queued));
    assert_eq!(disk.store.accept(event("E1"), start(true)).await.unwrap(), Accepted::Duplicate);
    assert_eq!((disk.count("webhooks").await, disk.count("runs").await), (1, 1));
    let disk = disk.restarted().await;
    assert_eq!((disk.count("webhooks").await, disk.state(&id).await), (1, State::Queued));
    assert_eq!(disk.store.accept(event("E1"), start(true)).await.unwrap(), Accepted::Duplicate);
}

/// lifecycle.md#a-run-begins: the webhook and its run are stored together, or neither is.
#[tokio::test]
async fn where_the_run_cannot_be_stored_nothing_is() {
    let disk = Disk::new().await;
    disk.fill_up().await;
    disk.store.accept(event("E1"), start(false)).await.unwrap_err();
    assert_eq!((disk.count("webhooks").await, disk.count("runs").await, disk.count("alerts").await), (0, 0, 0));
    disk.make_room().await;
    // Sent again, it is no duplicate.
    assert!(matches!(disk.store.accept(event("E1"), start(false)).await.unwrap(), Accepted::Run(_)));
}

#[tokio::test]
async fn an_incident_has_one_active_run_and_another_only_when_asked_again() {
    let disk = Disk::new().await;
    let Accepted::Run(first) = disk.store.accept(event("E1"), start(false)).await.unwrap() else { panic!() };
    ignored(disk.store.accept(event("E2"), start(false)).await.unwrap(), &format!("{first} is active"));
    ignored(disk.store.accept(event("E3"), start(true)).await.unwrap(), "is active");
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    ignored(disk.store.accept(event("E4"), start(true)).await.unwrap(), "is active");
    disk.store.finish_run(&lease, &Finish::Done).await.unwrap();
    // It was reopened while its run was active: that is another run, and one only.
    ignored(disk.store.accept(event("E5"), start(false)).await.unwrap(), "is active");
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    disk.store.finish_run(&lease, &Finish::Done).await.unwrap();
    ignored(disk.store.accept(event("E6"), start(false)).await.unwrap(), "has a run already");
    assert!(matches!(disk.store.accept(event("E7"), start(true)).await.unwrap(), Accepted::Run(_)));
    assert_eq!((disk.count("webhooks").await, disk.count("runs").await), (7, 3));
    let reasons: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT outcome, reason FROM webhooks ORDER BY event_id")
            .fetch_all(&disk.store.pool)
            .await
            .unwrap();
    assert_eq!(reasons[0], ("accepted".into(), None));
    assert!(reasons[1].0 == "ignored" && reasons[1].1.is_some(), "{reasons:?}");
}

#[tokio::test]
async fn the_active_run_is_found_though_the_clock_was_set_back() {
    let disk = Disk::new().await;
    disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    disk.store.finish_run(&lease, &Finish::Done).await.unwrap();
    // An id that sorts after every other.
    sqlx::query("UPDATE runs SET id = 'zzz'").execute(&disk.store.pool).await.unwrap();
    let Accepted::Run(active) = disk.store.accept(event("E1"), start(true)).await.unwrap() else { panic!() };
    ignored(disk.store.accept(event("E2"), start(true)).await.unwrap(), &active);
}

#[tokio::test]
async fn the_database_itself_refuses_a_second_active_run() {
    let disk = Disk::new().await;
    let first = disk.run("Q1").await;
    disk.run("Q2").await;
    for state in ["queued", "suppressed", "running"] {
        for other in ["queued", "suppressed", "running"] {
            sqlx::query("UPDATE runs SET state = $1 WHERE id = $2")
                .bind(state)
                .bind(&first)
                .execute(&disk.store.pool)
                .await
                .unwrap();
            // Whichever of the alert's names it runs under.
            let sql = "INSERT INTO runs (id, alert_id, incident_id, region, triggered_by, state, created_at)
                       SELECT 'x', alert_id, 'QMERGED', 'r', 'webhook', $1, 0 FROM incidents WHERE incident_id = 'Q1'";
            sqlx::query(sql).bind(other).execute(&disk.store.pool).await.unwrap_err();
        }
    }
    for over in ["done", "failed", "cancelled"] {
        sqlx::query("UPDATE runs SET state = $1 WHERE id = $2")
            .bind(over)
            .bind(&first)
            .execute(&disk.store.pool)
            .await
            .unwrap();
        disk.run("Q1").await;
        sqlx::query("DELETE FROM runs WHERE incident_id = 'Q1' AND id <> $1")
            .bind(&first)
            .execute(&disk.store.pool)
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_events_at_once_for_one_incident_one_starts_a_run() {
    let disk = Disk::new().await;
    let ids: Vec<String> = (0..24).map(|n| format!("E{}", n / 2)).collect();
    let accepted = futures::future::join_all(ids.iter().map(|id| {
        let store = disk.store.clone();
        async move { store.accept(event(id), start(true)).await.unwrap() }
    }))
    .await;
    let of = |kind: fn(&Accepted) -> bool| accepted.iter().filter(|a| kind(a)).count();
    assert_eq!(of(|a| matches!(a, Accepted::Run(_))), 1);
    assert_eq!(of(|a| matches!(a, Accepted::Duplicate)), 12);
    assert_eq!((disk.count("webhooks").await, disk.count("runs").await), (12, 1));
}
