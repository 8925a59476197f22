//! What PagerDuty and Jenkins say, put through the rules.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::evidence::Seen;
use super::past::{Past, ended_at};
use crate::config::BacktestConfig;
use crate::run::steps::find_related::{is_on_escalation_service, sort_out};
use pagerduty::{Incident, Urgency};
use runbook::alert::Region;
use runbook::backtest::replay::{Isolated, Pages, Rules, Told, decide, isolated};
use runbook::backtest::report::{Line, Report, ShortVerdict, minutes_between};
use runbook::backtest::{Alert, Outcome, Truth, judge};
use runbook::decided;
use runbook::diagnosis::client::Asked;
use runbook::diagnosis::verdict::diagnose;
use runbook::diagnosis::{Diagnosis, Earlier, Evidence, VerdictKind};
use runbook::page::{Candidate, Names, Opener, alert_of, join};
use runbook::related::Related;

/// An alert with what its evidence comes to.
struct Case<'a> {
    alert: &'a Alert,
    diagnosis: Option<Diagnosis>,
    /// What the gate was told then, where the record has it.
    record: Option<&'a decided::Told>,
    isolated: Isolated,
    /// When it would have been decided.
    at: Timestamp,
}

/// Replays every alert, in the order of their decisions; gives the report, and what its reader must know.
pub(super) fn replay<'e>(
    config: &'e BacktestConfig,
    past: &'e Past,
    evidence: &'e HashMap<String, Vec<Seen>>,
    labels: &BTreeMap<String, Truth>,
    (since, until): (Timestamp, Timestamp),
    at: Timestamp,
) -> (Report, Vec<String>) {
    let then = Then { config, past };
    let mut cases: Vec<Case<'_>> =
        past.alerts.iter().flat_map(|alert| then.cases(alert, evidence.get(&alert.incident_id), at)).collect();
    cases.sort_by(|a, b| (a.at, &a.alert.incident_id).cmp(&(b.at, &b.alert.incident_id)));
    let rules = Rules {
        suppression: config.suppression,
        max_per_hour: config.escalation.max_per_hour,
        evidence_max_age: config.escalation.evidence_max_age,
        alert_max_age: config.escalation.alert_max_age,
    };
    let (mut pages, mut lines, mut earlier) = (Pages::default(), Vec::new(), Vec::new());
    let mut decided: BTreeMap<&str, (&Case<'_>, Outcome, String)> = BTreeMap::new();
    for case in &cases {
        let id = case.alert.incident_id.as_str();
        // Who was paged for once is not paged for again; what one run was held for may be over in the next.
        if decided.get(id).is_some_and(|(_, outcome, _)| *outcome == Outcome::WouldPage) {
            continue;
        }
        let (outcome, reason) = then.decide(case, &rules, &mut pages);
        if outcome == Outcome::WouldPage || !decided.contains_key(id) {
            decided.insert(id, (case, outcome, reason));
        }
    }
    for (case, outcome, reason) in decided.into_values() {
        let persons_page = then.persons_page(case.alert);
        let truth = match labels.get(&case.alert.incident_id) {
            Some(truth) => *truth,
            None if persons_page.is_some() => Truth::ServiceEndpoint,
            None => Truth::Unknown,
        };
        let last_reading = case.diagnosis.as_ref().and_then(|diagnosis| Some(diagnosis.readings.last()?.at));
        if (outcome, truth) == (Outcome::WouldPage, Truth::ServiceEndpoint) {
            earlier.extend(last_reading.zip(persons_page).map(|(reading, page)| minutes_between(reading, page)));
        }
        lines.push(Line {
            incident_id: case.alert.incident_id.clone(),
            at: case.alert.at,
            region: case.alert.region.clone(),
            verdict: case.diagnosis.as_ref().map(|d| ShortVerdict { kind: d.verdict.kind, rule: d.verdict.rule }),
            outcome,
            reason,
            truth,
            judgement: judge(outcome, case.diagnosis.is_some(), truth),
        });
    }
    lines.sort_by(|a, b| (a.at, &a.incident_id).cmp(&(b.at, &b.incident_id)));
    (Report::of(at, (since, until), lines, earlier), notes(past, evidence))
}

/// What the record lacks was taken as open, and what could not be read is said.
fn notes(past: &Past, evidence: &HashMap<String, Vec<Seen>>) -> Vec<String> {
    let mut notes = Vec::new();
    let is_bare = |seen: &Seen| seen.checks.is_empty() || seen.told.is_none();
    let without_checks = evidence.values().filter(|all| all.iter().all(is_bare)).count();
    if without_checks > 0 {
        notes.push(format!(
            "Taken as open, since the record has nothing of it, for {} with evidence: what the clusters and the healthcheck \
             cluster said, and whether somebody had said /hold.",
            if without_checks == 1 { "1 alert".to_owned() } else { format!("{without_checks} alerts") }
        ));
    }
    match past.unreadable {
        0 => {}
        1 => {
            notes.push("1 incident in PagerDuty can't be read: it may have been an alert, or explained one.".to_owned())
        }
        n => notes
            .push(format!("{n} incidents in PagerDuty can't be read: some may have been alerts, or explained one.")),
    }
    notes
}

/// The time as it was.
struct Then<'a> {
    config: &'a BacktestConfig,
    past: &'a Past,
}

impl<'a> Then<'a> {
    /// What is decided about an alert: by each run that asks for a page; where none does, by the last; without evidence by nothing.
    fn cases(&self, alert: &'a Alert, seen: Option<&'a Vec<Seen>>, until: Timestamp) -> Vec<Case<'a>> {
        let overlapping = self.overlapping(alert);
        let explained = |at: Timestamp| !self.related(&overlapping, alert, at).explaining.is_empty();
        let isolated = isolated(alert, explained, &self.config.suppression, until);
        let case = |diagnosis: Option<Diagnosis>, record: Option<&'a decided::Told>| {
            let last_reading = diagnosis.as_ref().and_then(|diagnosis| Some(diagnosis.readings.last()?.at));
            let at = match isolated {
                Isolated::From(free) => last_reading.map_or(free, |reading| reading.max(free)),
                Isolated::Never => last_reading.unwrap_or(alert.at),
            };
            Case { alert, diagnosis, record, isolated, at }
        };
        let runs = seen.map(Vec::as_slice).unwrap_or_default().iter();
        let mut cases: Vec<Case<'_>> =
            runs.map(|seen| case(Some(self.diagnosis(&alert.region, seen)), seen.told.as_deref())).collect();
        let asks = |case: &Case<'_>| {
            case.diagnosis.as_ref().is_some_and(|found| found.verdict.kind == VerdictKind::ServiceEndpoint)
        };
        if cases.iter().any(asks) {
            cases.retain(asks);
        } else {
            let last = cases.pop();
            cases = vec![last.unwrap_or_else(|| case(None, None))];
        }
        cases
    }

    fn diagnosis(&self, region: &Region, seen: &Seen) -> Diagnosis {
        // The client was asked then of what its looks show.
        let client = seen.looks.last().map(|look| Asked {
            regions: look.regions.iter().map(|one| one.region.clone()).collect(),
            front_ends: seen.looks.iter().any(|look| !look.front_ends.is_empty()),
        });
        let earlier = Earlier { looks: seen.looks.clone(), client, ..Earlier::default() };
        diagnose(&Evidence {
            region,
            expected: &self.config.regions.zones_of(region).names(),
            readings: &seen.readings,
            checks: &seen.checks,
            earlier: &earlier,
            listed: &self.config.regions.listed_zones(),
        })
    }

    fn decide(&self, case: &Case<'_>, rules: &Rules, pages: &mut Pages) -> (Outcome, String) {
        let overlapping = self.overlapping(case.alert);
        if case.isolated == Isolated::Never {
            let titles = self.related(&overlapping, case.alert, case.alert.at).titles();
            let until = if case.alert.ended_at.is_some() { "until the alert resolved" } else { "and still is" };
            return (Outcome::Held, format!("a bigger outage was waited for {until}: {}", titles.join("; ")));
        }
        let Some(diagnosis) = &case.diagnosis else {
            return (
                Outcome::NoEvidence,
                "no console, no record and no build shows the Magic Boxes of that time".to_owned(),
            );
        };
        if !case.alert.was_open(case.at) {
            return (Outcome::NoPage, "the alert had resolved before it would have been decided".to_owned());
        }
        let related = self.related(&overlapping, case.alert, case.at).titles();
        let told = Told {
            diagnosis,
            at: case.at,
            related: &related,
            page_open: self.would_join(case.alert, diagnosis, case.at),
            region_listed: self.config.regions.zones_of(&case.alert.region).listed,
            record: case.record,
        };
        decide(case.alert, &told, rules, pages)
    }

    /// Incidents that were open while the alert was.
    fn overlapping(&self, alert: &Alert) -> Vec<&'a Incident> {
        let overlaps = |i: &&Incident| {
            i.id != alert.incident_id
                && i.created_at.is_some_and(|created| alert.ended_at.is_none_or(|ended| created <= ended))
                && ended_at(i).is_none_or(|ended| alert.at < ended)
        };
        self.past.incidents.iter().filter(overlaps).collect()
    }

    /// What was open then beside the alert.
    fn related(&self, overlapping: &[&Incident], alert: &Alert, at: Timestamp) -> Related {
        let open = overlapping.iter().copied().filter(|i| was_open(i, at));
        sort_out(open, &self.config.regions, &self.config.escalation, &alert.region, Some(alert.at))
    }

    /// Whether an incident was open then on the escalation service that a page would have joined.
    fn would_join(&self, alert: &Alert, diagnosis: &Diagnosis, at: Timestamp) -> bool {
        let regions = &self.config.regions;
        let on_service = |i: &&Incident| is_on_escalation_service(i, &self.config.escalation) && was_open(i, at);
        let region_of = |incident_id: &str| {
            let alert = self.past.alerts.iter().find(|alert| alert.incident_id == incident_id)?;
            Some(alert.region.clone())
        };
        let candidates = self.past.incidents.iter().filter(on_service).map(|i| Candidate {
            page: (),
            title: i.title.clone(),
            opener: match alert_of(i.incident_key.as_deref()) {
                Some(of) => region_of(of).map_or(Opener::UsOnce, Opener::Us),
                None => Opener::Another,
            },
            is_urgent: i.urgency == Urgency::High,
            created_at: i.created_at,
        });
        let boxes = diagnosis.zones.iter().flat_map(|zone| &zone.boxes);
        let names = Names {
            region: &alert.region,
            zones: &regions.zones_of(&alert.region).names(),
            box_ids: &boxes.map(|one| one.magic_box_id.as_str()).collect::<Vec<_>>(),
            is_anothers: &|name| regions.is_anothers(&alert.region, name),
        };
        join(candidates.collect(), &names, self.config.escalation.related_max_age, at).joined.is_some()
    }

    /// When a person first paged the Service Endpoint team for the alert.
    fn persons_page(&self, alert: &Alert) -> Option<Timestamp> {
        let by_a_person = |id: &str| self.past.by_a_person.get(id).copied().unwrap_or_default();
        let mut opened = self.past.opened_for(self.config, alert);
        opened.find(|(incident, _)| by_a_person(&incident.id)).map(|(_, at)| at)
    }
}

fn was_open(incident: &Incident, at: Timestamp) -> bool {
    incident.created_at.is_some_and(|created| created <= at) && ended_at(incident).is_none_or(|ended| at < ended)
}
