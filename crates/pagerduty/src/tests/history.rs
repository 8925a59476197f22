use super::*;
use simulators::pagerduty::{Endpoint, Fault, Opening};

const DAY: i64 = 24 * 3600;

fn days_ago(clock: &HandClock, days: i64) -> Timestamp {
    clock.now().checked_sub(SignedDuration::from_secs(days * DAY)).unwrap()
}

#[tokio::test]
async fn the_log_of_an_incident_is_read_whole_and_oldest_first() {
    let (account, client, clock) = account().await;
    let id = account.open(Opening::new("a", Setup::REGISTRY)).id;
    for n in 0..120 {
        clock.pass(Duration::from_secs(1));
        account.annotate(&id, Setup::ENGINEER, &format!("{n}")).unwrap();
    }
    account.resolve(&id, None);
    let log = client.log_entries(&id).await.unwrap().unwrap();
    let kinds: Vec<&str> = log.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!((kinds.len(), &kinds[..4]), (124, &["trigger", "assign", "notify", "annotate"][..]));
    assert_eq!(kinds[123], "resolve");
    assert!(log.windows(2).all(|two| two[0].at <= two[1].at));
    let note = &log[3];
    let agent = note.agent.as_ref().unwrap();
    assert_eq!(
        (agent.kind, agent.id.as_str(), agent.name.as_str()),
        (AgentKind::User, Setup::ENGINEER, "Earline Greenholt")
    );
    assert_eq!((note.channel.as_str(), note.summary.as_str()), ("note", "Note added by Earline Greenholt"));
    assert_eq!(log[0].agent.as_ref().unwrap().kind, AgentKind::Service);
    assert_eq!(client.log_entries("QNOSUCH").await.unwrap(), None);
    assert_eq!(client.log_entries("Q1/x").await.unwrap_err().kind, Kind::Local);
    assert_eq!(account.requests().len(), 3, "two pages, and one that is not there");
}

#[test]
fn an_entry_is_read_whatever_is_odd_about_it() {
    let read = |json: &str| runbook::json::read::<LogEntry>(json.as_bytes()).unwrap();
    let odd = read(
        r#"{"id":"R1","type":"reopen_log_entry","agent":{"type":"workflow_reference","summary":7},"channel":"api"}"#,
    );
    assert_eq!((odd.kind.as_str(), odd.at, odd.channel.as_str()), ("reopen", None, ""));
    assert_eq!(odd.agent.unwrap(), Agent { kind: AgentKind::Other, id: String::new(), name: String::new() });
    for (kind, is) in [
        ("user", AgentKind::User),
        ("user_reference", AgentKind::User),
        ("service_reference", AgentKind::Service),
        ("inbound_integration_reference", AgentKind::Integration),
        ("api_key_reference", AgentKind::Other),
    ] {
        let entry = read(&format!(r#"{{"id":"R1","agent":{{"type":"{kind}","id":"P1"}}}}"#));
        assert_eq!(entry.agent.unwrap().kind, is, "{kind}");
    }
    let long = read(&format!(r#"{{"id":"R1","summary":"a\nb{}","agent":null}}"#, "x".repeat(5000)));
    assert_eq!((long.summary.chars().count(), &long.summary[..3], long.agent), (5003, "a\nb", None));
    assert!(runbook::json::read::<LogEntry>(b"{\"type\":\"trigger_log_entry\"}").is_err(), "without an id it is none");
}

#[test]
fn a_span_is_read_in_windows_that_pagerduty_takes() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let (since, until) = (at("2025-12-01T00:00:00Z"), at("2026-12-01T00:00:00Z"));
    let all = windows(since, until);
    assert_eq!((all.first().unwrap().0, all.last().unwrap().1, all.len()), (since, until, 13));
    assert!(all.windows(2).all(|two| two[0].1 == two[1].0));
    assert!(all.iter().all(|(since, until)| until.duration_since(*since).as_hours() <= 30 * 24));
    assert_eq!(windows(since, since), [(since, since)]);
    assert!(windows(until, since).is_empty());
}

#[tokio::test]
async fn incidents_of_a_year_are_listed_whatever_became_of_them() {
    let (account, client, clock) = account().await;
    let mut opened = Vec::new();
    for n in (0..400).step_by(10) {
        let mut opening = Opening::new(&format!("page {n}"), if n % 20 == 0 { Setup::REGISTRY } else { "PCLDSTG" });
        opening.created_at = Some(days_ago(&clock, n));
        opened.push((n, account.open(opening).id));
    }
    account.resolve(&opened[3].1, None);
    account.acknowledge(&opened[4].1, Setup::ENGINEER);
    let span = (days_ago(&clock, 365), clock.now());
    let listed = client.incidents_between(span, &[], |_| true).await.unwrap();
    // Oldest window first, by number within one: the last that was opened here is the oldest.
    let mut expected: Vec<&str> = opened.iter().filter(|(n, _)| *n <= 365).map(|(_, id)| id.as_str()).collect();
    let mut found = ids(&listed);
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    let one = client.incidents_between(span, &["PCLDSTG".to_owned()], |i| i.title != "page 10").await.unwrap();
    assert!(one.iter().all(|i| i.service.as_ref().unwrap().id == "PCLDSTG") && one.len() == 17);
    assert!(account.requests().iter().all(|r| r.method == "GET"));
    account.fail(Endpoint::Incidents, Fault::Status(403), 1);
    assert_eq!(client.incidents_between(span, &[], |_| true).await.unwrap_err().status().unwrap(), 403);
}

/// All in one second can't be told apart by time: that is said, never an incomplete list.
#[test]
fn a_window_is_split_down_to_a_second() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let middle = |since, until| crate::history::middle(at(since), at(until));
    assert_eq!(middle("2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z"), Some(at("2026-01-01T00:00:04Z")));
    assert_eq!(middle("2026-01-01T00:00:00Z", "2026-01-01T00:00:02Z"), Some(at("2026-01-01T00:00:01Z")));
    assert_eq!(middle("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"), None);
    assert_eq!(middle("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), None);
}

#[tokio::test]
async fn a_window_that_is_full_is_split() {
    let (account, client, clock) = account().await;
    account.set_rate_limit(u32::MAX);
    for n in 0..10_150_i64 {
        let mut opening = Opening::new("noise", "PCLDSTG");
        opening.created_at = Some(clock.now().checked_sub(SignedDuration::from_secs(n)).unwrap());
        account.open(opening);
    }
    let span = (days_ago(&clock, 1), clock.now());
    let listed = client.incidents_between(span, &[], |_| true).await.unwrap();
    assert_eq!(listed.len(), 10_150);
}

#[tokio::test]
async fn a_client_with_a_limit_of_its_own_stays_below_it() {
    let (account, client, clock) = account().await;
    let id = account.open(Opening::new("a", Setup::REGISTRY)).id;
    let slow = client.at_most(20);
    for _ in 0..60 {
        slow.incident(&id).await.unwrap();
    }
    let times: Vec<Timestamp> = account.requests().iter().map(|request| request.at).collect();
    assert_eq!(times.len(), 60);
    for first in &times {
        let end = first.checked_add(SignedDuration::from_secs(59)).unwrap();
        assert!(times.iter().filter(|at| first <= at && **at <= end).count() <= 20);
    }
    assert!(clock.now().duration_since(times[0]).as_secs() >= 120);
}
