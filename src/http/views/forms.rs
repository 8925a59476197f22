//! What a signed-in operator can do from a run's view. A form acts only when it came from this reader's own views: that it
//! is of our origin is seen to before (`session::of_our_origin`).

use axum::Form;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Redirect;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::auth::{Proof, Reader, only_read};
use crate::http::{App, Problem, actions, answers};
use crate::inbox::orders::Order;
use runbook::run::Run;

/// What every form carries.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Sent {
    /// The key that the reader's views put into their forms.
    form_key: String,
}

/// Checks that a form came from this reader's views.
pub(super) fn check(app: &App, reader: &Reader, form: Result<Form<Sent>, FormRejection>) -> Result<(), Problem> {
    let Form(sent) = form.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    if reader.sent(&sent.form_key, app) {
        Ok(())
    } else {
        Err(Problem::new(StatusCode::FORBIDDEN, "this form is not from your session: go back, reload, and try again"))
    }
}

/// The run whose view an operator's form came from.
async fn run_to_act_on(
    app: &App,
    reader: &Reader,
    id: Result<Path<String>, PathRejection>,
    form: Result<Form<Sent>, FormRejection>,
) -> Result<Run, Problem> {
    let Path(id) = id.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    check(app, reader, form)?;
    if !reader.person.operator {
        return Err(only_read(matches!(reader.proof, Proof::Proxy)));
    }
    app.store.run(&id).await?.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no run has this id"))
}

/// Pages the Service Endpoint team for a run's alert.
#[utoipa::path(post, path = "/runs/{id}/escalate", operation_id = "escalate_form", tag = "pages",
    security(("session" = [])), params(("id" = String, Path, description = "The run's id")),
    request_body(content = Sent, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 303, description = "The page is being opened: back to the run's view"),
    (status = 400, response = answers::BadRequest),
    (status = 401, response = answers::Unauthorized),
    (status = 403, response = answers::Forbidden),
    (status = 404, response = answers::NotFound),
    (status = 409, description = "As with `POST /escalate`; or the run is of a region", body = crate::http::ProblemDetails,
        content_type = "application/problem+json"),
    (status = 413, response = answers::TooLarge),
    (status = 503, response = answers::Unavailable),
))]
pub(super) async fn escalate(
    State(app): State<App>,
    reader: Reader,
    id: Result<Path<String>, PathRejection>,
    form: Result<Form<Sent>, FormRejection>,
) -> Result<Redirect, Problem> {
    let run = run_to_act_on(&app, &reader, id, form).await?;
    let outcome = app.orders().escalate_for(&reader.person.name, &run).await;
    to_its_view(&actions::run_of(&app, outcome)?)
}

/// Makes a run again.
#[utoipa::path(post, path = "/runs/{id}/rerun", operation_id = "rerun_form", tag = "pages",
    security(("session" = [])), params(("id" = String, Path, description = "The run's id")),
    request_body(content = Sent, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 303, description = "The run is made: to its view"),
    (status = 400, response = answers::BadRequest),
    (status = 401, response = answers::Unauthorized),
    (status = 403, response = answers::Forbidden),
    (status = 404, response = answers::NotFound),
    (status = 409, description = "A run is active already", body = crate::http::ProblemDetails,
        content_type = "application/problem+json"),
    (status = 413, response = answers::TooLarge),
    (status = 422, response = answers::Unprocessable),
    (status = 503, response = answers::Unavailable),
))]
pub(super) async fn rerun(
    State(app): State<App>,
    reader: Reader,
    id: Result<Path<String>, PathRejection>,
    form: Result<Form<Sent>, FormRejection>,
) -> Result<Redirect, Problem> {
    let run = run_to_act_on(&app, &reader, id, form).await?;
    let outcome = app.orders().rerun(&reader.person.name, &Order::again(run), None).await;
    to_its_view(&actions::run_of(&app, outcome)?)
}

fn to_its_view(run_id: &str) -> Result<Redirect, Problem> {
    Ok(Redirect::to(&format!("/runs/{run_id}")))
}
