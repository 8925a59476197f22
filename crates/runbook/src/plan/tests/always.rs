//! What holds whatever is under way, known and answered.

use proptest::prelude::*;

use super::*;

fn instant() -> impl Strategy<Value = Timestamp> {
    prop_oneof![Just(at(0)), (-100_000_i64..100_000).prop_map(at), (-200_i64..200).prop_map(at)]
}

fn run_id() -> impl Strategy<Value = String> {
    prop_oneof![Just("r1".to_owned()), Just("r2".to_owned())]
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        Just(Reply::Paging),
        Just(Reply::Kept),
        Just(Reply::Closed),
        Just(Reply::Paged(None)),
        Just(Reply::Ignored(Why::NoRun)),
        run_id().prop_map(Reply::Started),
    ]
}

fn open_command() -> impl Strategy<Value = OpenCommand> {
    let word = proptest::sample::select(Word::ALL);
    let obeyed = proptest::option::of((reply(), instant()));
    (0..3_u8, word, obeyed, proptest::option::of(instant()), instant(), proptest::option::of(instant())).prop_map(
        |(n, word, obeyed, refused_since, due, at)| OpenCommand {
            command: Command {
                key: format!("N{n}:{word}"),
                word,
                said: format!("/{word}"),
                user_id: "PANN".to_owned(),
                user: "Ann".to_owned(),
                at,
            },
            obeyed,
            refused: None,
            refused_since,
            due,
        },
    )
}

fn page_watch() -> impl Strategy<Value = PageWatch> {
    (0..2_u8, instant(), proptest::option::of(instant()), any::<bool>(), instant()).prop_map(
        |(n, since, since_there, said, due)| PageWatch {
            since_there,
            said,
            due,
            ..PageWatch::new(&format!("Q{n}"), "r1", &format!("P{n}"), "https://pd.example/P", since)
        },
    )
}

fn open_page() -> impl Strategy<Value = OpenPage> {
    let at = || proptest::option::of(instant());
    (0..2_u8, at(), at(), at(), proptest::option::of(Just("no answer".to_owned())), 0..40_u32, instant()).prop_map(
        |(n, began, since, not_asked_since, last_failure, pause_s, due)| OpenPage {
            name: format!("Q{n}"),
            began,
            since,
            not_asked_since,
            last_failure,
            pause_s,
            due,
        },
    )
}

fn known_page(name: &'static str) -> impl Strategy<Value = Option<KnownPage>> {
    let state = prop_oneof![Just(PageRow::Wanted), instant().prop_map(PageRow::Ended), Just(PageRow::Unreadable)];
    let waits_for = proptest::option::of(Just("Q9".to_owned()));
    let page = (state, any::<bool>(), proptest::option::of(instant()), waits_for).prop_map(
        move |(state, by_hand, tried_since, waits_for)| KnownPage {
            name: name.to_owned(),
            state,
            by_hand,
            tried_since,
            waits_for,
        },
    );
    proptest::option::of(page)
}

fn tried() -> impl Strategy<Value = Tried> {
    let opened = OpenedPage { id: "P".to_owned(), html_url: String::new(), joined: false, problem: None };
    let held = (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(unknown, outdated, run_is_active)| {
        let reasons = vec!["a reason".to_owned()];
        Tried::Held(HeldPage { reasons, unknown, outdated, run_is_active, looked: None })
    });
    prop_oneof![
        Just(Tried::Opened(opened)),
        Just(Tried::Refused("a setting".to_owned())),
        Just(Tried::Later("no answer".to_owned())),
        Just(Tried::NotAsked("no answer".to_owned())),
        any::<bool>().prop_map(|doubt| Tried::Another { alert: "Q9".to_owned(), doubt }),
        held,
    ]
}

fn beside() -> impl Strategy<Value = Beside> {
    let follow_up = (run_id(), instant()).prop_map(|(run_id, due)| FollowUp { run_id, due });
    let related_again = (run_id(), instant(), proptest::option::of(instant()), instant()).prop_map(
        |(run_id, since, closed_since, due)| RelatedAgain { run_id, since, closed_since, changed_at: None, due },
    );
    let resolution =
        (run_id(), instant(), instant()).prop_map(|(run_id, since, due)| Resolution { run_id, since, due });
    (
        proptest::option::of(follow_up),
        proptest::option::of(related_again),
        proptest::collection::vec(page_watch(), 0..3),
        proptest::option::of(resolution),
        proptest::collection::vec(open_command(), 0..4),
        (proptest::option::of(open_page()), proptest::option::of(open_page())),
    )
        .prop_map(|(follow_up, related_again, page_watches, resolution, commands, (one, other))| Beside {
            follow_up,
            related_again,
            pages: one
                .clone()
                .into_iter()
                .chain(other.filter(|it| one.is_none_or(|one| one.name != it.name)))
                .collect(),
            page_watches,
            resolution,
            commands,
        })
}

fn came(key: &str) -> BoxedStrategy<Came> {
    let incident = prop_oneof![
        Just(IncidentNow::Open("Q1".to_owned())),
        Just(IncidentNow::Open("Q9".to_owned())),
        (Just("Q1".to_owned()), proptest::option::of(instant())).prop_map(|(id, at)| IncidentNow::Resolved(id, at)),
        (Just("Q9".to_owned()), proptest::option::of(instant())).prop_map(|(id, at)| IncidentNow::Resolved(id, at)),
        Just(IncidentNow::Unknown),
    ];
    let who = (instant(), proptest::option::of(instant())).prop_map(|(at, there)| Acknowledged {
        by: "Earline".to_owned(),
        at,
        there,
    });
    let page = prop_oneof![
        Just(PageNow::Resolved),
        Just(PageNow::Unknown),
        (proptest::option::of(instant()), proptest::option::of(who))
            .prop_map(|(created_at, acknowledged)| PageNow::Open { created_at, acknowledged }),
    ];
    match key {
        "incident" => incident.prop_map(Came::Incident).boxed(),
        "related" => proptest::option::of(any::<bool>()).prop_map(Came::Explained).boxed(),
        key if key.starts_with("page:") => page.prop_map(Came::Page).boxed(),
        key if key.starts_with("try:") => {
            prop_oneof![4 => tried().prop_map(Came::Tried), 1 => Just(Came::NotDone), 1 => Just(Came::Unreadable("it".to_owned()))].boxed()
        }
        // It reads nothing that is stored.
        key if key.starts_with("answers:") => prop_oneof![Just(Came::Done), Just(Came::NotDone)].boxed(),
        _ => prop_oneof![Just(Came::Done), Just(Came::NotDone), Just(Came::Unreadable("it".to_owned()))].boxed(),
    }
}

fn answers() -> impl Strategy<Value = Answers> {
    let keys = [
        "incident",
        "related",
        "page:P0",
        "page:P1",
        "begin:follow-up",
        "begin:related-resolved",
        "end",
        "open",
        "merge",
        "say:unacknowledged:P0:Q0",
        "say:acknowledged:P0:Q0",
        "try:Q0",
        "try:Q1",
        "answers:Q0",
        "end-page:Q0",
        "hold-page:Q0",
        "wait-page:Q0",
        "forget-tries:Q0",
        "tell-page:Q0",
        "give-up-page:Q0",
        "answer:N0:hold",
        "answer:N1:escalate",
        "answer:N2:unknown",
    ];
    let one = |key: &'static str| {
        proptest::option::of((instant(), came(key)))
            .prop_map(move |it| it.map(|(began, came)| (key, began, came)))
            .boxed()
    };
    keys.map(one).to_vec().prop_map(|all| {
        let mut answers = Answers::default();
        for (key, began, came) in all.into_iter().flatten() {
            answers.came(key.to_owned(), began, came);
        }
        answers
    })
}

fn given() -> impl Strategy<Value = Given> {
    let page = prop_oneof![
        Just(None),
        Just(Some(AlertPage::Wanted)),
        Just(Some(AlertPage::Paged(None))),
        Just(Some(AlertPage::Failed(None))),
        Just(Some(AlertPage::Unreadable)),
    ];
    let newest =
        proptest::option::of((run_id(), any::<bool>()).prop_map(|(run_id, is_active)| Newest { run_id, is_active }));
    let theirs = proptest::option::of(Just(at(7)));
    let answered = proptest::option::of(Just("N0:hold".to_owned()));
    let changed = proptest::option::of(instant());
    let pages = (known_page("Q0"), known_page("Q1"));
    (beside(), answers(), (page, pages), newest, proptest::option::of(instant()), theirs, answered, changed).prop_map(
        |(beside, answers, (page, pages), newest, resolved_at, theirs, answered, related_changed_at)| {
            let pages = pages.0.into_iter().chain(pages.1).collect();
            let mut given = Given::new();
            given.alert.resolved_at = resolved_at;
            given.is_active = newest.as_ref().is_some_and(|newest| newest.is_active);
            let answered = answered.into_iter().collect();
            Given { newest, page, pages, answered, answers, beside, theirs, related_changed_at, ..given }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whoever works on it may look as often as it likes.
    #[test]
    fn advancing_twice_is_advancing_once(mut given in given()) {
        let first = given.advance();
        let saved = given.beside.clone();
        let again = given.advance();
        prop_assert_eq!(&given.beside, &saved);
        prop_assert_eq!((&again.actions, again.wake_at), (&first.actions, first.wake_at));
        prop_assert!(again.ended.is_empty(), "{:?}", again.ended);
    }

    /// No state is left to nobody: something is asked or done, or it is looked again, and not at once.
    #[test]
    fn what_is_under_way_goes_on(mut given in given()) {
        let next = given.advance();
        if given.beside.is_empty() {
            prop_assert!(next.actions.is_empty() && next.wake_at.is_none(), "{:?}", next);
        } else {
            prop_assert!(!next.actions.is_empty() || next.wake_at.is_some(), "{:?}", given.beside);
        }
        prop_assert!(next.wake_at.is_none_or(|at| at > now().ours), "{:?}", next.wake_at);
        let waits = given.beside.due().is_some_and(|due| next.wake_at.is_some_and(|at| at < due));
        prop_assert!(!waits, "it is due no later than it is looked at");
    }

    /// What its row does not say is wanted is not opened: not what is open, has failed, can't be read, or has no row.
    #[test]
    fn only_a_page_whose_row_says_that_it_is_wanted_is_tried(mut given in given()) {
        for what in given.advance().actions {
            let What::TryPage(name) = what else { continue };
            let row = given.pages.iter().find(|row| row.name == name);
            prop_assert_eq!(row.map(|row| row.state), Some(PageRow::Wanted), "{}", name);
        }
    }

    /// What was asked before the last change of a concern says nothing about it.
    #[test]
    fn old_answers_change_nothing(mut given in given()) {
        // What can't be read is so whenever it was tried.
        given.answers.0.retain(|(.., came)| !matches!(came, Came::Unreadable(_)));
        given.related_changed_at = None;
        crate::plan::page::take_up(&mut given.beside.pages, &given.pages, now().ours);
        let mut without = given.clone();
        let oldest = given.beside.due();
        without.answers.0.retain(|(_, began, _)| oldest.is_some_and(|due| *began >= due));
        prop_assert_eq!(given.advance(), without.advance());
        prop_assert_eq!(given.beside, without.beside);
    }

    /// Nothing is done about what is not due.
    #[test]
    fn what_is_not_due_waits(mut given in given()) {
        for due in [
            given.beside.follow_up.as_mut().map(|it| &mut it.due),
            given.beside.related_again.as_mut().map(|it| &mut it.due),
            given.beside.resolution.as_mut().map(|it| &mut it.due),
        ]
        .into_iter()
        .flatten()
        .chain(given.beside.page_watches.iter_mut().map(|it| &mut it.due))
        .chain(given.beside.commands.iter_mut().map(|it| &mut it.due))
        .chain(given.beside.pages.iter_mut().map(|it| &mut it.due))
        {
            *due = at(1);
        }
        given.alert.resolved_at = Some(at(-1));
        given.related_changed_at = None;
        // What has no row is dropped, and what has one is begun: both at once.
        crate::plan::page::take_up(&mut given.beside.pages, &given.pages, at(1));
        let before = given.beside.clone();
        let next = given.advance();
        prop_assert!(next.actions.is_empty(), "{:?}", next.actions);
        prop_assert_eq!(given.beside, before);
    }
}
