//! What is known of an alert whose page is wanted: what its run has found, else what the newest before it did.

use jiff::Timestamp;

use crate::run::context::Context;
use runbook::diagnosis::Diagnosis;
use runbook::diagnosis::note::EarlierLook;
use runbook::run::Run;
use store::StoreError;

/// What an earlier run found.
pub(super) struct Earlier {
    diagnosis: Diagnosis,
    at: Timestamp,
    run_url: String,
}

impl Earlier {
    /// That of the newest run before this one that has seen boxes, else of the newest that has a diagnosis at all;
    /// `None` where this run has its own.
    pub(super) async fn of(context: &Context, run: &Run) -> Result<Option<Self>, StoreError> {
        let Some(incident) = run.incident.as_ref().filter(|_| run.diagnosis.is_none()) else { return Ok(None) };
        let mut runs = context.store.last_runs(&incident.id, Some(&run.id)).await?;
        runs.retain(|before| before.diagnosis.is_some());
        let saw_boxes = |before: &Run| before.diagnosis.iter().flat_map(|d| &d.zones).any(|z| !z.boxes.is_empty());
        let at = runs.iter().position(saw_boxes).unwrap_or_default();
        let Some(before) = runs.into_iter().nth(at) else { return Ok(None) };
        let run_url = context.config.run_url(&before.id);
        Ok(before.diagnosis.map(|diagnosis| Self {
            at: context.clock.shown(diagnosis.readings.last().map_or(before.created_at, |reading| reading.at)),
            diagnosis,
            run_url,
        }))
    }

    /// What it found.
    pub(super) fn diagnosis(&self) -> &Diagnosis {
        &self.diagnosis
    }
}

impl super::Subject<'_> {
    /// What the Service Endpoint team is told: the finding, and whose it is where it is not this run's.
    pub(super) fn known(&self) -> Option<(&Diagnosis, Option<EarlierLook<'_>>)> {
        if let Some(diagnosis) = &self.run.diagnosis {
            return Some((diagnosis, None));
        }
        let Earlier { diagnosis, at, run_url } = self.earlier.as_ref()?;
        Some((diagnosis, Some(EarlierLook { at: *at, run_url })))
    }
}
