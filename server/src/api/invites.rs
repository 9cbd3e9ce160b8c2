//! Invites, and joining by one.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{AppendHeaders, IntoResponse},
};
use circles_protocol::{
    InviteId, Problem, Role,
    api::{CreateInvite, Invite, InvitePreview, Invites, Join, Joined, PreviewInvite},
};

use super::{
    auth::{Address, Auth, set_cookie},
    extract::{Path, Valid},
};
use crate::{
    clock,
    failure::Failure,
    limits::INVITES_LISTED_MAX,
    relay::Relay,
    secret::invite_code,
    store::{circles, invites, invites::StoredInvite, people},
    write,
};

/// What an invite leads to.
#[utoipa::path(post, path = "/v1/invites/preview", tag = "invites", request_body = PreviewInvite,
    responses((status = 200, body = InvitePreview), (status = "default", body = Problem)))]
pub async fn preview(
    State(relay): State<Relay>,
    Address(address): Address,
    Valid(request): Valid<PreviewInvite>,
) -> Result<axum::Json<InvitePreview>, Failure> {
    relay.rates().join(address)?;
    let (campus_id, campus_name) = relay.campus();
    let (of, on_lan) = (relay.campus_row().clone(), relay.on_lan().is_some());
    let preview = relay.store().read(move |conn| {
        let invite = write::join::usable(conn, &of, on_lan, &request.code, clock::now().0)?;
        let circle = invite.circle_id.map(|id| circles::get(conn, id)).transpose()?.flatten();
        let maker = invite.created_by.map(|id| people::get(conn, id)).transpose()?.flatten();
        Ok::<_, Failure>(InvitePreview {
            campus_id,
            campus_name,
            circle_name: circle.map(|it| it.circle.name),
            invited_by: maker.as_ref().map(|it| it.name.clone()),
            person: maker.filter(|_| invite.device),
        })
    });
    Ok(axum::Json(preview.await?))
}

/// Enter the campus, or add a device. Sets the cookie for browsers.
#[utoipa::path(post, path = "/v1/join", tag = "invites", request_body = Join,
    responses((status = 201, body = Joined), (status = "default", body = Problem)))]
pub async fn join(
    State(relay): State<Relay>,
    Address(address): Address,
    headers: HeaderMap,
    Valid(request): Valid<Join>,
) -> Result<impl IntoResponse, Failure> {
    relay.rates().join(address)?;
    let cookie = set_cookie(&request.token, &headers, &relay);
    let (of, on_lan) = (relay.campus_row().clone(), relay.on_lan().is_some());
    let joined = relay.writer().run(move |tx| write::join::join(tx, &of, on_lan, &request)).await?;
    Ok((StatusCode::CREATED, AppendHeaders([(header::SET_COOKIE, cookie)]), axum::Json(joined)))
}

/// The invites that one made; for the campus's owner, all.
#[utoipa::path(get, path = "/v1/invites", tag = "invites",
    responses((status = 200, body = Invites), (status = "default", body = Problem)))]
pub async fn list(State(relay): State<Relay>, Auth(who): Auth) -> Result<axum::Json<Invites>, Failure> {
    let listed = relay.store().read(move |conn| {
        let person = who.check(conn)?;
        let maker = (person.role < Role::Owner).then_some(person.id);
        let listed = invites::list(conn, maker, INVITES_LISTED_MAX)?;
        Ok::<_, Failure>(Invites { invites: listed.iter().map(|it| told(it, None)).collect() })
    });
    Ok(axum::Json(listed.await?))
}

/// Make an invite.
#[utoipa::path(post, path = "/v1/invites", tag = "invites", request_body = CreateInvite,
    responses((status = 201, body = Invite), (status = "default", body = Problem)))]
pub async fn create(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Valid(request): Valid<CreateInvite>,
) -> Result<(StatusCode, axum::Json<Invite>), Failure> {
    let of = relay.campus_row().clone();
    let invite =
        relay.writer().run_as(who, move |tx, person| write::invites::create(tx, &of, person, &request)).await?;
    let link = relay.link(&invite_code(&relay.campus_row().secret, invite.id)).to_string();
    Ok((StatusCode::CREATED, axum::Json(told(&invite, Some(link)))))
}

/// Take an invite back.
#[utoipa::path(delete, path = "/v1/invites/{id}", tag = "invites", params(("id" = InviteId, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn revoke(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<InviteId>,
) -> Result<StatusCode, Failure> {
    relay.writer().run_as(who, move |tx, person| write::invites::revoke(tx, person, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn told(it: &StoredInvite, link: Option<String>) -> Invite {
    Invite {
        id: it.id,
        link,
        circle_id: it.circle_id,
        device: it.device,
        created_by: it.created_by,
        expires_at: it.expires_at,
        max_uses: it.max_uses,
        uses: it.uses,
        revoked_at: it.revoked_at,
    }
}
