//! What stands in kubeconfig files, read as kubectl reads it and handed to kube, which reads more strictly.
//!
//! To kubectl an empty value is none and so is `null`, of two entries with one name the first counts, paths begin at the
//! file's own folder, and what an entry says matters only where that entry is used.
//! <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use kube::config::{
    AuthInfo, AuthProviderConfig, Cluster, Context, ExecConfig, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
    NamedExtension,
};
use serde::Deserialize;
use serde_saphyr::{DuplicateKeyPolicy, Options};

use crate::words::tame;
use outbound::text_file::read_text;

/// All files together.
#[derive(Default)]
pub(super) struct Files {
    clusters: Vec<Named<RawCluster>>,
    users: Vec<Named<RawUser>>,
    contexts: Vec<Named<RawContext>>,
}

impl Files {
    /// Reads and merges the files as kubectl does: of several, those that are not there don't count. `None` where none is.
    ///
    /// # Errors
    /// In words, without the file's text, which holds credentials: one can't be read.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Option<Self>, String> {
        let mut files: Option<Self> = None;
        for path in paths {
            let unusable = |why: String| format!("the kubeconfig {} is unusable: {why}", path.display());
            let text = match read_text(path) {
                Ok(text) => text,
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(unusable(e.to_string())),
            };
            let all = files.get_or_insert_default();
            let folder = path.parent().unwrap_or(Path::new(""));
            let document = first_document(&text).map_err(unusable)?;
            add(&mut all.clusters, document.clusters, |cluster| cluster.begin_at(folder));
            add(&mut all.users, document.users, |user| user.begin_at(folder));
            add(&mut all.contexts, document.contexts, |_| {});
        }
        Ok(files)
    }

    /// The names of all contexts, each once.
    pub(super) fn contexts(&self) -> Vec<&str> {
        self.contexts.iter().map(|context| context.name.as_str()).collect()
    }

    /// The cluster of a context, as it stands there.
    pub(super) fn cluster_of(&self, name: &str) -> Option<Cluster> {
        let context = found(&self.contexts, name)?;
        found(&self.clusters, &context.cluster.unwrap_or_default()).map(|raw| raw.place(false))
    }

    /// A kubeconfig of one context alone, with nothing in it that counts as none. Reads the user's token file.
    ///
    /// # Errors
    /// In words: the token file can't be read, or is empty, and there is no other token.
    pub(super) fn of_context(&self, name: &str) -> Result<Kubeconfig, String> {
        let context = found(&self.contexts, name).unwrap_or_default();
        let (cluster, user) = (context.cluster.unwrap_or_default(), context.user.unwrap_or_default());
        let auth_info = found(&self.users, &user).unwrap_or_default().login()?;
        let by_tls = auth_info.client_certificate.is_some() || auth_info.client_certificate_data.is_some();
        let named = found(&self.clusters, &cluster).map(|raw| NamedCluster {
            name: cluster.clone(),
            cluster: Some(raw.place(by_tls)),
            ..NamedCluster::default()
        });
        let context =
            Context { cluster, user: Some(user.clone()), namespace: filled(context.namespace), ..Context::default() };
        Ok(Kubeconfig {
            clusters: named.into_iter().collect(),
            auth_infos: vec![NamedAuthInfo { name: user, auth_info: Some(auth_info), ..NamedAuthInfo::default() }],
            contexts: vec![NamedContext { name: name.to_owned(), context: Some(context), ..NamedContext::default() }],
            ..Kubeconfig::default()
        })
    }
}

/// A file's first document. What follows it is of no matter to kubectl, whatever it is.
fn first_document(text: &str) -> Result<Document, String> {
    let mut options = Options::default();
    options.duplicate_keys = DuplicateKeyPolicy::LastWins;
    options.with_snippet = false;
    let mut text = text.as_bytes();
    let first = serde_saphyr::read_with_options(&mut text, options).next();
    first.unwrap_or_else(|| Ok(Document::default())).map_err(|e: serde_saphyr::Error| {
        // The error's own words would quote what stands there.
        let at = e.location().map(|at| format!(" (line {}, column {})", at.line(), at.column())).unwrap_or_default();
        format!("it is not a kubeconfig that can be read{at}; kubectl config view says what is wrong")
    })
}

/// Appends what has no name yet that is known.
fn add<T: Default>(all: &mut Vec<Named<T>>, more: Option<Vec<Option<RawNamed<T>>>>, prepare: impl Fn(&mut T)) {
    for entry in more.into_iter().flatten().flatten() {
        let mut named = Named { name: entry.name.unwrap_or_default(), entry: entry.entry.unwrap_or_default() };
        if !all.iter().any(|known| known.name == named.name) {
            prepare(&mut named.entry);
            all.push(named);
        }
    }
}

fn found<T: Clone>(all: &[Named<T>], name: &str) -> Option<T> {
    all.iter().find(|named| named.name == name).map(|named| named.entry.clone())
}

/// An empty value is none.
fn filled(value: Option<String>) -> Option<String> {
    value.filter(|text| !text.is_empty())
}

/// Base64 as it is written over several lines.
fn on_one_line(base64: Option<String>) -> Option<String> {
    filled(base64.map(|text| text.split_ascii_whitespace().collect()))
}

/// A path that doesn't begin at the root begins at the kubeconfig's folder.
fn begin_at(folder: &Path, path: &mut Option<String>) {
    if let Some(path) = path.as_mut().filter(|path| !path.is_empty())
        && let Some(absolute) = folder.join(&*path).to_str()
    {
        *path = absolute.to_owned();
    }
}

struct Named<T> {
    name: String,
    entry: T,
}

#[derive(Default, Deserialize)]
struct Document {
    clusters: Option<Vec<Option<RawNamed<RawCluster>>>>,
    users: Option<Vec<Option<RawNamed<RawUser>>>>,
    contexts: Option<Vec<Option<RawNamed<RawContext>>>>,
}

#[derive(Deserialize)]
struct RawNamed<T> {
    name: Option<String>,
    #[serde(alias = "cluster", alias = "user", alias = "context")]
    entry: Option<T>,
}

#[derive(Clone, Default, Deserialize)]
struct RawContext {
    cluster: Option<String>,
    user: Option<String>,
    namespace: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawCluster {
    server: Option<String>,
    insecure_skip_tls_verify: Option<bool>,
    certificate_authority: Option<String>,
    certificate_authority_data: Option<String>,
    proxy_url: Option<String>,
    disable_compression: Option<bool>,
    tls_server_name: Option<String>,
    extensions: Option<Vec<Option<RawExtension>>>,
}

#[derive(Clone, Deserialize)]
struct RawExtension {
    name: Option<String>,
    extension: Option<serde_json::Value>,
}

impl RawCluster {
    fn begin_at(&mut self, folder: &Path) {
        begin_at(folder, &mut self.certificate_authority);
    }

    /// `by_tls`: the user shows a certificate.
    fn place(self, by_tls: bool) -> Cluster {
        let ca_data = on_one_line(self.certificate_authority_data);
        let ca = filled(self.certificate_authority).filter(|_| ca_data.is_none());
        let insecure = self.insecure_skip_tls_verify.unwrap_or_default();
        // An address without a scheme is https wherever anything speaks of TLS.
        let is_tls = ca.is_some() || ca_data.is_some() || insecure || by_tls;
        let server = filled(self.server).map(|server| match (server.contains("://"), is_tls) {
            (true, _) => server,
            (false, true) => format!("https://{server}"),
            (false, false) => format!("http://{server}"),
        });
        let extensions = self.extensions.into_iter().flatten().flatten();
        let extensions = extensions.filter_map(|e| Some(NamedExtension { name: e.name?, extension: e.extension? }));
        Cluster {
            server,
            insecure_skip_tls_verify: Some(insecure),
            certificate_authority: ca,
            certificate_authority_data: ca_data,
            proxy_url: filled(self.proxy_url),
            disable_compression: self.disable_compression,
            tls_server_name: filled(self.tls_server_name),
            extensions: Some(extensions.collect()),
            ..Cluster::default()
        }
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawUser {
    username: Option<String>,
    password: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    client_certificate: Option<String>,
    client_certificate_data: Option<String>,
    client_key: Option<String>,
    client_key_data: Option<String>,
    #[serde(rename = "as")]
    impersonate: Option<String>,
    as_uid: Option<String>,
    as_groups: Option<Vec<Option<String>>>,
    as_user_extra: Option<HashMap<String, Option<Vec<String>>>>,
    auth_provider: Option<RawProvider>,
    exec: Option<RawExec>,
}

#[derive(Clone, Deserialize)]
struct RawProvider {
    name: Option<String>,
    config: Option<HashMap<String, Option<String>>>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawExec {
    api_version: Option<String>,
    command: Option<String>,
    args: Option<Vec<Option<String>>>,
    env: Option<Vec<Option<RawVariable>>>,
    install_hint: Option<String>,
    provide_cluster_info: Option<bool>,
}

/// `name` and `value`.
type RawVariable = HashMap<String, Option<String>>;

impl RawUser {
    fn begin_at(&mut self, folder: &Path) {
        for path in [&mut self.token_file, &mut self.client_certificate, &mut self.client_key] {
            begin_at(folder, path);
        }
        if let Some(exec) = &mut self.exec
            && exec.command.as_ref().is_some_and(|command| command.contains(MAIN_SEPARATOR))
        {
            begin_at(folder, &mut exec.command);
        }
    }

    /// How to log in. Of several ways kubectl takes a token, a name or a certificate before it asks a provider or runs a
    /// command.
    fn login(self) -> Result<AuthInfo, String> {
        let token = token(filled(self.token_file).as_deref(), self.token)?;
        let certificate_data = on_one_line(self.client_certificate_data);
        let key_data = on_one_line(self.client_key_data);
        let certificate = filled(self.client_certificate).filter(|_| certificate_data.is_none());
        let key = filled(self.client_key).filter(|_| key_data.is_none());
        let username = filled(self.username);
        let by_word = token.is_some() || username.is_some();
        let by_certificate =
            (certificate.is_some() || certificate_data.is_some()) && (key.is_some() || key_data.is_some());
        let groups: Vec<String> = self.as_groups.into_iter().flatten().flatten().collect();
        let extra = self.as_user_extra.into_iter().flatten().map(|(key, values)| (key, values.unwrap_or_default()));
        Ok(AuthInfo {
            // A name without a password is one with an empty password.
            password: username.as_ref().map(|_| self.password.unwrap_or_default().into()),
            username,
            token: token.map(Into::into),
            client_certificate: certificate,
            client_certificate_data: certificate_data,
            client_key: key,
            client_key_data: key_data.map(Into::into),
            impersonate: filled(self.impersonate),
            impersonate_uid: filled(self.as_uid),
            impersonate_groups: Some(groups),
            impersonate_user_extra: Some(extra.collect()),
            auth_provider: self.auth_provider.filter(|_| !by_word).and_then(RawProvider::named),
            exec: self.exec.filter(|_| !by_word && !by_certificate).map(RawExec::command),
            ..AuthInfo::default()
        })
    }
}

impl RawProvider {
    fn named(self) -> Option<AuthProviderConfig> {
        let config = self.config.into_iter().flatten().filter_map(|(key, value)| Some((key, value?)));
        Some(AuthProviderConfig { name: filled(self.name)?, config: config.collect(), ..AuthProviderConfig::default() })
    }
}

impl RawExec {
    fn command(self) -> ExecConfig {
        let env = self.env.into_iter().flatten().flatten();
        let env =
            env.map(|variable| variable.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect());
        ExecConfig {
            api_version: filled(self.api_version),
            command: filled(self.command),
            args: Some(self.args.into_iter().flatten().map(Option::unwrap_or_default).collect()),
            env: Some(env.collect()),
            install_hint: filled(self.install_hint),
            provide_cluster_info: self.provide_cluster_info.unwrap_or_default(),
            ..ExecConfig::default()
        }
    }
}

/// The file's token, else the one beside it: where the file can't be read kubectl goes on with that.
fn token(file: Option<&str>, beside: Option<String>) -> Result<Option<String>, String> {
    let beside = filled(beside.map(|token| token.trim().to_owned()));
    let Some(file) = file else { return Ok(beside) };
    let why = match read_text(Path::new(file)) {
        Ok(text) if text.trim().is_empty() => "is empty".to_owned(),
        Ok(text) => return Ok(Some(text.trim().to_owned())),
        Err(e) => format!("can't be read: {e}"),
    };
    match beside {
        Some(token) => Ok(Some(token)),
        None => Err(format!("its token file {} {why}", tame(file, 200))),
    }
}

#[cfg(test)]
mod tests {
    use kube::config::KubeConfigOptions;

    use super::*;

    fn login(user: &str) -> AuthInfo {
        let text =
            format!("users: [{{name: u, user: {user}}}]\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, text).unwrap();
        let files = Files::read(&[path]).unwrap().unwrap();
        files.of_context("x").unwrap().auth_infos.remove(0).auth_info.unwrap()
    }

    #[test]
    fn a_command_is_run_only_where_nothing_else_logs_in() {
        let exec =
            "exec: {apiVersion: client.authentication.k8s.io/v1, command: c, args: [a, null, \"\"], installHint: \"\"}";
        let run =
            login(&format!("{{client-certificate-data: QQ==, {exec}}}")).exec.expect("a certificate without a key");
        assert_eq!(run.args.unwrap(), ["a", "", ""]);
        assert_eq!((run.command.as_deref(), run.install_hint), (Some("c"), None));
        for other in [
            "token: t",
            "username: u",
            "client-certificate-data: QQ==, client-key-data: QQ==",
            "client-certificate: a, client-key: b",
        ] {
            assert!(login(&format!("{{{other}, {exec}}}")).exec.is_none(), "{other}");
        }
        let provider = "auth-provider: {name: oidc, config: {id-token: t, idp: null}}";
        assert_eq!(login(&format!("{{{provider}}}")).auth_provider.unwrap().config.len(), 1);
        assert!(login(&format!("{{token: t, {provider}}}")).auth_provider.is_none(), "the token wins");
        assert!(login("{auth-provider: {name: \"\"}}").auth_provider.is_none());
    }

    #[test]
    fn a_name_without_a_password_has_an_empty_one_and_a_password_alone_is_none() {
        let named = login("{username: u}");
        assert!(named.username.is_some() && named.password.is_some());
        assert!(login("{password: p}").password.is_none());
    }

    #[test]
    fn a_context_without_a_cluster_is_no_panic() {
        let files = Files::read(&[]).unwrap();
        assert!(files.is_none());
        let empty = Files::default().of_context("gone").unwrap();
        let options = KubeConfigOptions { context: Some("gone".into()), ..KubeConfigOptions::default() };
        let config = futures::FutureExt::now_or_never(kube::Config::from_custom_kubeconfig(empty, &options));
        assert!(config.unwrap().is_err());
    }
}
