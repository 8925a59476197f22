//! What happened to an alert, afterwards: through API and view, against PagerDuty's own log.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use reqwest::header::ACCEPT;
use serde_json::{Value, json};
use simulators::pagerduty::{Endpoint, Fault, Opening, Setup};
use simulators::world::{OPERATOR_TOKEN, VIEWER_TOKEN};

use crate::harness::{Answer, Stage, quick, until};

impl Stage {
    async fn timeline(&self, query: &str) -> Answer {
        let path = format!("/api/alerts/{}/timeline{query}", self.world.alert);
        self.front.get_as(VIEWER_TOKEN, &path).await
    }

    async fn timeline_accepting(&self, accept: &str, query: &str) -> Answer {
        let url = format!("{}/api/alerts/{}/timeline{query}", self.front.url, self.world.alert);
        Answer::of(self.front.http.get(url).bearer_auth(VIEWER_TOKEN).header(ACCEPT, accept)).await
    }
}

/// The entries of a source, by kind and text.
fn entries<'a>(timeline: &'a Value, source: &str) -> Vec<(&'a str, &'a str)> {
    let all = timeline["entries"].as_array().expect("entries");
    let of = all.iter().filter(|entry| entry["source"] == source);
    of.map(|entry| (entry["kind"].as_str().expect("a kind"), entry["text"].as_str().expect("a text"))).collect()
}

fn kinds<'a>(timeline: &'a Value, source: &str) -> Vec<&'a str> {
    entries(timeline, source).into_iter().map(|(kind, _)| kind).collect()
}

/// Holds the timeline of what a course has come to against what it was: each thing once, without times, ids and numbers, which
/// differ each time, and without the order that they give. What is still under way when the course ends is waited for.
pub(crate) async fn is_as_before(scenario: &str, stage: &Stage) {
    // A course may begin with another alert than the scenario's.
    let runs = stage.front.get("/api/runs?limit=200").await;
    let known = runs["runs"].as_array().expect("runs").iter().rev().filter_map(|run| run["incident"]["id"].as_str());
    let known: Vec<&str> = known.collect();
    let is_known = stage.timeline("").await.status == 200;
    let own = Some(stage.world.alert.as_str()).filter(|_| is_known);
    let path = format!("/api/alerts/{}/timeline", own.or(known.first().copied()).expect("an alert"));
    let told = async || {
        let timeline = stage.front.get_as(VIEWER_TOKEN, &path).await.is(200).body.clone();
        assert_eq!(timeline["complete"], true, "{scenario}: {timeline:#}");
        let entries = timeline["entries"].as_array().expect("entries").iter().map(plain);
        entries.collect::<BTreeSet<String>>().into_iter().collect::<Vec<_>>().join("\n")
    };
    let stored = format!("{}/tests/it/snapshots/it__timeline__{scenario}.snap", env!("CARGO_MANIFEST_DIR"));
    let before = std::fs::read_to_string(Path::new(&stored)).ok();
    let before = before.as_deref().and_then(|text| text.splitn(3, "---\n").nth(2)).map(str::trim_end);
    let mut seen = told().await;
    let waited = async {
        while before != Some(seen.as_str()) {
            tokio::time::sleep(Duration::from_millis(200)).await;
            seen = told().await;
        }
    };
    // Where it never is, the difference is shown.
    let _ = tokio::time::timeout(Duration::from_secs(30), waited).await;
    insta::assert_snapshot!(scenario, seen);
}

/// An entry without what differs each time.
fn plain(entry: &Value) -> String {
    let text = entry["text"].as_str().expect("a text");
    let steady = |word: &&str| ["registry-", "prod-", "SE=", "upstream="].iter().any(|start| word.starts_with(start));
    let words = text.split_whitespace().map(|word| match word.contains(|c: char| c.is_ascii_digit()) {
        true if !steady(&word) => "#",
        _ => word,
    });
    let words = words.collect::<Vec<_>>().join(" ");
    let word = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
    format!("{} {} ({}): {words}", word("source"), word("kind"), word("who"))
}

#[tokio::test]
async fn it_tells_what_pagerduty_logged_and_what_the_service_read_and_decided() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "auto")]).await;
    let run = stage.diagnosed().await;
    let page = run["escalation"]["page"]["id"].as_str().expect("a page").to_owned();
    stage.world.pagerduty.acknowledge(&page, Setup::ENGINEER);
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    let timeline = until("all of it", async || {
        let timeline = stage.timeline("").await.is(200).body.clone();
        (timeline["summary"]["resolved_at"].is_string()).then_some(timeline)
    })
    .await;
    let mut members: Vec<&str> = timeline.as_object().expect("an object").keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["alert", "class", "complete", "entries", "missing", "region", "summary"]);
    assert_eq!(timeline["alert"], stage.world.alert.as_str());
    assert_eq!(
        (&timeline["region"], &timeline["complete"], &timeline["missing"]),
        (&run["region"], &json!(true), &json!([]))
    );
    assert_eq!(timeline["class"], run["diagnosis"]["class"]);
    for (what, at) in timeline["summary"].as_object().expect("a summary") {
        let at = at.as_str().unwrap_or_else(|| panic!("{what}: {timeline:#}"));
        assert!(at.len() == 20 && at.ends_with('Z') && at.parse::<jiff::Timestamp>().is_ok(), "{what}: {at}");
    }
    // PagerDuty's of both incidents: each is there once.
    let there = kinds(&timeline, "pagerduty");
    assert_eq!(there.iter().filter(|kind| **kind == "trigger").count(), 2, "alert and page: {there:?}");
    for kind in ["acknowledge", "resolve", "annotate"] {
        assert!(there.contains(&kind), "{kind} in {there:?}");
    }
    assert!(there.iter().all(|kind| !kind.ends_with("_log_entry")));
    // What the service did beside them; its notes and its page are PagerDuty's to tell.
    assert_eq!(kinds(&timeline, "jenkins"), ["reading", "reading"], "the reading and its re-run");
    assert!(
        !kinds(&timeline, "cluster").is_empty() && kinds(&timeline, "cluster").iter().all(|kind| *kind == "checks")
    );
    let own = kinds(&timeline, "service");
    assert!(own.contains(&"verdict"), "{timeline:#}");
    let allowed = ["verdict", "held", "edit", "command", "notified"];
    assert!(own.iter().all(|kind| allowed.contains(kind)), "{own:?}");
    // By time, then source, then text.
    let key = |entry: &Value| ["at", "source", "text"].map(|name| entry[name].as_str().expect("text").to_owned());
    let keys: Vec<_> = timeline["entries"].as_array().expect("entries").iter().map(key).collect();
    assert!(keys.is_sorted(), "{keys:#?}");
    // The same bytes each time.
    assert_eq!(stage.timeline("?format=csv").await.body, stage.timeline("?format=csv").await.body);
}

#[tokio::test]
async fn it_is_given_as_json_markdown_or_csv_and_the_format_wins() {
    let stage = Stage::quick(&[]).await;
    stage.diagnosed().await;
    for (accept, query, kind) in [
        ("*/*", "", "application/json"),
        ("text/markdown", "", "text/markdown; charset=utf-8"),
        ("text/csv", "", "text/csv; charset=utf-8; header=present"),
        ("text/csv", "?format=md", "text/markdown; charset=utf-8"),
        ("text/markdown", "?format=json", "application/json"),
        ("application/json", "?format=csv", "text/csv; charset=utf-8; header=present"),
    ] {
        let answer = stage.timeline_accepting(accept, query).await;
        assert_eq!(answer.is(200).headers["content-type"], kind, "{accept} {query}");
    }
    let csv = stage.timeline("?format=csv").await.body.as_str().expect("text").to_owned();
    assert!(csv.starts_with("at,source,kind,text,who,url\r\n") && csv.ends_with("\r\n"), "{csv}");
    let markdown = stage.timeline("?format=md").await.body.as_str().expect("text").to_owned();
    assert!(
        markdown.starts_with(&format!("# All SE endpoints down in {}: timeline of ", quick().region)),
        "{markdown}"
    );
    for bad in ["?format=xml", "?format=", "?format=JSON", "?format=json&format=md"] {
        stage.timeline(bad).await.is_problem(400);
    }
}

#[tokio::test]
async fn viewers_may_read_it_and_nobody_else_and_an_alert_that_is_not_known_is_404() {
    let stage = Stage::quick(&[]).await;
    stage.timeline("").await.is_problem(404);
    stage.diagnosed().await;
    stage.timeline("").await.is(200);
    let path = format!("/api/alerts/{}/timeline", stage.world.alert);
    stage.front.get_as(OPERATOR_TOKEN, &path).await.is(200);
    for token in ["", "nobody's token"] {
        stage.front.get_as(token, &path).await.is_problem(401);
    }
    for unknown in ["QNOBODY", "..%2Fruns", "a%20b"] {
        stage.front.get_as(VIEWER_TOKEN, &format!("/api/alerts/{unknown}/timeline")).await.is_problem(404);
    }
}

#[tokio::test]
async fn where_pagerduty_cannot_be_asked_what_is_known_is_told_and_what_is_missing_is_said() {
    let stage = Stage::quick(&[]).await;
    stage.diagnosed().await;
    stage.world.pagerduty.fail(Endpoint::LogEntries, Fault::Status(403), 100);
    let timeline = stage.timeline("").await.is(200).body.clone();
    assert_eq!(timeline["complete"], false);
    let missing = timeline["missing"].as_array().expect("what is missing");
    assert!(
        missing[0].as_str().is_some_and(|what| what.contains(&stage.world.alert) && what.contains("403")),
        "{missing:?}"
    );
    assert!(entries(&timeline, "pagerduty").is_empty() && kinds(&timeline, "service").contains(&"verdict"));
    assert!(timeline["summary"]["triggered_at"].is_string() && timeline["summary"]["noted_at"].is_string());
    let page = stage.front.get_as(VIEWER_TOKEN, &format!("/alerts/{}/timeline", stage.world.alert)).await;
    assert!(page.is(200).body.as_str().is_some_and(|page| page.contains("Not complete")));
}

#[tokio::test]
async fn the_id_of_a_merged_incident_gives_the_survivors() {
    let stage = Stage::quick(&[]).await;
    stage.diagnosed().await;
    let title = format!("All SE endpoints down in {}", quick().region);
    let survivor = stage.world.pagerduty.open(Opening::new(&title, Setup::REGISTRY)).id;
    stage.world.pagerduty.merge(&stage.world.alert, &survivor, None);
    stage.alert("incident.resolved").await.is(202);
    let timeline = until("the merge to be known", async || {
        let timeline = stage.timeline("").await.is(200).body.clone();
        (timeline["alert"] == survivor.as_str()).then_some(timeline)
    })
    .await;
    let same = stage.front.get_as(VIEWER_TOKEN, &format!("/api/alerts/{survivor}/timeline")).await;
    assert_eq!(same.is(200).body, timeline, "whichever name is asked for");
    let triggers =
        entries(&timeline, "pagerduty").into_iter().filter(|of| *of == ("trigger", "Triggered by Containers Registry"));
    assert_eq!(triggers.count(), 2, "the merged one's log too: {timeline:#}");
}

#[tokio::test]
async fn people_read_it_without_a_script_and_the_runs_view_links_to_it() {
    let stage = Stage::quick(&[]).await;
    let run = stage.diagnosed().await;
    let path = format!("/alerts/{}/timeline", stage.world.alert);
    let view = stage.front.get_as(VIEWER_TOKEN, &format!("/runs/{}", run["id"].as_str().expect("an id"))).await;
    assert!(view.is(200).body.as_str().is_some_and(|view| view.contains(&format!("href=\"{path}\""))));
    let page = stage.front.get_as(VIEWER_TOKEN, &path).await.is(200).body.as_str().expect("a page").to_owned();
    for part in ["Jenkins", "Clusters", "PagerDuty", "se-responder", "As Markdown", "data-copy=\"markdown\""] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let markdown = stage.timeline("?format=md").await.body.as_str().expect("text").to_owned();
    let first = markdown.lines().next().expect("a line");
    assert!(page.contains(&format!("<pre id=\"markdown\">{first}")), "{page}");
    stage.front.get_as("", &path).await.is_problem(401);
    stage.front.get_as(VIEWER_TOKEN, "/alerts/QNOBODY/timeline").await.is_problem(404);
    let script = stage.front.get_as("", "/assets/copy.js").await;
    assert_eq!(script.is(200).headers["content-type"], "text/javascript; charset=utf-8");
}
