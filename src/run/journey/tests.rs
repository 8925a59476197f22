//! A run whose PagerDuty is away for an hour, and one whose alert is merged. The clock is moved by whoever waits.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::run::bench::{Bench, service_endpoint};
use crate::run::steps::post_short::post_short;
use outbound::clock::Source;
use runbook::span::before;
use simulators::clock::ManualClock;
use simulators::pagerduty::{Endpoint, Fault, Opening, Setup};

/// Everything of PagerDuty that a run needs.
const ALL: [Endpoint; 10] = [
    Endpoint::Incidents,
    Endpoint::Incident,
    Endpoint::Alerts,
    Endpoint::CreateIncident,
    Endpoint::Notes,
    Endpoint::AddNote,
    Endpoint::EditNote,
    Endpoint::Services,
    Endpoint::Service,
    Endpoint::Users,
];

/// What was logged, by this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Bench {
    fn away(&self, fault: &Fault) {
        for endpoint in ALL {
            self.account.fail(endpoint, fault.clone(), u32::MAX);
        }
    }

    /// PagerDuty is back so long after the run was diagnosed; gives when that was.
    async fn back_after(&self, length: Duration, run_id: &str) -> Timestamp {
        // Looked for now and then: who looks without a pause takes a core from the tests beside this one.
        let pause = Duration::from_millis(1);
        while self.context.store.run(run_id).await.unwrap().unwrap().diagnosis.is_none() {
            tokio::time::sleep(pause).await;
        }
        let back = after(self.clock.now(), length);
        while self.clock.now() < back {
            tokio::time::sleep(pause).await;
        }
        self.account.mend();
        self.clock.now()
    }
}

#[tokio::test]
async fn pagerduty_is_away_for_an_hour_and_the_note_comes_when_it_is_back_and_the_log_says_so_once() {
    for fault in [
        Fault::Status(500),
        Fault::Status(503),
        Fault::Reset,
        Fault::HalfAnswer,
        Fault::Hang,
        Fault::Html,
        Fault::RateLimited(Some(30)),
        Fault::Redirect("https://sso.invalid/".into()),
    ] {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
        let _logging = tracing::subscriber::set_default(subscriber);
        let mut bench = Bench::new().await;
        if matches!(fault, Fault::Hang) {
            // What never comes is waited for by the real clock.
            bench.context.pagerduty = bench.context.pagerduty.with_patience(Duration::from_millis(60));
        }
        let lease = bench.run().await;
        bench.away(&fault);
        let hour = Duration::from_secs(3600);
        let both = async { tokio::join!(drive(&bench.context, &lease), bench.back_after(hour, lease.run_id())) };
        let (outcome, back) = tokio::time::timeout(Duration::from_secs(240), both).await.expect("an end");
        assert!(matches!(outcome.unwrap(), Outcome::Ended(Finish::Done, _)), "{fault}");

        let notes = bench.account.notes_of(&bench.alert);
        let ours = notes.iter().filter(|n| n.content.ends_with(&format!("run {}", lease.run_id()))).count();
        assert_eq!(ours, 1, "{fault}: {notes:#?}");
        // With the times of its evidence, which no page needs: it was not asked again.
        let run = bench.context.store.run(lease.run_id()).await.unwrap().unwrap();
        let read = run.diagnosis.unwrap().readings[0].at;
        assert!(read < back, "{fault}: {read}");
        assert_eq!(run.steps.iter().filter(|step| step.name == "read_boxes").count(), 1, "{fault}");
        // But what PagerDuty says was.
        let facts = bench.context.store.facts(lease.run_id()).await.unwrap();
        assert!(facts.related_at.unwrap() >= back && facts.related_unknown.is_none(), "{fault}: {facts:?}");

        let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines = |words: &str| said.lines().filter(|line| line.contains(words)).count();
        // At most: a test that runs beside others may miss a line of its log.
        assert!(lines(" WARN ") + lines(" ERROR ") <= 2, "PagerDuty's and Jenkins' beginning: {fault}: {said}");
        assert!(lines("upstream=\"PagerDuty\"") <= 2, "its beginning and its end: {fault}: {said}");
        assert!(lines("") < 40, "{fault}: {said}");
    }
}

/// lifecycle.md#the-page: an automatic page comes after the note, or when that was tried in vain for 30 s, over all rounds. Each
/// round gives the note a moment of its own.
#[tokio::test]
async fn a_page_is_wanted_once_its_note_was_tried_for_thirty_seconds_and_no_sooner() {
    for (tried_before, waits) in [(0, 30), (20, 10), (25, 5), (3600, 5)] {
        let mut bench = Bench::new().await;
        bench.context.pagerduty = bench.context.pagerduty.with_patience(Duration::from_secs(60));
        let lease = bench.run().await;
        bench.diagnosed(&lease, &service_endpoint(bench.clock.now())).await;
        bench.account.fail(Endpoint::AddNote, Fault::Hang, u32::MAX);
        let store = &bench.context.store;
        let clock = ManualClock::at(bench.clock.now());
        let mut context = bench.context.clone();
        context.clock = clock.clone();
        let mut run = store.run(lease.run_id()).await.unwrap().unwrap();
        run.escalation.state = EscalationState::Requested;
        let incident = run.incident.clone().unwrap();
        let facts = store.facts(lease.run_id()).await.unwrap();
        let mut journey = Journey::new(&context, &lease, run, facts, Earlier::default());
        journey.note_first_tried = OnceLock::from(before(clock.now(), Duration::from_secs(tried_before)));
        let posting = journey.post_note(&incident, after(clock.now(), Duration::from_secs(7200)));
        let pause = Duration::from_millis(1);
        let watching = async {
            while bench.asked("POST", "/notes") == 0 {
                tokio::time::sleep(pause).await;
            }
            let asleep = clock.sleepers();
            clock.advance(Duration::from_secs(waits - 1)).await;
            assert_eq!(
                (asleep, clock.sleepers()),
                (1, 1),
                "it waits for the note yet, where that was tried {tried_before} s"
            );
            assert_eq!(store.page(&bench.alert).await.unwrap(), None);
            clock.advance(Duration::from_secs(1)).await;
            while store.page(&bench.alert).await.unwrap().is_none() {
                tokio::time::sleep(pause).await;
            }
        };
        let both = async {
            tokio::select! {
                _ = posting => panic!("a note that hangs is not written"),
                () = watching => {}
            }
        };
        tokio::time::timeout(Duration::from_secs(30), both).await.expect("the page is wanted");
        assert!(store.claim_page().await.unwrap().is_some(), "it is opened while the note is tried on");
    }
}

/// Cut off between its note and its page: whatever opened meanwhile holds the page, and is waited for.
#[tokio::test]
async fn a_page_that_explains_it_opens_while_a_run_is_cut_off_after_its_note_and_is_waited_for() {
    let bench = Bench::new().await;
    let lease = bench.run().await;
    let store = &bench.context.store;
    bench.diagnosed(&lease, &service_endpoint(bench.clock.now())).await;
    let note = bench
        .context
        .pagerduty
        .add_note(&bench.context.permit, &bench.alert, &format!("first\nrun {}", lease.run_id()))
        .await
        .unwrap();
    store.set_note(&lease, &note.id, &note.content).await.unwrap();
    let title = "All Public endpoints down in prod-us-south";
    bench.account.open(Opening::new(title, Setup::REGISTRY));
    assert!(matches!(drive(&bench.context, &lease).await.unwrap(), Outcome::Ended(Finish::Done, _)));
    let run = store.run(lease.run_id()).await.unwrap().unwrap();
    assert_eq!((run.escalation.state, run.related[0].title.as_str()), (EscalationState::Held, title));
    let note = bench.account.notes_of(&bench.alert).remove(0).content;
    assert!(note.lines().nth(1).unwrap().contains(title), "{note}");
    bench.clock.jump(Duration::from_secs(60));
    let alert = store.claim_alert().await.unwrap().expect("a wait for it to close");
    let waits = store.alert_now(&alert).await.unwrap().unwrap().beside.related_again.unwrap();
    assert_eq!(waits.run_id, lease.run_id());
}

/// Cut off right after a note was sent, and merged before anybody knew of it: it is found where it was written.
#[tokio::test]
async fn a_note_that_was_written_before_the_alert_was_merged_is_not_written_again() {
    let bench = Bench::new().await;
    bench.account.set_lag(Duration::from_secs(2));
    let lease = bench.run().await;
    let store = &bench.context.store;
    bench.diagnosed(&lease, &service_endpoint(bench.clock.now())).await;
    let (early, word) = (format!("early:{}", lease.run_id()), "Still diagnosing prod-us-south.");
    store.want_short(&early, &bench.alert, word).await;
    store.begin_short(&early, &bench.alert, 0).await.unwrap();
    store.begin_note(&lease).await.unwrap();
    for text in [word, &format!("SERVICE ENDPOINT problem\nNobody was paged yet\nrun {}", lease.run_id())] {
        bench.account.annotate(&bench.alert, Setup::RESPONDER, text).unwrap();
    }
    let bigger = bench.account.open(Opening::new("Registry is in trouble", Setup::REGISTRY)).id;
    bench.account.merge(&bench.alert, &bigger, None);

    post_short(&bench.context, &early, &bigger, word).await.unwrap().unwrap();
    assert!(matches!(drive(&bench.context, &lease).await.unwrap(), Outcome::Ended(Finish::Done, _)));
    let notes = bench.account.notes_of(&bench.alert);
    assert_eq!(notes.len(), 2, "{notes:#?}");
    assert!(notes[1].content.contains("\nDo now: "), "it is edited where it is: {notes:#?}");
    assert!(bench.account.notes_of(&bigger).is_empty(), "{:#?}", bench.account.notes_of(&bigger));
    assert_eq!(store.alert(&bench.alert).await.unwrap().unwrap().incident_id, bigger, "and yet that is the alert now");
}

#[tokio::test]
async fn a_note_that_was_not_written_before_the_alert_was_merged_goes_where_the_alert_is() {
    let bench = Bench::new().await;
    let lease = bench.run().await;
    bench.diagnosed(&lease, &service_endpoint(bench.clock.now())).await;
    bench.context.store.begin_note(&lease).await.unwrap();
    let bigger = bench.account.open(Opening::new("Registry is in trouble", Setup::REGISTRY)).id;
    bench.account.merge(&bench.alert, &bigger, None);
    assert!(matches!(drive(&bench.context, &lease).await.unwrap(), Outcome::Ended(Finish::Done, _)));
    let there = bench.account.notes_of(&bigger);
    assert!(
        there.iter().filter(|n| n.content.ends_with(&format!("run {}", lease.run_id()))).count() == 1,
        "{there:#?}"
    );
    assert!(bench.account.notes_of(&bench.alert).is_empty());
}

/// Between its end as resolved and the end of its run.
/// lifecycle.md#the-alert-ends: who has asked a cluster posts what it found, also where no build was begun before a
/// restart.
#[tokio::test]
async fn resolved_after_a_cluster_was_asked_its_note_is_written_though_no_build_was_begun() {
    for (asked, notes) in [(false, 0), (true, 1)] {
        let bench = Bench::new().await;
        let lease = bench.run().await;
        if asked {
            bench.context.store.begin_step(&lease, "check_clusters").await.unwrap();
        }
        bench.account.resolve(&bench.alert, None);
        let Outcome::Ended(finish, _) = drive(&bench.context, &lease).await.unwrap() else { panic!() };
        assert_eq!(matches!(finish, Finish::Done), asked, "{finish:?}");
        let written = bench.account.notes_of(&bench.alert);
        assert_eq!(written.len(), notes, "{written:#?}");
        assert!(written.iter().all(|note| note.content.starts_with("Alert resolved after ")), "{written:#?}");
    }
}

#[tokio::test]
async fn reopened_while_its_run_ends_as_cancelled_it_gets_another() {
    let bench = Bench::new().await;
    let lease = bench.run().await;
    bench.account.resolve(&bench.alert, None);
    let Outcome::Ended(finish, _) = drive(&bench.context, &lease).await.unwrap() else { panic!() };
    assert!(matches!(finish, Finish::Cancelled(_)), "{finish:?}");
    bench.account.reopen(&bench.alert, None);
    let body = bench.account.webhook_body("incident.reopened", &bench.alert);
    let Context { store, config, .. } = &bench.context;
    crate::inbox::accept(store, config, body.as_bytes()).await.unwrap();
    store.finish_run(&lease, &finish).await.unwrap();
    let next = store.claim_run().await.unwrap().expect("a run that is due");
    assert!(matches!(drive(&bench.context, &next).await.unwrap(), Outcome::Ended(Finish::Done, _)));
    assert_eq!(store.facts(next.run_id()).await.unwrap().resolved_at, None);
}

/// lifecycle.md#a-run-begins and #before-the-note, by one look each: the alert is confirmed, and related pages are
/// found, in the same list.
#[tokio::test]
async fn a_run_asks_pagerduty_three_times_where_its_alert_is_listed() {
    let bench = Bench::new().await;
    let lease = bench.run().await;
    assert!(matches!(drive(&bench.context, &lease).await.unwrap(), Outcome::Ended(Finish::Done, _)));
    let asked: Vec<String> = bench
        .account
        .requests()
        .iter()
        .map(|r| format!("{} {}", r.method, r.path.replace(&bench.alert, "Q")))
        .collect();
    assert_eq!(asked, ["GET /incidents", "GET /incidents", "POST /incidents/Q/notes"]);
}

/// lifecycle.md#the-alert-ends: a run that has asked neither Jenkins nor a cluster yet is `cancelled`.
/// Lists lag behind: what a webhook says is over is asked for singly, however open it is listed.
#[tokio::test]
async fn resolved_by_a_webhook_it_is_over_though_the_list_still_shows_it() {
    let bench = Bench::new().await;
    bench.clock.jump(Duration::from_secs(60));
    bench.account.set_lag(Duration::from_secs(30));
    let lease = bench.run().await;
    bench.account.resolve(&bench.alert, None);
    assert_eq!(bench.context.open_incidents.look(&bench.context.pagerduty).await.unwrap().len(), 1, "it is listed");
    let body = bench.account.webhook_body("incident.resolved", &bench.alert);
    let Context { store, config, .. } = &bench.context;
    crate::inbox::accept(store, config, body.as_bytes()).await.unwrap();
    let Outcome::Ended(finish, _) = drive(&bench.context, &lease).await.unwrap() else { panic!() };
    assert!(matches!(finish, Finish::Cancelled(_)), "{finish:?}");
    assert!(bench.account.notes_of(&bench.alert).is_empty());
}

/// lifecycle.md#the-alert-ends, #before-the-note: cut off while it asked, and taken up when it is over and a bigger outage is open, it
/// waits for nothing; open again, its note names the outage, and the page is held.
#[tokio::test]
async fn taken_up_over_it_waits_for_no_bigger_outage_and_open_again_it_names_it_and_holds() {
    for opens_again in [false, true] {
        let (bench, title) = (Bench::new().await, "All Public endpoints down in prod-us-south");
        let lease = bench.run().await;
        let store = &bench.context.store;
        store.begin_step(&lease, "check_clusters").await.unwrap();
        bench.account.resolve(&bench.alert, None);
        bench.account.open(Opening::new(title, Setup::REGISTRY));
        let run = store.run(lease.run_id()).await.unwrap().unwrap();
        let mut journey = Journey::new(&bench.context, &lease, run, Facts::default(), Earlier::default());
        journey.confirm().await.unwrap();
        assert_eq!(ladder::rung(&journey.standing), Rung::Read);
        journey.read().await.unwrap();
        journey.found = Some(service_endpoint(bench.clock.now()));
        if opens_again {
            bench.account.reopen(&bench.alert, None);
        }
        assert!(matches!(journey.climb().await.unwrap(), Outcome::Ended(Finish::Done, _)));
        let state = store.run(lease.run_id()).await.unwrap().unwrap().escalation.state;
        assert_eq!(state == EscalationState::Held, opens_again);
        let notes = bench.account.notes_of(&bench.alert);
        assert_eq!(notes.len(), 1, "no word that it waits: {notes:#?}");
        let note = &notes[0].content;
        // Also where the alert has ended: the outage goes on, and is what there is to see to.
        assert!(note.lines().nth(1).unwrap().contains(title), "{note}");
        assert_eq!(note.starts_with("Alert resolved after "), !opens_again, "{note}");
    }
}
