//! What a diagnosis note says of the alert's life.

use super::super::facts::LIFE;
use super::super::fixtures::{self, FINDINGS, VERDICTS};
use super::super::short::with_resolution;
use super::super::{MAX_FIRST_LINE, write};
use super::check_shape;
use crate::diagnosis::Finding;
use crate::links::Links;

#[test]
fn every_turn_of_an_alerts_life_is_in_its_note() {
    let links = Links::default();
    for fact in LIFE {
        for (kind, rule, variants) in VERDICTS {
            for finding in FINDINGS {
                let mut d = fixtures::uniform(*kind, *rule, &variants[0], finding);
                let mut context = fixtures::context(&links);
                context.page = fixtures::usual_news(*kind);
                (fact.change)(&mut d, &mut context);
                let note = write(&d, &context);
                check_shape(&note);
                let first: Vec<&str> = note.lines().take(3).collect();
                let first = first.join("\n");
                for (words, place) in [(fact.first, &first), (fact.anywhere, &note)] {
                    for word in words {
                        assert!(place.contains(word), "{}: {word:?} ({}) in\n{place}", fact.name, fact.source);
                    }
                }
                for word in fact.never {
                    assert!(!note.contains(word), "{}: {word:?} ({}) in\n{note}", fact.name, fact.source);
                }
            }
        }
    }
}

/// A note, to be read: what stands before what is next, and behind the class.
fn life(name: &str, verdict: usize) -> String {
    let links = Links::default();
    let (kind, rule, variants) = VERDICTS[verdict];
    let mut d = fixtures::uniform(kind, rule, &variants[0], Finding::Healthy);
    let mut context = fixtures::context(&links);
    context.page = fixtures::usual_news(kind);
    let fact = LIFE.iter().find(|f| f.name == name).expect("a row");
    (fact.change)(&mut d, &mut context);
    let note = write(&d, &context);
    let (head, _) = note.split_once("\n\nWHO TO PAGE").expect("who is to be paged");
    let (_, tail) = note.split_once("166.8.0.0/14.\n").expect("the class");
    let (tail, _) = tail.split_once("\n\nWHEN").expect("the times");
    format!("{head}\n[…]\n{tail}")
}

#[test]
fn notes_that_waited_or_come_again() {
    insta::assert_snapshot!(life("suppressed, lifted", 7), @r"
    SERVICE ENDPOINT problem in prod-us-south: every Magic Box rejects connections
    Do now: page Cloud Service Endpoint with the Magic Box IDs below.
    NOBODY WAS PAGED. The page to Cloud Service Endpoint needs approval: reply /escalate as a note on this incident.

    WHY
    In re-run 1 all 3 boxes of 3 zones have SE status 0, but 3 have upstream status 1: it persists, so this is an SE problem.
    […]

    WAITED FOR OTHER PAGES
    This diagnosis waited 12 min 30 s for 1 related page. None is open now, this alert still is: another cause, or it needs longer.
    - All Public endpoints down in prod-us-south
    ");
    insta::assert_snapshot!(life("suppressed, diagnosed all the same", 5), @r#"
    Probably REGISTRY in prod-us-south: no Magic Box gets 200 from it
    Do now: deal with "All Public endpoints down in prod-us-south" and 1 more first, see if this one resolves with it.
    Nobody was paged: it doesn't look like Service Endpoint's problem.

    WHY
    All 3 boxes of 3 zones have SE status 0 and upstream status 0 or -1, so this is probably a registry problem.
    […]

    WAITED FOR OTHER PAGES
    This diagnosis waited 12 min 30 s for 1 related page. Some of these are still open.
    - All Public endpoints down in prod-us-south
    "#);
    insta::assert_snapshot!(life("flapping", 4), @r"
    Path looks healthy in prod-us-south, 3rd time in an hour (the runbook's rule says: probably registry)
    Do now: check the healthcheck cluster and its way to the front ends: the path looks whole, every part that we can see works; the outage may be already over. No other region alerts now.
    Nobody was paged: nothing on the path looks broken.

    WHY
    All 3 boxes of 3 zones have SE status 1, so this is probably a registry problem.
    […]

    FLAPPING: the 3rd alert of this region in an hour
    Found before, 1 of 2 the same as now:
    - 02:40:00 UTC probably registry, every Magic Box accepted connections, took 1 min 12 s, another alert, https://se-responder.example.com/runs/past-40
    - 02:09:00 UTC mixed (x-rule), another alert, https://se-responder.example.com/runs/past-9
    ");
}

#[test]
fn a_long_region_hides_the_evidence_first_then_the_count_never_the_verdict() {
    let links = Links::default();
    let (kind, rule, variants) = VERDICTS[5];
    for (length, counted, detailed) in [(13, true, true), (60, true, false), (95, false, false), (400, false, false)] {
        let mut d = fixtures::uniform(kind, rule, &variants[0], Finding::Healthy);
        d.region = fixtures::region(&"r".repeat(length));
        let mut context = fixtures::context(&links);
        context.flaps_last_hour = 3;
        let note = write(&d, &context);
        check_shape(&note);
        let first = note.lines().next().unwrap_or_default();
        assert!(first.starts_with("Probably REGISTRY in rrr"), "{first}");
        assert_eq!(first.contains(", 3rd time in an hour"), counted, "{first}");
        assert_eq!(first.contains(": no Magic Box"), detailed, "{first}");
    }
}

/// Contract 5: at most 120 characters, verdict and region, whatever else there is to say.
#[test]
fn the_verdict_stays_in_the_first_line_of_a_path_that_looks_healthy() {
    let links = Links::default();
    let (kind, rule, variants) = VERDICTS[4];
    let mut all = String::new();
    for (name, region) in [("usual", "prod-us-south".to_owned()), ("long", "prod-".repeat(30))] {
        for (resolved, again, over) in
            (0..8).map(|n| (n & 4 > 0, n & 2 > 0, n & 1 > 0)).collect::<Vec<(bool, bool, bool)>>()
        {
            let mut d = fixtures::uniform(kind, rule, &variants[0], Finding::Healthy);
            if over {
                d = super::client::over();
            }
            d.region = fixtures::region(&region);
            let mut context = fixtures::context(&links);
            context.flaps_last_hour = if again { 13 } else { 1 };
            context.resolved_at = resolved.then(|| fixtures::at("2026-08-14T23:57:58Z"));
            let note = write(&d, &context);
            check_shape(&note);
            let late =
                with_resolution(&note, context.alert_opened_at, None, None, None, fixtures::at("2026-08-15T23:57:58Z"));
            for note in [&note, &late] {
                let first = note.lines().next().unwrap_or_default();
                assert!(first.chars().count() <= MAX_FIRST_LINE, "{first}");
                assert!(first.contains("Path looks healthy in prod-"), "{first}");
                assert!(first.ends_with(": probably registry)"), "{first}");
            }
            if name == "usual" {
                all += &format!("{}\n    {}\n", note.lines().next().unwrap(), late.lines().next().unwrap());
            }
        }
    }
    insta::assert_snapshot!(all);
}
