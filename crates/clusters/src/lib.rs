//! A zone's cluster is asked what the runbook's "Debugging Registry's Private Ingress" asks of it. Only reads.
//!
//! The four questions, in the runbook's order: the `konicle` config map, the private ingress pods, their status check,
//! and konicle's own pods where the status check points at them. And one of the healthcheck cluster: whether its exporter
//! reaches a front end ([`ask_front_ends`]). `kube` is named here and nowhere else.
//!
//! It knows Kubernetes' API, and must not know verdicts. Begin with [`check_zone`].

mod ask;
mod exporter;
mod kubeconfig;
mod login;
mod plugin;
mod pod;
mod printer;
mod probe;
mod reads;
mod rights;
mod servers;
mod settings;
mod words;

#[cfg(test)]
mod tests;

pub use exporter::{Exporter, ask_front_ends, exporter_pods};
pub use kubeconfig::has_context;
pub use login::{Login, TokenTimes};
pub use rights::{Access, Granted, Need, access, exporter_access};
pub use servers::{Server, is_placeholder, placeholder, server_of};
pub use settings::{ClusterSettings, Probe, ZoneEntry};

use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;

use outbound::clock::Clock;
use runbook::alert::Zone;
use runbook::diagnosis::finding::conclude;
use runbook::diagnosis::{Checks, Finding, Konicle, PodLine, StatusCheck};
use runbook::span::{after, between, show_duration};

/// The namespace of the ingress controllers: runbook, "kubectl -n kube-system get po".
const INGRESS_NAMESPACE: &str = "kube-system";
/// The namespace of konicle's pods: runbook, "look at the konicle pods in the dafault kube namespace".
const KONICLE_NAMESPACE: &str = "default";
/// The config map: runbook, "kubectl get cm konicle -o yaml".
const KONICLE: &str = "konicle";
/// How many pods beyond the first are asked for their status check, at the same time: IKS runs two a zone.
const MOST_ASKED: usize = 8;

/// Asks the clusters of all zones at once; the answers come in the order of `zones`.
///
/// Takes no longer than `CLUSTER_CHECK_TIMEOUT`, and never fails: see [`check_zone`].
pub async fn check_region(settings: &ClusterSettings, zones: &[ZoneEntry], clock: &Clock) -> Vec<(Zone, Checks)> {
    futures::future::join_all(zones.iter().map(|entry| async {
        let checks = check_zone(settings, &entry.zone, entry.context.as_deref(), clock).await;
        (entry.zone.clone(), checks)
    }))
    .await
}

/// Asks one zone's cluster, through the kubeconfig context that is configured for it (`context`), or else the one named
/// as the cluster, or else the only one that begins with `<cluster>/`.
///
/// It never fails and never takes longer than `CLUSTER_CHECK_TIMEOUT`: what was found until then is kept, and what
/// could not be found is in `error` and `warnings`, in words to act on.
pub async fn check_zone(settings: &ClusterSettings, zone: &Zone, context: Option<&str>, clock: &Clock) -> Checks {
    let check = Check { settings, zone, context, clock, deadline: after(clock.now(), settings.timeout) };
    let facts = Mutex::new(Facts::default());
    let in_time = tokio::select! {
        biased;
        () = check.gather(&facts) => true,
        () = clock.sleep(settings.timeout) => false,
    };
    let facts = facts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    check.sum_up(facts, in_time)
}

/// What has been found so far; it outlives the questions when time runs out.
#[derive(Debug, Default)]
struct Facts {
    /// What is to be said if time runs out now.
    stage: String,
    context: Option<String>,
    /// Whether the config map was answered for, in whatever way.
    konicle_answered: bool,
    konicle: Option<Konicle>,
    ingress: Option<Result<Vec<PodLine>, String>>,
    asked: Vec<Result<StatusCheck, String>>,
    /// Pods that were being asked.
    asking: Vec<String>,
    konicle_pods: Vec<PodLine>,
    warnings: Vec<String>,
}

struct Check<'a> {
    settings: &'a ClusterSettings,
    zone: &'a Zone,
    context: Option<&'a str>,
    clock: &'a Clock,
    deadline: Timestamp,
}

fn note(facts: &Mutex<Facts>, change: impl FnOnce(&mut Facts)) {
    change(&mut facts.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
}

impl Check<'_> {
    async fn gather(&self, facts: &Mutex<Facts>) {
        let opened = kubeconfig::open(self.settings, self.zone, self.context, |stage, context| {
            note(facts, |f| {
                f.stage = stage;
                f.context = context.or(f.context.take());
            });
        })
        .await;
        let reader = match opened {
            Ok((client, place)) => reads::Reader { client, place, clock: self.clock, deadline: self.deadline },
            Err(why) => return note(facts, |f| f.ingress = Some(Err(why))),
        };
        note(facts, |f| f.stage = format!("the API server {} did not answer", reader.place.server));
        tokio::join!(self.read_konicle(&reader, facts), self.follow_ingress(&reader, facts));
    }

    /// Runbook: "If the `data` section contains `ready: false` or `private-override: false` then this zone has been
    /// deliberately disabled by the registry squad".
    async fn read_konicle(&self, reader: &reads::Reader<'_>, facts: &Mutex<Facts>) {
        let (konicle, warning) = match reader.konicle().await {
            Ok(Some(konicle)) => (Some(konicle), None),
            Ok(None) => {
                let place = &reader.place;
                let warning =
                    format!("there is no config map {KONICLE} in {} (context {})", place.namespace, place.context);
                (None, Some(warning))
            }
            Err(why) => (None, Some(format!("whether the zone is disabled is not known: {why}"))),
        };
        note(facts, |f| {
            f.konicle_answered = true;
            f.konicle = konicle;
            f.warnings.extend(warning);
        });
    }

    /// Runbook: "Establish if the private ingress is accepting connections", then "Determine if the private ingress is
    /// returning 200 OK from it's status check", then "look at the konicle pods".
    async fn follow_ingress(&self, reader: &reads::Reader<'_>, facts: &Mutex<Facts>) {
        let pods = match reader.pods(INGRESS_NAMESPACE, |name| name.starts_with("private")).await {
            Ok((pods, warnings)) => {
                note(facts, |f| f.warnings.extend(warnings));
                pods
            }
            Err(why) => return note(facts, |f| f.ingress = Some(Err(why))),
        };
        note(facts, |f| f.ingress = Some(Ok(pods.clone())));
        self.ask_pods(reader, &pods, facts).await;

        let fault = {
            let decided = facts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            conclude(None, &Ok(pods), &decided.asked).finding == Finding::KonicleFault
        };
        if fault {
            match reader.pods(KONICLE_NAMESPACE, |name| name.contains(KONICLE)).await {
                Ok((pods, warnings)) => note(facts, |f| {
                    f.konicle_pods = pods;
                    f.warnings.extend(warnings);
                }),
                Err(why) => note(facts, |f| f.warnings.push(format!("konicle's pods are not known: {why}"))),
            }
        }
    }

    /// One Running pod first, a fully ready one if there is any; on anything but 200 the others too, at once.
    async fn ask_pods(&self, reader: &reads::Reader<'_>, pods: &[PodLine], facts: &Mutex<Facts>) {
        let mut running: Vec<&PodLine> = pods.iter().filter(|p| p.status == "Running").collect();
        running.sort_by_key(|p| !is_fully_ready(p));
        let Some((first, others)) = running.split_first() else { return };
        let prober = probe::Prober { reader, how: self.settings.probe, third: self.settings.timeout / 3 };
        let ask = async |pod: &PodLine| {
            note(facts, |f| f.asking.push(pod.name.clone()));
            let answer = prober.ask(&pod.name).await;
            let good = matches!(&answer, Ok(StatusCheck { http_status: Some(200), .. }));
            note(facts, |f| {
                f.asking.retain(|name| *name != pod.name);
                f.asked.push(answer);
            });
            good
        };
        if ask(first).await {
            return;
        }
        let others = &others[..others.len().min(MOST_ASKED)];
        let mut asking: futures::stream::FuturesUnordered<_> = others.iter().map(|pod| ask(pod)).collect();
        while asking.next().await.is_some() {}
    }

    fn sum_up(&self, mut facts: Facts, in_time: bool) -> Checks {
        let within = show_duration(self.settings.timeout);
        if !in_time {
            for pod in std::mem::take(&mut facts.asking) {
                facts.asked.push(Err(format!("{pod} did not give its status within {within}")));
            }
            if facts.ingress.is_some() && !facts.konicle_answered {
                facts.warnings.push(format!(
                    "whether the zone is disabled is not known: the config map {KONICLE} was not read within {within}"
                ));
            }
        }
        let ingress = facts.ingress.unwrap_or_else(|| Err(format!("{} within {within}", facts.stage)));
        let outcome = conclude(facts.konicle.as_ref(), &ingress, &facts.asked);
        let mut warnings = facts.warnings;
        warnings.extend(outcome.warnings);
        tracing::debug!(
            zone = %self.zone, context = facts.context, finding = ?outcome.finding, error = outcome.error,
            left_ms = between(self.clock.now(), self.deadline).as_millis(), "cluster asked"
        );
        Checks {
            konicle_pods: if outcome.finding == Finding::KonicleFault { facts.konicle_pods } else { Vec::new() },
            finding: outcome.finding,
            konicle: facts.konicle,
            ingress: ingress.unwrap_or_default(),
            status: outcome.status,
            registry_pages: Vec::new(),
            warnings,
            error: outcome.error,
            at: self.clock.now(),
            context: facts.context,
        }
    }
}

fn is_fully_ready(pod: &PodLine) -> bool {
    pod.ready.split_once('/').is_some_and(|(ready, all)| ready == all)
}

/// Gives up on `work` after `length`.
async fn within<T>(clock: &Clock, length: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = clock.sleep(length) => None,
    }
}
