//! Messages.

use std::sync::LazyLock;

use circles_protocol::{CircleId, Message, MessageId, PersonId, Pos, Seq};

use super::{
    StoreResult,
    session::{Lookup, Row, Session, params},
    value::{blob, pos_at, seq_at, time_at, time_or_none_at, uuid_at, uuid_or_none_at},
};

/// A message as it is stored.
#[derive(Clone, Debug)]
pub struct StoredMessage {
    pub message: Message,
    /// Position of the change that created it.
    pub created_pos: Pos,
    pub content_hash: [u8; 16],
}

const COLUMNS: &str = "id, circle_id, seq, author_id, text, reply_to, created_at, written_at, edited_at, deleted_at, version, created_pos, content_hash";

pub fn get(conn: &dyn Session, id: MessageId) -> StoreResult<Option<StoredMessage>> {
    conn.look_up(lookup(vec![id]))
}

/// Messages by their ids. Primary key.
pub fn lookup(ids: Vec<MessageId>) -> Lookup<MessageId, StoredMessage> {
    static SQL: LazyLock<String> = LazyLock::new(|| format!("SELECT {COLUMNS} FROM message WHERE id = ?"));
    Lookup::new(&SQL, ids, |it| blob(it.uuid()), row)
}

pub fn exists(conn: &dyn Session, id: MessageId) -> StoreResult<bool> {
    conn.any("SELECT 1 FROM message WHERE id = ?", params![blob(id.uuid())])
}

pub fn insert(conn: &dyn Session, it: &StoredMessage) -> StoreResult<()> {
    let message = &it.message;
    conn.run(
        "INSERT INTO message (id, circle_id, seq, author_id, text, reply_to, created_at, written_at, version,
             created_pos, content_hash)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
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
        ],
    )?;
    Ok(())
}

/// Stores an edit or a tombstone; the rest of a message never changes.
pub fn update(conn: &dyn Session, it: &Message) -> StoreResult<()> {
    conn.run(
        "UPDATE message SET text = ?, edited_at = ?, deleted_at = ?, version = ? WHERE id = ?",
        params![
            it.text,
            it.edited_at.map(|it| it.0),
            it.deleted_at.map(|it| it.0),
            i64::from(it.version),
            blob(it.id.uuid())
        ],
    )?;
    Ok(())
}

/// The messages with `from <= seq <= to`, ascending. Index: `message_by_seq`.
pub fn range(conn: &dyn Session, circle: CircleId, from: Seq, to: Seq) -> StoreResult<Vec<Message>> {
    conn.all(
        &format!("SELECT {COLUMNS} FROM message WHERE circle_id = ? AND seq >= ? AND seq <= ? ORDER BY seq"),
        params![blob(circle.uuid()), i64::from(from), i64::from(to)],
        |it| Ok(row(it)?.message),
    )
}

/// How many messages after `seq` a person wrote. Index: `message_by_author`.
pub fn count_own_after(conn: &dyn Session, circle: CircleId, author: PersonId, seq: Seq) -> StoreResult<u32> {
    conn.get(
        "SELECT count(*) FROM message WHERE circle_id = ? AND author_id = ? AND seq > ?",
        params![blob(circle.uuid()), blob(author.uuid()), i64::from(seq)],
        |row| row.get(0),
    )
}

fn row(row: &Row<'_>) -> StoreResult<StoredMessage> {
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
