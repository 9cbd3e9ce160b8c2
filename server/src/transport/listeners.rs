//! Who is woken by which change. A change of one circle concerns its members' streams, and the thousands of others go on
//! sleeping: waking them all for each message is what makes many small circles dear.
//!
//! A stream that sleeps falls behind the ring without missing anything. So its ear keeps the first position that concerns
//! it, and the stream goes on from there.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use circles_protocol::{CircleId, PersonId, Pos, Scope};
use tokio::sync::Notify;

use super::ring::Entry;

/// What wakes one stream.
#[derive(Debug, Default)]
pub struct Ear {
    /// The first position that concerns the stream since it last looked; zero: none.
    pending: AtomicU64,
    notify: Notify,
}

impl Ear {
    /// Waits until something concerns the stream. Cancel safe.
    pub async fn woken(&self) {
        self.notify.notified().await;
    }

    /// The first position that concerned the stream since it last asked. Ask while the ring is locked.
    pub fn take(&self) -> Option<Pos> {
        let pending = self.pending.swap(0, Ordering::Relaxed);
        (pending > 0).then(|| Pos::try_from(pending).expect("it was a position"))
    }

    /// Nothing concerned the stream since it last asked. Ask while the ring is locked.
    pub fn is_quiet(&self) -> bool {
        self.pending.load(Ordering::Relaxed) == 0
    }

    fn mark(&self, pos: Pos) {
        // The lock of the ring orders this; the first position stays.
        if self.pending.load(Ordering::Relaxed) == 0 {
            self.pending.store(pos.get(), Ordering::Relaxed);
            self.notify.notify_one();
        }
    }
}

/// The number of a stream among the listeners.
pub type Number = u64;

/// All streams of an instance, by what concerns them. Changed and used while the ring is locked for writing.
#[derive(Debug, Default)]
pub struct Listeners {
    next: Number,
    all: HashMap<Number, Arc<Ear>>,
    /// Those whose circles are not known yet: everything concerns them.
    wide: HashMap<Number, Arc<Ear>>,
    by_scope: HashMap<Scope, HashMap<Number, Arc<Ear>>>,
}

impl Listeners {
    /// A stream whose person's circles are still to be read.
    pub fn enter(&mut self) -> (Number, Arc<Ear>) {
        self.next += 1;
        let ear = Arc::new(Ear::default());
        self.all.insert(self.next, ear.clone());
        self.wide.insert(self.next, ear.clone());
        (self.next, ear)
    }

    /// From now on only the campus, the person and these circles concern the stream.
    pub fn narrow(&mut self, number: Number, person: PersonId, circles: impl Iterator<Item = CircleId>) {
        let Some(ear) = self.wide.remove(&number) else { return };
        for scope in circles.map(Scope::Circle).chain([Scope::Person(person)]) {
            self.by_scope.entry(scope).or_default().insert(number, ear.clone());
        }
    }

    /// The person came into a circle.
    pub fn follow(&mut self, number: Number, circle: CircleId) {
        if let Some(ear) = self.all.get(&number) {
            self.by_scope.entry(Scope::Circle(circle)).or_default().insert(number, ear.clone());
        }
    }

    /// The person is out of a circle.
    pub fn unfollow(&mut self, number: Number, circle: CircleId) {
        self.remove(number, Scope::Circle(circle));
    }

    /// The stream ended.
    pub fn leave(&mut self, number: Number, person: PersonId, circles: impl Iterator<Item = CircleId>) {
        self.all.remove(&number);
        self.wide.remove(&number);
        for scope in circles.map(Scope::Circle).chain([Scope::Person(person)]) {
            self.remove(number, scope);
        }
    }

    fn remove(&mut self, number: Number, scope: Scope) {
        if let Some(ears) = self.by_scope.get_mut(&scope) {
            ears.remove(&number);
            if ears.is_empty() {
                self.by_scope.remove(&scope);
            }
        }
    }

    /// Wakes those whom a change concerns.
    pub fn wake(&self, entry: &Entry) {
        let scope = match entry.scope {
            Scope::Campus => return self.wake_all(entry.pos),
            scope => self.by_scope.get(&scope),
        };
        // A membership concerns its person also from outside the circle.
        let subject = entry.subject.and_then(|it| self.by_scope.get(&Scope::Person(it.person)));
        for ear in scope.into_iter().chain(subject).chain([&self.wide]).flat_map(HashMap::values) {
            ear.mark(entry.pos);
        }
    }

    /// Wakes everybody, for what follows that position.
    pub fn wake_all(&self, pos: Pos) {
        self.all.values().for_each(|ear| ear.mark(pos));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::transport::ring::Subject;

    fn pos(value: u64) -> Pos {
        value.try_into().expect("small")
    }

    fn entry(at: u64, scope: Scope, subject: Option<Subject>) -> Entry {
        Entry { pos: pos(at), scope, subject, revoked: None, frame: Bytes::new() }
    }

    #[test]
    fn a_change_wakes_those_whom_it_concerns_and_nobody_else() {
        let mut listeners = Listeners::default();
        let (ada, bob, circle, other) = (PersonId::new(), PersonId::new(), CircleId::new(), CircleId::new());
        let (of_ada, hers) = listeners.enter();
        let (of_bob, his) = listeners.enter();
        listeners.wake(&entry(1, Scope::Circle(other), None));
        assert_eq!((hers.take(), his.take()), (Some(pos(1)), Some(pos(1))), "before their circles are known");
        listeners.narrow(of_ada, ada, [circle].into_iter());
        listeners.narrow(of_bob, bob, [other].into_iter());
        listeners.wake(&entry(2, Scope::Circle(circle), None));
        listeners.wake(&entry(3, Scope::Circle(circle), None));
        assert_eq!((hers.take(), his.take()), (Some(pos(2)), None), "the first is what counts");
        listeners.wake(&entry(4, Scope::Person(bob), None));
        assert_eq!((hers.take(), his.take()), (None, Some(pos(4))));
        listeners.wake(&entry(5, Scope::Campus, None));
        assert_eq!((hers.take(), his.take()), (Some(pos(5)), Some(pos(5))));
        // Bob is brought into Ada's circle: it concerns him, and so does what follows.
        let subject = Some(Subject { person: bob, circle, joined: true });
        listeners.wake(&entry(6, Scope::Circle(circle), subject));
        assert_eq!((hers.take(), his.take()), (Some(pos(6)), Some(pos(6))));
        listeners.follow(of_bob, circle);
        listeners.wake(&entry(7, Scope::Circle(circle), None));
        assert_eq!(his.take(), Some(pos(7)));
        listeners.unfollow(of_bob, circle);
        listeners.leave(of_ada, ada, [circle].into_iter());
        listeners.wake(&entry(8, Scope::Circle(circle), None));
        assert_eq!((hers.take(), his.take()), (Some(pos(7)), None));
        listeners.leave(of_bob, bob, [other].into_iter());
        assert!(listeners.all.is_empty() && listeners.by_scope.is_empty());
    }
}
