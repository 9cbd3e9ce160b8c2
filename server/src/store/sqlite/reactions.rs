//! Reactions.

use circles_protocol::{CircleId, MessageId, PersonId, Reaction};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::value::{blob, pos_at, uuid_at};

const COLUMNS: &str = "circle_id, message_id, person_id, emoji, is_on, version";

pub fn get(conn: &Connection, message: MessageId, person: PersonId, emoji: &str) -> rusqlite::Result<Option<Reaction>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM reaction WHERE message_id = ? AND person_id = ? AND emoji = ?"
    ))?
    .query_row(params![blob(message.uuid()), blob(person.uuid()), emoji], row)
    .optional()
}

pub fn put(conn: &Connection, it: &Reaction) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO reaction (circle_id, message_id, person_id, emoji, is_on, version) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (message_id, person_id, emoji) DO UPDATE SET is_on = excluded.is_on, version = excluded.version",
    )?
    .execute(params![
        blob(it.circle_id.uuid()),
        blob(it.message_id.uuid()),
        blob(it.person_id.uuid()),
        it.emoji,
        it.on,
        i64::from(it.version)
    ])?;
    Ok(())
}

/// All reactions to a message, also those taken back. Primary key.
pub fn of_message(conn: &Connection, message: MessageId) -> rusqlite::Result<Vec<Reaction>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM reaction WHERE message_id = ?"))?
        .query_map([blob(message.uuid())], row)?
        .collect()
}

/// How many kinds of reaction a person gave a message, also taken back. Primary key.
pub fn count(conn: &Connection, message: MessageId, person: PersonId) -> rusqlite::Result<u32> {
    conn.prepare_cached("SELECT count(*) FROM reaction WHERE message_id = ? AND person_id = ?")?
        .query_row([blob(message.uuid()), blob(person.uuid())], |row| row.get(0))
}

fn row(row: &Row<'_>) -> rusqlite::Result<Reaction> {
    Ok(Reaction {
        circle_id: CircleId::from_uuid(uuid_at(row, 0)?),
        message_id: MessageId::from_uuid(uuid_at(row, 1)?),
        person_id: PersonId::from_uuid(uuid_at(row, 2)?),
        emoji: row.get(3)?,
        on: row.get(4)?,
        version: pos_at(row, 5)?,
    })
}
