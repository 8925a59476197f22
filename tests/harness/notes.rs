//! The notes of a world's alert.

use serde_json::Value;
use simulators::pagerduty::Note;
use simulators::world::World;

use super::front::Front;
use super::wait::until;

/// The one note of a run, by its last line.
#[track_caller]
pub(crate) fn diagnosis_note(world: &World, run: &Value) -> Note {
    let last = format!("run {}", run["id"].as_str().expect("an id"));
    let mut notes = world.pagerduty.notes_of(&world.alert);
    notes.retain(|n| n.content.lines().next_back() == Some(&last));
    assert_eq!(notes.len(), 1, "notes of {last}: {notes:#?}");
    notes.remove(0)
}

/// Waits until the note of a run no longer says that its page is being opened (it is edited after the page), and the
/// service knows what its note says. Of a follow-up that found nothing new that is the earlier run's note.
pub(crate) async fn told(front: &Front, world: &World, run: &Value) {
    let Some(note_id) = run["note"]["id"].as_str() else { return };
    let id = run["id"].as_str().expect("an id");
    until("the note to tell of the page", async || {
        let notes = world.pagerduty.notes_of(&world.alert);
        let note = &notes.iter().find(|note| note.id == note_id).expect("the run's note").content;
        (!waits_for_page(note) && front.run(id).await["note"]["text"] == note.as_str()).then_some(())
    })
    .await;
}

/// Whether a note says that its page is being opened: it is edited after the page.
pub(crate) fn waits_for_page(note: &str) -> bool {
    note.lines().nth(2).is_some_and(|line| line.starts_with("Nobody was paged yet"))
}

/// The notes before and after the one note of a run. None of them has a line that names a run.
#[track_caller]
pub(crate) fn short_notes(world: &World, run: &Value) -> (Vec<Note>, Vec<Note>) {
    let diagnosis = diagnosis_note(world, run);
    let mut before = world.pagerduty.notes_of(&world.alert);
    let at = before.iter().position(|n| n.id == diagnosis.id).expect("its place");
    let after = before.split_off(at + 1);
    before.pop();
    for note in before.iter().chain(&after) {
        assert!(!note.content.lines().any(|l| l.starts_with("run ")), "{}", note.content);
    }
    (before, after)
}
