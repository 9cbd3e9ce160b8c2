//! What the writer knows of the entities that nearly every command looks at: read once, for a whole batch at once, and kept
//! up to date with what its transactions write. They lock the campus, so that nobody else changes any of it meanwhile; and
//! where the head is as the last one left it, nobody did between them.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use circles_protocol::{CircleId, DeviceId, Membership, MessageId, Person, PersonId, Pos, Scope};

use super::command::Reads;
use crate::{
    limits::KNOWN_MAX,
    store::{
        StoreResult,
        campus::{self, History},
        circles::{self, StoredCircle},
        devices::{self, StoredDevice},
        log, memberships,
        messages::{self, StoredMessage},
        people,
        session::Session,
    },
};

/// Entities by their keys; none for those that are not there.
#[derive(Default)]
pub struct Known {
    /// The head that all of it holds at, if it is of an earlier transaction.
    as_of: Option<Pos>,
    pub devices: HashMap<DeviceId, Option<StoredDevice>>,
    pub people: HashMap<PersonId, Option<Person>>,
    pub circles: HashMap<CircleId, Option<StoredCircle>>,
    pub memberships: HashMap<(CircleId, PersonId), Option<Membership>>,
    pub messages: HashMap<MessageId, Option<StoredMessage>>,
    /// The position of the last change of each scope.
    pub scope_heads: HashMap<Scope, Pos>,
}

impl Known {
    /// Reads the campus's history, and what a batch is going to look at and is not known: all at once, however many commands
    /// there are.
    pub fn learn(mut self, conn: &dyn Session, batch: &[Reads]) -> StoreResult<(History, Self)> {
        let history = campus::history_lookup();
        let devices = devices::lookup(missing(&self.devices, batch, |it| it.who.map(|who| who.device)));
        let people = people::lookup(missing(&self.people, batch, |it| it.who.map(|who| who.person)));
        let circles = circles::lookup(missing(&self.circles, batch, |it| it.circle));
        let memberships =
            memberships::lookup(missing(&self.memberships, batch, |it| Some((it.circle?, it.who?.person))));
        let messages = messages::lookup(missing(&self.messages, batch, |it| it.message));
        let scope_heads = log::scope_heads(missing(&self.scope_heads, batch, |it| it.circle.map(Scope::Circle)));
        conn.ask(&[&history, &devices, &people, &circles, &memberships, &messages, &scope_heads])?;
        let history = history.only()?;
        if self.as_of.take().is_some_and(|it| it != history.head) {
            // Somebody else wrote.
            return Self::default().learn(conn, batch);
        }
        self.devices.extend(devices.found());
        self.people.extend(people.found());
        self.circles.extend(circles.found());
        self.memberships.extend(memberships.found());
        self.messages.extend(messages.found());
        self.scope_heads.extend(scope_heads.found().filter_map(|(scope, head)| Some((scope, head?))));
        Ok((history, self))
    }

    /// What is worth knowing in the next transaction, after one that left the head there.
    #[must_use]
    pub fn kept(mut self, head: Pos) -> Self {
        // Each is looked at when it is posted, and hardly again.
        self.messages.clear();
        let lens =
            [self.devices.len(), self.people.len(), self.circles.len(), self.memberships.len(), self.scope_heads.len()];
        if lens.into_iter().max() > Some(KNOWN_MAX) {
            return Self::default();
        }
        Self { as_of: Some(head), ..self }
    }
}

/// The keys of a batch that are not known.
fn missing<K: Copy + Eq + Hash, V>(
    known: &HashMap<K, V>,
    batch: &[Reads],
    key: impl Fn(&Reads) -> Option<K>,
) -> Vec<K> {
    let missing: HashSet<K> = batch.iter().filter_map(key).filter(|it| !known.contains_key(it)).collect();
    missing.into_iter().collect()
}
