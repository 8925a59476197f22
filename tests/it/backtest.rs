//! `backtest`: a simulated year of sixty alerts, of which it is known what was the matter.

use std::process::Stdio;
use std::time::Duration;

use outbound::clock::SystemClock;
use serde_json::{Value, json};
use simulators::clock::HandClock;
use simulators::jenkins::{Fault as JenkinsFault, Place, console_for};
use simulators::pagerduty::{Endpoint, Opening, PagerDuty, Setup};
use simulators::world::World;
use simulators::year::{SINCE, UNTIL, Year};
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::{QUICK, binary, owned, quick, settings_of, until};
use crate::process::{Ended, Process, run, run_in};
use se_responder::backtest::{Arguments, run as replay};
use se_responder::config::{BacktestConfig, Environment};

/// The whole year, with all that people kept of it.
struct Kept {
    arguments: Vec<String>,
}

impl Kept {
    fn of(year: &Year, more: &[&str]) -> Self {
        let path = |name: &str| year.path(name).display().to_string();
        let mut arguments = owned_words(&["backtest", "--since", "365d", "--until", UNTIL]);
        arguments.extend(["--consoles".to_owned(), path("consoles"), "--labels".to_owned(), path("labels.csv")]);
        arguments.extend(owned_words(more));
        Self { arguments }
    }

    fn words(&self) -> Vec<&str> {
        self.arguments.iter().map(String::as_str).collect()
    }
}

fn owned_words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[track_caller]
fn report(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended:#?}"))
}

/// Nothing but reads was asked of anybody.
#[track_caller]
fn only_read(year: &Year) {
    assert!(!year.pagerduty.requests().is_empty());
    for request in year.pagerduty.requests() {
        assert_eq!(request.method, "GET", "{request:?}");
    }
    for request in year.jenkins.requests() {
        assert_eq!(request.method, "GET", "{request:?}");
    }
    assert_eq!(year.pagerduty.writes(), 0);
}

#[tokio::test]
async fn a_year_of_sixty_alerts_comes_to_exactly_the_table_that_is_expected() {
    let year = Year::begin().await.unwrap();
    let ended = run(&Kept::of(&year, &["--json"]).words(), &year.settings(), "").await;
    assert_eq!(ended.code, Some(1), "there is a wrong page: {}", ended.stderr);
    assert!(ended.stderr.contains("1 wrong page: leave ESCALATION_MODE as it is"), "{}", ended.stderr);
    assert!(ended.left.is_empty(), "the state is removed at its end: {:?}", ended.left);
    only_read(&year);

    let report = report(&ended);
    let alerts = report["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 60);
    for (alert, expected) in alerts.iter().zip(&year.expected) {
        let told = [&alert["incident_id"], &alert["at"], &alert["region"], &alert["outcome"], &alert["truth"]];
        let known = [
            expected.incident_id.clone(),
            expected.at.to_string(),
            expected.region.to_owned(),
            expected.outcome.to_string(),
            expected.truth.to_string(),
        ];
        assert_eq!(told.map(|value| value.as_str().unwrap().to_owned()), known, "{alert:#}");
        assert_eq!(alert["judgement"], expected.judgement.as_str(), "{alert:#}");
        assert_eq!(alert["verdict"].is_null(), alert["outcome"] == "no-evidence", "{alert:#}");
    }
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(names(&report), "alerts at since sums until");
    assert_eq!(names(&alerts[0]), "at incident_id judgement outcome reason region truth verdict");
    assert_eq!(names(&alerts[0]["verdict"]), "kind rule");
    assert_eq!((report["since"].as_str(), report["until"].as_str()), (Some(SINCE), Some(UNTIL)));
    let sums =
        json!({"alerts": 60, "right": 51, "wrong_pages": 1, "missed_pages": 3, "unknown": 5, "minutes_earlier": 122});
    assert_eq!(report["sums"], sums);
    for said in
        ["Taken as open, since the record has nothing of it, for 57 alerts", "3 files in the folder of consoles"]
    {
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn people_read_a_line_an_alert_and_the_sums() {
    let year = Year::begin().await.unwrap();
    let ended = run(&Kept::of(&year, &[]).words(), &year.settings(), "").await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    insta::assert_snapshot!("year", ended.stdout);
}

/// docs/backtest.md shows it.
#[tokio::test]
async fn the_manual_shows_the_report_of_the_year() {
    let year = Year::begin().await.unwrap();
    let ended = run(&Kept::of(&year, &[]).words(), &year.settings(), "").await;
    let manual = include_str!("../../docs/backtest.md");
    let shown = manual.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut said = ended.stdout.lines();
    for line in shown.lines().filter(|line| *line != "…") {
        assert!(said.any(|other| other == line), "the report does not say this, or not there: {line}");
    }
}

#[tokio::test]
async fn demo_shows_the_year() {
    let ended = run(&["demo", "--scenario", "backtest"], &[], "").await;
    assert_eq!((ended.code, ended.left.is_empty()), (Some(0), true), "{ended:#?}");
    assert_eq!(ended.stdout.lines().filter(|line| line.starts_with("2025-")).count(), 60, "{}", ended.stdout);
    assert!(ended.stdout.contains("wrong pages   1"), "{}", ended.stdout);
}

/// It hangs where one upstream does not answer, and is killed there.
async fn killed_while(kept: &Kept, folder: &TempDir, year: &Year, hangs: impl Fn() -> bool) {
    let mut command = Command::from(binary(folder.path(), &year.settings()));
    command.args(kept.words()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("it starts");
    until("a question that hangs", async || hangs().then_some(())).await;
    child.kill().await.expect("killed");
    let output = child.wait_with_output().await.expect("an end");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn killed_at_any_time_and_started_again_it_prints_the_same() {
    let year = Year::begin().await.unwrap();
    let kept = Kept::of(&year, &["--json"]);
    let whole = run(&kept.words(), &year.settings(), "").await;
    let asked = year.pagerduty.requests().len();
    year.pagerduty.forget_requests();

    let folder = tempfile::tempdir().unwrap();
    let last_is = |path: &str, part: &str| {
        let requests = year.pagerduty.requests();
        requests.last().is_some_and(|last| last.path.ends_with(path) && last.query.contains(part))
    };
    year.pagerduty.hang(Endpoint::Incidents, &["since=2025-06"], false);
    killed_while(&kept, &folder, &year, || last_is("/incidents", "since=2025-06")).await;
    let state = std::fs::read_to_string(folder.path().join("backtest.state")).unwrap();
    let first: Value = serde_json::from_str(state.lines().next().unwrap()).unwrap();
    year.pagerduty.mend();
    year.pagerduty.hang(Endpoint::LogEntries, &[], false);
    killed_while(&kept, &folder, &year, || last_is("/log_entries", "")).await;
    year.pagerduty.mend();
    year.jenkins.fault(Place::Log, JenkinsFault::Hang, 1);
    let reads_a_log = || year.jenkins.requests().iter().filter(|r| r.path.contains("progressiveText")).count() > 2;
    killed_while(&kept, &folder, &year, reads_a_log).await;

    let ended = run_in(&folder, &kept.words(), &year.settings(), "").await;
    assert_eq!((ended.code, ended.left.is_empty()), (Some(1), true), "{ended:#?}");
    // What was asked once is not asked again: only the two questions that hung.
    assert_eq!(year.pagerduty.requests().len(), asked + 2);
    let (mut again, mut at_once) = (report(&ended), report(&whole));
    assert_eq!(again["at"], first["at"], "it keeps the time of the first start");
    (again["at"], at_once["at"]) = (Value::Null, Value::Null);
    assert_eq!(again, at_once);
    only_read(&year);
}

#[tokio::test]
async fn what_was_stopped_goes_on_with_the_same_arguments_only() {
    let year = Year::begin().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    year.pagerduty.refuse(Endpoint::LogEntries, &[], 403);
    let kept = Kept::of(&year, &["--state", "mine"]);
    let stopped = run_in(&folder, &kept.words(), &year.settings(), "").await;
    assert_eq!((stopped.code, stopped.left.as_slice()), (Some(1), &["mine".to_owned()][..]), "{}", stopped.stderr);
    for part in ["goes on when it is started again with the same arguments", "for the log of the incident", "403"] {
        assert!(stopped.stderr.contains(part), "{part}: {}", stopped.stderr);
    }
    year.pagerduty.mend();
    let asked = year.pagerduty.requests().len();
    let other = ["backtest", "--since", "364d", "--until", UNTIL, "--state", "mine"];
    let ended = run_in(&folder, &other, &year.settings(), "").await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("--state mine: it is of a backtest that was begun at"), "{}", ended.stderr);
    assert_eq!(year.pagerduty.requests().len(), asked, "nothing is asked");
    let ended = run_in(&folder, &kept.words(), &year.settings(), "").await;
    assert!(ended.code == Some(1) && ended.left.is_empty(), "{ended:#?}");
}

#[tokio::test]
async fn what_can_not_be_used_is_told_before_anything_is_asked() {
    let year = Year::begin().await.unwrap();
    let labels = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(labels.path(), "incident_id,truth\r\nQ1,none\r\nQ2,theirs\r\n").unwrap();
    let labels = labels.path().to_str().unwrap();
    let none = "/nowhere/at/all";
    for (arguments, told) in [
        (vec!["--since", "365d", "--labels", labels], "line 3: the truth \"theirs\" is not one of service-endpoint"),
        (vec!["--since", "365d", "--labels", none], "--labels /nowhere/at/all: can't be read"),
        (vec!["--since", "365d", "--consoles", none], "--consoles /nowhere/at/all: can't be read"),
        (vec!["--since", "365d", "--state", none], "--state /nowhere/at/all: can't be opened"),
        (vec!["--since", "a year"], "--since"),
        (vec!["--since", "365d", "--until", "yesterday"], "--until"),
        (vec![], "--since"),
    ] {
        let ended = run(&[vec!["backtest"], arguments].concat(), &year.settings(), "").await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:#?}");
        assert!(ended.stderr.contains(told) && ended.left.is_empty(), "{told}: {ended:#?}");
    }
    let ended = run(&["backtest", "--since", "1d"], &[], "").await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("PAGERDUTY_API_TOKEN") && !ended.stderr.contains("JENKINS"), "{}", ended.stderr);
    let half = owned(&[("JENKINS_USER", "me")]);
    let ended = run(&["backtest", "--since", "1d"], &half, "").await;
    assert!(ended.code == Some(2) && ended.stderr.contains("JENKINS_JOB_URL"), "{}", ended.stderr);
    assert!(year.pagerduty.requests().is_empty());
}

/// Without Jenkins, consoles and labels it says what it can.
#[tokio::test]
async fn pagerduty_alone_will_do() {
    let year = Year::begin().await.unwrap();
    let mut settings = year.settings();
    settings.retain(|(name, _)| !name.starts_with("JENKINS"));
    let ended = run(&["backtest", "--since", "365d", "--until", UNTIL, "--json"], &settings, "").await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report = report(&ended);
    let outcomes: Vec<&str> =
        report["alerts"].as_array().unwrap().iter().map(|alert| alert["outcome"].as_str().unwrap()).collect();
    // What waited for a bigger outage until it resolved is known without any console.
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "held").count(), 4);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "no-evidence").count(), 56);
    assert!(year.jenkins.requests().is_empty());
}

/// contract: "at most 200 PagerDuty requests a minute".
#[tokio::test]
async fn pagerduty_is_asked_at_most_200_times_a_minute() {
    let clock = HandClock::at("2025-06-01T00:00:00Z");
    let account = PagerDuty::start(Setup::new(clock.clone())).await.unwrap();
    account.open(Opening::new("All SE endpoints down in prod-us-south", Setup::REGISTRY));
    for n in 0..450 {
        clock.pass(Duration::from_millis(100));
        account.open(Opening::new(&format!("prod-us-south is slow ({n})"), Setup::SERVICE_ENDPOINT));
    }
    let settings = [
        ("PAGERDUTY_API_URL", account.api_url.clone()),
        ("PAGERDUTY_API_TOKEN", account.token()),
        ("PAGERDUTY_FROM", Setup::FROM.to_owned()),
    ];
    let environment = Environment::of(settings.map(|(name, value)| (name.to_owned(), value)));
    let config = BacktestConfig::load(&environment).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let arguments =
        Arguments { since: Duration::from_secs(86_400), until: None, consoles: None, labels: None, json: false };
    let clock: outbound::clock::Clock = clock;
    let done = replay(&config, &arguments, &folder.path().join("state"), &clock, |_| {}).await.unwrap();
    assert_eq!(done.report.sums.alerts, 1);
    let times: Vec<_> = account.requests().iter().map(|request| request.at).collect();
    assert!(times.len() > 450, "{}", times.len());
    for (n, time) in times.iter().enumerate().skip(200) {
        assert!(time.duration_since(times[n - 200]).as_secs() >= 60, "201 requests within a minute");
    }
}

/// contract: "`serve` with `ESCALATION_MODE=auto` warns at its start, and `doctor` likewise, unless …".
#[tokio::test]
async fn auto_without_a_good_report_is_warned_of_by_serve_and_doctor() {
    let world = World::start(quick(), SystemClock::shared()).await.unwrap();
    let report = world.path("backtest.json");
    let good = std::fs::read_to_string(&report).unwrap();
    let auto = ("ESCALATION_MODE", "auto");
    let wrong = good.replace("\"wrong_pages\":0", "\"wrong_pages\":1");
    for (settings, text, warning) in [
        (vec![auto], good.as_str(), None),
        (vec![("ESCALATION_MODE", "suggest"), ("BACKTEST_REPORT", "")], &good, None),
        (vec![auto, ("BACKTEST_REPORT", "")], &good, Some("BACKTEST_REPORT is not set: nothing shows that")),
        (vec![auto, ("BACKTEST_REPORT", "/nowhere")], &good, Some("BACKTEST_REPORT /nowhere: it can't be read")),
        (vec![auto], &wrong, Some("it has a wrong page; run `se-responder backtest` again")),
    ] {
        std::fs::write(&report, text).unwrap();
        let settings = settings_of(&world, &settings);
        let process = Process::serve(&settings).await;
        // It is said before the service listens.
        let said = process.said();
        assert_eq!(said.contains("BACKTEST_REPORT"), warning.is_some(), "{said}");
        process.kill().await;
        let ended = run(&["doctor", "--json"], &settings, "").await;
        let found: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended:#?}"));
        let is_it = |check: &&Value| check["subject"] == "BACKTEST_REPORT";
        let checks: Vec<&Value> = found["checks"].as_array().unwrap().iter().filter(is_it).collect();
        match warning {
            None => assert!(checks.is_empty(), "{checks:?}"),
            Some(warning) => {
                assert!(said.contains(warning), "{warning}: {said}");
                assert_eq!(
                    (checks.len(), &checks[0]["state"], &checks[0]["name"]),
                    (1, &json!("warning"), &json!("sound"))
                );
                assert!(checks[0]["detail"].as_str().unwrap().contains(warning), "{checks:?}");
            }
        }
    }
}

/// Times in PagerDuty are whole seconds, and what a backtest looks at ends now.
async fn another_second() {
    let now = || SystemClock::shared().now().as_second();
    let then = now();
    until("another second", async || (now() > then).then_some(())).await;
}

/// contract: "else the service's own record (read-only, also while `serve` uses the database)".
#[tokio::test]
async fn what_the_service_saw_itself_is_evidence_while_it_is_at_work() {
    let world = World::start(quick(), SystemClock::shared()).await.unwrap();
    let settings = settings_of(&world, QUICK);
    let process = Process::serve(&settings).await;
    process.front.taken(&world.pagerduty.webhook_body("incident.triggered", &world.alert)).await;
    process.front.end_of(&world.alert).await;
    another_second().await;
    let builds = world.jenkins.started().len();
    let mut without_jenkins = settings.clone();
    without_jenkins.retain(|(name, _)| !name.starts_with("JENKINS"));
    let ended = run(&["backtest", "--since", "1h", "--json"], &without_jenkins, "").await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report = report(&ended);
    let alert = &report["alerts"][0];
    assert_eq!((&alert["incident_id"], &alert["outcome"]), (&json!(world.alert), &json!("would-page")), "{report:#}");
    assert_eq!(alert["verdict"], json!({"kind": "service_endpoint", "rule": "all-se-rejecting-upstream-up"}));
    // The page is the service's own: it does not tell what was the matter.
    assert_eq!((&alert["truth"], &alert["judgement"]), (&json!("unknown"), &json!("unknown")));
    assert_eq!(world.jenkins.started().len(), builds);
    // With a folder of consoles that says otherwise, that counts.
    let folder = tempfile::tempdir().unwrap();
    let created = world.pagerduty.incident(&world.alert).unwrap().created_at;
    let name = created.strftime("%Y%m%dT%H%M%SZ-registry-prod-us-south-az1.txt").to_string();
    let zones: Vec<String> = (1..=3).map(|n| format!("registry-prod-us-south-az{n}")).collect();
    let boxes: Vec<_> = zones.iter().map(|zone| (zone.as_str(), 1, 1, 0)).collect();
    std::fs::write(folder.path().join(name), console_for(&boxes).join("\n")).unwrap();
    let consoles = folder.path().to_str().unwrap();
    let ended = run(&["backtest", "--since", "1h", "--json", "--consoles", consoles], &settings, "").await;
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["alerts"][0]["outcome"], "no-page", "{report:#}");
    process.kill().await;
}

/// contract: "as `auto` would have gone": what held the page of one run may be over by the next, which then pages.
#[tokio::test]
async fn a_page_that_was_held_is_opened_by_the_run_after_what_held_it() {
    let world = World::start(quick(), SystemClock::shared()).await.unwrap();
    let before = SystemClock::shared().now() - jiff::SignedDuration::from_hours(30);
    let opening = Opening::new("All Public endpoints down in prod-us-south", Setup::REGISTRY);
    // Too old to explain the alert: it is named, and holds the page.
    let old = world.pagerduty.open(Opening { created_at: Some(before), ..opening }).id;
    let settings = [settings_of(&world, QUICK), owned(&[("ESCALATION_MODE", "auto")])].concat();
    let process = Process::serve(&settings).await;
    process.front.taken(&world.pagerduty.webhook_body("incident.triggered", &world.alert)).await;
    let held = process.front.end_of(&world.alert).await;
    assert_eq!(held["escalation"]["state"], "held", "{held:#}");
    let backtest = async || {
        another_second().await;
        let ended = run(&["backtest", "--since", "1h", "--json"], &settings, "").await;
        let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {}", ended.stderr));
        let ours =
            report["alerts"].as_array().unwrap().iter().find(|alert| alert["incident_id"] == world.alert.as_str());
        ours.cloned().expect("the alert")
    };
    assert_eq!(backtest().await["outcome"], "held");
    // Times in PagerDuty are whole seconds: it is over before the next run decides.
    world.pagerduty.resolve(&old, None);
    another_second().await;
    process.front.post("/rerun", &json!({"incident_id": world.alert})).await.is(202);
    let paged = process.front.end_of(&world.alert).await;
    assert_eq!(paged["escalation"]["state"], "paged", "{paged:#}");
    assert_eq!(backtest().await["outcome"], "would-page");
    process.kill().await;
}
