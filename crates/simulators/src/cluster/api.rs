//! The API server: who asks, whether they may, and the plain answers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{AppendHeaders, Html, IntoResponse, Response};
use axum::{Extension, Router};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::deed::{Deed, failure, json_answer, status};
use super::plan::{Fault, Plan, PodPlan};
use super::right::{self, Right};
use super::{Recorded, Shared, USER, lock, pods, streams};
use crate::odd;
use outbound::clock::SystemClock;

/// Where one asks about one's own rights.
pub(super) const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// More than a question about a right is long.
const MAX_REVIEW: usize = 64 * 1024;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(answer).with_state(shared)
}

/// Records the request whatever becomes of it, also when its asker goes away.
struct Record<'a>(&'a Shared, usize);

impl Record<'_> {
    fn answered(&self, status: StatusCode) {
        lock(&self.0.recorded)[self.1].status = status.as_u16();
    }
}

/// Resets the connection when it is cancelled.
#[derive(Clone, Default)]
pub(super) struct Cut(pub(super) CancellationToken);

async fn answer(State(shared): State<Arc<Shared>>, Extension(cut): Extension<Cut>, request: Request) -> Response {
    let cluster = lock(&shared.plan).cluster.clone();
    right::log(&cluster, request.method().as_str(), request.uri());
    let record = {
        let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
        let mut recorded = lock(&shared.recorded);
        recorded.push(Recorded { method: request.method().to_string(), path, status: 0 });
        Record(&shared, recorded.len() - 1)
    };
    let mut response = decide(&shared, &cut, request).await;
    record.answered(response.status());
    let skew = lock(&shared.plan).skew;
    if !skew.is_zero() {
        let now = SystemClock::shared().now().saturating_add(skew).unwrap_or_default();
        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        if let Ok(date) = HeaderValue::from_str(&date) {
            response.headers_mut().insert(header::DATE, date);
        }
    }
    response
}

async fn decide(shared: &Arc<Shared>, cut: &Cut, request: Request) -> Response {
    let plan = lock(&shared.plan).clone();
    match plan.fault {
        Some(Fault::Silent) => std::future::pending().await,
        Some(Fault::InternalError) => {
            return status(500, "InternalError", "Internal error occurred: etcdserver: request timed out", json!({}));
        }
        Some(Fault::Expired) => return unauthorized(),
        Some(Fault::HtmlPage) => {
            return Html("<!DOCTYPE html><html><body>Please sign in</body></html>").into_response();
        }
        Some(Fault::HtmlError) => {
            return (StatusCode::BAD_GATEWAY, Html("<html><body>502 Bad Gateway</body></html>")).into_response();
        }
        Some(Fault::TooManyRequests(seconds)) => {
            let details = seconds.map_or_else(|| json!({}), |seconds| json!({ "retryAfterSeconds": seconds }));
            let answer = status(429, "TooManyRequests", "too many requests, please try again later", details);
            let after = seconds.map(|seconds| [(header::RETRY_AFTER, seconds.to_string())]);
            return (after.map(AppendHeaders), answer).into_response();
        }
        Some(Fault::Reset) => {
            cut.0.cancel();
            std::future::pending().await
        }
        Some(Fault::SentElsewhere(port)) => {
            let location = format!("http://127.0.0.1:{port}{}", request.uri());
            return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response();
        }
        Some(Fault::WrongJson) => return json_answer(&json!({ "items": 7, "hello": "world" })),
        Some(Fault::HalfAnswer) => return half(),
        Some(Fault::Slow(length)) => tokio::time::sleep(length).await,
        _ => {}
    }
    let bearer = format!("Bearer {}", shared.token);
    if request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()) != Some(bearer.as_str()) {
        return unauthorized();
    }
    if request.uri().path() == REVIEWS && request.method() == Method::POST {
        return review(shared, &plan, request).await;
    }
    let Some(deed) = Deed::read(request.uri()) else {
        return match request.uri().path() {
            "/version" => json_answer(&json!({ "major": "1", "minor": "34", "gitVersion": "v1.34.1+IKS" })),
            _ => status(404, "NotFound", "the server could not find the requested resource", json!({})),
        };
    };
    if let Some(refusal) = refused(&plan, request.method().as_str(), &deed) {
        return refusal;
    }
    match (deed.resource.as_str(), &deed.name) {
        ("configmaps", Some(_)) if plan.fault == Some(Fault::KonicleSilent) => std::future::pending().await,
        ("configmaps", Some(name)) => config_map(&plan, &deed.namespace, name),
        ("pods", None) => match has_expired(shared, &deed) {
            true => status(
                410,
                "Expired",
                "The provided continue parameter is too old to display a consistent list result.",
                json!({}),
            ),
            false => list(&plan, &deed),
        },
        (resource @ ("pods" | "pods/exec" | "pods/portforward"), Some(name)) => {
            let pod = plan.pods.iter().find(|p| p.namespace == deed.namespace && p.name == *name).cloned();
            match (pod, resource) {
                (None, _) => not_found("pods", name),
                (Some(pod), "pods") => json_answer(&pods::object(&pod)),
                (Some(pod), _) => upgrade(shared, plan.fault, pod, deed, request).await,
            }
        }
        _ => status(404, "NotFound", "the server could not find the requested resource", json!({})),
    }
}

/// Whether the rest of a list is asked for too late.
fn has_expired(shared: &Shared, deed: &Deed) -> bool {
    let goes_on = deed.param("continue").is_some_and(|token| !token.is_empty());
    match &mut lock(&shared.plan).fault {
        Some(Fault::ListsExpire(left)) if goes_on && *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    }
}

/// Whether the asker may do something, by the same rules that [`refused`] goes by.
async fn review(shared: &Shared, plan: &Plan, request: Request) -> Response {
    if plan.fault == Some(Fault::NoReviews) {
        let message = format!(
            "selfsubjectaccessreviews.authorization.k8s.io is forbidden: User {USER:?} cannot create resource \
             \"selfsubjectaccessreviews\" in API group \"authorization.k8s.io\" at the cluster scope"
        );
        return status(403, "Forbidden", &message, json!({}));
    }
    let body = axum::body::to_bytes(request.into_body(), MAX_REVIEW).await.unwrap_or_default();
    let mut asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let rule = &asked["spec"]["resourceAttributes"];
    let word = |name: &str| rule[name].as_str().unwrap_or_default();
    // Without these the real one would answer for something else than is meant.
    if asked["kind"] != "SelfSubjectAccessReview" || word("verb").is_empty() || word("namespace").is_empty() {
        return status(400, "BadRequest", "spec.resourceAttributes needs a verb and a namespace", json!({}));
    }
    let resource = match word("subresource") {
        "" => word("resource").to_owned(),
        sub => format!("{}/{sub}", word("resource")),
    };
    let refused = plan.refused.iter().any(|r| r.verb == word("verb") && r.resource == resource);
    let name = rule["name"].as_str().map(str::to_owned);
    let right = Right { namespace: word("namespace").to_owned(), resource, name, verb: word("verb").to_owned() };
    lock(&shared.reviewed).insert(right);
    asked["status"] =
        json!({ "allowed": !refused, "reason": if refused { "" } else { "RBAC: allowed by RoleBinding" } });
    (StatusCode::CREATED, json_answer(&asked)).into_response()
}

async fn upgrade(shared: &Arc<Shared>, fault: Option<Fault>, pod: PodPlan, deed: Deed, request: Request) -> Response {
    match fault {
        Some(Fault::UpgradeSilent) => std::future::pending().await,
        Some(Fault::NoBackend) => status(
            500,
            "InternalError",
            "error dialing backend: proxy error from 127.0.0.1:8132 while dialing 10.94.143.238:10250, code 503: 503 \
             Service Unavailable",
            json!({}),
        ),
        Some(Fault::NoUpgrade) => (StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed").into_response(),
        Some(Fault::FreezesOnUpgrade) => {
            lock(&shared.plan).fault = Some(Fault::Silent);
            streams::open(shared, PodPlan { answer: super::Answer::Silent, ..pod }, deed, request).await
        }
        _ => streams::open(shared, pod, deed, request).await,
    }
}

/// A refusal by the access rules, in their own words.
fn refused(plan: &Plan, method: &str, deed: &Deed) -> Option<Response> {
    let verb = deed
        .verbs(method)
        .iter()
        .find(|verb| method != "GET" || plan.refused.iter().any(|r| r.verb == **verb && r.resource == deed.resource))?;
    let Deed { resource, namespace, name, .. } = deed;
    let kind = resource.split('/').next().unwrap_or_default();
    let object = name.as_ref().map_or_else(|| kind.to_owned(), |name| format!("{kind} {name:?}"));
    let message = format!(
        "{object} is forbidden: User {USER:?} cannot {verb} resource {resource:?} in API group \"\" in the namespace \
         {namespace:?}"
    );
    let details = match name {
        Some(name) => json!({ "name": name, "kind": kind }),
        None => json!({ "kind": kind }),
    };
    let body = failure(403, "Forbidden", &message, details);
    Some((StatusCode::FORBIDDEN, spelt(plan, &body)).into_response())
}

fn config_map(plan: &Plan, namespace: &str, name: &str) -> Response {
    let own = plan.namespace.as_deref().unwrap_or("default");
    match &plan.konicle {
        Some(data) if name == "konicle" && namespace == own => spelt(
            plan,
            &json!({
                "apiVersion": "v1", "kind": "ConfigMap", "data": data,
                "metadata": { "name": name, "namespace": namespace, "resourceVersion": "118273001", "uid": "konicle" },
            }),
        ),
        _ => not_found("configmaps", name),
    }
}

fn list(plan: &Plan, deed: &Deed) -> Response {
    if let Some((name, _)) = deed.query.iter().find(|(name, _)| name == "fieldSelector" || name == "labelSelector") {
        return status(400, "BadRequest", &format!("{name} is not simulated"), json!({}));
    }
    let mut found: Vec<&PodPlan> = plan.pods.iter().filter(|p| p.namespace == deed.namespace).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let Ok(limit) = deed.param("limit").map_or(Ok(0), str::parse::<usize>) else {
        return status(400, "BadRequest", "unable to convert limit", json!({}));
    };
    let start = match deed.param("continue").filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => match token.strip_prefix("sim").and_then(|at| at.parse::<usize>().ok()) {
            Some(start) => start.min(found.len()),
            None => return status(400, "BadRequest", "continue key is not valid: illegal base64 data", json!({})),
        },
    };
    let end = if limit == 0 { found.len() } else { found.len().min(start.saturating_add(limit)) };
    let mut metadata = json!({ "resourceVersion": "118273999" });
    if end < found.len() {
        metadata["continue"] = json!(format!("sim{end}"));
        metadata["remainingItemCount"] = json!(found.len() - end);
    }
    let items: Vec<Value> = found[start..end].iter().map(|pod| pods::object(pod)).collect();
    let list = json!({ "apiVersion": "v1", "kind": "PodList", "metadata": metadata, "items": items });
    spelt(plan, &if plan.fault == Some(Fault::OddEntries) { odd::with_odd_entries(list) } else { list })
}

/// The beginning of an answer, whose connection then breaks.
fn half() -> Response {
    let pieces = [Ok("{\"kind\": \"PodList\", \"items\": ["), Err(std::io::Error::other("broken off on purpose"))];
    let body = axum::body::Body::from_stream(futures::stream::iter(pieces));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn not_found(kind: &str, name: &str) -> Response {
    status(404, "NotFound", &format!("{kind} {name:?} not found"), json!({ "name": name, "kind": kind }))
}

fn unauthorized() -> Response {
    status(401, "Unauthorized", "Unauthorized", json!({}))
}

/// An answer in the plan's spelling.
fn spelt(plan: &Plan, body: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], plan.spelling.spell(body.to_string())).into_response()
}
