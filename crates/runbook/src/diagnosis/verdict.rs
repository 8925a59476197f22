//! Readings become a verdict. Runbook: "Determine if this issue is with Registry or Service Endpoint".

mod elsewhere;
mod summary;
mod whole_run;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::client::{self, ClientFinding, front_end};
use super::finding::broken_at;
use super::{
    Checks, Class, Console, Diagnosis, Evidence, Finding, MagicBox, OtherRegion, Reading, ReadingSummary, Rule,
    Verdict, VerdictKind, ZoneDiagnosis,
};
use crate::alert::{Region, Zone, contains_word, is_default_zone, is_number};
use elsewhere::Elsewhere;

/// The zone of the region that a box belongs to, by the box's name: `<expected zone>-<i>`, or
/// `registry-<region>-az<n>-<i>` whether it is expected or not. `None` for another region's box, and for a name that
/// is no box's.
pub fn zone_of(region: &Region, expected: &[Zone], box_name: &str) -> Option<Zone> {
    let (zone, index) = box_name.rsplit_once('-')?;
    if !is_number(index) {
        return None;
    }
    if let Some(zone) = expected.iter().find(|z| z.as_str() == zone) {
        return Some(zone.clone());
    }
    is_default_zone(zone, region).then(|| Zone::new(zone))
}

/// The region's part of a console.
struct Seen<'a> {
    boxes: Vec<(Zone, &'a MagicBox)>,
    /// Zones with a box that could not be read.
    unreadable: BTreeSet<Zone>,
    /// Expected zones without a box, or with one that could not be read: all the same, nothing is known of them.
    missing: BTreeSet<Zone>,
    /// Zones that are named as the region's, and not expected.
    unlisted: BTreeSet<Zone>,
}

impl<'a> Seen<'a> {
    fn of(region: &Region, expected: &[Zone], console: &'a Console) -> Self {
        let zone_of = |name: &str| zone_of(region, expected, name);
        let boxes: Vec<_> = console.boxes.iter().filter_map(|b| Some((zone_of(&b.name)?, b))).collect();
        let mut unreadable = BTreeSet::new();
        for name in &console.unreadable {
            match zone_of(name) {
                Some(zone) => drop(unreadable.insert(zone)),
                // A name cut short or misspelt: whatever zone it names can't be said to be read.
                None => {
                    unreadable.extend(expected.iter().filter(|zone| contains_word(name, zone.as_str())).cloned());
                }
            }
        }
        let with_box: BTreeSet<_> = boxes.iter().map(|(zone, _)| zone.clone()).collect();
        let expected: BTreeSet<_> = expected.iter().cloned().collect();
        let missing = expected.iter().filter(|z| !with_box.contains(z) || unreadable.contains(z)).cloned().collect();
        let unlisted = with_box.union(&unreadable).filter(|z| !expected.contains(z)).cloned().collect();
        Self { boxes, unreadable, missing, unlisted }
    }

    fn all(&self, holds: impl Fn(&MagicBox) -> bool) -> bool {
        self.boxes.iter().all(|(_, b)| holds(b))
    }

    fn rule(&self, rerun: bool) -> Rule {
        let Some((_, first)) = self.boxes.first() else {
            return Rule::NoReading;
        };
        if !self.all(|b| b.se_status == first.se_status) {
            Rule::MixedStatus
        } else if !self.missing.is_empty() {
            Rule::IncompleteReading
        } else if rerun && self.all(is_well) {
            Rule::RecoveredOnRerun
        } else if first.se_status == 1 {
            Rule::AllSeAccepting
        } else if self.all(|b| b.upstream_status != 1) {
            Rule::AllSeRejectingUpstreamDown
        } else {
            Rule::AllSeRejectingUpstreamUp
        }
    }
}

fn is_well(b: &MagicBox) -> bool {
    (b.se_status, b.upstream_status) == (1, 1)
}

/// Whether each expected zone has a box, and none that could not be read.
pub fn is_complete(region: &Region, expected: &[Zone], console: &Console) -> bool {
    Seen::of(region, expected, console).missing.is_empty()
}

/// The region's boxes where the console shows every expected zone, could read every box, and each is `1:1`.
pub fn good_boxes(region: &Region, expected: &[Zone], console: &Console) -> Option<Vec<MagicBox>> {
    let seen = Seen::of(region, expected, console);
    let good = !seen.boxes.is_empty() && seen.missing.is_empty() && seen.unreadable.is_empty() && seen.all(is_well);
    good.then(|| seen.boxes.iter().map(|(_, b)| (*b).clone()).collect())
}

/// The expected zones that a console does not show whole, by name.
pub fn missing_zones(region: &Region, expected: &[Zone], console: &Console) -> Vec<Zone> {
    Seen::of(region, expected, console).missing.into_iter().collect()
}

/// How many expected zones a console shows whole. Of several builds tried for one reading, the one with most counts.
pub fn zones_read(region: &Region, expected: &[Zone], console: &Console) -> usize {
    let missing = Seen::of(region, expected, console).missing;
    expected.iter().filter(|z| !missing.contains(z)).collect::<BTreeSet<_>>().len()
}

/// The line of the contract's table that a console meets, as a first reading or as a re-run.
pub fn judge(region: &Region, expected: &[Zone], console: &Console, rerun: bool) -> Rule {
    Seen::of(region, expected, console).rule(rerun)
}

/// Whether another re-run may change the verdict, were one allowed. Runbook: "this can be a transient state, re-run
/// the job". A first reading must call for it; after that a re-run that tells nothing is followed by the next.
pub fn wants_rerun(evidence: &Evidence<'_>) -> bool {
    let Some((last, before)) = evidence.readings.split_last() else {
        return false;
    };
    let is_rerun = !before.is_empty();
    match judge(evidence.region, evidence.expected, &last.console, is_rerun) {
        Rule::AllSeRejectingUpstreamUp => true,
        Rule::NoReading | Rule::IncompleteReading => is_rerun,
        Rule::MixedStatus | Rule::RecoveredOnRerun | Rule::AllSeAccepting | Rule::AllSeRejectingUpstreamDown => false,
    }
}

fn kind(rule: Rule, rerun: bool) -> VerdictKind {
    match rule {
        Rule::NoReading | Rule::IncompleteReading => VerdictKind::Inconclusive,
        Rule::MixedStatus => VerdictKind::Mixed,
        Rule::AllSeAccepting | Rule::AllSeRejectingUpstreamDown => VerdictKind::Registry,
        Rule::AllSeRejectingUpstreamUp if rerun => VerdictKind::ServiceEndpoint,
        Rule::AllSeRejectingUpstreamUp | Rule::RecoveredOnRerun => VerdictKind::Transient,
    }
}

/// The diagnosis of all evidence. The last reading decides; each after the first is a re-run, whatever came before.
/// So it must be asked for when the re-runs are over: a single re-run that persists is already the Service Endpoint's.
pub fn diagnose(evidence: &Evidence<'_>) -> Diagnosis {
    let Evidence { region, expected, readings, checks, .. } = *evidence;
    let nothing = Console::default();
    let seen: Vec<_> = readings.iter().map(|r| Seen::of(region, expected, &r.console)).collect();
    let blank = Seen::of(region, expected, &nothing);

    let rerun = seen.len() > 1;
    let last = seen.last().unwrap_or(&blank);
    let rule = last.rule(rerun || evidence.earlier.taken_again);
    let kind = kind(rule, rerun);
    let shown_at = if kind == VerdictKind::Inconclusive { fallback(&seen) } else { seen.len().checked_sub(1) };
    let shown = shown_at.map_or(&blank, |i| &seen[i]);

    let zones = zones(expected, shown, checks);
    let focus = focus(&zones);
    let run = whole_run::of(evidence);
    let (client, client_times) = client(evidence, &run, &zones).unzip();
    let (class, client_suspected) = run.class_and_suspicion(client.as_ref().map(|client| client.finding));
    let elsewhere = Elsewhere::of(evidence, shown_at.map_or(&[], |i| readings[i].console.boxes.as_slice()));
    let older = shown_at.filter(|i| i + 1 < seen.len());
    let reruns = seen.len().saturating_sub(1);
    let summary = summary::of(&summary::Facts { region, seen: last, rule, reruns, older });
    let mut summaries: Vec<_> = readings.iter().zip(&seen).map(|(r, s)| summarise(r, s)).collect();
    if let Some(shown) = shown_at.and_then(|i| summaries.get_mut(i)) {
        shown.warnings.extend(elsewhere.warning());
    }
    Diagnosis {
        region: region.clone(),
        verdict: Verdict { kind, rule, summary },
        class,
        client_suspected,
        client,
        client_times,
        focus,
        zones,
        readings: summaries,
        other_regions: elsewhere.regions,
        since_last_good: None,
    }
}

/// What the client says, where it is asked.
fn client(
    evidence: &Evidence<'_>,
    run: &whole_run::WholeRun,
    zones: &[ZoneDiagnosis],
) -> Option<(client::Client, client::ClientTimes)> {
    let asked = evidence.earlier.client.as_ref()?;
    let path = client::Path {
        region: evidence.region,
        was_ill: run.was_ill,
        has_box: run.has_box,
        addresses: &front_end::addresses(zones),
    };
    Some(client::conclude(asked, &evidence.earlier.looks, path))
}

/// Which reading is shown where the last one decides nothing: the last complete one, else the last with any box.
fn fallback(seen: &[Seen<'_>]) -> Option<usize> {
    let with_boxes = |s: &Seen<'_>| !s.boxes.is_empty();
    seen.iter()
        .rposition(|s| with_boxes(s) && s.missing.is_empty())
        .or_else(|| seen.iter().rposition(with_boxes))
        .or_else(|| seen.len().checked_sub(1))
}

/// The expected zones by name, then those that are not expected but were seen, by name.
fn zones(expected: &[Zone], seen: &Seen<'_>, checks: &[(Zone, Checks)]) -> Vec<ZoneDiagnosis> {
    let listed: BTreeSet<_> = expected.iter().collect();
    let diagnose = |cluster: &Zone, expected: bool| {
        let mut boxes: Vec<_> =
            seen.boxes.iter().filter(|(zone, _)| zone == cluster).map(|(_, b)| (*b).clone()).collect();
        boxes.sort_by(|a, b| (&a.name, &a.magic_box_id).cmp(&(&b.name, &b.magic_box_id)));
        let checks = checks.iter().rev().find(|(zone, _)| zone == cluster).map(|(_, checks)| checks.clone());
        let broken_at = broken_at(&boxes, checks.as_ref().map(|c| c.finding));
        let unread = seen.unreadable.contains(cluster);
        ZoneDiagnosis { cluster: cluster.clone(), broken_at, boxes, checks, expected, unread }
    };
    listed
        .into_iter()
        .map(|zone| diagnose(zone, true))
        .chain(seen.unlisted.iter().map(|zone| diagnose(zone, false)))
        .collect()
}

/// Runbook: "focus on zones with status of `:0:1` first, then look at zones with `1:x`, then other statuses", and
/// "you may find best results by choosing clusters that had higher upstream statuses first".
fn focus(zones: &[ZoneDiagnosis]) -> Vec<Zone> {
    let rank = |zone: &ZoneDiagnosis| {
        let any = |holds: fn(&MagicBox) -> bool| zone.boxes.iter().any(holds);
        let group = if any(|b| (b.se_status, b.upstream_status) == (0, 1)) {
            0
        } else if any(|b| b.se_status == 1) {
            1
        } else {
            2
        };
        (group, Reverse(zone.boxes.iter().map(|b| b.upstream_status).max()))
    };
    let mut order: Vec<_> = zones.iter().collect();
    order.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.cluster.cmp(&b.cluster)));
    order.into_iter().map(|z| z.cluster.clone()).collect()
}

fn summarise(reading: &Reading, seen: &Seen<'_>) -> ReadingSummary {
    let mut warnings = reading.warnings.clone();
    warnings.extend(reading.console.warnings.iter().cloned());
    warnings.extend(summary::missing(seen));
    warnings.extend(summary::unlisted(seen));
    ReadingSummary { build_url: reading.build_url.clone(), at: reading.at, boxes: seen.boxes.len(), warnings }
}

#[cfg(test)]
mod tests;
