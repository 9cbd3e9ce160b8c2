//! Members of circles, and how far one has read.

use axum::{Json as Answer, extract::State, http::StatusCode};
use circles_protocol::{
    CircleId, PersonId, Problem, ReadMarker,
    api::{AddMember, CircleState, EditMember, MarkRead, Member, Members},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    auth::Auth,
    circles::state_after,
    extract::{Json, Params, Path, limit},
};
use crate::{
    access,
    failure::Failure,
    limits::PEOPLE_PAGE_MAX,
    relay::Relay,
    store::{memberships, people},
    write,
};

/// Which page of persons.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PersonsAfter {
    /// Those after this one.
    pub after: Option<PersonId>,
    /// How many at most, 1 to 1,000.
    pub limit: Option<u32>,
}

/// Enter an open circle.
#[utoipa::path(post, path = "/v1/circles/{id}/join", tag = "members", params(("id" = CircleId, Path)),
    responses((status = 200, body = CircleState), (status = "default", body = Problem)))]
pub async fn join(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<CircleId>,
) -> Result<Answer<CircleState>, Failure> {
    let joined = relay.writer().run_as(who, move |tx, person| {
        write::members::join(tx, person, id)?;
        state_after(tx.conn(), id, person)
    });
    Ok(Answer(joined.await?))
}

/// Leave a circle.
#[utoipa::path(post, path = "/v1/circles/{id}/leave", tag = "members", params(("id" = CircleId, Path)),
    responses((status = 200, body = CircleState), (status = "default", body = Problem)))]
pub async fn leave(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<CircleId>,
) -> Result<Answer<CircleState>, Failure> {
    let left = relay.writer().run_as(who, move |tx, person| {
        write::members::leave(tx, person, id)?;
        state_after(tx.conn(), id, person)
    });
    Ok(Answer(left.await?))
}

/// Who is in.
#[utoipa::path(get, path = "/v1/circles/{id}/members", tag = "members", params(("id" = CircleId, Path), PersonsAfter),
    responses((status = 200, body = Members), (status = "default", body = Problem)))]
pub async fn list(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<CircleId>,
    Params(page): Params<PersonsAfter>,
) -> Result<Answer<Members>, Failure> {
    let limit = limit(page.limit, PEOPLE_PAGE_MAX, PEOPLE_PAGE_MAX)?;
    let listed = relay.store().read(move |conn| {
        access::member(conn, id, &who.check(conn)?)?;
        let mut members = Vec::new();
        for membership in memberships::page(conn, id, page.after, limit)? {
            let person = people::get(conn, membership.person_id)?.ok_or_else(Failure::not_found)?;
            members.push(Member { person, membership });
        }
        let full = members.len() == limit as usize;
        let next = members.last().filter(|_| full).map(|it| it.person.id);
        Ok::<_, Failure>(Members { members, next })
    });
    Ok(Answer(listed.await?))
}

/// Bring a person of the campus in.
#[utoipa::path(post, path = "/v1/circles/{id}/members", tag = "members", params(("id" = CircleId, Path)),
    request_body = AddMember, responses((status = 200, body = CircleState), (status = "default", body = Problem)))]
pub async fn add(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<CircleId>,
    Json(request): Json<AddMember>,
) -> Result<Answer<CircleState>, Failure> {
    let added = relay.writer().run_as(who, move |tx, person| {
        write::members::add(tx, person, id, request.person_id)?;
        state_after(tx.conn(), id, person)
    });
    Ok(Answer(added.await?))
}

/// Change a member's role.
#[utoipa::path(patch, path = "/v1/circles/{id}/members/{person}", tag = "members",
    params(("id" = CircleId, Path), ("person" = PersonId, Path)), request_body = EditMember,
    responses((status = 200, body = Member), (status = "default", body = Problem)))]
pub async fn edit(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path((id, other)): Path<(CircleId, PersonId)>,
    Json(request): Json<EditMember>,
) -> Result<Answer<Member>, Failure> {
    let edited =
        relay.writer().run_as(who, move |tx, person| write::members::set_role(tx, person, id, other, request.role));
    Ok(Answer(edited.await?))
}

/// Remove a member.
#[utoipa::path(delete, path = "/v1/circles/{id}/members/{person}", tag = "members",
    params(("id" = CircleId, Path), ("person" = PersonId, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn remove(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path((id, other)): Path<(CircleId, PersonId)>,
) -> Result<StatusCode, Failure> {
    relay.writer().run_as(who, move |tx, person| write::members::remove(tx, person, id, other)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Read up to a message.
#[utoipa::path(put, path = "/v1/circles/{id}/read", tag = "members", params(("id" = CircleId, Path)),
    request_body = MarkRead, responses((status = 200, body = ReadMarker), (status = "default", body = Problem)))]
pub async fn mark_read(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<CircleId>,
    Json(request): Json<MarkRead>,
) -> Result<Answer<ReadMarker>, Failure> {
    let marked = relay.writer().run_as(who, move |tx, person| write::members::mark_read(tx, person, id, request.seq));
    Ok(Answer(marked.await?))
}
