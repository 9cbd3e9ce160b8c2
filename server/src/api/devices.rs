//! The devices of a person.

use axum::{Json, extract::State, http::StatusCode};
use circles_protocol::{
    DeviceId, Problem,
    api::{Device, Devices},
};

use super::{auth::Auth, extract::Path};
use crate::{failure::Failure, relay::Relay, store::devices, write};

/// One's devices.
#[utoipa::path(get, path = "/v1/devices", tag = "devices",
    responses((status = 200, body = Devices), (status = "default", body = Problem)))]
pub async fn list(State(relay): State<Relay>, Auth(who): Auth) -> Result<Json<Devices>, Failure> {
    let listed = relay.store().read(move |conn| {
        who.check(conn)?;
        Ok::<_, Failure>(devices::of_person(conn, who.person)?)
    });
    let told = listed.await?.into_iter().map(|it| Device {
        id: it.id,
        name: it.name,
        created_at: it.created_at,
        last_seen_at: it.last_seen_at,
        this: it.id == who.device,
    });
    Ok(Json(Devices { devices: told.collect() }))
}

/// Revoke a device: its streams end, its token is refused.
#[utoipa::path(delete, path = "/v1/devices/{id}", tag = "devices", params(("id" = DeviceId, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn revoke(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<DeviceId>,
) -> Result<StatusCode, Failure> {
    relay.writer().run_as(who, move |tx, person| write::devices::revoke(tx, person, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
