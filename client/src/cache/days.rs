//! Where a moment lies in a circle's timeline, as far as the held messages tell.

use circles_protocol::{CircleId, Seq, UnixMs};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Blob, number, views::Eyes};

/// Narrows down where the messages of a moment begin: those up to `older` were sent before it, those from `younger` on were
/// not. Returns the two closest numbers that the held messages prove; between them none is held.
pub fn narrow(
    conn: &Connection,
    eyes: Eyes,
    circle: CircleId,
    at: UnixMs,
    mut older: Seq,
    mut younger: Seq,
) -> rusqlite::Result<(Seq, Seq)> {
    // The held message nearest to the middle, first looked for above it.
    let mut above = conn.prepare_cached(
        "SELECT seq, created_at FROM message WHERE campus = ?1 AND circle = ?2 AND seq >= ?3 AND seq < ?4
         ORDER BY seq LIMIT 1",
    )?;
    let mut below = conn.prepare_cached(
        "SELECT seq, created_at FROM message WHERE campus = ?1 AND circle = ?2 AND seq > ?3 AND seq < ?4
         ORDER BY seq DESC LIMIT 1",
    )?;
    while older.next() < younger {
        let middle = i64::from(older) + (i64::from(younger) - i64::from(older)) / 2;
        let (campus, circle) = (eyes.campus.blob(), circle.blob());
        let read = |row: &rusqlite::Row<'_>| Ok((number::<Seq>(row, 0)?, row.get::<_, i64>(1)?));
        let mut nearest = above.query_row(params![campus, circle, middle, i64::from(younger)], read).optional()?;
        if nearest.is_none() {
            nearest = below.query_row(params![campus, circle, i64::from(older), middle], read).optional()?;
        }
        match nearest {
            None => break,
            Some((seq, sent)) if sent < at.0 => older = seq,
            Some((seq, _)) => younger = seq,
        }
    }
    Ok((older, younger))
}
