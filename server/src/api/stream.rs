//! The stream's edge: its cursor and its headers.

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use circles_protocol::{Code, Cursor, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{auth::Auth, extract::Params};
use crate::{
    failure::Failure,
    relay::Relay,
    stream::{self, Handover},
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Where to begin.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct From {
    /// The cursor, for a reader that cannot set the header `Last-Event-ID`; the header wins.
    last_event_id: Option<String>,
}

/// Server-sent events: `hello`, then `change`, `ping`, `gap`, `reset` and `bye`, each with the cursor as its id; and
/// `typing` and `presence`, which have none.
#[utoipa::path(get, path = "/v1/stream", tag = "stream",
    params(From, ("Last-Event-ID" = Option<String>, Header, description = "The cursor of the last event received.")),
    responses((status = 200, body = String, content_type = "text/event-stream"), (status = "default", body = Problem)))]
pub async fn open(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Params(from): Params<From>,
    headers: HeaderMap,
    handover: Option<Extension<Handover>>,
) -> Result<Response, Failure> {
    if relay.is_stopping() {
        return Err(Failure::of(Code::ShuttingDown));
    }
    // A browser that connects again repeats the URL, and its header is the newer.
    let header = headers.get(LAST_EVENT_ID).map(|it| it.to_str().unwrap_or("?").to_owned());
    let cursor = header.or(from.last_event_id).filter(|it| !it.is_empty());
    let cursor = cursor.map(|it| it.parse::<Cursor>()).transpose();
    let cursor = cursor.map_err(|error| Failure::parameter(error.to_string()))?;
    let live = stream::open(relay, who, cursor).await?;
    let mut response = match handover {
        Some(Extension(handover)) => {
            handover.give(live);
            Response::default()
        }
        None => live.into_body().into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}
