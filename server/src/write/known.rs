//! What a transaction knows of the entities that nearly every command looks at: read once, for a whole batch at once, and
//! kept up to date with what the transaction writes. Its writes lock the campus, so that nobody else changes any of it.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use circles_protocol::{CircleId, DeviceId, Membership, MessageId, Person, PersonId, Pos, Scope};

use super::command::Reads;
use crate::store::{
    StoreResult,
    campus::{self, History},
    circles::{self, StoredCircle},
    devices::{self, StoredDevice},
    log, memberships,
    messages::{self, StoredMessage},
    people,
    session::Session,
};

/// Entities by their keys; none for those that are not there.
#[derive(Default)]
pub struct Known {
    pub devices: HashMap<DeviceId, Option<StoredDevice>>,
    pub people: HashMap<PersonId, Option<Person>>,
    pub circles: HashMap<CircleId, Option<StoredCircle>>,
    pub memberships: HashMap<(CircleId, PersonId), Option<Membership>>,
    pub messages: HashMap<MessageId, Option<StoredMessage>>,
    /// The position of the last change of each scope.
    pub scope_heads: HashMap<Scope, Pos>,
}

impl Known {
    /// Reads the campus's history and what a batch is going to look at: all at once, however many commands there are.
    pub fn of(conn: &dyn Session, batch: &[Reads]) -> StoreResult<(History, Self)> {
        let history = campus::history_lookup();
        let devices = devices::lookup(unique(batch, |it| it.who.map(|who| who.device)));
        let people = people::lookup(unique(batch, |it| it.who.map(|who| who.person)));
        let circles = circles::lookup(unique(batch, |it| it.circle));
        let memberships = memberships::lookup(unique(batch, |it| Some((it.circle?, it.who?.person))));
        let messages = messages::lookup(unique(batch, |it| it.message));
        let scope_heads = log::scope_heads(unique(batch, |it| it.circle.map(Scope::Circle)));
        conn.ask(&[&history, &devices, &people, &circles, &memberships, &messages, &scope_heads])?;
        let known = Self {
            devices: devices.found().collect(),
            people: people.found().collect(),
            circles: circles.found().collect(),
            memberships: memberships.found().collect(),
            messages: messages.found().collect(),
            scope_heads: scope_heads.found().filter_map(|(scope, head)| Some((scope, head?))).collect(),
        };
        Ok((history.only()?, known))
    }
}

fn unique<K: Copy + Eq + Hash>(batch: &[Reads], key: impl Fn(&Reads) -> Option<K>) -> Vec<K> {
    batch.iter().filter_map(key).collect::<HashSet<K>>().into_iter().collect()
}
