//! How often one person or address may ask (design section 8), and over how many instances that holds.
//!
//! Each instance counts for itself and answers at once. Several tell each other what was used up, a few times a second, and
//! count that too: so a person has one allowance, and nobody waits for Redis to be let in. Without Redis it is one for each
//! instance.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
};

use circles_protocol::{Code, PersonId};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use serde::{Deserialize, Serialize};

use crate::{
    failure::Failure,
    limits::{RATE_KEYS_MAX, SPENT_KEYS_MAX, TYPING_BURST, TYPING_PER_SECOND},
    settings::Settings,
};

/// The relay's rate limiters.
pub struct Rates {
    writes: Rate<PersonId>,
    reads: Rate<PersonId>,
    typing: Rate<PersonId>,
    joins: Rate<IpAddr>,
}

/// How often was asked, and allowed, since that was last told.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    writes: HashMap<PersonId, u32>,
    reads: HashMap<PersonId, u32>,
    typing: HashMap<PersonId, u32>,
    joins: HashMap<IpAddr, u32>,
}

impl Spent {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Rates {
    /// Limits by the settings; zero counts as one.
    pub fn new(settings: &Settings) -> Self {
        let is_told = settings.redis.is_some();
        Self {
            writes: Rate::new(settings.writes_per_second, settings.writes_burst, is_told),
            reads: Rate::new(settings.reads_per_second, settings.reads_burst, is_told),
            typing: Rate::new(TYPING_PER_SECOND, TYPING_BURST, is_told),
            joins: Rate::new(settings.joins_per_second, settings.joins_burst, is_told),
        }
    }

    /// A person changes something.
    pub fn write(&self, person: PersonId) -> Result<(), Failure> {
        self.writes.check(person)
    }

    /// A person reads something.
    pub fn read(&self, person: PersonId) -> Result<(), Failure> {
        self.reads.check(person)
    }

    /// A person says that they type.
    pub fn typing(&self, person: PersonId) -> Result<(), Failure> {
        self.typing.check(person)
    }

    /// Someone tries an invite.
    pub fn join(&self, address: IpAddr) -> Result<(), Failure> {
        self.joins.check(address)
    }

    /// What was used up here since this was last asked, for the other instances; none if nothing was.
    pub fn spent(&self) -> Option<Spent> {
        let spent = Spent {
            writes: self.writes.take(),
            reads: self.reads.take(),
            typing: self.typing.take(),
            joins: self.joins.take(),
        };
        (!spent.is_nothing()).then_some(spent)
    }

    /// Counts what was used up at another instance.
    pub fn charge(&self, spent: &Spent) {
        self.writes.charge(&spent.writes);
        self.reads.charge(&spent.reads);
        self.typing.charge(&spent.typing);
        self.joins.charge(&spent.joins);
    }
}

/// One limit, for each key.
struct Rate<K: Clone + Eq + Hash> {
    limiter: DefaultKeyedRateLimiter<K>,
    /// If others are told: what was used up and they do not know of.
    spent: Option<Mutex<HashMap<K, u32>>>,
}

impl<K: Clone + Eq + Hash> Rate<K> {
    fn new(per_second: u32, burst: u32, is_told: bool) -> Self {
        let at_least_one = |value| NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst));
        Self { limiter: RateLimiter::dashmap(quota), spent: is_told.then(Mutex::default) }
    }

    fn check(&self, key: K) -> Result<(), Failure> {
        if self.limiter.len() > RATE_KEYS_MAX {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&key).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.limiter.clock().now());
            let seconds = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
            Failure { retry_after_s: Some(seconds), ..Failure::of(Code::RateLimited) }
        })?;
        if let Some(spent) = &self.spent {
            let mut spent = spent.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody asks for it while Redis is away.
            if spent.len() >= SPENT_KEYS_MAX {
                spent.clear();
            }
            *spent.entry(key).or_default() += 1;
        }
        Ok(())
    }

    fn take(&self) -> HashMap<K, u32> {
        let taken =
            self.spent.as_ref().map(|it| std::mem::take(&mut *it.lock().unwrap_or_else(PoisonError::into_inner)));
        taken.unwrap_or_default()
    }

    fn charge(&self, spent: &HashMap<K, u32>) {
        for (key, times) in spent {
            // Ends at the burst: beyond it nothing is left to be used up.
            for _ in 0..*times {
                if self.limiter.check_key(key).is_err() {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(redis: Option<&str>) -> Rates {
        let redis = redis.map(str::to_owned);
        Rates::new(&Settings { redis, writes_per_second: 1, writes_burst: 4, ..Settings::default() })
    }

    #[test]
    fn what_is_used_up_at_one_instance_is_used_up_at_the_others_once() {
        let (here, there, person) = (rates(Some("redis://there")), rates(Some("redis://there")), PersonId::new());
        for _ in 0..3 {
            here.write(person).expect("within the burst");
        }
        let told = here.spent().expect("something was");
        assert_eq!(here.spent(), None, "once");
        there.charge(&told);
        assert_eq!(there.spent(), None, "what others used up is not told again");
        there.write(person).expect("the last of the burst");
        assert!(there.write(person).is_err());
        assert!(there.write(PersonId::new()).is_ok(), "of that person alone");
        let more = Spent { writes: HashMap::from([(person, u32::MAX)]), ..Spent::default() };
        here.charge(&more);
        assert!(here.write(person).is_err(), "and whatever is told ends at the burst");
    }

    #[test]
    fn alone_nothing_is_kept_for_others() {
        let rates = rates(None);
        rates.write(PersonId::new()).expect("within the burst");
        assert_eq!(rates.spent(), None);
    }
}
