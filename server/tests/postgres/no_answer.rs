//! Connections that are open, and on which nothing comes: an instance that was frozen, a database or a Redis that hangs.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::time::{Duration, Instant};

use circles_protocol::{
    CircleId, Code,
    api::{Circles, Me, MessagesPage, PostMessage, Receipt},
};
use circles_relay::Settings;
use circles_test_servers::{Postgres, Redis};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    instances::{
        at,
        common::{PATIENCE, Person, TestRelay, message, quick},
        live, with_redis,
    },
    wire::Wire,
};

/// What the writer says as it begins; behind that the campus is locked.
const LOCKS: &str = "FOR UPDATE";
/// What a reader says.
const READS: &str = "READ ONLY";
/// A relay gives a connection up after 10 s without an answer.
const GIVEN_UP: std::ops::Range<Duration> = Duration::from_secs(9)..Duration::from_secs(14);

/// Asks, and says how long the answer took.
async fn timed<T>(asked: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    (asked.await, begun.elapsed())
}

/// Posts a message, which is stored.
async fn post(person: &Person, circle: CircleId, it: &PostMessage) -> Receipt {
    person.ok(Method::POST, &format!("/v1/circles/{circle}/messages"), it).await
}

async fn refused(person: Person, circle: CircleId, it: PostMessage) -> Code {
    person.refused(Method::POST, &format!("/v1/circles/{circle}/messages"), it).await
}

async fn texts(person: &Person, circle: CircleId) -> Vec<String> {
    let page: MessagesPage = person.get(&format!("/v1/circles/{circle}/messages")).await;
    page.messages.into_iter().map(|it| it.text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_frozen_while_it_writes_holds_up_the_others_for_seconds() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let wire = Wire::to(&database, Duration::ZERO).await;
    let first = TestRelay::with(Settings { database: Some(database), ..quick() }).await;
    let over_the_wire = Settings { database: Some(wire.url.clone()), ..quick() };
    let frozen = TestRelay::at(TempDir::new().unwrap(), over_the_wire).await;
    let ada = first.owner("Ada").await;
    let bob = at(&frozen, &first.person("Bob").await);
    let general = ada.general().await;
    let from_bob = message("from the frozen one");

    let waiting = tokio::spawn(refused(bob.clone(), general, from_bob.clone()));
    wire.freeze_after(&[LOCKS]).await;
    let (_, took) = timed(ada.post(general, "from the other one")).await;
    assert!((Duration::from_secs(3)..Duration::from_secs(8)).contains(&took), "{took:?}");
    let (_, took) = timed(ada.post(general, "and once more")).await;
    assert!(took < Duration::from_secs(2), "{took:?}");

    wire.thaw();
    assert_eq!(waiting.await.unwrap(), Code::StoreUnavailable, "its transaction was undone");
    post(&bob, general, &from_bob).await;
    assert_eq!(texts(&ada, general).await, ["from the other one", "and once more", "from the frozen one"]);
    frozen.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_an_answer_is_given_up_and_the_next_one_is_used() {
    let wire = Wire::to(&Postgres::shared().unwrap().database().unwrap(), Duration::ZERO).await;
    // One that writes, one that reads.
    let settings = Settings { database: Some(wire.url.clone()), database_connections: 2, ..quick() };
    let relay = TestRelay::with(settings).await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    let before = ada.get::<Me>("/v1/me").await.cursor;

    let reading = ada.clone();
    let reading = tokio::spawn(async move { timed(reading.refused(Method::GET, "/v1/circles", ())).await });
    wire.freeze_after(&[READS]).await;
    let it = message("stored, and nobody said so");
    let writing = tokio::spawn(timed(refused(ada.clone(), general, it.clone())));
    wire.freeze_after(&[LOCKS, "COMMIT"]).await;
    for waiting in [reading, writing] {
        let (code, took) = waiting.await.unwrap();
        assert!(code == Code::StoreUnavailable && GIVEN_UP.contains(&took), "{code:?} after {took:?}");
    }

    let receipt = post(&ada, general, &it).await;
    assert_eq!(texts(&ada, general).await, [it.text.as_str()], "once");
    let mut events = ada.stream(Some(&before)).await;
    let seen = events.until_text(&it.text).await;
    assert_eq!(seen.last().unwrap().cursor.pos, receipt.pos);
    drop(events);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_connection_is_dead_the_others_are_not_waited_for() {
    let wire = Wire::to(&Postgres::shared().unwrap().database().unwrap(), Duration::ZERO).await;
    let relay = TestRelay::with(Settings { database: Some(wire.url.clone()), ..quick() }).await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    let read = || ada.get::<Circles>("/v1/circles");
    // All readers are there.
    futures::future::join_all((0..32).map(|_| read())).await;

    wire.freeze("");
    let (code, took) = timed(ada.refused(Method::GET, "/v1/circles", ())).await;
    assert!(code == Code::StoreUnavailable && GIVEN_UP.contains(&took), "{code:?} after {took:?}");
    for _ in 0..2 * relay.settings().database_connections {
        let (_, took) = timed(read()).await;
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    // The writer may have begun to wait later, for what it writes by itself.
    let (_, took) = timed(ada.post(general, "and the writer")).await;
    assert!(took < GIVEN_UP.end, "{took:?}");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_subscription_in_redis_is_dead_makes_another() {
    let redis = Redis::start().unwrap();
    let wire = Wire::to(&redis.url(), Duration::ZERO).await;
    let first = TestRelay::with(with_redis(&redis)).await;
    let second = first.beside_with(Settings { redis: Some(wire.url.clone()), ..quick() }).await;
    let (ada, bob) = (first.owner("Ada").await, at(&second, &first.person("Bob").await));
    let general = ada.general().await;
    let mut bobs = live(&bob).await;
    for frozen in [false, true] {
        if frozen {
            wire.freeze("SUBSCRIBE");
        }
        // Both write, again and again, until Bob's instance has heard of Ada.
        let typing = async {
            loop {
                for person in [&ada, &bob] {
                    let path = format!("/v1/circles/{general}/typing");
                    person.ok::<()>(Method::POST, &path, json!({ "on": true })).await;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let heard = async {
            loop {
                let (name, data) = bobs.next_passing().await.unwrap();
                if name == "typing" && data["person_id"] == json!(ada.id()) {
                    break;
                }
            }
        };
        tokio::select! {
            () = typing => {}
            heard = tokio::time::timeout(2 * PATIENCE, heard) => heard.expect("Bob sees that Ada types"),
        }
    }
    drop(bobs);
    second.stop().await;
    first.stop().await;
}
