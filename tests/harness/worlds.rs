//! Worlds and settings that most stories begin with.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use simulators::jenkins::{Asked, BuildPlan};
use simulators::postgres::Postgres;
use simulators::scenario::Scenario;
use simulators::world::World;

/// Readings by one short build each, and one short wait: for stories that are about something else. On a busy machine too:
/// a zone's share of the time that runs out is another build, and a third of a cluster's another finding.
pub(crate) const QUICK: &[(&str, &str)] = &[
    ("TRANSIENT_RERUNS", "1"),
    ("TRANSIENT_WAIT", "1ms"),
    ("JENKINS_POLL", "20ms"),
    ("JENKINS_TIMEOUT", "2m"),
    ("CLUSTER_CHECK_TIMEOUT", "30s"),
];

/// The settings of a world, with others over them, on a database of its own: a SQLite file, or with
/// `STORIES_ON=postgres` one of the private server of this process's tests.
pub(crate) fn settings_of(world: &World, settings: &[(&str, &str)]) -> Vec<(String, String)> {
    #[expect(clippy::disallowed_methods, reason = "where stories stand is no setting of the service")]
    match std::env::var("STORIES_ON").as_deref() {
        Err(std::env::VarError::NotPresent) | Ok("sqlite") => [world.settings(), owned(settings)].concat(),
        Ok("postgres") => settings_on_postgres(world, settings),
        other => panic!("STORIES_ON is sqlite or postgres, not {other:?}"),
    }
}

/// The same on PostgreSQL, whatever the other stories stand on.
pub(crate) fn settings_on_postgres(world: &World, settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let database = Postgres::shared().database().expect("a database of its own");
    [world.settings(), vec![("DATABASE_URL".to_owned(), database)], owned(settings)].concat()
}

/// Settings as the service takes them.
pub(crate) fn owned(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

/// An address of loopback that nobody listens on, for whoever has to know it beforehand. Its port is none of those that
/// connections are given: they would take it from who is started there again.
pub(crate) fn free_address() -> String {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Processes side by side begin at ports of their own.
    let first = 20_000 + u16::try_from(std::process::id() % 600).expect("it is small") * 20;
    loop {
        let address = format!("127.0.0.1:{}", first + TAKEN.fetch_add(1, Ordering::Relaxed));
        if std::net::TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

/// The first scenario with builds as short as can be, in which nothing else is open.
pub(crate) fn quick() -> &'static Scenario {
    let base = Scenario::named("service-endpoint").expect("a scenario");
    Box::leak(Box::new(Scenario { builds: rejecting, incidents: |_| {}, ..*base }))
}

/// Every box rejects though its registry answers 200.
pub(crate) fn rejecting(asked: &Asked) -> BuildPlan {
    showing(asked, 0, 1, Duration::from_millis(100))
}

/// Three zones with the same statuses.
pub(crate) fn showing(asked: &Asked, se: i32, upstream: i32, duration: Duration) -> BuildPlan {
    let region = asked.cluster.rsplit_once("-az").map_or(asked.cluster.as_str(), |(region, _)| region);
    let zones: Vec<String> = (1..=3).map(|n| format!("{region}-az{n}")).collect();
    let boxes: Vec<_> = zones.iter().map(|zone| (zone.as_str(), 1, se, upstream)).collect();
    BuildPlan::showing(&boxes, duration)
}
