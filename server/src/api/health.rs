//! Whether the relay lives, and whether it can serve.

use axum::extract::State;
use circles_protocol::{Code, Problem};

use crate::{failure::Failure, relay::Relay, store::campus};

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = String)))]
pub async fn healthz() -> &'static str {
    "ok"
}

/// The database takes what is written, and the relay is not stopping. A full disk is none to send people to.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, body = String), (status = 503, body = Problem)))]
pub async fn readyz(State(relay): State<Relay>) -> Result<&'static str, Failure> {
    if relay.is_leaving() {
        return Err(Failure::of(Code::ShuttingDown));
    }
    if relay.writer().is_full() {
        return Err(Failure::of(Code::StorageFull));
    }
    relay.writer().run(|tx| Ok(campus::touch(tx.conn())?)).await?;
    Ok("ready")
}
