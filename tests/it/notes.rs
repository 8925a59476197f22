//! Notes that can't be read, that show late, or that somebody else wrote.

use std::time::Duration;

use serde_json::json;
use simulators::pagerduty::{Endpoint, Fault, Note, Setup};
use simulators::scenario::Scenario;

use crate::harness::{QUICK, Stage, quick, showing, until, until_within};

/// Registry's to solve: one reading, no early word, one note.
fn one_note() -> &'static Scenario {
    let builds = |asked: &_| showing(asked, 1, 0, Duration::from_millis(100));
    Box::leak(Box::new(Scenario { builds, ..*quick() }))
}

fn of_runs(stage: &Stage) -> Vec<Note> {
    let mut notes = stage.notes();
    notes.retain(|note| note.content.lines().next_back().is_some_and(|line| line.starts_with("run ")));
    notes
}

/// Nothing was begun that could be found there.
#[tokio::test]
async fn the_first_note_is_written_though_reading_notes_is_refused() {
    for status in [403, 500] {
        let stage = Stage::on(one_note(), QUICK).await;
        stage.world.pagerduty.fail(Endpoint::Notes, Fault::Status(status), u32::MAX);
        let run = stage.diagnosed().await;
        assert_eq!((&run["state"], &run["trigger"]), (&json!("done"), &json!("webhook")), "{run:#}");
        assert_eq!(of_runs(&stage).len(), 1, "{status}");
    }
}

/// lifecycle.md#commands: "one by the user of `PAGERDUTY_FROM`".
#[tokio::test]
async fn a_persons_note_with_the_runs_line_stops_no_note() {
    let stage = Stage::on(one_note(), QUICK).await;
    // Its answer is lost, and it was not done: what shows is somebody's who read the id on the run's view.
    stage.world.pagerduty.fail(Endpoint::AddNote, Fault::Status(502), 1);
    assert_eq!(stage.alert("incident.triggered").await.is(202).word(), "accepted");
    let id =
        until("a run", async || Some(stage.front.runs_of(&stage.world.alert).await.pop()?["id"].as_str()?.to_owned()))
            .await;
    stage
        .world
        .pagerduty
        .annotate(&stage.world.alert, Setup::ENGINEER, &format!("Looking.\nrun {id}"))
        .expect("a note");
    assert_eq!(stage.front.ended(&id).await["state"], "done");
    let authors: Vec<_> = of_runs(&stage).into_iter().map(|note| note.user_id).collect();
    assert_eq!(authors, [Setup::ENGINEER, Setup::RESPONDER]);
}

/// lifecycle.md#the-note: "where PagerDuty applied a write late … and a twin shows up, the later one is deleted". Over
/// a restart.
#[tokio::test]
async fn a_note_that_pagerduty_writes_late_has_no_twin_for_long() {
    const LATE: u64 = 20;
    let mut stage = Stage::on(one_note(), QUICK).await;
    stage.world.pagerduty.fail(Endpoint::AddNote, Fault::Late(LATE), 1);
    let run = stage.diagnosed().await;
    let id = run["note"]["id"].as_str().expect("a note").to_owned();
    stage.restart(&[]).await;
    let patience = Duration::from_secs(3 * (LATE + 30));
    let twins = async || (of_runs(&stage).len() == 2).then_some(());
    until_within(patience, "the note that was sent first", twins).await;
    let left = until_within(patience, "one of them to be deleted", async || {
        let left = of_runs(&stage);
        (left.len() == 1).then_some(left)
    })
    .await;
    assert_eq!(left[0].id, id, "the later one goes");
    assert_eq!(stage.front.run(run["id"].as_str().expect("an id")).await["note"]["id"], json!(id));
}
