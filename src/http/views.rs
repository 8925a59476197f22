//! Views for people: a run, the list of runs, regions over time, signing in, and errors. Readable on a phone and in the dark; all that
//! they need comes from here.

mod decisions;
#[expect(unreachable_pub, reason = "what the macro makes of a filter is so")]
mod filters;
mod first;
mod forms;
mod glossary;
mod health;
mod icon;
mod list;
mod moment;
mod needs;
mod reach;
mod regions;
mod run;
mod sign_in;
mod standing;
mod steps;
mod timeline;
mod words;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Proof, Reader};
use super::proxied::SignedIn;
use super::{App, NOTHING_HERE, Problem};
use runbook::text::visible;

pub(super) use sign_in::MOST_SIGN_INS;

/// Nothing but what we serve ourselves; nobody may frame it, and forms go nowhere else.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What pages are made of beside themselves, by its name.
const ASSETS: [(&str, &str, &str); 6] = [
    ("style.css", "text/css; charset=utf-8", include_str!("../../assets/style.css")),
    ("parts.js", "text/javascript; charset=utf-8", include_str!("../../assets/parts.js")),
    ("live.js", "text/javascript; charset=utf-8", include_str!("../../assets/live.js")),
    ("copy.js", "text/javascript; charset=utf-8", include_str!("../../assets/copy.js")),
    ("tick.js", "text/javascript; charset=utf-8", include_str!("../../assets/tick.js")),
    ("icon.svg", "image/svg+xml", include_str!("../../assets/icon.svg")),
];

/// What people ask; each route is where its handler's description says.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list::page))
        .routes(routes!(list::live))
        .routes(routes!(regions::page))
        .routes(routes!(run::page))
        .routes(routes!(run::live))
        .routes(routes!(timeline::page))
        .routes(routes!(decisions::list))
        .routes(routes!(decisions::step))
        .routes(routes!(glossary::page))
        .routes(routes!(forms::escalate))
        .routes(routes!(forms::rerun))
        .routes(routes!(sign_in::page, sign_in::sign_in))
        .routes(routes!(sign_in::sign_out))
        .routes(routes!(asset))
}

/// What pages are made of beside themselves.
#[utoipa::path(get, path = "/assets/{name}", operation_id = "asset", tag = "pages",
    params(("name" = String, Path, description = "Its name")), responses(
    (status = 200, description = "It", content((String = "text/css"), (String = "text/javascript"), (String = "image/svg+xml"))),
    (status = 404, response = super::answers::NotFound),
))]
async fn asset(name: Result<Path<String>, PathRejection>) -> Response {
    let name = name.map(|Path(name)| name).unwrap_or_default();
    let fixed = ASSETS.iter().find(|(known, ..)| *known == name).map(|(_, kind, text)| (*kind, (*text).to_owned()));
    let of_verdict = || name.strip_prefix("icon-")?.strip_suffix(".svg").and_then(icon::icon);
    match fixed.or_else(|| of_verdict().map(|icon| ("image/svg+xml", icon))) {
        Some((kind, text)) => {
            let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=300")];
            (headers, text).into_response()
        }
        None => Problem::new(StatusCode::NOT_FOUND, NOTHING_HERE).into_response(),
    }
}

/// Who looks at a page: what its head and its forms need.
#[derive(Clone, Debug, Default)]
struct Looker {
    /// The name, where somebody is signed in.
    name: Option<String>,
    /// Goes into every form; empty where nothing may be done by one.
    form_key: String,
    /// Whether a proxy in front has signed them in: then nobody signs in or out here.
    by_proxy: bool,
    /// Whether forms of operators are shown.
    may_act: bool,
    /// The key of a note's link, by which somebody looks who is not signed in; else empty.
    link_key: String,
}

impl Looker {
    fn of(reader: &Reader, app: &App) -> Self {
        let form_key = reader.form_key(app);
        let may_act = reader.person.operator && !form_key.is_empty();
        let by_proxy = matches!(reader.proof, Proof::Proxy);
        Self { name: Some(reader.person.name.clone()), form_key, by_proxy, may_act, link_key: String::new() }
    }

    /// Somebody whom a proxy in front has signed in, on a view without forms.
    fn by_proxy(signed_in: &SignedIn) -> Self {
        Self { name: Some(signed_in.0.name.clone()), by_proxy: true, ..Self::default() }
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    looker: Looker,
    status: u16,
    title: &'a str,
    detail: &'a str,
    /// Where to go after signing in; `None` where signing in is no help.
    sign_in: Option<String>,
    hint: &'a str,
}

/// A template's text. Nothing in it hides or turns what strangers wrote.
fn render(template: &impl Template) -> Result<String, askama::Error> {
    Ok(visible(&template.render()?).into_owned())
}

/// Renders a template.
fn show(template: &impl Template) -> Result<Response, Problem> {
    match render(template) {
        Ok(text) => Ok(Html(text).into_response()),
        Err(error) => {
            tracing::error!(error = %error, "a view could not be made: this is a bug");
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this view could not be made; the log says why"))
        }
    }
}

/// Dresses every answer: errors as pages for those who want pages, and the headers that keep private things private.
pub(super) async fn dress(request: Request, next: Next) -> Response {
    let wants_page = wants_page(request.headers()) && !is_for_programs(request.uri().path());
    let came_for = request.uri().path_and_query().map(|p| p.as_str().to_owned()).unwrap_or_default();
    let is_get = request.method() == Method::GET;
    let by_proxy = request.extensions().get::<SignedIn>().cloned();
    // A cookie that is `Strict` stays at home when another site links here: the same request from here brings it.
    let linked = is_get && request.headers().get("sec-fetch-site").is_some_and(|v| v == "cross-site");
    let mut response = next.run(request).await;
    if wants_page && let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let page = match problem.status() {
            StatusCode::UNAUTHORIZED if linked => again(&came_for),
            _ => problem_page(&problem, by_proxy.as_ref(), is_get.then_some(came_for)),
        };
        if let Ok(page) = page {
            let (mut parts, _) = response.into_parts();
            parts.headers.remove(header::CONTENT_LENGTH);
            parts.headers.remove(header::WWW_AUTHENTICATE);
            parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            response = Response::from_parts(parts, page.into());
        }
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Nothing goes to others. With none at all a browser would call the origin of our own forms `null`.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether this address is of the API, where an error is `application/problem+json` whatever the client would take besides.
fn is_for_programs(path: &str) -> bool {
    static API: LazyLock<BTreeSet<String>> =
        LazyLock::new(|| super::api().into_openapi().paths.paths.into_keys().collect());
    path.starts_with("/api/") || API.contains(path)
}

fn wants_page(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
}

fn problem_page(
    problem: &Problem,
    by_proxy: Option<&SignedIn>,
    came_for: Option<String>,
) -> Result<String, askama::Error> {
    let status = problem.status();
    let hint = match status {
        StatusCode::UNAUTHORIZED => "A link from a note opens its own run without a sign-in, until it is too old.",
        StatusCode::FORBIDDEN if by_proxy.is_some() => "Ask whoever runs this service to add you to TRUSTED_OPERATORS.",
        StatusCode::FORBIDDEN => "Ask whoever runs this service for an operator's token.",
        StatusCode::NOT_FOUND => "Old runs are deleted after a while. The incident in PagerDuty keeps its note.",
        StatusCode::CONFLICT => "Nothing was changed.",
        _ => "You can still follow the runbook by hand.",
    };
    render(&ProblemPage {
        looker: by_proxy.map(Looker::by_proxy).unwrap_or_default(),
        status: status.as_u16(),
        title: status.canonical_reason().unwrap_or("Error"),
        detail: problem.detail(),
        sign_in: came_for.filter(|_| status == StatusCode::UNAUTHORIZED),
        hint,
    })
}

#[derive(Template)]
#[template(path = "again.html")]
struct Again<'a> {
    url: &'a str,
}

fn again(url: &str) -> Result<String, askama::Error> {
    render(&Again { url })
}
