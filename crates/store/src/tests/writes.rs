//! The ledger of writes on disk.

use super::*;
use runbook::writes::{Moment, Outcome, Times, key};

/// Whatever becomes of who wanted it: the task is there from the intent on, and gone with the doubt.
#[tokio::test]
async fn what_is_open_of_a_write_is_settled_by_a_task() {
    let disk = Disk::new().await;
    disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    disk.store.begin_note(&lease).await.unwrap();
    assert_eq!(disk.count("tasks").await, 1);
    disk.store.set_note(&lease, "P1", "text").await.unwrap();
    assert_eq!(disk.count("tasks").await, 0);
    assert_eq!(disk.store.run(lease.run_id()).await.unwrap().unwrap().note.unwrap().id, "P1");

    disk.run("Q2").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    disk.store.lose_note(&lease).await;
    disk.store.set_note(&lease, "P2", "text").await.unwrap();
    assert_eq!(disk.count("tasks").await, 1, "the first may show yet");
    assert!(disk.store.claim_task().await.unwrap().is_none());
    disk.clock.jump(Times::PAGERDUTY.looks[0]);
    let task = disk.store.claim_task().await.unwrap().expect("a look");
    assert_eq!((task.kind, task.data), (TaskKind::Twin, key::of_note(lease.run_id())));
}

/// What is recorded is read back as it was, by both clocks.
#[tokio::test]
async fn a_record_is_read_back_as_it_was() {
    let disk = Disk::new().await;
    let wanted = WantedWrite { key: "join:Q1:Q2", on: "Q2", run_id: None, text: "not kept" };
    let theirs = Some("2026-08-01T00:00:00Z".parse().unwrap());
    let now = Moment { theirs, ..disk.store.moment() };
    let times = Times::PAGERDUTY;
    let attempt = disk.store.begin_write(&wanted, Right::Seen, 0, now, &times).await.unwrap().unwrap();
    let open = disk.store.recorded("join:Q1:Q2").await.unwrap().unwrap();
    assert_eq!((open.on.as_str(), open.text.as_str(), open.write.attempt), ("Q2", "", 1));
    assert_eq!(open.write.intent, Some(now.ours));
    let kept = disk.store.end_write(&wanted, attempt, &Outcome::Ambiguous(String::new()), now, &times).await.unwrap();
    assert_eq!(kept.write.doubt.as_ref().map(|doubt| (doubt.sends, doubt.since)), Some((1, now)));
    assert_eq!(disk.store.recorded("join:Q1:Q2").await.unwrap(), Some(kept));
}

/// Whoever looks for a note by its words is told of those of the alert alone, under all of its names: others are on other incidents.
#[tokio::test]
async fn notes_with_the_same_words_are_those_of_the_alert() {
    let disk = Disk::new().await;
    for incident in ["Q1", "Q2", "QOTHER"] {
        disk.run(incident).await;
    }
    for (key, on) in [("end:1", "Q1"), ("end:2", "Q2"), ("end:3", "QOTHER"), ("end:4", "QPAGE"), ("end:5", "Q1")] {
        disk.store.want_short(key, on, "It is over.").await;
        if key != "end:5" {
            disk.store.begin_short(key, on, 0).await.unwrap();
            disk.store.set_short(key, on, &format!("P{key}")).await;
        }
    }
    let alike = async |on: &str| {
        let mut found = disk.store.written_alike("It is over.", "end:1", on).await.unwrap();
        found.sort();
        found
    };
    assert_eq!(alike("Q1").await, [""; 0]);
    assert_eq!((alike("Q2").await, alike("QPAGE").await), (vec!["Pend:2".to_owned()], vec!["Pend:4".to_owned()]));
    let same = "UPDATE incidents SET alert_id = (SELECT alert_id FROM incidents WHERE incident_id = 'Q1') WHERE incident_id = 'Q2'";
    sqlx::query(same).execute(&disk.store.pool).await.unwrap();
    assert_eq!(alike("Q1").await, ["Pend:2"]);
}

#[tokio::test]
async fn open_alerts_are_those_that_are_not_known_to_be_over() {
    let disk = Disk::new().await;
    for incident in ["Q1", "Q2"] {
        disk.run(incident).await;
    }
    disk.store.set_resolved("Q1", None).await.unwrap();
    assert_eq!(disk.store.open_alerts().await.unwrap(), ["Q2"]);
}
