//! Lists that change while they are read page by page.

use super::*;
use simulators::pagerduty::{Change, Incident as Simulated, Opening};

/// An account with this many open incidents, and a client of it.
async fn crowded(count: usize) -> (sim::PagerDuty, PagerDuty, Vec<Simulated>) {
    let (account, client, _) = account().await;
    account.set_rate_limit(100_000);
    let open = (0..count).map(|n| account.open(Opening::new(&format!("page {n}"), Setup::REGISTRY))).collect();
    (account, client, open)
}

/// How many requests a list takes while nothing changes.
fn quiet(count: usize) -> usize {
    1 + count.saturating_sub(2) / 99
}

#[tokio::test]
async fn whatever_was_open_all_the_while_is_there_however_the_list_shrinks() {
    for every in [1, 2, 3] {
        for (name, order) in [
            ("from the front", Vec::from_iter(0..40)),
            ("before each page", [98, 99, 97, 100, 197, 198, 196, 1, 0, 297].to_vec()),
            ("spread", (0..40).map(|n| n * 97 % 350).collect()),
            ("from the end", (300..340).rev().collect()),
        ] {
            let (account, client, open) = crowded(350).await;
            account.change_while_listed(every, order.iter().map(|n| Change::Resolve(open[*n].id.clone())));
            let listed = client.open_incidents(&[]).await.unwrap();
            let listed = ids(&listed);
            assert!(account.changes_to_come() < order.len(), "{name}: nothing changed");
            for incident in &open {
                let stayed = account.incident(&incident.id).unwrap().state != sim::State::Resolved;
                assert!(
                    !stayed || listed.contains(&incident.id.as_str()),
                    "{name}, {every}: {} is missed",
                    incident.title
                );
            }
            let asked = account.requests().len();
            assert!(asked <= quiet(350) + 8, "{name}, {every}: {asked} requests");
        }
    }
}

#[tokio::test]
async fn many_that_go_at_once_are_followed_too() {
    // A bigger outage ends: at each request as many are resolved as a page has.
    for at_once in [9, 30, 49, 99, 150] {
        let (account, client, open) = crowded(900).await;
        let going: Vec<_> = open.iter().filter(|i| i.number % 10 != 0).map(|i| Change::Resolve(i.id.clone())).collect();
        account.change_while_listed_by(1, at_once, going);
        let listed = client.open_incidents(&[]).await.unwrap();
        let listed = ids(&listed);
        for incident in open.iter().filter(|i| i.number % 10 == 0) {
            assert!(listed.contains(&incident.id.as_str()), "{at_once}: {} is missed", incident.title);
        }
        assert!(account.requests().len() < 60, "{at_once}: {} requests", account.requests().len());
    }
}

#[tokio::test]
async fn whatever_comes_or_comes_back_meanwhile_costs_nothing() {
    let (account, client, open) = crowded(350).await;
    for n in [10, 99, 100, 150, 250] {
        account.resolve(&open[n].id, None);
    }
    let mut changes = Vec::new();
    for n in [250, 150, 100, 99, 10] {
        changes.extend([
            Change::Reopen(open[n].id.clone()),
            Change::Open(Opening::new("another", Setup::REGISTRY)),
            Change::Resolve(open[n + 1].id.clone()),
        ]);
    }
    account.change_while_listed(1, changes);
    let listed = client.open_incidents(&[]).await.unwrap();
    let listed = ids(&listed);
    let unchanged = |n: usize| ![10, 99, 100, 150, 250, 11, 101, 151, 251].contains(&n);
    for (n, incident) in open.iter().enumerate().filter(|(n, _)| unchanged(*n)) {
        assert!(listed.contains(&incident.id.as_str()), "{n}");
    }
    let mut once = listed.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), listed.len(), "none twice");
}

#[tokio::test]
async fn a_quiet_list_takes_as_few_requests_as_ever() {
    for (count, requests) in [(0, 1), (1, 1), (99, 1), (100, 1), (101, 2), (199, 2), (200, 3), (350, 4)] {
        let (account, client, _) = crowded(count).await;
        assert_eq!(client.open_incidents(&[]).await.unwrap().len(), count);
        assert_eq!(account.requests().len(), requests, "{count}");
        assert_eq!(quiet(count), requests, "{count}");
    }
}
