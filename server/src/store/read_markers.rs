//! Read markers.

use circles_protocol::{CircleId, PersonId, ReadMarker};

use super::{
    StoreResult,
    session::{Session, params},
    value::{blob, pos_at, seq_at, uuid_at},
};

pub fn get(conn: &dyn Session, circle: CircleId, person: PersonId) -> StoreResult<Option<ReadMarker>> {
    conn.one(
        "SELECT circle_id, person_id, seq, version FROM read_marker WHERE circle_id = ? AND person_id = ?",
        params![blob(circle.uuid()), blob(person.uuid())],
        |row| {
            Ok(ReadMarker {
                circle_id: CircleId::from_uuid(uuid_at(row, 0)?),
                person_id: PersonId::from_uuid(uuid_at(row, 1)?),
                seq: seq_at(row, 2)?,
                version: pos_at(row, 3)?,
            })
        },
    )
}

pub fn put(conn: &dyn Session, it: &ReadMarker) -> StoreResult<()> {
    conn.run(
        "INSERT INTO read_marker (circle_id, person_id, seq, version) VALUES (?, ?, ?, ?)
         ON CONFLICT (circle_id, person_id) DO UPDATE SET seq = excluded.seq, version = excluded.version",
        params![blob(it.circle_id.uuid()), blob(it.person_id.uuid()), i64::from(it.seq), i64::from(it.version)],
    )?;
    Ok(())
}
