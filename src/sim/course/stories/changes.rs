//! The alert changes under the service: it is merged, comes again and again.

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::ALERT;
use crate::run::State;
use crate::sim::course::{Result, Stagehand, expect};

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
