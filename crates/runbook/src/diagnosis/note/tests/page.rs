//! What the Service Endpoint team reads, and the prominent short notes.

use super::super::fixtures::{self, ALERT_TITLE, ALERT_URL, RUN_URL, VERDICTS};
use super::super::{
    Context, PageNews, join_note, page_after_all, page_body, page_body_without_diagnosis, page_failed, page_problem,
    page_title, page_title_without_diagnosis,
};
use crate::alert::{Title, parse_title};
use crate::diagnosis::{Diagnosis, Finding};
use crate::links::Links;

fn service_endpoint() -> Diagnosis {
    let (kind, rule, variants) = VERDICTS[7];
    fixtures::diagnosis(
        kind,
        rule,
        &variants[1],
        [Some(Finding::KonicleFault), Some(Finding::Healthy), Some(Finding::Unknown)],
    )
}

#[test]
fn no_title_of_a_page_is_an_alert() {
    for (kind, rule, variants) in VERDICTS {
        let title = page_title(&fixtures::uniform(*kind, *rule, &variants[0], Finding::Healthy));
        assert!(title.starts_with("All SE endpoints are down in registry region prod-us-south"), "{title}");
        assert_eq!(parse_title(&title), Title::Other);
    }
    let title = page_title_without_diagnosis(&fixtures::region("prod-us-south"));
    assert_eq!(parse_title(&title), Title::Other);
    let long = page_title_without_diagnosis(&fixtures::region(&"x".repeat(900)));
    assert_eq!(long.chars().count(), 250);
    let mut d = service_endpoint();
    d.region = fixtures::region(&"x".repeat(900));
    let long = page_title(&d);
    assert_eq!(long.chars().count(), 250);
    assert!(
        long.ends_with("x…, every Magic Box rejects connections"),
        "the region gives way, not what is wrong: {long}"
    );
}

#[test]
fn the_body_of_a_page() {
    let links = Links::default();
    let context = Context { page: PageNews::Paging { waits_for: None }, ..fixtures::context(&links) };
    let body = page_body(&service_endpoint(), &context, ALERT_TITLE, ALERT_URL, None);
    let first_box = body.find("SE=0 upstream=1").expect("a 0:1 box");
    assert!(first_box < body.find("SE=0 upstream=0").expect("a 0:0 box"), "0:1 first");
    insta::assert_snapshot!(body);
}

#[test]
fn the_body_of_a_page_before_there_is_a_diagnosis() {
    let region = fixtures::region("prod-us-south");
    let links = Links::default();
    let body = page_body_without_diagnosis(&region, RUN_URL, &links, ALERT_TITLE, ALERT_URL, Some("alice"));
    insta::assert_snapshot!(body);
}

#[test]
fn the_note_on_a_page_that_is_joined() {
    let links = Links::default();
    let d = service_endpoint();
    insta::assert_snapshot!(join_note(&d.region, Some(&d), None, RUN_URL, &links, ALERT_TITLE, ALERT_URL));
}

#[test]
fn the_prominent_notes() {
    let links = Links::default();
    let d = service_endpoint();
    let failed = page_failed(&d.region, Some(&d), "402 Payment Required", RUN_URL, &links);
    insta::assert_snapshot!("the_page_failed", failed);
    let problem = page_problem(
        &d.region,
        "https://ibm.pagerduty.com/incidents/Q9PAGE",
        "its service is in maintenance until 04:00 UTC",
        RUN_URL,
        &links,
    );
    insta::assert_snapshot!("the_page_has_a_problem", problem);
    let late = page_after_all(&d.region, "https://ibm.pagerduty.com/incidents/Q9PAGE", RUN_URL, &links);
    insta::assert_snapshot!("the_page_was_opened_late", late);
}
