//! `.env.example`, `docs/settings.md` and `docs/regions.example.toml` say what the code does.

use std::collections::BTreeMap;

use super::names::KNOWN;
use super::*;
use crate::config::Regions;

const EXAMPLE: &str = include_str!("../../../.env.example");
const TABLE: &str = include_str!("../../../docs/settings.md");
const REGIONS: &str = include_str!("../../../docs/regions.example.toml");

/// Settings that have no default, required or not.
const WITHOUT_DEFAULT: [&str; 29] = [
    "WEBHOOK_URL",
    "PUBLIC_URL",
    "REGIONS_FILE",
    "PAGERDUTY_WEBHOOK_SECRETS",
    "PAGERDUTY_API_TOKEN",
    "PAGERDUTY_FROM",
    "PAGERDUTY_SERVICE_IDS",
    "JENKINS_JOB_URL",
    "JENKINS_USER",
    "JENKINS_API_TOKEN",
    "KUBECONFIG",
    "PROMETHEUS_TOKEN",
    "ESCALATION_ROUTING_KEY",
    "OPERATOR_TOKENS",
    "TRUSTED_PROXIES",
    "TRUSTED_USER_HEADER",
    "TRUSTED_OPERATORS",
    "VIEWER_TOKENS",
    "COMMAND_USERS",
    "LINK_SECRET",
    "SE_RESPONDER_TOKEN",
    "BACKTEST_REPORT",
    "SLACK_REGISTRY_TOKEN",
    "SLACK_REGISTRY_CHANNEL",
    "SLACK_SE_TOKEN",
    "SLACK_SE_CHANNEL",
    "GHE_API_URL",
    "GHE_REPO",
    "GHE_TOKEN",
];

/// One setting as `.env.example` has it.
struct Shown {
    name: String,
    /// Empty where there is none.
    default: String,
    required: bool,
}

fn shown() -> Vec<Shown> {
    let mut settings = Vec::new();
    for line in EXAMPLE.lines() {
        let setting = line.strip_prefix('#').unwrap_or(line);
        if let Some((name, default)) = setting.split_once('=')
            && !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        {
            let (name, default) = (name.to_owned(), default.trim_matches('"').to_owned());
            settings.push(Shown { name, default, required: !line.starts_with('#') });
        }
    }
    settings
}

/// Every name that the code knows, those of the system aside.
fn known() -> Vec<&'static str> {
    let mut names: Vec<&str> = KNOWN.to_vec();
    names.retain(|name| *name != "HOME");
    names.sort_unstable();
    names
}

/// The settings that a run of the program gets from `.env.example` once it is uncommented and filled in.
fn load(settings: impl IntoIterator<Item = (String, String)>) -> Config {
    let required = tests::complete().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let given = settings.into_iter().chain(required);
    let config = Config::load(&Environment::of(given)).unwrap();
    Config { warnings: Vec::new(), ..config }
}

#[test]
fn the_example_can_be_read_as_it_is_and_with_every_line_uncommented() {
    let read = |text: &str| -> BTreeMap<String, String> {
        dotenvy::from_read_iter(text.as_bytes()).map(|entry| entry.unwrap()).collect()
    };
    let as_it_is = read(EXAMPLE);
    let required: Vec<String> = shown().into_iter().filter(|s| s.required).map(|s| s.name).collect();
    assert_eq!(as_it_is.keys().len(), required.len());
    assert!(as_it_is.values().all(String::is_empty), "{as_it_is:?}");
    for setting in shown() {
        let line = EXAMPLE.lines().find(|line| line.trim_start_matches('#').starts_with(&format!("{}=", setting.name)));
        assert_eq!(read(line.unwrap().trim_start_matches('#'))[&setting.name], setting.default);
    }
    let problems = Config::load(&Environment::of(as_it_is)).unwrap_err();
    assert_eq!(problems.0.len(), required.len(), "what is left to fill in is what is required: {problems}");
}

#[test]
fn the_example_names_every_setting_once() {
    let mut names: Vec<String> = shown().into_iter().map(|s| s.name).collect();
    names.sort_unstable();
    assert_eq!(names, known());
}

#[test]
fn the_example_shows_the_codes_defaults() {
    let defaults = shown().into_iter().filter(|s| !s.default.is_empty()).map(|s| (s.name, s.default));
    assert_eq!(format!("{:#?}", load(defaults)), format!("{:#?}", load([])));
    for setting in shown().iter().filter(|s| s.default.is_empty()) {
        // A secret's file has no default either.
        let name = setting.name.trim_end_matches("_FILE");
        let none = WITHOUT_DEFAULT.contains(&setting.name.as_str()) || WITHOUT_DEFAULT.contains(&name);
        assert!(none || name == "DATABASE_URL", "{} should show its default", setting.name);
    }
}

#[test]
fn the_table_has_the_same_settings_and_defaults() {
    let rows: BTreeMap<&str, (&str, &str)> = TABLE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"))
        .map(|row| {
            let cells: Vec<&str> = row.splitn(3, " | ").collect();
            (cells[0].trim_end_matches('`'), (cells[1].trim_matches('`'), cells[2]))
        })
        .collect();
    let mut settings = shown();
    let all: Vec<String> = settings.iter().map(|s| s.name.clone()).collect();
    // A secret's file is told by the secret's own row.
    let is_secrets_file = |name: &str| name.strip_suffix("_FILE").is_some_and(|base| all.iter().any(|n| n == base));
    settings.retain(|s| !is_secrets_file(&s.name));
    assert_eq!(rows.len(), settings.len());
    for setting in settings {
        let (default, words) = rows.get(setting.name.as_str()).unwrap_or_else(|| panic!("{} has no row", setting.name));
        let expected = match (setting.required, setting.default.as_str()) {
            (true, _) => "required",
            (false, "") => "none",
            (false, default) => default,
        };
        assert_eq!(*default, expected, "{}", setting.name);
        let has_file = all.contains(&format!("{}_FILE", setting.name));
        assert_eq!(words.contains("or a file"), has_file, "{}", setting.name);
    }
}

#[test]
fn the_regions_example_can_be_read() {
    let regions = Regions::parse(REGIONS).unwrap();
    let south = regions.zones_of(&"prod-us-south".parse().unwrap());
    assert!(south.listed && south.names().len() == 3 && !south.glb_zones.is_empty());
    assert!(south.zones.iter().any(|z| z.context.is_some()) && south.zones.iter().any(|z| z.context.is_none()));
    // The links that it shows are the built-in ones.
    assert_eq!(regions.links, runbook::links::Links::default());
    // Nothing is asked of a client that nobody has configured; the comments show the defaults.
    assert_eq!(regions.healthcheck, None);
    let is_setting = |line: &&str| !line.is_empty() && !line.starts_with(' ');
    let shown = |line: &'static str| line.strip_prefix('#').filter(is_setting).unwrap_or(line);
    let uncommented = REGIONS.lines().map(shown).collect::<Vec<_>>().join("\n");
    let shown = Regions::parse(&uncommented).unwrap().healthcheck.unwrap();
    let least = "[healthcheck]\nprometheus_url = \"https://prometheus.example/\"\n\
                 query_se = 'probe_success{job=\"se\",region=\"{region}\"}'\n\
                 query_public = 'probe_success{job=\"public\",region=\"{region}\"}'\ncontext = \"registry-healthcheck\"\n";
    assert_eq!(Some(shown), Regions::parse(least).unwrap().healthcheck);
}
