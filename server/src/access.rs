//! What a person may see and do in a circle; the one place that decides it (design 3.6).

use circles_protocol::{
    CircleId, CircleKind, Code, DeviceId, Membership, MembershipState, Message, MessageId, Person, PersonId, Role,
};

use crate::{
    failure::Failure,
    store::{circles, circles::StoredCircle, devices, memberships, messages, people, session::Session},
};

/// Who asks: a device that showed its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    pub person: PersonId,
    pub device: DeviceId,
}

impl Who {
    /// The person, if the device still counts: it may have been revoked since it showed its token.
    pub fn check(self, conn: &dyn Session) -> Result<Person, Failure> {
        let device = devices::get(conn, self.device)?.filter(|it| it.revoked_at.is_none());
        let known = device.is_some_and(|it| it.person_id == self.person);
        let person = if known { people::get(conn, self.person)? } else { None };
        person.ok_or_else(|| Failure::of(Code::Unauthorized))
    }
}

/// A circle, and how a person stands to it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub stored: StoredCircle,
    /// None if they never joined.
    pub membership: Option<Membership>,
}

impl Seen {
    /// The membership, while it lasts.
    pub fn joined(&self) -> Option<&Membership> {
        self.membership.as_ref().filter(|it| it.state == MembershipState::Joined)
    }
}

/// A circle that the person may know of: an open one, or a private one that they are in.
pub fn seen(conn: &dyn Session, circle: CircleId, person: PersonId) -> Result<Seen, Failure> {
    let found = known(conn, circle, person)?;
    let visible = found.stored.circle.kind == CircleKind::Open || found.joined().is_some();
    if visible { Ok(found) } else { Err(Failure::not_found()) }
}

/// A circle that the person is in, and their role there: a role in the campus holds in each circle of theirs.
pub fn member(conn: &dyn Session, circle: CircleId, person: &Person) -> Result<(Seen, Role), Failure> {
    let found = known(conn, circle, person.id)?;
    match found.joined() {
        Some(membership) => {
            let role = membership.role.max(person.role);
            Ok((found, role))
        }
        // Of an open circle everyone knows, and of a private one those who were in.
        None if found.stored.circle.kind == CircleKind::Open || found.membership.is_some() => {
            Err(Failure::of(Code::NotMember))
        }
        None => Err(Failure::not_found()),
    }
}

/// A message that the person may see, and their role in its circle. Of other messages there is nothing to know.
pub fn message(conn: &dyn Session, id: MessageId, person: &Person) -> Result<(Message, Role), Failure> {
    let message = messages::get(conn, id)?.ok_or_else(Failure::not_found)?.message;
    let (_, role) = member(conn, message.circle_id, person).map_err(|failure| match failure.code {
        Code::NotMember => Failure::not_found(),
        _ => failure,
    })?;
    Ok((message, role))
}

fn known(conn: &dyn Session, circle: CircleId, person: PersonId) -> Result<Seen, Failure> {
    let stored = circles::get(conn, circle)?.ok_or_else(Failure::not_found)?;
    let membership = memberships::get(conn, circle, person)?;
    Ok(Seen { stored, membership })
}
