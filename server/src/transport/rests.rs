//! Rests: when a change woke many streams, what follows it in the same scope waits a moment and goes out together. A write
//! to each of 1,000 sockets is what a message in a lively circle costs, not its bytes. What comes after a rest goes out at
//! once, and small circles never rest. Pure logic, as of times that come from outside.

use std::{collections::BTreeMap, time::Duration};

use circles_protocol::Scope;
use tokio::time::Instant;

use crate::limits::{REST_MAX, REST_MIN};

/// The scopes whose streams rest.
#[derive(Debug)]
pub struct Rests {
    /// For each stream that was woken.
    each: Duration,
    of: BTreeMap<Scope, Rest>,
}

#[derive(Debug)]
struct Rest {
    until: Instant,
    /// Something came meanwhile.
    is_awaited: bool,
}

impl Rests {
    /// Rests that take so long for each stream, within their limits.
    pub fn new(each: Duration) -> Self {
        Self { each, of: BTreeMap::new() }
    }

    /// Whether the streams of a scope rest; then they are to be woken when that is over.
    pub fn hold(&mut self, scope: Scope) -> bool {
        let rest = self.of.get_mut(&scope);
        rest.map(|it| it.is_awaited = true).is_some()
    }

    /// That many streams of a scope were woken. Whether they rest now.
    pub fn begin(&mut self, scope: Scope, streams: usize, now: Instant) -> bool {
        let rest = self.each.saturating_mul(u32::try_from(streams).unwrap_or(u32::MAX)).min(REST_MAX);
        let rests = rest >= REST_MIN;
        if rests {
            self.of.insert(scope, Rest { until: now + rest, is_awaited: false });
        }
        rests
    }

    /// Ends the rests that are over; the scopes whose streams are to be woken.
    pub fn over(&mut self, now: Instant) -> Vec<Scope> {
        let over = self.of.extract_if(.., |_, it| it.until <= now);
        over.filter(|(_, it)| it.is_awaited).map(|(scope, _)| scope).collect()
    }

    /// When the next rest is over.
    pub fn next(&self) -> Option<Instant> {
        self.of.values().map(|it| it.until).min()
    }
}

#[cfg(test)]
mod tests {
    use circles_protocol::CircleId;

    use super::*;

    #[test]
    fn what_follows_a_change_for_many_waits_and_what_follows_one_for_few_does_not() {
        let mut rests = Rests::new(Duration::from_micros(40));
        let (few, many, more) = (CircleId::new(), CircleId::new(), CircleId::new());
        let (few, many, more) = (Scope::Circle(few), Scope::Circle(many), Scope::Circle(more));
        let now = Instant::now();
        assert!(!rests.begin(few, 20, now));
        assert!(rests.begin(many, 250, now) && rests.begin(more, 100_000, now));
        assert!(!rests.hold(few) && rests.hold(more) && rests.hold(more));
        assert_eq!(rests.next(), Some(now + Duration::from_millis(10)));
        assert_eq!(rests.over(now + Duration::from_millis(9)), []);
        assert_eq!(rests.over(now + Duration::from_millis(10)), [], "nothing came meanwhile");
        assert!(!rests.hold(many), "and what comes later goes out at once");
        assert_eq!(rests.next(), Some(now + REST_MAX));
        assert_eq!(rests.over(now + REST_MAX), [more]);
        assert_eq!(rests.next(), None);
    }
}
