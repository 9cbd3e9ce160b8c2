//! Reactions.

use circles_protocol::{CircleId, MessageId, PersonId, Reaction};

use super::{
    StoreResult,
    session::{Row, Session, params},
    value::{blob, pos_at, uuid_at},
};

const COLUMNS: &str = "circle_id, message_id, person_id, emoji, is_on, version";

pub fn get(conn: &dyn Session, message: MessageId, person: PersonId, emoji: &str) -> StoreResult<Option<Reaction>> {
    conn.one(
        &format!("SELECT {COLUMNS} FROM reaction WHERE message_id = ? AND person_id = ? AND emoji = ?"),
        params![blob(message.uuid()), blob(person.uuid()), emoji],
        row,
    )
}

pub fn put(conn: &dyn Session, it: &Reaction) -> StoreResult<()> {
    conn.run(
        "INSERT INTO reaction (circle_id, message_id, person_id, emoji, is_on, version) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (message_id, person_id, emoji) DO UPDATE SET is_on = excluded.is_on, version = excluded.version",
        params![
            blob(it.circle_id.uuid()),
            blob(it.message_id.uuid()),
            blob(it.person_id.uuid()),
            it.emoji,
            it.on,
            i64::from(it.version)
        ],
    )?;
    Ok(())
}

/// All reactions to a message, also those taken back. Primary key.
pub fn of_message(conn: &dyn Session, message: MessageId) -> StoreResult<Vec<Reaction>> {
    conn.all(&format!("SELECT {COLUMNS} FROM reaction WHERE message_id = ?"), params![blob(message.uuid())], row)
}

/// How many kinds of reaction a person gave a message, also taken back. Primary key.
pub fn count(conn: &dyn Session, message: MessageId, person: PersonId) -> StoreResult<u32> {
    conn.get(
        "SELECT count(*) FROM reaction WHERE message_id = ? AND person_id = ?",
        params![blob(message.uuid()), blob(person.uuid())],
        |row| row.get(0),
    )
}

fn row(row: &Row<'_>) -> StoreResult<Reaction> {
    Ok(Reaction {
        circle_id: CircleId::from_uuid(uuid_at(row, 0)?),
        message_id: MessageId::from_uuid(uuid_at(row, 1)?),
        person_id: PersonId::from_uuid(uuid_at(row, 2)?),
        emoji: row.get(3)?,
        on: row.get(4)?,
        version: pos_at(row, 5)?,
    })
}
