//! Who is online, and what of it was not told yet. Pure logic: the time comes in from outside.
//!
//! Streams end every minute and are opened anew, so that a person stays online for a grace after their last stream.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use circles_protocol::{PersonId, event::Presence};
use tokio::time::Instant;

/// The people whose streams are open or ended a moment ago: as many as there are streams, and those of the last seconds.
pub struct Registry {
    grace: Duration,
    people: HashMap<PersonId, State>,
    /// When to look whether there is something to tell of a person; at most one entry for each.
    looks: BTreeSet<(Instant, PersonId)>,
}

#[derive(Default)]
struct State {
    streams: usize,
    /// When the last stream ended; none while one is open.
    left_at: Option<Instant>,
    /// What the others were told last.
    told_online: bool,
    /// It has an entry in `looks`.
    queued: bool,
}

impl State {
    /// Until when the person counts as online without a stream; none while they have one.
    fn until(&self, grace: Duration) -> Option<Instant> {
        self.left_at.map(|at| at + grace)
    }

    fn is_online(&self, grace: Duration, now: Instant) -> bool {
        self.until(grace).is_none_or(|until| until > now)
    }
}

impl Registry {
    pub fn new(grace: Duration) -> Self {
        Self { grace, people: HashMap::new(), looks: BTreeSet::new() }
    }

    /// A stream of the person was opened.
    pub fn enter(&mut self, person: PersonId, now: Instant) {
        let state = self.people.entry(person).or_default();
        state.streams += 1;
        state.left_at = None;
        if !state.told_online && !state.queued {
            state.queued = true;
            self.looks.insert((now, person));
        }
    }

    /// One of them ended.
    pub fn leave(&mut self, person: PersonId, now: Instant) {
        let Some(state) = self.people.get_mut(&person) else { return };
        state.streams = state.streams.saturating_sub(1);
        if state.streams > 0 {
            return;
        }
        state.left_at = Some(now);
        if !state.queued {
            state.queued = true;
            self.looks.insert((now + self.grace, person));
        }
    }

    /// Everyone who is online.
    pub fn online(&self, now: Instant) -> HashSet<PersonId> {
        self.people.iter().filter(|(_, it)| it.is_online(self.grace, now)).map(|(id, _)| *id).collect()
    }

    /// When [`Registry::due`] may have something to tell.
    pub fn next_due(&self) -> Option<Instant> {
        self.looks.first().map(|(at, _)| *at)
    }

    /// The next person of whom the others do not know what is so now; counts as told.
    pub fn due(&mut self, now: Instant) -> Option<Presence> {
        // Ends: each look is taken out, and put back only for later than now.
        while let Some(&(at, person_id)) = self.looks.first().filter(|(at, _)| *at <= now) {
            self.looks.remove(&(at, person_id));
            let Some(state) = self.people.get_mut(&person_id) else { continue };
            let online = state.is_online(self.grace, now);
            let again = state.until(self.grace).filter(|_| online);
            state.queued = again.is_some();
            self.looks.extend(again.map(|at| (at, person_id)));
            let news = std::mem::replace(&mut state.told_online, online) != online;
            if !online {
                self.people.remove(&person_id);
            }
            if news {
                return Some(Presence { person_id, online });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    fn told(registry: &mut Registry, now: Instant) -> Vec<bool> {
        std::iter::from_fn(|| registry.due(now)).map(|it| it.online).collect()
    }

    #[test]
    fn one_is_online_until_the_grace_after_the_last_of_ones_streams() {
        let (mut registry, person, begin) = (Registry::new(GRACE), PersonId::new(), Instant::now());
        registry.enter(person, begin);
        registry.enter(person, begin);
        assert_eq!(told(&mut registry, begin), [true]);
        registry.leave(person, begin);
        assert_eq!(told(&mut registry, begin + GRACE * 2), [] as [bool; 0], "another stream is open");
        let left = begin + GRACE * 3;
        registry.leave(person, left);
        assert!(registry.online(left + GRACE / 2).contains(&person));
        assert_eq!(registry.next_due(), Some(left + GRACE));
        assert_eq!(told(&mut registry, left + GRACE), [false]);
        assert!(registry.people.is_empty() && registry.looks.is_empty());
    }

    #[test]
    fn a_stream_that_rolls_over_is_no_news() {
        let (mut registry, person, begin) = (Registry::new(GRACE), PersonId::new(), Instant::now());
        registry.enter(person, begin);
        assert_eq!(told(&mut registry, begin), [true]);
        for minute in 1..5 {
            let at = begin + Duration::from_mins(1) * minute;
            registry.leave(person, at);
            registry.enter(person, at + GRACE / 2);
            assert_eq!(told(&mut registry, at + GRACE * 2), [] as [bool; 0]);
        }
    }

    proptest! {
        /// Whatever happens, what was told last is what is so, and nothing is kept of who is gone.
        #[test]
        fn what_is_told_is_what_is_so(steps in prop::collection::vec((0..3_usize, any::<bool>(), 0..15_u64), 0..60)) {
            let people = [PersonId::new(), PersonId::new(), PersonId::new()];
            let mut registry = Registry::new(GRACE);
            let mut now = Instant::now();
            let mut streams = [0_u32; 3];
            let mut known = HashSet::new();
            for (who, enters, wait_s) in steps {
                if enters {
                    registry.enter(people[who], now);
                    streams[who] += 1;
                } else if streams[who] > 0 {
                    registry.leave(people[who], now);
                    streams[who] -= 1;
                }
                now += Duration::from_secs(wait_s);
                while let Some(it) = registry.due(now) {
                    let fresh = if it.online { known.insert(it.person_id) } else { known.remove(&it.person_id) };
                    prop_assert!(fresh, "told twice");
                }
                prop_assert_eq!(&known, &registry.online(now));
                prop_assert!(registry.looks.len() <= people.len());
            }
            for (who, person) in people.into_iter().enumerate() {
                (0..streams[who]).for_each(|_| registry.leave(person, now));
            }
            while registry.due(now + GRACE).is_some() {}
            prop_assert!(registry.people.is_empty() && registry.looks.is_empty());
        }
    }
}
