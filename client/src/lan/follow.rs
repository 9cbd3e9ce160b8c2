//! Following a relay that moves.

use std::{collections::BTreeSet, sync::Arc};

use circles_lan::Sightings;

use super::Route;

/// Learns each address that is announced for a relay, and calls `moved` when it is no longer where it was. Never returns.
pub async fn follow(route: Arc<Route>, mut sightings: Sightings, online: impl Fn() -> bool, moved: impl Fn()) {
    let mut before = BTreeSet::new();
    loop {
        let now = sightings.of(&route.key());
        if now != before {
            route.learn(now.iter().copied());
            // Announcements prove nothing: a connection that works is kept, whatever they say.
            let elsewhere = !route.current().is_some_and(|it| now.contains(&it));
            if !now.is_empty() && (!online() || (elsewhere && !route.answers().await)) {
                moved();
            }
            before = now;
        }
        sightings.changed().await;
    }
}
