use super::*;
use crate::run::bench::Bench;
use outbound::clock::SystemClock;
use simulators::pagerduty::{Endpoint, Fault, Opening, Setup};

async fn word(bench: &Bench) -> Result<(), String> {
    let run = bench.queued(&bench.alert).await;
    say(&bench.context, &run).await.unwrap()
}

#[tokio::test]
async fn a_run_that_nobody_has_begun_is_asked_about_first() {
    let bench = Bench::new().await;
    word(&bench).await.unwrap();
    let notes = bench.account.notes_of(&bench.alert);
    assert!(notes.len() == 1 && notes[0].content.contains("PagerDuty has not been asked yet"), "{notes:#?}");
    assert!(notes[0].content.contains("Its turn: other alerts are being diagnosed before it"), "{notes:#?}");

    let bench = Bench::new().await;
    bench.account.resolve(&bench.alert, None);
    assert!(word(&bench).await.unwrap_err().contains("resolved"));
    assert!(bench.account.notes_of(&bench.alert).is_empty());

    let bench = Bench::new().await;
    let into = bench.account.open(Opening::new("Registry is in trouble", Setup::REGISTRY)).id;
    bench.account.merge(&bench.alert, &into, None);
    word(&bench).await.unwrap();
    assert_eq!((bench.account.notes_of(&bench.alert).len(), bench.account.notes_of(&into).len()), (0, 1));
}

/// Whoever had it before is dead or was frozen: its word is found, and not written again.
#[tokio::test]
async fn one_that_was_written_by_somebody_who_did_not_live_to_say_so_is_found() {
    let bench = Bench::new().await;
    let run = bench.queued(&bench.alert).await;
    bench.account.set_lag(Duration::from_secs(2));
    bench.account.fail_once_done(Endpoint::AddNote, Fault::Hang, 1);
    let (context, id) = (bench.context.clone(), run.clone());
    let writing = tokio::spawn(async move { say(&context, &id).await });
    while bench.account.notes_of(&bench.alert).is_empty() {
        tokio::task::yield_now().await;
    }
    writing.abort();
    say(&bench.context, &run).await.unwrap().unwrap();
    assert_eq!(bench.account.notes_of(&bench.alert).len(), 1);
    assert!(bench.context.store.early_words_due(Duration::ZERO).await.unwrap().due.is_empty());
}

/// One that PagerDuty refuses is tried again, and not at every look.
#[tokio::test]
async fn one_that_cannot_be_written_rests_and_is_not_forgotten() {
    let bench = Bench::new().await;
    let run = bench.queued(&bench.alert).await;
    bench.account.fail(Endpoint::AddNote, Fault::Status(403), 1);
    // What is owed is owed for long enough, whatever its run does: it wants it.
    bench.context.store.want_short(&key(&run), &bench.alert, "a word").await;
    let mut context = bench.context.clone();
    context.clock = SystemClock::shared();
    let mut sweep = Sweep::default();
    let mut tasks = JoinSet::new();
    sweep.round(&context, &mut tasks).await.unwrap();
    let said = tasks.join_next().await.expect("one is written").unwrap();
    sweep.ended(&context, said);
    assert!(sweep.resting.contains_key(&run), "{:?}", sweep.resting);
    sweep.round(&context, &mut tasks).await.unwrap();
    assert!(tasks.is_empty() && bench.account.notes_of(&bench.alert).is_empty());
    assert!(!sweep.is_over(), "it is owed yet");
    sweep.resting.clear();
    sweep.round(&context, &mut tasks).await.unwrap();
    let said = tasks.join_next().await.expect("it is written").unwrap();
    sweep.ended(&context, said);
    sweep.round(&context, &mut tasks).await.unwrap();
    assert!(sweep.is_over() && bench.account.notes_of(&bench.alert).len() == 1);
}
