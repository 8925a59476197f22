//! The client of the end-to-end test: Prometheus answers, the queries can be parsed and tell how old their samples are, there are
//! series for every region, and its exporter can be asked. Nothing of it is looked at without a `[healthcheck]`.

use futures::future::join_all;
use jiff::Timestamp;

use super::{Check, Patient, State, System, credentials, unanswered, unset};
use crate::config::Healthcheck;
use clusters::{Access, Exporter, Granted, Need, exporter_access, exporter_pods};
use outbound::error::{Error, Kind};
use prometheus::{Prometheus, PrometheusSettings};
use runbook::alert::Region;
use runbook::diagnosis::client::Up;
use runbook::diagnosis::client::sample::{NO_AGE, Vector, has_no_age, read};
use runbook::span::{after, show_duration};

const NEEDED: [&str; 3] = ["REGIONS_FILE", "PROMETHEUS_TOKEN", "CLIENT_CHECK_TIMEOUT"];
const OTHERWISE: &str =
    "is prometheus_url in the regions file right, and may this machine reach it (proxy, firewall, DNS)?";
/// The two queries, as the regions file names them.
const QUERIES: [&str; 2] = ["query_se", "query_public"];

pub(super) async fn examine(patient: Patient<'_>) -> Vec<Check> {
    let Patient { config, problems, .. } = patient;
    if problems.concern(&NEEDED) {
        // Whether the client is configured at all can't be told of a file that can't be read; its own check says so.
        return match &config.regions.healthcheck {
            Some(_) => vec![unset(System::Client, "prometheus", &NEEDED.join(", "))],
            None => Vec::new(),
        };
    }
    let Some(healthcheck) = &config.regions.healthcheck else { return Vec::new() };
    let exporter = async {
        match &healthcheck.exporter {
            Some(exporter) => examine_exporter(patient, exporter).await,
            None => Vec::new(),
        }
    };
    let (prometheus, exporter) = tokio::join!(examine_prometheus(patient, healthcheck), exporter);
    [prometheus, exporter].concat()
}

fn check(name: &'static str, state: State, detail: impl Into<String>) -> Check {
    Check::new(System::Client, name, state, detail)
}

/// What one query of one region came to, with its `timestamp()`.
type Asked = Result<(Vector, Vector), Error>;

async fn examine_prometheus(patient: Patient<'_>, healthcheck: &Healthcheck) -> Vec<Check> {
    let Patient { config, clock, .. } = patient;
    let settings = PrometheusSettings { url: healthcheck.prometheus_url.clone(), token: config.client.token.clone() };
    let prometheus = match Prometheus::new(settings, clock.clone()) {
        Ok(prometheus) => prometheus,
        Err(error) => return vec![unanswered(System::Client, "prometheus", State::Failed, &error, OTHERWISE)],
    };
    let deadline = after(clock.now(), config.client.timeout);
    let regions: Vec<&Region> = config.regions.all().iter().map(|entry| &entry.region).collect();
    let asked = join_all(regions.iter().map(|region| async {
        let ask = async |query: String| -> Asked {
            let stamps = format!("timestamp({query})");
            let (answer, stamps) =
                tokio::join!(prometheus.query(&query, deadline), prometheus.query(&stamps, deadline));
            Ok((answer?, stamps?))
        };
        let (se, public) = tokio::join!(ask(healthcheck.query_se(region)), ask(healthcheck.query_public(region)));
        (*region, [se, public])
    }))
    .await;
    judge(&prometheus, &asked, healthcheck)
}

/// Whether an error is about the query itself.
fn is_about_the_query(error: &Error) -> bool {
    match error.kind {
        Kind::Refused(status) => matches!(status.as_u16(), 400 | 422),
        Kind::Malformed => error.advice.is_some_and(|advice| advice.contains("instant vector")),
        _ => false,
    }
}

fn judge(prometheus: &Prometheus, asked: &[(&Region, [Asked; 2])], healthcheck: &Healthcheck) -> Vec<Check> {
    let url = prometheus.url();
    let all = || asked.iter().flat_map(|(_, both)| both);
    if asked.is_empty() {
        let detail = "not checked: the regions file lists no region";
        return vec![check("prometheus", State::Skipped, detail)];
    }
    let away = all().filter_map(|asked| asked.as_ref().err()).find(|error| !is_about_the_query(error));
    if let Some(error) = away {
        let unknown = |name| check(name, State::Skipped, "not known while Prometheus does not answer");
        let failed = unanswered(System::Client, "prometheus", State::Failed, error, OTHERWISE);
        return vec![failed, unknown("queries"), unknown("series")];
    }
    let mut checks = vec![check("prometheus", State::Ok, format!("{url} answers"))];
    for (n, name) in QUERIES.iter().enumerate() {
        let answers = || asked.iter().map(move |(_, both)| &both[n]);
        let refused = answers().find_map(|asked| asked.as_ref().err());
        let ageless =
            answers().filter_map(|asked| asked.as_ref().ok()).any(|(answer, stamps)| has_no_age(answer, stamps));
        checks.push(
            match (refused, ageless) {
                (Some(error), _) => {
                    let otherwise = format!("correct {name} in the regions file");
                    unanswered(System::Client, "queries", State::Failed, error, &otherwise)
                }
                (None, true) => check("queries", State::Failed, format!("its answers don't count: {NO_AGE}"))
                    .mend(format!("make {name} in the regions file a plain selector, without functions or operators")),
                (None, false) => check("queries", State::Ok, "it can be parsed"),
            }
            .of(*name),
        );
    }
    checks.extend(asked.iter().map(|(region, both)| series(region, both, healthcheck).of(region.as_str())));
    checks
}

/// Whether both tests of a region have samples.
fn series(region: &Region, both: &[Asked; 2], healthcheck: &Healthcheck) -> Check {
    let mut without = Vec::new();
    let mut old = Vec::new();
    for (name, asked) in QUERIES.iter().zip(both) {
        let Ok((answer, stamps)) = asked else {
            return check("series", State::Skipped, "not known while a query is refused");
        };
        let seen = read(answer, stamps, healthcheck.max_age);
        if answer.samples.is_empty() {
            without.push(*name);
        } else if seen.state == Some(Up::Absent) {
            old.push(*name);
        }
    }
    let age = show_duration(healthcheck.max_age);
    match (without.as_slice(), old.as_slice()) {
        ([], []) => check("series", State::Ok, "there are samples of both tests"),
        ([], old) => {
            check("series", State::Warning, format!("{} has only samples older than {age}", old.join(" and "))).mend(
                "see why the healthcheck cluster no longer tests the region, or raise max_age in the regions file",
            )
        }
        (without, _) => check("series", State::Failed, format!("{} gives no sample", without.join(" and "))).mend(
            format!("have the healthcheck cluster test {region}, or correct the labels in {}", without.join(" and ")),
        ),
    }
}

async fn examine_exporter(patient: Patient<'_>, exporter: &Exporter) -> Vec<Check> {
    let cluster = &patient.config.cluster;
    let (found, pods) = tokio::join!(
        exporter_access(cluster, exporter, patient.clock),
        exporter_pods(cluster, exporter, patient.clock)
    );
    judge_exporter(&found, &pods, exporter, patient.clock.now())
}

fn judge_exporter(
    found: &Access,
    pods: &Result<Vec<String>, String>,
    exporter: &Exporter,
    now: Timestamp,
) -> Vec<Check> {
    let Exporter { context, namespace, pod_prefix, .. } = exporter;
    let login = found.login.as_ref().map(|login| credentials::judge(System::Client, login, context, now));
    if let Some(why) = &found.kubeconfig {
        let mend = "kubectl config get-contexts: fix KUBECONFIG, or the context of [healthcheck] in the REGIONS_FILE";
        let login = login.filter(|login| login.state != State::Ok);
        return [check("kubeconfig", State::Failed, why.clone()).mend(mend)].into_iter().chain(login).collect();
    }
    if let Some(Err(why)) = &found.api {
        let mend = format!("kubectl --context {context} version: fix what it says");
        let failed = check("kubeconfig", State::Failed, why.clone()).mend(mend);
        return [failed].into_iter().chain(login).collect();
    }
    let role = format!(
        "grant it in {namespace} of context {context}: list on pods, get and create on pods/portforward (as in deploy/kubernetes/healthcheck-cluster/rbac.yaml)"
    );
    let right = |name, need| {
        let granted = found.granted.iter().find(|(of, _)| *of == need).map(|(_, granted)| granted);
        match granted {
            Some(Granted::Yes) => check(name, State::Ok, "granted"),
            Some(Granted::Today(what)) => {
                let detail = format!("granted, except for what Kubernetes asks for from 1.35 on: may not {what}");
                check(name, State::Warning, detail).mend(role.clone())
            }
            Some(Granted::No(what)) => check(name, State::Failed, format!("may not {what}")).mend(role.clone()),
            Some(Granted::Unknown(why)) => check(name, State::Warning, format!("not known: {why}"))
                .mend(format!("kubectl --context {context} auth can-i --list -n {namespace}")),
            None => check(name, State::Warning, "not known: it was not asked").mend(role.clone()),
        }
    };
    let listed = match (right("exporter", Need::ListExporter), pods) {
        (listed, _) if listed.state == State::Failed => listed,
        (_, Ok(pods)) => check("exporter", State::Ok, format!("{} is Running", pods.first().map_or("", String::as_str))),
        (_, Err(why)) => check("exporter", State::Failed, why.clone()).mend(format!(
            "kubectl --context {context} -n {namespace} get po: is one that begins with {pod_prefix} Running? Else correct \
             namespace and pod_prefix in the regions file"
        )),
    };
    let kubeconfig = check("kubeconfig", State::Ok, format!("context {context}"));
    let rights = [listed, right("port_forward", Need::ForwardExporter)];
    [kubeconfig].into_iter().chain(login).chain(rights).collect()
}
