//! The persons of the campus.

use axum::{Json, extract::State};
use circles_protocol::{Problem, api::People};

use super::{
    auth::Auth,
    extract::{Params, limit},
    members::PersonsAfter,
};
use crate::{failure::Failure, limits::PEOPLE_PAGE_MAX, relay::Relay, store::people};

/// Everyone in the campus.
#[utoipa::path(get, path = "/v1/people", tag = "people", params(PersonsAfter),
    responses((status = 200, body = People), (status = "default", body = Problem)))]
pub async fn list(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Params(page): Params<PersonsAfter>,
) -> Result<Json<People>, Failure> {
    let limit = limit(page.limit, PEOPLE_PAGE_MAX, PEOPLE_PAGE_MAX)?;
    let read = relay.store().read(move |conn| {
        who.check(conn)?;
        Ok::<_, Failure>(people::page(conn, page.after, limit)?)
    });
    let listed = read.await?;
    let next = listed.last().filter(|_| listed.len() == limit as usize).map(|it| it.id);
    Ok(Json(People { people: listed, next }))
}
