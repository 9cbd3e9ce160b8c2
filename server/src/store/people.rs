//! Persons.

use circles_protocol::{Person, PersonId};

use super::{
    StoreResult,
    session::{Lookup, Row, Session, params},
    value::{blob, pos_at, role_at, role_number, time_at, uuid_at},
};

pub fn get(conn: &dyn Session, id: PersonId) -> StoreResult<Option<Person>> {
    conn.look_up(lookup(vec![id]))
}

/// Persons by their ids. Primary key.
pub fn lookup(ids: Vec<PersonId>) -> Lookup<PersonId, Person> {
    let sql = "SELECT id, name, hue, role, joined_at, version FROM person WHERE id = ?";
    Lookup::new(sql, ids, |it| blob(it.uuid()), row)
}

pub fn put(conn: &dyn Session, it: &Person) -> StoreResult<()> {
    conn.run(
        "INSERT INTO person (id, name, hue, role, joined_at, version) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, hue = excluded.hue, role = excluded.role,
             version = excluded.version",
        params![blob(it.id.uuid()), it.name, it.hue, role_number(it.role), it.joined_at.0, i64::from(it.version)],
    )?;
    Ok(())
}

/// Persons by id, after the given one. Primary key.
pub fn page(conn: &dyn Session, after: Option<PersonId>, limit: u32) -> StoreResult<Vec<Person>> {
    let after = after.map_or(Vec::new(), |id| blob(id.uuid()).to_vec());
    conn.all(
        "SELECT id, name, hue, role, joined_at, version FROM person WHERE id > ? ORDER BY id LIMIT ?",
        params![after, limit],
        row,
    )
}

fn row(row: &Row<'_>) -> StoreResult<Person> {
    Ok(Person {
        id: PersonId::from_uuid(uuid_at(row, 0)?),
        name: row.get(1)?,
        hue: row.get(2)?,
        role: role_at(row, 3)?,
        joined_at: time_at(row, 4)?,
        version: pos_at(row, 5)?,
    })
}
