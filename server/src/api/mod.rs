//! The HTTP edge: handlers that only translate, a file for each noun of `docs/protocol.md`.

// What `utoipa::path` expands to names its types in full.
#![allow(unused_qualifications)]

mod auth;
mod changes;
mod circles;
mod devices;
mod drafts;
mod edge;
mod ephemeral;
mod extract;
mod health;
mod invites;
mod me;
mod members;
mod messages;
mod mutes;
mod people;
mod problem;
mod stream;

use axum::{Router, extract::DefaultBodyLimit, middleware};
use circles_protocol::limits::BODY_BYTES_MAX;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

pub use auth::Tokens;

use crate::{relay::Relay, ui};

/// What the document says of the whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Circles relay",
        description = "Group chat for a campus. Errors are application/problem+json (RFC 9457) with a stable `code`. \
            Authentication: `Authorization: Bearer <token>`, or the cookie `circles_token` that `POST /v1/join` sets."
    ),
    components(schemas(
        circles_protocol::Change,
        circles_protocol::Problem,
        circles_protocol::event::Hello,
        circles_protocol::event::Gap,
        circles_protocol::event::Ping,
        circles_protocol::event::Bye,
        circles_protocol::event::Reset,
        circles_protocol::event::Typing,
        circles_protocol::event::Presence
    ))
)]
struct Document;

fn routes() -> OpenApiRouter<Relay> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(invites::preview))
        .routes(routes!(invites::join))
        .routes(routes!(invites::list, invites::create))
        .routes(routes!(invites::revoke))
        .routes(routes!(me::get, me::edit))
        .routes(routes!(devices::list))
        .routes(routes!(devices::revoke))
        .routes(routes!(circles::list, circles::create))
        .routes(routes!(circles::get, circles::edit))
        .routes(routes!(members::join))
        .routes(routes!(members::leave))
        .routes(routes!(members::list, members::add))
        .routes(routes!(members::edit, members::remove))
        .routes(routes!(members::mark_read))
        .routes(routes!(mutes::set))
        .routes(routes!(drafts::set))
        .routes(routes!(ephemeral::typing))
        .routes(routes!(ephemeral::presence))
        .routes(routes!(messages::page, messages::post))
        .routes(routes!(messages::get, messages::edit, messages::delete))
        .routes(routes!(messages::react))
        .routes(routes!(people::list))
        .routes(routes!(changes::page))
        .routes(routes!(stream::open))
}

/// All that a relay answers.
pub fn router(relay: Relay) -> Router {
    let (api, document) = routes().split_for_parts();
    api.merge(SwaggerUi::new("/docs").url("/openapi.json", document))
        .fallback(ui::serve)
        // One layer of the router, which puts each in a box of its own.
        .layer(
            ServiceBuilder::new()
                .layer(middleware::from_fn(edge::finish))
                .layer(CatchPanicLayer::custom(problem::panicked))
                .layer(DefaultBodyLimit::max(BODY_BYTES_MAX)),
        )
        .with_state(relay)
}

#[cfg(test)]
mod tests {
    /// Each route of the API is one line of [`super::routes`], which describes it too; so what is left to check is that
    /// the description has them all, with the methods that they answer.
    #[test]
    fn every_route_is_in_the_document() {
        let document = serde_json::to_value(super::routes().into_openapi()).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        let mut routes: Vec<String> = paths
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().expect("methods").keys().map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        routes.sort();
        let mut promised: Vec<&str> = include_str!("routes.txt").lines().collect();
        promised.sort_unstable();
        assert_eq!(routes, promised);
    }
}
