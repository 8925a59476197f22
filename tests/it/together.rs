//! Several alerts of one region at one time: one page is opened, the others join it. lifecycle.md#the-page.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::join_all;
use outbound::clock::SystemClock;
use serde_json::{Value, json};
use simulators::pagerduty::{Endpoint, Fault, Incident, Opening, PagerDuty, Setup, State};
use simulators::scenario::Scenario;
use simulators::world::{OPERATOR_TOKEN, World};

use crate::harness::{Front, QUICK, Stage, quick, settings_of, until_within};
use crate::process::Process;

pub(crate) const REGION: &str = "prod-us-south";
const OTHER_REGION: &str = "prod-eu-de";
const AUTO: (&str, &str) = ("ESCALATION_MODE", "auto");
/// Fifty alerts share the requests that PagerDuty allows a minute.
const PATIENCE: Duration = Duration::from_secs(240);

/// Opens so many alerts of a region.
pub(crate) fn alerts(world: &World, region: &str, count: usize) -> Vec<String> {
    let title = format!("All SE endpoints down in {region}");
    (0..count).map(|_| world.pagerduty.open(Opening::new(&title, Setup::REGISTRY)).id).collect()
}

/// All their webhooks at once.
async fn send(world: &World, front: &Front, alerts: &[String]) {
    let sent = alerts.iter().map(|alert| async {
        front.taken(&world.pagerduty.webhook_body("incident.triggered", alert)).await;
    });
    join_all(sent).await;
}

/// Their runs, once all have ended and each note tells what became of its page.
pub(crate) async fn ended(world: &World, front: &Front, alerts: &[String]) -> Vec<Value> {
    let mut runs = Vec::new();
    for alert in alerts {
        let what = format!("the end of {alert}");
        let run = until_within(PATIENCE, &what, async || {
            let run = front.runs_of(alert).await.pop()?;
            let told = third_line(world, alert, &run)?;
            (!run["finished_at"].is_null() && !told.starts_with("Nobody was paged yet")).then_some(run)
        });
        runs.push(run.await);
    }
    runs
}

/// The third line of a run's one note.
pub(crate) fn third_line(world: &World, alert: &str, run: &Value) -> Option<String> {
    let last = format!("run {}", run["id"].as_str().expect("an id"));
    let notes = world.pagerduty.notes_of(alert);
    let mut of_run = notes.iter().filter(|note| note.content.lines().next_back() == Some(&last));
    let note = of_run.next()?;
    assert!(of_run.next().is_none(), "two notes of {last}: {notes:#?}");
    note.content.lines().nth(2).map(str::to_owned)
}

/// One page was opened, every alert has it, and every note says so; whoever joined it wrote one note on it.
#[track_caller]
pub(crate) fn all_have_one_page(world: &World, alerts: &[String], runs: &[Value]) -> Incident {
    let pages = world.pagerduty.pages();
    assert_eq!(pages.len(), 1, "{pages:#?}");
    for (alert, run) in alerts.iter().zip(runs) {
        let escalation = &run["escalation"];
        assert_eq!(
            (&escalation["state"], &escalation["page"]["id"]),
            (&json!("paged"), &json!(pages[0].id)),
            "{alert}"
        );
        let line = third_line(world, alert, run).expect("a note");
        assert!(line.starts_with("Paged: "), "{alert}: {line}");
    }
    let notes = world.pagerduty.notes_of(&pages[0].id);
    let marks = notes.iter().filter_map(|n| n.content.lines().next_back()?.strip_prefix("se-responder alert "));
    let marks: Vec<&str> = marks.collect();
    assert_eq!(marks.iter().collect::<HashSet<_>>().len(), marks.len(), "each joins once: {marks:?}");
    assert_eq!(marks.len(), alerts.len() - 1, "{notes:#?}");
    pages.into_iter().next().expect("one")
}

/// `count` alerts at once, each request on its way for `latency`, lists `lag` behind.
async fn at_once(count: usize, latency: Duration, lag: Duration, settings: &[(&str, &str)]) {
    let stage = Stage::quick(&[&[AUTO], settings].concat()).await;
    let mut alerts = alerts(&stage.world, REGION, count - 1);
    alerts.push(stage.world.alert.clone());
    stage.world.pagerduty.set_latency(latency);
    stage.world.pagerduty.set_lag(lag);
    send(&stage.world, &stage.front, &alerts).await;
    let runs = ended(&stage.world, &stage.front, &alerts).await;
    all_have_one_page(&stage.world, &alerts, &runs);
}

#[tokio::test]
async fn of_many_alerts_at_once_one_opens_a_page_and_the_others_join_it() {
    at_once(16, Duration::ZERO, Duration::ZERO, &[]).await;
}

/// lifecycle.md#the-page: of several alerts of one region one opens it, and the others join it.
#[tokio::test]
async fn of_fifty_alerts_at_once_one_opens_a_page_however_long_each_request_is_on_its_way() {
    at_once(50, Duration::from_millis(50), Duration::ZERO, &[]).await;
}

#[tokio::test]
async fn of_many_alerts_at_once_one_opens_a_page_though_lists_show_it_only_after_ten_seconds() {
    at_once(16, Duration::ZERO, Duration::from_secs(10), &[]).await;
}

#[tokio::test]
async fn of_several_alerts_one_opens_a_page_by_the_events_api() {
    let settings = [("ESCALATION_ROUTING_KEY", Setup::ROUTING_KEY)];
    at_once(8, Duration::from_millis(20), Duration::from_secs(4), &settings).await;
}

/// A person's word passes the gate, but not this.
#[tokio::test]
async fn people_who_escalate_several_alerts_at_once_open_one_page() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
    let mut alerts = alerts(&stage.world, REGION, 5);
    alerts.push(stage.world.alert.clone());
    send(&stage.world, &stage.front, &alerts).await;
    ended(&stage.world, &stage.front, &alerts).await;
    stage.world.pagerduty.set_latency(Duration::from_millis(50));
    let bodies: Vec<Value> = alerts.iter().map(|alert| json!({"incident_id": alert})).collect();
    let asked = join_all(bodies.iter().map(|body| stage.front.post_as(OPERATOR_TOKEN, "/escalate", body, None))).await;
    for answer in asked {
        answer.is(202);
    }
    let mut runs = Vec::new();
    for alert in &alerts {
        let paged = until_within(PATIENCE, "the page", async || {
            let run = stage.front.runs_of(alert).await.pop()?;
            third_line(&stage.world, alert, &run)?.starts_with("Paged: ").then_some(run)
        });
        runs.push(paged.await);
    }
    all_have_one_page(&stage.world, &alerts, &runs);
}

#[tokio::test]
async fn two_regions_at_once_have_a_page_each() {
    let scenario = Box::leak(Box::new(Scenario { other_regions: &[OTHER_REGION], ..*quick() }));
    let stage = Stage::on(scenario, &[QUICK, &[AUTO]].concat()).await;
    stage.world.pagerduty.set_latency(Duration::from_millis(20));
    let (here, there) = (alerts(&stage.world, REGION, 4), alerts(&stage.world, OTHER_REGION, 4));
    let all = [here.clone(), there.clone()].concat();
    send(&stage.world, &stage.front, &all).await;
    ended(&stage.world, &stage.front, &all).await;
    let mut pages = Vec::new();
    for alerts in [here, there] {
        let runs = ended(&stage.world, &stage.front, &alerts).await;
        let of_region: HashSet<String> = runs.iter().map(|run| run["escalation"]["page"]["id"].to_string()).collect();
        assert_eq!(of_region.len(), 1, "{of_region:?}");
        pages.extend(of_region);
    }
    assert!(pages[0] != pages[1] && stage.world.pagerduty.pages().len() == 2, "{pages:?}");
}

#[tokio::test]
async fn where_the_page_of_one_is_refused_the_next_opens_it() {
    let stage = Stage::quick(&[AUTO, ("ESCALATION_MAX_PER_HOUR", "2")]).await;
    let mut alerts = alerts(&stage.world, REGION, 3);
    alerts.push(stage.world.alert.clone());
    stage.world.pagerduty.fail(Endpoint::CreateIncident, Fault::Status(400), 1);
    send(&stage.world, &stage.front, &alerts).await;
    let runs = ended(&stage.world, &stage.front, &alerts).await;
    let pages = stage.world.pagerduty.pages();
    assert_eq!(pages.len(), 1, "the one that was refused takes nothing of the hour's pages: {pages:#?}");
    let failed = runs.iter().filter(|run| run["escalation"]["state"] == "failed").count();
    let paged = runs.iter().filter(|run| run["escalation"]["page"]["id"] == pages[0].id.as_str()).count();
    assert_eq!((failed, paged), (1, 3), "{runs:#?}");
    for (alert, run) in alerts.iter().zip(&runs) {
        let line = third_line(&stage.world, alert, run).expect("a note");
        let says = if run["escalation"]["state"] == "paged" { "Paged: " } else { "NOBODY WAS PAGED" };
        assert!(line.starts_with(says), "{line}");
    }
}

/// What counts is what is opened: whoever joins takes nothing of the hour's pages.
#[tokio::test]
async fn where_an_hour_has_one_page_one_alert_opens_it_and_the_others_join_it_all_the_same() {
    let stage = Stage::quick(&[AUTO, ("ESCALATION_MAX_PER_HOUR", "1")]).await;
    let mut at_once = alerts(&stage.world, REGION, 5);
    at_once.push(stage.world.alert.clone());
    send(&stage.world, &stage.front, &at_once).await;
    ended(&stage.world, &stage.front, &at_once).await;
    // One that comes once the page is open.
    let late = alerts(&stage.world, REGION, 1);
    send(&stage.world, &stage.front, &late).await;
    let all = [at_once, late].concat();
    let runs = ended(&stage.world, &stage.front, &all).await;
    let page = all_have_one_page(&stage.world, &all, &runs);
    // People have closed it, and the hour has no other.
    stage.world.pagerduty.resolve(&page.id, Some(Setup::ENGINEER));
    let last = alerts(&stage.world, REGION, 1);
    send(&stage.world, &stage.front, &last).await;
    let runs = ended(&stage.world, &stage.front, &last).await;
    let reason = "1 automatic pages were opened in the last hour, as many as ESCALATION_MAX_PER_HOUR allows";
    assert_eq!((&runs[0]["escalation"]["state"], &runs[0]["escalation"]["reason"]), (&json!("held"), &json!(reason)));
    assert_eq!(stage.world.pagerduty.pages().len(), 1);
    let line = third_line(&stage.world, &last[0], &runs[0]).expect("a note");
    assert!(line.starts_with("NOBODY WAS PAGED") && line.contains(reason), "{line}");
    // Prominently: the note that was written before said that the page was being opened, and an edit alone nobody sees.
    let loud = |note: &str| note.lines().count() == 3 && note.contains("NOBODY WAS PAGED") && note.contains(reason);
    let notes = || stage.world.pagerduty.notes_of(&last[0]);
    let said = async || notes().iter().any(|note| loud(&note.content)).then_some(());
    until_within(PATIENCE, "a short note", said).await;
}

#[tokio::test]
async fn a_page_that_people_have_opened_is_joined_though_the_hour_has_none() {
    for by_box in [false, true] {
        let stage = Stage::quick(&[AUTO, ("ESCALATION_MAX_PER_HOUR", "0")]).await;
        let first = stage.diagnosed().await;
        assert_eq!(first["escalation"]["state"], "held", "{}", first["escalation"]);
        let id = first["diagnosis"]["zones"][0]["boxes"][0]["magic_box_id"].as_str().expect("an id");
        let title = format!("SE is down: {}", if by_box { id } else { REGION });
        let theirs = stage.world.pagerduty.open(Opening::new(&title, Setup::SERVICE_ENDPOINT)).id;
        let second = alerts(&stage.world, REGION, 1);
        send(&stage.world, &stage.front, &second).await;
        let runs = ended(&stage.world, &stage.front, &second).await;
        assert_eq!(runs[0]["escalation"]["page"]["id"], theirs, "{title}: {}", runs[0]["escalation"]);
        assert!(stage.world.pagerduty.pages().is_empty());
    }
}

/// Lists show it as open for a while, or do not show it at all: what counts is the page itself.
#[tokio::test]
async fn a_page_that_people_have_resolved_is_not_joined_whatever_the_lists_show() {
    let not_joined = async |shown_before: bool| {
        let stage = Stage::quick(&[AUTO]).await;
        let second = alerts(&stage.world, REGION, 1);
        let first = stage.diagnosed().await;
        let page = first["escalation"]["page"]["id"].as_str().expect("a page").to_owned();
        let lag = Duration::from_secs(3);
        if shown_before {
            // By now the lists have it.
            tokio::time::sleep(lag).await;
        }
        stage.world.pagerduty.set_lag(lag);
        stage.world.pagerduty.resolve(&page, Some(Setup::ENGINEER));
        send(&stage.world, &stage.front, &second).await;
        let runs = ended(&stage.world, &stage.front, &second).await;
        let pages = stage.world.pagerduty.pages();
        let open: Vec<&Incident> = pages.iter().filter(|page| page.state != State::Resolved).collect();
        assert_eq!((pages.len(), open.len()), (2, 1), "{shown_before}: {pages:#?}");
        assert_eq!(runs[0]["escalation"]["page"]["id"], open[0].id.as_str(), "{shown_before}");
        assert_eq!(runs[0]["escalation"]["reason"], Value::Null, "{shown_before}");
    };
    // At once: both mostly wait.
    tokio::join!(not_joined(true), not_joined(false));
}

/// Killed once it has the right to open the page and before that is open, or before it hears that it is.
#[tokio::test]
async fn who_is_killed_while_it_opens_the_page_opens_it_when_started_again_and_the_others_join_it() {
    let killed = async |opened: bool| {
        let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
        let settings = settings_of(&world, &[QUICK, &[AUTO]].concat());
        let mut alerts = alerts(&world, REGION, 3);
        alerts.push(world.alert.clone());
        let plan = if opened { PagerDuty::fail_once_done } else { PagerDuty::fail };
        plan(&world.pagerduty, Endpoint::CreateIncident, Fault::Hang, 1);
        let process = Process::serve(&settings).await;
        send(&world, &process.front, &alerts).await;
        let posts =
            || world.pagerduty.requests().iter().filter(|r| r.method == "POST" && r.path == "/incidents").count();
        until_within(PATIENCE, "a page to be asked for", async || (posts() == 1).then_some(())).await;
        // The others have come to where they would open one.
        until_within(PATIENCE, "the others' notes", async || {
            let noted = alerts.iter().filter(|alert| {
                let notes = world.pagerduty.notes_of(alert);
                notes.iter().any(|note| note.content.contains("\nrun "))
            });
            (noted.count() == alerts.len()).then_some(())
        })
        .await;
        process.kill().await;
        let process = Process::serve(&settings).await;
        let runs = ended(&world, &process.front, &alerts).await;
        all_have_one_page(&world, &alerts, &runs);
        assert_eq!(posts(), if opened { 1 } else { 2 });
    };
    // At once: both mostly wait.
    tokio::join!(killed(false), killed(true));
}

/// lifecycle.md#the-page: an answer that is lost, a page that PagerDuty opens late all the same, and what is handed in
/// meanwhile is refused. Nobody is left believing that nobody was paged, and the region has one page.
#[tokio::test]
async fn a_page_that_pagerduty_opens_late_is_told_of_after_all_and_joined_by_the_regions_next_alert() {
    let stage = Stage::quick(&[AUTO]).await;
    let pagerduty = &stage.world.pagerduty;
    // In time for the first look that is due, 30 s after the answer was lost.
    pagerduty.fail(Endpoint::CreateIncident, Fault::Late(25), 1);
    pagerduty.fail(Endpoint::CreateIncident, Fault::Status(400), u32::MAX);
    send(&stage.world, &stage.front, std::slice::from_ref(&stage.world.alert)).await;
    let begins = |words: &str| stage.notes().iter().filter(|note| note.content.starts_with(words)).count();
    until_within(PATIENCE, "the page's failure", async || (begins("NOBODY WAS PAGED") == 1).then_some(())).await;
    assert!(pagerduty.pages().is_empty());
    // It may be opened yet: the next alert opens none, whatever PagerDuty would take by now.
    pagerduty.mend_only(Endpoint::CreateIncident);
    let mut alerts = alerts(&stage.world, REGION, 1);
    send(&stage.world, &stage.front, &alerts).await;
    alerts.insert(0, stage.world.alert.clone());
    let mut runs = Vec::new();
    for alert in &alerts {
        let paged = until_within(PATIENCE, "the page", async || {
            let run = stage.front.runs_of(alert).await.pop()?;
            third_line(&stage.world, alert, &run)?.starts_with("Paged: ").then_some(run)
        });
        runs.push(paged.await);
    }
    all_have_one_page(&stage.world, &alerts, &runs);
    assert_eq!(runs[0]["escalation"]["page"]["joined"], json!(false));
    assert_eq!((begins("NOBODY WAS PAGED"), begins("PAGED AFTER ALL")), (1, 1), "{:#?}", stage.notes());
}
