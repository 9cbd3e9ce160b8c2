//! How often a message waits for a database that is far away.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "../common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use circles_relay::Settings;
use circles_test_servers::Postgres;
use common::{TestRelay, quick};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// How long an answer of the database is on its way.
const FAR: Duration = Duration::from_millis(60);

/// Brings the database as far away: gives the address of it there.
async fn far(database: &str) -> String {
    let near = url::Url::parse(database).unwrap();
    let (host, port) = (near.host_str().unwrap().to_owned(), near.port().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut far = near;
    far.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect((host.as_str(), port)).await.unwrap();
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            tokio::spawn(carry(from_client, to_server, Duration::ZERO));
            tokio::spawn(carry(from_server, to_client, FAR));
        }
    });
    far.into()
}

/// Hands on what comes, so much later. It ends with either end.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin + Send + 'static, later: Duration) {
    let (under_way, mut arriving) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((due, bytes)) = arriving.recv().await {
            tokio::time::sleep_until(due.into()).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if under_way.send((Instant::now() + later, buffer[..length].to_vec())).is_err() {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_waits_three_times_for_the_database() {
    let database = far(&Postgres::shared().unwrap().database().unwrap()).await;
    let relay = TestRelay::with(Settings { database: Some(database), database_connections: 2, ..quick() }).await;
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
