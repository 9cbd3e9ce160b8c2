//! Devices and their tokens.

use circles_protocol::{DeviceId, InviteId, PersonId, UnixMs};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::value::{blob, time_at, time_or_none_at, uuid_at};

/// A device as it is stored.
#[derive(Clone, Debug)]
pub struct StoredDevice {
    pub id: DeviceId,
    pub person_id: PersonId,
    pub name: String,
    pub join_hash: [u8; 32],
    pub invite_id: InviteId,
    pub created_at: UnixMs,
    pub last_seen_at: UnixMs,
    pub revoked_at: Option<UnixMs>,
}

const COLUMNS: &str = "id, person_id, name, join_hash, invite_id, created_at, last_seen_at, revoked_at";

pub fn get(conn: &Connection, id: DeviceId) -> rusqlite::Result<Option<StoredDevice>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM device WHERE id = ?"))?
        .query_row([blob(id.uuid())], row)
        .optional()
}

/// The device with that token, unless it was revoked. Index: the unique one of `token_hash`.
pub fn by_token(conn: &Connection, token_hash: &[u8; 32]) -> rusqlite::Result<Option<StoredDevice>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM device WHERE token_hash = ? AND revoked_at IS NULL"))?
        .query_row([token_hash], row)
        .optional()
}

pub fn token_is_taken(conn: &Connection, token_hash: &[u8; 32]) -> rusqlite::Result<bool> {
    conn.query_row("SELECT EXISTS (SELECT 1 FROM device WHERE token_hash = ?)", [token_hash], |row| row.get(0))
}

/// The devices of a person that are not revoked, oldest first. Index: `device_by_person`.
pub fn of_person(conn: &Connection, person: PersonId) -> rusqlite::Result<Vec<StoredDevice>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM device WHERE person_id = ? AND revoked_at IS NULL ORDER BY created_at, id"
    ))?
    .query_map([blob(person.uuid())], row)?
    .collect()
}

pub fn insert(conn: &Connection, it: &StoredDevice, token_hash: &[u8; 32]) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO device (id, person_id, name, token_hash, join_hash, invite_id, created_at, last_seen_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        blob(it.id.uuid()),
        blob(it.person_id.uuid()),
        it.name,
        token_hash,
        it.join_hash,
        blob(it.invite_id.uuid()),
        it.created_at.0,
        it.last_seen_at.0
    ])?;
    Ok(())
}

pub fn revoke(conn: &Connection, id: DeviceId, now: UnixMs) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE device SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")?
        .execute(params![now.0, blob(id.uuid())])?;
    Ok(())
}

pub fn seen(conn: &Connection, id: DeviceId, now: UnixMs) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE device SET last_seen_at = max(last_seen_at, ?) WHERE id = ?")?
        .execute(params![now.0, blob(id.uuid())])?;
    Ok(())
}

fn row(row: &Row<'_>) -> rusqlite::Result<StoredDevice> {
    Ok(StoredDevice {
        id: DeviceId::from_uuid(uuid_at(row, 0)?),
        person_id: PersonId::from_uuid(uuid_at(row, 1)?),
        name: row.get(2)?,
        join_hash: row.get(3)?,
        invite_id: InviteId::from_uuid(uuid_at(row, 4)?),
        created_at: time_at(row, 5)?,
        last_seen_at: time_at(row, 6)?,
        revoked_at: time_or_none_at(row, 7)?,
    })
}
