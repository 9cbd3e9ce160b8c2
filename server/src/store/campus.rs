//! The campus row.

use circles_protocol::{CampusId, CircleId, Epoch, Pos, UnixMs};

use super::{
    StoreResult,
    session::{Lookup, Session, broken, params},
    value::{blob, pos_at, uuid_at, uuid_or_none_at},
};

/// What never changes while the relay runs.
#[derive(Clone, Debug)]
pub struct Campus {
    pub id: CampusId,
    pub name: String,
    pub epoch: Epoch,
    /// Derives the codes of invites.
    pub secret: [u8; 32],
}

pub fn get(conn: &dyn Session) -> StoreResult<Option<Campus>> {
    conn.one("SELECT id, name, epoch, secret FROM campus", params![], |row| {
        Ok(Campus {
            id: CampusId::from_uuid(uuid_at(row, 0)?),
            name: row.get(1)?,
            epoch: row.get::<String>(2)?.try_into().map_err(|_| broken(2, "no epoch"))?,
            secret: row.get(3)?,
        })
    })
}

pub fn create(conn: &dyn Session, campus: &Campus, now: UnixMs) -> StoreResult<()> {
    conn.run(
        "INSERT INTO campus (id, name, epoch, head, secret, created_at) VALUES (?, ?, ?, 0, ?, ?)",
        params![blob(campus.id.uuid()), campus.name, campus.epoch.as_str(), campus.secret, now.0],
    )?;
    Ok(())
}

pub fn set_epoch(conn: &dyn Session, epoch: &Epoch) -> StoreResult<()> {
    conn.run("UPDATE campus SET epoch = ?", params![epoch.as_str()])?;
    Ok(())
}

pub fn head(conn: &dyn Session) -> StoreResult<Pos> {
    let head = head_lookup();
    conn.ask(&[&head])?;
    head.only()
}

/// The same, as a question to be asked with others.
pub fn head_lookup() -> Lookup<(), Pos> {
    Lookup::new("SELECT head FROM campus", vec![()], |()| (), |row| pos_at(row, 0))
}

pub fn set_head(conn: &dyn Session, head: Pos) -> StoreResult<()> {
    conn.run("UPDATE campus SET head = ?", params![i64::from(head)])?;
    Ok(())
}

/// Writes what is there already: to see whether anything can be written.
pub fn touch(conn: &dyn Session) -> StoreResult<()> {
    conn.run("UPDATE campus SET head = head", params![])
}

/// The circle that everybody joins with the campus; none before its owner came.
pub fn general(conn: &dyn Session) -> StoreResult<Option<CircleId>> {
    conn.get(
        "SELECT general_circle FROM campus",
        params![],
        |row| Ok(uuid_or_none_at(row, 0)?.map(CircleId::from_uuid)),
    )
}

pub fn set_general(conn: &dyn Session, circle: CircleId) -> StoreResult<()> {
    conn.run("UPDATE campus SET general_circle = ?", params![blob(circle.uuid())])?;
    Ok(())
}
