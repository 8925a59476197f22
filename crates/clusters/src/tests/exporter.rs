//! The healthcheck cluster's exporter, by port-forward.

use std::sync::Mutex;

use runbook::diagnosis::client::{FrontEndLook, Reached};
use simulators::cluster::{Exporter as Simulated, Fault, Probe as Seen};

use super::*;
use crate::{Exporter, Granted, Need, ask_front_ends, exporter_access, exporter_pods};

const ONE: &str = "166.9.12.114";
const TWO: &str = "166.9.14.114";

pub(super) fn exporter() -> Exporter {
    Exporter {
        context: "registry-healthcheck".into(),
        namespace: "monitoring".into(),
        pod_prefix: "blackbox-exporter".into(),
        port: 9115,
        module: "http_2xx".into(),
        target: "https://{front_end}/status".into(),
    }
}

/// What comes of these addresses within so long.
async fn asked(plan: Plan, exporter: &Exporter, addresses: &[&str], length: Duration) -> Vec<FrontEndLook> {
    let cluster = Cluster::start(plan).await.unwrap();
    let on_disk = OnDisk::new(&kubeconfig(&[&cluster]));
    let (clock, looks) = (SystemClock::shared(), Mutex::new(Vec::new()));
    let addresses: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
    let settings = on_disk.settings(Probe::Auto, PATIENT);
    let deadline = after(clock.now(), length);
    ask_front_ends(&settings, exporter, &addresses, &clock, deadline, |look| looks.lock().unwrap().push(look)).await;
    assert_eq!(cluster.writes(), [], "only reads");
    let mut looks = looks.into_inner().unwrap();
    looks.sort_by(|a, b| a.address.cmp(&b.address));
    looks
}

#[tokio::test]
async fn each_front_end_within_the_routes_is_asked_once_and_no_other_ever() {
    let simulated = Simulated::seeing(Seen::Answers).but(TWO, Seen::Fails);
    let addresses = [ONE, TWO, "10.94.143.238", "166.12.0.1", "registry.example", ""];
    let looks = asked(Plan::healthcheck(&simulated), &exporter(), &addresses, PATIENT).await;
    let results: Vec<_> = looks.iter().map(|look| (look.address.as_str(), look.result, &look.why)).collect();
    assert_eq!(results, [(ONE, Reached::Answers, &None), (TWO, Reached::Fails, &None)]);
    let mut targets = simulated.asked();
    targets.sort();
    assert_eq!(targets, [format!("https://{ONE}/status"), format!("https://{TWO}/status")]);
}

#[tokio::test]
async fn what_can_not_be_asked_is_unknown_with_the_reason() {
    let answers = || Plan::healthcheck(&Simulated::seeing(Seen::Answers));
    let seeing = |seen| Plan::healthcheck(&Simulated::seeing(seen));
    let other = |change: fn(&mut Exporter)| {
        let mut exporter = exporter();
        change(&mut exporter);
        exporter
    };
    for (plan, exporter, part) in [
        (answers().refusing("get", "pods/portforward"), exporter(), "pods/portforward"),
        (answers().refusing("list", "pods"), exporter(), "may not list pods in monitoring"),
        (answers().failing(Fault::InternalError), exporter(), "500"),
        (seeing(Seen::Status(404)), exporter(), "the exporter answered 404"),
        (seeing(Seen::Nothing), exporter(), "has no probe_success in it"),
        (answers(), other(|e| e.module = "http_9xx".into()), "Unknown module"),
        (answers(), other(|e| e.port = 9116), "connection refused"),
        (answers(), other(|e| e.pod_prefix = "grey-box".into()), "begins with \"grey-box\" is Running"),
        (answers(), other(|e| e.namespace = "elsewhere".into()), "no pod of elsewhere"),
        (answers(), other(|e| e.context = "nowhere".into()), "there is no context \"nowhere\""),
    ] {
        let looks = asked(plan, &exporter, &[ONE], PATIENT).await;
        assert_eq!((looks.len(), looks[0].result), (1, Reached::Unknown), "{part}: {looks:?}");
        assert_says(looks[0].why.as_deref(), &[part]);
    }
}

#[tokio::test]
async fn who_never_answers_keeps_nobody_and_not_the_others() {
    let simulated = Simulated::seeing(Seen::Answers).but(TWO, Seen::Silent);
    let began = std::time::Instant::now();
    let looks = asked(Plan::healthcheck(&simulated), &exporter(), &[ONE, TWO], SHORT).await;
    let results: Vec<_> = looks.iter().map(|look| (look.address.as_str(), look.result)).collect();
    assert_eq!(results, [(ONE, Reached::Answers), (TWO, Reached::Unknown)]);
    assert_says(looks[1].why.as_deref(), &["the exporter did not answer within 2 s"]);
    assert!(began.elapsed() < SHORT * 3, "{:?}", began.elapsed());
    let silent = asked(Plan::healthcheck(&simulated).failing(Fault::Silent), &exporter(), &[ONE], SHORT).await;
    assert_says(silent[0].why.as_deref(), &["the API server", "did not answer within"]);
}

/// The exporter is told how long it may take, so that it comes to an end before us.
#[tokio::test]
async fn a_front_end_from_which_nothing_comes_back_fails_in_time() {
    let looks = asked(Plan::healthcheck(&Simulated::seeing(Seen::Blackholed)), &exporter(), &[ONE], SHORT * 2).await;
    assert_eq!((looks[0].result, &looks[0].why), (Reached::Fails, &None));
}

#[tokio::test]
async fn rights_and_pods_are_told_for_doctor() {
    let cluster =
        Cluster::start(Plan::healthcheck(&Simulated::seeing(Seen::Answers)).refusing("create", "pods/portforward"))
            .await
            .unwrap();
    let on_disk = OnDisk::new(&kubeconfig(&[&cluster]));
    let settings = on_disk.settings(Probe::Auto, PATIENT);
    let access = exporter_access(&settings, &exporter(), &SystemClock::shared()).await;
    let [(Need::ListExporter, Granted::Yes), (Need::ForwardExporter, Granted::Today(what))] = access.granted.as_slice()
    else {
        panic!("{access:?}");
    };
    assert_eq!(what, "create pods/portforward in monitoring");
    let pods = exporter_pods(&settings, &exporter(), &SystemClock::shared()).await;
    assert_eq!(pods.as_deref(), Ok(&["blackbox-exporter-7d9c8b6f5-9wz7m".to_owned()][..]), "those that are Running");
}
