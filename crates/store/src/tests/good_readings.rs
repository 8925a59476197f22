use super::*;
use outbound::builds::BuildRecord;
use runbook::alert::{Region, Zone};
use runbook::canary::Outcome;
use runbook::diagnosis::MagicBox;
use runbook::diagnosis::last_good::GoodReading;

const DAY: Duration = Duration::from_secs(86_400);

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn good(at: jiff::Timestamp, id: &str) -> GoodReading {
    let of_one = MagicBox {
        name: "registry-prod-us-south-az1-1".into(),
        magic_box_id: id.into(),
        node: "Ready".into(),
        backend_ip: "10.94.143.238".into(),
        frontend: "166.9.12.114/23".into(),
        se_status: 1,
        upstream_status: 1,
    };
    GoodReading { at, build_url: Some(format!("https://jenkins/{id}/")), boxes: vec![of_one] }
}

#[tokio::test]
async fn the_newest_good_reading_of_each_region_is_kept() {
    let disk = Disk::new().await;
    let (south, eu) = (region("prod-us-south"), region("prod-eu-de"));
    assert_eq!(disk.store.good_reading(&south).await.unwrap(), None);
    let first = good(disk.clock.now(), "vm-1");
    disk.store.keep_good_readings(&[(&south, first.clone())]).await.unwrap();
    assert_eq!(disk.store.good_reading(&eu).await.unwrap(), None);
    disk.clock.jump(DAY);
    let second = GoodReading { build_url: None, ..good(disk.clock.now(), "vm-2") };
    disk.store.keep_good_readings(&[(&south, second.clone())]).await.unwrap();
    // One that was read later and is older is not the last.
    disk.store.keep_good_readings(&[(&south, first.clone()), (&eu, first.clone())]).await.unwrap();
    let disk = disk.restarted().await;
    assert_eq!(disk.store.good_reading(&south).await.unwrap(), Some(second));
    assert_eq!(disk.store.good_reading(&eu).await.unwrap(), Some(first));
}

#[tokio::test]
async fn when_the_canary_is_due_survives_restarts_and_is_begun_once() {
    let disk = Disk::new().await;
    assert_eq!(disk.store.canary().await.unwrap(), None);
    disk.store.plan_canary(DAY).await.unwrap();
    disk.clock.jump(DAY / 2);
    // Planned again it is no later; for a shorter interval it is sooner.
    disk.store.plan_canary(DAY).await.unwrap();
    let disk = disk.restarted().await;
    assert_eq!(disk.store.canary().await.unwrap().unwrap().due_in, DAY / 2);
    disk.store.plan_canary(DAY / 4).await.unwrap();
    assert_eq!(disk.store.canary().await.unwrap().unwrap().due_in, DAY / 4);
    disk.clock.jump(DAY / 4);
    let seen = disk.store.canary().await.unwrap().unwrap();
    assert_eq!((seen.due_in, seen.begun, seen.region.clone(), seen.outcome), (Duration::ZERO, None, None, None));
    let south = region("prod-us-south");
    disk.store.begin_watches(&[Watch::Canary]).await.unwrap();
    let watch = disk.store.claim_watch(&[Watch::Canary]).await.unwrap().unwrap();
    let lease = disk.store.begin_canary(&watch, &seen, &south, DAY).await.unwrap().unwrap();
    assert_eq!(disk.store.begin_canary(&watch, &seen, &south, DAY).await.unwrap(), None, "it is begun");
    lost(disk.other().begin_canary(&watch, &seen, &south, DAY).await);
    // Killed midway: it is known that it was begun, with what, and the next is due a day later.
    let record = BuildRecord::wanted(0, Zone::new("registry-prod-us-south-az1"), disk.clock.now(), None);
    disk.store.set_canary_builds(&lease, std::slice::from_ref(&record)).await.unwrap();
    let disk = disk.restarted().await;
    let cut_off = disk.store.canary().await.unwrap().unwrap();
    assert_eq!((cut_off.due_in, cut_off.begun.as_ref(), cut_off.region.as_ref()), (DAY, Some(&lease.at), Some(&south)));
    // Whoever looks after it now goes on with it; who did before is not to write of it.
    disk.clock.jump(LEASE);
    let watch = disk.store.claim_watch(&[Watch::Canary]).await.unwrap().unwrap();
    lost(disk.store.set_canary_builds(&lease, &[]).await);
    let lease = CanaryLease::of(&watch, lease.at);
    assert_eq!(disk.store.canary_builds(&lease).await.unwrap(), [record]);
    let at = disk.clock.now();
    disk.store.end_canary(&lease, Outcome::Good, Some(at)).await.unwrap();
    // What is over can't be written of.
    lost(disk.store.end_canary(&lease, Outcome::Failed, None).await);
    lost(disk.store.put_off_canary(&lease, DAY).await);
    lost(disk.store.set_canary_builds(&lease, &[]).await);
    lost(disk.store.canary_builds(&lease).await);

    disk.clock.jump(DAY);
    let seen = disk.store.canary().await.unwrap().unwrap();
    assert_eq!((seen.due_in, seen.outcome, seen.good_at), (Duration::ZERO, Some(Outcome::Good), Some(at)));
    let lease = disk.store.begin_canary(&watch, &seen, &south, DAY).await.unwrap().unwrap();
    assert_eq!(disk.store.canary_builds(&lease).await.unwrap(), [], "none of the last one's");
    disk.store.put_off_canary(&lease, DAY / 8).await.unwrap();
    let put_off = disk.store.canary().await.unwrap().unwrap();
    assert_eq!((put_off.due_in, put_off.begun, put_off.outcome), (DAY / 8, None, Some(Outcome::Good)));
    disk.clock.jump(DAY);
    let seen = disk.store.canary().await.unwrap().unwrap();
    let lease = disk.store.begin_canary(&watch, &seen, &south, DAY).await.unwrap().unwrap();
    disk.store.end_canary(&lease, Outcome::Incomplete, None).await.unwrap();
    let waiting = disk.store.waiting().await.unwrap();
    assert_eq!((waiting.canary, waiting.canary_good), (Some(Outcome::Incomplete), at.as_second()), "for /metrics");
}

#[tokio::test]
async fn a_run_needs_jenkins_unless_the_build_began_after_its_alert() {
    let disk = Disk::new().await;
    let needs = |begun| {
        let store = disk.store.clone();
        async move { store.active_runs(begun).await.unwrap().others > 0 }
    };
    let alert_at = disk.clock.now();
    let (before, later) =
        (alert_at - jiff::SignedDuration::from_secs(1), alert_at + jiff::SignedDuration::from_secs(1));
    assert!(!needs(None).await && !needs(Some(before)).await, "there is none");
    let run = NewRun { alert_at: Some(alert_at), ..run_of("Q1") };
    let Created::Now(Reply::Started(_)) = disk.store.create_run(&run, None).await.unwrap() else { panic!() };
    assert!(needs(None).await && needs(Some(before)).await);
    assert!(!needs(Some(alert_at)).await && !needs(Some(later)).await, "it serves the run");
    // Another alert came after the build began: both are told apart.
    let second = NewRun { alert_at: Some(later), ..run_of("Q2") };
    let Created::Now(Reply::Started(second)) = disk.store.create_run(&second, None).await.unwrap() else { panic!() };
    let active = disk.store.active_runs(Some(alert_at)).await.unwrap();
    assert_eq!((active.served, active.others), (1, 1), "{second}");
    disk.store.spoil("UPDATE runs SET state = 'done' WHERE incident_id = 'Q2'").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    assert!(needs(Some(before)).await, "one at work likewise");
    disk.store.finish_run(&lease, &Finish::Done).await.unwrap();
    assert!(!needs(Some(before)).await, "it is over");
    // What a person asks for wants a build from then on.
    let Created::Now(Reply::Started(_)) = disk.store.create_run(&of_region("prod-eu-de"), None).await.unwrap() else {
        panic!()
    };
    assert!(needs(Some(later)).await);
}
