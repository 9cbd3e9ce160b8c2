//! Whether the relay lives, and whether it can serve.

use axum::extract::State;
use circles_protocol::{Code, Problem};

use crate::{failure::Failure, relay::Relay, store::campus};

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = String)))]
pub async fn healthz() -> &'static str {
    "ok"
}

/// The database answers, and the relay is not stopping.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, body = String), (status = 503, body = Problem)))]
pub async fn readyz(State(relay): State<Relay>) -> Result<&'static str, Failure> {
    if relay.is_stopping() {
        return Err(Failure::of(Code::ShuttingDown));
    }
    relay.store().read(|conn| Ok::<_, Failure>(campus::head(conn)?)).await?;
    Ok("ready")
}
