//! A mixed reading sends nobody to page, and is looked at again; and what a view says of the page is of one piece: head,
//! chip and verdict.

use std::time::Duration;

use serde_json::{Value, json};
use simulators::jenkins::{Asked, BuildPlan};
use simulators::scenario::Scenario;

use crate::harness::{Answer, QUICK, Stage, quick, rejecting, showing, until};

fn mixed(_: &Asked) -> BuildPlan {
    let boxes = [(1, 1, 0), (2, 0, 1), (3, 1, 1)];
    let zones = boxes.map(|(n, se, upstream)| (format!("registry-prod-us-south-az{n}"), se, upstream));
    let boxes: Vec<_> = zones.iter().map(|(zone, se, upstream)| (zone.as_str(), 1, *se, *upstream)).collect();
    BuildPlan::showing(&boxes, Duration::from_millis(100))
}

fn accepting(asked: &Asked) -> BuildPlan {
    showing(asked, 1, 0, Duration::from_millis(100))
}

async fn stage(builds: fn(&Asked) -> BuildPlan, settings: &[(&str, &str)]) -> Stage {
    let scenario = Scenario { builds, ..*quick() };
    Stage::on(Box::leak(Box::new(scenario)), &[QUICK, settings].concat()).await
}

#[tokio::test]
async fn a_mixed_reading_names_candidates_and_is_looked_at_again() {
    let stage = stage(mixed, &[("ESCALATION_MODE", "auto"), ("FOLLOW_UP", "200ms")]).await;
    stage.alert("incident.triggered").await.is(202);
    let runs = until("three follow-ups", async || {
        let runs = stage.front.runs_of(&stage.world.alert).await;
        (runs.len() == 4 && runs.iter().all(|run| run["state"] == "done")).then_some(runs)
    })
    .await;
    assert!(runs[..3].iter().all(|run| run["trigger"] == "follow-up"), "{runs:#?}");
    for run in &runs {
        let verdict = &run["diagnosis"]["verdict"];
        assert_eq!((&verdict["rule"], &run["escalation"]["state"]), (&json!("mixed-status"), &json!("none")));
    }
    assert_eq!(stage.world.pagerduty.pages().len(), 0);
    let note = stage.note_of(&runs[3]).content;
    assert!(note.contains(": unchanged."), "the same again is an edit: {note}");
    let head: Vec<&str> = note.lines().take(3).collect();
    assert!(head[1].contains("look at registry-prod-us-south-az2 again, reply /rerun."), "{note}");
    assert!(head[1].contains("reply /escalate") && head[2].contains("one reading may be transient"), "{note}");
    assert!(!head.join(" ").contains("age Cloud Service Endpoint"), "{note}");
    let run = stage.front.run(runs[3]["id"].as_str().expect("an id")).await;
    let id = run["diagnosis"]["zones"][1]["boxes"][0]["magic_box_id"].as_str().expect("an id");
    let candidates =
        "Candidates for Cloud Service Endpoint only: look again, /rerun, then /escalate if it is the same.";
    assert!(note.contains(&format!("{candidates} Magic Box IDs:\n- {id} (0:1)\n")), "{note}");
}

/// The text of a run's view between two marks.
fn between<'a>(view: &'a str, from: &str, to: &str) -> &'a str {
    let rest = view.split_once(from).unwrap_or_else(|| panic!("{from} in {view}")).1;
    rest.split_once(to).expect("its end").0
}

#[tokio::test]
async fn head_chip_and_verdict_say_the_same_of_the_page() {
    let (auto, suggest, off) =
        ([("ESCALATION_MODE", "auto")], [("ESCALATION_MODE", "suggest")], [("ESCALATION_MODE", "off")]);
    for (builds, settings, chip) in [
        (mixed as fn(&Asked) -> BuildPlan, auto, "No page suggested"),
        (mixed, off, "No page suggested"),
        (accepting, auto, "No page suggested"),
        (rejecting, off, "Nobody was paged: page by hand"),
        (rejecting, suggest, "Not paged: needs approval"),
        (rejecting, auto, "Paged"),
    ] {
        let stage = stage(builds, &settings).await;
        let run = stage.diagnosed().await;
        says_the_same(&stage, &run, chip).await;
        if settings == off && chip.contains("by hand") {
            let by_region = stage.front.post("/rerun", &json!({"region": "prod-us-south"})).await.is(202).body.clone();
            let run = stage.front.ended(by_region["run_id"].as_str().expect("an id")).await;
            says_the_same(&stage, &run, chip).await;
        }
    }
}

async fn says_the_same(stage: &Stage, run: &Value, chip: &str) {
    let address = format!("{}/runs/{}", stage.front.url, run["id"].as_str().expect("an id"));
    let view = stage.front.http.get(address).bearer_auth(simulators::world::VIEWER_TOKEN);
    let view = Answer::of(view.header("accept", "text/html")).await.is(200).body.as_str().expect("a view").to_owned();
    let section = between(&view, "<section id=\"page\"", "</section>");
    let shown = between(section, "<span class=\"chip ", "</span>").split_once('>').expect("its words").1;
    assert_eq!(shown, chip);
    let head = between(&view, "<p class=\"do-now\">", "</section>");
    let (now, paged) = head.split_once("<p class=\"was-paged\">").expect("whether somebody was paged");
    match chip {
        "No page suggested" => {
            assert!(!head.contains("age Cloud Service Endpoint"), "{head}");
            assert!(paged.starts_with("Nobody was paged: "), "{head}");
        }
        "Paged" => assert!(paged.starts_with("Paged: ") && !now.contains("page Cloud Service Endpoint"), "{head}"),
        _ => {
            assert!(now.contains("page Cloud Service Endpoint") && paged.starts_with("NOBODY WAS PAGED"), "{head}");
            assert_eq!(chip.ends_with("by hand"), paged.contains("by hand"), "{head}");
        }
    }
}
