//! What the API promises: joining, rights, idempotency, bounds, and that what was acknowledged stays.

mod common;

use std::collections::BTreeSet;

use circles_protocol::{
    CircleKind, Code, Draft, InviteId, MessageId, Mute, PersonId, Role, Seq,
    api::{
        CircleState, CreateCircle, CreateInvite, Invite, InvitePreview, Invites, Joined, Me, MessagesPage, PostMessage,
        Receipt,
    },
};
use circles_relay::Settings;
use common::{Person, TestRelay, join_request, message, problem, quick};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn the_first_invite_makes_an_owner_in_general_and_works_once() {
    let relay = TestRelay::start().await;
    let code = relay.relay.first_invite().unwrap().to_owned();
    let preview = json!({ "code": code });
    let url = format!("{}/v1/invites/preview", relay.url);
    let seen: InvitePreview = relay.http.post(&url).json(&preview).send().await.unwrap().json().await.unwrap();
    assert_eq!(seen.campus_name, "Campus");
    let request = join_request(&code, "Ada");
    let join = format!("{}/v1/join", relay.url);
    let first: Joined = relay.http.post(&join).json(&request).send().await.unwrap().json().await.unwrap();
    assert_eq!(first.person.role, Role::Owner);
    let again: Joined = relay.http.post(&join).json(&request).send().await.unwrap().json().await.unwrap();
    assert_eq!(again, first, "a lost answer does not use the invite up");
    let other = circles_protocol::api::Join { name: "Eve".to_owned(), ..request.clone() };
    assert_eq!(problem(relay.http.post(&join).json(&other).send().await.unwrap()).await, Code::IdConflict);
    let late = join_request(&code, "Bob");
    assert_eq!(problem(relay.http.post(&join).json(&late).send().await.unwrap()).await, Code::InviteUsedUp);
    let wrong = join_request("nonsense", "Bob");
    assert_eq!(problem(relay.http.post(&join).json(&wrong).send().await.unwrap()).await, Code::InviteUnknown);
    let ada = Person { http: relay.http.clone(), url: relay.url.clone(), token: request.token.clone(), joined: first };
    let me: Me = ada.get("/v1/me").await;
    assert_eq!(me.circles[0].circle.name, "General");
    assert_eq!(ada.joined.epoch, Some(me.cursor.epoch));
    relay.stop().await;
}

#[tokio::test]
async fn invites_are_made_once_lead_into_circles_and_are_taken_back() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let circle = ada.create("Secret", CircleKind::Private).await;
    let request = CreateInvite { id: InviteId::new(), circle_id: Some(circle), device: false, max_uses: 2, life_s: 60 };
    let invite: Invite = ada.ok(Method::POST, "/v1/invites", &request).await;
    let again: Invite = ada.ok(Method::POST, "/v1/invites", &request).await;
    assert_eq!(again, invite);
    let other = CreateInvite { max_uses: 3, ..request.clone() };
    assert_eq!(ada.refused(Method::POST, "/v1/invites", &other).await, Code::IdConflict);
    let link: circles_protocol::InviteLink = invite.link.unwrap().parse().unwrap();
    let bob = relay.join(&link.code, "Bob").await;
    assert_eq!(bob.joined.circle_id, Some(circle));
    let state: CircleState = bob.get(&format!("/v1/circles/{circle}")).await;
    assert_eq!(state.members, 2);
    assert_eq!(bob.refused(Method::DELETE, &format!("/v1/invites/{}", invite.id), ()).await, Code::NotFound);
    ada.ok::<()>(Method::DELETE, &format!("/v1/invites/{}", invite.id), ()).await;
    let response = relay.http.post(format!("{}/v1/join", relay.url)).json(&join_request(&link.code, "Eve")).send();
    assert_eq!(problem(response.await.unwrap()).await, Code::InviteRevoked);
    let listed: Invites = bob.get("/v1/invites").await;
    assert!(listed.invites.is_empty());
    let device = CreateInvite { id: InviteId::new(), circle_id: None, device: true, max_uses: 5, life_s: 60 };
    let invite: Invite = bob.ok(Method::POST, "/v1/invites", &device).await;
    let link: circles_protocol::InviteLink = invite.link.unwrap().parse().unwrap();
    let laptop = relay.join(&link.code, "ignored").await;
    assert_eq!(laptop.id(), bob.id());
    relay.stop().await;
}

#[tokio::test]
async fn a_receipt_says_when_the_message_was_written_as_everybody_sees_it() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let path = format!("/v1/circles/{}/messages", ada.general().await);
    let at = |ms| PostMessage { written_at: Some(circles_protocol::UnixMs(ms)), ..message("once") };
    let first: Receipt = ada.ok(Method::POST, &path, at(1_000)).await;
    assert_eq!(first.written_at, Some(circles_protocol::UnixMs(1_000)));
    // The second attempt thinks otherwise, for example because the clock was set.
    let again = PostMessage { id: first.id, ..at(2_000) };
    assert_eq!(ada.ok::<Receipt>(Method::POST, &path, again).await, first);
    let ahead: Receipt = ada.ok(Method::POST, &path, at(i64::from(u32::MAX) * 1_000)).await;
    assert_eq!(ahead.written_at, None, "from the future");
    relay.stop().await;
}

#[tokio::test]
async fn the_same_id_is_the_same_message_and_another_content_a_conflict() {
    let relay = TestRelay::start().await;
    let (ada, bob) = (relay.owner("Ada").await, relay.person("Bob").await);
    let path = format!("/v1/circles/{}/messages", ada.general().await);
    let request = message("once");
    let first: Receipt = ada.ok(Method::POST, &path, &request).await;
    ada.ok::<Value>(Method::PATCH, &format!("/v1/messages/{}", first.id), json!({"text": "edited"})).await;
    assert_eq!(ada.ok::<Receipt>(Method::POST, &path, &request).await, first);
    let other = PostMessage { text: "twice".to_owned(), ..request.clone() };
    assert_eq!(ada.refused(Method::POST, &path, &other).await, Code::IdConflict);
    assert_eq!(bob.refused(Method::POST, &path, &request).await, Code::IdConflict);
    let circle = CreateCircle {
        id: circles_protocol::CircleId::new(),
        name: "A".into(),
        topic: String::new(),
        access: CircleKind::Open,
    };
    let made: CircleState = ada.ok(Method::POST, "/v1/circles", &circle).await;
    assert_eq!(ada.ok::<CircleState>(Method::POST, "/v1/circles", &circle).await, made);
    let other = CreateCircle { name: "B".into(), ..circle };
    assert_eq!(ada.refused(Method::POST, "/v1/circles", &other).await, Code::IdConflict);
    relay.stop().await;
}

#[tokio::test]
async fn two_hundred_posts_at_once_are_dense_in_seq_and_pos() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    let before = ada.get::<Me>("/v1/me").await.cursor.pos.get();
    let posts = (0..200).map(|at| {
        let ada = ada.clone();
        async move { ada.post(general, &at.to_string()).await }
    });
    let receipts = futures::future::join_all(posts).await;
    let seqs: BTreeSet<u64> = receipts.iter().map(|it| it.seq.get()).collect();
    let places: BTreeSet<u64> = receipts.iter().map(|it| it.pos.get()).collect();
    assert_eq!(seqs, (1..=200).collect());
    assert_eq!(places, (before + 1..=before + 200).collect());
    let page: MessagesPage = ada.get(&format!("/v1/circles/{general}/messages?limit=200")).await;
    for (receipt, text) in receipts.iter().zip(0..200) {
        let stored = &page.messages[usize::try_from(receipt.seq.get()).unwrap() - 1];
        assert_eq!((stored.id, stored.text.as_str()), (receipt.id, text.to_string().as_str()));
    }
    relay.stop().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    ada.post(general, "kept").await;
    let before: Me = ada.get("/v1/me").await;
    let relay = relay.restart().await;
    assert!(relay.relay.first_invite().is_none());
    let ada = Person { url: relay.url.clone(), ..ada };
    assert_eq!(ada.get::<Me>("/v1/me").await, before);
    assert_eq!(ada.post(general, "next").await.seq.get(), 2);
    relay.stop().await;
}

#[tokio::test]
async fn rights_are_kept() {
    let relay = TestRelay::start().await;
    let (ada, bob, eve) = (relay.owner("Ada").await, relay.person("Bob").await, relay.person("Eve").await);
    let room = bob.create("Room", CircleKind::Open).await;
    let path = format!("/v1/circles/{room}");
    assert_eq!(eve.refused(Method::POST, &format!("{path}/messages"), message("x")).await, Code::NotMember);
    eve.ok::<Value>(Method::POST, &format!("{path}/join"), ()).await;
    assert_eq!(eve.refused(Method::PATCH, &path, json!({"name": "Mine"})).await, Code::Forbidden);
    assert_eq!(bob.refused(Method::POST, &format!("{path}/leave"), ()).await, Code::LastOwner);
    let posted = bob.post(room, "of Bob").await;
    let of_bob = format!("/v1/messages/{}", posted.id);
    assert_eq!(eve.refused(Method::PATCH, &of_bob, json!({"text": "x"})).await, Code::Forbidden);
    assert_eq!(eve.refused(Method::DELETE, &of_bob, ()).await, Code::Forbidden);
    let members = format!("{path}/members");
    assert_eq!(eve.refused(Method::DELETE, &format!("{members}/{}", bob.id()), ()).await, Code::Forbidden);
    let eve_in = format!("{members}/{}", eve.id());
    bob.ok::<Value>(Method::PATCH, &eve_in, json!({"role": "moderator"})).await;
    eve.ok::<Value>(Method::DELETE, &of_bob, ()).await;
    assert_eq!(bob.refused(Method::PATCH, &of_bob, json!({"text": "x"})).await, Code::MessageDeleted);
    assert_eq!(
        bob.refused(Method::PUT, &format!("{of_bob}/reactions"), json!({"emoji": "👍", "on": true})).await,
        Code::MessageDeleted
    );
    bob.ok::<Value>(Method::PATCH, &eve_in, json!({"role": "owner"})).await;
    let left: CircleState = bob.ok(Method::POST, &format!("{path}/leave"), ()).await;
    assert!(left.last.is_none());
    let nobody = PersonId::new();
    assert_eq!(eve.refused(Method::POST, &members, json!({"person_id": nobody})).await, Code::NotFound);
    assert_eq!(ada.refused(Method::GET, &format!("/v1/changes?scope=person:{}", eve.id()), ()).await, Code::NotFound);
    relay.stop().await;
}

#[tokio::test]
async fn unread_counts_what_others_wrote_after_one_came_or_read() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    ada.post(general, "before Bob").await;
    let bob = relay.person("Bob").await;
    let path = format!("/v1/circles/{general}");
    assert_eq!(bob.get::<CircleState>(&path).await.unread, 0);
    ada.post(general, "after").await;
    bob.post(general, "own").await;
    assert_eq!(bob.get::<CircleState>(&path).await.unread, 1);
    bob.ok::<Value>(Method::PUT, &format!("{path}/read"), json!({"seq": 3})).await;
    assert_eq!(bob.get::<CircleState>(&path).await.unread, 0);
    let back: Value = bob.ok(Method::PUT, &format!("{path}/read"), json!({"seq": 1})).await;
    assert_eq!(back["seq"], 3);
    let page: MessagesPage = bob.get(&format!("{path}/messages?around=2&limit=2")).await;
    let seqs: Vec<Seq> = page.messages.iter().map(|it| it.seq).collect();
    assert_eq!(seqs.iter().map(|it| it.get()).collect::<Vec<_>>(), [1, 2]);
    relay.stop().await;
}

#[tokio::test]
async fn bad_input_gets_a_clear_error_and_changes_nothing() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    let path = format!("/v1/circles/{general}/messages");
    let before = ada.get::<Me>("/v1/me").await.cursor;
    for body in [json!({}), json!({"id": "x", "text": "a", "reply_to": null}), json!(message(" "))] {
        assert_eq!(ada.refused(Method::POST, &path, body).await, Code::InvalidBody);
    }
    let long = message(&"x".repeat(16 * 1024 + 1));
    assert_eq!(ada.refused(Method::POST, &path, long).await, Code::InvalidBody);
    let stray = PostMessage { reply_to: Some(MessageId::new()), ..message("x") };
    assert_eq!(ada.refused(Method::POST, &path, stray).await, Code::ReplyUnknown);
    let huge = message(&"x".repeat(200 * 1024));
    assert_eq!(ada.refused(Method::POST, &path, huge).await, Code::TooLarge);
    for query in ["?limit=0", "?limit=201", "?before=1&after=1", "?before=-1"] {
        assert_eq!(ada.refused(Method::GET, &format!("{path}{query}"), ()).await, Code::InvalidParameter);
    }
    assert_eq!(ada.refused(Method::GET, "/v1/stream?last_event_id=x", ()).await, Code::InvalidParameter);
    assert_eq!(ada.refused(Method::GET, "/v1/nowhere", ()).await, Code::NotFound);
    assert_eq!(ada.refused(Method::DELETE, "/v1/me", ()).await, Code::MethodNotAllowed);
    let nobody = Person { token: "f".repeat(64), ..ada.clone() };
    assert_eq!(nobody.refused(Method::GET, "/v1/me", ()).await, Code::Unauthorized);
    let form = relay.http.post(format!("{}{path}", relay.url)).bearer_auth(&ada.token).body("a=b").send();
    assert_eq!(problem(form.await.unwrap()).await, Code::UnsupportedMediaType);
    let cookie = format!("circles_token={}", ada.token);
    let other_site = relay.http.post(format!("{}{path}", relay.url)).header("cookie", &cookie);
    let other_site = other_site.header("sec-fetch-site", "cross-site").json(&message("x")).send();
    assert_eq!(problem(other_site.await.unwrap()).await, Code::CrossSite);
    assert_eq!(ada.get::<Me>("/v1/me").await.cursor, before);
    relay.stop().await;
}

#[tokio::test]
async fn too_many_changes_of_one_person_wait() {
    let relay = TestRelay::with(Settings { writes_per_second: 1, writes_burst: 2, ..quick() }).await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    ada.post(general, "1").await;
    ada.post(general, "2").await;
    let path = format!("/v1/circles/{general}/messages");
    assert_eq!(ada.refused(Method::POST, &path, message("3")).await, Code::RateLimited);
    relay.stop().await;
}

#[tokio::test]
async fn too_many_attempts_to_join_from_one_address_wait() {
    let relay = TestRelay::with(Settings { joins_per_second: 1, joins_burst: 3, ..quick() }).await;
    let guess = async || {
        let request = join_request("a-guessed-code", "Eve");
        let response = relay.http.post(format!("{}/v1/join", relay.url)).json(&request).send().await.unwrap();
        problem(response).await
    };
    for _ in 0..3 {
        assert_eq!(guess().await, Code::InviteUnknown);
    }
    assert_eq!(guess().await, Code::RateLimited);
    relay.stop().await;
}

#[tokio::test]
async fn the_interface_and_the_documents_are_served() {
    let relay = TestRelay::start().await;
    for (path, kind) in [
        ("/", "text/html"),
        ("/join", "text/html"),
        ("/docs/", "text/html"),
        ("/openapi.json", "application/json"),
        ("/healthz", "text/plain"),
        ("/readyz", "text/plain"),
    ] {
        let response = relay.http.get(format!("{}{path}", relay.url)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with(kind), "{path}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
    let page = relay.http.get(&relay.url).send().await.unwrap();
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    relay.stop().await;
}

#[tokio::test]
async fn an_import_repeated_is_an_import_once() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let lines = [
        json!({"circle": "rust", "n": 1, "at": "2013-01-26T15:04:04Z", "from": "graydon", "text": "hi", "reply_to": null}),
        json!({"circle": "rust", "n": 2, "at": "2013-01-26T15:05:04Z", "from": "pcwalton", "text": "hello", "reply_to": 1}),
    ];
    let text = format!("{}\nnonsense\n\n{}\n", lines[0], lines[1]);
    let half = format!("{}\n", lines[0]);
    circles_relay::import(&relay.relay, half.as_bytes(), |_| {}).await.unwrap();
    let report = circles_relay::import(&relay.relay, text.as_bytes(), |_| {}).await.unwrap();
    assert_eq!((report.total.imported, report.total.present, report.total.invalid), (1, 1, 1));
    assert_eq!(report.skipped[0].0, 2);
    let before = ada.get::<Me>("/v1/me").await.cursor;
    circles_relay::import(&relay.relay, text.as_bytes(), |_| {}).await.unwrap();
    assert_eq!(ada.get::<Me>("/v1/me").await.cursor, before);
    let circles: circles_protocol::api::Circles = ada.get("/v1/circles").await;
    let rust = circles.circles.iter().find(|it| it.circle.name == "rust").unwrap().circle.id;
    ada.ok::<Value>(Method::POST, &format!("/v1/circles/{rust}/join"), ()).await;
    let page: MessagesPage = ada.get(&format!("/v1/circles/{rust}/messages")).await;
    assert_eq!(page.messages.len(), 2);
    assert_eq!(page.messages[1].reply_to, Some(page.messages[0].id));
    assert_eq!(page.messages[0].created_at.0, 1_359_212_644_000);
    relay.stop().await;
}

#[tokio::test]
async fn a_revoked_device_is_shut_out_of_everything_although_its_token_was_known() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let cursor = ada.get::<Me>("/v1/me").await.cursor;
    ada.ok::<()>(Method::DELETE, &format!("/v1/devices/{}", ada.joined.device_id), ()).await;
    // What any of the routes asks for.
    let body = json!({
        "id": MessageId::new(), "name": "Name", "topic": "", "access": "open", "text": "text", "reply_to": null,
        "emoji": "👍", "on": true, "seq": 0, "person_id": PersonId::new(), "role": "member", "circle_id": null,
        "device": false, "max_uses": 1, "life_s": 3_600,
    });
    let open = ["/healthz", "/readyz", "/v1/invites/preview", "/v1/join"];
    let mut asked = 0;
    for route in include_str!("../src/api/routes.txt").lines() {
        let (method, path) = route.split_once(' ').unwrap();
        if open.contains(&path) {
            continue;
        }
        let path = path.replace("{id}", &MessageId::new().to_string());
        let path = path.replace("{person}", &PersonId::new().to_string());
        let query = if path == "/v1/changes" { format!("?scope=campus&until={}", cursor.pos) } else { String::new() };
        let method: Method = method.parse().unwrap();
        let body = if method == Method::GET || method == Method::DELETE { Value::Null } else { body.clone() };
        assert_eq!(ada.refused(method, &format!("{path}{query}"), body).await, Code::Unauthorized, "{route}");
        asked += 1;
    }
    assert!(asked >= 31, "{asked}");
    relay.stop().await;
}

/// What the devices of one person agree on: only they hear of it, the newest wins, and who is out keeps nothing.
#[tokio::test]
async fn mutes_and_drafts_are_their_persons_and_the_newest_wins() {
    let relay = TestRelay::start().await;
    let (ada, bob) = (relay.owner("Ada").await, relay.person("Bob").await);
    let circle = ada.create("Room", CircleKind::Open).await;
    let (mute, draft) = (format!("/v1/circles/{circle}/mute"), format!("/v1/circles/{circle}/draft"));
    assert_eq!(bob.refused(Method::PUT, &mute, json!({"on": true})).await, Code::NotMember);
    assert_eq!(bob.refused(Method::PUT, &draft, json!({"text": "hi"})).await, Code::NotMember);
    bob.ok::<Value>(Method::POST, &format!("/v1/circles/{circle}/join"), ()).await;

    let muted: Mute = bob.ok(Method::PUT, &mute, json!({"on": true})).await;
    assert_eq!(bob.ok::<Mute>(Method::PUT, &mute, json!({"on": true})).await, muted, "twice is once");
    let older: Mute = bob.ok(Method::PUT, &mute, json!({"on": false, "age_ms": 60_000})).await;
    assert_eq!(older, muted, "decided before, arrived after");
    let written: Draft = bob.ok(Method::PUT, &draft, json!({"text": "begun"})).await;
    let older: Draft = bob.ok(Method::PUT, &draft, json!({"text": "from the train", "age_ms": 60_000})).await;
    assert_eq!(older, written);
    let long = "x".repeat(circles_protocol::limits::MESSAGE_TEXT_BYTES_MAX + 1);
    assert_eq!(bob.refused(Method::PUT, &draft, json!({"text": long})).await, Code::InvalidBody);

    let state: CircleState = bob.get(&format!("/v1/circles/{circle}")).await;
    assert_eq!((state.mute, state.draft), (Some(muted), Some(written)));
    let state: CircleState = ada.get(&format!("/v1/circles/{circle}")).await;
    assert_eq!((state.mute, state.draft), (None, None), "nobody else's");

    bob.ok::<Value>(Method::POST, &format!("/v1/circles/{circle}/leave"), ()).await;
    bob.ok::<Value>(Method::POST, &format!("/v1/circles/{circle}/join"), ()).await;
    let state: CircleState = bob.get(&format!("/v1/circles/{circle}")).await;
    assert_eq!((state.mute.map(|it| it.on), state.draft.map(|it| it.text)), (Some(false), Some(String::new())));
    relay.stop().await;
}
