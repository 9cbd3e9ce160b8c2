//! The screen goes first: while the interface takes in what it was just given, filling gaps and the search's index wait a
//! moment. To store changes meanwhile slows the rows down that a person waits for, also on a processor of its own. Pure
//! logic, as of times that come from outside.

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
    /// The page is at work until then on a place that the person went to.
    opens_until: Option<Instant>,
    /// And until then on what was told meanwhile.
    renews_until: Option<Instant>,
    /// Of the latter it is waited for as long as this.
    renews_granted: Option<Instant>,
    /// Since when that was granted, and how much in all.
    since: Option<Instant>,
    granted: Duration,
}

impl Screen {
    /// The page was given something to show: a place that the person went to, or what it shows anew.
    pub fn given(&self, now: Instant, opens: bool) {
        self.state(|it| *if opens { &mut it.opens_until } else { &mut it.renews_until } = Some(now + SCREEN_TAKES));
    }

    /// How long to wait for the page, whoever asks. For what is shown anew, which filling itself brings about, that is
    /// [`SCREEN_WAITS_MAX`] in all at the most, or all that was missed would come late.
    pub fn wait(&self, now: Instant) -> Duration {
        self.state(|it| {
            if it.since.is_some_and(|since| now.saturating_duration_since(since) > SCREEN_REFILLED_AFTER) {
                (it.since, it.granted) = (None, Duration::ZERO);
            }
            let waits_until = it.opens_until.max(it.renews_granted).map_or(now, |it| it.max(now));
            let renews = it.renews_until.map_or(Duration::ZERO, |it| it.saturating_duration_since(waits_until));
            let renews = renews.min(SCREEN_WAITS_MAX.saturating_sub(it.granted));
            if !renews.is_zero() {
                it.since.get_or_insert(now);
                it.granted += renews;
                it.renews_granted = Some(waits_until + renews);
            }
            waits_until + renews - now
        })
    }

    /// How long the page is still at work on a place that the person went to.
    pub fn opens(&self, now: Instant) -> Duration {
        self.state(|it| it.opens_until.map_or(Duration::ZERO, |it| it.saturating_duration_since(now)))
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
        screen.given(start, false);
        let half = SCREEN_TAKES / 2;
        assert_eq!((screen.wait(start + half), screen.wait(start + half)), (half, half), "whoever asks");
        assert_eq!(screen.wait(start + SCREEN_TAKES), Duration::ZERO);
        let mut waited = half;
        let mut at = start;
        for _ in 1..20 {
            at += SCREEN_TAKES;
            screen.given(at, false);
            waited += screen.wait(at);
        }
        assert_eq!(waited, SCREEN_WAITS_MAX, "in one go");
        screen.given(at, true);
        assert_eq!((screen.wait(at), screen.opens(at)), (SCREEN_TAKES, SCREEN_TAKES), "for the person");
        let later = start + SCREEN_REFILLED_AFTER * 2;
        screen.given(later, false);
        assert_eq!((screen.wait(later), screen.opens(later)), (SCREEN_TAKES, Duration::ZERO), "another time");
    }
}
