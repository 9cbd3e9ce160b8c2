//! LAN mode at the relay: who gets in, and what a stranger can hold.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::time::Duration;

use circles_protocol::{Code, InviteLink, api::Joined, lan::ShortCode};
use circles_relay::{LanHost, NewInvite};
use common::{PATIENCE, TestRelay, join_request, problem};
use reqwest::Response;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

async fn on_lan(relay: &TestRelay) -> LanHost {
    relay.relay.lan(TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap()
}

async fn invite(relay: &TestRelay) -> InviteLink {
    relay.relay.link(&relay.relay.create_invite(NewInvite::OWNER).await.unwrap())
}

async fn join(relay: &TestRelay, code: &str) -> Response {
    relay.http.post(format!("{}/v1/join", relay.url)).json(&join_request(code, "Bob")).send().await.unwrap()
}

#[tokio::test]
async fn a_short_code_admits_as_often_as_its_link_and_only_on_the_lan() {
    let relay = TestRelay::start().await;
    assert_eq!(invite(&relay).await.short_code(), None);
    let host = on_lan(&relay).await;
    let link = invite(&relay).await;
    assert_eq!(link.lan.as_ref().map(|it| it.key), Some(host.place().key));
    let typed: ShortCode = link.short_code().unwrap().to_string().parse().unwrap();
    let joined: Joined = join(&relay, typed.secret()).await.json().await.unwrap();
    assert_eq!(joined.person.name, "Bob");
    assert_eq!(problem(join(&relay, typed.secret()).await).await, Code::InviteUsedUp);
    assert_eq!(problem(join(&relay, &link.code).await).await, Code::InviteUsedUp, "it is the same invite");
    assert_eq!(problem(join(&relay, "000000000").await).await, Code::InviteUnknown);

    let unused = invite(&relay).await.short_code().unwrap();
    let hang_up = CancellationToken::new();
    hang_up.cancel();
    host.serve(CancellationToken::new(), hang_up).await;
    assert_eq!(problem(join(&relay, unused.secret()).await).await, Code::InviteUnknown);
    relay.stop().await;
}

#[tokio::test]
async fn browsers_are_served_only_where_guests_are_welcome() {
    for guests in [false, true] {
        let relay = TestRelay::with(circles_relay::Settings { lan_guests: guests, ..common::quick() }).await;
        let stop = CancellationToken::new();
        let host = on_lan(&relay).await;
        let url = format!("https://127.0.0.1:{}", host.port());
        let serving = tokio::spawn(host.serve(stop.clone(), CancellationToken::new()));
        // As a person does who clicks through the browser's warning.
        let browser = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build().unwrap();
        let page = browser.get(&url).send().await.unwrap();
        assert_eq!(page.status(), if guests { 200 } else { 404 });
        assert_eq!(browser.get(format!("{url}/v1/me")).send().await.unwrap().status(), 401, "the API is there");
        let request = join_request(&invite(&relay).await.code, "Bob");
        let joined = browser.post(format!("{url}/v1/join")).json(&request).send().await.unwrap();
        let cookie = joined.headers()[reqwest::header::SET_COOKIE].to_str().unwrap().to_owned();
        assert!(cookie.contains("HttpOnly") && cookie.ends_with("; Secure"), "{cookie}");
        stop.cancel();
        serving.await.unwrap();
        relay.stop().await;
    }
}

#[tokio::test]
async fn closing_the_door_cuts_who_came_through_it_at_once() {
    let relay = TestRelay::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hang_up = CancellationToken::new();
    let host = relay.relay.lan(listener).unwrap();
    let serving = tokio::spawn(host.serve(CancellationToken::new(), hang_up.clone()));
    let mut inside = TcpStream::connect(address).await.unwrap();
    // It was accepted when the next one is.
    drop(TcpStream::connect(address).await.unwrap());
    hang_up.cancel();
    serving.await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(3), inside.read(&mut [0; 16])).await.expect("it is cut at once");
    assert!(matches!(end, Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).await.is_err());
    relay.stop().await;
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_let_go_and_holds_up_nobody() {
    let relay = TestRelay::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(relay.relay.lan(listener).unwrap().serve(stop.clone(), CancellationToken::new()));
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut plain = TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    tokio::time::timeout(Duration::from_secs(3), plain.read_to_end(&mut said)).await.unwrap().unwrap();
    assert!(!said.starts_with(b"HTTP"), "plain HTTP is not spoken here");
    let end = tokio::time::timeout(PATIENCE, silent.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)));
    stop.cancel();
    serving.await.unwrap();
    relay.stop().await;
}
