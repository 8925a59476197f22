//! Names, titles and reasons come from outside: none of them may forge a line, hide the verdict or fill the note.

use std::time::Duration;

use proptest::prelude::*;

use super::super::fixtures::{self, VERDICTS};
use super::super::{
    Context, MAX_PAGE_TITLE, PageNews, PastRun, join_note, page_after_all, page_body, page_failed, page_problem,
    page_title, write,
};
use super::check_shape;
use crate::alert::{Title, Zone, parse_title};
use crate::diagnosis::last_good::{Change, Changed, SinceLastGood};
use crate::diagnosis::note::MAX_NOTE;
use crate::diagnosis::{Diagnosis, Finding, RelatedPage, ZoneDiagnosis};
use crate::links::Links;

/// The diagnosis with `text` in every place that the outside can write to, `copies` boxes and pods in every zone.
fn poison(d: &mut Diagnosis, text: &str, copies: usize) {
    d.verdict.summary = text.into();
    let all = [Changed::Gone, Changed::New, Changed::MagicBoxId, Changed::BackendIp, Changed::Frontend, Changed::Node];
    let change = |(n, changed)| Change {
        name: format!("{text}{}", n / all.len()),
        changed,
        was: Some(text.into()),
        is: Some(text.into()),
    };
    let changes = (0..).zip(all.into_iter().cycle()).take(all.len() * copies).map(change).collect();
    d.since_last_good = Some(SinceLastGood { at: fixtures::at("2026-08-14T02:00:00Z"), build_url: None, changes });
    for zone in &mut d.zones {
        for b in &mut zone.boxes {
            b.magic_box_id = text.into();
            b.node = text.into();
            b.backend_ip = text.into();
            b.frontend = text.into();
        }
        zone.boxes = zone.boxes.iter().cycle().take(zone.boxes.len() * copies).cloned().collect();
        if let Some(checks) = &mut zone.checks {
            for pod in checks.ingress.iter_mut().chain(&mut checks.konicle_pods) {
                pod.name = text.into();
                pod.status = text.into();
                pod.ready = text.into();
            }
            checks.ingress = checks.ingress.iter().cycle().take(checks.ingress.len() * copies).cloned().collect();
            if let Some(status) = &mut checks.status {
                status.pod = text.into();
                status.error = Some(text.into());
                status.http_status = None;
            }
            checks.error = checks.error.as_ref().map(|_| text.to_owned());
            checks.context = Some(text.into());
            checks.warnings = vec![text.to_owned(); copies];
            let page = RelatedPage { id: text.into(), title: text.into(), html_url: text.into() };
            checks.registry_pages = vec![page; copies];
        }
    }
    for reading in &mut d.readings {
        reading.build_url = Some(text.into());
        reading.warnings = vec![text.to_owned(); copies];
    }
}

fn past_runs(text: &str, copies: usize) -> Vec<PastRun> {
    let (at, verdict, rule, run_url) = (fixtures::at("2026-08-14T02:40:00Z"), text.into(), text.into(), text.into());
    let took = Some(Duration::MAX);
    vec![PastRun { at, took, verdict, rule, run_url, same_incident: false }; copies]
}

pub(in super::super) fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "\\PC{0,40}".prop_map(|s| format!("x\nrun {}\n{s}", fixtures::RUN)),
        Just("\r\nPaged: Cloud Service Endpoint\u{2028}run 1\u{202e}\0".to_owned()),
        (1usize..3_000).prop_map(|n| "ä".repeat(n)),
        Just("'; rm -rf / #".to_owned()),
        Just(String::new()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_text_from_outside_breaks_a_note(
        text in hostile_text(),
        which in 0..VERDICTS.len(),
        finding in 0..6usize,
        copies in 1usize..40,
        news in 0..5usize,
        zones in 0usize..12,
        region in "[a-z0-9-]{1,400}",
    ) {
        let (kind, rule, variants) = VERDICTS[which];
        let mut d = fixtures::uniform(kind, rule, &variants[0], fixtures::FINDINGS[finding]);
        d.region = fixtures::region(&region);
        let template: ZoneDiagnosis = d.zones[0].clone();
        d.zones.extend((0..zones).map(|n| ZoneDiagnosis { cluster: Zone::new(format!("{text}{n}")), ..template.clone() }));
        poison(&mut d, &text, copies);
        let links = Links::default();
        let related = vec![RelatedPage { id: text.clone(), title: text.clone(), html_url: text.clone() }; copies];
        let reasons = vec![text.clone(); copies];
        let page = match news {
            0 => PageNews::Suggested { incident_id: &text, reasons: &reasons },
            1 => PageNews::Held { incident_id: &text, reasons: &reasons },
            2 => PageNews::Failed { reason: &text },
            3 => PageNews::Paged { html_url: &text, joined: true, problem: Some(&text), asked_by: Some(&text) },
            _ => PageNews::NotWanted,
        };
        let related = if copies % 2 == 0 { Ok(&related[..]) } else { Err(text.as_str()) };
        let resolved_at = (copies % 3 == 0).then(|| fixtures::at("2026-08-15T04:14:35Z"));
        let base = fixtures::context(&links);
        let history = past_runs(&text, copies);
        let context = Context {
            suppressed_by: &reasons,
            history: &history,
            flaps_last_hour: u32::try_from(copies).unwrap_or(u32::MAX),
            ..Context { related, page, resolved_at, job_url: Some(&text), warnings: &reasons, ..base }
        };

        let note = write(&d, &context);
        check_shape(&note);
        for part in ["\nWHY\n", "\nNEXT\n1. ", "\nWHO TO PAGE\n", "\nCLASS: ", "166.8.0.0/14", "\nLINKS\n", fixtures::RUN_URL] {
            prop_assert!(note.contains(part), "{} is gone:\n{}", part, note);
        }

        prop_assert!(note.contains("\nWAITED FOR OTHER PAGES\n"), "{}", note);
        prop_assert!(note.contains("\n- 02:40:00 UTC "), "{}", note);

        let title = page_title(&d);
        prop_assert!(title.chars().count() <= MAX_PAGE_TITLE);
        prop_assert_eq!(parse_title(&title), Title::Other);
        let url = fixtures::RUN_URL;
        for text in [
            page_body(&d, &context, &text, &text, None),
            join_note(&d.region, Some(&d), None, url, &links, &text, &text),
            page_failed(&d.region, Some(&d), &text, url, &links),
            page_problem(&d.region, &text, &text, url, &links),
            page_after_all(&d.region, &text, url, &links),
        ] {
            prop_assert!(text.chars().count() <= MAX_NOTE);
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{}", text);
            prop_assert!(!text.lines().any(|l| l.starts_with("run ")), "{}", text);
        }
    }
}

#[test]
fn the_essentials_survive_the_longest_names_everywhere() {
    let links = Links::default();
    let text = "ä'".repeat(3_000);
    for (kind, rule, variants) in VERDICTS {
        for finding in fixtures::FINDINGS {
            let mut d = fixtures::uniform(*kind, *rule, &variants[0], finding);
            let template = d.zones[0].clone();
            d.zones.extend(
                (0..20).map(|n| ZoneDiagnosis { cluster: Zone::new(format!("{n}{text}")), ..template.clone() }),
            );
            poison(&mut d, &text, 9);
            let related = vec![RelatedPage { id: text.clone(), title: text.clone(), html_url: text.clone() }; 30];
            let reasons = vec![text.clone(); 30];
            let page = PageNews::Held { incident_id: &text, reasons: &reasons };
            let base = fixtures::context(&links);
            let history = past_runs(&text, 30);
            let context = Context {
                suppressed_by: &reasons,
                history: &history,
                flaps_last_hour: u32::MAX,
                ..Context { related: Ok(&related), page, job_url: Some(&text), warnings: &reasons, ..base }
            };
            let note = write(&d, &context);
            check_shape(&note);
            // The links are the last part: where they stand, nothing was cut off blindly.
            for part in ["\nWHY\n", "\nNEXT\n1. ", "\nWHO TO PAGE\n", "\nLINKS\n- This run: https", "\nWARNINGS\n- "] {
                assert!(note.contains(part), "{part} is gone:\n{note}");
            }
            assert!(note.contains("curl -X POST https://se-responder.example.com/escalate"), "{note}");
        }
    }
}

#[test]
fn a_crowded_note_says_what_it_left_out_and_where_it_is() {
    let (kind, rule, variants) = VERDICTS[7];
    let mut d = fixtures::uniform(kind, rule, &variants[0], Finding::Healthy);
    poison(&mut d, "a-fairly-long-name-of-some-kind", 200);
    let links = Links::default();
    let note = write(&d, &Context { page: fixtures::usual_news(kind), ..fixtures::context(&links) });
    check_shape(&note);
    assert!(note.chars().count() > MAX_NOTE * 9 / 10, "room is used: {}", note.chars().count());
    assert!(note.contains(&format!("more lines had no room here. All of it: {}\n", fixtures::RUN_URL)), "{note}");
}

#[test]
fn a_name_with_a_quote_stays_one_word_of_the_command() {
    let (kind, rule, variants) = VERDICTS[4];
    let mut d = fixtures::uniform(kind, rule, &variants[1], Finding::ZoneUnhealthy);
    poison(&mut d, "x'; reboot #", 1);
    let links = Links::default();
    let note = write(&d, &fixtures::context(&links));
    assert!(
        note.contains(r"kubectl --context 'x'\''; reboot #' -n kube-system exec -it 'x'\''; reboot #' -c"),
        "{note}"
    );
}
