//! Who may see a change (design 3.6). Pure logic, fed in the order of the log.

use circles_protocol::{CircleId, Entity, MembershipState, PersonId, Pos, Scope};

use crate::transport::ring::Subject;

/// What one person may see, as of a position of the log.
#[derive(Clone, Debug)]
pub struct Audience {
    person: PersonId,
    /// Ascending: of thousands of streams each has its own, and looks it up for each message.
    circles: Vec<CircleId>,
    as_of: Pos,
}

impl Audience {
    /// A person who is in these circles at a position.
    pub fn new(person: PersonId, circles: impl IntoIterator<Item = CircleId>, as_of: Pos) -> Self {
        let mut circles: Vec<CircleId> = circles.into_iter().collect();
        circles.sort_unstable();
        circles.dedup();
        Self { person, circles, as_of }
    }

    /// Whether the person may see the change. A change of their own membership reaches them, and decides about those
    /// that follow it. Changes up to `as_of` are replay: they are judged by the later membership, so that nothing of a
    /// circle goes out once the person was removed.
    pub fn admits(&mut self, pos: Pos, scope: Scope, subject: Option<Subject>) -> bool {
        if let Some(subject) = subject.filter(|it| it.person == self.person) {
            if pos <= self.as_of {
                return true;
            }
            match (self.circles.binary_search(&subject.circle), subject.joined) {
                (Err(at), true) => self.circles.insert(at, subject.circle),
                (Ok(at), false) => drop(self.circles.remove(at)),
                _ => {}
            }
            return true;
        }
        match scope {
            Scope::Campus => true,
            Scope::Circle(id) => self.is_in(id),
            Scope::Person(id) => id == self.person,
        }
    }

    /// Whether the person is in the circle.
    pub fn is_in(&self, circle: CircleId) -> bool {
        self.circles.binary_search(&circle).is_ok()
    }

    /// The circles that the person is in.
    pub fn circles(&self) -> impl Iterator<Item = CircleId> {
        self.circles.iter().copied()
    }
}

/// Whom a change of a membership is about.
pub fn subject(entity: &Entity) -> Option<Subject> {
    match entity {
        Entity::Membership(it) => {
            Some(Subject { person: it.person_id, circle: it.circle_id, joined: it.state == MembershipState::Joined })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pos(value: u64) -> Pos {
        value.try_into().expect("small")
    }

    #[test]
    fn a_removal_reaches_the_removed_and_is_the_last_they_see_of_the_circle() {
        let (person, other, circle) = (PersonId::new(), PersonId::new(), CircleId::new());
        let scope = Scope::Circle(circle);
        let of = |person, joined| Some(Subject { person, circle, joined });
        let mut audience = Audience::new(person, [circle], Pos::ZERO);
        assert!(audience.admits(pos(1), scope, None));
        assert!(audience.admits(pos(2), scope, of(other, false)));
        assert!(audience.admits(pos(3), scope, of(person, false)));
        assert!(!audience.admits(pos(4), scope, None));
        assert!(!audience.admits(pos(5), scope, of(other, true)));
        assert!(audience.admits(pos(6), scope, of(person, true)));
        assert!(audience.admits(pos(7), scope, None));
    }

    #[test]
    fn a_replay_is_judged_by_the_later_membership() {
        let (person, circle) = (PersonId::new(), CircleId::new());
        let scope = Scope::Circle(circle);
        let mut removed = Audience::new(person, [], pos(9));
        assert!(removed.admits(pos(3), scope, Some(Subject { person, circle, joined: true })));
        assert!(!removed.admits(pos(4), scope, None));
        assert!(removed.admits(pos(10), scope, Some(Subject { person, circle, joined: true })));
        assert!(removed.admits(pos(11), scope, None));
    }

    #[test]
    fn read_markers_are_for_their_person_alone() {
        let person = PersonId::new();
        let mut audience = Audience::new(person, [], Pos::ZERO);
        assert!(audience.admits(pos(1), Scope::Person(person), None));
        assert!(!audience.admits(pos(2), Scope::Person(PersonId::new()), None));
        assert!(audience.admits(pos(3), Scope::Campus, None));
    }
}
