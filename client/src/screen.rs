//! The screen goes first: while the interface takes in what it was just given, filling gaps waits a moment. To store changes
//! meanwhile slows the rows down that a person waits for, also on a processor of its own. Pure logic, as of times that come
//! from outside.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::limits::{SCREEN_REFILLED_AFTER, SCREEN_TAKES, SCREEN_WAITS_MAX};

/// When the page was last given something to show, and how long it was waited for.
#[derive(Debug, Default)]
pub struct Screen(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The page is at work until then.
    until: Option<Instant>,
    /// Since when it was waited for, and how long in all.
    since: Option<Instant>,
    waited: Duration,
}

impl Screen {
    /// The page was given something to show.
    pub fn given(&self, now: Instant) {
        self.state(|it| it.until = Some(now + SCREEN_TAKES));
    }

    /// How long to wait for the page: it is waited for [`SCREEN_WAITS_MAX`] at the most, or all that was missed would come
    /// late.
    pub fn wait(&self, now: Instant) -> Duration {
        self.state(|it| {
            if it.since.is_none_or(|since| now.saturating_duration_since(since) > SCREEN_REFILLED_AFTER) {
                (it.since, it.waited) = (None, Duration::ZERO);
            }
            let left = it.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
            let wait = left.min(SCREEN_WAITS_MAX.saturating_sub(it.waited));
            if !wait.is_zero() {
                it.since.get_or_insert(now);
                it.waited += wait;
            }
            wait
        })
    }

    fn state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_waited_for_until_it_is_done_and_not_for_ever() {
        let screen = Screen::default();
        let start = Instant::now();
        assert_eq!(screen.wait(start), Duration::ZERO, "nothing was shown");
        screen.given(start);
        let half = SCREEN_TAKES / 2;
        assert_eq!(screen.wait(start + half), half);
        assert_eq!(screen.wait(start + SCREEN_TAKES), Duration::ZERO);
        let mut waited = half;
        for n in 1..20 {
            let at = start + SCREEN_TAKES * n;
            screen.given(at);
            waited += screen.wait(at);
        }
        assert_eq!(waited, SCREEN_WAITS_MAX, "in one go");
        let later = start + SCREEN_REFILLED_AFTER * 2;
        screen.given(later);
        assert_eq!(screen.wait(later), SCREEN_TAKES, "another time");
    }
}
