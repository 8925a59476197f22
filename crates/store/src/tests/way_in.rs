//! Whether PagerDuty's webhooks reach us, as it was last proved.

use super::*;
use crate::{Proved, known_way_in};
use runbook::way_in::{Outcome, PING, Proof};

fn proof(outcome: Outcome) -> Proof {
    Proof { outcome, detail: format!("it came to {outcome}"), fix: "look there".into() }
}

#[tokio::test]
async fn a_proof_is_wanted_once_and_what_it_came_to_outlives_a_restart() {
    let disk = Disk::new().await;
    assert_eq!(disk.store.way_in().await.unwrap(), None);
    disk.store.begin_watches(&[Watch::WayIn]).await.unwrap();
    let lease = disk.store.claim_watch(&[Watch::WayIn]).await.unwrap().unwrap();
    disk.store.put_off_watch(&lease, Duration::from_secs(86_400)).await.unwrap();
    let wanted = disk.store.want_way_in().await.unwrap();
    let known = disk.store.way_in().await.unwrap().unwrap();
    assert_eq!((known.wanted_at, known.is_wanted(), known.last), (wanted, true, None));
    // Whoever was put off for a day is due now.
    let lease = disk.store.claim_watch(&[Watch::WayIn]).await.unwrap().unwrap();
    disk.clock.jump(Duration::from_secs(2));
    let at = disk.clock.now();
    disk.store.end_way_in(&lease, "https://se.example.com/hooks", &proof(Outcome::Failed)).await.unwrap();
    let last = Proved { at, url: "https://se.example.com/hooks".into(), proof: proof(Outcome::Failed) };
    let known = disk.store.way_in().await.unwrap().unwrap();
    assert_eq!((known.is_wanted(), known.last.as_ref()), (false, Some(&last)));
    assert_eq!(known_way_in(&disk.url).await.unwrap(), Some(known.clone()), "and for who looks beside it");
    let disk = disk.restarted().await;
    assert_eq!(disk.store.way_in().await.unwrap(), Some(known));
    // Who held it is dead, and another has it. Who has lost it writes nothing; each outcome is a word that the table takes.
    disk.clock.jump(LEASE);
    let taken = disk.store.claim_watch(&[Watch::WayIn]).await.unwrap().unwrap();
    disk.store.put_off_watch(&taken, Duration::from_secs(9)).await.unwrap();
    assert!(matches!(disk.store.end_way_in(&lease, "u", &proof(Outcome::Proven)).await, Err(StoreError::LeaseLost)));
    for outcome in Outcome::ALL {
        disk.store.want_way_in().await.unwrap();
        let lease = disk.store.claim_watch(&[Watch::WayIn]).await.unwrap().unwrap();
        disk.store.end_way_in(&lease, "u", &proof(*outcome)).await.unwrap();
        assert_eq!(disk.store.way_in().await.unwrap().unwrap().last.unwrap().proof, proof(*outcome));
        disk.store.put_off_watch(&lease, Duration::from_secs(9)).await.unwrap();
        let late = disk.store.end_way_in(&lease, "u", &proof(*outcome)).await;
        assert!(matches!(late, Err(StoreError::LeaseLost)), "{late:?}");
    }
    disk.store.spoil("UPDATE way_in SET outcome = NULL, ended_at = 9223372036854775807").await;
    assert_eq!(disk.store.way_in().await.unwrap().unwrap().last, None);
}

#[tokio::test]
async fn a_database_without_it_says_nothing_of_it() {
    let (folder, url) = Disk::place();
    assert_eq!(known_way_in(&url).await.unwrap(), None, "there is none yet");
    std::fs::write(folder.path().join("test.db"), "").unwrap();
    assert_eq!(known_way_in(&url).await.unwrap(), None, "it has no tables");
}

#[tokio::test]
async fn pings_are_counted_by_their_events_and_by_when_they_came() {
    let disk = Disk::new().await;
    let came = async |id: &str, event_type: &str| {
        let event = NewEvent { id, event_type, incident_id: None, body: "{}" };
        disk.store.accept(event, Err("a ping".into())).await.unwrap()
    };
    came("E1", PING).await;
    disk.clock.jump(Duration::from_secs(90));
    let since = disk.clock.now();
    came("E2", PING).await;
    assert_eq!(came("E2", PING).await, Accepted::Duplicate);
    assert_eq!(came("E1", PING).await, Accepted::Duplicate, "sent again it is no new one");
    came("E3", "service.updated").await;
    disk.clock.jump(Duration::from_secs(1));
    came("E4", PING).await;
    let found = disk.store.pings_since(since).await.unwrap();
    assert_eq!(found, std::collections::HashSet::from(["E2".to_owned(), "E4".to_owned()]));
}
