//! What the relay's database has, and what a device's cache has, in a form that can be compared: an entity's key, its
//! version and its columns as text. It reads the files themselves, and shares no code with what it judges.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Context;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

/// A row of the log.
#[derive(Clone, Debug)]
pub struct LogRow {
    /// Its position.
    pub pos: i64,
    /// The one before it in its scope.
    pub prev: i64,
    /// `campus`, `circle:<hex>` or `person:<hex>`.
    pub scope: String,
    /// Which entity.
    pub key: String,
    /// For a membership, whose.
    pub subject: Option<String>,
}

/// The state of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The position of its last change.
    pub version: i64,
    /// Its columns.
    pub columns: String,
}

/// All states, by key: the kind's number, a colon, and the ids in hex.
pub type States = BTreeMap<String, State>;

/// The relay's database.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// The present history.
    pub epoch: String,
    /// The last position.
    pub head: i64,
    /// The log, ascending.
    pub log: Vec<LogRow>,
    /// Every entity.
    pub states: States,
    /// Who is in which circle, as pairs of circle and person in hex.
    pub joined: BTreeSet<(String, String)>,
    /// The number of each circle's last message.
    pub head_seq: BTreeMap<String, i64>,
    /// Messages of each circle, ascending: number, id, author.
    pub timelines: BTreeMap<String, Vec<(i64, String, String)>>,
}

/// A device's cache.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    /// Whose, in hex.
    pub me: String,
    /// The cursor; none before the first event.
    pub cursor: Option<(String, i64)>,
    /// What of each scope is held.
    pub coverage: BTreeMap<String, Vec<(i64, i64)>>,
    /// How far each scope is known to reach.
    pub heads: BTreeMap<String, i64>,
    /// Every entity.
    pub states: States,
    /// The number of each circle's last message.
    pub head_seq: BTreeMap<String, i64>,
    /// What waits, in order: its place, circle, message, kind, state.
    pub outbox: Vec<Waiting>,
    /// Events that were set aside.
    pub set_aside: i64,
}

/// An item of an outbox.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The circle, in hex.
    pub circle: String,
    /// The message, in hex; empty for what a person's devices agree on.
    pub message: String,
    /// What is to be done.
    pub kind: String,
    /// How far it has got.
    pub state: String,
}

/// How both databases write each kind, the relay's first: key, version, columns.
const KINDS: [(&str, &str); 8] = [
    (
        "SELECT '0:' || hex(id), version, name || '|' || hue || '|' || CASE role WHEN 0 THEN 'member' WHEN 1 THEN
             'moderator' ELSE 'owner' END || '|' || joined_at FROM person",
        "SELECT '0:' || hex(id), version, name || '|' || hue || '|' || role || '|' || joined_at FROM person",
    ),
    (
        "SELECT '1:' || hex(id), version, name || '|' || topic || '|' || CASE access WHEN 0 THEN 'open' ELSE 'private' END
             || '|' || hex(created_by) || '|' || created_at FROM circle",
        "SELECT '1:' || hex(id), version, name || '|' || topic || '|' || access || '|' || hex(created_by) || '|' ||
             created_at FROM circle",
    ),
    (
        "SELECT '2:' || hex(circle_id) || hex(person_id), version, CASE state WHEN 0 THEN 'joined' WHEN 1 THEN 'left' ELSE
             'removed' END || '|' || CASE role WHEN 0 THEN 'member' WHEN 1 THEN 'moderator' ELSE 'owner' END || '|' ||
             since FROM membership",
        "SELECT '2:' || hex(circle) || hex(person), version, state || '|' || role || '|' || since FROM membership",
    ),
    (
        "SELECT '3:' || hex(id), version, hex(circle_id) || '|' || seq || '|' || hex(author_id) || '|' || text || '|' ||
             ifnull(hex(reply_to), '') || '|' || created_at || '|' || ifnull(written_at, '') || '|' ||
             ifnull(edited_at, '') || '|' || ifnull(deleted_at, '') FROM message",
        "SELECT '3:' || hex(id), version, hex(circle) || '|' || seq || '|' || hex(author) || '|' || text || '|' ||
             ifnull(hex(reply_to), '') || '|' || created_at || '|' || ifnull(written_at, '') || '|' ||
             ifnull(edited_at, '') || '|' || ifnull(deleted_at, '') FROM message",
    ),
    (
        "SELECT '4:' || hex(message_id) || hex(person_id) || hex(emoji), version, hex(circle_id) || '|' || is_on
             FROM reaction",
        "SELECT '4:' || hex(message) || hex(person) || hex(emoji), version, hex(circle) || '|' || is_on FROM reaction",
    ),
    (
        "SELECT '5:' || hex(circle_id) || hex(person_id), version, CAST(seq AS TEXT) FROM read_marker",
        "SELECT '5:' || hex(circle) || (SELECT hex(person) FROM campus), version, CAST(seq AS TEXT) FROM read_marker",
    ),
    (
        "SELECT '7:' || hex(circle_id) || hex(person_id), version, is_on || '|' || changed_at FROM mute",
        "SELECT '7:' || hex(circle) || (SELECT hex(person) FROM campus), version, is_on || '|' || changed_at FROM mute",
    ),
    (
        "SELECT '8:' || hex(circle_id) || hex(person_id), version, text || '|' || ifnull(hex(reply_to), '') || '|' ||
             ifnull(hex(editing), '') || '|' || changed_at FROM draft",
        "SELECT '8:' || hex(circle) || (SELECT hex(person) FROM campus), version, text || '|' ||
             ifnull(hex(reply_to), '') || '|' || ifnull(hex(editing), '') || '|' || changed_at FROM draft",
    ),
];

impl Truth {
    /// Reads the relay's database.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let conn = open(&dir.join("campus.db"))?;
        let (epoch, head) =
            conn.query_row("SELECT epoch, head FROM campus", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let log = rows(
            &conn,
            "SELECT pos, prev, CASE scope_kind WHEN 0 THEN 'campus' WHEN 1 THEN 'circle:' ELSE 'person:' END ||
                 lower(hex(scope_id)), kind || ':' || hex(entity), lower(hex(subject)) FROM log ORDER BY pos",
            |row| {
                Ok(LogRow {
                    pos: row.get(0)?,
                    prev: row.get(1)?,
                    scope: row.get(2)?,
                    key: row.get(3)?,
                    subject: row.get::<_, Option<String>>(4)?.filter(|it| !it.is_empty()),
                })
            },
        )?;
        let joined =
            rows(&conn, "SELECT lower(hex(circle_id)), lower(hex(person_id)) FROM membership WHERE state = 0", pair)?;
        let head_seq = rows(&conn, "SELECT lower(hex(id)), head_seq FROM circle", pair)?;
        let mut timelines: BTreeMap<String, Vec<_>> = BTreeMap::new();
        let messages = rows(
            &conn,
            "SELECT lower(hex(circle_id)), seq, lower(hex(id)), lower(hex(author_id)) FROM message ORDER BY circle_id, seq",
            |row| Ok((row.get::<_, String>(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))),
        )?;
        for (circle, message) in messages {
            timelines.entry(circle).or_default().push(message);
        }
        Ok(Self {
            epoch,
            head,
            log,
            states: states(&conn, KINDS.iter().map(|it| it.0))?,
            joined: joined.into_iter().collect(),
            head_seq: head_seq.into_iter().collect(),
            timelines,
        })
    }

    /// The last position of a scope.
    pub fn scope_head(&self, scope: &str) -> i64 {
        self.log.iter().rev().find(|it| it.scope == scope).map_or(0, |it| it.pos)
    }

    /// The scopes of which a person holds everything.
    pub fn scopes_of(&self, person: &str) -> Vec<String> {
        let circles = self.joined.iter().filter(|it| it.1 == person).map(|it| format!("circle:{}", it.0));
        ["campus".to_owned(), format!("person:{person}")].into_iter().chain(circles).collect()
    }
}

impl Cache {
    /// Reads a device's cache; none before it has joined the campus.
    pub fn read(dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = dir.join("circles.db");
        if !path.exists() {
            return Ok(None);
        }
        let conn = open(&path)?;
        let campus = conn
            .query_row("SELECT lower(hex(person)), epoch, pos, set_aside FROM campus", [], |row| {
                let cursor = row.get::<_, Option<String>>(1)?.zip(row.get(2)?);
                Ok((row.get(0)?, cursor, row.get(3)?))
            })
            .optional();
        // Killed before the schema was there.
        let Some((me, cursor, set_aside)) = campus.unwrap_or(None) else { return Ok(None) };
        let mut coverage: BTreeMap<String, Vec<_>> = BTreeMap::new();
        let stretches =
            rows(&conn, "SELECT replace(scope, '-', ''), after, until FROM coverage ORDER BY scope, after", |row| {
                Ok((row.get::<_, String>(0)?, (row.get(1)?, row.get(2)?)))
            })?;
        for (scope, stretch) in stretches {
            coverage.entry(scope).or_default().push(stretch);
        }
        let outbox =
            rows(&conn, "SELECT lower(hex(circle)), lower(hex(message)), kind, state FROM outbox ORDER BY n", |row| {
                let message: Option<String> = row.get(1)?;
                Ok(Waiting {
                    circle: row.get(0)?,
                    message: message.unwrap_or_default(),
                    kind: row.get(2)?,
                    state: row.get(3)?,
                })
            })?;
        Ok(Some(Self {
            me,
            cursor,
            coverage,
            heads: rows(&conn, "SELECT replace(scope, '-', ''), pos FROM scope_head", pair)?.into_iter().collect(),
            states: states(&conn, KINDS.iter().map(|it| it.1))?,
            head_seq: rows(&conn, "SELECT lower(hex(circle)), seq FROM circle_head", pair)?.into_iter().collect(),
            outbox,
            set_aside,
        }))
    }

    /// The first that is still to be sent: what failed waits for the person, later posts of its circle for a post that
    /// failed, and what else concerns a message for its post, edit or deletion.
    pub fn to_send(&self) -> Option<&Waiting> {
        let changes = |it: &Waiting| ["edit", "delete"].contains(&it.kind.as_str());
        let holds_up = |before: &Waiting, it: &Waiting| {
            let (posted, failed) = (before.kind == "post", before.state == "failed");
            let same = !it.message.is_empty() && before.message == it.message;
            before.circle == it.circle
                && ((posted && failed && it.kind == "post") || (same && (posted || (failed && changes(before)))))
        };
        let is_due = |at: &usize| {
            let it = &self.outbox[*at];
            it.state != "failed" && !self.outbox[..*at].iter().any(|before| holds_up(before, it))
        };
        (0..self.outbox.len()).find(is_due).map(|at| &self.outbox[at])
    }

    /// Whether a position of a scope is held.
    pub fn holds(&self, scope: &str, pos: i64) -> bool {
        self.coverage.get(scope).is_some_and(|it| it.iter().any(|(after, until)| *after < pos && pos <= *until))
    }
}

fn open(path: &Path) -> anyhow::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).with_context(|| format!("cannot read {}", path.display()))
}

fn states<'a>(conn: &Connection, queries: impl Iterator<Item = &'a str>) -> anyhow::Result<States> {
    let mut states = States::new();
    for sql in queries {
        states.extend(rows(conn, sql, |row| {
            Ok((row.get::<_, String>(0)?, State { version: row.get(1)?, columns: row.get(2)? }))
        })?);
    }
    Ok(states)
}

fn pair<A: rusqlite::types::FromSql, B: rusqlite::types::FromSql>(row: &rusqlite::Row<'_>) -> rusqlite::Result<(A, B)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn rows<T>(
    conn: &Connection,
    sql: &str,
    map: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let mut statement = conn.prepare(sql)?;
    let rows = statement.query_map([], map)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
