//! Clients that stall: whoever has no credentials keeps nobody from being answered, however many they are.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use outbound::clock::SystemClock;
use reqwest::RequestBuilder;
use se_responder::http::Limits;
use simulators::pagerduty::sign;
use simulators::world::{VIEWER_TOKEN, WEBHOOK_SECRET, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{Answer, Front, PATIENCE, quick, settings_of, until};
use crate::process::Process;

/// How long PagerDuty waits for an answer. It comes far below a second, but a test's machine does other things too.
const SOON: Duration = Duration::from_secs(5);

async fn service(settings: &[(&str, &str)]) -> (World, Process) {
    // Both ends of thousands of sockets: this process's are as many.
    let _ = Limits::default().within_the_file_limit();
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let settings = settings_of(&world, settings);
    let process = Process::serve(&settings).await;
    (world, process)
}

fn address(process: &Process) -> SocketAddr {
    process.front.url.strip_prefix("http://").expect("http").parse().expect("an address")
}

/// A client that takes little at a time, and sends this.
async fn stalled(address: SocketAddr, sends: &[u8]) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.set_recv_buffer_size(4096).ok()?;
    let mut stream = tokio::time::timeout(SOON, socket.connect(address)).await.ok()?.ok()?;
    // It may have lost its place already.
    let _ = stream.write_all(sends).await;
    Some(stream)
}

async fn hold(address: SocketAddr, sends: &[u8], count: usize) -> Vec<TcpStream> {
    let clients = futures::stream::iter(0..count).map(|_| stalled(address, sends));
    clients.buffer_unordered(64).filter_map(async |stream| stream).collect().await
}

/// What comes to the end of the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all)).await.expect("an end");
    String::from_utf8_lossy(&all).into_owned()
}

/// Who is so slow that hundreds have come before its head did is let go too, and asks again, as PagerDuty does.
async fn answered(what: &str, request: impl Fn(&Front) -> RequestBuilder, to: &Process) -> Answer {
    let mut tries = 1;
    loop {
        // On a connection of its own.
        let front = Front::at(to.front.url.clone());
        match Answer::try_of(request(&front)).await {
            Ok(answer) => return answer,
            Err(error) => assert!(tries < 3, "beside {what}: {error}"),
        }
        tries += 1;
    }
}

/// Signed webhooks and probes are answered; soon, once the machine has a moment for them: where a place is missing, none of
/// five would be.
async fn answers_soon(process: &Process, what: &str) {
    let mut fastest = [Duration::MAX; 3];
    for n in 0..5 {
        let body = format!(r#"{{"event":{{"id":"{what} {n}","event_type":"pagey.ping","data":{{"type":"ping"}}}}}}"#);
        let signature = sign(WEBHOOK_SECRET, body.as_bytes());
        for (path, fastest) in ["/webhooks/pagerduty", "/healthz", "/readyz"].into_iter().zip(&mut fastest) {
            let request = |front: &Front| {
                let url = format!("{}{path}", front.url);
                match path {
                    "/webhooks/pagerduty" => {
                        front.http.post(url).header("x-pagerduty-signature", &signature).body(body.clone())
                    }
                    _ => front.http.get(url),
                }
            };
            // Where as much is at work as may be, or the machine has no time for the database, who asks is told to ask again.
            until(path, async || {
                let began = Instant::now();
                let answer = answered(what, request, process).await;
                let is_well = match path {
                    _ if answer.status == 503 => return None,
                    // One that was taken before its connection ended is known.
                    "/webhooks/pagerduty" => answer.status == 202 && ["ignored", "duplicate"].contains(&answer.word()),
                    _ => answer.status == 200,
                };
                assert!(is_well, "{path} beside {what}: {answer:?}");
                *fastest = began.elapsed().min(*fastest);
                Some(())
            })
            .await;
        }
    }
    for (question, took) in ["a webhook", "/healthz", "/readyz"].into_iter().zip(fastest) {
        assert!(took < SOON, "{question} took {took:?} at best beside {what}");
    }
}

/// More than there are places for; `STALLED=5000` asks for as many, on a machine that does nothing else. No more than this
/// machine's hard limit of open files lets be.
fn thousands() -> usize {
    #[expect(clippy::disallowed_methods, reason = "how much is tested is no setting of the service")]
    let asked = std::env::var("STALLED").ok().and_then(|text| text.parse().ok()).unwrap_or(1_200);
    let files = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let hard = files
        .lines()
        .find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().nth(1)?.parse::<usize>().ok());
    let most = hard.map_or(asked, |hard| hard.saturating_sub(500).min(asked));
    if most < asked {
        eprintln!("only {most} connections: the hard limit of open files is low");
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_that_stall_keep_no_webhook_from_being_answered() {
    let (_world, process) = service(&[]).await;
    let to = address(&process);
    let signature = format!("v1={}", "0".repeat(64));
    let webhook = format!(
        "POST /webhooks/pagerduty HTTP/1.1\r\nhost: x\r\nx-pagerduty-signature: {signature}\r\ncontent-length: 900\r\n\r\n{{"
    );
    let chunked = format!(
        "POST /webhooks/pagerduty HTTP/1.1\r\nhost: x\r\nx-pagerduty-signature: {signature}\r\n\
         transfer-encoding: chunked\r\n\r\n5\r\n{{"
    );
    let form = "content-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\ntok";
    let unread = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(thousands() / 60);
    let kinds = [
        ("sockets that say nothing", String::new()),
        ("halves of heads", "POST /sign-in HTTP/1.1\r\nhost: x\r\nx-".to_owned()),
        ("sign-ins that stop", format!("POST /sign-in HTTP/1.1\r\nhost: x\r\n{form}")),
        ("requests that stop", "POST /rerun HTTP/1.1\r\nhost: x\r\ncontent-length: 30\r\n\r\n{".to_owned()),
        ("webhooks that stop", webhook),
        ("webhooks that stop midway in a chunk", chunked),
        ("metrics that nobody reads", unread("/metrics")),
        ("health that nobody reads", unread("/healthz")),
        ("descriptions that nobody reads", unread("/openapi.json")),
        ("connections that are kept", "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n".to_owned()),
    ];
    for (what, sends) in kinds {
        // What is on its way and unread is the kernel's memory: fewer of those.
        let count = if what.ends_with("reads") { thousands() / 30 } else { thousands() };
        let held = hold(to, sends.as_bytes(), count).await;
        // And new ones all the while.
        let more = async {
            let mut pace = tokio::time::interval(Duration::from_millis(5));
            let mut all = Vec::new();
            loop {
                pace.tick().await;
                all.push(stalled(to, sends.as_bytes()).await);
            }
        };
        tokio::select! {
            () = answers_soon(&process, what) => {}
            () = more => {}
        }
        drop(held);
    }
    let metrics = process.front.get_as(VIEWER_TOKEN, "/metrics").await.body;
    let counted = metrics.as_str().and_then(|text| text.split_once(r#"connections_closed_total{why="full"} "#));
    assert!(counted.is_some_and(|(_, rest)| !rest.starts_with('0')), "it is counted: {metrics}");
}

#[tokio::test]
async fn a_body_that_stops_is_told_so() {
    let (_world, process) = service(&[]).await;
    // At once: each waits until its time is up.
    let told = ["/sign-in", "/rerun", "/escalate", "/sign-out"].map(async |path| {
        let sends = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf");
        let mut stream = stalled(address(&process), sends.as_bytes()).await.expect("connected");
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{path}: {answer}");
        assert!(
            answer.contains("application/problem+json") && answer.contains("connection: close"),
            "{path}: {answer}"
        );
    });
    futures::future::join_all(told).await;
    let large = "x".repeat(70_000);
    process.front.post("/rerun", &large.into()).await.is_problem(413);
}

#[tokio::test]
async fn an_address_has_so_many_connections_unless_it_is_a_proxy() {
    // 512 may be kept; one more costs the oldest its place.
    for (proxies, let_go) in [("10.0.0.0/8, fd00::/8", true), ("10.0.0.0/8,127.0.0.0/8", false), ("127.0.0.1", false)] {
        let (_world, process) = service(&[("TRUSTED_PROXIES", proxies)]).await;
        let mut held = hold(address(&process), b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", 600).await;
        until("all to be answered, or let go", async || {
            let metrics = process.front.get_as(VIEWER_TOKEN, "/metrics").await.body;
            let peer = metrics.as_str()?.split_once(r#"connections_closed_total{why="peer"} "#)?.1.lines().next()?;
            (!let_go || peer.parse::<f64>().is_ok_and(|n| n >= 80.0)).then_some(())
        })
        .await;
        let mut ended = 0;
        for stream in &mut held {
            let mut some = [0; 4096];
            let answered = tokio::time::timeout(PATIENCE, stream.read(&mut some)).await.expect("an answer, or an end");
            if !matches!(answered, Ok(1..)) {
                ended += 1;
                continue;
            }
            // Whether it can be used once more.
            let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
            let again = tokio::time::timeout(PATIENCE, stream.read(&mut some)).await.expect("an answer, or an end");
            ended += usize::from(asked.is_err() || !matches!(again, Ok(1..)));
        }
        assert_eq!(ended >= 80, let_go, "{proxies}: {ended} were let go");
        assert!(let_go || ended == 0, "{proxies}: {ended} were let go");
    }
}

#[tokio::test]
async fn where_no_more_files_may_be_open_webhooks_are_answered_all_the_same() {
    let (_world, process) = service(&[]).await;
    // What it opens on first use is open.
    answers_soon(&process, "nothing").await;
    let to = address(&process);
    let mut held = hold(to, b"GET / HTTP/1.1\r\nhost: x\r\nx-", 100).await;
    until("all to be taken", async || (process.open_files() >= 100).then_some(())).await;
    process.limit_files(process.open_files()).await;
    held.extend(hold(to, b"GET / HTTP/1.1\r\nhost: x\r\nx-", 300).await);
    answers_soon(&process, "no more files").await;
    assert!(process.said().contains("too many files are open"), "{}", process.said());
    drop(held);
}
