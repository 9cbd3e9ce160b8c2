//! What one began to write.

use axum::{Json, extract::State};
use circles_protocol::{CircleId, Draft, Problem, api::SetDraft};

use super::{
    auth::Auth,
    extract::{Path, Valid},
};
use crate::{failure::Failure, relay::Relay, write};

/// Keep what stands in the composer, for one's other devices.
#[utoipa::path(put, path = "/v1/circles/{id}/draft", tag = "members", params(("id" = CircleId, Path)),
    request_body = SetDraft, responses((status = 200, body = Draft), (status = "default", body = Problem)))]
pub async fn set(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<CircleId>,
    Valid(request): Valid<SetDraft>,
) -> Result<Json<Draft>, Failure> {
    let set = relay.writer().run_as(who, move |tx, person| write::drafts::set(tx, person, id, request.clone()));
    Ok(Json(set.await?))
}
