//! The commands and their exit codes.

use outbound::clock::SystemClock;
use runbook::diagnosis::{Diagnosis, Rule, VerdictKind};
use serde_json::Value;
use simulators::jenkins::console_for;
use simulators::scenario::{SCENARIOS, Scenario};
use simulators::world::World;

use crate::harness::{owned, quick, settings_of};
use crate::process::{Ended, run, run_in, run_on_a_terminal};

/// A console in a file of its own, which goes with this.
struct Console(tempfile::NamedTempFile);

impl Console {
    fn of(statuses: [(i32, i32); 3]) -> Self {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text_of(statuses)).expect("written");
        Self(file)
    }

    fn path(&self) -> &str {
        self.0.path().to_str().expect("a path")
    }
}

fn text_of(statuses: [(i32, i32); 3]) -> String {
    let zones: Vec<String> = (1..=3).map(|n| format!("registry-prod-us-south-az{n}")).collect();
    let boxes: Vec<_> = zones.iter().zip(statuses).map(|(z, (se, up))| (z.as_str(), 1, se, up)).collect();
    console_for(&boxes).join("\n")
}

async fn diagnose(arguments: &[&str], stdin: &str) -> Ended {
    run(&[&["diagnose", "prod-us-south", "--no-clusters"], arguments].concat(), &[], stdin).await
}

#[track_caller]
fn diagnosis(ended: &Ended) -> Diagnosis {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {}", ended.stdout))
}

#[tokio::test]
async fn demo_lists_its_scenarios() {
    let ended = run(&["demo", "--scenario", "list"], &[], "").await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let names: Vec<&str> = ended.stdout.lines().map(|l| l.split_whitespace().next().unwrap_or_default()).collect();
    // The last is no alert that is watched, but a year of them.
    assert_eq!(names, SCENARIOS.iter().map(|s| s.name).chain(["backtest"]).collect::<Vec<_>>());
    assert!(SCENARIOS.iter().all(|s| ended.stdout.contains(s.about)), "{}", ended.stdout);
}

#[tokio::test]
async fn demo_ends_with_the_note_and_leaves_nothing_behind() {
    // Settings of the real world must not lead a demo there.
    let real =
        owned(&[("PAGERDUTY_API_URL", "http://127.0.0.1:9"), ("JENKINS_USER", "me"), ("LISTEN_ADDR", "nowhere")]);
    let ended = run(&["demo", "--exit", "--scenario", "zones-unhealthy"], &real, "").await;
    assert_eq!((ended.code, ended.left.is_empty()), (Some(0), true), "{ended:#?}");
    assert!(ended.stdout.contains("\nProbably REGISTRY in prod-us-south"), "{}", ended.stdout);
    assert!(ended.stdout.lines().any(|l| l.starts_with("run ")), "{}", ended.stdout);
    assert!(ended.stderr.contains("202"), "{}", ended.stderr);
}

#[tokio::test]
async fn demo_of_what_there_is_not() {
    let slip = run(&["demo", "--scenario", "service-endpiont"], &[], "").await;
    assert!(slip.code == Some(2) && slip.stderr.contains("did you mean service-endpoint?"), "{}", slip.stderr);
    let ended = run(&["demo", "--scenario", "unheard-of"], &[], "").await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("unheard-of") && ended.stderr.contains("--scenario list"), "{}", ended.stderr);
}

#[tokio::test]
async fn what_is_wrong_with_the_log_is_named_with_all_the_rest() {
    let wrong = [("LOG_FORMAT", "xml"), ("RUST_LOG", "=nonsense="), ("NOTE_BY", "soon")];
    let ended = run(&["serve"], &owned(&wrong), "").await;
    assert_eq!((ended.code, ended.left.is_empty()), (Some(2), true), "{ended:#?}");
    for name in ["LOG_FORMAT", "RUST_LOG", "NOTE_BY", "JENKINS_JOB_URL"] {
        assert!(ended.stderr.contains(name), "{name}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn serve_names_everything_that_is_missing_or_wrong_at_once() {
    let ended = run(&["serve"], &[], "").await;
    assert_eq!((ended.code, ended.left.is_empty()), (Some(2), true), "{ended:#?}");
    for name in [
        "PAGERDUTY_WEBHOOK_SECRETS",
        "PAGERDUTY_API_TOKEN",
        "PAGERDUTY_FROM",
        "JENKINS_JOB_URL",
        "JENKINS_USER",
        "JENKINS_API_TOKEN",
    ] {
        assert!(ended.stderr.contains(&format!("\n  {name}: ")), "{name} in {}", ended.stderr);
    }
    let wrong = owned(&[
        ("PAGERDUTY_API_TOKEN", "hush-token"),
        ("PAGERDUTY_WEBHOOK_SECRETS", "hush-secret"),
        ("JENKINS_API_TOKEN_FILE", "/no/such/file"),
        ("JENKINS_JOB_URL", "https://me:hush-password@jenkins.example/job/X/"),
        ("DATABASE_URL", "postgres://me:hush-password@db.example:port/x"),
        ("OPERATOR_TOKENS", "hush-nameless"),
        ("NOTE_BY", "soon"),
        ("ESCALATION_MODE", "auto"),
        ("TRANSIENT_WAIT", "-1s"),
    ]);
    let ended = run(&["serve"], &wrong, "").await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for name in [
        "JENKINS_API_TOKEN_FILE",
        "JENKINS_JOB_URL",
        "DATABASE_URL",
        "OPERATOR_TOKENS",
        "NOTE_BY",
        "REGIONS_FILE",
        "TRANSIENT_WAIT",
        "PAGERDUTY_FROM",
    ] {
        assert!(ended.stderr.contains(&format!("\n  {name}: ")), "{name} in {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
}

#[tokio::test]
async fn serve_that_cannot_have_its_address_or_its_database_says_so() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for (name, value) in [("LISTEN_ADDR", address.as_str()), ("DATABASE_URL", "sqlite:///no/such/folder/x.db")] {
        let ended = run(&["serve"], &settings_of(&world, &[(name, value)]), "").await;
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains(value.trim_start_matches("sqlite://")), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn what_is_no_usage_is_2() {
    for arguments in [
        &["diagnose"][..],
        &["diagnose", "Prod_US", "--no-clusters"],
        &["diagnose", "prod-us-south", "--loudly"],
        &["unheard-of"],
        &[],
    ] {
        let ended = run(arguments, &[], "").await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(!ended.stderr.is_empty());
    }
    for arguments in [&["--help"][..], &["--version"], &["diagnose", "--help"]] {
        assert_eq!(run(arguments, &[], "").await.code, Some(0), "{arguments:?}");
    }
    let version = run(&["--version"], &[], "").await.stdout;
    for part in [env!("CARGO_PKG_VERSION"), "\ncommit: ", "\nfeatures: ", "\ntarget: "] {
        assert!(version.contains(part), "{part:?} in {version}");
    }
    let short = run(&["-V"], &[], "").await.stdout;
    assert_eq!(short, format!("se-responder {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn diagnose_reads_a_console_without_any_configuration() {
    let console = Console::of([(1, 0), (1, 0), (1, -1)]);
    let ended = diagnose(&["--console", console.path()], "").await;
    assert_eq!((ended.code, ended.left.is_empty()), (Some(0), true), "{ended:#?}");
    assert!(ended.stdout.starts_with("Probably REGISTRY in prod-us-south"), "{}", ended.stdout);
    assert!(ended.stdout.contains("SE=1 upstream=-1") && !ended.stdout.contains("\nrun"), "{}", ended.stdout);
    assert_eq!(ended.stderr, "", "no progress where there is no terminal");
    let d = diagnosis(&diagnose(&["--console", console.path(), "--json"], "").await);
    assert_eq!((d.verdict.kind, d.verdict.rule), (VerdictKind::Registry, Rule::AllSeAccepting));
    assert!(d.zones.len() == 3 && d.zones.iter().all(|z| z.checks.is_none()));
}

#[tokio::test]
async fn every_further_console_is_a_re_run() {
    let (rejecting, well) = (Console::of([(0, 1); 3]), Console::of([(1, 1); 3]));
    for (consoles, kind, rule) in [
        (vec![&rejecting], VerdictKind::Transient, Rule::AllSeRejectingUpstreamUp),
        (vec![&rejecting, &well], VerdictKind::Transient, Rule::RecoveredOnRerun),
        (vec![&rejecting, &rejecting], VerdictKind::ServiceEndpoint, Rule::AllSeRejectingUpstreamUp),
        // Whatever came before.
        (vec![&well, &rejecting], VerdictKind::ServiceEndpoint, Rule::AllSeRejectingUpstreamUp),
        (vec![&well, &well], VerdictKind::Transient, Rule::RecoveredOnRerun),
    ] {
        let arguments: Vec<&str> = consoles.iter().flat_map(|c| ["--console", c.path()]).chain(["--json"]).collect();
        let d = diagnosis(&diagnose(&arguments, "").await);
        assert_eq!((d.verdict.kind, d.verdict.rule, d.readings.len()), (kind, rule, consoles.len()));
    }
}

#[tokio::test]
async fn a_dash_is_standard_input() {
    let d = diagnosis(&diagnose(&["--console", "-", "--json"], &text_of([(0, -1), (0, 0), (0, -1)])).await);
    assert_eq!(d.verdict.rule, Rule::AllSeRejectingUpstreamDown);
    let nothing = diagnosis(&diagnose(&["--console", "-", "--json"], "").await);
    assert_eq!(nothing.verdict.rule, Rule::NoReading);
}

#[tokio::test]
async fn a_console_that_cannot_be_read_is_1_and_named() {
    let ended = diagnose(&["--console", "/no/such/console"], "").await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("/no/such/console"), "{}", ended.stderr);
    let folder = diagnose(&["--console", "/"], "").await;
    assert_eq!(folder.code, Some(1), "{}", folder.stderr);
}

#[tokio::test]
async fn without_a_console_diagnose_needs_jenkins_settings_and_names_them() {
    let ended = diagnose(&[], "").await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for name in ["JENKINS_JOB_URL", "JENKINS_USER", "JENKINS_API_TOKEN"] {
        assert!(ended.stderr.contains(&format!("\n  {name}: ")), "{name} in {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("PAGERDUTY"), "it asks nothing of PagerDuty: {}", ended.stderr);
}

/// What `diagnose` needs to know of a world: nothing of PagerDuty.
fn diagnose_settings(world: &World) -> Vec<(String, String)> {
    let mut settings = settings_of(world, &[("TRANSIENT_WAIT", "10ms")]);
    settings.retain(|(name, _)| !name.starts_with("PAGERDUTY") && !name.ends_with("_TOKENS"));
    settings
}

#[tokio::test]
async fn diagnose_asks_jenkins_and_the_clusters_and_changes_nothing() {
    let scenario = Scenario::named("mixed").expect("a scenario");
    let world = World::start(scenario, SystemClock::shared()).await.expect("a world");
    let settings = diagnose_settings(&world);
    let ended = run(&["diagnose", "prod-us-south", "--json"], &settings, "").await;
    let d = diagnosis(&ended);
    assert_eq!((d.verdict.kind, d.verdict.rule), (scenario.expected.kind, scenario.expected.rule));
    let findings: Vec<_> = d.zones.iter().map(|z| z.checks.as_ref().expect("checks").finding).collect();
    assert_eq!(findings, scenario.expected.findings);
    let text = run(&["diagnose", "prod-us-south", "--no-clusters"], &settings, "").await;
    assert!(text.code == Some(0) && text.stdout.starts_with("MIXED in prod-us-south"), "{text:#?}");
    let asked: usize = world.clusters.iter().map(|c| c.requests().len()).sum();
    let value: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert!(value["zones"][0]["checks"]["context"].is_string() && asked > 0);
    assert!(world.clusters.iter().all(|c| c.writes().is_empty()));
    assert!(world.pagerduty.requests().is_empty(), "{:?}", world.pagerduty.requests());
    for output in [&ended.stdout, &ended.stderr, &text.stdout, &text.stderr] {
        assert!(!output.contains(&world.jenkins.credentials().1), "{output}");
    }
}

#[tokio::test]
async fn diagnose_says_what_it_could_not_find_out() {
    let world = World::start(Scenario::named("no-reading").expect("it"), SystemClock::shared()).await.expect("a world");
    let ended = run(&["diagnose", "prod-us-south"], &diagnose_settings(&world), "").await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.starts_with("INCONCLUSIVE in prod-us-south"), "{}", ended.stdout);
    assert!(ended.stdout.contains("403 Forbidden"), "{}", ended.stdout);
}

#[tokio::test]
async fn diagnose_sends_nobody_to_page_the_wrong_team() {
    let file = Console::of([(1, 0); 3]);
    let ended = diagnose(&["--console", file.path()], "").await;
    let third = ended.stdout.lines().nth(2).expect("a third line");
    assert!(ended.stdout.starts_with("Probably REGISTRY"), "{}", ended.stdout);
    assert!(third.starts_with("Nobody was paged") && !third.contains("by hand"), "{third}");
}

#[tokio::test]
async fn a_token_that_can_be_guessed_is_refused() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let wrong = [("OPERATOR_TOKENS", "olivia:x"), ("VIEWER_TOKENS", "victor:1234567")];
    let ended = run(&["serve"], &settings_of(&world, &wrong), "").await;
    assert_eq!((ended.code, ended.left.is_empty()), (Some(2), true), "{ended:#?}");
    for (name, who) in [("OPERATOR_TOKENS", "olivia"), ("VIEWER_TOKENS", "victor")] {
        assert!(ended.stderr.contains(&format!("\n  {name}: the token of entry 1 ({who}) is too short")), "{ended:#?}");
    }
    assert!(!ended.stderr.contains("1234567"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_dot_env_file_may_have_a_byte_order_mark_and_crlf() {
    let text = "\u{feff}NOTE_BY=soon\r\nJENKINS_POLL=often\r\n";
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [text.as_bytes().to_vec(), wide] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(".env"), bytes).expect("written");
        let ended = run_in(&folder, &["serve"], &[], "").await;
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        for problem in ["\n  NOTE_BY: \"soon\" is not", "\n  JENKINS_POLL: \"often\" is not"] {
            assert!(ended.stderr.contains(problem), "{}", ended.stderr);
        }
    }
}

/// A colour, or another style, of a terminal.
fn is_coloured(text: &str) -> bool {
    text.split("\u{1b}[")
        .skip(1)
        .any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
}

#[tokio::test]
async fn no_color_is_respected_by_log_and_doctor() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let settings = settings_of(&world, &[]);
    for (no_color, coloured) in [(None, true), (Some(""), true), (Some("1"), false), (Some("0"), false)] {
        let with = |more: &[(&str, &str)]| -> Vec<(String, String)> {
            let given = no_color.map(|value| ("NO_COLOR", value));
            let more = more.iter().copied().chain(given).map(|(n, v)| (n.to_owned(), v.to_owned()));
            settings.iter().cloned().chain(more).collect()
        };
        let said = run_on_a_terminal("doctor", &with(&[])).await;
        assert!(said.contains("Jenkins") && said.contains("buildable"), "{said}");
        assert_eq!(is_coloured(&said), coloured, "{no_color:?}: {said:?}");
        // It logs a warning, and then that the address can't be had.
        let said = run_on_a_terminal("serve", &with(&[("LISTEN_ADDR", "192.0.2.1:1")])).await;
        assert!(said.contains("WARN"), "{said}");
        assert_eq!(is_coloured(&said), coloured, "{no_color:?}: {said:?}");
    }
}
