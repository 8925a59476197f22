//! What is under way for an alert, as a text and as it changes.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn command(n: usize, word: Word) -> Command {
    let who = "a name that is as long as people's names may be";
    Command {
        key: format!("01DEN4HPBQAAAG05V5QQYBRZM{n}"),
        word,
        said: format!("/{}", word.as_str()),
        user_id: "PLH1HKV".to_owned(),
        user: who.to_owned(),
        at: Some(at(0)),
    }
}

fn watch(name: &str) -> PageWatch {
    PageWatch {
        name: name.to_owned(),
        run_id: "01a215c0-89ac-73d8-be89-c7f1465f67aa".to_owned(),
        page_id: format!("P{name}"),
        page_url: "https://example.pagerduty.com/incidents/Q2ABCDEFGHIJKL".to_owned(),
        since: at(1),
        since_there: Some(at(2)),
        said: true,
        due: at(3),
    }
}

/// As much as an alert may have under way.
fn full() -> Beside {
    let mut beside = Beside::default();
    let run_id = || "01a215c0-89ac-73d8-be89-c7f1465f67aa".to_owned();
    beside.apply(Input::MayChange { run_id: run_id(), after: Duration::from_secs(600) }, at(0));
    beside.apply(Input::Explained { run_id: run_id(), after: Duration::from_secs(30) }, at(0));
    beside.apply(Input::Ended { run_id: run_id() }, at(0));
    beside.apply(Input::Paged(watch("Q1ABCDEFGHIJKL")), at(0));
    beside.apply(Input::Paged(watch("Q2ABCDEFGHIJKL")), at(0));
    for name in ["Q1ABCDEFGHIJKL", "Q2ABCDEFGHIJKL"] {
        beside.apply(Input::PageWanted(name.to_owned()), at(0));
    }
    for page in &mut beside.pages {
        let times = (Some(at(1)), Some(at(2)), Some(at(3)), Some("x".repeat(200)), 30, at(4));
        (page.began, page.since, page.not_asked_since, page.last_failure, page.pause_s, page.due) = times;
    }
    for n in 0..MOST_COMMANDS {
        beside.apply(Input::Said(command(n, Word::Escalate)), at(4));
    }
    for open in &mut beside.commands {
        open.obeyed = Some((Reply::Started(run_id()), at(5)));
        open.refused_since = Some(at(6));
    }
    beside
}

#[test]
fn all_that_an_alert_may_have_under_way_is_short_and_read_back_as_it_was() {
    let text = full().text().unwrap();
    assert!(text.len() <= 8_192, "{}", text.len());
    assert_eq!(Beside::read(&text).unwrap(), full());
    assert_eq!(Beside::default().text().unwrap(), "");
    assert_eq!(Beside::read("").unwrap(), Beside::default());
}

#[test]
fn a_text_of_the_first_version_is_read() {
    let text = r#"{"version":1,"follow_up":{"run_id":"R","due":"2026-11-30T13:00:00Z"},
        "related_again":{"run_id":"R","since":"2026-11-30T13:00:00Z","due":"2026-11-30T13:00:30Z"},
        "page_watches":[{"name":"Q1","run_id":"R","page_id":"P","page_url":"U","since":"2026-11-30T13:00:00Z",
            "due":"2026-11-30T13:00:01Z"}],
        "resolution":{"run_id":"R","since":"2026-11-30T13:00:00Z","due":"2026-11-30T13:00:00Z"},
        "commands":[{"command":{"event_id":"N","word":"hold","said":"/hold","user_id":"U","user":"Earline",
            "at":"2026-11-30T13:00:00Z"},"obeyed":["kept","2026-11-30T13:00:01Z"],"due":"2026-11-30T13:00:00Z"}],
        "of_a_later_one":{}}"#;
    let read = Beside::read(text).unwrap();
    assert_eq!(read.page_watches[0].name, "Q1");
    assert_eq!(read.commands[0].obeyed.as_ref().map(|(reply, _)| reply.clone()), Some(Reply::Kept));
    assert_eq!(read.due(), Some("2026-11-30T13:00:00Z".parse().unwrap()));
}

/// As the version before this one wrote it, which knew no pages here; and as this one does.
#[test]
fn a_text_without_pages_and_one_with_a_page_is_read() {
    let without = r#"{"version":1,"follow_up":{"run_id":"R","due":"2026-11-30T13:00:00Z"}}"#;
    assert!(Beside::read(without).unwrap().pages.is_empty());
    let with = r#"{"version":2,"pages":[{"name":"Q1","due":"2026-11-30T13:00:00Z"}]}"#;
    let read = Beside::read(with).unwrap();
    assert_eq!(read.pages, [OpenPage::new("Q1", "2026-11-30T13:00:00Z".parse().unwrap())]);
    assert_eq!((read.is_empty(), read.due()), (false, Some(read.pages[0].due)));
}

/// A replica of the version before would forget the page: it must not take the text for one of its own.
#[test]
fn the_version_before_reads_no_text_with_a_page_and_every_other() {
    let version = |beside: &Beside| {
        let text: serde_json::Value = serde_json::from_str(&beside.text().unwrap()).unwrap();
        text["version"].clone()
    };
    let mut beside = Beside::default();
    beside.apply(Input::Ended { run_id: "R".to_owned() }, at(0));
    assert_eq!(version(&beside), 1);
    beside.apply(Input::PageWanted("Q1".to_owned()), at(0));
    assert_eq!(version(&beside), 2);
}

#[test]
fn a_page_that_is_wanted_again_is_tried_at_once_and_of_two_alerts_each_goes_on() {
    let mut ours = Beside::default();
    ours.apply(Input::PageWanted("Q1".to_owned()), at(0));
    ours.pages[0] = OpenPage { due: at(60), last_failure: Some("no answer".to_owned()), ..ours.pages[0].clone() };
    let waits = ours.clone();
    ours.apply(Input::PageWanted("Q1".to_owned()), at(1));
    assert_eq!(ours.pages, [OpenPage::new("Q1", at(1))]);
    let mut other = Beside::default();
    other.apply(Input::PageWanted("Q2".to_owned()), at(2));
    other.merge(waits.clone());
    assert_eq!(
        other.pages.iter().map(|page| (page.name.as_str(), page.due)).collect::<Vec<_>>(),
        [("Q2", at(2)), ("Q1", at(60))]
    );
    assert_eq!(other.split("Q1").pages, waits.pages);
    assert_eq!(other.pages.len(), 1);
}

#[test]
fn what_a_newer_version_wrote_and_what_is_no_text_of_ours_is_not_read() {
    assert!(matches!(Beside::read(r#"{"version":3}"#), Err(Unreadable::Newer(3))));
    for text in ["{", "[]", "{}", r#"{"version":1,"commands":[{}]}"#] {
        assert!(matches!(Beside::read(text), Err(Unreadable::Text(_))), "{text}");
    }
}

#[test]
fn a_command_that_is_told_of_twice_is_one_and_of_many_the_askers_go_first() {
    let mut beside = Beside::default();
    beside.apply(Input::Said(command(0, Word::Hold)), at(0));
    beside.apply(Input::Said(command(0, Word::Hold)), at(1));
    assert_eq!(beside.commands.len(), 1);
    for n in 1..=MOST_COMMANDS {
        beside.apply(Input::Said(command(n, Word::Status)), at(1));
    }
    assert_eq!(beside.commands.len(), MOST_COMMANDS);
    assert_eq!(beside.commands[0].command.word, Word::Hold);
    // What is obeyed next, and what is not never.
    for n in 100..100 + 2 * MOST_COMMANDS {
        beside.apply(Input::Said(command(n, Word::Rerun)), at(1));
    }
    assert_eq!(beside.commands.len(), 1 + 2 * MOST_COMMANDS, "the hold and the reruns");
    for open in &mut beside.commands {
        open.obeyed = Some((Reply::Kept, at(2))).filter(|_| open.command.word == Word::Rerun);
    }
    let dropped = beside.apply(Input::Said(command(999, Word::Escalate)), at(3));
    assert_eq!((beside.commands.len(), dropped.len()), (MOST_COMMANDS, 2 + MOST_COMMANDS));
    assert!(dropped.iter().all(|command| command.word == Word::Rerun), "{dropped:?}");
}

#[test]
fn what_was_under_way_for_a_merged_alert_goes_on_once() {
    let mut ours = Beside::default();
    ours.apply(Input::Paged(watch("Q1")), at(0));
    ours.apply(Input::Said(command(1, Word::Hold)), at(0));
    let mut theirs = full();
    theirs.page_watches.clear();
    theirs.apply(Input::Paged(PageWatch { name: "Q9".to_owned(), ..watch("Q1") }), at(0));
    theirs.apply(Input::Said(command(1, Word::Hold)), at(0));
    ours.merge(theirs.clone());
    assert_eq!(ours.page_watches.len(), 1, "they watch one page");
    assert_eq!(ours.follow_up, theirs.follow_up);
    assert_eq!(ours.resolution, None, "what was merged away has no end of its own");
    assert_eq!(ours.commands.iter().filter(|open| open.command.word == Word::Hold).count(), 1);
    // Of two waits the one of the newer run goes on, whichever alert had it.
    let waits = |run: &str| {
        let mut beside = Beside::default();
        beside.apply(Input::Explained { run_id: run.to_owned(), after: Duration::ZERO }, at(0));
        beside.apply(Input::MayChange { run_id: run.to_owned(), after: Duration::ZERO }, at(0));
        beside
    };
    for (own, other) in [("r1", "r2"), ("r2", "r1")] {
        let mut merged = waits(own);
        merged.merge(waits(other));
        assert_eq!(merged, waits("r2"));
    }
}

#[test]
fn a_name_that_is_split_off_takes_the_watch_over_its_page_along() {
    let mut beside = full();
    let split = beside.split("Q2ABCDEFGHIJKL");
    assert_eq!(split.page_watches.iter().map(|w| w.name.as_str()).collect::<Vec<_>>(), ["Q2ABCDEFGHIJKL"]);
    assert_eq!(split.pages.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["Q2ABCDEFGHIJKL"]);
    assert_eq!(split.due(), Some(at(3)));
    assert_eq!(beside.page_watches.len(), 1);
}

#[test]
fn what_an_older_version_left_goes_on_beside_what_is_there() {
    let mut ours = Beside::default();
    ours.apply(Input::Paged(PageWatch { said: false, ..watch("Q1ABCDEFGHIJKL") }), at(0));
    ours.apply(Input::Left(Box::new(full())), at(1));
    assert_eq!(
        ours.page_watches.iter().filter(|w| w.name == "Q1ABCDEFGHIJKL").map(|w| w.said).collect::<Vec<_>>(),
        [false]
    );
    assert_eq!((ours.resolution, ours.commands), (full().resolution, full().commands));
}
