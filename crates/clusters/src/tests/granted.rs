//! What clusters are asked, and what the manifests have them grant: neither is more than the other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use simulators::cluster::{Answer, Exporter as Simulated, Probe as Seen, Right};

use super::*;
use crate::{access, ask_front_ends, exporter_access};

const REGISTRY: &str = "registry-cluster/rbac.yaml";
const HEALTHCHECK: &str = "healthcheck-cluster/rbac.yaml";

/// A manifest, from below `deploy/kubernetes`.
fn manifest(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kubernetes").join(file);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The same, with the lines of `pods/exec` taken in.
fn with_exec(text: &str) -> String {
    let marks = ["  # - apiGroups:", "  #   resources:", "  #   verbs:"];
    let line = |line: &str| match marks.iter().any(|mark| line.starts_with(mark)) {
        true => line.replacen("# ", "", 1),
        false => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// What its Roles grant; each is bound to the service's account.
fn granted(text: &str) -> BTreeSet<Right> {
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(text).unwrap();
    let of_kind = |kind: &'static str| documents.iter().filter(move |document| document["kind"] == kind).cloned();
    assert_eq!(
        of_kind("ClusterRole").count() + of_kind("ClusterRoleBinding").count(),
        0,
        "nothing is granted everywhere"
    );
    let account = of_kind("ServiceAccount").next().expect("a ServiceAccount")["metadata"].clone();
    let bindings: Vec<RoleBinding> = of_kind("RoleBinding").map(|b| serde_json::from_value(b).unwrap()).collect();
    let mut rights = BTreeSet::new();
    for role in of_kind("Role").map(|role| serde_json::from_value::<Role>(role).unwrap()) {
        let (namespace, name) = (role.metadata.namespace.unwrap(), role.metadata.name.unwrap());
        let bound = bindings.iter().any(|b| {
            let subjects = b.subjects.iter().flatten();
            let ours = |s: &k8s_openapi::api::rbac::v1::Subject| {
                s.kind == "ServiceAccount"
                    && s.name == account["name"]
                    && s.namespace.as_deref() == account["namespace"].as_str()
            };
            let whole =
                (b.metadata.namespace.as_deref(), b.role_ref.kind.as_str()) == (Some(namespace.as_str()), "Role");
            whole && b.role_ref.name == name && subjects.into_iter().any(ours)
        });
        assert!(bound, "the Role {name} in {namespace} is bound to the service's account");
        for rule in role.rules.into_iter().flatten() {
            assert_eq!(rule.api_groups.as_deref(), Some(&[String::new()][..]), "{rule:?}");
            let names: Vec<Option<String>> = match rule.resource_names {
                Some(names) => names.into_iter().map(Some).collect(),
                None => vec![None],
            };
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    rights.extend(names.iter().map(|name| Right {
                        namespace: namespace.clone(),
                        resource: resource.clone(),
                        name: name.clone(),
                        verb: verb.clone(),
                    }));
                }
            }
        }
    }
    rights
}

/// A pod is not named by a grant: its name is another one each day.
fn of_any_pod(rights: BTreeSet<Right>) -> BTreeSet<Right> {
    let any = |right: Right| match right.resource.starts_with("pods") {
        true => Right { name: None, ..right },
        false => right,
    };
    rights.into_iter().map(any).collect()
}

/// What a zone's cluster is asked, at most: its status check answers so that konicle's pods are looked at too.
async fn asked_of_a_zone(probe: Probe) -> BTreeSet<Right> {
    let (checks, cluster) = check_with(healthy().answering(Answer::Status(500)), probe, PATIENT).await;
    assert_eq!((checks.finding, checks.error), (Finding::KonicleFault, None));
    of_any_pod(cluster.rights())
}

#[track_caller]
fn assert_same(asked: &BTreeSet<Right>, granted: &BTreeSet<Right>, manifest: &str) {
    let words = |rights: &BTreeSet<Right>, than: &BTreeSet<Right>| -> Vec<String> {
        rights.difference(than).map(ToString::to_string).collect()
    };
    assert_eq!(words(asked, granted), Vec::<String>::new(), "asked, and not granted by {manifest}");
    assert_eq!(words(granted, asked), Vec::<String>::new(), "granted by {manifest}, and never asked");
}

#[tokio::test]
async fn a_registry_cluster_grants_what_it_is_asked_and_no_more() {
    let text = manifest(REGISTRY);
    assert_same(&asked_of_a_zone(Probe::PortForward).await, &granted(&text), REGISTRY);

    let all = granted(&with_exec(&text));
    let mut both = asked_of_a_zone(Probe::PortForward).await;
    both.extend(asked_of_a_zone(Probe::Exec).await);
    assert!(all.len() > granted(&text).len(), "the lines of pods/exec are found");
    assert_same(&both, &all, "registry-cluster/rbac.yaml, the lines of pods/exec taken in");
}

#[tokio::test]
async fn doctor_asks_for_the_rights_that_a_registry_cluster_grants() {
    let cluster = Cluster::start(healthy()).await.unwrap();
    let on_disk = OnDisk::new(&kubeconfig(&[&cluster]));
    access(&on_disk.settings(Probe::Auto, PATIENT), &Zone::new(ZONE), None, &SystemClock::shared()).await;
    assert_same(&cluster.reviewed(), &granted(&with_exec(&manifest(REGISTRY))), REGISTRY);
}

#[tokio::test]
async fn the_healthcheck_cluster_grants_what_it_is_asked_and_no_more() {
    let cluster = Cluster::start(Plan::healthcheck(&Simulated::seeing(Seen::Answers))).await.unwrap();
    let on_disk = OnDisk::new(&kubeconfig(&[&cluster]));
    let (settings, clock) = (on_disk.settings(Probe::Auto, PATIENT), SystemClock::shared());
    let exporter = exporter::exporter();
    let deadline = after(clock.now(), PATIENT);
    ask_front_ends(&settings, &exporter, &["166.9.12.114".to_owned()], &clock, deadline, |_| ()).await;
    assert_same(&of_any_pod(cluster.rights()), &granted(&manifest(HEALTHCHECK)), HEALTHCHECK);

    exporter_access(&settings, &exporter, &clock).await;
    assert_same(&cluster.reviewed(), &granted(&manifest(HEALTHCHECK)), HEALTHCHECK);
}
