//! Pages: a person's yes, a person who takes it.

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::run::EscalationState;
use crate::sim::course::{Result, Stagehand, expect};
use crate::sim::pagerduty::Setup;

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
