//! What else is open: a bigger outage before or midway, every region's alert, registry's own pages.

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::PUBLIC;
use crate::course::{Result, Stagehand, expect};
use crate::pagerduty::Incident;
use runbook::diagnosis::Finding;
use runbook::run::{EscalationState, State, Trigger};

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
            note.contains("WAITED FOR OTHER PAGES") && note.contains(PUBLIC),
            format!("the note says what it waited for: {note}"),
        )?;
        let waited = note.lines().find_map(|line| line.strip_prefix("This diagnosis waited ")).unwrap_or_default();
        let length = waited.split(" for ").next().unwrap_or_default();
        expect(length.starts_with(|c: char| ('1'..='9').contains(&c)), format!("and for how long: {waited}"))
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

/// Pages of the alert's own service that name a zone, or konicle and the region, are linked at the zones that are ill.
pub fn registry_pages<'a>(it: &'a mut Stagehand<'_>) -> LocalBoxFuture<'a, Result<()>> {
    async move {
        let alert = it.world.alert.clone();
        let zone = it.open("registry-prod-us-south-az2: the database has no free connections");
        let konicle = it.open("Konicle restarts too often in prod-us-south");
        let well = it.open("registry-prod-us-south-az1: a node is being replaced");
        let over = it.open("registry-prod-us-south-az2: slow pushes");
        it.world.pagerduty.resolve(&over.id, None);
        it.webhook("incident.triggered", &alert).await?;
        let run = it.done(&alert, 1).await?;
        let zones = run.diagnosis.as_ref().map(|diagnosis| diagnosis.zones.as_slice()).unwrap_or_default();
        let wanted = [
            ("registry-prod-us-south-az1", Finding::Healthy, vec![]),
            ("registry-prod-us-south-az2", Finding::ZoneUnhealthy, vec![&zone.id, &konicle.id]),
            ("registry-prod-us-south-az3", Finding::KonicleFault, vec![&konicle.id]),
        ];
        for (name, finding, pages) in wanted {
            let checks = zones.iter().find(|zone| zone.cluster.as_str() == name).and_then(|zone| zone.checks.as_ref());
            let checks = checks.ok_or_else(|| format!("{name} was checked"))?;
            expect(checks.finding == finding, format!("the finding of {name}: {:?}", checks.finding))?;
            let linked: Vec<&String> = checks.registry_pages.iter().map(|page| &page.id).collect();
            expect(linked == pages, format!("checks.registry_pages of {name}, {pages:?}: {linked:?}"))?;
        }
        let note = it.note(&run).unwrap_or_default();
        let lines = |incident: &Incident| {
            let linked = |line: &&str| line.contains(&incident.title) && line.ends_with(&incident.id);
            note.lines().filter(linked).count()
        };
        expect(lines(&zone) == 1, format!("the note links the zone's page: {note}"))?;
        expect(lines(&konicle) == 2, format!("and konicle's, for both zones: {note}"))?;
        expect(lines(&well) == 0 && lines(&over) == 0, format!("and none that explains nothing: {note}"))
    }
    .boxed_local()
}
