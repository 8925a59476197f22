//! What a grown database costs: `cargo bench --bench standing [-- NAME…]`.
//!
//! The real program, in a process of its own, on a SQLite file with so many events and runs: how long from its start until it
//! answers, how much memory it has, how often it wakes while nothing is to be done; what lists, claims and looks take, beside the
//! same on an empty one; and what webhooks wait while old runs are pruned, beside what they wait while there is nothing to prune.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use outbound::clock::SystemClock;
use simulators::pagerduty::{PagerDuty, Setup, sign};
use sqlx::{AnyConnection, Connection as _};

#[path = "standing/asked.rs"]
mod asked;

const SECRET: &str = "a-secret-of-the-bench";
/// Sent with what is asked of the API.
const VIEWER_TOKEN: &str = "a-viewers-token-of-the-bench-0123456789";
/// A start is measured so often; the median counts.
const STARTS: usize = 5;
/// How long it is looked how often the process wakes, once it has been quiet for [`SETTLED`].
const IDLE: Duration = Duration::from_secs(20);
const SETTLED: Duration = Duration::from_secs(5);
/// Webhooks come so far apart while it prunes.
const EVERY: Duration = Duration::from_millis(20);
/// It is looked for so long, at most, while it prunes: what is left then is said.
const PRUNES_FOR: Duration = Duration::from_secs(120);
/// The longest that anything else may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// How much is in the database.
struct Case {
    name: &'static str,
    events: u32,
    runs: u32,
}

const CASES: [Case; 3] = [
    Case { name: "new", events: 0, runs: 0 },
    Case { name: "events-100k", events: 100_000, runs: 20_000 },
    Case { name: "events-1m", events: 1_000_000, runs: 200_000 },
];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // cargo gives `--bench`; `cargo test --benches` does not, and wants no minutes of work.
    if !arguments.iter().any(|a| a == "--bench") {
        return Ok(());
    }
    let names: Vec<&str> = arguments.iter().map(String::as_str).filter(|a| !a.starts_with('-')).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    sqlx::any::install_default_drivers();
    let folder = tempfile::tempdir()?;
    // By its clock, too, something must be old before it is pruned.
    let pagerduty = runtime.block_on(PagerDuty::start(Setup::new(SystemClock::shared())))?;
    let file_of = |name: &str| folder.path().join(format!("{name}.db"));
    let empty = asked::ask(&runtime, &pagerduty, &file_of("empty"), CASES[0].runs)?;
    println!("{:<12} {:>10} {:>12} {:>12} {:>22}", "case", "start", "memory idle", "wakes a s", "file");
    for case in CASES.iter().filter(|case| names.is_empty() || names.contains(&case.name)) {
        let file = file_of(case.name);
        drop(Service::start(&pagerduty, &file, "90d")?);
        runtime.block_on(case.fill(&file))?;
        case.show(&pagerduty, &file)?;
        if case.runs > 0 {
            asked::show(&empty, &asked::ask(&runtime, &pagerduty, &file, case.runs)?);
        }
        if case.runs > 0 {
            prune(&runtime, &pagerduty, &file).context(case.name)?;
        }
        std::fs::remove_file(&file)?;
    }
    Ok(())
}

impl Case {
    /// Runs that are 30 days old, each with an alert of its own and 3 KB of diagnosis, and the webhooks about them.
    async fn fill(&self, file: &Path) -> anyhow::Result<()> {
        let mut database = AnyConnection::connect(&format!("sqlite://{}", file.display())).await?;
        let at = SystemClock::shared().now().as_millisecond() - 30 * 24 * 3_600_000;
        sqlx::query("PRAGMA synchronous = OFF").execute(&mut database).await?;
        for (sql, count) in [
            (
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
                 INSERT INTO webhooks (event_id, event_type, incident_id, received_at, outcome, reason, body)
                 SELECT 'E' || i, 'incident.acknowledged', 'Q' || i, $2 + i, 'ignored', 'no event that starts anything',
                 hex(randomblob(600)) FROM n WHERE i <= $1",
                self.events,
            ),
            (
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
                 INSERT INTO alerts (id, incident_id, region, triggered_at, resolved_at)
                 SELECT 'A' || i, 'Q' || i, CASE WHEN i % 10000 = 1 THEN 'prod-rare' ELSE 'prod-region-' || (i % 10) END, $2 + i,
                 $2 + i + 600000 FROM n WHERE i <= $1",
                self.runs,
            ),
            (
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
                 INSERT INTO incidents (incident_id, alert_id) SELECT 'Q' || i, 'A' || i FROM n WHERE i <= $1 AND $2 > 0",
                self.runs,
            ),
            (
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
                 INSERT INTO runs (id, alert_id, incident_id, incident, region, triggered_by, state, created_at, finished_at,
                     diagnosis, diagnosed_at, verdict, rule)
                 SELECT printf('%012d', i), 'A' || i, 'Q' || i,
                 '{\"id\":\"Q' || i || '\",\"number\":' || i || ',\"title\":\"All SE endpoints down in prod-region-' || (i % 10)
                     || '\",\"html_url\":\"https://example.pagerduty.com/incidents/Q' || i || '\"}',
                 CASE WHEN i % 10000 = 1 THEN 'prod-rare' ELSE 'prod-region-' || (i % 10) END, 'webhook',
                 CASE WHEN i % 200 = 7 THEN 'failed' ELSE 'done' END, $2 + i, $2 + i + 200000, $3, $2 + i + 100000,
                 CASE WHEN i % 5000 = 3 THEN 'mixed' ELSE 'registry' END,
                 CASE WHEN i % 5000 = 3 THEN 'mixed-status' ELSE 'all-se-accepting' END FROM n WHERE i <= $1",
                self.runs,
            ),
            (
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
                 INSERT INTO steps (run_id, seq, name, state, started_at, finished_at)
                 SELECT printf('%012d', i), 1, 'read_boxes', 'done', $2 + i, $2 + i + 100000 FROM n WHERE i <= $1",
                self.runs,
            ),
            (
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
                 INSERT INTO evidence (run_id, step, kind, body, incident_id, region, at)
                 SELECT printf('%012d', i), 1, 'reading', hex(randomblob(1000)), 'Q' || i, 'prod-region-' || (i % 10), $2 + i
                 FROM n WHERE i <= $1 AND $2 > 0",
                self.runs,
            ),
            (
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
                 INSERT INTO writes (key, incident_id, run_id, text, attempt, begun_at, made_id)
                 SELECT 'note:' || printf('%012d', i), 'Q' || i, printf('%012d', i), '', 1, $2 + i, 'P' || i FROM n WHERE i <= $1",
                self.runs,
            ),
            (
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
                 INSERT INTO record (id, incident_id, at, text) SELECT 'C' || i, 'Q' || i, $2 + i + 300000, 'wrote: a word'
                 FROM n WHERE i <= $1",
                self.runs,
            ),
        ] {
            if count > 0 {
                let mut query = sqlx::query(sql).bind(i64::from(count)).bind(at);
                if sql.contains("$3") {
                    query = query.bind(asked::diagnosis()?);
                }
                query.execute(&mut database).await?;
            }
        }
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut database).await?;
        database.close().await?;
        Ok(())
    }

    fn show(&self, pagerduty: &PagerDuty, file: &Path) -> anyhow::Result<()> {
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            let begun = Instant::now();
            let service = Service::start(pagerduty, file, "90d")?;
            starts.push(begun.elapsed());
            drop(service);
        }
        starts.sort();
        let service = Service::start(pagerduty, file, "90d")?;
        std::thread::sleep(SETTLED);
        let before = service.wakes()?;
        std::thread::sleep(IDLE);
        let wakes = service.wakes()?.saturating_sub(before);
        println!(
            "{:<12} {:>7} ms {:>8} MiB {:>12.1} {:>18} MiB",
            self.name,
            starts[STARTS / 2].as_millis(),
            service.memory()? / 1024,
            f64::from(u32::try_from(wakes)?) / IDLE.as_secs_f64(),
            std::fs::metadata(file)?.len() / 1024 / 1024
        );
        Ok(())
    }
}

/// What webhooks wait while all runs are pruned, and while none is.
fn prune(runtime: &tokio::runtime::Runtime, pagerduty: &PagerDuty, file: &Path) -> anyhow::Result<()> {
    for (what, retention) in [("nothing to prune", "90d"), ("pruning", "1d")] {
        let service = Service::start(pagerduty, file, retention)?;
        let (begun, mut took, mut refused) = (Instant::now(), Vec::new(), 0_u32);
        loop {
            let asked = Instant::now();
            if service.webhook(&format!("{retention}N{}", took.len()))? {
                took.push(asked.elapsed());
            } else {
                refused += 1;
            }
            std::thread::sleep(EVERY.saturating_sub(asked.elapsed()));
            let is_over = match retention {
                "90d" => begun.elapsed() > Duration::from_secs(20),
                // Looked at seldom: it counts.
                _ => took.len() % 100 == 99 && runtime.block_on(runs_left(file))? <= 1,
            };
            if is_over || begun.elapsed() > PRUNES_FOR {
                break;
            }
        }
        let (took_in_all, left) = (begun.elapsed(), runtime.block_on(runs_left(file))?);
        took.sort();
        let of = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        println!(
            "  {what}: {:.0} s, {left} runs left, {} webhooks, {refused} refused: median {:.1}, 99 of 100 {:.1}, longest {:.1} ms",
            took_in_all.as_secs_f64(),
            took.len(),
            of(0.5),
            of(0.99),
            of(1.0)
        );
    }
    Ok(())
}

async fn runs_left(file: &Path) -> anyhow::Result<i64> {
    let mut database = AnyConnection::connect(&format!("sqlite://{}?mode=ro", file.display())).await?;
    let (left,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM runs").fetch_one(&mut database).await?;
    database.close().await?;
    Ok(left)
}

/// The program, serving; ended when this is dropped, and waited for.
struct Service {
    address: SocketAddr,
    child: Child,
}

impl Service {
    fn start(pagerduty: &PagerDuty, file: &Path, retention: &str) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        // It takes no connections: nothing that is asked is answered, and nothing is to be done.
        let nobody = format!("http://{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?);
        let folder: PathBuf = file.parent().context("a folder")?.into();
        let child = Command::new(env!("CARGO_BIN_EXE_se-responder"))
            .arg("serve")
            .env_clear()
            .env("LISTEN_ADDR", address.to_string())
            .env("DATABASE_URL", format!("sqlite://{}", file.display()))
            .env("RETENTION", retention)
            .env("VIEWER_TOKENS", format!("bench:{VIEWER_TOKEN}"))
            .env("PAGERDUTY_WEBHOOK_SECRETS", SECRET)
            .env("PAGERDUTY_API_URL", &pagerduty.api_url)
            .env("PAGERDUTY_API_TOKEN", pagerduty.token())
            .env("PAGERDUTY_FROM", Setup::FROM)
            .env("JENKINS_JOB_URL", format!("{nobody}/job/Status/"))
            .env("JENKINS_USER", "bench")
            .env("JENKINS_API_TOKEN", "a-token-of-the-bench")
            .env("SELF_CHECK_INTERVAL", "0s")
            .env("CANARY_INTERVAL", "0s")
            .env("RECONCILE_INTERVAL", "0s")
            .env("RUST_LOG", "off")
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let (service, begun) = (Self { address, child }, Instant::now());
        while service.ask("GET /healthz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").is_err() {
            if begun.elapsed() > PATIENCE {
                bail!("the service does not answer");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(service)
    }

    fn ask(&self, request: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.is_empty() { bail!("the connection ended") } else { Ok(answer) }
    }

    /// Whether it was taken.
    fn webhook(&self, mark: &str) -> anyhow::Result<bool> {
        let body = serde_json::json!({"event": {"id": format!("P{mark}"), "event_type": "incident.acknowledged",
            "resource_type": "incident", "occurred_at": "2026-08-20T03:00:00.000Z",
            "data": {"id": "Q0", "type": "incident", "title": "Disk of a node is almost full"}}})
        .to_string();
        let answer = self.ask(&format!(
            "POST /webhooks/pagerduty HTTP/1.1\r\nhost: bench\r\nconnection: close\r\ncontent-type: application/json\r\n\
             x-pagerduty-signature: {}\r\ncontent-length: {}\r\n\r\n{body}",
            sign(SECRET, body.as_bytes()),
            body.len()
        ))?;
        Ok(answer.starts_with("HTTP/1.1 202"))
    }

    /// How often its threads have been woken so far; 0 where the system does not tell.
    fn wakes(&self) -> anyhow::Result<u64> {
        let mut wakes = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            wakes += number(&std::fs::read_to_string(thread?.path().join("status"))?, "voluntary_ctxt_switches:");
        }
        Ok(wakes)
    }

    /// The memory that it has, in KiB.
    fn memory(&self) -> anyhow::Result<u64> {
        Ok(number(&std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?, "VmRSS:"))
    }
}

fn number(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = rustix::process::Pid::from_raw(self.child.id().cast_signed())
            .map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
        let _ = self.child.wait();
    }
}
