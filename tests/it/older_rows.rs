//! Rows that an older version stored are read as that version meant them.

use crate::harness::{Stage, until};
use crate::unreadable::spoil;

/// A follow-up that found nothing new had no note and did not say whose it had edited; a merge kept another title.
#[tokio::test]
async fn a_follow_up_that_had_no_note_is_still_known_to_have_found_nothing_new() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "auto"), ("TRANSIENT_RERUNS", "0"), ("FOLLOW_UP", "200ms")]).await;
    stage.alert("incident.triggered").await.is(202);
    let first = until("three follow-ups", async || {
        let mut runs = stage.front.runs_of(&stage.world.alert).await;
        (runs.len() == 4 && runs.iter().all(|run| run["state"] == "done")).then(|| runs.remove(3))
    })
    .await;
    let before = stage.note_of(&first).content;
    assert!(before.contains(": unchanged."), "{before}");
    spoil(
        &stage.world,
        "UPDATE runs SET unchanged_from = NULL, unchanged_at = NULL,
         facts = REPLACE(facts, '\"title\":', '\"title_before_merge\":')",
    )
    .await;
    let runs = stage.front.runs_of(&stage.world.alert).await;
    assert!(runs[..3].iter().all(|run| run["note"].is_null()), "{runs:#?}");
    stage.front.post("/escalate", &stage.this_alert()).await.is(202);
    let note = until("the note to tell of the page", async || {
        let note = stage.note_of(&first).content;
        note.lines().nth(2).is_some_and(|line| line.starts_with("Paged")).then_some(note)
    })
    .await;
    assert!(note.contains(": unchanged."), "{note}");
}
