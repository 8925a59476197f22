//! The client against the simulated cluster, over real sockets.

mod access;
mod exporter;
mod granted;
mod kubeconfigs;
mod status_check;
mod strange;
mod trouble;

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::Probe;
use outbound::clock::SystemClock;
use simulators::cluster::{Cluster, Plan, kubeconfig};

const ZONE: &str = "registry-prod-us-south-az1";

/// Long enough for whatever answers.
const PATIENT: Duration = Duration::from_secs(60);
/// For what never answers; a pod has a third of it.
const SHORT: Duration = Duration::from_millis(2400);

/// A kubeconfig on disk, gone at the end of the test.
struct OnDisk {
    directory: tempfile::TempDir,
}

impl OnDisk {
    fn new(text: &str) -> Self {
        let on_disk = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::write(on_disk.path(), text).unwrap();
        on_disk
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("config")
    }

    fn settings(&self, probe: Probe, timeout: Duration) -> ClusterSettings {
        ClusterSettings { kubeconfig: vec![self.path()], timeout, probe }
    }
}

async fn ask(settings: &ClusterSettings) -> Checks {
    check_zone(settings, &Zone::new(ZONE), None, &SystemClock::shared()).await
}

/// Starts a cluster and asks it.
async fn check_with(plan: Plan, probe: Probe, timeout: Duration) -> (Checks, Cluster) {
    let cluster = Cluster::start(plan).await.unwrap();
    let on_disk = OnDisk::new(&kubeconfig(&[&cluster]));
    let checks = ask(&on_disk.settings(probe, timeout)).await;
    assert_eq!(cluster.writes(), [], "only reads");
    (checks, cluster)
}

async fn check(plan: Plan) -> (Checks, Cluster) {
    check_with(plan, Probe::Auto, PATIENT).await
}

fn healthy() -> Plan {
    Plan::healthy(ZONE)
}

#[track_caller]
fn assert_says(text: Option<&str>, parts: &[&str]) {
    let text = text.unwrap_or("(nothing)");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[track_caller]
fn assert_warns(checks: &Checks, parts: &[&str]) {
    assert_says(Some(&checks.warnings.join("\n")), parts);
}

#[tokio::test]
async fn a_healthy_zone() {
    let (checks, cluster) = check(healthy()).await;
    assert_eq!(checks.finding, Finding::Healthy, "{checks:?}");
    assert_eq!(checks.error, None);
    assert_eq!(checks.warnings, Vec::<String>::new());
    assert_eq!(checks.context.as_deref(), Some("registry-prod-us-south-az1/bq3f1d2w0abcdefghij0"));
    let konicle = checks.konicle.unwrap();
    assert_eq!((konicle.ready.as_deref(), konicle.private_override.as_deref()), (Some("true"), Some("true")));
    let lines: Vec<_> =
        checks.ingress.iter().map(|p| format!("{} {} {} {}", p.name, p.ready, p.status, p.restarts)).collect();
    assert_eq!(
        lines,
        [
            "private-cr386b5d5d469f49eeb991164e1b848a4a-alb1-74b7f95d595lqsr 4/4 Running 0",
            "private-cr386b5d5d469f49eeb991164e1b848a4a-alb1-74b7f95d597xtp8 4/4 Running 0",
        ]
    );
    assert_eq!(checks.status.unwrap().http_status, Some(200));
    assert_eq!(checks.konicle_pods, []);
    assert_eq!(cluster.asked().len(), 1, "one 200 is enough");
}

#[tokio::test]
async fn a_disabled_zone_is_still_looked_at() {
    for key in ["ready", "private-override"] {
        let (checks, _cluster) =
            check(healthy().konicle(key, "false").answering(simulators::cluster::Answer::Status(404))).await;
        assert_eq!(checks.finding, Finding::Disabled);
        assert_eq!(checks.ingress.len(), 2);
        assert_eq!(checks.status.unwrap().http_status, Some(404));
        assert_eq!(checks.konicle_pods, []);
    }
}

#[tokio::test]
async fn a_missing_config_map_is_a_warning_only() {
    let (checks, _cluster) = check(healthy().without_konicle()).await;
    assert_eq!((checks.finding, checks.konicle.as_ref()), (Finding::Healthy, None));
    assert_warns(&checks, &["no config map konicle in default (context registry-prod-us-south-az1/"]);
}

#[tokio::test]
async fn the_config_map_is_looked_for_in_the_context_s_namespace() {
    let plan = Plan { namespace: Some("registry".into()), ..healthy() };
    let (checks, cluster) = check(plan.konicle("ready", "false")).await;
    assert_eq!(checks.finding, Finding::Disabled);
    assert!(cluster.requests().iter().any(|r| r.path.starts_with("/api/v1/namespaces/registry/configmaps/konicle")));
}

#[tokio::test]
async fn every_page_of_pods_is_read() {
    let (checks, cluster) = check(crowded()).await;
    assert_eq!((checks.finding, checks.ingress.len()), (Finding::Healthy, 2));
    let pages = cluster.requests().iter().filter(|r| r.path.contains("/kube-system/pods?")).count();
    assert_eq!(pages, 3);
}

/// A zone with so many pods that their list has three pages.
fn crowded() -> Plan {
    let mut plan = healthy();
    let filler =
        (0..600).map(|i| simulators::cluster::PodPlan::running("kube-system", &format!("calico-{i:03}"), &["c"]));
    plan.pods.extend(filler);
    plan
}

#[tokio::test]
async fn a_list_whose_rest_is_asked_for_too_late_is_read_again() {
    use simulators::cluster::Fault;
    for (times, asked) in [(1, 2 + 3), (2, 2 + 2 + 3), (3, 2 + 2 + 2 + 1), (u32::MAX, 2 + 2 + 2 + 1)] {
        let (checks, cluster) = check(crowded().failing(Fault::ListsExpire(times))).await;
        assert_eq!((checks.finding, checks.ingress.len()), (Finding::Healthy, 2), "{times}: {checks:?}");
        assert_eq!(checks.warnings, Vec::<String>::new());
        let pages = cluster.requests().iter().filter(|r| r.path.contains("/kube-system/pods?")).count();
        assert_eq!(pages, asked, "{times}");
    }
}

#[tokio::test]
async fn entries_of_lists_that_are_none_are_left_out_and_said() {
    use simulators::cluster::Fault;
    let (checks, _cluster) = check(healthy().failing(Fault::OddEntries)).await;
    assert_eq!((checks.finding, checks.error.as_deref()), (Finding::Healthy, None), "{checks:?}");
    let lines: Vec<_> = checks.ingress.iter().map(|p| (p.ready.as_str(), p.status.as_str())).collect();
    assert_eq!(lines, [("4/4", "Running"), ("4/4", "Running")]);
    assert_warns(&checks, &["3 entries of the list of pods of kube-system can't be read"]);
}

#[tokio::test]
async fn names_that_are_none_never_reach_a_command() {
    let mut plan = healthy();
    plan.pods.push(simulators::cluster::PodPlan::running("kube-system", "private-$(reboot)\n", &["nginx-ingress"]));
    let (checks, _cluster) = check(plan).await;
    assert_eq!(checks.ingress.len(), 2);
    assert_warns(&checks, &["no proper name"]);
    assert!(!checks.warnings.join("").contains('\n'));
}

#[tokio::test]
async fn a_region_is_asked_at_once_and_answers_in_order() {
    use simulators::cluster::Fault;
    let names = ["az1", "az2", "az3"].map(|az| format!("registry-prod-us-south-{az}"));
    let mut clusters = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let plan = Plan::healthy(name);
        clusters.push(Cluster::start(if i < 2 { plan.failing(Fault::Silent) } else { plan }).await.unwrap());
    }
    let on_disk = OnDisk::new(&kubeconfig(&clusters.iter().collect::<Vec<_>>()));
    let settings = on_disk.settings(Probe::Auto, SHORT);
    let entries = names.clone().map(|name| ZoneEntry { zone: Zone::new(name), context: None });
    let clock = SystemClock::shared();
    let before = clock.now();
    let checks = check_region(&settings, &entries, &clock).await;
    let took = between(before, clock.now());
    let found: Vec<_> = checks.iter().map(|(zone, c)| (zone.as_str(), c.finding)).collect();
    let (silent, fine) = (Finding::Unknown, Finding::Healthy);
    assert_eq!(found, [(names[0].as_str(), silent), (names[1].as_str(), silent), (names[2].as_str(), fine)]);
    assert!(took < SHORT * 2, "two silent zones one after the other would take {:?}: {took:?}", SHORT * 2);
}

#[tokio::test]
async fn the_clients_of_all_upstreams_work_in_one_process() {
    outbound::http::http_client().unwrap();
    let (checks, _cluster) = check(healthy()).await;
    assert_eq!(checks.finding, Finding::Healthy);
    outbound::http::http_client().unwrap();
}
