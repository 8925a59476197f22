use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::config::Regions;

const REGIONS: &str = "[[regions]]\nname = \"prod-us-south\"\n[[regions.zones]]\ncluster = \"az1\"\ncontext = \"it's/one\"\n\
                       [[regions.zones]]\ncluster = \"az2\"\n[[regions.zones]]\ncluster = \"az3\"\n";
const HEALTH: &str = "[healthcheck]\nprometheus_url = \"https://p.example/\"\nquery_se = 'a{region=\"{region}\"}'\n\
                      query_public = 'b{region=\"{region}\"}'\ncontext = \"hc/two\"\nnamespace = \"probes\"\n";

fn config(regions: &str, kubeconfig: &[PathBuf]) -> KubeconfigConfig {
    KubeconfigConfig { regions: Regions::parse(regions).unwrap(), kubeconfig: kubeconfig.to_vec() }
}

/// A person's own kubeconfig: two clusters are known there.
fn own(folder: &Path) -> PathBuf {
    let path = folder.join("own");
    let text = "clusters:\n- name: x\n  cluster: {server: 'https://one:1', certificate-authority-data: 'UEVN'}\n\
                - name: y\n  cluster: {server: 'https://two:2', insecure-skip-tls-verify: true}\n\
                contexts:\n- name: az1/mine\n  context: {cluster: x, user: me}\n- name: az2\n  context: {cluster: y, user: me}\n\
                users:\n- name: me\n  user: {token: my-own-token}\n";
    fs::write(&path, text).unwrap();
    path
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

fn mode(folder: &Path, name: &str) -> u32 {
    fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_known_is_taken_over_and_what_is_not_has_a_placeholder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a/out");
    let config = config(&format!("{REGIONS}{HEALTH}"), &[own(folder.path())]);
    kubeconfig(&config, &out).unwrap();
    let text = read(&out, "kubeconfig");
    assert_eq!(mode(&out, "kubeconfig"), 0o600);
    assert!(!text.contains("my-own-token") && text.starts_with(files::MARK), "{text}");
    for part in [
        "- name: \"az1\"\n  cluster:\n    server: \"https://one:1\"\n    certificate-authority-data: \"UEVN\"\n",
        "- name: \"az2\"\n  cluster:\n    server: \"https://two:2\"\n- name",
        "server: \"https://api-server-of-az3.invalid:6443\"",
        "- name: \"it's/one\"\n  context:\n    cluster: \"az1\"\n    user: \"az1\"\n",
        "- name: \"hc/two\"\n  context:\n    cluster: \"_healthcheck\"\n    user: \"_healthcheck\"\n",
        "- name: \"az2\"\n  user:\n    tokenFile: \"az2.token\"\n",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let (_, unknown) =
        entries(&config, config.regions.healthcheck.as_ref().unwrap().exporter.as_ref(), &out.join("x")).unwrap();
    assert_eq!(unknown.len(), 3, "{unknown:#?}");
    assert!(unknown[0].starts_with("az2: ") && unknown[0].contains("does not check"), "{unknown:#?}");
    assert!(unknown[1].starts_with("az3: ") && unknown[2].starts_with("hc/two: "), "{unknown:#?}");
}

#[test]
fn addresses_that_somebody_has_written_stay_and_tokens_are_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    kubeconfig(&config(REGIONS, &[own(folder.path())]), &out).unwrap();
    let written = read(&out, "kubeconfig").replace("https://api-server-of-az3.invalid:6443", "https://three:3");
    fs::write(out.join("kubeconfig"), &written).unwrap();
    fs::set_permissions(out.join("kubeconfig"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(out.join("az1.token"), "kept").unwrap();
    // Somebody else's machine: nothing is known there.
    kubeconfig(&config(REGIONS, &[]), &out).unwrap();
    assert_eq!(read(&out, "kubeconfig"), written);
    assert_eq!((read(&out, "az1.token").as_str(), mode(&out, "kubeconfig")), ("kept", 0o600));
    // A region more.
    let more = format!("{REGIONS}[[regions]]\nname = \"prod-eu-de\"\n[[regions.zones]]\ncluster = \"de1\"\n");
    kubeconfig(&config(&more, &[]), &out).unwrap();
    let text = read(&out, "kubeconfig");
    assert!(
        text.contains("https://three:3") && text.contains("https://one:1") && text.contains("de1.invalid"),
        "{text}"
    );
}

#[test]
fn what_somebody_has_written_stays_though_their_own_kubeconfig_has_another_address_or_it_is_spoilt() {
    let folder = tempfile::tempdir().unwrap();
    let (out, config) = (folder.path().join("out"), config(REGIONS, &[own(folder.path())]));
    kubeconfig(&config, &out).unwrap();
    let written = read(&out, "kubeconfig").replace("https://one:1", "https://private-one:1");
    fs::write(out.join("kubeconfig"), &written).unwrap();
    kubeconfig(&config, &out).unwrap();
    assert_eq!(read(&out, "kubeconfig"), written);
    let spoilt = written.replace("private-one:1\"", "private-one:1");
    fs::write(out.join("kubeconfig"), &spoilt).unwrap();
    let error = format!("{:#}", kubeconfig(&config, &out).unwrap_err());
    assert!(error.contains("nothing was written"), "{error}");
    assert_eq!(read(&out, "kubeconfig"), spoilt);
}

#[test]
fn what_is_not_ours_is_not_overwritten_and_then_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["kubeconfig", "tokens.sh", "registry-cluster.yaml"] {
        let out = folder.path().join(name);
        fs::create_dir(&out).unwrap();
        fs::write(out.join(name), "somebody's").unwrap();
        let error = format!("{:#}", kubeconfig(&config(REGIONS, &[]), &out).unwrap_err());
        assert!(error.contains(name) && error.contains("--out"), "{error}");
        assert_eq!((fs::read_dir(&out).unwrap().count(), read(&out, name).as_str()), (1, "somebody's"));
    }
    // The same text is no reason to refuse; and what stands beside stays.
    let out = folder.path().join("same");
    fs::create_dir(&out).unwrap();
    for name in ["kubeconfig.new", "tokens.new"] {
        fs::write(out.join(name), "mine").unwrap();
    }
    kubeconfig(&config(REGIONS, &[]), &out).unwrap();
    for name in ["kubeconfig.new", "tokens.new"] {
        assert_eq!(read(&out, name), "mine");
    }
    let before = fs::metadata(out.join("kubeconfig")).unwrap().modified().unwrap();
    kubeconfig(&config(REGIONS, &[]), &out).unwrap();
    assert_eq!(fs::metadata(out.join("kubeconfig")).unwrap().modified().unwrap(), before, "it is left as it is");
}

#[test]
fn of_two_zones_with_one_context_there_is_one_context() {
    let folder = tempfile::tempdir().unwrap();
    let twice = format!("{}{HEALTH}", REGIONS.replace("it's/one", "hc/two"));
    kubeconfig(&config(&twice, &[]), folder.path()).unwrap();
    let text = read(folder.path(), "kubeconfig");
    assert_eq!(text.matches("- name: \"hc/two\"").count(), 1, "{text}");
    assert!(!text.contains("_healthcheck"), "{text}");
    // Each is granted all the same.
    let steps = read(folder.path(), "tokens.sh");
    assert!(steps.contains("step az1 'hc/two' registry-cluster.yaml"), "{steps}");
    assert!(steps.contains("step _healthcheck 'hc/two' healthcheck-cluster.yaml"), "{steps}");
}

#[test]
fn the_manifests_grant_what_is_asked_for_and_no_more() {
    let account = |text: &str| {
        text.contains("kind: ServiceAccount\nmetadata:\n  name: se-responder\n  namespace: se-responder\n")
    };
    for (grants, text) in text::manifests() {
        assert!(account(&text) && text.contains("kind: Namespace"), "{grants:?}: {text}");
        assert!(text.contains("resources: [pods/portforward]\n    verbs: [get, create]"), "{grants:?}: {text}");
        let given: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        assert!(!given.iter().any(|line| line.contains("exec") || line.contains('*')), "{grants:?}: {text}");
        assert!(!given.contains(&"kind: Secret"), "{grants:?}: its token is a file of its own");
    }
    let health = text::healthcheck_cluster("probes");
    assert!(health.contains("namespace: probes\n") && !health.contains("namespace: monitoring"), "{health}");
    let secret = text::token_secret();
    assert!(
        secret.contains("name: se-responder-token") && secret.contains("type: kubernetes.io/service-account-token")
    );
}

#[test]
fn no_name_breaks_out_of_the_steps_or_the_kubeconfig() {
    let folder = tempfile::tempdir().unwrap();
    let odd = "'; touch broken; echo '\n# $(touch broken) \"`touch broken`";
    let regions = REGIONS.replace("\"it's/one\"", &serde_json::Value::from(odd).to_string());
    kubeconfig(&config(&regions, &[]), folder.path()).unwrap();
    let kubectl = folder.path().join("kubectl");
    fs::write(&kubectl, "#!/bin/sh\nprintf '%s' \"$2\" >> context\nexit 1\n").unwrap();
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let mut steps = std::process::Command::new("sh");
    let ended = steps
        .arg(folder.path().join("tokens.sh"))
        .arg("az1")
        .env("PATH", path)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(read(folder.path(), "context"), odd, "{ended:?}");
    assert!(!folder.path().join("broken").exists());
}
