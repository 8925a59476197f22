//! What holds an automatic page (note.md#what-holds-an-automatic-page), several reasons at once.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample;

use super::*;
use crate::diagnosis::client::{Client, ClientFinding, ClientRegion, ClientTimes, RegionTimes, Up};

/// Something that holds an automatic page. Of what is about the same, the later is so.
struct Reason {
    about: &'static str,
    words: &'static str,
    /// Something is not known.
    unknown: bool,
    diagnosis: fn(&mut Diagnosis),
    known: fn(&mut Known<'_>),
}

impl Reason {
    const fn new(about: &'static str, words: &'static str) -> Self {
        Self { about, words, unknown: false, diagnosis: |_| {}, known: |_| {} }
    }
}

fn found(diagnosis: &mut Diagnosis, finding: Finding) {
    diagnosis.zones.iter_mut().for_each(|zone| zone.checks = Some(checks(finding, 60)));
}

fn over(diagnosis: &mut Diagnosis) {
    says(diagnosis, ClientFinding::Over);
}

fn says(diagnosis: &mut Diagnosis, finding: ClientFinding) {
    let region = diagnosis.region.clone();
    let regions = vec![ClientRegion { region, se: Some(Up::Up), public: None }];
    diagnosis.client = Some(Client { finding, error: None, regions, front_ends: Vec::new() });
    let of_region = RegionTimes { se: Some(ago(7)), public: None };
    diagnosis.client_times = Some(ClientTimes { regions: vec![of_region], front_ends: None });
}

static OPEN: LazyLock<[String; 1]> = LazyLock::new(|| ["All Public endpoints down in prod-us-south".to_owned()]);

const REASONS: &[Reason] = &[
    Reason { known: |known| known.held_by = Some("Ann"), ..Reason::new("hold", "Ann said /hold") },
    Reason { unknown: true, known: |known| known.unreadable = true, ..Reason::new("run", "can't be read: it may") },
    Reason { unknown: true, known: |known| known.foreign_run = true, ..Reason::new("note", "not in this database") },
    Reason { unknown: true, known: |known| known.said_resolved = true, ..Reason::new("end", "a webhook says") },
    Reason { known: |known| known.title = Some("SE"), ..Reason::new("title", "the alert's title is not exactly") },
    Reason { known: |known| known.related = Ok(&*OPEN), ..Reason::new("related", "other pages are open") },
    Reason { unknown: true, known: |known| known.related = Err("away"), ..Reason::new("related", "not known whether") },
    Reason {
        unknown: true,
        known: |known| {
            known.related = Ok(&[]);
            known.related_at = None;
        },
        ..Reason::new("related", "PagerDuty was not asked")
    },
    Reason {
        diagnosis: |it| it.readings[1].at = ago(601),
        ..Reason::new("age", "the Jenkins reading is 10 min 1 s old")
    },
    Reason { diagnosis: |it| found(it, Finding::Disabled), ..Reason::new("zones", "every zone is disabled") },
    Reason { diagnosis: |it| found(it, Finding::IngressDown), ..Reason::new("zones", "contradict each other") },
    Reason { diagnosis: over, ..Reason::new("client", "it is over: the healthcheck cluster's test of prod-us-south") },
    Reason { unknown: true, known: |known| known.region_listed = false, ..Reason::new("region", "list prod-us-south") },
    Reason {
        unknown: true,
        diagnosis: |it| it.zones[1].expected = false,
        ..Reason::new("zone", "az2, which has boxes")
    },
    Reason { known: |known| known.pages_this_hour = 6, ..Reason::new("hour", "6 automatic pages") },
    Reason { known: |known| known.alert_triggered_at = Some(ago(21_601)), ..Reason::new("alert", "RECONCILE_MAX_AGE") },
    Reason { unknown: true, known: |known| known.alert_triggered_at = None, ..Reason::new("alert", "not known when") },
];

/// What the gate says where these hold, one after the other.
fn decided(reasons: &[&Reason], mode: EscalationMode) -> Decision {
    let mut diagnosis = clear();
    reasons.iter().for_each(|reason| (reason.diagnosis)(&mut diagnosis));
    let mut known = Known { mode, ..known(&diagnosis) };
    reasons.iter().for_each(|reason| (reason.known)(&mut known));
    decide(&known)
}

/// lifecycle.md#the-page: what holds an automatic page, each two of its reasons.
#[test]
fn of_two_reasons_neither_hides_the_other() {
    for (place, first) in REASONS.iter().enumerate() {
        for second in &REASONS[place..] {
            let Decision::Hold(told) = decided(&[first, second], EscalationMode::Auto) else { panic!("not held") };
            let wanted: &[_] = if first.about == second.about { &[second] } else { &[first, second] };
            let is_told = |reason: &&Reason| told.iter().any(|told| told.contains(reason.words));
            assert!(
                told.len() == wanted.len() && wanted.iter().all(is_told),
                "{} {}: {told:?}",
                first.words,
                second.words
            );
        }
    }
}

proptest! {
    /// lifecycle.md#the-page: what is not known holds an automatic page, whatever else holds it or does not.
    #[test]
    fn what_is_not_known_never_pages(
        place in sample::select((0..REASONS.len()).filter(|place| REASONS[*place].unknown).collect::<Vec<_>>()),
        others in sample::subsequence((0..REASONS.len()).collect::<Vec<_>>(), 0..REASONS.len()),
        mode in sample::select(EscalationMode::ALL),
    ) {
        let mut all: Vec<&Reason> = others.into_iter().map(|place| &REASONS[place]).collect();
        all.push(&REASONS[place]);
        let (Decision::Hold(told) | Decision::Suggest(told)) = decided(&all, mode) else {
            prop_assert!(mode == EscalationMode::Off);
            return Ok(());
        };
        prop_assert!(told.iter().any(|told| told.contains(REASONS[place].words)), "{:?}", told);
    }
}

#[test]
fn what_is_over_by_the_clients_word_holds() {
    for finding in ClientFinding::ALL {
        let mut diagnosis = clear();
        says(&mut diagnosis, *finding);
        if *finding == ClientFinding::Over {
            let at = ago(7).strftime("(sample of %H:%M:%S UTC)").to_string();
            held(&known(&diagnosis), &format!("test of prod-us-south passes again {at}"));
        } else {
            assert_eq!(decide(&known(&diagnosis)), Decision::Page, "{finding}");
        }
    }
}
