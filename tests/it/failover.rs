//! A failover of PostgreSQL, as the service lives through it.

use outbound::clock::SystemClock;
use serde_json::json;
use simulators::postgres::Postgres;
use simulators::world::World;
use sqlx::{Connection, Executor, PgConnection};

use crate::harness::{QUICK, quick, settings_of, until};
use crate::process::Process;

/// The server lets nobody write for a while, and the sessions of that time stay as they are: the service must not keep them.
#[tokio::test]
async fn sessions_of_a_server_that_only_read_are_not_kept_once_new_ones_may_write() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let server = Postgres::start().expect("a server");
    let url = server.database().expect("a database");
    let mut admin = PgConnection::connect(&url).await.expect("a connection");
    admin.execute("CREATE ROLE responder LOGIN SUPERUSER").await.expect("a role");
    let mut settings = settings_of(&world, QUICK);
    settings.push(("DATABASE_URL".into(), url.replace("postgres@", "responder@")));
    let process = Process::serve(&settings).await;
    let send = async |id: &str| {
        let event = json!({"id": id, "event_type": "pagey.ping", "resource_type": "pagey", "data": {"type": "ping"}});
        process.front.signed(&json!({"event": event}).to_string()).await
    };
    send("E-Q0").await.is(202);

    admin.execute("ALTER ROLE responder SET default_transaction_read_only = on").await.expect("read only");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'responder'";
    admin.execute(end).await.expect("ended");
    for n in 0..12 {
        send(&format!("E-R{n}")).await.is_problem(503);
    }
    process.front.get_as("", "/readyz").await.is_problem(503);
    admin.execute("ALTER ROLE responder RESET default_transaction_read_only").await.expect("writable");

    // Whichever session of before one still meets.
    for n in 0..20 {
        send(&format!("E-B{n}")).await.is(202);
    }
    until("it to be ready", async || (process.front.get_as("", "/readyz").await.status == 200).then_some(())).await;
}
