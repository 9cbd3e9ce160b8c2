//! What every request passes: an id, a time limit, a line in the log, and headers that no answer lacks.

use axum::{
    body::{Body, to_bytes},
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use circles_protocol::{Code, Problem};
use tokio::time::{Instant, timeout};
use tracing::Instrument;
use uuid::Uuid;

use super::problem::{PROBLEM_JSON, code_of};
use crate::{failure::Failure, limits::REQUEST_TIME_MAX, metrics};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Largest problem that is read back to be completed: they are some hundred bytes.
const PROBLEM_BYTES_MAX: usize = 64 * 1024;

/// Runs a request and completes its answer.
pub async fn finish(request: Request, next: Next) -> Response {
    let id = Uuid::now_v7().to_string();
    let method = request.method().clone();
    // The route and not the path: ids are of no use in a log, and a browser may put a code where it does not belong.
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    // Displayed: as strings they would be written character by character, with quotes around them.
    let span = tracing::info_span!("request", %id, %method, %route);
    let begun = Instant::now();
    async move {
        let response = timeout(REQUEST_TIME_MAX, next.run(request))
            .await
            .unwrap_or_else(|_| Failure::new(Code::StoreUnavailable, "the request took too long").into_response());
        let mut response = complete(response, &id).await;
        let status = response.status();
        metrics::request(&route, status.as_u16(), begun.elapsed().as_secs_f64());
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), took_ms, "answered");
        } else {
            tracing::debug!(status = status.as_u16(), took_ms, "answered");
        }
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, HeaderValue::from_str(&id).expect("a UUID is a header value"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    }
    .instrument(span)
    .await
}

/// Turns the router's bare errors into problems, and names the request in all of them.
async fn complete(response: Response, id: &str) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|it| it == PROBLEM_JSON);
    let allow = response.headers().get(header::ALLOW).cloned();
    let response = if is_problem { response } else { Failure::of(code_of(status)).into_response() };
    let (mut parts, body) = response.into_parts();
    let problem = to_bytes(body, PROBLEM_BYTES_MAX).await.ok();
    let Some(mut problem) = problem.and_then(|it| serde_json::from_slice::<Problem>(&it).ok()) else {
        return (parts, Body::empty()).into_response();
    };
    problem.request_id = Some(id.to_owned());
    parts.headers.remove(header::CONTENT_LENGTH);
    if let Some(allow) = allow {
        parts.headers.insert(header::ALLOW, allow);
    }
    let body = serde_json::to_vec(&problem).expect("a problem serialises");
    Response::from_parts(parts, Body::from(body))
}
