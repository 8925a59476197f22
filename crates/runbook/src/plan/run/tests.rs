//! Every way in which a run can go is walked: whatever each rung comes to, evidence that ages in between, and a worker that is
//! cut off anywhere.

use std::collections::{HashMap, HashSet};

use super::*;

const ALERTS: [AlertNow; 3] = [AlertNow::Open, AlertNow::Resolved, AlertNow::Elsewhere];
const NOTES: [Note; 4] = [Note::NotYet, Note::GivenUp, Note::Told, Note::Refused];
const STARTS: [fn() -> Standing; 5] = [
    || Standing::new(true),
    || Standing::new(false),
    || Standing::noted(Page::Undecided),
    || Standing::noted(Page::Held),
    || Standing::noted(Page::NotDue),
];

/// All that may come of standing there.
fn comes_of(run: Standing) -> Vec<Standing> {
    let with = |change: &dyn Fn(&mut Standing)| {
        let mut next = run;
        change(&mut next);
        next
    };
    match rung(&run) {
        // Nobody is asked about an alert that is no incident.
        Rung::Confirm if !run.has_incident => vec![with(&|next| next.alert = AlertNow::Open)],
        Rung::Confirm => ALERTS.iter().map(|alert| with(&|next| next.alert = *alert)).collect(),
        Rung::Isolate => {
            [Isolated::Yes, Isolated::No].iter().map(|found| with(&|next| next.isolated = *found)).collect()
        }
        Rung::Read => [Evidence::Fresh, Evidence::Outdated].map(|age| with(&|next| next.has_read(age))).into(),
        Rung::Settle => {
            let decided = [Page::NotDue, Page::Due, Page::Held];
            let settled = decided.iter().flat_map(|page| {
                // As it was seen before; or it is open again.
                let again = with(&|next| {
                    next.alert = AlertNow::Open;
                    next.has_settled(*page);
                });
                [with(&|next| next.has_settled(*page)), again]
            });
            // The look may show that it is over, or another's.
            let elsewhere = with(&|next| next.alert = AlertNow::Elsewhere);
            let resolved = with(&|next| {
                next.alert = AlertNow::Resolved;
                next.has_settled(Page::NotDue);
            });
            settled.chain([elsewhere, resolved]).collect()
        }
        Rung::Tell => NOTES.iter().map(|note| with(&|next| next.has_told(*note))).collect(),
        Rung::Page => [Page::Over, Page::Held].iter().map(|page| with(&|next| next.page = *page)).collect(),
        Rung::Suppressed | Rung::Ended(_) => Vec::new(),
    }
}

/// It is the same, and the evidence has become too old meanwhile.
fn aged(run: Standing) -> Option<Standing> {
    (run.evidence == Evidence::Fresh && run.alert != AlertNow::Resolved)
        .then_some(Standing { evidence: Evidence::Outdated, ..run })
}

/// Every standing that a run can come to, with those that may follow it.
fn all() -> HashMap<Standing, Vec<Standing>> {
    let mut known = HashMap::new();
    let mut open: Vec<Standing> = STARTS.iter().map(|start| start()).collect();
    while let Some(run) = open.pop() {
        if known.contains_key(&run) {
            continue;
        }
        let follow: Vec<Standing> = comes_of(run).into_iter().chain(aged(run)).collect();
        open.extend(&follow);
        known.insert(run, follow);
    }
    assert!(known.len() > 100, "{} standings", known.len());
    known
}

/// lifecycle.md#before-the-note, #the-page: what every rung rests on.
#[test]
fn no_run_tells_or_pages_by_what_it_did_not_look_at() {
    for run in all().into_keys() {
        let rung = rung(&run);
        match rung {
            Rung::Confirm => assert_eq!(run.alert, AlertNow::Unasked, "{run:?}"),
            Rung::Isolate => {
                assert_eq!(run.note, Note::Untried, "what is told is past that: {run:?}");
                assert_eq!(run.alert, AlertNow::Open, "what is over waits for nothing: {run:?}");
            }
            Rung::Suppressed => assert_eq!(run.note, Note::Untried, "{run:?}"),
            Rung::Read if run.alert == AlertNow::Resolved => assert!(run.has_asked, "{run:?}"),
            // One that was over when it was taken up, and is open again, has read.
            Rung::Read if run.isolated == Isolated::Unasked => assert_ne!(run.evidence, Evidence::Missing, "{run:?}"),
            Rung::Read => assert_eq!((run.alert, run.isolated), (AlertNow::Open, Isolated::Yes), "{run:?}"),
            Rung::Settle => assert_ne!(run.evidence, Evidence::Missing, "{run:?}"),
            Rung::Tell => assert!(run.is_settled && run.has_incident, "{run:?}"),
            Rung::Page => {
                assert!(run.is_settled && run.page == Page::Due, "{run:?}");
                assert!(matches!(run.note, Note::Told | Note::Refused), "the note comes first: {run:?}");
                assert_ne!(run.alert, AlertNow::Resolved, "nobody is paged for what is over: {run:?}");
            }
            Rung::Ended(End::Done) if run.has_incident => assert_eq!(run.note, Note::Told, "{run:?}"),
            Rung::Ended(End::Resolved) => assert!(!run.has_asked, "what has asked posts its note: {run:?}"),
            Rung::Ended(_) => {}
        }
    }
}

/// lifecycle.md#the-page: evidence that is too old is taken again twice at most, and never before the first note.
#[test]
fn evidence_is_taken_again_twice_at_most_and_the_first_note_never_waits_for_it() {
    for run in all().into_keys() {
        assert!(run.retakes <= RETAKES, "{run:?}");
        if rung(&run) == Rung::Read && run.evidence != Evidence::Missing {
            assert!(run.evidence == Evidence::Outdated && run.retakes < RETAKES, "{run:?}");
            assert!(!matches!(run.note, Note::Untried | Note::Old), "a note that can be written waits: {run:?}");
        }
    }
    // Between two readings it is looked what is open, and told.
    for (run, follow) in all() {
        if rung(&run) == Rung::Read {
            assert!(follow.iter().all(|next| rung(next) != Rung::Read), "{run:?}");
        }
    }
}

#[test]
fn what_is_too_old_as_soon_as_it_is_taken_again_is_not_taken_once_more() {
    let mut run = Standing { evidence: Evidence::Outdated, alert: AlertNow::Open, ..Standing::noted(Page::Held) };
    assert_eq!(rung(&run), Rung::Read);
    run.has_read(Evidence::Outdated);
    run.has_settled(Page::Held);
    run.has_told(Note::Told);
    assert_eq!(rung(&run), Rung::Ended(End::Done));
}

/// A note that was refused may be taken by now: what was read since is tried.
#[test]
fn a_refused_note_is_tried_again_once_evidence_was_taken_again() {
    let mut run = Standing { evidence: Evidence::Outdated, alert: AlertNow::Open, ..Standing::noted(Page::Held) };
    run.note = Note::Refused;
    assert_eq!(rung(&run), Rung::Read);
    run.has_read(Evidence::Fresh);
    run.has_settled(Page::NotDue);
    assert_eq!(rung(&run), Rung::Tell);
}

/// lifecycle.md#crashes-clocks-replicas: it ends, wherever it stands, unless PagerDuty takes no note forever; and each end is reached.
#[test]
fn from_wherever_a_run_stands_it_ends() {
    let all = all();
    let mut ends: HashSet<Standing> = HashSet::new();
    loop {
        let before = ends.len();
        for (run, follow) in &all {
            // Tried again for six hours: what counts is where it leads once PagerDuty takes the note, or time is up.
            let waits = |next: &Standing| next.note == Note::NotYet && rung(run) == Rung::Tell;
            let rests = matches!(rung(run), Rung::Ended(_) | Rung::Suppressed);
            if rests || follow.iter().all(|next| ends.contains(next) || waits(next)) {
                ends.insert(*run);
            }
        }
        if ends.len() == before {
            break;
        }
    }
    let left: Vec<_> = all.keys().filter(|run| !ends.contains(run)).collect();
    assert!(left.is_empty(), "{left:#?}");
    for end in [End::Done, End::Resolved, End::Elsewhere, End::Refused, End::GivenUp] {
        assert!(all.keys().any(|run| rung(run) == Rung::Ended(end)), "{end:?}");
    }
}

/// lifecycle.md#crashes-clocks-replicas: whoever takes it up asks again, but never tells twice of what is told.
#[test]
fn taken_up_with_its_note_a_run_is_never_suppressed_nor_told_again_as_it_was() {
    assert_eq!(rung(&Standing::noted(Page::NotDue)), Rung::Ended(End::Done));
    assert_eq!(rung(&Standing::noted(Page::Undecided)), Rung::Confirm);
    let confirmed = Standing { alert: AlertNow::Open, ..Standing::noted(Page::Undecided) };
    assert_eq!(rung(&confirmed), Rung::Settle);
    let mut settled = confirmed;
    settled.has_settled(Page::Due);
    assert_eq!(rung(&settled), Rung::Page);
    // Too old for its page, it is taken again, and the note is brought up to it.
    let mut outdated = Standing { evidence: Evidence::Outdated, ..confirmed };
    assert_eq!(rung(&outdated), Rung::Read);
    outdated.has_read(Evidence::Fresh);
    outdated.has_settled(Page::Due);
    assert_eq!(rung(&outdated), Rung::Tell);
}

/// lifecycle.md#the-alert-ends: a run that had begun to ask, and was cut off, ends by its note. A bigger outage that has opened since
/// does not keep it waiting, with a short note on what is over.
#[test]
fn what_is_over_does_not_wait_for_a_bigger_outage() {
    let over = Standing { alert: AlertNow::Resolved, has_asked: true, ..Standing::new(true) };
    assert_eq!(rung(&over), Rung::Read);
    let mut again = over;
    again.has_read(Evidence::Fresh);
    again.alert = AlertNow::Open;
    assert_eq!(rung(&again), Rung::Settle);
}

/// lifecycle.md#jenkins-and-the-clusters.
#[test]
fn the_job_runs_again_as_often_as_is_allowed_and_clusters_are_asked_at_both_ends() {
    for (taken, wants, reruns, hurries, again) in [
        (1, true, 2, false, true),
        (2, true, 2, false, true),
        (3, true, 2, false, false),
        (1, true, 0, false, false),
        (1, false, 2, false, false),
        (1, true, 2, true, false),
    ] {
        assert_eq!(runs_again(taken, wants, reruns, hurries), again, "{taken} of {reruns}");
    }
    let asked = |reruns| (0..4).filter(|index| asks_clusters(*index, reruns)).collect::<Vec<_>>();
    assert_eq!((asked(0), asked(1), asked(2)), (vec![0], vec![0, 1], vec![0, 2]));
}

/// lifecycle.md#jenkins-and-the-clusters: "a build that somebody else started serves too if it began after the alert (after the
/// run, if a person or a follow-up asked for it)".
#[test]
fn builds_of_others_serve_since_the_alert_or_since_somebody_asked() {
    let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
    for (trigger, triggered, suppressed, since) in [
        (Trigger::Webhook, Some(10), None, 10),
        (Trigger::Webhook, None, None, 50),
        (Trigger::Reconcile, Some(10), Some(40), 40),
        (Trigger::Reconcile, None, Some(40), 40),
        (Trigger::Rerun, Some(10), Some(40), 50),
        (Trigger::Note, Some(10), None, 50),
        (Trigger::RelatedResolved, Some(10), None, 50),
        (Trigger::FollowUp, Some(10), None, 50),
    ] {
        assert_eq!(serves_since(trigger, at(50), triggered.map(at), suppressed.map(at)), at(since), "{trigger}");
    }
}
