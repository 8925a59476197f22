//! What strict JSON refuses of a cluster's answers, and pods that can't be read.

use super::*;
use simulators::cluster::{PodPlan, State};

const ODD: [&[u8]; 5] = [br"\ud83d", b"caf\xe9", b"a\nb", b"\x00", br"\x41\u12"];

#[tokio::test]
async fn an_odd_text_in_one_object_hides_nothing_else() {
    for odd in ODD {
        let mut plan = healthy().konicle("owner", "ODD");
        plan.pods.push(PodPlan::running("kube-system", "other-ODD", &["ODD"]));
        plan.spelling.set("ODD", odd);
        let (checks, _cluster) = check(plan).await;
        assert_eq!((checks.finding, checks.error.as_deref()), (Finding::Healthy, None), "{checks:?}");
        assert_eq!(checks.warnings, Vec::<String>::new());
        assert_eq!(checks.konicle.unwrap().ready.as_deref(), Some("true"));
        assert_eq!(checks.ingress.len(), 2);
    }
}

#[tokio::test]
async fn an_odd_switch_is_shown_as_far_as_it_can_be_read() {
    let mut plan = healthy().konicle("ready", "ODD");
    plan.spelling.set("ODD", br"false\ud83d");
    let (checks, _cluster) = check(plan).await;
    assert_eq!(checks.konicle.unwrap().ready.as_deref(), Some("false\u{fffd}"));
}

/// Whoever wrote it may have meant it: "contains `ready: false`".
#[tokio::test]
async fn a_switch_that_is_no_text_counts_and_switches_that_cannot_be_read_are_not_known() {
    let mut plan = healthy().konicle("ready", "ODD");
    plan.spelling.set("\"ODD\"", b"false");
    assert_eq!(check(plan).await.0.finding, Finding::Disabled);
    let mut plan = healthy();
    plan.spelling.set("\"data\":", b"\"data\":[null],\"other\":");
    let (checks, _cluster) = check(plan).await;
    assert_eq!((checks.finding, checks.konicle.as_ref()), (Finding::Healthy, None), "{checks:?}");
    assert_warns(&checks, &["whether the zone is disabled is not known"]);
}

#[tokio::test]
async fn a_pod_that_cannot_be_read_is_left_out_and_said() {
    // Of two private pods the first is described by nonsense.
    let mut plan = healthy().private(|n, pod| {
        if n == 0 {
            pod.containers = vec!["NONSENSE".into()];
        }
    });
    plan.spelling.set("\"name\":\"NONSENSE\"", b"\"name\":7");
    let (checks, _cluster) = check(plan).await;
    assert_eq!((checks.finding, checks.ingress.len()), (Finding::Healthy, 1), "{checks:?}");
    assert_warns(&checks, &["a pod of kube-system can't be read: private-cr386b5d5d469f49eeb991164e1b848a4a-alb1-"]);
}

#[tokio::test]
async fn ingress_is_not_called_down_for_a_pod_that_cannot_be_read() {
    let mut plan = healthy().private(|n, pod| match n {
        0 => pod.containers = vec!["NONSENSE".into()],
        _ => pod.state = State::CrashLoopBackOff(7),
    });
    plan.spelling.set("\"name\":\"NONSENSE\"", b"\"name\":7");
    let (checks, _cluster) = check(plan).await;
    assert_eq!(checks.finding, Finding::Unknown, "{checks:?}");
    assert_says(checks.error.as_deref(), &["no pod that can be read is Running", "can't be read: private-cr"]);
    // One that nobody looks for says nothing of the ingress.
    let mut plan = healthy().private_state(State::CrashLoopBackOff(7));
    plan.pods.push(PodPlan::running("kube-system", "other", &["NONSENSE"]));
    plan.spelling.set("\"name\":\"NONSENSE\"", b"\"name\":7");
    assert_eq!(check(plan).await.0.finding, Finding::IngressDown);
}

#[tokio::test]
async fn a_refusal_is_read_though_its_words_are_odd() {
    let mut plan = healthy().refusing("list", "pods");
    plan.spelling.set("forbidden", b"forbidden \xff");
    let (checks, _cluster) = check(plan).await;
    assert_eq!(checks.finding, Finding::Unknown);
    assert_says(checks.error.as_deref(), &["may not list pods in kube-system", "403"]);
}
