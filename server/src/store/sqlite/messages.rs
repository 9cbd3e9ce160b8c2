//! Messages.

use circles_protocol::{CircleId, Message, MessageId, PersonId, Pos, Seq};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::value::{blob, pos_at, seq_at, time_at, time_or_none_at, uuid_at, uuid_or_none_at};

/// A message as it is stored.
#[derive(Clone, Debug)]
pub struct StoredMessage {
    pub message: Message,
    /// Position of the change that created it.
    pub created_pos: Pos,
    pub content_hash: [u8; 16],
}

const COLUMNS: &str = "id, circle_id, seq, author_id, text, reply_to, created_at, written_at, edited_at, deleted_at, version, created_pos, content_hash";

pub fn get(conn: &Connection, id: MessageId) -> rusqlite::Result<Option<StoredMessage>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM message WHERE id = ?"))?
        .query_row([blob(id.uuid())], row)
        .optional()
}

pub fn exists(conn: &Connection, id: MessageId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM message WHERE id = ?)")?
        .query_row([blob(id.uuid())], |row| row.get(0))
}

pub fn insert(conn: &Connection, it: &StoredMessage) -> rusqlite::Result<()> {
    let message = &it.message;
    conn.prepare_cached(
        "INSERT INTO message (id, circle_id, seq, author_id, text, reply_to, created_at, written_at, version,
             created_pos, content_hash)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        blob(message.id.uuid()),
        blob(message.circle_id.uuid()),
        i64::from(message.seq),
        blob(message.author_id.uuid()),
        message.text,
        message.reply_to.map(|id| blob(id.uuid())),
        message.created_at.0,
        message.written_at.map(|it| it.0),
        i64::from(message.version),
        i64::from(it.created_pos),
        it.content_hash
    ])?;
    Ok(())
}

/// Stores an edit or a tombstone; the rest of a message never changes.
pub fn update(conn: &Connection, it: &Message) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE message SET text = ?, edited_at = ?, deleted_at = ?, version = ? WHERE id = ?")?
        .execute(params![
            it.text,
            it.edited_at.map(|it| it.0),
            it.deleted_at.map(|it| it.0),
            i64::from(it.version),
            blob(it.id.uuid())
        ])?;
    Ok(())
}

/// The messages with `from <= seq <= to`, ascending. Index: `message_by_seq`.
pub fn range(conn: &Connection, circle: CircleId, from: Seq, to: Seq) -> rusqlite::Result<Vec<Message>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM message WHERE circle_id = ? AND seq >= ? AND seq <= ? ORDER BY seq"
    ))?
    .query_map(params![blob(circle.uuid()), i64::from(from), i64::from(to)], |it| Ok(row(it)?.message))?
    .collect()
}

/// How many messages after `seq` a person wrote. Index: `message_by_author`.
pub fn count_own_after(conn: &Connection, circle: CircleId, author: PersonId, seq: Seq) -> rusqlite::Result<u32> {
    conn.prepare_cached("SELECT count(*) FROM message WHERE circle_id = ? AND author_id = ? AND seq > ?")?
        .query_row(params![blob(circle.uuid()), blob(author.uuid()), i64::from(seq)], |row| row.get(0))
}

fn row(row: &Row<'_>) -> rusqlite::Result<StoredMessage> {
    Ok(StoredMessage {
        message: Message {
            id: MessageId::from_uuid(uuid_at(row, 0)?),
            circle_id: CircleId::from_uuid(uuid_at(row, 1)?),
            seq: seq_at(row, 2)?,
            author_id: PersonId::from_uuid(uuid_at(row, 3)?),
            text: row.get(4)?,
            reply_to: uuid_or_none_at(row, 5)?.map(MessageId::from_uuid),
            created_at: time_at(row, 6)?,
            written_at: time_or_none_at(row, 7)?,
            edited_at: time_or_none_at(row, 8)?,
            deleted_at: time_or_none_at(row, 9)?,
            version: pos_at(row, 10)?,
        },
        created_pos: pos_at(row, 11)?,
        content_hash: row.get(12)?,
    })
}
