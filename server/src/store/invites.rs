//! Invites. They are not in the log: nobody but their maker sees them.

use circles_protocol::{CircleId, InviteId, PersonId, Role, UnixMs};

use super::{
    StoreResult,
    session::{Row, Session, params},
    value::{blob, role_at, role_number, time_at, time_or_none_at, uuid_at, uuid_or_none_at},
};

/// An invite as it is stored.
#[derive(Clone, Debug)]
pub struct StoredInvite {
    pub id: InviteId,
    /// Role in the campus of who comes in.
    pub role: Role,
    pub circle_id: Option<CircleId>,
    /// It adds a device to its maker.
    pub device: bool,
    /// None for the relay itself.
    pub created_by: Option<PersonId>,
    pub created_at: UnixMs,
    pub expires_at: UnixMs,
    pub max_uses: u32,
    pub uses: u32,
    pub revoked_at: Option<UnixMs>,
}

const COLUMNS: &str = "id, role, circle_id, device, created_by, created_at, expires_at, max_uses, uses, revoked_at";

pub fn get(conn: &dyn Session, id: InviteId) -> StoreResult<Option<StoredInvite>> {
    conn.one(&format!("SELECT {COLUMNS} FROM invite WHERE id = ?"), params![blob(id.uuid())], row)
}

/// Index: the unique one of `code_hash`.
pub fn by_code(conn: &dyn Session, code_hash: &[u8; 32]) -> StoreResult<Option<StoredInvite>> {
    conn.one(&format!("SELECT {COLUMNS} FROM invite WHERE code_hash = ?"), params![code_hash], row)
}

/// Newest first: those of one maker (index: `invite_by_maker`) or all (index: `invite_by_time`).
pub fn list(conn: &dyn Session, maker: Option<PersonId>, limit: u32) -> StoreResult<Vec<StoredInvite>> {
    match maker {
        Some(maker) => conn.all(
            &format!("SELECT {COLUMNS} FROM invite WHERE created_by = ? ORDER BY created_at DESC, id DESC LIMIT ?"),
            params![blob(maker.uuid()), limit],
            row,
        ),
        None => conn.all(
            &format!("SELECT {COLUMNS} FROM invite ORDER BY created_at DESC, id DESC LIMIT ?"),
            params![limit],
            row,
        ),
    }
}

pub fn insert(conn: &dyn Session, it: &StoredInvite, code_hash: &[u8; 32]) -> StoreResult<()> {
    conn.run("INSERT INTO invite (id, code_hash, role, circle_id, device, created_by, created_at, expires_at, max_uses, uses)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", params![
        blob(it.id.uuid()),
        code_hash,
        role_number(it.role),
        it.circle_id.map(|id| blob(id.uuid())),
        it.device,
        it.created_by.map(|id| blob(id.uuid())),
        it.created_at.0,
        it.expires_at.0,
        it.max_uses,
        it.uses
    ])?;
    Ok(())
}

pub fn count_use(conn: &dyn Session, id: InviteId) -> StoreResult<()> {
    conn.run("UPDATE invite SET uses = uses + 1 WHERE id = ?", params![blob(id.uuid())])?;
    Ok(())
}

pub fn revoke(conn: &dyn Session, id: InviteId, now: UnixMs) -> StoreResult<()> {
    conn.run("UPDATE invite SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", params![now.0, blob(id.uuid())])?;
    Ok(())
}

fn row(row: &Row<'_>) -> StoreResult<StoredInvite> {
    Ok(StoredInvite {
        id: InviteId::from_uuid(uuid_at(row, 0)?),
        role: role_at(row, 1)?,
        circle_id: uuid_or_none_at(row, 2)?.map(CircleId::from_uuid),
        device: row.get(3)?,
        created_by: uuid_or_none_at(row, 4)?.map(PersonId::from_uuid),
        created_at: time_at(row, 5)?,
        expires_at: time_at(row, 6)?,
        max_uses: row.get(7)?,
        uses: row.get(8)?,
        revoked_at: time_or_none_at(row, 9)?,
    })
}
