use super::*;
use crate::run::bench::Bench;
use jenkins::{Jenkins, JenkinsSettings};
use outbound::clock::Source;
use runbook::diagnosis::{Console, MagicBox};
use simulators::clock::ManualClock;
use simulators::jenkins::BuildPlan;

use std::sync::Arc;

const SOUTH: &str = "prod-us-south";

fn zones(region: &str) -> RegionZones {
    let region: Region = region.parse().unwrap();
    crate::config::Regions::default().zones_of(&region)
}

/// A reading of these boxes: name without `registry-`, SE status, upstream status.
fn reading(boxes: &[(&str, u8, i8)], unreadable: &[&str]) -> Reading {
    let of_one = |(name, se_status, upstream_status): &(&str, u8, i8)| MagicBox {
        name: format!("registry-{name}"),
        magic_box_id: format!("vm-{name}"),
        node: "Ready".into(),
        backend_ip: "10.94.143.238".into(),
        frontend: "166.9.12.114/23".into(),
        se_status: *se_status,
        upstream_status: *upstream_status,
    };
    let unreadable = unreadable.iter().map(|name| format!("registry-{name}")).collect();
    let console = Console { boxes: boxes.iter().map(of_one).collect(), unreadable, ..Console::default() };
    let at = "2026-08-20T02:59:00Z".parse().unwrap();
    Reading { build_url: Some("https://jenkins/7/".into()), at, console, warnings: vec![], set_aside: vec![] }
}

#[test]
fn what_a_canary_comes_to() {
    let well = [("prod-us-south-az1-1", 1, 1), ("prod-us-south-az2-1", 1, 1), ("prod-us-south-az3-1", 1, 1)];
    let with = |status: (u8, i8)| {
        let mut boxes = well;
        (boxes[1].1, boxes[1].2) = status;
        boxes
    };
    let other = [("prod-eu-de-az1-1", 1, 1)];
    for (boxes, unreadable, outcome) in [
        (&well[..], &[][..], Outcome::Good),
        (&with((0, 1))[..], &[], Outcome::NotGood),
        (&with((1, 0))[..], &[], Outcome::NotGood),
        (&well[..2], &[], Outcome::Incomplete),
        (&well[..], &["prod-us-south-az2-2"], Outcome::Incomplete),
        (&well[..], &["prod-us-south-az7-1"], Outcome::Incomplete),
        (&well[..], &["prod-eu-de-az1-2"], Outcome::Good),
        (&[], &[], Outcome::Failed),
        (&[], &["prod-us-south-az1-1"], Outcome::Failed),
        (&other[..], &[], Outcome::Failed),
    ] {
        assert_eq!(
            Outcome::of(&zones(SOUTH).region, &zones(SOUTH).names(), &reading(boxes, unreadable)),
            outcome,
            "{boxes:?} {unreadable:?}"
        );
    }
    for outcome in Outcome::ALL {
        assert_eq!(outcome.to_string().parse(), Ok(*outcome));
        assert_eq!(outcome.is_trouble(), matches!(outcome.as_str(), "incomplete" | "failed"));
    }
    assert!("great".parse::<Outcome>().is_err());
}

#[tokio::test]
async fn what_a_reading_shows_of_each_listed_region_and_of_the_runs_own_is_kept() {
    // The bench lists us-south, with two zones.
    let bench = Bench::new().await;
    let south = [("prod-us-south-az1-1", 1, 1), ("prod-us-south-az2-1", 1, 1)];
    let eu = [("prod-eu-de-az1-1", 1, 1), ("prod-eu-de-az2-1", 1, 1), ("prod-eu-de-az3-1", 1, 1)];
    let all = reading(&[&south[..], &eu[..]].concat(), &[]);
    let kept = async |region: &str| {
        let kept = bench.context.store.good_reading(&region.parse().unwrap()).await.unwrap();
        kept.map(|good| (good.at, good.boxes.len()))
    };
    keep_good(&bench.context, &all, None).await.unwrap();
    assert_eq!((kept(SOUTH).await, kept("prod-eu-de").await), (Some((all.at, 2)), None));
    keep_good(&bench.context, &all, Some(&"prod-eu-de".parse().unwrap())).await.unwrap();
    assert_eq!(kept("prod-eu-de").await, Some((all.at, 3)));
    // One that is not good changes nothing, though it is newer.
    let newer = Reading { at: bench.context.clock.now(), ..reading(&[("prod-us-south-az1-1", 1, 1)], &[]) };
    keep_good(&bench.context, &newer, None).await.unwrap();
    assert_eq!(kept(SOUTH).await, Some((all.at, 2)));
}

/// Killed, and started again hours later: by then its build has ended, or was never known.
#[tokio::test]
async fn one_whose_time_was_up_while_nobody_worked_takes_what_its_build_printed_and_starts_none() {
    for known in [true, false] {
        let mut bench = Bench::new().await;
        // Not the hurried one: what is read takes real time.
        let clock = ManualClock::at(bench.clock.now());
        bench.context.clock = clock.clone();
        let names = zones(SOUTH).names();
        let boxes: Vec<(&str, u32, i32, i32)> = names.iter().map(|zone| (zone.as_str(), 1, 1, 1)).collect();
        let plan = BuildPlan::showing(&boxes, Duration::from_secs(60));
        let setup = simulators::jenkins::Setup { clock: clock.clone(), ..simulators::jenkins::Setup::always(plan) };
        let sim = simulators::jenkins::Jenkins::start(setup).await.unwrap();
        let (user, token) = sim.credentials();
        let job_url = sim.job_url().parse().unwrap();
        let settings =
            JenkinsSettings { job_url, user, token: token.as_str().into(), ..bench.context.config.jenkins.clone() };
        bench.context.jenkins = Arc::new(Jenkins::new(settings, clock.clone()).unwrap());
        let store = &bench.context.store;
        store.plan_canary(Duration::ZERO).await.unwrap();
        let seen = store.canary().await.unwrap().unwrap();
        store.begin_watches(&[Watch::Canary]).await.unwrap();
        let watch = store.claim_watch(&[Watch::Canary]).await.unwrap().unwrap();
        let lease = store.begin_canary(&watch, &seen, &SOUTH.parse().unwrap(), LOOK_BACK).await.unwrap().unwrap();
        sim.somebody_builds(names[0].as_str());
        let record = BuildRecord::wanted(0, names[0].clone(), clock.now(), None);
        let record = BuildRecord { number: known.then_some(1), ..record };
        store.set_canary_builds(&lease, &[record]).await.unwrap();
        clock.jump(Duration::from_secs(3 * 3600));
        let south = zones(SOUTH);
        let reading = read_or_give_way(&bench.context, &south, &lease);
        let reading = tokio::time::timeout(Duration::from_secs(20), reading).await.expect("no wait for a new one");
        let reading = reading.unwrap().unwrap();
        assert_eq!(reading.console.boxes.len(), if known { 3 } else { 0 }, "{reading:?}");
        assert_eq!(reading.warnings.len(), usize::from(!known), "{:?}", reading.warnings);
        assert_eq!((sim.started(), sim.stopped()), (vec![], vec![]));
    }
}
