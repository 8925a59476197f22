//! `GET /openapi.json`: what the API takes and answers, from the code that does it.

use std::sync::LazyLock;

use axum::Json;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, RefOr};
use utoipa::{Modify, OpenApi};

use super::answers::{BadRequest, Forbidden, NotFound, TooLarge, Unauthorized, Unavailable, Unprocessable};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "se-responder",
        description = "Does an on-call engineer's first half hour when all Service Endpoints of a registry region are down."
    ),
    paths(
        super::webhook::receive,
        super::actions::rerun,
        super::actions::escalate,
        super::runs::list,
        super::runs::one,
        super::live::events,
        super::live::all,
        super::alive,
        super::ready,
        super::metrics,
        super::views::list::page,
        super::views::run::page,
        document,
    ),
    components(responses(BadRequest, Unauthorized, Forbidden, NotFound, TooLarge, Unprocessable, Unavailable)),
    modifiers(&Bearer, &Examples),
    tags(
        (name = "webhooks", description = "What PagerDuty sends"),
        (name = "actions", description = "What operators ask for"),
        (name = "runs", description = "What viewers read"),
        (name = "pages", description = "For people"),
        (name = "operations", description = "For whoever runs it; open to anyone"),
    )
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of OPERATOR_TOKENS or VIEWER_TOKENS"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// What `GET /api/runs/{id}` may answer; a test reads it back.
const RUN: &str = include_str!("example_run.json");

struct Examples;

impl Modify for Examples {
    fn modify(&self, document: &mut Document) {
        let run: serde_json::Value = serde_json::from_str(RUN).unwrap_or_default();
        let mut listed = run.clone();
        listed["steps"] = serde_json::json!([]);
        let listing = serde_json::json!({"runs": [listed], "next": null});
        let components = document.components.get_or_insert_default();
        for (name, example) in [("Run", run), ("Listing", listing)] {
            if let Some(RefOr::T(Schema::Object(schema))) = components.schemas.get_mut(name) {
                schema.examples.push(example);
            }
        }
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "operations", responses(
    (status = 200, description = "OpenAPI 3.1", body = serde_json::Value),
))]
pub(super) async fn document() -> Response {
    // Anybody may ask, as often as they like: it is written once.
    static TEXT: LazyLock<Option<Bytes>> = LazyLock::new(|| Api::openapi().to_json().ok().map(Bytes::from));
    match &*TEXT {
        Some(text) => ([(CONTENT_TYPE, "application/json")], text.clone()).into_response(),
        None => Json(Api::openapi()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runbook::run::Run;

    #[test]
    fn the_examples_are_what_is_answered_with_nothing_left_out() {
        let written: serde_json::Value = serde_json::from_str(RUN).unwrap();
        let run: Run = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&run).unwrap(), written);
        let document = serde_json::to_value(Api::openapi()).unwrap();
        let schemas = &document["components"]["schemas"];
        for name in ["Run", "Listing", "Accepted", "Received", "Rerun", "Escalate", "ProblemDetails"] {
            assert!(schemas[name]["examples"][0].is_object(), "{name}: {}", schemas[name]);
        }
    }
}
