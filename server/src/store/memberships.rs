//! Memberships.

use std::sync::LazyLock;

use circles_protocol::{CircleId, Membership, MembershipState, PersonId};

use super::{
    StoreResult,
    session::{Lookup, Row, Session, broken, params},
    value::{blob, pos_at, role_at, role_number, time_at, uuid_at},
};

const COLUMNS: &str = "circle_id, person_id, state, role, since, version";

pub fn get(conn: &dyn Session, circle: CircleId, person: PersonId) -> StoreResult<Option<Membership>> {
    conn.look_up(lookup(vec![(circle, person)]))
}

/// Memberships by their circle and person. Primary key.
pub fn lookup(ids: Vec<(CircleId, PersonId)>) -> Lookup<(CircleId, PersonId), Membership> {
    static SQL: LazyLock<String> =
        LazyLock::new(|| format!("SELECT {COLUMNS} FROM membership WHERE circle_id = ? AND person_id = ?"));
    Lookup::new(&SQL, ids, |(circle, person)| (blob(circle.uuid()), blob(person.uuid())), row)
}

pub fn put(conn: &dyn Session, it: &Membership) -> StoreResult<()> {
    conn.run(
        "INSERT INTO membership (circle_id, person_id, state, role, since, version) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (circle_id, person_id) DO UPDATE SET state = excluded.state, role = excluded.role,
             since = excluded.since, version = excluded.version",
        params![
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
        ],
    )?;
    Ok(())
}

/// The circles that a person is in. Index: `membership_by_person`.
pub fn circles_of(conn: &dyn Session, person: PersonId) -> StoreResult<Vec<CircleId>> {
    conn.all(
        "SELECT circle_id FROM membership WHERE person_id = ? AND state = 0",
        params![blob(person.uuid())],
        |row| uuid_at(row, 0).map(CircleId::from_uuid),
    )
}

/// Those who are in, by person, after the given one. Primary key.
pub fn page(conn: &dyn Session, circle: CircleId, after: Option<PersonId>, limit: u32) -> StoreResult<Vec<Membership>> {
    let after = after.map_or(Vec::new(), |id| blob(id.uuid()).to_vec());
    conn.all(
        &format!(
            "SELECT {COLUMNS} FROM membership WHERE circle_id = ? AND person_id > ? AND state = 0
         ORDER BY person_id LIMIT ?"
        ),
        params![blob(circle.uuid()), after, limit],
        row,
    )
}

/// How many are in. Index: `membership_by_state`.
pub fn count(conn: &dyn Session, circle: CircleId) -> StoreResult<u32> {
    conn.get("SELECT count(*) FROM membership WHERE circle_id = ? AND state = 0", params![blob(circle.uuid())], |row| {
        row.get(0)
    })
}

/// How many owners are in. Index: `membership_by_state`.
pub fn count_owners(conn: &dyn Session, circle: CircleId) -> StoreResult<u32> {
    conn.get(
        "SELECT count(*) FROM membership WHERE circle_id = ? AND state = 0 AND role = 2",
        params![blob(circle.uuid())],
        |row| row.get(0),
    )
}

fn row(row: &Row<'_>) -> StoreResult<Membership> {
    Ok(Membership {
        circle_id: CircleId::from_uuid(uuid_at(row, 0)?),
        person_id: PersonId::from_uuid(uuid_at(row, 1)?),
        state: match row.get(2)? {
            0_i64 => MembershipState::Joined,
            1 => MembershipState::Left,
            2 => MembershipState::Removed,
            _ => return Err(broken(2, "out of range")),
        },
        role: role_at(row, 3)?,
        since: time_at(row, 4)?,
        version: pos_at(row, 5)?,
    })
}
