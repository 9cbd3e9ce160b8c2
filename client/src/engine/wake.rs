//! Sleep: the wall clock goes on while the computer sleeps and the monotonic clock does not (design section 6).

use std::time::Instant;

use super::Engine;
use crate::limits::{CLOCK_CHECK, CLOCK_JUMP};

impl Engine {
    /// Connects anew when the clocks have jumped apart: the socket from before the sleep may be dead without saying so.
    pub(super) async fn watch_clocks(self) {
        let mut before = (Instant::now(), self.now().0);
        loop {
            tokio::time::sleep(CLOCK_CHECK).await;
            let after = (Instant::now(), self.now().0);
            if jumped(after.0.duration_since(before.0).as_millis(), after.1 - before.1) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_told_from_a_busy_computer() {
        assert!(!jumped(3_000, 3_010));
        assert!(!jumped(60_000, 60_200));
        assert!(jumped(3_000, 3_603_000));
        assert!(jumped(3_000, -600_000));
    }
}
