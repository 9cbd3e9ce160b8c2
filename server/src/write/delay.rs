//! How long a batch waits for commands that could share its commit, which costs as much for one as for many. Up to some
//! commits a second none waits; past that they come in turn, and each takes along what came meanwhile. Pure logic, as of
//! times that come from outside.

use std::{collections::HashSet, time::Duration};

use circles_protocol::DeviceId;
use tokio::time::Instant;

use crate::{
    access::Who,
    limits::{COMMIT_EVERY, COMMITS_AT_ONCE},
};

/// A leaky bucket of commits, and whom the last one answered.
#[derive(Debug)]
pub struct CommitDelay {
    /// What the commits so far have taken of the time that each is given.
    owed: Duration,
    as_of: Instant,
    answered: HashSet<DeviceId>,
}

impl CommitDelay {
    /// Nothing was committed yet.
    pub fn new(now: Instant) -> Self {
        Self { owed: Duration::ZERO, as_of: now, answered: HashSet::new() }
    }

    /// How long the next commit waits, unless a command hurries: at most [`COMMIT_EVERY`].
    pub fn wait(&self, now: Instant) -> Duration {
        (self.owed(now) + COMMIT_EVERY).saturating_sub(COMMITS_AT_ONCE)
    }

    /// Whether a command is not to wait. A device that writes again as soon as it was answered has waited for that: to wait
    /// for others would slow it down, and they come no sooner. What is not of a person is rare.
    pub fn hurries(&self, who: Option<Who>) -> bool {
        who.is_none_or(|it| self.answered.contains(&it.device))
    }

    /// A commit begins, with the commands of these. One in a hurry is counted too, but makes nobody wait for longer.
    pub fn begin(&mut self, who: impl Iterator<Item = Option<Who>>, now: Instant) {
        self.owed = (self.owed(now) + COMMIT_EVERY).min(COMMITS_AT_ONCE);
        self.as_of = now;
        self.answered = who.flatten().map(|it| it.device).collect();
    }

    fn owed(&self, now: Instant) -> Duration {
        self.owed.saturating_sub(now.saturating_duration_since(self.as_of))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::iter;

    use circles_protocol::PersonId;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A device that nobody knows.
    pub fn somebody() -> Who {
        Who { person: PersonId::new(), device: DeviceId::new() }
    }

    /// How many commits are made in a second in which a command of somebody else comes every so often.
    fn commits(every: Duration) -> u32 {
        let begun = Instant::now();
        let mut delay = CommitDelay::new(begun);
        let (mut commits, mut now, mut ready) = (0, begun, None);
        while now < begun + 1_000 * MS {
            if ready.is_none() {
                ready = Some(now + delay.wait(now));
            }
            if ready.is_some_and(|it| it <= now) {
                delay.begin(iter::once(Some(somebody())), now);
                commits += 1;
                ready = None;
            }
            now += every;
        }
        commits
    }

    #[test]
    fn few_commits_wait_for_nothing_and_many_come_in_turn() {
        assert_eq!(commits(25 * MS), 40, "each has its own");
        let sustained = commits(MS);
        let saved_up = u32::try_from(COMMITS_AT_ONCE.as_millis() / COMMIT_EVERY.as_millis()).expect("few");
        assert!((50..=50 + saved_up).contains(&sustained), "{sustained}");
    }

    #[test]
    fn nobody_waits_for_longer_than_one_turn_and_not_after_a_pause() {
        let now = Instant::now();
        let mut delay = CommitDelay::new(now);
        for _ in 0..10_000 {
            delay.begin(iter::empty(), now);
        }
        assert_eq!(delay.wait(now), COMMIT_EVERY);
        assert_eq!(delay.wait(now + COMMIT_EVERY), Duration::ZERO);
        assert_eq!(delay.wait(now - MS), COMMIT_EVERY, "also if the clock goes back");
    }

    #[test]
    fn who_was_answered_just_now_hurries_and_so_does_what_is_of_nobody() {
        let now = Instant::now();
        let mut delay = CommitDelay::new(now);
        let (one, other) = (Some(somebody()), Some(somebody()));
        assert!(!delay.hurries(one) && delay.hurries(None));
        delay.begin([one, None].into_iter(), now);
        assert!(delay.hurries(one) && !delay.hurries(other));
        delay.begin(iter::once(other), now);
        assert!(!delay.hurries(one) && delay.hurries(other));
    }
}
