//! Who types where, and how often one says it oneself. Pure logic: the time comes in from outside. Kept in memory alone.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use circles_protocol::{CircleId, PersonId, event};

use crate::limits::{TYPING_LASTS, TYPING_PAUSE, TYPING_PEOPLE_MAX};

/// The typing of a campus, others' and one's own.
#[derive(Debug, Default)]
pub struct Typing {
    /// In each circle, in the order in which they began, and until when it holds if nothing more is heard.
    others: HashMap<CircleId, Vec<(PersonId, Instant)>>,
    /// When one last said so oneself, where it may still be shown.
    own: HashMap<CircleId, Instant>,
}

impl Typing {
    /// Somebody else types, or no longer. Whether that changes what is shown.
    pub fn heard(&mut self, it: &event::Typing, now: Instant) -> bool {
        if !it.on {
            return self.stopped(it.circle_id, it.person_id);
        }
        let people = self.others.entry(it.circle_id).or_default();
        let until = now + TYPING_LASTS;
        if let Some(known) = people.iter_mut().find(|(person, _)| *person == it.person_id) {
            known.1 = until;
            return false;
        }
        // More are not told apart.
        let room = people.len() < TYPING_PEOPLE_MAX;
        if room {
            people.push((it.person_id, until));
        }
        room
    }

    /// Somebody else is done: they said so, or their message is there. Whether that changes what is shown.
    pub fn stopped(&mut self, circle: CircleId, person: PersonId) -> bool {
        let Some(people) = self.others.get_mut(&circle) else { return false };
        let before = people.len();
        people.retain(|(it, _)| *it != person);
        let changed = people.len() < before;
        if people.is_empty() {
            self.others.remove(&circle);
        }
        changed
    }

    /// Forgets those who have not been heard of for too long; returns their circles.
    pub fn expire(&mut self, now: Instant) -> HashSet<CircleId> {
        let mut changed = HashSet::new();
        self.others.retain(|circle, people| {
            let before = people.len();
            people.retain(|(_, until)| *until > now);
            if people.len() < before {
                changed.insert(*circle);
            }
            !people.is_empty()
        });
        changed
    }

    /// When [`Typing::expire`] next has something to do.
    pub fn expires_at(&self) -> Option<Instant> {
        self.others.values().flatten().map(|(_, until)| *until).min()
    }

    /// There is no stream any more: nobody is known to type. Returns the circles where somebody did.
    pub fn clear(&mut self) -> HashSet<CircleId> {
        self.own.clear();
        self.others.drain().map(|(circle, _)| circle).collect()
    }

    /// Who types in a circle, in the order in which they began.
    pub fn people(&self, circle: CircleId) -> Vec<PersonId> {
        self.others.get(&circle).into_iter().flatten().map(|(person, _)| *person).collect()
    }

    /// One types oneself, or no longer. Whether the relay is to be told: not more often than others need to hear it.
    pub fn says(&mut self, circle: CircleId, on: bool, now: Instant) -> bool {
        self.own.retain(|_, at| now.duration_since(*at) < TYPING_LASTS);
        if !on {
            return self.own.remove(&circle).is_some();
        }
        let due = self.own.get(&circle).is_none_or(|at| now.duration_since(*at) >= TYPING_PAUSE);
        if due {
            self.own.insert(circle, now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn on(circle_id: CircleId, person_id: PersonId) -> event::Typing {
        event::Typing { circle_id, person_id, on: true }
    }

    #[test]
    fn typing_expires_by_itself_and_lasts_while_it_is_said_again() {
        let (mut typing, begin) = (Typing::default(), Instant::now());
        let (circle, ada, bob) = (CircleId::new(), PersonId::new(), PersonId::new());
        assert!(typing.heard(&on(circle, ada), begin));
        assert!(typing.heard(&on(circle, bob), begin));
        let later = begin + Duration::from_secs(3);
        assert!(!typing.heard(&on(circle, ada), later), "nothing new to show");
        assert_eq!(typing.people(circle), [ada, bob]);
        assert_eq!(typing.expires_at(), Some(begin + TYPING_LASTS));
        assert!(typing.expire(begin + TYPING_LASTS.mul_f64(0.99)).is_empty());
        assert_eq!(typing.expire(begin + TYPING_LASTS), HashSet::from([circle]));
        assert_eq!(typing.people(circle), [ada]);
        assert_eq!(typing.expire(later + TYPING_LASTS), HashSet::from([circle]));
        assert_eq!((typing.people(circle), typing.expires_at()), (vec![], None));
    }

    #[test]
    fn who_stops_or_sends_is_not_shown_any_more_and_offline_nobody_is() {
        let (mut typing, now) = (Typing::default(), Instant::now());
        let (circle, ada) = (CircleId::new(), PersonId::new());
        typing.heard(&on(circle, ada), now);
        assert!(typing.heard(&event::Typing { on: false, ..on(circle, ada) }, now));
        assert!(!typing.stopped(circle, ada), "it is over already");
        typing.heard(&on(circle, ada), now);
        assert_eq!(typing.clear(), HashSet::from([circle]));
        assert!(typing.people(circle).is_empty() && typing.clear().is_empty());
    }

    #[test]
    fn no_more_people_are_kept_than_can_be_told_apart() {
        let (mut typing, now, circle) = (Typing::default(), Instant::now(), CircleId::new());
        for _ in 0..TYPING_PEOPLE_MAX * 2 {
            typing.heard(&on(circle, PersonId::new()), now);
        }
        assert_eq!(typing.people(circle).len(), TYPING_PEOPLE_MAX);
    }

    #[test]
    fn one_says_it_at_most_every_three_seconds_in_each_circle_and_its_end_once() {
        let (mut typing, begin) = (Typing::default(), Instant::now());
        let (circle, other) = (CircleId::new(), CircleId::new());
        assert!(!typing.says(circle, false, begin), "there is nothing to take back");
        let said =
            (0..100).filter(|tenth| typing.says(circle, true, begin + Duration::from_millis(100) * *tenth)).count();
        assert_eq!(said, 4, "in ten seconds");
        let end = begin + Duration::from_secs(10);
        assert!(typing.says(other, true, end));
        assert!(typing.says(circle, false, end));
        assert!(!typing.says(circle, false, end));
        assert!(typing.says(circle, true, end), "one begins anew");
        assert!(!typing.says(circle, false, end + TYPING_LASTS), "it is over for the others too");
    }
}
