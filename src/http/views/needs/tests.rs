use super::*;
use runbook::diagnosis::{Earlier, Evidence, verdict};
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
        steps: vec![],
        unreadable: vec![],
    }
}

fn page(acknowledged_at: Option<Timestamp>) -> Option<PageRef> {
    let html_url = "https://pd.example/incidents/Q9".into();
    Some(PageRef { id: "Q9".into(), html_url, joined: false, acknowledged_at, acknowledged_by: None })
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
        let evidence = Evidence {
            region: &region.parse().unwrap(),
            expected: &[],
            readings: &[],
            checks: &[],
            earlier: &Earlier::default(),
            listed: &[],
        };
        let mut run = run(incident, region, created, EscalationState::None);
        run.diagnosis = Some(verdict::diagnose(&evidence));
        run.diagnosis.as_mut().unwrap().client_suspected = client_suspected;
        run
    };
    let names = |second| {
        let runs = [suspected("Q2", "prod-b", 9, second), suspected("Q1", "prod-a", 0, true)];
        at_once(&runs.iter().collect::<Vec<_>>()).map(|at_once| at_once.client_suspected)
    };
    assert_eq!((names(true), names(false)), (Some(true), Some(false)));
}
