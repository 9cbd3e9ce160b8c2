//! Storing what an import reads. Ids are derived, so that the same line is the same message (design 3.2).

use std::collections::{HashMap, hash_map::Entry};

use circles_protocol::{Circle, CircleId, CircleKind, MessageId, Person, PersonId, Pos, Role, Seq, UnixMs};
use uuid::{Builder, Uuid};

use super::{
    Tx,
    join::hue_of,
    messages::{self, Imported},
};
use crate::{
    access::Facts,
    failure::Failure,
    secret::content_hash,
    store::{circles::StoredCircle, messages as stored},
};

/// A line that was checked.
#[derive(Clone, Debug)]
pub struct Line {
    pub circle: String,
    pub n: u64,
    pub at: UnixMs,
    pub from: String,
    pub text: String,
    pub reply_to: Option<u64>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stored {
    /// Messages that are new.
    pub imported: u64,
    /// Messages that were there already.
    pub present: u64,
}

/// Stores a batch of lines.
pub fn store(tx: &mut Tx<'_>, lines: &[Line]) -> Result<Stored, Failure> {
    let mut done = Stored::default();
    let mut authors: HashMap<(CircleId, PersonId), Person> = HashMap::new();
    let mut heads: HashMap<CircleId, Seq> = HashMap::new();
    for line in lines {
        let circle = circle_id(&line.circle);
        let id = message_id(circle, line.n);
        if stored::exists(tx.conn(), id)? {
            done.present += 1;
            continue;
        }
        let author_id = person_id(&line.from);
        let person = match authors.entry((circle, author_id)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(author(tx, circle, author_id, line)?),
        };
        let head = match heads.get(&circle) {
            Some(head) => *head,
            None => tx.circle(circle)?.ok_or_else(Failure::not_found)?.head_seq,
        };
        let seq = head.next();
        let reply_to = match line.reply_to.map(|n| message_id(circle, n)) {
            Some(answered) if stored::exists(tx.conn(), answered)? => Some(answered),
            _ => None,
        };
        let message = Imported { id, circle, seq, text: line.text.clone(), reply_to, at: line.at };
        messages::import(tx, person, message)?;
        heads.insert(circle, seq);
        done.imported += 1;
    }
    Ok(done)
}

/// The author of a line, in its circle; both are made if need be.
fn author(tx: &mut Tx<'_>, circle: CircleId, id: PersonId, line: &Line) -> Result<Person, Failure> {
    let person = match tx.person(id)? {
        Some(person) => person,
        None => tx.put_person(Person {
            id,
            name: line.from.trim().to_owned(),
            hue: hue_of(id),
            role: Role::Member,
            joined_at: line.at,
            version: Pos::ZERO,
        })?,
    };
    if tx.circle(circle)?.is_none() {
        tx.put_circle(StoredCircle {
            circle: Circle {
                id: circle,
                name: line.circle.trim().to_owned(),
                topic: String::new(),
                kind: CircleKind::Open,
                created_by: id,
                created_at: line.at,
                version: Pos::ZERO,
            },
            head_seq: Seq::ZERO,
            content_hash: content_hash(&[b"import", line.circle.as_bytes()]),
        })?;
    }
    if tx.membership(circle, id)?.is_none() {
        tx.put_membership(circles_protocol::Membership {
            circle_id: circle,
            person_id: id,
            state: circles_protocol::MembershipState::Joined,
            role: Role::Member,
            since: line.at,
            version: Pos::ZERO,
        })?;
    }
    Ok(person)
}

fn circle_id(name: &str) -> CircleId {
    CircleId::from_uuid(derived(&[b"circle", name.trim().as_bytes()]))
}

fn person_id(nickname: &str) -> PersonId {
    PersonId::from_uuid(derived(&[b"person", nickname.trim().as_bytes()]))
}

fn message_id(circle: CircleId, n: u64) -> MessageId {
    MessageId::from_uuid(derived(&[b"message", circle.uuid().as_bytes(), &n.to_be_bytes()]))
}

/// A `UUIDv8` (RFC 9562, 5.8) of the SHA-256 of what the line says.
fn derived(parts: &[&[u8]]) -> Uuid {
    Builder::from_custom_bytes(content_hash(parts)).into_uuid()
}
