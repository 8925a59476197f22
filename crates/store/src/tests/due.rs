use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn nothing_is_looked_for_before_something_is_due() {
    let disk = Disk::new().await;
    let due_in = async || disk.store.due(Kind::ALL, &[]).await.unwrap().1;
    let nothing = due_in().await;
    assert!(nothing >= SECOND * 10, "{nothing:?}");
    // What is made is due at once; who has it has it for a lease, and then it is due again.
    let run = disk.run("Q1").await;
    assert_eq!(disk.store.due(Kind::ALL, &[]).await.unwrap(), (vec![Kind::Run], Duration::ZERO));
    assert_eq!(disk.store.due(&[Kind::Alert, Kind::Task], &[]).await.unwrap(), (vec![], nothing), "no room for runs");
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    assert_eq!(due_in().await, LEASE.min(nothing), "it is ours, and nobody's where the lease is not renewed");
    assert_eq!(disk.other().due(Kind::ALL, &[]).await.unwrap().1, LEASE.min(nothing));
    disk.store.release_run(&lease, SECOND * 5).await.unwrap();
    assert_eq!(due_in().await, SECOND * 5);
    disk.clock.jump(SECOND * 5);
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    disk.store.finish_run(&lease, &Finish::Done).await.unwrap();
    assert_eq!(due_in().await, nothing, "what is over is due never");
    // A page, until its end is told; and a task.
    disk.store.request_page("Q1", &run, None).await.unwrap();
    assert_eq!(due_in().await, Duration::ZERO);
    let page = disk.store.claim_page().await.unwrap().unwrap();
    let end = PageResult { page: None, joined: false, reason: Some("refused") };
    disk.store.finish_page(&page, &end).await.unwrap();
    disk.store.release_page(&page, SECOND).await.unwrap();
    assert_eq!(due_in().await, SECOND);
    disk.clock.jump(SECOND);
    let page = disk.store.claim_page().await.unwrap().unwrap();
    disk.store.set_page_told(&page).await.unwrap();
    disk.store.page_rests(&page).await.unwrap();
    assert_eq!(due_in().await, nothing);
    let (kind, incident_id, mark, data) = (TaskKind::FollowUp, "Q1".into(), String::new(), String::new());
    let task = NewTask { kind, incident_id, run_id: None, mark, data, after: SECOND * 7 };
    disk.store.add_task(&task).await.unwrap();
    assert_eq!(due_in().await, SECOND * 7);
}

/// lifecycle.md#crashes-clocks-replicas: with a clock that went back, what was put off is due at once.
/// As after a clock that was far ahead: nothing waits until time is there again.
#[tokio::test]
async fn what_was_put_off_by_a_time_that_has_not_come_is_due() {
    let disk = Disk::new().await;
    disk.run("Q1").await;
    disk.store.spoil("UPDATE work SET due_at = 4102444800000, set_at = 4102444800000").await;
    assert_eq!(disk.store.due(Kind::ALL, &[]).await.unwrap(), (vec![Kind::Run], Duration::ZERO));
    assert!(disk.store.claim_run().await.unwrap().is_some());
}
