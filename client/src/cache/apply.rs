//! States on their way into the cache. Each is taken only if it is newer than what is held, so that twice or late is
//! harmless (design section 5).

use std::collections::{HashMap, HashSet};

use circles_protocol::{
    CampusId, Change, Circle, CircleId, Cursor, Draft, Entity, Epoch, Membership, MembershipState, Message, MessageId,
    Mute, Person, PersonId, Pos, Reaction, ReadMarker, Scope, Seq,
    api::{CircleState, MessagesPage},
};
use rusqlite::{Connection, ErrorCode, params};

use super::{
    Blob, campuses, drafts, history,
    ledger::Ledger,
    mutes,
    views::{self, Eyes},
    word,
};
use crate::error::ClientError;

/// What a transaction changed, for whoever shows it.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// Circles of which anything changed, with the messages that did.
    pub circles: HashMap<CircleId, HashSet<MessageId>>,
    /// Circles of which so much changed that their timeline should be taken anew.
    pub timelines: HashSet<CircleId>,
    /// Whether people were added or renamed.
    pub people: bool,
    /// Whether there is something else to tell of the campus.
    pub campus: bool,
    /// Circles whose draft may be another one.
    pub drafts: HashSet<CircleId>,
    /// Messages of others that just came, by the stream.
    pub news: HashMap<CircleId, News>,
}

/// What just came in a circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// The last message.
    pub last: MessageId,
    /// The last one that names the person: it counts also if others follow it.
    pub mention: Option<MessageId>,
}

impl News {
    /// Adds what came later.
    pub fn merge(&mut self, later: Self) {
        *self = Self { last: later.last, mention: later.mention.or(self.mention) };
    }
}

impl Touched {
    /// Something of a circle changed: this message, if it is one.
    pub fn of(circle: CircleId, message: Option<MessageId>) -> Self {
        Self { circles: HashMap::from([(circle, message.into_iter().collect())]), ..Self::default() }
    }

    /// A message of the outbox was refused, or is so no longer: what waits behind it says so.
    pub fn held_up(circle: CircleId, message: Option<MessageId>) -> Self {
        Self { timelines: HashSet::from([circle]), ..Self::of(circle, message) }
    }

    /// Nothing changed.
    pub fn is_empty(&self) -> bool {
        self.circles.is_empty() && self.timelines.is_empty() && !self.people && !self.campus
    }

    /// Messages came in a circle.
    pub fn came(&mut self, circle: CircleId, news: News) {
        self.news.entry(circle).and_modify(|it| it.merge(news)).or_insert(news);
    }

    /// Adds what another transaction changed.
    pub fn merge(&mut self, other: Self) {
        for (circle, messages) in other.circles {
            self.circles.entry(circle).or_default().extend(messages);
        }
        self.timelines.extend(other.timelines);
        self.people |= other.people;
        self.campus |= other.campus;
        self.drafts.extend(other.drafts);
        for (circle, news) in other.news {
            self.came(circle, news);
        }
    }
}

/// Applies states of one campus in one transaction.
pub struct Apply<'a> {
    conn: &'a Connection,
    campus: CampusId,
    me: PersonId,
    ledger: Ledger,
    /// Whether there are messages of a history before; unknown until a message asks.
    former: Option<bool>,
    /// What changed so far.
    pub touched: Touched,
}

impl<'a> Apply<'a> {
    /// Begins. [`Apply::finish`] must follow in the same transaction.
    pub fn new(conn: &'a Connection, campus: CampusId, me: PersonId) -> Self {
        Self { conn, campus, me, ledger: Ledger::default(), former: None, touched: Touched::default() }
    }

    /// The history that is held; none before the first event.
    pub fn epoch(&self) -> Result<Option<Epoch>, ClientError> {
        Ok(campuses::find(self.conn, self.campus)?.cursor.map(|it| it.epoch))
    }

    /// Whether anything is missing of a scope that was touched.
    pub fn has_gaps(&self) -> bool {
        self.ledger.has_gaps()
    }

    /// Writes the ledger.
    pub fn finish(self) -> rusqlite::Result<Touched> {
        self.ledger.store(self.conn, self.campus)?;
        Ok(self.touched)
    }

    /// A change that came with its chain: everything of its scope from `prev` to `pos` is held from now on.
    pub fn change(&mut self, change: &Change) -> rusqlite::Result<()> {
        self.entity(&change.entity)?;
        self.cover(change.scope, change.prev, change.pos)
    }

    /// A stretch of a scope is held.
    pub fn cover(&mut self, scope: Scope, after: Pos, until: Pos) -> rusqlite::Result<()> {
        if let Scope::Circle(circle) = scope {
            self.touched.circles.entry(circle).or_default();
        }
        self.ledger.cover(self.conn, self.campus, scope, after, until)
    }

    /// A scope is known to reach to a position.
    pub fn reach(&mut self, scope: Scope, head: Pos, head_seq: Option<Seq>) -> rusqlite::Result<()> {
        if let (Scope::Circle(circle), Some(seq)) = (scope, head_seq) {
            self.head_seq(circle, seq)?;
        }
        self.ledger.reach(self.conn, self.campus, scope, head)
    }

    /// The scopes of which nobody says where they end, everyone's and the person's own, may reach to a position.
    pub fn reach_beside_circles(&mut self, head: Pos) -> rusqlite::Result<()> {
        self.reach(Scope::Campus, head, None)?;
        self.reach(Scope::Person(self.me), head, None)
    }

    /// A circle as the relay sees it.
    pub fn circle_state(&mut self, state: &CircleState) -> rusqlite::Result<()> {
        self.circle(&state.circle)?;
        if let Some(membership) = &state.membership {
            self.membership(membership)?;
        }
        if let Some(author) = &state.last_author {
            self.person(author)?;
        }
        if let Some(last) = &state.last {
            self.message(last)?;
        }
        let joined = state.membership.as_ref().is_some_and(|it| it.state == MembershipState::Joined);
        if joined {
            self.reach(Scope::Circle(state.circle.id), state.head_pos, Some(state.head_seq))?;
            // It has no version here: the marker only grows, and its own change follows in the person's scope.
            self.read_marker(state.circle.id, state.read_seq, Pos::ZERO)?;
            if let Some(mute) = &state.mute {
                self.mute(mute)?;
            }
            if let Some(draft) = &state.draft {
                self.draft(draft)?;
            }
        }
        Ok(())
    }

    /// One is no longer a member of the circles that the relay did not list, as of a position.
    pub fn leave_unlisted(&mut self, listed: &[CircleId], as_of: &Cursor) -> rusqlite::Result<()> {
        history::heads_taken(self.conn, self.campus, as_of)?;
        let eyes = Eyes { campus: self.campus, me: self.me };
        for circle in views::joined(self.conn, eyes)? {
            if listed.contains(&circle) {
                continue;
            }
            let changed = self
                .conn
                .prepare_cached(
                    "UPDATE membership SET state = ?4 WHERE campus = ?1 AND circle = ?2 AND person = ?3 AND version <= ?5",
                )?
                .execute(params![
                    self.campus.blob(),
                    circle.blob(),
                    self.me.blob(),
                    word(&MembershipState::Left),
                    i64::from(as_of.pos)
                ])?;
            if changed > 0 {
                self.touched.circles.entry(circle).or_default();
            }
        }
        Ok(())
    }

    /// A page of messages by `seq`. It covers nothing: edits and reactions that come later are known by the log alone.
    pub fn messages_page(&mut self, circle: CircleId, page: &MessagesPage) -> rusqlite::Result<()> {
        for person in &page.people {
            self.person(person)?;
        }
        for message in page.context.iter().chain(&page.messages) {
            self.message(message)?;
        }
        for reaction in &page.reactions {
            self.reaction(reaction)?;
        }
        self.head_seq(circle, page.head_seq)
    }

    /// An entity in a state.
    pub fn entity(&mut self, entity: &Entity) -> rusqlite::Result<()> {
        match entity {
            Entity::Person(it) => self.person(it),
            Entity::Circle(it) => self.circle(it),
            Entity::Membership(it) => self.membership(it),
            Entity::Message(it) => self.message(it),
            Entity::Reaction(it) => self.reaction(it),
            Entity::ReadMarker(ReadMarker { circle_id, person_id, seq, version }) if *person_id == self.me => {
                self.read_marker(*circle_id, *seq, *version)
            }
            Entity::Mute(it) if it.person_id == self.me => self.mute(it),
            Entity::Draft(it) if it.person_id == self.me => self.draft(it),
            // The stream ends by itself if it was this one; the list of devices is asked for when it is looked at.
            Entity::ReadMarker(_) | Entity::Mute(_) | Entity::Draft(_) | Entity::RevokedDevice(_) => Ok(()),
        }
    }

    fn person(&mut self, it: &Person) -> rusqlite::Result<()> {
        let changed = self
            .conn
            .prepare_cached(
                "INSERT INTO person (campus, id, name, hue, role, joined_at, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (campus, id) DO UPDATE SET name = excluded.name, hue = excluded.hue, role = excluded.role,
                     joined_at = excluded.joined_at, version = excluded.version
                 WHERE excluded.version > version",
            )?
            .execute(params![
                self.campus.blob(),
                it.id.blob(),
                it.name,
                it.hue,
                word(&it.role),
                it.joined_at.0,
                i64::from(it.version)
            ])?;
        self.touched.people |= changed > 0;
        Ok(())
    }

    fn circle(&mut self, it: &Circle) -> rusqlite::Result<()> {
        let changed = self
            .conn
            .prepare_cached(
                "INSERT INTO circle (campus, id, name, topic, access, created_by, created_at, version)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (campus, id) DO UPDATE SET name = excluded.name, topic = excluded.topic,
                     access = excluded.access, created_by = excluded.created_by, created_at = excluded.created_at,
                     version = excluded.version
                 WHERE excluded.version > version",
            )?
            .execute(params![
                self.campus.blob(),
                it.id.blob(),
                it.name,
                it.topic,
                word(&it.kind),
                it.created_by.blob(),
                it.created_at.0,
                i64::from(it.version)
            ])?;
        if changed > 0 {
            self.touched.circles.entry(it.id).or_default();
        }
        Ok(())
    }

    fn membership(&mut self, it: &Membership) -> rusqlite::Result<()> {
        let changed = self
            .conn
            .prepare_cached(
                "INSERT INTO membership (campus, circle, person, state, role, since, version)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (campus, circle, person) DO UPDATE SET state = excluded.state, role = excluded.role,
                     since = excluded.since, version = excluded.version
                 WHERE excluded.version > version",
            )?
            .execute(params![
                self.campus.blob(),
                it.circle_id.blob(),
                it.person_id.blob(),
                word(&it.state),
                word(&it.role),
                it.since.0,
                i64::from(it.version)
            ])?;
        if changed > 0 {
            self.touched.circles.entry(it.circle_id).or_default();
        }
        Ok(())
    }

    fn message(&mut self, it: &Message) -> rusqlite::Result<()> {
        let changed = match self.upsert_message(it) {
            // Another message has its number.
            Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == ErrorCode::ConstraintViolation => {
                history::make_room(self.conn, it, self.campus)?;
                self.former = Some(true);
                self.upsert_message(it)?
            }
            done => done?,
        };
        if changed > 0 {
            if self.has_former()? {
                self.touched.campus |= history::found(self.conn, self.campus, it.id, self.me)?;
            }
            self.touched.circles.entry(it.circle_id).or_default().insert(it.id);
            self.head_seq(it.circle_id, it.seq)?;
        }
        Ok(())
    }

    /// Nearly always there are none, and then not each message has to be looked for among them.
    fn has_former(&mut self) -> rusqlite::Result<bool> {
        if let Some(known) = self.former {
            return Ok(known);
        }
        let found = history::has_former(self.conn, self.campus)?;
        self.former = Some(found);
        Ok(found)
    }

    /// In another history this message may have had another number.
    fn upsert_message(&self, it: &Message) -> rusqlite::Result<usize> {
        self.conn
            .prepare_cached(
                "INSERT INTO message (campus, circle, seq, id, author, text, reply_to, created_at, written_at, edited_at,
                     deleted_at, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                 ON CONFLICT (campus, id) DO UPDATE SET circle = excluded.circle, seq = excluded.seq,
                     author = excluded.author, text = excluded.text, reply_to = excluded.reply_to,
                     created_at = excluded.created_at, written_at = excluded.written_at, edited_at = excluded.edited_at,
                     deleted_at = excluded.deleted_at, version = excluded.version
                 WHERE excluded.version > version",
            )?
            .execute(params![
                self.campus.blob(),
                it.circle_id.blob(),
                i64::from(it.seq),
                it.id.blob(),
                it.author_id.blob(),
                it.text,
                it.reply_to.map(|id| id.blob()),
                it.created_at.0,
                it.written_at.map(|at| at.0),
                it.edited_at.map(|at| at.0),
                it.deleted_at.map(|at| at.0),
                i64::from(it.version)
            ])
    }

    fn reaction(&mut self, it: &Reaction) -> rusqlite::Result<()> {
        let changed = self
            .conn
            .prepare_cached(
                "INSERT INTO reaction (campus, message, person, emoji, circle, is_on, version)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (campus, message, emoji, person) DO UPDATE SET is_on = excluded.is_on,
                     version = excluded.version
                 WHERE excluded.version > version",
            )?
            .execute(params![
                self.campus.blob(),
                it.message_id.blob(),
                it.person_id.blob(),
                it.emoji,
                it.circle_id.blob(),
                it.on,
                i64::from(it.version)
            ])?;
        if changed > 0 {
            self.touched.circles.entry(it.circle_id).or_default().insert(it.message_id);
        }
        Ok(())
    }

    fn read_marker(&mut self, circle: CircleId, seq: Seq, version: Pos) -> rusqlite::Result<()> {
        let changed = self
            .conn
            .prepare_cached(
                "INSERT INTO read_marker (campus, circle, seq, version) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (campus, circle) DO UPDATE SET seq = max(seq, excluded.seq),
                     version = max(version, excluded.version)
                 WHERE excluded.version > version OR excluded.seq > seq",
            )?
            .execute(params![self.campus.blob(), circle.blob(), i64::from(seq), i64::from(version)])?;
        if changed > 0 {
            self.touched.circles.entry(circle).or_default();
        }
        Ok(())
    }

    fn mute(&mut self, it: &Mute) -> rusqlite::Result<()> {
        if mutes::apply(self.conn, self.campus, it)? {
            self.touched.circles.entry(it.circle_id).or_default();
        }
        Ok(())
    }

    fn draft(&mut self, it: &Draft) -> rusqlite::Result<()> {
        if drafts::apply(self.conn, self.campus, it)? {
            self.touched.circles.entry(it.circle_id).or_default();
            self.touched.drafts.insert(it.circle_id);
        }
        Ok(())
    }

    fn head_seq(&mut self, circle: CircleId, seq: Seq) -> rusqlite::Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO circle_head (campus, circle, seq) VALUES (?1, ?2, ?3)
                 ON CONFLICT (campus, circle) DO UPDATE SET seq = excluded.seq WHERE excluded.seq > seq",
            )?
            .execute(params![self.campus.blob(), circle.blob(), i64::from(seq)])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use circles_protocol::{Message, UnixMs};

    use super::*;
    use crate::cache::empty;

    fn message(circle_id: CircleId, author_id: PersonId, seq: u64, version: u64) -> Message {
        Message {
            id: MessageId::new(),
            circle_id,
            seq: seq.try_into().expect("small"),
            author_id,
            text: format!("number {seq}"),
            reply_to: None,
            created_at: UnixMs(1),
            written_at: None,
            edited_at: None,
            deleted_at: None,
            version: version.try_into().expect("small"),
        }
    }

    #[test]
    fn after_a_restore_a_message_takes_the_number_that_another_one_had() {
        let (conn, campus, me, circle) = (empty(), CampusId::new(), PersonId::new(), CircleId::new());
        let mut apply = Apply::new(&conn, campus, me);
        let (first, second) = (message(circle, me, 1, 4), message(circle, me, 2, 5));
        apply.message(&first).unwrap();
        apply.message(&second).unwrap();
        history::begin(&conn, Eyes { campus, me }, UnixMs(0)).unwrap();
        // The restored relay had neither, and got the second one again first.
        let again = Message { seq: first.seq, version: 1_u64.try_into().expect("small"), ..second };
        apply.message(&again).unwrap();
        let held: Vec<(i64, Vec<u8>)> = conn
            .prepare("SELECT seq, id FROM message")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(held, [(1, again.id.blob().to_vec())]);
    }
}
