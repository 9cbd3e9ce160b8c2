//! The outbox: what a person wrote and the relay does not yet have (design 3.7). Durable, in order per circle, sent at
//! least once under ids of its own.

use circles_protocol::{CampusId, CircleId, MessageId, Seq, UnixMs};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::{Blob, uuid, views::Eyes};
use crate::{
    error::ClientError,
    limits::{DRAFT_REST, OUTBOX_MAX},
    view::DraftView,
};

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Intent {
    /// A new message.
    Post {
        /// Its text.
        text: String,
        /// What it answers.
        reply_to: Option<MessageId>,
    },
    /// Another text for a message.
    Edit {
        /// The text.
        text: String,
    },
    /// The deletion of a message.
    Delete,
    /// A reaction, or its end.
    React {
        /// With what.
        emoji: String,
        /// Whether it is set.
        on: bool,
    },
    /// How far the circle was read.
    Read {
        /// Up to here.
        seq: Seq,
    },
    /// Whether the circle is muted.
    Mute {
        /// So it is.
        on: bool,
    },
    /// What stands in the composer.
    Draft(DraftView),
}

/// The kinds of [`Intent::is_own_state`].
const OWN_STATES: &str = "('read', 'mute', 'draft')";

impl Intent {
    /// Its name, which tells nothing of what was written.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Post { .. } => "post",
            Self::Edit { .. } => "edit",
            Self::Delete => "delete",
            Self::React { .. } => "react",
            Self::Read { .. } => "read",
            Self::Mute { .. } => "mute",
            Self::Draft(_) => "draft",
        }
    }

    /// Whether it is what the person's devices agree on: only the last of a circle counts, it waits for no message, and
    /// none waits for it.
    pub fn is_own_state(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::Mute { .. } | Self::Draft(_))
    }
}

/// How far an item has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits.
    Queued,
    /// Is being handed to the network.
    Sending,
    /// Was handed to the network, and no answer came: the relay may have it. It waits to be sent again.
    Tried,
    /// Was refused.
    Failed(String),
}

/// An entry of the outbox.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its place.
    pub n: i64,
    /// The circle.
    pub circle: CircleId,
    /// The message, but for what the person's devices agree on.
    pub message: Option<MessageId>,
    /// What to do.
    pub intent: Intent,
    /// How far it has got.
    pub state: State,
    /// When the person did it.
    pub written_at: UnixMs,
}

/// [`DRAFT_REST`] in ms.
const DRAFT_REST_MS: i64 = DRAFT_REST.as_secs().cast_signed() * 1_000;

const COLUMNS: &str = "n, circle, message, body, state, reason, written_at";

fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let body: String = row.get(3)?;
    let intent = serde_json::from_str(&body)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(error)))?;
    let state: String = row.get(4)?;
    Ok(Item {
        n: row.get(0)?,
        circle: CircleId::from_uuid(uuid(row, 1)?),
        message: row.get::<_, Option<[u8; 16]>>(2)?.map(|it| MessageId::from_uuid(uuid::Uuid::from_bytes(it))),
        intent,
        state: match state.as_str() {
            "failed" => State::Failed(row.get::<_, Option<String>>(5)?.unwrap_or_default()),
            "sending" => State::Sending,
            "tried" => State::Tried,
            _ => State::Queued,
        },
        written_at: UnixMs(row.get(6)?),
    })
}

/// Adds an intent at the end of its circle's queue. What the person's devices agree on replaces one that waits, and is
/// bounded by that. Another text or the deletion of a message replaces what was refused of the kind: it would wait behind
/// it for ever.
pub fn push(
    conn: &Connection,
    campus: CampusId,
    circle: CircleId,
    message: Option<MessageId>,
    intent: &Intent,
    now: UnixMs,
) -> Result<(), ClientError> {
    let waiting: u32 = conn
        .prepare_cached("SELECT count(*) FROM outbox WHERE campus = ?1")?
        .query_row([campus.blob()], |it| it.get(0))?;
    if intent.is_own_state() {
        conn.prepare_cached(
            "DELETE FROM outbox WHERE campus = ?1 AND circle = ?2 AND kind = ?3 AND state IN ('queued', 'failed')",
        )?
        .execute(params![campus.blob(), circle.blob(), intent.kind()])?;
    } else if waiting >= OUTBOX_MAX {
        return Err(ClientError::OutboxFull);
    }
    if let (Intent::Edit { .. } | Intent::Delete, Some(message)) = (intent, message) {
        conn.prepare_cached(
            "DELETE FROM outbox WHERE campus = ?1 AND message = ?2 AND kind IN ('edit', 'delete') AND state = 'failed'",
        )?
        .execute(params![campus.blob(), message.blob()])?;
    }
    let body = serde_json::to_string(intent).map_err(|error| ClientError::Invalid(error.to_string()))?;
    conn.prepare_cached(
        "INSERT INTO outbox (campus, circle, message, kind, body, written_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![campus.blob(), circle.blob(), message.map(|it| it.blob()), intent.kind(), body, now.0])?;
    Ok(())
}

/// Drafts that still rest: the person may go on. One that was sent or given up is not waited for. A time ahead of the clock,
/// which was set back, is none to wait for.
const RESTS: &str =
    "kind = 'draft' AND written_at > ?2 - ?3 AND written_at <= ?2 AND json_extract(body, '$.text') <> ''";

/// What must come before an item and was not sent. The posts of a circle keep their order, so a refused one holds up the later
/// ones. Anything else concerns one message: it waits for that message's post, and for an edit or deletion of it that was
/// refused. A refused reaction holds up nothing.
const HELD_UP: &str = "EXISTS (SELECT 1 FROM outbox AS before
    WHERE before.campus = it.campus AND before.circle = it.circle AND before.n < it.n
      AND ((before.kind = 'post' AND before.state = 'failed' AND it.kind = 'post')
        OR (before.message = it.message
          AND (before.kind = 'post' OR (before.kind IN ('edit', 'delete') AND before.state = 'failed')))))";

/// The next item to send: the oldest that nothing holds up, of a circle that is none of these.
pub fn next(conn: &Connection, campus: CampusId, now: UnixMs, but: &[CircleId]) -> rusqlite::Result<Option<Item>> {
    let but = but.iter().map(|it| it.uuid().simple().to_string()).collect::<serde_json::Value>().to_string();
    conn.prepare_cached(&format!(
        // In the order of `n`, which is the rowid, up to the first: by an index of the campus all of it would be looked at and
        // sorted each time.
        "SELECT {COLUMNS} FROM outbox AS it WHERE +campus = ?1 AND state <> 'failed' AND NOT ({RESTS})
           AND lower(hex(circle)) NOT IN (SELECT value FROM json_each(?4))
           AND (kind IN {OWN_STATES} OR NOT {HELD_UP})
         ORDER BY n LIMIT 1"
    ))?
    .query_row(params![campus.blob(), now.0, DRAFT_REST_MS, but], item)
    .optional()
}

/// How long the first of the drafts still rests, in ms; none if none does.
pub fn rests_for(conn: &Connection, campus: CampusId, now: UnixMs) -> rusqlite::Result<Option<u64>> {
    let since: Option<i64> = conn
        .prepare_cached(&format!(
            "SELECT min(written_at) FROM outbox WHERE campus = ?1 AND state <> 'failed' AND {RESTS}"
        ))?
        .query_row(params![campus.blob(), now.0, DRAFT_REST_MS], |row| row.get(0))?;
    Ok(since.map(|at| (at + DRAFT_REST_MS - now.0).unsigned_abs()))
}

/// What waits or was refused of a kind that the person's devices agree on: here it is so already.
pub fn waiting(conn: &Connection, campus: CampusId, circle: CircleId, kind: &str) -> rusqlite::Result<Option<Intent>> {
    let found = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM outbox WHERE campus = ?1 AND circle = ?2 AND kind = ?3 ORDER BY n DESC LIMIT 1"
        ))?
        .query_row(params![campus.blob(), circle.blob(), kind], item)
        .optional()?;
    Ok(found.map(|it| it.intent))
}

/// Gives up what waits of such a kind; false if some of it was handed to the network already.
pub fn call_back(conn: &Connection, campus: CampusId, circle: CircleId, kind: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "DELETE FROM outbox WHERE campus = ?1 AND circle = ?2 AND kind = ?3 AND state IN ('queued', 'failed')",
    )?
    .execute(params![campus.blob(), circle.blob(), kind])?;
    Ok(waiting(conn, campus, circle, kind)?.is_none())
}

/// What the relay refused of these kinds is tried again, once for each start: it may have been an older one.
pub fn retry_own_states(conn: &Connection, campus: CampusId) -> rusqlite::Result<()> {
    conn.execute(
        &format!("UPDATE outbox SET state = 'queued', reason = NULL WHERE campus = ?1 AND state = 'failed' AND kind IN {OWN_STATES}"),
        [campus.blob()],
    )?;
    Ok(())
}

/// What waits or failed in a circle, in the order written.
pub fn of_circle(conn: &Connection, campus: CampusId, circle: CircleId) -> rusqlite::Result<Vec<Item>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM outbox WHERE campus = ?1 AND circle = ?2 ORDER BY n"))?
        .query_map(params![campus.blob(), circle.blob()], item)?
        .collect()
}

/// What waits or failed in circles that one is not in, in the order written.
pub fn of_others_circles(conn: &Connection, eyes: Eyes) -> rusqlite::Result<Vec<Item>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM outbox WHERE campus = ?1 AND kind NOT IN {OWN_STATES} AND NOT EXISTS
           (SELECT 1 FROM membership WHERE membership.campus = outbox.campus AND membership.circle = outbox.circle
              AND membership.person = ?2 AND membership.state = 'joined')
         ORDER BY n"
    ))?
    .query_map(params![eyes.campus.blob(), eyes.me.blob()], item)?
    .collect()
}

/// What waits or failed for one message, in the order written.
pub fn of_message(conn: &Connection, campus: CampusId, message: MessageId) -> rusqlite::Result<Vec<Item>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM outbox WHERE campus = ?1 AND message = ?2 ORDER BY n"))?
        .query_map(params![campus.blob(), message.blob()], item)?
        .collect()
}

/// How far the circle was read, by what waits.
pub fn read_up_to(conn: &Connection, campus: CampusId, circle: CircleId) -> rusqlite::Result<Option<Seq>> {
    let items: Vec<Item> = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM outbox WHERE campus = ?1 AND circle = ?2 AND kind = 'read'"))?
        .query_map(params![campus.blob(), circle.blob()], item)?
        .collect::<Result<_, _>>()?;
    Ok(items.into_iter().filter_map(|it| if let Intent::Read { seq } = it.intent { Some(seq) } else { None }).max())
}

/// How many messages wait and how many items failed, in a circle. What the person's devices agree on does not count.
pub fn counts(conn: &Connection, campus: CampusId, circle: CircleId) -> rusqlite::Result<(u32, u32)> {
    conn.prepare_cached(&format!(
        "SELECT coalesce(sum(state <> 'failed'), 0), coalesce(sum(state = 'failed'), 0) FROM outbox
         WHERE campus = ?1 AND circle = ?2 AND kind NOT IN {OWN_STATES}"
    ))?
    .query_row(params![campus.blob(), circle.blob()], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The item is on its way, as it now stands; none if it was discarded.
pub fn sending(conn: &Connection, n: i64) -> rusqlite::Result<Option<Item>> {
    conn.prepare_cached(&format!(
        "UPDATE outbox SET state = 'sending' WHERE n = ?1 AND state <> 'failed' RETURNING {COLUMNS}"
    ))?
    .query_row([n], item)
    .optional()
}

/// No answer came: the item waits to be sent again.
pub fn tried(conn: &Connection, n: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE outbox SET state = 'tried' WHERE n = ?1 AND state = 'sending'")?.execute([n])?;
    Ok(())
}

/// The relay refused the item.
pub fn fail(conn: &Connection, n: i64, reason: &str) -> rusqlite::Result<()> {
    conn.execute("UPDATE outbox SET state = 'failed', reason = ?2 WHERE n = ?1", params![n, reason])?;
    Ok(())
}

/// The item is done.
pub fn remove(conn: &Connection, n: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM outbox WHERE n = ?1")?.execute([n])?;
    Ok(())
}

/// Puts what waits or failed for a message behind the message itself, which is sent once more.
pub fn requeue_after(conn: &Connection, campus: CampusId, message: MessageId) -> rusqlite::Result<()> {
    for item in of_message(conn, campus, message)? {
        if !matches!(item.intent, Intent::Post { .. }) && item.state != State::Sending {
            conn.execute(
                "UPDATE outbox SET n = (SELECT max(n) + 1 FROM outbox), state = 'queued', reason = NULL WHERE n = ?1",
                [item.n],
            )?;
        }
    }
    Ok(())
}

/// Queues what failed of a message again, in its old place.
pub fn retry(conn: &Connection, campus: CampusId, message: MessageId) -> rusqlite::Result<usize> {
    conn.execute(
        "UPDATE outbox SET state = 'queued', reason = NULL WHERE campus = ?1 AND message = ?2 AND state = 'failed'",
        params![campus.blob(), message.blob()],
    )
}

/// Gives up what is unsent of a message: all of it, for a new message; else what was refused, and if nothing was, what waits.
/// What is already on its way cannot be called back, and stays.
pub fn discard(conn: &Connection, campus: CampusId, message: MessageId) -> rusqlite::Result<()> {
    let items = of_message(conn, campus, message)?;
    let is_refused = |it: &Item| matches!(it.state, State::Failed(_));
    let only_refused = items.iter().any(is_refused) && !items.iter().any(|it| matches!(it.intent, Intent::Post { .. }));
    for it in items {
        let is_out = matches!(it.state, State::Sending | State::Tried);
        let given_up = if only_refused { is_refused(&it) } else { !is_out };
        if given_up {
            remove(conn, it.n)?;
        }
    }
    Ok(())
}

/// Queues an item as another one of the same kind, in its old place.
pub fn replace(conn: &Connection, n: i64, intent: &Intent) -> Result<(), ClientError> {
    let body = serde_json::to_string(intent).map_err(|error| ClientError::Invalid(error.to_string()))?;
    conn.execute("UPDATE outbox SET body = ?2, state = 'queued', reason = NULL WHERE n = ?1", params![n, body])?;
    Ok(())
}

/// Gives another text to a new message that was not handed to the network yet, or was refused. False if it is too late
/// for that: then an edit follows it.
pub fn rewrite(conn: &Connection, campus: CampusId, message: MessageId, text: &str) -> Result<bool, ClientError> {
    let Some(post) = of_message(conn, campus, message)?.into_iter().find(|it| matches!(it.intent, Intent::Post { .. }))
    else {
        return Ok(false);
    };
    let Intent::Post { reply_to, .. } = post.intent else { return Ok(false) };
    if matches!(post.state, State::Sending | State::Tried) {
        return Ok(false);
    }
    replace(conn, post.n, &Intent::Post { text: text.to_owned(), reply_to })?;
    // Edits from when the message was on its way, before it was refused, are older than this text.
    conn.execute(
        "DELETE FROM outbox WHERE campus = ?1 AND message = ?2 AND kind = 'edit'",
        params![campus.blob(), message.blob()],
    )?;
    Ok(true)
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::empty;

    #[test]
    fn a_new_text_for_a_refused_message_replaces_the_edits_that_waited_behind_it() {
        let (conn, campus, circle, message) = (empty(), CampusId::new(), CircleId::new(), MessageId::new());
        let say = |intent: &Intent| push(&conn, campus, circle, Some(message), intent, UnixMs(0)).unwrap();
        say(&Intent::Post { text: "first".to_owned(), reply_to: None });
        let post = next(&conn, campus, UnixMs(0), &[]).unwrap().expect("it waits");
        sending(&conn, post.n).unwrap();
        assert!(!rewrite(&conn, campus, message, "second").unwrap(), "it is on its way");
        say(&Intent::Edit { text: "second".to_owned() });
        fail(&conn, post.n, "not a member").unwrap();
        assert!(rewrite(&conn, campus, message, "third").unwrap());
        let left: Vec<Intent> = of_message(&conn, campus, message).unwrap().into_iter().map(|it| it.intent).collect();
        assert_eq!(left, [Intent::Post { text: "third".to_owned(), reply_to: None }]);
    }

    #[test]
    fn a_draft_rests_before_it_is_sent_and_the_last_one_counts() {
        let (conn, campus, circle) = (empty(), CampusId::new(), CircleId::new());
        let draft = |text: &str| Intent::Draft(DraftView { text: text.to_owned(), ..DraftView::default() });
        let write = |text, at| push(&conn, campus, circle, None, &draft(text), UnixMs(at)).unwrap();
        let due = |at| next(&conn, campus, UnixMs(at), &[]).unwrap().map(|it| it.intent);
        write("h", 10_000);
        write("hi", 11_000);
        assert_eq!((due(11_500), rests_for(&conn, campus, UnixMs(11_500)).unwrap()), (None, Some(1_500)));
        assert_eq!(due(13_000), Some(draft("hi")));
        assert_eq!(due(5_000), Some(draft("hi")), "the clock was set back");
        write("", 13_100);
        assert_eq!(due(13_100), Some(draft("")), "it was sent or given up");
        assert_eq!(of_circle(&conn, campus, circle).unwrap().len(), 1);
    }

    #[test]
    fn what_was_refused_of_a_message_holds_up_that_message_alone_and_a_reaction_nothing() {
        let (conn, campus, circle) = (empty(), CampusId::new(), CircleId::new());
        let (one, other) = (MessageId::new(), MessageId::new());
        let push = |it, intent: &Intent| push(&conn, campus, circle, Some(it), intent, UnixMs(0)).unwrap();
        let due = || next(&conn, campus, UnixMs(0), &[]).unwrap();
        let refuse = || fail(&conn, due().expect("it waits").n, "no").unwrap();
        let react = Intent::React { emoji: "👍".to_owned(), on: true };
        let edit = |text: &str| Intent::Edit { text: text.to_owned() };
        push(one, &react);
        refuse();
        push(one, &edit("refused"));
        assert_eq!(due().map(|it| it.intent), Some(edit("refused")), "a refused reaction holds up nothing");
        refuse();
        push(one, &react);
        assert_eq!(due().map(|it| it.n), None, "it waits for the edit of its message");
        push(other, &edit("of another"));
        assert_eq!(due().map(|it| it.message), Some(Some(other)));
        remove(&conn, due().expect("it waits").n).unwrap();

        push(one, &edit("better"));
        assert_eq!(due().map(|it| it.intent), Some(react), "the new text took the refused one's place");
        discard(&conn, campus, one).unwrap();
        let left: Vec<_> = of_message(&conn, campus, one).unwrap().iter().map(|it| it.intent.kind()).collect();
        assert_eq!(left, ["react", "edit"], "only what was refused is given up");
    }

    #[test]
    fn nothing_of_a_circle_waits_for_what_devices_agree_on() {
        let (conn, campus, circle, message) = (empty(), CampusId::new(), CircleId::new(), MessageId::new());
        push(&conn, campus, circle, None, &Intent::Mute { on: true }, UnixMs(0)).unwrap();
        let mute = next(&conn, campus, UnixMs(0), &[]).unwrap().expect("it waits");
        fail(&conn, mute.n, "an older relay").unwrap();
        push(&conn, campus, circle, Some(message), &Intent::Delete, UnixMs(0)).unwrap();
        assert_eq!(next(&conn, campus, UnixMs(0), &[]).unwrap().map(|it| it.intent), Some(Intent::Delete));
        assert_eq!(counts(&conn, campus, circle).unwrap(), (1, 0));
        assert_eq!(waiting(&conn, campus, circle, "mute").unwrap(), Some(Intent::Mute { on: true }));
        retry_own_states(&conn, campus).unwrap();
        assert_eq!(next(&conn, campus, UnixMs(0), &[]).unwrap().map(|it| it.n), Some(mute.n));
    }
}
