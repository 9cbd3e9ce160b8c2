//! What a stream sends from the database: the answer to a cursor, and what the ring no longer holds.

use bytes::Bytes;
use circles_protocol::{
    Cursor, Epoch, Pos, Scope,
    event::{EventName, Gap, Reset, ResetReason, ScopeGap},
};

use super::frame;
use crate::{
    access::Who,
    audience::{Audience, subject},
    failure::Failure,
    limits::POLL_FRAMES_MAX,
    metrics,
    store::{StoreResult, campus, circles, log, memberships, session::Session},
};

/// Where a stream begins.
pub struct Opening {
    pub head: Pos,
    /// The position that the reader has.
    pub from: Pos,
    /// Sent when the reader's cursor is of no use.
    pub reset: Option<Reset>,
    pub audience: Audience,
}

/// A piece of the log for one reader.
pub struct Piece {
    pub frames: Vec<Bytes>,
    /// The reader has everything up to here once it has the frames.
    pub until: Pos,
    pub audience: Audience,
}

/// Judges the reader's cursor. Runs after the stream was registered for live changes.
pub fn opening(conn: &dyn Session, who: Who, epoch: &Epoch, cursor: Option<&Cursor>) -> Result<Opening, Failure> {
    // Again, because the device may have been revoked before the stream was registered to be told.
    who.check(conn)?;
    let head = campus::head(conn)?;
    let reset = |reason| Some(Reset { reason, epoch: epoch.clone(), head });
    let (from, reset) = match cursor {
        None => (Pos::ZERO, None),
        Some(it) if it.epoch != *epoch => (Pos::ZERO, reset(ResetReason::Epoch)),
        Some(it) if it.pos > head => (Pos::ZERO, reset(ResetReason::Ahead)),
        Some(it) => (it.pos, None),
    };
    Ok(Opening { head, from, reset, audience: audience(conn, who, head)? })
}

/// The next piece after a position: some changes, or a gap up to the head if there are more than `replay_max`.
pub fn next(conn: &dyn Session, who: Who, epoch: &Epoch, after: Pos, replay_max: u64) -> Result<Piece, Failure> {
    who.check(conn)?;
    let head = campus::head(conn)?;
    if head.get() - after.get().min(head.get()) > replay_max {
        return gap(conn, who, epoch, after, head);
    }
    let until = after.get() + POLL_FRAMES_MAX as u64;
    let until = Pos::try_from(until).unwrap_or(Pos::MAX).min(head).max(after);
    let mut audience = audience(conn, who, head)?;
    let mut frames = Vec::new();
    for row in log::range(conn, after, until)? {
        let about = match &row.key {
            log::Key::Membership(..) => subject(&row.key.load(conn)?),
            _ => None,
        };
        if audience.admits(row.pos, row.scope, about) {
            frames.push(frame::change(epoch, &row.load(conn)?));
        }
    }
    Ok(Piece { frames, until, audience })
}

/// Names the stretches that the reader fetches by itself, and tells of the circles that it is no longer in.
fn gap(conn: &dyn Session, who: Who, epoch: &Epoch, after: Pos, head: Pos) -> Result<Piece, Failure> {
    let audience = audience(conn, who, head)?;
    let mut scopes = Vec::new();
    let own = [Scope::Campus, Scope::Person(who.person)];
    for scope in own.into_iter().chain(audience.circles().map(Scope::Circle)) {
        let until = log::scope_head(conn, scope)?;
        if until > after {
            let head_seq = match scope {
                Scope::Circle(id) => circles::get(conn, id)?.map(|it| it.head_seq),
                _ => None,
            };
            scopes.push(ScopeGap { scope, after, until, head_seq });
        }
    }
    metrics::gap();
    let at_head = Cursor { epoch: epoch.clone(), pos: head };
    let mut frames = vec![frame::event(EventName::Gap, &at_head, &Gap { after, until: head, scopes })];
    // No stretch of theirs can be fetched, so the end of these memberships would stay unknown.
    for row in log::of_subject(conn, who.person, after)? {
        let change = row.load(conn)?;
        if subject(&change.entity).is_some_and(|it| !it.joined) {
            frames.push(frame::event(EventName::Change, &at_head, &change));
        }
    }
    Ok(Piece { frames, until: head, audience })
}

fn audience(conn: &dyn Session, who: Who, as_of: Pos) -> StoreResult<Audience> {
    Ok(Audience::new(who.person, memberships::circles_of(conn, who.person)?, as_of))
}
