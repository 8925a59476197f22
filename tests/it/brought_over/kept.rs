//! A database of version 0.1.0 as it was kept, and the world around it as it was then, as though that version had been killed
//! two minutes ago.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use outbound::clock::SystemClock;
use outbound::http::http_client;
use serde_json::Value;
use simulators::pagerduty::{Opening, PagerDuty, Setup};
use simulators::postgres::Postgres;
use simulators::world::World;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use super::world::now;

/// How long that version has been dead: what it has sent may still take effect, for half a minute.
const DEAD_FOR: SignedDuration = SignedDuration::from_secs(120);

/// What was kept, brought to the present.
pub(super) struct Kept {
    pub(super) world: World,
    /// The `DATABASE_URL` of what that version has left.
    pub(super) database: String,
    /// Incidents by what they were called when they were made.
    pub(super) alerts: BTreeMap<String, String>,
    /// Every incident that was open or over then.
    pub(super) incidents: Vec<String>,
}

impl Kept {
    /// The database of an engine, `sqlite` or `postgres`.
    pub(super) async fn of(engine: &str) -> Self {
        let read = |name: &str| {
            let path = format!("{}/tests/old/0.1.0.{engine}.{name}", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).expect("what was kept")
        };
        let (dump, then): (String, Value) = (read("sql"), serde_json::from_str(&read("world.json")).expect("JSON"));
        let world = World::start(now(), SystemClock::shared()).await.expect("a world");
        let killed_at = then["killed_at"].as_i64().expect("a time");
        let mut past = Past {
            killed_at,
            by: SignedDuration::from_millis(SystemClock::shared().now().as_millisecond() - killed_at) - DEAD_FOR,
            ids: HashMap::new(),
        };
        past.put_in(&world, then["incidents"].as_array().expect("incidents"));
        build(&world, then["builds"].as_array().expect("builds")).await;
        let sql = past.brought(&dump).replace("http://jenkins.example.com", world.jenkins.url().trim_end_matches('/'));
        // What happens from now on has ids of its own.
        let database = load(engine, &world, &sql.replace("ESIM", "EOLD")).await;
        let alerts = then["alerts"].as_object().expect("alerts").iter();
        let id = |id: &Value| past.ids[id.as_str().expect("an id")].clone();
        let alerts = alerts.map(|(name, was)| (name.clone(), id(was))).collect();
        let incidents =
            then["incidents"].as_array().expect("incidents").iter().map(|incident| id(&incident["id"])).collect();
        Self { world, database, alerts, incidents }
    }
}

/// How what was kept becomes of the present.
struct Past {
    killed_at: i64,
    by: SignedDuration,
    /// The ids of this PagerDuty, by those of the one that was.
    ids: HashMap<String, String>,
}

impl Past {
    /// Puts in what PagerDuty had, as monitoring and people would.
    fn put_in(&mut self, world: &World, incidents: &[Value]) {
        let pagerduty = &world.pagerduty;
        let text = |of: &Value, field: &str| of[field].as_str().map(str::to_owned);
        for (n, incident) in incidents.iter().enumerate() {
            let was = text(incident, "id").expect("an id");
            // The world has opened the first.
            let is = if n == 0 {
                world.alert.clone()
            } else {
                let opening = Opening {
                    title: text(incident, "title").expect("a title"),
                    service_id: text(incident, "service_id").expect("a service"),
                    urgency: text(incident, "urgency").expect("an urgency"),
                    incident_key: text(incident, "incident_key").map(|key| self.brought(&key)),
                    created_at: text(incident, "created_at").map(|at| self.brought(&at).parse().expect("a time")),
                    body: text(incident, "body"),
                    by: None,
                };
                pagerduty.open(opening).id
            };
            self.ids.insert(was, is);
        }
        for incident in incidents {
            self.write_and_end(pagerduty, incident);
        }
    }

    fn write_and_end(&mut self, pagerduty: &PagerDuty, incident: &Value) {
        let id = self.ids[incident["id"].as_str().expect("an id")].clone();
        for note in incident["notes"].as_array().expect("notes") {
            let [was, by, content] = ["id", "user_id", "content"].map(|field| note[field].as_str().expect("text"));
            let written = pagerduty.annotate(&id, by, &self.brought(content)).expect("a note");
            self.ids.insert(was.to_owned(), written.id);
        }
        let by = incident["changed_by"].as_str();
        match (incident["state"].as_str(), incident["merged_into"].as_str()) {
            (_, Some(into)) => pagerduty.merge(&id, &self.ids[into], by),
            (Some("resolved"), None) => pagerduty.resolve(&id, by),
            (Some("acknowledged"), None) => pagerduty.acknowledge(&id, by.unwrap_or(Setup::ENGINEER)),
            _ => {}
        }
    }

    /// A text with the times and the ids of the present.
    fn brought(&self, text: &str) -> String {
        let of_a_time = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '.');
        pieces(text, of_a_time).map(|piece| self.time(piece).unwrap_or_else(|| self.words(piece))).collect()
    }

    fn time(&self, piece: &str) -> Option<String> {
        let at: Timestamp = piece.parse().ok().filter(|_| piece.ends_with('Z'))?;
        let digits = piece.split_once('.').map_or(0, |(_, rest)| rest.len().saturating_sub(1));
        Some(format!("{:.digits$}", at + self.by))
    }

    fn words(&self, piece: &str) -> String {
        let word = |word: &str| {
            if let Some(id) = self.ids.get(word) {
                return id.clone();
            }
            match word.parse::<i64>() {
                Ok(at) if word.len() == 13 && (at - self.killed_at).abs() < 2 * 86_400_000 => {
                    (at + i64::try_from(self.by.as_millis()).expect("a time")).to_string()
                }
                _ => word.to_owned(),
            }
        };
        pieces(piece, |c| c.is_ascii_alphanumeric()).map(word).collect()
    }
}

/// A text in pieces, by turns of such characters and of none.
fn pieces(text: &str, such: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let is = such(first);
        let end = rest.find(|c| such(c) != is).unwrap_or(rest.len());
        let (piece, left) = rest.split_at(end);
        rest = left;
        Some(piece)
    })
}

/// Has Jenkins do the builds that were asked for, under the numbers that they had.
async fn build(world: &World, clusters: &[Value]) {
    let (user, token) = world.jenkins.credentials();
    for cluster in clusters {
        let address = format!("{}buildWithParameters?delay=0sec", world.jenkins.job_url());
        let form = [("CLUSTER", cluster.as_str().expect("a cluster"))];
        let asked = http_client().expect("a client").post(address).basic_auth(&user, Some(&token)).form(&form);
        let answer = asked.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
    }
}

async fn load(engine: &str, world: &World, sql: &str) -> String {
    if engine == "sqlite" {
        let url = format!("sqlite://{}", world.path("se-responder.db").display());
        let mut connection = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.expect("a database");
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect("what was kept");
        connection.close().await.expect("closed");
        return url;
    }
    let url = Postgres::shared().database().expect("a database");
    // Words for psql, and one by which later statements would find no table.
    let is_sql = |line: &&str| !line.starts_with('\\') && !line.contains("set_config('search_path'");
    let sql: Vec<&str> = sql.lines().filter(is_sql).collect();
    let mut connection = PgConnection::connect(&url).await.expect("a database");
    sqlx::raw_sql(AssertSqlSafe(sql.join("\n"))).execute(&mut connection).await.expect("what was kept");
    connection.close().await.expect("closed");
    url
}
