//! The alert changes under the service: it is merged, retitled, resolved, opened again, comes late, again and again.

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use jiff::SignedDuration;
use serde_json::Value;

use super::{ALERT, PUBLIC};
use crate::course::{Result, Stagehand, expect, line};
use crate::pagerduty::{Endpoint, Fault, Opening, Setup};
use runbook::run::{EscalationState, State};

/// The alert is merged into another incident while it is diagnosed: the note goes there.
pub fn merged<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        it.webhook("incident.triggered", &alert).await?;
        it.building().await?;
        let other = it.open("Registry: private endpoints are unreachable");
        it.world.pagerduty.merge(&alert, &other.id, None);
        it.say("somebody merges the alert into it");
        it.webhook("incident.resolved", &alert).await?;
        let run = it.done(&other.id, 1).await?;
        expect(run.state == State::Done && it.note(&run).is_some(), "the run goes on")?;
        let last = format!("run {}", run.id);
        expect(it.notes_with(&other.id, &last) == 1, "its note is on the incident that it was merged into")?;
        expect(it.notes_with(&alert, &last) == 0, "and not on the one that is closed")
    }
    .boxed_local()
}

/// The alert comes a third time within the hour: the note says so, and what the last ones found.
pub fn flapping<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let mut alert = it.world.alert.clone();
        for nth in 1..=3 {
            it.webhook("incident.triggered", &alert).await?;
            let run = it.done(&alert, 1).await?;
            if nth == 3 {
                let note = it.note(&run).unwrap_or_default();
                let first = note.lines().next().unwrap_or_default();
                expect(first.contains("3rd time in an hour"), format!("the first line says so: {first}"))?;
                return expect(note.contains("FLAPPING"), format!("what the last ones found: {note}"));
            }
            it.resolve(&alert).await?;
            alert = it.open(ALERT).id;
        }
        Ok(())
    }
    .boxed_local()
}

/// Its title changes while Jenkins runs, and its region stays: also for whoever asks again.
pub fn retitled<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        let title = "us-south: we are on it";
        it.webhook("incident.triggered", &alert).await?;
        it.building().await?;
        it.world.pagerduty.rename(&alert, title);
        it.say(&format!("somebody gives the alert another title: {title}"));
        it.done(&alert, 1).await?;
        it.write(&alert, "/rerun").await?;
        it.done(&alert, 2).await?;
        for run in it.runs(&alert).await? {
            expect(run.region.as_str() == "prod-us-south", format!("its region is remembered: {}", run.region))?;
            let shown = run.incident.as_ref().map(|incident| incident.title.as_str());
            expect(shown == Some(title), format!("the run shows the title as it is now: {shown:?}"))?;
            let note = it.note(&run).unwrap_or_default();
            expect(line(&note, 1).contains("in prod-us-south"), format!("the note names the region: {note}"))?;
        }
        Ok(())
    }
    .boxed_local()
}

/// It is over before its run begins, or while it waits for a bigger outage: nothing more is said, nothing asked.
pub fn resolved_early<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let late = it.world.alert.clone();
        let body = it.world.pagerduty.webhook_body("incident.triggered", &late);
        it.world.pagerduty.resolve(&late, None);
        it.say("the alert resolves before its webhook comes");
        it.send("incident.triggered", body).await?;
        let run = it.done(&late, 1).await?;
        expect(run.state == State::Cancelled, format!("nothing to do: {}", run.state))?;
        expect(it.our_notes(&late).is_empty(), "nothing is said")?;

        let alert = it.open(ALERT).id;
        it.open(PUBLIC);
        it.webhook("incident.triggered", &alert).await?;
        it.in_state(&alert, State::Suppressed).await?;
        it.until("the short note", async |it| Ok((it.our_notes(&alert).len() == 1).then_some(()))).await?;
        it.resolve(&alert).await?;
        let run = it.done(&alert, 1).await?;
        expect(run.state == State::Cancelled && run.note.is_none(), format!("nothing to do: {}", run.state))?;
        let notes = it.our_notes(&alert);
        expect(notes.len() == 1, format!("nothing more is said: {notes:#?}"))?;
        expect(it.world.jenkins.started().is_empty(), "nothing is asked of Jenkins")
    }
    .boxed_local()
}

/// It resolves while Jenkins runs: the note says so first, no re-run, and nobody is paged.
pub fn resolved_midway<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        it.webhook("incident.triggered", &alert).await?;
        it.building().await?;
        it.resolve(&alert).await?;
        let run = it.done(&alert, 1).await?;
        expect(run.state == State::Done, format!("it has its diagnosis all the same: {}", run.state))?;
        let readings = run.diagnosis.as_ref().map_or(0, |diagnosis| diagnosis.readings.len());
        expect(readings == 1, format!("no re-run for what is over: {readings}"))?;
        let note = it.note(&run).unwrap_or_default();
        expect(line(&note, 1).starts_with("Alert resolved after "), format!("resolved, and after how long: {note}"))?;
        expect(line(&note, 3) == "Nobody was paged: the alert has closed.", format!("nobody was paged: {note}"))?;
        expect(run.escalation.state == EscalationState::None, format!("no page: {:?}", run.escalation))?;
        expect(it.world.pagerduty.pages().is_empty(), "nobody is paged for what is over")
    }
    .boxed_local()
}

/// It resolves between its note and its page: nobody is paged.
pub fn resolved_before_page<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        // What a page must know first can't be asked: it waits, and looks at the alert again.
        it.world.pagerduty.fail(Endpoint::Services, Fault::Status(503), u32::MAX);
        it.webhook("incident.triggered", &alert).await?;
        it.until("the note to say that the page is tried", async |it| {
            let notes = it.our_notes(&alert);
            Ok(notes.iter().any(|note| line(note, 3).starts_with("Nobody was paged yet")).then_some(()))
        })
        .await?;
        it.say("the page can't be opened yet");
        it.resolve(&alert).await?;
        it.world.pagerduty.mend();
        it.say("now it could");
        let run = it.done(&alert, 1).await?;
        expect(run.escalation.state == EscalationState::Held, format!("the page is held: {:?}", run.escalation))?;
        let note = it.noted(&run, "says that it is over", |note| note.starts_with("RESOLVED after ")).await?;
        expect(line(&note, 3).to_lowercase().starts_with("nobody was paged"), format!("nobody was paged: {note}"))?;
        expect(it.world.pagerduty.pages().is_empty(), "nobody is paged for what is over")
    }
    .boxed_local()
}

/// It is opened again: another run, the same page. A second `triggered` under another event id is none.
pub fn reopened<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        it.webhook("incident.triggered", &alert).await?;
        let first = it.done(&alert, 1).await?;
        it.resolve(&alert).await?;
        it.noted(&first, "has the timeline", |note| note.contains("\nTIMELINE")).await?;
        it.reopen(&alert).await?;
        let second = it.done(&alert, 2).await?;
        expect(second.state == State::Done, format!("diagnosed again: {}", second.state))?;
        let word = it.webhook("incident.triggered", &alert).await?;
        expect(word == "ignored", format!("a second triggered, under another event id: {word}"))?;
        let runs = it.runs(&alert).await?.len();
        expect(runs == 2, format!("two runs: {runs}"))?;
        let note = it.note(&second).unwrap_or_default();
        expect(!note.is_empty() && Some(&note) != it.note(&first).as_ref(), "each run has a note of its own")?;
        expect(!note.contains("TIMELINE"), format!("the second says nothing of an end: {note}"))?;
        let page = |run: &runbook::run::Run| run.escalation.page.as_ref().map(|page| page.id.clone());
        expect(
            page(&first).is_some() && page(&first) == page(&second),
            format!("the same page: {:?}, {:?}", first.escalation, second.escalation),
        )?;
        expect(it.world.pagerduty.pages().len() == 1, "one page an alert, ever")
    }
    .boxed_local()
}

/// Its webhook comes hours late: it is diagnosed, and the page is held until it is opened again.
pub fn hours_late<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let new = it.world.pagerduty.incident(&it.world.alert).ok_or("no alert")?;
        let long_ago = new.created_at - SignedDuration::from_hours(7);
        let late = Opening { created_at: Some(long_ago), ..Opening::new(ALERT, Setup::REGISTRY) };
        let alert = it.follow(it.world.pagerduty.open(late)).id;
        let body = it.world.pagerduty.webhook_body("incident.triggered", &alert);
        let mut body: Value = serde_json::from_str(&body).map_err(|e| e.to_string())?;
        body["event"]["occurred_at"] = long_ago.to_string().into();
        it.send("incident.triggered", body.to_string()).await?;
        let run = it.done(&alert, 1).await?;
        expect(run.escalation.state == EscalationState::Held, format!("the page is held: {:?}", run.escalation))?;
        let note = it.note(&run).unwrap_or_default();
        expect(
            line(&note, 3).starts_with("NOBODY WAS PAGED") && line(&note, 3).contains("longer than RECONCILE_MAX_AGE"),
            format!("the note says why: {note}"),
        )?;
        expect(it.world.pagerduty.pages().is_empty(), "nobody is paged for what is hours old")?;
        it.resolve(&alert).await?;
        it.reopen(&alert).await?;
        let again = it.done(&alert, 2).await?;
        expect(again.escalation.state == EscalationState::Paged, format!("it is new again: {:?}", again.escalation))?;
        expect(it.world.pagerduty.pages().len() == 1, "one page")
    }
    .boxed_local()
}
