//! What people began to write.

use circles_protocol::{CircleId, Draft, MessageId, PersonId};

use super::{
    StoreResult,
    session::{Session, params},
    value::{blob, pos_at, time_at, uuid_at, uuid_or_none_at},
};

pub fn get(conn: &dyn Session, circle: CircleId, person: PersonId) -> StoreResult<Option<Draft>> {
    conn.one(
        "SELECT circle_id, person_id, text, reply_to, editing, changed_at, version FROM draft
         WHERE circle_id = ? AND person_id = ?",
        params![blob(circle.uuid()), blob(person.uuid())],
        |row| {
            Ok(Draft {
                circle_id: CircleId::from_uuid(uuid_at(row, 0)?),
                person_id: PersonId::from_uuid(uuid_at(row, 1)?),
                text: row.get(2)?,
                reply_to: uuid_or_none_at(row, 3)?.map(MessageId::from_uuid),
                editing: uuid_or_none_at(row, 4)?.map(MessageId::from_uuid),
                changed_at: time_at(row, 5)?,
                version: pos_at(row, 6)?,
            })
        },
    )
}

pub fn put(conn: &dyn Session, it: &Draft) -> StoreResult<()> {
    conn.run(
        "INSERT INTO draft (circle_id, person_id, text, reply_to, editing, changed_at, version)
         VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (circle_id, person_id) DO UPDATE SET text = excluded.text, reply_to = excluded.reply_to,
             editing = excluded.editing, changed_at = excluded.changed_at, version = excluded.version",
        params![
            blob(it.circle_id.uuid()),
            blob(it.person_id.uuid()),
            it.text,
            it.reply_to.map(|id| blob(id.uuid())),
            it.editing.map(|id| blob(id.uuid())),
            it.changed_at.0,
            i64::from(it.version)
        ],
    )?;
    Ok(())
}
