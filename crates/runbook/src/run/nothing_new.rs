//! Whether a later run found what an earlier one had: then a follow-up writes no note of its own, and edits that run's.
//! lifecycle.md#looking-again.

use std::collections::BTreeSet;

use super::Run;
use crate::diagnosis::{Diagnosis, ZoneDiagnosis};

impl Run {
    /// Whether it found nothing new since that run: the same rule, the same statuses of each box, the same finding of each zone
    /// and about the client, and the same related pages open. A run without a diagnosis says nothing of that.
    pub fn found_nothing_new_since(&self, earlier: &Self) -> bool {
        let related = |run: &Self| run.related.iter().map(|page| page.id.clone()).collect::<BTreeSet<_>>();
        earlier.diagnosis.as_ref().zip(self.diagnosis.as_ref()).is_some_and(|(was, is)| seen(was) == seen(is))
            && related(earlier) == related(self)
    }
}

/// What people would see as a change: the verdict, each box's statuses, each zone's finding, and that about the client.
fn seen(diagnosis: &Diagnosis) -> impl PartialEq + use<> {
    let boxes = |zone: &ZoneDiagnosis| -> Vec<(String, u8, i8)> {
        zone.boxes.iter().map(|b| (b.magic_box_id.clone(), b.se_status, b.upstream_status)).collect()
    };
    let zones: Vec<_> = diagnosis
        .zones
        .iter()
        .map(|zone| (zone.cluster.clone(), boxes(zone), zone.checks.as_ref().map(|checks| checks.finding)))
        .collect();
    let client = diagnosis.client.as_ref().map(|client| client.finding);
    (diagnosis.verdict.kind, diagnosis.verdict.rule, zones, client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Zone;
    use crate::diagnosis::client::{Client, ClientFinding};
    use crate::diagnosis::{BrokenAt, Class, Finding, RelatedPage, Rule, VerdictKind};
    use crate::run::Trigger;

    fn run() -> Run {
        let mut run: Run = serde_json::from_str(include_str!("../../../../src/http/example_run.json")).unwrap();
        run.related = ["Q7", "Q8"].map(related).to_vec();
        run
    }

    fn related(id: &str) -> RelatedPage {
        RelatedPage { id: id.to_owned(), title: format!("page {id}"), html_url: String::new() }
    }

    fn found(run: &mut Run) -> &mut Diagnosis {
        run.diagnosis.as_mut().unwrap()
    }

    fn zone(run: &mut Run) -> &mut ZoneDiagnosis {
        &mut found(run).zones[0]
    }

    /// What differs, and how a run is made so.
    type Change = (&'static str, fn(&mut Run));

    fn client(finding: ClientFinding) -> Option<Client> {
        Some(Client { finding, error: None, regions: Vec::new(), front_ends: Vec::new() })
    }

    /// Contract: the same rule, box statuses, findings, client finding and related pages.
    #[test]
    fn what_is_new_is_a_rule_a_box_status_a_finding_or_a_related_page() {
        let new: [Change; 16] = [
            ("the kind of the verdict", |run| found(run).verdict.kind = VerdictKind::Transient),
            ("the rule alone", |run| found(run).verdict.rule = Rule::RecoveredOnRerun),
            ("a box's SE status", |run| zone(run).boxes[0].se_status = 0),
            ("a box's upstream status", |run| zone(run).boxes[0].upstream_status = -1),
            ("another box in its place", |run| zone(run).boxes[0].magic_box_id.push('0')),
            ("a box more", |run| {
                let again = zone(run).boxes[0].clone();
                zone(run).boxes.push(again);
            }),
            ("a box less", |run| zone(run).boxes.clear()),
            ("a zone's finding", |run| zone(run).checks.as_mut().unwrap().finding = Finding::Healthy),
            ("a zone that was not asked", |run| zone(run).checks = None),
            ("another zone", |run| zone(run).cluster = Zone::new("registry-prod-us-south-az2")),
            ("a zone less", |run| found(run).zones.clear()),
            ("what the client says", |run| found(run).client = client(ClientFinding::Over)),
            ("that the client could be asked", |run| found(run).client = client(ClientFinding::Unknown)),
            ("a related page more", |run| run.related.push(related("Q9"))),
            ("a related page less", |run| drop(run.related.pop())),
            ("another related page", |run| run.related[0] = related("Q9")),
        ];
        let nothing_new: [Change; 9] = [
            ("nothing", |_| {}),
            ("the run itself", |run| {
                (run.id, run.trigger) = ("later".to_owned(), Trigger::FollowUp);
                (run.note, run.activity, run.steps) = (None, Vec::new(), Vec::new());
            }),
            ("when it was read", |run| found(run).readings.clear()),
            ("words", |run| found(run).verdict.summary.clear()),
            ("what follows from what was seen before", |run| {
                (found(run).class, found(run).client_suspected) = (Class::Pcie, true);
                zone(run).broken_at = BrokenAt::Unknown;
            }),
            ("a box's place", |run| {
                let seen = &mut zone(run).boxes[0];
                (seen.node, seen.backend_ip) = ("NotReady".to_owned(), "10.0.0.1".to_owned());
            }),
            ("pods and words of a zone", |run| {
                let checks = zone(run).checks.as_mut().unwrap();
                checks.ingress.clear();
                checks.warnings.push("one pod was slow".to_owned());
            }),
            ("a related page's title", |run| run.related[0].title.clear()),
            ("the order of related pages", |run| run.related.reverse()),
        ];
        let cases = new.iter().map(|case| (case, false)).chain(nothing_new.iter().map(|case| (case, true)));
        for ((what, change), expected) in cases {
            let (earlier, mut later) = (run(), run());
            change(&mut later);
            assert_eq!(later.found_nothing_new_since(&earlier), expected, "{what}");
            assert_eq!(earlier.found_nothing_new_since(&later), expected, "{what}, the other way");
        }
    }

    #[test]
    fn where_there_is_no_diagnosis_nothing_is_known_to_be_the_same() {
        let none = Run { diagnosis: None, ..run() };
        assert!(!none.found_nothing_new_since(&run()) && !run().found_nothing_new_since(&none));
        assert!(!none.found_nothing_new_since(&none));
    }
}
