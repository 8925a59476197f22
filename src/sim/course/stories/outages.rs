//! Bigger outages around the alert: it waits for one, one opens midway, every region alerts at once.

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::PUBLIC;
use crate::run::{EscalationState, State, Trigger};
use crate::sim::course::{Result, Stagehand, expect};

/// A bigger outage is waited for; once it has closed the alert is diagnosed, and its note says what it waited for.
pub fn suppressed<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        let public = it.open(PUBLIC);
        it.webhook("incident.triggered", &alert).await?;
        it.in_state(&alert, State::Suppressed).await?;
        it.until("the short note", async |it| Ok((it.notes_with(&alert, PUBLIC) == 1).then_some(()))).await?;
        expect(it.world.jenkins.started().is_empty(), "nothing is asked of Jenkins while it waits")?;
        it.resolve(&public.id).await?;
        let run = it.done(&alert, 1).await?;
        let note = it.note(&run).unwrap_or_default();
        expect(
            note.contains("WAITED FIRST") && note.contains(PUBLIC),
            format!("the note says what it waited for: {note}"),
        )
    }
    .boxed_local()
}

/// A bigger outage opens while Jenkins runs: the page is held; once it has closed, a second look pages.
pub fn related_opens_midway<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        it.webhook("incident.triggered", &alert).await?;
        it.building().await?;
        let public = it.open(PUBLIC);
        let first = it.done(&alert, 1).await?;
        expect(first.escalation.state == EscalationState::Held, format!("the page is held: {:?}", first.escalation))?;
        let note = it.note(&first).unwrap_or_default();
        let names_it = note.lines().nth(1).is_some_and(|line| line.contains(PUBLIC));
        expect(names_it, format!("the note sends people to the bigger outage first: {note}"))?;
        expect(it.world.pagerduty.pages().is_empty(), "nobody is paged while it is open")?;
        it.resolve(&public.id).await?;
        let second = it.done(&alert, 2).await?;
        expect(second.trigger == Trigger::RelatedResolved, format!("a second look: {:?}", second.trigger))?;
        expect(it.world.pagerduty.pages().len() == 1, "one page, after the second look")
    }
    .boxed_local()
}

/// Every region alerts at once: one build serves them all, each note names the others, and the path looks whole.
pub fn all_regions<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let mut alerts = vec![it.world.alert.clone()];
        let others: Vec<String> = it.world.other_regions().map(str::to_owned).collect();
        for region in &others {
            alerts.push(it.open(&format!("All SE endpoints down in {region}")).id);
        }
        for alert in &alerts {
            it.webhook("incident.triggered", alert).await?;
        }
        for alert in &alerts {
            let run = it.done(alert, 1).await?;
            let whole = run.diagnosis.as_ref().is_some_and(|d| d.client_suspected);
            expect(whole, format!("the path looks whole in {}", run.region))?;
            let note = it.note(&run).unwrap_or_default();
            for region in others.iter().filter(|region| **region != run.region.as_str()) {
                expect(note.contains(region), format!("the note of {} names {region}: {note}", run.region))?;
            }
        }
        let builds = it.world.jenkins.started().len();
        expect(builds < alerts.len(), format!("builds are shared: {builds} for {} regions", alerts.len()))
    }
    .boxed_local()
}
