//! What the network's door lets through beside the API: nothing, unless guests with browsers are welcome.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};

use crate::failure::Failure;

/// What a browser shows of it, in words for whoever holds the phone.
const NO_GUESTS: &str = include_str!("no-guests.html");

/// What the page may do: nothing, and look as it does.
const NO_GUESTS_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");

/// Answers the app, and a browser only if `guests`. A page under a certificate that no browser knows asks people to click
/// through a warning: nobody should meet it who was not told what it means (docs/decisions.md).
pub async fn guard(State(guests): State<bool>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !guests && !path.starts_with("/v1/") && path != "/healthz" && path != "/readyz" {
        return turned_away(request.headers());
    }
    let mut response = next.run(request).await;
    // This connection is TLS, which what is below does not know.
    if let Some(cookie) = response.headers().get(header::SET_COOKIE).and_then(|it| it.to_str().ok()) {
        let secure = HeaderValue::from_str(&format!("{cookie}; Secure")).expect("a header value and a word");
        response.headers_mut().insert(header::SET_COOKIE, secure);
    }
    response
}

fn turned_away(headers: &HeaderMap) -> Response {
    let of_browser =
        headers.get(header::ACCEPT).and_then(|it| it.to_str().ok()).is_some_and(|it| it.contains("text/html"));
    if of_browser {
        let policy = [(header::CONTENT_SECURITY_POLICY, NO_GUESTS_POLICY)];
        (StatusCode::NOT_FOUND, policy, Html(NO_GUESTS)).into_response()
    } else {
        Failure::not_found().into_response()
    }
}
