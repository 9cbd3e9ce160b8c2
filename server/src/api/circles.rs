//! Circles.

use axum::{Json, extract::State, http::StatusCode};
use circles_protocol::{
    CircleId, Person, Problem, Scope, Seq,
    api::{CircleState, Circles, CreateCircle, EditCircle},
};

use super::{
    auth::Auth,
    extract::{Path, Valid},
};
use crate::{
    access::{self, Seen},
    failure::Failure,
    relay::Relay,
    store::{circles, drafts, log, memberships, messages, mutes, people, read_markers, session::Session},
    write,
};

/// The open circles, and one's private ones.
#[utoipa::path(get, path = "/v1/circles", tag = "circles",
    responses((status = 200, body = Circles), (status = "default", body = Problem)))]
pub async fn list(State(relay): State<Relay>, Auth(who): Auth) -> Result<Json<Circles>, Failure> {
    let listed = relay.store().read(move |conn| {
        let person = who.check(conn)?;
        let mut states = Vec::new();
        for stored in circles::seen_by(conn, person.id)? {
            let membership = memberships::get(conn, stored.circle.id, person.id)?;
            states.push(state_of(conn, Seen { stored, membership }, &person)?);
        }
        Ok::<_, Failure>(Circles { circles: states })
    });
    Ok(Json(listed.await?))
}

/// Create a circle.
#[utoipa::path(post, path = "/v1/circles", tag = "circles", request_body = CreateCircle,
    responses((status = 201, body = CircleState), (status = "default", body = Problem)))]
pub async fn create(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Valid(request): Valid<CreateCircle>,
) -> Result<(StatusCode, Json<CircleState>), Failure> {
    let created = relay.writer().run_as(who, move |tx, person| {
        write::circles::create(tx, person, &request)?;
        state_after(tx.conn(), request.id, person)
    });
    Ok((StatusCode::CREATED, Json(created.await?)))
}

/// One circle.
#[utoipa::path(get, path = "/v1/circles/{id}", tag = "circles", params(("id" = CircleId, Path)),
    responses((status = 200, body = CircleState), (status = "default", body = Problem)))]
pub async fn get(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<CircleId>,
) -> Result<Json<CircleState>, Failure> {
    let state = relay.store().read(move |conn| {
        let person = who.check(conn)?;
        state_of(conn, access::seen(conn, id, person.id)?, &person)
    });
    Ok(Json(state.await?))
}

/// Change name and topic.
#[utoipa::path(patch, path = "/v1/circles/{id}", tag = "circles", params(("id" = CircleId, Path)),
    request_body = EditCircle, responses((status = 200, body = CircleState), (status = "default", body = Problem)))]
pub async fn edit(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<CircleId>,
    Valid(request): Valid<EditCircle>,
) -> Result<Json<CircleState>, Failure> {
    let edited = relay.writer().run_as(who, move |tx, person| {
        write::circles::edit(tx, person, id, &request)?;
        state_after(tx.conn(), id, person)
    });
    Ok(Json(edited.await?))
}

/// The state to answer with after a change that the person was allowed to make, also if they are out by it.
pub fn state_after(conn: &dyn Session, id: CircleId, person: &Person) -> Result<CircleState, Failure> {
    let stored = circles::get(conn, id)?.ok_or_else(Failure::not_found)?;
    let membership = memberships::get(conn, id, person.id)?;
    state_of(conn, Seen { stored, membership }, person)
}

/// A circle as a person sees it: messages and what they keep for themselves only for members.
pub fn state_of(conn: &dyn Session, seen: Seen, person: &Person) -> Result<CircleState, Failure> {
    let (id, head_seq) = (seen.stored.circle.id, seen.stored.head_seq);
    let marker = read_markers::get(conn, id, person.id)?;
    let read_seq = marker.map_or(Seq::ZERO, |it| it.seq);
    let (mut unread, mut last, mut last_author) = (0, None, None);
    let (mut mute, mut draft) = (None, None);
    if seen.joined().is_some() {
        let own = u64::from(messages::count_own_after(conn, id, person.id, read_seq)?);
        let others = (head_seq.get() - read_seq.get()).saturating_sub(own);
        unread = u32::try_from(others).unwrap_or(u32::MAX);
        last = messages::range(conn, id, head_seq, head_seq)?.pop();
        last_author = last.as_ref().map(|it| people::get(conn, it.author_id)).transpose()?.flatten();
        mute = mutes::get(conn, id, person.id)?;
        draft = drafts::get(conn, id, person.id)?;
    }
    Ok(CircleState {
        membership: seen.membership,
        members: memberships::count(conn, id)?,
        head_pos: log::scope_head(conn, Scope::Circle(id))?,
        head_seq,
        read_seq,
        unread,
        last,
        last_author,
        mute,
        draft,
        circle: seen.stored.circle,
    })
}
