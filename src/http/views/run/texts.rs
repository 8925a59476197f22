//! What a run's page says in the note's words.

use super::super::Looker;
use super::super::standing::{is_unknown, paged};
use super::super::words;
use crate::http::App;
use crate::run::note_text::with_context;
use crate::run::words::past_of;
use runbook::diagnosis::note::{self, short};
use runbook::run::{EscalationState, Facts, Run, State as RunState};
use store::StoreError;

/// What the page says in the note's words.
pub(super) struct Texts {
    /// The three lines that the note begins with.
    pub(super) head: [String; 3],
    pub(super) note: Option<String>,
    /// What has become of the page, and its colour: by what the third line goes by too.
    pub(super) page: (&'static str, &'static str),
    /// Title and text of what a person's page would send now; `None` where there is nothing to page for.
    pub(super) sent: Option<(String, String)>,
}

/// The words of the note, as it stands on the incident now; before there is a diagnosis, what is awaited.
pub(super) async fn texts(app: &App, run: &Run, looker: &Looker) -> Result<Texts, StoreError> {
    let (alert_title, alert_url) =
        run.incident.as_ref().map(|i| (i.title.as_str(), i.html_url.as_str())).unwrap_or_default();
    let Some(diagnosis) = &run.diagnosis else {
        let page = match run.escalation.state {
            EscalationState::None if run.state.is_active() => {
                ("Nobody was paged: there is no diagnosis yet", "unknown")
            }
            state => paged(run).unwrap_or_else(|| words::escalation(state)),
        };
        let sent = run.may_be_paged_for().then(|| {
            let (url, links) = (app.config.run_url(&run.id), &app.config.regions.links);
            let by = looker.name.as_deref();
            let body = note::page_body_without_diagnosis(&run.region, &url, links, alert_title, alert_url, by);
            (note::page_title_without_diagnosis(&run.region), body)
        });
        return Ok(Texts { head: awaited(run), note: None, page, sent });
    };
    let facts = app.store.facts(&run.id).await?;
    // What is stored goes by service time, the run's times are as people are shown them.
    let stored = run.clone().earlier(-app.clock.ahead());
    let past = past_of(&app.store, &stored).await?;
    let page = match &run.incident {
        Some(incident) => app.store.page_of_alert(&incident.id).await?,
        None => None,
    };
    let at = stored.finished_at.unwrap_or_else(|| app.clock.now());
    let now = app.clock.shown(app.clock.now());
    Ok(with_context(&app.config, run, &facts, &past, page.as_ref(), (&app.clock, at), |context| {
        // A drill's note is shown here only.
        let note = (run.note.is_some() || run.drill.is_some()).then(|| note::write(diagnosis, context));
        let sent = run
            .may_be_paged_for()
            .then(|| (note::page_title(diagnosis), note::page_body(diagnosis, context, alert_title, alert_url, None)));
        // What was to come when the note was written may have been since.
        let looks_again_at = context.looks_again_at.filter(|at| *at > now);
        let head = note::head(diagnosis, &note::Context { looks_again_at, ..context.clone() });
        let page = words::page(&context.page);
        as_it_stands(run, &facts, Texts { head, note, page, sent })
    }))
}

/// The note that is on the incident, where its text is known. The head says what holds now: an edit of the note may be
/// refused or still to come, and nobody is asked to do what is over, nor told that a page is to come that is there.
fn as_it_stands(run: &Run, facts: &Facts, made: Texts) -> Texts {
    let Some(text) = run.note.as_ref().and_then(|note| note.text.as_deref()) else {
        // What this run would write is not what the note says that it has edited.
        return Texts { note: made.note.filter(|_| run.unchanged.is_none()), ..made };
    };
    let head = match (&made.note, run.alert.as_ref().and_then(|alert| alert.resolved_at)) {
        (Some(note), Some(at)) => {
            let told = short::with_resolution(note, facts.alert_opened_at, None, None, None, at);
            let mut lines = told.lines();
            std::array::from_fn(|_| lines.next().unwrap_or_default().to_owned())
        }
        _ => made.head,
    };
    Texts { head, note: Some(text.to_owned()), ..made }
}

fn awaited(run: &Run) -> [String; 3] {
    let region = &run.region;
    let why = run.reason.as_deref().unwrap_or("it is not known why: see the log");
    let [verdict, now] = match run.state {
        RunState::Queued => [format!("Diagnosis of {region} is queued"), "It begins in a moment.".into()],
        RunState::Running => {
            [format!("Diagnosing {region} …"), "Jenkins and the clusters are asked at the same time.".into()]
        }
        RunState::Suppressed => [
            format!("{region}: a bigger outage explains it"),
            "Do now: deal with the related pages below first. This alert is looked at again when they have closed."
                .into(),
        ],
        RunState::Done => [format!("{region}: done"), "There is no diagnosis.".into()],
        RunState::Failed => [
            format!("{region}: the diagnosis failed"),
            format!("Do now: follow the runbook by hand, or run it again. Why: {why}"),
        ],
        RunState::Cancelled => [format!("{region}: nothing left to do"), format!("Why: {why}.")],
    };
    let was_paged = match run.escalation.state {
        EscalationState::Paged => "Paged, see below.",
        EscalationState::Failed if is_unknown(run) => "Not known whether somebody was paged: look in PagerDuty.",
        EscalationState::Failed => "NOBODY WAS PAGED: it was tried and failed.",
        _ => "Nobody was paged.",
    };
    [verdict, now, was_paged.to_owned()]
}
