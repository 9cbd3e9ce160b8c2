//! Typing and presence: they reach those they are for, at once, and nobody else (design 3.6).

mod common;

use std::time::Duration;

use circles_protocol::{
    CircleId, CircleKind, Code, PersonId,
    api::OnlineMembers,
    event::{Presence, Typing},
};
use circles_relay::Settings;
use common::{Events, Person, TestRelay, quick};
use reqwest::Method;
use serde_json::{Value, json};

const ON: bool = true;
const OFF: bool = false;

/// Says it, and gives the code of the problem if it is refused.
async fn types(person: &Person, circle: CircleId, on: bool) -> Result<(), Code> {
    let path = format!("/v1/circles/{circle}/typing");
    let response = person.send(Method::POST, &path, Some(&json!({ "on": on }))).await;
    if response.status().is_success() {
        assert_eq!(response.status(), 204);
        return Ok(());
    }
    Err(common::problem(response).await)
}

async fn typing(events: &mut Events) -> Typing {
    loop {
        let (name, data) = events.passing().await;
        if name == "typing" {
            return serde_json::from_value(data).expect("typing");
        }
    }
}

/// The next that is told of somebody.
async fn presence(events: &mut Events, of: PersonId) -> bool {
    loop {
        let (name, data) = events.passing().await;
        if name == "presence" {
            let it: Presence = serde_json::from_value(data).expect("presence");
            if it.person_id == of {
                return it.online;
            }
        }
    }
}

async fn online(person: &Person, circle: CircleId) -> Vec<PersonId> {
    person.get::<OnlineMembers>(&format!("/v1/circles/{circle}/presence")).await.online
}

/// A stream that is current.
async fn listen(person: &Person) -> Events {
    let mut events = person.stream(None).await;
    events.until(|it| it.name == "ping").await;
    events
}

#[tokio::test]
async fn typing_reaches_the_members_at_once_without_an_id_and_nobody_else() {
    let relay = TestRelay::start().await;
    let (ada, bob, eve) = (relay.owner("Ada").await, relay.person("Bob").await, relay.person("Eve").await);
    let (general, secret) = (ada.general().await, ada.create("Secret", CircleKind::Private).await);
    let member = json!({"person_id": bob.id()});
    ada.ok::<Value>(Method::POST, &format!("/v1/circles/{secret}/members"), &member).await;
    let (mut of_bob, mut of_eve) = (listen(&bob).await, listen(&eve).await);
    types(&ada, secret, ON).await.unwrap();
    types(&ada, general, OFF).await.unwrap();
    let told = |circle_id, on| Typing { circle_id, person_id: ada.id(), on };
    assert_eq!(typing(&mut of_bob).await, told(secret, true));
    assert_eq!(typing(&mut of_bob).await, told(general, false));
    assert_eq!(typing(&mut of_eve).await, told(general, false), "of the private circle nothing comes before it");
    drop((of_bob, of_eve));
    relay.stop().await;
}

#[tokio::test]
async fn only_members_can_say_that_they_type_and_see_who_is_online() {
    let relay = TestRelay::start().await;
    let (ada, eve) = (relay.owner("Ada").await, relay.person("Eve").await);
    let (open, secret) = (ada.create("Open", CircleKind::Open).await, ada.create("Secret", CircleKind::Private).await);
    for (circle, code) in [(open, Code::NotMember), (secret, Code::NotFound), (CircleId::new(), Code::NotFound)] {
        assert_eq!(types(&eve, circle, ON).await, Err(code));
        assert_eq!(eve.refused(Method::GET, &format!("/v1/circles/{circle}/presence"), ()).await, code);
    }
    let path = format!("/v1/circles/{open}/typing");
    assert_eq!(ada.refused(Method::POST, &path, json!({"on": "yes"})).await, Code::InvalidBody);
    relay.stop().await;
}

#[tokio::test]
async fn who_was_removed_hears_nothing_more_of_the_circle() {
    let relay = TestRelay::start().await;
    let (ada, eve) = (relay.owner("Ada").await, relay.person("Eve").await);
    let (general, secret) = (ada.general().await, ada.create("Secret", CircleKind::Private).await);
    let members = format!("/v1/circles/{secret}/members");
    ada.ok::<Value>(Method::POST, &members, json!({"person_id": eve.id()})).await;
    let mut events = listen(&eve).await;
    types(&ada, secret, ON).await.unwrap();
    assert_eq!(typing(&mut events).await.circle_id, secret);
    ada.ok::<()>(Method::DELETE, &format!("{members}/{}", eve.id()), ()).await;
    types(&ada, secret, ON).await.unwrap();
    types(&ada, general, ON).await.unwrap();
    assert_eq!(typing(&mut events).await.circle_id, general);
    assert_eq!(types(&eve, secret, ON).await, Err(Code::NotMember));
    drop(events);
    relay.stop().await;
}

#[tokio::test]
async fn typing_has_a_rate_limit_of_its_own_for_each_person() {
    let relay = TestRelay::start().await;
    let (ada, bob) = (relay.owner("Ada").await, relay.person("Bob").await);
    let general = ada.general().await;
    let mut refused = None;
    for _ in 0..50 {
        refused = types(&ada, general, ON).await.err();
        if refused.is_some() {
            break;
        }
    }
    assert_eq!(refused, Some(Code::RateLimited));
    types(&bob, general, ON).await.unwrap();
    ada.post(general, "writing goes on").await;
    relay.stop().await;
}

#[tokio::test]
async fn one_is_online_with_any_stream_open_and_offline_some_time_after_the_last() {
    let relay = TestRelay::with(Settings { presence_grace: Duration::from_millis(300), ..quick() }).await;
    let (ada, bob) = (relay.owner("Ada").await, relay.person("Bob").await);
    let general = ada.general().await;
    let mut events = listen(&ada).await;
    assert_eq!(online(&ada, general).await, [ada.id()]);
    let first = listen(&bob).await;
    assert!(presence(&mut events, bob.id()).await);
    let second = listen(&bob).await;
    drop(first);
    // Longer than the grace, and long enough for the end of a connection to be noticed: nothing may be told.
    tokio::time::timeout(Duration::from_millis(900), presence(&mut events, bob.id())).await.expect_err("still online");
    let both = online(&ada, general).await;
    assert!(both.contains(&ada.id()) && both.contains(&bob.id()), "{both:?}");
    drop(second);
    assert!(!presence(&mut events, bob.id()).await);
    assert_eq!(online(&ada, general).await, [ada.id()]);
    drop(events);
    relay.stop().await;
}

#[tokio::test]
async fn streams_that_roll_over_are_no_news() {
    let lifetime = Duration::from_millis(300);
    let settings = Settings { stream_lifetime: lifetime, presence_grace: Duration::from_secs(1), ..quick() };
    let relay = TestRelay::with(settings).await;
    let (ada, bob) = (relay.owner("Ada").await, relay.person("Bob").await);
    // Each of Bob's streams ends by itself before he opens the next. Ada listens as long as he does, with one stream after
    // the other; what comes between two of them is lost, and would come again with the next time he is told of as gone.
    let mut events = listen(&ada).await;
    let rolling = tokio::spawn({
        let bob = bob.clone();
        async move {
            for _ in 0..5 {
                let mut events = bob.stream(None).await;
                while events.next().await.is_some() {}
            }
        }
    });
    let mut told = Vec::new();
    while !rolling.is_finished() {
        while let Ok(Some((name, data))) = tokio::time::timeout(lifetime / 4, events.next_passing()).await {
            if name == "presence" {
                told.push(data["online"] == true);
            }
        }
        events = ada.stream(None).await;
    }
    rolling.await.unwrap();
    assert!(told.len() <= 1 && !told.contains(&false), "{told:?}");
    drop(events);
    relay.stop().await;
}

#[tokio::test]
async fn presence_reaches_only_those_who_share_a_circle() {
    let relay = TestRelay::start().await;
    let (ada, bob, eve) = (relay.owner("Ada").await, relay.person("Bob").await, relay.person("Eve").await);
    let (general, apart) = (ada.general().await, ada.create("Apart", CircleKind::Open).await);
    eve.ok::<Value>(Method::POST, &format!("/v1/circles/{general}/leave"), ()).await;
    eve.ok::<Value>(Method::POST, &format!("/v1/circles/{apart}/join"), ()).await;
    let (mut of_ada, mut of_eve) = (listen(&ada).await, listen(&eve).await);
    let of_bob = listen(&bob).await;
    assert!(presence(&mut of_ada, bob.id()).await);
    // Signals come in order: had Bob's presence been for Eve, it would come before this.
    types(&ada, apart, ON).await.unwrap();
    loop {
        let (name, data) = of_eve.passing().await;
        if name == "typing" {
            break;
        }
        assert_ne!(data["person_id"], json!(bob.id()));
    }
    drop((of_ada, of_eve, of_bob));
    relay.stop().await;
}

#[tokio::test]
async fn who_is_online_comes_in_pages() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    let mut streams = vec![listen(&ada).await];
    let mut expected = vec![ada.id()];
    for name in ["Bob", "Cleo", "Dan"] {
        let person = relay.person(name).await;
        streams.push(listen(&person).await);
        expected.push(person.id());
    }
    expected.sort();
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page: OnlineMembers = ada.get(&format!("/v1/circles/{general}/presence?limit=3{after}")).await;
        assert!(page.online.len() <= 3);
        found.extend(page.online);
        let Some(next) = page.next else { break };
        after = format!("&after={next}");
    }
    assert_eq!(found, expected);
    drop(streams);
    relay.stop().await;
}
