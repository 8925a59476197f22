//! From a zone to a client of its cluster: the kubeconfig, its context, its credentials. Read again for each check,
//! since IKS' credentials are short-lived and renewed on disk.

mod file;

use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt;
use http_body_util::Limited;
use hyper_util::client::proxy::matcher::Matcher;
use kube::Client;
use kube::client::ClientBuilder;
use kube::config::{Cluster, Config, KubeConfigOptions};
use tower::util::{AndThenLayer, MapResponseLayer};

use super::ask::with_its_status;
use super::login::Login;
use super::plugin;
use super::servers::is_placeholder;
use super::words::{self, Deed, Place, explain};
use crate::ClusterSettings;
use file::Files;
use runbook::alert::Zone;

/// Longest answer that is read: a page of 250 pods is about four megabytes.
const MOST_BODY: usize = 32 * 1024 * 1024;
/// Longest wait for a connection, where a third of the check is longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a client for a zone's cluster. `stage` is told what is to be said if time runs out in what follows, and the
/// context as soon as it is known.
///
/// # Errors
/// In words: no kubeconfig, no or several contexts, unusable credentials.
pub(super) async fn open(
    settings: &ClusterSettings,
    zone: &Zone,
    context: Option<&str>,
    stage: impl Fn(String, Option<String>),
) -> Result<(Client, Place), String> {
    stage(format!("the kubeconfig ({}) was not read", show(&settings.kubeconfig)), None);
    let (paths, zone, wanted) = (settings.kubeconfig.clone(), zone.clone(), context.map(str::to_owned));
    let (mut config, context) = off_thread(move || configure(&paths, &zone, wanted.as_deref())).await??;

    let place = Place {
        context: context.clone(),
        server: config.cluster_url.to_string().trim_end_matches('/').to_owned(),
        namespace: config.default_namespace.clone(),
    };
    if plugin::is_needed(&config.auth_info) {
        let name = config.auth_info.exec.as_ref().and_then(|e| e.command.clone()).unwrap_or_default();
        stage(format!("the credential plugin {name:?} of context {context} did not end"), Some(context.clone()));
        plugin::run(&mut config.auth_info)
            .await
            .map_err(|why| format!("could not log in with context {context}: {why}"))?;
    }

    stage(format!("the credentials of context {context} were not got"), Some(context.clone()));
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT.min(settings.timeout / 3));
    let builder = off_thread(move || ClientBuilder::try_from(config)).await?.map_err(|e| {
        explain(&e, Deed { verb: "set up", resource: "a connection", namespace: &place.namespace }, &place)
    })?;
    let bound = MapResponseLayer::new(|answer: http::Response<_>| answer.map(|body| Limited::new(body, MOST_BODY)));
    Ok((builder.with_layer(&bound).with_layer(&AndThenLayer::new(with_its_status)).build(), place))
}

/// Runs what reads files or may start commands on a thread of its own. Where it never ends, it keeps neither the check
/// nor the process from ending.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (done, result) = tokio::sync::oneshot::channel();
    let spawned = std::thread::Builder::new().name("kubeconfig".into()).spawn(move || {
        // Nobody waits any more where the receiver is gone.
        let _ = done.send(work());
    });
    spawned.map_err(|e| format!("no thread to read the kubeconfig with: {e}"))?;
    result.await.map_err(|_| "reading the kubeconfig stopped early".to_owned())
}

/// How a zone's context logs in; `None` where that can't be read, which [`open`] says.
pub(super) async fn login(settings: &ClusterSettings, zone: &Zone, context: Option<&str>) -> Option<Login> {
    let (paths, zone, wanted) = (settings.kubeconfig.clone(), zone.clone(), context.map(str::to_owned));
    let read = off_thread(move || {
        let (files, context) = chosen(&paths, &zone, wanted.as_deref())?;
        let user = files.of_context(&context)?.auth_infos.pop().and_then(|named| named.auth_info);
        Ok::<_, String>(user.as_ref().map(Login::of))
    });
    read.await.and_then(|read| read).ok().flatten()
}

/// The cluster that a zone's context names, and that context.
///
/// # Errors
/// In words: no kubeconfig, no or several contexts, no such cluster.
pub(super) fn cluster_of(paths: &[PathBuf], zone: &Zone, wanted: Option<&str>) -> Result<(String, Cluster), String> {
    let (files, context) = chosen(paths, zone, wanted)?;
    let cluster = files.cluster_of(&context);
    let cluster = cluster.ok_or_else(|| format!("the context {context} of {} names no cluster", show(paths)))?;
    Ok((context, cluster))
}

/// Whether a kubeconfig has this context; one that is not there has none.
///
/// # Errors
/// In words: it can't be read.
pub fn has_context(kubeconfig: &std::path::Path, context: &str) -> Result<bool, String> {
    let files = Files::read(&[kubeconfig.to_path_buf()])?;
    Ok(files.is_some_and(|files| files.contexts().contains(&context)))
}

fn chosen(paths: &[PathBuf], zone: &Zone, wanted: Option<&str>) -> Result<(Files, String), String> {
    let files =
        Files::read(paths)?.ok_or_else(|| format!("there is no kubeconfig ({}): set KUBECONFIG", show(paths)))?;
    let context =
        choose(&files.contexts(), wanted, zone.as_str()).map_err(|why| format!("{why} in {}", show(paths)))?;
    Ok((files, context))
}

fn configure(paths: &[PathBuf], zone: &Zone, wanted: Option<&str>) -> Result<(Config, String), String> {
    let (files, context) = chosen(paths, zone, wanted)?;
    if files.cluster_of(&context).and_then(|cluster| cluster.server).is_some_and(|server| is_placeholder(&server)) {
        return Err(format!(
            "the context {context} of {} has no address yet, only a placeholder: write the API server's address there as \
             `server`, with its `certificate-authority-data` (kubectl config view --minify --flatten shows both)",
            show(paths)
        ));
    }
    let kubeconfig =
        files.of_context(&context).map_err(|why| format!("could not log in with context {context}: {why}"))?;

    let own_proxy = kubeconfig.clusters.iter().any(|c| c.cluster.as_ref().is_some_and(|c| c.proxy_url.is_some()));
    let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .now_or_never()
        .unwrap_or(Err(kube::config::KubeconfigError::CurrentContextNotSet))
        .map_err(|e| format!("the context {context} of {} is unusable: {}", show(paths), words::kubeconfig(&e)))?;
    // kube holds NO_PROXY against the proxy's address instead of the cluster's, and would send loopback to a proxy.
    if !own_proxy && !is_proxied(&config.cluster_url) {
        config.proxy_url = None;
    }
    Ok((config, context))
}

fn is_proxied(url: &http::Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    !loopback && Matcher::from_env().intercept(url).is_some()
}

/// The context to ask: the one that is configured, else the one named as the cluster, else the only one that begins
/// with `<cluster>/`.
fn choose(names: &[&str], wanted: Option<&str>, cluster: &str) -> Result<String, String> {
    if let Some(wanted) = wanted {
        return match names.contains(&wanted) {
            true => Ok(wanted.to_owned()),
            false => Err(format!("there is no context {wanted:?} (the regions file names it for {cluster})")),
        };
    }
    if names.contains(&cluster) {
        return Ok(cluster.to_owned());
    }
    let own: Vec<_> = names.iter().filter(|n| n.strip_prefix(cluster).is_some_and(|n| n.starts_with('/'))).collect();
    match own.as_slice() {
        [only] => Ok((**only).to_owned()),
        [] => Err(format!("there is no context {cluster:?}, and none that begins with \"{cluster}/\",")),
        several => {
            let several: Vec<_> = several.iter().take(5).map(|n| format!("{n:?}")).collect();
            Err(format!(
                "several contexts are those of {cluster}: {}; name one as its context in the regions file; they are",
                several.join(", ")
            ))
        }
    }
}

fn show(paths: &[PathBuf]) -> String {
    let shown: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
    if shown.is_empty() { "no path is set".to_owned() } else { shown.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_is_the_configured_one_else_the_cluster_s_own() {
        let names = ["az1", "az1/abc", "az2/abc", "az3/abc", "az3/def", "az10/abc"];
        assert_eq!(choose(&names, Some("az2/abc"), "az1").as_deref(), Ok("az2/abc"));
        assert_eq!(choose(&names, None, "az1").as_deref(), Ok("az1"), "its own name before its prefix");
        assert_eq!(choose(&names, None, "az2").as_deref(), Ok("az2/abc"));
        assert_eq!(choose(&names[1..], None, "az1").as_deref(), Ok("az1/abc"), "az10/… is another cluster");
        let missing = choose(&names, Some("az9"), "az1").unwrap_err();
        assert!(missing.contains("\"az9\"") && missing.contains("regions file"), "{missing}");
        let none = choose(&names, None, "az4").unwrap_err();
        assert!(none.contains("\"az4\"") && none.contains("\"az4/\""), "{none}");
        let several = choose(&names, None, "az3").unwrap_err();
        assert!(several.contains("\"az3/abc\", \"az3/def\""), "{several}");
    }
}
