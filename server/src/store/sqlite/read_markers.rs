//! Read markers.

use circles_protocol::{CircleId, PersonId, ReadMarker};
use rusqlite::{Connection, OptionalExtension, params};

use super::value::{blob, pos_at, seq_at, uuid_at};

pub fn get(conn: &Connection, circle: CircleId, person: PersonId) -> rusqlite::Result<Option<ReadMarker>> {
    conn.prepare_cached(
        "SELECT circle_id, person_id, seq, version FROM read_marker WHERE circle_id = ? AND person_id = ?",
    )?
    .query_row([blob(circle.uuid()), blob(person.uuid())], |row| {
        Ok(ReadMarker {
            circle_id: CircleId::from_uuid(uuid_at(row, 0)?),
            person_id: PersonId::from_uuid(uuid_at(row, 1)?),
            seq: seq_at(row, 2)?,
            version: pos_at(row, 3)?,
        })
    })
    .optional()
}

pub fn put(conn: &Connection, it: &ReadMarker) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO read_marker (circle_id, person_id, seq, version) VALUES (?, ?, ?, ?)
         ON CONFLICT (circle_id, person_id) DO UPDATE SET seq = excluded.seq, version = excluded.version",
    )?
    .execute(params![
        blob(it.circle_id.uuid()),
        blob(it.person_id.uuid()),
        i64::from(it.seq),
        i64::from(it.version)
    ])?;
    Ok(())
}
