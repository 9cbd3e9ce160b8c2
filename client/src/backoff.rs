//! How long to wait between attempts: at once, then 0.5, 1, 2, 4 … 30 s, each with jitter (design section 6).

use std::time::Duration;

use crate::limits::{RETRY_FIRST, RETRY_MAX};

/// Counts failed attempts.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait before the next attempt. `jitter` is from 0 to 1 and takes off up to half, so that the clients of a relay
    /// that restarts do not come back in step.
    pub fn next(&mut self, jitter: f64) -> Duration {
        let doubled = RETRY_FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        doubled.min(RETRY_MAX).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
    }

    /// An attempt succeeded.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_grow_and_stay_bounded(jitter in 0.0..=1.0_f64, attempts in 1..200_u32) {
            let mut backoff = Backoff::default();
            let waits: Vec<_> = (0..attempts).map(|_| backoff.next(jitter)).collect();
            prop_assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!(waits.iter().all(|wait| *wait >= RETRY_FIRST / 2 && *wait <= RETRY_MAX));
            backoff.reset();
            prop_assert_eq!(backoff.next(jitter), waits[0]);
        }
    }
}
