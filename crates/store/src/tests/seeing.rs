//! What a run has seen.

use super::*;
use runbook::alert::Zone;
use runbook::diagnosis::{Checks, Console, Earlier, Finding, MagicBox, Reading};

fn reading(at: jiff::Timestamp, se_status: u8) -> Reading {
    let of_one = MagicBox {
        name: "registry-prod-us-south-az1-1".into(),
        magic_box_id: "a \0 odd id".into(),
        node: "Ready".into(),
        backend_ip: "10.0.0.1".into(),
        frontend: "166.9.12.114/23".into(),
        se_status,
        upstream_status: 1,
    };
    let console = Console { boxes: vec![of_one.clone()], ..Console::default() };
    Reading { build_url: None, at, console, warnings: vec!["a warning".into()], set_aside: vec![of_one] }
}

fn checks(at: jiff::Timestamp, finding: Finding) -> Vec<(Zone, Checks)> {
    let checks = Checks {
        finding,
        konicle: None,
        ingress: vec![],
        status: None,
        konicle_pods: vec![],
        registry_pages: vec![],
        warnings: vec![],
        error: None,
        at,
        context: None,
    };
    vec![(Zone::new("registry-prod-us-south-az1"), checks)]
}

#[tokio::test]
async fn what_a_run_has_seen_is_kept_with_the_end_of_its_step() {
    let disk = Disk::new().await;
    disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    let (at, store) = (disk.clock.now(), &disk.store);
    assert_eq!(store.evidence(lease.run_id()).await.unwrap(), Earlier::default());
    let (first, again) = (reading(at, 0), reading(at, 1));
    let (then, now) = (checks(at, Finding::KonicleFault), checks(at, Finding::Healthy));
    for saw in [Sight::Reading(&first), Sight::Checks(&then), Sight::Reading(&again), Sight::Checks(&now)] {
        let step = store.begin_step(&lease, "a step").await.unwrap();
        store.end_step(&lease, step, None, Some(saw), &[]).await.unwrap();
    }
    let (readings, checks) = (vec![first, again], [then, now].concat());
    let all = Earlier { readings, checks, ..Earlier::default() };
    assert_eq!(store.evidence(lease.run_id()).await.unwrap(), all);
    let run_id = lease.run_id().to_owned();
    let disk = disk.restarted().await;
    assert_eq!(disk.store.evidence(&run_id).await.unwrap(), all);
    assert_eq!(disk.store.evidence("another").await.unwrap(), Earlier::default());
}

#[tokio::test]
async fn whoever_has_lost_a_run_adds_nothing_to_what_it_has_seen() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    let step = disk.store.begin_step(&lease, "read_boxes").await.unwrap();
    disk.store.release_run(&lease, Duration::ZERO).await.unwrap();
    disk.store.claim_run().await.unwrap().expect("it, for somebody else");
    let seen = reading(disk.clock.now(), 0);
    lost(disk.store.end_step(&lease, step, None, Some(Sight::Reading(&seen)), &[]).await);
    assert_eq!(disk.store.evidence(&id).await.unwrap(), Earlier::default());
}

#[tokio::test]
async fn what_cannot_be_read_back_is_no_proof_that_all_was_well() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    for (step, kind, body) in [(1_i64, "reading", "{"), (2, "checks", "[1]"), (3, "dreams", "{}")] {
        sqlx::query("INSERT INTO evidence (run_id, step, kind, body) VALUES ($1, $2, $3, $4)")
            .bind(&id)
            .bind(step)
            .bind(kind)
            .bind(body)
            .execute(&disk.store.pool)
            .await
            .unwrap();
    }
    let seen = disk.store.evidence(&id).await.unwrap();
    assert_eq!((seen.readings.len(), seen.checks.len()), (3, 0));
    assert!(seen.readings.iter().all(|reading| reading.console.boxes.is_empty()), "{seen:?}");
}
