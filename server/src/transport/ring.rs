//! The ring: the tail of the log in memory, each change serialised once (design section 2). Pure logic.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use circles_protocol::{Change, CircleId, DeviceId, Entity, Epoch, PersonId, Pos, Scope};

use crate::{audience, stream::frame};

/// A change as streams need it: who may see it, and its bytes.
#[derive(Debug)]
pub struct Entry {
    pub pos: Pos,
    pub scope: Scope,
    /// For a membership change.
    pub subject: Option<Subject>,
    /// The device that the change signs out.
    pub revoked: Option<DeviceId>,
    /// The whole frame, shared by all streams.
    pub frame: Bytes,
}

impl Entry {
    /// A change as streams need it.
    pub fn of(epoch: &Epoch, change: &Change) -> Self {
        Self {
            pos: change.pos,
            scope: change.scope,
            subject: audience::subject(&change.entity),
            revoked: match &change.entity {
                Entity::RevokedDevice(it) => Some(it.id),
                _ => None,
            },
            frame: frame::change(epoch, change),
        }
    }
}

/// Whom a membership change is about, and whether they are in from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    pub person: PersonId,
    pub circle: CircleId,
    pub joined: bool,
}

/// What follows a cursor.
#[derive(Debug)]
pub enum Tail {
    /// Everything that follows, ascending, up to the limit asked for; empty at the head.
    Entries(Vec<Arc<Entry>>),
    /// The ring no longer holds what follows: the database does.
    Fallen,
}

/// The last changes of the log, without holes, bounded in number and bytes.
#[derive(Debug)]
pub struct Ring {
    entries: VecDeque<Arc<Entry>>,
    head: Pos,
    bytes: usize,
    entries_max: usize,
    bytes_max: usize,
}

impl Ring {
    /// An empty ring at the head of the log.
    pub fn new(head: Pos, entries_max: usize, bytes_max: usize) -> Self {
        Self { entries: VecDeque::new(), head, bytes: 0, entries_max, bytes_max }
    }

    /// The position of the last change.
    pub fn head(&self) -> Pos {
        self.head
    }

    /// Appends the next change and forgets the oldest beyond the bounds.
    ///
    /// # Panics
    /// If it is not the next: a hole in the ring would be a message that streams never see (design 3.4).
    pub fn push(&mut self, entry: Arc<Entry>) {
        assert_eq!(entry.pos, self.head.next(), "the ring has no holes");
        self.head = entry.pos;
        self.bytes += entry.frame.len();
        self.entries.push_back(entry);
        while self.entries.len() > self.entries_max || self.bytes > self.bytes_max {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.frame.len();
        }
    }

    /// At most `limit` changes after `cursor`, up to `until`.
    pub fn after(&self, cursor: Pos, until: Pos, limit: usize) -> Tail {
        let until = until.min(self.head);
        if cursor >= until {
            return Tail::Entries(Vec::new());
        }
        let first = self.entries.front().map_or(self.head.next(), |it| it.pos);
        let wanted = cursor.next();
        if wanted < first {
            return Tail::Fallen;
        }
        let index = |it: Pos| usize::try_from(it.get() - first.get()).expect("within the ring");
        let wanted = index(wanted)..=index(until);
        Tail::Entries(self.entries.range(wanted).take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pos(value: u64) -> Pos {
        value.try_into().expect("small")
    }

    proptest! {
        #[test]
        fn what_follows_a_cursor_is_dense_or_the_reader_is_told(
            start in 0_u64..100,
            sizes in proptest::collection::vec(0_usize..50, 0..80),
            entries_max in 1_usize..40,
            bytes_max in 1_usize..600,
            cursor in 0_u64..220,
            limit in 1_usize..100,
            until in 0_u64..220,
        ) {
            let mut ring = Ring::new(pos(start), entries_max, bytes_max);
            for (at, size) in (start + 1..).zip(&sizes) {
                let frame = Bytes::from(vec![b'x'; *size]);
                ring.push(Arc::new(Entry { pos: pos(at), scope: Scope::Campus, subject: None, revoked: None, frame }));
            }
            let head = start + sizes.len() as u64;
            prop_assert_eq!(ring.head(), pos(head));
            prop_assert!(ring.entries.len() <= entries_max);
            prop_assert!(ring.bytes <= bytes_max);
            prop_assert_eq!(ring.bytes, ring.entries.iter().map(|it| it.frame.len()).sum::<usize>());
            let until = until.min(head);
            match ring.after(pos(cursor), pos(until), limit) {
                Tail::Entries(entries) => {
                    let got: Vec<u64> = entries.iter().map(|it| it.pos.get()).collect();
                    let all: Vec<u64> = (cursor + 1..=until).take(limit).collect();
                    prop_assert_eq!(got, all);
                }
                Tail::Fallen => {
                    prop_assert!(cursor < until);
                    prop_assert!(cursor + 1 < ring.entries.front().map_or(head + 1, |it| it.pos.get()));
                }
            }
        }
    }
}
