//! By which indexes regions are drawn. That the statement reads no whole table, `plans.rs` shows with all others.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use super::{DiskOn, Sqlite};
use crate::on_postgres::Postgres;
use crate::past_alerts::PAST;

/// Regions are drawn by what is open, by what was over last, and by each alert's own runs.
#[tokio::test]
async fn past_alerts_are_found_by_their_indexes_on_sqlite() {
    let disk = DiskOn::<Sqlite>::new().await;
    let explain = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {PAST}")));
    let plan = explain.fetch_all(&disk.store.pool).await.unwrap();
    let plan: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
    for by in ["alerts_open", "alerts_resolved (resolved_at>?)", "runs_alert (alert_id=?)"] {
        assert!(plan.iter().any(|step| step.contains(by)), "{by}: {plan:#?}");
    }
    // What is found is sorted, and nothing before that.
    assert_eq!(plan.iter().filter(|step| step.contains("ORDER BY")).count(), 1, "{plan:#?}");
}

/// On tables with so many rows that it has a choice, of 20,000 alerts the runs of 40 are read, and no others.
#[tokio::test]
async fn past_alerts_read_the_runs_of_no_others_on_postgresql() {
    let disk = DiskOn::<Postgres>::new().await;
    let mut connection = PgConnection::connect(&disk.url).await.unwrap();
    for sql in [
        "INSERT INTO alerts (id, incident_id, region, resolved_at)
         SELECT 'A' || n, 'Q' || n, 'prod-us-south', CASE WHEN n % 1000 = 7 THEN NULL ELSE n END
         FROM generate_series(1, 20000) AS n",
        "INSERT INTO runs (id, alert_id, incident_id, region, triggered_by, state, created_at)
         SELECT LPAD(CAST(n AS TEXT), 20, '0'), 'A' || n, 'Q' || n, 'prod-us-south', 'webhook', 'done', n
         FROM generate_series(1, 20000) AS n",
        "ANALYZE alerts, runs",
    ] {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    let sql = PAST.replace("$1", "100").replace("$2", "20").replace("$3", "160");
    let explain = AssertSqlSafe(format!("EXPLAIN (ANALYZE, FORMAT JSON) {sql}"));
    let plan = sqlx::raw_sql(explain).fetch_one(&mut connection).await.unwrap();
    let plan: Value = serde_json::from_str(&plan.get_unchecked::<String, _>(0)).unwrap();
    let (rows, read) = (&plan[0]["Plan"]["Actual Rows"], rows_read(&plan[0]["Plan"]));
    assert_eq!(rows.as_f64(), Some(40.0), "{plan:#}");
    assert!(read <= 200.0, "{read} rows: {plan:#}");
}

/// The rows of all tables that a plan has looked at, each time.
fn rows_read(node: &Value) -> f64 {
    let number = |name: &str| node[name].as_f64().unwrap_or_default();
    let is_table = node["Relation Name"].is_string();
    let times = number("Actual Loops");
    let own = if is_table { (number("Actual Rows") + number("Rows Removed by Filter")) * times } else { 0.0 };
    own + node["Plans"].as_array().into_iter().flatten().map(rows_read).sum::<f64>()
}
