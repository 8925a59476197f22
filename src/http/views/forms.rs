//! What a signed-in operator can do from a run's view. A form acts only when it came from this session's own views.

use axum::Form;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use serde::Deserialize;

use crate::http::auth::Reader;
use crate::http::session::from_elsewhere;
use crate::http::{App, Problem, actions};
use crate::inbox::orders::Order;
use runbook::run::Run;

/// What every form carries.
#[derive(Debug, Deserialize)]
pub(super) struct Sent {
    form_key: String,
}

/// Checks that a form came from this session's pages.
pub(super) fn check(
    app: &App,
    reader: &Reader,
    headers: &HeaderMap,
    form: Result<Form<Sent>, FormRejection>,
) -> Result<(), Problem> {
    let Form(sent) = form.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let from_us = !from_elsewhere(headers, app) && reader.session.as_ref().is_some_and(|s| s.sent(&sent.form_key, app));
    if from_us {
        Ok(())
    } else {
        Err(Problem::new(StatusCode::FORBIDDEN, "this form is not from your session: go back, reload, and try again"))
    }
}

async fn run_to_act_on(
    app: &App,
    reader: &Reader,
    headers: &HeaderMap,
    id: &str,
    form: Result<Form<Sent>, FormRejection>,
) -> Result<Run, Problem> {
    check(app, reader, headers, form)?;
    if !reader.person.operator {
        return Err(Problem::new(StatusCode::FORBIDDEN, "this is for operators; your token may only read"));
    }
    app.store.run(id).await?.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no run has this id"))
}

/// Pages the Service Endpoint team.
pub(super) async fn escalate(
    State(app): State<App>,
    reader: Reader,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    form: Result<Form<Sent>, FormRejection>,
) -> Result<Redirect, Problem> {
    let Path(id) = id.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let run = run_to_act_on(&app, &reader, &headers, &id, form).await?;
    let outcome = app.orders().escalate_for(&reader.person.name, &run).await;
    to_its_view(&actions::run_of(&app, outcome)?)
}

/// Makes the run again.
pub(super) async fn rerun(
    State(app): State<App>,
    reader: Reader,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    form: Result<Form<Sent>, FormRejection>,
) -> Result<Redirect, Problem> {
    let Path(id) = id.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let run = run_to_act_on(&app, &reader, &headers, &id, form).await?;
    let outcome = app.orders().rerun(&reader.person.name, &Order::again(run), None).await;
    to_its_view(&actions::run_of(&app, outcome)?)
}

fn to_its_view(run_id: &str) -> Result<Redirect, Problem> {
    Ok(Redirect::to(&format!("/runs/{run_id}")))
}
