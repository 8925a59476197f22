//! Notes are read at three in the morning: what to do comes first, each thing once, in plain words.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::heads::{cases, pages};
use super::reading::notes;
use super::*;
use crate::diagnosis::client::ClientFinding;
use crate::diagnosis::note::short::tests::all_short_notes;
use crate::diagnosis::{Finding, Rule};
use crate::plain::hard_words;

/// How what to do now may begin: with what a person can do, or that there is nothing to do.
const IMPERATIVES: &[&str] = &[
    "ask ",
    "bring up ",
    "check ",
    "deal with ",
    "find ",
    "follow ",
    "handle ",
    "look at ",
    "look for ",
    "look yourself ",
    "nothing",
    "page ",
    "reach ",
    "read ",
    "run the ",
    "skip ",
    "start with ",
    "stay in touch ",
    "wait",
    "write ",
];

/// The runbook's end of its step about konicle: a person who does that step must not have to go back to the second line for it.
const LAST_RESORT: &str = "If you can't fix it, page Registry";

fn is_imperative(line: &str) -> bool {
    line.strip_prefix("Do now: ").is_some_and(|words| IMPERATIVES.iter().any(|start| words.starts_with(start)))
}

/// Every note that the tests write: of each verdict with each finding and page, and those to be read.
fn every_note() -> impl Iterator<Item = (&'static str, &'static str)> {
    static NOTES: LazyLock<Vec<(String, String)>> = LazyLock::new(write_every_note);
    NOTES.iter().map(|(name, note)| (name.as_str(), note.as_str()))
}

/// The short ones beside them.
fn every_text() -> impl Iterator<Item = (&'static str, String)> {
    every_note().map(|(name, note)| (name, note.to_owned())).chain(all_short_notes())
}

fn write_every_note() -> Vec<(String, String)> {
    let (links, reasons) = (Links::default(), ["a first reason".to_owned(), "a second".to_owned()]);
    let related = fixtures::related();
    let mut all: Vec<(String, String)> = notes().into_iter().map(|(name, note)| (name.to_owned(), note)).collect();
    cases(|name, diagnosis| {
        for (page_name, page) in pages(&reasons) {
            let base = || Context { page: page.clone(), ..fixtures::context(&links) };
            let closed = Some(fixtures::at("2026-08-14T03:14:35Z"));
            for (what, context) in [
                ("", base()),
                ("closed", Context { resolved_at: closed, ..base() }),
                ("pages open", Context { related: Ok(&related), ..base() }),
                ("pages open, closed", Context { related: Ok(&related), resolved_at: closed, ..base() }),
            ] {
                all.push((format!("{name} {page_name} {what}"), write(diagnosis, &context)));
            }
        }
    });
    client::every_finding(|case| all.push((format!("client {:?}", case.diagnosis.client), case.note.to_owned())));
    all
}

/// The text without its addresses and without what is to be copied: those are nobody's sentences.
fn prose(note: &str) -> String {
    let is_command = |line: &&str| line.starts_with("   kubectl ") || line.starts_with("   curl ");
    let word = |word: &str| if word.contains("://") { "" } else { word }.to_owned();
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    note.lines().filter(|l| !is_command(l)).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_second_line_is_what_a_person_can_do() {
    for (name, note) in every_text() {
        let second = note.lines().nth(1).unwrap_or_default();
        assert!(is_imperative(second), "{name}: {second}");
    }
}

/// The first 15 lines are enough: who is to be paged, and with which Magic Box IDs.
#[test]
fn owner_and_ids_stand_within_the_first_fifteen_lines() {
    for (name, note) in every_note() {
        let lines: Vec<&str> = note.lines().collect();
        let start = lines.iter().position(|line| *line == "WHO TO PAGE").expect("the part");
        let part: Vec<&str> = lines[start..].iter().copied().take_while(|line| !line.is_empty()).collect();
        assert!(start + part.len() <= 15, "{name}: {note}");
        let part = part.join("\n");
        let has_owner = part.contains(SERVICE_ENDPOINT) || part.contains("Registry") || part.contains("obody");
        let has_ids =
            part.contains("Magic Box IDs") && (part.contains("- us-south-dal") || part.contains("No Magic Box IDs"));
        assert!(has_owner && has_ids, "{name}: {note}");
    }
}

#[test]
fn a_note_of_three_zones_has_45_lines_at_most() {
    for (name, note) in notes() {
        // What is to be read: a blank line is a pause.
        let lines = note.lines().filter(|line| !line.is_empty()).count();
        assert!(lines <= 45, "{name} has {lines}:\n{note}");
    }
}

#[test]
fn no_sentence_stands_twice() {
    for (name, note) in every_note() {
        let mut seen = HashSet::new();
        for line in prose(note).lines() {
            // A line a box or a zone is one statement, whatever it has in common with the next.
            let parts = if line.starts_with("- ") {
                line.to_owned()
            } else {
                line.replace(": ", ".\n").replace("; ", ".\n").replace(". ", ".\n")
            };
            for sentence in parts.lines() {
                let sentence = sentence.trim().trim_end_matches(['.', ':', ';']);
                // Zones with their statuses are named where they must be.
                let is_word = |word: &&str| !word.starts_with("registry-") && !word.starts_with('(');
                let is_last_resort = sentence == LAST_RESORT;
                if !is_last_resort && sentence.split(' ').filter(is_word).count() > 3 {
                    assert!(seen.insert(sentence.to_owned()), "{name}: {sentence:?} twice in\n{note}");
                }
            }
        }
    }
}

#[test]
fn no_sentence_has_a_word_of_the_api() {
    let words = [Finding::WORDS, BrokenAt::WORDS, Rule::WORDS, ClientFinding::WORDS, VerdictKind::WORDS];
    let words: Vec<&str> = words.concat().into_iter().filter(|word| word.contains(['-', '_'])).collect();
    assert!(words.len() > 15, "{words:?}");
    for (name, note) in every_text() {
        let prose = prose(&note);
        for word in &words {
            assert!(!prose.contains(word), "{name}: {word} in\n{note}");
        }
    }
}

#[test]
fn words_that_were_hard_to_read_do_not_come_back() {
    for (name, note) in every_text() {
        let prose = prose(&note);
        let hard = hard_words(&prose);
        assert!(hard.is_empty() && !prose.contains("Rule: "), "{name}: {hard:?} in\n{note}");
    }
}

/// Contract: where the path is whole nobody is alarmed by the runbook's rule.
#[test]
fn the_first_line_does_not_shout_registry_where_the_path_looks_whole() {
    for (name, note) in every_note() {
        let mut lines = note.lines();
        let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        assert!(!(first.contains("REGISTRY") && second.contains("path looks whole")), "{name}: {first}\n{second}");
    }
}

/// The day is said once, and the times are in their order.
#[test]
fn times_are_in_order_and_their_day_is_said_once() {
    for (name, note) in notes() {
        let (before, times) = note.split_once("\nWHEN (2026-08-14, UTC)\n").expect("the times");
        let times = times.split("\nLINKS\n").next().unwrap_or_default();
        let times: Vec<&str> = times.lines().filter_map(|line| line.get(2..10)).collect();
        assert!(times.len() > 1 && times.is_sorted(), "{name}: {times:?}");
        assert!(times.iter().all(|time| time.matches(':').count() == 2), "{name}: {times:?}");
        assert!(!before.contains("2026-08-14"), "{name}: {before}");
    }
}

/// Contract 5: "Where other regions alert within five minutes the fourth line says so, unless the second does."
#[test]
fn the_fourth_line_names_regions_that_alert_at_once() {
    let links = Links::default();
    let regions: Vec<Region> = ["prod-a", "prod-b", "prod-c", "prod-d"].map(fixtures::region).into();
    let fourth = |d: &crate::diagnosis::Diagnosis, at_once: &[Region], related: Result<&[_], &str>| {
        let related: Result<&[crate::diagnosis::RelatedPage], &str> = related;
        let other_regions = &regions;
        let note = write(d, &Context { other_regions, at_once, related, ..fixtures::context(&links) });
        check_shape(&note);
        (note.lines().nth(3).unwrap_or_default().to_owned(), note)
    };
    let (kind, rule, variants) = VERDICTS[7];
    let rejecting = fixtures::uniform(kind, rule, &variants[0], Finding::Healthy);
    let (line, note) = fourth(&rejecting, &regions[..1], Ok(&[]));
    assert_eq!(line, "1 other region alerts within 5 min of this one, likely one cause: prod-a.");
    assert!(
        note.contains("\n3 more regions alert now, from another time than this one: prod-b, prod-c, prod-d.\n"),
        "{note}"
    );
    let (line, note) = fourth(&rejecting, &regions, Ok(&[]));
    assert_eq!(line, "4 other regions alert within 5 min of this one, likely one cause: prod-a, prod-b, prod-c, ….");
    assert!(!note.contains("from another time"), "{note}");
    let (line, note) = fourth(&rejecting, &[], Ok(&[]));
    assert_eq!(line, "", "none at once: {note}");
    assert!(note.contains("\n4 other regions alert now, from another time than this one: prod-a, "), "{note}");
    // The second line says it where it is about the client, and only there.
    let (kind, rule, variants) = VERDICTS[4];
    let whole = fixtures::uniform(kind, rule, &variants[0], Finding::Healthy);
    let (line, note) = fourth(&whole, &regions[..2], Ok(&[]));
    assert_eq!(line, "", "{note}");
    let second = note.lines().nth(1).unwrap_or_default();
    let cause = "within 5 min of this one, likely one cause";
    assert!(
        second.ends_with(&format!("4 other regions alert now (2 of them {cause}): prod-a, prod-b, prod-c, ….")),
        "{second}"
    );
    // Those that alert at once are named first; where all do, none is told apart.
    for (at_once, says) in [
        (&regions[3..], format!("4 other regions alert now (1 of them {cause}): prod-d, prod-a, prod-b, ….")),
        (&regions[..], format!("4 other regions alert now ({cause}): prod-a, prod-b, prod-c, ….")),
        (&[], "4 other regions alert now: prod-a, prod-b, prod-c, ….".to_owned()),
    ] {
        let (line, note) = fourth(&whole, at_once, Ok(&[]));
        let second = note.lines().nth(1).unwrap_or_default();
        assert!(line.is_empty() && second.ends_with(&says), "{says}: {second}");
    }
    let (line, _) = fourth(&whole, &regions[..2], Ok(&fixtures::related()));
    assert_eq!(line, "2 other regions alert within 5 min of this one, likely one cause: prod-a, prod-b.");
}
