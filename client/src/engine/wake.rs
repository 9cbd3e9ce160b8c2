//! Sleep: the wall clock goes on while the computer sleeps and the monotonic clock does not (design section 6). For a program
//! that was stopped alone both go on, and it finds itself late.

use std::time::Instant;

use super::Engine;
use crate::limits::{CLOCK_CHECK, CLOCK_JUMP};

impl Engine {
    /// Connects anew after a sleep or a stop: the socket from before may be dead without saying so.
    pub(super) async fn watch_clocks(self) {
        let mut before = (Instant::now(), self.now().0);
        loop {
            tokio::time::sleep(CLOCK_CHECK).await;
            let after = (Instant::now(), self.now().0);
            let monotonic_ms = after.0.duration_since(before.0).as_millis();
            if jumped(monotonic_ms, after.1 - before.1) || stopped(monotonic_ms) {
                tracing::info!("the clock jumped: connecting anew");
                self.reconnect();
            }
            before = after;
        }
    }
}

/// Whether the wall clock went further than the monotonic one. Setting the clock by hand counts too: it costs one
/// connection.
fn jumped(monotonic_ms: u128, wall_ms: i64) -> bool {
    let monotonic_ms = i64::try_from(monotonic_ms).unwrap_or(i64::MAX);
    u128::from(wall_ms.abs_diff(monotonic_ms)) > CLOCK_JUMP.as_millis()
}

/// Whether this check is so late that the program cannot have run meanwhile.
fn stopped(monotonic_ms: u128) -> bool {
    monotonic_ms > (CLOCK_CHECK + CLOCK_JUMP).as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_told_from_a_busy_computer() {
        assert!(!jumped(500, 510));
        assert!(!jumped(2_000, 2_200));
        assert!(jumped(500, 3_600_500));
        assert!(jumped(500, -600_000));
    }

    #[test]
    fn a_stop_is_told_from_a_busy_computer() {
        assert!(!stopped(500));
        assert!(!stopped(2_000));
        assert!(stopped(10_000));
    }
}
