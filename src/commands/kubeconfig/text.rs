//! The text of what is written.

use std::fmt::Write as _;
use std::path::Path;

#[cfg(test)]
use super::Grants;
use super::files::MARK;
use super::{Entry, contexts};

/// The token steps, as a program.
pub(super) const STEPS: &str = "tokens.sh";
/// The Secret whose token does not end.
pub(super) const TOKEN_SECRET_FILE: &str = "token-secret.yaml";
/// The ServiceAccount, its namespace, and its Secret: those of the manifests.
const ACCOUNT: &str = "se-responder";
const SECRET: &str = "se-responder-token";

const NAMESPACE: &str = include_str!("../../../deploy/kubernetes/registry-cluster/namespace.yaml");
const RBAC: &str = include_str!("../../../deploy/kubernetes/registry-cluster/rbac.yaml");
const TOKEN: &str = include_str!("../../../deploy/kubernetes/registry-cluster/token.yaml");
const HEALTHCHECK: &str = include_str!("../../../deploy/kubernetes/healthcheck-cluster/rbac.yaml");
/// The namespace that it names, in whose place that of the regions file is written.
const MONITORING: &str = "namespace: monitoring\n";

/// The kubeconfig: each token is a file beside it, so that the folder can be moved, or mounted, as it is.
pub(super) fn kubeconfig(entries: &[Entry]) -> String {
    let (mut clusters, mut users, mut all) = (String::new(), String::new(), String::new());
    for entry in contexts(entries) {
        let Entry { name, context, server, .. } = entry;
        let (name, context, token) = (quoted(name), quoted(context), quoted(&format!("{name}.token")));
        let _ = writeln!(clusters, "- name: {name}\n  cluster:\n    server: {}", quoted(&server.url));
        for (key, value) in [
            ("certificate-authority-data", &server.ca_data),
            ("tls-server-name", &server.tls_server_name),
            ("proxy-url", &server.proxy_url),
        ] {
            if let Some(value) = value {
                let _ = writeln!(clusters, "    {key}: {}", quoted(value));
            }
        }
        let _ = writeln!(users, "- name: {name}\n  user:\n    tokenFile: {token}");
        let _ = writeln!(all, "- name: {context}\n  context:\n    cluster: {name}\n    user: {name}");
    }
    format!(
        "{MARK}: its next run keeps the addresses, and writes the rest again.\n\
         # One context a cluster, for se-responder (KUBECONFIG). Each token is in the file that is named here, in this folder;\n\
         # {STEPS} gets them.\n\
         apiVersion: v1\nkind: Config\npreferences: {{}}\ncurrent-context: \"\"\nclusters:\n{clusters}users:\n{users}\
         contexts:\n{all}"
    )
}

/// What a registry cluster must grant.
pub(super) fn registry_cluster() -> String {
    format!("{MARK}, and written again by its next run.\n{NAMESPACE}---\n{RBAC}")
}

/// The Secret whose token does not end.
pub(super) fn token_secret() -> String {
    format!("{MARK}, and written again by its next run.\n{TOKEN}")
}

/// What the healthcheck cluster must grant, with its exporter in this namespace.
pub(super) fn healthcheck_cluster(namespace: &str) -> String {
    let grants = HEALTHCHECK.split("---\n").filter(|document| !document.contains("kind: Secret"));
    let grants = grants.collect::<Vec<_>>().join("---\n").replace(MONITORING, &format!("namespace: {namespace}\n"));
    format!("{MARK}, and written again by its next run.\n{grants}")
}

/// The token steps.
pub(super) fn steps(entries: &[Entry]) -> String {
    let mut calls = String::new();
    for Entry { name, reached_by, grants, .. } in entries {
        let _ = writeln!(calls, "step {name} {} {} || failed=\"$failed {name}\"", for_shell(reached_by), grants.file());
    }
    STEPS_TEXT
        .replace("@MARK@", MARK)
        .replace("@ACCOUNT@", ACCOUNT)
        .replace("@SECRET@", SECRET)
        .replace("@TOKEN_SECRET_FILE@", TOKEN_SECRET_FILE)
        + &calls
        + END
}

const STEPS_TEXT: &str = include_str!("steps.sh");
const END: &str = r#"
for name in "$@"; do
  case "$known" in
    *" $name "*) ;;
    *) failed="$failed $name (no such cluster)" ;;
  esac
done
if [ -n "$failed" ]; then
  echo "not done:$failed" >&2
  exit 1
fi
"#;

/// What is to be done next, for whoever has run it.
pub(super) fn next(out: &Path, entries: &[Entry], placeholders: bool) -> String {
    let (folder, count) = (out.display(), contexts(entries).count());
    let mut next = format!(
        "\nNext, for {count} cluster{}:\n  1. {folder}/{STEPS}: with your own KUBECONFIG, grants what is needed in each \
         and puts its token into {folder}\n",
        if count == 1 { "" } else { "s" }
    );
    let first = if placeholders { "write the addresses that are not known into it, then " } else { "" };
    let _ = write!(
        next,
        "  2. {first}KUBECONFIG={folder}/kubeconfig se-responder doctor: says what is missing, and when a token ends"
    );
    next
}

/// A text in YAML, whatever is in it: as JSON writes it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text as one word of a shell's, whatever is in it.
fn for_shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What a manifest of each kind has to be applied with; a test holds the names against the manifests.
#[cfg(test)]
pub(super) fn manifests() -> [(Grants, String); 2] {
    [(Grants::Registry, registry_cluster()), (Grants::Healthcheck, healthcheck_cluster("monitoring"))]
}
