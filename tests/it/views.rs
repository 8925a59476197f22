//! What somebody who was woken sees first, without a script: of a run, and in the list.

use std::time::Duration;

use simulators::pagerduty::{Opening, Setup};
use simulators::scenario::Scenario;
use simulators::world::{OPERATOR_TOKEN, VIEWER_TOKEN};

use crate::harness::{PATIENCE, QUICK, Stage, quick, showing, until};
use crate::pages::form_key;

/// A view as a viewer gets it.
async fn seen(stage: &Stage, path: &str) -> String {
    let page = stage.front.page(path, &[("authorization", &format!("Bearer {VIEWER_TOKEN}"))]).await;
    page.is(200).body.as_str().expect("a view").to_owned()
}

/// Whether the parts stand in a view in this order.
fn in_order(view: &str, parts: &[&str]) {
    let mut rest = view;
    for part in parts {
        rest =
            rest.split_once(part).unwrap_or_else(|| panic!("{part} is missing, or before what it follows: {view}")).1;
    }
}

#[tokio::test]
async fn a_runs_view_begins_with_verdict_region_alert_advice_page_and_every_zones_path() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
    let run = stage.diagnosed().await;
    let path = format!("/runs/{}", run["id"].as_str().expect("an id"));
    let view = seen(&stage, &path).await;
    in_order(
        &view,
        &[
            "<title>Service Endpoint · prod-us-south · done",
            "/assets/icon-se.svg",
            "word\">Service Endpoint<",
            "Alert open <time datetime=\"",
            "<h1>",
            "prod-us-south",
            "class=\"do-now\"",
            "class=\"was-paged\"",
            "id=\"path\"",
            "as of <time datetime=\"",
            ">az1<",
            ">az2<",
            ">az3<",
            "start here",
            "id=\"reach\"",
        ],
    );
    assert_eq!(view.matches("start here").count(), 1, "{view}");
    // Zones stand in the order in which to look at them.
    let focus = run["diagnosis"]["focus"].as_array().expect("zones");
    let titles: Vec<String> = focus.iter().map(|zone| format!("<h2>{}", zone.as_str().expect("a zone"))).collect();
    in_order(&view, &titles.iter().map(String::as_str).collect::<Vec<_>>());
    // Folded: the raw note, and how to page.
    for folded in
        ["<details id=\"note-text\">", "<details id=\"escalate\" class=\"ask wanted\">", "<details id=\"sent-text\">"]
    {
        assert!(view.contains(folded), "{folded}: {view}");
    }
    // One tap copies an ID, a command, all IDs, the text to hand over.
    let id = run["diagnosis"]["zones"][0]["boxes"][0]["magic_box_id"].as_str().expect("an ID");
    let an_id = format!("data-text=\"{id}\"");
    for copied in [
        an_id.as_str(),
        "data-text=\"kubectl --context registry-prod-us-south-az1",
        "data-copy=\"ids\"",
        "data-copy=\"hand-over\"",
    ] {
        assert!(view.contains(copied), "{copied}: {view}");
    }
    let link = run["incident"]["html_url"].as_str().expect("a link");
    in_order(&view, &["id=\"reach\"", &format!("class=\"button\" href=\"{link}\"")]);
    let icon = stage.front.page("/assets/icon-se.svg", &[]).await;
    assert_eq!(icon.is(200).headers["content-type"], "image/svg+xml");
    stage.front.page("/assets/icon-nothing.svg", &[]).await.is(404);
}

#[tokio::test]
async fn who_pages_sees_first_what_will_be_sent_and_what_speaks_against_it() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
    let run = stage.diagnosed().await;
    let path = format!("/runs/{}", run["id"].as_str().expect("an id"));
    let cookie = stage.front.signed_in(OPERATOR_TOKEN).await;
    let view = stage.front.page(&path, &[("cookie", &cookie)]).await.is(200).body.as_str().expect("a view").to_owned();
    in_order(
        &view,
        &[
            "Page Cloud Service Endpoint?",
            "What speaks against it",
            "What will be sent",
            "All SE endpoints are down in registry region prod-us-south, every Magic Box rejects connections",
            "MAGIC BOXES",
            "Yes, page them now",
            "data-shut=\"escalate\">Back<",
        ],
    );
    let page = view.split_once("id=\"sent-text\"").expect("what will be sent").1.to_owned();
    let form = stage.front.post("/escalate", &serde_json::json!({"incident_id": stage.world.alert})).await;
    form.is(202);
    let sent = until("the page", async || stage.world.pagerduty.pages().first().cloned()).await;
    // What was shown is what was sent: its title, and each line about a box.
    assert!(view.contains(&sent.title), "{}", sent.title);
    for id in run["diagnosis"]["zones"].as_array().expect("zones").iter().map(|zone| &zone["boxes"][0]["magic_box_id"])
    {
        assert!(page.contains(id.as_str().expect("an ID")), "{id}: {page}");
    }
}

#[tokio::test]
async fn the_list_begins_with_what_needs_somebody_until_it_is_over() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
    let run = stage.diagnosed().await;
    let id = run["id"].as_str().expect("an id");
    let list = seen(&stage, "/").await;
    let link = format!("href=\"/runs/{id}\"");
    in_order(
        &list,
        &["<title>(1) Runs", "<h1>Runs", &link, "Not paged: needs approval", "approve the page", "id=\"health\""],
    );
    assert!(!list.contains("id=\"at-once\""), "one region is none of several: {list}");
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    stage.alert("incident.resolved").await.is(202);
    until("nobody to be needed", async || {
        let list = seen(&stage, "/").await;
        (!list.contains("id=\"needs\"") && list.contains("Alert resolved")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn several_regions_within_five_minutes_are_one_banner_without_the_healthcheck_cluster_unless_all_suspect_it() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
    stage.diagnosed().await;
    let other = stage.world.pagerduty.open(Opening::new("All SE endpoints down in prod-eu-de", Setup::REGISTRY)).id;
    stage.front.signed(&stage.world.pagerduty.webhook_body("incident.triggered", &other)).await.is(202);
    let list = until("the banner", async || {
        let list = seen(&stage, "/").await;
        list.contains("id=\"at-once\"").then_some(list)
    })
    .await;
    in_order(
        &list,
        &["2 regions alerted within 1 min", "prod-eu-de", "prod-us-south", "Likely one cause.", "id=\"health\""],
    );
    assert!(!list.contains("healthcheck cluster"), "{list}");
}

#[tokio::test]
async fn while_the_run_goes_on_what_will_be_sent_is_what_is_known_so_far() {
    let stage = Stage::slow(&[("ESCALATION_MODE", "suggest")]).await;
    stage.alert("incident.triggered").await.is(202);
    let id = until("the run", async || {
        let runs = stage.front.runs_of(&stage.world.alert).await;
        runs.first().and_then(|run| run["id"].as_str()).map(str::to_owned)
    })
    .await;
    let view = seen(&stage, &format!("/runs/{id}")).await;
    in_order(&view, &["Page anyway", "There is no diagnosis yet", "What will be sent, as far as is known now<"]);
}

#[tokio::test]
async fn a_look_that_was_announced_and_whose_time_has_passed_is_not_said_to_be_to_come() {
    const FOLLOW_UP: Duration = Duration::from_secs(1);
    // It has recovered in the re-run; the build of the look after that never ends.
    let recovers = Scenario {
        builds: |asked| showing(asked, i32::from(asked.nth > 1), 1, Duration::from_millis(100)),
        ..*quick()
    };
    let follow_up = format!("{}s", FOLLOW_UP.as_secs());
    let settings = [QUICK, &[("FOLLOW_UP", follow_up.as_str())]].concat();
    let stage = Stage::on(Box::leak(Box::new(recovers)), &settings).await;
    stage.world.jenkins.hold_builds(3);
    let run = stage.diagnosed().await;
    assert_eq!(run["diagnosis"]["verdict"]["rule"], "recovered-on-rerun");
    assert!(stage.note_of(&run).content.contains("this service looks again at "), "{}", stage.note_of(&run).content);
    let path = format!("/runs/{}", run["id"].as_str().expect("an id"));
    until("the announced look's time to pass", async || {
        let view = seen(&stage, &path).await;
        let head =
            view.split_once("class=\"do-now\"").expect("what to do now").1.split_once("</p>").expect("its end").0;
        (head.contains("reply /rerun") && !head.contains("looks again")).then_some(())
    })
    .await;
    let runs = stage.front.runs_of(&stage.world.alert).await;
    assert!(runs.len() <= 2, "it is not that all follow-ups are made: {runs:#?}");
}

#[tokio::test]
async fn the_list_is_told_of_changes_until_its_session_ends() {
    let stage = Stage::quick(&[]).await;
    let cookie = stage.front.signed_in(VIEWER_TOKEN).await;
    let signed_in = [("cookie", cookie.as_str())];
    let stream = stage.front.http.get(format!("{}/live", stage.front.url)).header("cookie", &cookie);
    let mut stream = stream.send().await.expect("a stream").error_for_status().expect("a stream");
    let run = stage.diagnosed().await;
    let id = run["id"].as_str().expect("an id");
    let told = async {
        let mut text = String::new();
        while !(text.contains(id) && text.contains("event: run") && text.contains("\"done\"")) {
            text.push_str(&String::from_utf8_lossy(&stream.chunk().await.expect("a stream").expect("more of it")));
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("the run's end in the stream");
    let list = stage.front.page("/", &signed_in).await;
    let key = form_key(&list);
    stage.front.form("/sign-out", &[("form_key", &key)], &signed_in).await.is(303);
    let ends = async { while stream.chunk().await.expect("an orderly end").is_some() {} };
    tokio::time::timeout(PATIENCE, ends).await.expect("it ends with its session");
    stage.front.page("/live", &signed_in).await.is(401);
}
