//! Who is woken by what. A change of one circle concerns its members' streams, and so does who types there; the thousands of
//! others go on sleeping: waking them all for each message is what makes many small circles dear.
//!
//! A stream that sleeps falls behind the ring without missing anything. So its ear keeps the first and the last position that
//! concern it, and the stream looks at what lies between.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    ops::RangeInclusive,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
    time::Duration,
};

use circles_protocol::{CircleId, PersonId, Pos, Scope};
use futures::task::AtomicWaker;
use tokio::time::Instant;

use super::{rests::Rests, ring::Entry};
use crate::{ephemeral::Sent, limits::SIGNALS_HELD_MAX};

/// What wakes one stream.
#[derive(Debug, Default)]
pub struct Ear {
    /// The first position that concerns the stream since it last looked; zero: none.
    first: AtomicU64,
    /// The last one.
    last: AtomicU64,
    /// What was told in passing since it last looked.
    signals: Mutex<VecDeque<Arc<Sent>>>,
    /// There is something in `signals`.
    is_told: AtomicBool,
    /// The relay stops or closes.
    is_stirred: AtomicBool,
    waker: AtomicWaker,
}

impl Ear {
    /// Wakes that task, once, when something concerns the stream from now on. First listen, then look.
    pub fn listen(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// The first and the last position that concerned the stream since it last asked. Ask while the ring is locked.
    pub fn take(&self) -> Option<RangeInclusive<Pos>> {
        let first = self.first.swap(0, Ordering::Relaxed);
        let pos = |it| Pos::try_from(it).expect("it was a position");
        (first > 0).then(|| pos(first)..=pos(self.last.load(Ordering::Relaxed)))
    }

    /// Nothing concerned the stream since it last asked. What was told in passing before this answer, and was taken, follows
    /// nothing that the stream does not know of.
    pub fn is_quiet(&self) -> bool {
        self.first.load(Ordering::Acquire) == 0
    }

    /// Whether the relay began to stop or to close since the stream last asked.
    pub fn is_stirred(&self) -> bool {
        self.is_stirred.load(Ordering::Relaxed) && self.is_stirred.swap(false, Ordering::Acquire)
    }

    /// What was told in passing since the stream last asked; the newest of it if that was much.
    pub fn signals(&self) -> VecDeque<Arc<Sent>> {
        if self.is_told.load(Ordering::Relaxed) && self.is_told.swap(false, Ordering::Acquire) {
            std::mem::take(&mut *self.queue())
        } else {
            VecDeque::new()
        }
    }

    fn mark(&self, pos: Pos) {
        // The lock of the ring orders this; the first position stays.
        self.last.store(pos.get(), Ordering::Relaxed);
        if self.first.load(Ordering::Relaxed) == 0 {
            self.first.store(pos.get(), Ordering::Release);
        }
    }

    fn tell(&self, signal: &Arc<Sent>) {
        let mut queue = self.queue();
        if queue.len() >= SIGNALS_HELD_MAX {
            queue.pop_front();
        }
        queue.push_back(signal.clone());
        drop(queue);
        self.is_told.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn stir(&self) {
        self.is_stirred.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Arc<Sent>>> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of a stream among the listeners.
pub type Number = u64;

/// A stream, and the circles that concern it.
#[derive(Debug)]
struct Listener {
    ear: Arc<Ear>,
    person: PersonId,
    circles: HashSet<CircleId>,
}

/// All streams of an instance, by what concerns them. Changed and used while the ring is locked.
#[derive(Debug)]
pub struct Listeners {
    next: Number,
    all: HashMap<Number, Listener>,
    /// Those whose circles are not known yet: everything concerns them.
    wide: HashMap<Number, Arc<Ear>>,
    by_scope: HashMap<Scope, HashMap<Number, Arc<Ear>>>,
    rests: Rests,
}

impl Listeners {
    /// Nobody yet; for each that a change wakes its scope will rest that long.
    pub fn new(rest_each: Duration) -> Self {
        Self {
            next: 0,
            all: HashMap::new(),
            wide: HashMap::new(),
            by_scope: HashMap::new(),
            rests: Rests::new(rest_each),
        }
    }

    /// A stream whose person's circles are still to be read.
    pub fn enter(&mut self, person: PersonId) -> (Number, Arc<Ear>) {
        self.next += 1;
        let ear = Arc::new(Ear::default());
        self.all.insert(self.next, Listener { ear: ear.clone(), person, circles: HashSet::new() });
        self.wide.insert(self.next, ear.clone());
        (self.next, ear)
    }

    /// From now on only the campus, the person and these circles concern the stream.
    pub fn narrow(&mut self, number: Number, circles: impl Iterator<Item = CircleId>) {
        if let Some(listener) = self.all.get(&number) {
            self.by_scope.entry(Scope::Person(listener.person)).or_default().insert(number, listener.ear.clone());
        }
        self.renew(number, circles);
        self.wide.remove(&number);
    }

    /// These circles concern the stream, and no others.
    pub fn renew(&mut self, number: Number, circles: impl Iterator<Item = CircleId>) {
        let Some(listener) = self.all.get(&number) else { return };
        let now: HashSet<CircleId> = circles.collect();
        let gone: Vec<CircleId> = listener.circles.difference(&now).copied().collect();
        for circle in gone {
            self.unfollow(number, circle);
        }
        for circle in now {
            self.follow(number, circle);
        }
    }

    /// The person came into a circle.
    pub fn follow(&mut self, number: Number, circle: CircleId) {
        if let Some(listener) = self.all.get_mut(&number)
            && listener.circles.insert(circle)
        {
            self.by_scope.entry(Scope::Circle(circle)).or_default().insert(number, listener.ear.clone());
        }
    }

    /// The person is out of a circle.
    pub fn unfollow(&mut self, number: Number, circle: CircleId) {
        if self.all.get_mut(&number).is_some_and(|it| it.circles.remove(&circle)) {
            self.remove(number, Scope::Circle(circle));
        }
    }

    /// The stream ended.
    pub fn leave(&mut self, number: Number) {
        let Some(gone) = self.all.remove(&number) else { return };
        self.wide.remove(&number);
        for scope in gone.circles.into_iter().map(Scope::Circle).chain([Scope::Person(gone.person)]) {
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

    /// Notes for those whom a change concerns that it does. [`Listeners::wake`] them afterwards.
    pub fn mark(&mut self, entry: &Entry) {
        self.concerned(entry).for_each(|it| it.mark(entry.pos));
        // At once, because a signal may be told before the stream has come to the change. When it comes there it judges by
        // itself (design 3.6).
        if let Some(joined) = entry.subject.filter(|it| it.joined) {
            let theirs = self.by_scope.get(&Scope::Person(joined.person)).into_iter().flat_map(HashMap::keys);
            let theirs: Vec<Number> = theirs.copied().collect();
            for number in theirs {
                self.follow(number, joined.circle);
            }
        }
    }

    /// Wakes those whom changes concern, or lets them rest until [`Listeners::wake_rested`]. Whether a rest began. Who follows a
    /// scope is woken once for all that came together.
    pub fn wake<'a>(&mut self, entries: impl Iterator<Item = &'a Arc<Entry>>, now: Instant) -> bool {
        let (mut done, mut rests) = (HashSet::new(), false);
        for entry in entries {
            self.others(entry).for_each(|it| it.waker.wake());
            if done.insert(entry.scope) {
                rests |= !self.rests.hold(entry.scope) && self.wake_followers(entry.scope, now);
            }
        }
        rests
    }

    /// Wakes those whose rest is over if something came meanwhile. When to do so next, if any rest.
    pub fn wake_rested(&mut self, now: Instant) -> Option<Instant> {
        for scope in self.rests.over(now) {
            self.wake_followers(scope, now);
        }
        self.rests.next()
    }

    fn wake_followers(&mut self, scope: Scope, now: Instant) -> bool {
        let woken = self.followers(scope).inspect(|it| it.waker.wake()).count();
        self.rests.begin(scope, woken, now)
    }

    fn concerned(&self, entry: &Entry) -> impl Iterator<Item = &Arc<Ear>> {
        self.others(entry).chain(self.followers(entry.scope))
    }

    fn followers(&self, scope: Scope) -> impl Iterator<Item = &Arc<Ear>> {
        let all = (scope == Scope::Campus).then(|| self.all.values().map(|it| &it.ear));
        let some = self.by_scope.get(&scope).into_iter().flat_map(HashMap::values);
        some.chain(all.into_iter().flatten())
    }

    /// Those whom a change concerns although they do not follow its scope: a membership concerns its person also from
    /// outside the circle.
    fn others(&self, entry: &Entry) -> impl Iterator<Item = &Arc<Ear>> {
        let subject = entry.subject.and_then(|it| self.by_scope.get(&Scope::Person(it.person)));
        subject.into_iter().chain([&self.wide]).flat_map(HashMap::values)
    }

    /// Wakes everybody, for what follows that position.
    pub fn wake_all(&self, pos: Pos) {
        for listener in self.all.values() {
            listener.ear.mark(pos);
            listener.ear.waker.wake();
        }
    }

    /// Wakes everybody, to look whether the relay stops.
    pub fn stir(&self) {
        self.all.values().for_each(|it| it.ear.stir());
    }

    /// Tells a signal to the streams of those who are in one of its circles, once each.
    pub fn tell(&self, signal: &Arc<Sent>) {
        let circles = signal.circles();
        let ears = circles.iter().filter_map(|it| self.by_scope.get(&Scope::Circle(*it))).chain([&self.wide]).flatten();
        if let [_] = circles {
            ears.for_each(|(_, ear)| ear.tell(signal));
        } else {
            let once: HashMap<Number, &Arc<Ear>> = ears.map(|(number, ear)| (*number, ear)).collect();
            for ear in once.into_values() {
                ear.tell(signal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use bytes::Bytes;

    use super::*;
    use crate::{limits::REST_MIN, transport::ring::Subject};

    fn pos(value: u64) -> Pos {
        value.try_into().expect("small")
    }

    fn entry(at: u64, scope: Scope, subject: Option<Subject>) -> Entry {
        Entry { pos: pos(at), scope, subject, revoked: None, frame: Bytes::new() }
    }

    #[test]
    fn a_change_wakes_those_whom_it_concerns_and_nobody_else() {
        let at = |first, last| Some(pos(first)..=pos(last));
        let mut listeners = Listeners::new(Duration::ZERO);
        let (ada, bob, circle, other) = (PersonId::new(), PersonId::new(), CircleId::new(), CircleId::new());
        let (of_ada, hers) = listeners.enter(ada);
        let (of_bob, his) = listeners.enter(bob);
        listeners.mark(&entry(1, Scope::Circle(other), None));
        assert_eq!((hers.take(), his.take()), (at(1, 1), at(1, 1)), "before their circles are known");
        listeners.narrow(of_ada, [circle].into_iter());
        listeners.narrow(of_bob, [other].into_iter());
        listeners.mark(&entry(2, Scope::Circle(circle), None));
        listeners.mark(&entry(3, Scope::Circle(circle), None));
        assert_eq!((hers.take(), his.take()), (at(2, 3), None), "from the first to the last");
        listeners.mark(&entry(4, Scope::Person(bob), None));
        assert_eq!((hers.take(), his.take()), (None, at(4, 4)));
        listeners.mark(&entry(5, Scope::Campus, None));
        assert_eq!((hers.take(), his.take()), (at(5, 5), at(5, 5)));
        // Bob is brought into Ada's circle: it concerns him, and so does what follows.
        let subject = Some(Subject { person: bob, circle, joined: true });
        listeners.mark(&entry(6, Scope::Circle(circle), subject));
        assert_eq!((hers.take(), his.take()), (at(6, 6), at(6, 6)));
        listeners.mark(&entry(7, Scope::Circle(circle), None));
        assert_eq!(his.take(), at(7, 7));
        listeners.unfollow(of_bob, circle);
        listeners.leave(of_ada);
        listeners.mark(&entry(8, Scope::Circle(circle), None));
        assert_eq!((hers.take(), his.take()), (at(7, 7), None));
        listeners.leave(of_bob);
        assert!(listeners.all.is_empty() && listeners.by_scope.is_empty());
    }

    /// Whether a stream is woken, from now on until it asks again.
    struct Sleeper {
        ear: Arc<Ear>,
        wakes: Arc<Wakes>,
    }

    #[derive(Default)]
    struct Wakes(AtomicBool);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    impl Sleeper {
        fn new(ear: Arc<Ear>) -> Self {
            let wakes = Arc::new(Wakes::default());
            ear.listen(&Waker::from(wakes.clone()));
            Self { ear, wakes }
        }

        fn was_woken(&self) -> bool {
            self.ear.listen(&Waker::from(self.wakes.clone()));
            self.wakes.0.swap(false, Ordering::Relaxed)
        }
    }

    #[test]
    fn who_rests_is_woken_afterwards_and_whose_membership_changes_at_once() {
        let mut listeners = Listeners::new(REST_MIN);
        let (ada, bob, circle) = (PersonId::new(), PersonId::new(), CircleId::new());
        let (of_ada, hers) = listeners.enter(ada);
        let (of_bob, his) = listeners.enter(bob);
        listeners.narrow(of_ada, [circle].into_iter());
        listeners.narrow(of_bob, [circle].into_iter());
        let (hers, his) = (Sleeper::new(hers), Sleeper::new(his));
        let now = Instant::now();
        let change = |at, subject| Arc::new(entry(at, Scope::Circle(circle), subject));
        assert!(listeners.wake([change(1, None), change(2, None)].iter(), now));
        assert_eq!((hers.was_woken(), his.was_woken()), (true, true));
        assert_eq!(listeners.wake_rested(now), Some(now + 2 * REST_MIN));
        assert_eq!(listeners.wake_rested(now + 2 * REST_MIN), None, "what came together was taken together");
        assert!(listeners.wake([change(3, None)].iter(), now));
        assert_eq!((hers.was_woken(), his.was_woken()), (true, true));
        assert!(!listeners.wake([change(4, None)].iter(), now));
        assert_eq!((hers.was_woken(), his.was_woken()), (false, false), "they rest");
        listeners.wake([change(5, Some(Subject { person: bob, circle, joined: false }))].iter(), now);
        assert_eq!((hers.was_woken(), his.was_woken()), (false, true), "he was removed");
        assert_eq!(listeners.wake_rested(now), Some(now + 2 * REST_MIN));
        assert!(!hers.was_woken());
        assert!(listeners.wake_rested(now + 2 * REST_MIN).is_some(), "and again, for a circle that goes on");
        assert!(hers.was_woken());
        assert_eq!(listeners.wake_rested(now + 4 * REST_MIN), None);
        assert!(!hers.was_woken(), "nothing came meanwhile");
        assert!(listeners.wake([change(6, None)].iter(), now + 4 * REST_MIN));
        assert!(hers.was_woken());
    }
}
