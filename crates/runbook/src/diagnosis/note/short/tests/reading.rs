//! The short notes themselves, to be read.

use std::time::Duration;

use super::super::acknowledged;
use super::{USUAL, samples};

fn sample(name: &str) -> String {
    samples(&USUAL).into_iter().find(|(n, _)| *n == name).expect("a sample").1
}

#[test]
fn waiting_and_early() {
    insta::assert_snapshot!(sample("suppressed"), @r#"
    WAITING, not diagnosed yet, in prod-us-south: 2 open pages may explain it
    Do now: deal with these first: "All Public endpoints down in prod-us-south" and 1 more. See if this alert resolves with them.
    Nobody was paged by this service. It looks again every 30 s, and diagnoses anyway at 2026-08-14 03:27:05 UTC.

    OPEN PAGES
    - All Public endpoints down in prod-us-south https://ibm.pagerduty.com/incidents/Q2PUBLIC
    - DOWN | Origin - reg-glob-us-south-endpoint-01 | Pool - reg-glob | Response code mismatch error https://ibm.pagerduty.com/incidents/Q3ORIGIN

    Once they have all been closed for 2 min, and this alert is still open, it is diagnosed.
    To have it diagnosed now, reply /rerun as a note on this incident.

    This run: https://se-responder.example.com/runs/0198a5c2-7d1e-7bb0-9c55-3f0d5c1e8a42
    "#);
    insta::assert_snapshot!(sample("suppressed by one"), @r#"
    WAITING, not diagnosed yet, in prod-us-south: 1 open page may explain it
    Do now: deal with "All Public endpoints down in prod-us-south" first, see if this alert resolves with it.
    Nobody was paged by this service. It looks again every 30 s, and diagnoses anyway at 2026-08-14 03:27:05 UTC.

    OPEN PAGES
    - All Public endpoints down in prod-us-south https://ibm.pagerduty.com/incidents/Q2PUBLIC

    Once they have all been closed for 2 min, and this alert is still open, it is diagnosed.
    To have it diagnosed now, reply /rerun as a note on this incident.

    This run: https://se-responder.example.com/runs/0198a5c2-7d1e-7bb0-9c55-3f0d5c1e8a42
    "#);
    insta::assert_snapshot!(sample("early, transient"), @r"
    Still diagnosing prod-us-south. Maybe TRANSIENT: every Magic Box rejects connections
    Do now: wait until 2026-08-14 03:19:05 UTC at the latest. The Jenkins job is run again to see if it lasts.
    Nobody was paged: it may be over by itself. If it stays, it is Cloud Service Endpoint's problem.

    KNOWN SO FAR
    - All 3 boxes of 3 zones have SE status 0, but 3 have upstream status 1: this can be a transient state.
    - registry-prod-us-south-az1: SE=0 upstream=1
    - registry-prod-us-south-az2: SE=0 upstream=1
    - registry-prod-us-south-az3: SE=0 upstream=1
    - No related page is open.

    WAITING FOR (by 03:19:05)
    - The second of 3 readings.

    This run: https://se-responder.example.com/runs/0198a5c2-7d1e-7bb0-9c55-3f0d5c1e8a42
    ");
    insta::assert_snapshot!(sample("early, nothing yet"), @r"
    Still diagnosing prod-us-south. No diagnosis yet
    Do now: wait for it, until 2026-08-14 03:19:05 UTC at the latest. If there is none by then, follow the runbook by hand.
    Nobody was paged: not enough is known yet.

    KNOWN SO FAR
    - No related page is open.

    WAITING FOR (by 03:19:05)
    - The second of 3 readings.

    This run: https://se-responder.example.com/runs/0198a5c2-7d1e-7bb0-9c55-3f0d5c1e8a42
    ");
}

#[test]
fn a_word_before_the_diagnosis_names_open_pages_first() {
    insta::assert_snapshot!(sample("early, pages open"), @r#"
    Still diagnosing prod-us-south. No diagnosis yet
    Do now: deal with these first: "All Public endpoints down in prod-us-south" and 1 more. See if this alert resolves with them. Wait for the diagnosis until 2026-08-14 03:19:05 UTC at the latest.
    Nobody was paged: not enough is known yet.

    OPEN PAGES
    - All Public endpoints down in prod-us-south https://ibm.pagerduty.com/incidents/Q2PUBLIC
    - DOWN | Origin - reg-glob-us-south-endpoint-01 | Pool - reg-glob | Response code mismatch error https://ibm.pagerduty.com/incidents/Q3ORIGIN

    KNOWN SO FAR
    - No related page is open.

    WAITING FOR (by 03:19:05)
    - The second of 3 readings.

    This run: https://se-responder.example.com/runs/0198a5c2-7d1e-7bb0-9c55-3f0d5c1e8a42
    "#);
}

#[test]
fn after_a_page() {
    insta::assert_snapshot!(sample("unacknowledged"), @r"
    NOBODY HAS ACKNOWLEDGED THE PAGE for prod-us-south, after 10 min
    Do now: reach Cloud Service Endpoint another way, Slack #private-marketplace.
    Paged: Cloud Service Endpoint, but nobody has taken it. https://ibm.pagerduty.com/incidents/Q9PAGE

    What to tell them (Magic Box IDs): https://se-responder.example.com/runs/0198a5c2-7d1e-7bb0-9c55-3f0d5c1e8a42
    ");
    let at_once = |ms| acknowledged(&"prod-eu-de".parse().unwrap(), "", "Jo", Duration::from_millis(ms), "");
    assert!(at_once(999).starts_with("Page acknowledged for prod-eu-de, at once, by Jo\n"), "{}", at_once(999));
    assert!(at_once(1000).starts_with("Page acknowledged for prod-eu-de, after 1 s, by Jo\n"), "{}", at_once(1000));
    insta::assert_snapshot!(sample("acknowledged"), @r"
    Page acknowledged for prod-us-south, after 3 min 20 s, by Jane Doe
    Do now: stay in touch with Cloud Service Endpoint, Slack #private-marketplace.
    Paged: Cloud Service Endpoint, and Jane Doe has it. https://ibm.pagerduty.com/incidents/Q9PAGE

    The diagnosis: https://se-responder.example.com/runs/0198a5c2-7d1e-7bb0-9c55-3f0d5c1e8a42
    ");
    insta::assert_snapshot!(sample("alert over"), @r#"
    RESOLVED: registry's SE alert for prod-us-south is over, after 42 min 10 s
    Do now: check that it stays fixed on your side, then resolve this page. This service never does.
    This page was for that alert. It resolved at 2026-08-14 03:54:15 UTC.

    The alert had opened at 2026-08-14 03:12:05 UTC.
    It resolves by itself when registry's end-to-end test through SE gets 200 OK again.
    Registry's alert: "All SE endpoints down in prod-us-south" https://ibm.pagerduty.com/incidents/Q1ALERT

    The diagnosis: https://se-responder.example.com/runs/0198a5c2-7d1e-7bb0-9c55-3f0d5c1e8a42
    "#);
}

#[test]
fn answers() {
    insta::assert_snapshot!(sample("/rerun"), @r"
    Diagnosing prod-us-south again (/rerun by Jane Doe)
    Do now: nothing, its note comes here when it is done.
    Nobody was paged by this command.

    The run: https://se-responder.example.com/runs/0198a5c2-7d1e-7bb0-9c55-3f0d5c1e8a42
    ");
    insta::assert_snapshot!(sample("/rerun, active"), @r"
    Already diagnosing prod-us-south, no second run (/rerun by Jane Doe)
    Do now: nothing, the note of the run under way comes here.
    Nobody was paged by this command.

    The run: https://se-responder.example.com/runs/0198a5c2-7d1e-7bb0-9c55-3f0d5c1e8a42
    ");
    insta::assert_snapshot!(sample("/escalate"), @r"
    Paging Cloud Service Endpoint for prod-us-south (/escalate by Jane Doe)
    Do now: wait a minute. If the page fails, another note here says so.
    Nobody was paged yet.
    ");
    insta::assert_snapshot!(sample("/escalate, paged"), @r"
    Paged Cloud Service Endpoint for prod-us-south (/escalate by Jane Doe)
    Do now: stay in touch with Cloud Service Endpoint, Slack #private-marketplace.
    Paged: Cloud Service Endpoint, asked for by Jane Doe. https://ibm.pagerduty.com/incidents/Q9PAGE
    ");
    insta::assert_snapshot!(sample("/escalate, before"), @r"
    Cloud Service Endpoint is paged already for prod-us-south (/escalate by Jane Doe)
    Do now: stay in touch with Cloud Service Endpoint, Slack #private-marketplace.
    Paged: Cloud Service Endpoint, before. No second page was opened. https://ibm.pagerduty.com/incidents/Q9PAGE
    ");
    insta::assert_snapshot!(sample("/hold"), @r"
    Automatic paging is on hold for prod-us-south (/hold by Jane Doe)
    Do now: nothing. To page Cloud Service Endpoint after all, reply /escalate as a note on this incident.
    Nobody will be paged automatically, until /escalate or until the alert is reopened.

    A page that is open already stays open.
    ");
    insta::assert_snapshot!(sample("/status"), @r"
    Status of prod-us-south: the run is done (/status by Jane Doe)
    Do now: follow the diagnosis note. Verdict: all 3 boxes have SE status 0, but 3 have upstream status 1: it persists, so this is an SE problem.
    Not paged, the automatic page is held: related pages are open; its evidence is old.

    The run: https://se-responder.example.com/runs/0198a5c2-7d1e-7bb0-9c55-3f0d5c1e8a42
    ");
    insta::assert_snapshot!(sample("/status, early"), @r"
    Status of prod-us-south: the run is running (/status by Jane Doe)
    Do now: wait, there is no verdict yet.
    Not paged.

    The run: https://se-responder.example.com/runs/0198a5c2-7d1e-7bb0-9c55-3f0d5c1e8a42
    ");
}

#[test]
fn answers_that_say_no() {
    insta::assert_snapshot!(sample("/help"), @r"
    No such command, nothing done for prod-us-south (/help by Jane Doe)
    Do now: write one of these alone in a note: /rerun (diagnose again), /escalate (page Cloud Service Endpoint), /hold (no automatic page), /status (where things stand).
    Nobody was paged by this command.
    ");
    insta::assert_snapshot!(sample("too old"), @r"
    Not obeyed for prod-us-south, it came too late (/escalate by Jane Doe)
    Do now: write it again if you still want it. It reached this service more than 15 minutes after it was written.
    NOBODY WAS PAGED by this command.
    ");
    insta::assert_snapshot!(sample("closed"), @r"
    Not obeyed, the alert of prod-us-south is closed (/rerun by Jane Doe)
    Do now: nothing. Should it open again, it is diagnosed again by itself.
    Nobody was paged by this command.
    ");
    insta::assert_snapshot!(sample("not allowed"), @r"
    Not obeyed for prod-us-south, not allowed (/hold by Jane Doe)
    Do now: ask somebody who may give commands here, or do it by hand. Jane Doe is not among COMMAND_USERS.
    Nobody was paged by this command.
    ");
    insta::assert_snapshot!(sample("/escalate, failed"), @r"
    FAILED for prod-us-south (/escalate by Jane Doe)
    Do now: page Cloud Service Endpoint by hand in PagerDuty.
    NOBODY WAS PAGED, as far as is known. 402 Payment Required.
    ");
    insta::assert_snapshot!(sample("/rerun, failed"), @r"
    FAILED for prod-us-south (/rerun by Jane Doe)
    Do now: write it again, or do it by hand.
    Nobody was paged by this command. Why it failed: the store is full.
    ");
}
