//! Pages for people: who may see what, what they can do there, and that they follow a run as it goes on.

use std::time::Duration;

use reqwest::header::HeaderMap;
use se_responder::http::Limits;
use serde_json::{Value, json};
use simulators::pagerduty::{Opening, Setup};
use simulators::scenario::Scenario;
use simulators::world::{OPERATOR_TOKEN, VIEWER_TOKEN};

use crate::harness::{Answer, Front, QUICK, Stage, quick, showing, until};

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml");

impl Front {
    /// A page as a browser asks for it.
    pub(crate) async fn page(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.http.get(format!("{}{path}", self.url)).header(HTML.0, HTML.1);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request).await
    }

    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let mut request = self.http.post(format!("{}{path}", self.url)).header(HTML.0, HTML.1).form(fields);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request).await
    }

    /// Signs in; the cookie as a browser sends it back.
    pub(crate) async fn signed_in(&self, token: &str) -> String {
        let answer = self.form("/sign-in", &[("token", token), ("next", "/")], &[]).await;
        cookie(&answer.is(303).headers)
    }
}

fn cookie(headers: &HeaderMap) -> String {
    let set = headers["set-cookie"].to_str().expect("a cookie");
    set.split(';').next().expect("its value").to_owned()
}

pub(crate) fn text(answer: &Answer) -> &str {
    answer.body.as_str().unwrap_or_default()
}

/// The key of the first form of a page.
pub(crate) fn form_key(page: &Answer) -> String {
    let (_, rest) = text(page).split_once("name=\"form_key\" value=\"").expect("a form");
    rest.split('"').next().expect("its key").to_owned()
}

/// The link of a run in its note, from its path on.
pub(crate) fn link_in(note: &str, run: &Value) -> String {
    let id = run["id"].as_str().expect("an id");
    let at = note.find(&format!("/runs/{id}?key=")).unwrap_or_else(|| panic!("no signed link in {note}"));
    note[at..].split_whitespace().next().expect("a link").to_owned()
}

#[tokio::test]
async fn the_link_in_a_note_opens_its_own_run_and_nothing_else() {
    let stage = Stage::quick(&[]).await;
    let run = stage.diagnosed().await;
    let link = link_in(&stage.note_of(&run).content, &run);
    let page = stage.front.page(&link, &[]).await;
    page.is(200);
    let shown = text(&page);
    for part in ["SERVICE ENDPOINT problem in prod-us-south", "registry-prod-us-south-az3", "SE=0 rejects connections"]
    {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    assert!(!shown.contains("<form"), "a link only reads: {shown}");
    let (_, key) = link.split_once("key=").expect("a key");
    let id = run["id"].as_str().expect("an id");
    for closed in [
        format!("/?key={key}"),
        format!("/api/runs/{id}?key={key}"),
        format!("/api/runs/{id}/events?key={key}"),
        format!("/runs/{id}"),
        format!("/runs/{id}?key=9{key}"),
        format!("/runs/00000000-0000-7000-8000-000000000000?key={key}"),
    ] {
        stage.front.page(&closed, &[]).await.is(401);
    }
}

#[tokio::test]
async fn links_are_signed_by_link_secret_and_end() {
    let mut stage = Stage::quick(&[("LINK_SECRET", "one secret")]).await;
    let run = stage.diagnosed().await;
    let link = link_in(&stage.note_of(&run).content, &run);
    stage.restart(&[]).await;
    stage.front.page(&link, &[]).await.is(200);
    stage.restart(&[("LINK_SECRET", "another secret")]).await;
    stage.front.page(&link, &[]).await.is(401);

    let stage = Stage::quick(&[("LINK_TTL", "1ms")]).await;
    let run = stage.diagnosed().await;
    let link = link_in(&stage.note_of(&run).content, &run);
    let answer = stage.front.page(&link, &[]).await;
    assert!(text(answer.is(401)).contains("too old"), "{answer:?}");
}

#[tokio::test]
async fn without_link_secret_a_key_is_kept_in_the_database() {
    let mut stage = Stage::quick(&[]).await;
    let run = stage.diagnosed().await;
    let link = link_in(&stage.note_of(&run).content, &run);
    stage.restart(&[]).await;
    stage.front.page(&link, &[]).await.is(200);
}

#[tokio::test]
async fn who_signs_in_may_read_and_operators_may_act() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
    let run = stage.diagnosed().await;
    let path = format!("/runs/{}", run["id"].as_str().expect("an id"));
    let victor = stage.front.signed_in(VIEWER_TOKEN).await;
    let page = stage.front.page(&path, &[("cookie", &victor)]).await;
    let shown = text(page.is(200));
    assert!(shown.contains("victor") && !shown.contains("Yes, page them now"), "{shown}");
    let key = form_key(&page);
    let answer = stage.front.form(&format!("{path}/escalate"), &[("form_key", &key)], &[("cookie", &victor)]).await;
    assert!(text(answer.is(403)).contains("operators"), "{answer:?}");

    let olivia = stage.front.signed_in(OPERATOR_TOKEN).await;
    let page = stage.front.page(&path, &[("cookie", &olivia)]).await;
    let key = form_key(page.is(200));
    let cookie = ("cookie", olivia.as_str());
    for (fields, headers) in [
        (vec![("form_key", "")], vec![cookie]),
        (vec![("form_key", key.as_str())], vec![("cookie", victor.as_str())]),
        (vec![("form_key", key.as_str())], vec![cookie, ("sec-fetch-site", "cross-site")]),
        (vec![("form_key", key.as_str())], vec![cookie, ("origin", "https://evil.example")]),
        (vec![("form_key", key.as_str())], vec![cookie, ("origin", "null")]),
    ] {
        stage.front.form(&format!("{path}/escalate"), &fields, &headers).await.is(403);
    }
    assert!(stage.world.pagerduty.pages().is_empty());
    let same_site = [cookie, ("sec-fetch-site", "same-origin")];
    let answer = stage.front.form(&format!("{path}/escalate"), &[("form_key", &key)], &same_site).await;
    assert_eq!(answer.is(303).headers["location"], path);
    until("the page", async || (stage.world.pagerduty.pages().len() == 1).then_some(())).await;
    until("the page to be told", async || {
        let page = stage.front.page(&path, &[cookie]).await;
        text(&page).contains("Paged: Cloud Service Endpoint, asked for by olivia").then_some(())
    })
    .await;

    // As a browser that knows no `Sec-Fetch-Site`, or says it over https only.
    let from_us = [cookie, ("origin", stage.front.url.as_str())];
    let answer = stage.front.form(&format!("{path}/rerun"), &[("form_key", &key)], &from_us).await;
    let again = answer.is(303).headers["location"].to_str().expect("a path").to_owned();
    assert_ne!(again, path);
    stage.front.ended(again.trim_start_matches("/runs/")).await;
    let answer = stage.front.form("/sign-out", &[("form_key", &key)], &[cookie]).await;
    assert!(answer.is(303).headers["set-cookie"].to_str().expect("a cookie").contains("Max-Age=0"));
}

#[tokio::test]
async fn a_session_is_strict_and_ends_with_its_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tokens");
    std::fs::write(&file, "ann:ann-token,bob:bob-token").expect("tokens");
    let path = file.display().to_string();
    let settings = [("VIEWER_TOKENS", ""), ("VIEWER_TOKENS_FILE", &path), ("PUBLIC_URL", "https://se.example.com")];
    let stage = Stage::quick(&settings).await;
    let answer = stage.front.form("/sign-in", &[("token", "ann-token"), ("next", "//evil.example")], &[]).await;
    assert_eq!(answer.is(303).headers["location"], "/");
    let set = answer.headers["set-cookie"].to_str().expect("a cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200", "Secure"] {
        assert!(set.contains(part), "{set}");
    }
    let ann = cookie(&answer.headers);
    stage.front.page("/", &[("cookie", &ann)]).await.is(200);
    let forged = ann.replacen(&hex::encode("ann"), &hex::encode("bob"), 1);
    stage.front.page("/", &[("cookie", &forged)]).await.is(401);
    std::fs::write(&file, "ann:another-token,bob:bob-token").expect("tokens");
    stage.front.page("/", &[("cookie", &ann)]).await.is(401);
}

#[tokio::test]
async fn who_signs_out_ends_that_session_wherever_it_is_sent_from_and_no_other() {
    let mut stage = Stage::quick(&[]).await;
    let run = stage.diagnosed().await;
    let path = format!("/runs/{}", run["id"].as_str().expect("an id"));
    // In the same second, with the same token: two browsers.
    let (here, there) = tokio::join!(stage.front.signed_in(OPERATOR_TOKEN), stage.front.signed_in(OPERATOR_TOKEN));
    assert_ne!(here, there);
    let key = form_key(&stage.front.page(&path, &[("cookie", &here)]).await);
    let live = stage.front.http.get(format!("{}{path}/live", stage.front.url)).header("cookie", &here);
    let mut live = live.send().await.expect("a stream");
    live.chunk().await.expect("its beginning");
    stage.front.form("/sign-out", &[("form_key", &key)], &[("cookie", &there)]).await.is(403);
    stage.front.form("/sign-out", &[("form_key", &key)], &[("cookie", &here)]).await.is(303);
    let ends = async { while live.chunk().await.expect("an orderly end").is_some() {} };
    tokio::time::timeout(crate::harness::PATIENCE, ends).await.expect("what it opened ends with it");
    for restarted in [false, true] {
        if restarted {
            stage.restart(&[]).await;
        }
        // The cookie as somebody kept it.
        for path in ["/", path.as_str(), &format!("{path}/live")] {
            stage.front.page(path, &[("cookie", &here)]).await.is(401);
        }
        for form in ["rerun", "escalate"] {
            let answer = stage.front.form(&format!("{path}/{form}"), &[("form_key", &key)], &[("cookie", &here)]).await;
            answer.is(401);
        }
        stage.front.form("/sign-out", &[("form_key", &key)], &[("cookie", &here)]).await.is(401);
        stage.front.page("/", &[("cookie", &there)]).await.is(200);
    }
    // Another sign-in is another session; and an id can't be put in another's place.
    let again = stage.front.signed_in(OPERATOR_TOKEN).await;
    stage.front.page("/", &[("cookie", &again)]).await.is(200);
    let id_of = |cookie: &str| cookie.split('.').nth(2).expect("an id").to_owned();
    let forged = here.replace(&id_of(&here), &id_of(&again));
    stage.front.page("/", &[("cookie", &forged)]).await.is(401);
}

#[tokio::test]
async fn wrong_tokens_are_slowed_down() {
    let stage = Stage::quick(&[]).await;
    let guess = async |_| stage.front.form("/sign-in", &[("token", "a guess")], &[]).await;
    let mut answers: Vec<u16> =
        futures::future::join_all((0..24).map(guess)).await.into_iter().map(|answer| answer.status).collect();
    answers.sort_unstable();
    // What was sent before the first answers came back found no place.
    assert!(answers.starts_with(&[401]) && answers.ends_with(&[429]), "{answers:?}");
    stage.front.signed_in(VIEWER_TOKEN).await;
}

#[tokio::test]
async fn private_pages_stay_private() {
    let stage = Stage::quick(&[]).await;
    for path in ["/", "/sign-in", "/nothing", "/runs/x"] {
        let answer = stage.front.page(path, &[]).await;
        for (name, part) in [
            ("content-security-policy", "default-src 'none'"),
            ("content-security-policy", "frame-ancestors 'none'"),
            ("referrer-policy", "same-origin"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ] {
            let value = answer.headers[name].to_str().expect("text");
            assert!(value.contains(part), "{path}: {name}: {value}");
        }
    }
    // Programs get problems, people get pages.
    stage.front.get_as("nobody", "/").await.is_problem(401);
    let page = stage.front.page("/", &[]).await;
    assert_eq!(page.is(401).headers["content-type"], "text/html; charset=utf-8");
    assert!(text(&page).contains("/sign-in?next="), "{page:?}");
    let page = stage.front.page("/nothing", &[]).await;
    assert!(text(page.is(404)).contains("there is nothing at this address"), "{page:?}");
    // A strict cookie stays at home when another site links here: the page asks once more by itself.
    let page = stage.front.page("/?region=prod-us-south", &[("sec-fetch-site", "cross-site")]).await;
    assert!(text(page.is(401)).contains("http-equiv=\"refresh\""), "{page:?}");
}

#[tokio::test]
async fn what_comes_from_outside_is_only_shown() {
    let stage = Stage::quick(&[]).await;
    let hostile = "[<script>alert(1)</script>] All SE endpoints down in prod-us-south";
    let alert = stage.world.pagerduty.open(Opening::new(hostile, Setup::REGISTRY)).id;
    stage.front.signed(&stage.world.pagerduty.webhook_body("incident.triggered", &alert)).await.is(202);
    let run = stage.front.end_of(&alert).await;
    let path = format!("/runs/{}", run["id"].as_str().expect("an id"));
    for path in [path.as_str(), "/"] {
        let page = stage.front.page(path, &[("authorization", &format!("Bearer {VIEWER_TOKEN}"))]).await;
        let shown = text(page.is(200));
        assert!(shown.contains("alert(1)") && !shown.contains("<script>alert"), "{shown}");
    }
}

#[tokio::test]
async fn what_turns_or_hides_text_is_on_no_view_and_the_api_has_it_as_it_is() {
    let stage = Stage::quick(&[]).await;
    let pagerduty = &stage.world.pagerduty;
    let hostile =
        "[\u{202e}owt\u{2066}\u{200f}\u{61c}\u{200b}\u{e0041}\u{feff}\u{ad}] All SE endpoints down in prod-us-south";
    let alert = pagerduty.open(Opening::new(hostile, Setup::REGISTRY)).id;
    // And the pages that are named beside it.
    let related =
        pagerduty.open(Opening::new("[\u{202e}x\u{2067}] All Public endpoints down in prod-us-south", Setup::REGISTRY));
    stage.front.signed(&pagerduty.webhook_body("incident.triggered", &alert)).await.is(202);
    let bearer = format!("Bearer {VIEWER_TOKEN}");
    let hidden = |c: char| matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    let run = until("it to be suppressed", async || {
        stage.front.runs_of(&alert).await.first().filter(|run| run["state"] == "suppressed").cloned()
    })
    .await;
    assert_eq!(run["incident"]["title"], hostile);
    let path = format!("/runs/{}", run["id"].as_str().expect("an id"));
    let live = stage.front.http.get(format!("{}{path}/live", stage.front.url)).bearer_auth(VIEWER_TOKEN);
    let live = read_until(live.send().await.expect("a stream"), "the body", |_| true).await;
    let view = stage.front.page(&path, &[("authorization", &bearer)]).await;
    let list = stage.front.page("/", &[("authorization", &bearer)]).await;
    for shown in [text(view.is(200)), text(list.is(200)), live[0].as_str()] {
        assert!(shown.contains("owt") && !shown.contains(hidden), "{shown:?}");
    }
    assert!(text(&view).contains("[x] All Public endpoints"), "{view:?}");
    pagerduty.resolve(&related.id, None);
}

#[tokio::test]
async fn the_list_finds_runs_by_region_state_and_verdict() {
    let stage = Stage::quick(&[]).await;
    let run = stage.diagnosed().await;
    let id = run["id"].as_str().expect("an id");
    let bearer = format!("Bearer {VIEWER_TOKEN}");
    let list = async |query: &str| stage.front.page(query, &[("authorization", &bearer)]).await;
    for (query, is_there) in [
        ("/", true),
        ("/?region=prod-us-south&state=done&verdict=service_endpoint", true),
        ("/?region=&state=&verdict=", true),
        ("/?region=prod-eu-gb", false),
        ("/?state=running", false),
        ("/?verdict=mixed", false),
    ] {
        let page = list(query).await;
        assert_eq!(text(page.is(200)).contains(&format!("/runs/{id}")), is_there, "{query}");
    }
    list("/?state=odd").await.is(400);
    list("/?verdict=odd").await.is(400);
}

#[tokio::test]
async fn the_list_shows_what_goes_on_however_much_came_after_it() {
    let stage = Stage::quick(&[]).await;
    let pagerduty = &stage.world.pagerduty;
    pagerduty.open(Opening::new("All Public endpoints down in prod-us-south", Setup::REGISTRY));
    stage.alert("incident.triggered").await.is(202);
    let waiting = until("it to wait", async || {
        stage.front.get("/api/runs?state=suppressed").await["runs"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    // A page of runs that came later and are over.
    for _ in 0..51 {
        let other = pagerduty.open(Opening::new("All SE endpoints down in prod-eu-de", Setup::REGISTRY)).id;
        let body = pagerduty.webhook_body("incident.triggered", &other);
        pagerduty.resolve(&other, None);
        stage.front.signed(&body).await.is(202);
    }
    until("all others to be over", async || {
        let over = stage.front.get("/api/runs?state=cancelled&limit=200").await;
        (over["runs"].as_array().map(Vec::len) == Some(51)).then_some(())
    })
    .await;
    let page = stage.front.page("/", &[("authorization", &format!("Bearer {VIEWER_TOKEN}"))]).await;
    assert!(text(page.is(200)).contains(&format!("/runs/{waiting}")));
}

/// The id of the last whole event of a text.
fn last_id(stream: &str) -> String {
    let mut ids = stream.lines().filter_map(|line| line.strip_prefix("id: "));
    ids.next_back().expect("an event with an id").to_owned()
}

/// Reads a stream to its end.
async fn all_of(answer: reqwest::Response) -> String {
    tokio::time::timeout(crate::harness::PATIENCE, answer.text()).await.expect("an end").expect("an orderly one")
}

/// Reads a stream of events until one of them pleases.
async fn read_until(mut answer: reqwest::Response, what: &str, pleases: impl Fn(&str) -> bool) -> Vec<String> {
    let (mut events, mut rest) = (Vec::new(), String::new());
    let read = tokio::time::timeout(crate::harness::PATIENCE, async {
        while let Some(chunk) = answer.chunk().await.expect("a whole stream") {
            rest.push_str(&String::from_utf8_lossy(&chunk));
            while let Some((event, more)) = rest.split_once("\n\n") {
                let data: Vec<&str> = event.lines().filter_map(|l| l.strip_prefix("data: ")).collect();
                events.push(data.join("\n"));
                rest = more.to_owned();
                if events.last().is_some_and(|event| pleases(event)) {
                    return;
                }
            }
        }
        panic!("the stream ended before {what}");
    });
    read.await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
    events
}

#[tokio::test]
async fn a_run_is_streamed_from_its_beginning_to_its_end() {
    let scenario = Scenario { builds: |asked| showing(asked, 1, 0, Duration::from_secs(1)), ..*quick() };
    let stage = Stage::on(Box::leak(Box::new(scenario)), QUICK).await;
    stage.alert("incident.triggered").await.is(202);
    let runs = stage.front.runs_of(&stage.world.alert).await;
    let id = runs[0]["id"].as_str().expect("an id").to_owned();
    let url = format!("{}/api/runs/{id}/events", stage.front.url);
    let answer = stage.front.http.get(&url).bearer_auth(VIEWER_TOKEN).send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let page = format!("{}/runs/{id}/live", stage.front.url);
    let live = stage.front.http.get(&page).bearer_auth(VIEWER_TOKEN).send().await.expect("an answer");
    let is_done = |event: &str| serde_json::from_str::<Value>(event).is_ok_and(|run| run["state"] == "done");
    let (events, shown) = tokio::join!(
        read_until(answer, "the run's end", is_done),
        read_until(live, "the verdict", |event| event.contains("Probably REGISTRY")),
    );
    let runs: Vec<Value> = events.iter().map(|event| serde_json::from_str(event).expect("a run")).collect();
    assert!(runs.len() > 2, "each change is an event: {}", runs.len());
    assert!(runs.windows(2).all(|pair| pair[0] != pair[1]), "what is the same is not sent twice");
    assert_eq!(runs.last(), Some(&stage.front.run(&id).await));
    assert!(shown[0].contains("Diagnosing <span") || shown[0].contains("is queued"), "{}", shown[0]);
    stage.front.get_as(VIEWER_TOKEN, "/api/runs/none/events").await.is_problem(404);
    stage.front.get_as("nobody", &format!("/api/runs/{id}/events")).await.is_problem(401);
}

#[tokio::test]
async fn an_open_stream_does_not_keep_the_service_from_stopping() {
    let mut stage = Stage::quick(&[("SHUTDOWN_GRACE", "50s")]).await;
    let run = stage.diagnosed().await;
    let url = format!("{}/api/runs/{}/events", stage.front.url, run["id"].as_str().expect("an id"));
    let answer = stage.front.http.get(&url).bearer_auth(VIEWER_TOKEN).send().await.expect("an answer");
    let began = std::time::Instant::now();
    stage.restart(&[]).await;
    assert!(began.elapsed() < Duration::from_secs(40), "it waited for its grace to end");
    drop(answer);
    stage.front.post("/rerun", &json!({"region": "prod-us-south"})).await.is(202);
}

#[tokio::test]
async fn a_stream_ends_in_time_and_goes_on_with_what_has_changed_since() {
    let limits = Limits { stream: Duration::from_secs(3), ..Limits::default() };
    let stage = Stage::limited(quick(), QUICK, limits).await;
    let run = stage.diagnosed().await;
    let id = run["id"].as_str().expect("an id");
    // At once: each stream is waited for until its time is up.
    let streams = [format!("/api/runs/{id}/events"), format!("/runs/{id}/live")].map(async |path| {
        let ask = |last: Option<String>| {
            let request = stage.front.http.get(format!("{}{path}", stage.front.url)).bearer_auth(VIEWER_TOKEN);
            last.into_iter().fold(request, |request, last| request.header("last-event-id", last))
        };
        let seen = all_of(ask(None).send().await.expect("a stream")).await;
        assert_eq!(seen.matches("event: run").count(), 1, "as it is now: {seen}");
        // Nothing has changed, and something has.
        let again = async { all_of(ask(Some(last_id(&seen))).send().await.expect("a stream")).await };
        let other = async { all_of(ask(Some("an older one".to_owned())).send().await.expect("a stream")).await };
        let (again, other) = tokio::join!(again, other);
        assert_eq!(again.matches("event: run").count(), 0, "{again}");
        assert_eq!(last_id(&other), last_id(&seen));
    });
    futures::future::join_all(streams).await;
}

/// What changes in a run's JSON and not in its row.
#[tokio::test]
async fn what_is_said_after_a_run_is_streamed_among_changes_of_any_run() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
    let run = stage.diagnosed().await;
    let id = run["id"].as_str().expect("an id");
    let url = format!("{}/api/events", stage.front.url);
    let answer = stage.front.http.get(&url).bearer_auth(VIEWER_TOKEN).send().await.expect("a stream");
    let note = stage.world.pagerduty.annotate(&stage.world.alert, Setup::ENGINEER, "/status").expect("a note");
    stage.front.signed(&stage.world.pagerduty.annotated_body(&stage.world.alert, &note.id)).await.is(202);
    read_until(answer, "the command", |event| event.contains(id)).await;
}

/// Whatever a client would take besides: these are no views.
#[tokio::test]
async fn errors_of_the_api_are_problems_also_for_who_would_take_a_page() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
    stage.world.jenkins.hold_builds(1);
    stage.alert("incident.triggered").await.is(202);
    let active = until("a run", async || stage.front.runs_of(&stage.world.alert).await.into_iter().next()).await;
    for (path, body) in [("/rerun", stage.this_alert()), ("/escalate", json!({"incident_id": "QNOBODY"}))] {
        let asked = stage.front.http.post(format!("{}{path}", stage.front.url)).bearer_auth(OPERATOR_TOKEN);
        let taken = asked.header("accept", "text/html, image/gif, */*; q=0.2").json(&body);
        let answer = taken.send().await.expect("an answer");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(problem["run_id"], if path == "/rerun" { active["id"].clone() } else { Value::Null }, "{problem}");
    }
    stage.world.jenkins.let_builds_end();
}

#[tokio::test]
async fn changes_of_any_run_are_streamed_and_none_is_lost_between_two_streams() {
    let limits = Limits { stream: Duration::from_secs(6), ..Limits::default() };
    let stage = Stage::limited(quick(), QUICK, limits).await;
    let url = format!("{}/api/events", stage.front.url);
    let ask = || stage.front.http.get(&url).bearer_auth(VIEWER_TOKEN);
    let old = stage.front.post("/rerun", &json!({"region": "prod-eu-gb"})).await.is(202).body.clone();
    stage.front.ended(old["run_id"].as_str().expect("an id")).await;
    let answer = ask().send().await.expect("a stream");
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    stage.alert("incident.triggered").await.is(202);
    let id = stage.front.runs_of(&stage.world.alert).await[0]["id"].as_str().expect("an id").to_owned();
    let first = all_of(answer).await;
    let states = |text: &str| -> Vec<String> {
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let runs = data.map(|data| serde_json::from_str::<Value>(data).expect("JSON"));
        runs.filter(|run| run["id"] == id.as_str())
            .map(|run| run["state"].as_str().expect("a state").to_owned())
            .collect()
    };
    assert!(!states(&first).is_empty() && !first.contains("prod-eu-gb"), "{first}");
    assert!(first.lines().all(|line| !line.starts_with("data: ") || line.ends_with("\"}")), "{first}");
    // It ends while nobody listens.
    stage.front.ended(&id).await;
    let since = ask().header("last-event-id", last_id(&first)).send().await.expect("a stream");
    assert_eq!(states(&all_of(since).await).last().map(String::as_str), Some("done"));
    // An id of another make, or of none, loses nothing either.
    let since = ask().header("last-event-id", "what").send().await.expect("a stream");
    assert_eq!(states(&all_of(since).await).first().map(String::as_str), Some("done"));
    stage.front.get_as("nobody", "/api/events").await.is_problem(401);
}
