//! The campus row.

use circles_protocol::{CampusId, CircleId, Epoch, Pos, UnixMs};
use rusqlite::{Connection, OptionalExtension, params};

use super::value::{blob, broken, pos_at, uuid_at, uuid_or_none_at};

/// What never changes while the relay runs.
#[derive(Clone, Debug)]
pub struct Campus {
    pub id: CampusId,
    pub name: String,
    pub epoch: Epoch,
    /// Derives the codes of invites.
    pub secret: [u8; 32],
}

pub fn get(conn: &Connection) -> rusqlite::Result<Option<Campus>> {
    conn.query_row("SELECT id, name, epoch, secret FROM campus", [], |row| {
        Ok(Campus {
            id: CampusId::from_uuid(uuid_at(row, 0)?),
            name: row.get(1)?,
            epoch: row.get::<_, String>(2)?.try_into().map_err(|_| broken(2, "no epoch"))?,
            secret: row.get(3)?,
        })
    })
    .optional()
}

pub fn create(conn: &Connection, campus: &Campus, now: UnixMs) -> rusqlite::Result<()> {
    conn.execute(
        "INSERT INTO campus (id, name, epoch, head, secret, created_at) VALUES (?, ?, ?, 0, ?, ?)",
        params![blob(campus.id.uuid()), campus.name, campus.epoch.as_str(), campus.secret, now.0],
    )?;
    Ok(())
}

pub fn head(conn: &Connection) -> rusqlite::Result<Pos> {
    conn.prepare_cached("SELECT head FROM campus")?.query_row([], |row| pos_at(row, 0))
}

pub fn set_head(conn: &Connection, head: Pos) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE campus SET head = ?")?.execute([i64::from(head)])?;
    Ok(())
}

/// The circle that everybody joins with the campus; none before its owner came.
pub fn general(conn: &Connection) -> rusqlite::Result<Option<CircleId>> {
    conn.query_row("SELECT general_circle FROM campus", [], |row| Ok(uuid_or_none_at(row, 0)?.map(CircleId::from_uuid)))
}

pub fn set_general(conn: &Connection, circle: CircleId) -> rusqlite::Result<()> {
    conn.execute("UPDATE campus SET general_circle = ?", [blob(circle.uuid())])?;
    Ok(())
}
