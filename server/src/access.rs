//! What a person may see and do in a circle; the one place that decides it (design 3.6).

use circles_protocol::{
    CircleId, CircleKind, Code, DeviceId, Membership, MembershipState, Message, MessageId, Person, PersonId, Role,
};

use crate::{
    failure::Failure,
    store::{
        StoreResult,
        circles::{self, StoredCircle},
        devices::{self, StoredDevice},
        memberships,
        messages::{self, StoredMessage},
        people,
        session::Session,
    },
};

/// What decisions are made from: the database, or what a writing transaction knows of it.
pub trait Facts {
    fn device(&self, id: DeviceId) -> StoreResult<Option<StoredDevice>>;
    fn person(&self, id: PersonId) -> StoreResult<Option<Person>>;
    fn circle(&self, id: CircleId) -> StoreResult<Option<StoredCircle>>;
    fn membership(&self, circle: CircleId, person: PersonId) -> StoreResult<Option<Membership>>;
    fn message(&self, id: MessageId) -> StoreResult<Option<StoredMessage>>;
}

impl Facts for dyn Session + '_ {
    fn device(&self, id: DeviceId) -> StoreResult<Option<StoredDevice>> {
        devices::get(self, id)
    }

    fn person(&self, id: PersonId) -> StoreResult<Option<Person>> {
        people::get(self, id)
    }

    fn circle(&self, id: CircleId) -> StoreResult<Option<StoredCircle>> {
        circles::get(self, id)
    }

    fn membership(&self, circle: CircleId, person: PersonId) -> StoreResult<Option<Membership>> {
        memberships::get(self, circle, person)
    }

    fn message(&self, id: MessageId) -> StoreResult<Option<StoredMessage>> {
        messages::get(self, id)
    }
}

/// Who asks: a device that showed its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    pub person: PersonId,
    pub device: DeviceId,
}

impl Who {
    /// The person, if the device still counts: it may have been revoked since it showed its token.
    pub fn check(self, facts: &(impl Facts + ?Sized)) -> Result<Person, Failure> {
        let device = facts.device(self.device)?.filter(|it| it.revoked_at.is_none());
        let known = device.is_some_and(|it| it.person_id == self.person);
        let person = if known { facts.person(self.person)? } else { None };
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
pub fn seen(facts: &(impl Facts + ?Sized), circle: CircleId, person: PersonId) -> Result<Seen, Failure> {
    let found = known(facts, circle, person)?;
    let visible = found.stored.circle.kind == CircleKind::Open || found.joined().is_some();
    if visible { Ok(found) } else { Err(Failure::not_found()) }
}

/// A circle that the person is in, and their role there: a role in the campus holds in each circle of theirs.
pub fn member(facts: &(impl Facts + ?Sized), circle: CircleId, person: &Person) -> Result<(Seen, Role), Failure> {
    let found = known(facts, circle, person.id)?;
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
pub fn message(facts: &(impl Facts + ?Sized), id: MessageId, person: &Person) -> Result<(Message, Role), Failure> {
    let message = facts.message(id)?.ok_or_else(Failure::not_found)?.message;
    let (_, role) = member(facts, message.circle_id, person).map_err(|failure| match failure.code {
        Code::NotMember => Failure::not_found(),
        _ => failure,
    })?;
    Ok((message, role))
}

fn known(facts: &(impl Facts + ?Sized), circle: CircleId, person: PersonId) -> Result<Seen, Failure> {
    let stored = facts.circle(circle)?.ok_or_else(Failure::not_found)?;
    let membership = facts.membership(circle, person)?;
    Ok(Seen { stored, membership })
}
