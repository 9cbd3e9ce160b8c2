//! The log: rows that point at entities (design section 5).

use circles_protocol::{Change, CircleId, DeviceId, Entity, MessageId, PersonId, Pos, Scope};
use uuid::Uuid;

use super::{
    StoreResult, circles, devices, drafts, memberships, messages, mutes, people, reactions, read_markers,
    session::{Lookup, Row, Session, broken, params},
    value::{blob, pos_at},
};

/// Which entity a row points at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Person(PersonId),
    Circle(CircleId),
    Membership(CircleId, PersonId),
    Message(MessageId),
    Reaction(MessageId, PersonId, String),
    ReadMarker(CircleId, PersonId),
    RevokedDevice(DeviceId),
    Mute(CircleId, PersonId),
    Draft(CircleId, PersonId),
}

/// One row of the log.
#[derive(Clone, Debug)]
pub struct LogRow {
    pub pos: Pos,
    pub prev: Pos,
    pub scope: Scope,
    pub key: Key,
}

impl Key {
    pub fn of(entity: &Entity) -> Self {
        match entity {
            Entity::Person(it) => Self::Person(it.id),
            Entity::Circle(it) => Self::Circle(it.id),
            Entity::Membership(it) => Self::Membership(it.circle_id, it.person_id),
            Entity::Message(it) => Self::Message(it.id),
            Entity::Reaction(it) => Self::Reaction(it.message_id, it.person_id, it.emoji.clone()),
            Entity::ReadMarker(it) => Self::ReadMarker(it.circle_id, it.person_id),
            Entity::RevokedDevice(it) => Self::RevokedDevice(it.id),
            Entity::Mute(it) => Self::Mute(it.circle_id, it.person_id),
            Entity::Draft(it) => Self::Draft(it.circle_id, it.person_id),
        }
    }

    /// The kind's number, and the ids one after the other, 16 bytes each; for a reaction also the emoji.
    fn columns(&self) -> (i64, Vec<u8>) {
        let pair = |a: Uuid, b: Uuid| [blob(a), blob(b)].concat();
        match self {
            Self::Person(id) => (0, blob(id.uuid()).to_vec()),
            Self::Circle(id) => (1, blob(id.uuid()).to_vec()),
            Self::Membership(circle, person) => (2, pair(circle.uuid(), person.uuid())),
            Self::Message(id) => (3, blob(id.uuid()).to_vec()),
            Self::Reaction(message, person, emoji) => {
                (4, [&pair(message.uuid(), person.uuid())[..], emoji.as_bytes()].concat())
            }
            Self::ReadMarker(circle, person) => (5, pair(circle.uuid(), person.uuid())),
            Self::RevokedDevice(id) => (6, blob(id.uuid()).to_vec()),
            Self::Mute(circle, person) => (7, pair(circle.uuid(), person.uuid())),
            Self::Draft(circle, person) => (8, pair(circle.uuid(), person.uuid())),
        }
    }

    fn parse(kind: i64, bytes: &[u8]) -> Option<Self> {
        let id = |from: usize| Uuid::from_slice(bytes.get(from..from + 16)?).ok();
        Some(match kind {
            0 => Self::Person(PersonId::from_uuid(id(0)?)),
            1 => Self::Circle(CircleId::from_uuid(id(0)?)),
            2 => Self::Membership(CircleId::from_uuid(id(0)?), PersonId::from_uuid(id(16)?)),
            3 => Self::Message(MessageId::from_uuid(id(0)?)),
            4 => Self::Reaction(
                MessageId::from_uuid(id(0)?),
                PersonId::from_uuid(id(16)?),
                String::from_utf8(bytes.get(32..)?.to_vec()).ok()?,
            ),
            5 => Self::ReadMarker(CircleId::from_uuid(id(0)?), PersonId::from_uuid(id(16)?)),
            6 => Self::RevokedDevice(DeviceId::from_uuid(id(0)?)),
            7 => Self::Mute(CircleId::from_uuid(id(0)?), PersonId::from_uuid(id(16)?)),
            8 => Self::Draft(CircleId::from_uuid(id(0)?), PersonId::from_uuid(id(16)?)),
            _ => return None,
        })
    }

    /// The entity's newest state.
    pub fn load(&self, conn: &dyn Session) -> StoreResult<Entity> {
        let entity = match self {
            Self::Person(id) => people::get(conn, *id)?.map(Entity::Person),
            Self::Circle(id) => circles::get(conn, *id)?.map(|it| Entity::Circle(it.circle)),
            Self::Membership(circle, person) => memberships::get(conn, *circle, *person)?.map(Entity::Membership),
            Self::Message(id) => messages::get(conn, *id)?.map(|it| Entity::Message(it.message)),
            Self::Reaction(message, person, emoji) => {
                reactions::get(conn, *message, *person, emoji)?.map(Entity::Reaction)
            }
            Self::ReadMarker(circle, person) => read_markers::get(conn, *circle, *person)?.map(Entity::ReadMarker),
            Self::RevokedDevice(id) => devices::revocation(conn, *id)?.map(Entity::RevokedDevice),
            Self::Mute(circle, person) => mutes::get(conn, *circle, *person)?.map(Entity::Mute),
            Self::Draft(circle, person) => drafts::get(conn, *circle, *person)?.map(Entity::Draft),
        };
        entity.ok_or_else(|| broken(5, "a change without its entity"))
    }
}

impl LogRow {
    /// The row with its entity's newest state.
    pub fn load(&self, conn: &dyn Session) -> StoreResult<Change> {
        Ok(Change { pos: self.pos, prev: self.prev, scope: self.scope, entity: self.key.load(conn)? })
    }
}

pub fn append(conn: &dyn Session, change: &Change) -> StoreResult<()> {
    let (kind, entity) = Key::of(&change.entity).columns();
    let (scope_kind, scope_id) = scope_columns(change.scope);
    let subject = match &change.entity {
        Entity::Membership(it) => Some(blob(it.person_id.uuid())),
        _ => None,
    };
    conn.run(
        "INSERT INTO log (pos, scope_kind, scope_id, prev, kind, entity, subject) VALUES (?, ?, ?, ?, ?, ?, ?)",
        params![i64::from(change.pos), scope_kind, scope_id, i64::from(change.prev), kind, entity, subject],
    )?;
    Ok(())
}

/// The position of a scope's last change, zero if there is none. Index: `log_by_scope`.
pub fn scope_head(conn: &dyn Session, scope: Scope) -> StoreResult<Pos> {
    Ok(conn.look_up(scope_heads(vec![scope]))?.unwrap_or(Pos::ZERO))
}

/// Those of several scopes.
pub fn scope_heads(scopes: Vec<Scope>) -> Lookup<Scope, Pos> {
    let sql = "SELECT max(pos) FROM log WHERE scope_kind = ? AND scope_id = ?";
    Lookup::new(
        sql,
        scopes,
        |it| scope_columns(*it),
        |row| {
            let newest = row.maybe::<i64>(0)?.map(Pos::try_from).transpose().map_err(|_| broken(0, "no position"))?;
            Ok(newest.unwrap_or(Pos::ZERO))
        },
    )
}

/// The rows in `(after, until]` of all scopes, ascending. Primary key.
pub fn range(conn: &dyn Session, after: Pos, until: Pos) -> StoreResult<Vec<LogRow>> {
    conn.all(
        "SELECT pos, prev, scope_kind, scope_id, kind, entity FROM log WHERE pos > ? AND pos <= ? ORDER BY pos",
        params![i64::from(after), i64::from(until)],
        row,
    )
}

/// At most `limit` rows in `(after, until]` of one scope, from its upper or lower end; ascending. Index: `log_by_scope`.
pub fn scope_range(
    conn: &dyn Session,
    scope: Scope,
    (after, until): (Pos, Pos),
    newest: bool,
    limit: u32,
) -> StoreResult<Vec<LogRow>> {
    let (kind, id) = scope_columns(scope);
    let sql = if newest {
        "SELECT pos, prev, scope_kind, scope_id, kind, entity FROM log
         WHERE scope_kind = ? AND scope_id = ? AND pos > ? AND pos <= ? ORDER BY pos DESC LIMIT ?"
    } else {
        "SELECT pos, prev, scope_kind, scope_id, kind, entity FROM log
         WHERE scope_kind = ? AND scope_id = ? AND pos > ? AND pos <= ? ORDER BY pos LIMIT ?"
    };
    let mut rows: Vec<LogRow> = conn.all(sql, params![kind, id, i64::from(after), i64::from(until), limit], row)?;
    if newest {
        rows.reverse();
    }
    Ok(rows)
}

/// The last row after `after` of each membership of a person, ascending. Index: `log_by_subject`.
pub fn of_subject(conn: &dyn Session, person: PersonId, after: Pos) -> StoreResult<Vec<LogRow>> {
    conn.all(
        "SELECT pos, prev, scope_kind, scope_id, kind, entity FROM log AS last
         WHERE subject = ? AND pos > ? AND NOT EXISTS (
             SELECT 1 FROM log AS later
             WHERE later.subject = last.subject AND later.pos > last.pos AND later.entity = last.entity)
         ORDER BY pos",
        params![blob(person.uuid()), i64::from(after)],
        row,
    )
}

fn row(row: &Row<'_>) -> StoreResult<LogRow> {
    let (kind, entity): (i64, Vec<u8>) = (row.get(4)?, row.get(5)?);
    Ok(LogRow {
        pos: pos_at(row, 0)?,
        prev: pos_at(row, 1)?,
        scope: scope_of(row.get(2)?, &row.get::<Vec<u8>>(3)?).ok_or_else(|| broken(3, "no scope"))?,
        key: Key::parse(kind, &entity).ok_or_else(|| broken(5, "no entity key"))?,
    })
}

fn scope_columns(scope: Scope) -> (i64, Vec<u8>) {
    match scope {
        Scope::Campus => (0, Vec::new()),
        Scope::Circle(id) => (1, blob(id.uuid()).to_vec()),
        Scope::Person(id) => (2, blob(id.uuid()).to_vec()),
    }
}

fn scope_of(kind: i64, id: &[u8]) -> Option<Scope> {
    match kind {
        0 => Some(Scope::Campus),
        1 => Uuid::from_slice(id).ok().map(|id| Scope::Circle(CircleId::from_uuid(id))),
        2 => Uuid::from_slice(id).ok().map(|id| Scope::Person(PersonId::from_uuid(id))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_reads_back_what_it_wrote(kind in 0_i64..9, a: u128, b: u128, emoji in ".{1,8}") {
            let (a, b) = (Uuid::from_u128(a), Uuid::from_u128(b));
            let key = match kind {
                0 => Key::Person(PersonId::from_uuid(a)),
                1 => Key::Circle(CircleId::from_uuid(a)),
                2 => Key::Membership(CircleId::from_uuid(a), PersonId::from_uuid(b)),
                3 => Key::Message(MessageId::from_uuid(a)),
                4 => Key::Reaction(MessageId::from_uuid(a), PersonId::from_uuid(b), emoji),
                5 => Key::ReadMarker(CircleId::from_uuid(a), PersonId::from_uuid(b)),
                6 => Key::RevokedDevice(DeviceId::from_uuid(a)),
                7 => Key::Mute(CircleId::from_uuid(a), PersonId::from_uuid(b)),
                _ => Key::Draft(CircleId::from_uuid(a), PersonId::from_uuid(b)),
            };
            let (kind, bytes) = key.columns();
            prop_assert_eq!(Key::parse(kind, &bytes), Some(key));
        }
    }
}
