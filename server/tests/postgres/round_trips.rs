//! How often a message waits for a database that is far away.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "../common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use circles_relay::Settings;
use circles_test_servers::Postgres;
use common::{TestRelay, quick};

use crate::wire::Wire;

/// How long an answer of the database is on its way.
const FAR: Duration = Duration::from_millis(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_message_waits_three_times_for_the_database() {
    let wire = Wire::to(&Postgres::shared().unwrap().database().unwrap(), FAR).await;
    let relay = TestRelay::with(Settings { database: Some(wire.url), database_connections: 2, ..quick() }).await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    let mut shortest = Duration::MAX;
    // The first ones prepare their statements; and a computer may be busy for a while.
    for n in 0..30 {
        if shortest < 4 * FAR {
            break;
        }
        let begun = Instant::now();
        ada.post(general, &format!("message {n}")).await;
        shortest = shortest.min(begun.elapsed());
    }
    // For what it looks at, for what it writes, for the commit.
    assert!(shortest >= 3 * FAR, "the database is not that far away: {shortest:?}");
    assert!(shortest < 4 * FAR, "it waited more than three times: {shortest:?}");
    relay.stop().await;
}
