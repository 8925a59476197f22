use super::*;

const NOTE_BY: Duration = Duration::from_secs(90);
const MS: Duration = Duration::from_millis(1);

async fn due(disk: &Disk) -> Vec<String> {
    disk.store.early_words_due(NOTE_BY).await.unwrap().due
}

/// Suppressed, to be looked at again after `wait`.
async fn parked(disk: &Disk, incident_id: &str, wait: Duration) -> String {
    let id = disk.run(incident_id).await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    disk.store.park_run(&lease, disk.clock.now(), None, None, wait).await.unwrap();
    id
}

#[tokio::test]
async fn a_word_is_due_for_every_run_without_a_diagnosis_whoever_works_on_it() {
    let disk = Disk::new().await;
    let (queued, running) = (disk.run("Q1").await, disk.run("Q2").await);
    disk.other().claim_run().await.unwrap().unwrap();
    disk.clock.jump(NOTE_BY - MS);
    assert!(due(&disk).await.is_empty());
    let later = disk.run("Q3").await;
    disk.clock.jump(MS);
    assert_eq!(due(&disk).await, [queued.clone(), running.clone()]);
    disk.clock.jump(NOTE_BY);
    assert_eq!(due(&disk).await, [queued.clone(), running.clone(), later.clone()]);
    // Written, or no longer owed.
    disk.store.want_short(&format!("early:{queued}"), "Q1", "a word").await;
    disk.store.begin_short(&format!("early:{queued}"), "Q1", 0).await.unwrap();
    assert_eq!(due(&disk).await[0], queued, "it may not be written: whoever began it may be dead");
    disk.store.set_short(&format!("early:{queued}"), "Q1", "P1").await;
    disk.store.spoil("UPDATE runs SET diagnosis = '{}' WHERE incident_id = 'Q2'").await;
    disk.store.spoil("UPDATE runs SET state = 'failed' WHERE incident_id = 'Q3'").await;
    assert!(due(&disk).await.is_empty());
}

#[tokio::test]
async fn it_is_known_when_the_next_word_is_due() {
    let disk = Disk::new().await;
    let next = async || disk.store.early_words_due(NOTE_BY).await.unwrap().next;
    assert_eq!(next().await, None, "nothing is owed, and nobody looks again by themselves");
    disk.run("Q1").await;
    disk.clock.jump(MS);
    disk.run("Q2").await;
    assert_eq!(next().await, Some(NOTE_BY - MS));
    disk.clock.jump(NOTE_BY - MS);
    assert_eq!((due(&disk).await.len(), next().await), (1, Some(MS)));
}

#[tokio::test]
async fn a_run_that_wants_its_word_has_it_at_once_and_some_runs_have_none() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    disk.store.want_short(&format!("early:{id}"), "Q1", "may be transient").await;
    assert_eq!(due(&disk).await, [id]);
    let disk = Disk::new().await;
    disk.store.create_run(&of_region("prod-us-south"), None).await.unwrap();
    disk.store.create_run(&NewRun { trigger: Trigger::FollowUp, ..run_of("Q2") }, None).await.unwrap();
    disk.clock.jump(NOTE_BY * 2);
    assert!(due(&disk).await.is_empty(), "nothing is posted for a region, and a second look is silent");
}

#[tokio::test]
async fn a_suppressed_run_is_owed_its_word_from_the_end_of_its_suppression() {
    let disk = Disk::new().await;
    let waits = Duration::from_secs(3600);
    let id = parked(&disk, "Q1", waits).await;
    disk.clock.jump(NOTE_BY * 2);
    assert!(due(&disk).await.is_empty(), "it said that it waits");
    // At a person's word; a second one changes nothing.
    disk.store.create_run(&rerun_of("Q1"), None).await.unwrap();
    disk.clock.jump(NOTE_BY - MS);
    assert!(due(&disk).await.is_empty());
    disk.store.create_run(&rerun_of("Q1"), None).await.unwrap();
    disk.clock.jump(MS);
    assert_eq!(due(&disk).await, [id]);

    // By itself: whoever looks says so.
    let disk = Disk::new().await;
    let id = parked(&disk, "Q1", waits).await;
    disk.clock.jump(waits);
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    disk.clock.jump(NOTE_BY * 2);
    assert!(due(&disk).await.is_empty(), "it is being looked at");
    disk.store.end_suppression(&lease).await.unwrap();
    assert!(due(&disk).await.is_empty());
    disk.clock.jump(NOTE_BY);
    assert_eq!(due(&disk).await, [id]);
}

/// Its look is due, and all places are taken: nobody knows whether it is still explained.
#[tokio::test]
async fn a_suppressed_run_that_nobody_comes_to_look_at_is_owed_a_word_too() {
    let disk = Disk::new().await;
    let waits = Duration::from_secs(60);
    let id = parked(&disk, "Q1", waits).await;
    disk.clock.jump(waits + NOTE_BY - MS);
    assert!(due(&disk).await.is_empty());
    disk.clock.jump(MS);
    assert_eq!(due(&disk).await, [id]);
}
