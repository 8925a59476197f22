//! Kubeconfigs that kubectl logs in with: each as it is written by hand or by other context.

use base64::Engine as _;

use super::*;

/// A kubeconfig of one cluster, its parts written as they are given.
fn written(cluster: &Cluster, of_cluster: &str, of_user: &str, of_context: &str) -> String {
    let context = cluster.context();
    let fill = |text: &str| {
        let ca = base64::engine::general_purpose::STANDARD.encode(cluster.ca());
        let text = text.replace("SERVER", &cluster.url()).replace("HOST", cluster.url().trim_start_matches("https://"));
        text.replace("CA_DATA", &ca).replace("TOKEN", cluster.token())
    };
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- {{name: c, cluster: {}}}\nusers:\n- {{name: u, user: {}}}\n\
         contexts:\n- {{name: {context:?}, context: {}}}\n",
        fill(of_cluster),
        fill(of_user),
        fill(of_context),
    )
}

const CLUSTER: &str = r#"{server: "SERVER", certificate-authority-data: CA_DATA}"#;
const USER: &str = "{token: TOKEN}";
const CONTEXT: &str = "{cluster: c, user: u}";

/// A folder with the files that the kubeconfigs here name.
fn folder(cluster: &Cluster) -> OnDisk {
    let on_disk = OnDisk::new("");
    let write = |name: &str, bytes: &[u8]| std::fs::write(on_disk.directory.path().join(name), bytes).unwrap();
    let token = cluster.token();
    write("token", token.as_bytes());
    write("token-line", format!("{token}\n").as_bytes());
    write("token-crlf", format!("{token}\r\n").as_bytes());
    write("token-blanks", format!("\n \t{token} \n\n").as_bytes());
    write("token-bom", format!("\u{feff}{token}\n").as_bytes());
    write("token-stale", b"stale\n");
    write("token-empty", b" \n");
    write("ca.crt", cluster.ca().as_bytes());
    write("ca-crlf.crt", cluster.ca().replace('\n', "\r\n").as_bytes());
    write("plugin", plugin(cluster.token()).as_bytes());
    make_executable(&on_disk.directory.path().join("plugin"));
    on_disk
}

fn plugin(token: &str) -> String {
    format!(
        "#!/bin/sh\n[ \"${{EMPTY-unset}}\" = unset ] && exit 7\necho '{{\"apiVersion\": \
         \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \"status\": {{\"token\": \"{token}\", \
         \"clientCertificateData\": \"\", \"clientKeyData\": \"\"}}}}'\n"
    )
}

fn make_executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

async fn assert_healthy(on_disk: &OnDisk, text: impl AsRef<[u8]>, what: &str) {
    std::fs::write(on_disk.path(), text).unwrap();
    let checks = ask(&on_disk.settings(Probe::Auto, PATIENT)).await;
    assert_eq!((checks.finding, checks.error.as_deref()), (Finding::Healthy, None), "{what}");
    assert_eq!(checks.warnings, Vec::<String>::new(), "{what}");
}

#[tokio::test]
async fn every_way_to_write_a_user() {
    let cluster = Cluster::start(healthy()).await.unwrap();
    let on_disk = folder(&cluster);
    let exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, interactiveMode: Never, \
                args: null, env: [{name: EMPTY}, {name: OTHER, value: null}], provideClusterInfo: null}";
    for user in [
        "{tokenFile: token}",
        "{tokenFile: token-line}",
        "{tokenFile: token-crlf}",
        "{tokenFile: token-blanks}",
        "{tokenFile: token-bom}",
        "{token: stale, tokenFile: token}",
        "{token: TOKEN, tokenFile: gone}",
        "{token: TOKEN, tokenFile: token-empty}",
        "{token: TOKEN, tokenFile: \"\"}",
        "{token: \"\", tokenFile: token}",
        "{token: TOKEN, client-certificate: \"\", client-key: \"\"}",
        "{token: TOKEN, client-certificate-data: \"\", client-key-data: \"\"}",
        "{token: TOKEN, username: \"\", password: \"\"}",
        "{token: TOKEN, password: left-over}",
        "{token: TOKEN, as: \"\", as-uid: \"\", as-groups: [], as-user-extra: {}}",
        "{token: TOKEN, as: null, as-groups: null, as-user-extra: null, extensions: null}",
        "{token: TOKEN, auth-provider: {name: oidc, config: null}}",
        "{token: TOKEN, auth-provider: null, exec: null}",
        "{token: TOKEN, exec: {apiVersion: client.authentication.k8s.io/v1, command: ./never}}",
        "{token: TOKEN, of-another-version: [1]}",
        &format!("{{{exec}}}"),
        &format!("{{token: \"\", {exec}}}"),
        &format!("{{token: \"\", tokenFile: \"\", username: \"\", password: \"\", {exec}}}"),
        &format!("{{client-certificate: \"\", client-key-data: \"\", {exec}}}"),
    ] {
        assert_healthy(&on_disk, written(&cluster, CLUSTER, user, CONTEXT), user).await;
    }
}

#[tokio::test]
async fn every_way_to_write_a_cluster() {
    let cluster = Cluster::start(healthy()).await.unwrap();
    let on_disk = folder(&cluster);
    let base64 = base64::engine::general_purpose::STANDARD.encode(cluster.ca());
    let folded = |by: &str| {
        let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("{{server: SERVER, certificate-authority-data: \"{}\"}}", lines.join(by))
    };
    for written_so in [
        "{server: SERVER, certificate-authority: ca.crt}",
        "{server: SERVER, certificate-authority: ca-crlf.crt}",
        "{server: SERVER, certificate-authority: ca.crt, certificate-authority-data: \"\"}",
        "{server: SERVER, certificate-authority: \"\", certificate-authority-data: CA_DATA}",
        "{server: SERVER, certificate-authority: gone.crt, certificate-authority-data: CA_DATA}",
        "{server: SERVER, certificate-authority: ca.crt, tls-server-name: \"\"}",
        "{server: SERVER, certificate-authority: ca.crt, proxy-url: \"\"}",
        "{server: SERVER, certificate-authority: ca.crt, insecure-skip-tls-verify: false, disable-compression: null}",
        "{server: SERVER/, certificate-authority: ca.crt, insecure-skip-tls-verify: null, extensions: null}",
        "{server: SERVER, certificate-authority: ca.crt, extensions: [{name: x, extension: null}, {name: y}]}",
        "{server: \"HOST\", certificate-authority: ca.crt}",
        "{server: SERVER, insecure-skip-tls-verify: true}",
        &folded("\\n"),
        &folded("\\r\\n  "),
    ] {
        assert_healthy(&on_disk, written(&cluster, written_so, USER, CONTEXT), written_so).await;
    }
}

#[tokio::test]
async fn every_way_to_write_a_context_and_what_stands_beside_it() {
    let cluster = Cluster::start(healthy()).await.unwrap();
    let on_disk = folder(&cluster);
    let text = written(&cluster, CLUSTER, USER, CONTEXT);
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    let others = "contexts:\n- {name: no-cluster, context: {user: u}}\n- {name: nothing, context: null}\n- null\n- ";
    let odd_user =
        "users:\n- {name: other, user: {exec: {command: x, interactiveMode: Sometimes}}}\n- {user: null}\n- ";
    for (what, text) in [
        ("an empty namespace", with(CONTEXT, "{cluster: c, user: u, namespace: \"\"}")),
        ("no version, no kind", with("apiVersion: v1\nkind: Config\n", "")),
        ("nulls beside", format!("preferences: null\nextensions: null\ncurrent-context: null\n{text}")),
        ("a current context that is none", format!("current-context: gone\n{text}")),
        ("other contexts that are of no use", with("contexts:\n- ", others)),
        ("other users that are of no use", with("users:\n- ", odd_user)),
        ("another cluster without a name", with("clusters:\n- ", "clusters:\n- {cluster: {server: x}}\n- ")),
        ("the first of two users of one name", with("contexts:", "- {name: u, user: {token: stale}}\ncontexts:")),
        ("a key written twice", with("{token: ", "{token: stale, token: ")),
        ("the same context twice", format!("{text}{}", &text[text.find("- {name: \"reg").unwrap()..])),
        ("a document's end", format!("---\n{text}...\n---\n")),
        ("what is none behind the first document", format!("{text}---\njust words\n---\n{{a: [\n")),
        ("JSON, indented by tabs", as_json(&text)),
        ("CRLF", text.replace('\n', "\r\n")),
        ("a byte order mark", format!("\u{feff}{text}")),
        ("a byte order mark and CRLF", format!("\u{feff}{text}").replace('\n', "\r\n")),
    ] {
        assert_healthy(&on_disk, text, what).await;
    }
    let wide = |bytes: fn(u16) -> [u8; 2]| text_in_utf16(&text, bytes);
    assert_healthy(&on_disk, wide(u16::to_le_bytes), "UTF-16, little end first").await;
    assert_healthy(&on_disk, wide(u16::to_be_bytes), "UTF-16, big end first").await;

    std::fs::write(on_disk.path(), &wide(u16::to_le_bytes)[..101]).unwrap();
    let cut = ask(&on_disk.settings(Probe::Auto, PATIENT)).await;
    assert_says(cut.error.as_deref(), &["unusable", "is not text"]);
}

/// As `kubectl config view -o json` prints it, with other blanks.
fn as_json(text: &str) -> String {
    let document: serde_json::Value = serde_saphyr::from_str(text).unwrap();
    serde_json::to_string_pretty(&document).unwrap().replace("  ", "\t")
}

fn text_in_utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
}

#[tokio::test]
async fn of_several_kubeconfigs_the_first_counts_and_each_has_paths_of_its_own() {
    let cluster = Cluster::start(healthy()).await.unwrap();
    let (first, second) = (folder(&cluster), folder(&cluster));
    std::fs::write(second.directory.path().join("token"), "stale").unwrap();
    let files = "{server: SERVER, certificate-authority: ca.crt}";
    std::fs::write(first.path(), written(&cluster, files, "{tokenFile: token}", CONTEXT)).unwrap();
    std::fs::write(second.path(), written(&cluster, files, "{tokenFile: token}", CONTEXT)).unwrap();
    let empty = OnDisk::new("\n");
    let mut settings = empty.settings(Probe::Auto, PATIENT);
    settings.kubeconfig.extend([PathBuf::from("/nowhere/config"), first.path(), second.path()]);
    assert_eq!(ask(&settings).await.finding, Finding::Healthy);

    settings.kubeconfig.remove(2);
    assert_says(ask(&settings).await.error.as_deref(), &["401: Unauthorized"]);

    settings.kubeconfig = vec![empty.path()];
    assert_says(ask(&settings).await.error.as_deref(), &["there is no context"]);
}

#[tokio::test]
async fn credentials_that_are_none_are_told_without_them() {
    let cluster = Cluster::start(healthy()).await.unwrap();
    let on_disk = folder(&cluster);
    for (user, words) in [
        ("{tokenFile: gone}", ["could not log in with context", "gone can't be read"]),
        ("{tokenFile: token-empty}", ["could not log in with context", "token-empty is empty"]),
        ("{token: \"\"}", ["401: Unauthorized", "renew them"]),
        ("{token: stale, tokenFile: token-stale}", ["401: Unauthorized", "renew them"]),
    ] {
        std::fs::write(on_disk.path(), written(&cluster, CLUSTER, user, CONTEXT)).unwrap();
        let checks = ask(&on_disk.settings(Probe::Auto, PATIENT)).await;
        assert_eq!(checks.finding, Finding::Unknown, "{user}");
        assert_says(checks.error.as_deref(), &words);
    }
}
