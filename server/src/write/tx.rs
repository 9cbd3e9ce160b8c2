//! The transaction of one batch: it numbers the changes and writes their log rows.

use circles_protocol::{
    Change, Circle, CircleKind, Entity, Membership, Message, Person, Pos, Reaction, ReadMarker, Scope, UnixMs,
};

use super::{Answer, Command};
use crate::{
    clock,
    failure::Failure,
    store::{
        StoreResult, campus, circles, log, memberships, messages, people, reactions, read_markers, session::Session,
    },
};

/// One transaction of the writer. Entities are written through it, so that none changes without a row in the log.
pub struct Tx<'c> {
    conn: &'c dyn Session,
    head: Pos,
    now: UnixMs,
    changes: Vec<Change>,
}

impl<'c> Tx<'c> {
    pub(super) fn begin(conn: &'c dyn Session) -> StoreResult<Self> {
        conn.begin_write()?;
        Ok(Self { conn, head: campus::head(conn)?, now: clock::now(), changes: Vec::new() })
    }

    /// Runs one command; if it is refused, its writes are undone. An error means that the whole transaction is lost.
    pub(super) fn attempt(&mut self, command: Command, answers: &mut Vec<Answer>) -> Result<(), Failure> {
        let (head, kept) = (self.head, self.changes.len());
        if let Err(error) = self.conn.script("SAVEPOINT command") {
            let failure = Failure::from(error);
            answers.push(command(Err(failure.clone())).answer);
            return Err(failure);
        }
        let applied = command(Ok(self));
        answers.push(applied.answer);
        let Some(failure) = applied.refused else {
            return Ok(self.conn.script("RELEASE command")?);
        };
        if !self.conn.is_open() {
            // A full disk, a failing one, or a lost connection: everything is rolled back, also what came before in this
            // batch.
            return Err(failure);
        }
        self.conn.script("ROLLBACK TO command; RELEASE command")?;
        self.head = head;
        self.changes.truncate(kept);
        Ok(())
    }

    pub(super) fn commit(self) -> StoreResult<Vec<Change>> {
        if !self.changes.is_empty() {
            campus::set_head(self.conn, self.head)?;
        }
        self.conn.script("COMMIT")?;
        Ok(self.changes)
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

    /// The position that the next change gets.
    pub fn next(&self) -> Pos {
        self.head.next()
    }

    /// Writes a person; sets its version.
    pub fn put_person(&mut self, mut it: Person) -> Result<Person, Failure> {
        it.version = self.next();
        people::put(self.conn, &it)?;
        self.append(Scope::Campus, Entity::Person(it.clone()))?;
        Ok(it)
    }

    /// Writes a circle; sets its version.
    pub fn put_circle(&mut self, mut it: circles::StoredCircle) -> Result<Circle, Failure> {
        it.circle.version = self.next();
        circles::put(self.conn, &it)?;
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
        self.append(Scope::Circle(it.circle_id), Entity::Membership(it.clone()))?;
        Ok(it)
    }

    /// Writes a new message and its circle's head; the message already has its numbers.
    pub fn insert_message(&mut self, it: &messages::StoredMessage) -> Result<(), Failure> {
        assert_eq!(it.created_pos, self.next(), "a message is created at the position of its change");
        messages::insert(self.conn, it)?;
        circles::set_head_seq(self.conn, it.message.circle_id, it.message.seq)?;
        self.append(Scope::Circle(it.message.circle_id), Entity::Message(it.message.clone()))
    }

    /// Writes an edit or a tombstone; sets the message's version.
    pub fn update_message(&mut self, mut it: Message) -> Result<Message, Failure> {
        it.version = self.next();
        messages::update(self.conn, &it)?;
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

    fn append(&mut self, scope: Scope, entity: Entity) -> Result<(), Failure> {
        let pos = self.next();
        assert_eq!(entity.version(), pos, "an entity's version is the position of its last change");
        let change = Change { pos, prev: log::scope_head(self.conn, scope)?, scope, entity };
        log::append(self.conn, &change)?;
        self.head = pos;
        self.changes.push(change);
        Ok(())
    }
}
