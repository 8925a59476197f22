use std::sync::{Arc, Mutex, mpsc};

use super::*;
use crate::run::bench::{Bench, service_endpoint};
use crate::run::early_words;
use crate::run::steps::post_short::{post_early, post_short};
use outbound::clock::Source;
use simulators::pagerduty::{Endpoint, Fault};
use simulators::tap::{Moment, Then};

/// Whether it was written is not known at first, and looking takes long: by then its run may be diagnosed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_early_word_that_was_looked_for_until_its_run_was_diagnosed_is_not_written() {
    for diagnosed in [false, true] {
        let mut bench = Bench::new().await;
        bench.context.pagerduty = bench.context.pagerduty.with_patience(Duration::from_secs(60));
        let run = bench.run().await;
        let (store, alert, key) = (bench.context.store.clone(), bench.alert.clone(), early_words::key(run.run_id()));
        // Whoever began it was cut off.
        store.want_short(&key, &alert, "a word").await;
        store.begin_short(&key, &alert, 0).await.unwrap();
        let (come, has_come) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel::<()>();
        let first = Mutex::new(Some((come, goes_on)));
        bench.tap.watch(Arc::new(move |sighting| {
            if sighting.moment == Moment::RequestWhole && sighting.request.contains("/notes") {
                let first = first.lock().unwrap().take();
                if let Some((come, goes_on)) = first {
                    come.send(()).unwrap();
                    let _ = goes_on.recv();
                }
            }
            Then::GoOn
        }));
        let (context, id) = (bench.context.clone(), run.run_id().to_owned());
        let saying = tokio::spawn(async move { post_early(&context, &key, &alert, "a word", &id).await });
        tokio::task::spawn_blocking(move || has_come.recv()).await.unwrap().unwrap();
        if diagnosed {
            bench.diagnosed(&run, &service_endpoint(bench.clock.now())).await;
        }
        go_on.send(()).unwrap();
        let said = saying.await.unwrap().unwrap();
        assert_eq!(said.is_err(), diagnosed, "{said:?}");
        assert_eq!(bench.account.notes_of(&bench.alert).len(), usize::from(!diagnosed));
        assert_eq!(bench.asked("POST", "/notes"), usize::from(!diagnosed));
    }
}

/// A short note is found again by its text: who wants the same note with another text (the facts have moved on) sends the
/// one that is recorded, or a lost answer would cost a second note.
#[tokio::test]
async fn of_a_short_note_that_is_wanted_with_two_texts_the_recorded_one_is_sent() {
    let bench = Bench::new().await;
    bench.context.store.want_short("used-up:r1", &bench.alert, "the first text").await;
    bench.account.fail_once_done(Endpoint::AddNote, Fault::Reset, 1);
    for text in ["the second text", "a third"] {
        post_short(&bench.context, "used-up:r1", &bench.alert, text).await.unwrap().unwrap();
    }
    let recorded = bench.context.store.recorded("used-up:r1").await.unwrap().unwrap();
    let notes = bench.account.notes_of(&bench.alert);
    assert_eq!(notes.len(), 1, "{notes:#?}");
    assert_eq!((notes[0].content.as_str(), recorded.text.as_str()), ("the first text", "the first text"));
    assert_eq!(recorded.write.id.as_ref(), Some(&notes[0].id));
}
