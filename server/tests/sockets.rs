//! Streams as they are on the wire: over sockets without an HTTP library between.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::time::Duration;

use circles_protocol::{Code, Cursor, api::Me};
use circles_relay::Settings;
use common::{PATIENCE, Person, TestRelay, quick};
use reqwest::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::{sleep, timeout},
};

/// A socket, and what came of it and was not looked at.
struct Wire {
    socket: TcpStream,
    got: String,
}

impl Wire {
    async fn to(url: &str) -> Self {
        let address = url.strip_prefix("http://").unwrap();
        Self { socket: TcpStream::connect(address).await.unwrap(), got: String::new() }
    }

    async fn say(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).await.unwrap();
    }

    /// All that comes up to and with some text.
    async fn until(&mut self, end: &str) -> String {
        let read = async {
            loop {
                if let Some(at) = self.got.find(end) {
                    return self.got.drain(..at + end.len()).collect();
                }
                assert!(self.more().await, "it ended with {:?} and without {end:?}", self.got);
            }
        };
        timeout(PATIENCE, read).await.expect("it comes in time")
    }

    /// All that comes until the relay ends the connection.
    async fn rest(mut self) -> String {
        let read = async { while self.more().await {} };
        timeout(PATIENCE, read).await.expect("it ends in time");
        self.got
    }

    async fn more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = self.socket.read(&mut buffer).await.unwrap();
        self.got.push_str(std::str::from_utf8(&buffer[..read]).expect("these tests are plain ASCII"));
        read > 0
    }
}

fn request(method: &str, version: &str, person: &Person) -> String {
    format!("{method} /v1/stream {version}\r\nHost: relay\r\nAuthorization: Bearer {}\r\n\r\n", person.token)
}

async fn healthy(wire: &mut Wire) {
    // Before it may stand the body of the answer before.
    assert!(wire.until("\r\n\r\n").await.contains("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_stream_is_the_last_answer_on_its_connection_and_says_so() {
    let relay = TestRelay::with(Settings { stream_lifetime: Duration::from_millis(500), ..quick() }).await;
    let ada = relay.owner("Ada").await;
    let health = "GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n";
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        for ahead in [true, false] {
            let mut wire = Wire::to(&relay.url).await;
            let stream = request("GET", version, &ada);
            if ahead {
                // Requests sent before the first is answered, and one after the last that there can be.
                wire.say(&format!("{health}{health}{stream}{health}")).await;
            } else {
                wire.say(health).await;
            }
            healthy(&mut wire).await;
            if ahead {
                healthy(&mut wire).await;
            } else {
                wire.say(&stream).await;
            }
            let before = wire.until("HTTP/").await;
            assert!(!before.contains("event:"), "{before}");
            let head = format!("HTTP/{}", wire.until("\r\n\r\n").await).to_lowercase();
            assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
            for field in [
                "content-type: text/event-stream",
                "cache-control: no-store, no-transform",
                "x-accel-buffering: no",
                "x-content-type-options: nosniff",
                "x-request-id: ",
                "date: ",
                "connection: close",
            ] {
                assert_eq!(head.matches(&format!("\r\n{field}")).count(), 1, "{field} in {head}");
            }
            assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
            assert!(wire.until("\n\n").await.starts_with("retry: 500\n"));
            let rest = wire.rest().await;
            assert!(rest.starts_with("event: hello\n") && rest.contains("event: bye\n"), "{rest}");
            assert!(!rest.contains("HTTP/"), "{rest}");
        }
    }
    relay.stop().await;
}

#[tokio::test]
async fn asking_for_the_head_of_a_stream_opens_none() {
    let relay = TestRelay::with(Settings { streams_per_person: 1, ..quick() }).await;
    let ada = relay.owner("Ada").await;
    let mut wire = Wire::to(&relay.url).await;
    for _ in 0..3 {
        wire.say(&request("HEAD", "HTTP/1.1", &ada)).await;
        let head = wire.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("text/event-stream"), "{head}");
    }
    drop(wire);
    relay.stop().await;
}

/// Opens a stream as soon as the relay has noticed that another has ended.
async fn reopened(relay: &TestRelay, person: &Person) -> Wire {
    let reopen = async {
        loop {
            let mut wire = Wire::to(&relay.url).await;
            wire.say(&request("GET", "HTTP/1.1", person)).await;
            let head = wire.until("\r\n\r\n").await;
            if head.starts_with("HTTP/1.1 200") {
                return wire;
            }
            assert!(head.starts_with("HTTP/1.1 429"), "{head}");
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, reopen).await.expect("it is noticed")
}

#[tokio::test]
async fn a_reader_that_goes_away_is_noticed_without_anything_being_sent() {
    let relay = TestRelay::with(Settings { streams_per_person: 1, ..quick() }).await;
    let ada = relay.owner("Ada").await;
    let mut wire = reopened(&relay, &ada).await;
    wire.until("event: ping").await;
    assert_eq!(ada.refused(Method::GET, "/v1/stream", ()).await, Code::TooManyStreams);
    drop(wire);
    let mut wire = reopened(&relay, &ada).await;
    wire.until("event: ping").await;
    // One that talks on and on is not a reader of a stream.
    let mut said = Ok(());
    for _ in 0..1_000 {
        said = wire.socket.write_all(&[b'x'; 1024]).await;
        if said.is_err() {
            break;
        }
        sleep(Duration::from_millis(1)).await;
    }
    assert!(said.is_err(), "it may say what it likes");
    drop(reopened(&relay, &ada).await);
    relay.stop().await;
}

/// Posts more than the buffers of a connection hold, and gives the texts' beginnings.
async fn flood(ada: &Person, messages: usize) -> Vec<String> {
    let general = ada.general().await;
    let filling = "x".repeat(15_000);
    let marks: Vec<String> = (0..messages).map(|at| format!("mark-{at}-")).collect();
    for mark in &marks {
        ada.post(general, &format!("{mark}{filling}")).await;
    }
    marks
}

/// A reader that took the first events and then nothing more, with little room in the kernel.
async fn stalled(relay: &TestRelay, person: &Person) -> Wire {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = relay.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut wire = Wire { socket: socket.connect(address).await.unwrap(), got: String::new() };
    wire.say(&request("GET", "HTTP/1.1", person)).await;
    wire.until("event: ping").await;
    wire
}

#[tokio::test]
async fn a_reader_that_stalls_holds_nobody_up_and_misses_nothing() {
    let relay = TestRelay::start().await;
    let (ada, bob) = (relay.owner("Ada").await, relay.person("Bob").await);
    let mut slow = stalled(&relay, &bob).await;
    let cursor = ada.get::<Me>("/v1/me").await.cursor;
    let mut quick = bob.stream(Some(&cursor)).await;
    let marks = flood(&ada, 400).await;
    let last = marks.last().unwrap();
    quick.until(|it| it.data["entity"]["text"].as_str().is_some_and(|it| it.starts_with(last))).await;
    let mut ids: Vec<Cursor> = Vec::new();
    for mark in &marks {
        slow.until("event: change\nid: ").await;
        ids.push(slow.until("\n").await.trim_end().parse().unwrap());
        assert!(slow.until("\n\n").await.contains(mark));
    }
    assert!(ids.windows(2).all(|it| it[1].pos == it[0].pos.next()), "each once, in order");
    drop((slow, quick));
    relay.stop().await;
}

#[tokio::test]
async fn a_reader_that_stalls_for_good_is_let_go_when_its_time_is_over() {
    let lifetime = Duration::from_secs(1);
    let relay = TestRelay::with(Settings { streams_per_person: 1, stream_lifetime: lifetime, ..quick() }).await;
    let (ada, bob) = (relay.owner("Ada").await, relay.person("Bob").await);
    let slow = stalled(&relay, &bob).await;
    flood(&ada, 400).await;
    drop(reopened(&relay, &bob).await);
    drop(slow);
    relay.stop().await;
}

#[tokio::test]
async fn a_stopping_relay_does_not_wait_for_a_reader_that_stalls() {
    let relay = TestRelay::start().await;
    let (ada, bob) = (relay.owner("Ada").await, relay.person("Bob").await);
    let slow = stalled(&relay, &bob).await;
    flood(&ada, 400).await;
    let begun = std::time::Instant::now();
    relay.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    drop(slow);
}

/// In a program of others, whose server keeps its sockets: the same stream, as the body of a response.
#[tokio::test]
async fn a_stream_in_another_program_is_the_same() {
    let relay = TestRelay::with(Settings { stream_lifetime: Duration::from_millis(500), ..quick() }).await;
    let ada = relay.owner("Ada").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(axum::serve(listener, relay.relay.router()).into_future());
    let there = Person { url, ..ada.clone() };
    let mut told = Vec::new();
    for person in [&ada, &there] {
        let mut events = person.stream(None).await;
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            seen.push((event.name, event.cursor));
        }
        told.push(seen);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].last().map(|it| it.0.as_str()), Some("bye"));
    server.abort();
    relay.stop().await;
}
