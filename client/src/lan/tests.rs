//! Relays on loopback with the right key, another one, a copied certificate, or no TLS at all.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{net::SocketAddr, sync::Arc};

use circles_protocol::{
    InviteLink, LanPlace,
    lan::{Fingerprint, ShortCode},
};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::ResolvesServerCert,
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Route,
    pin::{Pin, probe},
    route::search,
};
use crate::{api::Api, error::ClientError, limits::PROBE_TIME_MAX};

/// What answers in a test.
struct Server {
    address: SocketAddr,
    serving: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl Server {
    /// Shows the certificate of one key and signs with another: the same, unless it is an impostor. It answers every
    /// request with the authorization that it was sent.
    async fn start(shows: &KeyPair, signs: &KeyPair) -> Self {
        let certificate = CertificateParams::new([]).unwrap().self_signed(shows).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signs.serialize_der()));
        let key = ring::sign::any_supported_type(&key).unwrap();
        let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
        let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Always(certified.into())));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut socket = acceptor.accept(socket).await?;
                    let read = socket.read(&mut [0; 4096]).await?;
                    if read > 0 {
                        let answer =
                            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\ntrue";
                        socket.write_all(answer.as_bytes()).await?;
                    }
                    socket.shutdown().await
                });
            }
        });
        Self { address, serving: AbortOnDropHandle::new(serving) }
    }

    async fn of(key: &KeyPair) -> Self {
        Self::start(key, key).await
    }

    /// Ends it, and leaves something at its address that says nothing.
    async fn fall_silent(self) -> TcpListener {
        self.serving.abort();
        assert!(self.serving.await.unwrap_err().is_cancelled());
        TcpListener::bind(self.address).await.unwrap()
    }
}

fn key() -> (KeyPair, Fingerprint) {
    let key = KeyPair::generate().unwrap();
    let fingerprint = Fingerprint::of(&key.subject_public_key_info());
    (key, fingerprint)
}

/// A port on which nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn ask(pin: Fingerprint, at: &[SocketAddr]) -> Result<bool, ClientError> {
    Api::on_lan(Route::new(pin, at.to_vec())).unwrap().get("v1/me").await
}

#[tokio::test]
async fn the_relay_with_the_pinned_key_is_asked_and_no_other() {
    let (right, pin) = key();
    let (other, found) = key();
    let (right, other) = (Server::of(&right).await, Server::of(&other).await);
    assert!(ask(pin, &[right.address]).await.unwrap());
    let error = ask(pin, &[other.address]).await.unwrap_err();
    assert!(matches!(error, ClientError::WrongKey { found: it } if it == found), "{error}");
    assert!(error.passes(), "the right one may come back");
    // The other one answers sooner or later; either way it is not it.
    assert!(ask(pin, &[other.address, right.address]).await.unwrap());
    assert!(ask(pin, &[right.address, nobody().await]).await.unwrap());
    let error = ask(pin, &[nobody().await]).await.unwrap_err();
    assert!(matches!(error, ClientError::Offline(_)), "{error}");
}

#[tokio::test]
async fn a_copied_certificate_is_no_key() {
    let (right, pin) = key();
    let (other, _) = key();
    let impostor = Server::start(&right, &other).await;
    let error = ask(pin, &[impostor.address]).await.unwrap_err();
    assert!(matches!(error, ClientError::Offline(_)), "{error}");
}

#[tokio::test]
async fn plain_http_in_the_relays_place_is_told_nothing() {
    let (_, pin) = key();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut heard = vec![0; 4096];
        let read = socket.read(&mut heard).await.unwrap();
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue").await.unwrap();
        heard.truncate(read);
        heard
    });
    let api = Api::on_lan(Route::new(pin, vec![address])).unwrap().with_token("secret".to_owned());
    let error = api.get::<bool>("v1/me").await.unwrap_err();
    assert!(matches!(error, ClientError::Offline(_)), "{error}");
    let heard = heard.await.unwrap();
    assert_eq!(heard[0], 22, "a TLS handshake");
    assert!(!heard.windows(6).any(|it| it == b"secret"));
}

#[tokio::test]
async fn a_typed_code_names_the_key_of_the_relay() {
    let (right, pin) = key();
    let (other, _) = key();
    let (right, other) = (Server::of(&right).await, Server::of(&other).await);
    let tls = Pin::Code(ShortCode::new(&pin, "code")).tls();
    assert_eq!(probe(right.address, tls.clone()).await.unwrap(), pin);
    assert!(matches!(probe(other.address, tls.clone()).await, Err(ClientError::WrongKey { .. })));
    let (found, at) = search(&tls, [nobody().await, other.address, right.address]).await.unwrap();
    assert_eq!((found, at), (pin, right.address));
}

#[tokio::test]
async fn a_relay_that_moves_is_found_at_its_other_address_and_old_connections_are_left() {
    let (key, pin) = key();
    let before = Server::of(&key).await;
    let route = Route::new(pin, vec![before.address]);
    let api = Api::on_lan(route.clone()).unwrap();
    assert!(api.get::<bool>("v1/me").await.unwrap());
    assert_eq!(route.current(), Some(before.address));
    drop(before);

    let after = Server::of(&key).await;
    route.learn([after.address]);
    let base = api.url("v1/me");
    api.lost();
    assert_ne!(api.url("v1/me"), base, "another host to the connection pool");
    assert!(api.get::<bool>("v1/me").await.unwrap());
    assert_eq!(route.known().first(), Some(&after.address));
}

#[tokio::test]
async fn a_relay_that_answers_where_it_was_stays_whatever_is_announced() {
    let (right, pin) = key();
    let (other, _) = key();
    let (here, there, impostor) = (Server::of(&right).await, Server::of(&right).await, Server::of(&other).await);
    let route = Route::new(pin, vec![here.address]);
    route.find().await.unwrap();
    assert!(!route.has_left_for([there.address, impostor.address, nobody().await]).await);
}

#[tokio::test]
async fn a_relay_that_is_silent_where_it_was_has_left_as_soon_as_it_answers_elsewhere() {
    let (right, pin) = key();
    let (other, _) = key();
    let before = Server::of(&right).await;
    let route = Route::new(pin, vec![before.address]);
    route.find().await.unwrap();
    let _silent = before.fall_silent().await;
    let after = Server::of(&right).await;
    let left = tokio::time::timeout(PROBE_TIME_MAX, route.has_left_for([nobody().await, after.address])).await;
    assert!(left.expect("long before silence is an answer"));
    let impostor = Server::of(&other).await;
    let waiting = tokio::time::timeout(PROBE_TIME_MAX / 2, route.has_left_for([impostor.address])).await;
    assert!(waiting.is_err(), "another relay's answer says nothing");
}

#[tokio::test]
async fn a_search_that_is_under_way_asks_at_an_address_that_becomes_known() {
    let (key, pin) = key();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let route = Route::new(pin, vec![silent.local_addr().unwrap()]);
    let searching = tokio::spawn({
        let route = route.clone();
        async move { route.find().await }
    });
    let _held = silent.accept().await.unwrap();
    let server = Server::of(&key).await;
    route.learn([server.address]);
    let found = tokio::time::timeout(PROBE_TIME_MAX / 2, searching).await.expect("long before silence is an answer");
    assert_eq!(found.unwrap().unwrap(), server.address);
}

#[tokio::test]
async fn a_request_that_waits_where_the_relay_was_is_given_up() {
    let (_, pin) = key();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let route = Route::new(pin, vec![silent.local_addr().unwrap()]);
    let api = Api::on_lan(route).unwrap();
    let asked = tokio::spawn({
        let api = api.clone();
        async move { api.get::<bool>("v1/me").await }
    });
    // It is connected, and nobody answers.
    let _held = silent.accept().await.unwrap();
    api.lost();
    let error = asked.await.unwrap().unwrap_err();
    assert!(matches!(&error, ClientError::Offline(why) if why.contains("was lost")), "{error}");
}

#[tokio::test]
async fn an_invite_finds_its_relay_and_is_one_attempt_wherever_that_is() {
    let (key, pin) = key();
    let server = Server::of(&key).await;
    let link = |addresses| {
        let place = LanPlace { key: pin, name: "Dorm".to_owned(), addresses };
        InviteLink::on_lan(place, "code".to_owned()).unwrap()
    };
    let browser = circles_lan::Browser::default();
    let here = super::Invited::find(&link(vec![server.address]).to_string(), &browser, None).await.unwrap();
    let both = link(vec![nobody().await, server.address]).to_string();
    let moved = super::Invited::find(&both, &browser, None).await.unwrap();
    assert_eq!(here.attempt(), moved.attempt());
    assert_eq!(moved.link.relay.port(), Some(server.address.port()), "where it answers");

    let typed = format!("{}@{}", link(vec![server.address]).short_code().unwrap(), server.address);
    let typed = super::Invited::find(&typed, &browser, None).await.unwrap();
    assert_eq!(typed.link.lan.map(|it| it.key), Some(pin));
}
