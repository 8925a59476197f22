//! Every note is held against the table of facts; snapshots show how they read.

mod client;
mod evidence;
mod heads;
mod hostile;
pub(super) use hostile::hostile_text;
mod life;
mod next;
mod page;
mod plain;
mod reading;

use super::facts::{self, Case, Fact};
use super::fixtures::{self, FINDINGS, RUN, RUN_URL, VERDICTS};
use super::{Context, MAX_FIRST_LINE, MAX_NOTE, PageNews, SERVICE_ENDPOINT, write};
use crate::alert::Region;
use crate::diagnosis::{BrokenAt, VerdictKind};
use crate::links::Links;

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

/// Calls `with` with every verdict × finding, with what may have become of the page, with related pages and without.
fn every_case(mut with: impl FnMut(&Case<'_>)) {
    let links = Links::default();
    let reasons = vec!["a first reason".to_owned()];
    let related = fixtures::related();
    for (kind, rule, variants) in VERDICTS {
        let mut news = vec![fixtures::usual_news(*kind)];
        if *kind == VerdictKind::ServiceEndpoint {
            let html_url = "https://ibm.pagerduty.com/incidents/Q9PAGE";
            news.push(PageNews::Paged { html_url, joined: false, problem: None, asked_by: None });
            news.push(PageNews::Held { incident_id: "Q1ALERT", reasons: &reasons });
        }
        for (boxes, finding) in variants.iter().flat_map(|b| FINDINGS.map(|f| (b, f))) {
            let diagnosis = fixtures::uniform(*kind, *rule, boxes, finding);
            for page in &news {
                for related in [&[][..], &related] {
                    let context = fixtures::context(&links);
                    let context = Context { page: page.clone(), related: Ok(related), ..context };
                    let note = write(&diagnosis, &context);
                    let (page, run_id, run_url) = (page.clone(), RUN, RUN_URL);
                    with(&Case { diagnosis: &diagnosis, page, related, run_id, run_url, note: &note });
                }
            }
        }
    }
}

#[test]
fn every_verdict_with_every_finding_says_what_the_runbook_says() {
    let mut places = Vec::new();
    every_case(|case| {
        let missing = facts::missing(case);
        let verdict = &case.diagnosis.verdict;
        assert!(missing.is_empty(), "{verdict:?}, {:?} lacks\n{}\n--\n{}", case.page, missing.join("\n"), case.note);
        places.extend(case.diagnosis.zones.iter().map(|z| z.broken_at));
    });
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

/// A box's line can't stand in for its zone's, nor another zone's for it.
#[test]
fn a_line_that_is_gone_is_missed() {
    let (kind, rule, variants) = VERDICTS[7];
    let diagnosis = fixtures::uniform(kind, rule, &variants[0], crate::diagnosis::Finding::Healthy);
    let (links, page) = (Links::default(), fixtures::usual_news(kind));
    let whole = write(&diagnosis, &Context { page: page.clone(), ..fixtures::context(&links) });
    let missed = |note: &str| {
        let (page, run_id, run_url) = (page.clone(), RUN, RUN_URL);
        facts::missing(&Case { diagnosis: &diagnosis, page, related: &[], run_id, run_url, note })
    };
    assert_eq!(missed(&whole), Vec::<String>::new());
    let without = |what: &str| {
        let is_it = |line: &str| line.starts_with("- registry-prod-us-south-az2: ") && line.contains(what);
        whole.lines().filter(|line| !is_it(line)).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(missed(&without("status check")), ["0 lines rather than one for registry-prod-us-south-az2"]);
    let of_box = ["0 lines rather than one for the box registry-prod-us-south-az2-1"];
    assert_eq!(missed(&without("SE=0")), of_box);
    let box_of_another = "- registry-prod-us-south-az1: SE=0 upstream=1, us-south-dal12-";
    assert_eq!(
        missed(&whole.replace("- registry-prod-us-south-az2: SE=0 upstream=1, us-south-dal12-", box_of_another)),
        of_box
    );
}

#[test]
fn every_row_of_the_tables_is_met_by_some_note() {
    let rows = [facts::ALWAYS, facts::VERDICTS, facts::FINDINGS, facts::CELLS];
    let mut unmet: Vec<&Fact> = rows.iter().flat_map(|f| f.iter()).collect();
    let mut meet = |case: &Case<'_>| {
        unmet.retain(|fact| !case.diagnosis.zones.iter().any(|z| facts::applies(fact, case, z)));
    };
    every_case(&mut meet);
    client::every_finding(&mut meet);
    assert!(unmet.is_empty(), "{unmet:#?}");
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
        (PageNews::Suggested { incident_id: "Q1ALERT", reasons: &[] }, &["NOBODY WAS PAGED", "needs approval"], false),
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
        (PageNews::Paging { waits_for: None }, &["Nobody was paged yet", "as of 03:15:07 UTC"], false),
        (
            PageNews::Paging { waits_for: Some("Q2OTHER") },
            &[
                "Nobody was paged yet",
                "that of the alert Q2OTHER",
                "at most 13 min",
                "To open one now, reply /escalate",
            ],
            false,
        ),
        (
            PageNews::Failed { reason: "402 from PagerDuty" },
            &["NOBODY WAS PAGED", "by hand", "402 from PagerDuty."],
            false,
        ),
        (
            PageNews::Unreadable { reason: "look in PagerDuty for its key" },
            &["Not known whether somebody was paged", "look in PagerDuty for its key."],
            true,
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
                        assert_eq!(lines[0].contains("resolved after 2 min 30 s"), resolved, "{}", lines[0]);
                        assert!(lines[0].contains("prod-us-south"), "{}", lines[0]);
                        if lines[2].starts_with("Paged: ") {
                            assert!(!lines[1].contains("page Cloud Service Endpoint"), "{}", lines[1]);
                        }
                        check_related(&context, &note);
                        if d.client_suspected && !resolved && related.is_ok_and(<[_]>::is_empty) {
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
        Ok([]) => assert!(!note.contains("Deal with these pages")),
        Ok(pages) => {
            let second = note.lines().nth(1).unwrap_or_default();
            assert!(second.contains(&pages[0].title) && second.contains("and 1 more"), "{second}");
            for page in pages {
                assert!(note.contains(&format!("\n   - {} {}\n", page.title, page.html_url)), "{note}");
            }
        }
        Err(reason) => assert!(note.contains(&format!("Whether related pages are open: {reason}.")), "{note}"),
    }
}
