//! The way in is proven: with each self-check PagerDuty pings our webhook subscriptions, and the pings come back, signed.

use std::time::Duration;

use outbound::clock::SystemClock;
use serde_json::Value;
use simulators::pagerduty::{Endpoint, Fault, PingFault};
use simulators::world::{VIEWER_TOKEN, World};

use crate::harness::{QUICK, Stage, free_address, owned, quick, settings_of, settings_on_postgres, until};
use crate::process::{Process, run};

/// How often it is looked in these stories.
const OFTEN: (&str, &str) = ("SELF_CHECK_INTERVAL", "500ms");

/// A stage at an address that its subscriptions (`PSUB1`, …) know from the beginning, with all that the service needs there.
struct Way {
    stage: Stage,
    settings: Vec<(String, String)>,
}

impl Way {
    /// So many subscriptions, of which these pings go wrong; a ping has so long.
    async fn of(
        subscriptions: usize,
        faults: &[(&str, PingFault)],
        pings_within: Duration,
        settings: &[(&str, &str)],
    ) -> Self {
        let address = free_address();
        let url = format!("http://{address}");
        let own = [&[("LISTEN_ADDR", address.as_str()), ("PUBLIC_URL", url.as_str())], settings].concat();
        let mut stage = Stage::quick(&own).await;
        for _ in 0..subscriptions {
            stage.world.subscribe(&url);
        }
        for (id, fault) in faults {
            stage.world.pagerduty.spoil_pings(id, Some(fault.clone()));
        }
        stage.wait_for_pings(pings_within);
        stage.restart(&[OFTEN]).await;
        Self { settings: [owned(&own), owned(&[OFTEN])].concat(), stage }
    }

    /// One subscription, whose pings go wrong like this: they have a second.
    async fn spoilt(fault: PingFault) -> Self {
        Self::of(1, &[("PSUB1", fault)], Duration::from_secs(1), &[]).await
    }

    /// Waits until this is what the metric says; `None`: it is absent.
    async fn says(&self, proven: Option<&str>) {
        let wanted = proven.map(|value| format!("se_responder_ingest_proven {value}"));
        until(&format!("{wanted:?}"), async || (metric(&self.stage).await == wanted).then_some(())).await;
    }

    /// Waits until the line of the list's `Health` says this.
    async fn list_says(&self, says: &str) {
        until(says, async || {
            let page = self.stage.front.get_as(VIEWER_TOKEN, "/").await;
            let text = page.is(200).body.as_str()?.to_owned();
            let health = text.split_once("<h2>Health</h2>")?.1.split_once("</section>")?.0.to_owned();
            health.replace("&#39;", "'").contains(says).then_some(())
        })
        .await;
    }

    /// `doctor`'s line, from the database.
    async fn doctor(&self) -> Value {
        let settings = [settings_of(&self.stage.world, &[]), self.settings.clone(), self.stage.database()].concat();
        let ended = run(&["doctor", "--json"], &settings, "").await;
        let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended:#?}"));
        let line = report["checks"].as_array().expect("checks").iter().find(|check| check["name"] == "ingest");
        line.unwrap_or_else(|| panic!("{report:#}")).clone()
    }

    /// The metric is 0, list and `doctor` say so, and what to do begins with this.
    async fn is_reported(&self, fix: &str) {
        self.says(Some("0")).await;
        self.list_says("of 1 pings that PagerDuty was asked to send to").await;
        self.list_says(fix).await;
        let line = self.doctor().await;
        assert_eq!(line["state"], "failed", "{line:#}");
        assert!(line["mend"].as_str().is_some_and(|mend| mend.starts_with(fix)), "{line:#}");
        assert!(line["detail"].as_str().is_some_and(|detail| detail.ends_with("ago)") || detail.ends_with("now)")));
        until("/readyz", async || {
            let ready = self.stage.front.get_as("", "/readyz").await;
            ready.is(200).body.as_str()?.contains("self-check: pagerduty ingest failed").then_some(())
        })
        .await;
    }

    fn pings_asked_for(&self) -> usize {
        self.stage.world.pagerduty.requests().iter().filter(|request| request.path.ends_with("/ping")).count()
    }
}

/// The metric's line, where there is one.
async fn metric(stage: &Stage) -> Option<String> {
    let text = stage.front.get_as("", "/metrics").await;
    let text = text.body.as_str().unwrap_or_default();
    text.lines().find(|line| line.starts_with("se_responder_ingest_proven")).map(str::to_owned)
}

#[tokio::test]
async fn a_ping_that_comes_back_signed_proves_it() {
    let way = Way::of(1, &[], Duration::from_secs(60), &[]).await;
    way.says(Some("1")).await;
    way.list_says("Webhooks reach us</span> <span class=\"chip whole\">").await;
    let line = way.doctor().await;
    assert_eq!((&line["state"], &line["mend"]), (&"ok".into(), &Value::Null), "{line:#}");
    let detail = line["detail"].as_str().expect("words");
    assert!(
        detail.starts_with("the ping that PagerDuty was asked for came back signed, by the webhook subscription PSUB1")
    );
    let asked = way.pings_asked_for();
    until("the next self-check", async || (way.pings_asked_for() > asked).then_some(())).await;
    let runs = way.stage.front.get("/api/runs").await;
    assert_eq!(runs["runs"], serde_json::json!([]), "a ping is no alert");
}

#[tokio::test]
async fn a_wrong_secret_is_reported_and_once_it_is_right_the_way_is_proven() {
    let way = Way::spoilt(PingFault::OtherSecret).await;
    way.is_reported("put the subscription's secret into PAGERDUTY_WEBHOOK_SECRETS").await;
    way.list_says("signature").await;
    way.stage.world.pagerduty.spoil_pings("PSUB1", None);
    way.says(Some("1")).await;
    way.list_says("Webhooks reach us</span> <span class=\"chip whole\">").await;
}

#[tokio::test]
async fn a_proxy_that_changes_bytes_is_reported() {
    let way = Way::spoilt(PingFault::ChangedBytes).await;
    way.is_reported("put the subscription's secret into PAGERDUTY_WEBHOOK_SECRETS").await;
    way.list_says("a proxy in front must pass the body on byte by byte").await;
}

#[tokio::test]
async fn pings_that_arrive_somewhere_else_or_nowhere_are_reported() {
    for fault in [PingFault::Elsewhere("http://127.0.0.1:9/webhooks/pagerduty".into()), PingFault::Lost] {
        let way = Way::spoilt(fault).await;
        way.is_reported("WEBHOOK_URL must lead from the internet to this service").await;
    }
}

#[tokio::test]
async fn a_disabled_subscription_is_reported_and_one_that_is_off_too() {
    let way = Way::of(1, &[], Duration::from_secs(1), &[]).await;
    way.stage.world.pagerduty.subscriptions(|all| all[0].temporarily_disabled = true);
    way.is_reported("PagerDuty has disabled PSUB1").await;
    way.stage.world.pagerduty.subscriptions(|all| {
        all[0].temporarily_disabled = false;
        all[0].active = false;
    });
    way.list_says("PSUB1 is turned off").await;
    way.stage.world.pagerduty.subscriptions(|all| all[0].active = true);
    way.says(Some("1")).await;
}

#[tokio::test]
async fn each_subscription_must_ping_and_an_event_counts_once() {
    let second = Duration::from_secs(1);
    let way = Way::of(2, &[("PSUB1", PingFault::Twice), ("PSUB2", PingFault::Lost)], second, &[]).await;
    way.says(Some("0")).await;
    way.list_says("1 of 2 pings that PagerDuty was asked to send to").await;
    // One that came before is no new one.
    let before = way.stage.world.pagerduty.ping_body();
    assert_eq!(way.stage.front.signed(&before).await.is(202).word(), "ignored");
    assert_eq!(way.stage.front.signed(&before).await.is(202).word(), "duplicate");
    way.stage.world.pagerduty.spoil_pings("PSUB2", None);
    way.says(Some("1")).await;
    way.list_says("chip whole").await;
    // A subscription that delivers to somebody else is none of ours.
    way.stage.world.subscribe("https://other.example.com");
    way.stage.world.pagerduty.spoil_pings("PSUB3", Some(PingFault::Lost));
    let asked = way.pings_asked_for();
    until("two more self-checks", async || (way.pings_asked_for() >= asked + 4).then_some(())).await;
    way.says(Some("1")).await;
    let asked_of_it = way.stage.world.pagerduty.requests().iter().any(|r| r.path.contains("PSUB3/ping"));
    assert!(!asked_of_it);
}

#[tokio::test]
async fn a_ping_that_is_late_but_in_time_proves_it() {
    let way = Way::of(1, &[("PSUB1", PingFault::Late(Duration::from_secs(2)))], Duration::from_secs(60), &[]).await;
    way.says(Some("1")).await;
}

#[tokio::test]
async fn where_nothing_delivers_to_us_it_is_not_known_and_a_failed_line_says_so() {
    let way = Way::of(0, &[], Duration::from_secs(1), &[]).await;
    way.list_says("no webhook subscription of PagerDuty delivers to").await;
    way.says(None).await;
    assert_eq!(way.doctor().await["state"], "failed");
    assert_eq!(way.pings_asked_for(), 0);
}

#[tokio::test]
async fn a_token_that_may_not_ask_is_said_by_a_failed_line_and_nothing_is_known() {
    for (endpoint, says) in [
        (
            Endpoint::PingSubscription,
            "PAGERDUTY_API_TOKEN may not have PagerDuty ping the webhook subscription PSUB1: 403",
        ),
        (Endpoint::Subscriptions, "whether webhooks reach this service is not known"),
    ] {
        let way = Way::of(1, &[], Duration::from_secs(60), &[]).await;
        way.says(Some("1")).await;
        way.stage.world.pagerduty.fail(endpoint, Fault::Status(403), 10_000);
        way.says(None).await;
        way.list_says(says).await;
        let line = way.doctor().await;
        assert_eq!(line["state"], "failed", "{line:#}");
        assert!(line["mend"].as_str().is_some_and(|mend| mend.contains("a key that is not read-only")), "{line:#}");
    }
}

#[tokio::test]
async fn where_pagerduty_cannot_be_asked_nothing_is_proven_and_it_is_asked_again() {
    let way = Way::of(1, &[], Duration::from_secs(1), &[]).await;
    way.says(Some("1")).await;
    way.stage.world.pagerduty.fail(Endpoint::PingSubscription, Fault::Status(500), 10_000);
    way.says(Some("0")).await;
    way.list_says("PagerDuty did not take the request to ping the webhook subscription PSUB1").await;
    way.stage.world.pagerduty.mend();
    way.says(Some("1")).await;
    // An answer that is lost is none that says no: the ping tells.
    way.stage.world.pagerduty.fail_once_done(Endpoint::PingSubscription, Fault::Status(502), 10_000);
    let asked = way.pings_asked_for();
    until("two more self-checks", async || (way.pings_asked_for() >= asked + 2).then_some(())).await;
    way.says(Some("1")).await;
}

#[tokio::test]
async fn with_an_interval_of_nothing_it_is_never_asked() {
    let mut way = Way::of(1, &[], Duration::from_secs(60), &[]).await;
    way.says(Some("1")).await;
    way.stage.restart(&[("SELF_CHECK_INTERVAL", "0s")]).await;
    let asked = way.pings_asked_for();
    assert_eq!(metric(&way.stage).await, None);
    way.list_says("Never checked: SELF_CHECK_INTERVAL is 0s").await;
    assert_eq!(way.stage.diagnosed().await["state"], "done");
    assert_eq!(way.pings_asked_for(), asked);
}

/// Whichever asks, and at whichever it arrives: both say what was found last.
#[tokio::test]
async fn two_replicas_prove_one_way_and_both_report_it() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let address = free_address();
    world.subscribe(&format!("http://{address}"));
    let url = format!("http://{address}/webhooks/pagerduty");
    let own = [QUICK, &[OFTEN, ("WEBHOOK_URL", &url)]].concat();
    let settings = settings_on_postgres(&world, &own);
    let at_address = [settings.clone(), owned(&[("LISTEN_ADDR", &address)])].concat();
    let (a, b) = (Process::serve(&at_address).await, Process::serve(&settings).await);
    for replica in [&a, &b] {
        until("it to be proven", async || {
            let text = replica.front.get_as("", "/metrics").await.body.as_str()?.to_owned();
            text.contains("\nse_responder_ingest_proven 1\n").then_some(())
        })
        .await;
    }
    // What one of them proves the other shows: the door of all is closed now, and who asks for it waits in vain.
    drop(a);
    world.pagerduty.subscriptions(Vec::clear);
    until("the other to know", async || {
        let text = b.front.get_as("", "/metrics").await.body.as_str()?.to_owned();
        (!text.contains("se_responder_ingest_proven")).then_some(())
    })
    .await;
}
