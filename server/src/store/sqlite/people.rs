//! Persons.

use circles_protocol::{Person, PersonId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::value::{blob, pos_at, role_at, role_number, time_at, uuid_at};

pub fn get(conn: &Connection, id: PersonId) -> rusqlite::Result<Option<Person>> {
    conn.prepare_cached("SELECT id, name, hue, role, joined_at, version FROM person WHERE id = ?")?
        .query_row([blob(id.uuid())], row)
        .optional()
}

pub fn put(conn: &Connection, it: &Person) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO person (id, name, hue, role, joined_at, version) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, hue = excluded.hue, role = excluded.role,
             version = excluded.version",
    )?
    .execute(params![
        blob(it.id.uuid()),
        it.name,
        it.hue,
        role_number(it.role),
        it.joined_at.0,
        i64::from(it.version)
    ])?;
    Ok(())
}

/// Persons by id, after the given one. Primary key.
pub fn page(conn: &Connection, after: Option<PersonId>, limit: u32) -> rusqlite::Result<Vec<Person>> {
    let after = after.map_or(Vec::new(), |id| blob(id.uuid()).to_vec());
    conn.prepare_cached("SELECT id, name, hue, role, joined_at, version FROM person WHERE id > ? ORDER BY id LIMIT ?")?
        .query_map(params![after, limit], row)?
        .collect()
}

fn row(row: &Row<'_>) -> rusqlite::Result<Person> {
    Ok(Person {
        id: PersonId::from_uuid(uuid_at(row, 0)?),
        name: row.get(1)?,
        hue: row.get(2)?,
        role: role_at(row, 3)?,
        joined_at: time_at(row, 4)?,
        version: pos_at(row, 5)?,
    })
}
