//! Oneself.

use axum::{Json, extract::State};
use circles_protocol::{
    Cursor, Person, Problem,
    api::{EditProfile, Me},
};

use super::{auth::Auth, circles::state_of, extract::Valid};
use crate::{
    access,
    failure::Failure,
    relay::Relay,
    store::{campus, memberships},
    write,
};

/// All that a client without a cache needs to begin.
#[utoipa::path(get, path = "/v1/me", tag = "me",
    responses((status = 200, body = Me), (status = "default", body = Problem)))]
pub async fn get(State(relay): State<Relay>, Auth(who): Auth) -> Result<Json<Me>, Failure> {
    let ((campus_id, campus_name), epoch) = (relay.campus(), relay.epoch());
    let me = relay.store().read(move |conn| {
        let person = who.check(conn)?;
        let mut circles = Vec::new();
        for id in memberships::circles_of(conn, person.id)? {
            circles.push(state_of(conn, access::seen(conn, id, person.id)?, &person)?);
        }
        circles.sort_by(|a, b| (&a.circle.name, a.circle.id).cmp(&(&b.circle.name, b.circle.id)));
        let cursor = Cursor { epoch, pos: campus::head(conn)? };
        Ok::<_, Failure>(Me { campus_id, campus_name, cursor, person, device_id: who.device, circles })
    });
    Ok(Json(me.await?))
}

/// Change the profile.
#[utoipa::path(patch, path = "/v1/me", tag = "me", request_body = EditProfile,
    responses((status = 200, body = Person), (status = "default", body = Problem)))]
pub async fn edit(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Valid(request): Valid<EditProfile>,
) -> Result<Json<Person>, Failure> {
    let edited = relay.writer().run_as(who, move |tx, person| write::people::edit(tx, person, &request));
    Ok(Json(edited.await?))
}
