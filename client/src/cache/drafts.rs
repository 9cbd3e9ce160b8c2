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

/// What stood in the composer is sent: in the transaction that puts it into the outbox, nothing stands there any more.
pub fn send(
    conn: &Connection,
    campus: CampusId,
    circle: CircleId,
    id: MessageId,
    post: &Intent,
    now: UnixMs,
) -> Result<(), ClientError> {
    outbox::push(conn, campus, circle, Some(id), post, now)?;
    set(conn, campus, circle, DraftView::default(), now)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cache::empty, limits::OUTBOX_MAX};

    fn post(text: &str) -> Intent {
        Intent::Post { text: text.to_owned(), reply_to: None }
    }

    fn draft(text: &str) -> DraftView {
        DraftView { text: text.to_owned(), ..DraftView::default() }
    }

    #[test]
    fn what_is_sent_from_the_composer_stands_in_one_place_only_whenever_one_looks() {
        let (mut conn, campus, circle) = (empty(), CampusId::new(), CircleId::new());
        set(&conn, campus, circle, draft("half of i"), UnixMs(0)).unwrap();

        let crashed = conn.transaction().unwrap();
        send(&crashed, campus, circle, MessageId::new(), &post("half of it"), UnixMs(1)).unwrap();
        drop(crashed);
        assert_eq!(get(&conn, campus, circle).unwrap(), draft("half of i"));
        assert_eq!(outbox::counts(&conn, campus, circle).unwrap(), (0, 0));

        send(&conn, campus, circle, MessageId::new(), &post("half of it"), UnixMs(1)).unwrap();
        assert_eq!(get(&conn, campus, circle).unwrap(), DraftView::default());
        assert_eq!(outbox::counts(&conn, campus, circle).unwrap(), (1, 0));
    }

    #[test]
    fn what_is_sent_before_it_rested_is_told_to_no_other_device_but_what_they_know_of_is_taken_back() {
        let (conn, campus, circle) = (empty(), CampusId::new(), CircleId::new());
        set(&conn, campus, circle, draft("hi"), UnixMs(0)).unwrap();
        send(&conn, campus, circle, MessageId::new(), &post("hi"), UnixMs(1)).unwrap();
        assert_eq!(outbox::waiting(&conn, campus, circle, "draft").unwrap(), None);

        conn.execute(
            "INSERT INTO draft (campus, circle, text, changed_at, version) VALUES (?1, ?2, 'a plan', 0, 7)",
            params![campus.blob(), circle.blob()],
        )
        .unwrap();
        send(&conn, campus, circle, MessageId::new(), &post("a plan"), UnixMs(2)).unwrap();
        let told = outbox::waiting(&conn, campus, circle, "draft").unwrap();
        assert_eq!(told, Some(Intent::Draft(DraftView::default())));
    }

    #[test]
    fn what_finds_no_room_in_the_outbox_stays_in_the_composer() {
        let (conn, campus, circle) = (empty(), CampusId::new(), CircleId::new());
        conn.execute(
            "WITH RECURSIVE some(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM some WHERE n < ?3)
             INSERT INTO outbox (campus, circle, kind, body, written_at) SELECT ?1, ?2, 'post', '{}', 0 FROM some",
            params![campus.blob(), circle.blob(), OUTBOX_MAX],
        )
        .unwrap();
        set(&conn, campus, circle, draft("one more"), UnixMs(0)).unwrap();
        let refused = send(&conn, campus, circle, MessageId::new(), &post("one more"), UnixMs(1));
        assert!(matches!(refused, Err(ClientError::OutboxFull)), "{refused:?}");
        assert_eq!(get(&conn, campus, circle).unwrap(), draft("one more"));
    }
}
