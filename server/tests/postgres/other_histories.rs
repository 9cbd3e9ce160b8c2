//! The database or Redis hold another history than an instance knows.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::time::{Duration, Instant};

use circles_protocol::{Code, api::Me};
use circles_test_servers::{Postgres, Redis};
use reqwest::Method;

use super::instances::{
    Scene, at,
    common::{TestRelay, execute, message, quick},
    live, with_redis,
};

/// How often instances asked Redis for what is new.
fn reads(redis: &Redis) -> u64 {
    let stats = redis.command(&["INFO", "commandstats"]).unwrap();
    let line = stats.lines().find_map(|it| it.strip_prefix("cmdstat_xread:calls=")).unwrap();
    line.split(',').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_history_before_left_in_redis_keeps_nobody_busy_and_goes_with_the_next_message() {
    let redis = Redis::start().unwrap();
    let mut scene = Scene::open(with_redis(&redis)).await;
    scene.passes("first").await;
    let key = redis.command(&["KEYS", "circles:*:log"]).unwrap();
    redis.command(&["XADD", &key, "9000000-0", "epoch", "earlier", "scope", "campus"]).unwrap();
    let before = reads(&redis);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = reads(&redis) - before;
    assert!(asked < 20, "{asked} times in a second");
    scene.passes("after a restore").await;
    let mut n = 0;
    while scene.passes(&format!("afterwards {n}")).await.1 >= Duration::from_millis(200) {
        n += 1;
        assert!(n < 10, "Redis is not used again");
    }
    scene.close().await;
}

/// A relay under which the database is changed like that; it says so and ends. What is there afterwards is of another epoch.
async fn ends_when(sql: &str, writes: bool) {
    let database = Postgres::shared().unwrap().database().unwrap();
    let relay = TestRelay::with(circles_relay::Settings { database: Some(database.clone()), ..quick() }).await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    ada.post(general, "before").await;
    let mut events = live(&ada).await;
    let before = ada.get::<Me>("/v1/me").await.cursor.epoch;
    execute(&database, sql).await;
    if writes {
        let path = format!("/v1/circles/{general}/messages");
        assert_eq!(ada.refused(Method::POST, &path, message("into another history")).await, Code::StoreUnavailable);
    }
    let begun = Instant::now();
    let bye = events.until(|it| it.name == "bye").await.pop().unwrap();
    assert_eq!(bye.data["reason"], "shutdown");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let error = relay.ends().await;
    assert!(error.contains("another history"), "{error}");
    let again = TestRelay::with(circles_relay::Settings { database: Some(database), ..quick() }).await;
    assert_ne!(at(&again, &ada).get::<Me>("/v1/me").await.cursor.epoch, before);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_ends_when_the_database_was_restored_under_it() {
    ends_when("UPDATE campus SET epoch = 'restored'", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_writes_nothing_into_another_history() {
    ends_when("UPDATE campus SET epoch = 'restored'", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_lost_what_it_had_is_another_history_from_then_on() {
    ends_when("UPDATE campus SET head = head - 1", false).await;
    ends_when("UPDATE campus SET head = head - 1", true).await;
}
