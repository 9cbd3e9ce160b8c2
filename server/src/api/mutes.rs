//! Which circles one muted.

use axum::{Json as Answer, extract::State};
use circles_protocol::{CircleId, Mute, Problem, api::SetMute};

use super::{
    auth::Auth,
    extract::{Json, Path},
};
use crate::{failure::Failure, relay::Relay, write};

/// Mute a circle, or no longer.
#[utoipa::path(put, path = "/v1/circles/{id}/mute", tag = "members", params(("id" = CircleId, Path)),
    request_body = SetMute, responses((status = 200, body = Mute), (status = "default", body = Problem)))]
pub async fn set(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<CircleId>,
    Json(request): Json<SetMute>,
) -> Result<Answer<Mute>, Failure> {
    let set = relay.writer().run_as(who, move |tx, person| write::mutes::set(tx, person, id, &request));
    Ok(Answer(set.await?))
}
