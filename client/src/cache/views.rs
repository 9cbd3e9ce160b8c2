//! What the interface shows, read from the cache.

use std::collections::HashMap;

use circles_protocol::{CampusId, CircleId, MembershipState, MessageId, PersonId, Scope, Seq, UnixMs};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Blob, counts, drafts, from_word, ledger, mutes, number,
    outbox::{self, Intent, Item, State},
    uuid,
};
use crate::{
    error::ClientError,
    limits::{MENTIONS_AMONG, PEOPLE_MAX, PREVIEW_CHARS},
    mentions,
    view::{
        Anchor, CircleStatus, CircleView, Delivery, LastMessage, MessageView, PersonView, ReactionView, ReplyView,
        TimelineView, Wrote,
    },
};

/// Whose eyes one sees with.
#[derive(Clone, Copy, Debug)]
pub struct Eyes {
    /// The campus.
    pub campus: CampusId,
    /// Who one is.
    pub me: PersonId,
}

/// Most messages of a window.
const WINDOW_MAX: u32 = 200;
/// A message that was written this much before it was accepted says so, in ms.
const WRITTEN_BEFORE_MS: i64 = 60_000;
/// Names that a reaction shows.
const REACTION_NAMES: usize = 10;

/// A person; with a name that says so if the profile is not held yet.
pub fn person(conn: &Connection, campus: CampusId, id: PersonId) -> rusqlite::Result<PersonView> {
    let found = conn
        .prepare_cached("SELECT id, name, hue, role FROM person WHERE campus = ?1 AND id = ?2")?
        .query_row(params![campus.blob(), id.blob()], person_row)
        .optional()?;
    Ok(found.unwrap_or_else(|| PersonView {
        id,
        name: "Someone".to_owned(),
        hue: 0,
        role: circles_protocol::Role::Member,
    }))
}

fn person_row(row: &Row<'_>) -> rusqlite::Result<PersonView> {
    Ok(PersonView {
        id: PersonId::from_uuid(uuid(row, 0)?),
        name: row.get(1)?,
        hue: row.get(2)?,
        role: from_word(row, 3)?,
    })
}

/// The members of a circle, or everyone in the campus, by name.
pub fn people(
    conn: &Connection,
    campus: CampusId,
    circle: Option<CircleId>,
    query: &str,
) -> rusqlite::Result<Vec<PersonView>> {
    let pattern = format!("%{}%", query.trim().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
    match circle {
        None => conn
            .prepare_cached(
                // One without a version is of a history before, and kept for the messages.
                "SELECT id, name, hue, role FROM person WHERE campus = ?1 AND version > 0 AND name LIKE ?2 ESCAPE '\\'
                 ORDER BY name COLLATE NOCASE LIMIT ?3",
            )?
            .query_map(params![campus.blob(), pattern, PEOPLE_MAX], person_row)?
            .collect(),
        Some(circle) => conn
            .prepare_cached(
                "SELECT person.id, person.name, person.hue, membership.role FROM membership
                 JOIN person ON person.campus = membership.campus AND person.id = membership.person
                 WHERE membership.campus = ?1 AND membership.circle = ?4 AND membership.state = 'joined'
                   AND person.name LIKE ?2 ESCAPE '\\'
                 ORDER BY person.name COLLATE NOCASE LIMIT ?3",
            )?
            .query_map(params![campus.blob(), pattern, PEOPLE_MAX, circle.blob()], person_row)?
            .collect(),
    }
}

/// The ids of the circles that one is a member of.
pub fn joined(conn: &Connection, eyes: Eyes) -> rusqlite::Result<Vec<CircleId>> {
    conn.prepare_cached("SELECT circle FROM membership WHERE campus = ?1 AND person = ?2 AND state = 'joined'")?
        .query_map(params![eyes.campus.blob(), eyes.me.blob()], |row| Ok(CircleId::from_uuid(uuid(row, 0)?)))?
        .collect()
}

/// Those of them of which nothing but the membership is known.
pub fn joined_unknown(conn: &Connection, eyes: Eyes) -> rusqlite::Result<Vec<CircleId>> {
    conn.prepare_cached(
        "SELECT circle FROM membership WHERE campus = ?1 AND person = ?2 AND state = 'joined'
           AND NOT EXISTS (SELECT 1 FROM circle WHERE circle.campus = ?1 AND circle.id = membership.circle)",
    )?
    .query_map(params![eyes.campus.blob(), eyes.me.blob()], |row| Ok(CircleId::from_uuid(uuid(row, 0)?)))?
    .collect()
}

/// The circles that one is a member of, and the open ones.
pub fn circles(conn: &Connection, eyes: Eyes) -> rusqlite::Result<Vec<CircleView>> {
    let ids: Vec<CircleId> = conn
        .prepare_cached("SELECT id FROM circle WHERE campus = ?1 ORDER BY name COLLATE NOCASE, id")?
        .query_map([eyes.campus.blob()], |row| Ok(CircleId::from_uuid(uuid(row, 0)?)))?
        .collect::<Result<_, _>>()?;
    let mut views = Vec::with_capacity(ids.len());
    for id in ids {
        views.extend(circle(conn, eyes, id)?);
    }
    Ok(views)
}

/// A circle, if it is known and one may see it.
pub fn circle(conn: &Connection, eyes: Eyes, id: CircleId) -> rusqlite::Result<Option<CircleView>> {
    let keys = params![eyes.campus.blob(), id.blob()];
    let found = conn
        .prepare_cached("SELECT name, topic, access FROM circle WHERE campus = ?1 AND id = ?2")?
        .query_row(keys, |row| Ok((row.get(0)?, row.get(1)?, from_word(row, 2)?)))
        .optional()?;
    let Some((name, topic, access)) = found else { return Ok(None) };
    let membership = conn
        .prepare_cached("SELECT state, role FROM membership WHERE campus = ?1 AND circle = ?2 AND person = ?3")?
        .query_row(params![eyes.campus.blob(), id.blob(), eyes.me.blob()], |row| {
            Ok((from_word::<MembershipState>(row, 0)?, from_word(row, 1)?))
        })
        .optional()?;
    let role = membership.filter(|(state, _)| *state == MembershipState::Joined).map(|(_, role)| role);
    if role.is_none() && access == circles_protocol::CircleKind::Private {
        return Ok(None);
    }
    let (head_seq, read_seq, unread) = if role.is_some() { unread(conn, eyes, id)? } else { Default::default() };
    let (mentions, first_mention) =
        if unread > 0 { mentioning(conn, eyes, id, read_seq, head_seq)? } else { (0, None) };
    let members: u32 = conn
        .prepare_cached("SELECT count(*) FROM membership WHERE campus = ?1 AND circle = ?2 AND state = 'joined'")?
        .query_row(keys, |row| row.get(0))?;
    let (unsent, failed) = outbox::counts(conn, eyes.campus, id)?;
    Ok(Some(CircleView {
        id,
        name,
        topic,
        access,
        joined: role.is_some(),
        role,
        members: role.is_some().then_some(members),
        head_seq,
        read_seq,
        unread,
        mentions,
        first_mention,
        last: if role.is_some() { last(conn, eyes, id)? } else { None },
        missing: if role.is_some() { missing(conn, eyes.campus, id, head_seq)? } else { 0 },
        unsent,
        failed,
        draft: drafts::exists(conn, eyes.campus, id)?,
        muted: mutes::is_muted(conn, eyes.campus, id)?,
    }))
}

/// How many messages are not held, and one if other changes alone are missing. While nothing is, nothing is counted.
fn missing(conn: &Connection, campus: CampusId, id: CircleId, last: Seq) -> rusqlite::Result<u64> {
    if ledger::gaps(conn, campus, Scope::Circle(id))?.is_empty() {
        return Ok(0);
    }
    Ok(last.get().saturating_sub(counts::held(conn, campus, id)?).max(1))
}

/// Head, read marker and unread count: what others wrote after the marker.
fn unread(conn: &Connection, eyes: Eyes, id: CircleId) -> rusqlite::Result<(Seq, Seq, u32)> {
    let keys = params![eyes.campus.blob(), id.blob()];
    let head: Seq = conn
        .prepare_cached("SELECT seq FROM circle_head WHERE campus = ?1 AND circle = ?2")?
        .query_row(keys, |row| number(row, 0))
        .optional()?
        .unwrap_or(Seq::ZERO);
    let stored: Seq = conn
        .prepare_cached("SELECT seq FROM read_marker WHERE campus = ?1 AND circle = ?2")?
        .query_row(keys, |row| number(row, 0))
        .optional()?
        .unwrap_or(Seq::ZERO);
    // What waits in the outbox was read too.
    let read = outbox::read_up_to(conn, eyes.campus, id)?.map_or(stored, |waiting| waiting.max(stored));
    let own = counts::own_after(conn, eyes.campus, id, read)?;
    let unread = head.get().saturating_sub(read.get()).saturating_sub(own);
    Ok((head, read, u32::try_from(unread).unwrap_or(u32::MAX)))
}

/// How many unread messages name one, and which is the first.
fn mentioning(
    conn: &Connection,
    eyes: Eyes,
    id: CircleId,
    read: Seq,
    head: Seq,
) -> rusqlite::Result<(u32, Option<Seq>)> {
    let name = person(conn, eyes.campus, eyes.me)?.name;
    let after = read.get().max(head.get().saturating_sub(MENTIONS_AMONG));
    // Served by the table's own order.
    let mut texts = conn.prepare_cached(
        "SELECT seq, text FROM message WHERE campus = ?1 AND circle = ?2 AND seq > ?3 AND author <> ?4
           AND deleted_at IS NULL AND instr(text, '@') > 0 ORDER BY seq",
    )?;
    let keys = params![eyes.campus.blob(), id.blob(), i64::try_from(after).unwrap_or(i64::MAX), eyes.me.blob()];
    let (mut count, mut first) = (0, None);
    for row in texts.query_map(keys, |row| Ok((number(row, 0)?, row.get::<_, String>(1)?)))? {
        let (seq, text) = row?;
        if mentions::mentions(&text, &name) {
            count += 1;
            first = first.or(Some(seq));
        }
    }
    Ok((count, first))
}

/// Every message after the read marker up to this one is held: numbers are dense.
fn held_from(conn: &Connection, eyes: Eyes, id: CircleId, read: Seq) -> rusqlite::Result<Seq> {
    let mut held = read;
    // Served by the table's own order; it ends at the first that is missing.
    let mut unread =
        conn.prepare_cached("SELECT seq FROM message WHERE campus = ?1 AND circle = ?2 AND seq > ?3 ORDER BY seq")?;
    for seq in unread.query_map(params![eyes.campus.blob(), id.blob(), i64::from(read)], |row| number(row, 0))? {
        let seq: Seq = seq?;
        if seq.get() != held.get() + 1 {
            break;
        }
        held = seq;
    }
    Ok(held)
}

fn last(conn: &Connection, eyes: Eyes, id: CircleId) -> rusqlite::Result<Option<LastMessage>> {
    let found = conn
        .prepare_cached(&format!("{MESSAGE} WHERE campus = ?1 AND circle = ?2 ORDER BY seq DESC LIMIT 1"))?
        .query_row(params![eyes.campus.blob(), id.blob()], stored)
        .optional()?;
    found
        .map(|it| {
            Ok(LastMessage {
                author: person(conn, eyes.campus, it.author)?.name,
                mine: it.author == eyes.me,
                text: preview(&it.text),
                deleted: it.deleted,
                at: it.created_at,
            })
        })
        .transpose()
}

/// The beginning of a text, on one line.
pub fn preview(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(PREVIEW_CHARS).collect()
}

/// A message as it is stored.
struct Stored {
    seq: Seq,
    id: MessageId,
    author: PersonId,
    text: String,
    reply_to: Option<MessageId>,
    created_at: UnixMs,
    written_at: Option<i64>,
    edited: bool,
    deleted: bool,
}

const MESSAGE: &str = "SELECT seq, id, author, text, reply_to, created_at, written_at, edited_at IS NOT NULL,
    deleted_at IS NOT NULL FROM message";

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        seq: number(row, 0)?,
        id: MessageId::from_uuid(uuid(row, 1)?),
        author: PersonId::from_uuid(uuid(row, 2)?),
        text: row.get(3)?,
        reply_to: row.get::<_, Option<[u8; 16]>>(4)?.map(|it| MessageId::from_uuid(uuid::Uuid::from_bytes(it))),
        created_at: UnixMs(row.get(5)?),
        written_at: row.get(6)?,
        edited: row.get(7)?,
        deleted: row.get(8)?,
    })
}

fn by_id(conn: &Connection, campus: CampusId, id: MessageId) -> rusqlite::Result<Option<Stored>> {
    conn.prepare_cached(&format!("{MESSAGE} WHERE campus = ?1 AND id = ?2"))?
        .query_row(params![campus.blob(), id.blob()], stored)
        .optional()
}

/// A window of a circle's timeline.
pub fn timeline(
    conn: &Connection,
    eyes: Eyes,
    circle: CircleId,
    anchor: &Anchor,
    limit: u32,
) -> Result<TimelineView, ClientError> {
    let (head, read, unread) = unread(conn, eyes, circle)?;
    let limit = u64::from(limit.clamp(1, WINDOW_MAX));
    let (from, to) = window(anchor, limit, head, read, unread > 0);
    let number = |value: u64| Seq::try_from(value).map_err(|error| ClientError::Invalid(error.to_string()));
    let rows: Vec<Stored> = conn
        .prepare_cached(&format!("{MESSAGE} WHERE campus = ?1 AND circle = ?2 AND seq BETWEEN ?3 AND ?4 ORDER BY seq"))?
        .query_map(
            params![eyes.campus.blob(), circle.blob(), i64::from(number(from)?), i64::from(number(to)?)],
            stored,
        )?
        .collect::<Result<_, _>>()?;
    let pending = Pending::of(outbox::of_circle(conn, eyes.campus, circle)?);
    let messages = rows.into_iter().map(|it| message_view(conn, eyes, it, &pending)).collect::<Result<_, _>>()?;
    let unsent = pending.posts.iter().map(|it| unsent_view(conn, eyes, it, &pending)).collect::<Result<Vec<_>, _>>()?;
    Ok(TimelineView {
        from: number(from)?,
        to: number(to)?,
        head_seq: head,
        read_seq: read,
        // To go through all that is unread takes as long as there is much of it: only while some of it is missing, which is then
        // near where it begins, because what is newest is filled first.
        held_seq: if ledger::gaps(conn, eyes.campus, Scope::Circle(circle))?.is_empty() {
            head
        } else {
            held_from(conn, eyes, circle, read)?
        },
        messages,
        unsent: unsent.into_iter().flatten().collect(),
    })
}

/// The range of `seq` that an anchor asks for, from 1 to the head; `from > to` if it is empty.
fn window(anchor: &Anchor, limit: u64, head: Seq, read: Seq, any_unread: bool) -> (u64, u64) {
    let head = head.get();
    let around = |seq: u64| {
        let to = seq.saturating_add(limit / 2).min(head);
        let from = to.saturating_sub(limit - 1).max(1);
        (from, to.max(from + limit - 1).min(head))
    };
    match anchor {
        Anchor::Unread if any_unread => around(read.get() + 1),
        Anchor::Latest | Anchor::Unread => (head.saturating_sub(limit - 1).max(1), head),
        Anchor::Before { seq } => {
            let to = seq.get().saturating_sub(1).min(head);
            (to.saturating_sub(limit - 1).max(1), to)
        }
        Anchor::After { seq } => (seq.get() + 1, seq.get().saturating_add(limit).min(head)),
        Anchor::Around { seq } => around(seq.get().max(1)),
    }
}

/// Messages by their ids, those that are held or unsent.
pub fn messages(
    conn: &Connection,
    eyes: Eyes,
    circle: CircleId,
    ids: impl IntoIterator<Item = MessageId>,
) -> rusqlite::Result<Vec<MessageView>> {
    let pending = Pending::of(outbox::of_circle(conn, eyes.campus, circle)?);
    let mut views = Vec::new();
    for id in ids {
        if let Some(stored) = by_id(conn, eyes.campus, id)? {
            views.push(message_view(conn, eyes, stored, &pending)?);
        } else if let Some(post) = pending.posts.iter().find(|it| it.message == Some(id)) {
            views.extend(unsent_view(conn, eyes, post, &pending)?);
        }
    }
    views.sort_by_key(|it| it.seq.map_or(u64::MAX, Seq::get));
    Ok(views)
}

/// What waits in the outbox of a circle.
struct Pending {
    posts: Vec<Item>,
    others: HashMap<MessageId, Vec<Item>>,
}

impl Pending {
    fn of(items: Vec<Item>) -> Self {
        let mut pending = Self { posts: Vec::new(), others: HashMap::new() };
        for item in items {
            match (&item.intent, item.message) {
                (Intent::Post { .. }, _) => pending.posts.push(item),
                (_, Some(message)) => pending.others.entry(message).or_default().push(item),
                (_, None) => {}
            }
        }
        pending
    }
}

fn delivery(item: &Item) -> Delivery {
    let (what, text) = match &item.intent {
        Intent::Edit { text } => (Wrote::Edit, Some(text.clone())),
        Intent::Delete => (Wrote::Delete, None),
        Intent::React { .. } => (Wrote::React, None),
        Intent::Post { .. } | Intent::Read { .. } | Intent::Mute { .. } | Intent::Draft(_) => (Wrote::Post, None),
    };
    match &item.state {
        State::Queued | State::Tried => Delivery::Queued,
        State::Sending => Delivery::Sending,
        State::Failed(reason) => Delivery::Failed { what, reason: reason.clone(), text },
    }
}

fn message_view(conn: &Connection, eyes: Eyes, it: Stored, pending: &Pending) -> rusqlite::Result<MessageView> {
    let mut view = MessageView {
        id: it.id,
        seq: Some(it.seq),
        author: person(conn, eyes.campus, it.author)?,
        mine: it.author == eyes.me,
        text: it.text,
        reply: it.reply_to.map(|id| reply(conn, eyes, id)).transpose()?,
        reactions: reactions(conn, eyes, it.id)?,
        at: it.created_at,
        written_at: it.written_at.filter(|at| it.created_at.0 - at > WRITTEN_BEFORE_MS).map(UnixMs),
        edited: it.edited && !it.deleted,
        deleted: it.deleted,
        delivery: Delivery::Sent,
    };
    overlay(&mut view, pending);
    Ok(view)
}

fn unsent_view(conn: &Connection, eyes: Eyes, post: &Item, pending: &Pending) -> rusqlite::Result<Option<MessageView>> {
    let (Intent::Post { text, reply_to }, Some(id)) = (&post.intent, post.message) else { return Ok(None) };
    // It was accepted, and this process was stopped before it could note that.
    if by_id(conn, eyes.campus, id)?.is_some() {
        return Ok(None);
    }
    let mut view = MessageView {
        id,
        seq: None,
        author: person(conn, eyes.campus, eyes.me)?,
        mine: true,
        text: text.clone(),
        reply: reply_to.map(|id| reply(conn, eyes, id)).transpose()?,
        reactions: Vec::new(),
        at: post.written_at,
        written_at: None,
        edited: false,
        deleted: false,
        delivery: delivery(post),
    };
    let refused_before = pending.posts.iter().find(|it| it.n < post.n && matches!(it.state, State::Failed(_)));
    if let (Delivery::Queued, Some(by)) = (&view.delivery, refused_before.and_then(|it| it.message)) {
        view.delivery = Delivery::Blocked { by };
    }
    // What was done to it meanwhile waits for it.
    let own = view.delivery.clone();
    overlay(&mut view, pending);
    view.delivery = own;
    Ok(Some(view))
}

/// Shows what the person did already, with how far it got. What was refused is not as they wanted it, and nobody must believe
/// that it is.
fn overlay(view: &mut MessageView, pending: &Pending) {
    let mut refused = None;
    for item in pending.others.get(&view.id).into_iter().flatten() {
        view.delivery = delivery(item);
        if matches!(item.state, State::Failed(_)) {
            refused.get_or_insert(view.delivery.clone());
            // What came after another text or a deletion waits for that.
            if matches!(item.intent, Intent::React { .. }) {
                continue;
            }
            break;
        }
        match &item.intent {
            Intent::Edit { text } => {
                view.text.clone_from(text);
                view.edited = true;
            }
            Intent::Delete => {
                view.text.clear();
                view.deleted = true;
            }
            Intent::React { emoji, on } => overlay_reaction(&mut view.reactions, emoji, *on),
            Intent::Post { .. } | Intent::Read { .. } | Intent::Mute { .. } | Intent::Draft(_) => {}
        }
    }
    if let Some(refused) = refused {
        view.delivery = refused;
    }
}

fn overlay_reaction(reactions: &mut Vec<ReactionView>, emoji: &str, on: bool) {
    match reactions.iter_mut().find(|it| it.emoji == emoji) {
        Some(it) if it.mine != on => {
            it.mine = on;
            it.count = if on { it.count + 1 } else { it.count.saturating_sub(1) };
        }
        None if on => {
            reactions.push(ReactionView { emoji: emoji.to_owned(), count: 1, mine: true, names: Vec::new() });
        }
        _ => {}
    }
    reactions.retain(|it| it.count > 0);
}

fn reply(conn: &Connection, eyes: Eyes, id: MessageId) -> rusqlite::Result<ReplyView> {
    if let Some(it) = by_id(conn, eyes.campus, id)? {
        return Ok(ReplyView {
            id,
            seq: Some(it.seq),
            author: Some(person(conn, eyes.campus, it.author)?.name),
            text: (!it.deleted).then(|| preview(&it.text)),
        });
    }
    // One may answer what one has not sent yet.
    let unsent = outbox::of_message(conn, eyes.campus, id)?.into_iter().find_map(|it| match it.intent {
        Intent::Post { text, .. } => Some(preview(&text)),
        _ => None,
    });
    let author = match &unsent {
        Some(_) => Some(person(conn, eyes.campus, eyes.me)?.name),
        None => None,
    };
    Ok(ReplyView { id, seq: None, author, text: unsent })
}

fn reactions(conn: &Connection, eyes: Eyes, message: MessageId) -> rusqlite::Result<Vec<ReactionView>> {
    let mut query = conn.prepare_cached(
        "SELECT emoji, person FROM reaction WHERE campus = ?1 AND message = ?2 AND is_on ORDER BY version",
    )?;
    let rows: Vec<(String, PersonId)> = query
        .query_map(params![eyes.campus.blob(), message.blob()], |row| {
            Ok((row.get(0)?, PersonId::from_uuid(uuid(row, 1)?)))
        })?
        .collect::<Result<_, _>>()?;
    let mut views: Vec<ReactionView> = Vec::new();
    for (emoji, who) in rows {
        let index = views.iter().position(|it| it.emoji == emoji).unwrap_or_else(|| {
            views.push(ReactionView { emoji, count: 0, mine: false, names: Vec::new() });
            views.len() - 1
        });
        let view = &mut views[index];
        view.count += 1;
        view.mine |= who == eyes.me;
        if view.names.len() < REACTION_NAMES {
            view.names.push(person(conn, eyes.campus, who)?.name);
        }
    }
    Ok(views)
}

/// What the client knows of its own completeness in a circle.
pub fn circle_status(conn: &Connection, eyes: Eyes, it: &CircleView) -> rusqlite::Result<CircleStatus> {
    let held: i64 = conn
        .prepare_cached("SELECT count(*) FROM message WHERE campus = ?1 AND circle = ?2")?
        .query_row(params![eyes.campus.blob(), it.id.blob()], |row| row.get(0))?;
    let scope = Scope::Circle(it.id);
    Ok(CircleStatus {
        id: it.id,
        name: it.name.clone(),
        held: held.unsigned_abs(),
        head_seq: it.head_seq,
        unread: it.unread,
        complete_to: ledger::coverage(conn, eyes.campus, scope)?.complete_to().get(),
        gaps: ledger::gaps(conn, eyes.campus, scope)?
            .into_iter()
            .map(|gap| (gap.after.get(), gap.until.get()))
            .collect(),
        unsent: it.unsent,
        failed: it.failed,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cache::{apply::Apply, empty};

    fn said(conn: &Connection, eyes: Eyes, circle: CircleId, text: &str) -> MessageId {
        let id = MessageId::new();
        let message = circles_protocol::Entity::Message(circles_protocol::Message {
            id,
            circle_id: circle,
            seq: seq(1),
            author_id: eyes.me,
            text: text.to_owned(),
            reply_to: None,
            created_at: UnixMs(0),
            written_at: None,
            edited_at: None,
            deleted_at: None,
            version: 1_u64.try_into().expect("small"),
        });
        Apply::new(conn, eyes.campus, eyes.me).entity(&message).unwrap();
        id
    }

    fn refuse(conn: &Connection, eyes: Eyes) {
        let item = outbox::next(conn, eyes.campus, UnixMs(0), &[]).unwrap().expect("something waits");
        outbox::fail(conn, item.n, "no").unwrap();
    }

    #[test]
    fn what_was_refused_of_a_message_is_told_and_not_shown_as_if_it_were_so() {
        let (conn, circle) = (empty(), CircleId::new());
        let eyes = Eyes { campus: CampusId::new(), me: PersonId::new() };
        let id = said(&conn, eyes, circle, "as it is");
        let react = Intent::React { emoji: "👍".to_owned(), on: true };
        for (intent, what, text) in [
            (Intent::Edit { text: "better".to_owned() }, Wrote::Edit, Some("better".to_owned())),
            (Intent::Delete, Wrote::Delete, None),
            (react, Wrote::React, None),
        ] {
            outbox::push(&conn, eyes.campus, circle, Some(id), &intent, UnixMs(0)).unwrap();
            refuse(&conn, eyes);
            let view = messages(&conn, eyes, circle, [id]).unwrap().remove(0);
            assert_eq!((view.text.as_str(), view.deleted, view.edited), ("as it is", false, false));
            assert!(view.reactions.is_empty());
            assert_eq!(view.delivery, Delivery::Failed { what, reason: "no".to_owned(), text });
            outbox::discard(&conn, eyes.campus, id).unwrap();
        }
    }

    #[test]
    fn a_message_that_waits_behind_a_refused_one_says_behind_which() {
        let (conn, circle) = (empty(), CircleId::new());
        let eyes = Eyes { campus: CampusId::new(), me: PersonId::new() };
        let (first, second) = (MessageId::new(), MessageId::new());
        for id in [first, second] {
            let post = Intent::Post { text: "text".to_owned(), reply_to: None };
            outbox::push(&conn, eyes.campus, circle, Some(id), &post, UnixMs(0)).unwrap();
        }
        let waits = || messages(&conn, eyes, circle, [second]).unwrap().remove(0).delivery;
        assert_eq!(waits(), Delivery::Queued);
        refuse(&conn, eyes);
        assert_eq!(waits(), Delivery::Blocked { by: first });
        outbox::discard(&conn, eyes.campus, first).unwrap();
        assert_eq!(waits(), Delivery::Queued);
    }

    fn seq(value: u64) -> Seq {
        Seq::try_from(value).expect("small")
    }

    #[test]
    fn what_is_held_after_the_read_marker_ends_before_the_first_message_that_is_missing() {
        let conn = empty();
        let (eyes, circle) = (Eyes { campus: CampusId::new(), me: PersonId::new() }, CircleId::new());
        let add = |seq: i64| {
            conn.execute(
                "INSERT INTO message (campus, circle, seq, id, author, text, created_at, version)
                 VALUES (?1, ?2, ?3, ?4, ?5, '', 0, 1)",
                params![eyes.campus.blob(), circle.blob(), seq, MessageId::new().blob(), eyes.me.blob()],
            )
            .expect("it is new");
        };
        let held = |read| held_from(&conn, eyes, circle, seq(read)).expect("it can be read").get();
        assert_eq!(held(0), 0);
        for seq in [1, 2, 3, 5, 6] {
            add(seq);
        }
        assert_eq!([held(0), held(1), held(3), held(4), held(6), held(9)], [3, 3, 3, 6, 6, 9]);
        add(4);
        assert_eq!(held(1), 6);
    }

    #[test]
    fn what_others_wrote_that_names_one_is_counted_until_it_is_read() {
        let conn = empty();
        let (eyes, circle, other) =
            (Eyes { campus: CampusId::new(), me: PersonId::new() }, CircleId::new(), PersonId::new());
        conn.execute(
            "INSERT INTO person (campus, id, name, hue, role, joined_at, version)
             VALUES (?1, ?2, 'Ada', 1, 'member', 0, 1)",
            params![eyes.campus.blob(), eyes.me.blob()],
        )
        .expect("it is new");
        let write = |seq: i64, author: PersonId, text: &str, deleted: Option<i64>| {
            conn.execute(
                "INSERT INTO message (campus, circle, seq, id, author, text, created_at, deleted_at, version)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, 1)",
                params![eyes.campus.blob(), circle.blob(), seq, MessageId::new().blob(), author.blob(), text, deleted],
            )
            .expect("it is new");
        };
        write(1, other, "@ada, hello", None);
        write(2, other, "ada@example.org and @adam", None);
        write(3, eyes.me, "@Ada that is me", None);
        write(4, other, "@Ada", Some(1));
        write(5, other, "and @Ada again", None);
        let unread = |read, head| {
            let (count, first) = mentioning(&conn, eyes, circle, seq(read), seq(head)).expect("it can be read");
            (count, first.map(Seq::get))
        };
        assert_eq!(unread(0, 5), (2, Some(1)));
        assert_eq!(unread(1, 5), (1, Some(5)));
        assert_eq!(unread(5, 5), (0, None));
        assert_eq!(unread(0, MENTIONS_AMONG + 1), (1, Some(5)), "not among the newest");
    }

    proptest! {
        #[test]
        fn a_window_lies_inside_of_the_timeline_and_holds_what_was_asked_for(
            limit in 1..=200_u64, head in 0..1000_u64, at in 1..1000_u64, read in 0..1000_u64,
        ) {
            let read = read.min(head);
            let at = at.min(head.max(1));
            let anchors = [
                Anchor::Latest,
                Anchor::Unread,
                Anchor::Before { seq: seq(at) },
                Anchor::After { seq: seq(at) },
                Anchor::Around { seq: seq(at) },
            ];
            for anchor in anchors {
                let (from, to) = window(&anchor, limit, seq(head), seq(read), read < head);
                prop_assert!(from >= 1 && to <= head);
                prop_assert!(to + 1 < from || to + 1 - from <= limit);
                let wanted = match anchor {
                    Anchor::Latest => head,
                    Anchor::Unread => if read < head { read + 1 } else { head },
                    Anchor::Before { .. } => at - 1,
                    Anchor::After { .. } => at + 1,
                    Anchor::Around { .. } => at,
                };
                if (1..=head).contains(&wanted) {
                    prop_assert!((from..=to).contains(&wanted), "{anchor:?} {from} {to} {wanted}");
                }
            }
        }
    }
}
