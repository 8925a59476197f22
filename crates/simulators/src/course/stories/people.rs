//! People on the phone: what a note that says only `/word` does.

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::course::{Result, Stagehand, expect, line};
use crate::pagerduty::Setup;
use runbook::run::EscalationState;

/// A person says yes from the phone, and the page is taken by a person.
pub fn phone_escalation<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        it.webhook("incident.triggered", &alert).await?;
        let run = it.done(&alert, 1).await?;
        expect(run.escalation.state == EscalationState::Suggested, format!("it asks first: {:?}", run.escalation))?;
        let before = it.world.pagerduty.notes_of(&alert).len();
        it.write(&alert, "/status").await?;
        it.until("its answer", async |it| Ok((it.world.pagerduty.notes_of(&alert).len() == before + 2).then_some(())))
            .await?;
        it.write(&alert, "/escalate").await?;
        let page = it.until("the page", async |it| Ok(it.world.pagerduty.pages().into_iter().next())).await?;
        it.until("the note to say who asked", async |it| {
            let note = it.note(&run).unwrap_or_default();
            Ok(note.lines().nth(2).is_some_and(|l| l.starts_with("Paged") && l.contains("Earline")).then_some(()))
        })
        .await?;
        it.until("the answer", async |it| Ok((it.world.pagerduty.notes_of(&alert).len() == before + 4).then_some(())))
            .await?;
        it.world.pagerduty.acknowledge(&page.id, Setup::ENGINEER);
        it.say("Earline Greenholt acknowledges the page");
        it.until("a word of who has it", async |it| {
            Ok((it.world.pagerduty.notes_of(&alert).len() == before + 5).then_some(()))
        })
        .await?;
        expect(it.world.pagerduty.pages().len() == 1, "one page")
    }
    .boxed_local()
}

/// `/hold` stops the automatic page, another word is answered by the list, `/escalate` lifts the hold and pages.
pub fn held_by_phone<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        it.webhook("incident.triggered", &alert).await?;
        it.building().await?;
        it.write(&alert, "/Hold.").await?;
        let held = it.said(&alert, "Automatic paging is on hold for prod-us-south (/hold by Earline").await?;
        expect(held.contains("until /escalate"), format!("it says what lifts it: {held}"))?;
        it.write(&alert, "/page").await?;
        let list = it.said(&alert, "No such command").await?;
        for word in ["/rerun", "/escalate", "/hold", "/status"] {
            expect(list.contains(word), format!("the list has {word}: {list}"))?;
        }
        let run = it.done(&alert, 1).await?;
        expect(run.escalation.state == EscalationState::Held, format!("the page is held: {:?}", run.escalation))?;
        let reason = run.escalation.reason.as_deref().unwrap_or_default();
        expect(reason.contains("Earline Greenholt said /hold"), format!("the run says by whom: {reason}"))?;
        let note = it.note(&run).unwrap_or_default();
        expect(line(&note, 3).starts_with("NOBODY WAS PAGED"), format!("the note says so: {note}"))?;
        expect(it.world.pagerduty.pages().is_empty(), "nobody is paged")?;

        it.write(&alert, "/escalate").await?;
        it.said(&alert, "Paged Cloud Service Endpoint for prod-us-south (/escalate by Earline").await?;
        it.noted(&run, "says who asked for the page", |note| {
            line(note, 3).starts_with("Paged: Cloud Service Endpoint, asked for by Earline Greenholt")
        })
        .await?;
        let run = it.done(&alert, 1).await?;
        expect(run.escalation.state == EscalationState::Paged, format!("it is paged: {:?}", run.escalation))?;
        expect(it.world.pagerduty.pages().len() == 1, "one page")
    }
    .boxed_local()
}
