//! README and docs/ say what is so: links, settings, metrics, verdicts, notes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use futures::{StreamExt, stream};
use runbook::diagnosis::{Rule, VerdictKind};
use se_responder::metrics;
use simulators::course;
use simulators::scenario::SCENARIOS;

use crate::harness::Stage;

/// README and the manual's pages, by their paths from the repository's root.
pub(crate) fn pages() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(PathBuf::from).into();
    for folder in ["docs", "docs/decisions"] {
        let pages = fs::read_dir(root.join(folder)).expect("a folder of pages");
        paths.extend(pages.map(|entry| Path::new(folder).join(entry.expect("an entry").file_name())));
    }
    paths.retain(|path| path.extension().is_some_and(|e| e == "md"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root.join(&path)).expect("a page");
        (path.to_str().expect("UTF-8").to_owned(), text)
    };
    paths.into_iter().map(read).collect()
}

/// A page without its fenced blocks, and those: the words behind the fence, and what is in it.
pub(crate) fn fenced(text: &str) -> (String, Vec<(String, String)>) {
    let (mut prose, mut blocks) = (String::new(), Vec::new());
    let mut block: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), block.take()) {
            (Some(_), Some(done)) => blocks.push(done),
            (Some(words), None) => block = Some((words.to_owned(), String::new())),
            (None, Some((words, inside))) => block = Some((words, format!("{inside}{line}\n"))),
            (None, None) => prose.push_str(&format!("{line}\n")),
        }
    }
    assert!(block.is_none(), "a block is not closed");
    (prose, blocks)
}

/// The anchors of a page, as GitHub makes them of its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = fenced(text).0;
    let heading = |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim().to_lowercase());
    let anchor = |heading: String| -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.lines().filter_map(heading).map(anchor).collect()
}

/// The words in backticks of a page's prose.
fn quoted(prose: &str) -> Vec<&str> {
    prose.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_link_leads_to_something() {
    let pages = pages();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (path, text) in &pages {
        let prose = fenced(text).0;
        for target in prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target) {
            if target.contains("://") {
                continue;
            }
            seen += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let to = match file {
                "" => root.join(path),
                file => root.join(path).parent().expect("a folder").join(file),
            };
            let whole = fs::canonicalize(&to).unwrap_or_default();
            let is_there = whole.exists()
                && (anchor.is_empty() || anchors(&fs::read_to_string(&whole).expect("a page")).contains(anchor));
            if !is_there {
                wrong.push(format!("{path}: {target}"));
            }
        }
    }
    assert!(seen > 50, "links are not found: {seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// All of our own code below a folder, by path.
fn code(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            code(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("code");
            found.push((path, text));
        }
    }
}

/// Files of code are named by the end of their path.
#[test]
fn every_file_of_code_that_is_named_is_one() {
    let mut all = Vec::new();
    for folder in ["src", "tests", "crates", "benches"] {
        code(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut all);
    }
    let is_path = |word: &&str| word.ends_with(".rs") && word.contains('/') && !word.contains(['*', ' ', '<']);
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (path, text) in &pages() {
        for word in quoted(&fenced(text).0).into_iter().filter(is_path) {
            seen += 1;
            // By whole folders: `Path::ends_with` does not match half a name.
            if !all.iter().any(|(file, _)| file.ends_with(word)) {
                wrong.push(format!("{path}: {word}"));
            }
        }
    }
    assert!(seen > 15, "files are not found: {seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Comments and tests say where a rule stands: the manual's page, and its heading as an anchor.
#[test]
fn every_heading_that_the_code_cites_is_one() {
    let pages = pages();
    let anchors: BTreeMap<&str, BTreeSet<String>> = pages
        .iter()
        .filter_map(|(path, text)| Some((path.strip_prefix("docs/")?.strip_suffix(".md")?, anchors(text))))
        .collect();
    let mut all = Vec::new();
    for folder in ["src", "tests", "crates"] {
        code(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut all);
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (path, text) in &all {
        for (at, sign) in text.match_indices(".md#") {
            let page = text[..at].rsplit(|c| !is_part(c)).next().unwrap_or_default();
            let anchor = text[at + sign.len()..].split(|c| !is_part(c)).next().unwrap_or_default();
            if page.is_empty() {
                continue;
            }
            seen += 1;
            if !anchors.get(page).is_some_and(|anchors| anchors.contains(anchor)) {
                wrong.push(format!("{}: {page}{sign}{anchor}", path.display()));
            }
        }
    }
    assert!(seen > 30, "citations are not found: {seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_index_names_every_page() {
    let pages = pages();
    for (folder, page) in pages.keys().filter_map(|path| path.rsplit_once('/')) {
        let index = format!("{folder}/README.md");
        assert!(page == "README.md" || pages[&index].contains(&format!("]({page})")), "{page} is not in {index}");
    }
    assert!(pages["docs/README.md"].contains("](decisions/README.md)"));
    assert!(pages["README.md"].contains("](docs/README.md)"));
}

/// `docs/settings.md` is held against the code where settings are read; every other page against it.
#[test]
fn every_setting_that_is_named_is_one() {
    let pages = pages();
    let row = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    let known: BTreeSet<String> = pages["docs/settings.md"].lines().filter_map(row).collect();
    // Of the system, of tools and of tests.
    let system = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NO_COLOR", "NAME_FILE"];
    let tests = [
        "INSTA_UPDATE",
        "KILL_LIVES",
        "KILL_SEED",
        "KILL_SOAK",
        "KILL_STRIDE",
        "SEARCH_SEED",
        "STORIES_ON",
        "STORIES_SEED",
    ];
    let others = [&system[..], &tests].concat();
    let is_name = |word: &str| {
        word.contains('_') && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_' || b.is_ascii_digit())
    };
    let mut wrong = Vec::new();
    for (path, text) in &pages {
        let prose = fenced(text).0;
        let names = quoted(&prose).into_iter().flat_map(|q| q.split(['=', ' ', '/']));
        // OpenTelemetry's library reads its own.
        for word in names.filter(|word| is_name(word) && !word.starts_with("OTEL_")) {
            let name = word.strip_suffix("_FILE").filter(|name| known.contains(*name)).unwrap_or(word);
            if !known.contains(name) && !others.contains(&word) {
                wrong.push(format!("{path}: {word}"));
            }
        }
    }
    assert!(known.len() > 40, "settings are not found: {known:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// `docs/metrics.md` is held against the code beside the metrics; alert rules and other pages here.
#[test]
fn every_metric_that_is_named_is_one() {
    let of = |name: &str| metrics::ALL.into_iter().find(|metric| metric.0 == name);
    let mut seen = 0;
    for (path, text) in pages() {
        for found in text.split("se_responder_").skip(1) {
            let end = found.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(found.len());
            let name = format!("se_responder_{}", &found[..end]);
            let base = name.strip_suffix("_bucket").unwrap_or(&name);
            let metric = of(base).unwrap_or_else(|| panic!("{path}: {name} is no metric"));
            // A label's value is one of its words, where it is the label that has a fixed list.
            for word in
                found[end..].strip_prefix('{').and_then(|l| l.split_once('}')).into_iter().flat_map(|(labels, _)| {
                    labels.split(',').filter_map(|l| l.split_once("=\"")).filter(|(label, _)| *label == metric.3)
                })
            {
                let value = word.1.trim_end_matches('"');
                assert!(metric.4.contains(&value), "{path}: {name} has no {}={value}", metric.3);
            }
            seen += 1;
        }
    }
    assert!(seen > 25, "metrics are not found: {seen}");
}

#[test]
fn every_verdict_has_its_section() {
    let text = &pages()["docs/verdicts.md"];
    let mut headings: Vec<&str> = text.lines().filter(|line| line.starts_with("## ")).collect();
    headings.sort_unstable();
    // What rules can come to; the compiler shows a new rule here.
    let kinds = |rule: Rule| match rule {
        Rule::NoReading | Rule::IncompleteReading => vec![VerdictKind::Inconclusive],
        Rule::MixedStatus => vec![VerdictKind::Mixed],
        Rule::RecoveredOnRerun => vec![VerdictKind::Transient],
        Rule::AllSeAccepting | Rule::AllSeRejectingUpstreamDown => vec![VerdictKind::Registry],
        Rule::AllSeRejectingUpstreamUp => vec![VerdictKind::Transient, VerdictKind::ServiceEndpoint],
    };
    let rules: BTreeSet<&str> = SCENARIOS.iter().map(|s| s.expected.rule.as_str()).collect();
    let named = SCENARIOS.iter().map(|s| s.expected.rule);
    let mut wanted: Vec<String> = named
        .flat_map(|rule| {
            kinds(rule).into_iter().map(move |kind| format!("## `{}`: `{}`", kind.as_str(), rule.as_str()))
        })
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    assert_eq!(rules.len(), 7, "a scenario for every rule");
    assert_eq!(headings, wanted);
}

#[test]
fn every_turn_of_an_alerts_life_is_listed() {
    let pages = pages();
    let played: BTreeSet<&str> = SCENARIOS.iter().filter(|s| course::of(s).is_some()).map(|s| s.name).collect();
    let rows = pages["docs/quick-start.md"].lines().filter(|line| line.starts_with("| "));
    let listed = rows.filter_map(|line| line.split('|').nth(2)).flat_map(quoted);
    assert_eq!(listed.collect::<BTreeSet<_>>(), played, "docs/quick-start.md");
    let (_, promises) =
        pages["docs/contract-tests.md"].split_once("## The lifecycle of an alert, played").expect("its section");
    let promised = promises.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(promised.collect::<BTreeSet<_>>(), played, "docs/contract-tests.md");
}

/// Examples are marked with the command that shows them: each of their lines is one of its note, in its order.
#[tokio::test(flavor = "multi_thread")]
async fn notes_that_are_shown_are_the_demos() {
    let pages = pages();
    let shown = ["docs/verdicts.md", "README.md"].into_iter().flat_map(|page| fenced(&pages[page]).1);
    let examples: Vec<(String, String)> = shown
        .filter_map(|(words, text)| Some((words.strip_prefix("text demo --scenario ")?.to_owned(), text)))
        .collect();
    assert_eq!(examples.len(), 8, "seven verdicts and README's");
    stream::iter(examples)
        .for_each_concurrent(4, async |(scenario, text)| {
            let stage = Stage::of(&scenario, &[]).await;
            let run = stage.diagnosed().await;
            let note = stage.note_of(&run).content;
            let mut lines = note.lines();
            for line in text.lines().filter(|line| !line.starts_with("[…") && !line.starts_with("run ")) {
                // Cut lines, and a second line of what was left out in words.
                let shown = |l: &str| plain(l) == plain(line);
                assert!(lines.any(shown), "{scenario} shows no (more)\n{line}\nin\n{note}");
            }
        })
        .await;
}

/// Without the numbers that PagerDuty gives, and without the time of the next look.
fn plain(line: &str) -> String {
    let line = line.split("QSIM").next().unwrap_or_default();
    line.split("looks again ").next().unwrap_or_default().to_owned()
}
