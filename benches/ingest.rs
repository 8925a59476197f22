//! What webhooks cost: `cargo bench --bench ingest`.
//!
//! The service beside "group", a bare handler that holds a webhook against its signature and stores it, concurrent ones in
//! one commit. Both are asked in turn by a process of its own, so that one run says what the service costs beside that. A
//! webhook that starts runs also has them worked on: the systems that they ask never answer.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use outbound::clock::SystemClock;
use se_responder::commands::serve::Service;
use se_responder::config::{Config, Environment};
use sha2::Sha256;
use simulators::pagerduty::sign;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

const SECRET: &str = "a-secret-of-the-bench";
/// How long each is asked in one round, and how many rounds there are: the median counts.
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// The most that one commit takes.
const GROUP: usize = 256;

/// What the webhooks are about.
#[derive(Clone, Copy, Debug)]
enum About {
    /// Nothing follows from them.
    Ignored,
    /// Each starts a run.
    Alerts,
}

impl About {
    fn of(name: &str) -> Option<Self> {
        match name {
            "ignored" => Some(Self::Ignored),
            "alerts" => Some(Self::Alerts),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Alerts => "alerts",
        }
    }

    /// A body as PagerDuty sends it.
    fn body(self, mark: &str) -> String {
        let (event_type, title, status) = match self {
            Self::Ignored => ("incident.acknowledged", "Disk of a node is almost full", "acknowledged"),
            Self::Alerts => ("incident.triggered", "All SE endpoints down in prod-us-south", "triggered"),
        };
        let reference = |kind: &str, id: &str| {
            serde_json::json!({"id": id, "type": format!("{kind}_reference"), "summary": format!("The {kind} {id}"),
                "self": format!("https://api.pagerduty.com/{kind}s/{id}"),
                "html_url": format!("https://example.pagerduty.com/{kind}s/{id}")})
        };
        serde_json::json!({"event": {
            "id": format!("E{mark}"), "event_type": event_type, "resource_type": "incident",
            "occurred_at": "2026-08-20T03:00:00.000Z", "agent": reference("user", "PUSER01"), "client": null,
            "data": {
                "id": format!("Q{mark}"), "type": "incident", "self": format!("https://api.pagerduty.com/incidents/Q{mark}"),
                "html_url": format!("https://example.pagerduty.com/incidents/Q{mark}"), "number": 4711, "status": status,
                "incident_key": format!("key-{mark}"), "created_at": "2026-08-20T02:59:58Z", "title": title,
                "service": reference("service", "PSERVICE"), "escalation_policy": reference("escalation_policy", "PPOLICY"),
                "assignees": [reference("user", "PUSER01"), reference("user", "PUSER02")],
                "teams": [reference("team", "PTEAM01")], "priority": null, "urgency": "high",
                "conference_bridge": null, "resolve_reason": null,
            },
        }})
        .to_string()
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    if let [ask, address, connections, about, mark] = &arguments[..]
        && ask == "ask"
    {
        let about = About::of(about).context("about what?")?;
        return runtime.block_on(ask_for_a_round(address.parse()?, connections.parse()?, about, mark));
    }
    // cargo gives `--bench`; `cargo test --benches` does not, and wants no minutes of work.
    if !arguments.iter().any(|a| a == "--bench") {
        return Ok(());
    }
    runtime.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    sqlx::any::install_default_drivers();
    let group = serve_group(&folder.path().join("group.db")).await?;
    println!(
        "{:<8} {:>11} {:>9} {:>9} {:>6} {:>8} {:>8} {:>10} {:>10}",
        "about", "connections", "group/s", "ours/s", "share", "p50", "p99", "group CPU", "our CPU"
    );
    for about in [About::Ignored, About::Alerts] {
        // A database of its own: runs that were started before are worked on.
        let stop = CancellationToken::new();
        let (ours, serving) = serve_ours(&folder.path().join(format!("{}.db", about.name())), stop.clone()).await?;
        for connections in CONNECTIONS {
            let (mut of_group, mut of_ours) = (Vec::new(), Vec::new());
            for round in 0..ROUNDS {
                let mark = format!("{}{connections}R{round}", about.name());
                of_group.push(round_at(group, connections, about, &mark).await?);
                of_ours.push(round_at(ours, connections, about, &mark).await?);
            }
            let (group, ours) = (median(of_group), median(of_ours));
            println!(
                "{:<8} {connections:>11} {:>9.0} {:>9.0} {:>6.2} {:>5.1} ms {:>5.1} ms {:>7.0} us {:>7.0} us",
                about.name(),
                group.rate,
                ours.rate,
                ours.rate / group.rate,
                ours.p50,
                ours.p99,
                group.cpu,
                ours.cpu
            );
        }
        stop.cancel();
        serving.await??;
    }
    Ok(())
}

/// What one round gave: requests a second, milliseconds, and the server's microseconds of CPU a request.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    rate: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
}

fn median(rounds: Vec<Measured>) -> Measured {
    let of = |value: fn(&Measured) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Measured { rate: of(|m| m.rate), p50: of(|m| m.p50), p99: of(|m| m.p99), cpu: of(|m| m.cpu) }
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Has another process ask for a round.
async fn round_at(to: SocketAddr, connections: usize, about: About, mark: &str) -> anyhow::Result<Measured> {
    let before = cpu_time();
    let mut ask = Command::new(std::env::current_exe()?);
    ask.args(["ask", &to.to_string(), &connections.to_string(), about.name(), mark]).stdout(Stdio::piped());
    let asking = ask.spawn()?;
    let said = tokio::task::spawn_blocking(move || asking.wait_with_output()).await??;
    let spent = cpu_time() - before;
    let said = String::from_utf8(said.stdout)?;
    let numbers: Vec<f64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>().context(said.clone())?;
    let [asked, seconds, p50, p99] = numbers[..] else { bail!("the round failed: {said}") };
    Ok(Measured { rate: asked / seconds, p50, p99, cpu: spent.as_secs_f64() * 1e6 / asked })
}

/// Asks for a round; prints how many were answered, in how many seconds, and the median and 99th of 100 in milliseconds.
async fn ask_for_a_round(to: SocketAddr, connections: usize, about: About, mark: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    let asking: Vec<_> = (0..connections)
        .map(|connection| tokio::spawn(ask_in_turn(to, about, format!("{mark}C{connection}"), begun + ROUND)))
        .collect();
    let mut took = Vec::new();
    for asked in asking {
        took.extend(asked.await??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    took.sort();
    let of = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{} {seconds} {} {}", took.len(), of(0.5), of(0.99));
    Ok(())
}

async fn ask_in_turn(to: SocketAddr, about: About, mark: String, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (mut took, mut answer) = (Vec::new(), vec![0; 4096]);
    while Instant::now() < until {
        let body = about.body(&format!("{mark}N{}", took.len()));
        let head = format!(
            "POST /webhooks/pagerduty HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
             x-pagerduty-signature: {}\r\ncontent-length: {}\r\n\r\n",
            sign(SECRET, body.as_bytes()),
            body.len()
        );
        let asked = Instant::now();
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
        let mut have = 0;
        // Answers are short, and end with their one line of JSON.
        while !answer[..have].ends_with(b"}") {
            match stream.read(&mut answer[have..]).await? {
                0 => bail!("the connection ended"),
                more => have += more,
            }
        }
        if !answer.starts_with(b"HTTP/1.1 202") {
            bail!("{}", String::from_utf8_lossy(&answer[..have]));
        }
        took.push(asked.elapsed());
    }
    Ok(took)
}

async fn serve_ours(
    database: &Path,
    stop: CancellationToken,
) -> anyhow::Result<(SocketAddr, tokio::task::JoinHandle<anyhow::Result<()>>)> {
    // It takes connections, as far as the kernel does by itself, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let nobody = format!("http://{}", silent.local_addr()?);
    std::mem::forget(silent);
    let settings = [
        ("LISTEN_ADDR", "127.0.0.1:0".to_owned()),
        ("DATABASE_URL", format!("sqlite://{}", database.display())),
        ("PAGERDUTY_WEBHOOK_SECRETS", SECRET.to_owned()),
        ("PAGERDUTY_API_URL", nobody.clone()),
        ("PAGERDUTY_EVENTS_URL", nobody.clone()),
        ("PAGERDUTY_API_TOKEN", "a-token-of-the-bench".to_owned()),
        ("PAGERDUTY_FROM", "bench@example.com".to_owned()),
        ("JENKINS_JOB_URL", format!("{nobody}/job/Status/")),
        ("JENKINS_USER", "bench".to_owned()),
        ("JENKINS_API_TOKEN", "a-token-of-the-bench".to_owned()),
        ("SELF_CHECK_INTERVAL", "0s".to_owned()),
        ("CANARY_INTERVAL", "0s".to_owned()),
        ("RECONCILE_INTERVAL", "0s".to_owned()),
    ];
    let settings: Vec<(String, String)> = settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let service = Service::prepare(Config::load(&Environment::of(settings))?, SystemClock::shared()).await?;
    let address = service.local_addr()?;
    Ok((address, tokio::spawn(service.run(stop))))
}

struct Webhook {
    id: String,
    body: Bytes,
    stored: oneshot::Sender<()>,
}

/// The bare handler.
async fn serve_group(database: &Path) -> anyhow::Result<SocketAddr> {
    let mut connection = AnyConnection::connect(&format!("sqlite://{}?mode=rwc", database.display())).await?;
    for sql in [
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "CREATE TABLE events (event_id TEXT NOT NULL PRIMARY KEY, received_at BIGINT NOT NULL, body TEXT NOT NULL)",
    ] {
        sqlx::query(sql).execute(&mut connection).await?;
    }
    let (tell, told) = mpsc::channel(1024);
    tokio::spawn(store_groups(connection, told));
    let handler = move |headers: HeaderMap, body: Bytes| {
        let tell = tell.clone();
        async move {
            let signature = headers.get("x-pagerduty-signature").and_then(|v| v.to_str().ok()?.strip_prefix("v1="));
            let signature = signature.and_then(|hex| hex::decode(hex).ok()).unwrap_or_default();
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()) else { return refused() };
            mac.update(&body);
            if mac.verify_slice(&signature).is_err() {
                return refused();
            }
            let Ok(value) = serde_json::from_slice::<serde_json::Value>(&body) else { return refused() };
            let id = value["event"]["id"].as_str().unwrap_or_default().to_owned();
            let (stored, answer) = oneshot::channel();
            if tell.send(Webhook { id, body, stored }).await.is_err() || answer.await.is_err() {
                return refused();
            }
            (StatusCode::ACCEPTED, "{\"status\":\"accepted\"}")
        }
    };
    let router = Router::new().route("/webhooks/pagerduty", post(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve_router(listener, router));
    Ok(address)
}

fn refused() -> (StatusCode, &'static str) {
    (StatusCode::SERVICE_UNAVAILABLE, "{}")
}

async fn serve_router(listener: TcpListener, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        let _ = stream.set_nodelay(true);
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(stream), service);
        tokio::spawn(async move { connection.await.map_err(|e| eprintln!("group: {e}")) });
    }
}

async fn store_groups(mut connection: AnyConnection, mut told: mpsc::Receiver<Webhook>) {
    let mut group = Vec::with_capacity(GROUP);
    while told.recv_many(&mut group, GROUP).await > 0 {
        if let Err(error) = store_group(&mut connection, &group).await {
            eprintln!("group: {error}");
            return;
        }
        for webhook in group.drain(..) {
            let _ = webhook.stored.send(());
        }
    }
}

async fn store_group(connection: &mut AnyConnection, group: &[Webhook]) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let mut rest = group;
    while !rest.is_empty() {
        // Few texts, so that each is prepared once.
        let (these, others) = rest.split_at(1 << rest.len().min(64).ilog2());
        let rows: Vec<String> = (0..these.len()).map(|n| format!("(${}, 0, ${})", 2 * n + 1, 2 * n + 2)).collect();
        let sql = format!("INSERT INTO events VALUES {} ON CONFLICT (event_id) DO NOTHING", rows.join(", "));
        let mut insert = sqlx::query(AssertSqlSafe(sql));
        for webhook in these {
            insert = insert.bind(webhook.id.as_str()).bind(String::from_utf8_lossy(&webhook.body).into_owned());
        }
        insert.execute(&mut *connection).await?;
        rest = others;
    }
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    Ok(())
}
