//! Every short note is held against the table of facts; inline snapshots show how they read.

mod edit;
mod reading;

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::facts::SHORT;
use super::*;
use crate::command;
use crate::diagnosis::Finding;
use crate::diagnosis::note::fixtures::{self, ALERT_TITLE, ALERT_URL, RUN_URL, VERDICTS, at};
use crate::diagnosis::note::tests::hostile_text;

const PAGE: &str = "https://ibm.pagerduty.com/incidents/Q9PAGE";

/// What holds for any short note.
fn check_short(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() >= 3, "{text}");
    assert!(text.chars().count() <= MAX_NOTE, "{} characters", text.chars().count());
    assert!(lines[0].chars().count() <= MAX_FIRST_LINE, "{}", lines[0]);
    assert!(lines[1].starts_with("Do now: "), "{}", lines[1]);
    assert!(lines[..3].iter().any(|l| l.to_lowercase().contains("page")), "{text}");
    assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || "\u{202e}\u{200b}\u{2028}".contains(c)), "{text}");
    assert!(!text.lines().any(|l| l.trim_start().starts_with("run ") || l.trim() == "run"), "{text}");
    assert_eq!(command::word(text), None, "{text}");
    assert!(text.lines().all(|l| command::word(l).is_none()), "{text}");
}

/// The words that a sample is written with.
#[derive(Clone, Debug)]
struct Words<'a> {
    region: &'a str,
    user: &'a str,
    word: Option<&'a str>,
    text: Option<&'a str>,
    page_url: &'a str,
    run_url: &'a str,
}

const USUAL: Words<'_> =
    Words { region: "prod-us-south", user: "Jane Doe", word: None, text: None, page_url: PAGE, run_url: RUN_URL };

fn transient() -> Diagnosis {
    let (kind, rule, variants) = VERDICTS[6];
    fixtures::uniform(kind, rule, &variants[0], Finding::Healthy)
}

/// Each short note, by the name of its row.
fn samples(w: &Words<'_>) -> Vec<(&'static str, String)> {
    let region = fixtures::region(w.region);
    let or = |usual: &'static str| w.text.unwrap_or(usual).to_owned();
    let mut pages = fixtures::related();
    if let Some(text) = w.text {
        pages = vec![RelatedPage { id: text.into(), title: text.into(), html_url: text.into() }; 30];
    }
    let (look, settle, latest) = (Duration::from_secs(30), Duration::from_secs(120), at("2026-08-14T03:27:05Z"));
    let (known, awaited) = (vec![or("no related page is open")], vec![or("the second of 3 readings")]);
    let until = at("2026-08-14T03:19:05Z");
    let first = transient();
    let (opened, resolved) = (Some(at("2026-08-14T03:12:05Z")), at("2026-08-14T03:54:15Z"));
    let alert = (or(ALERT_TITLE), or(ALERT_URL));
    let minutes = Duration::from_secs(600);
    let mut all = vec![
        ("suppressed", suppressed(&region, &pages, look, settle, latest, w.run_url)),
        ("suppressed by one", suppressed(&region, &pages[..1], look, settle, latest, w.run_url)),
        ("early, transient", early(&region, Some(&first), &[], &known, &awaited, until, w.run_url)),
        ("early, nothing yet", early(&region, None, &[], &known, &awaited, until, w.run_url)),
        ("early, pages open", early(&region, None, &pages, &known, &awaited, until, w.run_url)),
        ("unacknowledged", still_unacknowledged(&region, w.page_url, minutes, w.run_url)),
        ("acknowledged", acknowledged(&region, w.page_url, w.user, Duration::from_secs(200), w.run_url)),
        ("alert over", alert_over_on_page(&region, &alert.0, &alert.1, opened, resolved, w.run_url)),
    ];
    let (run_url, page_url) = (w.run_url, w.page_url);
    let (running, done, verdict) = (
        or("running"),
        or("done"),
        or("all 3 boxes have SE status 0, but 3 have upstream status 1: it persists, so this is an SE problem"),
    );
    let (why, by, disabled) = (or("related pages are open\nits evidence is old"), or("Jane Doe"), or("it is disabled"));
    let held = PageStatus::Held { why: Some(&why) };
    let open = |acknowledged_by, problem| PageStatus::Open { page_url, acknowledged_by, problem };
    let status =
        |page, held_by| CommandAnswer::Status { state: Some(&done), verdict: Some(&verdict), page, held_by, run_url };
    let (refused, full) = (or("402 Payment Required"), or("the store is full"));
    let answers = [
        ("/rerun", "rerun", CommandAnswer::Rerun { run_url }),
        ("/rerun, active", "rerun", CommandAnswer::RerunActive { run_url }),
        ("/escalate", "/escalate", CommandAnswer::Escalating { page_url: None }),
        ("/escalate, paged", "escalate", CommandAnswer::Escalating { page_url: Some(page_url) }),
        ("/escalate, before", "/Escalate.", CommandAnswer::PagedAlready { page_url }),
        ("/hold", "hold", CommandAnswer::Held),
        ("/status", "status", status(held, None)),
        ("/status, /hold", "status", status(PageStatus::None, Some(&by))),
        ("/status, suggested", "status", status(PageStatus::Suggested, None)),
        ("/status, opening", "status", status(PageStatus::Opening, None)),
        ("/status, paged", "status", status(open(None, Some(&disabled)), None)),
        ("/status, acknowledged", "status", status(open(Some(&by), None), None)),
        ("/status, failed", "status", status(PageStatus::Failed { why: Some(&disabled) }, None)),
        (
            "/status, early",
            "status",
            CommandAnswer::Status {
                state: Some(&running),
                verdict: None,
                page: PageStatus::None,
                held_by: None,
                run_url,
            },
        ),
        ("/help", "/help", CommandAnswer::Unknown),
        ("too old", "escalate", CommandAnswer::TooOld),
        ("closed", "rerun", CommandAnswer::Closed),
        ("not allowed", "hold", CommandAnswer::NotAllowed),
        ("/escalate, failed", "escalate", CommandAnswer::Failed { why: &refused }),
        ("/rerun, failed", "rerun", CommandAnswer::Failed { why: &full }),
    ];
    all.extend(
        answers.map(|(name, word, answer)| (name, command_answer(&region, w.user, w.word.unwrap_or(word), &answer))),
    );
    all
}

/// Every short note, by its name, in its usual words.
pub(in crate::diagnosis::note) fn all_short_notes() -> Vec<(&'static str, String)> {
    samples(&USUAL)
}

#[test]
fn every_short_note_says_what_its_row_says() {
    let samples = samples(&USUAL);
    let names: Vec<_> = samples.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, SHORT.iter().map(|f| f.note).collect::<Vec<_>>());
    for ((name, text), fact) in samples.iter().zip(SHORT) {
        check_short(text);
        let first = text.lines().take(3).collect::<Vec<_>>().join("\n");
        for (words, place) in [(fact.first, &first), (fact.anywhere, text)] {
            for word in words {
                assert!(place.contains(word), "{name}: {word:?} ({}) in\n{place}", fact.source);
            }
        }
        let third = text.lines().nth(2).unwrap_or_default();
        assert_eq!(third.starts_with("Paged: "), fact.paged, "{name}: {third}");
        assert!(text.chars().count() < 1_500, "{name} is not short: {text}");
    }
}

#[test]
fn a_late_command_is_told_how_late_is_too_late() {
    let text = command_answer(&fixtures::region("prod-us-south"), "Jane", "rerun", &CommandAnswer::TooOld);
    assert!(text.contains(&format!("more than {} minutes", command::MAX_AGE.as_secs() / 60)), "{text}");
}

#[test]
fn what_is_not_known_is_left_out() {
    let region = fixtures::region("prod-us-south");
    let until = at("2026-08-14T03:19:05Z");
    let blank = early(&region, None, &[], &[], &[" ".into()], until, "");
    check_short(&blank);
    assert!(blank.contains("KNOWN SO FAR\n- Nothing.\n"), "{blank}");
    assert!(blank.ends_with("WAITING FOR (by 03:19:05)\n- The diagnosis."), "{blank}");
    let over = alert_over_on_page(&region, ALERT_TITLE, ALERT_URL, None, until, "");
    assert!(over.starts_with("RESOLVED: registry's SE alert for prod-us-south is over\n"), "{over}");
    assert!(!over.contains("had opened"), "{over}");
    let by = acknowledged(&region, PAGE, "\u{200b}\n", Duration::ZERO, "");
    assert!(by.contains(", by somebody\n"), "{by}");
    let paged = command_answer(&region, "Jane", "escalate", &CommandAnswer::PagedAlready { page_url: "" });
    assert!(paged.ends_with("before. No second page was opened."), "{paged:?}");
    let none = suppressed(&region, &[], Duration::ZERO, Duration::ZERO, Timestamp::MAX, "");
    check_short(&none);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_name_breaks_a_short_note(
        text in hostile_text(),
        user in hostile_text(),
        word in hostile_text(),
        region in "[a-z0-9-]{1,400}",
    ) {
        let words = Words { region: &region, user: &user, word: Some(&word), text: Some(&text), page_url: &text, run_url: &text };
        for (name, note) in samples(&words) {
            check_short(&note);
            let first = note.lines().next().unwrap_or_default();
            let shown: String = region.chars().take(44).collect();
            prop_assert!(first.contains(&shown), "{}: {}", name, first);
        }
    }

    #[test]
    fn no_name_is_taken_for_a_command_or_the_last_line(user in prop_oneof![Just("run 0198"), Just("/hold"), Just("\n/escalate\n")]) {
        for (_, note) in samples(&Words { user, ..USUAL }) {
            check_short(&note);
        }
    }
}

#[test]
fn a_long_name_gives_way_to_our_words_on_the_first_line() {
    let long = "n".repeat(300);
    for (name, text) in samples(&Words { user: &long, ..USUAL }) {
        check_short(&text);
        let first = text.lines().next().unwrap_or_default();
        if first.contains("nnn") {
            assert_eq!(first.chars().count(), MAX_FIRST_LINE, "{name}: all the room is used: {first}");
            assert!(first.ends_with("n…)") || name == "acknowledged" && first.ends_with("n…"), "{name}: {first}");
        } else {
            assert!(!name.starts_with('/') && name != "acknowledged", "{name}: {first}");
        }
    }
}
