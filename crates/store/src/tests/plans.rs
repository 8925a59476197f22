//! No statement of the store reads, or sorts, all of a table that grows. All statements are looked at that the tests of [`ASKING`]
//! have the store ask: they run once more in a process of their own, which notes what is asked of the database ([`record`]).

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

use runbook::diagnosis::VerdictKind;
use runbook::run::State;

use super::{DiskOn, File, Filter, Sqlite};
use crate::old::{ALL, Old};
use crate::on_postgres::Postgres;

/// Where a process notes what its tests ask.
const NOTE_IN: &str = "STORE_STATEMENTS";
/// Tests whose statements are looked at: of all that lists, shows, claims, looks, counts, writes and prunes.
const ASKING: [&str; 24] = [
    "accepting",
    "beside",
    "builds",
    "due",
    "early_words",
    "good_readings",
    "keeping",
    "leases",
    "lists",
    "made",
    "merging",
    "names",
    "operator_actions",
    "page_openings",
    "paging",
    "past_alerts",
    "rate_limit",
    "reopening",
    "seeing",
    "time",
    "viewing",
    "waiting",
    "way_in",
    "writes",
];
/// What grows with what has happened.
const GROWING: [&str; 17] = [
    "webhooks",
    "runs",
    "steps",
    "builds",
    "evidence",
    "alerts",
    "incidents",
    "pages",
    "writes",
    "openings",
    "record",
    "decisions",
    "announcements",
    "told",
    "idempotency_keys",
    "ended_sessions",
    "good_readings",
];
/// Indexes that have few rows of their tables: what is active, open, unfinished, awaited.
const FEW: [&str; 5] = ["runs_active", "runs_one_active", "alerts_open", "alerts_wait", "pages_unfinished"];
/// The newest runs, as many as are asked for.
const NEWEST: &str = "FROM runs ORDER BY id DESC LIMIT";

/// Of what is asked when a database is opened: about its tables, and for the first and the last row of each.
const AT_OPENING: [&str; 3] = ["sqlite_master", "_sqlx_migrations", "NOT INDEXED ORDER BY rowid"];

/// The most places of a statement that may be numbers.
const MIXED: usize = 12;

/// Notes what this process asks of databases, where that is wanted.
pub(super) fn record() {
    static RECORDING: std::sync::Once = std::sync::Once::new();
    RECORDING.call_once(|| {
        let Some(path) = std::env::var_os(NOTE_IN) else { return };
        let file = File::options().append(true).create(true).open(path).unwrap();
        tracing::subscriber::set_global_default(Recorder(Mutex::new((file, BTreeSet::new())))).unwrap();
    });
}

struct Recorder(Mutex<(File, BTreeSet<String>)>);

impl Recorder {
    /// Each once, a line each.
    fn note(&self, line: &str) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if noted.1.insert(line.clone()) {
            writeln!(noted.0, "{line}").unwrap();
        }
    }
}

/// The fields of an event by which a statement is told.
#[derive(Default)]
struct Told {
    summary: String,
    statement: String,
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.statement),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn event(&self, event: &Event<'_>) {
        let mut told = Told::default();
        event.record(&mut told);
        self.note(if told.statement.is_empty() { &told.summary } else { &told.statement });
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// What a plan of PostgreSQL's reads whole.
fn reads(node: &Value, parent: Option<&str>) -> Vec<String> {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let (kind, index) = (text("Node Type"), text("Index Name"));
    // An index from end to end; as far as something above it wants.
    let is_whole = kind.contains("Index") && node["Index Cond"].is_null() && !FEW.contains(&index);
    let is_bounded = parent == Some("Limit") && node["Filter"].is_null();
    let mut found = Vec::new();
    if kind == "Seq Scan" && GROWING.contains(&text("Relation Name")) {
        found.push(text("Relation Name").to_owned());
    } else if is_whole && !is_bounded && GROWING.iter().any(|table| index.starts_with(table)) {
        found.push(index.to_owned());
    }
    for below in node["Plans"].as_array().into_iter().flatten() {
        found.extend(reads(below, Some(kind)));
    }
    found
}

/// What a plan of SQLite's reads whole.
fn reads_in_sqlite(sql: &str, detail: &str) -> bool {
    let Some(scanned) = detail.strip_prefix("SCAN ") else { return false };
    let named = |name: &str| scanned.split_whitespace().any(|word| word == name);
    // It names a table as the statement does: `runs r` is `r`.
    let table = scanned.split_whitespace().next().unwrap_or_default();
    let alias =
        |grown: &str| sql.contains(&format!(" {grown} {table} ")) || sql.contains(&format!(" {grown} AS {table} "));
    let grows = GROWING.iter().any(|grown| *grown == table || alias(grown));
    grows && !FEW.iter().any(|few| named(few)) && !(table == "runs" && sql.contains(NEWEST))
}

/// What the store is had to ask.
fn asked() -> &'static BTreeSet<String> {
    static ASKED: OnceLock<BTreeSet<String>> = OnceLock::new();
    ASKED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("statements");
        let run = Command::new(std::env::current_exe().unwrap())
            .args(ASKING.map(|tests| format!("tests::{tests}::")))
            .env(NOTE_IN, &file)
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
        let own = of_tests();
        let is_one =
            |sql: &&str| ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].iter().any(|word| sql.starts_with(word));
        let is_own = |sql: &str| {
            let count = sql.strip_prefix("SELECT COUNT(*) FROM ").is_some_and(|table| !table.contains(' '));
            count || sql.contains(';') || AT_OPENING.iter().any(|part| sql.contains(part)) || own.contains(sql)
        };
        let text = std::fs::read_to_string(file).unwrap();
        let asked: BTreeSet<String> =
            text.lines().filter(is_one).filter(|sql| !is_own(sql)).map(str::to_owned).collect();
        for (what, begins) in [
            ("lists", "SELECT r.id, r.incident_id"),
            ("draws regions", "WITH few AS MATERIALIZED ( SELECT * FROM (SELECT id, incident_id, triggered_at"),
            ("counts the hour", "WITH lately"),
            ("looks for open alerts", "SELECT incident_id FROM alerts WHERE resolved_at IS NULL"),
            ("looks for a drill", "SELECT id FROM runs WHERE drill"),
            ("looks for notes", "SELECT made_id FROM writes"),
            ("counts unacknowledged pages", "SELECT COUNT(DISTINCT COALESCE(p.page_id"),
            ("claims", "SELECT key, attempt, owner FROM work"),
            ("looks", "SELECT (SELECT CASE WHEN set_at"),
            ("prunes", "DELETE FROM alerts"),
            ("stores webhooks", "INSERT INTO webhooks"),
        ] {
            assert!(asked.iter().any(|sql| sql.starts_with(begins)), "nothing {what}: {asked:#?}");
        }
        asked
    })
}

/// The sources of the tests: what stands there a test asks by itself.
fn of_tests() -> String {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut files = vec![format!("{source}/tests.rs"), format!("{source}/fixtures.rs")];
    for file in std::fs::read_dir(format!("{source}/tests")).unwrap() {
        let file = file.unwrap().path().display().to_string();
        // What is named here is the store's.
        if !file.ends_with("plans.rs") {
            files.push(file);
        }
    }
    let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    texts.concat().replace("\\\"", "\"").replace("\\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn no_statement_reads_a_whole_table_that_grows_on_sqlite() {
    let disk = DiskOn::<Sqlite>::new().await;
    let mut found = Vec::new();
    for sql in asked() {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let plan = sqlx::query(explain).fetch_all(&disk.store.pool).await;
        let plan = plan.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let details = plan.iter().map(|step| step.get::<String, _>("detail"));
        found.extend(details.filter(|detail| reads_in_sqlite(sql, detail)).map(|detail| format!("{sql}\n  {detail}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What is old is found by its age, and nothing is sorted for that.
#[tokio::test]
async fn what_is_old_is_found_oldest_first() {
    let disk = DiskOn::<Sqlite>::new().await;
    for Old { table, key, is_old, order, ages, .. } in ALL {
        let sql = format!("SELECT {key} FROM {table} WHERE {is_old} {order} LIMIT ${}", ages.len() + 1);
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let plan = sqlx::query(explain).fetch_all(&disk.store.pool).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
        assert!(!plan.iter().any(|step| step.contains("ORDER BY")), "{sql}: {plan:#?}");
        assert!(plan[0].starts_with("SEARCH"), "{sql}: {plan:#?}");
    }
}

/// The tables are empty, so that how much there is of anything decides nothing: a whole table is read where there is no other way.
#[tokio::test]
async fn no_statement_reads_a_whole_table_that_grows_on_postgresql() {
    let disk = DiskOn::<Postgres>::new().await;
    let mut connection = PgConnection::connect(&disk.url).await.unwrap();
    for other in ["seqscan", "hashjoin", "mergejoin", "material"] {
        sqlx::raw_sql(AssertSqlSafe(format!("SET enable_{other} = off"))).execute(&mut connection).await.unwrap();
    }
    sqlx::raw_sql("SET plan_cache_mode = force_generic_plan").execute(&mut connection).await.unwrap();
    let mut found = Vec::new();
    // What it asks SQLite about the time is no statement of PostgreSQL's.
    for sql in asked().iter().filter(|sql| !sql.contains("service_time")) {
        // It reads nothing, and has hundreds of places.
        if sql.starts_with("INSERT") && !sql.contains("SELECT") && !sql.contains("ON CONFLICT") {
            continue;
        }
        let plan = plan(&mut connection, sql).await;
        found.extend(reads(&plan, None).into_iter().map(|read| format!("{sql}\n  reads {read}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// How PostgreSQL does it. What it takes is text, or a number: what it can do something with.
async fn plan(connection: &mut PgConnection, sql: &str) -> Value {
    let places = (1..).take_while(|n| sql.contains(&format!("${n}"))).count();
    let mut trouble = None;
    // Of many places the last are a list's.
    for numbers in 0..1_u32 << places.min(MIXED) {
        let of = |a: &str, b: &str| {
            let each = (0..places).map(|n| if n >= MIXED || numbers & (1 << n) == 0 { a } else { b });
            each.collect::<Vec<_>>().join(", ")
        };
        let (types, values) = (of("text", "bigint"), of("'x'", "1"));
        let (types, values) =
            if places == 0 { Default::default() } else { (format!("({types})"), format!("({values})")) };
        match sqlx::raw_sql(AssertSqlSafe(format!("PREPARE one {types} AS {sql}"))).execute(&mut *connection).await {
            Ok(_) => {
                let explain = AssertSqlSafe(format!("EXPLAIN (FORMAT JSON) EXECUTE one {values}"));
                let plan = sqlx::raw_sql(explain).fetch_one(&mut *connection).await.unwrap();
                sqlx::raw_sql("DEALLOCATE one").execute(connection).await.unwrap();
                let plan: Value = serde_json::from_str(&plan.get_unchecked::<String, _>(0)).unwrap();
                return plan[0]["Plan"].clone();
            }
            Err(error) => trouble = Some(error),
        }
    }
    panic!("{sql}: {trouble:?}");
}

/// The combinations of filters that may be asked for, of regions, states and verdicts that many, few and no runs have.
fn combinations() -> Vec<Filter> {
    let mut all = Vec::new();
    for region in [None, Some("prod-many"), Some("prod-few"), Some("prod-none")] {
        for state in std::iter::once(None).chain(State::ALL.iter().copied().map(Some)) {
            for verdict in [None, Some(VerdictKind::Registry), Some(VerdictKind::Mixed)] {
                for before in [None, Some("00000000000000005000")] {
                    let (region, before) = (region.map(str::to_owned), before.map(str::to_owned));
                    all.push(Filter { region, state, verdict, before, limit: 51, ..Filter::default() });
                }
            }
        }
    }
    all
}

/// Each filter is a condition of the index by which the runs are found; of the few that are active the others are sorted out.
#[tokio::test]
async fn each_combination_of_filters_has_an_index_on_sqlite() {
    let disk = DiskOn::<Sqlite>::new().await;
    for filter in combinations() {
        let (sql, _) = filter.ids();
        let explain = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
        let plan = explain.fetch_all(&disk.store.pool).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
        let is_active = filter.state.is_some_and(State::is_active);
        let by = plan.iter().find(|step| step.contains(" runs ")).unwrap();
        let known = [
            (filter.state.is_some(), "state=?"),
            (filter.region.is_some() && !is_active, "region=?"),
            (filter.verdict.is_some() && !is_active, "verdict=?"),
            (filter.before.is_some() && !is_active, "id<?"),
        ];
        for (asked, condition) in known {
            assert_eq!(by.contains(condition), asked, "{condition} in {sql}: {plan:#?}");
        }
        let sorts = plan.iter().any(|step| step.contains("ORDER BY"));
        assert_eq!(sorts, is_active, "{sql}: {plan:#?}");
    }
}

/// On a table with so many runs that it has a choice, each combination reads hardly more runs than it shows.
#[tokio::test]
async fn each_combination_of_filters_reads_hardly_more_than_it_shows_on_postgresql() {
    let disk = DiskOn::<Postgres>::new().await;
    let mut connection = PgConnection::connect(&disk.url).await.unwrap();
    for sql in [
        "INSERT INTO runs (id, region, triggered_by, state, created_at, verdict)
         SELECT LPAD(CAST(n AS TEXT), 20, '0'), CASE WHEN n % 1000 = 1 THEN 'prod-few' ELSE 'prod-many' END, 'webhook',
         CASE WHEN n % 2000 = 3 THEN 'failed' WHEN n % 2000 = 5 THEN 'queued' ELSE 'done' END, n,
         CASE WHEN n % 4000 = 7 THEN 'mixed' ELSE 'registry' END FROM generate_series(1, 20000) AS n",
        "ANALYZE runs",
    ] {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    for filter in combinations() {
        let (mut sql, values) = filter.ids();
        sql = sql.replace(&format!("${}", values.len() + 1), "51");
        for (n, value) in values.iter().enumerate() {
            sql = sql.replace(&format!("${}", n + 1), &format!("'{value}'"));
        }
        let explain = AssertSqlSafe(format!("EXPLAIN (ANALYZE, FORMAT JSON) {sql}"));
        let plan = sqlx::raw_sql(explain).fetch_one(&mut connection).await.unwrap();
        let plan: String = plan.get_unchecked(0);
        let plan: Value = serde_json::from_str(&plan).unwrap();
        let read = runs_read(&plan[0]["Plan"]);
        assert!(read <= 200.0, "{read} of {sql}: {plan:#}");
    }
}

/// The rows of the table that a plan has looked at.
fn runs_read(node: &Value) -> f64 {
    let number = |name: &str| node[name].as_f64().unwrap_or_default();
    let is_runs = node["Relation Name"] == "runs";
    let own = if is_runs { number("Actual Rows") + number("Rows Removed by Filter") } else { 0.0 };
    own + node["Plans"].as_array().into_iter().flatten().map(runs_read).sum::<f64>()
}
