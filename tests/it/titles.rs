//! Titles as people and monitors write them: lifecycle.md#which-incidents-are-alerts, and what a title says to holds
//! and suppression.

use std::time::Duration;

use serde_json::{Value, json};
use simulators::cluster::Answer as StatusAnswer;
use simulators::pagerduty::{Opening, Setup};
use simulators::scenario::Scenario;

use crate::harness::{QUICK, Stage, quick, told, until};
use crate::metrics::sum;
use crate::process::run;

const AUTO: (&str, &str) = ("ESCALATION_MODE", "auto");
const COUNTED: &str = "se_responder_titles_not_understood_total";

/// An incident of this title, and its webhook's answer.
async fn triggered(stage: &Stage, title: &str) -> (String, String) {
    let id = stage.world.pagerduty.open(Opening::new(title, Setup::REGISTRY)).id;
    let body = stage.world.pagerduty.webhook_body("incident.triggered", &id);
    let answer = stage.front.signed(&body).await.is(202).word().to_owned();
    (id, answer)
}

#[tokio::test]
async fn a_title_that_is_not_exactly_an_alerts_is_diagnosed_told_and_its_page_held() {
    let stage = Stage::quick(&[AUTO]).await;
    for title in [
        "[FIRING:1] All SE endpoints down in prod-us-south (registry-healthcheck critical)",
        "All SE endpoints down in prod-us-south.",
        "all se endpoints DOWN in PROD-US-SOUTH",
        "All SE endpoints down in prod-us-south - bridge 42",
    ] {
        let (id, answer) = triggered(&stage, title).await;
        assert_eq!(answer, "accepted", "{title}");
        let run = stage.front.end_of(&id).await;
        assert_eq!((&run["region"], &run["escalation"]["state"]), (&json!("prod-us-south"), &json!("held")), "{title}");
        let reason =
            format!("the alert's title is not exactly \"All SE endpoints down in prod-us-south\", it is \"{title}\"");
        assert_eq!(run["escalation"]["reason"], reason);
        let last = format!("run {}", run["id"].as_str().expect("an id"));
        let notes = stage.world.pagerduty.notes_of(&id);
        let note = notes.iter().find(|n| n.content.ends_with(&last)).expect("a note").content.clone();
        assert!(note.contains(title), "{title}: {note}");
        stage.world.pagerduty.resolve(&id, None);
    }
    assert!(stage.world.pagerduty.pages().is_empty());
}

#[tokio::test]
async fn the_note_says_what_the_title_was_where_no_page_is_wanted_too() {
    let stage = Stage::of("registry-down", &[]).await;
    let title = "All SE endpoints down in prod-us-south, all zones";
    let (id, _) = triggered(&stage, title).await;
    stage.front.end_of(&id).await;
    let notes = stage.world.pagerduty.notes_of(&id);
    let says = "The alert's title is not exactly \"All SE endpoints down in prod-us-south\"";
    assert!(notes.iter().any(|n| n.content.contains(says) && n.content.contains(title)), "{notes:#?}");
}

#[tokio::test]
async fn a_leading_tag_alone_holds_nothing() {
    let stage = Stage::quick(&[AUTO]).await;
    let (id, _) = triggered(&stage, " [FIRING:1] [sev 1]All SE endpoints down in prod-us-south").await;
    let run = stage.front.end_of(&id).await;
    assert_eq!(run["escalation"]["state"], "paged", "{}", run["escalation"]);
}

#[tokio::test]
async fn what_an_alert_is_renamed_to_holds_its_page_and_keeps_its_region() {
    let stage = Stage::quick(&[AUTO]).await;
    let body = stage.world.pagerduty.webhook_body("incident.triggered", &stage.world.alert);
    stage.world.pagerduty.rename(&stage.world.alert, "SE endpoints down, see the bridge");
    assert_eq!(stage.front.signed(&body).await.is(202).word(), "accepted");
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!((&run["region"], &run["escalation"]["state"]), (&json!("prod-us-south"), &json!("held")));
    let before = sum(&stage, COUNTED).await;
    told(&stage.front, &stage.world, &run).await;
    // By its region, not by what it is called now; and it is not counted, since it is diagnosed.
    stage.front.post("/rerun", &stage.this_alert()).await.is(202);
    let again = stage.front.end_of(&stage.world.alert).await;
    assert_eq!((&again["region"], &again["trigger"]), (&json!("prod-us-south"), &json!("rerun")));
    assert!((sum(&stage, COUNTED).await - before).abs() < 5.0, "other stories count too");
}

/// Whatever people have made of its title, an alert does not explain itself, nor is it named beside itself.
#[tokio::test]
async fn an_alert_that_is_called_like_what_would_explain_it_does_not_explain_itself() {
    let glb = "DOWN | Origin - reg-glob-mars-endpoint-01 | Pool - reg-glob | Response code mismatch error";
    for (title, has_file) in [("All Public endpoints down in prod-us-south", true), (glb, true), (glb, false)] {
        let mut stage = Stage::quick(&[]).await;
        if !has_file {
            // Then nobody's GLB zone would only be named.
            stage.restart(&[("REGIONS_FILE", ""), ("ESCALATION_MODE", "suggest")]).await;
        }
        let body = stage.world.pagerduty.webhook_body("incident.triggered", &stage.world.alert);
        stage.world.pagerduty.rename(&stage.world.alert, title);
        assert_eq!(stage.front.signed(&body).await.is(202).word(), "accepted");
        let run = until("a run that is suppressed or over", async || {
            let run = stage.front.runs_of(&stage.world.alert).await.remove(0);
            (run["state"] == "suppressed" || !run["finished_at"].is_null()).then_some(run)
        })
        .await;
        assert_eq!((&run["state"], &run["related"]), (&json!("done"), &json!([])), "{title}, {has_file}");
    }
}

#[tokio::test]
async fn a_title_that_is_not_understood_is_ignored_counted_and_named_by_doctor() {
    let stage = Stage::quick(&[("PUBLIC_URL", "https://se.example.com")]).await;
    let titles = [
        "RESOLVED? All SE endpoints down in prod-us-south",
        "SE Endpoints Down: prod-us-south",
        "All SE endpoints down in prod_us_south",
        "All SE endpoints down in",
        "All  SE  endpoints down in prod-us-south / SE ENDPOINTS DOWN",
    ];
    let before = sum(&stage, COUNTED).await;
    let mut ids = Vec::new();
    for title in titles {
        let (id, answer) = triggered(&stage, title).await;
        assert_eq!(answer, "ignored", "{title}");
        stage.front.post("/rerun", &json!({"incident_id": id})).await.is_problem(422);
        ids.push(id);
    }
    until("all to be counted", async || (sum(&stage, COUNTED).await >= before + 5.0).then_some(())).await;
    assert_eq!(stage.front.get("/api/runs").await["runs"], json!([]));

    stage.world.subscribe("https://se.example.com");
    let settings = crate::harness::settings_of(&stage.world, &[("PUBLIC_URL", "https://se.example.com")]);
    let doctor = run(&["doctor", "--json"], &settings, "").await;
    let report: Value = serde_json::from_str(&doctor.stdout).expect("JSON");
    let check = report["checks"].as_array().expect("checks").iter().find(|c| c["name"] == "titles").expect("titles");
    assert_eq!((&check["state"], doctor.code), (&json!("warning"), Some(0)), "a warning never fails it: {report:#}");
    for (id, title) in ids.iter().zip(titles) {
        let detail = check["detail"].as_str().expect("text");
        assert!(detail.contains(id) && detail.contains(title), "{detail}");
    }
}

/// What `doctor` says of titles.
async fn doctor_on_titles(stage: &Stage) -> Value {
    let settings = crate::harness::settings_of(&stage.world, &[]);
    let settings = [settings, stage.database()].concat();
    let doctor = run(&["doctor", "--json"], &settings, "").await;
    let report: Value = serde_json::from_str(&doctor.stdout).expect("JSON");
    report["checks"].as_array().expect("checks").iter().find(|c| c["name"] == "titles").expect("titles").clone()
}

#[tokio::test]
async fn doctor_names_every_open_incident_that_nobody_diagnoses_and_no_alert_that_somebody_does() {
    let stage = Stage::quick(&[]).await;
    stage.diagnosed().await;
    let pagerduty = &stage.world.pagerduty;
    // It is diagnosed by its region, whatever it is called now.
    pagerduty.rename(&stage.world.alert, "SE endpoints down, see the bridge");
    assert_eq!(doctor_on_titles(&stage).await["state"], "ok");
    let odd: Vec<String> =
        (0..12).map(|n| pagerduty.open(Opening::new(&format!("SE endpoints down: {n}"), Setup::REGISTRY)).id).collect();
    // Of one not even the id can be read.
    let spoilt = pagerduty.open(Opening::new("SE endpoints down, unreadable", Setup::REGISTRY)).id;
    pagerduty.spell(&format!("\"id\":\"{spoilt}\""), b"\"id\":7");
    let check = doctor_on_titles(&stage).await;
    let detail = check["detail"].as_str().expect("text");
    assert_eq!(check["state"], "warning", "{check}");
    for id in &odd {
        assert!(detail.contains(id), "{id}: {detail}");
    }
    assert!(detail.contains("; 7"), "{detail}");
    assert!(!detail.contains(&stage.world.alert), "{detail}");
}

#[tokio::test]
async fn a_title_is_read_in_a_list_as_in_its_webhook() {
    let stage = Stage::quick(&[AUTO, ("RECONCILE_INTERVAL", "200ms")]).await;
    let titles = ["All SE endpoints down in\tprod-us-south", "All SE endpoints\ndown in prod-us-south"];
    for title in titles {
        let (id, answer) = triggered(&stage, title).await;
        assert_eq!(answer, "ignored", "{title:?}");
        stage.world.pagerduty.forget_requests();
        let looks = || stage.world.pagerduty.requests().iter().filter(|r| r.path == "/incidents").count();
        // The second begins when all of the first is done with.
        until("two looks at what is open", async || (looks() >= 2).then_some(())).await;
        assert_eq!(stage.front.runs_of(&id).await, Vec::<Value>::new(), "{title:?}");
        stage.world.pagerduty.resolve(&id, None);
    }
    // What ends in a line end is the alert, exactly.
    let (id, answer) = triggered(&stage, "[[prod]] All SE endpoints down in prod-us-south\r\n").await;
    assert_eq!(answer, "accepted");
    let run = stage.front.end_of(&id).await;
    assert_eq!(run["escalation"]["state"], "paged", "{}", run["escalation"]);
}

#[tokio::test]
async fn a_region_is_the_one_that_people_see_in_the_title() {
    let stage = Stage::quick(&[AUTO]).await;
    let (id, answer) = triggered(&stage, "All SE endpoints down in prod-us-south\u{200b}-2").await;
    assert_eq!(answer, "accepted");
    let run = stage.front.end_of(&id).await;
    assert_eq!((&run["region"], &run["escalation"]["page"]), (&json!("prod-us-south-2"), &Value::Null));
}

#[tokio::test]
async fn ours_and_the_escalation_services_titles_are_not_counted() {
    let stage = Stage::quick(&[]).await;
    let odd = "SE endpoints down: prod-us-south";
    let ours = Opening { incident_key: Some("se-responder/Q1".into()), ..Opening::new(odd, Setup::REGISTRY) };
    stage.world.pagerduty.open(ours);
    stage.world.pagerduty.open(Opening::new(odd, Setup::SERVICE_ENDPOINT));
    let settings = crate::harness::settings_of(&stage.world, &[]);
    let doctor = run(&["doctor", "--json"], &settings, "").await;
    let report: Value = serde_json::from_str(&doctor.stdout).expect("JSON");
    let check = report["checks"].as_array().expect("checks").iter().find(|c| c["name"] == "titles").expect("titles");
    assert_eq!(check["state"], "ok", "{check}");
}

/// Settings with a regions file of this text.
fn regions(stage: &Stage, text: &str) -> String {
    let path = stage.world.path("other-regions.toml");
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

fn region(name: &str, glb: &str) -> String {
    let zones = (1..=3).map(|n| format!("[[regions.zones]]\ncluster = \"registry-{name}-az{n}\"\n"));
    format!("[[regions]]\nname = \"{name}\"\nglb_zones = [{glb}]\n{}", zones.collect::<String>())
}

#[tokio::test]
async fn an_origin_page_of_nobodys_region_is_dealt_with_first_and_another_regions_is_not() {
    let title = |zone: &str| {
        format!("[x] DOWN | Origin - reg-glob-{zone}-endpoint-01 | Pool - reg-glob | Response code mismatch error.")
    };
    let south = region("prod-us-south", "");
    let both = region("prod-us-south", "") + &region("prod-eu-de", "\"fra\"");
    let lists = region("prod-us-south", "\"dal\"");
    for (file, zone, explains) in [
        (&south, "mars", true),
        (&both, "mars", true),
        (&both, "us-south-dal10", true),
        (&both, "eu-de-1", false),
        (&both, "FRA", false),
        (&lists, "mars", false),
        (&lists, "us-south", false),
        (&lists, "DAL", true),
    ] {
        let mut stage = Stage::quick(&[AUTO]).await;
        let file = regions(&stage, file);
        stage.restart(&[("REGIONS_FILE", &file), ("SUPPRESSION_MAX", "10m")]).await;
        stage.world.pagerduty.open(Opening::new(&title(zone), Setup::REGISTRY));
        stage.alert("incident.triggered").await.is(202);
        let state = until("a run that is suppressed or over", async || {
            let run = stage.front.runs_of(&stage.world.alert).await.remove(0);
            let over = run["state"] == "suppressed" || !run["finished_at"].is_null();
            over.then(|| (run["state"].clone(), run["escalation"]["state"].clone()))
        })
        .await;
        let expected = if explains { ("suppressed", "none") } else { ("done", "held") };
        assert_eq!(state, (json!(expected.0), json!(expected.1)), "{zone}: {file}");
    }
}

#[tokio::test]
async fn without_a_regions_file_nobodys_origin_page_is_only_named_and_holds() {
    let mut stage = Stage::quick(&[]).await;
    // Empty is as if it were not set.
    stage.restart(&[("REGIONS_FILE", ""), ("ESCALATION_MODE", "suggest")]).await;
    let title = "DOWN | Origin - reg-glob-mars-endpoint-01 | Pool - reg-glob | Response code mismatch error";
    stage.world.pagerduty.open(Opening::new(title, Setup::REGISTRY));
    let run = stage.diagnosed().await;
    assert_eq!((&run["state"], &run["related"][0]["title"]), (&json!("done"), &json!(title)));
    let reason = run["escalation"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("reg-glob-mars"), "{reason}");
}

/// What the alert itself is on is asked of PagerDuty, not of its list.
#[tokio::test]
async fn registrys_pages_are_found_though_no_list_shows_the_alert() {
    let scenario = Scenario { clusters: |plan, _| Some(plan.answering(StatusAnswer::Status(404))), ..*quick() };
    let stage = Stage::on(Box::leak(Box::new(scenario)), QUICK).await;
    let pagerduty = &stage.world.pagerduty;
    let hour_ago = pagerduty.incident(&stage.world.alert).expect("it").created_at - jiff::SignedDuration::from_hours(1);
    let slow = Opening::new("registry-prod-us-south-az1 is slow", Setup::REGISTRY);
    let own = pagerduty.open(Opening { created_at: Some(hour_ago), ..slow }).id;
    pagerduty.set_lag(Duration::from_secs(60));
    let (alert, _) = triggered(&stage, "All SE endpoints down in prod-us-south").await;
    let run = stage.front.end_of(&alert).await;
    assert_eq!(run["diagnosis"]["zones"][0]["checks"]["registry_pages"][0]["id"], own, "{}", run["diagnosis"]);
}

#[tokio::test]
async fn registrys_pages_are_found_over_its_policy_and_teams_in_any_case() {
    let scenario = Scenario { clusters: |plan, _| Some(plan.answering(StatusAnswer::Status(404))), ..*quick() };
    let stage = Stage::on(Box::leak(Box::new(scenario)), QUICK).await;
    let pagerduty = &stage.world.pagerduty;
    // Cloud Service Endpoint (staging) is nobody of Registry's at first.
    let nobodys = pagerduty.open(Opening::new("registry-prod-us-south-az1 is slow", "PCLDSTG")).id;
    let own = pagerduty.open(Opening::new("Pods of REGISTRY-prod-us-south-az1 restart", Setup::REGISTRY)).id;
    let region_wide = pagerduty.open(Opening::new("Konicle down in Prod-US-South.", Setup::REGISTRY)).id;
    pagerduty.open(Opening::new("konicle down in prod-us-south-2", Setup::REGISTRY));
    pagerduty.open(Opening::new("registry-prod-us-south-az11 is slow", Setup::REGISTRY));
    let pages = async |run: &Value| {
        let zones = run["diagnosis"]["zones"].as_array().expect("zones").clone();
        let ids = |n: usize| {
            let pages = zones[n]["checks"]["registry_pages"].as_array().expect("pages").iter();
            pages.map(|p| p["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
        };
        (ids(0), ids(1))
    };
    let first = stage.diagnosed().await;
    assert_eq!(pages(&first).await, (vec![own.clone(), region_wide.clone()], vec![region_wide.clone()]));

    for by_team in [true, false] {
        if by_team {
            pagerduty.add_team(Setup::REGISTRY, "TREG");
            pagerduty.add_team("PCLDSTG", "TREG");
        } else {
            pagerduty.clear_teams();
            pagerduty.share_policy("PCLDSTG", Setup::REGISTRY);
        }
        stage.front.post("/rerun", &stage.this_alert()).await.is(202);
        let run = stage.front.end_of(&stage.world.alert).await;
        assert_eq!(pages(&run).await.0, [nobodys.clone(), own.clone(), region_wide.clone()], "by team: {by_team}");
    }
}
