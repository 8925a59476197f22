use std::net::SocketAddr;

use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is too long in these tests, and what is not over before they end.
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(600);

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const STALLED: &[u8] = b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf";

/// Limits of which none is met.
fn wide() -> Limits {
    Limits { head: LONG, idle: LONG, body: LONG, write: LONG, request: LONG, stream: LONG, ..Limits::default() }
}

/// A server of its own: `/` answers at once, `/body` when its body is there, `/large` at length, `/never` never.
async fn server(limits: Limits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let large = Bytes::from(vec![b'x'; 32 << 20]);
    let router = Router::new()
        .route("/", get(async || "here"))
        .route("/healthz", get(async || "well"))
        .route("/body", post(async |_: Bytes| "whole"))
        .route("/webhooks/pagerduty", post(async |_: Bytes| "stored"))
        .route("/large", get(async move || large))
        .route("/never", get(async || std::future::pending::<()>().await))
        .route("/api/events", get(async || Body::from_stream(futures::stream::pending::<io::Result<Bytes>>())));
    tokio::spawn(serve(listener, router, limits, Vec::new(), CancellationToken::new()));
    address
}

async fn connected(address: SocketAddr, sends: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sends).await.unwrap();
    stream
}

/// Everything that still comes, to the end of the connection.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let read = async {
        let mut some = vec![0; 65536];
        // Whether it was closed or reset makes no difference.
        while let Ok(length @ 1..) = stream.read(&mut some).await {
            all.extend_from_slice(&some[..length]);
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("an end");
    all
}

/// What comes, up to where it ends like this.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut all = String::new();
    let read = async {
        let mut some = vec![0; 65536];
        while !all.ends_with(end) {
            let length = stream.read(&mut some).await.unwrap();
            assert!(length > 0, "it was closed after {all:?}");
            all.push_str(std::str::from_utf8(&some[..length]).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("no {end:?}"));
    all
}

#[tokio::test]
async fn who_waited_to_be_taken_when_it_stops_is_answered_and_from_then_on_nobody_is_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Connected by the kernel, and asked, before anybody has taken it.
    let mut waiting = connected(address, GET).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    // What never becomes a request does not keep it either.
    let mut half = connected(address, &GET[..9]).await;
    // Connected, and slow to ask.
    let mut late = TcpStream::connect(address).await.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    let router = Router::new().route("/", get(async || "here"));
    let served = tokio::spawn(serve(listener, router, wide(), Vec::new(), stop));
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, waiting.read_to_string(&mut answer)).await.expect("an end").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("here"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "its client must not ask on: {answer}");
    tokio::time::sleep(LAST_REQUEST * 2).await;
    late.write_all(GET).await.unwrap();
    answer.clear();
    tokio::time::timeout(PATIENCE, late.read_to_string(&mut answer)).await.expect("an end").unwrap();
    assert!(answer.ends_with("here"), "{answer}");
    // Who says nothing does not keep it.
    tokio::time::timeout(PATIENCE, served).await.expect("an end").unwrap().unwrap();
    assert_eq!(rest(&mut idle).await, b"");
    assert_eq!(rest(&mut half).await, b"");
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_has_its_time_and_no_more() {
    let address = server(Limits { head: SHORT, ..wide() }).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    let mut silent = TcpStream::connect(address).await.unwrap();
    let trickle = async {
        loop {
            if slow.write_all(b"G").await.is_err() {
                return;
            }
            tokio::time::sleep(SHORT / 6).await;
        }
    };
    tokio::time::timeout(PATIENCE, trickle).await.expect("an end");
    assert_eq!(rest(&mut silent).await, b"");
    // The same for the next head on the same connection, once its first byte is there.
    let mut kept = connected(address, GET).await;
    until(&mut kept, "here").await;
    tokio::time::sleep(SHORT * 2).await;
    kept.write_all(GET).await.unwrap();
    until(&mut kept, "here").await;
    kept.write_all(&GET[..5]).await.unwrap();
    assert_eq!(rest(&mut kept).await, b"");
}

#[tokio::test]
async fn a_head_has_its_size() {
    let address = server(wide()).await;
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(2 * MAX_HEAD));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(long.as_bytes()).await;
    let answer = rest(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    let fits = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(MAX_HEAD / 2));
    until(&mut connected(address, fits.as_bytes()).await, "here").await;
}

#[tokio::test]
async fn a_request_has_its_time_from_head_to_last_byte() {
    let address = server(Limits { request: SHORT, stream: LONG, ..wide() }).await;
    for sends in [STALLED, b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n", b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut stream = connected(address, sends).await;
        if sends.starts_with(b"GET /large") {
            // It reads on and on, but slowly.
            let mut some = [0; 64];
            let trickle = async {
                while let Ok(1..) = stream.read(&mut some).await {
                    tokio::time::sleep(SHORT / 10).await;
                    // What is in buffers on the way would take hours: it is over once the other side has let go.
                    if stream.write_all(b"x").await.is_err() {
                        return;
                    }
                }
            };
            tokio::time::timeout(PATIENCE, trickle).await.expect("an end");
        } else {
            assert_eq!(rest(&mut stream).await, b"");
        }
    }
    let mut stream = connected(address, b"GET /api/events HTTP/1.1\r\nhost: x\r\n\r\n").await;
    until(&mut stream, "\r\n\r\n").await;
    tokio::time::sleep(SHORT * 3).await;
    let more = tokio::time::timeout(SHORT, stream.read(&mut [0])).await;
    assert!(more.is_err(), "a stream goes on: {more:?}");
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_let_go() {
    let address = server(Limits { write: SHORT, ..wide() }).await;
    let mut stream = connected(address, b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // Not one byte is read meanwhile.
    let let_go = async {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SHORT / 6).await;
        }
    };
    tokio::time::timeout(PATIENCE, let_go).await.expect("an end");
    // Who reads gets it all, however often it pauses.
    let mut stream = connected(address, b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let mut some = vec![0; 8 << 20];
    let mut read = 0;
    while let length @ 1.. = stream.read(&mut some).await.unwrap() {
        read += length;
    }
    assert!(read > 32 << 20, "{read}");
}

#[tokio::test]
async fn a_connection_is_kept_for_a_while_and_no_longer() {
    let address = server(Limits { idle: SHORT, ..wide() }).await;
    let mut stream = connected(address, GET).await;
    for _ in 0..3 {
        until(&mut stream, "here").await;
        tokio::time::sleep(SHORT / 3).await;
        stream.write_all(GET).await.unwrap();
    }
    assert!(String::from_utf8(rest(&mut stream).await).unwrap().ends_with("here"));
}

#[tokio::test]
async fn who_stalls_gives_way_to_who_does_not() {
    let few = Limits { heads: 4, webhooks: 2, health: 2, streams: 2, others: 2, ..wide() };
    let address = server(few).await;
    let webhook: &[u8] = b"POST /webhooks/pagerduty HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n";
    let large = b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2);
    let mut stalled = Vec::new();
    for sends in [b"", &GET[..9], STALLED, webhook, &large] {
        for _ in 0..20 {
            stalled.push(connected(address, sends).await);
        }
        for (asks, end) in [
            (&b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"[..], "well"),
            (&[webhook, b"123456789"].concat(), "stored"),
            (&[&STALLED[..STALLED.len() - 4], b"123456789"].concat(), "whole"),
            (GET, "here"),
        ] {
            until(&mut connected(address, asks).await, end).await;
        }
    }
    // Who sent half of it long ago has lost their place.
    assert_eq!(rest(&mut stalled[0]).await, b"");
}

#[tokio::test]
async fn where_all_are_at_work_who_comes_is_told_when_to_come_again() {
    let address = server(Limits { others: 2, ..wide() }).await;
    let mut at_work = Vec::new();
    for _ in 0..2 {
        at_work.push(connected(address, b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await);
    }
    let told = async {
        loop {
            let mut stream = connected(address, GET).await;
            let mut some = vec![0; 4096];
            let length = stream.read(&mut some).await.unwrap();
            some.truncate(length);
            if !some.starts_with(b"HTTP/1.1 200") {
                some.extend(rest(&mut stream).await);
                return String::from_utf8(some).unwrap();
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, told).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    for part in ["\r\nretry-after: 5\r\n", "\r\nconnection: close\r\n", "application/problem+json"] {
        assert!(answer.contains(part), "{answer}");
    }
    // All else is answered.
    until(&mut connected(address, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await, "well").await;
    // One that ends makes room.
    at_work.pop();
    let room = async {
        loop {
            let mut stream = connected(address, GET).await;
            let mut some = vec![0; 4096];
            let _ = stream.read(&mut some).await.unwrap();
            if some.starts_with(b"HTTP/1.1 200") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, room).await.expect("room");
}
