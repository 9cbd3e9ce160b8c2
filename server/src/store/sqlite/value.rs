//! How the values of the wire stand in columns.

use circles_protocol::{Pos, Role, Seq, UnixMs};
use rusqlite::{Row, types::Type};
use uuid::Uuid;

/// A UUID as its 16 bytes.
pub fn blob(id: Uuid) -> [u8; 16] {
    id.into_bytes()
}

pub fn uuid_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    row.get::<_, [u8; 16]>(column).map(Uuid::from_bytes)
}

pub fn uuid_or_none_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Uuid>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(Uuid::from_bytes))
}

pub fn pos_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Pos> {
    let value: i64 = row.get(column)?;
    Pos::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

pub fn seq_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Seq> {
    let value: i64 = row.get(column)?;
    Seq::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

pub fn time_at(row: &Row<'_>, column: usize) -> rusqlite::Result<UnixMs> {
    row.get(column).map(UnixMs)
}

pub fn time_or_none_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<UnixMs>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(UnixMs))
}

pub const fn role_number(role: Role) -> i64 {
    match role {
        Role::Member => 0,
        Role::Moderator => 1,
        Role::Owner => 2,
    }
}

pub fn role_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Role> {
    match row.get(column)? {
        0_i64 => Ok(Role::Member),
        1 => Ok(Role::Moderator),
        2 => Ok(Role::Owner),
        other => Err(rusqlite::Error::IntegralValueOutOfRange(column, other)),
    }
}

/// The error for a stored value that is of no use.
pub fn broken(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, what.into())
}
