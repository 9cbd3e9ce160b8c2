//! Another history begins: the relay was restored from a copy, or replaced (`reset`, docs/protocol.md).
//!
//! What is held stays. It is compared with the new history circle by circle, as each is complete: an entity that the new
//! history told of has a version, all others have none. What the relay lost of one's own is sent again under its old id;
//! what it lost of others' is kept here, until its author offers it again.

use std::collections::HashSet;

use circles_protocol::{CampusId, CircleId, Cursor, MessageId, PersonId, Scope, UnixMs};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::{
    Blob, drafts, ledger, mutes,
    outbox::{self, Intent},
    uuid,
    views::{self, Eyes},
};
use crate::{
    error::ClientError,
    limits::KEPT_MAX,
    view::{KeptMessage, Renewal},
};

/// Begins: nothing is complete any more, and nothing confirmed.
pub fn begin(conn: &Connection, eyes: Eyes, now: UnixMs) -> Result<(), ClientError> {
    let campus = eyes.campus.blob();
    // Of one's own also what the new history has in an older state: the page that brings it would write over this.
    conn.execute(
        &format!("{FORMER} WHERE campus = ?1 AND author = ?2 AND (edited_at IS NOT NULL OR deleted_at IS NOT NULL)"),
        params![campus, eyes.me.blob()],
    )?;
    for sql in [
        "INSERT OR IGNORE INTO unsettled SELECT DISTINCT campus, circle FROM message WHERE campus = ?1",
        "INSERT OR IGNORE INTO unsettled SELECT campus, circle FROM membership WHERE campus = ?1 AND state = 'joined'",
        "DELETE FROM coverage WHERE campus = ?1",
        "DELETE FROM scope_head WHERE campus = ?1",
        "DELETE FROM circle_head WHERE campus = ?1",
        "UPDATE person SET version = 0 WHERE campus = ?1",
        "UPDATE circle SET version = 0 WHERE campus = ?1",
        "UPDATE membership SET version = 0 WHERE campus = ?1",
        "UPDATE message SET version = 0 WHERE campus = ?1",
        "UPDATE reaction SET version = 0 WHERE campus = ?1",
        // Its numbers may mean other messages now: better something read is shown as unread than the other way round.
        "DELETE FROM read_marker WHERE campus = ?1",
        "DELETE FROM outbox WHERE campus = ?1 AND kind = 'read'",
        // Its positions are none of the new history's.
        "DELETE FROM not_understood WHERE campus = ?1",
    ] {
        conn.execute(sql, [campus])?;
    }
    mutes::offer(conn, eyes.campus)?;
    drafts::offer(conn, eyes.campus)?;
    conn.execute("UPDATE campus SET heads_due = 1, renewed_at = ?2 WHERE id = ?1", params![campus, now.0])?;
    Ok(())
}

/// Whether the relay's list of circles is still to be taken: only then it is known where one is a member. Kept with the
/// history, beside the engine's count of how often it asks: nothing may be compared between the moment when another
/// history begins and the one when the engine hears of it.
fn heads_due(conn: &Connection, campus: CampusId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT heads_due FROM campus WHERE id = ?1")?.query_row([campus.blob()], |row| row.get(0))
}

/// The relay's list of circles was taken, as of this position.
pub fn heads_taken(conn: &Connection, campus: CampusId, as_of: &Cursor) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE campus SET heads_due = 0 WHERE id = ?1 AND epoch = ?2")?
        .execute(params![campus.blob(), as_of.epoch.as_str()])?;
    Ok(())
}

/// Copies messages with their circle's name. To be followed by a condition on `message`.
const FORMER: &str = "INSERT OR REPLACE INTO former
    (campus, id, circle, circle_name, seq, author, text, reply_to, created_at, edited_at, deleted_at)
    SELECT campus, id, circle,
        coalesce((SELECT name FROM circle WHERE circle.campus = message.campus AND circle.id = message.circle), ''),
        seq, author, text, reply_to, coalesce(written_at, created_at), edited_at, deleted_at FROM message";

/// Makes room for a message at its number: another that stood there belongs to a history before.
pub fn make_room(conn: &Connection, it: &circles_protocol::Message, campus: CampusId) -> rusqlite::Result<()> {
    let keys = params![campus.blob(), it.circle_id.blob(), i64::from(it.seq), it.id.blob()];
    keep(conn, "campus = ?1 AND circle = ?2 AND seq = ?3 AND id <> ?4", keys)
}

/// Moves the messages of a history before for which a condition holds.
fn keep(conn: &Connection, condition: &str, keys: &[&dyn ToSql]) -> rusqlite::Result<()> {
    conn.execute(&format!("{FORMER} WHERE {condition}"), keys)?;
    conn.execute(&format!("DELETE FROM message WHERE {condition}"), keys)?;
    Ok(())
}

/// Whether there are messages of a history before.
pub fn has_former(conn: &Connection, campus: CampusId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM former WHERE campus = ?1")?.exists([campus.blob()])
}

/// A message of somebody else's is in the present history; whether it was thought lost.
pub fn found(conn: &Connection, campus: CampusId, id: MessageId, me: PersonId) -> rusqlite::Result<bool> {
    let found = conn
        .prepare_cached("DELETE FROM former WHERE campus = ?1 AND id = ?2 AND author <> ?3")?
        .execute(params![campus.blob(), id.blob(), me.blob()])?;
    Ok(found > 0)
}

/// The circles that are still to be compared, and those that one is in again and has something to offer to.
pub fn to_settle(conn: &Connection, eyes: Eyes) -> rusqlite::Result<Vec<CircleId>> {
    conn.prepare_cached(
        "SELECT circle FROM unsettled WHERE campus = ?1
         UNION SELECT former.circle FROM former
         JOIN membership ON membership.campus = former.campus AND membership.circle = former.circle
             AND membership.person = former.author AND membership.state = 'joined'
         WHERE former.campus = ?1 AND former.author = ?2",
    )?
    .query_map(params![eyes.campus.blob(), eyes.me.blob()], |row| Ok(CircleId::from_uuid(uuid(row, 0)?)))?
    .collect()
}

/// Compares the circles with the present history of which that is known by now; gives them.
pub fn settle(conn: &Connection, eyes: Eyes, now: UnixMs) -> Result<HashSet<CircleId>, ClientError> {
    let is_known = |scope| Ok::<_, ClientError>(ledger::gaps(conn, eyes.campus, scope)?.is_empty());
    let mut settled = HashSet::new();
    if heads_due(conn, eyes.campus)? || !is_known(Scope::Campus)? || !is_known(Scope::Person(eyes.me))? {
        return Ok(settled);
    }
    let joined: HashSet<CircleId> = views::joined(conn, eyes)?.into_iter().collect();
    for circle in to_settle(conn, eyes)? {
        let is_in = joined.contains(&circle);
        if !is_in || is_known(Scope::Circle(circle))? {
            settle_circle(conn, eyes, circle, is_in, now)?;
            settled.insert(circle);
        }
    }
    Ok(settled)
}

fn settle_circle(
    conn: &Connection,
    eyes: Eyes,
    circle: CircleId,
    joined: bool,
    now: UnixMs,
) -> Result<(), ClientError> {
    let keys = params![eyes.campus.blob(), circle.blob()];
    keep(conn, "campus = ?1 AND circle = ?2 AND version = 0", keys)?;
    // Of a circle that the relay no longer knows, or that one is no longer in, what is held is all that there is.
    let done = !joined || offer(conn, eyes, circle, now)?;
    conn.execute("DELETE FROM reaction WHERE campus = ?1 AND circle = ?2 AND version = 0", keys)?;
    conn.execute("DELETE FROM membership WHERE campus = ?1 AND circle = ?2 AND version = 0", keys)?;
    conn.execute("DELETE FROM circle WHERE campus = ?1 AND id = ?2 AND version = 0", keys)?;
    if done {
        conn.execute("DELETE FROM unsettled WHERE campus = ?1 AND circle = ?2", keys)?;
    }
    Ok(())
}

/// Puts into the outbox what the relay lost of one's own. False if the outbox is full: the rest follows another time.
fn offer(conn: &Connection, eyes: Eyes, circle: CircleId, now: UnixMs) -> Result<bool, ClientError> {
    let lost: Vec<Former> = conn
        .prepare_cached(
            "SELECT id, text, reply_to, created_at, edited_at, deleted_at FROM former
             WHERE campus = ?1 AND circle = ?2 AND author = ?3 ORDER BY seq",
        )?
        .query_map(params![eyes.campus.blob(), circle.blob(), eyes.me.blob()], Former::of)?
        .collect::<Result<_, _>>()?;
    let mut offered = HashSet::new();
    for it in lost {
        match it.push(conn, eyes, circle, &mut offered) {
            Ok(()) => {}
            Err(ClientError::OutboxFull) => return Ok(false),
            Err(error) => return Err(error),
        }
        conn.execute("DELETE FROM former WHERE campus = ?1 AND id = ?2", params![eyes.campus.blob(), it.id.blob()])?;
    }
    offer_reactions(conn, eyes, circle, now)?;
    Ok(true)
}

/// Reactions of one's own to messages that the present history has.
fn offer_reactions(conn: &Connection, eyes: Eyes, circle: CircleId, now: UnixMs) -> Result<(), ClientError> {
    let lost: Vec<(MessageId, String)> = conn
        .prepare_cached(
            "SELECT message, emoji FROM reaction
             WHERE campus = ?1 AND circle = ?2 AND person = ?3 AND version = 0 AND is_on
               AND EXISTS (SELECT 1 FROM message WHERE message.campus = reaction.campus AND message.id = reaction.message)",
        )?
        .query_map(params![eyes.campus.blob(), circle.blob(), eyes.me.blob()], |row| {
            Ok((MessageId::from_uuid(uuid(row, 0)?), row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    for (message, emoji) in lost {
        outbox::push(conn, eyes.campus, circle, Some(message), &Intent::React { emoji, on: true }, now)?;
    }
    Ok(())
}

/// A message of one's own as it was.
struct Former {
    id: MessageId,
    text: String,
    reply_to: Option<MessageId>,
    created_at: UnixMs,
    edited_at: Option<i64>,
    deleted: bool,
}

impl Former {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: MessageId::from_uuid(uuid(row, 0)?),
            text: row.get(1)?,
            reply_to: row.get::<_, Option<[u8; 16]>>(2)?.map(|it| MessageId::from_uuid(uuid::Uuid::from_bytes(it))),
            created_at: UnixMs(row.get(3)?),
            edited_at: row.get(4)?,
            deleted: row.get::<_, Option<i64>>(5)?.is_some(),
        })
    }

    /// Puts into the outbox what it takes to make the present history's message this one.
    fn push(
        &self,
        conn: &Connection,
        eyes: Eyes,
        circle: CircleId,
        offered: &mut HashSet<MessageId>,
    ) -> Result<(), ClientError> {
        let present = present(conn, eyes.campus, self.id)?;
        let intent = match present {
            Some(it) if it.deleted => return Ok(()),
            Some(_) if self.deleted => Intent::Delete,
            Some(it) if self.edited_at > it.edited_at && self.text != it.text => {
                Intent::Edit { text: self.text.clone() }
            }
            Some(_) => return Ok(()),
            // That it is gone is what its author wanted.
            None if self.deleted => return Ok(()),
            None => {
                let mut reply_to = self.reply_to;
                if let Some(id) = reply_to
                    && !offered.contains(&id)
                    && self::present(conn, eyes.campus, id)?.is_none()
                {
                    // The relay takes no answer to a message that it does not have.
                    reply_to = None;
                }
                offered.insert(self.id);
                Intent::Post { text: self.text.clone(), reply_to }
            }
        };
        outbox::push(conn, eyes.campus, circle, Some(self.id), &intent, self.created_at)?;
        if matches!(intent, Intent::Post { .. }) {
            outbox::requeue_after(conn, eyes.campus, self.id)?;
        }
        conn.execute("UPDATE campus SET offered = offered + 1 WHERE id = ?1", [eyes.campus.blob()])?;
        Ok(())
    }
}

/// A message as the present history has it.
struct Present {
    text: String,
    edited_at: Option<i64>,
    deleted: bool,
}

fn present(conn: &Connection, campus: CampusId, id: MessageId) -> rusqlite::Result<Option<Present>> {
    conn.prepare_cached(
        "SELECT text, edited_at, deleted_at FROM message WHERE campus = ?1 AND id = ?2 AND version > 0",
    )?
    .query_row(params![campus.blob(), id.blob()], |row| {
        Ok(Present { text: row.get(0)?, edited_at: row.get(1)?, deleted: row.get::<_, Option<i64>>(2)?.is_some() })
    })
    .optional()
}

/// What there is to tell of another history; none if the person has seen it.
pub fn renewal(conn: &Connection, campus: CampusId) -> rusqlite::Result<Option<Renewal>> {
    let (at, offered): (Option<i64>, u32) = conn
        .prepare_cached("SELECT renewed_at, offered FROM campus WHERE id = ?1")?
        .query_row([campus.blob()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(at) = at else { return Ok(None) };
    Ok(Some(Renewal {
        at: UnixMs(at),
        comparing: conn.prepare_cached("SELECT 1 FROM unsettled WHERE campus = ?1")?.exists([campus.blob()])?,
        offered,
    }))
}

/// What counts as kept: what is in no circle that is still to be compared.
const KEPT: &str = "FROM former WHERE campus = ?1 AND deleted_at IS NULL AND NOT EXISTS
    (SELECT 1 FROM unsettled WHERE unsettled.campus = former.campus AND unsettled.circle = former.circle)";

/// How many messages are kept that the relay no longer has.
pub fn kept_count(conn: &Connection, campus: CampusId) -> rusqlite::Result<u32> {
    conn.prepare_cached(&format!("SELECT count(*) {KEPT}"))?.query_row([campus.blob()], |row| row.get(0))
}

/// The messages that the relay no longer has, by circle and in their order there; the newest if they are too many.
pub fn kept(conn: &Connection, campus: CampusId) -> rusqlite::Result<Vec<KeptMessage>> {
    let sql = format!(
        "SELECT circle_name, author, text, created_at, circle, seq, id {KEPT} ORDER BY created_at DESC LIMIT ?2"
    );
    let mut found: Vec<([u8; 16], i64, KeptMessage)> = conn
        .prepare_cached(&sql)?
        .query_map(params![campus.blob(), KEPT_MAX], |row| {
            let author = PersonId::from_uuid(uuid(row, 1)?);
            let message = KeptMessage {
                id: MessageId::from_uuid(uuid(row, 6)?),
                circle: row.get(0)?,
                author: views::person(conn, campus, author)?.name,
                text: row.get(2)?,
                at: UnixMs(row.get(3)?),
            };
            Ok((row.get(4)?, row.get(5)?, message))
        })?
        .collect::<Result<_, _>>()?;
    found.sort_by(|a, b| (&a.2.circle, a.0, a.1).cmp(&(&b.2.circle, b.0, b.1)));
    Ok(found.into_iter().map(|(_, _, it)| it).collect())
}

/// The person has seen what there was to tell.
pub fn seen(conn: &Connection, campus: CampusId) -> rusqlite::Result<()> {
    conn.execute("UPDATE campus SET renewed_at = NULL, offered = 0 WHERE id = ?1", [campus.blob()])?;
    Ok(())
}
