//! Who is in a circle.

use circles_protocol::{
    CircleId, CircleKind, Code, Membership, MembershipState, Person, PersonId, Pos, ReadMarker, Role, Seq, api::Member,
};

use super::{Tx, drafts, mutes};
use crate::{
    access::{self, Facts},
    failure::Failure,
    store::{memberships, read_markers},
};

/// Makes a person a member; nothing happens if they are. Their unread begin now, not with the circle's first message.
pub fn bring_in(tx: &mut Tx<'_>, circle: CircleId, person: PersonId, role: Role) -> Result<(), Failure> {
    let before = tx.membership(circle, person)?;
    if before.is_some_and(|it| it.state == MembershipState::Joined) {
        return Ok(());
    }
    let head = tx.circle(circle)?.ok_or_else(Failure::not_found)?.head_seq;
    put(tx, circle, person, MembershipState::Joined, role)?;
    advance(tx, circle, person, head)?;
    Ok(())
}

/// Enters an open circle.
pub fn join(tx: &mut Tx<'_>, person: &Person, circle: CircleId) -> Result<(), Failure> {
    let seen = access::seen(tx, circle, person.id)?;
    if seen.joined().is_none() && seen.stored.circle.kind == CircleKind::Private {
        return Err(Failure::not_found());
    }
    bring_in(tx, circle, person.id, Role::Member)
}

/// Leaves a circle. Leaving twice is leaving once.
pub fn leave(tx: &mut Tx<'_>, person: &Person, circle: CircleId) -> Result<(), Failure> {
    let (seen, _) = match access::member(tx, circle, person) {
        Err(failure) if failure.code == Code::NotMember => return Ok(()),
        other => other?,
    };
    let membership = seen.joined().ok_or_else(Failure::not_found)?;
    keep_an_owner(tx, membership)?;
    part(tx, circle, person.id, MembershipState::Left)
}

/// A member brings another person of the campus in.
pub fn add(tx: &mut Tx<'_>, person: &Person, circle: CircleId, other: PersonId) -> Result<(), Failure> {
    access::member(tx, circle, person)?;
    if tx.person(other)?.is_none() {
        return Err(Failure::new(Code::NotFound, "there is no such person"));
    }
    bring_in(tx, circle, other, Role::Member)
}

/// Removes a member: for moderators and owners, and nobody above oneself. Removing twice is removing once.
pub fn remove(tx: &mut Tx<'_>, person: &Person, circle: CircleId, other: PersonId) -> Result<(), Failure> {
    let (_, role) = access::member(tx, circle, person)?;
    let Some(membership) = tx.membership(circle, other)? else { return Err(Failure::not_found()) };
    if membership.state != MembershipState::Joined {
        return Ok(());
    }
    if other == person.id {
        return Err(Failure::new(Code::Forbidden, "leave the circle instead"));
    }
    if role < Role::Moderator || role < membership.role {
        return Err(Failure::new(Code::Forbidden, "only a moderator or owner of the circle removes members"));
    }
    part(tx, circle, other, MembershipState::Removed)
}

/// Changes a member's role; for owners.
pub fn set_role(
    tx: &mut Tx<'_>,
    person: &Person,
    circle: CircleId,
    other: PersonId,
    role: Role,
) -> Result<Member, Failure> {
    let (_, own) = access::member(tx, circle, person)?;
    if own < Role::Owner {
        return Err(Failure::new(Code::Forbidden, "only an owner of the circle changes roles"));
    }
    let mut membership = tx
        .membership(circle, other)?
        .filter(|it| it.state == MembershipState::Joined)
        .ok_or_else(Failure::not_found)?;
    if membership.role != role {
        keep_an_owner(tx, &membership)?;
        membership.role = role;
        membership = tx.put_membership(membership)?;
    }
    let person = tx.person(other)?.ok_or_else(Failure::not_found)?;
    Ok(Member { person, membership })
}

/// Reads a circle up to a message; a lower number changes nothing.
pub fn mark_read(tx: &mut Tx<'_>, person: &Person, circle: CircleId, seq: Seq) -> Result<ReadMarker, Failure> {
    let (seen, _) = access::member(tx, circle, person)?;
    if seq > seen.stored.head_seq {
        let detail = format!("the circle's last message is number {}", seen.stored.head_seq);
        return Err(Failure::new(Code::InvalidBody, detail));
    }
    advance(tx, circle, person.id, seq)
}

fn advance(tx: &mut Tx<'_>, circle_id: CircleId, person_id: PersonId, seq: Seq) -> Result<ReadMarker, Failure> {
    let present = read_markers::get(tx.conn(), circle_id, person_id)?;
    let present = present.unwrap_or(ReadMarker { circle_id, person_id, seq: Seq::ZERO, version: Pos::ZERO });
    if seq <= present.seq { Ok(present) } else { tx.put_read_marker(ReadMarker { seq, ..present }) }
}

/// Refuses to take the last owner from a circle in which others stay.
fn keep_an_owner(tx: &Tx<'_>, of: &Membership) -> Result<(), Failure> {
    let last = of.role == Role::Owner && memberships::count_owners(tx.conn(), of.circle_id)? == 1;
    if last && memberships::count(tx.conn(), of.circle_id)? > 1 {
        return Err(Failure::new(Code::LastOwner, "make another member an owner first"));
    }
    Ok(())
}

/// Ends a membership, and what the person kept of the circle for themselves.
fn part(tx: &mut Tx<'_>, circle: CircleId, person: PersonId, state: MembershipState) -> Result<(), Failure> {
    put(tx, circle, person, state, Role::Member)?;
    mutes::forget(tx, circle, person)?;
    drafts::forget(tx, circle, person)
}

fn put(
    tx: &mut Tx<'_>,
    circle_id: CircleId,
    person_id: PersonId,
    state: MembershipState,
    role: Role,
) -> Result<Membership, Failure> {
    let since = tx.now();
    tx.put_membership(Membership { circle_id, person_id, state, role, since, version: Pos::ZERO })
}
