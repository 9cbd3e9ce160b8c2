//! What could not be understood: an event of a newer relay, or a broken one. It is kept, counted and shown, everything else
//! goes on, and another version of the app asks for it again.

use circles_protocol::{CampusId, Pos, Scope};
use rusqlite::{Connection, params};

use super::{Blob, ledger, number, uuid};
use crate::{
    coverage::Stretch,
    limits::{SET_ASIDE_BYTES_MAX, SET_ASIDE_MAX},
};

/// The version of this app.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Keeps an event that could not be understood, and counts it. The same one comes again when its stretch is filled in.
pub fn keep(conn: &Connection, campus: CampusId, event: &str, data: &str, reason: &str) -> rusqlite::Result<()> {
    let mut end = data.len().min(SET_ASIDE_BYTES_MAX);
    while !data.is_char_boundary(end) {
        end -= 1;
    }
    let kept = conn.execute(
        "INSERT INTO set_aside (campus, event, data, reason) SELECT ?1, ?2, ?3, ?4
         WHERE NOT EXISTS (SELECT 1 FROM set_aside WHERE campus = ?1 AND event = ?2 AND data = ?3)",
        params![campus.blob(), event, &data[..end], reason],
    )?;
    if kept == 0 {
        return Ok(());
    }
    conn.execute(
        "DELETE FROM set_aside WHERE campus = ?1
         AND n <= (SELECT n FROM set_aside WHERE campus = ?1 ORDER BY n DESC LIMIT 1 OFFSET ?2)",
        params![campus.blob(), SET_ASIDE_MAX],
    )?;
    conn.execute("UPDATE campus SET set_aside = set_aside + 1 WHERE id = ?1", params![campus.blob()])?;
    Ok(())
}

/// Why events were set aside, as far as they are kept: each reason once, the newest first.
pub fn reasons(conn: &Connection, campus: CampusId) -> rusqlite::Result<Vec<String>> {
    conn.prepare_cached("SELECT reason FROM set_aside WHERE campus = ?1 GROUP BY reason ORDER BY max(n) DESC")?
        .query_map([campus.blob()], |row| row.get(0))?
        .collect()
}

/// A stretch is going to count as held although not all of it was understood. One stretch for each scope, from the first
/// such place to the last: it is bounded, and what lies between is only fetched once more.
pub fn note(conn: &Connection, campus: CampusId, scope: Scope, after: Pos, until: Pos) -> rusqlite::Result<()> {
    conn.execute(
        "INSERT INTO not_understood (campus, scope, after, until) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (campus, scope) DO UPDATE SET after = min(after, excluded.after), until = max(until, excluded.until)",
        params![campus.blob(), scope.to_string(), i64::from(after), i64::from(until)],
    )?;
    Ok(())
}

/// Another version of the app than before opens the cache: what was not understood is missing again, so that it is fetched
/// like anything else that is. What still is not understood is set aside and counted anew.
pub fn ask_again(conn: &Connection, version: &str) -> rusqlite::Result<()> {
    let mut changed = conn.prepare("SELECT id FROM campus WHERE opened_by IS NOT ?1")?;
    let campuses: Vec<CampusId> =
        changed.query_map([version], |row| Ok(CampusId::from_uuid(uuid(row, 0)?)))?.collect::<Result<_, _>>()?;
    for campus in campuses {
        let mut noted = conn.prepare("DELETE FROM not_understood WHERE campus = ?1 RETURNING scope, after, until")?;
        let noted: Vec<(String, Pos, Pos)> = noted
            .query_map([campus.blob()], |row| Ok((row.get(0)?, number(row, 1)?, number(row, 2)?)))?
            .collect::<Result<_, _>>()?;
        for (scope, after, until) in noted {
            // A scope that even this version does not know of cannot be asked for.
            if let (Ok(scope), Some(stretch)) = (scope.parse(), Stretch::new(after, until)) {
                ledger::uncover(conn, campus, scope, stretch)?;
            }
        }
        conn.execute("DELETE FROM set_aside WHERE campus = ?1", [campus.blob()])?;
        conn.execute("UPDATE campus SET set_aside = 0, opened_by = ?2 WHERE id = ?1", params![campus.blob(), version])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::empty;

    fn pos(value: u64) -> Pos {
        value.try_into().expect("small")
    }

    #[test]
    fn what_was_not_understood_is_missing_for_another_version_alone() {
        let (conn, campus, scope) = (empty(), CampusId::new(), Scope::Campus);
        conn.execute(
            "INSERT INTO campus (id, name, relay, person, device, joined_at, opened_by)
             VALUES (?1, '', '', x'', x'', 0, '1.0.0')",
            [campus.blob()],
        )
        .unwrap();
        let mut held = ledger::Ledger::default();
        held.cover(&conn, campus, scope, Pos::ZERO, pos(9)).unwrap();
        held.store(&conn, campus).unwrap();
        keep(&conn, campus, "change", "{}", "unknown kind").unwrap();
        keep(&conn, campus, "change", "{\"kind\":1}", "no pos").unwrap();
        keep(&conn, campus, "change", "{\"kind\":2}", "unknown kind").unwrap();
        assert_eq!(reasons(&conn, campus).unwrap(), ["unknown kind", "no pos"]);
        assert_eq!(reasons(&conn, CampusId::new()).unwrap(), [""; 0]);
        note(&conn, campus, scope, pos(5), pos(6)).unwrap();
        note(&conn, campus, scope, pos(2), pos(3)).unwrap();

        ask_again(&conn, "1.0.0").unwrap();
        assert_eq!(ledger::gaps(&conn, campus, scope).unwrap(), []);
        ask_again(&conn, "1.1.0").unwrap();
        let gap = Stretch { after: pos(2), until: pos(6) };
        assert_eq!(ledger::gaps(&conn, campus, scope).unwrap(), [gap]);
        let count: u32 = conn.query_row("SELECT set_aside FROM campus", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0);

        let mut filled = ledger::Ledger::default();
        filled.cover(&conn, campus, scope, pos(2), pos(6)).unwrap();
        filled.store(&conn, campus).unwrap();
        ask_again(&conn, "1.1.0").unwrap();
        assert_eq!(ledger::gaps(&conn, campus, scope).unwrap(), [], "it is asked for once");
    }
}
