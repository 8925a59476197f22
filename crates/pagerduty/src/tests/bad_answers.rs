//! Answers made by hand.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// What was asked of a [`server`], request lines and headers.
pub(super) type Asked = Arc<Mutex<Vec<String>>>;

/// A server that gives each request (its first line) the answer that `answer` makes, as bytes of HTTP.
pub(super) async fn server(answer: impl Fn(&str) -> String + Send + 'static) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let seen = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                match stream.read(&mut buffer).await {
                    Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
                    _ => break,
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            seen.lock().unwrap().push(request.clone());
            let _ = stream.write_all(answer(request.lines().next().unwrap_or_default()).as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (url, asked)
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
}

pub(super) fn ok(body: &serde_json::Value) -> String {
    http("200 OK", "content-type: application/json\r\n", &body.to_string())
}

pub(super) fn client_of(url: &str) -> PagerDuty {
    let settings =
        PagerDutySettings { api_url: url.parse().unwrap(), token: "s3cret-token".into(), from: "a@b".to_owned() };
    PagerDuty::new(settings, HandClock::at(NOW)).unwrap()
}

fn number(line: &str, name: &str) -> usize {
    let at = line.find(&format!("{name}=")).unwrap() + name.len() + 1;
    line[at..].chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_token_stays_here() {
    let (elsewhere, asked) = server(|_| ok(&json!({"incident": {"id": "Q1"}}))).await;
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("location: {elsewhere}/incidents/Q1\r\n");
        let (url, _) = server(move |_| http(status, &location, "")).await;
        let client = client_of(&url);
        let error = client.incident("Q1").await.unwrap_err();
        assert!(matches!(error.kind, Kind::Refused(_)), "{error}");
        assert!(error.to_string().contains("PAGERDUTY_API_URL"), "{error}");
        assert!(matches!(client.add_note(&free(), "Q1", "x").await.unwrap_err().kind, Kind::Refused(_)));
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_sign_in_page_is_no_answer() {
    let (url, asked) = server(|_| http("200 OK", "content-type: text/html\r\n", "<html>Sign in</html>")).await;
    let error = client_of(&url).open_incidents(&[]).await.unwrap_err();
    assert_eq!(error.kind, Kind::Malformed);
    assert!(error.to_string().contains("HTML page"), "{error}");
    assert_eq!(asked.lock().unwrap().len(), 1);
    let (url, _) = server(|_| http("403 Forbidden", "content-type: text/html\r\n", "<html>s3cret-token</html>")).await;
    let error = client_of(&url).open_incidents(&[]).await.unwrap_err();
    assert!(error.to_string().contains("403 Forbidden: an HTML page"), "{error}");
}

#[tokio::test]
async fn an_error_that_echoes_the_token_does_not_spread_it() {
    for body in [
        "you sent Authorization: Token token=s3cret-token\u{1b}[31m\r\nfoo".to_owned(),
        json!({"error": {"message": "bad s3cret-token", "code": 1, "errors": {"token": ["s3cret-token"]}}}).to_string(),
        "x".repeat(1 << 20),
    ] {
        let (url, _) = server(move |_| http("403 Forbidden", "", &body)).await;
        let error = client_of(&url).incident("Q1").await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(error.got.chars().count() < 330 && !error.got.contains('\u{1b}'), "{error}");
    }
    assert!(!format!("{:?}", client_of("http://127.0.0.1:1")).contains("s3cret"));
}

#[tokio::test]
async fn unknown_missing_and_null_fields_are_survived() {
    let bare = json!({"id": "Q1"});
    let odd = json!({
        "id": "Q2", "title": "a\u{7}b", "status": "paused", "urgency": null, "service": null, "incident_key": "",
        "html_url": "javascript:alert(1)", "created_at": "yesterday", "assignments": null, "new": {"deep": [1]},
        "acknowledgements": [{"at": "2015-11-10T00:31:52-05:00"}, {}], "resolve_reason": {"type": "other"},
    });
    let (url, _) =
        server(move |line| ok(&json!({"incident": if line.contains("Q1") { bare.clone() } else { odd.clone() }})))
            .await;
    let client = client_of(&url);
    let incident = client.incident("Q1").await.unwrap().unwrap();
    assert_eq!((incident.title.as_str(), incident.status, incident.created_at), ("", Status::Other, None));
    assert!(incident.is_open());
    let incident = client.incident("Q2").await.unwrap().unwrap();
    assert_eq!((incident.title.as_str(), incident.html_url.as_str()), ("a\u{2003}b", ""));
    assert_eq!((incident.incident_key, incident.merged_into, incident.assignments), (None, None, 0));
    assert_eq!(incident.acknowledgements[0].at, Some("2015-11-10T05:31:52Z".parse().unwrap()));
}

#[tokio::test]
async fn an_id_that_could_break_a_url_is_no_id() {
    let (url, _) = server(|_| ok(&json!({"incident": {"id": "../users"}}))).await;
    assert_eq!(client_of(&url).incident("Q1").await.unwrap_err().kind, Kind::Malformed);
    // For a write it is still true that something was probably done.
    assert_eq!(client_of(&url).add_note(&free(), "Q1", "x").await.unwrap_err().kind, Kind::Ambiguous);
}

#[tokio::test]
async fn a_page_that_is_not_full_is_the_last_whether_it_says_so_or_not() {
    for (count, body) in [(0, json!({"incidents": []})), (1, json!({"incidents": [{"id": "Q-1_a"}]}))] {
        let (url, _) = server(move |_| ok(&body)).await;
        assert_eq!(client_of(&url).open_incidents(&[]).await.unwrap().len(), count);
    }
}

#[tokio::test]
async fn a_list_without_its_end_is_an_error() {
    let entries = |range: std::ops::Range<usize>| range.map(|n| json!({"id": format!("Q{n}")})).collect::<Vec<_>>();
    let cases = [
        (json!({"incidents": entries(0..100)}), "without `more`"),
        (json!({"more": false}), "without `incidents`"),
        (json!([]), "without `incidents`"),
        (json!("incidents"), "without `incidents`"),
        (json!(null), "without `incidents`"),
        (json!({"incidents": {}, "more": false}), "without `incidents`"),
        (json!({"incidents": vec![json!({"title": "x"}); 100], "more": true}), "without an id"),
        (json!({"incidents": [], "more": true}), "empty page"),
        (json!({"incidents": entries(0..1), "more": true}), "empty page"),
    ];
    for (body, part) in cases {
        let (url, _) = server(move |_| ok(&body)).await;
        let error = client_of(&url).open_incidents(&[]).await.unwrap_err();
        assert_eq!(error.kind, Kind::Malformed);
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn a_list_that_is_longer_than_pagerduty_lists_is_an_error() {
    let (url, asked) = server(|line| {
        let (limit, offset) = (number(line, "limit"), number(line, "offset"));
        assert!(offset + limit <= 10_000 && limit > 0, "{line}");
        let page: Vec<_> = (offset..offset + limit).map(|n| json!({"id": format!("Q{n}")})).collect();
        ok(&json!({"incidents": page, "more": true}))
    })
    .await;
    let error = client_of(&url).open_incidents(&[]).await.unwrap_err();
    assert_eq!(error.kind, Kind::Malformed);
    assert!(error.to_string().contains("more than 10000 entries (PagerDuty lists no more"), "{error}");
    assert_eq!(asked.lock().unwrap().len(), 101);
}

#[tokio::test]
async fn a_list_that_moves_while_it_is_read_is_taken_up_again_further_back() {
    // After the first page its first entry is resolved: what was Q100 stands at 99 now, and Q99 at 98.
    let pages = Mutex::new(0);
    let (url, asked) = server(move |line| {
        let (limit, offset) = (number(line, "limit"), number(line, "offset"));
        let mut served = pages.lock().unwrap();
        let first = usize::from(*served > 0);
        *served += 1;
        let all: Vec<_> = (first..150).map(|n| json!({"id": format!("Q{n}")})).collect();
        let page: Vec<_> = all.iter().skip(offset).take(limit).collect();
        ok(&json!({"incidents": page, "more": offset + page.len() < all.len()}))
    })
    .await;
    let listed = client_of(&url).open_incidents(&[]).await.unwrap();
    let expected: Vec<String> = (0..150).map(|n| format!("Q{n}")).collect();
    assert_eq!(ids(&listed), expected);
    assert_eq!(asked.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_list_that_never_holds_still_is_an_error() {
    let pages = Mutex::new(0);
    let (url, asked) = server(move |line| {
        let offset = number(line, "offset");
        let mut served = pages.lock().unwrap();
        *served += 1;
        let page: Vec<_> = (0..100).map(|n| json!({"id": format!("Q{}-{}", *served, offset + n)})).collect();
        ok(&json!({"incidents": page, "more": true}))
    })
    .await;
    let error = client_of(&url).open_incidents(&[]).await.unwrap_err();
    assert!(error.to_string().contains("changed each time"), "{error}");
    assert!(asked.lock().unwrap().len() < 60, "{}", asked.lock().unwrap().len());
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_whole() {
    let (url, asked) = server(|_| {
        let body = json!({"notes": []}).to_string();
        http("200 OK", "content-type: application/json\r\n", &body).replace("content-length: 12", "content-length: 99")
    })
    .await;
    let client = client_of(&url);
    assert_eq!(client.notes("Q1").await.unwrap_err().kind, Kind::Ambiguous);
    assert_eq!(asked.lock().unwrap().len(), 5);
    assert_eq!(client.add_note(&free(), "Q1", "x").await.unwrap_err().kind, Kind::Ambiguous);
    assert_eq!(asked.lock().unwrap().len(), 6);
}

#[tokio::test]
async fn an_endless_error_and_a_slow_one_end() {
    let (url, _) = server(|_| "HTTP/1.1 500 Oh\r\ncontent-length: 99999999\r\n\r\nhalf".to_owned()).await;
    let error = client_of(&url).add_note(&free(), "Q1", "x").await.unwrap_err();
    assert_eq!(error.kind, Kind::Ambiguous);
}

#[tokio::test]
async fn a_key_filter_that_filters_loosely_or_not_at_all_finds_nothing_wrong() {
    let keyed = |n: usize, key: &str| json!({"id": format!("Q{n}"), "incident_key": key});
    let loose = vec![keyed(1, "se-responder/Q1"), keyed(2, "se-responder/Q12"), keyed(3, "SE-RESPONDER/Q1")];
    let keyless: Vec<_> = (0..30).map(|n| json!({"id": format!("Q{n}")})).collect();
    for (incidents, expected) in [(loose, Ok(vec!["Q1"])), (keyless, Err(Kind::Malformed))] {
        let (url, _) = server(move |line| {
            let list = if line.contains("/alerts") { "alerts" } else { "incidents" };
            let entries =
                if list == "alerts" { vec![json!({"id": "A1", "alert_key": "other"})] } else { incidents.clone() };
            ok(&json!({list: entries, "more": false}))
        })
        .await;
        let found = client_of(&url).incidents_with_key("se-responder/Q1").await;
        assert_eq!(found.as_ref().map(|found| ids(found)).map_err(|e| e.kind), expected);
    }
}

/// Whatever stands where nothing can be read, what can be read counts.
#[tokio::test]
async fn fields_of_another_type_and_entries_that_are_none_cost_no_answer() {
    let somebody = json!({"id": "P1", "summary": "Ann"});
    for odd in [json!(null), json!(7), json!("x"), json!(true), json!([null]), json!({"x": [null]})] {
        let incident = json!({
            "id": "Q1", "title": "All is lost", "incident_number": odd, "html_url": "https://x.example", "created_at": odd,
            "status": "acknowledged", "urgency": "high", "service": somebody, "incident_key": odd, "resolve_reason": odd,
            "assignments": [odd, {"at": odd, "assignee": odd}, null], "last_status_change_at": odd, "teams": odd,
            "acknowledgements": [odd, null, {"at": "2015-11-10T00:31:52-05:00", "acknowledger": somebody}],
        });
        let notes = json!([odd, null, {"id": "N1", "content": "one", "user": odd, "created_at": odd}, {"id": "N2"}]);
        let subscription = json!({
            "id": "S1", "active": odd, "events": [odd, "incident.triggered", null], "filter": odd,
            "delivery_method": {"url": "https://x.example", "temporarily_disabled": odd},
        });
        let service = json!({"id": "P2", "name": "Cloud", "status": odd, "html_url": odd, "escalation_policy": odd});
        let (url, _) = server(move |line| {
            ok(&match line.split([' ', '?']).nth(1).unwrap_or_default() {
                "/incidents/Q1" => json!({"incident": incident}),
                "/incidents/Q1/notes" => json!({"notes": notes}),
                "/services/P2" => json!({"service": service}),
                _ => json!({"webhook_subscriptions": [subscription], "more": false}),
            })
        })
        .await;
        let client = client_of(&url);
        let incident = client.incident("Q1").await.unwrap().unwrap();
        assert_eq!(
            (incident.title.as_str(), incident.status, incident.number > 7),
            ("All is lost", Status::Acknowledged, false)
        );
        assert_eq!(incident.service.map(|service| service.id).as_deref(), Some("P1"), "{odd}");
        let by: Vec<_> = incident.acknowledgements.iter().filter_map(|a| Some(a.by.as_ref()?.name.as_str())).collect();
        assert_eq!(by, ["Ann"], "{odd}");
        assert!((1..=2).contains(&incident.assignments), "{odd}");
        let texts: Vec<_> = client.notes("Q1").await.unwrap().into_iter().map(|note| (note.id, note.content)).collect();
        assert_eq!(texts, [("N1".into(), "one".into()), ("N2".into(), String::new())], "{odd}");
        let subscription = client.subscriptions().await.unwrap().remove(0);
        assert!(
            subscription.active && subscription.events.contains(&"incident.triggered".to_owned()),
            "{subscription:?}"
        );
        assert_eq!(subscription.delivery_method.temporarily_disabled, odd == json!(true));
        assert_eq!(client.service("P2").await.unwrap().unwrap().name, "Cloud");
    }
}
