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
    /// Reads what a batch is going to look at: one question for each kind of entity, however many commands there are.
    pub fn of(conn: &dyn Session, batch: &[Reads]) -> StoreResult<Self> {
        let devices = unique(batch, |it| it.who.map(|who| who.device));
        let people = unique(batch, |it| it.who.map(|who| who.person));
        let circles = unique(batch, |it| it.circle);
        let memberships = unique(batch, |it| Some((it.circle?, it.who?.person)));
        let messages = unique(batch, |it| it.message);
        let scopes: Vec<Scope> = circles.iter().map(|it| Scope::Circle(*it)).collect();
        Ok(Self {
            devices: table(&devices, devices::get_each(conn, &devices)?),
            people: table(&people, people::get_each(conn, &people)?),
            circles: table(&circles, circles::get_each(conn, &circles)?),
            memberships: table(&memberships, memberships::get_each(conn, &memberships)?),
            messages: table(&messages, messages::get_each(conn, &messages)?),
            scope_heads: table(&scopes, log::scope_heads(conn, &scopes)?),
        })
    }
}

fn unique<K: Copy + Eq + Hash>(batch: &[Reads], key: impl Fn(&Reads) -> Option<K>) -> Vec<K> {
    batch.iter().filter_map(key).collect::<HashSet<K>>().into_iter().collect()
}

fn table<K: Copy + Eq + Hash, V>(keys: &[K], values: Vec<V>) -> HashMap<K, V> {
    keys.iter().copied().zip(values).collect()
}
