//! The kubeconfig, its contexts, its credentials, and the way to the cluster.

use super::*;
use simulators::cluster::Fault;

/// A kubeconfig whose user logs in by a credential plugin that is this shell script.
fn with_plugin(cluster: &Cluster, script: &str) -> String {
    let exec = format!(
        "exec:\n      apiVersion: client.authentication.k8s.io/v1\n      interactiveMode: Never\n      command: sh\n      \
         args: [\"-c\", {script:?}]"
    );
    kubeconfig(&[cluster]).replace(&format!("token: {}", cluster.token()), &exec)
}

#[tokio::test]
async fn without_a_kubeconfig_or_context_it_is_told_which() {
    let cluster = Cluster::start(healthy()).await.unwrap();
    let on_disk = OnDisk::new(&kubeconfig(&[&cluster]));
    let settings = on_disk.settings(Probe::Auto, PATIENT);
    let path = on_disk.path().display().to_string();
    let clock = SystemClock::shared();

    let other = check_zone(&settings, &Zone::new("registry-prod-us-south-az10"), None, &clock).await;
    assert_eq!((other.finding, other.context), (Finding::Unknown, None));
    assert_says(other.error.as_deref(), &["there is no context \"registry-prod-us-south-az10\"", &path]);

    let wanted = check_zone(&settings, &Zone::new(ZONE), Some("elsewhere"), &clock).await;
    assert_says(wanted.error.as_deref(), &["there is no context \"elsewhere\"", &path]);

    let named = check_zone(&settings, &Zone::new("anything"), Some(&cluster.context()), &clock).await;
    assert_eq!(named.finding, Finding::Healthy, "the configured context is taken whatever its name");

    let second = Cluster::start(Plan { context: format!("{ZONE}/other"), ..healthy() }).await.unwrap();
    std::fs::write(on_disk.path(), kubeconfig(&[&cluster, &second])).unwrap();
    assert_says(ask(&settings).await.error.as_deref(), &["several contexts are those of", "/other\"", &path]);

    std::fs::write(on_disk.path(), "a: [token: hunter2").unwrap();
    let broken = ask(&settings).await;
    assert_says(broken.error.as_deref(), &["unusable", &path]);
    assert!(!format!("{broken:?}").contains("hunter2"), "a kubeconfig is never quoted");

    std::fs::remove_file(on_disk.path()).unwrap();
    assert_says(ask(&settings).await.error.as_deref(), &["there is no kubeconfig", &path, "KUBECONFIG"]);
}

#[tokio::test]
async fn several_kubeconfigs_are_merged_and_missing_ones_don_t_count() {
    let cluster = Cluster::start(healthy()).await.unwrap();
    let other = Cluster::start(Plan::healthy("other")).await.unwrap();
    let (first, second) = (OnDisk::new(&kubeconfig(&[&other])), OnDisk::new(&kubeconfig(&[&cluster])));
    let mut settings = first.settings(Probe::Auto, PATIENT);
    settings.kubeconfig.extend([PathBuf::from("/nowhere/config"), second.path()]);
    assert_eq!(ask(&settings).await.finding, Finding::Healthy);
}

#[tokio::test]
async fn renewed_credentials_are_picked_up() {
    let cluster = Cluster::start(healthy()).await.unwrap();
    let on_disk = OnDisk::new("");
    let token = on_disk.directory.path().join("token");
    std::fs::write(&token, "expired").unwrap();
    let text = kubeconfig(&[&cluster]).replace(&format!("token: {}", cluster.token()), "tokenFile: token");
    std::fs::write(on_disk.path(), text).unwrap();
    let settings = on_disk.settings(Probe::Auto, PATIENT);
    assert_says(ask(&settings).await.error.as_deref(), &["401: Unauthorized", "renew them"]);
    std::fs::write(&token, cluster.token()).unwrap();
    assert_eq!(ask(&settings).await.finding, Finding::Healthy);
}

#[tokio::test]
async fn a_credential_plugin_is_run_and_told_what_it_needs() {
    let cluster = Cluster::start(healthy()).await.unwrap();
    let script = format!(
        "case \"$KUBERNETES_EXEC_INFO\" in *'\"interactive\":false'*) ;; *) exit 9;; esac; read line && exit 8; \
         echo '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\
         \"status\":{{\"token\":\"{}\"}}}}'",
        cluster.token()
    );
    let on_disk = OnDisk::new(&with_plugin(&cluster, &script));
    let checks = ask(&on_disk.settings(Probe::Auto, PATIENT)).await;
    assert_eq!(checks.finding, Finding::Healthy, "{checks:?}");
}

#[tokio::test]
async fn a_credential_plugin_that_fails_is_told_without_its_secrets() {
    let cluster = Cluster::start(healthy()).await.unwrap();
    for (script, words) in [
        ("echo hunter2; echo 'please log in' >&2; exit 3", ["failed (exit status: 3): please log in", "plugin \"sh\""]),
        ("echo '{\"status\": \"hunter2\"'", ["printed no ExecCredential", "could not log in with context"]),
        ("echo '{\"status\": {}}'", ["neither a token nor a certificate", "plugin \"sh\""]),
    ] {
        let on_disk = OnDisk::new(&with_plugin(&cluster, script));
        let checks = ask(&on_disk.settings(Probe::Auto, PATIENT)).await;
        assert_eq!(checks.finding, Finding::Unknown);
        assert_says(checks.error.as_deref(), &words);
        assert!(!format!("{checks:?}").contains("hunter2"), "{checks:?}");
    }
}

#[tokio::test]
async fn a_credential_plugin_that_hangs_is_stopped() {
    let cluster = Cluster::start(healthy()).await.unwrap();
    let mark = OnDisk::new("");
    let pid_file = mark.path();
    let script = format!("echo $$ > {}; exec sleep 600", pid_file.display());
    let on_disk = OnDisk::new(&with_plugin(&cluster, &script));
    let checks = ask(&on_disk.settings(Probe::Auto, SHORT)).await;
    assert_eq!(checks.finding, Finding::Unknown);
    assert_says(checks.error.as_deref(), &["the credential plugin \"sh\" of context", "did not end within 2 s"]);
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let process = PathBuf::from(format!("/proc/{}/cmdline", pid.trim()));
    // A killed process has no command line any more; it is reaped a little later.
    for _ in 0..500 {
        if std::fs::read(&process).unwrap_or_default().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the plugin still runs");
}

#[tokio::test]
async fn a_cluster_that_can_t_be_trusted_or_reached_is_told_plainly() {
    use base64::Engine as _;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let (cluster, other) = (Cluster::start(healthy()).await.unwrap(), Cluster::start(healthy()).await.unwrap());
    let text = kubeconfig(&[&cluster]);
    let on_disk = OnDisk::new(&text.replace(&base64(cluster.ca()), &base64(other.ca())));
    let settings = on_disk.settings(Probe::Auto, PATIENT);
    let checks = ask(&settings).await;
    assert_eq!(checks.finding, Finding::Unknown);
    assert_says(checks.error.as_deref(), &["certificate of https://127.0.0.1:", "not to be trusted", "kubeconfig"]);

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    std::fs::write(on_disk.path(), text.replace(&cluster.url(), &format!("https://{closed}"))).unwrap();
    assert_says(ask(&settings).await.error.as_deref(), &["can't be reached", "refused", &closed.to_string()]);

    std::fs::write(on_disk.path(), text.replace(&cluster.url(), "https://no-such-host.invalid:443")).unwrap();
    assert_says(ask(&settings).await.error.as_deref(), &["no-such-host.invalid", "is not known"]);

    // Takes connections, speaks no TLS.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = mute.local_addr().unwrap();
    std::fs::write(on_disk.path(), text.replace(&cluster.url(), &format!("https://{address}"))).unwrap();
    let checks = ask(&on_disk.settings(Probe::Auto, SHORT)).await;
    assert_eq!(checks.finding, Finding::Unknown);
    let why = checks.error.unwrap();
    assert!(why.contains(&address.to_string()), "{why}");
    assert!(why.contains("can't be reached: ") || why.contains("did not answer within 2 s"), "{why}");
}

#[tokio::test]
async fn a_wrong_token_is_told_as_such() {
    let cluster = Cluster::start(healthy().failing(Fault::Expired)).await.unwrap();
    let on_disk = OnDisk::new(&kubeconfig(&[&cluster]));
    let checks = ask(&on_disk.settings(Probe::Auto, PATIENT)).await;
    assert_says(checks.error.as_deref(), &["were refused (401: Unauthorized)"]);
    assert!(!format!("{checks:?}").contains(cluster.token()));
}

#[tokio::test]
async fn a_kubeconfig_that_can_t_be_read_to_its_end_holds_nothing_up() {
    let on_disk = OnDisk::new("");
    let pipe = on_disk.directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let settings = ClusterSettings { kubeconfig: vec![pipe.clone()], timeout: SHORT, probe: Probe::Auto };
    let checks = ask(&settings).await;
    assert_says(checks.error.as_deref(), &["was not read within 2 s", &pipe.display().to_string()]);
}
