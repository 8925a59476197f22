//! A failed proof of the way in, in full: first of all stories, since it takes its minute.

use outbound::clock::SystemClock;
use simulators::pagerduty::PingFault;
use simulators::world::World;

use crate::harness::{free_address, quick, settings_of, until};
use crate::process::Process;

/// How often it is looked.
const OFTEN: (&str, &str) = ("SELF_CHECK_INTERVAL", "500ms");

/// In a process of its own, whose log nobody else has a part in; it waits as long as is promised.
#[tokio::test]
async fn a_failure_is_an_error_in_the_log_once_with_the_likely_causes() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let address = free_address();
    let url = format!("http://{address}");
    world.subscribe(&url);
    world.pagerduty.spoil_pings("PSUB1", Some(PingFault::OtherSecret));
    let process = Process::serve(&settings_of(&world, &[("LISTEN_ADDR", &address), ("PUBLIC_URL", &url), OFTEN])).await;
    let error = until("the error", async || {
        let said = process.said();
        said.lines().find(|line| line.contains("SELF-CHECK FAILED: 0 of 1 pings")).map(str::to_owned)
    })
    .await;
    for part in ["ERROR", "within 1 min", "whose signature is wrong", "PAGERDUTY_WEBHOOK_SECRETS", "byte by byte"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    world.pagerduty.spoil_pings("PSUB1", None);
    until("the end of it", async || process.said().contains("self-check: fixed: the ping").then_some(())).await;
    assert_eq!(process.said().matches("SELF-CHECK FAILED: 0 of 1 pings").count(), 1);
}
