//! The page: through the Events API, not acknowledged, refused.

use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::course::{Result, Stagehand, expect, line};
use crate::pagerduty::{Endpoint, Fault, State};
use runbook::run::EscalationState;

/// With a routing key the page goes through the Events API, whose answer is lost and whose incident comes late: it is
/// believed when it is read back, and is one.
pub fn events_api<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        it.world.pagerduty.set_event_delay(Duration::from_secs(2));
        it.world.pagerduty.fail_once_done(Endpoint::Enqueue, Fault::Reset, 1);
        it.webhook("incident.triggered", &alert).await?;
        let run = it.done(&alert, 1).await?;
        expect(run.escalation.state == EscalationState::Paged, format!("it is paged: {:?}", run.escalation))?;
        let pages = it.world.pagerduty.pages();
        let [page] = pages.as_slice() else { return Err(format!("one page: {pages:?}")) };
        let key = format!("se-responder/{alert}");
        expect(page.alert_keys == [key], format!("the alert's key is its dedup_key: {:?}", page.alert_keys))?;
        let named = run.escalation.page.as_ref().map(|page| page.id.as_str());
        expect(named == Some(&page.id), format!("the run has its id, read back: {named:?}"))?;
        let by_rest = it.world.pagerduty.requests().iter().any(|r| r.method == "POST" && r.path == "/incidents");
        expect(!by_rest, "it is not opened over REST")?;
        let note = it.note(&run).unwrap_or_default();
        expect(
            line(&note, 3).starts_with("Paged: ") && line(&note, 3).contains(&page.id),
            format!("the note links it: {note}"),
        )
    }
    .boxed_local()
}

/// Nobody takes the page: a short note says so. When the alert is over the page is told, and the note gets its
/// timeline.
pub fn unacknowledged<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        it.webhook("incident.triggered", &alert).await?;
        let run = it.done(&alert, 1).await?;
        expect(run.escalation.state == EscalationState::Paged, format!("it is paged: {:?}", run.escalation))?;
        let loud = it.said(&alert, "NOBODY HAS ACKNOWLEDGED THE PAGE for prod-us-south").await?;
        expect(line(&loud, 3).contains("nobody has taken it"), format!("said on the lock screen: {loud}"))?;
        it.resolve(&alert).await?;
        let note = it.noted(&run, "has the timeline", |note| note.contains("\nTIMELINE")).await?;
        expect(line(&note, 1).starts_with("RESOLVED after "), format!("resolved, and after how long: {note}"))?;
        for words in
            ["alert opened", "diagnosed, ", "Cloud Service Endpoint paged", "alert resolved", "Nobody was seen"]
        {
            expect(note.contains(words), format!("the timeline says {words:?}: {note}"))?;
        }
        let page = run.escalation.page.map(|page| page.id).unwrap_or_default();
        it.said(&page, "RESOLVED: registry's SE alert for prod-us-south is over").await?;
        let pages = it.world.pagerduty.pages();
        expect(
            pages.len() == 1 && pages[0].state == State::Triggered,
            format!("one page, which is the team's to resolve: {pages:?}"),
        )
    }
    .boxed_local()
}

/// PagerDuty refuses the page: nobody may believe in one. A person's word tries it again.
pub fn page_fails<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        it.world.pagerduty.fail(Endpoint::CreateIncident, Fault::Status(403), u32::MAX);
        it.webhook("incident.triggered", &alert).await?;
        let run = it.done(&alert, 1).await?;
        expect(run.escalation.state == EscalationState::Failed, format!("it has failed: {:?}", run.escalation))?;
        expect(run.escalation.page.is_none(), "the run shows no page")?;
        let note = it.note(&run).unwrap_or_default();
        let third = "NOBODY WAS PAGED: it was tried and failed. Page Cloud Service Endpoint by hand.";
        expect(line(&note, 3).starts_with(third), format!("the note says so: {note}"))?;
        it.said(&alert, "NOBODY WAS PAGED for prod-us-south").await?;
        let believed = it.our_notes(&alert).iter().any(|note| note.lines().any(|line| line.starts_with("Paged")));
        expect(!believed && it.world.pagerduty.pages().is_empty(), "no note says that anybody was paged")?;

        it.world.pagerduty.mend();
        it.say("PagerDuty opens pages again");
        it.write(&alert, "/escalate").await?;
        it.said(&alert, "Paged Cloud Service Endpoint for prod-us-south (/escalate by Earline").await?;
        let paged = it.done(&alert, 1).await?.escalation;
        expect(paged.state == EscalationState::Paged, format!("a person's word tries it again: {paged:?}"))?;
        expect(it.world.pagerduty.pages().len() == 1, "one page")
    }
    .boxed_local()
}
