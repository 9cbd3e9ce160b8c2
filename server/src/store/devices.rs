//! Devices and their tokens.

use std::sync::LazyLock;

use circles_protocol::{DeviceId, InviteId, PersonId, RevokedDevice, UnixMs};

use super::{
    StoreResult,
    session::{Lookup, Row, Session, params},
    value::{blob, pos_at, time_at, time_or_none_at, uuid_at},
};

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

pub fn get(conn: &dyn Session, id: DeviceId) -> StoreResult<Option<StoredDevice>> {
    conn.look_up(lookup(vec![id]))
}

/// Devices by their ids. Primary key.
pub fn lookup(ids: Vec<DeviceId>) -> Lookup<DeviceId, StoredDevice> {
    static SQL: LazyLock<String> = LazyLock::new(|| format!("SELECT {COLUMNS} FROM device WHERE id = ?"));
    Lookup::new(&SQL, ids, |it| blob(it.uuid()), row)
}

/// The device with that token, unless it was revoked. Index: the unique one of `token_hash`.
pub fn by_token(conn: &dyn Session, token_hash: &[u8; 32]) -> StoreResult<Option<StoredDevice>> {
    conn.one(
        &format!("SELECT {COLUMNS} FROM device WHERE token_hash = ? AND revoked_at IS NULL"),
        params![token_hash],
        row,
    )
}

pub fn token_is_taken(conn: &dyn Session, token_hash: &[u8; 32]) -> StoreResult<bool> {
    conn.any("SELECT 1 FROM device WHERE token_hash = ?", params![token_hash])
}

/// The devices of a person that are not revoked, oldest first. Index: `device_by_person`.
pub fn of_person(conn: &dyn Session, person: PersonId) -> StoreResult<Vec<StoredDevice>> {
    conn.all(
        &format!("SELECT {COLUMNS} FROM device WHERE person_id = ? AND revoked_at IS NULL ORDER BY created_at, id"),
        params![blob(person.uuid())],
        row,
    )
}

pub fn insert(conn: &dyn Session, it: &StoredDevice, token_hash: &[u8; 32]) -> StoreResult<()> {
    conn.run(
        "INSERT INTO device (id, person_id, name, token_hash, join_hash, invite_id, created_at, last_seen_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            blob(it.id.uuid()),
            blob(it.person_id.uuid()),
            it.name,
            token_hash,
            it.join_hash,
            blob(it.invite_id.uuid()),
            it.created_at.0,
            it.last_seen_at.0
        ],
    )?;
    Ok(())
}

/// The revocation of a device, if its change is in the log.
pub fn revocation(conn: &dyn Session, id: DeviceId) -> StoreResult<Option<RevokedDevice>> {
    conn.one(
        "SELECT id, person_id, revoked_at, revoked_pos FROM device WHERE id = ? AND revoked_pos IS NOT NULL",
        params![blob(id.uuid())],
        |row| {
            Ok(RevokedDevice {
                id: DeviceId::from_uuid(uuid_at(row, 0)?),
                person_id: PersonId::from_uuid(uuid_at(row, 1)?),
                revoked_at: time_at(row, 2)?,
                version: pos_at(row, 3)?,
            })
        },
    )
}

pub fn revoke(conn: &dyn Session, it: &RevokedDevice) -> StoreResult<()> {
    conn.run(
        "UPDATE device SET revoked_at = ?, revoked_pos = ? WHERE id = ?",
        params![it.revoked_at.0, i64::from(it.version), blob(it.id.uuid())],
    )?;
    Ok(())
}

pub fn seen(conn: &dyn Session, id: DeviceId, now: UnixMs) -> StoreResult<()> {
    conn.run(
        "UPDATE device SET last_seen_at = ? WHERE id = ? AND last_seen_at < ?",
        params![now.0, blob(id.uuid()), now.0],
    )?;
    Ok(())
}

fn row(row: &Row<'_>) -> StoreResult<StoredDevice> {
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
