//! What is concluded: the diagnosis as it is told, and what the gate decides by it.

use super::Journey;
use crate::metrics;
use crate::run::canary::keep_good;
use crate::run::note_text::escalation_of;
use runbook::diagnosis::Diagnosis;
use runbook::diagnosis::last_good::{GoodReading, SinceLastGood, compare};
use runbook::gate::{self, Decision};
use runbook::plan::run::{Evidence, Note, Page, Standing, TELL_WITHIN};
use runbook::run::EscalationState;
use runbook::span::after;
use store::StoreError;

impl Journey<'_> {
    /// Looks once more, decides, and keeps both. Meanwhile the alert may have ended or been merged, and a page that explains it
    /// may have opened.
    pub(super) async fn settle(&mut self) -> Result<(), StoreError> {
        let now = self.context.clock.now();
        self.give_up.get_or_insert(after(now, TELL_WITHIN));
        // What was held since it was wanted, which was counted then, may be wanted again.
        self.counted_held |= std::mem::take(self.page_wanted.get_mut());
        if self.open.is_none() {
            // No sooner than now: the last build has ended.
            self.confirm_alert("confirm_alert_again").await?;
        }
        let Some(seen) = self.open.take() else { return Ok(()) };
        self.find_related("find_related_again", &seen).await?;
        drop(seen);
        let Some(diagnosis) = self.concluded().await? else {
            self.standing.evidence = Evidence::Missing;
            return Ok(());
        };

        let (decision, by) = self.decide(&diagnosis).await?;
        let (escalation, reason) = escalation_of(&decision, self.context.config.escalation.mode);
        self.concluded_by.take().into_iter().chain(by).for_each(|decided| self.has_decided(decided));
        let said = (escalation, reason.as_deref());
        self.context.store.set_diagnosis(self.lease, &diagnosis, said, &self.to_keep()).await?;
        // Counted when it is new: going round again is no other diagnosis.
        let kind = diagnosis.verdict.kind;
        if self.run.diagnosis.as_ref().is_none_or(|before| before.verdict.kind != kind) {
            metrics::diagnosed(kind);
        }
        for reading in &self.readings {
            keep_good(self.context, reading, Some(&self.run.region)).await?;
        }
        tracing::info!(verdict = ?kind, rule = ?diagnosis.verdict.rule, page = ?escalation, "diagnosed");
        self.run.diagnosis = Some(diagnosis);
        self.run.escalation.state = escalation;
        self.run.escalation.reason = reason;
        self.standing.has_settled(match decision {
            Decision::Page => Page::Due,
            Decision::Hold(why) if why.iter().all(|why| gate::says_outdated(why)) => Page::Held,
            _ => Page::NotDue,
        });
        self.count_held();
        Ok(())
    }

    /// Counts a page that stays held: not one whose evidence is taken again once the note is written.
    fn count_held(&mut self) {
        let told = Standing { note: Note::Told, evidence: self.age(), ..self.standing };
        if self.run.escalation.state != EscalationState::Held || self.counted_held || told.reads_again() {
            return;
        }
        self.counted_held = true;
        metrics::page(metrics::Paged::Held);
        if self.run.escalation.reason.as_deref().is_some_and(gate::says_used_up) {
            tracing::error!("NOBODY WAS PAGED: ESCALATION_MAX_PER_HOUR is used up");
        }
    }

    /// The diagnosis as it is told: of what was read or, where whoever had the run before has told of it, as that stands.
    async fn concluded(&mut self) -> Result<Option<Diagnosis>, StoreError> {
        let Some(mut diagnosis) = self.found.clone() else {
            // Only now: a page that explains it may have opened while nobody worked on this run.
            if let Some(incident) = &self.run.incident {
                self.look_again_later(incident).await?;
            }
            return Ok(self.run.diagnosis.clone());
        };
        self.name_registry_pages(&mut diagnosis);
        if self.last_good.is_none() {
            self.last_good = Some(self.good_before().await?);
        }
        let good = self.last_good.iter().flatten().next();
        diagnosis.since_last_good = good.and_then(|good| self.since(good, &diagnosis));
        Ok(Some(diagnosis))
    }

    /// The region's last good reading; what can't be read back is none.
    async fn good_before(&self) -> Result<Option<GoodReading>, StoreError> {
        match self.context.store.good_reading(&self.run.region).await {
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "nothing is compared with the last good reading"
                );
                Ok(None)
            }
            read => read,
        }
    }

    /// What differs from the last good reading. Where that is one of this run's own, from before a restart, what was
    /// found then stands.
    fn since(&self, good: &GoodReading, diagnosis: &Diagnosis) -> Option<SinceLastGood> {
        let is_own =
            |d: &&Diagnosis| good.build_url.is_some() && d.readings.iter().any(|r| r.build_url == good.build_url);
        match self.run.diagnosis.as_ref().filter(is_own) {
            Some(before) => before.since_last_good.clone(),
            None => compare(good, &diagnosis.zones),
        }
    }
}
