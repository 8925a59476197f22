//! Looking: it takes long, looks again, looks for what no webhook told of.

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::course::{Result, Stagehand, expect, line};
use runbook::diagnosis::VerdictKind;
use runbook::run::{EscalationState, State, Trigger};

/// The diagnosis takes longer than `NOTE_BY`, and its first reading may be transient: one early word, then one note.
pub fn slow_build<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        it.webhook("incident.triggered", &alert).await?;
        let word = it.said(&alert, "Still diagnosing prod-us-south. No diagnosis yet").await?;
        let until = line(&word, 2).strip_prefix("Do now: wait for it, until ").unwrap_or_default();
        expect(until.starts_with("20"), format!("it says until when: {word}"))?;
        expect(line(&word, 3).starts_with("Nobody was paged"), format!("and that nobody was paged: {word}"))?;
        for words in ["\nKNOWN SO FAR\n- No page is open", "\nWAITING FOR (by ", "- The Jenkins job's reading"] {
            expect(word.contains(words), format!("the early word has {words:?}: {word}"))?;
        }
        let run = it.done(&alert, 1).await?;
        let readings = run.diagnosis.as_ref().map_or(0, |diagnosis| diagnosis.readings.len());
        expect(readings == 2, format!("the first reading was transient, and taken again: {readings}"))?;
        let notes = it.our_notes(&alert);
        expect(notes.len() == 2, format!("one early word and one diagnosis, no more: {notes:#?}"))?;
        expect(
            notes[0] == word && Some(&notes[1]) == it.note(&run).as_ref(),
            format!("the word first, unchanged, then the diagnosis: {notes:#?}"),
        )
    }
    .boxed_local()
}

/// What may be transient is looked at again: unchanged it edits the note, changed it writes another.
pub fn follow_up<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        it.webhook("incident.triggered", &alert).await?;
        let first = it.done(&alert, 1).await?;
        let kind = |run: &runbook::run::Run| run.diagnosis.as_ref().map(|diagnosis| diagnosis.verdict.kind);
        expect(kind(&first) == Some(VerdictKind::Transient), format!("maybe transient: {:?}", kind(&first)))?;
        it.noted(&first, "says that nothing has changed", |note| {
            note.lines().any(|line| line.starts_with("Looked again ") && line.ends_with(": unchanged."))
        })
        .await?;
        let second = it.done(&alert, 2).await?;
        let third = it.done(&alert, 3).await?;
        for run in [&second, &third] {
            expect(run.trigger == Trigger::FollowUp, format!("a follow-up: {:?}", run.trigger))?;
        }
        let id = |run: &runbook::run::Run| run.note.as_ref().map(|note| note.id.clone());
        expect(id(&second) == id(&first), format!("what finds nothing new writes no other note: {:?}", second.note))?;
        expect(kind(&third) == Some(VerdictKind::Registry), format!("it has changed: {:?}", kind(&third)))?;
        let notes = it.our_notes(&alert);
        expect(notes.len() == 2, format!("a note for each of the two verdicts: {notes:#?}"))?;
        expect(Some(&notes[1]) == it.note(&third).as_ref(), format!("the new one is the follow-up's: {notes:#?}"))?;
        expect(notes[1].starts_with("Probably REGISTRY in prod-us-south"), format!("with its verdict: {}", notes[1]))
    }
    .boxed_local()
}

/// No webhook ever comes: the alert, its end and its return are found by asking PagerDuty.
pub fn no_webhook<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        it.say("no webhook is sent");
        it.until("a run", async |it| Ok(it.runs(&alert).await?.into_iter().next())).await?;
        let run = it.done(&alert, 1).await?;
        expect(run.trigger == Trigger::Reconcile, format!("found by looking: {:?}", run.trigger))?;
        let late = it.webhook("incident.triggered", &alert).await?;
        expect(late == "ignored", format!("its webhook comes late, it has a run: {late}"))?;
        it.world.pagerduty.resolve(&alert, None);
        it.say("the alert resolves, and nobody tells");
        let note = it.noted(&run, "has the timeline", |note| note.contains("\nTIMELINE")).await?;
        expect(line(&note, 1).starts_with("RESOLVED after "), format!("resolved, and after how long: {note}"))?;
        it.world.pagerduty.reopen(&alert, None);
        it.say("it is opened again, and nobody tells");
        let again = it.done(&alert, 2).await?;
        expect(again.trigger == Trigger::Reconcile, format!("found by looking: {:?}", again.trigger))?;
        expect(again.state == State::Done && it.note(&again).is_some(), "it has a note of its own")
    }
    .boxed_local()
}

/// The database was lost: the alert has the note of a run that nobody knows. It is diagnosed, and the page is held.
pub fn lost_database<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        it.until("a run", async |it| Ok(it.runs(&alert).await?.into_iter().next())).await?;
        let run = it.done(&alert, 1).await?;
        expect(run.trigger == Trigger::Reconcile, format!("found by looking: {:?}", run.trigger))?;
        expect(run.escalation.state == EscalationState::Held, format!("the page is held: {:?}", run.escalation))?;
        let reason = run.escalation.reason.as_deref().unwrap_or_default();
        expect(reason.contains("not in this database"), format!("the run says why: {reason}"))?;
        let note = it.note(&run).unwrap_or_default();
        expect(
            line(&note, 3).starts_with("NOBODY WAS PAGED") && line(&note, 3).contains("not in this database"),
            format!("the note says so: {note}"),
        )?;
        expect(it.world.pagerduty.pages().is_empty(), "nobody is paged, maybe for the second time")
    }
    .boxed_local()
}

/// PagerDuty has disabled our subscription: it is turned on again, and what it did not send is found by looking.
pub fn subscription_disabled<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        it.until("the subscription to be on again", async |it| {
            let disabled = it.world.pagerduty.subscriptions(|all| all.iter().any(|s| s.temporarily_disabled));
            Ok((!disabled).then_some(()))
        })
        .await?;
        it.say("the subscription is on again");
        it.until("/readyz to say nothing of it", async |it| {
            let ready = it.ready().await?;
            Ok((ready.starts_with("ready\n") && !ready.contains("temporarily disabled")).then_some(()))
        })
        .await?;
        it.until("a run", async |it| Ok(it.runs(&alert).await?.into_iter().next())).await?;
        let run = it.done(&alert, 1).await?;
        expect(run.trigger == Trigger::Reconcile, format!("what was not sent is found: {:?}", run.trigger))?;
        it.resolve(&alert).await?;
        it.noted(&run, "has the timeline", |note| note.contains("\nTIMELINE")).await.map(drop)
    }
    .boxed_local()
}
