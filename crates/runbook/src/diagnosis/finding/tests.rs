use super::*;

fn pod(name: &str, status: &str) -> PodLine {
    PodLine { name: name.into(), status: status.into(), ready: "4/4".into(), restarts: 0 }
}

fn both_running() -> Result<Vec<PodLine>, String> {
    Ok(vec![pod("private-a", "Running"), pod("private-b", "Running")])
}

fn konicle(ready: Option<&str>, private_override: Option<&str>) -> Konicle {
    Konicle { ready: ready.map(Into::into), private_override: private_override.map(Into::into) }
}

type Asked = Result<StatusCheck, String>;

fn http(pod: &str, status: u16) -> Result<StatusCheck, String> {
    Ok(StatusCheck { http_status: Some(status), pod: pod.into(), error: None })
}

fn fault(pod: &str, error: &str) -> Result<StatusCheck, String> {
    Ok(StatusCheck { http_status: None, pod: pod.into(), error: Some(error.into()) })
}

fn refused() -> Result<StatusCheck, String> {
    Err("create pods/portforward in kube-system is forbidden".into())
}

#[test]
fn konicle_switched_off_is_disabled_whatever_else_is_seen() {
    for (ready, over) in [
        (Some("false"), None),
        (None, Some("false")),
        (Some("true"), Some("false")),
        (Some(" False\n"), Some("true")),
        (Some("FALSE"), Some("FALSE")),
    ] {
        let konicle = konicle(ready, over);
        for ingress in [both_running(), Ok(vec![]), Err("no route".into())] {
            let outcome = conclude(Some(&konicle), &ingress, &[http("private-a", 200)]);
            assert_eq!(outcome.finding, Finding::Disabled, "{konicle:?} {ingress:?}");
            assert_eq!(outcome.error, None);
        }
    }
    for (ready, over) in [(None, None), (Some("true"), Some("true")), (Some(""), None), (Some("falsetto"), Some("0"))] {
        let outcome = conclude(Some(&konicle(ready, over)), &both_running(), &[http("private-a", 200)]);
        assert_eq!(outcome.finding, Finding::Healthy, "{ready:?} {over:?}");
    }
}

#[test]
fn a_disabled_zone_still_tells_what_could_not_be_asked() {
    let outcome = conclude(Some(&konicle(Some("false"), None)), &Err("list pods is forbidden".into()), &[refused()]);
    assert_eq!(
        outcome.warnings,
        ["list pods is forbidden", "create pods/portforward in kube-system is forbidden"],
        "nothing is lost"
    );
}

#[test]
fn pods_that_cannot_be_listed_are_unknown() {
    let outcome = conclude(None, &Err("list pods in kube-system is forbidden".into()), &[]);
    assert_eq!(outcome.finding, Finding::Unknown);
    assert_eq!(outcome.error.as_deref(), Some("list pods in kube-system is forbidden"));
    assert_eq!(outcome.warnings, [""; 0], "the reason is said once");
    assert_eq!(outcome.status, None);
}

#[test]
fn ingress_is_down_when_no_private_pod_is_running() {
    for pods in [
        vec![],
        vec![pod("private-a", "CrashLoopBackOff"), pod("private-b", "Pending")],
        vec![pod("public-a", "Running"), pod("my-private-a", "Running"), pod("private-b", "Terminating")],
        vec![pod("private-a", "running")],
    ] {
        let outcome = conclude(None, &Ok(pods.clone()), &[]);
        assert_eq!(outcome.finding, Finding::IngressDown, "{pods:?}");
        assert_eq!(outcome.error, None);
        assert_eq!(outcome.warnings.len(), 1, "{pods:?}");
    }
}

#[test]
fn fewer_than_all_running_is_a_warning() {
    let some = Ok(vec![pod("private-a", "Running"), pod("private-b", "CrashLoopBackOff"), pod("public-a", "Error")]);
    let outcome = conclude(None, &some, &[http("private-a", 200)]);
    assert_eq!(outcome.finding, Finding::Healthy);
    assert_eq!(
        outcome.warnings,
        ["1 of 2 private ingress pods are Running, ideally all are: private-b is CrashLoopBackOff"]
    );
    let all = Ok(vec![pod("private-a", "Running"), pod("public-a", "Error")]);
    assert_eq!(conclude(None, &all, &[http("private-a", 200)]).warnings, [""; 0]);
    let many = Ok((0..9).map(|i| pod(&format!("private-{i}"), if i == 0 { "Running" } else { "Error" })).collect());
    assert!(conclude(None, &many, &[http("private-0", 200)]).warnings[0].ends_with("private-6 is Error and 2 more"));
}

#[test]
fn the_best_answer_decides() {
    let cases: [(Vec<Asked>, Finding, Option<usize>); 13] = [
        (vec![http("a", 200)], Finding::Healthy, Some(0)),
        (vec![http("a", 503), http("b", 200)], Finding::Healthy, Some(1)),
        (vec![http("a", 404), fault("b", "refused"), http("c", 200)], Finding::Healthy, Some(2)),
        (vec![refused(), http("b", 200)], Finding::Healthy, Some(1)),
        (vec![http("a", 404)], Finding::ZoneUnhealthy, Some(0)),
        (vec![http("a", 503), http("b", 404)], Finding::ZoneUnhealthy, Some(1)),
        (vec![fault("a", "refused"), http("b", 404), refused()], Finding::ZoneUnhealthy, Some(1)),
        (vec![http("a", 503)], Finding::KonicleFault, Some(0)),
        (vec![http("a", 204)], Finding::KonicleFault, Some(0)),
        (vec![fault("a", "connection refused")], Finding::KonicleFault, Some(0)),
        (vec![fault("a", "connection refused"), http("b", 500)], Finding::KonicleFault, Some(1)),
        (vec![refused(), refused()], Finding::Unknown, None),
        (vec![], Finding::Unknown, None),
    ];
    for (asked, finding, decided) in cases {
        let outcome = conclude(None, &both_running(), &asked);
        assert_eq!(outcome.finding, finding, "{asked:?}");
        assert_eq!(outcome.status.as_ref(), decided.and_then(|i| asked[i].as_ref().ok()), "{asked:?}");
        assert_eq!(outcome.error.is_some(), finding == Finding::Unknown, "{asked:?}");
    }
}

#[test]
fn differing_answers_and_unasked_pods_are_warnings() {
    let outcome = conclude(None, &both_running(), &[http("a", 503), http("b", 200)]);
    assert_eq!(outcome.warnings, ["the private ingress pods answer the status check differently: a: 503, b: 200"]);
    assert_eq!(conclude(None, &both_running(), &[http("a", 503), http("b", 503)]).warnings, [""; 0]);
    let outcome = conclude(None, &both_running(), &[http("a", 503), refused()]);
    assert_eq!(outcome.warnings, ["create pods/portforward in kube-system is forbidden"]);
    let outcome = conclude(None, &both_running(), &[refused(), refused(), Err("no route".into())]);
    assert_eq!(outcome.warnings, [""; 0]);
    assert_eq!(outcome.error.as_deref(), Some("create pods/portforward in kube-system is forbidden; no route"));
}

#[test]
fn an_answer_that_says_nothing_is_no_answer() {
    let silent = Ok(StatusCheck { http_status: None, pod: "private-a".into(), error: None });
    let outcome = conclude(None, &both_running(), &[silent]);
    assert_eq!(outcome.finding, Finding::Unknown);
    assert_eq!(outcome.error.as_deref(), Some("private-a was asked for its status, and no answer came back"));
    assert_eq!(outcome.status, None);
}

fn magic_box(se: u8, upstream: i8) -> MagicBox {
    MagicBox {
        name: "registry-prod-us-south-az1-1".into(),
        magic_box_id: "vm".into(),
        node: "Ready".into(),
        backend_ip: "10.0.0.1".into(),
        frontend: "166.9.12.114/23".into(),
        se_status: se,
        upstream_status: upstream,
    }
}

const FINDINGS: [Option<Finding>; 7] = [
    None,
    Some(Finding::Disabled),
    Some(Finding::Unknown),
    Some(Finding::IngressDown),
    Some(Finding::Healthy),
    Some(Finding::ZoneUnhealthy),
    Some(Finding::KonicleFault),
];

/// The contract's table as a person would fill it in: one line a box, one column a finding.
#[test]
fn every_box_with_every_finding() {
    use BrokenAt::{
        ClientOrFrontEnd as Client, Contradiction as Contra, DisabledByRegistry as Off, MagicBox as Box,
        PrivateIngress as Ingress, SeTo10443 as To10443, Unknown as Dunno, Zone,
    };
    let table = [
        //        none,  disabled, unknown, ingress-down, healthy, zone-unhealthy, konicle-fault
        ((1, 1), [Dunno, Off, Dunno, Contra, Client, Contra, Contra]),
        ((0, 1), [Dunno, Off, Dunno, Contra, Box, Contra, Contra]),
        ((1, 0), [Dunno, Off, Dunno, Dunno, To10443, Zone, Zone]),
        ((0, 0), [Dunno, Off, Dunno, Dunno, To10443, Zone, Zone]),
        ((1, -1), [Dunno, Off, Dunno, Ingress, To10443, Zone, Zone]),
        ((0, -1), [Dunno, Off, Dunno, Ingress, To10443, Zone, Zone]),
    ];
    for ((se, upstream), row) in table {
        for (finding, expected) in FINDINGS.into_iter().zip(row) {
            assert_eq!(broken_at(&[magic_box(se, upstream)], finding), expected, "{se}:{upstream} {finding:?}");
        }
    }
    for (finding, expected) in FINDINGS.into_iter().zip([Dunno, Off, Dunno, Dunno, Dunno, Dunno, Dunno]) {
        assert_eq!(broken_at(&[], finding), expected, "no box, {finding:?}");
    }
}

#[test]
fn the_worst_box_decides() {
    let healthy = Some(Finding::Healthy);
    assert_eq!(broken_at(&[magic_box(1, 1), magic_box(0, 1)], healthy), BrokenAt::MagicBox);
    assert_eq!(broken_at(&[magic_box(0, 1), magic_box(1, 1)], healthy), BrokenAt::MagicBox);
    assert_eq!(broken_at(&[magic_box(0, 1), magic_box(1, 0)], healthy), BrokenAt::SeTo10443, "upstream before SE");
    assert_eq!(broken_at(&[magic_box(1, -1), magic_box(0, 1)], Some(Finding::IngressDown)), BrokenAt::PrivateIngress);
    assert_eq!(broken_at(&[magic_box(0, 0), magic_box(0, 1)], Some(Finding::IngressDown)), BrokenAt::Unknown);
}

#[test]
fn a_pod_that_runs_and_was_not_asked_is_said_to_be_just_that() {
    let outcome = conclude(None, &both_running(), &[]);
    assert_eq!(outcome.finding, Finding::Unknown);
    assert_eq!(outcome.error.as_deref(), Some("no private ingress pod was asked for its status"));
}
