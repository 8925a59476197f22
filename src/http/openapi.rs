//! `GET /openapi.json`: what the API takes and answers, from the code that does it.

use std::sync::LazyLock;

use axum::Json;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, RefOr};
use utoipa::{Modify, OpenApi};

use super::answers::{BadRequest, Forbidden, NotFound, TooLarge, Unauthorized, Unavailable, Unprocessable};
use super::session::COOKIE;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "se-responder",
        description = "Does an on-call engineer's first half hour when all Service Endpoints of a registry region are down. \
            Where TRUSTED_USER_HEADER is set, whom a trusted proxy names by that header needs no token: operators of \
            TRUSTED_OPERATORS may act, all others read; what they change must be of this service's own origin."
    ),
    components(responses(BadRequest, Unauthorized, Forbidden, NotFound, TooLarge, Unprocessable, Unavailable)),
    modifiers(&Proofs),
    tags(
        (name = "webhooks", description = "What PagerDuty sends"),
        (name = "actions", description = "What operators ask for"),
        (name = "runs", description = "What viewers read"),
        (name = "alerts", description = "What viewers read of an alert, afterwards"),
        (name = "pages", description = "For people, in a browser"),
        (name = "operations", description = "For whoever runs it; open to anyone"),
    )
)]
struct Api;

struct Proofs;

impl Modify for Proofs {
    fn modify(&self, document: &mut Document) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of OPERATOR_TOKENS or VIEWER_TOKENS"))
            .build();
        let session = ApiKeyValue::with_description(COOKIE, "Somebody who has signed in");
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
    }
}

/// What `GET /api/runs/{id}` may answer; a test reads it back.
const RUN: &str = include_str!("example_run.json");

/// The description of all routes, which stands with their handlers.
fn description() -> Document {
    let mut document = Api::openapi();
    document.merge(super::api().into_openapi());
    document.merge(super::views::routes().into_openapi());
    with_examples(document)
}

fn with_examples(mut document: Document) -> Document {
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
    document
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "operations", responses(
    (status = 200, description = "OpenAPI 3.1", body = serde_json::Value),
))]
pub(super) async fn document() -> Response {
    // Anybody may ask, as often as they like: it is written once.
    static TEXT: LazyLock<Option<Bytes>> = LazyLock::new(|| description().to_json().ok().map(Bytes::from));
    match &*TEXT {
        Some(text) => ([(CONTENT_TYPE, "application/json")], text.clone()).into_response(),
        None => Json(description()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use axum::Router;
    use runbook::run::Run;

    #[test]
    fn the_examples_are_what_is_answered_with_nothing_left_out() {
        let written: serde_json::Value = serde_json::from_str(RUN).unwrap();
        let run: Run = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&run).unwrap(), written);
        let document = serde_json::to_value(description()).unwrap();
        let schemas = &document["components"]["schemas"];
        for name in ["Run", "Listing", "Accepted", "Received", "Rerun", "Escalate", "ProblemDetails"] {
            assert!(schemas[name]["examples"][0].is_object(), "{name}: {}", schemas[name]);
        }
    }

    /// The paths of a router. axum tells them in its `Debug` only, as `RouteId(1): "/healthz"`, and its own fallback too.
    fn paths_of(router: &Router<super::super::App>) -> BTreeSet<String> {
        let told = format!("{router:?}");
        let routes = told.split("RouteId(").filter_map(|rest| rest.split_once("): \""));
        let paths = routes.filter_map(|(_, rest)| Some(rest.split_once('"')?.0.to_owned()));
        paths.filter(|path| !path.contains("__private__axum_fallback")).collect()
    }

    #[test]
    fn every_route_is_described_and_what_is_described_is_a_route() {
        let described: BTreeSet<String> = description().paths.paths.into_keys().collect();
        let router = Router::from(super::super::api()).merge(Router::from(super::super::views::routes()));
        assert_eq!(paths_of(&router), described);
        assert!(described.contains("/runs/{id}/live") && described.len() > 15, "{described:?}");
    }
}
