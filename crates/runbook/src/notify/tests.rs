use super::*;
use crate::writes::Outcome;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn said(key: &str, head: &str) -> Announcement {
    let view = "http://responder/runs/r1?key=a&b".into();
    Announcement { key: key.into(), digest: Digest { head: head.into(), why: Some(format!("why {key} & co")) }, view }
}

fn record(said: Vec<Announcement>) -> AlertRecord {
    AlertRecord {
        incident_id: "Q1".into(),
        region: "prod-us-south".parse().unwrap(),
        announcements: said,
        note: None,
        view: "http://responder/runs/r1?key=a&b".into(),
        page: None,
        resolved_at: None,
        issue: None,
    }
}

fn known(alert: &str, kind: &str, id: Option<&str>, opened_with: Option<&str>) -> Known {
    let mut told = Told { opened_with: opened_with.map(str::to_owned), ..Told::default() };
    told.write.id = id.map(str::to_owned);
    Known { place: Place::SlackRegistry, alert: alert.into(), kind: kind.into(), since: at(0), told }
}

const ALL: Places = Places { registry: true, se: true, ghe: true };

fn kinds(messages: &[Message]) -> Vec<(&str, &str)> {
    messages.iter().map(|m| (m.alert.as_str(), m.kind.as_str())).collect()
}

#[test]
fn the_first_note_is_the_root_and_what_is_said_later_a_reply_each() {
    let all = record(vec![said("early:r1", "a"), said("note:r1", "b"), said("note:r2", "c")]);
    let messages = of_alert(&all, &[], ALL);
    assert_eq!(kinds(&messages), [("Q1", "root"), ("Q1", "note:r1"), ("Q1", "note:r2")]);
    assert!(!messages[0].is_reply && messages[0].is_edited && messages[1].is_reply);
    assert!(of_alert(&record(Vec::new()), &[], ALL).is_empty(), "nothing was said");
    assert!(of_alert(&all, &[], Places { registry: false, ..ALL }).is_empty());
    // The same once the root stands.
    let root = known("Q1", "root", Some("1.1"), Some("early:r1"));
    assert_eq!(kinds(&of_alert(&all, &[root], ALL)), kinds(&messages));
}

#[test]
fn after_a_merge_the_survivors_thread_goes_on_and_nothing_is_said_twice() {
    let mut all = record(vec![said("note:r1", "of Q1"), said("note:r2", "of Q2"), said("note:r3", "later")]);
    let of_q1 = known("Q1", "root", Some("1.1"), Some("note:r1"));
    let of_q2 = known("Q2", "root", Some("2.1"), Some("note:r2"));
    for (survivor, thread, other) in [("Q1", "Q1", "Q2"), ("Q2", "Q2", "Q1")] {
        all.incident_id = survivor.into();
        let messages = of_alert(&all, &[of_q1.clone(), of_q2.clone()], ALL);
        // The other's root stands, and says how it ends.
        assert_eq!(kinds(&messages), [(thread, "root"), (other, "root"), (thread, "note:r3")]);
        assert_eq!((&messages[0].text, messages[1].is_edited), (&messages[1].text, true));
    }
    // Merged into an incident that nobody knew: its one thread goes on.
    all.incident_id = "Q9".into();
    assert_eq!(kinds(&of_alert(&all, std::slice::from_ref(&of_q1), ALL))[0], ("Q1", "root"));
    // A root that was never posted has told nobody.
    all.incident_id = "Q2".into();
    let never = Known { told: Told { write: Default::default(), ..of_q1.told.clone() }, ..of_q1 };
    assert_eq!(kinds(&of_alert(&all, &[never, of_q2], ALL)), [("Q2", "root"), ("Q2", "note:r1"), ("Q2", "note:r3")]);
}

#[test]
fn the_root_says_the_last_state_and_still_names_the_region() {
    let mut all = record(vec![said("early:r1", "Still diagnosing\nwait\nnobody")]);
    let text = |all: &AlertRecord| of_alert(all, &[], ALL)[0].text.clone();
    let first = text(&all);
    assert!(first.starts_with("*Still diagnosing*\nwait\nnobody\n"), "{first}");
    assert!(first.contains("prod-us-south: open.") && first.ends_with("|Run view>"), "{first}");
    assert!(first.contains("key=a&amp;b"), "{first}");
    all.note = Some(Digest::of("SERVICE ENDPOINT in <it>\nDo this\nPaged\n\nWHY\nThe reason.\nmore\n\nrun r1"));
    all.page = Some(Page { url: "https://pd/P1".into(), acknowledged_by: None });
    assert!(text(&all).contains("SERVICE ENDPOINT in &lt;it&gt;"), "{}", text(&all));
    assert!(text(&all).contains("<https://pd/P1|the page>, not acknowledged yet."), "{}", text(&all));
    all.page = Some(Page { url: "https://pd/P1".into(), acknowledged_by: Some("<!channel>".into()) });
    all.resolved_at = Some(at(60));
    assert!(text(&all).contains("acknowledged by &lt;!channel&gt;."), "{}", text(&all));
    assert!(text(&all).contains("prod-us-south: resolved, 2027-01-15 08:01 UTC."), "{}", text(&all));
}

#[test]
fn a_reply_has_three_lines_why_and_the_runs_view() {
    let messages = of_alert(&record(vec![said("early:r1", "a"), said("note:r1", "b\nc\nd")]), &[], ALL);
    let run = "<http://responder/runs/r1?key=a&amp;b|Run view>";
    assert_eq!(messages[1].text, format!("*b*\nc\nd\nWhy: why note:r1 &amp; co\n{run}"));
    let digest = Digest::of("a\n\nb\nc\nd\n\nWHY\nThe reason.\nRule: x.\n\nrun r");
    assert_eq!(digest, Digest { head: "a\nb\nc".into(), why: Some("The reason.".into()) });
    assert_eq!(Digest::of("short").why, None);
}

#[test]
fn text_stays_under_3000_characters_a_block_whatever_it_holds() {
    let hostile = "<&>".repeat(4000);
    let mut all = record(vec![said("a", &hostile), said("b", &format!("{hostile}\n{hostile}\n{hostile}"))]);
    all.note = Some(Digest { head: format!("{hostile}\n{hostile}\n{hostile}"), why: Some(hostile.clone()) });
    all.view = format!("https://x/{hostile}");
    all.page = Some(Page { url: all.view.clone(), acknowledged_by: Some(hostile.clone()) });
    for message in of_alert(&all, &[], ALL) {
        assert!(message.text.chars().count() < 3000, "{}", message.text.len());
        assert!(!message.text.contains("<&>"), "{}", message.text);
    }
    assert!(of_alert(&all, &[], ALL)[0].text.contains("prod-us-south"));
}

#[test]
fn one_message_a_page_counts_the_alerts_that_join_it() {
    let page = |alerts: &[&str]| PageRecord {
        page_id: "P1".into(),
        url: "https://pd/P1".into(),
        alerts: alerts.iter().map(|a| (*a).to_owned()).collect(),
        region: "prod-us-south".parse().unwrap(),
        diagnosis: None,
    };
    let of = |alerts: &[&str]| of_page(&page(alerts), &[], ALL);
    assert_eq!(of(&[]), None, "it is not paged");
    assert_eq!(of_page(&page(&["Q1"]), &[], Places { se: false, ..ALL }), None);
    let first = of(&["Q1"]).unwrap();
    assert_eq!((first.alert.as_str(), first.kind.as_str()), ("Q1", SE_PAGE));
    assert!(first.text.contains("prod-us-south*\nThe page: <https://pd/P1>"), "{}", first.text);
    assert!(of(&["Q1", "Q2"]).unwrap().text.contains("prod-us-south* and 1 more alert\n"));
    assert!(of(&["Q1", "Q2", "Q3"]).unwrap().text.contains(" and 2 more alerts\n"));
    // Its alert is the first that was paged with it, whatever is known of that by now.
    let kept = Known { place: Place::SlackSe, ..known("Q1", SE_PAGE, None, None) };
    assert_eq!(of_page(&page(&["Q2"]), &[kept], ALL).unwrap().alert, "Q1");
}

#[test]
fn a_thread_reads_in_order_and_a_reply_without_its_root_is_given_up() {
    let all = record(vec![said("early:r1", "a"), said("note:r1", "b"), said("note:r2", "c")]);
    let messages = of_alert(&all, &[], ALL);
    let pair =
        |known: &[Known]| -> Vec<(Message, Known)> { messages.iter().cloned().zip(known.iter().cloned()).collect() };
    let mut rows = [
        known("Q1", "root", None, Some("early:r1")),
        known("Q1", "note:r1", None, None),
        known("Q1", "note:r2", None, None),
    ];
    assert_eq!(decide(&pair(&rows), at(0)).act, Some((0, Step::Post)));
    rows[0].told.failed(at(0), Some(std::time::Duration::from_secs(9)));
    assert_eq!(decide(&pair(&rows), at(0)), Decision { act: None, wake: Some(at(9)) }, "nothing overtakes the root");
    rows[0].told.ended = true;
    assert_eq!(decide(&pair(&rows), at(0)).act, Some((1, Step::GiveUp)));
    rows[0].told = Told { text: messages[0].text.clone(), ..known("Q1", "root", Some("1.1"), None).told };
    rows[1].told.failed(at(0), None);
    assert_eq!(decide(&pair(&rows), at(0)), Decision { act: None, wake: Some(at(1)) }, "nor a reply an earlier one");
    // An edit of the root waits for no reply.
    rows[0].told.text = "an older text".into();
    assert_eq!(decide(&pair(&rows), at(0)).act, Some((0, Step::Edit)));
}

#[test]
fn it_is_tried_for_six_hours() {
    let told = Told::default();
    let hours = |h: i64| at(h * 3600);
    assert_eq!(told.next("a", true, at(0), at(6 * 3600 - 1)), Step::Post);
    assert_eq!(told.next("a", true, at(0), hours(6)), Step::GiveUp);
    let mut told = known("Q1", "root", Some("1"), None).told;
    told.begin_edit("b", at(0));
    told.edited(&Outcome::NotSent("away".into()), at(0), None);
    assert_eq!(told.next("b", true, at(0), hours(6)), Step::GiveUp);
    told.give_up("b");
    assert_eq!(told.next("b", true, at(0), hours(6)), Step::Nothing);
    assert_eq!(told.next("c", true, at(0), hours(6)), Step::Edit, "another text is another try");
}

#[test]
fn what_was_answered_with_a_wait_rests_that_long_and_longer_each_time() {
    let mut told = Told::default();
    let wait = |told: &Told| match told.next("a", true, at(0), at(0)) {
        Step::Wait(until) => until.duration_since(at(0)).as_secs(),
        step => panic!("{step:?}"),
    };
    let waits: Vec<i64> = (0..9)
        .map(|_| {
            told.failed(at(0), None);
            wait(&told)
        })
        .collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    told.failed(at(0), Some(std::time::Duration::from_secs(300)));
    assert_eq!(wait(&told), 300, "429 waits as told");
}

#[test]
fn after_an_edit_whose_answer_was_lost_nothing_is_sent_before_it_shows() {
    let mut told = known("Q1", "root", Some("1"), None).told;
    told.begin_edit("b", at(0));
    told.take_over(at(1));
    assert!(matches!(told.next("c", true, at(0), at(2)), Step::Wait(until) if until == at(13)), "{told:?}");
    assert_eq!(told.next("c", true, at(0), at(13)), Step::Edit);
}

#[test]
fn what_a_look_finds_is_edited_since_its_text_is_not_known() {
    let mut told = Told::default();
    told.begin("a", 0, at(0)).unwrap();
    told.take_over(at(0));
    assert_eq!(told.next("b", true, at(0), at(0)), Step::Look);
    told.looked(Some("1.1"), at(0));
    assert_eq!(told.next("a", true, at(0), at(0)), Step::Edit);
    assert_eq!(told.next("a", false, at(0), at(0)), Step::Nothing, "an issue is as it is");
    assert_eq!(told.write.doubt, None);
}

#[test]
fn a_new_issues_link_is_percent_encoded_and_fits_a_line() {
    let url = new_issue_url("https://ghe/o/r/issues/new", "SE down: a&b", "line 1\n\"é\"");
    assert_eq!(url, "https://ghe/o/r/issues/new?title=SE%20down%3A%20a%26b&body=line%201%0A%22%C3%A9%22");
    assert_eq!(new_issue_url("https://j/new?project=x#top", "t", "b"), "https://j/new?project=x&title=t&body=b#top");
    let long = new_issue_url("https://ghe/o/r/issues/new", &"é".repeat(500), &"é".repeat(5000));
    assert!(long.len() <= 640 && !long.ends_with('%'), "{}", long.len());
}

/// Contract 9: "each exactly once". Whether the root of an alert stands that was merged meanwhile is found out, and where it does
/// not, what it was begun with is a reply.
#[test]
fn a_root_that_was_in_doubt_when_its_alert_was_merged_is_looked_for() {
    let mut all = record(vec![said("note:r1", "of Q1"), said("note:r2", "of Q2")]);
    all.incident_id = "Q2".into();
    let mut of_q1 = known("Q1", "root", None, Some("note:r1"));
    let attempt = of_q1.told.begin("of Q1", 0, at(0)).unwrap();
    of_q1.told.ended(attempt, &Outcome::Ambiguous("lost".into()), at(1), None);
    let of_q2 = known("Q2", "root", Some("2.1"), Some("note:r2"));
    let messages = of_alert(&all, &[of_q1.clone(), of_q2.clone()], ALL);
    assert_eq!(kinds(&messages), [("Q2", "root"), ("Q1", "root")]);
    let steps = |of_q1: &Known, now| of_q1.told.next(&messages[1].text, true, of_q1.since, at(now));
    assert_eq!(steps(&of_q1, 20), Step::Look);
    of_q1.told.looked(None, at(20));
    let messages = of_alert(&all, &[of_q1, of_q2], ALL);
    assert_eq!(kinds(&messages), [("Q2", "root"), ("Q2", "note:r1")]);
}
