//! The search's index, and what is found with it. Triggers of the database note which messages changed (`search_todo`);
//! [`take`] reads them into the index, and a search shows nothing that the messages themselves do not say now.

use circles_protocol::{CampusId, CircleId, MessageId, PersonId, UnixMs};
use rusqlite::{Connection, OptionalExtension, named_params, params};
use uuid::Uuid;

use super::{
    Blob, number, uuid,
    views::{self, Eyes},
};
use crate::{
    error::ClientError,
    limits::{FILTER_NAMES_MAX, FOUND_MESSAGES_MAX, FOUND_NAMES, GIVE_WAY_EVERY, PARTLY_MAX},
    search::{
        query::{Phrase, Query},
        snippet::snippet,
        words::words,
    },
    view::{CircleCoverage, CircleView, FoundMessage, PersonView, SearchCoverage, SearchView},
};

/// Bits of a row's number that tell messages of one millisecond apart; with 42 bits of time that is below 2^63.
const ROW_BITS: u32 = 20;
/// Stands before the keys in the index, so that no word of a text is one.
const KEY: char = '\u{e000}';

/// Circles one has left that a search leaves out by itself; of further ones each message is looked at.
const LEFT_MAX: u32 = 50;

/// The first row of a moment.
fn row_of(at: UnixMs) -> i64 {
    at.0.clamp(0, (1 << 42) - 1) << ROW_BITS
}

/// The word in the index that stands for a campus, a circle or an author.
fn key(id: Uuid) -> String {
    format!("{KEY}{}", id.simple())
}

// ---- the index -----------------------------------------------------------------------------------------------------

/// Whether any message changed since the index took it.
pub fn is_behind(conn: &Connection) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM search_todo)")?.query_row([], |row| row.get(0))
}

/// A message as the index is to know it.
struct Doc {
    campus: CampusId,
    message: MessageId,
    circle: CircleId,
    author: PersonId,
    at: UnixMs,
    /// None if it was deleted.
    text: Option<String>,
}

/// Takes the newest messages that changed into the index, `limit` at the most, and calls `between` now and then meanwhile.
/// Returns how many they were.
pub fn take(conn: &Connection, limit: u32, between: impl Fn()) -> rusqlite::Result<usize> {
    let todo: Vec<(i64, CampusId, MessageId)> = conn
        .prepare_cached("SELECT at, campus, message FROM search_todo ORDER BY at DESC, campus, message LIMIT ?1")?
        .query_map([limit], |row| {
            Ok((row.get(0)?, CampusId::from_uuid(uuid(row, 1)?), MessageId::from_uuid(uuid(row, 2)?)))
        })?
        .collect::<Result<_, _>>()?;
    let mut docs = Vec::with_capacity(todo.len());
    for (_, campus, message) in &todo {
        match doc(conn, *campus, *message)? {
            Some(doc) => docs.push(doc),
            None => remove(conn, *campus, *message)?,
        }
    }
    // FTS5 writes a segment whenever a row is lower than the one before it.
    docs.sort_by_key(first_row);
    for (n, doc) in docs.iter().enumerate() {
        if n % GIVE_WAY_EVERY == 0 {
            between();
        }
        put(conn, doc)?;
    }
    let mut done = conn.prepare_cached("DELETE FROM search_todo WHERE at = ?1 AND campus = ?2 AND message = ?3")?;
    for (at, campus, message) in &todo {
        done.execute(params![at, campus.blob(), message.blob()])?;
    }
    Ok(todo.len())
}

fn doc(conn: &Connection, campus: CampusId, message: MessageId) -> rusqlite::Result<Option<Doc>> {
    conn.prepare_cached(
        "SELECT circle, author, created_at, CASE WHEN deleted_at IS NULL THEN text END FROM message
         WHERE campus = ?1 AND id = ?2",
    )?
    .query_row(params![campus.blob(), message.blob()], |row| {
        Ok(Doc {
            campus,
            message,
            circle: CircleId::from_uuid(uuid(row, 0)?),
            author: PersonId::from_uuid(uuid(row, 1)?),
            at: UnixMs(row.get(2)?),
            text: row.get(3)?,
        })
    })
    .optional()
}

/// Puts a message into the index in place of what is there of it.
fn put(conn: &Connection, doc: &Doc) -> rusqlite::Result<()> {
    remove(conn, doc.campus, doc.message)?;
    let n = free_row(conn, doc)?;
    conn.prepare_cached("INSERT INTO search_doc (n, campus, circle, message) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![n, doc.campus.blob(), doc.circle.blob(), doc.message.blob()])?;
    count(conn, doc.campus, doc.circle, 1)?;
    if let Some(text) = &doc.text {
        let mut line = String::with_capacity(text.len() + 128);
        for word in words(text) {
            line.push_str(&word.folded);
            line.push(' ');
        }
        for id in [doc.campus.uuid(), doc.circle.uuid(), doc.author.uuid()] {
            line.push_str(&key(id));
            line.push(' ');
        }
        conn.prepare_cached("INSERT INTO search_words (rowid, words) VALUES (?1, ?2)")?.execute(params![n, line])?;
    }
    Ok(())
}

/// The row of a message, unless another message of the moment has it.
fn first_row(doc: &Doc) -> i64 {
    let tail = doc.message.uuid().as_u128() & ((1 << ROW_BITS) - 1);
    row_of(doc.at) + i64::try_from(tail).expect("20 bits fit")
}

fn free_row(conn: &Connection, doc: &Doc) -> rusqlite::Result<i64> {
    let mut n = first_row(doc);
    let mut taken = conn.prepare_cached("SELECT 1 FROM search_doc WHERE n = ?1")?;
    while taken.exists([n])? {
        n += 1;
    }
    Ok(n)
}

fn remove(conn: &Connection, campus: CampusId, message: MessageId) -> rusqlite::Result<()> {
    let known: Option<(i64, CircleId)> = conn
        .prepare_cached("DELETE FROM search_doc WHERE campus = ?1 AND message = ?2 RETURNING n, circle")?
        .query_row(params![campus.blob(), message.blob()], |row| Ok((row.get(0)?, CircleId::from_uuid(uuid(row, 1)?))))
        .optional()?;
    if let Some((n, circle)) = known {
        conn.prepare_cached("DELETE FROM search_words WHERE rowid = ?1")?.execute([n])?;
        count(conn, campus, circle, -1)?;
    }
    Ok(())
}

fn count(conn: &Connection, campus: CampusId, circle: CircleId, change: i64) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO search_circle (campus, circle, known) VALUES (?1, ?2, ?3)
         ON CONFLICT (campus, circle) DO UPDATE SET known = known + excluded.known",
    )?
    .execute(params![campus.blob(), circle.blob(), change])?;
    Ok(())
}

/// Forgets what the index knows of a campus whose messages are gone.
pub fn forget(conn: &Connection, campus: CampusId) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM search_words WHERE rowid IN (SELECT n FROM search_doc WHERE campus = ?1)",
        "DELETE FROM search_doc WHERE campus = ?1",
        "DELETE FROM search_circle WHERE campus = ?1",
        "DELETE FROM search_todo WHERE campus = ?1",
    ] {
        conn.execute(sql, params![campus.blob()])?;
    }
    Ok(())
}

// ---- what is found -------------------------------------------------------------------------------------------------

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What the person typed.
    pub query: Query,
    /// Only of this circle.
    pub circle: Option<CircleId>,
    /// Messages after this place ([`SearchView::more`]), as one read on.
    pub after: Option<String>,
    /// Messages at the most.
    pub limit: u32,
}

/// Searches what is held of a campus.
pub fn find(conn: &Connection, eyes: Eyes, wanted: &Wanted) -> Result<SearchView, ClientError> {
    let query = &wanted.query;
    let within = circles_asked_for(conn, eyes, wanted)?;
    let covered = coverage(conn, eyes, within.as_deref())?;
    let (messages, more) = messages(conn, eyes, wanted, within.as_deref())?;
    let names = query.is_words() && !query.is_empty() && wanted.circle.is_none() && wanted.after.is_none();
    let (circles, people) = if names {
        (circles_named(conn, eyes, &query.phrases)?, people_named(conn, eyes, &query.phrases)?)
    } else {
        (Vec::new(), Vec::new())
    };
    Ok(SearchView { circles, people, messages, more, covered })
}

/// The circles that the query is about, of those that one is a member of; none: all of them.
fn circles_asked_for(conn: &Connection, eyes: Eyes, wanted: &Wanted) -> rusqlite::Result<Option<Vec<CircleId>>> {
    if wanted.circle.is_none() && wanted.query.circles.is_empty() {
        return Ok(None);
    }
    let joined = views::joined(conn, eyes)?;
    let named = circle_names(conn, eyes.campus)?.into_iter().filter(|(id, name)| {
        joined.contains(id)
            && wanted.circle.is_none_or(|only| only == *id)
            && (wanted.query.circles.is_empty() || names_any(name, &wanted.query.circles))
    });
    Ok(Some(named.map(|(id, _)| id).take(FILTER_NAMES_MAX).collect()))
}

fn messages(
    conn: &Connection,
    eyes: Eyes,
    wanted: &Wanted,
    within: Option<&[CircleId]>,
) -> Result<(Vec<FoundMessage>, Option<String>), ClientError> {
    let query = &wanted.query;
    let Some(expression) = expression(conn, eyes, query, within)? else { return Ok((Vec::new(), None)) };
    let after = match &wanted.after {
        None => i64::MAX,
        Some(more) => more.parse().map_err(|_| ClientError::Invalid("place to go on from is not one".to_owned()))?,
    };
    let limit = wanted.limit.clamp(1, FOUND_MESSAGES_MAX);
    // The index gives the newest first by itself; the joins look up single rows.
    let mut select = conn.prepare_cached(
        "SELECT search_words.rowid, message.id, message.circle, circle.name, message.seq, message.author,
             message.created_at, message.text
         FROM search_words
         CROSS JOIN search_doc ON search_doc.n = search_words.rowid
         CROSS JOIN message ON message.campus = search_doc.campus AND message.id = search_doc.message
         CROSS JOIN circle ON circle.campus = message.campus AND circle.id = message.circle
         WHERE search_words MATCH :expression AND search_words.rowid >= :since AND search_words.rowid < :before
             AND message.campus = :campus AND message.deleted_at IS NULL
             AND EXISTS (SELECT 1 FROM membership WHERE membership.campus = :campus
                 AND membership.circle = message.circle AND membership.person = :me AND membership.state = 'joined')
         ORDER BY search_words.rowid DESC LIMIT :limit",
    )?;
    let mut rows = select.query(named_params! {
        ":expression": expression,
        ":since": query.since.map_or(i64::MIN, row_of),
        ":before": query.before.map_or(i64::MAX, row_of).min(after),
        ":campus": eyes.campus.blob(),
        ":me": eyes.me.blob(),
        ":limit": limit,
    })?;
    let (mut found, mut taken, mut last) = (Vec::new(), 0, 0_i64);
    while let Some(row) = rows.next()? {
        (taken, last) = (taken + 1, row.get(0)?);
        let text: String = row.get(7)?;
        // It may have been edited since the index took it.
        let Some(snippet) = snippet(&text, &query.phrases) else { continue };
        found.push(FoundMessage {
            id: MessageId::from_uuid(uuid(row, 1)?),
            circle_id: CircleId::from_uuid(uuid(row, 2)?),
            circle_name: row.get(3)?,
            seq: number(row, 4)?,
            author: views::person(conn, eyes.campus, PersonId::from_uuid(uuid(row, 5)?))?,
            at: UnixMs(row.get(6)?),
            snippet,
        });
    }
    Ok((found, (taken == limit).then(|| last.to_string())))
}

/// The query in FTS5's language; none if nothing can fit it. Words are letters, digits and signs (see [`words`]), so that
/// nothing in quotes can end them.
fn expression(
    conn: &Connection,
    eyes: Eyes,
    query: &Query,
    within: Option<&[CircleId]>,
) -> rusqlite::Result<Option<String>> {
    if query.is_empty() {
        return Ok(None);
    }
    let mut all: Vec<String> = query
        .phrases
        .iter()
        .map(|it| format!("\"{}\"{}", it.words.join(" "), if it.begins { " *" } else { "" }))
        .collect();
    if !query.from.is_empty() {
        let authors = people_names(conn, eyes.campus)?.into_iter().filter(|(_, name)| names_any(name, &query.from));
        let keys: Vec<_> = authors.take(FILTER_NAMES_MAX).map(|(id, _)| id.uuid()).collect();
        let Some(any) = any_of(&keys) else { return Ok(None) };
        all.push(any);
    }
    if let Some(circles) = within {
        let keys: Vec<_> = circles.iter().map(|it| it.uuid()).collect();
        let Some(any) = any_of(&keys) else { return Ok(None) };
        all.push(any);
    }
    all.push(format!("\"{}\"", key(eyes.campus.uuid())));
    let all = all.join(" AND ");
    // What one has left is not shown (see the query); leaving it out here saves looking at each message of it.
    Ok(Some(match any_of(&left(conn, eyes)?) {
        None => all,
        Some(left) => format!("({all}) NOT {left}"),
    }))
}

fn any_of(keys: &[Uuid]) -> Option<String> {
    let keys: Vec<String> = keys.iter().map(|it| format!("\"{}\"", key(*it))).collect();
    (!keys.is_empty()).then(|| format!("({})", keys.join(" OR ")))
}

/// Circles that the index knows, and one is not a member of.
fn left(conn: &Connection, eyes: Eyes) -> rusqlite::Result<Vec<Uuid>> {
    conn.prepare_cached(
        "SELECT circle FROM search_circle WHERE campus = ?1 AND known > 0 AND NOT EXISTS (
             SELECT 1 FROM membership WHERE membership.campus = ?1 AND membership.circle = search_circle.circle
                 AND person = ?2 AND state = 'joined')
         ORDER BY known DESC LIMIT ?3",
    )?
    .query_map(params![eyes.campus.blob(), eyes.me.blob(), LEFT_MAX], |row| uuid(row, 0))?
    .collect()
}

/// How much of the circles the index knows.
fn coverage(conn: &Connection, eyes: Eyes, within: Option<&[CircleId]>) -> rusqlite::Result<SearchCoverage> {
    let mut all = conn.prepare_cached(
        "SELECT membership.circle, coalesce(circle.name, ''), coalesce(known, 0), coalesce(seq, 0) FROM membership
         LEFT JOIN circle ON circle.campus = membership.campus AND circle.id = membership.circle
         LEFT JOIN circle_head ON circle_head.campus = membership.campus AND circle_head.circle = membership.circle
         LEFT JOIN search_circle ON search_circle.campus = membership.campus AND search_circle.circle = membership.circle
         WHERE membership.campus = ?1 AND membership.person = ?2 AND membership.state = 'joined'",
    )?;
    let mut partly: Vec<CircleCoverage> = all
        .query_map(params![eyes.campus.blob(), eyes.me.blob()], |row| {
            let (known, head): (u64, u64) = (number(row, 2)?, number(row, 3)?);
            Ok(CircleCoverage {
                id: CircleId::from_uuid(uuid(row, 0)?),
                name: row.get(1)?,
                searched: known,
                // A relay that was restored from a backup may not have all that is held.
                total: head.max(known),
            })
        })?
        .collect::<Result<_, _>>()?;
    partly.retain(|it| within.is_none_or(|ids| ids.contains(&it.id)));
    let sum = |of: fn(&CircleCoverage) -> u64| partly.iter().map(of).sum();
    let (searched, total) = (sum(|it| it.searched), sum(|it| it.total));
    partly.retain(|it| it.searched < it.total);
    partly.sort_by_key(|it| (std::cmp::Reverse(it.total - it.searched), it.id));
    partly.truncate(PARTLY_MAX);
    Ok(SearchCoverage { searched, total, partly })
}

// ---- names ---------------------------------------------------------------------------------------------------------

fn circle_names(conn: &Connection, campus: CampusId) -> rusqlite::Result<Vec<(CircleId, String)>> {
    conn.prepare_cached("SELECT id, name FROM circle WHERE campus = ?1 ORDER BY name COLLATE NOCASE, id")?
        .query_map([campus.blob()], |row| Ok((CircleId::from_uuid(uuid(row, 0)?), row.get(1)?)))?
        .collect()
}

fn people_names(conn: &Connection, campus: CampusId) -> rusqlite::Result<Vec<(PersonId, String)>> {
    conn.prepare_cached("SELECT id, name FROM person WHERE campus = ?1")?
        .query_map([campus.blob()], |row| Ok((PersonId::from_uuid(uuid(row, 0)?), row.get(1)?)))?
        .collect()
}

/// Whether one of the phrases stands in a name.
fn names_any(name: &str, phrases: &[Phrase]) -> bool {
    let name = words(name);
    phrases.iter().any(|it| it.stands_in(&name))
}

/// Whether the phrases may stand in a name: reading the words of thousands of names would take longer than the search.
fn may_fit(name: &str, phrases: &[Phrase]) -> bool {
    if !name.is_ascii() {
        return true;
    }
    let name = name.to_ascii_lowercase();
    phrases.iter().flat_map(|it| &it.words).all(|word| name.contains(word))
}

/// Names in which all of the phrases stand, those that begin with the first before the others, then by length and letters.
fn best<T>(names: Vec<(T, String)>, phrases: &[Phrase]) -> Vec<T> {
    let mut fits: Vec<_> = names
        .into_iter()
        .filter(|(_, name)| may_fit(name, phrases))
        .filter_map(|(id, name)| {
            let name = words(&name);
            let fits = phrases.iter().all(|it| it.stands_in(&name));
            fits.then(|| {
                let begins = phrases.first().is_some_and(|it| it.stands_at(&name, 0));
                let letters: Vec<_> = name.into_iter().map(|it| it.folded).collect();
                (!begins, letters.len(), letters, id)
            })
        })
        .collect();
    fits.sort_by(|a, b| (a.0, a.1, &a.2).cmp(&(b.0, b.1, &b.2)));
    fits.into_iter().map(|(.., id)| id).take(FOUND_NAMES).collect()
}

fn people_named(conn: &Connection, eyes: Eyes, phrases: &[Phrase]) -> rusqlite::Result<Vec<PersonView>> {
    let ids = best(people_names(conn, eyes.campus)?, phrases);
    ids.into_iter().map(|id| views::person(conn, eyes.campus, id)).collect()
}

fn circles_named(conn: &Connection, eyes: Eyes, phrases: &[Phrase]) -> rusqlite::Result<Vec<CircleView>> {
    let mut views = Vec::new();
    for id in best(circle_names(conn, eyes.campus)?, phrases) {
        // Private ones that one is not in have no view.
        views.extend(views::circle(conn, eyes, id)?);
    }
    Ok(views)
}

#[cfg(test)]
mod tests;
