//! What is added to a diagnosis note later.

use proptest::prelude::*;

use super::super::*;
use crate::diagnosis::note::fixtures::{self, RUN, VERDICTS, at};
use crate::diagnosis::note::tests::hostile_text;
use crate::diagnosis::note::{Context, write};
use crate::diagnosis::{Diagnosis, Finding};
use crate::links::Links;

fn written(d: &Diagnosis, change: impl Fn(&mut Context<'_>)) -> String {
    let links = Links::default();
    let mut context = fixtures::context(&links);
    context.page = fixtures::usual_news(d.verdict.kind);
    change(&mut context);
    write(d, &context)
}

fn note() -> String {
    let (kind, rule, variants) = VERDICTS[7];
    written(&fixtures::uniform(kind, rule, &variants[0], Finding::Healthy), |_| {})
}

fn check_note(text: &str) {
    assert!(text.chars().count() <= MAX_NOTE, "{} characters", text.chars().count());
    assert!(text.lines().next().unwrap_or_default().chars().count() <= MAX_FIRST_LINE, "{text}");
    assert!(text.ends_with(&format!("\n\nrun {RUN}")), "{text}");
    assert_eq!(text.lines().filter(|l| l.starts_with("run ")).count(), 1, "{text}");
    assert!(!text.contains("\n\n\n"), "{text}");
}

fn resolve(text: &str) -> String {
    let time = |t: &str| at(&format!("2026-08-14T03:{t}Z"));
    let jane = Some((time("18:10"), "Jane Doe".to_owned()));
    with_resolution(text, Some(time("12:05")), Some(time("15:07")), Some(time("15:09")), jane, time("54:15"))
}

/// The lines of `after` that `before` lacks.
fn added(before: &str, after: &str) -> String {
    let before: Vec<_> = before.lines().collect();
    after.lines().filter(|l| !before.contains(l)).collect::<Vec<_>>().join("\n")
}

/// lifecycle.md#looking-again: it edits the last note (the time, "unchanged").
#[test]
fn a_follow_up_that_finds_nothing_new_is_one_line() {
    let note = note();
    let once = with_unchanged(&note, at("2026-08-14T03:25:07Z"), None);
    check_note(&once);
    assert_eq!(added(&note, &once), "Looked again 03:25:07 UTC: unchanged.");
    assert!(once.ends_with(&format!("\n\nLooked again 03:25:07 UTC: unchanged.\n\nrun {RUN}")), "{once}");
    assert_eq!(with_unchanged(&once, at("2026-08-14T03:25:07Z"), None), once);
    let twice = with_unchanged(&once, at("2026-08-14T03:35:07Z"), None);
    assert_eq!(twice, with_unchanged(&note, at("2026-08-14T03:35:07Z"), None), "the later time replaces the earlier");
}

/// Where all is healthy again the note says when this service looks again: an edit says the next time, or that there is none.
#[test]
fn a_follow_up_says_when_the_next_one_is() {
    let (kind, rule, variants) = VERDICTS[3];
    let d = fixtures::uniform(kind, rule, &variants[0], Finding::Healthy);
    let second = |text: &str| text.lines().nth(1).map(str::to_owned).unwrap_or_default();
    let note = written(&d, |c| c.looks_again_at = Some(at("2026-08-14T03:25:07Z")));
    assert_eq!(second(&note), "Do now: nothing, if the alert resolves; this service looks again at 03:25 UTC.");
    let once = with_unchanged(&note, at("2026-08-14T03:25:09Z"), Some(at("2026-08-14T03:35:09Z")));
    assert_eq!(second(&once), "Do now: nothing, if the alert resolves; this service looks again at 03:35 UTC.");
    let last = with_unchanged(&once, at("2026-08-14T03:35:12Z"), None);
    assert_eq!(second(&last), "Do now: nothing, if the alert resolves; if it stays open, reply /rerun.");
    assert!(
        second(&resolve(&last)).ends_with("Before: nothing, if the alert resolves; if it stays open, reply /rerun.")
    );
}

#[test]
fn the_times_of_the_rca() {
    let note = note();
    let after = resolve(&note);
    check_note(&after);
    insta::assert_snapshot!(added(&note, &after), @r"
    RESOLVED after 42 min 10 s · SERVICE ENDPOINT problem in prod-us-south: every Magic Box rejects connections
    Do now: nothing urgent, the alert has closed. Before: page Cloud Service Endpoint with the Magic Box IDs below.
    TIMELINE (UTC, for the RCA)
    - 03:15:07 diagnosed, after 3 min 2 s
    - 03:15:09 Cloud Service Endpoint paged, after 3 min 4 s
    - 03:18:10 page acknowledged by Jane Doe, after 6 min 5 s
    - 03:54:15 alert resolved, after 42 min 10 s
    ");
    assert_eq!(resolve(&after), after, "again, the same");
    assert!(added(&after, &note).lines().count() == 2, "two lines are changed, none is lost: {after}");
}

#[test]
fn the_edits_go_together_in_any_order() {
    let note = note();
    let time = at("2026-08-14T03:25:07Z");
    let one = resolve(&with_unchanged(&note, time, None));
    let other = with_unchanged(&resolve(&note), time, None);
    check_note(&one);
    assert_eq!(one, other);
    assert_eq!(one.matches("TIMELINE").count(), 1);
    assert_eq!(one.matches("Looked again").count(), 1);
    // What a line comes back as is the other side's choice.
    assert_eq!(resolve(&one.replace('\n', "\r\n")), one);
}

#[test]
fn what_never_happened_is_said_and_what_is_unknown_too() {
    let resolved = at("2026-08-14T03:54:15Z");
    let paged = at("2026-08-14T03:15:09Z");
    let nobody = with_resolution(&note(), None, None, None, None, resolved);
    check_note(&nobody);
    assert!(nobody.starts_with("RESOLVED · SERVICE ENDPOINT problem in prod-us-south: every"), "{nobody}");
    assert!(nobody.contains(
        "TIMELINE (UTC, for the RCA)\n- 03:54:15 alert resolved\n- When the alert opened is not known.\n\
         - Nobody was paged by this service.\n\n"
    ));
    let silent = with_resolution(&nobody, Some(paged), None, Some(paged), None, resolved);
    assert!(silent.starts_with("RESOLVED after 39 min 6 s · SERVICE ENDPOINT problem"), "{silent}");
    assert!(silent.contains("- Nobody was seen to acknowledge the page."), "{silent}");
    assert!(!silent.contains("not known") && !silent.contains("by this service.\n"), "{silent}");
    // An acknowledged page that this service did not open is not "nobody paged".
    let theirs = with_resolution(&nobody, None, None, None, Some((paged, " \n".into())), resolved);
    assert!(theirs.contains("page acknowledged by somebody"), "{theirs}");
    assert!(!theirs.contains("Nobody was paged by this service."), "{theirs}");
}

#[test]
fn a_note_that_was_written_late_keeps_its_first_lines() {
    let (kind, rule, variants) = VERDICTS[5];
    let d = fixtures::uniform(kind, rule, &variants[0], Finding::IngressDown);
    let late = written(&d, |c| c.resolved_at = Some(at("2026-08-14T03:14:35Z")));
    let after = resolve(&late);
    check_note(&after);
    let head = |t: &str| t.lines().take(3).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(head(&after), head(&late));
    assert!(after.contains("TIMELINE"), "{after}");
}

#[test]
fn a_first_line_without_room_loses_its_evidence_not_its_verdict() {
    let (kind, rule, variants) = VERDICTS[5];
    for length in [13, 36, 60, 90, 400] {
        let mut d = fixtures::uniform(kind, rule, &variants[0], Finding::Healthy);
        d.region = fixtures::region(&"r".repeat(length));
        let after = resolve(&written(&d, |_| {}));
        check_note(&after);
        assert!(after.starts_with("RESOLVED after 42 min 10 s · Probably REGISTRY in rrrr"), "{after}");
        let first = after.lines().next().unwrap_or_default();
        assert_eq!(first.ends_with(": no Magic Box gets 200 from it"), length < 60, "{first}");
        assert_eq!(first.contains(':'), length < 60, "half the evidence is none: {first}");
        assert_eq!(resolve(&after), after);
    }
}

#[test]
fn a_full_note_has_room_for_both() {
    let (kind, rule, variants) = VERDICTS[7];
    let d = fixtures::uniform(kind, rule, &variants[0], Finding::Healthy);
    let warnings = vec!["a warning of some length, which many of them make a very long note".to_owned(); 900];
    let note = written(&d, |c| c.warnings = Box::leak(warnings.clone().into_boxed_slice()));
    assert!(note.chars().count() > MAX_NOTE - 1_200, "{}", note.chars().count());
    let after = with_unchanged(&resolve(&note), at("2026-08-14T03:55:00Z"), None);
    check_note(&after);
    assert_eq!(added(&after, &note).lines().count(), 2, "nothing but the first two lines is changed");
}

#[test]
fn a_note_without_room_is_cut_and_says_so() {
    let long = format!(
        "First\nDo now: x\n- This run: https://x/runs/1\n{}\n\nrun {RUN}",
        "- a line of it\n".repeat(MAX_NOTE / 15 - 8)
    );
    let after = resolve(&with_unchanged(&long, at("2026-08-14T03:25:07Z"), None));
    check_note(&after);
    assert!(after.chars().count() > MAX_NOTE - 200, "{}", after.chars().count());
    assert!(after.contains("\n… the lines that stood here had no room. All of it: https://x/runs/1\n\n"), "{after}");
    assert!(after.contains("Looked again") && after.contains("TIMELINE"), "{after}");
}

/// A time of the alert in [`resolve`].
fn time(t: &str) -> Timestamp {
    at(&format!("2026-08-14T03:{t}Z"))
}

#[test]
fn an_edit_leaves_every_line_where_it_was() {
    let note = note();
    let line = "Looked again 03:25:07 UTC: unchanged.";
    assert_eq!(with_unchanged(&note, time("25:07"), None).replacen(&format!("{line}\n\n"), "", 1), note);
    // Lines that only begin or end as ours do are somebody's.
    let like = note.replacen("\n\nWHY", "\n\nLooked again at 3 zones\nThe zones: unchanged.\n\nWHY", 1);
    assert_ne!(like, note);
    assert_eq!(with_unchanged(&like, time("25:07"), None).replacen(&format!("{line}\n\n"), "", 1), like);
}

#[test]
fn times_of_the_rca_without_anything_after_them_are_replaced_too() {
    let note = "First\nDo now: x";
    let once = resolve(note);
    assert!(once.ends_with("alert resolved, after 42 min 10 s"), "{once}");
    assert_eq!(resolve(&once), once);
}

#[test]
fn what_came_no_later_than_the_alert_has_no_time_after_it() {
    let opened = time("12:05");
    for diagnosed in ["12:05", "12:04"] {
        let text = with_resolution(&note(), Some(opened), Some(time(diagnosed)), None, None, opened);
        assert!(text.contains(" diagnosed\n") && text.contains(" alert resolved\n"), "{text}");
    }
    let text = with_resolution(&note(), Some(opened), Some(time("12:06")), None, None, time("12:07"));
    assert!(text.contains(" diagnosed, after 1 s\n") && text.contains(" alert resolved, after 2 s\n"), "{text}");
}

#[test]
fn a_first_line_loses_its_evidence_only_when_it_has_no_room() {
    let first = |words: &str| resolve(&format!("{words}\nDo now: x\n\nrun {RUN}")).lines().next().map(str::to_owned);
    let lead = "RESOLVED after 42 min 10 s · ";
    let room = MAX_FIRST_LINE - lead.chars().count();
    let words = |length: usize| format!("MIXED in x: {}", "e".repeat(length - 12));
    assert_eq!(first(&words(room)), Some(format!("{lead}{}", words(room))));
    assert_eq!(first(&words(room + 1)), Some(format!("{lead}MIXED in x")));
    // A dot that is not ours takes nothing with it.
    assert_eq!(first("MIXED · in x"), Some(format!("{lead}MIXED · in x")));
}

#[test]
fn a_note_without_room_is_cut_at_a_line_and_no_more_than_must_be() {
    for long in 0..20 {
        let note = format!("{}\nDo now: x\n{}\n\nrun {RUN}", "F".repeat(20 + long), "- 16 characters.\n".repeat(1_300));
        let after = resolve(&note);
        check_note(&after);
        let size = after.chars().count();
        assert!(size + 17 >= MAX_NOTE, "{size}");
        let (kept, _) = after.split_once("\n… the lines that stood here had no room.\n\n").expect("said");
        assert!(kept.ends_with("\n- 16 characters."), "whole lines only");
    }
    // One line alone that is too long keeps its beginning, up to the last character.
    let after = with_unchanged(&"x".repeat(MAX_NOTE), time("25:07"), None);
    assert_eq!(after.chars().count(), MAX_NOTE);
    assert!(after.contains("x…\n… the lines that stood here had no room.\n\nLooked again "), "{after:.30}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_too_odd_to_be_edited(note in hostile_text(), copies in 1usize..200, by in hostile_text()) {
        let note = format!("{}\n\nrun {RUN}", note.repeat(copies));
        let time = at("2026-08-14T03:25:07Z");
        let edit = |note: &str| {
            with_unchanged(&with_resolution(note, Some(time), None, Some(time), Some((time, by.clone())), time), time, None)
        };
        let once = edit(&note);
        prop_assert!(once.chars().count() <= MAX_NOTE);
        let last = format!("run {RUN}");
        prop_assert!(once.lines().next().unwrap_or_default().chars().count() <= MAX_FIRST_LINE);
        prop_assert_eq!(once.lines().next_back(), Some(last.as_str()));
        prop_assert_eq!(edit(&once), once);
    }
}
