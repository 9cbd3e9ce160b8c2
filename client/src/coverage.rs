//! Which positions of a scope are held: the client must know what it is missing, and never forget it (design 3.4).

use circles_protocol::Pos;

/// The positions in `(after, until]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch {
    /// The position before the first.
    pub after: Pos,
    /// The last position.
    pub until: Pos,
}

impl Stretch {
    /// The stretch `(after, until]`; none if it would be empty.
    pub fn new(after: Pos, until: Pos) -> Option<Self> {
        (after < until).then_some(Self { after, until })
    }

    /// How many positions it has, at least one. Others than the scope's may be among them: it bounds what is missing from above.
    pub fn positions(self) -> u64 {
        self.until.get() - self.after.get()
    }
}

/// What is held of one scope in one epoch: stretches that are ascending, disjoint and do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    held: Vec<Stretch>,
}

impl Coverage {
    /// The coverage made of these stretches, in any order; they may overlap.
    pub fn of(stretches: impl IntoIterator<Item = Stretch>) -> Self {
        let mut coverage = Self::default();
        for stretch in stretches {
            coverage.cover(stretch);
        }
        coverage
    }

    /// Holds this stretch from now on, and joins it with those that it overlaps or touches.
    pub fn cover(&mut self, stretch: Stretch) {
        let first = self.held.partition_point(|held| held.until < stretch.after);
        let end = self.held.partition_point(|held| held.after <= stretch.until);
        let joined = self.held[first..end].iter().fold(stretch, |joined, held| Stretch {
            after: joined.after.min(held.after),
            until: joined.until.max(held.until),
        });
        self.held.splice(first..end, [joined]);
    }

    /// Holds nothing of this stretch from now on.
    pub fn uncover(&mut self, stretch: Stretch) {
        let around = |held: &Stretch| {
            [
                Stretch::new(held.after, held.until.min(stretch.after)),
                Stretch::new(held.after.max(stretch.until), held.until),
            ]
        };
        self.held = self.held.iter().flat_map(around).flatten().collect();
    }

    /// What is held, ascending.
    pub fn stretches(&self) -> &[Stretch] {
        &self.held
    }

    /// Whether this position is held.
    pub fn holds(&self, pos: Pos) -> bool {
        let index = self.held.partition_point(|held| held.until < pos);
        self.held.get(index).is_some_and(|held| held.after < pos)
    }

    /// Everything of the scope up to this position is held.
    pub fn complete_to(&self) -> Pos {
        self.held.first().filter(|first| first.after == Pos::ZERO).map_or(Pos::ZERO, |first| first.until)
    }

    /// What is missing up to and with `head`, ascending.
    pub fn gaps(&self, head: Pos) -> Vec<Stretch> {
        let mut gaps = Vec::with_capacity(self.held.len() + 1);
        let mut reached = Pos::ZERO;
        for held in &self.held {
            gaps.extend(Stretch::new(reached, held.after.min(head)));
            reached = held.until;
        }
        gaps.extend(Stretch::new(reached, head));
        gaps
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const HEAD: u64 = 60;

    fn pos(value: u64) -> Pos {
        Pos::try_from(value).expect("small")
    }

    fn stretch() -> impl Strategy<Value = Stretch> {
        (0..HEAD, 1..=HEAD).prop_filter_map("not empty", |(after, until)| Stretch::new(pos(after), pos(until)))
    }

    proptest! {
        #[test]
        fn coverage_is_the_set_of_the_positions_covered(
            stretches in prop::collection::vec(stretch(), 0..12),
            lost in prop::collection::vec(stretch(), 0..3),
            head in 0..=HEAD,
        ) {
            let positions = |one: &Stretch| one.after.get() + 1..=one.until.get();
            let mut coverage = Coverage::of(stretches.iter().copied());
            let mut model: BTreeSet<u64> = stretches.iter().flat_map(positions).collect();
            for stretch in &lost {
                coverage.uncover(*stretch);
                model.retain(|it| !positions(stretch).contains(it));
            }

            for value in 1..=HEAD {
                prop_assert_eq!(coverage.holds(pos(value)), model.contains(&value));
            }
            let complete = (1..=HEAD).take_while(|value| model.contains(value)).count() as u64;
            prop_assert_eq!(coverage.complete_to().get(), complete);

            let gaps = coverage.gaps(pos(head));
            let missing: Vec<u64> =
                gaps.iter().flat_map(|gap| gap.after.get() + 1..=gap.until.get()).collect();
            let expected: Vec<u64> = (1..=head).filter(|value| !model.contains(value)).collect();
            prop_assert_eq!(missing, expected);
            prop_assert_eq!(gaps.iter().map(|gap| gap.positions()).sum::<u64>(), (1..=head).filter(|v| !model.contains(v)).count() as u64);

            // Neighbours neither overlap nor touch, so that the same coverage is always stored the same way.
            for pair in coverage.stretches().windows(2) {
                prop_assert!(pair[0].until < pair[1].after);
            }
        }
    }
}
