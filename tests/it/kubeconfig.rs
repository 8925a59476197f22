//! `kubeconfig`: what it writes lets the service into the clusters, once the token steps were taken.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use outbound::clock::SystemClock;
use serde_json::Value;
use simulators::scenario::Scenario;
use simulators::world::World;

use crate::harness::{QUICK, owned, quick, settings_of};
use crate::process::{Ended, run};

async fn world(scenario: &'static Scenario) -> World {
    World::start(scenario, SystemClock::shared()).await.expect("a world")
}

/// The command for the regions of a world, by somebody whose own kubeconfig knows its clusters, or none.
async fn written(world: &World, own: &str, out: &Path) -> Ended {
    let settings = owned(&[("KUBECONFIG", own)]);
    let regions = world.path("regions.toml").display().to_string();
    run(&["kubeconfig", "--regions", &regions, "--out", &out.display().to_string()], &settings, "").await
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A kubectl that gives each context's token, and notes what it was asked.
fn kubectl(world: &World) -> PathBuf {
    let folder = world.path("bin");
    fs::create_dir(&folder).expect("a folder");
    let mut cases = String::new();
    for cluster in world.clusters.iter().chain(&world.healthcheck) {
        cases += &format!("    '{}') token='{}' ;;\n", cluster.context(), cluster.token());
    }
    let text = format!(
        "#!/bin/sh\necho \"$*\" >> '{}'\ncase \"$*\" in\n  *' get secret '*)\n    case \"$2\" in\n{cases}    esac\n    \
         printf '%s' \"$token\" | base64 -w 0 ;;\n  *' create token '*) echo a-token-that-ends ;;\nesac\n",
        world.path("asked").display()
    );
    let path = folder.join("kubectl");
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it may be run");
    folder
}

fn take_the_steps(out: &Path, bin: &Path, arguments: &[&str], duration: &str) -> (Option<i32>, String) {
    let mut steps = Command::new(out.join("tokens.sh"));
    steps.args(arguments).env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("TOKEN_DURATION", duration);
    let ended = steps.output().expect("it runs");
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

/// What doctor finds of the clusters: whose check, which, and its state.
async fn checks(settings: &[(String, String)]) -> Vec<(String, String, String, String)> {
    let ended = run(&["doctor", "--json"], settings, "").await;
    let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended:?}"));
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = report["checks"].as_array().expect("checks").iter();
    let of_clusters = all.filter(|check| ["cluster", "client"].contains(&check["system"].as_str().unwrap_or_default()));
    of_clusters.map(|c| (word(&c["subject"]), word(&c["name"]), word(&c["state"]), word(&c["detail"]))).collect()
}

#[tokio::test]
async fn what_is_written_lets_the_service_into_every_cluster_once_the_steps_were_taken() {
    let world = world(Scenario::named("front-end-path").expect("a scenario with a healthcheck cluster")).await;
    let out = world.path("out");
    let ended = written(&world, &world.path("kubeconfig").display().to_string(), &out).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("tokens.sh") && !ended.stdout.contains("warn "), "{}", ended.stdout);
    let mode = fs::metadata(out.join("kubeconfig")).expect("a kubeconfig").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let kubeconfig = text(&out.join("kubeconfig"));
    assert!(!world.clusters.iter().any(|cluster| kubeconfig.contains(cluster.token())), "{kubeconfig}");

    let kubeconfig = out.join("kubeconfig").display().to_string();
    let settings = settings_of(&world, &[QUICK, &[("KUBECONFIG", &kubeconfig)]].concat());
    let before = checks(&settings).await;
    assert!(
        before.iter().any(|(_, name, state, detail)| {
            name == "kubeconfig" && state == "failed" && detail.contains("token file")
        }),
        "{before:#?}"
    );

    let bin = kubectl(&world);
    let zone = world.clusters[0].name();
    let token = out.join(format!("{zone}.token"));
    // What somebody has put in the token's way gets nothing of it.
    let theirs = world.path("theirs");
    fs::write(&theirs, "theirs").expect("written");
    std::os::unix::fs::symlink(&theirs, out.join(format!("{zone}.token.new"))).expect("a link");
    let (code, said) = take_the_steps(&out, &bin, &[], "");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(text(&theirs), "theirs");
    assert!(!fs::symlink_metadata(&token).expect("a token").is_symlink());
    assert_eq!(text(&token), world.clusters[0].token());
    assert_eq!(fs::metadata(&token).expect("a token").permissions().mode() & 0o777, 0o600);
    let asked = text(&world.path("asked"));
    for cluster in world.clusters.iter().chain(&world.healthcheck) {
        let applied = format!("--context {} apply -f ", cluster.context());
        assert_eq!(asked.matches(&applied).count(), 2, "{applied} in {asked}");
    }
    let after = checks(&settings).await;
    let wrong: Vec<_> = after.iter().filter(|(_, name, state, _)| state != "ok" && name != "series").collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(after.iter().any(|(subject, name, ..)| (subject, name.as_str()) == (&zone, "credentials")), "{after:#?}");
    assert!(after.iter().any(|(_, name, ..)| name == "exporter"), "the healthcheck cluster is asked too: {after:#?}");

    // Once more: nothing changes, and no token is touched.
    let again = written(&world, &world.path("kubeconfig").display().to_string(), &out).await;
    assert_eq!((again.code, again.stdout.matches("unchanged ").count()), (Some(0), 5), "{again:?}");
    assert_eq!(text(&token), world.clusters[0].token());

    // A token that ends, for one cluster only.
    let (code, said) = take_the_steps(&out, &bin, &[&zone], "720h");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(text(&token), "a-token-that-ends\n");
    let other = world.clusters[1].name();
    assert_eq!(text(&out.join(format!("{other}.token"))), world.clusters[1].token());
    assert!(text(&world.path("asked")).contains("create token se-responder --duration 720h"));
    let (code, said) = take_the_steps(&out, &bin, &["registry-of-nobody"], "");
    assert_eq!((code, said.contains("registry-of-nobody")), (Some(1), true), "{said}");
}

#[tokio::test]
async fn where_no_address_is_known_doctor_names_the_placeholder() {
    let world = world(quick()).await;
    let out = world.path("out");
    let ended = written(&world, "/nowhere", &out).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let zone = world.clusters[0].name();
    assert!(ended.stdout.contains(&format!("warn      {zone}: ")) && ended.stdout.contains("placeholder"), "{ended:?}");
    fs::write(out.join(format!("{zone}.token")), "x").expect("written");
    let kubeconfig = out.join("kubeconfig").display().to_string();
    let found = checks(&settings_of(&world, &[QUICK, &[("KUBECONFIG", &kubeconfig)]].concat())).await;
    let of_zone = found.iter().find(|(subject, name, ..)| *subject == zone && name == "kubeconfig");
    let (_, _, state, detail) = of_zone.unwrap_or_else(|| panic!("{found:#?}"));
    assert!(state == "failed" && detail.contains("placeholder") && detail.contains("server"), "{detail}");
}

#[tokio::test]
async fn doctor_says_when_a_token_ends_and_whether_a_plugins_program_is_there() {
    let world = world(quick()).await;
    let own = world.path("kubeconfig");
    let (first, second) = (&world.clusters[0], &world.clusters[1]);
    // The simulated clusters take their own tokens only; what is said of this one's end is said all the same.
    let hour = 3600;
    let now = SystemClock::shared().wall().as_second();
    let of = async |ends: i64| {
        let payload = base64url(&format!("{{\"iat\":{},\"exp\":{}}}", now - 300 * 24 * hour, now + ends));
        let token = format!("eyJhbGciOiJSUzI1NiJ9.{payload}.c2ln");
        let plugin = "exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-program-here}";
        let spoilt = text(&own)
            .replace(&format!("token: {}\n", first.token()), &format!("token: {token}\n"))
            .replace(&format!("token: {}\n", second.token()), &format!("{plugin}\n"));
        let path = world.path("spoilt");
        fs::write(&path, spoilt).expect("written");
        let path = path.display().to_string();
        let found = checks(&settings_of(&world, &[QUICK, &[("KUBECONFIG", &path)]].concat())).await;
        let of = |zone: String| {
            let found = found.iter().find(|(subject, name, ..)| *subject == zone && name == "credentials");
            found.map(|(_, _, state, detail)| (state.clone(), detail.clone())).unwrap_or_else(|| panic!("{zone}"))
        };
        (of(first.name()), of(second.name()))
    };
    for (ends, state) in [(60 * 24 * hour, "ok"), (3 * 24 * hour, "warning"), (-hour, "failed")] {
        let ((found, detail), (plugin, of_plugin)) = of(ends).await;
        assert!(found == state && detail.contains("end"), "{ends}: {found}, {detail}");
        assert!(plugin == "warning" && of_plugin.contains("no-such-program-here"), "{plugin}: {of_plugin}");
    }
}

/// As tokens write it: neither `+` nor `/` comes of these texts, and nothing is padded.
fn base64url(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = text.bytes().flat_map(|byte| (0..8).rev().map(move |n| (byte >> n) & 1)).collect::<Vec<u8>>();
    bits.chunks(6)
        .map(|six| {
            let value = six
                .iter()
                .chain(std::iter::repeat(&0))
                .take(6)
                .fold(0_usize, |value, bit| value * 2 + usize::from(*bit));
            char::from(DIGITS[value])
        })
        .collect()
}

#[tokio::test]
async fn a_kubeconfig_of_somebody_elses_stays_as_it_is() {
    let world = world(quick()).await;
    let out = world.path("out");
    fs::create_dir(&out).expect("a folder");
    fs::write(out.join("kubeconfig"), "mine\n").expect("written");
    let ended = written(&world, "/nowhere", &out).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("not written by this command"), "{}", ended.stderr);
    assert_eq!((text(&out.join("kubeconfig")).as_str(), fs::read_dir(&out).expect("it").count()), ("mine\n", 1));
}

#[tokio::test]
async fn a_regions_file_that_is_missing_or_wrong_is_a_bad_setting() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("regions.toml");
    let path = file.display().to_string();
    for (text, wanted) in [
        ("[[regions]]\nname = \"A\"\n", "\"A\" is not a region"),
        ("", "lists no region"),
        ("[links]\n", "lists no region"),
    ] {
        fs::write(&file, text).expect("written");
        let ended = run(&["kubeconfig", "--regions", &path], &[], "").await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("--regions") && ended.stderr.contains(wanted), "{}", ended.stderr);
    }
    let missing = run(&["kubeconfig", "--regions", "/nowhere.toml"], &[], "").await;
    assert_eq!((missing.code, missing.stderr.contains("/nowhere.toml can't be read")), (Some(2), true), "{missing:?}");
    let none = run(&["kubeconfig"], &[], "").await;
    assert_eq!((none.code, none.stderr.contains("--regions")), (Some(2), true), "{none:?}");
}
