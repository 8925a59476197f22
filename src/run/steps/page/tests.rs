use std::time::Duration;

use super::*;
use crate::run::bench::{Bench, REGION, service_endpoint};
use crate::run::beside;
use crate::run::context::Context;
use outbound::clock::Source as _;
use runbook::life::Input;
use runbook::plan::GIVE_UP_AFTER;
use runbook::run::{EscalationState, Run};
use runbook::span::between;
use runbook::writes::opening::Reservation;
use runbook::writes::{Outcome, Times};
use simulators::pagerduty::{Endpoint, Fault, Incident, Opening, Setup};
use store::{Lease, PageRecord, PageResult, PageState, TaskKind};

mod another;
mod events;
mod joining;
mod late;
mod merged;
mod told;
mod trouble;
mod wrong_answers;

const LAG: Duration = Duration::from_secs(2);
const PUBLIC_DOWN: &str = "All Public endpoints down in prod-us-south";

impl Bench {
    /// A diagnosed run with its note written, its page wanted (by a person where one is named) and claimed.
    async fn wanted(&self, asked_by: Option<&str>) -> PageOf {
        self.wanted_for(&self.alert.clone(), asked_by).await.1
    }

    async fn wanted_for(&self, alert: &str, asked_by: Option<&str>) -> (Lease, PageOf) {
        let lease = self.run_of(alert).await;
        self.diagnosed(&lease, &service_endpoint(self.context.clock.now())).await;
        let note = self
            .context
            .pagerduty
            .add_note(&self.context.permit, alert, &format!("first\nrun {}", lease.run_id()))
            .await
            .unwrap();
        self.context.store.set_note(&lease, &note.id, &note.content).await.unwrap();
        self.context.store.request_page(alert, lease.run_id(), asked_by).await.unwrap();
        let page = self.context.store.claim_page().await.unwrap().unwrap();
        assert_eq!(page.incident_id(), alert);
        self.account.forget_requests();
        (lease, page)
    }

    /// Works on it until it has ended and is told of, is held, or waits for another's, as workers do: time passes by what is due.
    async fn page(&self, of: &PageOf) {
        let mut claimed = of.clone();
        loop {
            let lease = claimed.alert();
            let Some(rest) = beside::turn(&self.context, lease).await.unwrap() else { return };
            let goes_on = rest.page(of.incident_id()).is_some_and(|page| page.began.is_some() || page.since.is_some());
            rest.keep(&self.context, lease).await.unwrap();
            if !goes_on {
                return;
            }
            claimed = loop {
                let due = self.context.store.due_of(claimed.alert()).await.unwrap().expect("it goes on");
                self.clock.jump(between(self.clock.now(), due));
                match self.context.store.claim_page_of(of.incident_id()).await.unwrap() {
                    Some(claimed) => break claimed,
                    None => self.clock.jump(Duration::from_millis(1)),
                }
            };
        }
    }

    async fn record(&self) -> Option<PageRecord> {
        self.context.store.page(&self.alert).await.unwrap()
    }

    async fn state(&self) -> PageState {
        self.record().await.unwrap().state
    }

    async fn shown(&self) -> Run {
        let filter = store::Filter { limit: 1, ..Default::default() };
        self.context.store.runs(&filter).await.unwrap().remove(0)
    }

    /// The one page there is.
    fn the_page(&self) -> Incident {
        let mut pages = self.account.pages();
        assert_eq!(pages.len(), 1, "{pages:?}");
        pages.remove(0)
    }

    fn notes_on(&self, incident: &str) -> Vec<String> {
        self.account.notes_of(incident).into_iter().map(|note| note.content).collect()
    }
}

#[tokio::test]
async fn the_team_is_paged_once_and_the_note_says_so() {
    let bench = Bench::new().await;
    let lease = bench.wanted(None).await;
    bench.page(&lease).await;
    let page = bench.the_page();
    assert_eq!((page.service_id.as_str(), page.urgency.as_str()), (Setup::SERVICE_ENDPOINT, "high"));
    assert_eq!(page.incident_key, Some(format!("se-responder/{}", bench.alert)));
    let run = bench.shown().await;
    assert_eq!(run.escalation.state, EscalationState::Paged);
    assert_eq!((run.escalation.page.unwrap().id, run.escalation.reason), (page.id.clone(), None));
    let notes = bench.notes_on(&bench.alert);
    assert_eq!(notes.len(), 1, "{notes:?}");
    let url = format!("https://sim.pagerduty.com/incidents/{}", page.id);
    assert!(notes[0].contains(&url) && notes[0].ends_with(&format!("run {}", run.id)), "{}", notes[0]);

    // Wanted again, by whomever: it stays the one.
    bench.context.store.request_page(&bench.alert, &run.id, Some("olivia")).await.unwrap();
    assert_eq!(bench.context.store.claim_page().await.unwrap(), None);
}

#[tokio::test]
async fn a_page_whose_answer_is_lost_is_found_by_its_key_though_reads_lag() {
    for fault in ["reset", "half-answer", "status-500", "status-503", "status-408", "html", "hang"] {
        let bench = Bench::new().await.where_it(fault == "hang");
        bench.account.set_lag(LAG);
        bench.account.fail_once_done(Endpoint::CreateIncident, fault.parse().unwrap(), 1);
        let lease = bench.wanted(None).await;
        bench.page(&lease).await;
        bench.the_page();
        assert_eq!((bench.state().await, bench.asked("POST", "/incidents")), (PageState::Paged, 1), "{fault}");
    }
}

#[tokio::test]
async fn a_page_that_certainly_was_not_opened_is_opened_later() {
    for (fault, times) in [(Fault::RateLimited(Some(2)), 12), (Fault::Status(503), 3), (Fault::Reset, 2)] {
        let bench = Bench::new().await;
        bench.account.set_lag(LAG);
        bench.account.fail(Endpoint::CreateIncident, fault.clone(), times);
        let lease = bench.wanted(None).await;
        bench.page(&lease).await;
        bench.the_page();
        assert_eq!(bench.state().await, PageState::Paged, "{fault}");
        assert_eq!(bench.asked("POST", "/incidents"), times as usize + 1, "{fault}");
    }
}

/// lifecycle.md#crashes-clocks-replicas: opened and not recorded, it is found by its key, one page.
#[tokio::test]
async fn a_page_that_was_opened_before_a_crash_is_never_called_held() {
    let bench = Bench::new().await;
    bench.account.set_lag(LAG);
    let first = bench.wanted(None).await;
    // Begun, opened, and cut off before that was kept; then something that would have held it.
    let record = bench.record().await.unwrap();
    let begun = bench.context.store.begins_page(&first, &REGION.parse().unwrap(), None, &[]).await.unwrap();
    assert_eq!(begun, Reservation::Reserved);
    let new = pagerduty::NewIncident {
        title: "page".into(),
        service_id: Setup::SERVICE_ENDPOINT.into(),
        incident_key: Context::page_key(&bench.alert),
        body: "body".into(),
        by: Timestamp::MAX,
    };
    bench.context.pagerduty.create_incident(&bench.context.permit, new).await.unwrap();
    bench.account.open(Opening::new(PUBLIC_DOWN, Setup::REGISTRY));
    bench.context.store.release_page(&first, Duration::ZERO).await.unwrap();
    let second = bench.context.store.claim_page().await.unwrap().unwrap();
    bench.page(&second).await;
    let run = bench.shown().await;
    assert_eq!(run.escalation.state, EscalationState::Paged, "{record:?}");
    assert_eq!(run.escalation.page.unwrap().id, bench.the_page().id);
}

/// Answered, and cut off before that was kept with the page: no list may show it for long.
#[tokio::test]
async fn a_page_whose_answer_is_recorded_is_never_opened_again() {
    let bench = Bench::new().await;
    let first = bench.wanted(None).await;
    bench.context.store.begins_page(&first, &REGION.parse().unwrap(), None, &[]).await.unwrap();
    bench.account.set_lag(Duration::from_secs(3600));
    let new = pagerduty::NewIncident {
        title: "page".into(),
        service_id: Setup::SERVICE_ENDPOINT.into(),
        incident_key: Context::page_key(&bench.alert),
        body: "body".into(),
        by: Timestamp::MAX,
    };
    let Ok(pagerduty::Created::New(page)) = bench.context.pagerduty.create_incident(&bench.context.permit, new).await
    else {
        panic!()
    };
    bench.context.store.ends_opening(&bench.alert, &Outcome::Done(page.id.clone())).await;
    bench.context.store.release_page(&first, Duration::ZERO).await.unwrap();
    let second = bench.context.store.claim_page().await.unwrap().unwrap();
    bench.page(&second).await;
    assert_eq!((bench.state().await, bench.asked("POST", "/incidents")), (PageState::Paged, 1));
    assert_eq!(bench.record().await.unwrap().page_id, Some(page.id));
}

#[tokio::test]
async fn the_last_look_holds_an_automatic_page_and_says_why() {
    let bench = Bench::new().await;
    let lease = bench.wanted(None).await;
    bench.account.open(Opening::new(PUBLIC_DOWN, Setup::REGISTRY));
    bench.page(&lease).await;
    assert!(bench.account.pages().is_empty());
    let run = bench.shown().await;
    assert_eq!((run.escalation.state, run.escalation.page), (EscalationState::Held, None));
    assert!(run.escalation.reason.unwrap().contains(PUBLIC_DOWN));
    assert_eq!(bench.record().await, None);
    let notes = bench.notes_on(&bench.alert);
    assert!(notes.len() == 1 && notes[0].contains(PUBLIC_DOWN), "{notes:?}");

    // So does a `/hold` that is stored, though nobody has obeyed it yet; of who may not command it does not count.
    for (allowed, pages) in [("", 0), ("PANN", 0), ("PBEN", 1)] {
        let bench = Bench::with(&[("COMMAND_USERS", allowed)]).await;
        let lease = bench.wanted(None).await;
        let hold = r#"{"event_id":"N1:hold","word":"hold","said":"/hold","user_id":"PANN","user":"Ann","at":null}"#;
        let command = serde_json::from_str(hold).unwrap();
        bench.context.store.tell_alert(&bench.alert, Input::Said(command)).await.unwrap();
        bench.page(&lease).await;
        assert_eq!(bench.account.pages().len(), pages, "{allowed}");
        let reason = bench.shown().await.escalation.reason;
        assert_eq!(reason.is_some_and(|reason| reason.contains("Ann said /hold")), pages == 0, "{allowed}");
    }

    // Evidence that is too old holds as well.
    let bench = Bench::new().await;
    let lease = bench.wanted(None).await;
    bench.clock.jump(Duration::from_secs(601));
    bench.page(&lease).await;
    let escalation = bench.shown().await.escalation;
    assert!(escalation.reason.as_ref().unwrap().contains("EVIDENCE_MAX_AGE"), "{escalation:?}");
    assert!(bench.account.pages().is_empty());
}

#[tokio::test]
async fn a_persons_word_passes_the_gate_but_not_the_key() {
    let bench = Bench::new().await;
    let lease = bench.wanted(Some("olivia")).await;
    bench.account.open(Opening::new(PUBLIC_DOWN, Setup::REGISTRY));
    bench.clock.jump(Duration::from_secs(3 * 3600));
    bench.page(&lease).await;
    bench.the_page();
    assert_eq!(bench.record().await.unwrap().asked_by.as_deref(), Some("olivia"));

    let bench = Bench::new().await;
    let lease = bench.wanted(Some("olivia")).await;
    let mut old = Opening::new("opened by hand", Setup::SERVICE_ENDPOINT);
    old.incident_key = Some(Context::page_key(&bench.alert));
    let old = bench.account.open(old).id;
    bench.account.resolve(&old, None);
    bench.page(&lease).await;
    let run = bench.shown().await;
    assert_eq!((run.escalation.page.unwrap().id, bench.account.pages().len()), (old, 0));
    assert!(run.escalation.reason.unwrap().contains("resolved already"));
}

#[tokio::test]
async fn an_automatic_page_takes_one_look_at_what_is_open() {
    let bench = Bench::new().await;
    let lease = bench.wanted(None).await;
    bench.page(&lease).await;
    let page = bench.the_page().id;
    let asked: Vec<String> = bench
        .account
        .requests()
        .iter()
        .map(|r| format!("{} {}", r.method, r.path.replace(&bench.alert, "ALERT").replace(&page, "PAGE")))
        .collect();
    let expected = [
        // By its key; the service; the alert itself; what is open; then the page, and what the note says of it.
        "GET /incidents",
        "GET /services",
        "GET /incidents/ALERT",
        "GET /incidents",
        "POST /incidents",
        "GET /incidents/PAGE",
    ];
    assert_eq!(asked[..6], expected, "{asked:?}");
    assert!(asked.len() == 7 && asked[6].starts_with("PUT /incidents/ALERT/notes/"), "{asked:?}");
}
