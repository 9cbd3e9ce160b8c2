//! The transaction of one batch: it numbers the changes and writes their log rows.

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
};

use circles_protocol::{
    Change, Circle, CircleId, CircleKind, DeviceId, Draft, Entity, Epoch, Membership, Message, MessageId, Mute, Person,
    PersonId, Pos, Reaction, ReadMarker, RevokedDevice, Scope, UnixMs,
};

use super::{
    command::{Command, Reads},
    known::Known,
};
use crate::{
    access::Facts,
    clock,
    failure::Failure,
    store::{
        StoreResult,
        campus::{self, History},
        circles::{self, StoredCircle},
        devices::{self, StoredDevice},
        drafts, log, memberships,
        messages::{self, StoredMessage},
        mutes, people, reactions, read_markers,
        session::Session,
    },
};

/// One transaction of the writer. Entities are written through it, so that none changes without a row in the log.
pub struct Tx<'c> {
    conn: &'c dyn Session,
    /// As it was when the transaction began.
    history: History,
    head: Pos,
    now: UnixMs,
    changes: Vec<Change>,
    known: RefCell<Known>,
}

impl<'c> Tx<'c> {
    /// Begins, and reads what a batch is going to look at and is not known.
    pub(super) fn begin(conn: &'c dyn Session, known: Known, batch: &[Reads]) -> StoreResult<Self> {
        conn.begin_write()?;
        let (history, known) = known.learn(conn, batch)?;
        let head = history.head;
        Ok(Self { conn, history, head, now: clock::now(), changes: Vec::new(), known: RefCell::new(known) })
    }

    /// Whether the database goes on with the history of that epoch, which had come to that head at least. If not, the
    /// transaction is over.
    pub(super) fn follows(&self, epoch: &Epoch, head: Pos) -> StoreResult<bool> {
        if self.history.follows(epoch, head) {
            return Ok(true);
        }
        self.history.part_if_lost(self.conn, epoch, head)?;
        self.conn.settle()?;
        self.conn.script("COMMIT")?;
        Ok(false)
    }

    /// Applies commands without a savepoint for each, and writes the head; false if that came to something that has to be undone. An error means
    /// that the whole transaction is lost.
    pub(super) fn together(&mut self, batch: &mut [Box<dyn Command>]) -> Result<bool, Failure> {
        for command in batch {
            let before = self.conn.touched();
            if let Err(failure) = command.apply(self) {
                if !self.conn.is_open() {
                    return Err(failure);
                }
                if self.conn.touched() != before {
                    return Ok(false);
                }
            }
        }
        match self.write_head() {
            Err(error) if !self.conn.is_open() => Err(error.into()),
            written => Ok(written.is_ok()),
        }
    }

    /// Applies one command; if it is refused, its writes are undone. An error means that the whole transaction is lost.
    pub(super) fn attempt(&mut self, command: &mut dyn Command) -> Result<(), Failure> {
        let (head, kept) = (self.head, self.changes.len());
        self.conn.script("SAVEPOINT command")?;
        let applied = command.apply(self).and_then(|()| Ok(self.conn.settle()?));
        let Err(failure) = applied else { return Ok(self.conn.script("RELEASE command")?) };
        if !self.conn.is_open() {
            // A full disk, a failing one, or a lost connection: everything is rolled back, also what came before in this
            // batch.
            return Err(failure);
        }
        command.refuse(failure);
        self.conn.script("ROLLBACK TO command; RELEASE command")?;
        self.head = head;
        self.changes.truncate(kept);
        self.known.take();
        Ok(())
    }

    /// Makes all durable, after [`Tx::write_head`]; what changed, and what is known now.
    pub(super) fn commit(self) -> StoreResult<(Vec<Change>, Known)> {
        self.conn.script("COMMIT")?;
        Ok((self.changes, self.known.into_inner().kept(self.head)))
    }

    /// The last write, and waits for all of them.
    pub(super) fn write_head(&self) -> StoreResult<()> {
        if !self.changes.is_empty() {
            campus::set_head(self.conn, self.head)?;
        }
        self.conn.settle()
    }

    pub(super) fn roll_back(conn: &dyn Session) {
        if conn.is_open()
            && let Err(error) = conn.script("ROLLBACK")
        {
            tracing::error!(%error, "a transaction cannot be rolled back");
        }
    }

    /// The connection, to read and to write what is not in the log.
    pub fn conn(&self) -> &'c dyn Session {
        self.conn
    }

    /// When the transaction began.
    pub fn now(&self) -> UnixMs {
        self.now
    }

    /// So long before the transaction began.
    pub fn ago(&self, age_ms: u32) -> UnixMs {
        UnixMs(self.now.0 - i64::from(age_ms))
    }

    /// The position that the next change gets.
    pub fn next(&self) -> Pos {
        self.head.next()
    }

    /// Writes a person; sets its version.
    pub fn put_person(&mut self, mut it: Person) -> Result<Person, Failure> {
        it.version = self.next();
        people::put(self.conn, &it)?;
        self.known.get_mut().people.insert(it.id, Some(it.clone()));
        self.append(Scope::Campus, Entity::Person(it.clone()))?;
        Ok(it)
    }

    /// Writes a circle; sets its version.
    pub fn put_circle(&mut self, mut it: StoredCircle) -> Result<Circle, Failure> {
        it.circle.version = self.next();
        circles::put(self.conn, &it)?;
        self.known.get_mut().circles.insert(it.circle.id, Some(it.clone()));
        let scope = match it.circle.kind {
            CircleKind::Open => Scope::Campus,
            CircleKind::Private => Scope::Circle(it.circle.id),
        };
        self.append(scope, Entity::Circle(it.circle.clone()))?;
        Ok(it.circle)
    }

    /// Writes a membership; sets its version.
    pub fn put_membership(&mut self, mut it: Membership) -> Result<Membership, Failure> {
        it.version = self.next();
        memberships::put(self.conn, &it)?;
        self.known.get_mut().memberships.insert((it.circle_id, it.person_id), Some(it.clone()));
        self.append(Scope::Circle(it.circle_id), Entity::Membership(it.clone()))?;
        Ok(it)
    }

    /// Writes a new message and its circle's head; the message already has its numbers.
    pub fn insert_message(&mut self, it: &StoredMessage) -> Result<(), Failure> {
        assert_eq!(it.created_pos, self.next(), "a message is created at the position of its change");
        messages::insert(self.conn, it)?;
        circles::set_head_seq(self.conn, it.message.circle_id, it.message.seq)?;
        let known = self.known.get_mut();
        known.messages.remove(&it.message.id);
        if let Some(Some(circle)) = known.circles.get_mut(&it.message.circle_id) {
            circle.head_seq = it.message.seq;
        }
        self.append(Scope::Circle(it.message.circle_id), Entity::Message(it.message.clone()))
    }

    /// Writes an edit or a tombstone; sets the message's version.
    pub fn update_message(&mut self, mut it: Message) -> Result<Message, Failure> {
        it.version = self.next();
        messages::update(self.conn, &it)?;
        self.known.get_mut().messages.remove(&it.id);
        self.append(Scope::Circle(it.circle_id), Entity::Message(it.clone()))?;
        Ok(it)
    }

    /// Writes a reaction; sets its version.
    pub fn put_reaction(&mut self, mut it: Reaction) -> Result<Reaction, Failure> {
        it.version = self.next();
        reactions::put(self.conn, &it)?;
        self.append(Scope::Circle(it.circle_id), Entity::Reaction(it.clone()))?;
        Ok(it)
    }

    /// Writes a read marker; sets its version.
    pub fn put_read_marker(&mut self, mut it: ReadMarker) -> Result<ReadMarker, Failure> {
        it.version = self.next();
        read_markers::put(self.conn, &it)?;
        self.append(Scope::Person(it.person_id), Entity::ReadMarker(it.clone()))?;
        Ok(it)
    }

    /// Writes whether a circle is muted; sets the mute's version.
    pub fn put_mute(&mut self, mut it: Mute) -> Result<Mute, Failure> {
        it.version = self.next();
        mutes::put(self.conn, &it)?;
        self.append(Scope::Person(it.person_id), Entity::Mute(it.clone()))?;
        Ok(it)
    }

    /// Writes a draft; sets its version.
    pub fn put_draft(&mut self, mut it: Draft) -> Result<Draft, Failure> {
        it.version = self.next();
        drafts::put(self.conn, &it)?;
        self.append(Scope::Person(it.person_id), Entity::Draft(it.clone()))?;
        Ok(it)
    }

    /// Writes that a device was revoked; sets the change's version.
    pub fn put_revocation(&mut self, mut it: RevokedDevice) -> Result<(), Failure> {
        it.version = self.next();
        devices::revoke(self.conn, &it)?;
        self.known.get_mut().devices.remove(&it.id);
        self.append(Scope::Person(it.person_id), Entity::RevokedDevice(it))
    }

    /// Writes a new device, which is not in the log.
    pub fn insert_device(&mut self, it: &StoredDevice, token_hash: &[u8; 32]) -> Result<(), Failure> {
        devices::insert(self.conn, it, token_hash)?;
        self.known.get_mut().devices.remove(&it.id);
        Ok(())
    }

    /// Writes that a device was seen just now, which is not in the log.
    pub fn see_device(&mut self, id: DeviceId) -> Result<(), Failure> {
        devices::seen(self.conn, id, self.now)?;
        self.known.get_mut().devices.remove(&id);
        Ok(())
    }

    fn append(&mut self, scope: Scope, entity: Entity) -> Result<(), Failure> {
        let pos = self.next();
        assert_eq!(entity.version(), pos, "an entity's version is the position of its last change");
        let prev = match self.known.get_mut().scope_heads.insert(scope, pos) {
            Some(prev) => prev,
            None => log::scope_head(self.conn, scope)?,
        };
        let change = Change { pos, prev, scope, entity };
        log::append(self.conn, &change)?;
        self.head = pos;
        self.changes.push(change);
        Ok(())
    }
}

/// What was read is remembered. What [`Tx::conn`] writes past this is not looked at by it.
impl Facts for Tx<'_> {
    fn device(&self, id: DeviceId) -> StoreResult<Option<StoredDevice>> {
        remembered(&mut self.known.borrow_mut().devices, id, || devices::get(self.conn, id))
    }

    fn person(&self, id: PersonId) -> StoreResult<Option<Person>> {
        remembered(&mut self.known.borrow_mut().people, id, || people::get(self.conn, id))
    }

    fn circle(&self, id: CircleId) -> StoreResult<Option<StoredCircle>> {
        remembered(&mut self.known.borrow_mut().circles, id, || circles::get(self.conn, id))
    }

    fn membership(&self, circle: CircleId, person: PersonId) -> StoreResult<Option<Membership>> {
        let read = || memberships::get(self.conn, circle, person);
        remembered(&mut self.known.borrow_mut().memberships, (circle, person), read)
    }

    fn message(&self, id: MessageId) -> StoreResult<Option<StoredMessage>> {
        remembered(&mut self.known.borrow_mut().messages, id, || messages::get(self.conn, id))
    }
}

fn remembered<K: Eq + Hash, V: Clone>(
    known: &mut HashMap<K, Option<V>>,
    key: K,
    read: impl FnOnce() -> StoreResult<Option<V>>,
) -> StoreResult<Option<V>> {
    Ok(match known.entry(key) {
        Entry::Occupied(it) => it.get().clone(),
        Entry::Vacant(it) => it.insert(read()?).clone(),
    })
}
