//! An absence: from the last time that the stream was heard until everything since then is held. It is kept in the
//! database, so that what was missed is counted right also if the catching up is interrupted.

use circles_protocol::{CampusId, CircleId, Seq, UnixMs};
use rusqlite::{Connection, params};

use super::{
    Blob, number, uuid,
    views::{self, Eyes},
};
use crate::{limits::ABSENCE_MIN, mentions::mentions, view::Absence};

/// A stream opens: if it was not heard for long, an absence ends, and where each circle stood is noted before anything new
/// is applied. Whether an absence is open.
pub fn begin(conn: &Connection, campus: CampusId, now: UnixMs) -> rusqlite::Result<bool> {
    let (heard_at, away_since): (Option<i64>, Option<i64>) = conn
        .prepare_cached("SELECT heard_at, away_since FROM campus WHERE id = ?1")?
        .query_row([campus.blob()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if away_since.is_some() {
        return Ok(true);
    }
    let min = i64::try_from(ABSENCE_MIN.as_millis()).unwrap_or(i64::MAX);
    let Some(heard_at) = heard_at.filter(|at| now.0.saturating_sub(*at) >= min) else { return Ok(false) };
    conn.execute("DELETE FROM away_head WHERE campus = ?1", [campus.blob()])?;
    conn.execute(
        "INSERT INTO away_head SELECT campus, circle, seq FROM circle_head WHERE campus = ?1",
        [campus.blob()],
    )?;
    conn.execute("UPDATE campus SET away_since = ?2 WHERE id = ?1", params![campus.blob(), heard_at])?;
    Ok(true)
}

/// Everything is held: sums up what others wrote meanwhile in the circles that one was in. None if there was no absence.
pub fn end(conn: &Connection, eyes: Eyes, now: UnixMs) -> rusqlite::Result<Option<Absence>> {
    let since: Option<i64> =
        conn.query_row("SELECT away_since FROM campus WHERE id = ?1", [eyes.campus.blob()], |row| row.get(0))?;
    let Some(since) = since else { return Ok(None) };
    let name = views::person(conn, eyes.campus, eyes.me)?.name;
    let joined = views::joined(conn, eyes)?;
    let heads: Vec<(CircleId, Seq)> = conn
        .prepare_cached("SELECT circle, seq FROM away_head WHERE campus = ?1")?
        .query_map([eyes.campus.blob()], |row| Ok((CircleId::from_uuid(uuid(row, 0)?), number(row, 1)?)))?
        .collect::<Result<_, _>>()?;
    let mut absence = Absence { since: UnixMs(since), until: now, messages: 0, circles: 0, mentions: 0, took_ms: 0 };
    for (circle, head) in heads.into_iter().filter(|(circle, _)| joined.contains(circle)) {
        let before = absence.messages;
        let mut missed = conn.prepare_cached(
            "SELECT text FROM message
             WHERE campus = ?1 AND circle = ?2 AND seq > ?3 AND author <> ?4 AND deleted_at IS NULL",
        )?;
        let keys = params![eyes.campus.blob(), circle.blob(), i64::from(head), eyes.me.blob()];
        for text in missed.query_map(keys, |row| row.get::<_, String>(0))? {
            absence.messages += 1;
            absence.mentions += u32::from(mentions(&text?, &name));
        }
        absence.circles += u32::from(absence.messages > before);
    }
    conn.execute("DELETE FROM away_head WHERE campus = ?1", [eyes.campus.blob()])?;
    conn.execute("UPDATE campus SET away_since = NULL WHERE id = ?1", [eyes.campus.blob()])?;
    Ok(Some(absence))
}
