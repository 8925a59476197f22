//! Asks an API server and reads its answer by our own rules: kube refuses a whole list for one text that strict JSON
//! does not allow, and believes what an error's body says of its status.

use http::{Response, header};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body as HttpBody, Bytes};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde::de::DeserializeOwned;
use tower::BoxError;

use runbook::json;

/// Sends one request; what is no success is the API server's own `Status`, or one made of what came instead.
pub(super) async fn ask<T: DeserializeOwned>(
    client: &Client,
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
) -> kube::Result<T> {
    let request = request.map_err(kube::Error::BuildRequest)?;
    let answer = client.send(request.map(Body::from)).await?;
    let refused = is_refusal(answer.status());
    let body = answer.into_body().collect().await?.to_bytes();
    if refused {
        return Err(kube::Error::Api(json::read::<Status>(&body).map_err(kube::Error::SerdeError)?.boxed()));
    }
    json::read(&body).map_err(kube::Error::SerdeError)
}

fn is_refusal(status: http::StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// Gives every answer that is no success a `Status` with the status of the answer itself: whatever stands in between may
/// answer in JSON of its own, in which there is none.
pub(super) async fn with_its_status<B>(answer: Response<B>) -> Result<Response<Either<B, Full<Bytes>>>, BoxError>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let status = answer.status();
    if !is_refusal(status) {
        return Ok(answer.map(Either::Left));
    }
    let (mut parts, body) = answer.into_parts();
    let body = body.collect().await.map_err(Into::into)?.to_bytes();
    let says_something = |said: &Status| !said.message.is_empty() || !said.reason.is_empty();
    let said = json::read::<Status>(&body)
        .ok()
        .filter(says_something)
        .unwrap_or_else(|| Status::failure(String::from_utf8_lossy(&body).trim(), "Failed to parse error data"));
    let said = serde_json::to_vec(&said.with_code(status.as_u16()))?;
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(parts, Either::Right(Full::from(said))))
}

#[cfg(test)]
mod tests {
    use tower::{ServiceExt, service_fn};

    use super::*;

    /// What becomes of an answer with this status and body: of a plain question, and where a way to a pod is asked for.
    async fn refused(status: u16, body: &'static [u8]) -> [kube::Error; 2] {
        let answer = move |_: http::Request<Body>| async move {
            let said = Full::<Bytes>::from(body);
            Response::builder().status(status).body(said).map_err(BoxError::from)
        };
        let client = Client::new(service_fn(answer).and_then(with_its_status), "default");
        let request = || http::Request::get("/x").body(Vec::new());
        let asked =
            ask::<serde_json::Value>(&client, request().map_err(kube::core::request::Error::BuildRequest)).await;
        let opened = client.connect(request().unwrap()).await;
        [asked.unwrap_err(), opened.map(drop).unwrap_err()]
    }

    #[tokio::test]
    async fn an_answer_has_its_own_status_whatever_its_body_says() {
        for (status, body, said) in [
            (410, &b"{\"kind\": \"Status\", \"message\": \"too old\", \"code\": 410}"[..], "too old"),
            (410, b"{\"kind\": \"Status\", \"reason\": \"Expired\"}", ""),
            (410, b"{}", "{}"),
            (410, b"{\"message\": \"Gone\", \"code\": 0}", "Gone"),
            (410, b"{\"message\": \"Gone\", \"code\": \"410\"}", "Gone"),
            (410, b"[]", "[]"),
            (410, b"null", "null"),
            (410, b"too old\n", "too old"),
            (410, b"", ""),
            (403, b"{\"message\": \"may not \xff\"}", "may not \u{fffd}"),
            (503, b"{\"error\": \"no upstream\"}", "no upstream"),
        ] {
            for error in refused(status, body).await {
                let kube::Error::Api(read) = error else { panic!("{error:?}") };
                assert_eq!(read.code, status, "{}", String::from_utf8_lossy(body));
                assert!(read.message.contains(said), "{}: {read:?}", String::from_utf8_lossy(body));
            }
        }
    }
}
