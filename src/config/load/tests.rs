use super::*;
use clusters::Probe;

pub(super) fn complete() -> Vec<(&'static str, &'static str)> {
    vec![
        ("PAGERDUTY_WEBHOOK_SECRETS", "s3cret"),
        ("PAGERDUTY_API_TOKEN", "t0ken"),
        ("PAGERDUTY_FROM", "oncall@example.com"),
        ("JENKINS_JOB_URL", "https://jenkins.example.com/job/Registry/view/All/job/ServiceEndpointStatus/"),
        ("JENKINS_USER", "robot"),
        ("JENKINS_API_TOKEN", "jt0ken"),
    ]
}

pub(super) fn with(more: &[(&'static str, &'static str)]) -> Result<Config, Problems> {
    let mut settings = complete();
    settings.extend_from_slice(more);
    Config::load(&Environment::of(settings))
}

#[test]
fn defaults_are_the_contracts() {
    let config = with(&[]).unwrap();
    assert_eq!(config.page_url("r1"), "http://127.0.0.1:8080/runs/r1");
    assert_eq!(config.webhook_url(), "http://127.0.0.1:8080/webhooks/pagerduty");
    assert_eq!(config.database_url.reveal().unwrap(), "sqlite://se-responder.db");
    assert_eq!(config.escalation.mode, EscalationMode::Suggest);
    assert_eq!(config.escalation.service, "Cloud Service Endpoint");
    assert_eq!(config.jenkins.timeout, Duration::from_secs(360));
    assert_eq!(config.transient.reruns, 2);
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    assert_eq!((config.self_check_interval, config.canary_interval), (hours(1), hours(24)));
    let never =
        with(&[("SELF_CHECK_INTERVAL", "0s"), ("CANARY_INTERVAL", "0s"), ("RECONCILE_INTERVAL", "0s")]).unwrap();
    assert_eq!((never.self_check_interval, never.canary_interval, never.reconcile_interval), (None, None, None));
    assert_eq!(config.transient.wait, Duration::from_secs(60));
    assert_eq!(config.cluster.probe, Probe::Auto);
    assert_eq!(config.jenkins.job_url.path(), "/job/Registry/job/ServiceEndpointStatus/");
    assert!(config.warnings.iter().any(|w| w.starts_with("PUBLIC_URL")));
}

#[test]
fn where_pagerduty_reaches_us_is_said_or_made_of_where_people_do() {
    let public = ("PUBLIC_URL", "https://se.example.com/");
    let config = with(&[public]).unwrap();
    assert_eq!(config.webhook_url(), "https://se.example.com/webhooks/pagerduty");
    assert_eq!(config.known_webhook_url(), Some(config.webhook_url()));
    let config = with(&[public, ("WEBHOOK_URL", "https://hooks.example.com/of/pagerduty")]).unwrap();
    assert_eq!(config.webhook_url(), "https://hooks.example.com/of/pagerduty");
    assert_eq!(with(&[]).unwrap().known_webhook_url(), None, "it can't be told from others behind a proxy");
    for wrong in ["here", "ftp://x/", "https://user@x/", "https://x/#part"] {
        let problems = with(&[("WEBHOOK_URL", wrong)]).unwrap_err().to_string();
        assert!(problems.contains("WEBHOOK_URL"), "{wrong}: {problems}");
    }
}

#[test]
fn nothing_is_a_length_where_it_says_something() {
    // Never waited for, never too young, never old enough.
    for name in ["SUPPRESSION_MAX", "SUPPRESSION_SETTLE", "RELATED_MAX_AGE", "EVIDENCE_MAX_AGE", "RECONCILE_MAX_AGE"] {
        with(&[(name, "0s")]).unwrap();
    }
    for name in ["SUPPRESSION_RECHECK", "JENKINS_TIMEOUT", "RETENTION", "SHUTDOWN_GRACE"] {
        assert!(with(&[(name, "0s")]).unwrap_err().to_string().contains(name));
    }
}

#[test]
fn every_problem_is_told_at_once_and_no_secret_with_it() {
    let problems = Config::load(&Environment::of([
        ("LISTEN_ADDR", "here"),
        ("DATABASE_URL", "mysql://root:hunter2@db/x"),
        ("ESCALATION_MODE", "auto"),
        ("JENKINS_TIMEOUT", "5"),
        ("JENKINS_POLL", "0s"),
        ("JENKINS_MAX_BUILDS", "0"),
        ("TRANSIENT_RERUNS", "-1"),
        ("CLUSTER_PROBE", "ssh"),
        ("OPERATOR_TOKENS", "hunter2"),
        ("PAGERDUTY_FROM", "nobody"),
        ("JENKINS_API_TOKEN", "hunter2"),
        ("JENKINS_API_TOKEN_FILE", "/nowhere"),
        ("VIEWER_TOKENS_FILE", "/nowhere/at/all"),
        ("NOTE_BY", "soon"),
        ("WEBHOOK_REENABLE", "perhaps"),
    ]))
    .unwrap_err();
    let all = problems.to_string();
    for name in [
        "LISTEN_ADDR",
        "DATABASE_URL",
        "REGIONS_FILE",
        "JENKINS_TIMEOUT",
        "JENKINS_POLL",
        "JENKINS_MAX_BUILDS",
        "TRANSIENT_RERUNS",
        "CLUSTER_PROBE",
        "OPERATOR_TOKENS",
        "PAGERDUTY_FROM",
        "JENKINS_API_TOKEN",
        "VIEWER_TOKENS_FILE",
        "NOTE_BY",
        "WEBHOOK_REENABLE",
        "PAGERDUTY_WEBHOOK_SECRETS",
        "PAGERDUTY_API_TOKEN",
        "JENKINS_JOB_URL",
        "JENKINS_USER",
    ] {
        assert_eq!(problems.0.iter().filter(|p| p.starts_with(&format!("{name}:"))).count(), 1, "{name} in {all}");
    }
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn secrets_come_from_files_and_are_never_printed() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "from-file\n").unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let mut settings: Vec<(String, String)> = complete().iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
    settings.retain(|(n, _)| n != "PAGERDUTY_API_TOKEN");
    settings.push(("PAGERDUTY_API_TOKEN_FILE".into(), path));
    let config = Config::load(&Environment::of(settings)).unwrap();
    assert_eq!(config.pagerduty.token.reveal().unwrap(), "from-file");
    std::fs::write(file.path(), "renewed\n").unwrap();
    assert_eq!(config.pagerduty.token.reveal().unwrap(), "renewed", "a renewed secret needs no restart");
    let printed = format!("{config:?}");
    for secret in ["s3cret", "jt0ken", "renewed"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[test]
fn diagnose_without_jenkins_and_clusters_needs_no_configuration() {
    DiagnoseConfig::load(&Environment::default(), false, false).unwrap();
    assert!(DiagnoseConfig::load(&Environment::default(), true, false).is_err());
}

#[test]
fn an_empty_setting_counts_as_not_given() {
    assert_eq!(with(&[("ESCALATION_MODE", " ")]).unwrap().escalation.mode, EscalationMode::Suggest);
}

#[test]
fn a_token_that_can_be_guessed_is_refused_and_a_weak_one_is_warned_of() {
    for name in ["OPERATOR_TOKENS", "VIEWER_TOKENS"] {
        let refused = with(&[(name, "ann:0123456789abcdef,bob:ünseren")]).unwrap_err().to_string();
        assert!(refused.contains(&format!("{name}: ")) && refused.contains("(bob)"), "{refused}");
        assert!(!refused.contains("ünseren"), "{refused}");
        let warned = with(&[(name, "ann:0123456789abcdef,bob:hunter42")]).unwrap().warnings.join("\n");
        assert!(warned.contains(name) && warned.contains("bob"), "{warned}");
        assert!(!warned.contains("ann") && !warned.contains("hunter42"), "{warned}");
        let fine = with(&[(name, "ann:0123456789abcdef")]).unwrap().warnings.join("\n");
        assert!(!fine.contains(name), "{fine}");
    }
}

#[test]
fn secret_files_may_have_a_byte_order_mark() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let secret = Secret::File(file.path().to_owned());
    let wide: Vec<u8> = "\u{feff}hush\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in ["\u{feff}hush".into(), "\u{feff} hush \r\n".into(), "\u{feff}\nhush\n\n".into(), wide] {
        std::fs::write(file.path(), bytes).unwrap();
        assert_eq!(secret.reveal().unwrap(), "hush");
    }
    for none in ["\u{feff}", "\u{feff}\r\n"] {
        std::fs::write(file.path(), none).unwrap();
        assert!(secret.reveal().unwrap_err().to_string().contains("empty"));
    }
    let wide: Vec<u8> = "\u{feff}# no region\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(file.path(), wide).unwrap();
    let mut settings: Vec<_> = complete().iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    settings.push(("REGIONS_FILE".into(), file.path().display().to_string()));
    Config::load(&Environment::of(settings)).unwrap();
    std::fs::write(file.path(), b"\xff\xfeh").unwrap();
    assert!(!secret.reveal().unwrap_err().to_string().contains("stream"));
}

/// Contract 9: "A token without its channel, or `GHE_ISSUES=rca` without the other three, is a bad setting (exit 2)".
#[test]
fn who_else_is_told_is_configured_whole_or_not_at_all() {
    let told = |more: &[(&'static str, &'static str)]| with(more).unwrap_err().to_string();
    let all = told(&[("SLACK_REGISTRY_TOKEN", "xoxb-1"), ("SLACK_SE_CHANNEL", "C2"), ("GHE_ISSUES", "rca")]);
    for name in ["SLACK_REGISTRY_CHANNEL: ", "SLACK_SE_TOKEN: ", "GHE_API_URL: ", "GHE_REPO: ", "GHE_TOKEN: "] {
        assert!(all.contains(name), "{name} in {all}");
    }
    assert!(!all.contains("xoxb-1"), "{all}");
    assert!(told(&[("GHE_ISSUES", "all")]).contains("off, rca"));
    assert!(told(&[("GHE_REPO", "no-owner")]).contains("owner/name"));
    assert!(told(&[("SLACK_API_URL", "slack.com")]).contains("SLACK_API_URL"));
    let none = with(&[]).unwrap();
    assert!(none.telling.registry.is_none() && none.telling.se.is_none() && none.telling.ghe.is_none());
    let slack = with(&[("SLACK_REGISTRY_TOKEN", "xoxb-1"), ("SLACK_REGISTRY_CHANNEL", "C1")]).unwrap();
    let registry = slack.telling.registry.unwrap();
    assert_eq!((registry.channel.as_str(), registry.api_url.as_str()), ("C1", "https://slack.com/api"));
    assert!(slack.telling.se.is_none());
    let named = with(&[("SLACK_SE_TOKEN", "t"), ("SLACK_SE_CHANNEL", "#alerts")]).unwrap();
    assert!(named.warnings.iter().any(|warning| warning.contains("SLACK_SE_CHANNEL")), "{:?}", named.warnings);
    let ghe = [("GHE_API_URL", "https://ghe.example/api/v3"), ("GHE_REPO", "o/r")];
    // Without issues the repository still says where notes' links lead.
    let linked = with(&ghe).unwrap();
    assert!(linked.telling.ghe.is_none());
    assert_eq!(linked.regions.links.issue_tracker, "https://ghe.example/o/r/issues/new");
    let rca = with(&[&ghe[..], &[("GHE_TOKEN", "t"), ("GHE_ISSUES", "rca")]].concat()).unwrap();
    assert_eq!(rca.telling.ghe.unwrap().repo, ("o".to_owned(), "r".to_owned()));
}
