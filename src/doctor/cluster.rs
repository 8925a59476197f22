//! The clusters of every zone that the regions file lists: a context, an API server that answers, and each right.

use futures::future::join_all;
use jiff::Timestamp;

use super::{Check, Patient, State, System, clock, credentials, unset};
use clusters::{Access, Granted, Need, Probe, ZoneEntry, access};

pub(super) async fn examine(patient: Patient<'_>) -> Vec<Check> {
    let Patient { config, problems, .. } = patient;
    if problems.concern(&["REGIONS_FILE"]) {
        return vec![unset(System::Cluster, "kubeconfig", "REGIONS_FILE")];
    }
    let zones: Vec<&ZoneEntry> = config.regions.all().iter().flat_map(|region| &region.zones).collect();
    if zones.is_empty() {
        let detail = "no region is listed, so no cluster can be checked before there is an alert";
        return vec![
            Check::new(System::Cluster, "kubeconfig", State::Warning, detail)
                .mend("list regions and zones in a REGIONS_FILE, as in docs/regions.example.toml"),
        ];
    }
    let looked = join_all(zones.into_iter().map(|entry| async move {
        let found = access(&config.cluster, &entry.zone, entry.context.as_deref(), patient.clock).await;
        judge(&found, config.cluster.probe, patient.clock.now())
            .into_iter()
            .map(move |check| check.of(entry.zone.as_str()))
    }));
    looked.await.into_iter().flatten().collect()
}

fn judge(found: &Access, probe: Probe, now: Timestamp) -> Vec<Check> {
    let check = |name, state, detail: String| Check::new(System::Cluster, name, state, detail);
    let context = found.context.clone().unwrap_or_default();
    let login = found.login.as_ref().map(|login| credentials::judge(System::Cluster, login, &context, now));
    if let Some(why) = &found.kubeconfig {
        let mend = match &found.context {
            Some(context) => format!("kubectl --context {context} version: fix the credentials until that works"),
            None => "kubectl config get-contexts: fix KUBECONFIG, or the zone's context in the REGIONS_FILE".to_owned(),
        };
        // Where the login is well, it is something else.
        let login = login.filter(|login| login.state != State::Ok);
        return [check("kubeconfig", State::Failed, why.clone()).mend(mend)].into_iter().chain(login).collect();
    }
    let mut checks = vec![check("kubeconfig", State::Ok, format!("context {context}"))];
    checks.extend(login);
    match &found.api {
        Some(Ok(version)) => checks.push(check("api", State::Ok, format!("the API server answers: {version}"))),
        Some(Err(why)) => {
            let mend = format!("kubectl --context {context} version: fix what it says");
            checks.push(check("api", State::Failed, why.clone()).mend(mend));
            // Each right would say the same again.
            return checks;
        }
        None => {}
    }
    let rights = |need| found.granted.iter().find(|(of, _)| *of == need).map(|(_, granted)| granted);
    for (name, need) in [
        ("read_konicle", Need::ReadKonicle),
        ("list_ingress_pods", Need::ListIngress),
        ("list_konicle_pods", Need::ListKonicle),
    ] {
        checks.extend(rights(need).map(|granted| right(name, granted, &context)));
    }
    checks.extend(status_check(rights(Need::Forward), rights(Need::Exec), probe, &context));
    checks.extend(clock::judge(System::Cluster, found.clock_ahead));
    checks
}

fn apply(context: &str) -> String {
    format!("kubectl --context {context} apply -f deploy/kubernetes/registry-cluster/rbac.yaml")
}

fn right(name: &'static str, granted: &Granted, context: &str) -> Check {
    let check = |state, detail: String| Check::new(System::Cluster, name, state, detail);
    match granted {
        Granted::Yes => check(State::Ok, "granted".into()),
        Granted::Today(what) => {
            check(State::Warning, format!("granted, except for what Kubernetes asks for from 1.35 on: may not {what}"))
                .mend(apply(context))
        }
        Granted::No(what) => check(State::Failed, format!("may not {what}")).mend(apply(context)),
        Granted::Unknown(why) => check(State::Warning, format!("not known: {why}"))
            .mend(format!("kubectl --context {context} auth can-i --list -n kube-system")),
    }
}

/// The status check, by whichever way `CLUSTER_PROBE` goes.
fn status_check(forward: Option<&Granted>, exec: Option<&Granted>, probe: Probe, context: &str) -> Option<Check> {
    let name = "status_check";
    let (forward, exec) = (forward?, exec?);
    let exec_mend = format!("{}, with its lines of pods/exec taken in", apply(context));
    Some(match (probe, forward, exec) {
        (Probe::Exec, _, exec) => {
            let check = right(name, exec, context);
            if check.mend.is_some() { check.mend(exec_mend) } else { check }
        }
        (Probe::Auto, Granted::No(what), Granted::Yes | Granted::Today(_)) => {
            let detail = format!("by exec only, the far wider right: may not {what}");
            Check::new(System::Cluster, name, State::Warning, detail).mend(apply(context))
        }
        (_, forward, _) => right(name, forward, context),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_check_goes_by_the_way_that_is_set() {
        let (yes, no) = (Granted::Yes, Granted::No("get pods/x in kube-system".into()));
        for (probe, forward, exec, state) in [
            (Probe::Auto, &yes, &no, State::Ok),
            (Probe::Auto, &no, &yes, State::Warning),
            (Probe::Auto, &no, &no, State::Failed),
            (Probe::PortForward, &no, &yes, State::Failed),
            (Probe::PortForward, &yes, &no, State::Ok),
            (Probe::Exec, &yes, &no, State::Failed),
            (Probe::Exec, &no, &yes, State::Ok),
        ] {
            let check = status_check(Some(forward), Some(exec), probe, "az1/x").unwrap();
            assert_eq!(check.state, state, "{probe:?} {forward:?} {exec:?}");
            let mend = check.mend.unwrap_or_default();
            assert_eq!(
                mend.contains("kubectl --context az1/x apply -f deploy/kubernetes/registry-cluster/rbac.yaml"),
                state != State::Ok
            );
            assert_eq!(mend.contains("pods/exec"), probe == Probe::Exec && state != State::Ok);
        }
    }

    #[test]
    fn what_a_later_version_wants_is_a_warning_and_so_is_what_is_not_known() {
        for granted in [Granted::Today("create pods/portforward".into()), Granted::Unknown("403".into())] {
            let check = right("status_check", &granted, "az1/x");
            assert_eq!((check.state, check.mend.is_some()), (State::Warning, true));
        }
    }
}
