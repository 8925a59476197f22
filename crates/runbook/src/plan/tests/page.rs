//! A page that is wanted, try by try.

use super::*;

const MINUTE: i64 = 60;

fn known() -> KnownPage {
    KnownPage { name: "Q1".to_owned(), state: PageRow::Wanted, by_hand: false, tried_since: None, waits_for: None }
}

/// A page that is wanted automatically, and was first tried at `began`.
fn wanted(began: i64) -> Given {
    let mut given = Given { pages: vec![known()], ..Given::new() };
    given.beside.pages.push(OpenPage { began: Some(at(began)), ..OpenPage::new("Q1", at(0)) });
    given
}

fn by_hand(mut given: Given) -> Given {
    given.pages[0].by_hand = true;
    given
}

fn tried_since(mut given: Given, at_second: i64) -> Given {
    given.pages[0].tried_since = Some(at(at_second));
    given
}

fn opened() -> OpenedPage {
    OpenedPage { id: "P".to_owned(), html_url: "U".to_owned(), joined: false, problem: None }
}

fn held() -> HeldPage {
    let reasons = vec!["a reason".to_owned()];
    HeldPage { reasons, unknown: false, outdated: false, run_is_active: true, looked: None }
}

fn came(given: &mut Given, tried: Tried) -> Next {
    given.then("try:Q1", Came::Tried(tried))
}

fn failed(next: &Next) -> Option<&str> {
    match next.actions.as_slice() {
        [What::EndPage { end: PageEnd::Failed(why), .. }] => Some(why),
        _ => None,
    }
}

/// The second at which it is tried again.
fn again(next: &Next) -> Option<i64> {
    assert!(next.actions.is_empty(), "{next:?}");
    next.wake_at.map(|at| at.as_second() - self::at(0).as_second())
}

#[test]
fn each_row_that_needs_something_is_taken_up_at_once_and_what_has_none_is_dropped() {
    let mut given = Given { pages: vec![known()], ..Given::new() };
    assert_eq!(given.advance().actions, [What::TryPage("Q1".to_owned())]);
    assert_eq!(given.beside.pages, [OpenPage::new("Q1", at(0))]);
    given.pages.clear();
    let next = given.advance();
    assert!(given.beside.is_empty() && next.actions.is_empty() && next.ended.is_empty(), "{next:?}");
}

#[test]
fn what_is_open_or_refused_ends_it_and_is_told_of() {
    let mut given = wanted(0);
    let next = came(&mut given, Tried::Opened(opened()));
    assert_eq!(next.actions, [What::EndPage { name: "Q1".to_owned(), end: PageEnd::Paged(opened()) }]);
    let mut given = wanted(0);
    assert_eq!(failed(&came(&mut given, Tried::Refused("a setting".to_owned()))), Some("a setting"));
    // Its own was heard of while it ended: it is looked for soon.
    assert_eq!(again(&given.then("end-page:Q1", Came::NotDone)), Some(1));
    let told = |at: i64, is_last| {
        let mut given = wanted(0);
        given.pages[0].state = PageRow::Ended(self::at(at));
        assert_eq!(given.advance().actions, [What::TellPage { name: "Q1".to_owned(), is_last }], "{at}");
        given
    };
    assert_eq!(again(&told(-1, false).then("tell-page:Q1", Came::NotDone)), Some(60));
    told(-6 * 3600 + 1, false);
    told(-6 * 3600, true);
}

#[test]
fn what_may_work_later_is_tried_ever_more_seldom_for_ten_minutes() {
    for (pause, next) in [(0, 1), (2, 2), (16, 16), (30, 30)] {
        let mut given = wanted(0);
        given.beside.pages[0] = OpenPage { pause_s: pause, ..OpenPage::new("Q1", at(0)) };
        assert_eq!(again(&came(&mut given, Tried::Later("no answer".to_owned()))), Some(next), "{pause}");
        let page = &given.beside.pages[0];
        assert_eq!(i64::from(page.pause_s), (2 * next).min(30));
        assert_eq!((page.began, page.last_failure.as_deref()), (Some(at(0)), Some("no answer")));
    }
    // The last try is made when time is up, and no later.
    let late = |began| {
        let mut given = wanted(began);
        given.beside.pages[0].pause_s = 30;
        came(&mut given, Tried::Later("no answer".to_owned()))
    };
    assert_eq!(again(&late(-10 * MINUTE + 7)), Some(7));
    assert_eq!(failed(&late(-10 * MINUTE)), Some("no answer"));
    // Over all workers, by its row.
    let mut given = tried_since(wanted(0), -10 * MINUTE);
    assert!(failed(&came(&mut given, Tried::Later("no answer".to_owned()))).is_some());
    let mut given = tried_since(wanted(-20 * MINUTE), -1);
    assert_eq!(again(&came(&mut given, Tried::Later("no answer".to_owned()))), Some(1));
    let mut given = wanted(0);
    came(&mut given, Tried::Later("x".repeat(10_000)));
    assert!(given.beside.pages[0].last_failure.as_ref().is_some_and(|kept| kept.len() <= 210));
}

#[test]
fn an_automatic_page_waits_six_hours_for_a_pagerduty_that_answers_nothing_and_a_persons_ten_minutes() {
    let not_asked = || Tried::NotAsked("no answer".to_owned());
    let mut given = wanted(-11 * MINUTE);
    assert_eq!(again(&came(&mut given, not_asked())), Some(1));
    let page = &given.beside.pages[0];
    assert_eq!((page.since, page.not_asked_since), (Some(at(0)), Some(at(0))));
    let mut given = by_hand(wanted(-10 * MINUTE));
    assert_eq!(failed(&came(&mut given, not_asked())), Some("no answer"));
    let mut given = wanted(-6 * 3600);
    assert_eq!(failed(&came(&mut given, not_asked())), Some("no answer"), "it was not even asked for six hours");
    // After ten minutes it counts whether it answers anything at all.
    let long = || {
        let mut given = wanted(-11 * MINUTE);
        given.beside.pages[0].not_asked_since = Some(at(-10 * MINUTE));
        let next = came(&mut given, not_asked());
        assert_eq!(next.actions, [What::AskPagerDuty("Q1".to_owned())]);
        given
    };
    assert_eq!(failed(&long().then("answers:Q1", Came::Done)), Some("no answer"));
    let mut given = long();
    assert_eq!(again(&given.then("answers:Q1", Came::NotDone)), Some(1));
    assert_eq!(given.beside.pages[0].not_asked_since, None);
    // What its row says of the time in which it is tried is forgotten.
    let mut given = tried_since(wanted(-1), -9 * MINUTE);
    assert_eq!(came(&mut given, not_asked()).actions, [What::ForgetTries("Q1".to_owned())]);
    assert_eq!(again(&given.then("forget-tries:Q1", Came::Done)), Some(1));
    // An answer ends that.
    let mut given = wanted(-1);
    given.beside.pages[0].not_asked_since = Some(at(-5));
    came(&mut given, Tried::Later("no answer".to_owned()));
    assert_eq!(given.beside.pages[0].not_asked_since, None);
}

#[test]
fn what_holds_it_holds_at_once_but_what_is_only_not_known() {
    let hold = |next: &Next| matches!(next.actions.as_slice(), [What::HoldPage { starts_over: false, .. }]);
    assert!(hold(&came(&mut wanted(0), Tried::Held(held()))));
    let unknown = || Tried::Held(HeldPage { unknown: true, ..held() });
    assert_eq!(again(&came(&mut wanted(-59), unknown())), Some(1));
    assert!(hold(&came(&mut wanted(-60), unknown())));
    // A person has asked for it meanwhile, or it stands.
    let mut given = wanted(0);
    came(&mut given, Tried::Held(held()));
    assert_eq!(given.then("hold-page:Q1", Came::NotDone).wake_at, Some(after(at(0), Duration::from_millis(500))));
}

/// Since when it is tried, whether something went wrong, whether its run may take the evidence again; what follows.
#[test]
fn old_evidence_holds_it_until_it_would_take_too_long_to_take_it_again() {
    let outdated = |since: Option<i64>, failure: bool, run_is_active: bool| {
        let mut given = wanted(0);
        given.pages[0].tried_since = since.map(at);
        given.beside.pages[0].last_failure = failure.then(|| "no answer".to_owned());
        came(&mut given, Tried::Held(HeldPage { outdated: true, run_is_active, ..held() }))
    };
    let starts_over = |next: &Next| match next.actions.as_slice() {
        [What::HoldPage { starts_over, .. }] => Some(*starts_over),
        _ => None,
    };
    let (early, late) = (Some(-5 * MINUTE + 1), Some(-5 * MINUTE));
    for (since, failure, run_is_active, expected) in [
        (None, false, true, Some(false)),
        (early, false, true, Some(true)),
        (early, true, true, Some(false)),
        (late, false, true, Some(true)),
        (late, false, false, None),
        (late, true, true, None),
    ] {
        let next = outdated(since, failure, run_is_active);
        assert_eq!(starts_over(&next), expected, "{since:?} {failure} {run_is_active}");
    }
    assert_eq!(failed(&outdated(late, true, true)), Some("no answer; meanwhile a reason"));
    assert_eq!(
        failed(&outdated(late, false, false)),
        Some("it could not be opened for some minutes; meanwhile a reason")
    );
}

#[test]
fn who_waits_for_another_alerts_page_keeps_that_and_rests() {
    let another = |doubt| Tried::Another { alert: "Q9".to_owned(), doubt };
    let mut given = wanted(-5);
    given.beside.pages[0].last_failure = Some("no answer".to_owned());
    let next = came(&mut given, another(false));
    let waits = |alert: Option<&str>, starts_over| What::WaitForPage {
        name: "Q1".to_owned(),
        alert: alert.map(str::to_owned),
        by_hand: false,
        starts_over,
    };
    assert_eq!(next.actions, [waits(None, false)]);
    given.pages[0].tried_since = Some(at(0));
    let next = given.advance();
    assert_eq!((next.actions.len(), next.wake_at), (0, Some(after(at(0), Duration::from_millis(500)))));
    assert_eq!(given.beside.pages[0].last_failure, None, "what comes then is another try");
    // As long as nothing changes nothing is kept; ever more seldom.
    for (since, wait) in [(-8, 2), (-100, 5)] {
        assert_eq!(again(&came(&mut tried_since(wanted(0), since), another(false))), Some(wait), "{since}");
    }
    // One that was given up, and may be open: the note says for which it waits.
    let mut given = tried_since(wanted(0), -1);
    assert_eq!(came(&mut given, another(true)).actions, [waits(Some("Q9"), false)]);
    given.pages[0].waits_for = Some("Q9".to_owned());
    assert_eq!(again(&given.advance()), Some(30));
}

#[test]
fn another_that_never_ends_is_waited_for_as_long_as_a_page_is_tried() {
    let waited = |since: i64, doubt: bool| {
        let mut given = tried_since(wanted(0), since);
        given.pages[0].waits_for = doubt.then(|| "Q9".to_owned());
        let next = came(&mut given, Tried::Another { alert: "Q9".to_owned(), doubt });
        (given, next)
    };
    assert!(waited(-10 * MINUTE + 1, false).1.actions.is_empty());
    // One that may still be opened is so until the last look for it.
    assert!(waited(-23 * MINUTE + 1, true).1.actions.is_empty());
    for (since, doubt, words) in [(-10 * MINUTE, false, "neither open nor given up"), (-23 * MINUTE, true, "given up")]
    {
        let (mut given, next) = waited(since, doubt);
        assert_eq!(next.actions, [What::AskPagerDuty("Q1".to_owned())]);
        let next = given.then("answers:Q1", Came::Done);
        assert!(failed(&next).is_some_and(|why| why.contains("Q9") && why.contains(words)), "{next:?}");
        // While PagerDuty can't be asked nothing could be said either, and whoever opens the page waits too.
        let (mut given, _) = waited(since, doubt);
        let next = given.then("answers:Q1", Came::NotDone);
        assert!(matches!(next.actions.as_slice(), [What::WaitForPage { starts_over: true, .. }]), "{next:?}");
    }
}

#[test]
fn a_page_of_which_something_can_not_be_read_ends_and_that_is_said() {
    let unreadable = || Came::Unreadable("a run's facts".to_owned());
    let mut given = wanted(0);
    let next = given.then("try:Q1", unreadable());
    assert_eq!(next.actions, [What::GiveUpPage { name: "Q1".to_owned(), why: "a run's facts".to_owned() }]);
    assert!(next.ended.is_empty(), "{next:?}");
    for came in [Came::NotDone, unreadable()] {
        let mut given = given.clone();
        assert_eq!(again(&given.then("give-up-page:Q1", came)), Some(3600), "not a busy loop");
    }
    // Its row itself: nothing is done by it.
    let mut given = wanted(0);
    given.pages[0].state = PageRow::Unreadable;
    assert_eq!(again(&given.then("tell-page:Q1", Came::Done)), Some(3600));
}

/// lifecycle.md#the-page: what is tried over a minute after it was due was not tried meanwhile. Its row says all the same since
/// when it is tried.
#[test]
fn while_nobody_was_there_it_was_not_tried() {
    let came_late = |due: i64, tried_since: Option<i64>, tried: Tried| {
        let mut given = wanted(-3600);
        given.pages[0].tried_since = tried_since.map(at);
        let long_ago = Some(at(-3600));
        given.beside.pages[0] = OpenPage {
            since: long_ago,
            not_asked_since: long_ago,
            last_failure: Some("no answer".to_owned()),
            due: at(due),
            ..given.beside.pages[0].clone()
        };
        let next = came(&mut given, tried);
        assert_eq!(next, given.advance(), "once more changes nothing");
        (given, next)
    };
    let later = || Tried::Later("no answer".to_owned());
    assert_eq!(failed(&came_late(-60, None, later()).1), Some("no answer"));
    assert_eq!(again(&came_late(-61, None, later()).1), Some(1));
    assert_eq!(failed(&came_late(-61, Some(-10 * MINUTE), later()).1), Some("no answer"));

    let not_asked = || Tried::NotAsked("no answer".to_owned());
    assert_eq!(came_late(-60, None, not_asked()).1.actions, [What::AskPagerDuty("Q1".to_owned())]);
    let (given, next) = came_late(-61, None, not_asked());
    assert_eq!(again(&next), Some(1));
    let page = &given.beside.pages[0];
    assert_eq!((page.began, page.since, page.not_asked_since), (Some(at(0)), Some(at(0)), Some(at(0))));

    let unknown = || Tried::Held(HeldPage { unknown: true, ..held() });
    assert!(matches!(came_late(-60, None, unknown()).1.actions.as_slice(), [What::HoldPage { .. }]));
    assert_eq!(again(&came_late(-61, None, unknown()).1), Some(1));

    let outdated = || Tried::Held(HeldPage { outdated: true, ..held() });
    let starts_over = |next: &Next| matches!(next.actions.as_slice(), [What::HoldPage { starts_over: true, .. }]);
    assert!(!starts_over(&came_late(-60, Some(-1), outdated()).1));
    assert!(starts_over(&came_late(-61, Some(-1), outdated()).1), "nothing has gone wrong since");
}

#[test]
fn a_try_that_found_the_page_another_s_is_made_again_ever_more_seldom() {
    for (pause, next) in [(0, 1), (16, 16), (30, 30)] {
        let mut given = wanted(0);
        given.beside.pages[0].pause_s = pause;
        assert_eq!(again(&given.then("try:Q1", Came::NotDone)), Some(next), "{pause}");
    }
}
