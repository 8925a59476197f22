//! Every note is held against the table of facts; snapshots show how they read.

mod hostile;
pub(super) use hostile::hostile_text;
mod life;
mod page;
mod reading;

use super::facts::{ALWAYS, CELLS, FINDINGS as FINDING_FACTS, Fact, VERDICTS as VERDICT_FACTS};
use super::fixtures::{self, FINDINGS, RUN, VERDICTS};
use super::{Context, MAX_FIRST_LINE, MAX_NOTE, PageNews, write};
use crate::alert::Region;
use crate::config::Links;
use crate::diagnosis::note::advice::{self, Target};
use crate::diagnosis::{BrokenAt, Diagnosis, Finding};

/// What holds for any note at all.
fn check_shape(note: &str) {
    let lines: Vec<&str> = note.lines().collect();
    assert!(note.chars().count() <= MAX_NOTE, "{} characters", note.chars().count());
    assert!(lines[0].chars().count() <= MAX_FIRST_LINE, "{}", lines[0]);
    assert!(lines[1].starts_with("Do now: "), "{}", lines[1]);
    assert!(lines[2].to_lowercase().contains("paged"), "{}", lines[2]);
    assert!(!note.chars().any(|c| c.is_control() && c != '\n'), "{note}");
    assert_eq!(lines.iter().filter(|l| l.starts_with("run ")).count(), 1, "{note}");
    assert!(note.ends_with(&format!("\nrun {RUN}")), "{note}");
}

fn applies(fact: &Fact, d: &Diagnosis, finding: Finding, broken_at: BrokenAt) -> bool {
    (fact.kinds.is_empty() || fact.kinds.contains(&d.verdict.kind))
        && (fact.rules.is_empty() || fact.rules.contains(&d.verdict.rule))
        && (fact.findings.is_empty() || fact.findings.contains(&finding))
        && (fact.broken_at.is_empty() || fact.broken_at.contains(&broken_at))
        && fact.client_suspected.is_none_or(|c| c == d.client_suspected)
}

/// Holds a note against the rows that apply; how many did.
fn hold(facts: &[Fact], d: &Diagnosis, finding: Finding, broken_at: BrokenAt, note: &str) -> usize {
    let first_three: String = note.lines().take(3).map(|l| format!("{l}\n")).collect();
    let mut applied = 0;
    for fact in facts.iter().filter(|f| applies(f, d, finding, broken_at)) {
        applied += 1;
        for (words, place) in [(fact.first, first_three.as_str()), (fact.anywhere, note)] {
            for word in words {
                assert!(
                    place.contains(word),
                    "{word:?} is missing (runbook: {}) in\n{place}\n--\n{note}",
                    fact.runbook
                );
            }
        }
    }
    applied
}

#[test]
fn every_verdict_with_every_finding_says_what_the_runbook_says() {
    let links = Links::default();
    let mut places = Vec::new();
    for (kind, rule, variants) in VERDICTS {
        for boxes in *variants {
            for finding in FINDINGS {
                let d = fixtures::uniform(*kind, *rule, boxes, finding);
                let context = Context { page: fixtures::usual_news(*kind), ..fixtures::context(&links) };
                let note = write(&d, &context);
                check_shape(&note);
                let start = match advice::target(&d) {
                    Target::Zone(zone) => zone.broken_at,
                    Target::AllDisabled => BrokenAt::DisabledByRegistry,
                    Target::None => panic!("no zone"),
                };
                places.push(start);
                hold(ALWAYS, &d, finding, start, &note);
                for (facts, table) in [(VERDICT_FACTS, "verdicts"), (FINDING_FACTS, "findings"), (CELLS, "cells")] {
                    let applied = hold(facts, &d, finding, start, &note);
                    assert!(applied > 0, "no row of {table} for {kind:?}, {rule:?}, {boxes:?}, {finding:?}");
                }
                for magic_box in d.zones.iter().flat_map(|z| &z.boxes) {
                    let status = format!("SE={} upstream={}", magic_box.se_status, magic_box.upstream_status);
                    let lines = note.lines().filter(|l| {
                        [&magic_box.magic_box_id, &magic_box.backend_ip, &magic_box.frontend, &status]
                            .iter()
                            .all(|w| l.contains(w.as_str()))
                    });
                    assert_eq!(lines.count(), 1, "one line a box:\n{note}");
                }
                for zone in &d.zones {
                    let line = format!("\n- {}: ", zone.cluster);
                    assert!(note.matches(&line).count() >= 1, "a line for {}:\n{note}", zone.cluster);
                }
            }
        }
    }
    for place in [
        BrokenAt::ClientOrFrontEnd,
        BrokenAt::SeTo10443,
        BrokenAt::MagicBox,
        BrokenAt::PrivateIngress,
        BrokenAt::Zone,
        BrokenAt::DisabledByRegistry,
        BrokenAt::Contradiction,
        BrokenAt::Unknown,
    ] {
        assert!(places.contains(&place), "{place:?} has not been tried");
    }
}

#[test]
fn every_row_of_the_tables_is_met_by_some_note() {
    let cases = || {
        VERDICTS.iter().flat_map(|(kind, rule, variants)| {
            variants.iter().flat_map(move |b| FINDINGS.map(|f| (fixtures::uniform(*kind, *rule, b, f), f)))
        })
    };
    for fact in [ALWAYS, VERDICT_FACTS, FINDING_FACTS, CELLS].iter().flat_map(|f| f.iter()) {
        let met = cases().any(|(d, f)| d.zones.iter().any(|z| applies(fact, &d, f, z.broken_at)));
        assert!(met, "{fact:?}");
    }
}

/// Every news of the page, what its line must say, and whether somebody may believe that somebody was paged.
fn all_news<'a>(reasons: &'a [String]) -> Vec<(PageNews<'a>, &'static [&'static str], bool)> {
    let paged = |joined, problem, asked_by| PageNews::Paged {
        html_url: "https://ibm.pagerduty.com/incidents/Q9PAGE",
        joined,
        problem,
        asked_by,
    };
    vec![
        (PageNews::NotWanted, &["Nobody was paged: "], false),
        (PageNews::Off, &["NOBODY WAS PAGED", "by hand"], false),
        (PageNews::Suggested { incident_id: "Q1ALERT", reasons: &[] }, &["NOBODY WAS PAGED", "waits for a yes"], false),
        (
            PageNews::Suggested { incident_id: "Q1ALERT", reasons },
            &["NOBODY WAS PAGED", "Think first: a first reason. (and 1 reason below)"],
            false,
        ),
        (
            PageNews::Held { incident_id: "Q1ALERT", reasons },
            &["NOBODY WAS PAGED", "is held: a first reason. (and 1 reason below)"],
            false,
        ),
        (PageNews::Held { incident_id: "Q1ALERT", reasons: &[] }, &["NOBODY WAS PAGED", "held"], false),
        (PageNews::Paging, &["Nobody was paged yet", "2026-08-14 03:15:07 UTC"], false),
        (
            PageNews::Failed { reason: "402 from PagerDuty" },
            &["NOBODY WAS PAGED", "by hand", "402 from PagerDuty."],
            false,
        ),
        (paged(false, None, None), &["Paged: Cloud Service Endpoint, automatically.", "incidents/Q9PAGE"], true),
        (paged(false, None, Some("alice")), &["Paged: Cloud Service Endpoint, asked for by alice."], true),
        (paged(true, None, None), &["Paged: the page that Cloud Service Endpoint already had was joined"], true),
        (
            paged(false, Some("nobody is assigned"), None),
            &["PAGED, BUT MAYBE NOBODY HEARS IT: nobody is assigned. ", "incidents/Q9PAGE"],
            true,
        ),
    ]
}

#[test]
fn the_third_line_says_whether_somebody_was_paged_and_never_more() {
    let links = Links::default();
    let reasons = vec!["a first reason".to_owned(), "a second reason".to_owned()];
    let others: Vec<Region> = vec![fixtures::region("prod-eu-de")];
    let related = fixtures::related();
    for (kind, rule, variants) in VERDICTS {
        for finding in FINDINGS {
            let d = fixtures::uniform(*kind, *rule, &variants[0], finding);
            for (page, words, somebody) in all_news(&reasons) {
                for resolved in [false, true] {
                    for related in [Ok(&[][..]), Ok(&related[..]), Err("no answer in time")] {
                        let resolved_at = resolved.then(|| fixtures::at("2026-08-14T03:14:35Z"));
                        let (page, other_regions) = (page.clone(), &others[..]);
                        let base = fixtures::context(&links);
                        let context = Context { page, resolved_at, related, other_regions, ..base };
                        let note = write(&d, &context);
                        check_shape(&note);
                        let lines: Vec<&str> = note.lines().collect();
                        for word in words {
                            assert!(lines[2].contains(word), "{word:?} in {:?}", lines[2]);
                        }
                        assert_eq!(lines[2].to_lowercase().starts_with("nobody was paged"), !somebody, "{}", lines[2]);
                        assert_eq!(lines[0].contains("resolved after 2m 30s"), resolved, "{}", lines[0]);
                        assert!(lines[0].contains("prod-us-south"), "{}", lines[0]);
                        if lines[2].starts_with("Paged: ") {
                            assert!(!lines[1].contains("page Cloud Service Endpoint"), "{}", lines[1]);
                        }
                        check_related(&context, &note);
                        if d.client_suspected {
                            assert!(lines[1].contains("1 other region alerts now: prod-eu-de."), "{}", lines[1]);
                        } else {
                            assert!(note.contains("prod-eu-de"), "{note}");
                        }
                    }
                }
            }
        }
    }
}

fn check_related(context: &Context<'_>, note: &str) {
    match context.related {
        Ok([]) => assert!(!note.contains("OPEN PAGES")),
        Ok(pages) => {
            let second = note.lines().nth(1).unwrap_or_default();
            assert!(second.contains(&pages[0].title) && second.contains("and 1 more"), "{second}");
            for page in pages {
                assert!(note.contains(&format!("\n- {} {}\n", page.title, page.html_url)), "{note}");
            }
        }
        Err(reason) => assert!(note.contains(&format!("Whether related pages are open: {reason}.")), "{note}"),
    }
}
