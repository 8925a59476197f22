//! The courses, each a story of an alert's life: contract of the service in a few lines.

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::{Result, Stagehand, expect};
use crate::run::{EscalationState, State, Trigger};
use crate::sim::pagerduty::Setup;

const PUBLIC: &str = "All Public endpoints down in prod-us-south";
const ALERT: &str = "All SE endpoints down in prod-us-south";

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
