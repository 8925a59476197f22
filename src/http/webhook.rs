//! `POST /webhooks/pagerduty`: an unverified webhook can't be expressed past [`Signed`].

use std::error::Error as _;
use std::time::Duration;

use axum::Json;
use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::LengthLimitError;
use serde::Serialize;
use sha2::Sha256;
use utoipa::ToSchema;

use super::{App, Problem};
use crate::config::secrets_in;
use crate::metrics::NotStored;
use crate::{inbox, metrics};
use store::EventOutcome;

/// PagerDuty never sends over 256 KiB; four times that is certainly not from there.
const MAX_BODY: usize = 1024 * 1024;
/// PagerDuty gives up after 5 s, so a body that takes longer comes from somebody else.
const BODY_TIME: Duration = Duration::from_secs(10);

/// PagerDuty gives up after 5 s, and should hear the 503 before. What was stored after all is a duplicate then.
const STORE_TIME: Duration = Duration::from_secs(4);

/// A webhook's bytes, signed by one of our secrets.
#[derive(Debug)]
pub(super) struct Signed(Bytes);

impl FromRequest<App> for Signed {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let signed = Self::checked(request, app).await;
        if let Err(problem) = &signed {
            metrics::webhook_refused(match problem.status() {
                StatusCode::FORBIDDEN => NotStored::RefusedSignature,
                StatusCode::BAD_REQUEST => NotStored::RefusedMalformed,
                StatusCode::PAYLOAD_TOO_LARGE => NotStored::RefusedSize,
                _ => NotStored::Unavailable,
            });
        }
        signed
    }
}

impl Signed {
    /// Reads it, and holds it against its signatures.
    async fn checked(request: Request, app: &App) -> Result<Self, Problem> {
        let signatures = signatures(request.headers())?;
        let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 1 MiB");
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > MAX_BODY) {
            return Err(too_large());
        }
        let body = tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), MAX_BODY))
            .await
            // Not a 4xx: it may be authentic, and PagerDuty sends it again after a 503 only.
            .map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the body did not come in time"))?
            .map_err(|e| match e.source().is_some_and(<dyn std::error::Error>::is::<LengthLimitError>) {
                true => too_large(),
                false => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the body was cut off"),
            })?;
        let secrets = app.config.webhook_secrets.reveal().map_err(|e| {
            tracing::error!(error = %e, "webhooks can't be checked: PAGERDUTY_WEBHOOK_SECRETS_FILE can't be read");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "signatures can't be checked now")
        })?;
        if secrets_in(&secrets).next().is_none() {
            tracing::error!("webhooks can't be checked: PAGERDUTY_WEBHOOK_SECRETS_FILE holds no secret");
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "signatures can't be checked now"));
        }
        if is_signed(&secrets, &body, &signatures.good) {
            return Ok(Self(body));
        }
        app.refusals.add();
        // After three refusals PagerDuty disables the subscription for a day: this must not go unseen.
        tracing::error!(
            bytes = body.len(),
            "a webhook was refused: no signature of it matches PAGERDUTY_WEBHOOK_SECRETS; after three of these \
             PagerDuty disables the subscription, so if PagerDuty sent it, set the subscription's secret"
        );
        Err(if signatures.malformed {
            Problem::new(StatusCode::BAD_REQUEST, "X-PagerDuty-Signature is malformed: v1=<hex>[,v1=<hex>…]")
        } else {
            Problem::new(StatusCode::FORBIDDEN, "no signature matches")
        })
    }
}

struct Signatures {
    good: Vec<Vec<u8>>,
    malformed: bool,
}

/// The `v1` signatures; other versions are ignored.
fn signatures(headers: &HeaderMap) -> Result<Signatures, Problem> {
    let mut found = Signatures { good: Vec::new(), malformed: false };
    let mut any = false;
    for value in headers.get_all("x-pagerduty-signature") {
        for entry in value.to_str().unwrap_or("?").split(',').map(str::trim) {
            any |= !entry.is_empty();
            match entry.split_once('=') {
                Some(("v1", signature)) => match hex::decode(signature) {
                    // Of another length it just does not match.
                    Ok(bytes) if !bytes.is_empty() => found.good.push(bytes),
                    _ => found.malformed = true,
                },
                Some((version, _)) if version.starts_with('v') => {}
                _ => found.malformed = true,
            }
        }
    }
    if any {
        return Ok(found);
    }
    tracing::warn!("a webhook was refused: it has no X-PagerDuty-Signature");
    Err(Problem::new(StatusCode::BAD_REQUEST, "X-PagerDuty-Signature is missing"))
}

/// Whether any of the comma-separated secrets made any of the signatures; compared in constant time.
fn is_signed(secrets: &str, body: &[u8], signatures: &[Vec<u8>]) -> bool {
    secrets_in(secrets).any(|secret| {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
        mac.update(body);
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    })
}

/// What became of a webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"status": "accepted"})))]
pub(super) struct Received {
    status: EventOutcome,
}

/// Takes a PagerDuty v3 webhook.
///
/// It is on disk before it is answered. Anything authentic is a 202, even what can't be read.
#[utoipa::path(post, path = "/webhooks/pagerduty", operation_id = "receive_webhook", tag = "webhooks",
    request_body(content = serde_json::Value, description = "A v3 webhook payload as PagerDuty sends it"),
    params(("X-PagerDuty-Signature" = String, Header, pattern = "^v1=[0-9a-f]{64}(, *v1=[0-9a-f]{64})*$", description =
        "v1=<hex>[,v1=<hex>…]: HMAC-SHA256 of the raw body by any of PAGERDUTY_WEBHOOK_SECRETS")),
    responses(
    (status = 202, description = "It is stored", body = Received),
    (status = 400, response = super::answers::BadRequest),
    (status = 403, description = "No signature matches", body = super::ProblemDetails,
        content_type = "application/problem+json"),
    (status = 413, response = super::answers::TooLarge),
    (status = 503, response = super::answers::Unavailable),
))]
pub(super) async fn receive(
    State(app): State<App>,
    Signed(body): Signed,
) -> Result<(StatusCode, Json<Received>), Problem> {
    let stored = tokio::time::timeout(STORE_TIME, inbox::accept(&app.store, &app.config, &body)).await;
    let stored = match stored {
        Ok(stored) => stored.map_err(Problem::from),
        Err(_) => {
            tracing::error!(
                within_s = STORE_TIME.as_secs(),
                "a webhook could not be stored in time: the database is slow"
            );
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "it could not be stored in time: send it again soon"))
        }
    };
    let status = stored.inspect_err(|_| metrics::webhook_refused(NotStored::Unavailable))?.outcome();
    metrics::webhook(status);
    Ok((StatusCode::ACCEPTED, Json(Received { status })))
}
