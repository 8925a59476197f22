//! Every region over time, as the team lead reads it: each alert is a mark, none hides another, and it says how long a time it is.

use std::collections::BTreeSet;

use outbound::clock::SystemClock;
use simulators::world::VIEWER_TOKEN;
use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, Connection as _};

use crate::harness::{Stage, until};

const DAY: i64 = 86_400_000;

impl Stage {
    async fn regions(&self) -> String {
        let view = self.front.page("/regions", &[("authorization", &format!("Bearer {VIEWER_TOKEN}"))]).await;
        view.is(200).body.as_str().expect("a view").to_owned()
    }

    /// Alerts that were over long ago: of which region, so many milliseconds ago, each half an hour long.
    async fn remembers(&self, alerts: &[(String, i64)]) {
        install_default_drivers();
        let (_, url) = self.database().pop().expect("a database");
        let mut database = AnyConnection::connect(&url).await.expect("the database");
        let mut tx = database.begin().await.expect("a transaction");
        let now = SystemClock::shared().now().as_millisecond();
        for (n, (region, ago)) in alerts.iter().enumerate() {
            let (id, at) = (format!("QPAST{n}"), now - ago);
            for (sql, times) in [
                (
                    "INSERT INTO alerts (id, incident_id, region, triggered_at, resolved_at) VALUES ($1, $1, $2, $3, $4)",
                    true,
                ),
                ("INSERT INTO incidents (incident_id, alert_id) VALUES ($1, $1)", false),
                (
                    "INSERT INTO runs (id, alert_id, incident_id, region, triggered_by, state, created_at, finished_at, diagnosed_at, \
                     verdict, rule) VALUES ('run-' || $1, $1, $1, $2, 'webhook', 'done', $3, $4, $4, 'registry', \
                     'all-se-accepting')",
                    true,
                ),
            ] {
                let mut insert = sqlx::query(sql).bind(&id);
                if times {
                    insert = insert.bind(region).bind(at).bind(at + 1_800_000);
                }
                insert.execute(&mut *tx).await.expect("a row");
            }
        }
        tx.commit().await.expect("stored");
        database.close().await.expect("closed");
    }
}

#[tokio::test]
async fn a_region_has_its_alert_in_words_and_as_a_link_from_its_begin_to_its_end() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
    let none = stage.regions().await;
    assert!(none.contains("No alerts in ") && none.contains("Unknown") && !none.contains("class=\"mark"), "{none}");
    let run = stage.diagnosed().await;
    let id = run["id"].as_str().expect("an id");
    let open = stage.regions().await;
    for part in [
        "<h1>Regions, 90 days</h1>",
        "1 alert in 1 of ",
        "1 is open.",
        "Still open",
        "<strong>1 alert</strong></p><p class=\"muted\">Service Endpoint</p>",
        "Median: diagnosed in under 1 min",
        "<span class=\"chip broken\">Failing</span> <span class=\"muted\">alert open <time",
        "Recorded since ",
    ] {
        assert!(open.contains(part), "{part}: {open}");
    }
    let (_, mark) = open.split_once(&format!("href=\"/runs/{id}\" aria-label=\"")).expect("a link to the run");
    let said = mark.split('"').next().expect("words");
    assert!(
        said.starts_with("prod-us-south, ") && said.ends_with(": Service Endpoint, open for under 1 min"),
        "{said}"
    );
    assert!(open.contains("href=\"#is-open\"") && open.contains("href=\"#is-se\""), "{open}");
    assert!(!open.contains("style="), "the policy forbids it: {open}");
    let list = stage.front.get_as(VIEWER_TOKEN, "/").await;
    assert!(list.body.as_str().is_some_and(|list| list.contains("href=\"/regions\"")), "{list:?}");
    stage.front.page("/regions", &[]).await.is(401);

    stage.world.pagerduty.resolve(&stage.world.alert, None);
    stage.alert("incident.resolved").await.is(202);
    let over = until("its end", async || Some(stage.regions().await).filter(|view| !view.contains("1 is open."))).await;
    assert!(over.contains(": Service Endpoint, resolved after ") && !over.contains("href=\"#is-open\""), "{over}");
    assert!(over.contains("resolved in under 1 min"), "{over}");
}

#[tokio::test]
async fn it_says_how_long_a_time_it_shows() {
    let stage = Stage::quick(&[("RETENTION", "30d")]).await;
    stage.remembers(&[("prod-us-south".into(), 29 * DAY), ("prod-eu-de".into(), 40 * DAY)]).await;
    let view = stage.regions().await;
    for part in ["<h1>Regions, 30 days</h1>", "RETENTION keeps no more.", "1 alert in 1 of "] {
        assert!(view.contains(part), "{part}: {view}");
    }
}

#[tokio::test]
async fn two_hundred_alerts_are_all_there_in_a_view_of_less_than_60_kb() {
    let stage = Stage::quick(&[]).await;
    // In 50 regions over 88 days; and of one region 60 within an hour, for which there is no room side by side.
    let spread = (0..140_i64).map(|n| (format!("prod-region-{}", n % 50), DAY + n * 88 * DAY / 140));
    let dense = (0..60_i64).map(|n| ("prod-dense".to_owned(), 20 * DAY + n * 60_000));
    let alerts: Vec<(String, i64)> = spread.chain(dense).collect();
    stage.remembers(&alerts).await;
    let view = stage.regions().await;
    assert!(view.contains("200 alerts in 51 of "), "{view}");
    let marks: BTreeSet<&str> = view.split("class=\"mark tone-registry\" href=\"/runs/").skip(1).collect();
    let (_, dense) =
        view.split_once("<strong>60 alerts</strong>, <span>median 30 min</span>").expect("the dense region");
    let (_, more) = dense.split_once("y=\"16.5\">+").expect("a number");
    let more: usize = more.split('<').next().and_then(|count| count.parse().ok()).expect("a number");
    assert_eq!((marks.len() + more, more), (200, 55));
    // Where the number leads to, all of them are.
    let (_, link) = dense.split_once("href=\"/?").expect("a link to the list");
    let link = link.split('"').next().expect("an address").replace("&#38;", "&").replace("&amp;", "&");
    let list = stage.front.get_as(VIEWER_TOKEN, &format!("/?{link}")).await;
    let listed = list.is(200).body.as_str().expect("a list").matches("class=\"row\"").count();
    assert_eq!(listed, 50, "a page of the list: {link}");
    // Those without an alert are one list.
    assert!(view.contains("No alerts: ") && view.contains("11 more regions with alerts"), "{view}");

    let asked = stage.front.http.get(format!("{}/regions", stage.front.url)).bearer_auth(VIEWER_TOKEN);
    let sent = asked.header("accept-encoding", "gzip").send().await.expect("an answer");
    assert_eq!(sent.headers()["content-encoding"], "gzip");
    let weight = sent.bytes().await.expect("the view").len();
    assert!(weight < 60 * 1024, "{weight} bytes as they are sent");
}
