use super::*;
use runbook::diagnosis::{Diagnosis, Earlier, Evidence, Rule, verdict};
use runbook::run::{AlertIncident, AlertStatus, Escalation, PageRef, Trigger};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + second).unwrap()
}

/// A run of an alert that is open.
fn run(incident: &str, region: &str, created: i64, escalation: EscalationState) -> Run {
    Run {
        id: format!("run-{incident}-{created}"),
        incident: Some(AlertIncident {
            id: incident.into(),
            number: 1,
            title: format!("All SE endpoints down in {region}"),
            html_url: format!("https://pd.example/incidents/{incident}"),
        }),
        alert: Some(AlertStatus { state: AlertPhase::Open, resolved_at: None, held_by: None, merged_into: None }),
        drill: None,
        region: region.parse().unwrap(),
        trigger: Trigger::Webhook,
        state: State::Done,
        reason: None,
        created_at: at(created),
        finished_at: Some(at(created + 60)),
        diagnosis: None,
        related: vec![],
        escalation: Escalation { state: escalation, page: None, reason: None },
        note: None,
        unchanged: None,
        activity: vec![],
        diagnosed_at: None,
        opened_at: None,
        triggered_at: None,
        steps: vec![],
        unreadable: vec![],
    }
}

/// What is found where there is no reading.
fn nothing_seen(region: &str) -> Diagnosis {
    verdict::diagnose(&Evidence {
        region: &region.parse().unwrap(),
        expected: &[],
        readings: &[],
        checks: &[],
        earlier: &Earlier::default(),
        listed: &[],
    })
}

/// A later run of an alert that goes on.
fn active(incident: &str, region: &str, created: i64) -> Run {
    let run = run(incident, region, created, EscalationState::None);
    Run { state: State::Running, finished_at: None, trigger: Trigger::FollowUp, ..run }
}

fn page(acknowledged_at: Option<Timestamp>) -> Option<PageRef> {
    let html_url = "https://pd.example/incidents/Q9".into();
    Some(PageRef { id: "Q9".into(), html_url, joined: false, acknowledged_at, acknowledged_by: None, closed_at: None })
}

fn said(runs: &[Run]) -> Vec<(String, &'static str)> {
    let runs: Vec<&Run> = runs.iter().collect();
    needs(&runs, at(600)).into_iter().map(|need| (need.region, need.what.0)).collect()
}

#[test]
fn what_needs_somebody_is_first_the_most_pressing_before_the_others() {
    use EscalationState::{Failed, Held, None, Paged, Requested, Suggested};
    let mut unacknowledged = run("Q1", "prod-a", 90, Paged);
    unacknowledged.escalation.page = page(Option::None);
    let mut acknowledged = run("Q2", "prod-b", 80, Paged);
    acknowledged.escalation.page = page(Some(at(100)));
    let mut failed = run("Q3", "prod-c", 70, None);
    failed.state = State::Failed;
    let mut over = run("Q10", "prod-j", 5, Paged);
    over.escalation.page = page(Option::None).map(|page| PageRef { closed_at: Some(at(50)), ..page });
    let runs = [
        unacknowledged,
        acknowledged,
        failed,
        run("Q4", "prod-d", 60, Held),
        run("Q5", "prod-e", 50, Suggested),
        run("Q6", "prod-f", 40, Suggested),
        run("Q7", "prod-g", 30, Failed),
        run("Q8", "prod-h", 20, None),
        run("Q9", "prod-i", 10, Requested),
        over,
    ];
    let expected = [
        ("prod-g", "Page failed"),
        ("prod-f", "Not paged: needs approval"),
        ("prod-e", "Not paged: needs approval"),
        ("prod-d", "Page on hold"),
        ("prod-a", "Page not acknowledged"),
        ("prod-c", "Diagnosis failed"),
    ];
    assert_eq!(said(&runs), expected.map(|(region, what)| (region.to_owned(), what)));
}

#[test]
fn what_is_over_and_what_a_newer_run_of_the_alert_has_settled_needs_nobody() {
    let mut over = run("Q1", "prod-a", 50, EscalationState::Suggested);
    over.alert =
        Some(AlertStatus { state: AlertPhase::Resolved, resolved_at: Some(at(90)), held_by: None, merged_into: None });
    let (newer, older) =
        (run("Q2", "prod-b", 40, EscalationState::None), run("Q2", "prod-b", 30, EscalationState::Held));
    let mut drill = run("Q3", "prod-c", 20, EscalationState::Held);
    drill.drill = drill.incident.take();
    let mut by_region = run("Q4", "prod-d", 10, EscalationState::None);
    (by_region.incident, by_region.alert, by_region.state) = (None, None, State::Failed);
    assert!(said(&[over, newer, older, drill, by_region]).is_empty());
}

#[test]
fn a_page_waits_for_somebody_also_while_a_newer_run_of_the_alert_goes_on_or_has_come_to_nothing() {
    let waits = || run("Q1", "prod-a", 0, EscalationState::Suggested);
    let expected = [("prod-a".to_owned(), "Not paged: needs approval")];
    assert_eq!(said(&[active("Q1", "prod-a", 60), waits()]), expected);
    let (mut failed, mut cancelled) = (active("Q1", "prod-a", 60), active("Q1", "prod-a", 50));
    (failed.state, cancelled.state) = (State::Failed, State::Cancelled);
    assert_eq!(said(&[active("Q1", "prod-a", 70), failed.clone(), cancelled.clone(), waits()]), expected);
    // Somebody has approved it meanwhile, or the newer run says otherwise.
    let mut paging = active("Q1", "prod-a", 60);
    paging.escalation.state = EscalationState::Requested;
    assert!(said(&[paging, waits()]).is_empty());
    assert!(said(&[active("Q1", "prod-a", 90), run("Q1", "prod-a", 60, EscalationState::None), waits()]).is_empty());
}

#[test]
fn a_merged_alert_is_one_with_the_alert_that_it_was_merged_into() {
    let mut merged = run("Q1", "prod-a", 0, EscalationState::Suggested);
    merged.alert = Some(AlertStatus {
        state: AlertPhase::Merged,
        resolved_at: None,
        held_by: None,
        merged_into: Some("Q2".into()),
    });
    let suggested = |incident| run(incident, "prod-a", 60, EscalationState::Suggested);
    assert_eq!(said(&[suggested("Q2"), merged.clone()]).len(), 1);
    assert_eq!(said(&[suggested("Q3"), merged]).len(), 2, "another alert");
}

#[test]
fn where_nothing_is_paged_automatically_nor_suggested_somebody_is_told_to_page_by_hand() {
    let mut off = run("Q1", "prod-a", 0, EscalationState::None);
    let mut diagnosis = nothing_seen("prod-a");
    (diagnosis.verdict.kind, diagnosis.verdict.rule) = (VerdictKind::ServiceEndpoint, Rule::AllSeRejectingUpstreamUp);
    off.diagnosis = Some(diagnosis);
    assert_eq!(said(&[off.clone()]), [("prod-a".to_owned(), "Nobody was paged: page by hand")]);
    let mut elsewhere = off.clone();
    elsewhere.diagnosis.as_mut().unwrap().client_suspected = true;
    assert_eq!(said(&[elsewhere]), [("prod-a".to_owned(), "Nobody was paged: decide")]);
    // Its gate is still to come.
    off.state = State::Running;
    assert!(said(&[off.clone()]).is_empty());
    (off.state, off.diagnosis) = (State::Done, Some(nothing_seen("prod-a")));
    assert!(said(&[off]).is_empty(), "the verdict asks for no page");
}

#[test]
fn an_alert_that_no_webhook_told_of_counts_by_when_it_opened() {
    let told = |runs: &[Run]| at_once(&runs.iter().collect::<Vec<_>>()).map(|at_once| at_once.regions.len());
    let found = |incident, region, created, opened| Run {
        trigger: Trigger::Reconcile,
        opened_at: Some(at(opened)),
        ..run(incident, region, created, EscalationState::None)
    };
    let by_webhook = || run("Q1", "prod-a", 0, EscalationState::None);
    assert_eq!(told(&[found("Q2", "prod-b", 900, 60), by_webhook()]), Some(2), "found late, opened with the other");
    let at_the_start = [found("Q3", "prod-c", 901, 0), found("Q2", "prod-b", 900, 600)];
    assert_eq!(told(&at_the_start), None, "found together, opened ten minutes apart");
}

#[test]
fn an_alert_counts_by_its_last_trigger_too_and_its_age_is_from_then() {
    let told = |runs: &[Run]| at_once(&runs.iter().collect::<Vec<_>>()).map(|at_once| at_once.regions.len());
    let since = |incident, region, created, opened, triggered| Run {
        opened_at: Some(at(opened)),
        triggered_at: Some(at(triggered)),
        ..run(incident, region, created, EscalationState::Held)
    };
    let fresh = || since("Q2", "prod-b", 90_060, 90_000, 90_000);
    // Its first run was a day before, and tells of the same alert.
    let reopened = [since("Q1", "prod-a", 90_050, 0, 90_020), since("Q1", "prod-a", 10, 0, 90_020)];
    let [newer, older] = reopened.clone();
    assert_eq!(told(&[fresh(), newer.clone(), older.clone()]), Some(2), "reopened with the other");
    assert_eq!(told(&[newer, older, since("Q3", "prod-c", 95_000, 60, 95_000)]), Some(2), "opened with the other");
    assert_eq!(told(&[fresh(), since("Q1", "prod-a", 80_000, 0, 80_000)]), None);
    let needs = needs(&reopened.iter().collect::<Vec<_>>(), at(90_620));
    assert_eq!(needs[0].since.age, "10 min");
}

#[test]
fn regions_that_alert_within_five_minutes_have_likely_one_cause() {
    let of = |incident, region, created| run(incident, region, created, EscalationState::None);
    let told = |runs: &[Run]| at_once(&runs.iter().collect::<Vec<_>>());
    let far = [of("Q2", "prod-b", 301), of("Q1", "prod-a", 0)];
    assert_eq!(told(&far), None);
    assert_eq!(told(&[of("Q2", "prod-a", 10), of("Q1", "prod-a", 0)]), None, "one region");
    let near = [of("Q3", "prod-c", 300), of("Q1", "prod-a", 400), of("Q2", "prod-b", 180), of("Q1", "prod-a", 0)];
    let regions = ["prod-a", "prod-b", "prod-c"].map(str::to_owned).to_vec();
    let expected = AtOnce { regions, within: "5 min".into(), client_suspected: false };
    assert_eq!(told(&near), Some(expected), "by the first run of an alert");
}

#[test]
fn the_healthcheck_cluster_is_named_only_where_it_is_suspected_in_all() {
    let suspected = |incident, region: &str, created, client_suspected| {
        let mut run = run(incident, region, created, EscalationState::None);
        run.diagnosis = Some(Diagnosis { client_suspected, ..nothing_seen(region) });
        run
    };
    let names = |second| {
        let runs = [suspected("Q2", "prod-b", 9, second), suspected("Q1", "prod-a", 0, true)];
        at_once(&runs.iter().collect::<Vec<_>>()).map(|at_once| at_once.client_suspected)
    };
    assert_eq!((names(true), names(false)), (Some(true), Some(false)));
}
