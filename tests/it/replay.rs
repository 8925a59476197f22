//! `replay`, and its view: what was decided about a recorded alert, decided once more.

use serde_json::json;
use simulators::pagerduty::Setup;
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use crate::harness::{Stage, until};
use crate::process::run;

/// A paged alert whose note a person has answered, in an SQLite file beside which others may read.
async fn recorded() -> (Stage, String) {
    let stage = Stage::quick(&[("ESCALATION_MODE", "auto")]).await;
    let run = stage.diagnosed().await;
    let note = stage.world.pagerduty.annotate(&stage.world.alert, Setup::ENGINEER, "/status").expect("a note");
    stage.front.signed(&stage.world.pagerduty.annotated_body(&stage.world.alert, &note.id)).await.is(202);
    let id = run["id"].as_str().expect("an id").to_owned();
    until("the answer to be recorded", async || {
        let shown = stage.front.get(&format!("/runs/{id}/decisions")).await.to_string();
        shown.contains("answer:").then_some(())
    })
    .await;
    (stage, id)
}

#[tokio::test]
async fn an_alert_is_replayed_beside_the_service_and_all_is_decided_the_same() {
    let (stage, id) = recorded().await;
    let ended = run(&["replay", &id], &stage.database(), "").await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    for said in ["verdict", "page gate", "next step of the run", "beside the run", "all the same by this version"] {
        assert!(ended.stdout.contains(said), "{said:?} is not in\n{}", ended.stdout);
    }
    assert!(!ended.stdout.contains("OTHERWISE"), "{}", ended.stdout);
    let unknown = run(&["replay", "0198-no-run"], &stage.database(), "").await;
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(1), ""), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("is unknown"), "{}", unknown.stderr);
}

#[tokio::test]
async fn what_would_be_decided_otherwise_is_named_where_it_first_is() {
    let (stage, id) = recorded().await;
    let file = stage.database().into_iter().next().expect("a database").1;
    let Some(_) = file.strip_prefix("sqlite:") else { return };
    let mut other = SqliteConnection::connect(&file).await.expect("the database");
    other.execute("PRAGMA busy_timeout = 10000").await.expect("patience");
    // As if an older version had held the page.
    let hold = r#"UPDATE decisions SET body = REPLACE(body, '"decision":"Page"', '"decision":{"Hold":["not sure"]}')"#;
    let changed = other.execute(hold).await.expect("another decision").rows_affected();
    assert!(changed > 1, "{changed}");
    let ended = run(&["replay", &id], &stage.database(), "").await;
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().filter(|line| line.contains("OTHERWISE")).collect();
    assert!(lines[0].contains("OTHERWISE, first here: page gate"), "{lines:#?}");
    assert!(lines[0].contains("was page held: not sure, would be page"), "{lines:#?}");
    assert_eq!(ended.stdout.matches("first here").count(), 1, "{}", ended.stdout);
    // One that no version can read is said, and hides nothing.
    other.execute("UPDATE decisions SET body = '{}' WHERE id = (SELECT MIN(id) FROM decisions)").await.expect("odd");
    let ended = run(&["replay", &id], &stage.database(), "").await;
    assert!(ended.stdout.contains("UNREADABLE by this version"), "{}", ended.stdout);
    assert!(ended.stdout.contains("OTHERWISE, first here: page gate"), "{}", ended.stdout);
}

#[tokio::test]
async fn a_reader_steps_through_what_was_known_by_links_alone() {
    let (stage, id) = recorded().await;
    let list = stage.front.get(&format!("/runs/{id}/decisions")).await;
    let list = list.as_str().expect("a page").to_owned();
    // Nothing but the times goes by a script.
    assert!(list.matches("<script").count() == 1 && list.contains("src=\"/assets/tick.js\""), "{list}");
    let view = stage.front.get(&format!("/runs/{id}")).await;
    assert!(view.as_str().expect("a page").contains(&format!("href=\"/runs/{id}/decisions\"")), "{view}");
    let (mut place, mut seen) = (1, Vec::new());
    loop {
        let path = format!("/runs/{id}/decisions/{place}");
        assert!(list.contains(&format!("href=\"{path}\"")), "{path} in {list}");
        let page = stage.front.get(&path).await;
        let page = page.as_str().expect("a page");
        assert!(page.contains("This version would decide the same"), "{page}");
        seen.push(page.to_owned());
        if !page.contains("rel=\"next\"") {
            break;
        }
        place += 1;
    }
    let verdict = seen.iter().find(|page| page.contains("<h1>verdict</h1>")).expect("the verdict");
    assert!(verdict.contains("evidence.readings 1.console.boxes 1.se_status"), "{verdict}");
    let gate = seen.iter().find(|page| page.contains("<h1>page gate</h1>")).expect("the gate");
    assert!(gate.contains("told.alert_max_age") && gate.contains("<strong>Decided:</strong> page"), "{gate}");
    // Only what a viewer may see.
    let nobody =
        stage.front.http.get(format!("{}/runs/{id}/decisions", stage.front.url)).send().await.expect("an answer");
    assert_eq!(nobody.status(), 401);
    for (path, status) in [("runs/nothing/decisions", 404), (&*format!("runs/{id}/decisions/999"), 404)] {
        let answer = stage.front.get_as(simulators::world::VIEWER_TOKEN, &format!("/{path}")).await;
        answer.is_problem(status);
    }
    let odd = stage.front.get_as(simulators::world::VIEWER_TOKEN, &format!("/runs/{id}/decisions/x")).await;
    odd.is_problem(400);
    // Who came by the note's link sees that run's alone, and no key but their own.
    let note = stage.front.run(&id).await["note"]["text"].as_str().expect("a note").to_owned();
    let key = note.split("?key=").nth(1).expect("a link").split_whitespace().next().expect("a key").to_owned();
    let linked = async |path: &str| {
        let url = format!("{}/runs/{id}/decisions{path}?key={key}", stage.front.url);
        let answer = stage.front.http.get(url).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    let (status, own) = linked("").await;
    assert!(status == 200 && own.contains("verdict") && !own.contains("beside the run"), "{status} {own}");
    let (status, first) = linked("/1").await;
    assert!(status == 200 && first.contains(&format!("decisions/2?key={key}")), "{status} {first}");
    let all = seen.concat();
    assert!(all.contains("known.run_url") && !all.contains("?key="), "no key of a link is among what was known");
    assert_eq!(stage.front.run(&id).await["state"], json!("done"));
}
