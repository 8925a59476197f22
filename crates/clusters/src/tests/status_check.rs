//! What pods answer, by port-forward and by exec; what kubectl would show.

use super::*;
use simulators::cluster::{Answer, State};

#[tokio::test]
async fn every_answer_by_port_forward_and_by_exec() {
    let fault = Finding::KonicleFault;
    for (answer, finding, status, by_forward, by_exec) in [
        (Answer::Status(200), Finding::Healthy, Some(200), "", ""),
        (Answer::Continue(200), Finding::Healthy, Some(200), "", ""),
        (Answer::Status(404), Finding::ZoneUnhealthy, Some(404), "", ""),
        (Answer::Continue(404), Finding::ZoneUnhealthy, Some(404), "", ""),
        (Answer::Status(503), fault, Some(503), "", ""),
        (Answer::Status(301), fault, Some(301), "", ""),
        (Answer::Refused, fault, None, "connection refused on localhost:10443", "connection refused (curl exit 7)"),
        (Answer::Empty, fault, None, "empty reply", "empty reply (curl exit 52)"),
        (Answer::Garbage, fault, None, "not HTTP", "(curl exit 1)"),
    ] {
        for (probe, words) in [(Probe::PortForward, by_forward), (Probe::Exec, by_exec)] {
            let (checks, cluster) = check_with(healthy().answering(answer), probe, PATIENT).await;
            assert_eq!(checks.finding, finding, "{answer:?} by {probe:?}: {checks:?}");
            let check = checks.status.expect("a status check");
            assert_eq!(check.http_status, status, "{answer:?} by {probe:?}");
            assert_eq!(check.error.is_some(), status.is_none(), "{answer:?} by {probe:?}");
            assert_says(check.error.as_deref().or(Some("")), &[words]);
            let pods = if finding == fault { 2 } else { 0 };
            assert_eq!(checks.konicle_pods.len(), pods, "konicle's pods are asked for where it is suspected");
            let asked = cluster.asked();
            assert_eq!(asked.len(), if finding == Finding::Healthy { 1 } else { 2 }, "{asked:?}");
            let how =
                if probe == Probe::Exec { "curl -sS -m 20 -D- http://localhost:10443/status" } else { "port 10443" };
            assert!(asked.iter().all(|a| a.what == how), "{asked:?}");
        }
    }
}

#[tokio::test]
async fn a_pod_that_never_answers_is_a_fault_of_its_own() {
    let cases = [
        (Answer::Silent, Probe::PortForward, "no answer within 800 ms"),
        (Answer::Drip, Probe::PortForward, "no whole answer within 800 ms"),
        (Answer::Silent, Probe::Exec, "no answer in time (curl exit 28)"),
    ];
    futures::future::join_all(cases.map(async |(answer, probe, words)| {
        let (checks, _cluster) = check_with(healthy().answering(answer), probe, SHORT).await;
        assert_eq!(checks.finding, Finding::KonicleFault, "{answer:?}: {checks:?}");
        assert_says(checks.status.unwrap().error.as_deref(), &[words]);
    }))
    .await;
}

#[tokio::test]
async fn of_two_unlike_pods_one_200_is_healthy_and_the_difference_is_told() {
    for odd in [Answer::Status(503), Answer::Refused, Answer::Status(404)] {
        for ill in [0, 1] {
            let plan = healthy().private(|i, pod| pod.answer = if i == ill { odd } else { Answer::Status(200) });
            let (checks, cluster) = check(plan).await;
            assert_eq!(checks.finding, Finding::Healthy);
            let asked = cluster.asked().len();
            assert_eq!((asked, checks.warnings.len()), if ill == 0 { (2, 1) } else { (1, 0) }, "{checks:?}");
        }
    }
}

#[tokio::test]
async fn a_fully_ready_pod_is_asked_first() {
    let plan = healthy().private(|i, pod| {
        if i == 0 {
            (pod.state, pod.answer) = (State::Unready(3), Answer::Status(503));
        }
    });
    let (checks, cluster) = check(plan).await;
    assert_eq!(checks.finding, Finding::Healthy);
    assert_eq!(checks.ingress[0].ready, "3/4");
    let asked = cluster.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].pod, checks.ingress[1].name);
}

#[tokio::test]
async fn pods_that_are_not_running_are_down_whatever_their_phase() {
    for (state, status, ready) in [
        (State::CrashLoopBackOff(12), "CrashLoopBackOff", "3/4"),
        (State::ImagePullBackOff, "ImagePullBackOff", "3/4"),
        (State::Pending, "Pending", "0/4"),
        (State::Initializing, "Init:0/1", "0/4"),
        (State::Terminating, "Terminating", "4/4"),
        (State::NodeLost, "Unknown", "0/4"),
        (State::Completed, "Completed", "0/4"),
        (State::Evicted, "Evicted", "0/4"),
    ] {
        let (checks, cluster) = check(healthy().private_state(state)).await;
        assert_eq!(checks.finding, Finding::IngressDown, "{state:?}: {checks:?}");
        let first = &checks.ingress[0];
        assert_eq!((first.status.as_str(), first.ready.as_str()), (status, ready), "{state:?}");
        assert_eq!(cluster.asked(), [], "{state:?}");
    }
    let (checks, _cluster) = check(healthy().private_state(State::CrashLoopBackOff(12))).await;
    assert_eq!(checks.ingress[0].restarts, 12);
}

#[tokio::test]
async fn no_private_pod_at_all_is_down() {
    let mut plan = healthy();
    plan.pods.retain(|pod| !pod.name.starts_with("private"));
    let (checks, _cluster) = check(plan).await;
    assert_eq!((checks.finding, checks.ingress.len()), (Finding::IngressDown, 0));
}

#[tokio::test]
async fn what_keeps_a_pod_from_being_asked_is_no_fault_of_konicle_s() {
    let no_curl = healthy().private(|_, pod| pod.curl = false);
    let (checks, _cluster) = check_with(no_curl, Probe::Exec, PATIENT).await;
    assert_eq!(checks.finding, Finding::Unknown);
    assert_says(checks.error.as_deref(), &["no curl in container nginx-ingress", "CLUSTER_PROBE=port-forward"]);

    let other_container = healthy().private(|_, pod| pod.containers = vec!["envoy".into(), "auth".into()]);
    let (checks, _cluster) = check_with(other_container, Probe::Exec, PATIENT).await;
    assert_eq!(checks.finding, Finding::Unknown);
    assert_says(checks.error.as_deref(), &["400", "container nginx-ingress is not valid for pod private-"]);

    for probe in [Probe::PortForward, Probe::Exec] {
        let (checks, _cluster) = check_with(healthy().answering(Answer::Cut), probe, PATIENT).await;
        assert_eq!(checks.finding, Finding::Unknown, "{probe:?}: {checks:?}");
        assert_says(checks.error.as_deref(), &["https://127.0.0.1:", ZONE]);
        let (checks, _cluster) = check_with(healthy().answering(Answer::NoSandbox), probe, PATIENT).await;
        assert_eq!(checks.finding, Finding::Unknown, "{probe:?}: {checks:?}");
        assert_says(checks.error.as_deref(), &["not found", ZONE]);
    }
}
