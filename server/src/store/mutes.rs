//! Which circles a person muted.

use circles_protocol::{CircleId, Mute, PersonId};

use super::{
    StoreResult,
    session::{Session, params},
    value::{blob, pos_at, time_at, uuid_at},
};

pub fn get(conn: &dyn Session, circle: CircleId, person: PersonId) -> StoreResult<Option<Mute>> {
    conn.one(
        "SELECT circle_id, person_id, is_on, changed_at, version FROM mute WHERE circle_id = ? AND person_id = ?",
        params![blob(circle.uuid()), blob(person.uuid())],
        |row| {
            Ok(Mute {
                circle_id: CircleId::from_uuid(uuid_at(row, 0)?),
                person_id: PersonId::from_uuid(uuid_at(row, 1)?),
                on: row.get::<i64>(2)? != 0,
                changed_at: time_at(row, 3)?,
                version: pos_at(row, 4)?,
            })
        },
    )
}

pub fn put(conn: &dyn Session, it: &Mute) -> StoreResult<()> {
    conn.run(
        "INSERT INTO mute (circle_id, person_id, is_on, changed_at, version) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (circle_id, person_id) DO UPDATE SET is_on = excluded.is_on, changed_at = excluded.changed_at,
             version = excluded.version",
        params![
            blob(it.circle_id.uuid()),
            blob(it.person_id.uuid()),
            i64::from(it.on),
            it.changed_at.0,
            i64::from(it.version)
        ],
    )?;
    Ok(())
}
