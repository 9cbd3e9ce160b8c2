//! Which circles one muted: as the relay has it, and before that what waits in the outbox.

use circles_protocol::{CampusId, CircleId, Mute, UnixMs};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Blob,
    outbox::{self, Intent},
};
use crate::error::ClientError;

/// Whether a circle is muted.
pub fn is_muted(conn: &Connection, campus: CampusId, circle: CircleId) -> rusqlite::Result<bool> {
    match outbox::waiting(conn, campus, circle, "mute")? {
        Some(Intent::Mute { on }) => Ok(on),
        _ => stored(conn, campus, circle),
    }
}

fn stored(conn: &Connection, campus: CampusId, circle: CircleId) -> rusqlite::Result<bool> {
    let found = conn
        .prepare_cached("SELECT is_on FROM mute WHERE campus = ?1 AND circle = ?2")?
        .query_row(params![campus.blob(), circle.blob()], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(false))
}

/// The person mutes a circle, or no longer.
pub fn set(conn: &Connection, campus: CampusId, circle: CircleId, on: bool, now: UnixMs) -> Result<(), ClientError> {
    if on == stored(conn, campus, circle)? && outbox::call_back(conn, campus, circle, "mute")? {
        return Ok(());
    }
    outbox::push(conn, campus, circle, None, &Intent::Mute { on }, now)
}

/// Takes the relay's state, if it is newer. Whether it was.
pub fn apply(conn: &Connection, campus: CampusId, it: &Mute) -> rusqlite::Result<bool> {
    let changed = conn
        .prepare_cached(
            "INSERT INTO mute (campus, circle, is_on, changed_at, version) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (campus, circle) DO UPDATE SET is_on = excluded.is_on, changed_at = excluded.changed_at,
                 version = excluded.version
             WHERE excluded.version > version",
        )?
        .execute(params![campus.blob(), it.circle_id.blob(), it.on, it.changed_at.0, i64::from(it.version)])?;
    Ok(changed > 0)
}

/// Another history begins: it is offered what was held, and knows itself what is newer.
pub fn offer(conn: &Connection, campus: CampusId) -> Result<(), ClientError> {
    let held: Vec<(CircleId, bool, i64)> = conn
        .prepare("DELETE FROM mute WHERE campus = ?1 RETURNING circle, is_on, changed_at")?
        .query_map([campus.blob()], |row| Ok((CircleId::from_uuid(super::uuid(row, 0)?), row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (circle, on, at) in held {
        if outbox::waiting(conn, campus, circle, "mute")?.is_none() {
            outbox::push(conn, campus, circle, None, &Intent::Mute { on }, UnixMs(at))?;
        }
    }
    Ok(())
}
