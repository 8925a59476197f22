//! Every word of the API, the database and metrics is one of the contract's, and written as there.

use std::collections::BTreeSet;
use std::path::Path;

use runbook::diagnosis::client::{ClientFinding, Reached, Up};
use runbook::diagnosis::{BrokenAt, Class, Finding, Rule, VerdictKind};
use runbook::record::{EntryKind, Source};
use runbook::run::{AlertPhase, EscalationState, State, StepState, Trigger};
use se_responder::metrics;
use serde_json::{Value, json};
use store::{EventOutcome, Kind, PageState, TaskKind};

use crate::harness::Stage;

/// An enum of the API: its name in the description, the contract's words, and what the code has.
type Listed = (&'static str, &'static [&'static str], &'static [&'static str]);

/// Each word of the API and the database, written here once more.
const API: [Listed; 15] = [
    ("VerdictKind", &["registry", "service_endpoint", "transient", "mixed", "inconclusive"], VerdictKind::WORDS),
    (
        "Rule",
        &[
            "no-reading",
            "mixed-status",
            "incomplete-reading",
            "recovered-on-rerun",
            "all-se-accepting",
            "all-se-rejecting-upstream-down",
            "all-se-rejecting-upstream-up",
        ],
        Rule::WORDS,
    ),
    ("Class", &["pCIE", "pCIE, probably a CIE"], Class::WORDS),
    ("Finding", &["disabled", "unknown", "ingress-down", "healthy", "zone-unhealthy", "konicle-fault"], Finding::WORDS),
    (
        "BrokenAt",
        &[
            "client-or-front-end",
            "se-to-10443",
            "magic-box",
            "private-ingress",
            "zone",
            "disabled-by-registry",
            "contradiction",
            "unknown",
        ],
        BrokenAt::WORDS,
    ),
    ("ClientFinding", &["over", "not-client", "unknown", "client-broken", "front-end-path"], ClientFinding::WORDS),
    ("Up", &["up", "down", "absent"], Up::WORDS),
    ("Reached", &["answers", "fails", "unknown"], Reached::WORDS),
    ("State", &["queued", "suppressed", "running", "done", "failed", "cancelled"], State::WORDS),
    ("Trigger", &["webhook", "reconcile", "rerun", "note", "related-resolved", "follow-up"], Trigger::WORDS),
    ("EscalationState", &["none", "suggested", "held", "requested", "paged", "failed"], EscalationState::WORDS),
    ("StepState", &["running", "done", "failed", "interrupted"], StepState::WORDS),
    ("EventOutcome", &["accepted", "duplicate", "ignored"], EventOutcome::WORDS),
    ("AlertPhase", &["open", "resolved", "merged", "unknown"], AlertPhase::WORDS),
    ("Source", &["pagerduty", "service", "jenkins", "cluster", "client", "slack", "ghe"], Source::WORDS),
];

#[tokio::test]
async fn the_api_writes_the_contracts_words_and_its_description_lists_them() {
    let stage = Stage::quick(&[]).await;
    let description: Value = stage.front.get("/openapi.json").await;
    let schemas = &description["components"]["schemas"];
    for (name, contract, words) in API {
        assert_eq!(words, contract, "{name}");
        assert_eq!(schemas[name]["enum"], json!(contract), "{name}: {}", schemas[name]);
    }
    // No other enum of the API has gone unlisted.
    let listed: BTreeSet<&str> = API.iter().map(|(name, ..)| *name).collect();
    let all = schemas.as_object().expect("schemas").iter().filter(|(_, schema)| schema["enum"].is_array());
    let others: Vec<&String> = all.map(|(name, _)| name).filter(|name| !listed.contains(name.as_str())).collect();
    assert_eq!(others, ["Changed"], "what is beyond the contract");
}

#[tokio::test]
async fn a_zone_that_se_cannot_reach_is_called_as_the_contract_calls_it() {
    let stage = Stage::of("private-network", &[]).await;
    let run = stage.diagnosed().await;
    assert_eq!(run["diagnosis"]["zones"][0]["broken_at"], "se-to-10443", "{}", run["diagnosis"]["zones"]);
}

#[tokio::test]
async fn metrics_are_labelled_with_the_same_words() {
    let stage = Stage::quick(&[]).await;
    let text = stage.front.get("/metrics").await.as_str().expect("text").to_owned();
    let of = |metric: &str, label: &str| -> BTreeSet<String> {
        let before = format!("{metric}{{{label}=\"");
        let words = text.lines().filter_map(|line| Some(line.strip_prefix(&before)?.split_once('"')?.0.to_owned()));
        words.collect()
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(of("se_responder_runs", "state"), words(&["queued", "running", "suppressed"]));
    assert_eq!(of("se_responder_runs_ended_total", "state"), words(&["cancelled", "done", "failed"]));
    assert_eq!(of("se_responder_diagnoses_total", "verdict"), words(VerdictKind::WORDS));
    let webhooks: Vec<&str> = EventOutcome::WORDS.iter().chain(metrics::NotStored::WORDS).copied().collect();
    assert_eq!(of("se_responder_webhooks_total", "outcome"), words(&webhooks));
}

/// The quoted words of a file's SQL.
fn quoted(source: &str) -> impl Iterator<Item = &str> {
    let word = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'_');
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split('\'').skip(1).step_by(2)).filter(word)
}

#[test]
fn sql_names_no_word_that_the_enums_lack() {
    // What is no enum's: switches of the databases, the name of a table, the one row of one.
    let mut known: BTreeSet<&str> =
        ["synchronous_commit", "transaction_read_only", "table", "runs", "on", "off", "one"].into();
    let enums = [
        State::WORDS,
        Trigger::WORDS,
        EscalationState::WORDS,
        StepState::WORDS,
        EventOutcome::WORDS,
        PageState::WORDS,
        TaskKind::WORDS,
        Kind::WORDS,
        EntryKind::WORDS,
        Source::WORDS,
    ];
    known.extend(enums.into_iter().flatten().copied());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/store/src");
    let (mut files, mut words) = (0, BTreeSet::new());
    for file in std::fs::read_dir(folder).expect("crates/store/src").map(|entry| entry.expect("a file").path()) {
        if file.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        files += 1;
        let source = std::fs::read_to_string(&file).expect("text");
        for word in quoted(&source) {
            assert!(known.contains(word), "{word:?} in {} is no enum's word", file.display());
            words.insert(word.to_owned());
        }
    }
    assert!(files > 10 && words.contains("suppressed"), "{files} files, {words:?}");
}
