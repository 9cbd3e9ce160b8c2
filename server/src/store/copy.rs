//! A campus from one database into another: for backups of Postgres, for restoring, and for moving from SQLite to Postgres.

use super::{
    StoreResult,
    session::{Next, Param, Session, Value},
};

/// Rows in one round: bounds the memory.
const ROWS: usize = 1_000;

/// What a column holds.
#[derive(Clone, Copy)]
enum Kind {
    Int,
    Text,
    Bytes,
}

/// A table with its columns and their kinds, and its key, by which it is read piece by piece.
struct Table {
    name: &'static str,
    columns: &'static [(&'static str, Kind)],
    key: &'static [&'static str],
}

use Kind::{Bytes, Int, Text};

/// All tables, those that others refer to first.
const TABLES: [Table; 11] = [
    Table {
        name: "campus",
        columns: &[
            ("id", Bytes),
            ("name", Text),
            ("epoch", Text),
            ("head", Int),
            ("secret", Bytes),
            ("general_circle", Bytes),
            ("created_at", Int),
        ],
        key: &["id"],
    },
    Table {
        name: "person",
        columns: &[("id", Bytes), ("name", Text), ("hue", Int), ("role", Int), ("joined_at", Int), ("version", Int)],
        key: &["id"],
    },
    Table {
        name: "circle",
        columns: &[
            ("id", Bytes),
            ("name", Text),
            ("topic", Text),
            ("access", Int),
            ("created_by", Bytes),
            ("created_at", Int),
            ("head_seq", Int),
            ("content_hash", Bytes),
            ("version", Int),
        ],
        key: &["id"],
    },
    Table {
        name: "invite",
        columns: &[
            ("id", Bytes),
            ("code_hash", Bytes),
            ("role", Int),
            ("circle_id", Bytes),
            ("device", Int),
            ("created_by", Bytes),
            ("created_at", Int),
            ("expires_at", Int),
            ("max_uses", Int),
            ("uses", Int),
            ("revoked_at", Int),
        ],
        key: &["id"],
    },
    Table {
        name: "device",
        columns: &[
            ("id", Bytes),
            ("person_id", Bytes),
            ("name", Text),
            ("token_hash", Bytes),
            ("join_hash", Bytes),
            ("invite_id", Bytes),
            ("created_at", Int),
            ("last_seen_at", Int),
            ("revoked_at", Int),
            ("revoked_pos", Int),
        ],
        key: &["id"],
    },
    Table {
        name: "membership",
        columns: &[
            ("circle_id", Bytes),
            ("person_id", Bytes),
            ("state", Int),
            ("role", Int),
            ("since", Int),
            ("version", Int),
        ],
        key: &["circle_id", "person_id"],
    },
    Table {
        name: "message",
        columns: &[
            ("id", Bytes),
            ("circle_id", Bytes),
            ("seq", Int),
            ("author_id", Bytes),
            ("text", Text),
            ("reply_to", Bytes),
            ("created_at", Int),
            ("written_at", Int),
            ("edited_at", Int),
            ("deleted_at", Int),
            ("content_hash", Bytes),
            ("created_pos", Int),
            ("version", Int),
        ],
        key: &["id"],
    },
    Table {
        name: "reaction",
        columns: &[
            ("message_id", Bytes),
            ("person_id", Bytes),
            ("emoji", Text),
            ("is_on", Int),
            ("circle_id", Bytes),
            ("version", Int),
        ],
        key: &["message_id", "person_id", "emoji"],
    },
    Table {
        name: "read_marker",
        columns: &[("circle_id", Bytes), ("person_id", Bytes), ("seq", Int), ("version", Int)],
        key: &["circle_id", "person_id"],
    },
    Table {
        name: "mute",
        columns: &[("circle_id", Bytes), ("person_id", Bytes), ("is_on", Int), ("changed_at", Int), ("version", Int)],
        key: &["circle_id", "person_id"],
    },
    Table {
        name: "draft",
        columns: &[
            ("circle_id", Bytes),
            ("person_id", Bytes),
            ("text", Text),
            ("reply_to", Bytes),
            ("editing", Bytes),
            ("changed_at", Int),
            ("version", Int),
        ],
        key: &["circle_id", "person_id"],
    },
];

/// The log, by far the longest with the messages; last, because it points at everything.
const LOG: Table = Table {
    name: "log",
    columns: &[
        ("pos", Int),
        ("scope_kind", Int),
        ("scope_id", Bytes),
        ("prev", Int),
        ("kind", Int),
        ("entity", Bytes),
        ("subject", Bytes),
    ],
    key: &["pos"],
};

/// Copies a whole campus into a database that has none. Both sessions have a transaction open: it is copied as of one
/// moment, and whole or not at all. Returns how many rows there are.
pub fn campus(from: &dyn Session, to: &dyn Session) -> StoreResult<u64> {
    let mut rows = 0;
    for table in TABLES.iter().chain([&LOG]) {
        rows += copy_table(table, from, to)?;
    }
    Ok(rows)
}

fn copy_table(table: &Table, from: &dyn Session, to: &dyn Session) -> StoreResult<u64> {
    let names: Vec<&str> = table.columns.iter().map(|it| it.0).collect();
    let (names, keys) = (names.join(", "), table.key.join(", "));
    let holes = vec!["?"; table.columns.len()].join(", ");
    let insert = format!("INSERT INTO {} ({names}) VALUES ({holes})", table.name);
    let key_holes = vec!["?"; table.key.len()].join(", ");
    let first = format!("SELECT {names} FROM {} ORDER BY {keys} LIMIT {ROWS}", table.name);
    let next =
        format!("SELECT {names} FROM {} WHERE ({keys}) > ({key_holes}) ORDER BY {keys} LIMIT {ROWS}", table.name);
    let at: Vec<usize> = table.key.iter().filter_map(|key| table.columns.iter().position(|it| it.0 == *key)).collect();
    let mut copied = 0;
    let mut last: Option<Vec<Value>> = None;
    loop {
        let params: Vec<Param<'_>> = last.iter().flat_map(|row| at.iter().map(|index| row[*index].param())).collect();
        let sql = if last.is_some() { &next } else { &first };
        let mut piece: Vec<Vec<Value>> = Vec::with_capacity(ROWS);
        from.query(sql, &params, &mut |row| {
            let values = table.columns.iter().enumerate().map(|(index, (_, kind))| {
                Ok(match kind {
                    Int => row.maybe(index)?.map_or(Value::Null, Value::Int),
                    Text => row.maybe(index)?.map_or(Value::Null, Value::Text),
                    Bytes => row.maybe(index)?.map_or(Value::Null, Value::Bytes),
                })
            });
            piece.push(values.collect::<StoreResult<_>>()?);
            Ok(Next::More)
        })?;
        for row in &piece {
            let params: Vec<Param<'_>> = row.iter().map(Value::param).collect();
            to.run(&insert, &params)?;
        }
        copied += piece.len() as u64;
        match piece.pop() {
            Some(row) => last = Some(row),
            None => return Ok(copied),
        }
    }
}
