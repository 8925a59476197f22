use std::time::Duration;

use super::*;
use crate::run::bench::{Bench, settings};
use outbound::secret::Secret;
use pagerduty::{PagerDuty, PagerDutySettings};
use runbook::span::{after, between};
use simulators::pagerduty::{Endpoint, Fault, Setup};

const LAG: Duration = Duration::from_secs(2);
const HOURS: Duration = Duration::from_secs(6 * 3600);

fn text(lease: &Lease) -> String {
    format!("SERVICE ENDPOINT prod-us-south\nmore\nrun {}", lease.run_id())
}

impl Bench {
    async fn post(&self, lease: &Lease) -> Result<Posted, NotPosted> {
        let give_up = after(self.context.clock.now(), HOURS);
        post_note(&self.context, lease, &self.alert, &text(lease), give_up).await.unwrap()
    }

    fn notes(&self) -> Vec<String> {
        self.account.notes_of(&self.alert).into_iter().map(|note| note.id).collect()
    }
}

#[tokio::test]
async fn a_note_is_written_once_and_remembered() {
    let bench = Bench::new().await;
    let lease = bench.run().await;
    let posted = bench.post(&lease).await.unwrap();
    assert_eq!((bench.notes(), posted.before), (vec![posted.id.clone()], false));
    bench.account.forget_requests();
    assert_eq!(bench.post(&lease).await.unwrap(), Posted { before: true, ..posted });
    assert!(bench.account.requests().is_empty());
}

#[tokio::test]
async fn a_note_whose_answer_is_lost_is_found_however_it_was_lost_though_reads_lag() {
    for fault in ["reset", "half-answer", "status-500", "status-503", "status-408", "html", "hang"] {
        let bench = Bench::new().await.where_it(fault == "hang");
        bench.account.set_lag(LAG);
        bench.account.fail_once_done(Endpoint::AddNote, fault.parse().unwrap(), 1);
        let lease = bench.run().await;
        let posted = bench.post(&lease).await.unwrap();
        assert_eq!((bench.notes(), posted.before), (vec![posted.id], false), "{fault}");
        assert_eq!(bench.asked("POST", "/notes"), 1, "{fault}");
    }
}

/// The answer of a write may be waited for longer than reads lag: the look begins when it is given up.
#[tokio::test]
async fn a_note_that_shows_only_after_its_answer_was_given_up_is_found() {
    let bench = Bench::new().await.where_it(true);
    bench.account.set_lag(Duration::from_millis(22_500));
    bench.account.fail_once_done(Endpoint::AddNote, Fault::Hang, 1);
    let lease = bench.run().await;
    let passing = async {
        while bench.asked("POST", "/notes") == 0 {
            tokio::task::yield_now().await;
        }
        bench.clock.jump(Duration::from_secs(20));
    };
    let (posted, ()) = tokio::join!(bench.post(&lease), passing);
    assert_eq!(bench.notes(), [posted.unwrap().id]);
}

#[tokio::test]
async fn a_note_that_certainly_was_not_written_is_written_later() {
    for (fault, times) in [(Fault::RateLimited(Some(2)), 12), (Fault::Status(500), 3), (Fault::Reset, 2)] {
        let bench = Bench::new().await;
        bench.account.set_lag(LAG);
        bench.account.fail(Endpoint::AddNote, fault.clone(), times);
        let lease = bench.run().await;
        let posted = bench.post(&lease).await.unwrap();
        assert_eq!(bench.notes(), [posted.id], "{fault}");
        assert_eq!(bench.asked("POST", "/notes"), times as usize + 1, "{fault}");
    }
}

/// A note that was begun by a worker that was cut off.
#[tokio::test]
async fn nothing_is_written_again_while_it_is_not_known_what_is_there() {
    let bench = Bench::new().await;
    bench.account.fail(Endpoint::Notes, Fault::Status(500), 17);
    let lease = bench.run().await;
    bench.context.store.begin_note(&lease).await.unwrap();
    bench.clock.jump(Duration::from_secs(3600));
    bench.post(&lease).await.unwrap();
    let methods: Vec<String> = bench.account.requests().into_iter().map(|r| r.method).collect();
    let (before, rest) = methods.split_at(18);
    assert!(before.iter().all(|method| method == "GET"), "{methods:?}");
    assert_eq!(rest, ["POST"]);
}

/// Nothing was begun that could be found: whatever is wrong with reading notes, the first is written at once.
#[tokio::test]
async fn the_first_note_is_written_though_notes_can_t_be_read() {
    for fault in ["status-403", "status-404", "status-500", "status-502", "status-401", "html", "hang", "rate-limited"]
    {
        let bench = Bench::new().await.where_it(fault == "hang");
        bench.account.fail(Endpoint::Notes, fault.parse().unwrap(), u32::MAX);
        bench.account.fail(Endpoint::Users, fault.parse().unwrap(), u32::MAX);
        let lease = bench.run().await;
        let posted = bench.post(&lease).await.unwrap_or_else(|why| panic!("{fault}: {why}"));
        assert_eq!((bench.notes(), posted.before), (vec![posted.id], false), "{fault}");
        assert_eq!((bench.asked("GET", "/notes"), bench.asked("POST", "/notes")), (0, 1), "{fault}");
    }
}

/// What was certainly not written leaves nothing to look for, for the next worker neither.
#[tokio::test]
async fn a_note_that_was_refused_is_no_note_that_may_be_there() {
    for fault in ["status-403", "rate-limited", "status-400"] {
        let bench = Bench::new().await;
        bench.account.fail(Endpoint::Notes, Fault::Status(403), u32::MAX);
        bench.account.fail(Endpoint::AddNote, fault.parse().unwrap(), 1);
        let lease = bench.run().await;
        let now = bench.context.clock.now();
        // A first worker's only try, and a second's.
        let first = post_note(&bench.context, &lease, &bench.alert, &text(&lease), now).await.unwrap();
        if first.is_err() {
            bench.post(&lease).await.unwrap_or_else(|why| panic!("{fault}: {why}"));
        }
        assert_eq!((bench.notes().len(), bench.asked("GET", "/notes")), (1, 0), "{fault}");
    }
}

/// In doubt, and the doubt can't be cleared: never a second note.
#[tokio::test]
async fn a_note_that_may_be_there_is_not_written_again_where_notes_may_not_be_read() {
    let bench = Bench::new().await;
    bench.account.fail(Endpoint::Notes, Fault::Status(403), u32::MAX);
    bench.account.fail_once_done(Endpoint::AddNote, Fault::Reset, 1);
    let lease = bench.run().await;
    let Err(NotPosted::Refused(why)) = bench.post(&lease).await else { panic!() };
    assert!(why.contains("403") && why.contains("reading the notes"), "{why}");
    assert_eq!((bench.notes().len(), bench.asked("POST", "/notes")), (1, 1));
}

/// lifecycle.md#commands: ours is what the user of `PAGERDUTY_FROM` wrote.
#[tokio::test]
async fn a_persons_note_that_ends_in_the_run_line_is_not_ours() {
    let bench = Bench::new().await;
    let lease = bench.run().await;
    bench.context.store.begin_note(&lease).await.unwrap();
    let copied = [text(&lease), format!("see\nrun {}", lease.run_id()), format!("run {}\r\n", lease.run_id())];
    for content in &copied {
        bench.account.annotate(&bench.alert, Setup::ENGINEER, content).unwrap();
    }
    let posted = bench.post(&lease).await.unwrap();
    assert_eq!((bench.notes().len(), posted.before), (copied.len() + 1, false));
    assert_eq!(bench.account.notes_of(&bench.alert)[copied.len()].user_id, Setup::RESPONDER);
}

/// Two notes of one run are worse than a person's taken for ours.
#[tokio::test]
async fn where_it_is_not_known_who_we_are_the_run_line_alone_counts() {
    for fault in ["status-403", "status-500"] {
        let bench = Bench::new().await;
        bench.account.fail(Endpoint::Users, fault.parse().unwrap(), u32::MAX);
        bench.account.fail_once_done(Endpoint::AddNote, Fault::Reset, 1);
        let lease = bench.run().await;
        let posted = bench.post(&lease).await.unwrap();
        assert_eq!((bench.notes(), bench.asked("POST", "/notes")), (vec![posted.id], 1), "{fault}");
    }
}

/// lifecycle.md#crashes-clocks-replicas: begun and sent, it is looked for by its last line, one note.
#[tokio::test]
async fn what_a_worker_wrote_before_it_was_cut_off_is_found_though_reads_lag() {
    let bench = Bench::new().await;
    bench.account.set_lag(LAG);
    let first = bench.run().await;
    bench.context.store.begin_note(&first).await.unwrap();
    let written = bench
        .context
        .pagerduty
        .add_note(&bench.context.permit, &bench.alert, &format!("{}\r\n", text(&first)))
        .await
        .unwrap();
    bench.context.store.release_run(&first, Duration::ZERO).await.unwrap();
    let second = bench.context.store.claim_run().await.unwrap().unwrap();
    assert_eq!(second.attempt(), 2);
    assert_eq!(bench.post(&second).await.unwrap(), Posted { id: written.id, before: true });
    assert_eq!(bench.notes().len(), 1);
}

#[tokio::test]
async fn a_worker_that_was_cut_off_long_ago_costs_no_wait() {
    let bench = Bench::new().await;
    let lease = bench.run().await;
    bench.context.store.begin_note(&lease).await.unwrap();
    bench.clock.jump(Duration::from_secs(3600));
    bench.post(&lease).await.unwrap();
    assert_eq!((bench.asked("GET", "/notes"), bench.notes().len()), (1, 1));
}

#[tokio::test]
async fn only_a_note_whose_last_line_is_ours_is_ours() {
    let bench = Bench::new().await;
    let lease = bench.run().await;
    let id = lease.run_id();
    for content in [format!("see\nrun {id}\nthanks"), format!("run {id}0"), format!("the run {id}"), "run".into()] {
        bench.account.annotate(&bench.alert, Setup::ENGINEER, &content).unwrap();
    }
    let posted = bench.post(&lease).await.unwrap();
    assert_eq!((bench.notes().len(), posted.before), (5, false));
}

#[tokio::test]
async fn a_note_that_is_refused_is_given_up_at_once() {
    for status in [400, 401, 403, 404] {
        let bench = Bench::new().await;
        bench.account.fail(Endpoint::AddNote, Fault::Status(status), 1);
        let lease = bench.run().await;
        let Err(NotPosted::Refused(why)) = bench.post(&lease).await else { panic!("{status}") };
        assert!(why.contains(&status.to_string()), "{why}");
        assert_eq!((bench.notes().len(), bench.asked("POST", "/notes")), (0, 1));
    }
}

#[tokio::test]
async fn a_token_that_is_renewed_on_disk_while_the_note_is_tried_costs_no_note() {
    let mut bench = Bench::new().await;
    let lease = bench.run().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "an-old-one").unwrap();
    let settings = PagerDutySettings { token: Secret::File(file.clone()), ..settings(&bench.account) };
    bench.context.pagerduty = PagerDuty::new(settings, bench.context.clock.clone()).unwrap();
    bench.account.forget_requests();
    let renewing = async {
        while bench.account.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        std::fs::write(&file, bench.account.token()).unwrap();
    };
    let (posted, ()) = tokio::join!(bench.post(&lease), renewing);
    assert_eq!(bench.notes(), [posted.unwrap().id]);
}

#[tokio::test]
async fn writing_ends_after_hours_and_says_so() {
    let bench = Bench::new().await;
    bench.account.fail(Endpoint::Notes, Fault::Status(500), u32::MAX);
    let lease = bench.run().await;
    bench.context.store.begin_note(&lease).await.unwrap();
    let began = bench.context.clock.now();
    let Err(NotPosted::NotYet(why)) = bench.post(&lease).await else { panic!() };
    assert!(why.contains("500"), "{why}");
    let took = between(began, bench.context.clock.now());
    assert!((HOURS..HOURS + Duration::from_secs(120)).contains(&took), "{took:?}");
    assert!(bench.asked("GET", "/notes") < 2500, "{}", bench.asked("GET", "/notes"));
}

#[tokio::test]
async fn a_worker_that_lost_its_run_writes_nothing() {
    let bench = Bench::new().await;
    let stale = bench.run().await;
    bench.context.store.release_run(&stale, Duration::ZERO).await.unwrap();
    bench.context.store.claim_run().await.unwrap().unwrap();
    let result = post_note(&bench.context, &stale, &bench.alert, &text(&stale), bench.context.clock.now()).await;
    assert!(matches!(result, Err(StoreError::LeaseLost)), "{result:?}");
    assert_eq!((bench.notes().len(), bench.asked("POST", "/notes")), (0, 0));
}
