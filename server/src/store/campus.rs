//! The campus row.

use circles_protocol::{CampusId, CircleId, Epoch, Pos, UnixMs};

use super::{
    StoreResult,
    session::{Lookup, Row, Session, broken, params},
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
            epoch: epoch_at(row, 2)?,
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

/// Which history the database holds, and how far it goes.
#[derive(Clone, Debug)]
pub struct History {
    pub epoch: Epoch,
    pub head: Pos,
}

impl History {
    /// Whether this goes on from there.
    pub fn follows(&self, epoch: &Epoch, head: Pos) -> bool {
        self.epoch == *epoch && self.head >= head
    }

    /// In a transaction that writes: gives a history another epoch if it lost positions that were told already, as after a
    /// failover to a replica that lagged. They are going to be given anew, to other changes; so everybody has to compare.
    pub fn part_if_lost(&self, conn: &dyn Session, epoch: &Epoch, head: Pos) -> StoreResult<()> {
        if self.epoch == *epoch && self.head < head {
            set_epoch(conn, &Epoch::random(rand::random()))?;
        }
        Ok(())
    }
}

pub fn history(conn: &dyn Session) -> StoreResult<History> {
    let history = history_lookup();
    conn.ask(&[&history])?;
    history.only()
}

/// The same, as a question to be asked with others.
pub fn history_lookup() -> Lookup<(), History> {
    Lookup::new(
        "SELECT epoch, head FROM campus",
        vec![()],
        |()| (),
        |row| Ok(History { epoch: epoch_at(row, 0)?, head: pos_at(row, 1)? }),
    )
}

pub fn head(conn: &dyn Session) -> StoreResult<Pos> {
    Ok(history(conn)?.head)
}

fn epoch_at(row: &Row<'_>, at: usize) -> StoreResult<Epoch> {
    row.get::<String>(at)?.try_into().map_err(|_| broken(at, "no epoch"))
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
