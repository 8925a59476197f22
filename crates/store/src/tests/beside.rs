//! What is under way for an alert beside its runs: who brings something new, and who works on it.

use runbook::command::{Command, Word};

use super::*;

fn command(key: &str, word: Word) -> Command {
    Command {
        key: key.to_owned(),
        word,
        said: format!("/{word}"),
        user_id: "PANN".to_owned(),
        user: "Ann".to_owned(),
        at: None,
    }
}

fn may_change(run_id: &str) -> Input {
    Input::MayChange { run_id: run_id.to_owned(), after: Duration::ZERO }
}

impl Disk {
    /// An alert with a run, for which something is due.
    async fn alert_with(&self, input: Input) -> AlertLease {
        self.run("Q1").await;
        self.store.tell_alert("Q1", input).await.unwrap();
        self.store.claim_alert().await.unwrap().expect("it is due")
    }

    async fn ends_run(&self) {
        let lease = self.store.claim_run().await.unwrap().unwrap();
        self.store.finish_run(&lease, &Finish::Done).await.unwrap();
    }

    async fn now_of(&self, lease: &AlertLease) -> AlertNow {
        self.store.alert_now(lease).await.unwrap().unwrap()
    }

    async fn said(&self, command: &Command) {
        let event =
            NewEvent { id: &self.clock.id(), event_type: "incident.annotated", incident_id: Some("Q1"), body: "{}" };
        let follow = Follow::Command { incident_id: "Q1".to_owned(), command: command.clone() };
        self.store.accept(event, Ok(follow)).await.unwrap();
    }
}

/// lifecycle.md#crashes-clocks-replicas: what another replica stores meanwhile is decided on.
#[tokio::test]
async fn what_comes_while_somebody_works_on_it_is_kept_and_makes_it_due_at_once() {
    let disk = Disk::new().await;
    let lease = disk.alert_with(may_change("r1")).await;
    let before = disk.now_of(&lease).await;
    disk.store.tell_alert("Q1", Input::Ended { run_id: "r1".to_owned() }).await.unwrap();
    assert!(disk.store.claim_alert().await.unwrap().is_none(), "it is in somebody's hands");
    let decided = Beside::default();
    assert_eq!(disk.store.save_beside(&lease, before.version, &decided, &[]).await.unwrap(), None);
    // Whoever has it gives it back as if nothing had come.
    disk.store.rest_alert(&lease, before.version, &decided, None, None, &[]).await.unwrap();
    let again = disk.store.claim_alert().await.unwrap().expect("at once");
    let now = disk.now_of(&again).await;
    assert!(now.beside.follow_up.is_some() && now.beside.resolution.is_some(), "{now:?}");
    // And as it is.
    let saved = disk.store.save_beside(&again, now.version, &now.beside, &[]).await.unwrap();
    assert_eq!(saved, Some(now.version + 1));
    disk.store.rest_alert(&again, now.version + 1, &decided, None, None, &[]).await.unwrap();
    assert!(disk.store.claim_alert().await.unwrap().is_none(), "nothing is under way");
    assert_eq!(disk.count("work").await, 1, "its run");
}

#[tokio::test]
async fn it_is_due_when_it_says_and_who_has_lost_it_keeps_nothing() {
    let disk = Disk::new().await;
    let lease = disk.alert_with(may_change("r1")).await;
    let now = disk.now_of(&lease).await;
    let wake_at = disk.clock.now() + jiff::SignedDuration::from_secs(60);
    disk.store.rest_alert(&lease, now.version, &now.beside, Some(wake_at), None, &[]).await.unwrap();
    assert!(disk.store.claim_alert().await.unwrap().is_none());
    disk.clock.jump(Duration::from_secs(60));
    let again = disk.store.claim_alert().await.unwrap().expect("it is due");
    let lost = disk.store.rest_alert(&lease, now.version, &Beside::default(), None, None, &[]).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost)), "{lost:?}");
    assert!(disk.now_of(&again).await.beside.follow_up.is_some());
}

/// lifecycle.md#commands: each is answered once.
#[tokio::test]
async fn a_command_is_obeyed_once_and_answered_ones_are_not_taken_up_again() {
    let disk = Disk::new().await;
    let hold = command("N1:hold", Word::Hold);
    let lease = disk.alert_with(Input::Said(hold.clone())).await;
    assert_eq!(disk.store.held_by("Q1", &[]).await.unwrap().as_deref(), Some("Ann"));
    assert_eq!(disk.store.held_by("Q1", &["PBEN".to_owned()]).await.unwrap(), None);
    disk.store.obey(&lease, "N1:hold", &run_of("Q1")).await.unwrap();
    assert_eq!(disk.store.alert("Q1").await.unwrap().unwrap().held_by.as_deref(), Some("Ann"));
    disk.store.spoil("UPDATE alerts SET held_by = NULL").await;
    disk.store.obey(&lease, "N1:hold", &run_of("Q1")).await.unwrap();
    assert_eq!(disk.store.alert("Q1").await.unwrap().unwrap().held_by, None, "once");
    let now = disk.now_of(&lease).await;
    assert_eq!(now.beside.commands[0].obeyed.as_ref().map(|(reply, _)| reply), Some(&Reply::Kept));
    assert_eq!(now.answered, [""; 0]);
    // Its answer is about to be given.
    disk.store.want_short("command:N1:hold", "Q1", "an answer").await;
    let now = disk.now_of(&lease).await;
    assert_eq!(now.answered, ["N1:hold"]);
    disk.store.rest_alert(&lease, now.version, &Beside::default(), None, None, &[]).await.unwrap();
    disk.said(&hold).await;
    assert!(disk.store.claim_alert().await.unwrap().is_none(), "two subscriptions tell of one note");
    disk.said(&command("N2:status", Word::Status)).await;
    assert!(disk.store.claim_alert().await.unwrap().is_some());
}

/// lifecycle.md#commands: that it was obeyed is kept with what it asks for.
#[tokio::test]
async fn a_rerun_and_an_escalation_by_note_follow_in_the_same_transaction() {
    let disk = Disk::new().await;
    let lease = disk.alert_with(Input::Said(command("N1:rerun", Word::Rerun))).await;
    disk.said(&command("N2:escalate", Word::Escalate)).await;
    disk.store.obey(&lease, "N1:rerun", &NewRun { trigger: Trigger::Note, ..run_of("Q1") }).await.unwrap();
    disk.store.obey(&lease, "N2:escalate", &run_of("Q1")).await.unwrap();
    let now = disk.now_of(&lease).await;
    let replies: Vec<_> = now.beside.commands.iter().map(|open| open.obeyed.clone().unwrap().0).collect();
    let newest = now.newest.as_ref().unwrap();
    assert_eq!(replies, [Reply::Active(newest.run_id.clone()), Reply::Paging]);
    assert!(newest.is_active && now.is_active);
    assert_eq!(now.page.unwrap().asked_by.as_deref(), Some("Ann"));
}

#[tokio::test]
async fn who_waits_for_related_pages_is_due_when_one_changes() {
    let disk = Disk::new().await;
    let waits = Input::Explained { run_id: "r1".to_owned(), after: Duration::from_secs(600) };
    disk.run("Q1").await;
    disk.store.tell_alert("Q1", waits).await.unwrap();
    assert!(disk.store.claim_alert().await.unwrap().is_none());
    let event = NewEvent { id: "E9", event_type: "incident.resolved", incident_id: Some("QPUB"), body: "{}" };
    disk.store.accept(event, Ok(Follow::RelatedResolved)).await.unwrap();
    let lease = disk.store.claim_alert().await.unwrap().expect("it is due");
    let now = disk.now_of(&lease).await;
    assert_eq!(now.related_changed_at, Some(disk.clock.now()));
    // One that changes while it is looked makes it due at once.
    disk.clock.jump(Duration::from_millis(1));
    let event = NewEvent { id: "E11", event_type: "incident.resolved", incident_id: Some("QPUB"), body: "{}" };
    disk.store.accept(event, Ok(Follow::RelatedOpened)).await.unwrap();
    let wake_at = disk.clock.now() + jiff::SignedDuration::from_secs(60);
    disk.store.rest_alert(&lease, now.version, &now.beside, Some(wake_at), now.related_changed_at, &[]).await.unwrap();
    let lease = disk.store.claim_alert().await.unwrap().expect("at once");
    let now = disk.now_of(&lease).await;
    // Once: what was known of it is no news.
    disk.store.rest_alert(&lease, now.version, &now.beside, Some(wake_at), now.related_changed_at, &[]).await.unwrap();
    assert!(disk.store.claim_alert().await.unwrap().is_none());
    disk.store.spoil("UPDATE work SET due_at = 0 WHERE kind = 'alert'").await;
    let lease = disk.store.claim_alert().await.unwrap().expect("it is due");
    let now = disk.now_of(&lease).await;
    disk.store.rest_alert(&lease, now.version, &Beside::default(), None, None, &[]).await.unwrap();
    let event = NewEvent { id: "E10", event_type: "incident.resolved", incident_id: Some("QPUB"), body: "{}" };
    disk.store.accept(event, Ok(Follow::RelatedResolved)).await.unwrap();
    assert!(disk.store.claim_alert().await.unwrap().is_none(), "it waits no more");
}

/// It holds for all alerts: none is stopped by it, or looked at without a pause.
#[tokio::test]
async fn a_time_of_related_pages_that_can_not_be_read_is_none() {
    let disk = Disk::new().await;
    let waits = Input::Explained { run_id: "r1".to_owned(), after: Duration::from_secs(600) };
    disk.run("Q1").await;
    disk.store.tell_alert("Q1", waits).await.unwrap();
    let event = NewEvent { id: "E9", event_type: "incident.resolved", incident_id: Some("QPUB"), body: "{}" };
    disk.store.accept(event, Ok(Follow::RelatedResolved)).await.unwrap();
    disk.store.spoil("UPDATE related_pages SET changed_at = 9000000000000000000").await;
    let lease = disk.store.claim_alert().await.unwrap().expect("it is due");
    let now = disk.now_of(&lease).await;
    assert_eq!(now.related_changed_at, None);
    let wake_at = disk.clock.now() + jiff::SignedDuration::from_secs(60);
    disk.store.rest_alert(&lease, now.version, &now.beside, Some(wake_at), now.related_changed_at, &[]).await.unwrap();
    assert!(disk.store.claim_alert().await.unwrap().is_none(), "it rests");
    disk.clock.jump(Duration::from_secs(61));
    assert!(disk.store.claim_alert().await.unwrap().is_some(), "and is looked at again");
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_left_alone_and_what_is_no_text_is_given_up_and_holds() {
    let disk = Disk::new().await;
    disk.alert_with(may_change("r1")).await;
    disk.store.spoil("UPDATE work SET owner = NULL").await;
    disk.store.spoil(r#"UPDATE alerts SET beside = '{"version":9,"hovering":true}'"#).await;
    assert!(disk.store.claim_alert().await.unwrap().is_none());
    let told = disk.store.tell_alert("Q1", may_change("r2")).await;
    assert!(matches!(told, Err(StoreError::Corrupt { .. })), "{told:?}");
    assert_eq!(disk.store.held_by("Q1", &[]).await.unwrap().as_deref(), Some("somebody"));

    disk.store.spoil("UPDATE alerts SET beside = '{'").await;
    disk.store.spoil("UPDATE work SET due_at = 0 WHERE kind = 'alert'").await;
    let lease = disk.store.claim_alert().await.unwrap().expect("it is due");
    let read = disk.store.alert_now(&lease).await;
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
    disk.store.give_up_alert(&lease).await.unwrap();
    assert_eq!(disk.store.held_by("Q1", &[]).await.unwrap().as_deref(), Some("somebody"));
    // What comes next is gone on with, and what was lost holds.
    disk.store.tell_alert("Q1", may_change("r2")).await.unwrap();
    assert_eq!(disk.store.alert("Q1").await.unwrap().unwrap().held_by.as_deref(), Some("somebody"));
    let lease = disk.store.claim_alert().await.unwrap().expect("it is due");
    assert!(disk.now_of(&lease).await.beside.follow_up.is_some());
}

/// lifecycle.md#a-run-begins: that incident is the alert from now on, and who worked on the other has lost it.
#[tokio::test]
async fn what_was_under_way_for_a_merged_alert_goes_on_for_the_other() {
    let disk = Disk::new().await;
    let lease = disk.alert_with(Input::Said(command("N1:hold", Word::Hold))).await;
    disk.run("Q2").await;
    disk.store.tell_alert("Q2", may_change("r2")).await.unwrap();
    let into = run_of("Q2").incident.unwrap();
    disk.store.follow_merge(&lease, "Q1", &into, None).await.unwrap();
    assert!(disk.store.alert_now(&lease).await.unwrap().is_none(), "it is gone");
    let other = disk.store.claim_alert().await.unwrap().expect("it is due");
    let now = disk.now_of(&other).await;
    assert_eq!((now.alert.incident_id.as_str(), now.beside.commands.len()), ("Q2", 1));
    assert!(now.beside.follow_up.is_some());
    assert_eq!(disk.store.held_by("Q1", &[]).await.unwrap().as_deref(), Some("Ann"), "by either name");
}

/// Whoever was about to obey it has decided so before the alert was closed.
#[tokio::test]
async fn a_command_that_is_refused_is_not_obeyed_any_more() {
    let disk = Disk::new().await;
    let lease = disk.alert_with(Input::Said(command("N1:hold", Word::Hold))).await;
    let now = disk.now_of(&lease).await;
    let mut refused = now.beside.clone();
    refused.commands[0].refused = Some(runbook::command::Refusal::Closed);
    disk.store.save_beside(&lease, now.version, &refused, &[]).await.unwrap().expect("nothing has come");
    disk.store.obey(&lease, "N1:hold", &run_of("Q1")).await.unwrap();
    assert_eq!(disk.store.alert("Q1").await.unwrap().unwrap().held_by, None);
    assert_eq!(disk.now_of(&lease).await.beside, refused);
}

/// What an older version has obeyed is known by its keys.
#[tokio::test]
async fn a_command_that_an_older_version_has_obeyed_is_answered_and_not_obeyed_again() {
    let disk = Disk::new().await;
    disk.run("Q1").await;
    let mut tx = disk.store.pool.begin().await.unwrap();
    disk.store.keep_key(&mut tx, ("note:", "N1:escalate", ""), "r1").await.unwrap();
    tx.commit().await.unwrap();
    for word in [Word::Escalate, Word::Hold] {
        let mark = format!("N1:{word}");
        let task = NewTask {
            kind: TaskKind::Command,
            incident_id: "Q1".to_owned(),
            run_id: None,
            mark: mark.clone(),
            data: String::new(),
            after: Duration::ZERO,
        };
        disk.store.add_task(&task).await.unwrap();
        let task = disk.store.claim_task().await.unwrap().unwrap();
        let open = runbook::life::OpenCommand {
            command: command(&mark, word),
            obeyed: None,
            refused: None,
            refused_since: None,
            due: disk.clock.now(),
        };
        disk.store.take_in(&task, Beside { commands: vec![open], ..Beside::default() }).await.unwrap();
    }
    assert_eq!(disk.count("tasks").await, 0);
    let lease = disk.store.claim_alert().await.unwrap().unwrap();
    let commands = disk.now_of(&lease).await.beside.commands;
    let obeyed: Vec<_> = commands.iter().map(|open| open.obeyed.as_ref().map(|(reply, _)| reply.clone())).collect();
    assert_eq!(obeyed, [Some(Reply::Paging), None]);
}

#[tokio::test]
async fn a_name_that_is_split_off_has_the_watch_over_its_page() {
    let disk = Disk::new().await;
    let watch =
        |name: &str| runbook::life::PageWatch::new(name, "r1", &format!("P{name}"), "https://x/P", disk.clock.now());
    let lease = disk.alert_with(Input::Ended { run_id: "r1".to_owned() }).await;
    disk.store.tell_alert("Q1", Input::Paged(watch("Q1"))).await.unwrap();
    disk.run("Q2").await;
    disk.store.tell_alert("Q2", Input::Paged(watch("Q2"))).await.unwrap();
    disk.store.follow_merge(&lease, "Q1", &run_of("Q2").incident.unwrap(), None).await.unwrap();
    let event = NewEvent { id: "E1", event_type: "incident.reopened", incident_id: Some("Q1"), body: "{}" };
    let again = NewRun { reopened: true, ..run_of("Q1") };
    disk.store.accept(event, Ok(Follow::Start(again))).await.unwrap();
    disk.clock.jump(Duration::from_secs(1));
    let mut watched = Vec::new();
    while let Some(lease) = disk.store.claim_alert().await.unwrap() {
        let now = disk.now_of(&lease).await;
        watched.push((now.alert.incident_id.clone(), now.beside.page_watches[0].name.clone()));
    }
    watched.sort();
    assert_eq!(watched, ["Q1", "Q2"].map(|name| (name.to_owned(), name.to_owned())));
}

/// lifecycle.md#the-page: a page is watched while its alert is open, also once that is open again.
#[tokio::test]
async fn a_page_that_nobody_has_taken_is_watched_again_once_its_alert_is_open_again() {
    for is_taken in [false, true] {
        let disk = Disk::new().await;
        let run = disk.run("Q1").await;
        disk.store.request_page("Q1", &run, None).await.unwrap();
        let page = disk.store.claim_page().await.unwrap().unwrap();
        let open = PageResult { page: Some(("P1", "https://x/P1")), joined: false, reason: None };
        disk.store.finish_page(&page, &open).await.unwrap();
        disk.store.set_page_told(&page).await.unwrap();
        if is_taken {
            disk.store.set_acknowledged(page.alert(), "Q1", "P1", disk.clock.now(), "Earline").await.unwrap();
        }
        // Its watch ended with the alert.
        disk.store.page_rests(&page).await.unwrap();
        let event = NewEvent { id: "E1", event_type: "incident.reopened", incident_id: Some("Q1"), body: "{}" };
        let again = NewRun { reopened: true, ..run_of("Q1") };
        disk.store.accept(event, Ok(Follow::Start(again))).await.unwrap();
        disk.clock.jump(Duration::from_secs(1));
        let watched = match disk.store.claim_alert().await.unwrap() {
            Some(lease) => disk.now_of(&lease).await.beside.page_watches,
            None => vec![],
        };
        let watched: Vec<&str> = watched.iter().map(|watch| watch.page_id.as_str()).collect();
        assert_eq!(watched, if is_taken { vec![] } else { vec!["P1"] }, "taken: {is_taken}");
    }
}

/// What can't be read of an alert that is merged away may have been a `/hold`.
#[tokio::test]
async fn what_can_not_be_read_of_a_merged_alert_holds_the_other() {
    let disk = Disk::new().await;
    let lease = disk.alert_with(may_change("r1")).await;
    disk.run("Q2").await;
    disk.store.spoil("UPDATE alerts SET beside = '{' WHERE incident_id = 'Q1'").await;
    disk.store.follow_merge(&lease, "Q1", &run_of("Q2").incident.unwrap(), None).await.unwrap();
    assert_eq!(disk.store.alert("Q2").await.unwrap().unwrap().held_by.as_deref(), Some("somebody"));
}

/// It could not be read, and before it is given up something comes that can.
#[tokio::test]
async fn what_comes_before_an_alert_is_given_up_is_gone_on_with() {
    let disk = Disk::new().await;
    let lease = disk.alert_with(may_change("r1")).await;
    disk.store.spoil("UPDATE alerts SET beside = '{'").await;
    assert!(disk.store.alert_now(&lease).await.is_err());
    disk.said(&command("N1:escalate", Word::Escalate)).await;
    disk.store.give_up_alert(&lease).await.unwrap();
    let again = disk.store.claim_alert().await.unwrap().expect("at once");
    assert_eq!(disk.now_of(&again).await.beside.commands.len(), 1);
}

/// `/escalate`, then `/hold`, which is obeyed first since it waits for nobody's clock: it stays the last word.
#[tokio::test]
async fn a_hold_that_was_said_later_and_obeyed_earlier_stays() {
    let disk = Disk::new().await;
    let lease = disk.alert_with(Input::Said(command("N1:escalate", Word::Escalate))).await;
    disk.said(&command("N2:hold", Word::Hold)).await;
    disk.store.obey(&lease, "N2:hold", &run_of("Q1")).await.unwrap();
    disk.store.obey(&lease, "N1:escalate", &run_of("Q1")).await.unwrap();
    assert_eq!(disk.store.alert("Q1").await.unwrap().unwrap().held_by.as_deref(), Some("Ann"));
    assert!(disk.now_of(&lease).await.page.is_some(), "and the page is wanted");
    // One that was obeyed, and dropped before its answer, is not obeyed again.
    disk.store.spoil("UPDATE alerts SET beside = ''").await;
    disk.said(&command("N2:hold", Word::Hold)).await;
    assert_eq!(disk.now_of(&lease).await.beside, Beside::default());
}

/// lifecycle.md#crashes-clocks-replicas: who was frozen while another took over does nothing more.
/// A worker that was frozen makes no second run, and obeys nothing.
#[tokio::test]
async fn who_has_lost_an_alert_makes_no_run_for_it_and_obeys_nothing() {
    let disk = Disk::new().await;
    let lost = disk.alert_with(Input::Said(command("N1:hold", Word::Hold))).await;
    disk.ends_run().await;
    let now = disk.now_of(&lost).await;
    disk.store.rest_alert(&lost, now.version, &now.beside, None, None, &[]).await.unwrap();
    let again = NewRun { trigger: Trigger::FollowUp, ..run_of("Q1") };
    let made = disk.store.create_run_by(&lost, &again).await;
    assert!(matches!(made, Err(StoreError::LeaseLost)), "{made:?}");
    let obeyed = disk.store.obey(&lost, "N1:hold", &again).await;
    assert!(matches!(obeyed, Err(StoreError::LeaseLost)), "{obeyed:?}");
    let known = disk.store.alert("Q1").await.unwrap().unwrap();
    assert_eq!((disk.count("runs").await, known.held_by, known.follow_ups), (1, None, 0));
    // Who has it does.
    let lease = disk.store.claim_alert().await.unwrap().expect("it is due");
    assert!(matches!(disk.store.create_run_by(&lease, &again).await.unwrap(), Reply::Started(_)));
}
