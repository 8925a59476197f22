//! A word is owed to every alert that has no diagnosis by `NOTE_BY`, however many there are:
//! lifecycle.md#jenkins-and-the-clusters.

use std::time::Duration;

use futures::future::join_all;
use outbound::clock::SystemClock;
use simulators::pagerduty::{Endpoint, Fault, Note, Opening, Setup};
use simulators::scenario::Scenario;
use simulators::world::World;

use crate::harness::{Front, Stage, quick, settings_of, showing, until, until_within};
use crate::process::Process;

/// More runs than do more than wait at a time.
const MANY: usize = 200;
const NOTE_BY: Duration = Duration::from_secs(20);
/// Two hundred, or eighty after a kill, are a good deal for a busy machine.
const IN_TIME: Duration = Duration::from_secs(180);
const BY: (&str, &str) = ("NOTE_BY", "20s");
const SLOW: (&str, &str) = ("JENKINS_TIMEOUT", "10m");

/// Builds take longer than any story, and there are no clusters to ask: TLS with hundreds would be all that is
/// measured.
fn hanging() -> &'static Scenario {
    let builds = |asked: &_| showing(asked, 1, 1, Duration::from_secs(600));
    Box::leak(Box::new(Scenario { builds, clusters: |_, _| None, ..*quick() }))
}

fn alerts(world: &World, count: usize) -> Vec<String> {
    let title = "All SE endpoints down in prod-us-south";
    (0..count).map(|_| world.pagerduty.open(Opening::new(title, Setup::REGISTRY)).id).collect()
}

async fn send(world: &World, front: &Front, alerts: &[String]) {
    let sent = alerts.iter().map(|alert| async {
        front.taken(&world.pagerduty.webhook_body("incident.triggered", alert)).await;
    });
    join_all(sent).await;
}

/// The notes of an alert, all of which must be early words.
fn words(world: &World, alert: &str) -> Vec<Note> {
    let notes = world.pagerduty.notes_of(alert);
    assert!(notes.iter().all(|note| note.content.starts_with("Still diagnosing prod-us-south.")), "{notes:#?}");
    notes
}

/// Waits until each has its word.
async fn all_have_one(world: &World, alerts: &[String], within: Duration) {
    // One at a time: whoever looks at all of them again and again leaves the service no time.
    let mut left = alerts.to_vec();
    until_within(within, "a word for each", async || {
        while left.last().is_some_and(|alert| !words(world, alert).is_empty()) {
            left.pop();
        }
        left.is_empty().then_some(())
    })
    .await;
}

/// A look for words that are due has come and gone: one that came later has its own.
async fn a_later_one_has_its_word(world: &World, front: &Front) {
    let later = alerts(world, 1);
    send(world, front, &later).await;
    all_have_one(world, &later, NOTE_BY * 3).await;
}

#[track_caller]
fn none_has_two(world: &World, alerts: &[String]) {
    for alert in alerts {
        let words = words(world, alert);
        assert_eq!(words.len(), 1, "{alert}: {words:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_alerts_each_has_one_word_in_time_while_jenkins_hangs() {
    let mut stage = Stage::on(hanging(), &[BY, SLOW]).await;
    let all = alerts(&stage.world, MANY);
    send(&stage.world, &stage.front, &all).await;
    all_have_one(&stage.world, &all, IN_TIME).await;
    for word in all.iter().map(|alert| words(&stage.world, alert).remove(0).content) {
        assert!(word.contains("No page is open") != word.contains("PagerDuty has not been asked yet"), "{word}");
    }
    // Who waits for Jenkins keeps no place from the others.
    until("all of them to run", async || {
        let running = stage.front.get("/api/runs?state=running&limit=200").await;
        (running["runs"].as_array().map(Vec::len) == Some(MANY)).then_some(())
    })
    .await;
    stage.restart(&[("NOTE_BY", "1s")]).await;
    a_later_one_has_its_word(&stage.world, &stage.front).await;
    none_has_two(&stage.world, &all);
}

#[tokio::test]
async fn who_is_killed_amid_them_writes_the_others_and_none_twice() {
    let world = World::start(hanging(), SystemClock::shared()).await.expect("a world");
    let settings = settings_of(&world, &[("NOTE_BY", "5s"), SLOW]);
    let all = alerts(&world, 80);
    // Some are there, and their answers are not.
    world.pagerduty.fail_once_done(Endpoint::AddNote, Fault::Hang, 5);
    let process = Process::serve(&settings).await;
    send(&world, &process.front, &all).await;
    let written = || all.iter().filter(|alert| !words(&world, alert).is_empty()).count();
    until("some words", async || (written() >= 10).then_some(())).await;
    process.kill().await;
    let process = Process::serve(&settings).await;
    all_have_one(&world, &all, IN_TIME).await;
    a_later_one_has_its_word(&world, &process.front).await;
    none_has_two(&world, &all);
}

/// Told of hours late, while many others wait for Jenkins: they keep no place from it, and what is over by then is told
/// nothing.
#[tokio::test]
async fn what_is_resolved_before_its_run_begins_has_no_word() {
    let stage = Stage::on(hanging(), &[("NOTE_BY", "1s"), SLOW]).await;
    let first = alerts(&stage.world, 64);
    send(&stage.world, &stage.front, &first).await;
    until("all of them to wait", async || {
        let running = stage.front.get("/api/runs?state=running&limit=200").await;
        (running["runs"].as_array().map(Vec::len) == Some(first.len())).then_some(())
    })
    .await;
    let over = alerts(&stage.world, 1).remove(0);
    stage.world.pagerduty.resolve(&over, None);
    send(&stage.world, &stage.front, std::slice::from_ref(&over)).await;
    a_later_one_has_its_word(&stage.world, &stage.front).await;
    assert_eq!(stage.front.end_of(&over).await["state"], "cancelled");
    assert!(words(&stage.world, &over).is_empty());
}
