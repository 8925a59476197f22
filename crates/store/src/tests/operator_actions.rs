use super::*;

const HOUR: Duration = Duration::from_secs(3600);

async fn request(disk: &Disk, run: &NewRun, key: Option<(&str, &str, &str)>) -> Created {
    disk.store.create_run(run, key).await.unwrap()
}

/// lifecycle.md#a-run-begins: `POST /rerun` once more under its `Idempotency-Key` makes no other run.
#[tokio::test]
async fn a_key_makes_a_repeat_answer_as_the_first_did_for_24_hours() {
    let disk = Disk::new().await;
    let key = Some(("olivia", "k1", "incident Q1"));
    let Created::Now(Reply::Started(first)) = request(&disk, &rerun_of("Q1"), key).await else { panic!() };
    let before = Created::Before(first.clone());
    assert_eq!(request(&disk, &rerun_of("Q1"), key).await, before);
    assert_eq!(disk.store.created_before("olivia", "k1", "incident Q1").await.unwrap(), Some(before.clone()));
    // Another body, another person, another key.
    assert_eq!(request(&disk, &rerun_of("Q2"), Some(("olivia", "k1", "incident Q2"))).await, Created::KeyTaken);
    assert_eq!(disk.store.created_before("olivia", "k1", "incident Q2").await.unwrap(), Some(Created::KeyTaken));
    assert_eq!(disk.store.created_before("oscar", "k1", "incident Q1").await.unwrap(), None);
    assert_eq!(disk.store.created_before("olivia", "k2", "incident Q1").await.unwrap(), None);
    assert!(matches!(
        request(&disk, &rerun_of("Q2"), Some(("oscar", "k1", "incident Q2"))).await,
        Created::Now(Reply::Started(_))
    ));

    // Also once the run is over, and after a restart.
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    disk.store.finish_run(&lease, &Finish::Done).await.unwrap();
    let disk = disk.restarted().await;
    disk.clock.jump(HOUR * 24);
    assert_eq!(request(&disk, &rerun_of("Q1"), key).await, before);
    disk.clock.jump(Duration::from_millis(1));
    assert_eq!(disk.store.created_before("olivia", "k1", "incident Q1").await.unwrap(), None);
    let Created::Now(Reply::Started(second)) = request(&disk, &rerun_of("Q1"), key).await else { panic!() };
    assert_ne!(first, second);
    assert_eq!(request(&disk, &rerun_of("Q1"), key).await, Created::Before(second));
    assert_eq!(disk.count("idempotency_keys").await, 1, "what is over is cleared away");
}

/// lifecycle.md#words: an alert has at most one active run, and a region has one without an alert.
#[tokio::test]
async fn one_active_run_an_incident_and_one_a_region_without_an_incident() {
    let disk = Disk::new().await;
    let first = disk.run("Q1").await;
    assert_eq!(request(&disk, &rerun_of("Q1"), None).await, Created::Now(Reply::Active(first.clone())));
    // A request that was refused leaves its key free.
    assert_eq!(request(&disk, &rerun_of("Q1"), Some(("olivia", "k", "x"))).await, Created::Now(Reply::Active(first)));
    assert_eq!(disk.count("idempotency_keys").await, 0);
    // A run by region is beside those of incidents.
    let Created::Now(Reply::Started(south)) = request(&disk, &of_region("prod-us-south"), None).await else { panic!() };
    assert_eq!(request(&disk, &of_region("prod-us-south"), None).await, Created::Now(Reply::Active(south)));
    assert!(matches!(request(&disk, &of_region("prod-eu-de"), None).await, Created::Now(Reply::Started(_))));
}

/// lifecycle.md#a-run-begins: `POST /rerun` many times at once under one `Idempotency-Key` makes one run.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_wishes_under_one_key_at_once_one_is_granted() {
    let disk = Disk::new().await;
    let run = of_region("prod-us-south");
    let requests = (0..16).map(|_| request(&disk, &run, Some(("olivia", "k", "x"))));
    let created = futures::future::join_all(requests).await;
    let made: Vec<&String> =
        created.iter().filter_map(|c| if let Created::Now(Reply::Started(id)) = c { Some(id) } else { None }).collect();
    assert_eq!(made.len(), 1);
    assert!(created.iter().filter(|c| **c == Created::Before(made[0].clone())).count() == 15, "{created:?}");
}
