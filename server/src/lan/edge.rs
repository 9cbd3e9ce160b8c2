//! What the network's door lets through beside the API: nothing, unless guests with browsers are welcome.

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::failure::Failure;

/// Answers the app, and a browser only if `guests`. A page under a certificate that no browser knows asks people to click
/// through a warning: nobody should meet it who was not told what it means (docs/decisions.md).
pub async fn guard(State(guests): State<bool>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !guests && !path.starts_with("/v1/") && path != "/healthz" && path != "/readyz" {
        return Failure::not_found().into_response();
    }
    let mut response = next.run(request).await;
    // This connection is TLS, which what is below does not know.
    if let Some(cookie) = response.headers().get(header::SET_COOKIE).and_then(|it| it.to_str().ok()) {
        let secure = HeaderValue::from_str(&format!("{cookie}; Secure")).expect("a header value and a word");
        response.headers_mut().insert(header::SET_COOKIE, secure);
    }
    response
}
