//! The stream's promises (design section 5), over a real socket.

mod common;

use std::{collections::BTreeMap, time::Duration};

use circles_protocol::{
    Change, CircleKind, Code, Cursor, Epoch, Pos, Scope, Seq,
    api::{ChangesPage, Me},
    event::{Bye, ByeReason, Gap, Hello, Ping},
};
use circles_relay::Settings;
use common::{Events, Person, TestRelay, message, quick};
use reqwest::Method;
use serde_json::json;

fn change(event: &common::Event) -> Change {
    serde_json::from_value(event.data.clone()).expect("a change")
}

async fn hello(events: &mut Events) -> Hello {
    let event = events.next().await.expect("a first event");
    assert_eq!(event.name, "hello");
    serde_json::from_value(event.data).expect("a hello")
}

async fn head(person: &Person) -> Cursor {
    person.get::<Me>("/v1/me").await.cursor
}

#[tokio::test]
async fn a_message_reaches_the_others_at_once_and_its_chain_fits() {
    let relay = TestRelay::start().await;
    let (ada, bob) = (relay.owner("Ada").await, relay.person("Bob").await);
    let general = ada.general().await;
    let mut events = bob.stream(None).await;
    hello(&mut events).await;
    ada.post(general, "one").await;
    ada.post(general, "two").await;
    let seen = events.until_text("two").await;
    assert_eq!(seen.iter().filter(|it| it.name == "ping").count(), 1, "the end of the replay");
    let seen: Vec<Change> = seen.iter().filter(|it| it.name == "change").map(change).collect();
    let mut heads: BTreeMap<Scope, Pos> = BTreeMap::new();
    for it in &seen {
        if it.scope != Scope::Person(bob.id()) || heads.contains_key(&it.scope) {
            let before = heads.get(&it.scope).copied().unwrap_or(Pos::ZERO);
            assert_eq!(it.prev, before, "{:?}", it.scope);
        }
        heads.insert(it.scope, it.pos);
    }
    drop(events);
    relay.stop().await;
}

#[tokio::test]
async fn a_stream_resumes_from_any_cursor_without_loss_or_repetition() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    for at in 0..30 {
        ada.post(general, &format!("message {at}")).await;
    }
    let head = head(&ada).await;
    let relay = relay.restart().await;
    let ada = Person { url: relay.url.clone(), ..ada };
    for from in 0..=head.pos.get() {
        let cursor = Cursor { pos: from.try_into().unwrap(), ..head.clone() };
        let mut events = ada.stream(Some(&cursor)).await;
        hello(&mut events).await;
        let want: Vec<u64> = (from + 1..=head.pos.get()).collect();
        let mut got = Vec::new();
        while got.len() < want.len() {
            let event = events.next().await.unwrap();
            assert_eq!(event.name, "change");
            assert_eq!(event.cursor.pos, change(&event).pos);
            got.push(event.cursor.pos.get());
        }
        assert_eq!(got, want);
        let current = events.next().await.unwrap();
        assert_eq!((current.name.as_str(), &current.cursor), ("ping", &head));
    }
    relay.stop().await;
}

#[tokio::test]
async fn an_absence_over_a_thousand_changes_is_a_gap_and_then_live() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    let before = head(&ada).await;
    let posts = (0..1_001).map(|at| {
        let ada = ada.clone();
        async move { ada.post(general, &at.to_string()).await }
    });
    futures::future::join_all(posts).await;
    let after = head(&ada).await;
    let mut events = ada.stream(Some(&before)).await;
    hello(&mut events).await;
    let event = events.next().await.unwrap();
    assert_eq!((event.name.as_str(), &event.cursor), ("gap", &after));
    let gap: Gap = serde_json::from_value(event.data).unwrap();
    assert_eq!((gap.after, gap.until), (before.pos, after.pos));
    let of_general = gap.scopes.iter().find(|it| it.scope == Scope::Circle(general)).unwrap();
    assert_eq!((of_general.until, of_general.head_seq), (after.pos, Some(Seq::try_from(1_001_u64).unwrap())));
    let current = events.next().await.unwrap();
    assert_eq!((current.name.as_str(), &current.cursor), ("ping", &after));
    ada.post(general, "live").await;
    assert_eq!(events.until_text("live").await.len(), 1);
    drop(events);
    relay.stop().await;
}

#[tokio::test]
async fn a_cursor_of_another_history_or_ahead_is_reset_and_replayed() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let head = head(&ada).await;
    let other = Cursor { epoch: Epoch::random(7), pos: 2_u64.try_into().unwrap() };
    let ahead = Cursor { pos: (head.pos.get() + 1).try_into().unwrap(), ..head.clone() };
    for (cursor, reason) in [(other, "epoch"), (ahead, "ahead")] {
        let mut events = ada.stream(Some(&cursor)).await;
        hello(&mut events).await;
        let reset = events.next().await.unwrap();
        assert_eq!((reset.name.as_str(), reset.cursor.pos), ("reset", Pos::ZERO));
        assert_eq!(reset.data["reason"], reason);
        assert_eq!(events.next().await.unwrap().cursor.pos.get(), 1);
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_private_circle_stays_private_everywhere_and_a_removal_ends_it() {
    let relay = TestRelay::start().await;
    let (ada, eve) = (relay.owner("Ada").await, relay.person("Eve").await);
    let general = ada.general().await;
    let mut events = eve.stream(None).await;
    hello(&mut events).await;
    let secret = ada.create("Secret", CircleKind::Private).await;
    let hidden = ada.post(secret, "hidden").await;
    ada.post(general, "open").await;
    let seen = events.until_text("open").await;
    assert!(!seen.iter().any(|it| it.data.to_string().contains(&secret.to_string())));

    let (get, circle) = (Method::GET, format!("/v1/circles/{secret}"));
    assert_eq!(eve.refused(get.clone(), &circle, ()).await, Code::NotFound);
    assert_eq!(eve.refused(get.clone(), &format!("{circle}/messages"), ()).await, Code::NotFound);
    assert_eq!(eve.refused(get.clone(), &format!("{circle}/members"), ()).await, Code::NotFound);
    assert_eq!(eve.refused(get.clone(), &format!("/v1/changes?scope=circle:{secret}"), ()).await, Code::NotFound);
    assert_eq!(eve.refused(get.clone(), &format!("/v1/messages/{}", hidden.id), ()).await, Code::NotFound);
    assert_eq!(eve.refused(Method::POST, &format!("{circle}/messages"), message("x")).await, Code::NotFound);
    assert_eq!(eve.refused(Method::POST, &format!("{circle}/join"), ()).await, Code::NotFound);

    let members = format!("{circle}/members");
    ada.ok::<serde_json::Value>(Method::POST, &members, json!({"person_id": eve.id()})).await;
    ada.post(secret, "for both").await;
    events.until_text("for both").await;
    let in_it = head(&eve).await;
    ada.ok::<()>(Method::DELETE, &format!("{members}/{}", eve.id()), ()).await;
    ada.post(secret, "without eve").await;
    ada.post(general, "afterwards").await;
    let seen = events.until_text("afterwards").await;
    assert!(seen.iter().any(|it| it.data["entity"]["state"] == "removed"), "the removal itself is told");
    assert!(!seen.iter().any(|it| it.data["entity"]["text"] == "without eve"));
    for cursor in [None, Some(&in_it)] {
        let mut again = eve.stream(cursor).await;
        hello(&mut again).await;
        let seen = again.until_text("afterwards").await;
        assert!(
            !seen.iter().any(
                |it| it.data["entity"]["circle_id"] == secret.to_string() && it.data["entity"]["kind"] == "message"
            )
        );
        assert!(seen.iter().any(|it| it.data["entity"]["state"] == "removed"));
    }
    assert_eq!(eve.refused(get.clone(), &format!("{circle}/messages"), ()).await, Code::NotMember);
    assert_eq!(eve.refused(get, &format!("/v1/messages/{}", hidden.id), ()).await, Code::NotFound);
    drop(events);
    relay.stop().await;
}

#[tokio::test]
async fn a_ping_moves_the_cursor_past_what_is_for_others() {
    let relay = TestRelay::with(Settings { heartbeat: Duration::from_millis(50), ..quick() }).await;
    let (ada, bob) = (relay.owner("Ada").await, relay.person("Bob").await);
    let mut events = bob.stream(Some(&head(&bob).await)).await;
    hello(&mut events).await;
    assert_eq!(events.next().await.unwrap().name, "ping");
    let secret = ada.create("Secret", CircleKind::Private).await;
    let receipt = ada.post(secret, "not for Bob").await;
    let seen = events.until(|it| it.cursor.pos >= receipt.pos).await;
    assert!(seen.iter().all(|it| it.name == "ping"));
    drop(events);
    relay.stop().await;
}

#[tokio::test]
async fn a_ping_tells_the_time_also_between_changes() {
    let heartbeat = Duration::from_millis(200);
    let relay = TestRelay::with(Settings { heartbeat, ..quick() }).await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    let mut events = ada.stream(Some(&head(&ada).await)).await;
    let begun = hello(&mut events).await.now.expect("the relay's clock");
    assert_eq!(events.next().await.unwrap().name, "ping");
    let (mut pings, mut last, since) = (0, begun, std::time::Instant::now());
    while last.0 < begun.0 + 5 * i64::try_from(heartbeat.as_millis()).unwrap() {
        ada.post(general, "hello").await;
        for event in events.until(|it| it.name == "change").await.iter().filter(|it| it.name == "ping") {
            let ping: Ping = serde_json::from_value(event.data.clone()).unwrap();
            assert!(ping.now >= last);
            last = ping.now;
            pings += 1;
        }
        assert!(since.elapsed() < Duration::from_mins(1), "{pings} pings in {:?}", since.elapsed());
    }
    assert!(pings >= 2, "{pings}");
    drop(events);
    relay.stop().await;
}

#[tokio::test]
async fn a_stream_says_bye_goes_on_and_ends_after_its_lifetime() {
    let lifetime = Duration::from_secs(2);
    let relay = TestRelay::with(Settings { stream_lifetime: lifetime, ..quick() }).await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    let begun = std::time::Instant::now();
    let mut events = ada.stream(Some(&head(&ada).await)).await;
    hello(&mut events).await;
    let event = events.until(|it| it.name == "bye").await.pop().unwrap();
    assert!(begun.elapsed() >= lifetime.mul_f64(0.5));
    let bye: Bye = serde_json::from_value(event.data).unwrap();
    assert_eq!((bye.reason, bye.closes_ms), (ByeReason::Lifetime, 500));
    ada.post(general, "still live").await;
    events.until_text("still live").await;
    assert!(events.next().await.is_none());
    // All of it: a host that cuts responses after that time never has to. The rest is for a busy machine.
    assert!(begun.elapsed() < lifetime + Duration::from_millis(400), "{:?}", begun.elapsed());
    relay.stop().await;
}

#[tokio::test]
async fn a_revoked_device_hears_so_and_is_shut_out() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let mut events = ada.stream(Some(&head(&ada).await)).await;
    hello(&mut events).await;
    assert_eq!(events.next().await.unwrap().name, "ping");
    ada.ok::<()>(Method::DELETE, &format!("/v1/devices/{}", ada.joined.device_id), ()).await;
    let bye = events.until(|it| it.name == "bye").await.pop().unwrap();
    assert_eq!(bye.data["reason"], json!("revoked"));
    assert!(events.next().await.is_none());
    assert_eq!(ada.refused(Method::GET, "/v1/me", ()).await, Code::Unauthorized);
    relay.stop().await;
}

#[tokio::test]
async fn streams_of_one_person_are_bounded() {
    let relay = TestRelay::with(Settings { streams_per_person: 2, ..quick() }).await;
    let ada = relay.owner("Ada").await;
    let (first, second) = (ada.stream(None).await, ada.stream(None).await);
    assert_eq!(ada.refused(Method::GET, "/v1/stream", ()).await, Code::TooManyStreams);
    drop((first, second));
    relay.stop().await;
}

#[tokio::test]
async fn a_stopping_relay_says_bye_to_its_streams() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let mut events = ada.stream(Some(&head(&ada).await)).await;
    hello(&mut events).await;
    let stopped = tokio::spawn(relay.stop());
    let bye = events.until(|it| it.name == "bye").await.pop().unwrap();
    assert_eq!(bye.data["reason"], "shutdown");
    assert!(events.next().await.is_none());
    stopped.await.unwrap();
}

/// apply(all events) = fresh fetch (design section 9).
#[tokio::test]
async fn the_events_of_a_stream_add_up_to_what_the_pages_say() {
    let relay = TestRelay::start().await;
    let (ada, bob) = (relay.owner("Ada").await, relay.person("Bob").await);
    let circle = ada.create("Room", CircleKind::Open).await;
    bob.ok::<serde_json::Value>(Method::POST, &format!("/v1/circles/{circle}/join"), ()).await;
    let mut events = bob.stream(None).await;
    let first = ada.post(circle, "first").await;
    let second = bob.post(circle, "second").await;
    let edit = json!({"text": "edited"});
    ada.ok::<serde_json::Value>(Method::PATCH, &format!("/v1/messages/{}", first.id), edit).await;
    let react = json!({"emoji": "👍", "on": true});
    ada.ok::<serde_json::Value>(Method::PUT, &format!("/v1/messages/{}/reactions", second.id), react).await;
    ada.ok::<serde_json::Value>(Method::DELETE, &format!("/v1/messages/{}", second.id), ()).await;
    bob.ok::<serde_json::Value>(Method::PUT, &format!("/v1/circles/{circle}/read"), json!({"seq": 1})).await;
    bob.ok::<serde_json::Value>(Method::PUT, &format!("/v1/circles/{circle}/mute"), json!({"on": true})).await;
    for text in ["begun", "begun anew"] {
        bob.ok::<serde_json::Value>(Method::PUT, &format!("/v1/circles/{circle}/draft"), json!({"text": text})).await;
    }
    ada.ok::<serde_json::Value>(Method::PATCH, &format!("/v1/circles/{circle}"), json!({"topic": "t"})).await;
    bob.ok::<serde_json::Value>(Method::PATCH, "/v1/me", json!({"name": "Robert", "hue": 7})).await;
    ada.post(circle, "last").await;

    let mut applied: BTreeMap<String, Change> = BTreeMap::new();
    for event in events.until_text("last").await.iter().filter(|it| it.name == "change") {
        let change = change(event);
        let newer = applied.get(&key(&change)).is_none_or(|it| it.entity.version() < change.entity.version());
        if newer {
            applied.insert(key(&change), change);
        }
    }
    for scope in [Scope::Campus, Scope::Circle(circle), Scope::Person(bob.id())] {
        for (order, limit) in [("newest", 2), ("oldest", 3), ("newest", 1_000)] {
            let mut fetched: BTreeMap<String, Change> = BTreeMap::new();
            let head = head(&bob).await.pos;
            let (mut after, mut until) = (Pos::ZERO, head);
            while after < until {
                let page: ChangesPage = bob
                    .get(&format!("/v1/changes?scope={scope}&after={after}&until={until}&order={order}&limit={limit}"))
                    .await;
                if order == "newest" {
                    until = page.after;
                } else {
                    after = page.until;
                }
                fetched.extend(page.changes.into_iter().map(|it| (key(&it), it)));
            }
            let mine: Vec<_> = applied.values().filter(|it| it.scope == scope).map(|it| &it.entity).collect();
            let theirs: Vec<_> = fetched.values().map(|it| &it.entity).collect();
            assert_eq!(mine, theirs, "{scope} {order}");
        }
    }
    drop(events);
    relay.stop().await;
}

fn key(change: &Change) -> String {
    use circles_protocol::Entity as E;
    match &change.entity {
        E::Person(it) => format!("person {}", it.id),
        E::Circle(it) => format!("circle {}", it.id),
        E::Membership(it) => format!("membership {} {}", it.circle_id, it.person_id),
        E::Message(it) => format!("message {}", it.id),
        E::Reaction(it) => format!("reaction {} {} {}", it.message_id, it.person_id, it.emoji),
        E::ReadMarker(it) => format!("read {} {}", it.circle_id, it.person_id),
        E::RevokedDevice(it) => format!("revoked {}", it.id),
        E::Mute(it) => format!("mute {} {}", it.circle_id, it.person_id),
        E::Draft(it) => format!("draft {} {}", it.circle_id, it.person_id),
    }
}
