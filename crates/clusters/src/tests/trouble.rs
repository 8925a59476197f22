//! An API server that refuses, fails, or says nothing.

use super::*;
use simulators::cluster::{Answer, Fault};

#[tokio::test]
async fn what_may_not_be_read_is_named() {
    let (checks, _cluster) = check(healthy().refusing("list", "pods")).await;
    assert_eq!(checks.finding, Finding::Unknown);
    assert_says(
        checks.error.as_deref(),
        &[
            "may not list pods in kube-system (context registry-prod-us-south-az1/bq3f1d2w0abcdefghij0): 403: pods is \
             forbidden: User \"system:serviceaccount:default:se-responder\" cannot list resource \"pods\"",
            "grant it with a Role in kube-system that has the verb list on pods",
        ],
    );
    assert!(checks.konicle.is_some(), "what could be read is kept");

    let (checks, _cluster) = check(healthy().refusing("get", "configmaps")).await;
    assert_eq!(checks.finding, Finding::Healthy);
    assert_warns(
        &checks,
        &["whether the zone is disabled is not known: may not get configmaps in default (context reg"],
    );
}

#[tokio::test]
async fn a_refused_port_forward_is_followed_by_exec_where_that_is_wanted() {
    for verb in ["get", "create"] {
        let plan = || healthy().refusing(verb, "pods/portforward");
        let (checks, cluster) = check(plan()).await;
        assert_eq!(checks.finding, Finding::Healthy, "{checks:?}");
        assert!(cluster.asked()[0].what.starts_with("curl "));

        let (checks, _cluster) = check_with(plan(), Probe::PortForward, PATIENT).await;
        assert_eq!(checks.finding, Finding::Unknown);
        let said = format!("cannot {verb} resource \"pods/portforward\"");
        let grant = "grant it with a Role in kube-system that has the verbs get and create on pods/portforward";
        assert_says(checks.error.as_deref(), &["may not get pods/portforward in kube-system", &said, grant]);

        let (checks, _cluster) = check(plan().refusing(verb, "pods/exec")).await;
        assert_eq!(checks.finding, Finding::Unknown);
        assert_says(checks.error.as_deref(), &["may not get pods/portforward", "; and by exec: may not get pods/exec"]);
        assert_eq!(checks.ingress.len(), 2);
    }
    let (checks, _cluster) = check(healthy().failing(Fault::NoUpgrade)).await;
    assert_eq!(checks.finding, Finding::Unknown);
    assert_says(checks.error.as_deref(), &["pods/portforward", "405", "and by exec", "pods/exec"]);
}

#[tokio::test]
async fn an_api_server_that_fails_is_told_as_it_fails() {
    for (fault, words) in [
        (Fault::InternalError, ["could not list pods in kube-system", "500: Internal error occurred: etcdserver"]),
        (Fault::Expired, ["credentials of context registry-prod-us-south-az1/", "401: Unauthorized"]),
        (Fault::HtmlPage, ["could not list pods in kube-system", "a sign-in page"]),
        (Fault::HtmlError, ["502: an HTML page", "proxy"]),
    ] {
        let (checks, _cluster) = check(healthy().failing(fault)).await;
        assert_eq!(checks.finding, Finding::Unknown, "{fault:?}");
        assert_says(checks.error.as_deref(), &words);
        assert_says(checks.context.as_deref(), &[ZONE]);
    }
}

#[tokio::test]
async fn nonsense_and_half_answers_are_unknown() {
    for (fault, words) in [
        (Fault::WrongJson, "answered with something else than Kubernetes does"),
        (Fault::HalfAnswer, "no whole answer"),
        (Fault::TooManyRequests(Some(0)), "429: too many requests"),
        (Fault::TooManyRequests(None), "429: too many requests"),
        (Fault::Reset, "no whole answer"),
    ] {
        let (checks, _cluster) = check(healthy().failing(fault)).await;
        assert_eq!(checks.finding, Finding::Unknown, "{fault:?}");
        assert_says(checks.error.as_deref(), &["could not list pods in kube-system", words]);
    }
}

#[tokio::test]
async fn whoever_sends_us_elsewhere_is_not_followed_and_the_token_stays_here() {
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    let (checks, cluster) = check(healthy().failing(Fault::SentElsewhere(port))).await;
    assert_eq!(checks.finding, Finding::Unknown, "{checks:?}");
    assert_says(checks.error.as_deref(), &["could not list pods in kube-system"]);
    assert!(!cluster.requests().is_empty());
    // Whoever had come would be in the queue of connections by now: its refusal was awaited above.
    elsewhere.into_std().unwrap().accept().map(|_| panic!("somebody came")).unwrap_err();
}

#[tokio::test]
async fn the_wait_that_an_api_server_asks_for_is_respected() {
    let cluster = Cluster::start(healthy().failing(Fault::TooManyRequests(Some(2)))).await.unwrap();
    let on_disk = OnDisk::new(&kubeconfig(&[&cluster]));
    let settings = on_disk.settings(Probe::Auto, PATIENT);
    let clock = SystemClock::shared();
    let began = clock.now();
    let heal = async {
        while cluster.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        cluster.change(|plan| plan.fault = None);
    };
    let (checks, ()) = tokio::join!(ask(&settings), heal);
    assert_eq!(checks.finding, Finding::Healthy, "{checks:?}");
    assert!(between(began, clock.now()) >= Duration::from_secs(2), "two questions were refused at first");
}

#[tokio::test]
async fn a_passing_failure_is_asked_again() {
    for fault in [Fault::InternalError, Fault::TooManyRequests(None), Fault::Reset, Fault::HalfAnswer] {
        let cluster = Cluster::start(healthy().failing(fault)).await.unwrap();
        let on_disk = OnDisk::new(&kubeconfig(&[&cluster]));
        let settings = on_disk.settings(Probe::Auto, PATIENT);
        let heal = async {
            while cluster.requests().is_empty() {
                tokio::task::yield_now().await;
            }
            cluster.change(|plan| plan.fault = None);
        };
        let (checks, ()) = tokio::join!(ask(&settings), heal);
        assert_eq!(checks.finding, Finding::Healthy, "{fault:?}: {checks:?}");
    }
}

#[tokio::test]
async fn a_slow_api_server_is_waited_for() {
    let (checks, _cluster) = check(healthy().failing(Fault::Slow(Duration::from_millis(200)))).await;
    assert_eq!(checks.finding, Finding::Healthy, "{checks:?}");
}

#[tokio::test]
async fn an_api_server_that_never_answers_is_unknown_in_time() {
    let clock = SystemClock::shared();
    let before = clock.now();
    let (checks, _cluster) = check_with(healthy().failing(Fault::Silent), Probe::Auto, SHORT).await;
    assert!(between(before, clock.now()) < SHORT * 2);
    assert_eq!(checks.finding, Finding::Unknown);
    assert_says(checks.error.as_deref(), &["the API server https://127.0.0.1:", "did not answer within 2 s"]);
}

#[tokio::test]
async fn an_api_server_that_opens_no_stream_is_unknown_and_no_fault() {
    let probes = [Probe::PortForward, Probe::Exec, Probe::Auto];
    futures::future::join_all(probes.map(async |probe| {
        let (checks, _cluster) = check_with(healthy().failing(Fault::UpgradeSilent), probe, SHORT).await;
        assert_eq!(checks.finding, Finding::Unknown, "{probe:?}: {checks:?}");
        assert_says(checks.error.as_deref(), &["opened no ", "within 800 ms"]);
        assert_eq!(checks.ingress.len(), 2);

        let (checks, _cluster) = check_with(healthy().failing(Fault::NoBackend), probe, PATIENT).await;
        assert_eq!(checks.finding, Finding::Unknown, "{probe:?}: {checks:?}");
        assert_says(checks.error.as_deref(), &["500: error dialing backend"]);
    }))
    .await;
}

#[tokio::test]
async fn an_api_server_that_freezes_is_told_from_a_silent_pod() {
    let (checks, _cluster) = check_with(healthy().failing(Fault::FreezesOnUpgrade), Probe::PortForward, SHORT).await;
    assert_eq!(checks.finding, Finding::Unknown, "{checks:?}");
    assert_says(checks.error.as_deref(), &["stopped answering while private-"]);
}

#[tokio::test]
async fn what_was_found_in_time_is_kept() {
    let plan = healthy().answering(Answer::Status(404)).failing(Fault::KonicleSilent);
    let (checks, _cluster) = check_with(plan, Probe::Auto, SHORT).await;
    assert_eq!(checks.finding, Finding::ZoneUnhealthy);
    assert_eq!(checks.ingress.len(), 2);
    assert_warns(&checks, &["the config map konicle was not read within 2 s"]);
}
