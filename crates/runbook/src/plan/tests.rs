//! Each concern's course, look by look.

mod allowed;
mod always;
mod page;

use super::*;
use crate::command::{Command, Word};
use crate::life::{FollowUp, OpenCommand, OpenPage, PageWatch, RelatedAgain, Reply, Resolution, Why};
use crate::run::Trigger;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn now() -> Moment {
    Moment { ours: at(0), theirs: Some(at(7)) }
}

fn policy() -> Policy {
    let seconds = Duration::from_secs;
    Policy {
        ack_wait: seconds(600),
        recheck: seconds(30),
        settle: seconds(120),
        command_users: Vec::new(),
        jitter: 0.5,
    }
}

/// All that a plan goes by.
#[derive(Clone, Debug)]
struct Given {
    alert: Alert,
    newest: Option<Newest>,
    is_active: bool,
    page: Option<AlertPage>,
    pages: Vec<KnownPage>,
    answered: Vec<String>,
    answers: Answers,
    beside: Beside,
    theirs: Option<Timestamp>,
    /// `COMMAND_USERS`.
    users: Vec<String>,
    related_changed_at: Option<Timestamp>,
}

impl Given {
    fn new() -> Self {
        Self {
            alert: Alert::new("A".to_owned(), "Q1", "prod-us-south".parse().unwrap(), None),
            newest: Some(Newest { run_id: "r1".to_owned(), is_active: false }),
            is_active: false,
            page: None,
            pages: Vec::new(),
            answered: Vec::new(),
            answers: Answers::default(),
            beside: Beside::default(),
            theirs: now().theirs,
            users: Vec::new(),
            related_changed_at: None,
        }
    }

    fn resolved(mut self) -> Self {
        self.alert.resolved_at = Some(at(-30));
        self
    }

    fn advance(&mut self) -> Next {
        let known = Known {
            alert: &self.alert,
            newest: self.newest.as_ref(),
            is_active: self.is_active,
            page: self.page.as_ref(),
            pages: &self.pages,
            answered: &self.answered,
            related_changed_at: self.related_changed_at,
            run_url: "https://responder.example/runs/r1",
        };
        let moment = Moment { theirs: self.theirs, ..now() };
        let policy = Policy { command_users: self.users.clone(), ..policy() };
        advance(&mut self.beside, &known, &self.answers, &policy, moment)
    }

    /// What it wants to ask or do, which came to this; and what it wants then.
    fn then(&mut self, expected: &str, came: Came) -> Next {
        let next = self.advance();
        let keys: Vec<String> = next.actions.iter().map(What::key).collect();
        assert_eq!(keys, [expected], "{next:?}");
        self.answers.came(expected.to_owned(), now().ours, came);
        self.advance()
    }
}

fn open() -> Came {
    Came::Incident(IncidentNow::Open("Q1".to_owned()))
}

fn over() -> Came {
    Came::Incident(IncidentNow::Resolved("Q1".to_owned(), Some(at(-40))))
}

fn command(word: Word) -> Given {
    let mut given = Given::new();
    let command = Command {
        key: "N1".to_owned(),
        word,
        said: format!("/{word}"),
        user_id: "PANN".to_owned(),
        user: "Ann".to_owned(),
        at: Some(at(0)),
    };
    given.beside.commands.push(OpenCommand { command, obeyed: None, refused: None, refused_since: None, due: at(0) });
    given
}

fn answer_of(next: &Next) -> Option<&Answer> {
    match next.actions.as_slice() {
        [What::Answer { answer, .. }] => Some(answer),
        _ => None,
    }
}

/// Each word on an alert that is open, over, or can't be asked about, which the store knows open or over.
#[test]
fn a_command_is_obeyed_on_an_open_alert_and_answered_on_a_closed_one() {
    let unknown = || Came::Incident(IncidentNow::Unknown);
    for word in [Word::Rerun, Word::Escalate, Word::Hold, Word::Status] {
        for (asked, is_stored_over, is_obeyed) in [
            (open(), false, true),
            (open(), true, true),
            (over(), false, false),
            (unknown(), false, true),
            (unknown(), true, false),
        ] {
            let mut given = if is_stored_over { command(word).resolved() } else { command(word) };
            let next = given.then("incident", asked.clone());
            let closed = Some(&Answer::Refused(Refusal::Closed));
            let does =
                if is_obeyed { next.actions == [What::Obey("N1".to_owned())] } else { answer_of(&next) == closed };
            assert!(does, "{word} {asked:?} {is_stored_over}: {next:?}");
        }
    }
    assert_eq!(answer_of(&command(Word::Unknown).advance()), Some(&Answer::Unknown), "nothing is asked for that");
}

/// lifecycle.md#commands: one that is older than 15 minutes is answered, and not obeyed.
#[test]
fn a_command_is_judged_by_their_clock_and_a_hold_does_not_wait_for_it() {
    for (age, is_old) in [(899, false), (900, false), (901, true)] {
        let mut given = command(Word::Rerun);
        given.beside.commands[0].command.at = Some(at(7 - age));
        let next = given.then("incident", open());
        assert_eq!(answer_of(&next) == Some(&Answer::Refused(Refusal::TooOld)), is_old, "{age}: {next:?}");
    }
    for word in [Word::Rerun, Word::Escalate, Word::Status, Word::Hold] {
        let mut given = Given { theirs: None, ..command(word) };
        let next = given.then("incident", Came::Incident(IncidentNow::Unknown));
        assert_eq!(next.actions.is_empty(), word != Word::Hold, "{word}: {next:?}");
        assert_eq!(next.wake_at.is_some(), word != Word::Hold, "{word}: {next:?}");
    }
}

/// What was obeyed before a crash is answered after it, however old it is by then, and is not obeyed again.
#[test]
fn what_was_obeyed_is_answered_and_nothing_else() {
    for (reply, page, expected) in [
        (Reply::Started("r2".to_owned()), None, Some(Answer::Reply(Reply::Started("r2".to_owned())))),
        (Reply::Kept, None, Some(Answer::Reply(Reply::Kept))),
        (Reply::Paging, None, None),
        (Reply::Paging, Some(AlertPage::Wanted), None),
        (Reply::Paging, Some(AlertPage::Paged(Some("U".to_owned()))), Some(Answer::Escalating(Some("U".to_owned())))),
        (Reply::Paging, Some(AlertPage::Failed(Some("why".to_owned()))), Some(Answer::Failed("why".to_owned()))),
    ] {
        let mut given = command(Word::Escalate).resolved();
        given.beside.commands[0].command.at = Some(at(-5000));
        given.beside.commands[0].obeyed = Some((reply.clone(), at(-59)));
        given.page = page.clone();
        let next = given.advance();
        assert_eq!(answer_of(&next), expected.as_ref(), "{reply:?} {page:?}: {next:?}");
        given.answered.push("N1".to_owned());
        given.beside.commands[0].due = at(0);
        assert_eq!(answer_of(&given.advance()), Some(&Answer::AsBefore));
    }
    let mut given = command(Word::Escalate);
    given.beside.commands[0].obeyed = Some((Reply::Paging, at(-60)));
    assert_eq!(answer_of(&given.advance()), Some(&Answer::Escalating(None)), "it takes long");
}

#[test]
fn an_answer_that_is_not_taken_is_tried_for_six_hours() {
    let mut given = command(Word::Unknown);
    let next = given.then("answer:N1", Came::NotDone);
    assert_eq!((next.wake_at, given.beside.commands[0].refused_since), (Some(at(60)), Some(at(0))));
    let mut given = command(Word::Unknown);
    given.beside.commands[0].refused_since = Some(at(-6 * 3600));
    let next = given.then("answer:N1", Came::NotDone);
    assert!(given.beside.is_empty() && matches!(next.ended[..], [Ended::Lost(_)]), "{next:?}");
    let mut given = command(Word::Unknown);
    given.then("answer:N1", Came::Done);
    assert!(given.beside.is_empty());
}

/// lifecycle.md#the-alert-ends: it is confirmed with PagerDuty, then told.
#[test]
fn an_end_is_told_once_it_is_confirmed_and_run_and_page_have_ended() {
    let ended = || {
        let mut given = Given::new().resolved();
        given.beside.resolution = Some(Resolution { run_id: "r1".to_owned(), since: at(-10), due: at(0) });
        given
    };
    for (is_active, page) in [(true, None), (false, Some(AlertPage::Wanted))] {
        let next = Given { is_active, page, ..ended() }.advance();
        assert_eq!((next.actions.len(), next.wake_at), (0, Some(at(2))), "it waits for that");
    }
    let mut given = ended();
    let next = given.then("incident", over());
    assert_eq!(next.actions, [What::TellEnd { run_id: "r1".to_owned(), ended: at(-40) }]);
    given.then("end", Came::Done);
    assert!(given.beside.is_empty());
    let mut given = ended();
    given.then("incident", over());
    assert_eq!(given.then("end", Came::NotDone).wake_at, Some(at(60)));
    // PagerDuty's reads lag; then it is open after all.
    let mut given = ended();
    assert_eq!(given.then("incident", open()).wake_at, Some(at(2)));
    let mut given = ended();
    given.beside.resolution.as_mut().unwrap().since = at(-60);
    assert_eq!(given.then("incident", open()).actions, [What::OpenAfterAll]);
    // It was merged, into one that is open or over.
    for (asked, over) in [
        (IncidentNow::Open("Q9".to_owned()), None),
        (IncidentNow::Resolved("Q9".to_owned(), Some(at(-5))), Some(at(-5))),
        (IncidentNow::Resolved("Q9".to_owned(), None), Some(at(-30))),
    ] {
        let next = ended().then("incident", Came::Incident(asked));
        assert_eq!(next.actions, [What::FollowMerge { into: "Q9".to_owned(), over }]);
    }
    let mut given = ended();
    given.alert.resolved_at = None;
    given.advance();
    assert!(given.beside.is_empty(), "it was reopened");
}

/// lifecycle.md#looking-again: never beside an active run.
#[test]
fn a_follow_up_is_of_use_for_the_newest_run_of_an_open_alert_only() {
    let wanted = || {
        let mut given = Given::new();
        given.beside.follow_up = Some(FollowUp { run_id: "r1".to_owned(), due: at(0) });
        given
    };
    let mut given = wanted();
    assert_eq!(given.then("incident", open()).actions, [What::Begin(Trigger::FollowUp)]);
    given.then("begin:follow-up", Came::Done);
    assert!(given.beside.is_empty());
    let mut given = wanted();
    given.then("incident", over());
    assert!(given.beside.is_empty());
    let mut given = Given { newest: Some(Newest { run_id: "r2".to_owned(), is_active: true }), ..wanted() };
    given.advance();
    assert!(given.beside.is_empty(), "another has looked since");
    let mut given = Given { newest: Some(Newest { run_id: "r1".to_owned(), is_active: true }), ..wanted() };
    assert_eq!(given.advance().wake_at, Some(at(5)));
}

#[test]
fn pages_that_explain_it_are_waited_for_until_they_have_been_closed_for_a_while() {
    let waits = |closed_since: Option<i64>| {
        let mut given = Given::new();
        let (run_id, since, due) = ("r1".to_owned(), at(-600), at(0));
        given.beside.related_again =
            Some(RelatedAgain { run_id, since, closed_since: closed_since.map(at), changed_at: None, due });
        given
    };
    for explained in [Some(true), None] {
        let mut given = waits(Some(-119));
        assert_eq!(given.then("related", Came::Explained(explained)).wake_at, Some(at(30)));
        let kept = given.beside.related_again.unwrap().closed_since;
        assert_eq!(kept, if explained.is_some() { None } else { Some(at(-119)) }, "what is not known undoes nothing");
    }
    // One has changed since the last look: it is not waited for the next.
    let mut given = Given { related_changed_at: Some(at(-3)), ..waits(None) };
    given.beside.related_again.as_mut().unwrap().due = at(20);
    assert_eq!(given.advance().actions, [What::FindRelated("r1".to_owned())]);
    assert_eq!(given.then("related", Came::Explained(Some(true))).wake_at, Some(at(30)), "once");
    assert_eq!(waits(None).then("related", Came::Explained(Some(false))).wake_at, Some(at(30)));
    assert_eq!(waits(Some(-119)).then("related", Came::Explained(Some(false))).wake_at, Some(at(1)));
    let mut given = waits(Some(-120));
    given.then("related", Came::Explained(Some(false)));
    assert_eq!(given.then("incident", open()).actions, [What::Begin(Trigger::RelatedResolved)]);
    let mut given = waits(Some(-120));
    given.then("related", Came::Explained(Some(false)));
    given.then("incident", over());
    assert!(given.beside.is_empty());
    let mut given = waits(None);
    given.beside.related_again.as_mut().unwrap().since = at(-86_400);
    given.advance();
    assert!(given.beside.is_empty(), "after a day people look for themselves");
}

/// lifecycle.md#the-page: that it is acknowledged, or not within `PAGE_ACK_WAIT`, is one short note.
#[test]
fn a_page_is_watched_until_somebody_has_it() {
    let watched = |since: i64| {
        let mut given = Given::new();
        let watch = PageWatch::new("Q1", "r1", "P", "https://pd.example/P", at(since));
        given.beside.page_watches.push(PageWatch { due: at(0), ..watch });
        given
    };
    let page = |who: Option<Acknowledged>| Came::Page(PageNow::Open { created_at: None, acknowledged: who });
    assert_eq!(watched(-10).then("page:P", page(None)).wake_at, Some(at(15)));
    assert_eq!(watched(-590).then("page:P", page(None)).wake_at, Some(at(10)), "no later than it is to be said");
    // Its silence, once, and not of an alert that is over.
    let mut given = watched(-600);
    given.then("page:P", page(None));
    let next = given.then("incident", open());
    let [What::SaySilence(say)] = next.actions.as_slice() else { panic!("{next:?}") };
    assert_eq!(say.key, "unacknowledged:P:Q1");
    assert_eq!(given.then("say:unacknowledged:P:Q1", Came::Done).wake_at, Some(at(60)));
    assert!(given.beside.page_watches[0].said);
    let mut given = watched(-600);
    given.then("page:P", page(None));
    let next = given.then("incident", over());
    assert_eq!((next.actions.len(), given.beside.page_watches[0].said), (0, false));
    // Who has it.
    let who = Acknowledged { by: "Earline".to_owned(), at: at(-2), there: Some(at(5)) };
    let mut given = watched(-10);
    let next = given.then("page:P", page(Some(who.clone())));
    assert!(matches!(&next.actions[..], [What::Acknowledge { by, .. }] if by == "Earline"), "{next:?}");
    given.then("say:acknowledged:P:Q1", Came::Done);
    assert!(given.beside.is_empty());
    let mut given = watched(-10);
    given.then("page:P", page(Some(who)));
    assert_eq!(given.then("say:acknowledged:P:Q1", Came::NotDone).wake_at, Some(at(60)));
    // It ends with the page, the alert, the day.
    let mut given = watched(-10);
    given.then("page:P", Came::Page(PageNow::Resolved));
    assert!(given.beside.is_empty());
    let mut given = watched(-10).resolved();
    given.then("incident", over());
    assert!(given.beside.is_empty());
    let mut given = watched(-86_400);
    let next = given.then("page:P", Came::Page(PageNow::Unknown));
    assert!(given.beside.is_empty() && matches!(next.ended[..], [Ended::Lost(_)]), "{next:?}");
}

/// What is stored can't be read: that concern ends, and says so; the others go on.
#[test]
fn one_thing_that_can_not_be_read_ends_what_needs_it_and_nothing_else() {
    let mut given = command(Word::Status);
    given.beside.related_again =
        Some(RelatedAgain { run_id: "r1".to_owned(), since: at(-5), closed_since: None, changed_at: None, due: at(0) });
    given.answers.came("related".to_owned(), now().ours, Came::Unreadable("a run's facts".to_owned()));
    let next = given.advance();
    assert!(matches!(next.ended[..], [Ended::Lost(_)]) && next.actions == [What::AskIncident], "{next:?}");
    assert_eq!((given.beside.related_again, given.beside.commands.len()), (None, 1));
}

/// lifecycle.md#commands: each is obeyed in its turn.
/// `/escalate`, then `/hold`: the hold is the last word.
#[test]
fn commands_are_obeyed_in_the_order_in_which_they_were_given() {
    let mut given = command(Word::Escalate);
    let mut hold = command(Word::Hold).beside.commands.remove(0);
    hold.command.key = "N2".to_owned();
    given.beside.commands.push(hold);
    assert_eq!(given.then("incident", open()).actions, [What::Obey("N1".to_owned())]);
    given.beside.commands[0].obeyed = Some((Reply::Paging, at(0)));
    assert_eq!(given.advance().actions, [What::Obey("N2".to_owned())]);
}

/// lifecycle.md#crashes-clocks-replicas: what was asked before something came is asked again.
/// A webhook says that the alert is over, while a look that began before is under way: what that shows is no reason to begin
/// anything.
#[test]
fn a_look_that_began_before_something_came_is_asked_again() {
    let mut given = Given::new();
    given.beside.follow_up = Some(FollowUp { run_id: "r1".to_owned(), due: at(0) });
    assert_eq!(given.advance().actions, [What::AskIncident]);
    let round = given.answers.round();
    given.answers.forget_looks();
    given.answers.came_of(round, "incident".to_owned(), at(0), open());
    assert_eq!(given.advance().actions, [What::AskIncident], "it is as old as what came");
    given.answers.came_of(given.answers.round(), "incident".to_owned(), at(0), open());
    assert_eq!(given.advance().actions, [What::Begin(Trigger::FollowUp)]);
    // What is done is done, whatever came meanwhile.
    given.answers.forget_looks();
    given.answers.came_of(round, "begin:follow-up".to_owned(), at(0), Came::Done);
    given.answers.came_of(given.answers.round(), "incident".to_owned(), at(0), open());
    given.advance();
    assert!(given.beside.is_empty());
}

/// lifecycle.md#commands: one on a closed alert is answered, and not obeyed.
/// The alert is opened again between the refusal and its answer.
#[test]
fn a_command_that_is_refused_stays_so() {
    let mut given = command(Word::Rerun);
    let closed = Some(&Answer::Refused(Refusal::Closed));
    assert_eq!(answer_of(&given.then("incident", over())), closed);
    assert_eq!(given.beside.commands[0].refused, Some(Refusal::Closed), "it is kept before it is said");
    given.answers = Answers::default();
    given.answers.came("incident".to_owned(), now().ours, open());
    assert_eq!(answer_of(&given.advance()), closed);
    let kept = given.beside.text().unwrap();
    assert_eq!(Beside::read(&kept).unwrap(), given.beside);
}
