//! Credential plugins of a kubeconfig (`users[].user.exec`).
//!
//! kube would run them with our standard input, twice, and wait forever; run here, they have no terminal and are
//! killed when the check is over. <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>

use std::process::Stdio;

use base64::Engine as _;
use kube::config::{AuthInfo, ExecConfig};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::words::tame;

/// Longest output that is read: a token or a certificate with its key is well under it.
const MOST_OUTPUT: u64 = 1024 * 1024;

#[derive(Deserialize)]
struct Answer {
    status: Option<Credentials>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Whether a credential plugin is what this user logs in with.
pub(super) fn is_needed(user: &AuthInfo) -> bool {
    let other = user.auth_provider.is_some()
        || (user.username.is_some() && user.password.is_some())
        || user.token.is_some()
        || user.token_file.is_some();
    user.exec.is_some() && !other
}

/// Runs the plugin and puts what it prints in its place.
///
/// # Errors
/// In words, without its output: it can't be started, fails, or prints something else.
pub(super) async fn run(user: &mut AuthInfo) -> Result<(), String> {
    let Some(plugin) = user.exec.take() else { return Ok(()) };
    let name = plugin.command.clone().unwrap_or_default();
    let credentials = ask(&plugin).await.map_err(|why| format!("its credential plugin {name:?} {why}"))?;
    // As everywhere in Kubernetes, an empty value is none.
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let token = filled(credentials.token).map(|token| token.trim().to_owned());
    let (certificate, key) = (filled(credentials.client_certificate_data), filled(credentials.client_key_data));
    if let (Some(certificate), Some(key)) = (certificate, key) {
        let base64 = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
        user.client_certificate_data = Some(base64(certificate));
        user.client_key_data = Some(base64(key).into());
    } else if token.is_none() {
        return Err(format!("its credential plugin {name:?} printed neither a token nor a certificate with its key"));
    }
    user.token = token.map(Into::into);
    Ok(())
}

async fn ask(plugin: &ExecConfig) -> Result<Credentials, String> {
    let command = plugin.command.as_deref().filter(|c| !c.is_empty()).ok_or("has no command")?;
    let mut spec = json!({ "interactive": false });
    if let (true, Some(cluster)) = (plugin.provide_cluster_info, &plugin.cluster) {
        spec["cluster"] = serde_json::to_value(cluster).map_err(|e| format!("can't be told of the cluster: {e}"))?;
    }
    let info = json!({ "apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec });
    let variables =
        plugin.env.iter().flatten().filter_map(|v| Some((v.get("name")?, v.get("value").map_or("", String::as_str))));
    let mut child = Command::new(command)
        .args(plugin.args.iter().flatten())
        .envs(variables)
        .env("KUBERNETES_EXEC_INFO", info.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| {
            let hint = plugin.install_hint.as_deref().map(|h| format!(" ({})", tame(h, 200))).unwrap_or_default();
            format!("can't be started: {e}{hint}")
        })?;
    let (out, err) = (read(child.stdout.take()), read(child.stderr.take()));
    let (out, err, status) = tokio::join!(out, err, child.wait());
    let status = status.map_err(|e| format!("was lost: {e}"))?;
    if !status.success() {
        let said = String::from_utf8_lossy(&err);
        let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing");
        return Err(format!("failed ({status}): {}", tame(last, 200)));
    }
    let answer: Answer = runbook::json::read(&out).map_err(|e| {
        // The error's own words would quote the credentials.
        format!("printed no ExecCredential (line {}, column {})", e.line(), e.column())
    })?;
    answer.status.ok_or_else(|| "printed an ExecCredential without a status".to_owned())
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // What can't be read is missing in what follows, which says so.
        let _ = (&mut stream).take(MOST_OUTPUT).read_to_end(&mut bytes).await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    bytes
}
