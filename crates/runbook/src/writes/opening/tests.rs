use super::*;

const TIMES: &Times = &Times::OPENING;
const ROOM: Hour = Hour { opened: 0, most: 6 };

fn at(second: i64) -> Moment {
    Moment { ours: Timestamp::from_second(second).unwrap(), theirs: None }
}

/// One was sent at 0; `None`: and what came of it is not recorded.
fn sent(outcome: Option<Outcome>) -> Write {
    let mut write = Write::default();
    let attempt = write.begin(0, at(0), TIMES).unwrap();
    if let Some(outcome) = outcome {
        write.ended(attempt, &outcome, at(1));
    }
    write
}

fn unknown() -> Write {
    sent(Some(Outcome::Ambiguous("no answer".into())))
}

fn refused() -> Write {
    sent(Some(Outcome::Refused("no".into())))
}

fn open() -> Write {
    sent(Some(Outcome::Done("P1".into())))
}

fn own(by_hand: bool) -> Own {
    Own { write: Write::default(), by_hand, holds_right: false, held_by: None }
}

fn page(state: State) -> Option<Page> {
    Some(Page { state, id: (state == State::Paged).then(|| "P1".to_owned()), since: at(0).ours })
}

fn other(write: Write, page: Option<Page>) -> Other {
    Other { alert: "Q1".into(), write, page }
}

/// What is answered to an alert that wants its page automatically, and by a person's word; before it has looked at the
/// other's, and after.
fn answers(other: &Other) -> [String; 4] {
    let looked = [other.clone()];
    [(false, &[][..]), (false, &looked[..]), (true, &[]), (true, &looked)].map(|(by_hand, looked)| {
        match reserve(&own(by_hand), std::slice::from_ref(other), looked, ROOM, TIMES) {
            Reservation::WaitingFor { doubt: false, .. } => "waits".to_owned(),
            Reservation::WaitingFor { doubt: true, .. } => "doubts".to_owned(),
            Reservation::LookAt(_) => "looks".to_owned(),
            Reservation::Reserved => "opens".to_owned(),
            answer => format!("{answer:?}"),
        }
    })
}

/// lifecycle.md#commands: `/hold` holds automatic pages, and no page that a person asks for.
#[test]
fn a_hold_is_in_the_way_of_an_automatic_page_only() {
    for (by_hand, expected) in [(false, Reservation::HeldBy("Ann".to_owned())), (true, Reservation::Reserved)] {
        let own = Own { held_by: Some("Ann".to_owned()), ..own(by_hand) };
        assert_eq!(reserve(&own, &[], &[], ROOM, TIMES), expected);
        // Another's page, which may be open, is not joined either.
        let open = [other(open(), page(State::Paged))];
        let answer = reserve(&own, &open, &[], ROOM, TIMES);
        assert_eq!(matches!(answer, Reservation::LookAt(_)), by_hand, "{answer:?}");
    }
}

#[test]
fn what_another_is_at_or_may_have_opened_is_in_the_way() {
    for (name, other, expected) in [
        ("it is being sent", other(sent(None), page(State::Wanted)), ["waits"; 4]),
        ("it may be open, and is tried again", other(unknown(), page(State::Wanted)), ["waits"; 4]),
        ("it is open, and not recorded as that", other(open(), page(State::Wanted)), ["waits"; 4]),
        // A person's word goes before what was certainly not sent.
        (
            "it was refused, and is tried again",
            other(refused(), page(State::Wanted)),
            ["waits", "waits", "opens", "opens"],
        ),
        ("it is open, or was", other(open(), page(State::Paged)), ["looks", "opens", "looks", "opens"]),
        ("somebody else's was joined", other(refused(), page(State::Paged)), ["looks", "opens", "looks", "opens"]),
        ("it failed, and is in doubt", other(unknown(), page(State::Failed)), ["looks", "doubts", "looks", "opens"]),
        (
            "it failed, and its fate is not recorded",
            other(sent(None), page(State::Failed)),
            ["looks", "doubts", "looks", "opens"],
        ),
        ("it was held, and is in doubt", other(unknown(), None), ["looks", "doubts", "looks", "opens"]),
        ("it was certainly not opened, and failed", other(refused(), page(State::Failed)), ["opens"; 4]),
        ("it was certainly not opened, and held", other(refused(), None), ["opens"; 4]),
        ("nothing is known of it any more", other(Write::default(), None), ["looks", "opens", "looks", "opens"]),
        ("its record can't be read", other(refused(), page(State::Unreadable)), ["looks", "opens", "looks", "opens"]),
    ] {
        assert_eq!(answers(&other), expected, "{name}");
    }
}

#[test]
fn a_look_counts_for_what_was_recorded_then() {
    let before = other(unknown(), page(State::Failed));
    let mut since = before.clone();
    looked_for(&mut since.write, Some("P1"), at(40), TIMES);
    since.page = page(State::Paged);
    let answer = reserve(&own(true), std::slice::from_ref(&since), &[before], ROOM, TIMES);
    assert_eq!(answer, Reservation::LookAt(since));
}

#[test]
fn who_has_the_right_waits_for_nobody_who_waits_for_it() {
    let holder = Own { holds_right: true, ..own(false) };
    let waiting = other(refused(), page(State::Wanted));
    assert_eq!(reserve(&holder, &[waiting], &[], ROOM, TIMES), Reservation::Reserved);
}

#[test]
fn of_several_who_are_at_it_the_one_is_waited_for_and_each_that_may_be_open_is_looked_at() {
    let failed = other(unknown(), page(State::Failed));
    let second = Other { alert: "Q2".into(), ..failed.clone() };
    let at_it = Other { alert: "Q3".into(), ..other(sent(None), page(State::Wanted)) };
    let ask = |others: &[Other], looked: &[Other]| reserve(&own(false), others, looked, ROOM, TIMES);
    let waits = Reservation::WaitingFor { alert: "Q3".into(), doubt: false };
    assert_eq!(ask(&[failed.clone(), at_it], &[]), waits);
    let both = [failed.clone(), second.clone()];
    assert_eq!(ask(&both, &[]), Reservation::LookAt(failed.clone()));
    assert_eq!(ask(&both, std::slice::from_ref(&failed)), Reservation::LookAt(second));
}

/// lifecycle.md#the-page: the key is looked up before another is sent.
#[test]
fn what_may_have_been_opened_for_the_alert_itself_is_looked_for_first() {
    let ask = |write: Write| reserve(&Own { write, ..own(true) }, &[], &[], ROOM, TIMES);
    assert_eq!(ask(open()), Reservation::Stands("P1".into()));
    assert_eq!(ask(unknown()), Reservation::LookFirst);
    let looked = |second: i64| {
        let mut write = unknown();
        looked_for(&mut write, None, at(second), TIMES);
        write
    };
    assert_eq!(ask(looked(10)), Reservation::LookFirst, "it may not show yet");
    assert_eq!(ask(looked(11)), Reservation::Reserved);
    assert_eq!(ask(refused()), Reservation::Reserved);
}

/// note.md#what-holds-an-automatic-page: the hour's pages, opened and not joined; a person passes them.
#[test]
fn the_hours_pages_are_those_that_were_opened_or_may_have_been_and_a_person_asks_nobody() {
    let opened = |automatic, second: i64, write| Opened { automatic, begun_at: at(second).ours, write };
    let all = [
        opened(true, 5, open()),
        opened(true, 5, unknown()),
        opened(true, 5, sent(None)),
        opened(true, 5, refused()),
        opened(false, 5, open()),
        opened(true, 4, open()),
    ];
    assert_eq!(pages_of(&all, at(5).ours), 3);
    let full = Hour { opened: 3, most: 3 };
    assert_eq!(reserve(&own(false), &[], &[], full, TIMES), Reservation::HourFull(3));
    assert_eq!(reserve(&own(true), &[], &[], full, TIMES), Reservation::Reserved);
    assert_eq!(reserve(&own(false), &[], &[], Hour { most: 4, ..full }, TIMES), Reservation::Reserved);
    // Another's may be joined, however many there are.
    let being_opened = other(sent(None), page(State::Wanted));
    assert!(matches!(reserve(&own(false), &[being_opened], &[], full, TIMES), Reservation::WaitingFor { .. }));
}

#[test]
fn what_is_being_opened_or_is_new_may_be_joined() {
    let joinable = |page: Option<Page>, second| other(open(), page).may_be_joined(at(second).ours);
    assert!(joinable(page(State::Wanted), 5000) && joinable(page(State::Paged), 59));
    assert!(!joinable(page(State::Paged), 60) && !joinable(page(State::Failed), 1) && !joinable(None, 1));
}

#[test]
fn a_look_that_began_late_enough_ends_the_doubt_and_of_two_the_open_one_is_it() {
    let mut write = unknown();
    looked_for(&mut write, None, at(660), TIMES);
    assert!(write.is_in_doubt(), "it was sent at 1 at the latest");
    looked_for(&mut write, None, at(661), TIMES);
    assert!(!write.is_in_doubt() && !write.may_stand());

    // The first was resolved, and the second was opened late.
    let mut write = unknown();
    let second = write.begin(1, at(20), TIMES).unwrap();
    write.ended(second, &Outcome::Done("P1".into()), at(21));
    looked_for(&mut write, Some("P2"), at(60), TIMES);
    assert_eq!((write.id.as_deref(), write.is_in_doubt()), (Some("P2"), false));
}

#[test]
fn a_page_whose_key_is_taken_was_not_opened_where_another_send_may_have_been() {
    assert!(matches!(key_taken(&unknown()), Outcome::NotSent(_)));
    assert!(matches!(key_taken(&refused()), Outcome::Ambiguous(_)), "of a database that was lost, say");
}

#[test]
fn what_is_known_to_stand_is_told_of_at_once_where_its_record_says_otherwise() {
    let due = |page: Option<Page>, told: &str| settle_in(&open(), page.as_ref(), &[told.into()], at(5), TIMES);
    assert_eq!((due(None, "P2"), due(page(State::Failed), "P2")), (Some(Duration::ZERO), Some(Duration::ZERO)));
    assert_eq!((due(page(State::Wanted), "P2"), due(page(State::Paged), "P2")), (None, None));
    assert_eq!(due(page(State::Failed), "P1"), None, "once");
}

#[test]
fn a_page_that_is_found_is_news_where_its_record_says_otherwise() {
    let news = |page: Option<Page>, id: &str| is_news(page.as_ref(), id, true);
    assert!(news(None, "P1") && news(page(State::Failed), "P1") && news(page(State::Paged), "P2"));
    assert!(!news(page(State::Paged), "P1") && !news(page(State::Wanted), "P1"));
    assert!(!news(page(State::Unreadable), "P1"));
    // One that is closed already is of no use beside one that was joined.
    let closed = |page: Option<Page>| is_news(page.as_ref(), "P2", false);
    assert!(closed(None) && closed(page(State::Failed)) && !closed(page(State::Paged)));
}

fn shown(id: &str, is_open: bool) -> Shown {
    Shown { id: id.to_owned(), is_open }
}

/// A look at 60 s for an alert of which this is recorded: what is news, and what is none any more.
fn sees(write: &mut Write, page: Option<&Page>, no_news: &[&str], shown: &[Shown]) -> (Option<String>, Vec<String>) {
    let no_news: Vec<String> = no_news.iter().map(|id| (*id).to_owned()).collect();
    let late = looked_late(write, page, &no_news, shown, at(60), TIMES);
    (write.id.clone().filter(|_| late.is_news), late.no_news)
}

/// Two were sent of which no answer came, and the first has shown.
fn first_of_two() -> Write {
    let mut write = unknown();
    let second = write.begin(1, at(20), TIMES).unwrap();
    write.ended(second, &Outcome::Ambiguous("no answer".into()), at(21));
    looked_for(&mut write, Some("P1"), at(40), TIMES);
    write
}

#[test]
fn of_several_that_open_late_each_is_news_once() {
    let (paged, both) = (page(State::Paged), [shown("P1", false), shown("P2", true)]);
    let mut write = first_of_two();
    assert_eq!(sees(&mut write, paged.as_ref(), &["P1"], &both), (Some("P2".into()), vec!["P2".into()]));
    assert!(!write.is_in_doubt());
    let failed = page(State::Failed);
    assert_eq!(sees(&mut write, failed.as_ref(), &["P1", "P2"], &both), (None, vec![]));
    // What its record named until then was told of as well.
    assert_eq!(
        sees(&mut first_of_two(), paged.as_ref(), &[], &both),
        (Some("P2".into()), vec!["P1".into(), "P2".into()])
    );
}

#[test]
fn one_that_is_closed_beside_another_is_no_news_and_does_not_take_its_place() {
    let theirs = Some(Page { id: Some("P9".into()), ..page(State::Paged).unwrap() });
    let closed = [shown("P1", false)];
    assert_eq!(sees(&mut first_of_two(), theirs.as_ref(), &[], &closed), (None, vec!["P1".into()]));
    assert_eq!(sees(&mut first_of_two(), theirs.as_ref(), &[], &[shown("P1", true)]).0.as_deref(), Some("P1"));
    // What no list shows yet is open, as far as is known.
    assert_eq!(sees(&mut first_of_two(), theirs.as_ref(), &[], &[]).0.as_deref(), Some("P1"));
    // One more may show: an older one that is closed is none of those.
    let mut write = first_of_two();
    assert_eq!(
        sees(&mut write, page(State::Paged).as_ref(), &[], &[shown("P0", false), shown("P1", false)]),
        (None, vec![])
    );
    assert_eq!((write.id.as_deref(), write.is_in_doubt()), (Some("P1"), true));
}

#[test]
fn an_answer_that_comes_after_another_was_told_of_does_not_bring_its_page_back() {
    let answered = |no_news: &[String]| {
        let mut write = first_of_two();
        let no_answer_yet = write.attempt;
        looked_for(&mut write, Some("P2"), at(60), TIMES);
        ended(&mut write, no_news, no_answer_yet, &Outcome::Done("P1".into()), at(70));
        write
    };
    assert_eq!(answered(&["P1".to_owned(), "P2".to_owned()]).id.as_deref(), Some("P2"));
    let write = answered(&[]);
    assert_eq!((write.id.as_deref(), write.is_in_doubt()), (Some("P1"), true), "a look has to tell");
}

/// An intent that nobody ended is in doubt once what was handed in last has certainly ended, and no later.
#[test]
fn an_intent_is_taken_for_a_doubt_once_it_can_not_be_sent_any_more() {
    let mut write = sent(None);
    assert_eq!(write.settle_in(at(60), TIMES), Some(Duration::from_secs(30)));
    write.expire(at(89), TIMES);
    assert!(write.intent.is_some());
    write.expire(at(90), TIMES);
    assert!(write.intent.is_none() && write.is_in_doubt());
    assert_eq!(write.settle_in(at(90), TIMES), Some(Duration::from_secs(30)));
}
