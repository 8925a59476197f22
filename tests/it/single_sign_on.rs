//! People whom a proxy in front has signed in: whom it names by its header may read, and operators may act.

use serde_json::{Value, json};
use simulators::pagerduty::sign;
use simulators::world::{OPERATOR_TOKEN, VIEWER_TOKEN, WEBHOOK_SECRET};

use crate::harness::{Answer, Front, Stage, owned, until};
use crate::pages::{form_key, link_in, text};
use crate::process::run;

const USER: &str = "X-Forwarded-User";
/// The proxy is this machine, as stories ask from here.
const BY_PROXY: [(&str, &str); 3] =
    [("TRUSTED_PROXIES", "127.0.0.1"), ("TRUSTED_USER_HEADER", USER), ("TRUSTED_OPERATORS", "olga@example.com,otto")];
const OLGA: (&str, &str) = (USER, "olga@example.com");
const VERA: (&str, &str) = (USER, "vera");

impl Front {
    async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.http.get(format!("{}{path}", self.url));
        Answer::of(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    async fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let request = self.http.post(format!("{}{path}", self.url)).body(body.to_string());
        Answer::of(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }
}

fn path_of(run: &Value) -> String {
    format!("/runs/{}", run["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn whom_the_proxy_names_may_read_and_operators_may_act() {
    let stage = Stage::quick(&[&BY_PROXY[..], &[("ESCALATION_MODE", "suggest")]].concat()).await;
    let front = &stage.front;
    let run = stage.diagnosed().await;
    let (path, id) = (path_of(&run), run["id"].as_str().expect("an id"));
    for who in [OLGA, VERA] {
        for path in
            ["/api/runs", &format!("/api/runs/{id}"), &format!("/api/alerts/{}/timeline", stage.world.alert), "/"]
        {
            let answer = front.get_with(path, &[who]).await;
            assert_eq!(answer.is(200).headers["cache-control"], "no-store", "{path}");
        }
        let stream = front.http.get(format!("{}/api{path}/events", front.url)).header(who.0, who.1);
        assert_eq!(stream.send().await.expect("a stream").status(), 200);
    }
    front.get_with("/api/runs", &[]).await.is_problem(401);

    // The views say who it is, and neither ask for a sign-in nor offer to sign out.
    let read = front.page(&path, &[VERA]).await;
    let shown = text(read.is(200));
    assert!(shown.contains("vera") && !shown.contains("<form") && !shown.contains("ign in"), "{shown}");
    let acting = front.page(&path, &[OLGA]).await;
    let shown = text(acting.is(200));
    assert!(shown.contains("olga@example.com") && shown.contains("Yes, page them now"), "{shown}");
    assert!(!shown.contains("/sign-out") && !shown.contains("/sign-in"), "{shown}");
    let missing = front.page("/runs/none", &[VERA]).await;
    assert!(text(missing.is(404)).contains("vera") && !text(&missing).contains("/sign-in"), "{missing:?}");

    // What is asked for stands beside the key of the forms: its length must not tell of that.
    let encoding = async |path: &str| {
        front
            .get_with(path, &[OLGA, ("accept-encoding", "gzip")])
            .await
            .is(200)
            .headers
            .get("content-encoding")
            .cloned()
    };
    assert!(encoding("/").await.is_some() && encoding("/?region=prod-us-south").await.is_none());

    let region = json!({"region": "prod-eu-de"});
    let refused = front.post_with("/rerun", &region, &[VERA]).await;
    assert!(refused.is_problem(403).body["detail"].as_str().is_some_and(|d| d.contains("TRUSTED_OPERATORS")));
    front.post_with("/escalate", &stage.this_alert(), &[VERA]).await.is_problem(403);
    front.post_with("/rerun", &region, &[(USER, "otto")]).await.is(202);

    // A form needs the key of this very user's views.
    let escalate = format!("{path}/escalate");
    let key = form_key(&acting);
    front.form(&escalate, &[("form_key", &key)], &[VERA]).await.is(403);
    front.form(&escalate, &[("form_key", &key)], &[(USER, "otto")]).await.is(403);
    front.form(&escalate, &[("form_key", "")], &[OLGA]).await.is(403);
    front.form(&escalate, &[("form_key", &key)], &[OLGA]).await.is(303);
    let run = until("the page", async || {
        let run = front.run(id).await;
        (run["escalation"]["state"] == "paged").then_some(run)
    })
    .await;
    let asked = run["activity"].as_array().expect("activity").iter().find(|entry| entry["who"] == "olga@example.com");
    assert!(asked.is_some(), "{:#}", run["activity"]);
}

#[tokio::test]
async fn what_is_not_one_name_from_a_trusted_proxy_is_as_if_it_were_absent() {
    let mut stage = Stage::quick(&BY_PROXY).await;
    let long = "x".repeat(256);
    for headers in [
        &[OLGA, OLGA][..],
        &[OLGA, VERA],
        &[(USER, "")],
        &[(USER, "  ")],
        &[(USER, "olga@example.com, vera")],
        &[(USER, long.as_str())],
    ] {
        stage.front.get_with("/api/runs", headers).await.is_problem(401);
        stage.front.page("/", headers).await.is(401);
        stage.front.post_with("/rerun", &json!({"region": "prod-eu-de"}), headers).await.is_problem(401);
        // Nor does it take anything from who proves who they are otherwise.
        let bearer = format!("Bearer {VIEWER_TOKEN}");
        stage.front.get_with("/api/runs", &[headers, &[("authorization", bearer.as_str())]].concat()).await.is(200);
    }
    // What the proxy says of the address that it was asked from is not the address that it asks from.
    stage.restart(&[("TRUSTED_PROXIES", "10.0.0.0/8,127.0.0.2")]).await;
    let forwarded = ("x-forwarded-for", "10.0.0.1");
    stage.front.get_with("/api/runs", &[OLGA, forwarded]).await.is_problem(401);
    stage.front.page("/", &[OLGA, forwarded]).await.is(401);
    stage.front.post_with("/escalate", &stage.this_alert(), &[OLGA, forwarded]).await.is_problem(401);
    let sign_in = stage.front.page("/sign-in", &[OLGA]).await;
    assert!(text(sign_in.is(200)).contains("<form"), "{sign_in:?}");
    // Without the setting no header is one.
    stage.restart(&[("TRUSTED_PROXIES", "127.0.0.1"), ("TRUSTED_USER_HEADER", "")]).await;
    stage.front.get_with("/api/runs", &[OLGA]).await.is_problem(401);
}

#[tokio::test]
async fn a_bearer_token_wins_over_the_header_and_the_header_over_a_session_and_a_link() {
    let stage = Stage::quick(&BY_PROXY).await;
    let front = &stage.front;
    let region = json!({"region": "prod-eu-de"});
    let bearer = |token: &str| format!("Bearer {token}");
    let (viewer, operator, nobody) = (bearer(VIEWER_TOKEN), bearer(OPERATOR_TOKEN), bearer("nobody-has-this"));
    front.post_with("/rerun", &region, &[OLGA, ("authorization", &viewer)]).await.is_problem(403);
    front.post_with("/rerun", &region, &[OLGA, ("authorization", &nobody)]).await.is_problem(401);
    front.get_with("/api/runs", &[VERA, ("authorization", &nobody)]).await.is_problem(401);
    front.page("/", &[VERA, ("authorization", &nobody)]).await.is(401);
    // What else proxies send there is none.
    front.get_with("/api/runs", &[VERA, ("authorization", "Basic dmVyYTo=")]).await.is(200);
    let run = stage.diagnosed().await;
    front.post_with("/rerun", &region, &[VERA, ("authorization", &operator)]).await.is(202);

    let olivia = front.signed_in(OPERATOR_TOKEN).await;
    let page = front.page(&path_of(&run), &[VERA, ("cookie", &olivia)]).await;
    assert!(text(page.is(200)).contains("vera") && !text(&page).contains("olivia"), "{page:?}");
    let link = link_in(&stage.note_of(&run).content, &run);
    let page = front.page(&link, &[OLGA]).await;
    assert!(text(page.is(200)).contains("olga@example.com") && text(&page).contains("Run again"), "{page:?}");
    let link = front.page(&link, &[]).await;
    assert!(!text(link.is(200)).contains("<form"), "{link:?}");
}

#[tokio::test]
async fn what_another_site_has_the_browser_of_a_signed_in_user_send_changes_nothing() {
    let stage = Stage::quick(&[&BY_PROXY[..], &[("PUBLIC_URL", "https://se.example.com")]].concat()).await;
    let front = &stage.front;
    let region = json!({"region": "prod-eu-de"});
    for elsewhere in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "https://se.example.com.evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        front.post_with("/rerun", &region, &[OLGA, elsewhere]).await.is_problem(403);
        front.post_with("/escalate", &stage.this_alert(), &[OLGA, elsewhere]).await.is_problem(403);
        front.form("/sign-in", &[("token", OPERATOR_TOKEN)], &[OLGA, elsewhere]).await.is(403);
        // To read changes nothing, and no other site is shown what comes back.
        let read = front.get_with("/api/runs", &[OLGA, elsewhere]).await;
        assert!(read.is(200).headers.get("access-control-allow-origin").is_none(), "{read:?}");
    }
    assert_eq!(front.get("/api/runs").await["runs"], json!([]));
    for (n, ours) in
        [("origin", "https://se.example.com"), ("origin", front.url.as_str()), ("sec-fetch-site", "same-origin")]
            .into_iter()
            .enumerate()
    {
        front.post_with("/rerun", &json!({"region": format!("prod-eu-{n}")}), &[OLGA, ours]).await.is(202);
    }
    // No browser sends a token by itself.
    let bearer = format!("Bearer {OPERATOR_TOKEN}");
    let headers = [OLGA, ("authorization", bearer.as_str()), ("origin", "https://evil.example")];
    front.post_with("/rerun", &region, &headers).await.is(202);
}

#[tokio::test]
async fn a_key_is_of_the_user_and_not_of_a_token_of_the_same_name() {
    let stage = Stage::slow(&[&BY_PROXY[..], &[("OPERATOR_TOKENS", "otto:token-of-otto")]].concat()).await;
    let key = ("idempotency-key", "k1");
    let body = |region: &str| json!({"region": region});
    let by_header = async |who, region| stage.front.post_with("/rerun", &body(region), &[(USER, who), key]).await;
    let first = by_header("otto", "prod-eu-de").await;
    assert_eq!(by_header("otto", "prod-eu-de").await.is(202).body, first.is(202).body);
    by_header("otto", "prod-us-east").await.is_problem(422);
    let other = by_header("olga@example.com", "prod-us-east").await;
    assert_ne!(other.is(202).body, first.body);
    stage.front.post_as("token-of-otto", "/rerun", &body("prod-us-south"), Some("k1")).await.is(202);
}

#[tokio::test]
async fn who_is_signed_in_by_the_proxy_signs_neither_in_nor_out_here() {
    let stage = Stage::quick(&BY_PROXY).await;
    let front = &stage.front;
    let page = front.page("/sign-in?next=%2Fruns%2Fx", &[OLGA]).await;
    assert_eq!(page.is(303).headers["location"], "/runs/x");
    let signed = front.form("/sign-in", &[("token", OPERATOR_TOKEN), ("next", "/")], &[VERA]).await;
    assert!(signed.is(303).headers.get("set-cookie").is_none(), "{signed:?}");
    let run = stage.diagnosed().await;
    let key = form_key(&front.page(&path_of(&run), &[OLGA]).await);
    let out = front.form("/sign-out", &[("form_key", &key)], &[OLGA]).await;
    assert!(text(out.is(409)).contains("sign out there"), "{out:?}");
    // Without the proxy's word a token still signs in.
    front.signed_in(VIEWER_TOKEN).await;
}

#[tokio::test]
async fn a_header_without_proxies_is_a_bad_setting() {
    let settings = owned(&[("TRUSTED_USER_HEADER", USER), ("NOTE_BY", "soon")]);
    let ended = run(&["serve"], &settings, "").await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    for part in ["TRUSTED_USER_HEADER: is set without TRUSTED_PROXIES", "NOTE_BY"] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
}

/// Contract 3: the header is "for views and API": a webhook is taken by its signature alone.
#[tokio::test]
async fn a_webhook_is_taken_by_its_signature_whatever_the_header_says() {
    let stage = Stage::quick(&BY_PROXY).await;
    let body = stage.world.pagerduty.webhook_body("incident.triggered", &stage.world.alert);
    let send = async |signature: &str| {
        let request = stage.front.http.post(format!("{}/webhooks/pagerduty", stage.front.url)).body(body.clone());
        let request = request.header(OLGA.0, OLGA.1).header("origin", "https://elsewhere.example");
        Answer::of(request.header("x-pagerduty-signature", signature)).await
    };
    let refused = send(&sign("not-ours", body.as_bytes())).await;
    assert_eq!(refused.is_problem(403).body["detail"], "no signature matches");
    assert_eq!(send(&sign(WEBHOOK_SECRET, body.as_bytes())).await.is(202).word(), "accepted");
}
