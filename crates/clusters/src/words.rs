//! What came back from a cluster, in the words of someone who helps: what was asked, where, what to do about it.

use kube::client::AuthError;
use kube::config::KubeconfigError;

/// Which cluster is asked, and as what it is known here.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The kubeconfig context.
    pub context: String,
    /// The API server's address.
    pub server: String,
    /// The context's namespace, else `default`.
    pub namespace: String,
}

/// What is asked of the API server, in the terms of its access rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deed<'a> {
    pub verb: &'a str,
    pub resource: &'a str,
    pub namespace: &'a str,
}

/// Text from outside, fit for a note: one line, no control or direction characters, at most `most` characters.
pub(super) fn tame(text: &str, most: usize) -> String {
    let hidden =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let mut tamed = String::new();
    let mut chars = text.trim().chars().map(|c| if c.is_control() || hidden(c) { ' ' } else { c });
    tamed.extend(chars.by_ref().take(most));
    if chars.next().is_some() {
        tamed.push('…');
    }
    tamed
}

/// Whether a text is a name as Kubernetes gives them. Such a name is safe in an address, a note and a command.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
}

/// Why a question was not answered.
pub(super) fn explain(error: &kube::Error, deed: Deed<'_>, place: &Place) -> String {
    let Deed { verb, resource, namespace } = deed;
    let Place { context, server, .. } = place;
    let what = format!("{verb} {resource} in {namespace} (context {context})");
    match error {
        kube::Error::Api(status) => {
            let said = match said(&status.message) {
                Some(said) => format!("{}: {said}", status.code),
                None => format!("{}: an HTML page: a proxy or a sign-in page answers for the API server", status.code),
            };
            match status.code {
                401 => format!(
                    "the credentials of context {context} were refused ({said}): they have expired or were revoked; \
                     renew them (IKS: ibmcloud ks cluster config --cluster <cluster>)"
                ),
                403 => format!(
                    "may not {what}: {said}; grant it with a Role in {namespace} that has the {} on {resource}",
                    if resource.contains('/') { "verbs get and create".to_owned() } else { format!("verb {verb}") }
                ),
                _ => format!("could not {what}: {said}"),
            }
        }
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => format!(
            "could not {what}: {server} answered with something else than Kubernetes does: a proxy or a sign-in page \
             may answer in its place"
        ),
        kube::Error::UpgradeConnection(e) => format!(
            "could not {what}: {server} did not switch to WebSocket: {}; a proxy on the way may not let it through",
            tame(&e.to_string(), 200)
        ),
        kube::Error::Auth(e) => format!("could not log in with context {context}: {}", auth(e)),
        kube::Error::InferKubeconfig(e) => format!("the context {context} is unusable: {}", kubeconfig(e)),
        kube::Error::Service(e) => transport(e.as_ref(), &what, server),
        other => transport(other, &what, server),
    }
}

fn transport(error: &(dyn std::error::Error + 'static), what: &str, server: &str) -> String {
    let cause = tame(&causes(error), 300);
    if cause.contains("ertificate") {
        return format!(
            "could not {what}: the certificate of {server} is not to be trusted: {cause}; is \
             certificate-authority-data in the kubeconfig that of this cluster?"
        );
    }
    if cause.contains("lookup") || cause.contains("dns") {
        return format!("could not {what}: the name in {server} is not known: {cause}");
    }
    if cause.contains("refused") || cause.contains("timed out") || cause.contains("deadline") {
        return format!("could not {what}: {server} can't be reached: {cause}");
    }
    format!("could not {what}: no whole answer from {server}: {cause}")
}

/// The innermost cause, which is the one that says something.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    // A chain that goes round would never end.
    for _ in 0..16 {
        match cause.source() {
            Some(next) => cause = next,
            None => break,
        }
    }
    cause.to_string()
}

/// What an API server said, for people; `None` for an HTML page.
fn said(message: &str) -> Option<String> {
    let start = message.trim_start().get(..5).unwrap_or_default().to_ascii_lowercase();
    match start.as_str() {
        "<html" | "<!doc" => None,
        _ if message.trim().is_empty() => Some("(nothing more was said)".to_owned()),
        _ => Some(tame(message, 300)),
    }
}

/// Why logging in failed. Never the output of a credential command: it holds the credentials.
fn auth(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => format!("its credential command failed with {}", out.status),
        AuthError::AuthExecParse(_) | AuthError::ParseTokenKey(_) => {
            "its credential command printed something that can't be read".to_owned()
        }
        AuthError::InvalidBasicAuth(_) | AuthError::InvalidBearerToken(_) => {
            "its token or password has characters that can't be sent (a line break?)".to_owned()
        }
        other => tame(&other.to_string(), 200),
    }
}

/// What is wrong with a kubeconfig. Never its text: it holds credentials.
pub(super) fn kubeconfig(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => {
            "it is not a kubeconfig that can be read (kubectl config view says where)".to_owned()
        }
        KubeconfigError::ReadConfig(cause, path) => format!("{} can't be read: {cause}", path.display()),
        KubeconfigError::LoadClusterOfContext(name) => format!("its cluster {} is not in it", tame(name, 100)),
        other => tame(&format!("{other}"), 200),
    }
}
