//! Parsing at the edge, once: bodies, queries and paths that do not fit are refused with their code.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, StatusCode, header},
};
use circles_protocol::Code;
use garde::Validate;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// Query parameters.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Failure))]
pub struct Params<T>(pub T);

/// Ids in the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Failure))]
pub struct Path<T>(pub T);

/// A JSON body.
pub struct Json<T>(pub T);

/// A JSON body whose fields are within bounds.
pub struct Valid<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        if !is_json(request.headers()) {
            return Err(Failure::of(Code::UnsupportedMediaType));
        }
        let body = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Failure::of(Code::TooLarge)
            } else {
                Failure::new(Code::InvalidBody, rejection.body_text())
            }
        })?;
        serde_json::from_slice(&body).map(Self).map_err(|error| Failure::new(Code::InvalidBody, error.to_string()))
    }
}

impl<T: DeserializeOwned + Validate<Context = ()>, S: Send + Sync> FromRequest<S> for Valid<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let Json(value) = Json::<T>::from_request(request, state).await?;
        match value.validate() {
            Ok(()) => Ok(Self(value)),
            Err(report) => Err(Failure::new(Code::InvalidBody, report.to_string().trim().to_owned())),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// A page's limit: the default if none is asked for, between 1 and the maximum.
pub fn limit(asked: Option<u32>, default: u32, max: u32) -> Result<u32, Failure> {
    match asked.unwrap_or(default) {
        limit if (1..=max).contains(&limit) => Ok(limit),
        _ => Err(Failure::parameter(format!("limit is 1 to {max}"))),
    }
}
