//! How the values of the wire stand in columns.

use circles_protocol::{Pos, Role, Seq, UnixMs};
use uuid::Uuid;

use super::{
    StoreResult,
    session::{Row, broken},
};

/// A UUID as its 16 bytes.
pub fn blob(id: Uuid) -> [u8; 16] {
    id.into_bytes()
}

pub fn uuid_at(row: &Row<'_>, column: usize) -> StoreResult<Uuid> {
    row.get::<[u8; 16]>(column).map(Uuid::from_bytes)
}

pub fn uuid_or_none_at(row: &Row<'_>, column: usize) -> StoreResult<Option<Uuid>> {
    Ok(row.maybe::<[u8; 16]>(column)?.map(Uuid::from_bytes))
}

pub fn pos_at(row: &Row<'_>, column: usize) -> StoreResult<Pos> {
    Pos::try_from(row.get::<i64>(column)?).map_err(|_| broken(column, "no position"))
}

pub fn seq_at(row: &Row<'_>, column: usize) -> StoreResult<Seq> {
    Seq::try_from(row.get::<i64>(column)?).map_err(|_| broken(column, "no number"))
}

pub fn time_at(row: &Row<'_>, column: usize) -> StoreResult<UnixMs> {
    row.get(column).map(UnixMs)
}

pub fn time_or_none_at(row: &Row<'_>, column: usize) -> StoreResult<Option<UnixMs>> {
    Ok(row.maybe(column)?.map(UnixMs))
}

pub const fn role_number(role: Role) -> i64 {
    match role {
        Role::Member => 0,
        Role::Moderator => 1,
        Role::Owner => 2,
    }
}

pub fn role_at(row: &Row<'_>, column: usize) -> StoreResult<Role> {
    match row.get(column)? {
        0_i64 => Ok(Role::Member),
        1 => Ok(Role::Moderator),
        2 => Ok(Role::Owner),
        _ => Err(broken(column, "no role")),
    }
}
