//! Memberships.

use circles_protocol::{CircleId, Membership, MembershipState, PersonId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::value::{blob, pos_at, role_at, role_number, time_at, uuid_at};

const COLUMNS: &str = "circle_id, person_id, state, role, since, version";

pub fn get(conn: &Connection, circle: CircleId, person: PersonId) -> rusqlite::Result<Option<Membership>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM membership WHERE circle_id = ? AND person_id = ?"))?
        .query_row([blob(circle.uuid()), blob(person.uuid())], row)
        .optional()
}

pub fn put(conn: &Connection, it: &Membership) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO membership (circle_id, person_id, state, role, since, version) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (circle_id, person_id) DO UPDATE SET state = excluded.state, role = excluded.role,
             since = excluded.since, version = excluded.version",
    )?
    .execute(params![
        blob(it.circle_id.uuid()),
        blob(it.person_id.uuid()),
        match it.state {
            MembershipState::Joined => 0,
            MembershipState::Left => 1,
            MembershipState::Removed => 2,
        },
        role_number(it.role),
        it.since.0,
        i64::from(it.version)
    ])?;
    Ok(())
}

/// The circles that a person is in. Index: `membership_by_person`.
pub fn circles_of(conn: &Connection, person: PersonId) -> rusqlite::Result<Vec<CircleId>> {
    conn.prepare_cached("SELECT circle_id FROM membership WHERE person_id = ? AND state = 0")?
        .query_map([blob(person.uuid())], |row| uuid_at(row, 0).map(CircleId::from_uuid))?
        .collect()
}

/// Those who are in, by person, after the given one. Primary key.
pub fn page(
    conn: &Connection,
    circle: CircleId,
    after: Option<PersonId>,
    limit: u32,
) -> rusqlite::Result<Vec<Membership>> {
    let after = after.map_or(Vec::new(), |id| blob(id.uuid()).to_vec());
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM membership WHERE circle_id = ? AND person_id > ? AND state = 0
         ORDER BY person_id LIMIT ?"
    ))?
    .query_map(params![blob(circle.uuid()), after, limit], row)?
    .collect()
}

/// How many are in. Index: `membership_by_state`.
pub fn count(conn: &Connection, circle: CircleId) -> rusqlite::Result<u32> {
    conn.prepare_cached("SELECT count(*) FROM membership WHERE circle_id = ? AND state = 0")?
        .query_row([blob(circle.uuid())], |row| row.get(0))
}

/// How many owners are in. Index: `membership_by_state`.
pub fn count_owners(conn: &Connection, circle: CircleId) -> rusqlite::Result<u32> {
    conn.prepare_cached("SELECT count(*) FROM membership WHERE circle_id = ? AND state = 0 AND role = 2")?
        .query_row([blob(circle.uuid())], |row| row.get(0))
}

fn row(row: &Row<'_>) -> rusqlite::Result<Membership> {
    Ok(Membership {
        circle_id: CircleId::from_uuid(uuid_at(row, 0)?),
        person_id: PersonId::from_uuid(uuid_at(row, 1)?),
        state: match row.get(2)? {
            0_i64 => MembershipState::Joined,
            1 => MembershipState::Left,
            2 => MembershipState::Removed,
            other => return Err(rusqlite::Error::IntegralValueOutOfRange(2, other)),
        },
        role: role_at(row, 3)?,
        since: time_at(row, 4)?,
        version: pos_at(row, 5)?,
    })
}
