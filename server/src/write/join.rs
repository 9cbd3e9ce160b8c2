//! Entering the campus by an invite.

use circles_protocol::{
    Circle, CircleId, CircleKind, Code, Person, PersonId, Pos, Role, Seq,
    api::{Join, Joined},
    lan::ShortCode,
};

use super::{Tx, members};
use crate::{
    access::Facts,
    failure::Failure,
    limits::SHORT_CODES_MAX,
    secret::{content_hash, digest, invite_code, token_hash},
    store::{
        campus, campus::Campus, circles::StoredCircle, devices, devices::StoredDevice, invites, invites::StoredInvite,
        people, session::Session,
    },
};

/// The name of the circle that everybody joins with the campus.
const GENERAL: &str = "General";

/// Joins, or gives the first answer again (design 3.2). On the LAN a code may be a short one.
pub fn join(tx: &mut Tx<'_>, of: &Campus, on_lan: bool, request: &Join) -> Result<Joined, Failure> {
    let conn = tx.conn();
    let name = request.name.trim();
    let hash = digest(&[
        request.code.as_bytes(),
        request.person_id.uuid().as_bytes(),
        name.as_bytes(),
        request.device_name.trim().as_bytes(),
        request.token.as_bytes(),
    ]);
    if let Some(device) = tx.device(request.device_id)? {
        return again(conn, of, &device, hash);
    }
    let invite = usable(conn, of, on_lan, &request.code, tx.now().0)?;
    let token = token_hash(&request.token);
    if devices::token_is_taken(conn, &token)? {
        return Err(Failure::new(Code::IdConflict, "this token is in use"));
    }
    let person = match (invite.device, invite.created_by) {
        (true, Some(maker)) => tx.person(maker)?.ok_or_else(Failure::not_found)?,
        _ => enter(tx, &invite, request.person_id, name)?,
    };
    let now = tx.now();
    let device = StoredDevice {
        id: request.device_id,
        person_id: person.id,
        name: request.device_name.trim().to_owned(),
        join_hash: hash,
        invite_id: invite.id,
        created_at: now,
        last_seen_at: now,
        revoked_at: None,
    };
    tx.insert_device(&device, &token)?;
    invites::count_use(conn, invite.id)?;
    Ok(joined(of, person, &device, invite.circle_id))
}

/// The invite with that code, if it still admits.
pub fn usable(conn: &dyn Session, of: &Campus, on_lan: bool, code: &str, now_ms: i64) -> Result<StoredInvite, Failure> {
    let invite = if on_lan && ShortCode::is_secret(code) {
        by_short_code(conn, of, code)?
    } else {
        invites::by_code(conn, &token_hash(code))?
    };
    let invite = invite.ok_or_else(|| Failure::of(Code::InviteUnknown))?;
    if invite.revoked_at.is_some() {
        return Err(Failure::of(Code::InviteRevoked));
    }
    if invite.expires_at.0 <= now_ms {
        return Err(Failure::of(Code::InviteExpired));
    }
    if invite.uses >= invite.max_uses {
        return Err(Failure::of(Code::InviteUsedUp));
    }
    Ok(invite)
}

/// Short codes are derived and not stored: those of the newest invites are tried. It costs half a millisecond at the most,
/// and attempts have a rate limit.
fn by_short_code(conn: &dyn Session, of: &Campus, code: &str) -> Result<Option<StoredInvite>, Failure> {
    let newest = invites::list(conn, None, SHORT_CODES_MAX)?;
    Ok(newest.into_iter().find(|it| ShortCode::secret_of(&invite_code(&of.secret, it.id)) == code))
}

fn again(conn: &dyn Session, of: &Campus, device: &StoredDevice, hash: [u8; 32]) -> Result<Joined, Failure> {
    if device.join_hash != hash {
        return Err(Failure::new(Code::IdConflict, "this device has joined with another request"));
    }
    if device.revoked_at.is_some() {
        return Err(Failure::new(Code::Unauthorized, "this device was revoked"));
    }
    let person = people::get(conn, device.person_id)?.ok_or_else(Failure::not_found)?;
    let circle = invites::get(conn, device.invite_id)?.and_then(|it| it.circle_id);
    Ok(joined(of, person, device, circle))
}

/// Makes a person of the campus, in General and in the invite's circle.
fn enter(tx: &mut Tx<'_>, invite: &StoredInvite, id: PersonId, name: &str) -> Result<Person, Failure> {
    if tx.person(id)?.is_some() {
        return Err(Failure::new(Code::IdConflict, "this person has already joined"));
    }
    let person = tx.put_person(Person {
        id,
        name: name.to_owned(),
        hue: hue_of(id),
        role: invite.role,
        joined_at: tx.now(),
        version: Pos::ZERO,
    })?;
    let general = match campus::general(tx.conn())? {
        Some(general) => general,
        None => create_general(tx, id)?,
    };
    members::bring_in(tx, general, id, person.role)?;
    if let Some(circle) = invite.circle_id.filter(|it| *it != general) {
        members::bring_in(tx, circle, id, Role::Member)?;
    }
    Ok(person)
}

/// The first person of a campus finds a circle to begin in.
fn create_general(tx: &mut Tx<'_>, by: PersonId) -> Result<CircleId, Failure> {
    let id = CircleId::new();
    tx.put_circle(StoredCircle {
        circle: Circle {
            id,
            name: GENERAL.to_owned(),
            topic: String::new(),
            kind: CircleKind::Open,
            created_by: by,
            created_at: tx.now(),
            version: Pos::ZERO,
        },
        head_seq: Seq::ZERO,
        content_hash: content_hash(&[b"general"]),
    })?;
    campus::set_general(tx.conn(), id)?;
    Ok(id)
}

/// The avatar's first colour: spread by the random end of the id.
pub fn hue_of(id: PersonId) -> u16 {
    let [.., a, b] = id.uuid().into_bytes();
    u16::from_be_bytes([a, b]) % 360
}

fn joined(of: &Campus, person: Person, device: &StoredDevice, circle_id: Option<CircleId>) -> Joined {
    let epoch = Some(of.epoch.clone());
    Joined { campus_id: of.id, campus_name: of.name.clone(), person, device_id: device.id, circle_id, epoch }
}
