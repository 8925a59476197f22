//! Two replicas are restarted one after the other, as a deployment does, under a stream of webhooks; also from an older build.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outbound::clock::SystemClock;
use outbound::http::http_client;
use simulators::pagerduty::{Opening, Setup, sign};
use simulators::scenario::Scenario;
use simulators::world::{WEBHOOK_SECRET, World};

use crate::enumerate::say;
use crate::harness::{free_address, owned, quick, settings_on_postgres, until_within};
use crate::life::until;
use crate::replica::Replica;
use crate::stories::{SETTINGS, public};

/// How often each of the two is restarted.
const ROUNDS: usize = 4;
/// Who sends at the same time.
const SENDERS: usize = 4;

/// Until a replica is ready; it is started where it does not run.
async fn ready(replica: &Replica) {
    let http = http_client().expect("a client");
    until("a replica to be ready", async || {
        let answer = http.get(format!("{}/readyz", replica.url()?)).send().await.ok()?;
        (answer.status() == 200).then_some(())
    })
    .await;
}

/// How one delivery went; `kept`: on a connection that may have served others before.
fn outcome(sent: &Result<reqwest::Response, reqwest::Error>, kept: bool) -> String {
    match sent {
        Ok(answer) => answer.status().as_u16().to_string(),
        Err(error) if error.is_connect() => "refused".to_owned(),
        Err(error) => {
            // Taken by the kernel in the very instant in which the listener went: nobody has read a byte of it.
            let mut cause: Option<&dyn std::error::Error> = Some(error);
            while let Some(error) = cause {
                let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
                if kind == Some(std::io::ErrorKind::ConnectionReset) {
                    return "reset".to_owned();
                }
                cause = error.source();
            }
            let text = format!("{error:?}");
            // A connection that rests may be closed in the very instant in which a request is sent on it (RFC 9112, 9.5):
            // nobody has read a byte of that either. A new connection has no such excuse.
            if kept && text.contains("IncompleteMessage") { "ended".to_owned() } else { text }
        }
    }
}

/// Two replicas of one database, each with an address of its own, which it has again when it is started again.
struct Two {
    world: Arc<World>,
    addresses: [String; 2],
    replicas: [Replica; 2],
}

impl Two {
    async fn new() -> Self {
        // A bigger outage explains them all: it is about taking alerts, not about diagnosing them.
        let scenario = Scenario { incidents: public, ..*quick() };
        let world = World::start(Box::leak(Box::new(scenario)), SystemClock::shared()).await.expect("a world");
        let mut settings = settings_on_postgres(&world, SETTINGS);
        // Many wait for the bigger outage, and their looks must not be what keeps the machine busy.
        settings.extend(owned(&[("SUPPRESSION_RECHECK", "1m")]));
        let addresses = [free_address(), free_address()];
        let replicas = [("a", &addresses[0]), ("b", &addresses[1])].map(|(name, address)| {
            let own = [settings.clone(), owned(&[("LISTEN_ADDR", address)])].concat();
            Replica::new(name, &world.path(""), &own)
        });
        Self { world: Arc::new(world), addresses, replicas }
    }

    /// One after the other is stopped and started again.
    async fn restart(&self) {
        for replica in &self.replicas {
            assert!(replica.stop(), "it runs");
            let ended = async || (!replica.is_stopping()).then_some(());
            until_within(Duration::from_secs(20), "its end", ended).await;
            ready(replica).await;
        }
    }

    /// Alerts whose webhooks are sent to both until it is over, each until it is taken; pauses so long after each. Adds up how the
    /// deliveries went.
    fn sender(&self, sender: usize, pause: Duration, seen: &Seen) -> tokio::task::JoinHandle<Vec<String>> {
        let (world, addresses, seen) = (Arc::clone(&self.world), self.addresses.clone(), seen.clone());
        tokio::spawn(async move {
            let http = http_client().expect("a client");
            let mut alerts = Vec::new();
            let mut n = sender;
            // The last ones come when all is over: whoever was restarted last answers as well.
            let mut more = true;
            while more {
                more = !seen.over.load(Ordering::SeqCst);
                let title = "All SE endpoints down in prod-us-south";
                let alert = world.pagerduty.open(Opening::new(title, Setup::REGISTRY)).id;
                let body = world.pagerduty.webhook_body("incident.triggered", &alert);
                let signature = sign(WEBHOOK_SECRET, body.as_bytes());
                loop {
                    n += 1;
                    let url = format!("http://{}/webhooks/pagerduty", addresses[n % addresses.len()]);
                    let mut request = http.post(url).header("x-pagerduty-signature", &signature).body(body.clone());
                    let kept = sender % 2 == 1;
                    if !kept {
                        // A connection for each, as from many senders; the others keep theirs.
                        request = request.header("connection", "close");
                    }
                    let sent = request.timeout(Duration::from_secs(10)).send().await;
                    let how = outcome(&sent, kept);
                    let taken = how == "202";
                    *seen.counts.lock().expect("counts").entry(how).or_default() += 1;
                    if taken {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                alerts.push(alert);
                tokio::time::sleep(pause).await;
            }
            alerts
        })
    }

    /// How many runs an alert has.
    async fn runs(&self, alert: &str) -> Option<usize> {
        let http = http_client().ok()?;
        let request = http.get(format!("http://{}/api/runs?incident_id={alert}", self.addresses[0]));
        let answer = request.bearer_auth(simulators::world::VIEWER_TOKEN).send().await.ok()?;
        let runs: serde_json::Value = answer.json().await.ok()?;
        runs["runs"].as_array().map(Vec::len)
    }

    fn said(&self) -> String {
        self.replicas.iter().map(Replica::said).collect()
    }
}

/// What the senders have seen so far, and whether they are to end.
#[derive(Clone, Default)]
struct Seen {
    over: Arc<AtomicBool>,
    counts: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Seen {
    /// Ends the senders: their alerts, and how the deliveries went.
    async fn end(self, senders: Vec<tokio::task::JoinHandle<Vec<String>>>) -> (Vec<String>, BTreeMap<String, u32>) {
        self.over.store(true, Ordering::SeqCst);
        let mut alerts = Vec::new();
        for sender in senders {
            alerts.extend(sender.await.expect("a sender"));
        }
        let counts = self.counts.lock().expect("counts").clone();
        (alerts, counts)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_answers_every_webhook_or_refuses_the_connection_and_loses_none() {
    let two = Two::new().await;
    for replica in &two.replicas {
        ready(replica).await;
    }
    let seen = Seen::default();
    let senders = (0..SENDERS).map(|sender| two.sender(sender, Duration::from_millis(10), &seen)).collect();
    for _ in 0..ROUNDS {
        two.restart().await;
    }
    let (alerts, counts) = seen.end(senders).await;
    say(&format!("rolling restart, {} restarts: {} webhooks: {counts:?}", 2 * ROUNDS, alerts.len()));
    let allowed = ["202", "refused", "reset", "ended"];
    assert!(counts.keys().all(|how| allowed.contains(&how.as_str())), "{counts:?}\n{}", two.said());
    assert!(counts.contains_key("refused"), "no webhook came while a replica was down: {counts:?}");
    for alert in &alerts {
        assert_eq!(two.runs(alert).await, Some(1), "{alert}");
    }
}

/// `OLDER_BINARY` is the older build; with `OLDER_REFUSES` it may answer 503 once the other is the newer one. `scripts/rolling-upgrade`
/// builds it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an older build: scripts/rolling-upgrade"]
async fn an_older_build_is_replaced_one_replica_after_the_other_and_nothing_is_lost_or_said_twice() {
    let older = PathBuf::from(std::env::var_os("OLDER_BINARY").expect("OLDER_BINARY: an older build"));
    let two = Two::new().await;
    for replica in &two.replicas {
        replica.begin_as(&older);
        ready(replica).await;
    }
    let seen = Seen::default();
    let senders = (0..SENDERS).map(|sender| two.sender(sender, Duration::from_millis(100), &seen)).collect();
    let taken = |at_least: u32| {
        let counts = Arc::clone(&seen.counts);
        async move || (counts.lock().expect("counts").get("202").copied().unwrap_or_default() >= at_least).then_some(())
    };
    until_within(Duration::from_secs(60), "the older build takes alerts", taken(60)).await;
    for replica in &two.replicas {
        replica.upgrade();
    }
    two.restart().await;
    // Both are this build now.
    two.restart().await;
    let (alerts, counts) = seen.end(senders).await;
    say(&format!("rolling upgrade: {} webhooks: {counts:?}", alerts.len()));
    let mut allowed = vec!["202", "refused", "reset", "ended"];
    if std::env::var_os("OLDER_REFUSES").is_some() {
        allowed.push("503");
    }
    assert!(counts.keys().all(|how| allowed.contains(&how.as_str())), "{counts:?}\n{}", two.said());
    for alert in &alerts {
        let told = async || (two.world.pagerduty.notes_of(alert).len() == 1).then_some(());
        until_within(Duration::from_secs(120), "its word that it waits", told).await;
    }
    // Whatever was still on its way has come by now.
    for alert in &alerts {
        assert_eq!(two.runs(alert).await, Some(1), "{alert}");
        let notes = two.world.pagerduty.notes_of(alert);
        assert_eq!(notes.len(), 1, "{alert}: {notes:#?}\n{}", two.said());
    }
}
