//! The interface in a browser, built into the binary.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use circles_protocol::Code;
use rust_embed::RustEmbed;

use crate::failure::Failure;

/// The files of `ui/dist`, or a page that says that the interface was not built (see `build.rs`).
#[derive(RustEmbed)]
#[folder = "$OUT_DIR/ui"]
struct Files;

/// What the interface may load: from its own origin, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Every path that is not of the API: a file, or the page that makes sense of the path itself.
pub async fn serve(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    if path == "v1" || path.starts_with("v1/") {
        return Failure::new(Code::NotFound, "there is no such route").into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Failure::of(Code::MethodNotAllowed).into_response();
    }
    match Files::get(path) {
        Some(file) => respond(path, file),
        None if path.starts_with("assets/") => Failure::not_found().into_response(),
        None => Files::get("index.html")
            .map_or_else(|| Failure::not_found().into_response(), |file| respond("index.html", file)),
    }
}

fn respond(path: &str, file: rust_embed::EmbeddedFile) -> Response {
    // The names of assets carry a hash of their content.
    let hashed = path.starts_with("assets/");
    let cache = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mime =
        HeaderValue::from_str(file.metadata.mimetype()).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let mut response = (StatusCode::OK, Body::from(file.data.into_owned())).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, mime);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
