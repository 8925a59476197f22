//! Two replicas are restarted one after the other, as a deployment does, under a stream of webhooks.

use std::collections::BTreeMap;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_answers_every_webhook_or_refuses_the_connection_and_loses_none() {
    // A bigger outage explains them all: it is about taking alerts, not about diagnosing them.
    let scenario = Scenario { incidents: public, ..*quick() };
    let world = World::start(Box::leak(Box::new(scenario)), SystemClock::shared()).await.expect("a world");
    let mut settings = settings_on_postgres(&world, SETTINGS);
    // Many wait for the bigger outage, and their looks must not be what keeps the machine busy.
    settings.extend(owned(&[("SUPPRESSION_RECHECK", "1m")]));
    // Each has an address of its own, which it has again when it is started again.
    let addresses = [free_address(), free_address()];
    let replicas = [("a", &addresses[0]), ("b", &addresses[1])].map(|(name, address)| {
        let own = [settings.clone(), owned(&[("LISTEN_ADDR", address)])].concat();
        Replica::new(name, &world.path(""), &own)
    });
    for replica in &replicas {
        ready(replica).await;
    }
    let over = Arc::new(AtomicBool::new(false));
    let counts = Arc::new(Mutex::new(BTreeMap::<String, u32>::new()));
    let world = Arc::new(world);
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (world, over, counts) = (Arc::clone(&world), Arc::clone(&over), Arc::clone(&counts));
            let addresses = addresses.clone();
            tokio::spawn(async move {
                let http = http_client().expect("a client");
                let mut alerts = Vec::new();
                let mut n = sender;
                // The last ones come when all is over: whoever was restarted last answers as well.
                let mut more = true;
                while more {
                    more = !over.load(Ordering::SeqCst);
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
                        *counts.lock().expect("counts").entry(how).or_default() += 1;
                        if taken {
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    alerts.push(alert);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                alerts
            })
        })
        .collect();
    for _ in 0..ROUNDS {
        for replica in &replicas {
            assert!(replica.stop(), "it runs");
            let ended = async || (!replica.is_stopping()).then_some(());
            until_within(Duration::from_secs(20), "its end", ended).await;
            ready(replica).await;
        }
    }
    over.store(true, Ordering::SeqCst);
    let mut alerts = Vec::new();
    for sender in senders {
        alerts.extend(sender.await.expect("a sender"));
    }
    let counts = counts.lock().expect("counts").clone();
    say(&format!("rolling restart, {} restarts: {} webhooks: {counts:?}", 2 * ROUNDS, alerts.len()));
    let allowed = ["202", "refused", "reset", "ended"];
    let said = || replicas.iter().map(Replica::said).collect::<String>();
    assert!(counts.keys().all(|how| allowed.contains(&how.as_str())), "{counts:?}\n{}", said());
    assert!(counts.contains_key("refused"), "no webhook came while a replica was down: {counts:?}");
    let (http, url) = (http_client().expect("a client"), &addresses[0]);
    for alert in &alerts {
        let request = http.get(format!("http://{url}/api/runs?incident_id={alert}"));
        let answer = request.bearer_auth(simulators::world::VIEWER_TOKEN).send().await.expect("an answer");
        let runs: serde_json::Value = answer.json().await.expect("JSON");
        assert_eq!(runs["runs"].as_array().map(Vec::len), Some(1), "{alert}: {runs}");
    }
}
