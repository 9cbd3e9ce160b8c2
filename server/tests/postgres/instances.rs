//! Several instances on one database: with Redis, without it, and with a Redis that loses everything.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "../common/mod.rs"]
pub mod common;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use circles_protocol::{CircleId, CircleKind, Code, api::Me};
use circles_relay::{Relay, Settings};
use circles_test_servers::{Postgres, Redis, Sentinel};
use common::{Event, Events, PATIENCE, Person, TestRelay, execute, message, problem, quick};
use reqwest::Method;
use serde_json::json;

/// How long a message may take without Redis: the head is looked at every 2 s.
const BY_HEAD_CHECK: Duration = Duration::from_secs(4);
/// How long it may take with Redis: well under the head check, so that it cannot have been that.
const BY_REDIS: Duration = Duration::from_millis(1_500);

/// The same person at another instance.
pub fn at(relay: &TestRelay, person: &Person) -> Person {
    Person { url: relay.url.clone(), ..person.clone() }
}

pub fn with_redis(redis: &Redis) -> Settings {
    Settings { redis: Some(redis.url()), ..quick() }
}

pub async fn live(person: &Person) -> Events {
    let mut events = person.stream(Some(&person.get::<Me>("/v1/me").await.cursor)).await;
    events.until(|it| it.name == "ping").await;
    events
}

/// Two instances; Ada is at the first and writes in General, Bob is at the second and listens.
pub struct Scene {
    first: TestRelay,
    second: TestRelay,
    pub ada: Person,
    general: CircleId,
    bobs: Events,
}

impl Scene {
    pub async fn open(settings: Settings) -> Self {
        let first = TestRelay::with(settings.clone()).await;
        let second = first.beside_with(settings).await;
        let (ada, bob) = (first.owner("Ada").await, at(&second, &first.person("Bob").await));
        let (general, bobs) = (ada.general().await, live(&bob).await);
        Self { first, second, ada, general, bobs }
    }

    /// Ada writes, and Bob sees it; what he saw until then, and how long it took.
    pub async fn passes(&mut self, text: &str) -> (Vec<Event>, Duration) {
        let begun = Instant::now();
        self.ada.post(self.general, text).await;
        (self.bobs.until_text(text).await, begun.elapsed())
    }

    pub async fn close(self) {
        drop(self.bobs);
        self.second.stop().await;
        self.first.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_together_make_one_campus_and_one_first_invite() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let open = (0..6).map(|_| Relay::open(Settings { database: Some(database.clone()), ..quick() }));
    let relays: Vec<Relay> = futures::future::join_all(open).await.into_iter().map(Result::unwrap).collect();
    let campuses: BTreeSet<String> = relays.iter().map(|it| it.campus().0.to_string()).collect();
    assert_eq!(campuses.len(), 1);
    assert_eq!(relays.iter().filter(|it| it.first_invite().is_some()).count(), 1);
    for relay in relays {
        relay.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_the_streams_of_another_instance_without_redis() {
    let mut scene = Scene::open(quick()).await;
    let (_, took) = scene.passes("hello").await;
    assert!(took < BY_HEAD_CHECK, "{took:?}");
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_redis_it_takes_a_moment_and_a_lost_redis_loses_nothing() {
    let redis = Redis::start().unwrap();
    let mut scene = Scene::open(with_redis(&redis)).await;
    // The readers need a moment to be there.
    scene.passes("first").await;
    let (_, took) = scene.passes("by redis").await;
    assert!(took < BY_REDIS, "{took:?}");

    redis.command(&["FLUSHALL"]).unwrap();
    scene.passes("after it was emptied").await;
    redis.kill().unwrap();
    scene.passes("while it is dead").await;
    redis.restart().unwrap();
    scene.passes("once it is back").await;
    // It heals by itself: before long it is fast again.
    let mut n = 0;
    while scene.passes(&format!("after it came back {n}")).await.1 >= Duration::from_millis(200) {
        n += 1;
        assert!(n < 10, "Redis is not used again");
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_redis_that_lost_its_tail_or_went_back_in_time_is_mended() {
    let redis = Redis::start().unwrap();
    let mut scene = Scene::open(with_redis(&redis)).await;
    scene.passes("first").await;
    let key = redis.command(&["KEYS", "circles:*:log"]).unwrap();
    for n in 0..20 {
        scene.passes(&format!("before {n}")).await;
        // The newest entries vanish, as after a failover to a replica that lagged.
        let ids = redis.command(&["XREVRANGE", &key, "+", "-", "COUNT", "3"]).unwrap();
        let gone: Vec<&str> = ids.lines().filter(|it| it.ends_with("-0")).collect();
        redis.command(&[&["XDEL", &key][..], &gone].concat()).unwrap();
        let (seen, _) = scene.passes(&format!("after {n}")).await;
        assert_eq!(seen.iter().filter(|it| it.name == "change").count(), 1, "once, and nothing before it again");
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_several_instances_write_at_once_is_one_dense_log_in_one_order_everywhere() {
    let redis = Redis::start().unwrap();
    let first = TestRelay::with(with_redis(&redis)).await;
    let second = first.beside_with(with_redis(&redis)).await;
    let third = first.beside().await;
    let ada = first.owner("Ada").await;
    let general = ada.general().await;
    let relays = [&first, &second, &third];
    let mut streams = Vec::new();
    for relay in relays {
        streams.push(live(&at(relay, &ada)).await);
    }
    let before = ada.get::<Me>("/v1/me").await.cursor.pos.get();
    let posts = (0..300).map(|n| {
        let ada = at(relays[n % 3], &ada);
        async move { ada.post(general, &n.to_string()).await }
    });
    let receipts = futures::future::join_all(posts).await;
    let seqs: BTreeSet<u64> = receipts.iter().map(|it| it.seq.get()).collect();
    assert_eq!(seqs, (1..=300).collect());
    for events in &mut streams {
        let mut positions = Vec::new();
        while positions.len() < 300 {
            let event = events.next().await.unwrap();
            if event.name == "change" {
                positions.push(event.cursor.pos.get());
            }
        }
        assert_eq!(positions, (before + 1..=before + 300).collect::<Vec<_>>());
    }
    drop(streams);
    third.stop().await;
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_write_in_turns_while_redis_is_slow_leave_no_hole_there() {
    let redis = Redis::start().unwrap();
    let mut scene = Scene::open(with_redis(&redis)).await;
    scene.passes("first").await;
    let there = at(&scene.second, &scene.ada);
    // What each instance has to append gathers meanwhile: every other position.
    redis.command(&["CLIENT", "PAUSE", "1000", "ALL"]).unwrap();
    for n in 0..30 {
        let writer = if n % 2 == 0 { &scene.ada } else { &there };
        writer.post(scene.general, &format!("in turns {n}")).await;
    }
    scene.bobs.until_text("in turns 29").await;
    let mut n = 0;
    while scene.passes(&format!("afterwards {n}")).await.1 >= Duration::from_millis(200) {
        n += 1;
        assert!(n < 10, "Redis is not used again");
    }
    let key = redis.command(&["KEYS", "circles:*:log"]).unwrap();
    let entries = redis.command(&["XRANGE", &key, "-", "+"]).unwrap();
    let positions: Vec<u64> =
        entries.lines().filter_map(|it| it.strip_suffix("-0")).filter_map(|it| it.parse().ok()).collect();
    assert!(positions.len() > 30, "{positions:?}");
    assert!(positions.windows(2).all(|it| it[1] == it[0] + 1), "{positions:?}");
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_waits_for_no_reader() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let settings = Settings { database: Some(database.clone()), database_connections: 3, ..quick() };
    let relay = TestRelay::with(settings).await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    let (client, connection) = tokio_postgres::connect(&database, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute("BEGIN; LOCK TABLE reaction IN ACCESS EXCLUSIVE MODE").await.unwrap();
    ada.post(general, "has no reactions").await;
    let path = format!("/v1/circles/{general}/messages");
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (ada, path) = (ada.clone(), path.clone());
            tokio::spawn(async move { ada.send(Method::GET, &path, None).await.status() })
        })
        .collect();
    // Until all connections that read do so, and others wait for one.
    // (What pg_stat_activity says stays the same within a transaction.)
    let busy = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'reaction'::regclass";
    let begun = Instant::now();
    while client.query_one(busy, &[]).await.unwrap().get::<_, i64>(0) < 2 {
        assert!(begun.elapsed() < BY_HEAD_CHECK, "nobody reads");
    }
    let begun = Instant::now();
    ada.post(general, "meanwhile").await;
    assert!(begun.elapsed() < BY_REDIS, "{:?}", begun.elapsed());
    client.batch_execute("ROLLBACK").await.unwrap();
    for reader in readers {
        assert!(reader.await.unwrap().is_success());
    }
    drop(client);
    connection.await.unwrap().unwrap();
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_a_revocation_and_an_invite_hold_on_all_instances_at_once() {
    hold_everywhere(quick(), BY_HEAD_CHECK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_redis_they_do_in_a_moment() {
    let redis = Redis::start().unwrap();
    hold_everywhere(with_redis(&redis), BY_REDIS).await;
}

/// A request is refused at once; an open stream at another instance learns of it within that time.
async fn hold_everywhere(settings: Settings, soon: Duration) {
    let first = TestRelay::with(settings.clone()).await;
    let second = first.beside_with(settings).await;
    let (ada, bob) = (first.owner("Ada").await, first.person("Bob").await);
    let secret = ada.create("Secret", CircleKind::Private).await;
    ada.ok::<serde_json::Value>(
        Method::POST,
        &format!("/v1/circles/{secret}/members"),
        json!({ "person_id": bob.id() }),
    )
    .await;
    let there = at(&second, &bob);
    there.post(secret, "I am in").await;
    let mut events = live(&there).await;
    let begun = Instant::now();
    ada.ok::<()>(Method::DELETE, &format!("/v1/circles/{secret}/members/{}", bob.id()), ()).await;
    let path = format!("/v1/circles/{secret}/messages");
    assert_eq!(there.refused(Method::POST, &path, message("still in?")).await, Code::NotMember);
    // Of what is written there afterwards the open stream at the other instance tells nothing.
    ada.post(secret, "without Bob").await;
    ada.post(ada.general().await, "still here").await;
    let seen = events.until_text("still here").await;
    println!("a removal holds for open streams at another instance after {:?} at the most", begun.elapsed());
    assert!(begun.elapsed() < soon, "{:?}", begun.elapsed());
    assert!(seen.iter().all(|it| it.data["entity"]["text"] != "without Bob"));
    // A device that is signed out at one instance loses its streams at the other.
    let begun = Instant::now();
    bob.ok::<()>(Method::DELETE, &format!("/v1/devices/{}", bob.joined.device_id), ()).await;
    let bye = events.until(|it| it.name == "bye").await.pop().unwrap();
    println!("a device that is signed out loses its streams at another instance after {:?}", begun.elapsed());
    assert!(begun.elapsed() < soon, "{:?}", begun.elapsed());
    assert_eq!(bye.data["reason"], "revoked");
    assert!(events.next().await.is_none());
    assert_eq!(there.refused(Method::GET, "/v1/me", ()).await, Code::Unauthorized);
    // An invite for one is used at one instance, and used up at the other.
    let code = first.relay.create_invite(circles_relay::NewInvite::OWNER).await.unwrap();
    second.join(&code, "Carol").await;
    let request = common::join_request(&code, "Dave");
    let response = first.http.post(format!("{}/v1/join", first.url)).json(&request).send().await.unwrap();
    assert_eq!(problem(response).await, Code::InviteUsedUp);
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_database_refuses_posts_and_keeps_streams_open() {
    let postgres = Postgres::start().unwrap();
    let relay = TestRelay::with(Settings { database: Some(postgres.database().unwrap()), ..quick() }).await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    let mut events = live(&ada).await;
    postgres.kill().unwrap();
    let path = format!("/v1/circles/{general}/messages");
    assert_eq!(ada.refused(Method::POST, &path, message("into the void")).await, Code::StoreUnavailable);
    postgres.restart().unwrap();
    let mut tries = 0;
    let body = serde_json::to_value(message("it is back")).unwrap();
    while !ada.send(Method::POST, &path, Some(&body)).await.status().is_success() {
        tries += 1;
        assert!(tries < 100, "the database is not used again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    events.until_text("it is back").await;
    drop(events);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_only_reads_any_more_is_left_for_whichever_writes() {
    let postgres = Postgres::start().unwrap();
    let database = postgres.database().unwrap();
    let relay = TestRelay::with(Settings { database: Some(database.clone()), ..quick() }).await;
    let ada = relay.owner("Ada").await;
    let path = format!("/v1/circles/{}/messages", ada.general().await);
    let before = backends(&database).await;
    assert!(!before.is_empty());
    // What a failover makes of a server on which connections stay.
    for statement in ["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"] {
        execute(&database, statement).await;
    }
    let body = serde_json::to_value(message("into a copy")).unwrap();
    let mut tries = 0;
    let refused = loop {
        let answer = ada.send(Method::POST, &path, Some(&body)).await;
        if !answer.status().is_success() {
            break answer;
        }
        tries += 1;
        assert!(tries < 100, "it goes on to write");
    };
    assert_eq!(problem(refused).await, Code::StoreUnavailable);
    // Whoever waits for the answer comes before the connection is closed.
    let begun = Instant::now();
    while backends(&database).await.iter().any(|it| before.contains(it)) {
        assert!(begun.elapsed() < PATIENCE, "connections to it stay");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    relay.stop().await;
}

/// The processes that serve connections of relays in a database.
async fn backends(database: &str) -> BTreeSet<i32> {
    let (client, connection) = tokio_postgres::connect(database, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'circles-relay'";
    let rows = client.query(sql, &[]).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    rows.iter().map(|it| it.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campus_moves_into_postgres_as_the_same_history_and_out_of_a_backup_as_another() {
    let files = TestRelay::on_files(quick()).await;
    let (ada, bob) = (files.owner("Ada").await, files.person("Bob").await);
    let general = ada.general().await;
    let mut receipts = Vec::new();
    for n in 0..20 {
        receipts.push(ada.post(general, &format!("message {n}")).await);
    }
    let reaction = json!({ "emoji": "👍", "on": true });
    let path = format!("/v1/messages/{}/reactions", receipts[3].id);
    bob.ok::<serde_json::Value>(Method::PUT, &path, reaction).await;
    bob.ok::<()>(Method::DELETE, &format!("/v1/devices/{}", bob.joined.device_id), ()).await;
    let pages = async |person: &Person| {
        let messages: serde_json::Value = person.get(&format!("/v1/circles/{general}/messages?limit=200")).await;
        (messages["messages"].clone(), messages["reactions"].clone())
    };
    let (before, at_before) = (pages(&ada).await, ada.get::<Me>("/v1/me").await.cursor);
    let (dir, settings) = files.stop().await;

    let database = Some(Postgres::shared().unwrap().database().unwrap());
    let to = Settings { database, ..quick() };
    circles_relay::migrate(&settings.data_dir, &to).await.unwrap();
    assert!(circles_relay::migrate(&settings.data_dir, &to).await.is_err(), "it is not overwritten");
    drop(dir);
    let moved = TestRelay::at(tempfile::TempDir::new().unwrap(), to).await;
    let there = at(&moved, &ada);
    assert_eq!(pages(&there).await, before);
    assert_eq!(there.get::<Me>("/v1/me").await.cursor, at_before);
    let mut events = there.stream(Some(&at_before)).await;
    there.post(general, "in Postgres").await;
    events.until_text("in Postgres").await;
    drop(events);

    let copy = tempfile::TempDir::new().unwrap();
    let file = copy.path().join("backup.db");
    circles_relay::backup(moved.settings(), &file).await.unwrap();
    let after = pages(&there).await;
    moved.stop().await;
    let home = tempfile::TempDir::new().unwrap();
    let back = Settings { data_dir: home.path().to_owned(), ..quick() };
    circles_relay::restore(&back, &file).await.unwrap();
    let restored = TestRelay::at(home, Settings { database: None, ..quick() }).await;
    let here = at(&restored, &ada);
    assert_eq!(pages(&here).await, after);
    assert_ne!(here.get::<Me>("/v1/me").await.cursor.epoch, at_before.epoch);
    assert_eq!(at(&restored, &bob).refused(Method::GET, "/v1/me", ()).await, Code::Unauthorized);
    restored.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_types_and_who_is_online_is_known_at_another_instance() {
    let redis = Redis::start().unwrap();
    let mut scene = Scene::open(with_redis(&redis)).await;
    // Ada comes online at the other instance.
    let hers = live(&scene.ada).await;
    let ada = scene.ada.clone();
    let mut told = async |wanted: &str| loop {
        let (name, data) = scene.bobs.passing().await;
        if name == wanted && data["person_id"] == json!(ada.id()) {
            break data;
        }
    };
    assert_eq!(told("presence").await["online"], true);
    let general = scene.general;
    ada.ok::<()>(Method::POST, &format!("/v1/circles/{general}/typing"), json!({ "on": true })).await;
    assert_eq!(told("typing").await["circle_id"], json!(general));
    drop(hers);
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_by_sentinel_loses_nothing_and_the_new_master_is_used() {
    let sentinel = Sentinel::start().unwrap();
    let mut scene = Scene::open(Settings { redis: Some(sentinel.url()), ..quick() }).await;
    scene.passes("first").await;
    let (_, took) = scene.passes("by the first master").await;
    assert!(took < BY_REDIS, "{took:?}");
    sentinel.kill_master().unwrap();
    let mut n = 0;
    while !sentinel.has_failed_over().unwrap() {
        let (seen, _) = scene.passes(&format!("meanwhile {n}")).await;
        assert_eq!(seen.iter().filter(|it| it.name == "change").count(), 1, "each once");
        n += 1;
        assert!(n < 1_000, "there is no new master");
    }
    // Both instances find it by themselves.
    let mut after = 0;
    while scene.passes(&format!("afterwards {after}")).await.1 >= Duration::from_millis(200) {
        after += 1;
        assert!(after < 20, "the new master is not used");
    }
    let key = sentinel.at_replica(&["KEYS", "circles:*:log"]).unwrap();
    let newest = sentinel.at_replica(&["XREVRANGE", &key, "+", "-", "COUNT", "1"]).unwrap();
    assert!(newest.contains(&format!("afterwards {after}")), "{newest}");
    scene.close().await;
}

/// How often the person can write in a row until it is too often; at most `most` times.
async fn writes(person: &Person, circle: CircleId, most: usize) -> usize {
    let path = format!("/v1/circles/{circle}/messages");
    for n in 0..most {
        let response = person.send(Method::POST, &path, Some(&json!(message("again")))).await;
        if response.status() == 429 {
            return n;
        }
        assert!(response.status().is_success());
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn allowances_of_a_person_hold_over_all_instances() {
    const BURST: usize = 40;
    let redis = Redis::start().unwrap();
    let settings = Settings { writes_burst: 40, writes_per_second: 1, streams_per_person: 3, ..with_redis(&redis) };
    let mut scene = Scene::open(settings).await;
    // So that both have found Redis.
    scene.passes("first").await;
    let (here, there) = (scene.ada.clone(), at(&scene.second, &scene.ada));
    assert!(writes(&here, scene.general, BURST * 2).await >= BURST - 1);
    // Each round waits for what a few messages take; what is refilled meanwhile is far from the burst.
    let begun = Instant::now();
    let mut written = 0;
    while written < BURST {
        let more = writes(&there, scene.general, 1).await;
        written += more;
        if more == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("refused at the other instance after {:?} and {written} messages", begun.elapsed());
    assert!(written < BURST / 2, "{written} more messages at the other instance");

    let streams = (live(&here).await, live(&here).await, live(&here).await);
    let begun = Instant::now();
    while there.send(Method::GET, "/v1/stream", None).await.status() != 429 {
        assert!(begun.elapsed() < Duration::from_secs(20), "as many streams again at the other instance");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("streams are counted after {:?}", begun.elapsed());
    drop(streams);
    scene.close().await;
}
