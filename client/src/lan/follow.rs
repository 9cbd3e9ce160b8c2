//! Following a relay that moves.

use std::{collections::BTreeSet, sync::Arc};

use circles_lan::Sightings;
use tokio::time::timeout;

use super::Route;
use crate::limits::LOOK_ANEW_EVERY;

/// Learns each address that is announced for a relay, and calls `moved` when it is no longer where it was. While one is not
/// `online`, the network is asked for it again and again. Never returns.
pub async fn follow(route: Arc<Route>, mut sightings: Sightings, online: impl Fn() -> bool, moved: impl Fn()) {
    let mut before = BTreeSet::new();
    loop {
        let now = sightings.of(&route.key());
        if now != before {
            route.learn(now.iter().copied());
            // Announcements prove nothing: a connection that works is kept, whatever they say.
            let others: Vec<_> = now.iter().copied().filter(|it| Some(*it) != route.current()).collect();
            if !now.is_empty() && (!online() || (!others.is_empty() && route.has_left_for(others).await)) {
                moved();
            }
            before = now;
        }
        let news = timeout(LOOK_ANEW_EVERY, sightings.changed()).await;
        if news.is_err() && !online() {
            sightings.look_anew();
        }
    }
}
