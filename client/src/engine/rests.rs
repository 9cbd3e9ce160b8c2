//! Who waits after a failure, while the others go on: a circle to which nothing can be sent, or a scope that cannot be read.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    backoff::Backoff,
    limits::{FAILED_IN_A_ROW_MAX, RETRY_MAX},
};

/// Those that failed lately. Each has a back-off of its own.
pub struct Rests<K> {
    of: HashMap<K, Rest>,
    /// Different ones since the last success.
    in_a_row: HashSet<K>,
}

struct Rest {
    backoff: Backoff,
    until: Instant,
}

impl<K> Default for Rests<K> {
    fn default() -> Self {
        Self { of: HashMap::new(), in_a_row: HashSet::new() }
    }
}

impl<K: Copy + Eq + Hash> Rests<K> {
    /// One failed, and rests: for as long as its back-off says, and at least this long. False if so many different ones
    /// failed in a row that it is nobody's own fault: then all should wait.
    pub fn failed(&mut self, who: K, now: Instant, least: Duration) -> bool {
        // Whoever has not been tried for so long is gone: this is what bounds the list.
        self.of.retain(|other, it| *other == who || now < it.until + RETRY_MAX);
        let rest = self.of.entry(who).or_insert_with(|| Rest { backoff: Backoff::default(), until: now });
        rest.until = now + rest.backoff.next(rand::random()).max(least.min(RETRY_MAX));
        self.in_a_row.insert(who);
        if self.in_a_row.len() < FAILED_IN_A_ROW_MAX {
            return true;
        }
        self.in_a_row.clear();
        false
    }

    /// One succeeded.
    pub fn succeeded(&mut self, who: K) {
        self.of.remove(&who);
        self.in_a_row.clear();
    }

    /// Whether one still rests.
    pub fn rests(&self, who: K, now: Instant) -> bool {
        self.of.get(&who).is_some_and(|it| now < it.until)
    }

    /// Those that failed when they were tried last.
    pub fn all(&self) -> Vec<K> {
        self.of.keys().copied().collect()
    }

    /// Those of them that still rest.
    pub fn resting(&self, now: Instant) -> Vec<K> {
        self.of.iter().filter(|(_, it)| now < it.until).map(|(who, _)| *who).collect()
    }

    /// When the first is to be tried again of those that rested at a time: when it was asked last who rests, and not later, or
    /// one whose rest has ended since is never tried.
    pub fn first_until(&self, asked: Instant) -> Option<Instant> {
        self.of.values().map(|it| it.until).filter(|it| asked < *it).min()
    }

    /// Nobody rests any more, because what they waited for may be there.
    pub fn end(&mut self) {
        self.of.clear();
        self.in_a_row.clear();
    }
}

/// Returns at that time; never, if there is none.
pub async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_that_fails_rests_longer_each_time_and_no_other_does() {
        let (mut rests, begun) = (Rests::default(), Instant::now());
        let mut now = begun;
        for _ in 0..20 {
            rests.failed(1, now, Duration::ZERO);
            assert!(rests.rests(1, now) && !rests.rests(2, now));
            let until = rests.first_until(now).unwrap();
            assert!(until <= now + RETRY_MAX);
            assert!(!rests.rests(1, until) && rests.all() == [1]);
            now = until;
        }
        assert!(now > begun + RETRY_MAX, "it is not asked all the time");
        rests.succeeded(1);
        assert_eq!((rests.all(), rests.first_until(now)), (vec![], None));
    }

    #[test]
    fn it_is_nobodys_own_fault_if_several_fail_in_a_row() {
        let (mut rests, now) = (Rests::default(), Instant::now());
        let own: Vec<bool> = (0..FAILED_IN_A_ROW_MAX).map(|who| rests.failed(who, now, Duration::ZERO)).collect();
        assert_eq!(own.iter().filter(|it| !**it).count(), 1);
        assert_eq!(own.last(), Some(&false));
        rests.failed(0, now, Duration::ZERO);
        rests.succeeded(9);
        assert!(rests.failed(1, now, Duration::ZERO), "the row ended");
        assert!((0..9).all(|_| rests.failed(1, now, Duration::ZERO)), "that is its own");
    }

    proptest! {
        #[test]
        fn whoever_is_not_tried_again_is_forgotten(failures in prop::collection::vec((0..1_000_u32, 0..10_u64), 1..200)) {
            let (mut rests, mut now) = (Rests::default(), Instant::now());
            for (who, seconds) in failures {
                now += Duration::from_secs(seconds);
                rests.failed(who, now, Duration::ZERO);
                prop_assert!(rests.of.values().all(|it| now < it.until + RETRY_MAX));
            }
        }
    }
}
