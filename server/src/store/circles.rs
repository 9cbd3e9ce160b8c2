//! Circles.

use std::sync::LazyLock;

use circles_protocol::{Circle, CircleId, CircleKind, PersonId, Seq};

use super::{
    StoreResult,
    session::{Lookup, Row, Session, broken, params},
    value::{blob, pos_at, seq_at, time_at, uuid_at},
};

/// A circle as it is stored.
#[derive(Clone, Debug)]
pub struct StoredCircle {
    pub circle: Circle,
    pub head_seq: Seq,
    pub content_hash: [u8; 16],
}

const COLUMNS: &str =
    "c.id, c.name, c.topic, c.access, c.created_by, c.created_at, c.version, c.head_seq, c.content_hash";

pub fn get(conn: &dyn Session, id: CircleId) -> StoreResult<Option<StoredCircle>> {
    conn.look_up(lookup(vec![id]))
}

/// Circles by their ids. Primary key.
pub fn lookup(ids: Vec<CircleId>) -> Lookup<CircleId, StoredCircle> {
    static SQL: LazyLock<String> = LazyLock::new(|| format!("SELECT {COLUMNS} FROM circle c WHERE c.id = ?"));
    Lookup::new(&SQL, ids, |it| blob(it.uuid()), row)
}

/// The open circles and the private ones of a person, by name. Reads all circles: a campus has hundreds.
pub fn seen_by(conn: &dyn Session, person: PersonId) -> StoreResult<Vec<StoredCircle>> {
    conn.all(
        &format!(
            "SELECT {COLUMNS} FROM circle c
         LEFT JOIN membership m ON m.circle_id = c.id AND m.person_id = ? AND m.state = 0
         WHERE c.access = 0 OR m.circle_id IS NOT NULL
         ORDER BY lower(c.name), c.id"
        ),
        params![blob(person.uuid())],
        row,
    )
}

/// The circle of that name, the oldest if there are several. Reads all circles.
pub fn by_name(conn: &dyn Session, name: &str) -> StoreResult<Option<StoredCircle>> {
    conn.one(
        &format!("SELECT {COLUMNS} FROM circle c WHERE lower(c.name) = lower(?) ORDER BY c.created_at, c.id LIMIT 1"),
        params![name],
        row,
    )
}

pub fn put(conn: &dyn Session, it: &StoredCircle) -> StoreResult<()> {
    let circle = &it.circle;
    conn.run(
        "INSERT INTO circle (id, name, topic, access, created_by, created_at, head_seq, content_hash, version)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, topic = excluded.topic, version = excluded.version",
        params![
            blob(circle.id.uuid()),
            circle.name,
            circle.topic,
            match circle.kind {
                CircleKind::Open => 0,
                CircleKind::Private => 1,
            },
            blob(circle.created_by.uuid()),
            circle.created_at.0,
            i64::from(it.head_seq),
            it.content_hash,
            i64::from(circle.version)
        ],
    )?;
    Ok(())
}

pub fn set_head_seq(conn: &dyn Session, id: CircleId, head: Seq) -> StoreResult<()> {
    conn.run("UPDATE circle SET head_seq = ? WHERE id = ?", params![i64::from(head), blob(id.uuid())])?;
    Ok(())
}

fn row(row: &Row<'_>) -> StoreResult<StoredCircle> {
    Ok(StoredCircle {
        circle: Circle {
            id: CircleId::from_uuid(uuid_at(row, 0)?),
            name: row.get(1)?,
            topic: row.get(2)?,
            kind: match row.get(3)? {
                0_i64 => CircleKind::Open,
                1 => CircleKind::Private,
                _ => return Err(broken(3, "out of range")),
            },
            created_by: PersonId::from_uuid(uuid_at(row, 4)?),
            created_at: time_at(row, 5)?,
            version: pos_at(row, 6)?,
        },
        head_seq: seq_at(row, 7)?,
        content_hash: row.get(8)?,
    })
}
