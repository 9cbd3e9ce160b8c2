//! What one began to write: as the relay has it, and before that what waits in the outbox.

use circles_protocol::{CampusId, CircleId, Draft, MessageId, UnixMs};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{
    Blob,
    outbox::{self, Intent},
    uuid,
};
use crate::{error::ClientError, view::DraftView};

/// The draft of a circle; an empty one if there is none.
pub fn get(conn: &Connection, campus: CampusId, circle: CircleId) -> rusqlite::Result<DraftView> {
    match outbox::waiting(conn, campus, circle, "draft")? {
        Some(Intent::Draft(draft)) => Ok(draft),
        _ => stored(conn, campus, circle),
    }
}

/// Whether a circle has a draft.
pub fn exists(conn: &Connection, campus: CampusId, circle: CircleId) -> rusqlite::Result<bool> {
    match outbox::waiting(conn, campus, circle, "draft")? {
        Some(Intent::Draft(draft)) => Ok(draft != DraftView::default()),
        _ => conn
            .prepare_cached(
                "SELECT 1 FROM draft WHERE campus = ?1 AND circle = ?2
                   AND (text <> '' OR reply_to IS NOT NULL OR editing IS NOT NULL)",
            )?
            .exists(params![campus.blob(), circle.blob()]),
    }
}

fn stored(conn: &Connection, campus: CampusId, circle: CircleId) -> rusqlite::Result<DraftView> {
    let found = conn
        .prepare_cached("SELECT text, reply_to, editing FROM draft WHERE campus = ?1 AND circle = ?2")?
        .query_row(params![campus.blob(), circle.blob()], |row| view(row, 0))
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// The person writes, or has sent or given up what they wrote.
pub fn set(
    conn: &Connection,
    campus: CampusId,
    circle: CircleId,
    draft: DraftView,
    now: UnixMs,
) -> Result<(), ClientError> {
    // What was sent before it had rested is nothing that another device heard of.
    if draft == stored(conn, campus, circle)? && outbox::call_back(conn, campus, circle, "draft")? {
        return Ok(());
    }
    outbox::push(conn, campus, circle, None, &Intent::Draft(draft), now)
}

/// Takes the relay's state, if it is newer. Whether it was.
pub fn apply(conn: &Connection, campus: CampusId, it: &Draft) -> rusqlite::Result<bool> {
    let changed = conn
        .prepare_cached(
            "INSERT INTO draft (campus, circle, text, reply_to, editing, changed_at, version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (campus, circle) DO UPDATE SET text = excluded.text, reply_to = excluded.reply_to,
                 editing = excluded.editing, changed_at = excluded.changed_at, version = excluded.version
             WHERE excluded.version > version",
        )?
        .execute(params![
            campus.blob(),
            it.circle_id.blob(),
            it.text,
            it.reply_to.map(|id| id.blob()),
            it.editing.map(|id| id.blob()),
            it.changed_at.0,
            i64::from(it.version)
        ])?;
    Ok(changed > 0)
}

/// Another history begins: it is offered what was held, and knows itself what is newer.
pub fn offer(conn: &Connection, campus: CampusId) -> Result<(), ClientError> {
    let held: Vec<(CircleId, DraftView, i64)> = conn
        .prepare("DELETE FROM draft WHERE campus = ?1 RETURNING circle, text, reply_to, editing, changed_at")?
        .query_map([campus.blob()], |row| Ok((CircleId::from_uuid(uuid(row, 0)?), view(row, 1)?, row.get(4)?)))?
        .collect::<Result<_, _>>()?;
    for (circle, draft, at) in held {
        if outbox::waiting(conn, campus, circle, "draft")?.is_none() {
            outbox::push(conn, campus, circle, None, &Intent::Draft(draft), UnixMs(at))?;
        }
    }
    Ok(())
}

/// A draft whose columns begin at this one.
fn view(row: &Row<'_>, first: usize) -> rusqlite::Result<DraftView> {
    let id = |column| {
        Ok::<_, rusqlite::Error>(
            row.get::<_, Option<[u8; 16]>>(column)?.map(|it| MessageId::from_uuid(Uuid::from_bytes(it))),
        )
    };
    Ok(DraftView { text: row.get(first)?, reply_to: id(first + 1)?, editing: id(first + 2)? })
}
