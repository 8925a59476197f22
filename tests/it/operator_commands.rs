//! Commands that ask the service, or say what a start would find: `rerun`, `trigger --wait`, `check`, `healthcheck`,
//! `migrate --check`, `completions`, `man`.

use std::time::Duration;

use outbound::clock::SystemClock;
use simulators::scenario::Scenario;
use simulators::world::{OPERATOR_TOKEN, VIEWER_TOKEN, WEBHOOK_SECRET, World};

use crate::harness::{QUICK, Stage, owned, quick, settings_of, showing, until};
use crate::process::{run, run_unread};

const TITLE: &str = "All SE endpoints down in prod-us-south";

/// What an operator's shell has.
fn shell(stage: &Stage, token: &str) -> Vec<(String, String)> {
    let address = stage.front.url.trim_start_matches("http://");
    owned(&[("SE_RESPONDER_TOKEN", token), ("LISTEN_ADDR", address), ("PAGERDUTY_WEBHOOK_SECRETS", WEBHOOK_SECRET)])
}

#[tokio::test]
async fn rerun_asks_for_a_run_and_follows_it_to_its_end() {
    let stage = Stage::quick(&[]).await;
    let first = stage.diagnosed().await;
    let settings = shell(&stage, OPERATOR_TOKEN);
    let asked = run(&["rerun", &stage.world.alert], &settings, "").await;
    assert_eq!(asked.code, Some(0), "{}", asked.stderr);
    assert!(
        asked.stdout.contains("/runs/") && !asked.stdout.contains(first["id"].as_str().unwrap()),
        "{}",
        asked.stdout
    );
    stage.front.end_of(&stage.world.alert).await;
    let url = first["incident"]["html_url"].as_str().unwrap().to_owned();
    let followed = run(&["rerun", &url, "--wait", "--url", &stage.front.url], &settings, "").await;
    assert_eq!(followed.code, Some(0), "{}", followed.stderr);
    assert!(followed.stdout.contains("done: service_endpoint."), "{}", followed.stdout);
    assert_eq!(stage.front.runs_of(&stage.world.alert).await.len(), 3);
    let region = run(&["rerun", "--region", "prod-us-south", "--wait"], &settings, "").await;
    assert_eq!((region.code, region.stdout.contains("done: ")), (Some(0), true), "{}", region.stderr);
}

#[tokio::test]
async fn at_a_409_rerun_follows_the_active_run() {
    let stage = Stage::slow(&[]).await;
    stage.alert("incident.triggered").await.is(202);
    let settings = shell(&stage, OPERATOR_TOKEN);
    let active = until("a run", async || stage.front.runs_of(&stage.world.alert).await.pop()).await;
    let id = active["id"].as_str().unwrap();
    let without = run(&["rerun", &stage.world.alert], &settings, "").await;
    assert_eq!(without.code, Some(0), "{}", without.stderr);
    assert!(without.stdout.contains(id) && without.stdout.contains("active already"), "{}", without.stdout);
    let follow = ["rerun", &stage.world.alert, "--wait"];
    let end = async {
        stage.world.pagerduty.resolve(&stage.world.alert, None);
        stage.alert("incident.resolved").await.is(202);
    };
    let (following, ()) = tokio::join!(run(&follow, &settings, ""), end);
    // The alert is over: what was read by then tells nothing.
    assert_eq!(following.code, Some(1), "{}{}", following.stdout, following.stderr);
}

#[tokio::test]
async fn what_rerun_is_refused_is_said() {
    let stage = Stage::quick(&[]).await;
    for (token, incident, code, says) in [
        ("no-such-token-0123", stage.world.alert.as_str(), 1, "401"),
        (VIEWER_TOKEN, &stage.world.alert, 1, "403"),
        (OPERATOR_TOKEN, "QNOBODY", 1, "404"),
    ] {
        let refused = run(&["rerun", incident], &shell(&stage, token), "").await;
        assert_eq!((refused.code, refused.stderr.contains(says)), (Some(code), true), "{}", refused.stderr);
        assert!(!refused.stderr.contains(token), "{}", refused.stderr);
    }
    let unset = run(&["rerun", "Q1"], &[], "").await;
    assert_eq!((unset.code, unset.stderr.contains("SE_RESPONDER_TOKEN")), (Some(2), true), "{}", unset.stderr);
    for wrong in [&["rerun"][..], &["rerun", "Q1", "--region", "prod-us-south"], &["rerun", "--region", "Prod US"]] {
        assert_eq!(run(wrong, &shell(&stage, OPERATOR_TOKEN), "").await.code, Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn trigger_follows_its_run_and_exits_by_its_outcome() {
    let stage = Stage::quick(&[]).await;
    let drill = run(&["trigger", "--title", TITLE, "--wait"], &shell(&stage, OPERATOR_TOKEN), "").await;
    assert_eq!(drill.code, Some(0), "{}", drill.stderr);
    assert!(drill.stdout.contains("accepted") && drill.stdout.contains("done: service_endpoint."), "{}", drill.stdout);
    // One that shows no box: inconclusive.
    let scenario = Scenario { builds: |asked| showing(asked, 7, 7, Duration::ZERO), ..*quick() };
    let stage = Stage::on(Box::leak(Box::new(scenario)), QUICK).await;
    let to = format!("{}/webhooks/pagerduty", stage.front.url);
    let arguments = ["trigger", "--title", TITLE, "--incident-id", &stage.world.alert, "--url", &to, "--wait"];
    let ended = run(&arguments, &shell(&stage, OPERATOR_TOKEN), "").await;
    assert_eq!(
        (ended.code, ended.stderr.contains("inconclusive")),
        (Some(1), true),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    let unset = run(&["trigger", "--title", TITLE, "--wait"], &shell(&stage, OPERATOR_TOKEN)[2..], "").await;
    assert_eq!((unset.code, unset.stderr.contains("SE_RESPONDER_TOKEN")), (Some(2), true), "{}", unset.stderr);
}

#[tokio::test]
async fn check_reads_the_settings_offline_and_names_all_that_is_wrong() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let good = settings_of(&world, QUICK);
    let checked = run(&["check"], &good, "").await;
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    assert!(checked.stdout.contains("settings are good (1 region)"), "{}", checked.stdout);
    assert!(checked.left.is_empty() && world.pagerduty.requests().is_empty(), "{:?}", checked.left);
    let bad = [good, owned(&[("JENKINS_POLL", "soon"), ("ESCALATION_MODE", "maybe")])].concat();
    let bad = run(&["check"], &bad, "").await;
    assert_eq!(bad.code, Some(2));
    assert!(bad.stderr.contains("JENKINS_POLL") && bad.stderr.contains("ESCALATION_MODE"), "{}", bad.stderr);
}

#[tokio::test]
async fn healthcheck_asks_the_process_of_this_machine() {
    let stage = Stage::quick(&[]).await;
    let (_, port) = stage.front.url.rsplit_once(':').expect("a port");
    for address in [format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}")] {
        // A proxy is for others.
        let settings = owned(&[("LISTEN_ADDR", &address), ("HTTP_PROXY", "http://127.0.0.1:9")]);
        let well = run(&["healthcheck"], &settings, "").await;
        assert_eq!(well.code, Some(0), "{}", well.stderr);
    }
    let gone = run(&["healthcheck"], &owned(&[("LISTEN_ADDR", "127.0.0.1:9")]), "").await;
    assert_eq!((gone.code, gone.stderr.contains("/healthz")), (Some(1), true), "{}", gone.stderr);
}

#[tokio::test]
async fn migrate_check_says_what_a_start_would_change_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("se.db");
    let database = owned(&[("DATABASE_URL", &format!("sqlite://{}", file.display()))]);
    let absent = run(&["migrate", "--check"], &database, "").await;
    assert_eq!((absent.code, file.exists()), (Some(3), false), "{}{}", absent.stdout, absent.stderr);
    let stage = Stage::quick(&[]).await;
    let current = run(&["migrate", "--check"], &stage.database(), "").await;
    assert_eq!(current.code, Some(0), "{}{}", current.stdout, current.stderr);
    std::fs::write(&file, "no database").expect("written");
    let odd = run(&["migrate", "--check"], &database, "").await;
    assert_eq!(odd.code, Some(1), "{}{}", odd.stdout, odd.stderr);
    assert_eq!(run(&["migrate"], &database, "").await.code, Some(2), "it migrates nothing");
}

#[tokio::test]
async fn completions_and_the_manual_name_every_command() {
    let listed = run(&["--help"], &[], "").await.stdout;
    let commands: Vec<&str> = listed
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"serve") && commands.contains(&"rerun"), "{commands:?}");
    for arguments in [&["completions", "bash"][..], &["completions", "fish"], &["man"]] {
        let printed = run(arguments, &[], "").await;
        assert_eq!(printed.code, Some(0), "{}", printed.stderr);
        for command in &commands {
            assert!(printed.stdout.contains(command), "{command} in {arguments:?}");
        }
    }
}

/// `se-responder demo 2>&1 | head` ends as if it were read to its end.
#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    for arguments in [&["demo", "--scenario", "list"][..], &["demo", "--exit"], &["man"], &["completions", "bash"]] {
        assert_eq!(run_unread(arguments, &[]).await, Some(0), "{arguments:?}");
    }
    let unknown = ["demo", "--scenario", "no such"];
    assert_eq!(run_unread(&unknown, &[]).await, Some(2), "what is wrong is known by the code");
    assert_eq!(run_unread(&["doctor", "--json"], &[]).await, Some(2));
}
