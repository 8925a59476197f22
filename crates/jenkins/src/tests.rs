//! The client against the simulated Jenkins, over sockets.

mod history;
mod odd;
mod strange;

use std::future::Future;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;

use super::*;
use outbound::clock::SystemClock;
use outbound::permit::Permit;
use runbook::alert::Zone;
use runbook::span::after;
use simulators::jenkins::{self as sim, BuildPlan, Fault, Location, Noise, Place, Setup};

const ZONE: &str = "registry-prod-us-south-az1";
const BOXES: &[(&str, u32, i32, i32)] = &[(ZONE, 1, 0, 1), ("registry-prod-us-south-az2", 1, 0, -1)];

pub(crate) fn settings(sim: &sim::Jenkins) -> JenkinsSettings {
    let (user, token) = sim.credentials();
    JenkinsSettings {
        job_url: sim.job_url().parse().unwrap(),
        user,
        token: token.as_str().into(),
        timeout: Duration::from_secs(10),
        poll: Duration::from_millis(20),
        max_builds: 2,
    }
}

/// A test needs no claim.
fn free() -> Permit {
    Permit::needless("a test")
}

async fn set_up(setup: Setup) -> (sim::Jenkins, Jenkins) {
    let sim = sim::Jenkins::start(setup).await.unwrap();
    let jenkins = Jenkins::new(settings(&sim), SystemClock::shared()).unwrap();
    (sim, jenkins)
}

fn quick(boxes: &[(&str, u32, i32, i32)]) -> BuildPlan {
    BuildPlan::showing(boxes, Duration::from_millis(60))
}

fn soon() -> Timestamp {
    after(SystemClock::shared().now(), Duration::from_secs(10))
}

fn zone() -> Zone {
    Zone::new(ZONE)
}

/// Asks until there is an answer.
async fn until<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> T {
    let work = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), work).await.expect("it happens within ten seconds")
}

async fn number_of(jenkins: &Jenkins, id: u64) -> u64 {
    until(|| async {
        match jenkins.queue_item(id, soon()).await.unwrap().map(|item| item.state) {
            Some(ItemState::Left(number)) => Some(number),
            _ => None,
        }
    })
    .await
}

async fn ended(jenkins: &Jenkins, number: u64) -> Build {
    until(|| async { jenkins.build(number, soon()).await.unwrap().filter(Build::is_done) }).await
}

async fn run_one(jenkins: &Jenkins) -> Build {
    let Started::Item { id, .. } = jenkins.start(&free(), &zone()).await.unwrap() else { panic!("an item") };
    ended(jenkins, number_of(jenkins, id).await).await
}

#[tokio::test]
async fn a_build_is_started_waited_for_and_known_by_its_number() {
    let plan = quick(BOXES).after_queue(Duration::from_millis(200), 3);
    let (sim, jenkins) = set_up(Setup::always(plan)).await;
    let Started::Item { id, fresh } = jenkins.start(&free(), &zone()).await.unwrap() else { panic!("an item") };
    assert!(fresh);
    let item = jenkins.queue_item(id, soon()).await.unwrap().unwrap();
    assert!(matches!(&item.state, ItemState::Waiting { why: Some(why), stuck: false } if why.contains("executor")));
    assert_eq!(item.cluster.as_deref(), Some(ZONE));
    assert!(item.of_our_job && jenkins.is_ours_alone(&item.caused_by));
    assert_eq!(jenkins.queue(soon()).await.unwrap().iter().filter(|other| !other.of_our_job).count(), 3);
    let build = ended(&jenkins, number_of(&jenkins, id).await).await;
    assert_eq!((build.number, build.queue_id), (1, Some(id)));
    assert_eq!((build.result.as_deref(), build.cluster.as_deref()), (Some("SUCCESS"), Some(ZONE)));
    assert_eq!(build.url, format!("{}1/", sim.job_url()));
    assert_eq!(sim.started(), [ZONE]);
    let start = sim.requests().into_iter().find(|r| r.path.ends_with("buildWithParameters")).unwrap();
    assert_eq!((start.method.as_str(), start.query.as_str()), ("POST", "delay=0sec"));
}

#[tokio::test]
async fn an_equal_build_that_waits_is_joined_and_that_is_told() {
    let plan = quick(BOXES).after_queue(Duration::from_secs(60), 0);
    let (sim, jenkins) = set_up(Setup::always(plan)).await;
    sim.somebody_builds(ZONE);
    let Started::Item { id, fresh } = jenkins.start(&free(), &zone()).await.unwrap() else { panic!("an item") };
    assert!(!fresh);
    let item = jenkins.queue_item(id, soon()).await.unwrap().unwrap();
    assert!(!jenkins.is_ours_alone(&item.caused_by), "{:?}", item.caused_by);
    assert!(sim.started().is_empty());
}

#[tokio::test]
async fn every_refusal_says_what_to_do_about_it() {
    let (sim, jenkins) = set_up(Setup::always(quick(BOXES))).await;
    for (fault, status, advice) in [
        (Fault::BadRequest, 400, "CLUSTER"),
        (Fault::Unauthorized, 401, "JENKINS_API_TOKEN"),
        (Fault::Forbidden, 403, "Job/Build"),
        (Fault::NotFound, 404, "JENKINS_JOB_URL"),
        (Fault::Conflict, 409, "disabled"),
        (Fault::SentBack, 302, "held"),
        (Fault::SentToSignIn, 302, "redirects are not followed"),
        (Fault::NotParameterized, 500, "CLUSTER"),
    ] {
        sim.fault(Place::Start, fault, 1);
        let error = jenkins.start(&free(), &zone()).await.unwrap_err();
        assert_eq!(error.status().map(|s| s.as_u16()), Some(status), "{fault:?}: {error}");
        let text = error.to_string();
        assert!(text.contains(advice) && text.contains(&status.to_string()), "{fault:?}: {text}");
        assert!(text.contains(ZONE) && !text.contains("11aa22bb33cc"), "{text}");
    }
    sim.fault(Place::Start, Fault::SignInPage, 1);
    assert_eq!(jenkins.start(&free(), &zone()).await.unwrap_err().kind, Kind::Malformed);
    sim.fault(Place::Start, Fault::Unavailable(Duration::from_secs(3)), 1);
    let error = jenkins.start(&free(), &zone()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Ambiguous, "a gateway may have passed it on: {error}");
    for fault in [Fault::InternalError, Fault::Reset, Fault::LostAnswer] {
        sim.fault(Place::Start, fault, 1);
        assert_eq!(jenkins.start(&free(), &zone()).await.unwrap_err().kind, Kind::Ambiguous, "{fault:?}");
    }
    for wait in [None, Some(Duration::from_secs(3))] {
        sim.fault(Place::Start, Fault::TooManyRequests(wait), 1);
        assert_eq!(jenkins.start(&free(), &zone()).await.unwrap_err().kind, Kind::Later(wait), "nothing was done");
    }
    assert_eq!(sim.started().len(), 1, "of all these, only the lost answer was a start");
}

#[tokio::test]
async fn wrong_credentials_and_a_wrong_address_are_refused_as_the_real_one_does() {
    let (sim, _) = set_up(Setup::default()).await;
    let mut wrong = settings(&sim);
    wrong.token = "wrong".into();
    let error = Jenkins::new(wrong, SystemClock::shared()).unwrap().start(&free(), &zone()).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));
    let mut wrong = settings(&sim);
    wrong.job_url = format!("{}job/Other/", sim.url()).parse().unwrap();
    let error = Jenkins::new(wrong, SystemClock::shared()).unwrap().start(&free(), &zone()).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    assert!(sim.started().is_empty());
    for url in ["http://127.0.0.1:1/", "http://127.0.0.1:1/job/", "http://127.0.0.1:1/view/All/"] {
        let mut wrong = settings(&sim);
        wrong.job_url = url.parse().unwrap();
        let error = Jenkins::new(wrong, SystemClock::shared()).unwrap_err();
        assert!(error.to_string().contains("JENKINS_JOB_URL"), "{error}");
    }
}

#[tokio::test]
async fn nothing_but_the_configured_address_is_asked() {
    let setup = Setup { location: Location::WrongHost, prefix: "/jenkins".into(), ..Setup::always(quick(BOXES)) };
    let (sim, jenkins) = set_up(setup).await;
    let build = run_one(&jenkins).await;
    assert!(build.url.starts_with(&sim.url()), "{}", build.url);
    let setup = Setup { location: Location::Malformed, ..Setup::always(quick(BOXES)) };
    let (sim, jenkins) = set_up(setup).await;
    assert_eq!(jenkins.start(&free(), &zone()).await.unwrap(), Started::Unnamed);
    assert_eq!(sim.started().len(), 1);
}

#[tokio::test]
async fn the_view_that_people_copy_is_the_same_job() {
    let (sim, _) = set_up(Setup::always(quick(BOXES))).await;
    let mut aliased = settings(&sim);
    aliased.job_url = sim.view_url().parse().unwrap();
    let jenkins = Jenkins::new(aliased, SystemClock::shared()).unwrap();
    let Started::Item { id, .. } = jenkins.start(&free(), &zone()).await.unwrap() else { panic!("an item") };
    let item = jenkins.queue_item(id, soon()).await.unwrap().unwrap();
    assert!(item.of_our_job);
    assert_eq!(jenkins.job(soon()).await.unwrap(), JobInfo { buildable: true, takes_cluster: true });
}

#[tokio::test]
async fn a_build_is_found_while_it_waits_and_when_it_runs_and_not_if_it_is_older_or_anothers() {
    let plan = quick(BOXES).after_queue(Duration::from_millis(150), 0);
    let (sim, jenkins) = set_up(Setup::always(plan)).await;
    let before = jenkins.clock().now();
    let nobody = |_: Found| false;
    assert_eq!(jenkins.find(&zone(), before, nobody, soon()).await.unwrap(), None);
    sim.fault(Place::Start, Fault::LostAnswer, 1);
    jenkins.start(&free(), &zone()).await.unwrap_err();
    let Some(Found::Waiting(id)) = jenkins.find(&zone(), before, nobody, soon()).await.unwrap() else {
        panic!("it waits")
    };
    let later = after(before, Duration::from_secs(10));
    assert_eq!(jenkins.find(&zone(), later, nobody, soon()).await.unwrap(), None, "it waits since before");
    assert_eq!(jenkins.find(&Zone::new("other"), before, nobody, soon()).await.unwrap(), None);
    let number = number_of(&jenkins, id).await;
    assert_eq!(jenkins.find(&zone(), before, nobody, soon()).await.unwrap(), Some(Found::Build(number)));
    let known = |found: Found| found == Found::Waiting(id);
    assert_eq!(jenkins.find(&zone(), before, known, soon()).await.unwrap(), None, "it is another reading's");
    assert_eq!(jenkins.find(&zone(), later, nobody, soon()).await.unwrap(), None, "it began before");
}

#[tokio::test]
async fn an_item_is_in_between_cancelled_or_forgotten() {
    let mut plan = quick(BOXES);
    plan.handover = Duration::from_secs(60);
    let (_sim, jenkins) = set_up(Setup::always(plan)).await;
    let Started::Item { id, .. } = jenkins.start(&free(), &zone()).await.unwrap() else { panic!("an item") };
    assert_eq!(jenkins.queue_item(id, soon()).await.unwrap().unwrap().state, ItemState::Leaving);

    let mut plan = quick(BOXES);
    plan.cancelled = true;
    let (_sim, jenkins) = set_up(Setup::always(plan)).await;
    let Started::Item { id, .. } = jenkins.start(&free(), &zone()).await.unwrap() else { panic!("an item") };
    assert_eq!(jenkins.queue_item(id, soon()).await.unwrap().unwrap().state, ItemState::Cancelled);

    let mut plan = quick(BOXES);
    plan.item_gone = true;
    let (_sim, jenkins) = set_up(Setup::always(plan)).await;
    let Started::Item { id, .. } = jenkins.start(&free(), &zone()).await.unwrap() else { panic!("an item") };
    assert!(jenkins.queue_item(id, soon()).await.unwrap().is_none());
    assert!(jenkins.builds(soon()).await.unwrap().iter().any(|build| build.queue_id == Some(id)));
    assert!(jenkins.build(99, soon()).await.unwrap().is_none());
}

#[tokio::test]
async fn reads_are_asked_again_and_sign_in_pages_are_told_apart() {
    let (sim, jenkins) = set_up(Setup::always(quick(BOXES))).await;
    let build = run_one(&jenkins).await;
    let zero = Duration::ZERO;
    for fault in [
        Fault::Reset,
        Fault::InternalError,
        Fault::HalfAnswer,
        Fault::Unavailable(zero),
        Fault::TooManyRequests(Some(zero)),
        Fault::TooManyRequests(None),
    ] {
        sim.fault(Place::Build, fault, 1);
        assert!(jenkins.build(build.number, soon()).await.unwrap().is_some(), "{fault:?}");
    }
    sim.fault(Place::Build, Fault::SignInPage, 1);
    let error = jenkins.build(build.number, soon()).await.unwrap_err();
    assert!(error.to_string().contains("sign-in page"), "{error}");
    sim.fault(Place::Log, Fault::SignInPage, 1);
    let error = jenkins.read_log(build.number, &mut LogReader::default(), soon()).await.unwrap_err();
    assert!(error.to_string().contains("X-Text-Size"), "{error}");
    sim.fault(Place::Build, Fault::WrongJson, 1);
    assert_eq!(jenkins.build(build.number, soon()).await.unwrap_err().kind, Kind::Malformed);
    sim.fault(Place::Job, Fault::WrongJson, 1);
    assert_eq!(jenkins.builds(soon()).await.unwrap_err().kind, Kind::Malformed);
    sim.fault(Place::Queue, Fault::WrongJson, 1);
    assert_eq!(jenkins.queue(soon()).await.unwrap_err().kind, Kind::Malformed);
    sim.fault(Place::Build, Fault::Hang, 9);
    let error = outbound::retry::by_deadline(
        jenkins.clock(),
        after(jenkins.clock().now(), Duration::from_millis(100)),
        "asking",
        jenkins.build(build.number, soon()),
    );
    assert!(error.await.is_err());
}

#[tokio::test]
async fn builds_are_stopped_and_items_cancelled() {
    let mut plan = quick(BOXES);
    plan.duration = Duration::from_secs(60);
    let (sim, jenkins) = set_up(Setup::always(plan)).await;
    let Started::Item { id, .. } = jenkins.start(&free(), &zone()).await.unwrap() else { panic!("an item") };
    let number = number_of(&jenkins, id).await;
    jenkins.stop(&free(), number).await.unwrap();
    assert_eq!(ended(&jenkins, number).await.result.as_deref(), Some("ABORTED"));
    assert!(jenkins.stop(&free(), 99).await.is_err() && jenkins.cancel(&free(), id).await.is_err());
    let (sim2, jenkins) = set_up(Setup::always(quick(BOXES).after_queue(Duration::from_secs(60), 1))).await;
    let Started::Item { id, .. } = jenkins.start(&free(), &zone()).await.unwrap() else { panic!("an item") };
    jenkins.cancel(&free(), id).await.unwrap();
    assert_eq!(jenkins.queue_item(id, soon()).await.unwrap().unwrap().state, ItemState::Cancelled);
    assert_eq!((sim.stopped(), sim2.cancelled()), (vec![number], vec![id]));
}

#[tokio::test]
async fn times_are_set_to_our_clock() {
    for skew in [SignedDuration::ZERO, SignedDuration::from_mins(47), SignedDuration::from_mins(-90)] {
        let (_sim, jenkins) = set_up(Setup { skew, ..Setup::always(quick(BOXES)) }).await;
        let before = jenkins.clock().now();
        let build = run_one(&jenkins).await;
        let now = jenkins.clock().now();
        let off = |time: Timestamp| (before.duration_since(time)).max(time.duration_since(now));
        let most = SignedDuration::from_millis(1100);
        assert!(off(build.scheduled_at) < most, "{skew}: {} is not in {before}..{now}", build.scheduled_at);
        assert!(off(build.ended_at.unwrap()) < most, "{skew}");
        let found = jenkins.find(&zone(), before, |_| false, soon()).await.unwrap();
        assert_eq!(found, Some(Found::Build(build.number)), "{skew}");
    }
}

#[tokio::test]
async fn a_console_is_read_as_it_grows_and_no_byte_twice() {
    let plan = BuildPlan::showing(BOXES, Duration::from_millis(500));
    let raw: usize = plan.console.iter().map(|(_, line)| line.len() + 1).sum();
    let lines = plan.console.len();
    let (sim, jenkins) = set_up(Setup::always(plan)).await;
    let Started::Item { id, .. } = jenkins.start(&free(), &zone()).await.unwrap() else { panic!("an item") };
    let number = number_of(&jenkins, id).await;
    let mut log = LogReader::default();
    while jenkins.read_log(number, &mut log, soon()).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(log.received(), (raw + lines) as u64, "with CRLF, what is sent is longer than the log");
    assert!(sim.requests().iter().filter(|r| r.path.ends_with("progressiveText")).count() > 3);
    assert_eq!(log.finish().boxes.len(), 2);
}

#[tokio::test]
async fn a_transfer_that_breaks_off_is_asked_for_again_and_nothing_counts_twice() {
    let boxes: Vec<_> = (1..=8).map(|n| (ZONE, n, 1, 1)).collect();
    let (sim, jenkins) = set_up(Setup::always(quick(&boxes))).await;
    let build = run_one(&jenkins).await;
    let mut whole = LogReader::default();
    assert!(!jenkins.read_log(build.number, &mut whole, soon()).await.unwrap());
    sim.fault(Place::Log, Fault::HalfAnswer, 2);
    let mut log = LogReader::default();
    assert!(!jenkins.read_log(build.number, &mut log, soon()).await.unwrap());
    assert!(log.received() > whole.received(), "two halves came first");
    assert_eq!(log.read(), whole.read());
    assert_eq!(log.finish(), whole.finish());
    // Where it always breaks off, what came is kept.
    sim.fault(Place::Log, Fault::HalfAnswer, 9);
    let mut log = LogReader::default();
    assert!(jenkins.read_log(build.number, &mut log, after(jenkins.clock().now(), Duration::ZERO)).await.is_err());
    assert!((1..8).contains(&log.finish().boxes.len()));
}

#[tokio::test]
async fn a_log_that_is_begun_anew_is_read_anew() {
    let mut plan = BuildPlan::showing(BOXES, Duration::from_secs(60));
    let last = plan.console.len() as u64 - 1;
    for (n, (at, _)) in (0..).zip(&mut plan.console) {
        // All but the last line at once; the last when the log rolls.
        *at = Duration::from_millis(if n == last { 400 } else { 0 });
    }
    plan.log_rolls = Some(Duration::from_millis(300));
    let (_sim, jenkins) = set_up(Setup::always(plan)).await;
    let Started::Item { id, .. } = jenkins.start(&free(), &zone()).await.unwrap() else { panic!("an item") };
    let number = number_of(&jenkins, id).await;
    let mut log = LogReader::default();
    assert!(jenkins.read_log(number, &mut log, soon()).await.unwrap());
    let first = log.received();
    assert!(first > 100);
    until(|| {
        let mut copy = log.clone();
        let jenkins = &jenkins;
        async move {
            jenkins.read_log(number, &mut copy, soon()).await.unwrap();
            // It shrank, so all of it (now: nothing, or the last line) came, and the boxes are gone.
            copy.so_far().boxes.is_empty().then_some(())
        }
    })
    .await;
}

/// The most memory that this process has ever had, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_console_of_any_size_costs_no_memory() {
    let mut plan = quick(BOXES);
    plan.noise = Noise { lines: 1024 * 1024 };
    let (_sim, jenkins) = set_up(Setup::always(plan)).await;
    let build = run_one(&jenkins).await;
    let before = peak_kib();
    let mut log = LogReader::default();
    assert!(!jenkins.read_log(build.number, &mut log, soon()).await.unwrap());
    let grown = peak_kib() - before;
    assert!(log.received() > 64 * 1024 * 1024);
    assert!(grown < 32 * 1024, "{grown} KiB more for {} bytes", log.received());
    assert_eq!(log.finish().boxes.len(), 2);
}

#[tokio::test]
async fn no_build_is_asked_for_until_the_claim_of_who_asks_certainly_holds() {
    use futures::FutureExt as _;
    use tokio::time::Instant;

    use outbound::permit::Term;

    const HOUR: Duration = Duration::from_secs(3600);
    let (sim, jenkins) = set_up(Setup::always(quick(BOXES))).await;
    let term = Term::new(Instant::now() - HOUR, HOUR);
    let giver = term.giver();
    let permit = giver.permit();
    let zone = zone();
    let mut starting = Box::pin(jenkins.start(&permit, &zone));
    for _ in 0..3 {
        assert!((&mut starting).now_or_never().is_none());
        // Whatever had been sent before this would be there by its answer.
        jenkins.job(soon()).await.unwrap();
    }
    assert!(sim.started().is_empty());
    term.renewed(Instant::now());
    starting.await.unwrap();
    assert_eq!(sim.started(), [ZONE]);
}
