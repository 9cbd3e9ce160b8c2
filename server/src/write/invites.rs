//! Making and revoking invites.

use circles_protocol::{Code, InviteId, Person, Role, UnixMs, api::CreateInvite};

use super::Tx;
use crate::{
    access,
    failure::Failure,
    secret::{invite_code, token_hash},
    store::{StoreResult, campus::Campus, invites, invites::StoredInvite, session::Session},
};

/// Makes an invite, once (design 3.2).
pub fn create(tx: &mut Tx<'_>, of: &Campus, person: &Person, request: &CreateInvite) -> Result<StoredInvite, Failure> {
    let life_ms = i64::try_from(request.life_s * 1000).map_err(|_| Failure::of(Code::InvalidBody))?;
    let max_uses = if request.device { 1 } else { request.max_uses };
    if request.device && request.circle_id.is_some() {
        return Err(Failure::new(Code::InvalidBody, "an invite for a device leads into no circle"));
    }
    if let Some(present) = invites::get(tx.conn(), request.id)? {
        let same = present.created_by == Some(person.id)
            && present.circle_id == request.circle_id
            && present.device == request.device
            && present.max_uses == max_uses
            && present.expires_at.0 - present.created_at.0 == life_ms;
        return if same { Ok(present) } else { Err(Failure::of(Code::IdConflict)) };
    }
    if let Some(circle) = request.circle_id {
        access::member(tx, circle, person)?;
    }
    let now = tx.now();
    let invite = StoredInvite {
        id: request.id,
        role: Role::Member,
        circle_id: request.circle_id,
        device: request.device,
        created_by: Some(person.id),
        created_at: now,
        expires_at: UnixMs(now.0 + life_ms),
        max_uses,
        uses: 0,
        revoked_at: None,
    };
    insert(tx.conn(), of, &invite)?;
    Ok(invite)
}

/// Stores a new invite; returns its code. Invites are not in the log, so that another process may make one too.
pub fn insert(conn: &dyn Session, of: &Campus, invite: &StoredInvite) -> StoreResult<String> {
    let code = invite_code(&of.secret, invite.id);
    invites::insert(conn, invite, &token_hash(&code))?;
    Ok(code)
}

/// Takes an invite back: its maker, or the campus's owner. Twice is once.
pub fn revoke(tx: &mut Tx<'_>, person: &Person, id: InviteId) -> Result<(), Failure> {
    let invite = invites::get(tx.conn(), id)?.ok_or_else(Failure::not_found)?;
    if invite.created_by != Some(person.id) && person.role < Role::Owner {
        return Err(Failure::not_found());
    }
    Ok(invites::revoke(tx.conn(), id, tx.now())?)
}
