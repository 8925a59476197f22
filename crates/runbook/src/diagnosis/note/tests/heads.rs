//! What each case comes to in the lines that matter at three in the morning: what to do now, whether somebody was paged,
//! whom to page. All cases side by side, so that a change of words in one of them is seen, and seen beside its like.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::*;
use crate::diagnosis::Finding;
use crate::diagnosis::note::head;

const PAGE: &str = "https://ibm.pagerduty.com/incidents/Q9PAGE";

/// What may have become of the page, by name.
pub(super) fn pages(reasons: &[String]) -> Vec<(&'static str, PageNews<'_>)> {
    let paged = |joined, problem, asked_by| PageNews::Paged { html_url: PAGE, joined, problem, asked_by };
    vec![
        ("not wanted", PageNews::NotWanted),
        ("off", PageNews::Off),
        ("suggested", PageNews::Suggested { incident_id: "Q1ALERT", reasons: &[] }),
        ("suggested, but", PageNews::Suggested { incident_id: "Q1ALERT", reasons }),
        ("held", PageNews::Held { incident_id: "Q1ALERT", reasons: &[] }),
        ("held, because", PageNews::Held { incident_id: "Q1ALERT", reasons }),
        ("paging", PageNews::Paging { waits_for: None }),
        ("waits for another's", PageNews::Paging { waits_for: Some("Q2OTHER") }),
        ("paged", paged(false, None, None)),
        ("joined by a person", paged(true, None, Some("Ann"))),
        ("paged in vain", paged(false, Some("nobody is assigned"), None)),
        ("failed", PageNews::Failed { reason: "403" }),
    ]
}

/// Calls `with` with every verdict, its boxes, and zones of one finding each or of unlike ones.
pub(super) fn cases(mut with: impl FnMut(&str, &crate::diagnosis::Diagnosis)) {
    let unlike = [
        [Some(Finding::Healthy), Some(Finding::KonicleFault), Some(Finding::Disabled)],
        [Some(Finding::Disabled), Some(Finding::Healthy), Some(Finding::ZoneUnhealthy)],
        [Some(Finding::IngressDown), Some(Finding::Unknown), Some(Finding::Healthy)],
        [None, None, None],
    ];
    for (kind, rule, variants) in VERDICTS {
        for boxes in *variants {
            let shown: Vec<String> =
                boxes.iter().map(|b| b.map_or("-".into(), |(se, up)| format!("{se}:{up}"))).collect();
            for findings in FINDINGS.map(|f| [Some(f); 3]).iter().chain(&unlike) {
                let found: Vec<String> = findings.iter().map(|f| f.map_or("-".into(), |f| format!("{f:?}"))).collect();
                let name = format!("{} {} [{}] [{}]", kind.as_str(), rule.as_str(), shown.join(" "), found.join(" "));
                with(&name, &fixtures::diagnosis(*kind, *rule, boxes, *findings));
            }
        }
    }
}

#[test]
fn what_to_do_now() {
    let (links, reasons) = (Links::default(), ["a first reason".to_owned(), "a second".to_owned()]);
    let mut text = String::new();
    cases(|name, diagnosis| {
        // By line, so that what makes no difference takes no room.
        let mut lines: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (page_name, page) in pages(&reasons) {
            let context = Context { page, ..fixtures::context(&links) };
            let [_, now, _] = head(diagnosis, &context);
            lines.entry(now).or_default().push(page_name);
        }
        writeln!(text, "{name}").unwrap();
        for (line, pages) in lines {
            let pages = if pages.len() == 12 { "always".to_owned() } else { pages.join(", ") };
            writeln!(text, "    {line}  ({pages})").unwrap();
        }
    });
    insta::assert_snapshot!(text);
}

#[test]
fn whether_somebody_was_paged() {
    let (links, reasons) = (Links::default(), ["a first reason".to_owned(), "a second".to_owned()]);
    let mut text = String::new();
    for (page_name, page) in pages(&reasons) {
        let mut lines: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (kind, rule, variants) in VERDICTS {
            let diagnosis = fixtures::uniform(*kind, *rule, &variants[0], Finding::Healthy);
            let context = Context { page: page.clone(), ..fixtures::context(&links) };
            let [_, _, paged] = head(&diagnosis, &context);
            lines.entry(paged).or_default().push(rule.as_str());
        }
        writeln!(text, "{page_name}").unwrap();
        for (line, rules) in lines {
            writeln!(text, "    {line}  ({})", if rules.len() == 8 { "always".to_owned() } else { rules.join(", ") })
                .unwrap();
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn whom_to_page_in_each_case() {
    let (links, reasons) = (Links::default(), ["a first reason".to_owned(), "a second".to_owned()]);
    let section = |note: &str| {
        let (_, rest) = note.split_once("\nWHO TO PAGE\n").expect("the section");
        format!("\n    {}", rest.split("\n\n").next().unwrap_or_default().replace('\n', "\n    "))
    };
    let mut text = String::new();
    cases(|name, diagnosis| {
        let context = Context { page: fixtures::usual_news(diagnosis.verdict.kind), ..fixtures::context(&links) };
        writeln!(text, "{name}{}", section(&write(diagnosis, &context))).unwrap();
    });
    let (kind, rule, variants) = VERDICTS[VERDICTS.len() - 1];
    let diagnosis = fixtures::uniform(kind, rule, &variants[0], Finding::Healthy);
    for (page_name, page) in pages(&reasons) {
        let context = Context { page, ..fixtures::context(&links) };
        writeln!(text, "{page_name}{}", section(&write(&diagnosis, &context))).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_zone_that_nobody_is_paged_for_is_not_called_disabled_where_it_is_whole() {
    let links = Links::default();
    let boxes = [Some((1, 1)), Some((0, 1)), Some((1, 0))];
    let findings = [Finding::Healthy, Finding::Disabled, Finding::Healthy].map(Some);
    let (kind, rule) = (VerdictKind::Mixed, crate::diagnosis::Rule::MixedStatus);
    let note = write(&fixtures::diagnosis(kind, rule, &boxes, findings), &fixtures::context(&links));
    for (zone, whom) in
        [("az1 (1:1)", "nobody yet, look first"), ("az2 (0:1)", "nobody, the registry squad disabled it")]
    {
        assert!(note.contains(&format!("-{zone}: {whom}\n")), "{zone}: {note}");
    }
}

#[test]
fn an_alert_that_has_closed_and_other_regions_that_alert() {
    let links = Links::default();
    let regions: Vec<Region> = (1..=5).map(|n| fixtures::region(&format!("prod-{n}"))).collect();
    let (kind, rule, variants) = (VerdictKind::Registry, crate::diagnosis::Rule::AllSeAccepting, [Some((1, 1)); 3]);
    let whole = fixtures::uniform(kind, rule, &variants, Finding::Healthy);
    let mut text = String::new();
    for n in 0..=regions.len() {
        let context = Context { other_regions: &regions[..n], ..fixtures::context(&links) };
        writeln!(text, "{n}: {}", head(&whole, &context)[1]).unwrap();
    }
    let unknown = Context { related: Err("403"), ..fixtures::context(&links) };
    writeln!(text, "unknown: {}", head(&whole, &unknown)[1]).unwrap();
    let related = fixtures::related();
    for opened in [None, Some("2026-08-14T03:12:05Z")] {
        for related in [&[][..], &related] {
            let context = Context {
                alert_opened_at: opened.map(fixtures::at),
                resolved_at: Some(fixtures::at("2026-08-14T03:15:06Z")),
                related: Ok(related),
                ..fixtures::context(&links)
            };
            let [verdict, now, paged] = head(&whole, &context);
            writeln!(
                text,
                "closed, opened {opened:?}, {} related\n    {verdict}\n    {now}\n    {paged}",
                related.len()
            )
            .unwrap();
        }
    }
    insta::assert_snapshot!(text);
}
