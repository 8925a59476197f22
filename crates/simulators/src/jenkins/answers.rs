//! What each address answers.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use serde_json::json;
use url::form_urlencoded;

use super::console;
use super::documents::prune;
use super::fault::{Fault, Place};
use super::state::Job;
use super::{DEFAULT_CLUSTER, FOLDER, JOB, Location, Shared};

/// A path without the prefix and without views, which are aliases: `/job/A/view/All/job/B` is `/job/A/job/B`.
fn segments<'a>(shared: &Shared, path: &'a str) -> Option<Vec<&'a str>> {
    let path = path.strip_prefix(shared.setup.prefix.as_str())?;
    let mut segments = Vec::new();
    let mut rest = path.split('/').filter(|segment| !segment.is_empty());
    while let Some(segment) = rest.next() {
        if segment == "view" {
            rest.next();
        } else {
            segments.push(segment);
        }
    }
    Some(segments)
}

/// Which kind of request a path is.
pub(super) fn place_of(shared: &Shared, path: &str) -> Place {
    match segments(shared, path).as_deref() {
        Some(["queue", "item", ..]) => Place::Item,
        Some(["queue", "cancelItem"]) => Place::Stop,
        Some(["queue", ..]) => Place::Queue,
        Some(["job", FOLDER, "job", JOB, rest @ ..]) => match rest {
            ["build" | "buildWithParameters"] => Place::Start,
            [_, "api", "json"] => Place::Build,
            [_, "logText", _] | [_, "consoleText"] => Place::Log,
            [_, "stop"] => Place::Stop,
            _ => Place::Job,
        },
        _ => Place::Any,
    }
}

/// Answers as the real one does.
pub(super) fn answer(shared: &Shared, request: &Parts, body: &[u8]) -> Response<Body> {
    if let Err(refusal) = authenticate(shared, request) {
        return *refusal;
    }
    let Some(segments) = segments(shared, request.uri.path()) else { return not_found() };
    let query = form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes());
    let query: Vec<(String, String)> = query.into_owned().collect();
    let is_form = request.headers.get(CONTENT_TYPE).is_some_and(|t| t == "application/x-www-form-urlencoded");
    let form: Vec<(String, String)> =
        if is_form { form_urlencoded::parse(body).into_owned().collect() } else { Vec::new() };
    let value = |name: &str| query.iter().chain(&form).find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let now = shared.setup.clock.now();
    let mut state = shared.state();
    let post = request.method == Method::POST;
    let document = match segments.as_slice() {
        ["crumbIssuer", "api", "json"] => json!({"_class": "hudson.security.csrf.DefaultCrumbIssuer",
            "crumb": "5a5a5a5a", "crumbRequestField": "Jenkins-Crumb"}),
        [] | ["job", FOLDER] => return page(StatusCode::OK, "Dashboard [Jenkins]"),
        ["job", FOLDER, "job", JOB] => return job_page(shared, &state.job),
        ["api", "json"] => shared.root_document(),
        ["computer", "api", "json"] => shared.computers_document(&state, now),
        ["queue", "api", "json"] => shared.queue_document(&state, now),
        ["queue", "item", id, "api", "json"] => {
            let item = id.parse().ok().and_then(|id: u64| state.items.iter().find(|item| item.id == id));
            let Some(item) = item else { return not_found() };
            shared.item_document(item, now)
        }
        ["queue", "cancelItem"] => {
            if !post {
                return post_only();
            }
            let done = value("id").and_then(|id| id.parse().ok()).is_some_and(|id| state.cancel(now, id));
            return if done { empty(StatusCode::NO_CONTENT) } else { not_found() };
        }
        ["job", FOLDER, "api", "json"] => shared.folder_document(),
        ["job", FOLDER, "job", JOB, "api", "json"] => shared.job_document(&state, now),
        ["job", FOLDER, "job", JOB, "buildWithParameters"] => {
            if !post {
                return post_only();
            }
            if state.job.build_forbidden {
                return page(StatusCode::FORBIDDEN, "se-responder is missing the Job/Build permission");
            }
            if state.job.disabled {
                return page(StatusCode::CONFLICT, "ServiceEndpointStatus is not buildable");
            }
            if state.job.without_parameter {
                return page(StatusCode::BAD_REQUEST, "ServiceEndpointStatus is not parameterized");
            }
            // A parameter that is not given takes its default, one that is not known vanishes: both without a word.
            let cluster = value("CLUSTER").unwrap_or(DEFAULT_CLUSTER).to_owned();
            let quiet = match value("delay") {
                None => shared.setup.quiet_period,
                Some(delay) => match delay.trim_end_matches("sec").trim_end_matches('s').parse() {
                    Ok(seconds) => Duration::from_secs(seconds),
                    Err(_) => return page(StatusCode::BAD_REQUEST, "Unparsable delay"),
                },
            };
            let (id, new) = state.enqueue(now, &shared.setup, &cluster, &shared.setup.user, quiet);
            return queued(shared, id, new);
        }
        ["job", FOLDER, "job", JOB, number, rest @ ..] => {
            let Ok(number) = number.parse::<u64>() else { return not_found() };
            if rest == ["stop"] {
                if !post {
                    return post_only();
                }
                let url = format!("{}{number}/", shared.job_url());
                return if state.stop(now, number) { redirect(StatusCode::FOUND, &url) } else { not_found() };
            }
            let Some(build) = state.builds.iter().find(|build| build.number == number) else { return not_found() };
            match rest {
                ["api", "json"] => shared.build_document(build, now),
                ["logText", "progressiveText"] => {
                    let start = value("start").map_or(Ok(0), str::parse);
                    let Ok(start) = start else { return page(StatusCode::BAD_REQUEST, "start is no number") };
                    return log(start, build, now);
                }
                ["consoleText"] => return log(0, build, now),
                [] => {
                    let link = format!("{JOB} #{number}: <a href=\"consoleText\">console</a>");
                    return page(StatusCode::OK, &link);
                }
                _ => return not_found(),
            }
        }
        _ => return not_found(),
    };
    match prune(document, value("tree")) {
        Some(document) => json_answer(state.spelling.spell(document.to_string())),
        None => page(StatusCode::BAD_REQUEST, "the tree can't be read"),
    }
}

/// The job's page, with the menu of what this user may do with it.
fn job_page(shared: &Shared, job: &Job) -> Response<Body> {
    let path = shared.job_url();
    let path = path.strip_prefix(&format!("http://{}", shared.address)).unwrap_or_default();
    let entry = |to: &str, words: &str| format!("<a href=\"{path}{to}\" class=\"task-link \">{words}</a>");
    let mut menu = entry("", "Status") + &entry("changes", "Changes");
    if !job.build_forbidden && !job.disabled {
        menu += &entry("build?delay=0sec", "Build with Parameters");
    }
    page(StatusCode::OK, &format!("{JOB}</h1><div id=\"tasks\">{menu}</div><h1>"))
}

fn log(start: u64, build: &super::state::Build, now: jiff::Timestamp) -> Response<Body> {
    let (noise, text) = console::text(&build.plan, build.elapsed(now));
    let (size, body) = console::send_from(start, noise, &text);
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=utf-8"));
    headers.insert("x-text-size", size.into());
    if build.is_running(now) {
        headers.insert("x-more-data", HeaderValue::from_static("true"));
    }
    response
}

fn authenticate(shared: &Shared, request: &Parts) -> Result<(), Box<Response<Body>>> {
    let Some(given) = request.headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()) else {
        return Err(Box::new(page(
            StatusCode::FORBIDDEN,
            "Authentication required: anonymous is missing Overall/Read",
        )));
    };
    if given == format!("Basic {}", base64(&format!("{}:{}", shared.setup.user, shared.setup.token))) {
        return Ok(());
    }
    let mut refusal = page(StatusCode::UNAUTHORIZED, "Invalid password/token for user");
    refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Jenkins\""));
    Err(Box::new(refusal))
}

fn queued(shared: &Shared, id: u64, new: bool) -> Response<Body> {
    let location = match shared.setup.location {
        Location::Right => format!("{}queue/item/{id}/", shared.root()),
        Location::WrongHost => format!("https://jenkins.internal.invalid:8443/queue/item/{id}/"),
        Location::Malformed => "https://proxy.invalid/".into(),
    };
    let status = if new || shared.setup.old_core { StatusCode::CREATED } else { StatusCode::SEE_OTHER };
    redirect(status, &location)
}

/// The answers of a bad day; `None` for what goes wrong below HTTP.
pub(super) fn answer_fault(fault: Fault) -> Option<Response<Body>> {
    Some(match fault {
        Fault::BadRequest => page(StatusCode::BAD_REQUEST, "ServiceEndpointStatus is not parameterized"),
        Fault::Unauthorized => page(StatusCode::UNAUTHORIZED, "Invalid password/token for user: se-responder"),
        Fault::Forbidden => page(StatusCode::FORBIDDEN, "se-responder is missing the Job/Build permission"),
        Fault::NotFound => not_found(),
        Fault::Conflict => page(StatusCode::CONFLICT, "ServiceEndpointStatus is not buildable"),
        Fault::SentBack => redirect(StatusCode::FOUND, "."),
        Fault::SentToSignIn => redirect(StatusCode::FOUND, "https://sso.invalid/login?from=jenkins"),
        Fault::SignInPage => page(StatusCode::OK, "Sign in [Jenkins]"),
        Fault::NotParameterized => {
            page(StatusCode::INTERNAL_SERVER_ERROR, "java.lang.IllegalStateException: This build is not parameterized!")
        }
        Fault::InternalError => page(StatusCode::INTERNAL_SERVER_ERROR, "Oops! A problem occurred"),
        Fault::Unavailable(wait) => {
            let mut response = page(StatusCode::SERVICE_UNAVAILABLE, "Please wait while Jenkins is getting ready");
            response.headers_mut().insert(RETRY_AFTER, wait.as_secs().into());
            response
        }
        Fault::TooManyRequests(wait) => {
            let mut response = page(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
            if let Some(wait) = wait {
                response.headers_mut().insert(RETRY_AFTER, wait.as_secs().into());
            }
            response
        }
        Fault::WrongJson => {
            json_answer(serde_json::json!({"number": "one", "builds": 7, "items": {}}).to_string().into_bytes())
        }
        Fault::Hang
        | Fault::Reset
        | Fault::LostAnswer
        | Fault::Late(_)
        | Fault::DoneThenUnavailable
        | Fault::HalfAnswer
        | Fault::OddEntries => {
            return None;
        }
    })
}

fn json_answer(document: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    let json = HeaderValue::from_static("application/json;charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn page(status: StatusCode, text: &str) -> Response<Body> {
    let page = format!("<html><head><title>Jenkins</title></head><body><h1>{text}</h1></body></html>");
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = status;
    let html = HeaderValue::from_static("text/html;charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    response.headers_mut().insert("x-error", status.as_u16().into());
    response
}

fn not_found() -> Response<Body> {
    page(StatusCode::NOT_FOUND, "Not Found")
}

fn post_only() -> Response<Body> {
    let mut response = page(StatusCode::METHOD_NOT_ALLOWED, "Form post required");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn redirect(status: StatusCode, location: &str) -> Response<Body> {
    let mut response = empty(status);
    response.headers_mut().insert(LOCATION, HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static(".")));
    response
}

/// What Basic puts its user and password in. A dozen lines, for the one place that needs it.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|n| chunk.get(n).copied().unwrap_or_default());
        let bits = u32::from_be_bytes([0, a, b, c]);
        for n in 0..4 {
            let sextet = (bits >> (18 - 6 * n)) & 63;
            let padding = n > chunk.len();
            encoded.push(if padding { '=' } else { char::from(ALPHABET[sextet as usize]) });
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn basic_encoding() {
        // RFC 4648, section 10.
        for (text, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")]
        {
            assert_eq!(base64(text), encoded);
        }
    }
}
