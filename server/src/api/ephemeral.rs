//! What is told in passing: who types, who is online.

use axum::{Json as Answer, extract::State, http::StatusCode};
use circles_protocol::{
    CircleId, Problem,
    api::{OnlineMembers, SetTyping},
    event::Typing,
};

use super::{
    auth::Auth,
    extract::{Json, Params, Path, limit},
    members::PersonsAfter,
};
use crate::{
    access,
    failure::Failure,
    limits::PEOPLE_PAGE_MAX,
    relay::Relay,
    store::{campus, memberships},
};

/// Say that one types in a circle, or no longer.
#[utoipa::path(post, path = "/v1/circles/{id}/typing", tag = "members", params(("id" = CircleId, Path)),
    request_body = SetTyping, responses((status = 204), (status = "default", body = Problem)))]
pub async fn typing(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<CircleId>,
    Json(request): Json<SetTyping>,
) -> Result<StatusCode, Failure> {
    relay.rates().typing(who.person)?;
    let member = relay.store().read(move |conn| {
        access::member(conn, id, &who.check(conn)?)?;
        Ok::<_, Failure>(campus::head(conn)?)
    });
    let as_of = member.await?;
    relay.ephemeral().typing(as_of, Typing { circle_id: id, person_id: who.person, on: request.on });
    Ok(StatusCode::NO_CONTENT)
}

/// Who of the members is online.
#[utoipa::path(get, path = "/v1/circles/{id}/presence", tag = "members", params(("id" = CircleId, Path), PersonsAfter),
    responses((status = 200, body = OnlineMembers), (status = "default", body = Problem)))]
pub async fn presence(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<CircleId>,
    Params(page): Params<PersonsAfter>,
) -> Result<Answer<OnlineMembers>, Failure> {
    let limit = limit(page.limit, PEOPLE_PAGE_MAX, PEOPLE_PAGE_MAX)? as usize;
    let present = relay.ephemeral().online();
    let found = relay.store().read(move |conn| {
        access::member(conn, id, &who.check(conn)?)?;
        let (mut online, mut after) = (Vec::new(), page.after);
        // Bounded by the circle's members.
        loop {
            let members = memberships::page(conn, id, after, PEOPLE_PAGE_MAX)?;
            for it in &members {
                if present.contains(&it.person_id) {
                    online.push(it.person_id);
                }
                if online.len() == limit {
                    return Ok::<_, Failure>(OnlineMembers { next: Some(it.person_id), online });
                }
            }
            after = members.last().map(|it| it.person_id);
            if members.len() < PEOPLE_PAGE_MAX as usize {
                return Ok(OnlineMembers { online, next: None });
            }
        }
    });
    Ok(Answer(found.await?))
}
