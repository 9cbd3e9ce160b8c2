//! How often one person or address may ask (design section 8).

use std::{hash::Hash, net::IpAddr, num::NonZeroU32};

use circles_protocol::{Code, PersonId};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};

use crate::{
    failure::Failure,
    limits::{RATE_KEYS_MAX, TYPING_BURST, TYPING_PER_SECOND},
    settings::Settings,
};

/// The relay's rate limiters.
pub struct Rates {
    writes: DefaultKeyedRateLimiter<PersonId>,
    reads: DefaultKeyedRateLimiter<PersonId>,
    typing: DefaultKeyedRateLimiter<PersonId>,
    joins: DefaultKeyedRateLimiter<IpAddr>,
}

impl Rates {
    /// Limits by the settings; zero counts as one.
    pub fn new(settings: &Settings) -> Self {
        Self {
            writes: RateLimiter::dashmap(quota(settings.writes_per_second, settings.writes_burst)),
            reads: RateLimiter::dashmap(quota(settings.reads_per_second, settings.reads_burst)),
            typing: RateLimiter::dashmap(quota(TYPING_PER_SECOND, TYPING_BURST)),
            joins: RateLimiter::dashmap(quota(settings.joins_per_second, settings.joins_burst)),
        }
    }

    /// A person changes something.
    pub fn write(&self, person: PersonId) -> Result<(), Failure> {
        check(&self.writes, &person)
    }

    /// A person reads something.
    pub fn read(&self, person: PersonId) -> Result<(), Failure> {
        check(&self.reads, &person)
    }

    /// A person says that they type.
    pub fn typing(&self, person: PersonId) -> Result<(), Failure> {
        check(&self.typing, &person)
    }

    /// Someone tries an invite.
    pub fn join(&self, address: IpAddr) -> Result<(), Failure> {
        check(&self.joins, &address)
    }
}

fn quota(per_second: u32, burst: u32) -> Quota {
    let at_least_one = |value| NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst))
}

fn check<K: Clone + Eq + Hash>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), Failure> {
    if limiter.len() > RATE_KEYS_MAX {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|not_until| {
        let wait = not_until.wait_time_from(limiter.clock().now());
        let seconds = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
        Failure { retry_after_s: Some(seconds), ..Failure::of(Code::RateLimited) }
    })
}
